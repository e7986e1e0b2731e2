"""Widths, line breaks and the cleaning of texts that come from elsewhere."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.cli.terminal import Terminal, clean, label, shorten, width, wrap

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("中文，。é\u0301👍\t\x1b\r\n"))


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("中文", 4), ("é", 1), ("e\u0301", 1), ("👍", 2), ("", 0), ("ａ", 2)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@given(TEXT)
def test_clean_text_has_nothing_that_steers_a_terminal(text: str) -> None:
    for char in clean(text):
        assert char in "\n\t" or unicodedata.category(char) != "Cc"
    assert "\n" not in label(text)


@given(TEXT, st.integers(2, 40))
def test_a_shortened_text_fits(text: str, room: int) -> None:
    short = shorten(label(text), room)
    assert width(short) <= room
    assert short == label(text) or short.endswith("…")


@given(TEXT, st.integers(4, 60))
def test_wrapping_loses_no_word_and_keeps_to_the_width(text: str, room: int) -> None:
    text = label(text)
    lines = list(wrap(text, room))
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        # A line is longer only if a single piece of it is.
        assert (
            width(line) <= room
            or len(list(wrap(line, 1))) == 1
            or any(width(piece) > room for piece in line.split())
        )


def test_chinese_is_wrapped_between_characters() -> None:
    lines = list(wrap("逐个节点检查能否在本机运行，以及还需要什么。", 20))
    assert all(width(line) <= 22 for line in lines)
    assert not any(line[0] in "，。" for line in lines)


def test_a_table_lines_up_in_wide_characters() -> None:
    rows = [["名称", "x"], ["a", "y"], ["中文名", "z"]]
    lines = list(Terminal(color=False).table(rows))
    assert [width(line[: line.rindex(row[1])]) for line, row in zip(lines, rows, strict=True)] == [
        8, 8, 8,
    ]  # fmt: skip
