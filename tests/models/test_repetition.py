"""Loops are noticed however they are cut and however long they are; what only looks like one is
not."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.models.repetition import PLAIN, TIMES, WINDOW, Repetition

WORDS = """
    the a harbour was quiet snow fell first over old town and boats lay still under ice while
    people walked home slowly lamps light street nobody spoke they say it is how winter begins
""".split()  # noqa: SIM905


def noticed(text: str, piece: int = 5) -> int | None:
    """After how many characters a text is known to go in a circle."""
    watch = Repetition()
    for end in range(piece, len(text) + piece, piece):
        if watch.feed(text[end - piece : end]):
            return min(end, len(text))
    return None


def said(words: int, chance: random.Random) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words)) + ". "


def lines(rows: Iterable[str]) -> str:
    return "".join(row + "\n" for row in rows)


@given(st.text(max_size=300), st.text(min_size=1, max_size=1_000), st.integers(1, 40))
@settings(max_examples=150)
def test_a_unit_over_and_over_is_a_loop(before: str, unit: str, piece: int) -> None:
    times = (TIMES + 2) + 2 * PLAIN // len(unit.encode())
    assert noticed(before + unit * times, piece) is not None


@pytest.mark.parametrize("words", [3, 10, 30, 100, 200])
def test_it_is_noticed_before_long(words: int) -> None:
    unit = said(words, random.Random(words))
    assert (noticed(unit * 200) or 1e9) <= max(PLAIN + 100, TIMES * len(unit) + WINDOW + 200)


@pytest.mark.parametrize("seed", range(20))
def test_words_that_change_on_the_way_round_do_not_hide_it(seed: int) -> None:
    chance = random.Random(seed)
    unit = said(60, chance).split()
    text = ""
    for _ in range(40):
        unit[chance.randrange(60)] = chance.choice(WORDS)
        text += " ".join(unit) + "\n"
    assert (noticed(text) or 1e9) < len(text) / 2


@pytest.mark.parametrize("seed", range(20))
def test_nor_do_lines_in_turn_and_steps_that_are_counted(seed: int) -> None:
    chance = random.Random(seed)
    a, b, c = (said(n, chance) for n in (12, 17, 25))
    assert (noticed(lines((a, b) * 40)) or 1e9) < 1_500
    assert (noticed(lines(chance.choice((a, b, c)) for _ in range(80))) or 1e9) < 5_000
    rounds = lines(f"Step {i}. {a}{b}{c}" for i in range(40))
    assert (noticed(rounds) or 1e9) < 2_500


def test_as_a_small_model_was_seen_to_do_it() -> None:
    """Counted headings, one sentence in two wordings in turn, and then one alone."""
    one = "The harbour was quiet at night, the snow was white, and neither was the sea."
    other = "The harbour was quiet at night, the snow is white, and neither is the sea."
    rounds = [f"{i}. Part {i}: “{one}”\n\n{other}\n\n" for i in range(1, 10)]
    assert (noticed("".join(rounds) + f"{other}\n\n" * 40, 4) or 1e9) < len("".join(rounds))


def test_chinese_counts_by_what_it_takes_to_say_it() -> None:
    assert (noticed("海港很安静，第一场雪落了下来，人们慢慢地走回家。" * 60) or 1e9) < 500
    assert (noticed("你好，" * 600) or 1e9) < 500


def test_what_came_before_is_no_excuse() -> None:
    chance = random.Random(7)
    prose = "".join(said(chance.randint(5, 14), chance) for _ in range(200))
    assert noticed(prose) is None
    unit = said(30, chance)
    assert (noticed(prose + unit * 30) or 1e9) < len(prose) + 2_000


# What people and programs want, and what repeats as much as a loop does.
_chance = random.Random(3)
_unit = said(150, _chance)
WANTED = {
    "a numbered list": lines(
        f"{i}. An item of a long list, much like the others." for i in range(200)
    ),
    "a table": lines(f"| row {i} | value {i * i} | yes |" for i in range(300)),
    "labels": lines(_chance.choice(("positive", "negative")) for _ in range(500)),
    "labels, nearly always the same": lines(
        _chance.choice(("positive",) * 9 + ("negative",)) for _ in range(500)
    ),
    "bits": ",".join(_chance.choice("01") for _ in range(3_000)),
    "names": lines(
        f"    def get_{a}_{b}(self):\n        return self._{a}_{b}\n"
        for a in WORDS[:15]
        for b in WORDS[:15]
    ),
    "JSON": lines(
        f'  {{"id": {i}, "name": "{_chance.choice(WORDS)}", "active": true, "country": "DE"}},'
        for i in range(300)
    ),
    "links": lines(f'<li><a href="/page/{i}">Page {i}</a></li>' for i in range(300)),
    "a draft, its revision and the final text": (_unit + "\n\n") * 3,
    "a refrain": lines(
        said(40, _chance) + "\n" + "And the snow, the snow came down on us all.\n" * 2
        for _ in range(20)
    ),
    "laughter": "ha" * 500,
    "a ruler": "-" * (PLAIN - 1),
}


@pytest.mark.parametrize("name", WANTED)
def test_what_is_wanted_is_let_be(name: str) -> None:
    assert noticed(WANTED[name]) is None
    assert noticed(WANTED[name], 1) is None


def test_learning_is_the_same_however_the_text_comes() -> None:
    text = said(40, random.Random(1)) * 20
    found = {noticed(text, piece) for piece in (1, 2, 4, 5, 10, 20)}
    assert None not in found
    assert max(found) - min(found) <= 20  # type: ignore[operator,type-var]
