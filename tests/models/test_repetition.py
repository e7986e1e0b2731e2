"""Loops are noticed however they are cut; what only looks like one is not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.models.repetition import UNIT, WINDOW, Repetition


def loops(text: str, piece: int) -> bool:
    watch = Repetition()
    return any(watch.feed(text[i : i + piece]) for i in range(0, len(text), piece))


@given(
    st.text(max_size=300),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=UNIT),
    st.integers(1, 40),
)
@settings(max_examples=200, deadline=None)
def test_a_unit_over_and_over_is_a_loop(before: str, unit: str, piece: int) -> None:
    assert loops(before + unit * (3 * WINDOW // len(unit)), piece)


def test_lists_prose_and_tables_are_none() -> None:
    numbered = "\n".join(f"{i}. An item of a long list, much like the others." for i in range(200))
    assert not loops(numbered, 7)
    table = "\n".join(f"| row {i} | value {i * i} | yes |" for i in range(300))
    assert not loops(table, 5)
    assert not loops("ha" * 500, 4)  # a thousand characters may be wanted
    assert not loops("x" * (WINDOW - 1), 9)
