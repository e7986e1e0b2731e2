"""Cutting bytes into events: the same events, wherever the socket cuts."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.models.sse import Events, Lines


def events(*pieces: bytes) -> list[bytes]:
    parser = Events()
    return [payload for piece in pieces for payload in parser.feed(piece)] + parser.close()


def lines(*pieces: bytes) -> list[bytes]:
    parser = Lines()
    return [payload for piece in pieces for payload in parser.feed(piece)] + parser.close()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\r\n\r\ndata:b\r\r", [b"a", b"b"]),
        (b": a comment\n\ndata: a\n\n", [b"a"]),
        (b"event: message_start\ndata: a\nid: 1\nretry: 5\n\n", [b"a"]),
        (b"data: two\ndata: lines\n\n", [b"two\nlines"]),
        (b"data:  one space only\n\n", [b" one space only"]),
        (b"data\n\n", [b""]),
        (b"data: a\n\ndata: no end", [b"a", b"no end"]),
        (b"data: a\n\ndata: [DONE]\n", [b"a", b"[DONE]"]),
        (b"\n\n\n", []),
        (b"", []),
        ("data: 中文\n\n".encode(), ["中文".encode()]),
        (b"database: no\ndat: no\n\n", []),
    ],
)
def test_the_format(stream: bytes, payloads: list[bytes]) -> None:
    assert events(stream) == payloads


WIRE = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"a", b"\n", b"\r", b"\r\n", b":", b"x\xff", b" ", b"id: 1"]
    ),
    max_size=40,
).map(b"".join)


@given(WIRE, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    assert events(*cut(stream, places)) == events(stream)


@given(WIRE)
def test_events_are_those_of_the_format_read_slowly(stream: bytes) -> None:
    data: list[bytes] = []
    expected = []
    for line in [*re.split(b"\r\n|\r|\n", stream), b""]:
        if not line and data:
            expected.append(b"\n".join(data))
            data = []
        elif line == b"data" or line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
    assert events(stream) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read(stream: bytes) -> None:
    events(stream)
    lines(stream)


def test_lines() -> None:
    assert lines(b'{"a":1}\n\r\n {"b":2}\r\n{"c"', b":3}") == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@given(st.binary(max_size=60), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cut_gives_the_same_lines(stream: bytes, places: list[int]) -> None:
    assert lines(*cut(stream, places)) == lines(stream)
