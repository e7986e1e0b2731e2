"""Plans for the engine's own tests, drawn from few words and nodes of the test's making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millstream import dsl
from millstream.base import Place
from millstream.engine import Node, Plan, compile


def box(id: str, type: str, parent: str | None = None, **data: Any) -> dict[str, Any]:
    """A node: its id, its type, the container that it is in, its data."""
    return {"id": id, "type": type, "parent": parent, "data": data}


def drawn(
    registry: Mapping[str, type[Node[Any]]], boxes: Sequence[dict[str, Any]], ways: Sequence[str]
) -> Plan:
    """A plan of boxes and edges such as "a>b" or "a:fail-branch>b"."""
    place = Place(file="drawn.yml")
    nodes = [
        dsl.Node(
            item["id"],
            item["type"],
            f"The {item['id']}",
            {"data": item["data"]},
            place,
            msgspec.convert(item["data"], registry[item["type"]].Data),
            item["parent"],
        )
        for item in boxes
    ]
    edges = []
    for way in ways:
        source, target = way.split(">")
        source, _, handle = source.partition(":")
        edges.append(dsl.Edge(way, source, target, handle or "source", {}, place))
    graph = dsl.Graph(nodes=nodes, edges=edges)
    app = dsl.App("drawn.yml", "drawn", "workflow", {}, None, graph=graph)  # type: ignore[arg-type]
    return compile(app, registry)
