"""Where the nodes of an app stand: as the file says, or in layers where it does not.

Lengths are the canvas' own units. A level (the app's own graph, or a container's inside) of which
any node has no usable position, or the same as another, is laid out anew, from left to right: a
node stands one column after the last of those that lead to it, and beside them as far as there is
room.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millstream import dsl
from millstream.cli.picture.words import ways

WIDTH, HEIGHT = 244.0, 58.0  # of a node that says nothing of its size
ROW = 24.0  # of a way out that has a name
HEAD = 56.0  # above the children of a container
EDGE = 24.0  # around them
GAP_X, GAP_Y = 90.0, 36.0
FAR = 1e5  # a position further out than this is a slip, or meant to harm


class Spot(msgspec.Struct):
    """A node's place: upper left corner and size, in units of the whole picture."""

    node: dsl.Node
    x: float
    y: float
    width: float
    height: float
    inside: list[Spot] = []

    @property
    def way_in(self) -> tuple[float, float]:
        """Where edges arrive."""
        return self.x, self.y + min(28.0, self.height / 2)

    def way_out(self, handle: str) -> tuple[float, float]:
        """Where edges of a handle leave."""
        named = [known for known, name in ways(self.node) if name]
        if handle in named and not self.inside:
            first = self.y + HEIGHT - 4
            return self.x + self.width, first + ROW * (named.index(handle) + 0.5)
        return self.x + self.width, self.y + min(28.0, self.height / 2)


def place(graph: dsl.Graph) -> list[Spot]:
    """Every node of the outermost level, with those inside of it."""
    levels: dict[str | None, list[dsl.Node]] = defaultdict(list)
    seen: set[str] = set()
    for node in graph.nodes:
        if node.id not in seen:
            seen.add(node.id)
            levels[node.parent].append(node)
    return _level(levels, graph.edges, None)


def everything(spots: Sequence[Spot]) -> list[Spot]:
    """All nodes, containers before what is in them."""
    found = []
    waiting = list(reversed(spots))
    while waiting:
        spot = waiting.pop()
        found.append(spot)
        waiting.extend(reversed(spot.inside))
    return found


def _level(
    levels: Mapping[str | None, list[dsl.Node]], edges: Sequence[dsl.Edge], parent: str | None
) -> list[Spot]:
    """The nodes of a level, relative to their container."""
    spots = []
    for node in levels.get(parent, ()):
        x, y = _position(node) or (math.nan, math.nan)
        inside = _level(levels, edges, node.id)
        width, height = _size(node, inside)
        spots.append(Spot(node, x, y, width, height, inside))
    places = {(spot.x, spot.y) for spot in spots}
    if len(places) < len(spots) or any(math.isnan(spot.x) for spot in spots):
        _layers(spots, edges)
        if parent is not None:
            _shift(spots, EDGE, HEAD)
    for spot in spots:
        _shift(spot.inside, spot.x, spot.y)
    return spots


def _position(node: dsl.Node) -> tuple[float, float] | None:
    raw = node.raw.get("position")
    if not isinstance(raw, dict):
        return None
    x, y = number(raw.get("x")), number(raw.get("y"))
    return None if x is None or y is None else (x, y)


def _size(node: dsl.Node, inside: Sequence[Spot]) -> tuple[float, float]:
    """The width is that of the file, the height what our words need; a container is as large as
    the file says, and no smaller than what is inside."""
    if node.type in ("iteration-start", "loop-start"):
        return 44.0, 44.0
    data = node.raw.get("data")
    inner = data if isinstance(data, dict) else {}
    width = number(node.raw.get("width")) or number(inner.get("width")) or WIDTH
    if not inside:
        named = sum(1 for _, name in ways(node) if name)
        return max(width, 120.0), HEIGHT + ROW * named + (6.0 if named else 0.0)
    height = number(node.raw.get("height")) or number(inner.get("height")) or HEIGHT
    width = max(width, *(spot.x + spot.width + EDGE for spot in inside))
    return width, max(height, *(spot.y + spot.height + EDGE for spot in inside))


def number(value: Any) -> float | None:
    """A usable length or place; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FAR:
        return None
    return float(value)


def _shift(spots: Sequence[Spot], x: float, y: float) -> None:
    for spot in everything(spots):
        spot.x += x
        spot.y += y


# ------------------------------------------------------------------------------------------ layers


def _layers(spots: Sequence[Spot], edges: Sequence[dsl.Edge]) -> None:
    """Give every spot of a level a place of its own."""
    by_id = {spot.node.id: spot for spot in spots}
    after: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if edge.source in by_id and edge.target in by_id and edge.target not in after[edge.source]:
            after[edge.source].append(edge.target)
    ranks = rank(list(by_id), after)
    columns: dict[int, list[Spot]] = defaultdict(list)
    for spot in spots:
        columns[ranks[spot.node.id]].append(spot)
    before: dict[str, list[str]] = defaultdict(list)
    for source, targets in after.items():
        for target in targets:
            before[target].append(source)
    x = 0.0
    middle: dict[str, float] = {}
    for number in sorted(columns):
        column = columns[number]
        order = {spot.node.id: i for i, spot in enumerate(column)}

        def pull(spot: Spot, order: dict[str, int] = order) -> tuple[float, int]:
            """The height to which those before it would have it."""
            known = [middle[id] for id in before[spot.node.id] if id in middle]
            return (sum(known) / len(known) if known else 0.0, order[spot.node.id])

        column.sort(key=pull)
        total = sum(spot.height for spot in column) + GAP_Y * (len(column) - 1)
        pulls = [pull(spot)[0] for spot in column]
        y = sum(pulls) / len(pulls) - total / 2
        for spot in column:
            spot.x, spot.y = x, y
            middle[spot.node.id] = y + spot.height / 2
            y += spot.height + GAP_Y
        x += max(spot.width for spot in column) + GAP_X
    top = min(spot.y for spot in spots)
    for spot in spots:
        spot.y -= top


def rank(ids: Sequence[str], after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """For each node the length of the longest way to it; edges that close a circle do not count.

    Nodes that nothing leads to are 0."""
    state: dict[str, int] = {}  # 1: on the way, 2: done
    order: list[str] = []
    closing: set[tuple[str, str]] = set()
    for root in ids:
        if root in state:
            continue
        state[root] = 1
        way = [(root, iter(after.get(root, ())))]
        while way:
            id, rest = way[-1]
            for target in rest:
                if state.get(target) == 1:
                    closing.add((id, target))
                elif target not in state:
                    state[target] = 1
                    way.append((target, iter(after.get(target, ()))))
                    break
            else:
                state[id] = 2
                order.append(id)
                way.pop()
    ranks = dict.fromkeys(ids, 0)
    for id in reversed(order):
        for target in after.get(id, ()):
            if (id, target) not in closing:
                ranks[target] = max(ranks[target], ranks[id] + 1)
    return ranks
