"""What a report says, before it has a form: sections of sentences, tables and charts.

Every command of the lab makes its report of these, with sentences from the catalogue, so that one
renderer (`html`) gives all reports their look. Numbers stay numbers here, in base units (bytes,
seconds, tokens a second); how many digits a person sees is the renderer's business.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Unit = Literal[
    "bytes", "seconds", "tokens/s", "percent", "nats", "flop/s", "flop/byte", "count", ""
]
Scale = Literal["linear", "log"]
Cell = str | int | float | None


class Column(msgspec.Struct, frozen=True):
    """A column of a table. unit: of its numbers. strong: the column that the table is about."""

    title: str
    unit: Unit = ""
    strong: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows of texts and numbers; None is a dash. marked: rows that stand out, by index."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    marked: tuple[int, ...] = ()


class Bar(msgspec.Struct, frozen=True):
    """A bar made of parts: one number for each of the chart's parts."""

    label: str
    values: tuple[float, ...]
    note: str = ""


class Bars(msgspec.Struct, frozen=True):
    """Stacked bars. parts: what the pieces of every bar are. limits: lines across, with names
    (what is free, what a rule says)."""

    title: str
    parts: tuple[str, ...]
    bars: tuple[Bar, ...]
    unit: Unit
    limits: tuple[tuple[str, float], ...] = ()


class Axis(msgspec.Struct, frozen=True):
    """What an axis measures."""

    title: str
    unit: Unit = ""
    scale: Scale = "linear"


class Point(msgspec.Struct, frozen=True):
    """A place in a plot. spread: how far y goes up and down. label: written beside it."""

    x: float
    y: float
    label: str = ""
    spread: float = 0.0


class Series(msgspec.Struct, frozen=True):
    """Points that belong together. form: points only, joined by a line, or steps (a cumulative
    distribution). faint: in the background (a bound, a rule)."""

    name: str
    points: tuple[Point, ...]
    form: Literal["points", "line", "steps"] = "line"
    faint: bool = False


class Plot(msgspec.Struct, frozen=True):
    """Series over two axes: speed by context, a Pareto front, a distribution, a roofline."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]


Block = str | Table | Bars | Plot


class Section(msgspec.Struct, frozen=True):
    """A part of a report. blocks: paragraphs (plain text), tables and charts in their order."""

    heading: str
    blocks: tuple[Block, ...]


class Report(msgspec.Struct, frozen=True):
    """A whole report. facts: what was looked at and where (name and value), in its head. summary:
    what a reader in a hurry takes away."""

    title: str
    summary: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
