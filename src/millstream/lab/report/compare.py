"""The report of `compare`, and its words: what is said of each precision, foreseen and measured."""

from __future__ import annotations

import time
from collections.abc import Iterator

from millstream.base import say
from millstream.lab.compare import Compared, Row, fastest, nearly_lossless
from millstream.lab.fit import CALIBRATE_ELSEWHERE, disturbed
from millstream.lab.likelihood import Estimate
from millstream.lab.report.document import (
    Axis,
    Bar,
    Bars,
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
from millstream.lab.report.figures import figure, number

_LEAST = 1e-7  # nats: below it a divergence is rounding
Words = list[str | None]


def report(found: Compared) -> Report:
    """Everything that was foreseen and measured."""
    lines = list(summary(found))
    sections = [
        Section(title, (_table(rows), *more))
        for (title, rows), more in zip(tables(found), _charts(found), strict=True)
    ]
    when = tuple((_name(row), _when(row)) for row in found.rows)
    heads = (say("compare.head-type"), say("compare.head-when"))
    sections.append(Section(say("compare.section-when"), (Table(tuple(map(Column, heads)), when),)))
    if some := tuple(notes(found)):
        sections.append(Section(say("compare.section-notes"), some))
    definitions = Section(say("compare.section-definitions"), (say("compare.definitions"),))
    title = say("compare.report-title", name=found.name)
    return Report(title, tuple(lines), tuple(_facts(found)), (*sections, definitions))


def billions(parameters: int) -> str:
    """A number of parameters as people say it: 135M, 7.6B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return str(parameters)


def summary(found: Compared) -> Iterator[str]:
    """What a reader in a hurry takes away."""
    base = found.against
    if any(row.lost is not None for row in found.rows):
        best = nearly_lossless(found)
        if best is None or best.lost is None:
            yield say("compare.here-none")
        else:
            yield say(
                "compare.here-lossless",
                type=best.type,
                rise=_rise(best.lost.perplexity),
                same=figure(best.lost.figures.same_top.value, "percent"),
                share=figure(found.share(best) or 0.0, "percent"),
                base=base,
            )
    quick = fastest(found)
    if quick is not None and quick.timed is not None and quick.timed.decode is not None:
        times = found.faster(quick)
        yield say(
            "compare.here-fastest",
            type=quick.type,
            decode=number(quick.timed.decode.mean),
            times=number(times.value) if times else "–",
            base=base,
        )
    for type in ("Q8_0", "Q4_K_M"):
        row = found.row(type)
        share = found.share(row) if row is not None else None
        if row is not None and share is not None and row.rule is not None:
            said = f"{100 * row.rule.memory:g} %"
            values = {"share": figure(share, "percent"), "bits": row.bits, "said": said}
            yield say("compare.here-memory", type=type, base=base, **values)


def notes(found: Compared) -> Iterator[str]:
    """What to know when reading the figures."""
    if found.interrupted:
        yield say("compare.stopped")
    if found.requantized:
        yield say("compare.requantized", types=found.requantized)
    for row in found.rows:
        if row.trouble and found.measured:
            yield say("compare.not-measured", type=row.type, reason=row.trouble)
    if any(row.timed is not None and row.timed.noisy for row in found.rows):
        yield say("compare.noisy")
    for doubt in disturbed(found.calibration, again=CALIBRATE_ELSEWHERE):
        yield doubt.text
    yield from found.notes


def tables(found: Compared) -> Iterator[tuple[str, list[Words]]]:
    """Memory, loss and speed: each a title and rows of texts, the first of them the head."""
    yield say("compare.section-memory"), [*_memory(found)]
    if any(row.lost is not None for row in found.rows):
        yield say("compare.section-loss"), [*_loss(found)]
    if any(row.timed is not None or row.decode is not None for row in found.rows):
        timed = any(row.timed is not None for row in found.rows)
        yield say(f"compare.section-speed{'' if timed else '-foreseen'}"), [*_speed(found)]


# ------------------------------------------------------------------------------------- three tables


def _memory(found: Compared) -> Iterator[Words]:
    timed = any(row.timed is not None and row.timed.memory for row in found.rows)
    head = [_head("type"), _head("bits"), _head("weights")]
    head += [_head("share", base=found.against), _head("said"), _head("verdict")]
    head.append(_head("memory", context=f"{found.use.context * found.use.slots:,}"))
    head += [_head("memory-measured"), _head("foreseen")] if timed else []
    yield [*head, _head("fits")]
    for row in found.rows:
        share, rule = found.share(row), row.rule
        line: Words = [_name(row)]
        if row.impossible:
            yield [*line, *(None for _ in head[1:]), say("compare.no")]
            continue
        line += [f"{row.bits:.2f}", figure(row.weights, "bytes")]
        line += [figure(share, "percent") if share is not None else None]
        line += [f"{100 * rule.memory:g} %" if rule else None, _verdict(row, "memory")]
        line.append(figure(row.memory, "bytes"))
        if timed and row.timed is not None:
            line += [figure(row.timed.memory, "bytes"), figure(row.timed.foreseen, "bytes")]
        elif timed:
            line += [None, None]
        yes = {None: None, True: say("compare.yes"), False: say("compare.no")}
        yield [*line, yes[row.fits]]


def _loss(found: Compared) -> Iterator[Words]:
    tasks = found.base_tasks is not None
    head = [_head("type"), _head("perplexity"), _head("said")]
    head += [_head("verdict"), _head("kld"), _head("same")]
    yield [*head, *([_head("tasks")] if tasks else [])]
    for row in found.rows:
        line: Words = [_name(row)]
        if row.type == found.base:
            line = [say("compare.base", name=_name(row)), *(None for _ in range(5))]
            line += [_tasks(found.base_tasks.share)] if found.base_tasks else []
            yield line
            continue
        lost, rule = row.lost, row.rule
        if lost is None:
            yield [*line, *(None for _ in range(6 if tasks else 5))]
            continue
        low, high = rule.loss if rule else (0.0, 0.0)
        said = f"{100 * low:.0f}–{100 * high:.0f} %" if rule and low else None
        said = f"< {100 * high:.0f} %" if rule and not low else said
        kld = lost.figures.kld.value
        line += [_rise(lost.perplexity), said, _verdict(row, "loss")]
        line += [number(kld) if kld >= _LEAST else "0"]
        line += [figure(lost.figures.same_top.value, "percent")]
        if tasks:
            line.append(_tasks(lost.tasks.share) if lost.tasks else None)
        yield line


def _speed(found: Compared) -> Iterator[Words]:
    timed = any(row.timed is not None for row in found.rows)
    times = _head("times", base=found.against)
    head = [_head("type")]
    if timed:
        head += [_head("decode"), times, _head("said"), _head("verdict"), _head("foreseen")]
        yield [*head, _head("prefill"), times, _head("first"), _head("loading")]
    else:
        yield [*head, _head("decode"), times, _head("said"), _head("prefill"), times]
    for row in found.rows:
        rule = row.rule
        said = f"{rule.speed[0]:g}–{rule.speed[1]:g} ×" if rule else None
        line: Words = [_name(row)]
        foreseen = number(row.decode) if row.decode else None
        if not timed:
            line += [foreseen, _times(found.foreseen(row)), said]
            line += [number(row.prefill) if row.prefill else None]
            yield [*line, _times(found.foreseen(row, "prefill"))]
            continue
        ran = row.timed
        if ran is None:
            yield [*line, None, None, said, None, foreseen, None, None, None, None]
            continue
        faster, reads = found.faster(row), found.faster(row, "prefill")
        mark = "~ " if ran.noisy else ""
        line.append(f"{mark}{_spread(ran.decode.mean, ran.decode.sd)}" if ran.decode else None)
        line += [_times(faster.value if faster else None), said, _verdict(row, "speed"), foreseen]
        line.append(number(ran.prefill.mean) if ran.prefill else None)
        line.append(_times(reads.value if reads else None))
        line.append(figure(ran.first.mean, "seconds") if ran.first else None)
        yield [*line, figure(ran.loading, "seconds")]


def _head(name: str, **values: object) -> str:
    return say(f"compare.head-{name}", **values)


def _name(row: Row) -> str:
    """A type, and the precision that it stands for."""
    return f"{row.precision} · {row.type}" if row.precision else row.type


def _verdict(row: Row, of: str) -> str | None:
    found = row.verdicts.get(of)
    return say(f"compare.verdict-{found.replace(' ', '-')}") if found else None


def _rise(found: Estimate) -> str:
    """A change in percent with its sign and its error."""
    value, error = 100 * found.value, 100 * found.error
    places = 1 if error >= 0.2 or abs(value) >= 10 else 2
    value = round(value, places) or 0.0  # no zero with a minus
    return f"{value:+.{places}f} ± {error:.{places}f} %".replace("-", "−")


def _tasks(share: Estimate) -> str:
    return f"{100 * share.value:.1f} ± {100 * share.error:.1f} %"


def _times(value: float | None) -> str | None:
    return f"{value:.2f} ×" if value is not None else None


def _spread(mean: float, sd: float) -> str:
    return f"{number(mean)} ± {number(sd, 2)}"


# -------------------------------------------------------------------------------------- the report


def _facts(found: Compared) -> Iterator[tuple[str, str]]:
    here = found.machine
    yield say("compare.fact-model"), f"{found.name} ({billions(found.parameters)})"
    yield (
        say("compare.fact-machine"),
        say("compare.machine", processor=here.processor, cores=here.cores),
    )
    if here.memory and here.free is not None:
        both = f"{figure(here.memory, 'bytes')}, {figure(here.free, 'bytes')}"
        yield say("compare.fact-memory"), both
    yield (
        say("compare.fact-use"),
        say("compare.use", context=f"{found.use.context:,}", slots=found.use.slots),
    )
    if found.base:
        yield (
            say("compare.fact-loss"),
            say("compare.tokens", tokens=f"{found.tokens:,}", base=found.base),
        )
    if found.measured:
        yield (
            say("compare.fact-speed"),
            say("compare.lengths", prompt=found.prompt, output=found.output),
        )
    yield say("compare.fact-when"), time.strftime("%Y-%m-%d %H:%M")


def _table(rows: list[Words]) -> Table:
    strong = {_head("perplexity"), _head("decode"), _head("weights")}
    columns = tuple(Column(head or "", strong=head in strong) for head in rows[0])
    return Table(columns, tuple(tuple(row) for row in rows[1:]))


def _charts(found: Compared) -> Iterator[tuple[Block, ...]]:
    """The charts beside each of the tables."""
    yield (_memory_bars(found),)
    if any(row.lost is not None for row in found.rows):
        yield tuple(_loss_plot(found))
    if any(row.timed is not None or row.decode is not None for row in found.rows):
        yield (_speed_bars(found),)


def _memory_bars(found: Compared) -> Bars:
    rows = [row for row in found.rows if not row.impossible]
    free = found.machine.free
    return Bars(
        say("compare.bars-memory"),
        tuple(say(f"compare.part-{part}") for part in ("weights", "repack", "rest")),
        tuple(
            Bar(row.type, (row.weights, row.repack, row.memory - row.weights - row.repack))
            for row in rows
        ),
        "bytes",
        ((say("compare.limit-free"), float(free)),) if free is not None else (),
    )


def _loss_plot(found: Compared) -> Iterator[Plot]:
    points = tuple(
        Point(row.weights, row.lost.figures.kld.value, row.type, row.lost.figures.kld.error)
        for row in found.rows
        if row.lost is not None and row.lost.figures.kld.value >= _LEAST
    )
    if points:
        yield Plot(
            say("compare.plot-loss"),
            Axis(say("compare.axis-size"), "bytes"),
            Axis(say("compare.axis-kld"), "nats", "log"),
            (Series(say("compare.series-types"), points, "points"),),
        )


def _speed_bars(found: Compared) -> Bars:
    bars = []
    unit: Unit = "tokens/s"
    timed = any(row.timed is not None for row in found.rows)
    for row in found.rows:
        if row.timed is not None and row.timed.decode is not None:
            mean, note = row.timed.decode.mean, _spread(row.timed.decode.mean, row.timed.decode.sd)
            times = found.faster(row)
            note += f" · {_times(times.value)}" if times else ""
            bars.append(Bar(row.type, (mean,), note))
        elif row.decode is not None and not timed:
            bars.append(Bar(row.type, (row.decode,)))
    title = say(f"compare.bars-speed{'' if timed else '-foreseen'}")
    return Bars(title, (say("compare.part-decode"),), tuple(bars), unit)


def _when(row: Row) -> Cell:
    if row.precision:
        return say(f"compare.when-{row.precision}")
    return say("compare.when-more" if row.bits > 4.5 else "compare.when-less")
