"""Small GGUF files for tests, written from the format's description."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

Value = tuple[int, Any]  # value type of the format, value


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def packed(type: int, value: Any) -> bytes:
    if type == 8:
        return text(value)
    if type == 9:
        element, items = value
        body = b"".join(packed(element, item) for item in items)
        return struct.pack("<IQ", element, len(items)) + body
    formats = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
    formats |= {10: "Q", 11: "q", 12: "d"}
    return struct.pack("<" + formats[type], value)


def gguf_bytes(
    metadata: Mapping[str, Value],
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (),
    *,
    version: int = 3,
    alignment: int = 32,
    data: int = 0,
) -> bytes:
    """A file. tensors: name, shape, type, offset; data: bytes of weights, all zero."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for name, (type, value) in metadata.items():
        out += text(name) + struct.pack("<I", type) + packed(type, value)
    for name, shape, type, offset in tensors:
        out += text(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", type, offset)
    return out + bytes(-len(out) % alignment) + bytes(data)


TINY: dict[str, Value] = {
    "general.architecture": (8, "llama"),
    "general.name": (8, "Tiny"),
    "general.license": (8, "mit"),
    "general.file_type": (4, 15),
    "llama.context_length": (4, 4096),
    "llama.block_count": (4, 2),
    "llama.embedding_length": (4, 64),
    "llama.feed_forward_length": (4, 128),
    "llama.attention.head_count": (4, 4),
    "llama.attention.head_count_kv": (9, (4, [2, 1])),
    "tokenizer.ggml.tokens": (9, (8, ["<s>", "你好", b"\xff\xfe"])),
    "tokenizer.ggml.scores": (9, (6, [0.5, -1.0, 2.0])),
    "tokenizer.chat_template": (8, "{{ messages }}"),
}
"""A model of two layers with one tensor each of F32 and Q8_0 to go with it."""

TENSORS = [("a.weight", (64, 2), 0, 0), ("b.weight", (64, 4), 8, 512)]


def tiny(**changes: Value) -> bytes:
    """The bytes of a small model, some of its keys changed (dots written as __)."""
    metadata = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    return gguf_bytes(metadata, TENSORS, data=512 + 272)
