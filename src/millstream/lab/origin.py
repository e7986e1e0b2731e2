"""Whether a model's weights are what its makers gave: what can be told from the file alone.

A file that is called F16 may have been made from a quantized one. Its numbers tell: what was lost
on the way does not come back when they are written with more bits.
"""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from typing import TYPE_CHECKING

from millstream.models import gguf
from millstream.models.gguf import Tensor

if TYPE_CHECKING:
    from millstream.lab.loss import Model

_PLAIN = ("F32", "F16", "BF16")
_BLOCKS = 64
_BLOCK = 32  # numbers; every quantized type has blocks of this size, or of multiples
_LEVELS = 17  # different numbers in a block of at most four bits, and one for rounding


def quantized(model: Model) -> str:
    """The types of matrices that are quantized in a file, "" if none is."""
    kinds = Counter(
        tensor.type_name
        for tensor in model.tensors
        if tensor.type_name not in _PLAIN and len(tensor.shape) > 1
    )
    return ", ".join(f"{count} × {name}" for name, count in kinds.most_common())


def dequantized(model: Model) -> int:
    """The bits that plain weights once had, by their numbers: 4 (or fewer), 8, or 0 for an
    original. In a block of a type with four bits there are at most sixteen different numbers; in
    one of Q8_0 all are whole multiples of the largest over 127."""
    matrices = [t for t in model.tensors if len(t.shape) > 1 and ".attn_norm" not in t.name]
    inner = [t for t in matrices if t.name.startswith("blk.")] or matrices
    votes: Counter[int] = Counter()
    source = random.Random(0)  # noqa: S311
    for tensor in sorted(inner, key=lambda t: t.elements, reverse=True)[:4]:
        blocks = _some_blocks(model, tensor, source)
        few = sum(len(set(block)) <= _LEVELS for block in blocks)
        whole = sum(map(_multiples, blocks))
        enough = 0.9 * len(blocks)
        votes[4 if few > enough else 8 if whole > enough else 0] += 1
    return votes.most_common(1)[0][0] if votes else 0


def _some_blocks(model: Model, tensor: Tensor, source: random.Random) -> list[list[float]]:
    """Blocks of numbers from all over a tensor; none if it isn't plain."""
    if tensor.type_name not in _PLAIN or tensor.elements < _BLOCK:
        return []
    header = next(h for h in model.headers if any(t is tensor for t in h.tensors))
    path = gguf.shard_paths(model.path)[model.headers.index(header)]
    width = 4 if tensor.type_name == "F32" else 2
    found = []
    with open(path, "rb") as file:
        for _ in range(_BLOCKS):
            number = source.randrange(tensor.elements // _BLOCK)
            file.seek(header.data_offset + tensor.offset + number * _BLOCK * width)
            data = file.read(_BLOCK * width)
            if len(data) == _BLOCK * width:
                found.append(_numbers(data, tensor.type_name))
    return found


def _numbers(data: bytes, type: str) -> list[float]:
    if type == "BF16":
        wide = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        return list(struct.unpack(f"<{_BLOCK}f", wide))
    return list(struct.unpack(f"<{_BLOCK}{'e' if type == 'F16' else 'f'}", data))


def _multiples(block: list[float]) -> bool:
    """Whether all numbers are whole multiples of the largest over 127."""
    largest = max(map(abs, block))
    if not largest or not math.isfinite(largest):
        return False
    steps = [number / largest * 127 for number in block]
    return sum(abs(step - round(step)) for step in steps) / len(steps) < 0.06
