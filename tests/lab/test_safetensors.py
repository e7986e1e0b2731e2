"""Tables of safetensors files, whatever their bytes are."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.base import BadInput
from millstream.lab import safetensors


def packed(table: Any, data: int = 0) -> bytes:
    text = json.dumps(table).encode() if not isinstance(table, bytes) else table
    return struct.pack("<Q", len(text)) + text + bytes(data)


def read(data: bytes, size: int | None = None) -> list[safetensors.Entry]:
    return safetensors.read_ranges(
        lambda at, count: data[at : at + count],
        file="model.safetensors",
        size=len(data) if size is None else size,
    )


GOOD = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F16", "shape": [4, 8], "data_offsets": [0, 64]},
    "b.weight": {"dtype": "F32", "shape": [2], "data_offsets": [64, 72]},
}


def test_a_table() -> None:
    assert read(packed(GOOD, 72)) == [
        safetensors.Entry("a.weight", "F16", (4, 8), 64),
        safetensors.Entry("b.weight", "F32", (2,), 8),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "lab.not-safetensors"),
        (b"\x10", "lab.not-safetensors"),
        (struct.pack("<Q", 2**63) + b"{}", "lab.not-safetensors"),
        (packed(b"[]"), "lab.not-safetensors"),
        (packed(b'{"a": '), "lab.not-safetensors"),
        (packed(b"\xff\xfe{}"), "lab.not-safetensors"),
        (packed(b"[" * 100_000), "lab.not-safetensors"),
        (packed(GOOD, 71), "gguf.truncated"),
        (packed({"a": 1}), "lab.safetensors-entry"),
        (
            packed({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 9]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": "F16", "shape": [4], "data_offsets": [8, 0]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": "F16", "shape": [-4], "data_offsets": [0, 8]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": "F16", "shape": [1e9], "data_offsets": [0, 8]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": "F16", "shape": [2**64], "data_offsets": [0, 8]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": "F16", "shape": [2**49] * 9, "data_offsets": [0, 8]}}, 9),
            "lab.safetensors-entry",
        ),
        (
            packed({"a": {"dtype": 7, "shape": [4], "data_offsets": [0, 8]}}, 9),
            "lab.safetensors-entry",
        ),
    ],
)
def test_what_is_no_table(data: bytes, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(data)
    assert caught.value.code == code
    assert "model.safetensors" in caught.value.message


def test_a_shape_of_a_million_numbers_is_not_multiplied() -> None:
    table = {"a": {"dtype": "F16", "shape": [2**49] * 1_000_000, "data_offsets": [0, 8]}}
    with pytest.raises(BadInput):
        read(packed(table, 8))


def test_every_shorter_file_is_refused(tmp_path: Path) -> None:
    data = packed(GOOD, 72)
    for length in range(len(data)):
        path = tmp_path / "model.safetensors"
        path.write_bytes(data[:length])
        with pytest.raises(BadInput):
            safetensors.read(path)


numbers = st.one_of(st.integers(-(2**65), 2**65), st.floats(allow_nan=False), st.none())
anything = st.recursive(
    st.one_of(numbers, st.text(max_size=5), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(st.sampled_from(["F32", "BF16", "F8_E4M3", "I4", ""]), anything),
        "shape": st.one_of(st.lists(numbers, max_size=5), anything),
        "data_offsets": st.one_of(st.lists(numbers, max_size=3), anything),
    },
)


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=8), st.one_of(fields, anything), max_size=5))
def test_any_table_is_an_error_or_has_entries(table: dict[str, Any]) -> None:
    try:
        entries = read(packed(table, 64))
    except BadInput:
        return
    assert all(entry.size >= 0 for entry in entries)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_is_an_error_or_harmless(changes: list[tuple[int, int]]) -> None:
    data = bytearray(packed(GOOD, 72))
    for position, value in changes:
        data[position % len(data)] = value
    with suppress(BadInput):
        assert all(entry.size >= 0 for entry in read(bytes(data)))
