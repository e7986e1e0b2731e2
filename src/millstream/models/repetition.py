"""Noticing that a model says the same thing over and over.

Small models fall into loops that only the end of their context ends, minutes later. Nothing that
they say in a loop is worth waiting for; what they said is kept, and the finish reason says why it
ended.

How it is told: the bytes that stand before a byte are its place. A byte is a *surprise* where
nobody was before, or where something else came the last time; a row of them is one. Text that
hardly surprises any more, at places most of which were there `TIMES` times before, goes in a
circle, however long the circle is, and even if a word changes on the way round. Tables, numbered
lists and labels repeat as much, but go on surprising, row by row; a draft and its revision are not
often enough there. Text of very few places (`VARIETY`) is held to more: rows of one label and
rulers may be wanted, up to a point.

Bytes and not characters are counted, since they are nearer to what a model takes time for.
"""

from __future__ import annotations

WINDOW = 800  # bytes that are looked at
SURPRISES = 5  # in them, at most, of something that goes in a circle
FAMILIAR = 0.6  # of them, at least, that stand at places that were there often before
TIMES = 3  # that is how often
VARIETY = 150  # different places in the window, at most, of a text of very few words …
PLAIN = 1_200  # … which is a circle when so much of it came without any surprise
_PLACE = 48  # bytes that make a place
_STEP = 100  # new bytes between two looks


class Repetition:
    """Fed with the pieces of an answer; tells when it has become a loop."""

    __slots__ = ("_familiar", "_known", "_look", "_surprises", "_text")

    def __init__(self) -> None:
        self._text = bytearray()
        self._familiar = bytearray()  # of each byte: whether it stands at a familiar place
        self._look = WINDOW
        # Of each place: how often it was there, and the byte that came after it the last time.
        self._known: dict[bytes, tuple[int, int]] = {}
        self._surprises = [-1]  # where each ended

    def feed(self, text: str) -> bool:
        """Take a piece; True once the answer goes round in a circle."""
        self._learn(text.encode("utf-8", "replace"))
        if len(self._text) < self._look:
            return False
        self._look = len(self._text) + _STEP
        return self._circles()

    def _learn(self, piece: bytes) -> None:
        text, known, surprises = self._text, self._known, self._surprises
        for byte in piece:
            at = len(text)
            place = bytes(text[-_PLACE:])
            times, expected = known.get(place, (0, byte))
            known[place] = (times + 1, byte)
            if not times or byte != expected:
                if surprises[-1] == at - 1:
                    surprises[-1] = at
                else:
                    surprises.append(at)
            self._familiar.append(times >= TIMES)
            text.append(byte)

    def _circles(self) -> bool:
        text, size = self._text, len(self._text)
        since = size - WINDOW
        if len(self._surprises) > SURPRISES and self._surprises[-SURPRISES - 1] >= since:
            return False
        if sum(self._familiar[since:]) < FAMILIAR * WINDOW:
            return False
        places = {bytes(text[i : i + _PLACE]) for i in range(since, size - _PLACE)}
        if len(places) > VARIETY:
            return True
        return size - self._surprises[-1] > PLAIN - TIMES * len(places)
