"""A run against one that was saved: what became faster, what slower, and what is only chance.

Points that are alike are set side by side, repetition values of each figure compared by a
permutation test (`stats`), and all tests of a comparison judged together, so that no more than one
in twenty of the differences that are called so is expected to be chance. The two runs were made at
different times: a neighbour that was busy in one of them is a difference, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from millstream.base import BadInput
from millstream.lab.bench import stats
from millstream.lab.bench.figures import METRICS
from millstream.lab.bench.measure import FORMAT, Measured, Point, Run, Stage

LEVEL = 0.05

Verdict = Literal["faster", "slower", "none", "few"]


class Difference(msgspec.Struct, frozen=True):
    """A figure before and now. ratio: now as a multiple of before, with the interval (95 %) in
    which it lies; p: of the test; q: p among all tests of the comparison. verdict: "few" where
    there are too few repetitions for any answer. noisy: one of the two points was."""

    label: str
    point: Point
    metric: str
    before: float
    now: float
    ratio: float
    low: float
    high: float
    p: float
    q: float
    verdict: Verdict
    noisy: bool = False


class Comparison(msgspec.Struct, frozen=True):
    """All differences. file: of the saved run, made: when. unmatched: points of this run that the
    other doesn't have."""

    file: str
    made: float
    differences: tuple[Difference, ...]
    unmatched: int = 0


class Printed(Run):
    """What `millstream bench --json` prints: the run, and its comparison with a saved one."""

    comparison: Comparison | None = None


def load(path: Path) -> Run:
    """A saved run. Raises BadInput."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("bench.cannot-read", file=str(path), reason=reason) from None
    try:
        format = msgspec.json.decode(data, type=dict[str, Any]).get("format")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("bench.not-a-run", file=str(path), problem="JSON") from None
    if isinstance(format, int) and format > FORMAT:
        raise BadInput("bench.newer-run", file=str(path), format=format)
    try:
        return msgspec.json.decode(data, type=Run)
    except msgspec.DecodeError as error:
        raise BadInput("bench.not-a-run", file=str(path), problem=str(error)) from None


def compare(before: Run, now: Run, file: str = "") -> Comparison:
    """Everything that both runs have measured. Raises BadInput if that is nothing."""
    found: list[tuple[Measured, Stage, Stage]] = []
    unmatched = 0
    for measured in now.measured:
        other = _same(measured, before, now)
        for stage in measured.stages:
            known = _alike(stage, other) if other else None
            if known is None:
                unmatched += 1
            else:
                found.append((measured, known, stage))
    if not found:
        raise BadInput("bench.nothing-alike", file=file)
    made: list[Difference] = []
    for measured, old, new in found:
        for metric in METRICS:
            a, b = (each.figures.each.get(metric.name, []) for each in (old, new))
            if not a or not b or not sum(a) or not sum(b):
                continue
            ratio, low, high = stats.ratio(a, b)
            p = stats.permutation(a, b)
            faster = (ratio > 1) == metric.more
            verdict: Verdict = "faster" if faster else "slower"
            if stats.least_p(len(a), len(b)) > LEVEL:
                verdict = "few"
            made.append(
                Difference(
                    label=measured.label,
                    point=new.point,
                    metric=metric.name,
                    before=sum(a) / len(a),
                    now=sum(b) / len(b),
                    ratio=ratio,
                    low=low,
                    high=high,
                    p=p,
                    q=p,
                    verdict=verdict,
                    noisy=old.noisy or new.noisy,
                )
            )
    return Comparison(file, before.made, tuple(_judged(made)), unmatched)


def _judged(made: list[Difference]) -> list[Difference]:
    """The differences, with those taken back that chance alone may have made."""
    tested = [each for each in made if each.verdict != "few"]
    raised = iter(stats.discovered([each.p for each in tested]))
    judged = []
    for each in made:
        if each.verdict != "few":
            q = next(raised)
            verdict = each.verdict if q <= LEVEL else "none"
            each = msgspec.structs.replace(each, q=q, verdict=verdict)
        judged.append(each)
    return judged


def _same(measured: Measured, before: Run, now: Run) -> Measured | None:
    """The same model in the other run; the only one, if each has only one."""
    for other in before.measured:
        if other.label == measured.label:
            return other
    return before.measured[0] if len(before.measured) == len(now.measured) == 1 else None


def _alike(stage: Stage, other: Measured) -> Stage | None:
    """The same point in the other run; a point that was only loaded otherwise, if it is the one."""
    for known in other.stages:
        if known.point == stage.point:
            return known
    same = [known for known in other.stages if known.point.load == stage.point.load]
    return same[0] if len(same) == 1 else None
