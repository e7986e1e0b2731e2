"""One model in every precision: bytes, real bits a weight, and the rule of thumb beside them.

FP32 and FP16 are plain. INT8 and INT4 are what other runtimes make of a model: bitsandbytes' 8
bits with a scale a row, and 4 bits in groups of 128 with a scale and a zero (AWQ, GPTQ), while
embeddings, head and norms stay in 16 bits. GGUF's own types come from `mixes`, tensor by tensor.

The rules people quote are bytes a parameter for the weights (4, 2, 1, ½) and a fifth to two fifths
more for running. Widely quoted for 7 billion parameters: 28, 14, 7 and 3.5 GB of weights, and
40 to 50 GB for running in FP32; for 72 billion 350 to 400, 175 to 200 and 85 to 100 GB in FP32,
FP16 and INT8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from millstream.base import BadInput
from millstream.lab.mixes import DEFAULTS, needs_imatrix, plan_types, retyped
from millstream.models.footprint import repack_bytes
from millstream.models.gguf import Header, Tensor

PLAIN = ("FP32", "FP16", "INT8", "INT4")
GGUF = tuple(name for name in DEFAULTS if name not in ("F32", "F16", "BF16"))
ALL = (*PLAIN, *GGUF)
_GROUP = 128  # weights that share a scale and a zero, in INT4
_RUNNING = (1.2, 1.4)  # times the weights, as people say
_QUOTED = {"FP32": 4.0, "FP16": 2.0, "INT8": 1.0, "INT4": 0.5,
           "Q8_0": 1.0, "Q4_0": 0.5, "Q4_K_M": 0.5, "Q4_K_S": 0.5}  # fmt: skip


class Fallback(msgspec.Struct, frozen=True):
    """Tensors whose rows don't fit the blocks of the type that was meant for them."""

    wanted: str
    taken: str
    tensors: int


class Quoted(msgspec.Struct, frozen=True):
    """What people say of a size and a precision, in bytes. weights; low, high: for running."""

    weights: int
    low: int
    high: int


class Precision(msgspec.Struct, frozen=True):
    """A model in one precision. weights: bytes; bits: of a weight on the average; types: bytes by
    tensor type. repack: bytes of second copies on this processor. imatrix: it can't be made
    without an importance matrix. impossible: why it can't be made at all, "" if it can."""

    label: str
    weights: int
    bits: float
    types: dict[str, int]
    repack: int = 0
    fallbacks: tuple[Fallback, ...] = ()
    imatrix: bool = False
    quoted: Quoted | None = None
    impossible: str = ""


def in_precision(
    header: Header, tensors: Sequence[Tensor], label: str, *, nominal: float = 0
) -> Precision:
    """A model in a precision. header: its first file; tensors: of all its files. nominal: the
    parameters that people give it, in billions, for the rules of thumb; by default its own."""
    quoted = quote(label, nominal * 1e9 or sum(tensor.elements for tensor in tensors))
    if label in PLAIN:
        return _plain(tensors, label, quoted)
    try:
        planned = plan_types(header, label, tensors=tensors)
    except BadInput as error:
        return Precision(label, 0, 0.0, {}, quoted=quoted, impossible=error.message)
    types: Counter[str] = Counter()
    for each in planned:
        types[each.type] += each.size
    falls = Counter((p.fallback_from, p.type) for p in planned if p.fallback_from)
    made = retyped(header, label, tensors=tensors)
    there = Header(header.file, 3, header.metadata, made, 0, lambda offset, length: b"")
    return Precision(
        label,
        sum(types.values()),
        _bits(sum(types.values()), tensors),
        dict(types.most_common()),
        repack_bytes([there]),
        tuple(Fallback(wanted, taken, n) for (wanted, taken), n in falls.most_common()),
        bool(needs_imatrix(planned, label)),
        quoted,
    )


def as_it_is(headers: Sequence[Header], *, label: str = "") -> Precision:
    """A model in the types that its files have."""
    types: Counter[str] = Counter()
    tensors = [tensor for header in headers for tensor in header.tensors]
    for tensor in tensors:
        types[tensor.type_name] += tensor.size
    weights = sum(types.values())
    label = label or headers[0].quantization
    repack = repack_bytes(headers)
    return Precision(label, weights, _bits(weights, tensors), dict(types.most_common()), repack)


def quote(label: str, parameters: float) -> Quoted | None:
    """The rule of thumb for a precision; None where none is quoted."""
    each = _QUOTED.get(label)
    if each is None:
        return None
    weights = parameters * each
    low, high = (round(weights * factor) for factor in _RUNNING)
    billions = parameters / 1e9
    if label == "FP32" and 6.5 <= billions <= 7.7:  # the figure that is quoted for this size
        low, high = 40 * 10**9, 50 * 10**9
    return Quoted(round(weights), low, high)


def _plain(tensors: Sequence[Tensor], label: str, quoted: Quoted | None) -> Precision:
    types: Counter[str] = Counter()
    for tensor in tensors:
        inside = len(tensor.shape) > 1 and tensor.name.startswith("blk.")
        inside = inside and "_norm" not in tensor.name
        if label == "FP32":
            types["FP32"] += 4 * tensor.elements
        elif label == "FP16" or not inside:
            types["FP16"] += 2 * tensor.elements
        elif label == "INT8":
            types["INT8"] += tensor.elements + 4 * tensor.elements // tensor.shape[0]
        else:
            groups = tensor.elements // tensor.shape[0] * -(-tensor.shape[0] // _GROUP)
            types["INT4"] += tensor.elements // 2 + groups * 2 + groups // 2
    weights = sum(types.values())
    return Precision(
        label, weights, _bits(weights, tensors), dict(types.most_common()), quoted=quoted
    )


def _bits(size: int, tensors: Sequence[Tensor]) -> float:
    count = sum(tensor.elements for tensor in tensors)
    return 8 * size / count if count else 0.0
