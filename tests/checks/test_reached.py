"""What is never reached is what no way leads to, and not what waits for a node that is wrong."""

from __future__ import annotations

import json
from typing import Any

from canned import document, edges, end, node, start
from millstream import loads
from millstream.checks import needs, report


def unreached(nodes: list[dict[str, Any]], *ways: str) -> set[str]:
    found = report(loads(json.dumps(document(nodes, edges(*ways)))).plan, ())
    return {node.id for node in found.nodes if not node.reachable}


def test_behind_a_node_that_is_wrong() -> None:
    wrong = node("llm", "llm", model=3, prompt_template=[])
    assert unreached([start("x"), wrong, end(o="llm.text")], "start>llm", "llm>end") == set()
    assert unreached([start("x"), wrong, end(o="llm.text")], "start>end") == {"llm"}


def test_what_nodes_behind_a_wrong_one_need_is_told_all_the_same() -> None:
    model = {"provider": "openai", "name": "gpt-4o", "mode": "chat", "completion_params": {}}
    behind = [
        node("code", "code", code_language="cobol", code="x", variables=[], outputs={}),
        node("llm", "llm", model=model, prompt_template=[{"role": "user", "text": "hi"}]),
        node("later", "loop"),
    ]
    for first, whole in ((3, False), (model, True)):
        wrong = node("wrong", "llm", model=first, prompt_template=[])
        ways = ("start>wrong", "wrong>code", "code>llm", "llm>later", "later>end")
        nodes = [start("x"), wrong, *behind, end(o="llm.text")]
        plan = loads(json.dumps(document(nodes, edges(*ways)))).plan
        needed = {need.node for need in needs(plan)} - {"wrong"}
        assert needed == {"code", "llm", "later"}, whole


def test_what_a_node_needs_that_no_way_leads_to_is_nobodys_concern() -> None:
    wrong = node("wrong", "llm", model=3, prompt_template=[])
    alone = node("alone", "code", code_language="cobol", code="x", variables=[], outputs={})
    plan = loads(
        json.dumps(document([start("x"), wrong, alone, end()], edges("start>wrong", "wrong>end")))
    ).plan
    assert needs(plan) == []
    found = {each.id: each for each in report(plan, ()).nodes}
    assert found["alone"].verdict == "as-is"
    assert not found["alone"].reachable


def test_what_is_inside_of_what_is_never_reached() -> None:
    inside = [node("first", "iteration-start", "each"), node("t", "template-transform", "each")]
    each = node("each", "iteration", start_node_id="first", iterator_selector=["start", "x"])
    nodes = [start("x"), each, *inside, end(o="start.x")]
    assert unreached(nodes, "start>end", "first>t") == {"each", "first", "t"}
    assert unreached(nodes, "start>each", "each>end", "first>t") == set()


def test_without_a_start_nothing_is_reached() -> None:
    assert unreached([node("t", "template-transform", template=""), end()], "t>end") == {"t", "end"}
