"""What is drawn again and again leaves no trace on the screen, and what passes above stays."""

from __future__ import annotations

import io
import os
import shutil

import pyte
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.cli.drawing import Drawing, cut
from millstream.cli.terminal import width

COLUMNS, ROWS = 20, 12
LINE = st.text("ab 中\u0301", max_size=40)
WORDS = st.text("ab ", max_size=40)
DRAWN_OR_ABOVE = st.lists(WORDS, max_size=20) | WORDS


class Screen(io.StringIO):
    """A stream whose writes a terminal shows."""

    def __init__(self) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        self.stream.feed(text)
        return len(text)

    @property
    def lines(self) -> list[str]:
        """All that was ever written, as far as it was not drawn over."""
        past = [
            "".join(row[x].data for x in range(COLUMNS)).rstrip() for row in self.screen.history.top
        ]
        return seen(past + self.screen.display)


@pytest.fixture(autouse=True)
def _size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda _: os.terminal_size((COLUMNS, ROWS)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DRAWN_OR_ABOVE, max_size=12))
def test_lines_pass_above_and_the_last_drawing_stands_below(steps: list[list[str] | str]) -> None:
    screen = Screen()
    drawing = Drawing(screen)
    passed: list[str] = []
    drawn: list[str] = []
    for step in steps:
        if isinstance(step, str):
            drawing.above(step[: COLUMNS - 1])
            passed.append(step[: COLUMNS - 1])
        else:
            drawing.draw(step)
            drawn = [line[: COLUMNS - 1] for line in step][: ROWS - 1]
        assert screen.lines == seen(passed + drawn)
    assert pyte.modes.DECTCEM not in screen.screen.mode
    drawing.close()
    assert screen.lines == seen(passed)
    assert pyte.modes.DECTCEM in screen.screen.mode


def seen(lines: list[str]) -> list[str]:
    """Lines as a screen has them: without what nobody sees at their ends."""
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


@given(LINE, st.integers(1, 30))
def test_a_line_is_cut_by_its_columns_and_colours_take_none(line: str, room: int) -> None:
    assert width(cut(line, room).replace("\x1b[0m", "")) <= room
    colored = f"\x1b[1;31m{line}\x1b[0m"
    short = cut(colored, room)
    assert short.startswith("\x1b[1;31m")
    assert short.endswith("\x1b[0m")
    if width(line) <= room:
        assert short == colored
