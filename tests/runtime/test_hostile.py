"""Apps and inputs that mean no good, or are only very large: a run ends, and says how."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import millstream
from canned import CannedModels, app, edges, end, node, ports
from millstream.base import BadInput
from millstream.engine import Usage
from millstream.engine.events import Event, RunFinished, encode
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest
from millstream.runtime.app import _Buffer

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}


def template(id: str, text: str, parent: str | None = None, **names: str) -> dict[str, Any]:
    variables = [{"variable": k, "value_selector": v.split(".")} for k, v in names.items()]
    return node(id, "template-transform", parent, template=text, variables=variables)


def iteration(id: str, items: str, output: str, parent: str | None = None, **more: Any) -> Any:
    data = {
        "iterator_selector": items.split("."),
        "output_selector": output.split("."),
        "start_node_id": f"{id}s",
        **more,
    }
    return [node(id, "iteration", parent, **data), node(f"{id}s", "iteration-start", parent=id)]


def given(kind: str = "any") -> dict[str, Any]:
    return node("start", "start", variables=[{"variable": "x", "type": kind, "label": "x"}])


def run(nodes: list[Any], ways: list[str], x: Any = "v", **more: Any) -> millstream.Result:
    return millstream.App(app(nodes, edges(*ways)), ports=ports(**more)).run({"x": x})


# ------------------------------------------------------------------------------------------ ids


@pytest.mark.parametrize(
    "id",
    ["#inputs", "__class__", "x", "start.x", "a/b", "it[0]/x", "日本", "a" * 10_000, "true", " ",
     "\n", "{{#a.b#}}", "self", "None", "-1", "output"],
)  # fmt: skip
def test_an_id_may_be_any_text(id: str) -> None:
    nodes = [given(), template(id, "{{ a }}", a="start.x")]
    nodes.append(node("end", "end", outputs=[{"variable": "o", "value_selector": [id, "output"]}]))
    ways = [{"source": "start", "target": id}, {"source": id, "target": "end"}]
    result = millstream.App(app(nodes, ways), ports=ports()).run(x="v")
    assert result.outputs == {"o": "v"}


@pytest.mark.parametrize("id", ["sys", "env", "conversation", "rag"])
def test_but_not_that_of_the_system_variables(id: str) -> None:
    with pytest.raises(BadInput, match="cannot have the id of the system's own variables"):
        run([given(), template(id, "x")], [f"start>{id}"])


@pytest.mark.parametrize(
    "selector",
    [["", ""], ["start", ""], ["start"], [], [""], ["#inputs", "x"], ["start", "x", ""],
     ["start", "__class__"], ["start", "x", "__class__"], ["start", "x", "0"], [1, 2], None,
     ["sys", "files", "0"], ["start", "x" * 10_000]],
)  # fmt: skip
def test_odd_selectors_find_nothing_private(selector: Any) -> None:
    outputs = [{"variable": "o", "value_selector": selector}]
    result = run([given(), node("end", "end", outputs=outputs)], ["start>end"], x=["v"])
    assert result.status == "succeeded"
    assert result.outputs["o"] in (None, ["v"])


# --------------------------------------------------------------------------------------- values


def loops() -> dict[str, Any]:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    keyed: dict[str, Any] = {}
    keyed["a"] = keyed
    wide: list[Any] = []
    wide += [wide, wide, wide]
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    return {"cyclic": cyclic, "keyed": keyed, "wide": wide, "deep": deep}


@pytest.mark.parametrize("name", ["cyclic", "keyed", "wide", "deep"])
@pytest.mark.parametrize("consumer", ["template", "answer", "llm", "code"])
def test_values_without_an_end_fail_the_node_that_writes_them(name: str, consumer: str) -> None:
    prompt = [{"role": "user", "text": "{{#start.x#}}"}]
    nodes = {
        "template": template("n", "{{ a }}", a="start.x"),
        "answer": node("n", "answer", answer="{{#start.x#}}"),
        "llm": node("n", "llm", model=MODEL, prompt_template=prompt),
        "code": node("n", "if-else", cases=[{"case_id": "1", "conditions": [
            {"variable_selector": ["start", "x"], "comparison_operator": "contains",
             "value": "{{#start.x#}}"}]}]),
    }  # fmt: skip
    result = run([given(), nodes[consumer]], ["start>n"], loops()[name])
    assert json.loads(encode(result))
    if result.error:  # a list that holds itself has a text in Python's own notation
        assert result.error["place"]["node"] == "n"
        assert len(result.error["message"]) < 300


ODD_VALUES: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "half a character": "half \ud83d",
    "huge": 10**5000,
    "null key": {None: 1},
    "tuple key": {(1, 2): 3},
    "object": object(),
    "set": {1, 2},
    "bytes": b"bytes",
    "nul": "\x00",
    "separator": "\u2028",
    "wide": [[]] * 1000,
}


@pytest.mark.parametrize("name", ODD_VALUES)
async def test_values_that_json_does_not_know_are_told_nevertheless(name: str) -> None:
    nodes = [given(), template("t", "{{ a }}", a="start.x"), end(o="t.output", x="start.x")]
    loaded = millstream.App(app(nodes, edges("start>t", "t>end")), ports=ports())
    events = [event async for event in loaded.stream({"x": ODD_VALUES[name]})]
    for event in events:
        assert json.loads(encode(event))
    assert isinstance(events[-1], RunFinished)


def test_ten_megabytes_go_through() -> None:
    nodes = [given(), template("t", "{{ a }}{{ a }}", a="start.x"), end(o="t.output")]
    big = "é" * 10_000_000
    result = run(nodes, ["start>t", "t>end"], big)
    assert result.outputs["o"] == big + big


def test_a_big_value_makes_no_big_error() -> None:
    condition = {
        "variable_selector": ["start", "x"],
        "comparison_operator": ">",
        "value": "9" * 5_000_000,
    }
    cases = [{"case_id": "1", "conditions": [condition]}]
    result = run([given(), node("if", "if-else", cases=cases)], ["start>if"], "y" * 5_000_000)
    assert result.error is not None
    assert len(json.dumps(result.error)) < 1000


# ---------------------------------------------------------------------------------------- sizes


def test_huge_templates() -> None:
    text = "x{{ a }}" * 50_000
    result = run(
        [given(), template("t", text, a="start.x"), end(o="t.output")], ["start>t", "t>end"]
    )
    assert result.outputs["o"] == "xv" * 50_000
    prompt = [{"role": "user", "text": "{{#start.x#}} " * 50_000}]
    models = CannedModels()
    llm = node("llm", "llm", model=MODEL, prompt_template=prompt)
    run([given(), llm], ["start>llm"], models=models)
    assert models.requests[0].messages[0].text == "v " * 50_000


def test_fifty_iterations_in_one_another() -> None:
    count = 50
    nodes = [given()]
    parent = None
    ways = ["start>i0"]
    for k in range(count):
        inner = f"i{k + 1}" if k + 1 < count else "leaf"
        nodes += iteration(
            f"i{k}", "start.x", f"{inner}.output", parent, flatten_output=False, is_parallel=k % 2
        )
        ways.append(f"i{k}s>{inner}")
        parent = f"i{k}"
    nodes += [template("leaf", "{{ a }}", parent, a=f"i{count - 1}.item"), end(o="i0.output")]
    result = run(nodes, [*ways, "i0>end"], ["v"])
    value: Any = result.outputs["o"]
    for _ in range(count):
        (value,) = value
    assert value == "v"
    assert result.nodes[1].name == "".join(f"i{k}[0]/" for k in range(count)) + "leaf"


def many(items: int, **more: Any) -> tuple[millstream.App, dict[str, Any]]:
    nodes = [given(), *iteration("it", "start.x", "t.output", **more)]
    nodes += [template("t", "{{ a }}", "it", a="it.item"), end(o="it.output")]
    loaded = app(nodes, edges("start>it", "its>t", "it>end"))
    return millstream.App(loaded, ports=ports()), {"x": ["v"] * items}


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_hundred_thousand_items_stream_out_and_leave_nothing_behind(
    parallel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = []

    class Watched(_Buffer):
        def taken(self) -> list[Event]:
            waiting.append(len(self.items))
            return super().taken()

    monkeypatch.setattr("millstream.runtime.app._Buffer", Watched)
    loaded, inputs = many(100_000, is_parallel=parallel)
    count = 0
    async for event in loaded.stream(inputs):
        count += 1
        last = event
    assert isinstance(last, RunFinished)
    assert len(last.outputs["o"]) == 100_000
    assert count == last.seq == 300_008
    assert max(waiting) < 5000  # they do not wait for the reader all together


async def test_a_long_iteration_is_stopped_at_once() -> None:
    loaded, inputs = many(1_000_000)
    asyncio.get_running_loop().call_later(0.3, loaded.stop)
    events = [event async for event in loaded.stream(inputs)]
    event = events[-1]
    assert isinstance(event, RunFinished)
    assert event.status == "stopped"
    assert event.elapsed < 10


# ------------------------------------------------------------------------------- a model's port


class Odd:
    """A model's port that gives these items."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def generate(self, request: ModelRequest) -> AsyncIterator[Any]:
        for item in self.items:
            yield item


END = ModelEnd(Usage(calls=1), "stop")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ((), "the answer of p/m broke off before its end"),
        ((ModelChunk("half"),), "the answer of p/m broke off before its end"),
        ((ModelChunk("a"), END, END), "the answer of p/m does not have the form of one"),
        ((ModelChunk("a"), None, END), "the answer of p/m does not have the form of one"),
        (("text", END), "the answer of p/m does not have the form of one"),
        ((ModelChunk(None), END), "the answer of p/m does not have the form of one"),
        ((ModelChunk(3), END), "the answer of p/m does not have the form of one"),
        ((ModelChunk("", b"r"), END), "the answer of p/m does not have the form of one"),
        ((ModelEnd(None),), "unexpected error: AttributeError"),
    ],
)
def test_a_model_that_gives_something_else(items: Any, words: str) -> None:
    prompt = [{"role": "user", "text": "x"}]
    llm = node("llm", "llm", model=MODEL, prompt_template=prompt)
    result = run([given(), llm], ["start>llm"], models=Odd(*items))
    assert result.error is not None
    assert result.error["message"].startswith(words)
    assert result.error["place"]["node"] == "llm"


def test_structured_output_without_structure_fails() -> None:
    data = {
        "structured_output_switch_on": True,
        "structured_output": {"schema": {"type": "object"}},
        "prompt_template": [{"role": "user", "text": "x"}],
    }
    llm = node("llm", "llm", model=MODEL, **data)
    result = run([given(), llm], ["start>llm"], models=Odd(ModelChunk("no json"), END))
    assert result.error is not None
    assert (
        result.error["message"] == "the model gave no JSON, but the node has structured output on"
    )
    assert result.nodes[-1].outputs == {"text": "no json"}
