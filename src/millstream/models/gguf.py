"""What a GGUF file says of itself: metadata and the table of its tensors, never the weights.

Read from a file, or from any function that gives a range of bytes, so that the header of a model
elsewhere can be read without fetching the model. Files come from strangers: every length and count
is checked against what is there before it is believed, and long lists (a vocabulary) are stepped
over and decoded only when asked for.

Format: docs/gguf.md of ggml-org/ggml, versions 2 and 3, little endian. Block sizes: ggml's type
traits; file types: `llama_ftype` in llama.h.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from millstream.base import BadInput, say

Ranges = Callable[[int, int], bytes]
"""offset, length → that range of the file; shorter only where the file ends."""

MAGIC = b"GGUF"
_LONGEST_NAME = 1 << 16  # bytes, as the format says
_LONGEST_TEXT = 1 << 24  # bytes; the longest chat templates have some ten thousand
_KEPT = 4096  # elements of a list of numbers that is decoded at once (one a layer)
_WINDOW = 1 << 18  # bytes read at once
_FIRST = 1 << 20  # bytes of the first look at a file elsewhere
_MOST = 1 << 28  # bytes that a header may have
_DIMENSIONS = 4
_MOST_LAYERS = 1 << 14
_MOST_TENSORS = 1 << 18  # experts one by one, as old files have them, are some fifty thousand
_MOST_KEYS = 1 << 16
_MOST_TEXTS = 1 << 22  # of one list; the longest vocabularies have some hundred thousand


class Kind(NamedTuple):
    """How a tensor type packs: `size` bytes hold `block` weights."""

    name: str
    block: int
    size: int

    @property
    def bits(self) -> float:
        """Bits a weight."""
        return self.size * 8 / self.block


TYPES: dict[int, Kind] = {
    0: Kind("F32", 1, 4),
    1: Kind("F16", 1, 2),
    2: Kind("Q4_0", 32, 18),
    3: Kind("Q4_1", 32, 20),
    6: Kind("Q5_0", 32, 22),
    7: Kind("Q5_1", 32, 24),
    8: Kind("Q8_0", 32, 34),
    9: Kind("Q8_1", 32, 36),
    10: Kind("Q2_K", 256, 84),
    11: Kind("Q3_K", 256, 110),
    12: Kind("Q4_K", 256, 144),
    13: Kind("Q5_K", 256, 176),
    14: Kind("Q6_K", 256, 210),
    15: Kind("Q8_K", 256, 292),
    16: Kind("IQ2_XXS", 256, 66),
    17: Kind("IQ2_XS", 256, 74),
    18: Kind("IQ3_XXS", 256, 98),
    19: Kind("IQ1_S", 256, 50),
    20: Kind("IQ4_NL", 32, 18),
    21: Kind("IQ3_S", 256, 110),
    22: Kind("IQ2_S", 256, 82),
    23: Kind("IQ4_XS", 256, 136),
    24: Kind("I8", 1, 1),
    25: Kind("I16", 1, 2),
    26: Kind("I32", 1, 4),
    27: Kind("I64", 1, 8),
    28: Kind("F64", 1, 8),
    29: Kind("IQ1_M", 256, 56),
    30: Kind("BF16", 1, 2),
    34: Kind("TQ1_0", 256, 54),
    35: Kind("TQ2_0", 256, 66),
    39: Kind("MXFP4", 32, 17),
    40: Kind("NVFP4", 64, 36),
    41: Kind("Q1_0", 128, 18),
    42: Kind("Q2_0", 64, 18),
}

# fmt: off
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4",
    40: "Q1_0", 41: "Q2_0",
}
_GUESSED = 1024  # a bit of the file type: "not said by the file"
# fmt: on


class Tensor(msgspec.Struct, frozen=True):
    """One tensor. shape: ggml's order, the row length first. offset: bytes from the beginning of
    the data. size: bytes, 0 for a type that isn't known here."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size: int

    @property
    def type_name(self) -> str:
        kind = TYPES.get(self.type)
        return kind.name if kind else f"type {self.type}"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Array(msgspec.Struct, frozen=True):
    """A long list that was stepped over: `count` values of a type, at bytes offset … +length.
    `Header.values` decodes it."""

    type: int
    count: int
    offset: int
    length: int


class Header:
    """The header of one GGUF file.

    metadata: keys as the file has them; short lists are tuples, long ones and lists of text are
    `Array`. data_offset: where the weights begin. file: how it is called in messages.
    """

    def __init__(
        self,
        file: str,
        version: int,
        metadata: dict[str, Any],
        tensors: Sequence[Tensor],
        data_offset: int,
        ranges: Ranges,
    ) -> None:
        self.file = file
        self.version = version
        self.metadata = metadata
        self.tensors = tensors
        self.data_offset = data_offset
        self._ranges = ranges

    def text(self, key: str) -> str:
        """A text of the metadata; "" where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """A whole number of the metadata that is not negative, the architecture's prefix left out
        (`block_count`); of a list with one number a layer the largest."""
        value = self.metadata.get(f"{self.architecture}.{key}", self.metadata.get(key))
        if isinstance(value, tuple) and value and all(isinstance(item, int) for item in value):
            value = max(value)
        usable = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return value if usable else None

    def per_layer(self, key: str) -> list[int]:
        """A number that may differ by layer, one for each of `block_count` layers."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        layers = self.block_count or 0
        if isinstance(value, tuple) and len(value) >= layers:
            return [n if isinstance(n, int) and n >= 0 else 0 for n in value[:layers]]
        return [self.number(key) or 0] * layers

    def values(self, key: str) -> list[Any]:
        """A list of the metadata, decoded: the vocabulary is `tokenizer.ggml.tokens`. Texts that
        are not UTF-8 keep their bytes as surrogates. [] where there is no list."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            return list(value)
        if not isinstance(value, Array):
            return []
        reader = _Reader(self.file, self._ranges, value.offset)
        if value.type == _TEXT:
            return [reader.text("surrogateescape") for _ in range(value.count)]
        return list(reader.numbers(value.type, value.count))

    @property
    def name(self) -> str:
        return self.text("general.name")

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    @property
    def licence(self) -> str:
        return self.text("general.license")

    @property
    def chat_template(self) -> str:
        return self.text("tokenizer.chat_template")

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained for."""
        return self.number("context_length")

    @property
    def block_count(self) -> int | None:
        """Layers; a number that no model has is none."""
        count = self.number("block_count")
        return count if count is not None and count <= _MOST_LAYERS else None

    @property
    def heads(self) -> int | None:
        return self.number("attention.head_count")

    @property
    def kv_heads(self) -> int | None:
        """Heads that keys and values have; as many as `heads` where nothing is said."""
        return self.number("attention.head_count_kv") or self.heads

    @property
    def embedding_length(self) -> int | None:
        return self.number("embedding_length")

    @property
    def vocabulary(self) -> int | None:
        """Tokens in the vocabulary."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, Array):
            return tokens.count
        return len(tokens) if isinstance(tokens, tuple) else self.number("vocab_size")

    @cached_property
    def parameters(self) -> int:
        """Weights in this file."""
        return sum(tensor.elements for tensor in self.tensors)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the weights in this file, as they lie in memory."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.weight_bytes / self.parameters if self.parameters else 0.0

    @property
    def quantization(self) -> str:
        """How the file is quantized, as people call it ("Q4_K_M"). Where the file doesn't say:
        the type that most of its weights have."""
        said = self.metadata.get("general.file_type")
        if isinstance(said, int) and (known := _FILE_TYPES.get(said & ~_GUESSED)):
            return known
        by_type: dict[str, int] = {}
        for tensor in self.tensors:
            by_type[tensor.type_name] = by_type.get(tensor.type_name, 0) + tensor.size
        return max(by_type, key=lambda name: by_type[name]) if by_type else ""

    @property
    def shards(self) -> int:
        """Files that the whole model has."""
        return self.number("split.count") or 1

    @property
    def shard(self) -> int:
        """Which of these files this is, from 1 on."""
        return (self.number("split.no") or 0) + 1


def read(path: str | Path) -> Header:
    """The header of a file. Raises BadInput: no GGUF, too old or new, damaged, incomplete."""
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from None

    def ranges(offset: int, length: int) -> bytes:
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise _unreadable(path, error) from None

    return read_ranges(ranges, file=path.name, size=size)


def read_ranges(ranges: Ranges, *, file: str, size: int | None = None) -> Header:
    """The header of whatever gives its bytes by range. file: how messages call it. size: bytes of
    the whole file, where known: weights that lie outside of it are an error."""
    reader = _Reader(file, ranges, size=size)
    magic = reader.bytes_at_most(4)
    if magic != MAGIC:
        if not magic:
            raise BadInput("gguf.empty", file=file)
        raise BadInput("gguf.not-gguf", file=file, begin=_quoted(magic))
    version = reader.u32()
    if version not in (2, 3):
        if version in (2 << 24, 3 << 24):
            raise BadInput("gguf.big-endian", file=file)
        key = "gguf.old-version" if version < 2 else "gguf.new-version"
        raise BadInput(key, file=file, version=version)
    tensor_count, key_count = reader.u64(), reader.u64()
    metadata: dict[str, Any] = {}
    for _ in range(reader.sane(key_count, _MOST_KEYS)):
        name = reader.name()
        if name in metadata:
            raise reader.damaged("twice", name=name)
        metadata[name] = reader.value()
    tensors = []
    names = set()
    for _ in range(reader.sane(tensor_count, _MOST_TENSORS)):
        tensor = reader.tensor()
        if tensor.name in names:
            raise reader.damaged("twice", name=tensor.name)
        names.add(tensor.name)
        tensors.append(tensor)
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise reader.damaged("alignment", value=alignment)
    data_offset = -(-reader.position // alignment) * alignment
    for tensor in tensors:
        if tensor.offset % alignment:
            raise reader.damaged("place", name=tensor.name, offset=tensor.offset)
    end = data_offset + max((tensor.offset + tensor.size for tensor in tensors), default=0)
    if size is not None and end > size and tensors:
        raise BadInput("gguf.truncated", file=file, size=size, needed=end)
    return Header(file, version, metadata, tensors, data_offset, ranges)


async def read_remote(
    fetch: Callable[[int, int], Awaitable[bytes]], *, file: str, size: int | None = None
) -> Header:
    """The header of a file elsewhere, fetched by ranges, 1 MiB first and then twice as much each
    time until the whole header is there. Raises as `read_ranges` does, and what `fetch` raises."""
    have = b""
    while True:
        wanted = max(_FIRST, len(have))
        piece = await fetch(len(have), wanted)
        have += piece
        whole = len(piece) < wanted or len(have) >= _MOST

        def ranges(offset: int, length: int, whole: bool = whole, have: bytes = have) -> bytes:
            if offset + length > len(have) and not whole:
                raise _MoreNeeded
            return have[offset : offset + length]

        try:
            return read_ranges(ranges, file=file, size=size)
        except _MoreNeeded:
            continue


_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.I)


def shard_paths(path: Path) -> list[Path]:
    """All files of a model, in order, by any one of them. BadInput names those that are missing."""
    found = _SHARD.search(path.name)
    if not found:
        return [path]
    number, count = int(found[1]), int(found[2])
    stem, suffix = path.name[: found.start()], path.suffix
    paths = [path.with_name(f"{stem}-{i:05}-of-{count:05}{suffix}") for i in range(1, count + 1)]
    if missing := [part.name for part in paths if not part.exists()]:
        names = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise BadInput("gguf.shard", file=path.name, number=number, count=count, missing=names)
    return paths


# -------------------------------------------------------------------------------- the small print

_TEXT, _LIST, _BOOL = 8, 9, 7
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from


class _MoreNeeded(Exception):
    """A look at the beginning of a file was too short."""


class _Reader:
    """A position in a file whose bytes come by range, some hundred thousand at once."""

    def __init__(
        self, file: str, ranges: Ranges, position: int = 0, size: int | None = None
    ) -> None:
        self.file = file
        self._ranges = ranges
        self._size = size
        self._buffer = b""
        self._start = position  # of the buffer, in the file
        self._at = 0  # in the buffer

    @property
    def position(self) -> int:
        return self._start + self._at

    def damaged(self, problem: str, **values: Any) -> BadInput:
        words = say(f"gguf.{problem}", **values)
        return BadInput("gguf.damaged", file=self.file, offset=self.position, problem=words)

    def sane(self, count: int, most: int) -> int:
        """A count of things that have at least 12 bytes each; BadInput if they can't be there, or
        if no model has as many."""
        if count > most or (self._size is not None and count * 12 > self._size):
            raise self.damaged("count", count=count)
        return count

    def bytes_at_most(self, length: int) -> bytes:
        self._fill(length)
        piece = self._buffer[self._at : self._at + length]
        self._at += len(piece)
        return piece

    def u32(self) -> int:
        self._need(4)
        (number,) = _U32(self._buffer, self._at)
        self._at += 4
        return int(number)

    def u64(self) -> int:
        self._need(8)
        (number,) = _U64(self._buffer, self._at)
        self._at += 8
        return int(number)

    def name(self) -> str:
        length = self.u64()
        if length >= _LONGEST_NAME:
            raise self.damaged("key-length", length=length)
        self._need(length)
        piece = self._buffer[self._at : self._at + length]
        self._at += length
        try:
            return piece.decode()
        except UnicodeDecodeError:
            raise self.damaged("not-text") from None

    def text(self, errors: str = "replace") -> str:
        length = self._text_length()
        self._need(length)
        piece = self._buffer[self._at : self._at + length]
        self._at += length
        return piece.decode("utf-8", errors)

    def numbers(self, type: int, count: int) -> tuple[Any, ...]:
        packed = struct.Struct(f"<{count}{_NUMBERS[type]}")
        self._need(packed.size)
        values = packed.unpack_from(self._buffer, self._at)
        self._at += packed.size
        return values

    def value(self) -> Any:
        type = self.u32()
        if type == _TEXT:
            return self.text()
        if type == _LIST:
            return self._list()
        if type not in _NUMBERS:
            raise self.damaged("value-type", type=type)
        return self.numbers(type, 1)[0]

    def tensor(self) -> Tensor:
        name = self.name()
        dimensions = self.u32()
        if dimensions > _DIMENSIONS:
            raise self.damaged("dimensions", name=name, shape=f"{dimensions} × …")
        shape = tuple(self.u64() for _ in range(dimensions))
        elements = math.prod(shape)
        if not 0 < elements < 1 << 48:
            raise self.damaged("dimensions", name=name, shape=" × ".join(map(str, shape)))
        type, offset = self.u32(), self.u64()
        if offset >= 1 << 48:
            raise self.damaged("place", name=name, offset=offset)
        kind = TYPES.get(type)
        size = 0
        if kind is not None:
            row = shape[0] if shape else 1
            if row % kind.block:
                values = {"type": kind.name, "length": row, "block": kind.block}
                raise self.damaged("row", name=name, **values)
            size = elements // kind.block * kind.size
        return Tensor(name, shape, type, offset, size)

    def _list(self) -> tuple[Any, ...] | Array:
        type, count = self.u32(), self.u64()
        if type == _LIST:
            raise self.damaged("nested")
        if type != _TEXT and type not in _NUMBERS:
            raise self.damaged("value-type", type=type)
        each = 8 if type == _TEXT else struct.calcsize("<" + _NUMBERS[type])
        if count * each > _MOST or (type == _TEXT and count > _MOST_TEXTS):
            raise self.damaged("count", count=count)
        if self._size is not None and self.position + count * each > self._size:
            raise self._truncated()
        start = self.position
        if type != _TEXT:
            if count <= _KEPT:
                return self.numbers(type, count)
            self._skip(count * each)
        else:
            for _ in range(count):
                self._skip(self._text_length())
        return Array(type, count, start, self.position - start)

    def _text_length(self) -> int:
        length = self.u64()
        if length > _LONGEST_TEXT:
            raise self.damaged("text-length", length=length)
        return length

    def _need(self, length: int) -> None:
        if self._at + length > len(self._buffer):
            self._fill(length)
            if self._at + length > len(self._buffer):
                raise self._truncated()

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > len(self._buffer):
            # Land on the last byte that was stepped over: it must be there.
            self._start, self._at, self._buffer = self.position - 1, 0, b""
            self._need(1)
            self._at = 1

    def _fill(self, length: int) -> None:
        """Have at least `length` bytes from here on in the buffer, if the file has them."""
        start = self.position
        if start + length > _MOST:
            raise self.damaged("count", count=start + length)
        rest = self._buffer[self._at :]
        missing = length - len(rest)
        if missing > 0:
            rest += self._ranges(start + len(rest), max(missing, _WINDOW))
        self._buffer, self._start, self._at = rest, start, 0

    def _truncated(self) -> BadInput:
        size = self._size if self._size is not None else self._start + len(self._buffer)
        return BadInput("gguf.truncated-header", file=self.file, size=size)


def _unreadable(path: Path, error: OSError) -> BadInput:
    if isinstance(error, FileNotFoundError):
        return BadInput("gguf.missing", file=str(path))
    reason = error.strerror or str(error)
    return BadInput("gguf.unreadable", file=str(path), reason=reason)


def _quoted(data: bytes) -> str:
    return repr(data.decode("latin-1"))


__all__ = [
    "TYPES",
    "Array",
    "Header",
    "Kind",
    "Tensor",
    "read",
    "read_ranges",
    "read_remote",
    "shard_paths",
]
