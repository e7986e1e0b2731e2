"""A GGUF file written anew with other types of tensors: what comes before the weights.

The metadata is copied byte for byte out of the source, so that nothing is lost in between; only
the keys that say how the file is quantized are replaced, as llama.cpp's quantizer does it, and
those of a model in several files left out. The result is that quantizer's, to the byte.

Format: docs/gguf.md of ggml-org/ggml, version 3; `llama_model_quantize_impl` of llama.cpp.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from millstream.lab.mixes import Planned
from millstream.models.gguf import MAGIC, TYPES, Header

QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION
_ALIGNMENT = 32
_TEXT, _LIST = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_U32, _I32 = 4, 5
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}
_DROPPED = ("split.no", "split.count", "split.tensors.count")

# `llama_ftype` in llama.h.
FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10,
    "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16,
    "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "Q2_K_S": 21, "IQ3_XS": 22,
    "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27, "IQ2_S": 28, "IQ2_M": 29,
    "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38, "Q1_0": 40,
    "Q2_0": 41,
}  # fmt: skip


class Layout:
    """A file that is going to be written. head: all bytes before the weights; offsets: where each
    planned tensor begins in the file; size: bytes of the whole file."""

    def __init__(
        self,
        source: Path,
        header: Header,
        planned: Sequence[Planned],
        ftype: str,
        extra: Mapping[str, str | int],
    ) -> None:
        """source, header: the first file of the model; extra: further keys, texts or numbers."""
        pairs = _pairs(source, header)
        replaced = {
            "general.quantization_version": _number(_U32, QUANTIZATION_VERSION),
            "general.file_type": _number(_U32, FILE_TYPES[ftype]),
        }
        for key, value in extra.items():
            replaced[key] = _text(value) if isinstance(value, str) else _number(_U32, value)
        kept = {k: v for k, v in pairs.items() if k not in replaced and k not in _DROPPED}
        every = kept | {
            key: struct.pack("<Q", len(key)) + key.encode() + v for key, v in replaced.items()
        }
        alignment = header.metadata.get("general.alignment", _ALIGNMENT)
        infos, places, end = [], [], 0
        for each in planned:
            tensor, name = each.tensor, each.tensor.name.encode()
            shape = _trimmed(tensor.shape)
            infos.append(struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape)))
            infos.append(struct.pack(f"<{len(shape)}Q", *shape))
            infos.append(struct.pack("<IQ", _NUMBERS[each.type], end))
            places.append(end)
            end += -(-each.size // alignment) * alignment
        head = MAGIC + struct.pack("<IQQ", 3, len(planned), len(every))
        head += b"".join([*every.values(), *infos])
        head += bytes(-len(head) % alignment)
        self.head = head
        self.offsets = [len(head) + place for place in places]
        self.size = len(head) + end


def _pairs(source: Path, header: Header) -> dict[str, bytes]:
    """Every key of the metadata with the bytes that it and its value have in the file."""
    with open(source, "rb") as file:
        data = file.read(header.data_offset)
    at = 24  # behind magic, version and the two counts
    pairs = {}
    for key in header.metadata:  # in the order of the file
        start = at
        (length,) = struct.unpack_from("<Q", data, at)
        at = _behind(data, at + 8 + length)
        pairs[key] = data[start:at]
    return pairs


def _behind(data: bytes, at: int) -> int:
    """Where the value ends whose type is at a place. The header has been read and checked."""
    (type,) = struct.unpack_from("<I", data, at)
    at += 4
    if type == _TEXT:
        return at + 8 + int(struct.unpack_from("<Q", data, at)[0])
    if type != _LIST:
        return at + _SIZES[type]
    element, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if element != _TEXT:
        return at + int(count) * _SIZES[element]
    for _ in range(count):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    return at


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end: ggml doesn't write them."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<IQ", _TEXT, len(data)) + data


def _number(type: int, value: int) -> bytes:
    return struct.pack("<II", type, value)
