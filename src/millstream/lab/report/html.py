"""A report as one HTML file that needs nothing else: no script, no font, no address, no network.

It is well-formed XML, too. Every text goes through `ink`, so that a model's name is never more
than a name, and a policy in the head forbids a browser to load or run anything at all. Each chart
is there in two widths, of which the style sheet shows one, with its numbers in a table below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from millstream.base import BadInput, Failed, language, say
from millstream.home import files
from millstream.lab.report.chart import bars, drawable, plot
from millstream.lab.report.document import (
    Bars,
    Block,
    Cell,
    Column,
    Plot,
    Report,
    Section,
    Series,
    Table,
)
from millstream.lab.report.figures import NONE, cell, head_unit
from millstream.lab.report.ink import COLORS, dash, ink, shape
from millstream.lab.report.look import STYLE

WIDE, NARROW = 816.0, 360.0
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MADE_BY = '<meta name="generator" content="Millstream'
_HEAD = 2000  # bytes, in which that stands
_MANY = 40  # rows of a chart's table
_SHORT = 18  # letters of a cell that isn't broken
_SECTIONS = 3  # from which on a table of contents is of use
_NUMERIC = re.compile(r"[~≈<>≤≥+−±-]?\s*\d")
_UNIT = re.compile(r"(?<=\d) (?=[%×]|(?:[kMGTP]?B|ms|µs|s|[kMGTP]?FLOP/s|tokens/s)(?!\w))")
_TAGS = {"en": "en", "zh": "zh-Hans"}


def render(report: Report) -> str:
    """The report as a page, in the language of messages."""
    from millstream import __version__

    sections = "".join(_section(n, each) for n, each in enumerate(report.sections, 1))
    footer = say("report.footer", version=__version__)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="{_TAGS[language()]}" xmlns="http://www.w3.org/1999/xhtml">',
            "<head>",
            '<meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{ink(_POLICY)}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            '<meta name="color-scheme" content="light dark"/>',
            f'{_MADE_BY} {ink(__version__)}"/>',
            f"<title>{ink(report.title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<main>{_header(report)}{sections}</main>",
            f"<footer>{ink(footer)}</footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


def write(report: Report, path: Path) -> None:
    """Render into a file (`files.put`). Raises Failed where it can't be written."""
    text = render(report)
    try:
        _keep(path)
        files.put(path, text.encode(errors="replace"))
    except (Failed, OSError, ValueError) as error:
        raise Failed("report.cannot-write", file=str(path), reason=files.reason(error)) from None


def check(path: Path) -> None:
    """Say before the work that its report will have no place, or would take that of something
    else. Raises BadInput."""
    try:
        reason = files.refusal(path)
        if not reason:
            _keep(path)
    except (OSError, ValueError) as error:
        reason = files.reason(error)
    if reason:
        raise BadInput("report.cannot-write", file=str(path), reason=reason)


def _keep(path: Path) -> None:
    """Raises BadInput for a file that is there and is no report: a model or an app, named by
    mistake."""
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        if head and _MADE_BY.encode() not in head:
            raise BadInput("report.not-a-report", file=str(path))


# ---------------------------------------------------------------------------------------- the parts


def _header(report: Report) -> str:
    parts = [f"<header><h1>{ink(report.title)}</h1>"]
    if report.summary:
        points = "".join(f"<li>{_prose(each)}</li>" for each in report.summary)
        parts.append(f'<ul class="short" aria-label="{ink(say("report.summary"))}">{points}</ul>')
    if report.facts:
        pairs = (
            f"<div><dt>{ink(n)}</dt><dd>{ink(value) or NONE}</dd></div>"
            for n, value in report.facts
        )
        parts.append(f'<dl class="facts">{"".join(pairs)}</dl>')
    if len(report.sections) >= _SECTIONS:
        links = "".join(
            f'<li><a href="#s{number}">{ink(each.heading)}</a></li>'
            for number, each in enumerate(report.sections, 1)
        )
        parts.append(f'<nav aria-label="{ink(say("report.contents"))}"><ul>{links}</ul></nav>')
    return "".join([*parts, "</header>\n"])


def _section(number: int, section: Section) -> str:
    blocks = "\n".join(_block(each) for each in section.blocks)
    head = f'<h2 id="h{number}">{ink(section.heading)}</h2>'
    return f'<section id="s{number}" aria-labelledby="h{number}">{head}\n{blocks}</section>\n'


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Bars():
            return _bars(block)
        case Plot():
            return _plot(block)
        case _:
            return "".join(f"<p>{_prose(line)}</p>" for line in block.split("\n") if line.strip())


def _prose(text: str) -> str:
    """A sentence in which no number is parted from its unit."""
    return _UNIT.sub("\u00a0", ink(text))


def _table(table: Table) -> str:
    right = [_numeric(table, number) for number in range(len(table.columns))]
    heads = "".join(_head(c, right=right[i]) for i, c in enumerate(table.columns))
    rows = "".join(
        _row(row, table, right, marked=number in table.marked)
        for number, row in enumerate(table.rows)
    )
    name = ink(table.caption or ", ".join(column.title for column in table.columns[:2]))
    caption = f"<caption>{ink(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{name}"><table>{caption}'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _numeric(table: Table, number: int) -> bool:
    """Whether a column is one of numbers, which stand at its right. The first one names rows."""
    cells = [row[number] for row in table.rows if number < len(row) and row[number] is not None]
    texts = [each for each in cells if isinstance(each, str)]
    some = number > 0 and (bool(cells) or bool(table.columns[number].unit))
    return some and all(_NUMERIC.match(text) and len(text) < 24 for text in texts)


def _head(column: Column, *, right: bool) -> str:
    css = " ".join(filter(None, ("r" if right else "", "strong" if column.strong else "")))
    unit = head_unit(column.title, column.unit)
    small = f" <small>{ink(unit)}</small>" if unit else ""
    return f'<th scope="col"{_class(css)}>{ink(column.title)}{small}</th>'


def _row(row: Sequence[Cell], table: Table, right: Sequence[bool], *, marked: bool) -> str:
    cells = []
    for number, (column, value) in enumerate(zip(table.columns, row, strict=False)):
        text = ink(cell(value, column.unit))
        if number == 0:
            css = ["x"] if len(text) > _SHORT else []
            css += ["strong"] if column.strong else []
            cells.append(f'<th scope="row"{_class(" ".join(css))}>{text}</th>')
            continue
        css = ["r" if right[number] else "t" if len(text) > _SHORT else "k"]
        css += ["strong"] if column.strong else []
        css += ["none"] if value is None else []
        cells.append(f"<td{_class(' '.join(css))}>{text}</td>")
    return f"<tr{_class('marked' if marked else '')}>{''.join(cells)}</tr>"


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


# --------------------------------------------------------------------------------------- the charts


def _bars(chart: Bars) -> str:
    legend = ""
    if len(chart.parts) > 1:
        legend = _legend(
            (f'<rect class="b c{i % COLORS}" y="1" width="14" height="10" rx="1.5"/>', 14, name)
            for i, name in enumerate(chart.parts)
        )
    columns = [Column("")] + [Column(name, chart.unit) for name in chart.parts]
    many = len(chart.parts) > 1
    if many:
        columns.append(Column(say("report.total"), chart.unit, strong=True))
    noted = any(bar.note for bar in chart.bars)
    if noted:
        columns.append(Column(""))
    rows: list[tuple[Cell, ...]] = []
    for bar in chart.bars:
        total: tuple[Cell, ...] = (sum(bar.values),) if many else ()
        note: tuple[Cell, ...] = (bar.note or None,) if noted else ()
        rows.append((bar.label, *bar.values, *total, *note))
    blank: tuple[Cell, ...] = (None,) * (len(columns) - 2)
    for name, value in chart.limits:
        if many:
            middle: tuple[Cell, ...] = (None,) * len(chart.parts)
            rows.append((name, *middle, value, *((None,) if noted else ())))
        else:
            rows.append((name, value, *blank))
    drawn = (bars(chart, WIDE), bars(chart, NARROW)) if chart.bars else ("", "")
    return _figure(chart.title, legend, *drawn, Table(tuple(columns), tuple(rows)), "")


def _plot(chart: Plot) -> str:
    shown = [i for i, each in enumerate(chart.series) if drawable(each, chart)]
    legend = ""
    if len(shown) > 1:
        legend = _legend((*_sample(i, chart.series[i]), chart.series[i].name) for i in shown)
    count = sum(len(each.points) for each in chart.series)
    lost = count - sum(len(drawable(each, chart)) for each in chart.series)
    log = "log" in (chart.x.scale, chart.y.scale)
    note = say("report.not-drawn", count=lost) if lost and log and shown else ""
    table, some = _plot_table(chart)
    if some < count:
        note = "\n".join(filter(None, (note, say("report.numbers-some", shown=some, count=count))))
    return _figure(chart.title, legend, plot(chart, WIDE), plot(chart, NARROW), table, note)


def _plot_table(chart: Plot) -> tuple[Table, int]:
    """The points of a plot, thinned evenly where they are very many, and how many are there."""
    names, spread = len(chart.series) > 1, any(p.spread for s in chart.series for p in s.points)
    labels = any(p.label for s in chart.series for p in s.points)
    columns = [Column(say("report.series"))] if names or not labels else []
    columns += [Column(say("report.label"))] if labels else []
    columns += [Column(chart.x.title, chart.x.unit), Column(chart.y.title, chart.y.unit)]
    columns += [Column(say("report.spread"), chart.y.unit)] if spread else []
    rows: list[tuple[Cell, ...]] = []
    for series in chart.series:
        points = series.points
        if len(points) > _MANY:
            last = len(points) - 1
            points = tuple(points[round(i * last / (_MANY - 1))] for i in range(_MANY))
        for point in points:
            row: list[Cell] = [series.name] if names or not labels else []
            row += [point.label or None] if labels else []
            row += [point.x, point.y]
            row += [point.spread or None] if spread else []
            rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows)), len(rows)


def _sample(number: int, series: Series) -> tuple[str, int]:
    """How a series looks, for the legend, and how wide that is."""
    if series.form == "points":
        return shape(number, 7, 6), 14
    css = "l faint" if series.faint else f"l c{number % COLORS}"
    dashes = ' stroke-dasharray="5 4"' if series.faint else dash(number)
    line = f'<path class="{css}" d="M0 6H26"{dashes}/>'
    sign = series.form == "line" and not series.faint
    return line + (shape(number, 13, 6) if sign else ""), 26


def _legend(samples: Iterable[tuple[str, int, str]]) -> str:
    rows = "".join(
        f'<li><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} 12" width="{wide}" '
        f'height="12" aria-hidden="true">{sample}</svg><span>{ink(name)}</span></li>'
        for sample, wide, name in samples
    )
    return f'<ul class="legend">{rows}</ul>'


def _figure(title: str, legend: str, wide: str, narrow: str, table: Table, note: str) -> str:
    if wide:
        drawn = f'<div class="wide">{_named(wide, "w")}</div>'
        drawn += f'<div class="narrow">{_named(narrow, "n")}</div>'
    else:
        drawn = f'<p class="none">{ink(say("report.nothing"))}</p>'
    more = ""
    if table.rows:
        words = f"<p>{ink(note)}</p>" if note else ""
        open_ = "" if wide else ' open="open"'
        more = f"<details{open_}><summary>{ink(say('report.numbers'))}</summary>{words}"
        more += f"{_table(table)}</details>"
    return f"<figure><figcaption>{ink(title)}</figcaption>{legend}{drawn}{more}</figure>"


def _named(svg: str, css: str) -> str:
    return svg.replace("<svg ", f'<svg class="{css}" ', 1)
