"""The report of `loss`: what each quantization costs, beside what it saves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from millstream.base import say
from millstream.lab.cases import AppRun, Outcome, as_text
from millstream.lab.likelihood import Divergence, Estimate
from millstream.lab.loss import Loss, Original, Quant
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
from millstream.lab.tasks import LANGUAGES

Names = Mapping[str, str]
"""What a model is called in tables and charts, by its whole name."""

_LEAST = 1e-7  # nats: below it a divergence is rounding
_CHANCE = 0.25
_SHOWN = 80  # characters of an output in a table


def report(
    loss: Loss | None,
    apps: Sequence[AppRun] = (),
    app: str = "",
    told: Sequence[str] = (),
) -> Report:
    """Everything that was found. loss: None where only an app was run. told: what stood in for
    something in the app."""
    sections: list[Section] = []
    facts: list[tuple[str, str]] = []
    summary: list[str] = []
    base = apps[0].model if apps else ""
    known = [run.model for run in apps]
    if loss is not None:
        known = [loss.base.name, *(quant.name for quant in loss.quants)]
    names = short(known)
    if loss is not None:
        base = loss.base.name
        summary += [note.text for note in loss.missing[:1]]
        facts += _facts(loss)
        measured = [quant for quant in loss.quants if quant.whole is not None]
        if measured:
            summary += _summary(loss, measured, names)
            sections.append(
                Section(say("loss.section-divergence"), tuple(_divergence(measured, names)))
            )
        if loss.base.whole is not None or loss.base.tasks:
            sections.append(Section(say("loss.section-ability"), tuple(_ability(loss, names))))
        if len(loss.texts) > 1:
            sections.append(Section(say("loss.section-texts"), (_by_text(loss, names),)))
    if apps:
        summary.append(_app_summary(apps, names))
        title = f"{say('loss.section-app')}: {app}"
        sections.append(Section(title, (*told, *_app(apps, names))))
    if loss is not None and (notes := (*loss.missing[1:], *loss.notes)):
        texts = tuple(note.text for note in notes)
        sections.append(Section(say("loss.section-notes"), texts))
    meanings = [say("loss.definitions")] if loss is not None else []
    meanings += [say("loss.definitions-app")] if apps else []
    sections.append(Section(say("loss.section-definitions"), tuple(meanings)))
    title = say("loss.report-title", base=base)
    return Report(title, tuple(summary), tuple(facts), tuple(sections))


def short(names: Sequence[str]) -> Names:
    """Names without what all of them begin with, as far as whole words go."""
    words = [re.split(r"(?<=[- /])", name) for name in names]
    common = 0
    while len(names) > 1 and all(len(w) > common + 1 for w in words):
        if len({w[common] for w in words}) > 1:
            break
        common += 1
    return {name: "".join(w[common:]) for name, w in zip(names, words, strict=True)}


def front(quants: Sequence[Quant]) -> list[Quant]:
    """Those than which no other is both smaller and nearer to the base, by size."""
    best: list[Quant] = []
    for quant in sorted(quants, key=lambda q: (q.size, _kld(q))):
        if not best or _kld(quant) < _kld(best[-1]):
            best.append(quant)
    return best


def plus_minus(estimate: Estimate, digits: int) -> str:
    """A figure with its error, for people."""
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"


def in_percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def of_share(estimate: Estimate, digits: int = 1) -> str:
    """A share with its error, in percent."""
    return f"{100 * estimate.value:.{digits}f} ± {100 * estimate.error:.{digits}f} %"


def nats(value: float) -> str:
    """A divergence for people: three digits that count."""
    return f"{value:.3g}" if value >= _LEAST else "0"


def divergence(estimate: Estimate) -> str:
    """A divergence with its error, both to the error's second digit."""
    if estimate.value < _LEAST:
        return "0"
    digits = 4
    while digits < 7 and estimate.error < 2 * 10**-digits:
        digits += 1
    return plus_minus(estimate, digits)


def came(outcome: Outcome) -> str:
    """What an output begins with, in one line; "" for none."""
    if outcome.output is None:
        return ""
    text = " ".join(as_text(outcome.output).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _kld(quant: Quant) -> float:
    assert quant.whole is not None
    return quant.whole.kld.value


def _facts(loss: Loss) -> Iterator[tuple[str, str]]:
    yield say("loss.fact-base"), f"{loss.base.name} ({loss.base.type}, {loss.base.bits:.2f} bpw)"
    if loss.texts:
        yield say("loss.fact-texts"), ", ".join(text.name for text in loss.texts)
        yield say("loss.fact-tokens"), f"{sum(text.scored for text in loss.texts):,}"
        yield say("loss.fact-context"), str(loss.context)
    yield say("loss.fact-threads"), str(loss.threads)
    yield say("loss.fact-seconds"), f"{loss.seconds:.0f} s"
    if loss.decoding:
        share = in_percent(loss.comparing / loss.decoding)
        yield say("loss.fact-comparing"), share


def _summary(loss: Loss, measured: Sequence[Quant], names: Names) -> Iterator[str]:
    ordered = sorted(measured, key=_kld)
    ends = [("loss.summary-best", ordered[0])]
    if len(ordered) > 1:
        ends.append(("loss.summary-worst", ordered[-1]))
    for key, quant in ends:
        assert quant.whole is not None
        yield say(
            key,
            name=names[quant.name],
            kld=nats(_kld(quant)),
            same=in_percent(quant.whole.same_top.value),
            share=in_percent(quant.size / loss.base.size, 0),
        )
    if len(ordered) > 2:
        yield say("loss.summary-front", names=", ".join(names[q.name] for q in front(ordered)))


def _divergence(measured: Sequence[Quant], names: Names) -> Iterator[Block]:
    columns = (
        Column(say("loss.head-model")),
        Column(say("loss.head-size"), "bytes"),
        Column(say("loss.head-bits")),
        Column(say("loss.head-fallbacks")),
        Column(say("loss.head-kld"), "nats", strong=True),
        Column("±", "nats"),
        Column(say("loss.head-same"), "percent", strong=True),
        Column(say("loss.head-rms"), "percent", strong=True),
        Column(say("loss.head-delta"), "percent"),
    )
    rows = []
    for quant in measured:
        whole = quant.whole
        assert whole is not None
        rows.append(
            (
                names[quant.name],
                quant.size,
                round(quant.bits, 2),
                _fallbacks(quant),
                whole.kld.value,
                whole.kld.error,
                whole.same_top.value,
                whole.delta_rms.value,
                whole.delta_mean.value,
            )
        )
    best = {id(quant) for quant in front(measured)}
    marked = tuple(i for i, quant in enumerate(measured) if id(quant) in best)
    yield Table(columns, tuple(rows), marked=marked if len(measured) > 2 else ())
    shown = [quant for quant in measured if _kld(quant) >= _LEAST]
    if shown:
        yield _size_and_divergence(shown, names)
    yield _percentiles(measured, names)
    if shown:
        yield _distribution(shown, names)


def _percentiles(measured: Sequence[Quant], names: Names) -> Table:
    known = [("50", "median"), ("90", "90"), ("95", "95"), ("99", "99"), ("99.9", "99.9")]
    known.append(("100", "max"))
    columns = [Column(say("loss.head-model"))]
    columns += [Column(say(f"loss.head-{head}"), "nats") for _, head in known]
    rows: list[tuple[Cell, ...]] = []
    for quant in measured:
        assert quant.whole is not None
        found = quant.whole.percentiles
        rows.append((names[quant.name], *(found[percent] for percent, _ in known)))
    return Table(tuple(columns), tuple(rows), caption=say("loss.caption-percentiles"))


def _size_and_divergence(measured: Sequence[Quant], names: Names) -> Plot:
    points = []
    for quant in measured:
        assert quant.whole is not None
        points.append(Point(quant.size, _kld(quant), names[quant.name], quant.whole.kld.error))
    line = tuple(Point(quant.size, _kld(quant)) for quant in front(measured))
    series = [Series(say("loss.series-models"), tuple(points), "points")]
    if len(line) > 1:
        series.append(Series(say("loss.series-front"), line, "line", faint=True))
    return Plot(
        say("loss.plot-front"),
        Axis(say("loss.axis-size"), "bytes"),
        Axis(say("loss.axis-kld"), "nats", "log"),
        tuple(series),
    )


def _distribution(measured: Sequence[Quant], names: Names) -> Plot:
    series = []
    for quant in measured:
        assert quant.whole is not None
        points = tuple(
            Point(float(percent) / 100, max(value, _LEAST))
            for percent, value in quant.whole.percentiles.items()
        )
        series.append(Series(names[quant.name], points, "line"))
    return Plot(
        say("loss.plot-percentiles"),
        Axis(say("loss.axis-tokens"), "percent"),
        Axis(say("loss.axis-token"), "nats", "log"),
        tuple(series),
    )


def _ability(loss: Loss, names: Names) -> Iterator[Block]:
    columns = [Column(say("loss.head-model"))]
    known = [language for language in LANGUAGES if language in loss.base.tasks]
    if loss.base.whole is not None:
        columns += [
            Column(say("loss.head-perplexity")),
            Column("±"),
            Column(say("loss.head-ratio")),
            Column("±"),
        ]
    if known:
        columns += [Column(say(f"loss.head-tasks-{language}"), "percent") for language in known]
        columns += [
            Column(say("loss.head-tasks"), "percent", strong=True),
            Column("±", "percent"),
            Column(say("loss.head-agree"), "percent"),
        ]
    models: list[Original | Quant] = [loss.base, *loss.quants]
    rows = tuple(_ability_row(model, known, names, texts=bool(loss.texts)) for model in models)
    yield Table(tuple(columns), rows, marked=(0,))
    if known:
        yield Bars(
            say("loss.bars-tasks"),
            (say("loss.part-right"),),
            tuple(
                Bar(
                    names[model.name],
                    (model.tasks[""].share.value,),
                    of_share(model.tasks[""].share),
                )
                for model in models
            ),
            "percent",
            (
                (say("loss.limit-chance"), _CHANCE),
                (say("loss.limit-base"), loss.base.tasks[""].share.value),
            ),
        )


def _ability_row(
    model: Original | Quant, known: Sequence[str], names: Names, *, texts: bool
) -> tuple[Cell, ...]:
    name = names[model.name]
    if isinstance(model, Original):
        name = say("loss.base", name=name)
    row: list[Cell] = [name]
    if texts and model.whole is not None:
        row += [model.whole.perplexity.value, model.whole.perplexity.error]
        if isinstance(model.whole, Divergence):
            row += [model.whole.log_ratio.value, model.whole.log_ratio.error]
        else:
            row += [None, None]
    if known:
        row += [model.tasks[language].share.value for language in known]
        total = model.tasks[""]
        agree = None if total.agree is None else total.agree / total.tasks
        row += [total.share.value, total.share.error, agree]
    return tuple(row)


def _by_text(loss: Loss, names: Names) -> Table:
    columns = (
        Column(say("loss.head-text")),
        Column(say("loss.head-model")),
        Column(say("loss.head-kld"), "nats", strong=True),
        Column("±", "nats"),
        Column(say("loss.head-99"), "nats"),
        Column(say("loss.head-same"), "percent"),
        Column(say("loss.head-rms"), "percent"),
        Column(say("loss.head-perplexity")),
        Column("±"),
    )
    rows: list[tuple[Cell, ...]] = []
    for text in loss.texts:
        base = loss.base.texts[text.name].perplexity
        name = say("loss.base", name=names[loss.base.name])
        rows.append((text.name, name, *([None] * 5), base.value, base.error))
        for quant in loss.quants:
            found = quant.texts[text.name]
            rows.append(
                (
                    text.name,
                    names[quant.name],
                    found.kld.value,
                    found.kld.error,
                    found.percentiles["99"],
                    found.same_top.value,
                    found.delta_rms.value,
                    found.perplexity.value,
                    found.perplexity.error,
                )
            )
    return Table(columns, tuple(rows))


def _fallbacks(quant: Quant) -> str:
    count = sum(fallback.tensors for fallback in quant.fallbacks)
    return f"{count}/{quant.tensors}"


def _app_summary(apps: Sequence[AppRun], names: Names) -> str:
    others = ", ".join(f"{names[run.model]} {in_percent(run.passed.value, 0)}" for run in apps[1:])
    others = others or "–"
    return say("loss.summary-app", base=in_percent(apps[0].passed.value, 0), others=others)


def _app(apps: Sequence[AppRun], names: Names) -> Iterator[Block]:
    columns = (
        Column(say("loss.head-model")),
        Column(say("loss.head-passed"), "percent", strong=True),
        Column("±", "percent"),
        Column(say("loss.head-similarity"), "percent"),
        Column(say("loss.head-identical")),
        Column(say("loss.head-seconds"), "seconds"),
        Column("±", "seconds"),
        Column(say("loss.head-memory"), "bytes"),
    )
    rows = tuple(
        (
            say("loss.base", name=names[run.model]) if i == 0 else names[run.model],
            run.passed.value,
            run.passed.error,
            run.similarity.value if run.similarity is not None else None,
            f"{run.same}/{len(run.outcomes)}" if run.same is not None else None,
            run.seconds.value,
            run.seconds.error,
            run.memory,
        )
        for i, run in enumerate(apps)
    )
    yield Table(columns, rows, marked=(0,))
    failed: list[tuple[Cell, ...]] = [
        (each.name or say("loss.case", line=each.line), names[run.model], each.failure, came(each))
        for run in apps
        for each in run.outcomes
        if not each.passed
    ]
    if failed:
        heads = [say(f"loss.head-{name}") for name in ("case", "model", "failure", "output")]
        yield Table(tuple(map(Column, heads)), tuple(failed))
