"""Texts of unknown origin on a page, how wide they are, and the signs of a chart's series."""

from __future__ import annotations

import re
import unicodedata
from xml.sax.saxutils import escape

_NOT_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # they reorder what follows
_NARROW, _BROAD = frozenset("iljtfrI.,:;'|!()[]·- "), frozenset("mwMW@%—")

COLORS = 8  # classes c0 … c7 of the style sheet
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4")
SHAPES = ("disc", "square", "diamond", "up", "down", "ring", "cross", "box")


def ink(text: str) -> str:
    """A text between two tags or in an attribute: nothing of it is markup, no character of it
    steers the page."""
    text = _TURNING.sub("", _NOT_XML.sub("\ufffd", text))
    return escape(text, {'"': "&quot;", "'": "&#39;"})


def breadth(text: str, size: float = 12.0) -> float:
    """How wide a text is at most, in the usual fonts."""
    total = 0.0
    for char in text:
        if unicodedata.east_asian_width(char) in "WF":
            total += 1.0
        elif char in _NARROW:
            total += 0.36
        elif char in _BROAD:
            total += 0.9
        else:
            total += 0.68 if char.isupper() else 0.6
    return total * size


def cut(text: str, room: float, size: float = 12.0) -> str:
    """As much of a text as fits."""
    text = " ".join(_TURNING.sub("", _NOT_XML.sub("\ufffd", text)).split())
    if breadth(text, size) <= room:
        return text
    while text and breadth(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def num(value: float) -> str:
    """A coordinate, as short as it can be written."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def shape(number: int, x: float, y: float, r: float = 4.0) -> str:
    """The sign of a series' points; those of different series differ without colours, too."""
    kind = SHAPES[number % len(SHAPES)]
    css = "m o" if kind in ("ring", "box", "cross") else "m"
    css = f'class="{css} c{number % COLORS}"'
    match kind:
        case "disc" | "ring":
            return f'<circle {css} cx="{num(x)}" cy="{num(y)}" r="{num(r)}"/>'
        case "square" | "box":
            side = f'width="{num(1.8 * r)}" height="{num(1.8 * r)}"'
            return f'<rect {css} x="{num(x - 0.9 * r)}" y="{num(y - 0.9 * r)}" {side}/>'
        case "diamond":
            corners = [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]
        case "up":
            corners = [(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)]
        case "down":
            corners = [(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)]
        case _:
            corners = [(-0.85, -0.85), (0.85, 0.85), (0.0, 0.0), (-0.85, 0.85), (0.85, -0.85)]
            corners += [(0.0, 0.0)]
    d = "L".join(f"{num(x + r * dx)} {num(y + r * dy)}" for dx, dy in corners)
    return f'<path {css} d="M{d}Z"/>'


def dash(number: int) -> str:
    """The dashes of a series' line."""
    pattern = DASHES[number % len(DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""
