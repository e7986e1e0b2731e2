"""What llama.cpp itself says that a model takes: asked without loading a single weight.

llama.cpp can plan a load and allocate nothing (`no_alloc`): its buffers then have their sizes and
no bytes. It reads the header only, so a model that is elsewhere, or that nobody has made yet, is
asked about by a file with its header and a hole where the weights would be. That takes a second
and some tens of megabytes, whatever the model's size, and is the judge of `footprint`.

The asking is done in a process of its own (this module, run as a script): llama.cpp ends its
process over a header that it finds wrong.

Sources: `llama_get_memory_breakdown`, which is C++ and gives a `std::map`; its layout is that of
libstdc++'s red-black tree. Format of the file: docs/gguf.md of ggml-org/ggml.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import struct
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.models.footprint import Use
from millstream.models.gguf import MAGIC, TYPES, Array, Header, Tensor

_BREAKDOWN = "_Z26llama_get_memory_breakdownPK13llama_context"
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}
_MAP, _ROOT, _COUNT = 48, 16, 40  # bytes of a std::map; where its first node and its size are
_MOST_KINDS = 64  # kinds of buffers that a machine may have
_U32, _I32, _F32, _BOOL, _TEXT, _LIST, _U64 = 4, 5, 6, 7, 8, 9, 10
_USUAL: dict[str, Any] = {  # what every model has, and a config.json doesn't tell
    "attention.layer_norm_rms_epsilon": 1e-6,
    "attention.layer_norm_epsilon": 1e-6,
    "logit_scale": 1.0,
}


class Buffers(msgspec.Struct, frozen=True):
    """What llama.cpp allocates for one use. weights: bytes by kind of buffer ("CPU",
    "CPU_REPACK", "CUDA0"); cache: keys, values and states; compute: scratch space; output: of the
    sampler, rounded to a hundredth of a MiB, as its log has it."""

    weights: dict[str, int]
    cache: int
    compute: int
    output: int


class Weighed(msgspec.Struct, frozen=True):
    """What llama.cpp says. size: bytes of all weights; buffers: for each use that was asked for."""

    size: int
    buffers: tuple[Buffers, ...]


class _Ask(msgspec.Struct):
    model: str
    uses: list[Use]
    mapped: bool


async def weigh(
    source: Path | Sequence[Header], uses: Sequence[Use], *, mapped: bool = False
) -> Weighed:
    """Ask llama.cpp what a model takes in each way of using it.

    source: a file that is here, or headers of one that isn't. mapped: load the file for real, so
    that its buffers are as in a run (of a file that is here only).

    Raises NotHere (no llama.cpp, or another build than the one that is known), Failed with
    llama.cpp's words for a model that it doesn't take.
    """
    with tempfile.TemporaryDirectory(prefix="millstream-") as folder:
        if isinstance(source, Path):
            path = source
        else:
            path = Path(folder) / "header.gguf"
            sketch(source, path)
        ask = _Ask(str(path), list(uses), mapped)
        with tempfile.TemporaryFile(buffering=0) as log:
            return await _asked(ask, path.stem, log)


async def _asked(ask: _Ask, name: str, log: IO[bytes]) -> Weighed:
    from millstream.lab import jobs

    process = await jobs.start(
        sys.executable,
        "-P",
        "-m",
        "millstream.lab.weigh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log.fileno(),
    )
    try:
        said, _ = await process.communicate(msgspec.json.encode(ask))
    finally:
        await jobs.end(process)
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(said, type=Weighed)
    with suppress(msgspec.MsgspecError, KeyError, TypeError):
        told = msgspec.json.decode(said)["error"]
        kinds: dict[str, type[MillstreamError]] = {"NotHere": NotHere, "BadInput": BadInput}
        raise kinds.get(told["kind"], Failed)(told["code"], **told["values"])
    log.seek(0)
    words = log.read()[-(64 << 10) :].decode("utf-8", "replace")
    raise jobs.broken(name, words, process.returncode or 0)


# ----------------------------------------------------------------------------- a header, and a hole


def sketch(headers: Sequence[Header], path: Path) -> None:
    """Write a file with the header of a model and a hole instead of its weights. Vocabularies are
    left out but for their size. Raises Failed where the file system can't have such a file."""
    first = headers[0]
    metadata = {
        key: value
        for key, value in first.metadata.items()
        if not isinstance(value, Array) and not key.startswith(("split.", "tokenizer."))
    }
    architecture = first.architecture
    for key, value in _USUAL.items():
        metadata.setdefault(f"{architecture}.{key}", value)
    if words := first.vocabulary:
        metadata[f"{architecture}.vocab_size"] = words
    metadata["tokenizer.ggml.model"] = "no_vocab"
    pairs = [_packed(key, value) for key, value in metadata.items()]
    tensors = [tensor for header in headers for tensor in header.tensors]
    table, end = _table(tensors)
    known = [pair for pair in pairs if pair]
    begin = MAGIC + struct.pack("<IQQ", 3, len(tensors), len(known)) + b"".join(known) + table
    begin += bytes(-len(begin) % 32)
    try:
        with open(path, "wb") as file:
            file.write(begin)
            file.truncate(len(begin) + end)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("lab.no-sketch", path=str(path), reason=reason) from None


def _table(tensors: Sequence[Tensor]) -> tuple[bytes, int]:
    """The table of tensors, and where the last one ends."""
    out, offset = b"", 0
    for tensor in tensors:
        out += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
        out += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        out += struct.pack("<IQ", tensor.type, offset)
        offset += -(-tensor.size // 32) * 32
    return out, offset


def _packed(key: str, value: Any) -> bytes:
    """A key and its value; nothing for a value of a kind that no size depends on."""
    kind = _kind(value)
    if isinstance(value, tuple):
        kinds = {_kind(item) for item in value}
        if len(kinds) != 1 or None in kinds:
            return b""
        (inner,) = kinds
        body = struct.pack("<IQ", inner, len(value)) + b"".join(_value(v) for v in value)
        return _string(key) + struct.pack("<I", _LIST) + body
    return _string(key) + struct.pack("<I", kind) + _value(value) if kind is not None else b""


def _kind(value: Any) -> int | None:
    match value:
        case bool():
            return _BOOL
        case int():
            return _U32 if 0 <= value < 1 << 32 else _I32 if -(1 << 31) <= value < 0 else _U64
        case float():
            return _F32
        case str():
            return _TEXT
    return None


def _value(value: Any) -> bytes:
    formats = {_BOOL: "<?", _U32: "<I", _I32: "<i", _U64: "<Q", _F32: "<f"}
    kind = _kind(value)
    return _string(value) if kind == _TEXT else struct.pack(formats[kind or _U32], value)


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


# --------------------------------------------------------------------------- in the process below


class _Node(ctypes.Structure):
    """A node of a `std::map` from a kind of buffer to three sizes."""

    _fields_ = (
        ("color", ctypes.c_int),
        ("parent", ctypes.c_void_p),
        ("left", ctypes.c_void_p),
        ("right", ctypes.c_void_p),
        ("kind", ctypes.c_void_p),
        ("weights", ctypes.c_size_t),
        ("cache", ctypes.c_size_t),
        ("compute", ctypes.c_size_t),
    )


def main() -> None:
    ask = msgspec.json.decode(sys.stdin.buffer.read(), type=_Ask)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # no debugger that looks at a breakdown
    try:
        said: object = _weighed(ask)
    except MillstreamError as error:
        values = {key: str(value) for key, value in error.values.items()}
        said = {"error": {"kind": type(error).__name__, "code": error.code, "values": values}}
    sys.stdout.buffer.write(msgspec.json.encode(said))
    sys.stdout.flush()
    os._exit(0)


def _weighed(ask: _Ask) -> Weighed:
    from millstream.lab.library import Library, path

    library = Library()
    more = ctypes.CDLL(str(path()))
    listen = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    log: list[str] = []

    def hear(level: int, text: bytes, _: object) -> None:
        words = text.decode("utf-8", "replace")
        log.append(words)
        sys.stderr.write(words)

    heard = listen(hear)
    more.llama_log_set(heard, None)
    library.llama_backend_init()
    params = library.llama_model_default_params()
    params.no_alloc = not ask.mapped
    params.load_mode = -1 if ask.mapped else 0
    model = library.llama_model_load_from_file(ask.model.encode(), params)
    if not model:
        sys.stderr.flush()
        os._exit(1)
    size = more.llama_model_size
    size.restype, size.argtypes = ctypes.c_uint64, (ctypes.c_void_p,)
    least = int(size(model))
    buffers = [_buffers(library, more, model, use, log, least) for use in ask.uses]
    return Weighed(least, tuple(buffers))


def _buffers(library: Any, more: Any, model: int, use: Use, log: list[str], size: int) -> Buffers:
    """What one use takes. size: bytes of the weights, which the buffers have at least."""
    params = library.llama_context_default_params()
    params.n_ctx = use.context * use.slots
    params.n_batch = params.n_ubatch = use.batch
    params.n_seq_max = use.slots
    params.n_outputs_max = use.sampled
    params.flash_attn_type = 1 if use.flash else 0
    params.type_k, params.type_v = _NUMBERS[use.keys], _NUMBERS[use.values]
    params.swa_full, params.kv_unified = use.whole_window, use.shared
    log.clear()
    context = library.llama_init_from_model(model, params)
    if not context:
        sys.stderr.flush()
        os._exit(1)
    found = _breakdown(more, context)
    if sum(weights for weights, _, _ in found.values()) < size:
        raise _other()
    library.llama_free(context)
    said = re.search(r"output buffer size = +([\d.]+) MiB", "".join(log))
    return Buffers(
        weights={kind: sizes[0] for kind, sizes in found.items()},
        cache=sum(sizes[1] for sizes in found.values()),
        compute=sum(sizes[2] for sizes in found.values()),
        output=round(float(said[1]) * (1 << 20)) if said else 0,
    )


def _breakdown(more: Any, context: int) -> Mapping[str, tuple[int, int, int]]:
    """Weights, cache and scratch space by kind of buffer. Raises NotHere where the library gives
    anything else than the map that is expected."""
    try:
        name, ask = more.ggml_backend_buft_name, getattr(more, _BREAKDOWN)
    except AttributeError:
        raise _other() from None
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.c_void_p,)
    ask.restype, ask.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p)
    tree = (ctypes.c_char * _MAP)()
    ask(ctypes.addressof(tree), context)
    count = ctypes.c_size_t.from_buffer(tree, _COUNT).value
    if not 0 < count <= _MOST_KINDS:
        raise _other()
    found: dict[str, tuple[int, int, int]] = {}
    waiting = [ctypes.c_void_p.from_buffer(tree, _ROOT).value]
    while waiting:
        if at := waiting.pop():
            node = _Node.from_address(at)
            if node.color not in (0, 1) or not node.kind or len(found) == count:
                raise _other()
            waiting += [node.left, node.right]
            found[name(node.kind).decode()] = (node.weights, node.cache, node.compute)
    if len(found) != count:
        raise _other()
    return found


def _other() -> NotHere:
    return NotHere("quantize.other-build", fields="llama_get_memory_breakdown")


if __name__ == "__main__":
    main()
