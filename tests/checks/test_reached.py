"""What is never reached is what no way leads to, and not what waits for a node that is wrong."""

from __future__ import annotations

import json
from typing import Any

from canned import document, edges, end, node, start
from millstream import loads
from millstream.checks import report


def unreached(nodes: list[dict[str, Any]], *ways: str) -> set[str]:
    found = report(loads(json.dumps(document(nodes, edges(*ways)))).plan, ())
    return {node.id for node in found.nodes if not node.reachable}


def test_behind_a_node_that_is_wrong() -> None:
    wrong = node("llm", "llm", model=3, prompt_template=[])
    assert unreached([start("x"), wrong, end(o="llm.text")], "start>llm", "llm>end") == set()
    assert unreached([start("x"), wrong, end(o="llm.text")], "start>end") == {"llm"}


def test_what_is_inside_of_what_is_never_reached() -> None:
    inside = [node("first", "iteration-start", "each"), node("t", "template-transform", "each")]
    each = node("each", "iteration", start_node_id="first", iterator_selector=["start", "x"])
    nodes = [start("x"), each, *inside, end(o="start.x")]
    assert unreached(nodes, "start>end", "first>t") == {"each", "first", "t"}
    assert unreached(nodes, "start>each", "each>end", "first>t") == set()


def test_without_a_start_nothing_is_reached() -> None:
    assert unreached([node("t", "template-transform", template=""), end()], "t>end") == {"t", "end"}
