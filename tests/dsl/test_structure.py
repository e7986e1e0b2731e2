"""What is wrong or odd in a drawing, said at its place."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.dsl import App, check_structure, container_start, handles, read_file, read_text
from millstream.nodes import REGISTRY

APPS = Path(__file__).parent.parent / "fixtures" / "apps"


def app(nodes: dict[str, Any], *edges: str, mode: str = "workflow") -> App:
    """An app of nodes by id ("type", or data with "parent"), and edges "a>b" or "a:handle>b".
    Every node and edge has a line of its own: nodes from line 5, edges from the one after."""
    lines = [f"app: {{mode: {mode}}}", "workflow:", "  graph:", "    nodes:"]
    for id, data in nodes.items():
        data = {"type": data} if isinstance(data, str) else dict(data)
        node = {"id": id, "parentId": data.pop("parent", None), "data": data}
        lines.append(f"    - {json.dumps(node)}")
    lines.append("    edges:")
    for edge in edges:
        source, target = edge.split(">")
        source, _, handle = source.partition(":")
        drawn = {"source": source, "target": target, "sourceHandle": handle or None}
        lines.append(f"    - {json.dumps(drawn)}")
    return read_text("\n".join(lines), "app.yml", REGISTRY)


def said(app: App) -> list[str]:
    return [f"{p.severity}: {p.place}: {p.message}" for p in check_structure(app)]


@pytest.mark.parametrize("path", sorted(APPS.iterdir()), ids=lambda path: path.name)
def test_nothing_is_wrong_with_the_fixtures(path: Path) -> None:
    assert said(read_file(path, REGISTRY)) == []


def test_duplicate_ids() -> None:
    found = read_text(
        """
app: {mode: workflow}
workflow:
  graph:
    nodes:
    - {id: a, data: {type: start}}
    - {id: b, data: {type: template-transform, title: One}}
    - {id: b, data: {type: template-transform, title: Other}}
    edges:
    - {id: x, source: a, target: b}
    - {id: x, source: a, target: b}
""",
        "app.yml",
        REGISTRY,
    )
    assert said(found) == [
        "error: app.yml:8, node 'Other' (b): two nodes have the id 'b'; the other one is in line 7",
        "warning: app.yml:11: the id 'x' is already that of another edge (line 10)",
    ]


def test_edges_that_lead_nowhere_or_leave_by_no_door() -> None:
    found = app(
        {"a": "start", "if": {"type": "if-else", "title": "Which?", "cases": [{"case_id": True}]}}
        | {"t": "template-transform", "f": {"type": "code", "error_strategy": "fail-branch"}},
        "a>if",
        "a>gone",
        "if:true>t",
        "if:maybe>t",
        "if:false>f",
        "f:fail-branch>t",
        "t:fail-branch>f",
        "t:anything>f",
    )
    assert [line for line in said(found) if "circle" not in line] == [
        "warning: app.yml:11: the edge has an end at the node 'gone', which is not there; "
        "it is ignored",
        "warning: app.yml:13: the edge to 't' is never taken: it leaves 'Which?' by 'maybe', a way "
        "out that it does not have; it has: true, false",
        "warning: app.yml:16: the edge to 'f' is for failures of 't', which has no fail branch: it "
        "is taken like any other edge",
    ]


def test_the_ways_out_of_each_kind_of_node() -> None:
    def ways(**data: Any) -> set[str]:
        return set(handles(app({"n": data}).graph.nodes[0]))

    assert ways(type="llm") == {"source"}
    assert ways(type="llm", error_strategy="fail-branch") == {"source", "fail-branch"}
    assert ways(type="if-else", cases=[{"case_id": True}, {"id": 7}]) == {"true", "7", "false"}
    assert ways(type="if-else", conditions=[]) == {"true", "false"}
    assert ways(type="if-else", cases="broken") == {"false"}
    assert ways(type="question-classifier", classes=[{"id": 1}, {"id": "b"}]) == {"1", "b"}
    assert ways(type="human-input", user_actions=[{"id": "ok"}]) == {
        "source",
        "ok",
        "__timeout",
        "__timeout__",
    }


def test_two_ways_out_of_one_name() -> None:
    classes = [{"id": 1, "name": "a"}, {"id": "2", "name": "b"}, {"id": "1", "name": "c"}]
    found = app({"a": "start", "q": {"type": "question-classifier", "classes": classes}}, "a>q")
    assert said(found) == [
        "warning: app.yml:6, node q: two cases, classes or actions of the node have the id '1'; "
        "only the first is taken"
    ]


def test_a_start_is_needed_and_one_is_enough() -> None:
    assert said(app({})) == ["error: app.yml: the app has no node to start with"]
    assert said(app({"a": "code"})) == ["error: app.yml: the app has no node to start with"]
    two = app({"a": {"type": "start", "title": "First"}, "b": "start", "c": "code"}, "b>c")
    assert said(two) == [
        "warning: app.yml:6, node b: the app begins at 'First'; what follows this other start "
        "does not run",
    ]
    assert said(app({"h": "trigger-webhook", "s": "trigger-schedule"})) == []
    assert said(app({}, mode="chat")) == []
    no_graph = read_text("app: {mode: workflow}", "app.yml", REGISTRY)
    assert check_structure(no_graph) == []  # reading has said it


def test_nodes_that_never_run() -> None:
    found = app(
        {"a": "start", "b": "code", "c": "code", "d": "code"}
        | {"it": "iteration", "s": {"type": "iteration-start", "parent": "it"}}
        | {"in": {"type": "code", "parent": "it"}},
        "a>b",
        "c>d",
    )
    assert [(p.code, p.place.node) for p in check_structure(found)] == [
        ("dsl.unreachable", "c"),
        ("dsl.unreachable", "d"),
        ("dsl.unreachable", "it"),  # and its children are not named singly
    ]


def test_cycles_are_named_by_title() -> None:
    found = app(
        {
            "a": "start",
            "b": {"type": "code", "title": "Write"},
            "c": {"type": "code", "title": "Judge"},
        },
        "a>b",
        "b>c",
        "c>b",
    )
    assert said(found) == [
        "error: app.yml:6, node 'Write' (b): the edges lead round in a circle: "
        "Write → Judge → Write"
    ]
    assert said(app({"a": "start", "b": "code"}, "a>b", "b>b")) == [
        "error: app.yml:6, node b: the edges lead round in a circle: b → b"
    ]
    inside = app(
        {"a": "start", "it": {"type": "iteration", "start_node_id": "s"}}
        | {"s": {"type": "iteration-start", "parent": "it"}}
        | {id: {"type": "code", "parent": "it"} for id in "bc"},
        "a>it",
        "s>b",
        "b>c",
        "c>b",
    )
    assert [(p.severity, p.code) for p in check_structure(inside)] == [("error", "dsl.cycle")]


def test_a_cycle_that_never_runs_does_no_harm() -> None:
    found = check_structure(app({"a": "start", "b": "code", "c": "code"}, "b>c", "c>b"))
    assert [(p.severity, p.code) for p in found] == [
        ("warning", "dsl.unreachable"),
        ("warning", "dsl.unreachable"),
        ("warning", "dsl.cycle"),
    ]


def test_containers_need_a_beginning() -> None:
    container = {"type": "iteration", "title": "Each", "start_node_id": "gone"}
    found = app({"a": "start", "it": container}, "a>it")
    assert said(found) == ["error: app.yml:6, node 'Each' (it): the container has no nodes inside"]
    found = app({"a": "start", "it": container, "x": {"type": "code", "parent": "it"}}, "a>it")
    assert said(found) == [
        "error: app.yml:6, node 'Each' (it): none of the nodes inside of the container is its start"
    ]
    start = {"type": "iteration-start", "title": "Go", "parent": "it"}
    found = app({"a": "start", "it": container, "s": start}, "a>it")
    assert said(found) == [
        "warning: app.yml:6, node 'Each' (it): the container says that it begins at 'gone', "
        "which is not inside of it; it begins at 'Go'"
    ]


def test_a_container_that_never_runs_does_no_harm() -> None:
    found = check_structure(app({"a": "start", "it": "iteration"}))
    assert [(p.severity, p.code) for p in found] == [
        ("warning", "dsl.empty-container"),
        ("warning", "dsl.unreachable"),
    ]


def test_where_containers_begin() -> None:
    old = read_file(APPS / "oldest.yml", REGISTRY)
    each = old.graph.node("3")
    assert each is not None
    inside = [node for node in old.graph.nodes if node.parent == "3"]
    start = container_start(each, inside)
    assert start is not None
    assert start.id == "4"
    del each.raw["data"]["start_node_id"]  # a file older still: the child says it itself
    assert container_start(each, inside) is start


def test_edges_do_not_cross_the_border_of_a_container() -> None:
    found = app(
        {"a": "start", "it": {"type": "loop", "start_node_id": "s"}, "b": "code"}
        | {"s": {"type": "loop-start", "parent": "it"}, "in": {"type": "code", "parent": "it"}},
        "a>it",
        "it>b",
        "s>in",
        "in>b",
    )
    assert said(found) == [
        "warning: app.yml:14: the edge from 'in' to 'b' crosses the border of a container; "
        "it is ignored"
    ]


def test_a_graph_of_ten_thousand_nodes_is_checked() -> None:
    names = [str(i) for i in range(10_000)]
    nodes = {"start": "start", **dict.fromkeys(names, "template-transform")}
    chain = [f"{a}>{b}" for a, b in zip(["start", *names], names, strict=False)]
    assert check_structure(app(nodes, *chain)) == []
    (cycle,) = check_structure(app(nodes, *chain, "9999>0"))
    assert cycle.message.startswith("the edges lead round in a circle: 0 → 1 → 2 → 3 → 4 → 5 → 6")
    assert cycle.message.endswith("7 → … → 0")


ids = st.sampled_from("abcdef")
edges = st.lists(st.tuples(ids, ids).map(">".join), max_size=12)


@given(edges)
def test_a_cycle_is_found_exactly_where_the_graph_has_one(edges: list[str]) -> None:
    after: dict[str, set[str]] = {id: set() for id in "abcdef"}
    for edge in edges:
        after[edge[0]].add(edge[2])
    for middle in after:  # the transitive closure, the slow way
        for start in after:
            if middle in after[start]:
                after[start] |= after[middle]
    round_trips = {id for id in after if id in after[id]}
    found = app({"s": "start", **dict.fromkeys("abcdef", "code")}, "s>a", *edges)
    cycles = [
        p.values["nodes"].split(" → ") for p in check_structure(found) if p.code == "dsl.cycle"
    ]
    named = {id for cycle in cycles for id in cycle}
    assert named <= round_trips
    assert bool(named) == bool(round_trips)
    for cycle in cycles:
        assert all(f"{a}>{b}" in edges for a, b in pairwise(cycle))
    knots = {frozenset(o for o in after[id] if id in after[o]) for id in round_trips}
    assert len(cycles) == len(knots)


@given(edges)
def test_unreachable_nodes_are_those_that_no_way_leads_to(edges: list[str]) -> None:
    reached, waiting = {"a"}, ["a"]
    while waiting:
        at = waiting.pop()
        for edge in edges:
            if edge[0] == at and edge[2] not in reached:
                reached.add(edge[2])
                waiting.append(edge[2])
    found = check_structure(app({"s": "start", **dict.fromkeys("abcdef", "code")}, "s>a", *edges))
    named = {p.place.node for p in found if p.code == "dsl.unreachable"}
    assert named == set("abcdef") - reached
