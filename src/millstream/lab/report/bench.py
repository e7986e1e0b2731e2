"""The report of a benchmark: speed by context and by calls at once, latencies, the roofline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from millstream.base import say
from millstream.lab.bench import words
from millstream.lab.bench.against import Comparison
from millstream.lab.bench.measure import Measured, Run, Stage
from millstream.lab.bench.measure import Point as Asked
from millstream.lab.bench.stats import percentile
from millstream.lab.bench.subject import Way
from millstream.lab.fit import shown
from millstream.lab.report.document import (
    Axis,
    Block,
    Cell,
    Column,
    Plot,
    Point,
    Report,
    Section,
    Series,
    Table,
    Unit,
)

_STEPS = 200  # points of a cumulative distribution
_KNEE = 0.95  # of the best output, from which on more calls at once are of no use
_SPEEDS: tuple[tuple[str, Unit, bool], ...] = (
    ("prefill", "tokens/s", False),
    ("decode", "tokens/s", True),
    ("requests", "", False),
    ("output", "tokens/s", False),
)
_LATENCIES: tuple[tuple[str, Unit, bool], ...] = (
    ("first", "seconds", True),
    ("first-p95", "seconds", False),
    ("gap", "seconds", False),
    ("gap-p95", "seconds", False),
    ("gap-p99", "seconds", False),
    ("per-token", "seconds", False),
    ("seconds", "seconds", False),
)


def report(run: Run, comparison: Comparison | None = None) -> Report:
    """Everything that a run says."""
    measured = [each for each in run.measured if _good(each)]
    sections = [
        Section(say("bench.section-figures"), tuple(_figures(measured, run.ask.prices.currency))),
        *_plots(measured, run),
    ]
    if comparison is not None:
        sections.append(_against(comparison))
    cautions = tuple(
        text if len(measured) == 1 else f"{each.label}: {text}"
        for each in measured
        for text in (*words.doubts(_good(each)), *words.failed(each))
    )
    cautions += tuple(words.disturbed(run))
    cautions += tuple(
        say("bench.trouble", label=each.label, message=each.trouble.message)
        for each in run.measured
        if each.trouble is not None
    )
    if cautions:
        sections.append(Section(say("bench.section-doubts"), cautions))
    sections.append(Section(say("bench.section-definitions"), (say("bench.definitions"),)))
    return Report(
        title=say("bench.title", names=", ".join(each.label for each in measured)),
        summary=tuple(_summary(measured)),
        facts=tuple(_facts(run)),
        sections=tuple(sections),
    )


def _good(measured: Measured) -> list[Stage]:
    return [stage for stage in measured.stages if stage.figures.calls]


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    if run.processor:
        machine = say("bench.machine", processor=run.processor, cores=run.cores)
        yield say("bench.fact-machine"), machine
    if run.total_memory:
        yield say("bench.fact-memory"), shown(run.total_memory)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.made))
    yield say("bench.fact-when"), when
    yield say("bench.fact-repetitions"), str(run.ask.repetitions)
    yield say("bench.fact-version"), run.version


def _summary(measured: Sequence[Measured]) -> Iterator[str]:
    for each in measured:
        stages = _good(each)
        best = max(stages, key=lambda s: s.figures.decode.mean if s.figures.decode else 0.0)
        if best.figures.decode and best.figures.first:
            yield say(
                "bench.summary-decode",
                label=each.label,
                decode=best.figures.decode.mean,
                prompt=best.point.depth + best.point.prompt,
                first=best.figures.first.p50,
            )
        if best.roof is not None and best.roof.decode_share:
            yield say("bench.summary-roof", label=each.label, share=best.roof.decode_share)
        for label, some in _by_load(each, stages):
            if (knee := _knee(some)) is not None:
                count, output, top = knee
                values = {"label": label, "count": count, "output": output, "best": top}
                yield say("bench.summary-knee", **values)
    noisy = sum(stage.noisy for each in measured for stage in _good(each))
    if noisy:
        count = sum(len(_good(each)) for each in measured)
        yield say("bench.summary-noisy", count=noisy, all=count)


def _knee(stages: Sequence[Stage]) -> tuple[int, float, float] | None:
    """The fewest calls at once that come near the best output, that output, and the best; None
    where more calls still help."""
    found = sorted(
        (stage.point.concurrency, stage.figures.output.mean)
        for stage in stages
        if stage.figures.output and not stage.point.rate
    )
    if len({count for count, _ in found}) < 3:
        return None
    best = max(output for _, output in found)
    count, output = next((c, o) for c, o in found if o >= _KNEE * best)
    return (count, output, best) if count < found[-1][0] else None


def _figures(measured: Sequence[Measured], currency: str) -> Iterator[Block]:
    for each in measured:
        stages = _good(each)
        noisy = tuple(i for i, stage in enumerate(stages) if stage.noisy)
        for names in (_SPEEDS, _LATENCIES):
            columns = [Column(say("bench.head-point"))]
            for name, unit, strong in names:
                columns.append(Column(say(f"bench.head-{name}"), unit, strong))
                columns += [Column("±", unit)] if names is _SPEEDS else []
            numbers = [_speeds(s) if names is _SPEEDS else _latencies(s) for s in stages]
            rows = tuple((words.point(s.point), *n) for s, n in zip(stages, numbers, strict=True))
            yield Table(tuple(columns), rows, caption=each.label, marked=noisy)
        yield from _effort(each, stages, currency)


def _speeds(stage: Stage) -> Iterator[Cell]:
    """Means, each with its standard deviation."""
    made = stage.figures
    for each in (made.prefill, made.decode, made.requests, made.output):
        yield each.mean if each else None
        yield each.sd if each and each.count > 1 else None


def _latencies(stage: Stage) -> Iterator[Cell]:
    made = stage.figures
    yield from (made.first.p50, made.first.p95) if made.first else (None, None)
    yield from (made.gap.p50, made.gap.p95, made.gap.p99) if made.gap else (None, None, None)
    yield from (each.mean if each else None for each in (made.per_token, made.seconds))


def _effort(measured: Measured, stages: Sequence[Stage], currency: str) -> Iterator[Table]:
    """Memory, operations, share of the roofline, energy and price, as far as they are known."""
    names = ("memory", "card", "operations", "rate", "roof", "predicted",
             "joules", "price", "price-all")  # fmt: skip
    texts = [words.figures(stage, currency) for stage in stages]
    known = [name for name in names if any(name in text for text in texts)]
    if known:
        columns = [Column(say("bench.head-point"))]
        columns += [Column(say(f"bench.head-{name}")) for name in known]
        rows = tuple(
            (words.point(stage.point), *(text.get(name) for name in known))
            for stage, text in zip(stages, texts, strict=True)
        )
        yield Table(tuple(columns), rows, caption=measured.label)


# ---------------------------------------------------------------------------------------- plots


def _plots(measured: Sequence[Measured], run: Run) -> Iterator[Section]:
    speed = Axis(say("bench.axis-speed"), "tokens/s")
    contexts = tuple(_by_context(measured))
    if contexts:
        x = Axis(say("bench.axis-context"), "count")
        plot = Plot(say("bench.plot-context"), x, speed, contexts)
        yield Section(say("bench.section-context"), (plot,))
    many = tuple(_by_concurrency(measured))
    if many:
        x = Axis(say("bench.axis-at-once"), "count")
        plot = Plot(say("bench.plot-concurrency"), x, speed, many)
        yield Section(say("bench.section-concurrency"), (plot,))
    share = Axis(say("bench.axis-share"), "percent")
    seconds = Axis(say("bench.axis-seconds"), "seconds", "log")
    firsts, gaps = [], []
    for each in measured:
        for stage in _good(each):
            name = words.point(stage.point)
            name = name if len(measured) == 1 else f"{each.label} {name}"
            good = [call for call in stage.calls if call.ok]
            firsts.append(_distribution(name, (call.first for call in good)))
            gaps.append(_distribution(name, (gap for call in good for gap in call.gaps)))
    plots = [
        Plot(say(f"bench.plot-{key}"), seconds, share, tuple(s for s in some if len(s.points) > 1))
        for key, some in (("first", firsts), ("gap", gaps))
    ]
    plots = [plot for plot in plots if plot.series]
    if plots:
        yield Section(say("bench.section-latency"), tuple(plots))
    if run.bandwidth and (roof := _roofline(measured, run)) is not None:
        yield Section(say("bench.section-roof"), (roof,))


def _by_context(measured: Sequence[Measured]) -> Iterator[Series]:
    """Decode and prefill by tokens of context, of calls that were alone."""
    for each in measured:
        alone = [s for s in _good(each) if s.point.concurrency == 1 and not s.point.rate]
        for label, some in _by_way(each, alone):
            for key in ("decode", "prefill"):
                points: dict[float, Point] = {}
                for stage in some:
                    values = getattr(stage.figures, key)
                    if values is not None:
                        x = float(stage.point.depth + stage.point.prompt)
                        points.setdefault(x, Point(x, values.mean, spread=values.sd))
                if len(points) > 1:
                    line = tuple(points[x] for x in sorted(points))
                    yield Series(say(f"bench.series-{key}", label=label), line)


def _by_concurrency(measured: Sequence[Measured]) -> Iterator[Series]:
    """Output of all calls, and that of each of them."""
    for each in measured:
        closed = [stage for stage in _good(each) if not stage.point.rate]
        for label, some in _by_load(each, closed):
            if len({stage.point.concurrency for stage in some}) < 2:
                continue
            for key in ("output", "decode"):
                points = tuple(
                    Point(float(stage.point.concurrency), values.mean, spread=values.sd)
                    for stage in sorted(some, key=lambda s: s.point.concurrency)
                    if (values := getattr(stage.figures, key)) is not None
                )
                yield Series(say(f"bench.series-{key}", label=label), points)


def _distribution(name: str, values: Iterable[float]) -> Series:
    """Which share of the values is no larger than each."""
    ordered = sorted(values)
    if not ordered:
        return Series(name, (), "steps")
    if len(ordered) <= _STEPS:
        points = [Point(v, (i + 1) / len(ordered)) for i, v in enumerate(ordered)]
    else:
        shares = [(n + 1) / _STEPS for n in range(_STEPS)]
        points = [Point(percentile(ordered, 100 * share), share) for share in shares]
    return Series(name, tuple(points), "steps")


def _roofline(measured: Sequence[Measured], run: Run) -> Plot | None:
    """What was reached, over the operations that a byte of memory is good for."""
    series = []
    ridge = run.arithmetic / run.bandwidth
    intensities = [ridge]
    for each in measured:
        for key in ("decode", "prefill"):
            points = []
            for stage in _good(each):
                roof = stage.roof
                if roof is None or not roof.bandwidth:
                    continue
                if key == "decode" and roof.decode_rate:
                    x, y = roof.operations / roof.bytes, roof.decode_rate
                elif key == "prefill" and roof.prefill_rate:
                    batch = max(1, stage.opened.batch or stage.point.prompt)
                    together = min(batch, stage.point.prompt)
                    x, y = roof.prompt_operations * together / roof.bytes, roof.prefill_rate
                else:
                    continue
                points.append(Point(x, y, words.point(stage.point)))
                intensities.append(x)
            if points:
                name = say(f"bench.series-{key}", label=each.label)
                series.append(Series(name, tuple(points), "points"))
    if not series:
        return None
    low, high = min(intensities) / 4, max(intensities) * 4
    edge = tuple(
        Point(x, min(run.arithmetic, x * run.bandwidth)) for x in sorted({low, ridge, high})
    )
    return Plot(
        say("bench.plot-roof"),
        Axis(say("bench.axis-intensity"), "flop/byte", "log"),
        Axis(say("bench.axis-operations"), "flop/s", "log"),
        (Series(say("bench.series-roof"), edge, faint=True), *series),
    )


def _against(made: Comparison) -> Section:
    names = ("point", "figure", "before", "now", "change", "p", "verdict")
    columns = tuple(Column(say(f"bench.head-{name}"), strong=name == "verdict") for name in names)
    rows = tuple(tuple(words.difference(each)) for each in made.differences)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(made.made))
    caption = say("bench.against-title", file=made.file, when=when)
    marked = tuple(
        i for i, each in enumerate(made.differences) if each.verdict in ("faster", "slower")
    )
    table = Table(columns, rows, caption, marked)
    return Section(say("bench.section-against"), (table, *words.notes(made)))


def _by_load(measured: Measured, stages: Sequence[Stage]) -> Iterator[tuple[str, list[Stage]]]:
    """The stages in groups that differ in the calls at once only, in their order; each with the
    model's name, and what sets the group apart if there are several."""
    found: dict[Asked, list[Stage]] = {}
    for stage in stages:
        alone = msgspec.structs.replace(stage.point, concurrency=1, rate=0.0, profile="concurrent")
        found.setdefault(alone, []).append(stage)
    for point, some in found.items():
        yield measured.label if len(found) == 1 else f"{measured.label}, {words.point(point)}", some


def _by_way(measured: Measured, stages: Sequence[Stage]) -> Iterator[tuple[str, list[Stage]]]:
    """The same for stages that differ in lengths and calls only."""
    found: dict[Way, list[Stage]] = {}
    for stage in stages:
        found.setdefault(stage.point.way, []).append(stage)
    for way, some in found.items():
        told = " · ".join(words.way(way))
        yield measured.label if len(found) == 1 else f"{measured.label}, {told or '–'}", some
