"""An app as an SVG picture: cards at the places of the file, curves from handle to handle.

The picture stands alone: no script, no font, no address of anything else; light or dark as the
reader's system is. Every text from the file goes through `_text`, which leaves nothing that XML
or a browser would take for more than text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from millstream import dsl
from millstream.base import say
from millstream.checks import NodeReport, Report
from millstream.cli.picture.layout import HEAD, HEIGHT, ROW, Spot, everything, number, place
from millstream.cli.picture.words import FAIL, about, description, note, way, ways
from millstream.cli.terminal import label, named, width, wrap

MARGIN = 40.0
TITLE = 56.0  # above the picture

# For each kind of node: a colour (on light and on dark ground) and a sign, strokes in 16 by 16.
_KINDS: dict[str, tuple[str, str]] = {
    "start": ("#2563eb", "M5 3l7 5-7 5z"),
    "end": ("#d97706", "M4 4h8v8H4z"),
    "answer": ("#d97706", "M2 3h12v8H8l-3 3v-3H2z"),
    "llm": ("#6d5bd0", "M8 2l1.6 4.4L14 8l-4.4 1.6L8 14l-1.6-4.4L2 8l4.4-1.6z"),
    "agent": ("#6d5bd0", "M3 6h10v7H3zM8 3v3M6 9v1M10 9v1"),
    "question-classifier": ("#15803d", "M2 8h5l5-5M7 8l5 5M12 3h2M12 13h2M7 8h7"),
    "parameter-extractor": ("#6d5bd0", "M2 3h12l-5 6v5l-2-2V9z"),
    "if-else": ("#0e7490", "M2 8h4l4-5h4M6 8l4 5h4"),
    "code": ("#1d4ed8", "M6 4L2 8l4 4M10 4l4 4-4 4"),
    "template-transform": ("#1d4ed8", "M6 2H4v4L2 8l2 2v4h2M10 2h2v4l2 2-2 2v4h-2"),
    "variable-aggregator": ("#1d4ed8", "M2 3h3l3 5h6M2 13h3l3-5"),
    "assigner": ("#1d4ed8", "M3 13l1-4 7-7 3 3-7 7z"),
    "list-operator": ("#1d4ed8", "M3 4h10M3 8h7M3 12h4"),
    "iteration": ("#0891b2", "M13 8a5 5 0 1 1-2-4M11 1v3H8"),
    "loop": ("#0891b2", "M13 8a5 5 0 1 1-2-4M11 1v3H8"),
    "tool": ("#475569", "M10 2a4 4 0 0 0-4 5l-4 4 3 3 4-4a4 4 0 0 0 5-4l-3 1-2-2z"),
    "http-request": ("#7c3aed", "M8 2a6 6 0 1 0 .1 0M2 8h12M8 2c-4 4-4 8 0 12M8 2c4 4 4 8 0 12"),
    "knowledge-retrieval": ("#15803d", "M2 3h5l1 1 1-1h5v10H9l-1 1-1-1H2zM8 4v10"),
    "document-extractor": ("#15803d", "M4 2h5l3 3v9H4zM9 2v3h3M6 8h4M6 11h4"),
    "human-input": ("#b45309", "M8 2a3 3 0 1 0 .1 0M2 14c0-8 12-8 12 0"),
}
_OTHER = ("#64748b", "M8 4a4 4 0 1 0 .1 0")
_SAME = {"iteration-start": "start", "loop-start": "start", "loop-end": "end"}

_NOTES = {
    "blue": "#3b82f6",
    "cyan": "#06b6d4",
    "green": "#22c55e",
    "yellow": "#eab308",
    "pink": "#ec4899",
    "violet": "#8b5cf6",
}
_BADGES = {"as-is": ("good", "M-4 0l3 3 5-6"), "substitute": ("other", "M-4-2h8M-4 2h8")}
_BAD = ("bad", "M-3-3l6 6M3-3l-6 6")

_STYLE = """
svg{--ground:#f4f5f7;--card:#fff;--line:#d5d9e0;--ink:#182230;--soft:#667085;--edge:#98a2b3;
--box:#e6eef7;--good:#16a34a;--other:#d97706;--bad:#dc2626;background:var(--ground);
font-family:system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC","PingFang SC",
"Microsoft YaHei",sans-serif;font-size:12px}
@media (prefers-color-scheme:dark){svg{--ground:#101318;--card:#1b2028;--line:#343b47;
--ink:#e8ebf0;--soft:#98a2b3;--edge:#667085;--box:#161d27;--good:#4ade80;--other:#fbbf24;
--bad:#f87171}}
text{fill:var(--ink)}
.app{font-size:18px;font-weight:600}.t{font-size:13px;font-weight:600}.s{fill:var(--soft)}
.card{fill:var(--card);stroke:var(--line)}.box{fill:var(--box);stroke:var(--line)}
.off{opacity:.45}.e{fill:none;stroke:var(--edge);stroke-width:1.6}.fail{stroke:var(--other);
stroke-dasharray:5 4}.port{fill:var(--edge);stroke:var(--card);stroke-width:1.5}
.arrow{fill:var(--edge)}.icon{fill:none;stroke:#fff;stroke-width:1.5;stroke-linejoin:round;
stroke-linecap:round}.badge{fill:none;stroke:#fff;stroke-width:2;stroke-linecap:round;
stroke-linejoin:round}.good{fill:var(--good)}.other{fill:var(--other)}.bad{fill:var(--bad)}
.note{fill-opacity:.16;stroke-opacity:.5}
"""


def draw(app: dsl.App, report: Report | None = None) -> str:
    """The picture of an app; with a report each node wears its verdict."""
    spots = place(app.graph)
    every = everything(spots)
    notes = list(_notes(app))
    left, top, right, bottom = _extent(every, [box for box, _, _ in notes])
    verdicts = {node.id: node for node in report.nodes} if report else {}
    wide, high = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN + TITLE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(wide)} {_n(high)}" '
        f'width="{_n(wide)}" height="{_n(high)}" role="img">',
        f"<title>{_text(app.name)}</title>",
        f"<style>{_STYLE}</style>",
        *_header(app, report),
        f'<g transform="translate({_n(MARGIN - left)} {_n(MARGIN + TITLE - top)})">',
        *(line for box, color, text in notes for line in _note(box, color, text)),
        *_level(spots, app.graph.edges, verdicts),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _level(
    spots: list[Spot], edges: list[dsl.Edge], verdicts: Mapping[str, NodeReport]
) -> Iterator[str]:
    """The edges of a level below its nodes, each container with its own level inside."""
    by_id = {spot.node.id: spot for spot in spots}
    for edge in edges:
        source, target = by_id.get(edge.source), by_id.get(edge.target)
        if source is not None and target is not None:
            yield _edge(source, target, edge.handle)
    for spot in spots:
        yield from _card(spot, verdicts.get(spot.node.id))
        if spot.inside:
            yield from _level(spot.inside, edges, verdicts)


def _header(app: dsl.App, report: Report | None) -> Iterator[str]:
    count = len(app.graph.nodes)
    facts = [app.mode, say("cli.show.nodes", count=count)] + ([report.headline] if report else [])
    yield f'<text class="app" x="{_n(MARGIN)}" y="44">{_text(app.name)}</text>'
    yield f'<text class="s" x="{_n(MARGIN)}" y="64">{_text(" · ".join(facts))}</text>'


def _card(spot: Spot, report: NodeReport | None) -> Iterator[str]:
    node = spot.node
    color, sign = _KINDS.get(_SAME.get(node.type, node.type), _OTHER)
    off = " off" if report is not None and not report.reachable else ""
    yield f'<g class="node{off}" transform="translate({_n(spot.x)} {_n(spot.y)})">'
    yield f"<title>{_text(_tooltip(node, report), lines=True)}</title>"
    kind = "box" if spot.inside else "card"
    size = f'width="{_n(spot.width)}" height="{_n(spot.height)}"'
    yield f'<rect class="{kind}" {size} rx="12"/>'
    small = node.type in ("iteration-start", "loop-start")
    yield (
        f'<rect x="12" y="12" width="24" height="24" rx="7" fill="{color}"/>'
        if not small
        else (f'<rect x="10" y="10" width="24" height="24" rx="7" fill="{color}"/>')
    )
    at = 14 if small else 16
    yield f'<path class="icon" transform="translate({at} {at})" d="{sign}"/>'
    if not small:
        room = spot.width - 46 - (30 if report else 10)
        yield f'<text class="t" x="44" y="23">{_fitted(node.title or node.id, room, 13)}</text>'
        facts = " · ".join(filter(None, (node.type, about(node))))
        yield f'<text class="s" x="44" y="40">{_fitted(facts, spot.width - 56, 12)}</text>'
        if not spot.inside:
            yield from _rows(spot)
    yield from _ports(spot)
    if report is not None and not small:
        yield from _badge(spot, report)
    yield "</g>"


def _rows(spot: Spot) -> Iterator[str]:
    """The names of the ways out, each at its handle."""
    named = [(handle, name) for handle, name in ways(spot.node) if name]
    for row, (handle, name) in enumerate(named):
        y = HEIGHT - 4 + ROW * (row + 0.5) + 4
        css = "s" if handle == FAIL else ""
        text = _fitted(name, spot.width - 32, 12)
        at = f'x="{_n(spot.width - 14)}" y="{_n(y)}"'
        yield f'<text class="{css}" {at} text-anchor="end">{text}</text>'


def _ports(spot: Spot) -> Iterator[str]:
    points = {spot.way_out(handle) for handle, _ in ways(spot.node)}
    if spot.node.type in ("end", "loop-end"):
        points = set()
    for x, y in sorted(points):
        yield f'<circle class="port" cx="{_n(x - spot.x)}" cy="{_n(y - spot.y)}" r="4"/>'


def _badge(spot: Spot, report: NodeReport) -> Iterator[str]:
    css, sign = _BADGES.get(report.verdict, _BAD)
    yield f'<g transform="translate({_n(spot.width - 18)} 18)">'
    yield f'<circle class="{css}" r="9"/><path class="badge" d="{sign}"/></g>'


def _tooltip(node: dsl.Node, report: NodeReport | None) -> str:
    lines = [f"{label(node.title) or label(node.id)} ({label(node.type)}, {label(node.id)})"]
    lines.append(description(node))
    if report is not None:
        lines.append(say(f"cli.check.{report.verdict}"))
        if not report.reachable:
            lines.append(say("cli.check.unreached"))
        for found in report.findings:
            met = named(found.wanted) + (f" → {found.used}" if found.used else "")
            lines += [": ".join(filter(None, (met, found.why))), found.next]
        for problem in report.problems:
            lines += [problem["message"], problem.get("next", "")]
    return "\n".join(filter(None, lines))


def _edge(source: Spot, target: Spot, handle: str) -> str:
    (x1, y1), (x2, y2) = source.way_out(handle), target.way_in
    x2 -= 8  # the arrow's own length
    bend = max(40.0, abs(x2 - x1) / 2) if x2 > x1 else min(140.0, 40.0 + (x1 - x2) / 3)
    curve = (
        f"M{_n(x1)} {_n(y1)}C{_n(x1 + bend)} {_n(y1)} {_n(x2 - bend)} {_n(y2)} {_n(x2)} {_n(y2)}"
    )
    css = "e fail" if handle == FAIL else "e"
    arrow = f"M{_n(x2)} {_n(y2 - 4)}l8 4-8 4z"
    name = way(source.node, handle)
    tip = f"<title>{_text(name)}</title>" if name else ""
    return f'<g>{tip}<path class="{css}" d="{curve}"/><path class="arrow" d="{arrow}"/></g>'


# ------------------------------------------------------------------------------------------- notes

Box = tuple[float, float, float, float]


def _notes(app: dsl.App) -> Iterator[tuple[Box, str, str]]:
    for raw in app.graph.notes:
        position, data = raw.get("position"), raw.get("data")
        data = data if isinstance(data, dict) else {}
        if not isinstance(position, dict):
            continue
        x, y = position.get("x"), position.get("y")
        wide = raw.get("width") or data.get("width") or 240
        high = raw.get("height") or data.get("height") or 90
        box = [v for v in map(number, (x, y, wide, high)) if v is not None]
        if len(box) == 4:
            color = _NOTES.get(str(data.get("theme")), _NOTES["yellow"])
            yield (box[0], box[1], max(60.0, box[2]), max(30.0, box[3])), color, note(raw)


def _note(box: Box, color: str, text: str) -> Iterator[str]:
    x, y, wide, high = box
    yield f'<g transform="translate({_n(x)} {_n(y)})"><title>{_text(text, lines=True)}</title>'
    size = f'width="{_n(wide)}" height="{_n(high)}"'
    yield f'<rect class="note" {size} rx="10" fill="{color}" stroke="{color}"/>'
    columns = max(8, int((wide - 24) / 6.4))
    lines = [line for paragraph in text.splitlines() for line in wrap(label(paragraph), columns)]
    for row, line in enumerate(lines[: max(1, int((high - 14) / 16))]):
        yield f'<text x="12" y="{22 + 16 * row}">{_text(line)}</text>'
    yield "</g>"


# --------------------------------------------------------------------------------- the small print


def _extent(spots: list[Spot], notes: list[Box]) -> Box:
    """Left, top, right and bottom of everything."""
    boxes = [(s.x, s.y, s.x + s.width, s.y + s.height) for s in spots]
    boxes += [(x, y, x + wide, y + high) for x, y, wide, high in notes]
    if not boxes:
        return 0.0, 0.0, 400.0, HEAD
    lows, highs = list(zip(*boxes, strict=True))[:2], list(zip(*boxes, strict=True))[2:]
    return min(lows[0]), min(lows[1]), max(highs[0]), max(highs[1])


_NOT_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(text: str, *, lines: bool = False) -> str:
    """Text of unknown origin between two tags."""
    if lines:
        text = "\n".join(map(label, text.splitlines()))
    else:
        text = label(text)
    return escape(_NOT_XML.sub("\ufffd", text), {'"': "&quot;", "'": "&#39;"})


def _fitted(text: str, room: float, size: float) -> str:
    """As much of a text as fits into a length, by the usual widths of letters."""
    text = label(text)
    columns = max(1, int(room / (size * 0.54)))
    if width(text) <= columns:
        return _text(text)
    kept, used = "", 1
    for char in text:
        used += width(char)
        if used > columns:
            break
        kept += char
    return _text(kept.rstrip() + "…")


def _n(value: float) -> str:
    """A number as short as it can be written."""
    return f"{value:.1f}".removesuffix(".0")
