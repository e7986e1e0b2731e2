"""A benchmark in words and numbers for people: for tables on a terminal and in a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.base import say
from millstream.lab import fit
from millstream.lab.bench.against import Comparison, Difference
from millstream.lab.bench.measure import Measured, Point, Run, Stage
from millstream.lab.bench.stats import Spread
from millstream.lab.bench.subject import Way
from millstream.lab.fit import shown
from millstream.lab.report.figures import number

FIGURES = (
    "prefill",
    "decode",
    "first",
    "first-p95",
    "gap",
    "gap-p95",
    "gap-p99",
    "per-token",
    "seconds",
    "requests",
    "output",
    "all",
    "calls",
    "tokens",
    "memory",
    "card",
    "operations",
    "rate",
    "roof",
    "predicted",
    "joules",
    "price",
    "price-all",
)
TABLES = (
    ("prefill", "decode", "requests", "output", "roof", "memory", "price"),
    ("first", "first-p95", "gap", "gap-p95", "gap-p99", "per-token", "seconds"),
)
"""The figures of many points, in two tables that fit a terminal."""


def point(point: Point) -> str:
    """What was measured: "512 → 128 · 4 at once"."""
    parts = [f"{point.prompt} → {point.output}"]
    if point.depth:
        parts.append(say("bench.point-depth", depth=point.depth))
    if point.rate:
        key = "bench.point-poisson" if point.profile == "poisson" else "bench.point-constant"
        parts.append(say(key, rate=point.rate))
    elif point.concurrency > 1:
        parts.append(say("bench.point-at-once", count=point.concurrency))
    return " · ".join([*parts, *way(point.way)])


def way(loaded: Way) -> Iterator[str]:
    """How a model was loaded, where it was said how."""
    if loaded.threads:
        yield say("bench.point-threads", count=loaded.threads)
    if loaded.batch:
        yield say("bench.point-batch", count=loaded.batch)
    if loaded.layers is not None:
        yield say("bench.point-layers", count=loaded.layers)


def figures(stage: Stage, currency: str = "") -> dict[str, str]:
    """The figures of a point, those that there are, by the names of `FIGURES`."""
    made, roof, cost = stage.figures, stage.roof, stage.cost
    found: dict[str, str] = {}

    def put(name: str, text: str | None) -> None:
        if text:
            found[name] = text

    put("prefill", _speed(made.prefill))
    put("decode", _speed(made.decode))
    if made.first:
        put("first", time(made.first.p50))
        put("first-p95", time(made.first.p95) if made.first.count > 1 else None)
    if made.gap:
        put("gap", time(made.gap.p50))
        put("gap-p95", time(made.gap.p95))
        put("gap-p99", time(made.gap.p99))
    put("per-token", time(made.per_token.mean) if made.per_token else None)
    put("seconds", time(made.seconds.mean) if made.seconds else None)
    put("requests", _speed(made.requests, 3))
    put("output", _speed(made.output))
    put("all", _speed(made.all))
    put("calls", f"{made.calls} ({made.failed})")
    if made.read and made.written:
        put("tokens", f"{made.read.p50:.0f} → {made.written.p50:.0f}")
    memory = stage.memory
    if memory.peak:
        put("memory", f"{shown(memory.peak)} ({shown(stage.opened.memory)})")
    elif memory.told:
        put("memory", shown(memory.told))
    put("card", shown(memory.card) if memory.card else None)
    if roof:
        put("operations", scaled(roof.operations))
        put("rate", _both(roof.decode_rate, roof.prefill_rate, lambda n: f"{scaled(n)}/s"))
        put("roof", _both(roof.decode_share, roof.prefill_share, lambda n: f"{n:.0%}"))
        put(
            "predicted", _both(roof.predicted_decode, roof.predicted_prefill, lambda n: f"{n:,.1f}")
        )
    if cost:
        money = f" {currency}".rstrip()
        put("joules", f"{number(cost.joules)} J" if cost.joules is not None else None)
        put("price", f"{number(cost.output, 4)}{money}" if cost.output is not None else None)
        put("price-all", f"{number(cost.all, 4)}{money}" if cost.all is not None else None)
    return found


def doubts(stages: Sequence[Stage]) -> Iterator[str]:
    """What is doubtful, once for all points of which it is said in the same words."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        for doubt in stage.doubts:
            found.setdefault(doubt.text, []).append(point(stage.point))
    for text, points in found.items():
        yield text if len(points) == len(stages) else f"{', '.join(points)}: {text}"


def disturbed(run: Run) -> Iterator[str]:
    """That others were at work when the machine was measured, if a figure rests on that."""
    if any(stage.roof and stage.roof.bandwidth for each in run.measured for stage in each.stages):
        yield from (doubt.text for doubt in fit.disturbed(run.calibration, again=fit.CALIBRATE))


def failed(measured: Measured) -> Iterator[str]:
    """The points of which no call succeeded."""
    for stage in measured.stages:
        if stage.calls and not stage.figures.calls:
            yield say("bench.point-failed", point=point(stage.point), count=len(stage.calls))


def difference(each: Difference) -> list[str]:
    """A row: point, figure, before, now, change, p, verdict."""
    fast = each.metric in ("prefill", "decode", "requests", "output")

    def shown(value: float) -> str:
        return f"{number(value)}/s" if fast else time(value)

    change = f"{each.ratio - 1:+.1%} ({each.low - 1:+.1%} … {each.high - 1:+.1%})"
    few = each.verdict == "few"
    return [
        point(each.point),
        say(f"bench.short-{each.metric}"),
        shown(each.before),
        shown(each.now),
        f"{each.ratio - 1:+.1%}" if few else change,
        "–" if few else f"{each.p:.3f}",
        say(f"bench.verdict-{each.verdict}"),
    ]


def notes(made: Comparison) -> Iterator[str]:
    """What a reader of a comparison should know."""
    count = sum(each.verdict != "few" for each in made.differences)
    if count:
        yield say("bench.against-note", count=count)
    if any(each.noisy for each in made.differences):
        yield say("bench.against-noisy")
    if made.unmatched:
        yield say("bench.unmatched", count=made.unmatched)


def time(seconds: float) -> str:
    """Seconds in a unit that suits them."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if seconds < 0.1 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def scaled(operations: float) -> str:
    """Floating-point operations."""
    for unit in ("", "K", "M", "G", "T"):
        if operations < 1000:
            return f"{number(operations)} {unit}FLOP"
        operations /= 1000
    return f"{number(operations)} PFLOP"


def _speed(values: Spread | None, digits: int = 1) -> str | None:
    if values is None:
        return None
    text = f"{values.mean:,.{digits}f}"
    return f"{text} ± {values.sd:,.{digits}f}" if values.count > 1 else text


def _both(decode: float | None, prefill: float | None, form: object) -> str | None:
    assert callable(form)
    if decode is None and prefill is None:
        return None
    return " · ".join("–" if value is None else str(form(value)) for value in (decode, prefill))
