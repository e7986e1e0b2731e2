"""Splitting reasoning off: the same answer, wherever the pieces end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.models.reasoning import Splitter


def split(*pieces: str) -> tuple[str, str]:
    """The text and the reasoning that a reader of the stream ends up with."""
    splitter = Splitter()
    text, reasoning = [], []
    for piece in pieces:
        parts = splitter.feed(piece)
        for said, thought in [(piece, "")] if parts is None else parts:
            text.append(said)
            reasoning.append(thought)
    for said, thought in splitter.close():
        text.append(said)
        reasoning.append(thought)
    if splitter.misjudged:
        text = [splitter.text]
    assert "".join(text) == splitter.text
    return "".join(text), "".join(reasoning)


@pytest.mark.parametrize(
    ("answer", "text", "reasoning"),
    [
        ("Hello", "Hello", ""),
        ("<think>hm</think>Hello", "Hello", "hm"),
        ("<think>\nhm\n\nwell\n</think>\n\nHello", "Hello", "hm\n\nwell"),
        ("\n<THINK>hm</Think>Hello", "Hello", "hm"),
        ("<think>\n\n</think>\n\nHello", "Hello", ""),
        ("<think>never ends", "", "never ends"),
        ("hm, so it is 4.\n</think>\n\n4", "4", "hm, so it is 4."),
        ("<think>a</think>b<think>c</think>d", "bd", "a\nc"),
        ("<think>a</think>b</think>c", "c", "a\nb"),
        ("Look: <think>a</think> done", "Look: done", "a"),
        ("<think>a <think> b</think>c", "c", "a <think> b"),
        ("1 < 2 and a<b", "1 < 2 and a<b", ""),
        ("a <thin line", "a <thin line", ""),
        ("ends with <thi", "ends with <thi", ""),
        ("<thinking>no tag</thinking>", "<thinking>no tag</thinking>", ""),
        ("  indented", "  indented", ""),
        ("\n\n", "\n\n", ""),
        ("", "", ""),
    ],
)
def test_the_rules(answer: str, text: str, reasoning: str) -> None:
    assert split(answer) == (text, reasoning)
    assert split(*answer) == (text, reasoning)


PARTS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<THINK>",
        "</Think>",
        "<",
        "</",
        "th",
        "ink>",
        ">",
        " ",
        "\n",
        "a",
        "中",
    ]
)


@given(st.lists(PARTS, max_size=14).map("".join), st.lists(st.integers(0, 1000), max_size=10))
def test_any_cut_gives_the_same(answer: str, places: list[int]) -> None:
    edges = [0, *sorted(place % (len(answer) + 1) for place in places), len(answer)]
    pieces = [answer[a:b] for a, b in pairwise(edges)]
    assert split(*pieces) == split(answer)


@given(st.text(max_size=60))
def test_text_without_tags_is_left_alone(answer: str) -> None:
    if "think>" not in answer.lower():
        assert split(answer) == (answer, "")


def test_text_passes_without_delay() -> None:
    splitter = Splitter()
    assert splitter.feed("Hello") == [("Hello", "")]
    assert splitter.feed(" world") is None  # as it stands
    assert splitter.feed(" 1 <") == [(" 1 ", "")]  # this may become a tag
    assert splitter.feed(" 2") == [("< 2", "")]
