"""Noticing that a model says the same thing over and over.

Small models fall into loops that only the end of their context ends, minutes later. Nothing that
they say in a loop is worth waiting for; what they said is kept, and the finish reason says why it
ended. Only verbatim repetition counts: a unit of up to `UNIT` characters that fills the last
`WINDOW` characters. Prose, lists and code do not do that.
"""

from __future__ import annotations

WINDOW = 1_200  # characters that are looked at
UNIT = 150  # of what is repeated, at most: eight times at least
_STEP = 200  # new characters between two looks


class Repetition:
    """Fed with the pieces of an answer; tells when it has become a loop."""

    __slots__ = ("_new", "_tail")

    def __init__(self) -> None:
        self._tail = ""
        self._new = 0

    def feed(self, text: str) -> bool:
        """Take a piece; True once the answer goes round in a circle."""
        self._tail += text
        self._new += len(text)
        if self._new < _STEP:
            return False
        self._new = 0
        tail = self._tail = self._tail[-WINDOW:]
        if len(tail) < WINDOW:
            return False
        return any(tail[unit:] == tail[:-unit] for unit in range(1, UNIT + 1))
