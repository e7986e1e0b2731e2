"""`compare`: what is said, foreseen and measured of one model, held against one another."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.models import llama
from millstream.base import Failed, set_language
from millstream.home import Home
from millstream.lab import compare, names
from millstream.lab.aside import aside
from millstream.lab.bench.stats import spread
from millstream.lab.compare import RULES, USUAL, Compared, Lost, Timed
from millstream.lab.hardware import Machine
from millstream.lab.likelihood import Divergence, Estimate
from millstream.lab.loss import Model
from millstream.lab.report import compare as words
from millstream.lab.report import html
from millstream.lab.report.document import Bars, Plot
from millstream.models.footprint import Use
from millstream.models.http import Http

HERE = Machine("A processor", 2, 16 << 30, 12 << 30)


def foreseen(word: str, tmp_path: Path, types: tuple[str, ...] = USUAL, **more: Any) -> Compared:
    async def find() -> names.Model:
        async with Http() as http:
            return await names.find(word, Home.open(tmp_path / "home"), http)

    machine = more.pop("machine", HERE)
    return compare.foresee(asyncio.run(find()), types, Use(context=4096), machine, **more)


def timed(*speeds: float, noisy: bool = False) -> Timed:
    made = spread(speeds)
    return Timed(10**9, 10**9, 1.0, 2, made, made, spread([0.1, 0.2]), noisy)


def lost(rise: float, error: float, same: float = 0.99) -> Lost:
    one = Estimate(1.0)
    ratio = Estimate(math.log(1 + rise), error)
    kld = Estimate(0.01, 0.001)
    return Lost(
        Estimate(rise, error), Divergence(9, one, ratio, kld, {}, Estimate(same), one, one), None
    )


# ---------------------------------------------------------------------------------------- foreseen


def test_a_size_is_enough_to_foresee(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path)
    assert [(row.type, row.precision) for row in found.rows] == [
        ("F32", "FP32"), ("F16", "FP16"), ("Q8_0", "INT8"), ("Q4_K_M", "INT4"),
    ]  # fmt: skip
    f32, f16, int8, int4 = found.rows
    assert f16.weights / f32.weights == pytest.approx(0.5, rel=0.001)
    assert int8.bits == pytest.approx(8.5, abs=0.01)
    assert found.share(int8) == pytest.approx(8.5 / 32, rel=0.01)
    assert int4.weights < int8.weights
    assert [row.fits for row in found.rows] == [False, False, True, True]
    assert [row.verdicts.get("memory") for row in found.rows] == [None, "as said", "worse", "worse"]
    assert not found.measured
    assert all(row.memory > row.weights + row.repack for row in found.rows)


def test_more_types_stand_in_their_place(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path, (*USUAL, "Q2_K", "Q6_K", "Q4_0"))
    assert [row.type for row in found.rows] == [
        "F32", "F16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_0", "Q2_K",
    ]  # fmt: skip
    assert found.row("Q4_0").precision == "INT4"  # type: ignore[union-attr]
    assert found.row("Q2_K").rule is None  # type: ignore[union-attr]


# ----------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("rise", "error", "verdict"),
    [
        (0.02, 0.002, "as said"),
        (0.005, 0.001, "better"),
        (0.12, 0.01, "worse"),
        (0.01, 0.002, "open"),
        (0.05, 0.001, "open"),
        (-0.03, 0.001, "better"),
    ],
)
def test_a_loss_is_held_against_the_rule(
    tmp_path: Path, rise: float, error: float, verdict: str
) -> None:
    found = foreseen("7b", tmp_path)
    found.rows[2].lost = lost(rise, error)
    compare.judge(found)
    assert found.rows[2].verdicts["loss"] == verdict


@pytest.mark.parametrize(
    ("speeds", "verdict"),
    [
        ((30.0, 30.1, 29.9), "as said"),
        ((90.0, 91.0, 89.0), "better"),
        ((11.0, 11.1, 10.9), "worse"),
        ((20.0, 25.0, 15.0), "open"),
    ],
)
def test_a_speed_is_held_against_the_rule(
    tmp_path: Path, speeds: tuple[float, ...], verdict: str
) -> None:
    found = foreseen("7b", tmp_path)
    found.rows[0].timed, found.rows[2].timed = timed(10.0, 10.1, 9.9), timed(*speeds)
    compare.judge(found)
    assert found.rows[2].verdicts["speed"] == verdict
    found.rows[0].timed = timed(10.0, 10.1, 9.9, noisy=True)
    compare.judge(found)
    assert found.rows[2].verdicts["speed"] == "open"


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1), st.booleans())
def test_a_verdict_is_given_only_where_the_error_allows_it(
    value: float, error: float, start: float, more: bool
) -> None:
    said = (start, start + 0.1)
    verdict = compare._between(Estimate(value, error), said, more_is_better=more)
    low, high = value - 2 * error, value + 2 * error
    inside, below, above = said[0] <= low <= high <= said[1], high < said[0], low > said[1]
    assert (verdict == "as said") == inside
    assert (verdict == "better") == (above if more else below)
    assert (verdict == "worse") == (below if more else above)


def test_a_gain_is_within_the_rule_of_fp16(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path)
    found.rows[1].lost = lost(-0.00001, 0.000001)
    compare.judge(found)
    assert found.rows[1].verdicts["loss"] == "as said"
    assert words._rise(Estimate(-0.00001, 0.000001)) == "+0.00 ± 0.00 %"


def test_rules_are_against_fp32_only(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path, ("F16", "Q8_0"))
    assert found.against == "F16"
    assert all(row.verdicts == {} for row in found.rows)


def test_what_to_take_here(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path)
    found.rows[1].lost = lost(0.0001, 0.0001)
    found.rows[2].lost = lost(0.002, 0.001)
    found.rows[3].lost = lost(0.002, 0.001, same=0.85)
    best = compare.nearly_lossless(found)
    assert best is not None
    assert best.type == "Q8_0"
    for row, speed in zip(found.rows, (1.0, 2.0, 3.0, 2.5), strict=True):
        row.timed = timed(speed, speed)
    quick = compare.fastest(found)
    assert quick is not None
    assert quick.type == "Q8_0"
    text = "\n".join(words.summary(found))
    assert "Here Q8_0 is the smallest that is nearly lossless: perplexity +0.20 ± 0.10 %" in text
    assert "Here Q8_0 writes fastest: 3 tokens/s, 3 × F32." in text


@pytest.mark.parametrize("disturbed", [0, 2])
def test_a_disturbed_speed_is_no_headline(tmp_path: Path, disturbed: int) -> None:
    found = foreseen("7b", tmp_path)
    for number, row in enumerate(found.rows):
        speed = (1.0, 2.0, 3.0, 2.5)[number]
        row.timed = timed(speed, speed, noisy=number == disturbed)
    assert "fastest" not in "\n".join(words.summary(found))
    assert "fastest" not in str(words.report(found).summary)


def test_trouble_of_a_type_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(base: Model, *more: Any) -> None:
        raise Failed("loss.killed", model=base.name)

    monkeypatch.setattr(compare, "measure_loss", killed)
    found, file = foreseen("7b", tmp_path), llama(tmp_path / "m.gguf")
    files = {"F32": file, "F16": file}

    async def measure() -> None:
        async with Http() as http:
            home = Home.open(tmp_path / "home")
            await compare.measure(found, files, home, http, compare.Trial())

    with pytest.raises(Failed, match=r"the work on 7b \(F32\) was ended"):
        asyncio.run(measure())


# ---------------------------------------------------------------------------------------- the words


def row_of(found: Compared, title: str, type: str) -> list[str | None]:
    table = next(rows for head, rows in words.tables(found) if head == title)
    assert all(len(row) == len(table[0]) for row in table)
    return next(row for row in table if row[0] == type)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_says_everything(tmp_path: Path, language: str) -> None:
    set_language(language)
    found = foreseen("7b", tmp_path, (*USUAL, "Q6_K"))
    found.measured, found.base, found.tokens = True, "F32", 4096
    for number, row in enumerate(found.rows):
        row.timed = timed(10.0 * 1.9**number, 10.2 * 1.9**number)
        row.lost = lost(0.001 * number, 0.0005) if number else None
    compare.judge(found)
    page = html.render(words.report(found))
    for text in ("+0.10 ± 0.05 %", "26.6 %", "12.5 %", "1.5–2 ×", "4–8 ×", "5–10 %"):
        assert text.replace(" ×", "\u00a0×") in page or text in page
    made = words.report(found)
    kinds = [type(block) for section in made.sections for block in section.blocks]
    assert kinds.count(Bars) == 2
    assert kinds.count(Plot) == 1


def test_tables_are_straight_whatever_is_missing(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path)
    assert len(list(words.tables(found))) == 1  # nothing but memory is known
    found.rows[1].timed = timed(3.0, 3.1)
    found.rows[2].lost = lost(0.01, 0.001)
    found.rows[3].impossible = "no"
    for _, rows in words.tables(found):
        assert {len(row) for row in rows} == {len(rows[0])}
    words.report(found)


def test_notes_say_what_the_source_was(tmp_path: Path) -> None:
    found = foreseen("7b", tmp_path)
    found.requantized = "210 × Q4_1"
    assert any("210 × Q4_1" in note for note in words.notes(found))


@pytest.mark.parametrize(
    ("count", "text"),
    [(134_515_008, "135M"), (7_250_000_000, "7.25B"), (999, "999"), (2_500, "2.5k")],
)
def test_parameters_as_people_say_them(count: int, text: str) -> None:
    assert words.billions(count) == text


# ---------------------------------------------------------------------------------- passing folders


def test_a_passing_folder_goes_and_the_dead_ones_with_it(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".passing-4194305-a", tmp_path / f".passing-{os.getppid()}-b"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "file").write_text("x")
    with aside(tmp_path) as folder:
        (folder / "file").write_text("x")
        assert not dead.exists()  # no process has that number
        assert alive.exists()
    assert [each.name for each in tmp_path.iterdir()] == [alive.name]
    with pytest.raises(KeyboardInterrupt), aside(tmp_path) as folder:
        raise KeyboardInterrupt
    assert not folder.exists()


def test_rows_that_can_be_measured(tmp_path: Path) -> None:
    source = llama(tmp_path / "Tiny-F16.gguf")
    found = foreseen(str(source), tmp_path, (*USUAL, "IQ2_XS"))
    assert [row.type for row in compare.measurable(found)][:2] == ["F32", "F16"]
    small = Machine("A processor", 2, 1 << 20, 1 << 20)
    assert list(compare.measurable(foreseen(str(source), tmp_path, machine=small))) == []


def test_what_is_quoted() -> None:
    assert RULES["FP16"].memory == 0.5
    assert RULES["INT8"].loss == (0.01, 0.05)
    assert RULES["INT4"].speed == (4.0, 8.0)
