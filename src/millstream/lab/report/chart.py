"""Charts as SVG inside a page: stacked bars and plots, drawn for one width.

Colours come from the page's style sheet (`look`), light or dark; nothing is told by colour alone.
A chart has no legend of its own: the page sets it as text (`html`), so that long names wrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from millstream.base import say
from millstream.lab.report.axis import GREATEST, LEAST, Ruler, has_place, ruler
from millstream.lab.report.document import Axis, Bar, Bars, Plot, Point, Series
from millstream.lab.report.figures import axis_figures, figure, log_figures, log_unit
from millstream.lab.report.ink import COLORS, breadth, cut, dash, ink, num, shape

_FAR = 4.0  # times the longest bar: a limit that is farther gets an arrow at the edge
_SIGNED = 2000  # points that names keep away from
_APART = 3.0  # pixels by which a name is nearer to its own point than to any other
_FAR_OFF = 12.0  # pixels from which on a line leads from a point to its name
_CROWD = 40  # points of a line from which on it has no signs and no whiskers
_LINE = 16.0  # height of a line of text
_NARROW = 500.0  # a width that is a telephone's


def bars(chart: Bars, width: float) -> str:
    """Bars one below the other, and the limits across them. In a wide chart with short names these
    stand before their bars and the sums behind them, else both above."""
    drawn = [Bar(b.label, tuple(_kept(v) for v in b.values), b.note) for b in chart.bars]
    longest = max((sum(bar.values) for bar in drawn), default=0.0)
    limits = [(name, _kept(value)) for name, value in chart.limits if 0 <= value < GREATEST]
    near = [(n, v) for n, v in limits if v <= _FAR * longest or longest == 0]
    far = [(n, v) for n, v in limits if (n, v) not in near]
    names = max((breadth(bar.label, 13) for bar in drawn), default=0.0)
    ends = [_end(bar, chart) for bar in drawn]
    beside = width > _NARROW and names <= 0.35 * width
    left = math.ceil(names) + 14.0 if beside else 0.0
    most = max([longest, *(value for _, value in near)]) or 1.0
    right = _room(drawn, ends, width - left, most) if beside else 8.0
    scale = (width - left - right) / most
    named = [(f"{name} {figure(value, chart.unit)}", value) for name, value in near]
    flags, rows = _flags(named, lambda v: left + v * scale, width)
    top = rows * _LINE + (6 if rows else 0)
    pitch, thick, down = (34.0, 20.0, 0.0) if beside else (50.0, 18.0, 19.0)
    high = top + pitch * len(drawn) + _LINE * len(far)
    parts, texts = [*flags], list[str]()
    for number, (bar, end) in enumerate(zip(drawn, ends, strict=True)):
        y = top + pitch * number + (pitch - thick - down) / 2 + down
        place = (left, y, thick, scale)
        parts += _bar(bar, chart, place)
        texts += _around(bar, end, place, width, beside=beside)
    for _, value in near:
        x = num(left + value * scale)
        line = f'd="M{x} {num(max(0, top - 3))}V{num(top + pitch * len(drawn))}"'
        parts.append(f'<path class="under" {line}/><path class="limit" {line}/>')
    parts += texts
    for number, (name, value) in enumerate(far):
        text = say("report.beyond", name=name, value=figure(value, chart.unit)) + " →"
        y = top + pitch * len(drawn) + _LINE * (number + 0.8)
        parts.append(_text(text, width, y, "s", "end", width))
    return _svg(parts, width, max(high, 1.0), about_bars(chart))


def _end(bar: Bar, chart: Bars) -> str:
    """What stands behind a bar."""
    total = figure(sum(bar.values), chart.unit)
    if not bar.note:
        return total
    return bar.note if len(chart.parts) == 1 else f"{total} · {bar.note}"


def _room(drawn: Sequence[Bar], ends: Sequence[str], width: float, most: float) -> float:
    """How much the texts behind the bars need on the right of the scale."""
    room = 8.0
    for bar, end in zip(drawn, ends, strict=True):
        share = min(1.0, sum(bar.values) / most)
        text = min(breadth(end) + 10, 0.45 * width)
        # With r on the right, the bar ends at share * (width - r) and the text must fit behind.
        if share * (width - room) + text > width:
            room = max(room, width - (width - text) / share)
    return min(room, 0.5 * width)


_Place = tuple[float, float, float, float]  # left, top, thickness, pixels for a unit


def _bar(bar: Bar, chart: Bars, place: _Place) -> Iterator[str]:
    left, y, thick, scale = place
    x = left
    for number, value in enumerate(bar.values):
        if value <= 0:
            continue
        long = value * scale
        name = chart.parts[number] if number < len(chart.parts) else ""
        words = figure(value, chart.unit)
        tip = ink(f"{bar.label} · {name}: {words}")
        box = f'x="{num(x)}" y="{num(y)}" width="{num(max(0.6, long - 1))}" height="{num(thick)}"'
        yield f'<rect class="b c{number % COLORS}" {box} rx="1.5"><title>{tip}</title></rect>'
        if len(chart.parts) > 1 and long > breadth(words, 11) + 10:
            at = f'x="{num(x + 6)}" y="{num(y + thick * 0.7)}"'
            yield f'<text class="in c{number % COLORS}" {at}>{ink(words)}</text>'
        x += long
    yield f'<path class="axis" d="M{num(left)} {num(y - 3)}v{num(thick + 6)}"/>'


def _around(bar: Bar, end: str, place: _Place, width: float, *, beside: bool) -> Iterator[str]:
    """A bar's name and its sum."""
    left, y, thick, scale = place
    room, long = 0.6 * width if bar.label else width, breadth(end)
    if not beside:
        end = cut(end, room)
        box = f'x="0" y="{num(y - 18)}" width="{num(width)}" height="16"'
        yield f'<rect class="back" {box}/>'
        yield _text(bar.label, 0, y - 6, "k", "start", width - breadth(end) - 10, 13)
        yield _text(end, width, y - 6, "s", "end", room)
        return
    yield _text(bar.label, left - 12, y + thick * 0.7, "k", "end", left, 13)
    x = left + sum(bar.values) * scale + 6
    box = f'x="{num(x - 2)}" y="{num(y + 2)}" width="{num(long + 2)}" height="{num(thick - 4)}"'
    yield f'<rect class="back" {box}/>'
    yield _text(end, x, y + thick * 0.7, "s", "start", width - x)


def _flags(
    limits: Sequence[tuple[str, float]], at: Callable[[float], float], width: float
) -> tuple[list[str], int]:
    """The names of limits above their lines, in as many rows as keep them apart."""
    rows: list[list[tuple[float, float]]] = []
    parts = []
    for name, value in sorted(limits, key=lambda limit: limit[1]):
        text = cut(name, 0.9 * width)
        long = breadth(text)
        start = min(max(0.0, at(value) - long / 2), width - long)
        row = 0
        while row < len(rows) and any(start < b + 8 and a - 8 < start + long for a, b in rows[row]):
            row += 1
        rows += [[]] if row == len(rows) else []
        rows[row].append((start, start + long))
        y = num(_LINE * (row + 0.8))
        parts.append(f'<text class="s" x="{num(start)}" y="{y}">{ink(text)}</text>')
    return parts, len(rows)


# ------------------------------------------------------------------------------------------- plots


def plot(chart: Plot, width: float) -> str:
    """Series over two axes."""
    series = [(i, drawable(each, chart)) for i, each in enumerate(chart.series)]
    points = [p for _, each in series for p in each]
    if not points:
        return ""
    high = 372.0 if width > _NARROW else 300.0
    ys = [y for p in points for y in _reach(p, chart.y)]
    top, bottom = 30.0, high - 46
    y = ruler(ys, chart.y.scale, bottom, top, whole=chart.y.unit == "count")
    y_texts, y_title = _words(y, chart.y)
    left = math.ceil(max(breadth(text) for text in y_texts)) + 12.0
    wanted = 6 if width > _NARROW else 4
    xs, whole = [p.x for p in points], chart.x.unit == "count"
    x = ruler(xs, chart.x.scale, left, width - 18, wanted=wanted, whole=whole)
    x_texts, x_title = _words(x, chart.x)
    parts = [*_grid(x, y, x_texts, y_texts, width, high)]
    parts.append(_text(y_title, 0, 12, "s", "start", width))
    parts.append(_text(x_title, width - 4, high - 6, "s", "end", width))
    signed = [
        (x.at(p.x), y.at(p.y)) for i, each in series if not chart.series[i].faint for p in each
    ][:_SIGNED]
    taken = [(px - 5, py - 5, px + 5, py + 5) for px, py in signed]
    crossed = [
        dot for i, each in series if chart.series[i].form == "line" for dot in _dots(each, x, y)
    ]
    signs: list[str] = []
    labels: list[str] = []
    order = sorted(series, key=lambda each: not chart.series[each[0]].faint)
    for i, some in order:
        if some:
            parts += _line(i, chart.series[i], some, x, y)
            signs += _signs(i, chart, some, x, y)
            labels += _labels(some, x, y, signed, taken, crossed)
    return _svg([*parts, *signs, *labels], width, high, about_plot(chart))


def drawable(series: Series, chart: Plot) -> list[Point]:
    """The points that have a place in a plot."""
    return [p for p in series.points if has_place(p.x, chart.x) and has_place(p.y, chart.y)]


def _reach(point: Point, axis: Axis) -> Iterator[float]:
    """A point's value, and where its spread ends: no quantity with a unit falls below 0."""
    yield point.y
    if 0 < point.spread < GREATEST:
        yield point.y + point.spread
        low = point.y - point.spread
        low = max(low, 0.0) if axis.unit and point.y >= 0 else low
        if has_place(low, axis):
            yield low


def _words(on: Ruler, axis: Axis) -> tuple[list[str], str]:
    """The texts at an axis's ticks, and what it measures, in which unit."""
    if axis.scale == "log":
        texts, unit = log_figures(on.ticks, axis.unit), log_unit(axis.unit)
    else:
        texts, unit = axis_figures(on.ticks, axis.unit)
    title = axis.title
    if unit and unit not in title:
        title = say("report.axis", title=title, unit=unit)
    return texts, say("report.log", title=title) if axis.scale == "log" else title


def _grid(
    x: Ruler, y: Ruler, x_texts: list[str], y_texts: list[str], width: float, high: float
) -> Iterator[str]:
    left, right, top, bottom = x.start, x.end, y.end, y.start
    for tick, text in zip(y.ticks, y_texts, strict=True):
        at = num(y.at(tick))
        yield f'<path class="grid" d="M{num(left)} {at}H{num(right)}"/>'
        yield (
            f'<text class="s n" x="{num(left - 8)}" y="{num(y.at(tick) + 4)}" '
            f'text-anchor="end">{ink(text)}</text>'
        )
    free = -math.inf
    for tick, text in zip(x.ticks, x_texts, strict=True):
        middle, half = x.at(tick), breadth(text) / 2
        yield f'<path class="grid" d="M{num(middle)} {num(top)}V{num(bottom + 4)}"/>'
        middle = min(middle, width - half)
        if middle - half >= free:
            free = middle + half + 8
            yield (
                f'<text class="s n" x="{num(middle)}" y="{num(bottom + 18)}" '
                f'text-anchor="middle">{ink(text)}</text>'
            )
    yield f'<path class="axis" d="M{num(left)} {num(bottom)}H{num(right)}"/>'


def _line(number: int, series: Series, some: Sequence[Point], x: Ruler, y: Ruler) -> Iterator[str]:
    if series.form == "points" or len(some) < 2:
        return
    places = [(x.at(p.x), y.at(p.y)) for p in some]
    d = f"M{num(places[0][0])} {num(places[0][1])}"
    if series.form == "steps" and y.ticks[0] == 0:  # nothing is left of the first step
        d = f"M{num(places[0][0])} {num(y.start)}V{num(places[0][1])}"
    for px, py in places[1:]:
        d += f"H{num(px)}V{num(py)}" if series.form == "steps" else f"L{num(px)} {num(py)}"
    css = "l faint" if series.faint else f"l c{number % COLORS}"
    dashes = ' stroke-dasharray="5 4"' if series.faint else dash(number)
    yield f'<path class="{css}" d="{d}"{dashes}><title>{ink(series.name)}</title></path>'


def _signs(number: int, chart: Plot, some: Sequence[Point], x: Ruler, y: Ruler) -> Iterator[str]:
    series = chart.series[number]
    if series.form == "steps" or (series.form == "line" and len(some) > _CROWD):
        return
    if series.faint and series.form == "line":
        return
    for point in some:
        px, py = x.at(point.x), y.at(point.y)
        reach = list(_reach(point, chart.y))
        if len(reach) > 1:
            ends: list[float] = [min(reach), max(reach)]
            up = num(y.at(ends[1]))
            low = num(y.at(ends[0]) if len(reach) == 3 else y.start)
            bar = f"M{num(px)} {low}V{up}M{num(px - 4)} {up}h8"
            bar += f"M{num(px - 4)} {low}h8" if len(reach) == 3 else ""
            yield f'<path class="whisker c{number % COLORS}" d="{bar}"/>'
        words = f"{figure(point.x, chart.x.unit)}, {figure(point.y, chart.y.unit)}"
        if point.spread > 0:
            words += f" ± {figure(point.spread, chart.y.unit)}"
        names = [name for name in (series.name, point.label) if name]
        tip = ink(f"{' · '.join(names)}: {words}")
        yield f"<g>{shape(number, px, py)}<title>{tip}</title></g>"


_Dot = tuple[float, float]
_Box = tuple[float, float, float, float]


def _dots(some: Sequence[Point], x: Ruler, y: Ruler) -> Iterator[_Dot]:
    """Places on a line, some pixels apart."""
    for one, other in pairwise(some[:200]):
        (ax, ay), (bx, by) = (x.at(one.x), y.at(one.y)), (x.at(other.x), y.at(other.y))
        count = int(math.hypot(bx - ax, by - ay) / 6) + 1
        for step in range(count):
            share = step / count
            yield ax + share * (bx - ax), ay + share * (by - ay)


def _labels(
    some: Sequence[Point],
    x: Ruler,
    y: Ruler,
    signed: Sequence[_Dot],
    taken: list[_Box],
    crossed: Sequence[_Dot],
) -> Iterator[str]:
    """Names beside their points, where there is room: no two lie on each other or on a point, each
    is clearly nearest to its own, and on a line only if there is no better place. What finds no
    room is left to the hint of its sign and to the table."""
    for point in some:
        if not point.label:
            continue
        px, py = x.at(point.x), y.at(point.y)
        text = cut(point.label, 0.5 * (x.end - x.start), 11.5)
        wide = breadth(text, 11.5)
        others = [dot for dot in signed if abs(dot[0] - px) > _APART or abs(dot[1] - py) > _APART]
        free = list[tuple[int, int, _Box, float]]()
        for dx, dy in _places(wide):
            box = (px + dx, py + dy - 9, px + dx + wide, py + dy + 3)
            inside = box[0] >= x.start + 1 and box[2] <= x.end + 16 and box[1] >= y.end - 8
            if not inside or box[3] > y.start or any(_over(box, other) for other in taken):
                continue
            own = _off((px, py), box) + _APART
            lead = _lead(px, py, box)
            if lead is not None and any(_over(lead, other) for other in taken):
                continue
            if all(_off(dot, box) >= own for dot in others):
                free.append((sum(_in(dot, box) for dot in crossed), len(free), box, dy))
        if free:
            _, _, box, dy = min(free)
            taken.append(box)
            if (lead := _lead(px, py, box)) is not None:
                taken.append(lead)
                edge = num(lead[1] if dy < 0 else lead[3])
                yield f'<path class="lead" d="M{num(px)} {num(py)}V{edge}"/>'
            yield f'<text class="p" x="{num(box[0])}" y="{num(py + dy)}">{ink(text)}</text>'


def _lead(px: float, py: float, box: _Box) -> _Box | None:
    """Where a line from a point's sign to its name would be; None for a name that is near."""
    if py - box[3] > _FAR_OFF:
        return (px - 1, box[3] + 2, px + 1, py - 6)
    if box[1] - py > _FAR_OFF:
        return (px - 1, py + 6, px + 1, box[1] - 1)
    return None


def _off(dot: _Dot, box: _Box) -> float:
    """How far a place is from a box."""
    return math.hypot(
        max(box[0] - dot[0], 0.0, dot[0] - box[2]), max(box[1] - dot[1], 0.0, dot[1] - box[3])
    )


def _in(dot: _Dot, box: _Box) -> bool:
    return box[0] - 2 <= dot[0] <= box[2] + 2 and box[1] - 2 <= dot[1] <= box[3] + 2


def _places(wide: float) -> Iterator[tuple[float, float]]:
    """Where a text of a width can stand around its point, the best first."""
    half = wide / 2
    yield from ((8, 4), (-wide - 8, 4), (-half, -9), (-half, 18))
    yield from ((5, -7), (-wide - 5, -7), (5, 16), (-wide - 5, 16))
    for step in (1, 2):
        yield from ((-half, -9 - 15 * step), (-half, 18 + 15 * step))


def _over(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# ------------------------------------------------------------------------------------- in words


def about_bars(chart: Bars) -> str:
    """A chart of bars in a sentence or two, for those who don't see it."""
    each = [f"{bar.label}: {_end(bar, chart)}" for bar in chart.bars]
    each += [f"{name}: {figure(value, chart.unit)}" for name, value in chart.limits]
    words = say("report.bars-about", parts=", ".join(chart.parts), bars="; ".join(each))
    return f"{chart.title}. {words}"


def about_plot(chart: Plot) -> str:
    """A plot in some sentences: where each series begins and ends."""
    lines = []
    for series in chart.series:
        some = drawable(series, chart)
        if some:
            ends = {"first": some[0], "last": some[-1]}
            values = {key: figure(p.y, chart.y.unit) for key, p in ends.items()}
            values |= {"start": figure(some[0].x, chart.x.unit)}
            values |= {"end": figure(some[-1].x, chart.x.unit)}
            lines.append(say("report.series-about", name=series.name, **values))
    words = say("report.plot-about", x=chart.x.title, y=chart.y.title, series=" ".join(lines))
    return f"{chart.title}. {words}"


def _kept(value: float) -> float:
    return value if LEAST < value < GREATEST else 0.0


def _text(
    text: str, x: float, y: float, css: str, anchor: str, room: float, size: float = 12.0
) -> str:
    at = f'class="{css}" x="{num(x)}" y="{num(y)}" text-anchor="{anchor}"'
    return f"<text {at}>{ink(cut(text, room, size))}</text>"


def _svg(parts: Sequence[str], width: float, high: float, about: str) -> str:
    size = f'viewBox="0 0 {num(width)} {num(high)}" width="{num(width)}" height="{num(high)}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} preserveAspectRatio="xMinYMin" '
    return "".join([start, f'role="img" aria-label="{ink(about)}">', *parts, "</svg>"])
