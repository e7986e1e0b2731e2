"""What `fit` says, in rows for a terminal and as a report: memory by part, precisions, plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from millstream.base import say
from millstream.lab.fit import Advice, Fit, Layers, Offload, Row, shown, trains
from millstream.lab.fit import Cell as Place
from millstream.lab.plan import AppPlan, Loaded, Score
from millstream.lab.precision import PLAIN
from millstream.lab.recommend import Choice
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
)
from millstream.lab.report.figures import figure

SHORT = (*PLAIN, "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Precisions that most people choose from."""
_PARTS = ("weights", "repack", "cache", "states", "compute", "output", "runtime")
_OF_TRAINING = ("weights", "master", "adapters", "gradients", "optimizer", "activations", "logits",
                "runtime")  # fmt: skip


class Item(NamedTuple):
    """A line of the table of memory. said: bytes by llama.cpp's own word, None where it was not
    asked, or doesn't tell."""

    part: str
    what: str
    size: int
    said: int | None = None


# ------------------------------------------------------------------------------- one model, in rows


def memory(fit: Fit) -> Iterator[Item]:
    """Memory by part; the sum comes last."""
    said = fit.measured
    first = True
    for part in fit.parts:
        what = say(
            "fit.what-weights",
            piece=say(f"fit.piece-{part.part}"),
            type=part.type,
            tensors=part.tensors,
            weights=count(part.weights),
        )
        yield Item(say("fit.part-weights") if first else "", what, part.size)
        first = False
    if said:
        told = sum(size for kind, size in said.weights.items() if "REPACK" not in kind)
        yield Item("", say("fit.what-all"), fit.memory.weights, told)
    if fit.memory.repack:
        yield Item(say("fit.part-repack"), say("fit.what-repack"), fit.memory.repack)
    first = True
    for kind, many in alike(fit.layers).items():
        size = sum(layers.keys + layers.values + layers.states for layers in many)
        if size:
            where = say("fit.what-layers", which=numbers(many), kind=kind)
            yield Item(say("fit.part-cache") if first else "", where, size)
            first = False
    if said:
        cache = fit.memory.cache + fit.memory.states
        yield Item("", say("fit.what-all"), cache, said.cache)
    what = say("fit.what-compute", batch=fit.use.tokens)
    yield Item(say("fit.part-compute"), what, fit.memory.compute, said.compute if said else None)
    what, output = say("fit.what-output"), said.output if said else None
    yield Item(say("fit.part-output"), what, fit.memory.output, output)
    yield Item(say("fit.part-runtime"), say("fit.what-runtime"), fit.memory.runtime)
    yield Item(say("fit.part-total"), "", fit.memory.total)


def alike(groups: Sequence[Layers]) -> dict[str, list[Layers]]:
    """Groups of layers that keep the same, wherever they are, by the words for it."""
    found: dict[str, list[Layers]] = {}
    for layers in groups:
        found.setdefault(kept(layers), []).append(layers)
    return found


def numbers(groups: Sequence[Layers]) -> str:
    """The numbers of layers: 0–4, 6–10 …"""
    named = [f"{g.first}–{g.last}" if g.first < g.last else f"{g.first}" for g in groups]
    return ", ".join(named if len(named) < 4 else [*named[:2], "…", named[-1]])


def kept(layers: Layers) -> str:
    """What layers keep of the tokens before."""
    text = say(f"fit.kind-{layers.kind}", window=layers.window)
    if layers.kind in ("attention", "window", "both") and layers.kv_heads < layers.heads:
        kind = "mqa" if layers.kv_heads == 1 else "gqa"
        text += say(f"fit.heads-{kind}", heads=layers.heads, kv=layers.kv_heads)
    return text


def fits(value: bool | None) -> str:
    return say("fit.unknown" if value is None else "fit.yes" if value else "fit.no")


def rule(row: Row) -> str:
    """What people say of this precision."""
    quoted = row.precision.quoted
    if quoted is None:
        return ""
    low, high = shown(quoted.low), shown(quoted.high)
    return say("fit.rule", weights=shown(quoted.weights), low=low, high=high)


def why(row: Row) -> str:
    """Fallback types, and why the rule of thumb says something else."""
    made = row.precision
    said = [made.impossible] if made.impossible else []
    said += [
        say("fit.fallbacks", tensors=f.tensors, taken=f.taken, wanted=f.wanted)
        for f in made.fallbacks
    ]
    if made.imatrix:
        said.append(say("fit.needs-imatrix"))
    said += [reason.text for reason in row.reasons]
    return say("fit.and").join(said)


def grid(fit: Fit) -> tuple[list[int], list[tuple[int, list[Place]]]]:
    """Numbers of slots, and for each context its places in their order."""
    slots = sorted({place.slots for place in fit.grid})
    contexts = sorted({place.context for place in fit.grid})
    known = {(place.context, place.slots): place for place in fit.grid}
    return slots, [(c, [known[c, s] for s in slots if (c, s) in known]) for c in contexts]


def training(fit: Fit) -> Iterator[Item]:
    """What a training run takes, by part; the sum comes last."""
    made = fit.training
    assert made is not None
    for name in _OF_TRAINING:
        if size := getattr(made, name):
            yield Item(say(f"fit.part-{name}"), "", size)
    yield Item(say("fit.part-total"), "", made.total)


def card(made: Offload) -> str:
    """How much of a model a card takes."""
    gpu = made.gpu
    text = say(
        "fit.card",
        gpu=gpu.name,
        backend=gpu.backend,
        free=shown(gpu.free),
        total=shown(gpu.total),
        layers=made.layers,
        all=made.all,
        vram=shown(made.vram),
        ram=shown(made.ram),
        whole=shown(made.whole),
    )
    return text if made.usable else f"{text}; {say('fit.card-unused')}"


def about(fit: Fit) -> str:
    """What kind of model it is."""
    text = say(
        "fit.about",
        architecture=fit.architecture or "?",
        parameters=count(fit.parameters),
        quantization=fit.own.label or "?",
        bits=fit.own.bits,
    )
    if fit.active < 0.8 * fit.parameters and "experts" in {part.part for part in fit.parts}:
        text += "; " + say("fit.about-active", active=count(fit.active))
    return text


def count(weights: int) -> str:
    """How many weights, in three digits and a word."""
    for word, many in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if weights >= 0.9995 * many:
            return say(f"fit.count-{word}", number=f"{weights / many:.3g}")
    return f"{weights}"


def use(fit: Fit) -> str:
    """The way of using it that was asked for."""
    u = fit.use
    return say(
        "fit.about-use",
        slots=u.slots,
        context=u.context,
        keys=u.keys,
        values=u.values,
        batch=u.tokens,
    )


def pace(fit: Fit) -> str:
    """How fast it will be; "" where nobody asked."""
    if fit.pace is None:
        return ""
    p = fit.pace
    values = {"decode": p.decode, "prefill": p.prefill, "bound": p.decode_bound}
    return say("fit.pace", depth=p.depth, threads=p.threads, **values)


def common(made: Sequence[Fit]) -> list[str]:
    """Notes that all of several models have, to be told once."""
    first, *others = ([note.text for note in fit.notes] for fit in made)
    return [text for text in first if others and all(text in other for other in others)]


def notes(fit: Fit, told: Sequence[str] = ()) -> Iterator[str]:
    """What a reader should know of a model's figures. told: what has been said already."""
    yield from (note.text for note in fit.notes if note.text not in told)


def seconds(value: float | None) -> str:
    """A time, or a dash."""
    return "–" if value is None else figure(value, "seconds")


# ----------------------------------------------------------------------------------------- reports


def report(made: Sequence[Fit]) -> Report:
    """Everything about some models."""
    sections: list[Section] = []
    told = common(made)
    if len(made) > 1:
        sections.append(Section(say("fit.title-models"), (_side_by_side(made), *told)))
    for fit in made:
        prefix = f"{fit.name}: " if len(made) > 1 else ""
        sections += _sections(fit, prefix, told)
    sections.append(Section(say("loss.section-definitions"), (say("fit.definitions"),)))
    names = ", ".join(fit.name for fit in made)
    facts = [*_machine(made[0])]
    facts += [(say("fit.fact-source"), fit.source) for fit in made]
    facts += [(say("fit.fact-use"), text) for text in _uses(made)]
    summary = tuple(text for fit in made for text in _summary(fit))
    return Report(say("fit.report-title", names=names), summary, tuple(facts), tuple(sections))


def _uses(made: Sequence[Fit]) -> list[str]:
    """How the models are used: in one line where it is the same for all."""
    if len({use(fit) for fit in made}) == 1:
        return [use(made[0])]
    return [f"{fit.name}: {use(fit)}" for fit in made]


def _machine(fit: Fit) -> Iterator[tuple[str, str]]:
    machine = fit.machine
    text = say("fit.machine", processor=machine.processor, cores=machine.cores)
    yield say("fit.fact-machine"), text
    if machine.memory is not None and machine.free is not None:
        text = say("fit.memory", free=shown(machine.free), total=shown(machine.memory))
        yield say("fit.fact-memory"), text


def _summary(fit: Fit) -> Iterator[str]:
    key = {True: "fits", False: "not", None: "unknown"}[fit.fits]
    free = shown(fit.machine.free or 0)
    yield say(f"fit.summary-{key}", name=fit.name, size=shown(fit.memory.total), free=free)
    yield from (advice.text for advice in fit.advice)


def _sections(fit: Fit, prefix: str, told: Sequence[str]) -> Iterator[Section]:
    blocks: list[Block] = [about(fit)]
    if text := pace(fit):
        blocks.append(text)
    measured = fit.measured is not None
    columns = [Column(say("fit.head-part")), Column(say("fit.head-what"))]
    columns.append(Column(say("fit.head-size"), "bytes", strong=True))
    if measured:
        columns.append(Column(say("fit.head-said"), "bytes"))
    items = list(memory(fit))
    rows: list[tuple[Cell, ...]] = [tuple(item) if measured else item[:3] for item in items]
    blocks.append(Table(tuple(columns), tuple(rows), marked=(len(rows) - 1,)))
    yield Section(prefix + say("fit.title-memory"), tuple(blocks))
    yield Section(prefix + say("fit.title-types"), tuple(_precisions(fit)))
    yield Section(prefix + say("fit.title-grid"), tuple(_by_context(fit)))
    here: list[Block] = [*(advice.text for advice in fit.advice), *notes(fit, told)]
    here += [card(each) for each in fit.offloads] or [say("fit.no-card")]
    yield Section(prefix + say("fit.title-machine"), tuple(here))
    if fit.training is not None and fit.how is not None:
        method = say("fit.trained", method=fit.how.method, trained=count(fit.training.trained))
        parts = list(training(fit))
        bar = Bar(fit.how.method, tuple(float(item.size) for item in parts[:-1]))
        names = tuple(item.part for item in parts[:-1])
        chart = Bars(say("fit.title-training"), names, (bar,), "bytes", tuple(_limits(fit)))
        head = (Column(say("fit.head-part")), Column(say("fit.head-size"), "bytes", strong=True))
        table = Table(head, tuple((item.part, item.size) for item in parts),
                      marked=(len(parts) - 1,))  # fmt: skip
        said = trains(fit)
        words = (method,) if said is None else (method, said.text)
        yield Section(prefix + say("fit.title-training"), (*words, chart, table))


def _limits(fit: Fit) -> Iterator[tuple[str, float]]:
    if fit.machine.free is not None:
        yield say("fit.limit-free"), float(fit.machine.free)


def _precisions(fit: Fit) -> Iterator[Block]:
    rows = [row for row in fit.rows if not row.precision.impossible]
    other = fit.memory.total - fit.memory.weights - fit.memory.repack
    names = (say("fit.part-weights"), say("fit.part-repack"), say("fit.part-cache"))
    cache = fit.memory.cache + fit.memory.states
    bars = []
    for row in rows:
        made = row.precision
        values = (made.weights, made.repack, cache, other - cache)
        note = f"{made.bits:.2f} bpw"
        bars.append(Bar(made.label, tuple(float(v) for v in values), note))
    parts = (*names, say("fit.part-rest"))
    yield Bars(say("fit.chart-memory"), parts, tuple(bars), "bytes", tuple(_limits(fit)))
    speeds = [(row.precision.label, row.pace.decode) for row in rows if row.pace]
    if speeds:
        yield Bars(
            say("fit.chart-speed"),
            (say("fit.head-speed"),),
            tuple(Bar(name, (speed,)) for name, speed in speeds),
            "tokens/s",
        )
    columns = (
        Column(say("fit.head-precision")),
        Column(say("fit.head-weights"), "bytes"),
        Column(say("fit.head-bits")),
        Column(say("fit.head-total"), "bytes", strong=True),
        Column(say("fit.head-fits")),
        Column(say("fit.head-speed"), "tokens/s"),
        Column(say("fit.head-rule")),
        Column(say("fit.head-why")),
    )
    table = []
    for row in fit.rows:
        made = row.precision
        whole = not made.impossible
        table.append(
            (
                made.label,
                made.weights if whole else None,
                round(made.bits, 2) if whole else None,
                row.total if whole else None,
                fits(row.fits) if whole else None,
                row.pace.decode if row.pace else None,
                rule(row) or None,
                why(row) or None,
            )
        )
    yield Table(columns, tuple(table))


def _by_context(fit: Fit) -> Iterator[Block]:
    slots, rows = grid(fit)
    series = [
        Series(
            say("fit.series-slots", slots=count),
            tuple(Point(c, places[i].total) for c, places in rows if i < len(places)),
        )
        for i, count in enumerate(slots)
    ]
    contexts = [context for context, _ in rows]
    for name, limit in _limits(fit):
        ends = (Point(contexts[0], limit), Point(contexts[-1], limit))
        series.append(Series(name, ends, faint=True))
    yield Plot(
        say("fit.chart-context"),
        Axis(say("fit.axis-context"), "", "log" if len(contexts) > 2 else "linear"),
        Axis(say("fit.axis-memory"), "bytes"),
        tuple(series),
    )
    columns = [Column(say("fit.head-context"))]
    columns += [Column(say("fit.head-slots", slots=count), "bytes") for count in slots]
    table: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{c:,}", *(place.total for place in places)) for c, places in rows
    )
    yield Table(tuple(columns), table)


def _side_by_side(made: Sequence[Fit]) -> Table:
    columns = (
        Column(say("fit.head-model")),
        Column(say("fit.head-quantization")),
        Column(say("fit.head-weights"), "bytes"),
        Column(say("fit.head-context")),
        Column(say("fit.head-total"), "bytes", strong=True),
        Column(say("fit.head-fits")),
        Column(say("fit.head-speed"), "tokens/s"),
    )
    rows = tuple(
        (
            fit.name,
            fit.own.label,
            fit.memory.weights,
            f"{fit.use.context:,}",
            fit.memory.total,
            fits(fit.fits),
            fit.pace.decode if fit.pace else None,
        )
        for fit in made
    )
    return Table(columns, rows)


def plan_report(scored: Sequence[tuple[AppPlan, Score | None]]) -> Report:
    """Plans of an app, on one model or on several, and how they went."""
    summary: list[str] = []
    sections: list[Section] = []
    for made, score in scored:
        names = ", ".join(each.name for each in made.models)
        prefix = f"{names}: " if len(scored) > 1 else ""
        summary.append(prefix + plan_total(made))
        sections.append(Section(prefix + say("fit.plan", app=made.app), tuple(_plan(made))))
        if score is not None:
            summary.append(prefix + score_total(score))
            sections.append(Section(prefix + say("fit.score"), (_scored(score),)))
    summary += plan_notes([made for made, _ in scored])
    title = say("fit.report-plan", app=scored[0][0].app)
    return Report(title, tuple(summary), (), tuple(sections))


def _plan(made: AppPlan) -> Iterator[Block]:
    columns = (
        Column(say("fit.head-node")),
        Column(say("fit.head-model")),
        Column(say("fit.head-times")),
        Column(say("fit.head-prompt")),
        Column(say("fit.head-output")),
        Column(say("fit.head-seconds"), "seconds", strong=True),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (p.call.title, p.model, p.call.times, p.call.prompt, p.call.output, p.seconds)
        for p in made.calls
    )
    if rows:
        yield Table(columns, rows)
    models = [each for each in made.models if each.memory is not None]
    if models:
        names = tuple(say(f"fit.part-{part}") for part in _PARTS)
        bars = tuple(
            Bar(each.name, tuple(float(getattr(each.memory, part)) for part in _PARTS))
            for each in models
        )
        yield Bars(say("fit.title-memory"), names, bars, "bytes")
    for each in models:
        yield loaded(each)
        yield from (card(on) for on in each.offloads)
    yield from (advice.text for advice in made.advice)


def _scored(score: Score) -> Table:
    head = (
        Column(say("fit.head-node")),
        Column(say("fit.head-prompt")),
        Column(say("fit.head-was")),
        Column(say("fit.head-output")),
        Column(say("fit.head-was")),
        Column(say("fit.head-seconds"), "seconds"),
        Column(say("fit.head-corrected"), "seconds"),
        Column(say("fit.head-was"), "seconds", strong=True),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            n.title,
            n.prompt,
            n.prompt_was,
            n.output,
            n.output_was,
            n.seconds,
            n.corrected,
            n.took,
        )
        for n in score.nodes
    )
    return Table(head, rows)


def loaded(each: Loaded) -> str:
    """A model of a plan, in a sentence."""
    assert each.memory is not None
    return say(
        "fit.plan-model",
        model=each.name,
        quantization=each.quantization,
        slots=each.slots,
        context=each.context,
        memory=shown(each.memory.total),
        at_once=each.at_once,
        needed=each.needed,
    )


def plan_total(made: AppPlan) -> str:
    """Memory and time of a plan in a sentence."""
    if not made.calls:
        return say("lab.plan-no-models")
    if not made.peak:
        return say("fit.app-alone")
    if made.seconds is None:
        return say("fit.plan-memory", peak=shown(made.peak))
    return say("fit.plan-total", peak=shown(made.peak), seconds=seconds(made.seconds))


def plan_notes(made: Iterable[AppPlan]) -> list[str]:
    """What the figures of some plans are not sure of, each once."""
    return list(dict.fromkeys(note.text for plan in made for note in plan.notes))


def score_total(score: Score) -> str:
    """How a plan and its run compare, in a sentence or two."""
    text = say(
        "fit.score-total",
        planned=seconds(score.seconds),
        corrected=seconds(score.corrected),
        took=seconds(score.took),
    )
    if score.peak_was:
        values = {"peak": shown(score.peak), "was": shown(score.peak_was)}
        text += "; " + say("fit.score-memory", **values)
    return text


def choices_report(
    found: Sequence[Choice], facts: Sequence[tuple[str, str]], notes: Sequence[Advice] = ()
) -> Report:
    """Recommended models. notes: what their figures are not sure of."""
    columns = (
        Column(say("fit.head-model")),
        Column(say("fit.head-quantization")),
        Column(say("fit.head-size"), "bytes"),
        Column(say("fit.head-memory"), "bytes", strong=True),
        Column(say("fit.head-context")),
        Column(say("fit.head-speed"), "tokens/s"),
        Column(say("fit.head-licence")),
        Column(say("fit.head-reasons")),
    )
    rows = tuple(
        (
            c.name,
            c.quantization,
            c.size,
            c.memory,
            f"{c.context:,}",
            c.pace.decode if c.pace else None,
            c.licence,
            "; ".join(advice.text for advice in c.why),
        )
        for c in found
    )
    summary = tuple(f"{c.name}: {'; '.join(a.text for a in c.why)}" for c in found)
    blocks: list[Block] = [Table(columns, rows)]
    if any(c.pace for c in found):
        bars = tuple(Bar(c.name, (c.pace.decode,)) for c in found if c.pace)
        blocks.append(Bars(say("fit.chart-speed"), (say("fit.head-speed"),), bars, "tokens/s"))
    blocks += [note.text for note in notes]
    title = say("fit.report-recommend")
    return Report(title, summary, tuple(facts), (Section(title, tuple(blocks)),))
