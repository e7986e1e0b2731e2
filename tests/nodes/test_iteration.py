"""Iteration: order, isolation, error modes, flattening, nesting, older files."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import millstream
from canned import app, edges, end, node, ports
from millstream.base import Place
from millstream.engine.events import ItemStarted, NodeFinished
from millstream.engine.ports import CodeResult


def items_app(body: list[dict[str, Any]], inner: list[str], **data: Any) -> Any:
    data = {
        "iterator_selector": ["start", "items"],
        "output_selector": ["work", "output"],
        "start_node_id": "itstart",
        **data,
    }
    nodes = [
        node("start", "start", variables=[{"variable": "items", "type": "any", "label": "i"}]),
        node("it", "iteration", **data),
        node("itstart", "iteration-start", parent="it"),
        *body,
        end(out="it.output"),
    ]
    return app(nodes, edges("start>it", "it>end", *inner))


def template(text: str, id: str = "work", **names: str) -> dict[str, Any]:
    variables = [{"variable": k, "value_selector": v.split(".")} for k, v in names.items()]
    return node(id, "template-transform", parent="it", template=text, variables=variables)


def code(source: str, parent: str = "it", id: str = "work", **names: str) -> dict[str, Any]:
    variables = [{"variable": k, "value_selector": v.split(".")} for k, v in names.items()]
    outputs = {"output": {"type": "any"}}
    return node(id, "code", parent=parent, code=source, variables=variables, outputs=outputs)


def run(loaded: Any, items: Any, **more: Any) -> millstream.Result:
    return millstream.App(loaded, ports=more.pop("ports", None) or ports()).run(
        {"items": items}, **more
    )


def test_results_keep_the_order_and_see_item_and_index() -> None:
    loaded = items_app([template("{{ i }}:{{ x }}", i="it.index", x="it.item")], ["itstart>work"])
    assert run(loaded, ["a", "b"]).outputs == {"out": ["0:a", "1:b"]}
    assert run(loaded, []).outputs == {"out": []}
    assert run(loaded, None).outputs == {"out": []}


class Slow:
    """A sandbox whose calls end in another order than they began."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> CodeResult:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range((inputs["x"] * 7) % 5):
            await asyncio.sleep(0)
        self.now -= 1
        return CodeResult({"output": inputs["x"]})


@given(st.integers(0, 40), st.integers(1, 12))
@settings(max_examples=40)
def test_parallel_items_come_back_in_order_and_never_more_at_once(count: int, width: int) -> None:
    loaded = items_app(
        [code("", x="it.item")], ["itstart>work"], is_parallel=True, parallel_nums=width
    )
    slow = Slow()
    assert run(loaded, list(range(count)), ports=ports(sandbox=slow)).outputs["out"] == list(
        range(count)
    )
    assert slow.most <= min(width, max(count, 1))
    assert slow.most == min(width, count) or count < 2 or width == 1 or slow.most >= 1


FAIL_ON_B = "def main(x):\n    if x == 'b': raise ValueError('no b')\n    return {'output': x}\n"


@pytest.mark.parametrize("parallel", [False, True])
def test_error_modes(parallel: bool) -> None:
    def go(mode: str | None) -> millstream.Result:
        loaded = items_app(
            [code(FAIL_ON_B, x="it.item")],
            ["itstart>work"],
            error_handle_mode=mode,
            is_parallel=parallel,
        )
        return run(loaded, ["a", "b", "c"])

    assert go("continue-on-error").outputs == {"out": ["a", None, "c"]}
    assert go("continue-on-error").status == "partial-succeeded"
    assert go("remove-abnormal-output").outputs == {"out": ["a", "c"]}
    failed = go("terminated")
    assert failed.status == "failed"
    assert failed.error is not None
    assert "no b" in failed.error["message"]
    place = failed.error["place"]
    assert (place["node"], place["item"]) == ("work", "it[1]")
    assert ", in it[1]" in str(msgspec.convert(place, Place))
    assert go(None).status == "failed"


def test_a_sequential_iteration_stops_at_the_first_failure() -> None:
    loaded = items_app([code(FAIL_ON_B, x="it.item")], ["itstart>work"])
    names = [n.name for n in run(loaded, ["a", "b", "c"]).nodes]
    assert "it[1]/work" in names
    assert "it[2]/work" not in names


def test_lists_of_all_items_become_one_unless_told_otherwise() -> None:
    body = [code("def main(x):\n    return {'output': [x, x]}", x="it.item")]
    assert run(items_app(body, ["itstart>work"]), [1, 2]).outputs["out"] == [1, 1, 2, 2]
    apart = items_app(body, ["itstart>work"], flatten_output=False)
    assert run(apart, [1, 2]).outputs["out"] == [[1, 1], [2, 2]]
    mixed = [code("def main(x):\n    return {'output': [x] if x == 1 else x}", x="it.item")]
    assert run(items_app(mixed, ["itstart>work"]), [1, 2]).outputs["out"] == [[1], 2]


def test_what_a_child_did_not_give_is_null() -> None:
    loaded = items_app([template("x")], ["itstart>work"], output_selector=["work", "nothing"])
    assert run(loaded, ["a"]).outputs == {"out": [None]}


def test_not_a_list_and_not_there() -> None:
    loaded = items_app([template("x")], ["itstart>work"])
    failed = run(loaded, "text")
    assert failed.error is not None
    assert failed.error["message"] == "'start.items' is not a list but string"
    loaded = items_app([template("x")], ["itstart>work"], iterator_selector=["no", "x"])
    failed = run(loaded, [])
    assert failed.error is not None
    assert failed.error["message"] == "the variable 'no.x' is not there"


def test_items_do_not_see_each_other_and_leave_nothing_outside() -> None:
    loaded = items_app(
        [
            node(
                "seen",
                "variable-aggregator",
                parent="it",
                variables=[["work", "output"], ["it", "index"]],
            ),
            template("{{ s }}", s="seen.output"),
        ],
        ["itstart>seen", "seen>work"],
    )
    assert run(loaded, ["a", "b"]).outputs == {"out": ["0", "1"]}


def test_branches_and_joins_inside() -> None:
    loaded = items_app(
        [
            node(
                "if",
                "if-else",
                parent="it",
                cases=[
                    {
                        "case_id": "true",
                        "conditions": [
                            {
                                "variable_selector": ["it", "item"],
                                "comparison_operator": "is",
                                "value": "a",
                            }
                        ],
                    }
                ],
            ),
            template("yes", "yes"),
            template("no", "no"),
            node(
                "both",
                "variable-aggregator",
                parent="it",
                variables=[["yes", "output"], ["no", "output"]],
            ),
            template("{{ x }}", x="both.output"),
        ],
        ["itstart>if", "if:true>yes", "if:false>no", "yes>both", "no>both", "both>work"],
    )
    assert run(loaded, ["a", "b"]).outputs == {"out": ["yes", "no"]}


def test_nested_iterations_and_their_names() -> None:
    inner = [
        node(
            "in",
            "iteration",
            parent="it",
            iterator_selector=["it", "item"],
            output_selector=["leaf", "output"],
            start_node_id="instart",
        ),
        node("instart", "iteration-start", parent="in"),
        node(
            "leaf",
            "template-transform",
            parent="in",
            template="{{ a }}{{ b }}",
            variables=[
                {"variable": "a", "value_selector": ["in", "item"]},
                {"variable": "b", "value_selector": ["it", "index"]},
            ],
        ),
    ]
    loaded = items_app(inner, ["itstart>in", "instart>leaf"], output_selector=["in", "output"])
    result = run(loaded, [["x", "y"], ["z"]])
    assert result.outputs == {"out": ["x0", "y0", "z1"]}
    assert "it[0]/in[1]/leaf" in [n.name for n in result.nodes]


def test_an_older_file_begins_at_an_ordinary_child() -> None:
    body = template("{{ x }}", x="it.item")
    body["data"]["isIterationStart"] = True
    loaded = items_app([body], [], start_node_id="work")
    loaded.graph.nodes = [n for n in loaded.graph.nodes if n.id != "itstart"]
    assert run(loaded, ["a"]).outputs == {"out": ["a"]}


async def test_events_of_an_iteration() -> None:
    loaded = millstream.App(items_app([template("x")], ["itstart>work"]), ports=ports())
    events = [event async for event in loaded.stream({"items": ["a", "b"]})]
    started = [e for e in events if isinstance(e, ItemStarted)]
    assert [(e.name, e.index, e.total) for e in started] == [("it", 0, 2), ("it", 1, 2)]
    finished = [e.name for e in events if isinstance(e, NodeFinished)]
    assert finished == ["start", "it[0]/work", "it[1]/work", "it", "end"]


def test_a_thousand_items_count_a_thousand_steps() -> None:
    result = run(items_app([template("x")], ["itstart>work"]), ["i"] * 1000)
    assert len(result.outputs["out"]) == 1000


def test_the_step_limit_names_its_setting() -> None:
    loaded = millstream.App(
        items_app([template("x")], ["itstart>work"]),
        ports=ports(),
        limits=millstream.Limits(max_steps=10),
    )
    result = loaded.run({"items": ["i"] * 100})
    assert result.error is not None
    assert result.error["message"] == "the run started more than 10 nodes"
    assert "limits.max_steps" in result.error["next"]
