"""Lines at the foot of a terminal that are drawn again and again, while others pass above them.

Each drawing is one write, so that no half of it is ever seen. Lines are cut at the width of the
terminal: one that wrapped would take two rows, and the next drawing would miss one.

Source of the control sequences: ECMA-48 (CUU, EL, ED), and xterm's private mode 25 for the cursor.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from typing import TextIO

from millstream.cli.terminal import fit_signs, width

_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
_HIDE, _SHOW, _PLAIN = "\x1b[?25l", "\x1b[?25h", "\x1b[0m"
_TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[K", "\x1b[J"


class Drawing:
    """What is drawn on a stream that is a terminal; `close` takes it away."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._lines: list[str] = []
        self._write(_HIDE)

    def draw(self, lines: Iterable[str]) -> None:
        """Show these lines instead of the last ones; the first that the screen has room for."""
        columns, rows = shutil.get_terminal_size((100, 24))
        made = [cut(line, columns - 1) for line in list(lines)[: rows - 1]]
        self._write(self._start() + self._drawn(made) + _TO_END_OF_SCREEN)
        self._lines = made

    def above(self, text: str) -> None:
        """Leave a text above what is drawn."""
        passing = "".join(f"{line}{_TO_END_OF_LINE}\n" for line in text.split("\n"))
        self._write(self._start() + passing + self._drawn(self._lines) + _TO_END_OF_SCREEN)

    def close(self) -> None:
        self._write(self._start() + _TO_END_OF_SCREEN + _SHOW)
        self._lines = []

    def _start(self) -> str:
        """To the beginning of the first line that is drawn."""
        return f"\x1b[{len(self._lines)}A\r" if self._lines else "\r"

    @staticmethod
    def _drawn(lines: Iterable[str]) -> str:
        return "".join(f"{line}{_TO_END_OF_LINE}\n" for line in lines)

    def _write(self, text: str) -> None:
        self.stream.write(fit_signs(text, self.stream))
        self.stream.flush()


def cut(line: str, room: int) -> str:
    """A line with colours in at most so many columns."""
    return "".join(_cut(line, room))


def _cut(line: str, room: int) -> Iterator[str]:
    for piece in _STYLE.split(line):
        if _STYLE.fullmatch(piece):
            yield piece
            continue
        size = width(piece)
        if size > room:
            for char in piece:
                room -= width(char)
                if room < 0:
                    break
                yield char
            yield _PLAIN
            return
        room -= size
        yield piece
