"""Cutting a stream of bytes into events: Server-Sent Events, and JSON one a line.

Bytes come in as the socket gave them, in pieces that end anywhere; whole payloads go out. Both
are plain objects with `feed` and `close`, without any I/O, because they stand on the hot path of
every streamed word.

Format: the WHATWG's HTML standard, section "Server-sent events". `event:`, `id:` and `retry:`
fields are dropped: every model protocol repeats in the JSON what it says there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

Event = TypeVar("Event")

_BOM: Final = b"\xef\xbb\xbf"
# An escaped pair of halves, or a half alone.
_HALVES: Final = re.compile(
    rb"(\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2})|\\u[dD][89a-fA-F][\da-fA-F]{2}"
)

DONE = b"[DONE]"


def read(decode: Callable[[bytes], Event], payload: bytes) -> Event:
    """A payload, decoded. Halves of characters, which servers send that cut their text between
    tokens, become "\ufffd". Raises what `decode` raises for what is no JSON of the right shape."""
    try:
        return decode(payload)
    except (UnicodeDecodeError, msgspec.DecodeError):
        whole = _HALVES.sub(lambda m: m[1] or rb"\ufffd", payload)
        whole = whole.decode("utf-8", "replace").encode()
        if whole == payload:
            raise
        return decode(whole)


class Events:
    """Server-Sent Events: the `data` of each event, as bytes. closed: the stream has ended."""

    __slots__ = ("_begun", "_data", "_rest", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._begun = False
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads of the events that this piece completes."""
        if self._rest:
            piece = self._rest + piece
        if not self._begun:
            if _BOM.startswith(piece):  # or the beginning of one
                self._rest = piece
                return []
            self._begun = True
            piece = piece.removeprefix(_BOM)
        if b"\r" in piece:
            # A CR at the very end may be half of a CR LF: it waits for the next piece.
            held = piece.endswith(b"\r")
            piece = (
                piece.replace(b"\r\n", b"\n") if not held else piece[:-1].replace(b"\r\n", b"\n")
            )
            piece = piece.replace(b"\r", b"\n")
            lines = piece.split(b"\n")
            self._rest = lines.pop() + (b"\r" if held else b"")
        else:
            lines = piece.split(b"\n")
            self._rest = lines.pop()
        return self._take(lines)

    def close(self) -> list[bytes]:
        """The payload of a last event whose closing empty line never came, if it had any."""
        self.closed = True
        last, self._rest = self._rest.removeprefix(_BOM).rstrip(b"\r"), b""
        return self._take([last, b""])

    def _take(self, lines: list[bytes]) -> list[bytes]:
        payloads = []
        data = self._data
        for line in lines:
            if not line:
                if data:
                    payloads.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
            elif line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                data.append(b"")
        return payloads


class Lines:
    """One payload a line (NDJSON, as Ollama streams); empty lines are nothing."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without their ends."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        return [line for line in map(bytes.strip, lines) if line]

    def close(self) -> list[bytes]:
        """A last line without an end."""
        last, self._rest = self._rest.strip(), b""
        return [last] if last else []
