"""A plan on real apps: templates, branches, iterations; and against what runs really say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream
from canned import CannedModels, app, edges, end, node, ports, start
from lab.configs import PUBLISHED
from lab.speeds import calibrated
from millstream.base import set_language
from millstream.engine.plan import Plan
from millstream.engine.ports import Usage
from millstream.lab import config
from millstream.lab.hardware import Machine
from millstream.lab.mixes import retyped
from millstream.lab.names import Model
from millstream.lab.plan import (
    ANSWER,
    VARIABLE,
    AppPlan,
    Call,
    at_once,
    calls,
    longest,
    make,
    score,
    tokens,
)
from millstream.models.gguf import Header

GB = 10**9
ROOT = Path(__file__).parents[2]
TEMPLATE = 12  # tokens around a message


def llm(id: str, *texts: str, parent: str | None = None, limit: int | None = None,
        name: str = "gpt-4o", **more: Any) -> dict[str, Any]:  # fmt: skip
    params = {} if limit is None else {"max_tokens": limit}
    model = {"provider": "openai", "name": name, "mode": "chat", "completion_params": params}
    prompt = [{"role": "user", "text": text} for text in texts or ("Hi",)]
    return node(id, "llm", parent, model=model, prompt_template=prompt, **more)


def plan(nodes: list[dict[str, Any]], *ways: str, mode: str = "workflow") -> Plan:
    made = millstream.App(app(nodes, edges(*ways), mode), ports=ports())
    made.sound()
    return made.plan


def iteration(*inside: dict[str, Any], output: str = "inner", **more: Any) -> list[dict[str, Any]]:
    data = {"iterator_selector": ["start", "items"], "output_selector": [output, "text"],
            "start_node_id": "itstart", **more}  # fmt: skip
    return [
        node("it", "iteration", **data),
        node("itstart", "iteration-start", parent="it"),
        *inside,
    ]


# A machine that reads 10 GB and does 100 GFLOP in a second, and for which all else is nothing.
SPEED = calibrated(("F16", "BF16", "Q4_K"))


def model(name: str, quantization: str = "") -> Model:
    header = config.header(PUBLISHED[name][1])
    if quantization:
        made = retyped(header, quantization)
        header = Header(name, 3, header.metadata, made, 0, lambda offset, length: b"")
    return Model(name, name, (header,), "config")


SMALL, LARGE = model("Qwen3-0.6B"), model("Qwen3-8B")


def planned(of: Plan, asked: list[Call], model: Model | None = SMALL, **more: Any) -> AppPlan:
    machine = Machine("a processor", 8, 64 * GB, more.pop("free", 32 * GB))
    models = more.pop("models", None) or {call.node: model for call in asked}
    labels = more.pop("labels", None) or {call.node: "a model" for call in asked}
    speed = more.pop("speed", SPEED)
    more = {"context": 4096, "slots": 1, **more}
    return make(of, asked, models, labels, machine, speed, **more)


# ------------------------------------------------------------------------------------ what is asked


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("four", 1), ("five5", 2), ("你好", 2), ("你好 word", 4)]
)
def test_tokens_of_a_text(text: str, count: int) -> None:
    assert tokens(text) == count


def test_one_call_after_another() -> None:
    """The second one's prompt has the first one's answer in it."""
    of = plan(
        [start("text"), llm("a", "x" * 40, "{{#start.text#}}", limit=50), llm("b", "{{#a.text#}}"),
         end(out="b.text")],
        "start>a", "a>b", "b>end",
    )  # fmt: skip
    first, second = calls(of, {"text": "你" * 70})
    assert (first.node, first.prompt) == ("a", TEMPLATE + 10 + TEMPLATE + 70)
    assert (first.output, first.bounded, first.times) == (50, True, 1)
    assert (second.prompt, second.output, second.bounded) == (TEMPLATE + 50, ANSWER, False)
    assert str(first.ref) == "openai/gpt-4o"


def test_what_is_not_known_has_a_usual_length() -> None:
    of = plan([start("text"), llm("a", "{{#start.text#}}"), end(out="a.text")],
              "start>a", "a>end")  # fmt: skip
    (call,) = calls(of)
    assert (call.prompt, call.output) == (TEMPLATE + VARIABLE, ANSWER)
    (call,) = calls(of, variable=1000, answer=40)
    assert (call.prompt, call.output) == (TEMPLATE + 1000, 40)
    (call,) = calls(of, {"other": "x" * 4000})
    assert call.prompt == TEMPLATE + VARIABLE
    (call,) = calls(of, {"text": ["a", "b"]})  # a list is written out
    assert call.prompt == TEMPLATE + tokens("['a', 'b']")


@pytest.mark.parametrize(
    ("params", "output", "bounded"),
    [
        ({}, ANSWER, False),
        ({"max_tokens": 20}, 20, True),
        ({"max_tokens": 5000}, ANSWER, True),  # a bound is no wish
        ({"num_predict": 20}, 20, True),
        ({"max_tokens": 0}, ANSWER, False),
        ({"max_tokens": "20"}, ANSWER, False),
        ({"max_tokens": True}, ANSWER, False),
    ],
)
def test_bounds_of_an_answer(params: Any, output: int, bounded: bool) -> None:
    asks = llm("a")
    asks["data"]["model"]["completion_params"] = params
    of = plan([start(), asks, end(out="a.text")], "start>a", "a>end")
    (call,) = calls(of)
    assert (call.output, call.bounded) == (output, bounded)


def test_texts_that_are_written_together() -> None:
    """A template's length is that of its words and of what stands in it; a choice is as long as
    the longest of what it chooses from."""
    variables = [{"variable": "t", "value_selector": ["a", "text"]},
                 {"variable": "x", "value_selector": ["start", "text"]}]  # fmt: skip
    of = plan(
        [
            start("text"),
            llm("a", limit=80),
            node("t", "template-transform", variables=variables,
                 template="{% if t %}" + "w" * 40 + "{{ t | trim }}{{ x }}{% endif %}"),
            node("v", "variable-aggregator", output_type="string",
                 variables=[["a", "text"], ["t", "output"]]),
            llm("b", "{{#v.output#}}"),
            end(out="b.text"),
        ],
        "start>a", "a>t", "t>v", "v>b", "b>end",
    )  # fmt: skip
    _, last = calls(of, {"text": "你" * 30})
    assert last.prompt == TEMPLATE + 10 + 80 + 30


def test_a_prompt_in_jinja() -> None:
    asks = llm("b", parent=None)
    asks["data"]["prompt_template"] = [
        {"role": "user", "text": "not this", "edition_type": "jinja2",
         "jinja2_text": "{{ it | upper }}" + "w" * 8}
    ]  # fmt: skip
    asks["data"]["prompt_config"] = {
        "jinja2_variables": [{"variable": "it", "value_selector": ["a", "text"]}]
    }
    of = plan([start(), llm("a", limit=70), asks, end(out="b.text")], "start>a", "a>b", "b>end")
    assert calls(of)[1].prompt == TEMPLATE + 70 + 2


def test_a_chat_asks_with_the_question() -> None:
    of = plan(
        [start(), llm("a", "{{#sys.query#}}"), node("answer", "answer", answer="{{#a.text#}}")],
        "start>a", "a>answer", mode="advanced-chat",
    )  # fmt: skip
    assert calls(of, {"sys.query": "你" * 33})[0].prompt == TEMPLATE + 33


def test_parameters_are_taken_from_a_text() -> None:
    """A short answer, and a prompt that has more than its author wrote."""
    fields = [{"name": "city", "type": "string", "description": "a" * 40, "required": True}]
    model = {"provider": "openai", "name": "gpt-4o", "mode": "chat", "completion_params": {}}
    of = plan(
        [start("text"), node("p", "parameter-extractor", model=model, query=["start", "text"],
                             parameters=fields, reasoning_mode="prompt"), end(out="p.city")],
        "start>p", "p>end",
    )  # fmt: skip
    (call,) = calls(of, {"text": "你" * 500})
    assert 500 + TEMPLATE + 10 < call.prompt < 500 + 250
    assert call.output < 100


def test_a_call_in_an_iteration_goes_on_for_each_item() -> None:
    of = plan(
        [start("items"), *iteration(llm("inner", "{{#it.item#}}", parent="it", limit=20)),
         llm("after", "{{#it.output#}}"), end(out="after.text")],
        "start>it", "itstart>inner", "it>after", "after>end",
    )  # fmt: skip
    inner, after = calls(of, items=7)
    assert (inner.node, inner.times) == ("inner", 7)
    assert inner.prompt == TEMPLATE + VARIABLE
    assert (after.times, after.prompt) == (1, TEMPLATE + 7 * 20)
    assert [call.times for call in calls(of)] == [1, 1]


def test_nodes_that_ask_no_model_are_not_in_a_plan() -> None:
    of = plan([start("text"), end(out="start.text")], "start>end")
    assert calls(of) == []
    made = planned(of, [])
    assert (made.calls, made.models, made.peak, made.seconds) == ((), (), 0, 0)
    assert [advice.text for advice in made.advice] == ["this app calls no model"]


def test_an_app_that_is_empty() -> None:
    of = Plan(app([], []), millstream.engine.plan.Graph([], []), {}, [])
    assert calls(of, {"x": "y"}) == []
    assert at_once(of, ["a"]) == 1


# -------------------------------------------------------------------------------- how much at once


def branch(*cases: str) -> dict[str, Any]:
    conditions = [{"comparison_operator": "contains", "id": "1", "value": "a", "varType": "string",
                   "variable_selector": ["start", "text"]}]  # fmt: skip
    return node(
        "if", "if-else",
        cases=[{"case_id": c, "id": c, "logical_operator": "and", "conditions": conditions}
               for c in cases],
    )  # fmt: skip


def test_one_after_the_other_is_one_at_once() -> None:
    of = plan([start(), llm("a"), llm("b"), end(out="b.text")], "start>a", "a>b", "b>end")
    assert at_once(of, ["a", "b"]) == 1


def test_side_by_side() -> None:
    of = plan(
        [start("text"), llm("a"), llm("b"), llm("c"), end(out="c.text")],
        "start>a", "start>b", "a>c", "b>c", "c>end",
    )  # fmt: skip
    assert at_once(of, ["a", "b", "c"]) == 2
    assert at_once(of, ["a", "c"]) == 1
    assert at_once(of, []) == 1


def test_side_by_side_though_one_begins_later() -> None:
    words = node("t", "template-transform", template="x", variables=[])
    of = plan(
        [start(), words, llm("a"), llm("b"), end(out="a.text", more="b.text")],
        "start>t", "t>a", "start>b", "a>end", "b>end",
    )  # fmt: skip
    assert at_once(of, ["a", "b"]) == 2


def test_branches_that_exclude_each_other() -> None:
    of = plan(
        [start("text"), branch("x", "y"), llm("a"), llm("b"), llm("c"), llm("d"),
         end(out="d.text")],
        "start>if", "if:x>a", "if:y>b", "if:false>c", "a>d", "b>d", "c>d", "d>end",
    )  # fmt: skip
    assert at_once(of, ["a", "b", "c", "d"]) == 1
    of = plan(
        [start("text"), branch("x"), llm("a"), llm("b"), llm("c"), llm("e"), end(out="e.text")],
        "start>if", "if:x>a", "if:x>b", "if:false>c", "start>e", "e>end", "a>end", "b>end", "c>end",
    )  # fmt: skip
    assert at_once(of, ["a", "b", "c", "e"]) == 3  # a and b on one branch, e beside it


def test_of_branches_that_exclude_each_other_the_longest_counts() -> None:
    of = plan(
        [start("text"), branch("x"), llm("a"), llm("b"), llm("c"), llm("e"), llm("f"),
         end(out="f.text")],
        "start>if", "if:x>a", "a>b", "b>f", "if:false>c", "c>f", "start>e", "e>f", "f>end",
    )  # fmt: skip
    seconds = {"a": 1.0, "b": 2.0, "c": 2.5, "e": 10.0, "f": 100.0}
    assert longest(of, seconds) == 113.0  # a and b, not c
    assert longest(of, {**seconds, "c": 3.5}) == 113.5
    assert longest(of, {"c": 1.0}) == 1.0
    assert longest(of, {}) == 0.0


def test_what_both_branches_lead_to_excludes_nothing() -> None:
    of = plan(
        [start("text"), branch("x"), llm("a"), llm("b"), llm("c"), end(out="c.text")],
        "start>if", "if:x>a", "if:false>a", "if:x>b", "a>end", "b>end", "if:false>c", "c>end",
    )  # fmt: skip
    assert at_once(of, ["a", "b"]) == 2
    assert at_once(of, ["a", "c"]) == 2
    assert at_once(of, ["b", "c"]) == 1


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({}, 1),
        ({"is_parallel": True, "parallel_nums": 4}, 4),
        ({"is_parallel": True}, 10),
        ({"is_parallel": False, "parallel_nums": 4}, 1),
    ],
)
def test_parallel_items(more: dict[str, Any], count: int) -> None:
    of = plan(
        [start("items"), *iteration(llm("inner", parent="it"), **more), end(out="it.output")],
        "start>it", "itstart>inner", "it>end",
    )  # fmt: skip
    assert at_once(of, ["inner"]) == count


def test_our_own_example() -> None:
    """Four sections at once, each of them by one of two calls."""
    of = millstream.load(ROOT / "examples/long-document.yml").plan
    asked = calls(of, items=10)
    assert [call.times for call in asked] == [1, 10, 10]
    assert at_once(of, [call.node for call in asked]) == 4


# ------------------------------------------------------------------------------ what it will take


def two() -> Plan:
    return plan(
        [start("text"), llm("a", "{{#start.text#}}", limit=100), llm("b", "{{#a.text#}}"),
         end(out="b.text")],
        "start>a", "a>b", "b>end",
    )  # fmt: skip


def test_a_model_is_loaded_once_for_all_that_ask_it() -> None:
    of = two()
    asked = calls(of, {"text": "你" * 988})
    made = planned(of, asked)
    (loaded,) = made.models
    assert loaded.memory is not None
    assert (loaded.context, loaded.slots, loaded.at_once) == (4096, 1, 1)
    assert loaded.needed == 1000 + 100  # of the longest call
    assert made.peak == loaded.memory.total
    assert made.app == "test"


def test_seconds_by_hand() -> None:
    """A token of an answer reads 1.19 GB at 10 GB/s; a prompt takes two operations for each weight
    of the layers at 100 GFLOP/s."""
    of = two()
    asked = calls(of, {"text": "你" * 988})
    made = planned(of, asked)
    layers = 596_049_920 - 1024 * 151936
    first = 1000 * 2 * layers / 1e11 + 100 * 2 * 596_049_920 / 1e10
    second = (TEMPLATE + 100) * 2 * layers / 1e11 + ANSWER * 2 * 596_049_920 / 1e10
    assert made.calls[0].seconds == pytest.approx(first, rel=0.02)
    assert made.calls[1].seconds == pytest.approx(second, rel=0.02)
    assert made.seconds == pytest.approx(first + second, rel=0.02)


def test_two_models() -> None:
    of = two()
    asked = calls(of)
    made = planned(of, asked, models={"a": SMALL, "b": LARGE}, labels={"a": "small", "b": "large"})
    assert [each.name for each in made.models] == ["small", "large"]
    assert made.peak == sum(each.memory.total for each in made.models if each.memory)
    assert [each.model for each in made.calls] == ["small", "large"]
    tight = planned(of, asked, models={"a": SMALL, "b": LARGE},
                    labels={"a": "small", "b": "large"}, free=18 * GB)  # fmt: skip
    (advice,) = tight.advice
    assert advice.text.startswith("the models of this app do not fit together (")


def test_a_model_elsewhere_takes_nothing_here() -> None:
    of = two()
    asked = calls(of)
    made = planned(of, asked, models={"a": SMALL, "b": None}, labels={"a": "small", "b": "far"})
    small, far = made.models
    assert (far.memory, far.pace) == (None, None)
    assert small.memory is not None
    assert made.peak == small.memory.total
    assert made.calls[0].seconds is not None
    assert made.calls[1].seconds is None
    assert made.seconds is None  # nobody can tell


def test_without_a_calibration_there_are_no_seconds() -> None:
    of = two()
    made = planned(of, calls(of), speed=None)
    assert (made.seconds, made.models[0].pace, made.calls[0].seconds) == (None, None, None)
    assert made.peak > GB


def test_each_item_takes_its_time() -> None:
    of = plan(
        [start("items"), *iteration(llm("inner", parent="it")), end(out="it.output")],
        "start>it", "itstart>inner", "it>end",
    )  # fmt: skip
    once, often = (planned(of, calls(of, items=n)).seconds for n in (1, 6))
    assert once is not None
    assert often == pytest.approx(6 * once)


def test_advice_on_slots_and_context() -> None:
    of = plan(
        [start("items"), *iteration(llm("inner", "w" * 20000, parent="it"), is_parallel=True,
                                    parallel_nums=4), end(out="it.output")],
        "start>it", "itstart>inner", "it>end",
    )  # fmt: skip
    asked = calls(of)
    made = planned(of, asked)
    assert [(advice.key, advice.values) for advice in made.advice] == [
        ("lab.plan-context",
         {"model": "a model", "needed": 5312, "context": 4096, "advised": 6144}),
        ("lab.plan-slots", {"model": "a model", "wanted": 4, "slots": 1}),
    ]  # fmt: skip
    for language in ("en", "zh"):
        set_language(language)
        assert "embedded.context = 6144" in made.advice[0].text
        assert "embedded.slots = 4" in made.advice[1].text
    assert planned(of, asked, context=8192, slots=4).advice == ()


def test_a_context_is_no_longer_than_a_model_was_trained_for() -> None:
    of = two()
    made = planned(of, calls(of), context=1 << 20)
    assert made.models[0].context == 40960


# ------------------------------------------------------------------------------------ how it went


class Counting(CannedModels):
    """Every call has read 200 tokens, written 30 and taken two seconds."""

    async def generate(self, request: Any) -> Any:
        async for piece in super().generate(request):
            if hasattr(piece, "usage"):
                usage = Usage(prompt_tokens=200, completion_tokens=30, latency=2.0)
                piece = msgspec.structs.replace(piece, usage=usage)
            yield piece


def ran(nodes: list[dict[str, Any]], *ways: str, **inputs: Any) -> dict[str, Any]:
    """A run, as `run --json` prints it."""
    made = millstream.App(app(nodes, edges(*ways)), ports=ports(Counting()))
    result = made.run(inputs)
    assert result.ok, result.error
    plain = json.loads(msgspec.json.encode(result))
    jsonschema.validate(plain, json.loads((ROOT / "docs/result.schema.json").read_text()))
    return dict(plain)


def test_a_plan_is_scored_against_a_run() -> None:
    of = two()
    asked = calls(of, {"text": "你" * 88})
    made = planned(of, asked)
    result = ran(
        [start("text"), llm("a", "{{#start.text#}}", limit=100), llm("b", "{{#a.text#}}"),
         end(out="b.text")],
        "start>a", "a>b", "b>end", text="你" * 88,
    )  # fmt: skip
    found = score(made, result, {"a": SMALL, "b": SMALL}, SPEED, peak=2 * GB)
    first, second = found.nodes
    assert (first.node, first.prompt, first.prompt_was) == ("a", 100, 200)
    assert (first.output, first.output_was, first.took) == (100, 30, 2.0)
    assert (second.prompt, second.output) == (TEMPLATE + 100, ANSWER)
    assert (found.took, found.peak_was, found.peak) == (4.0, 2 * GB, made.peak)
    assert found.seconds == made.seconds
    # With the tokens that there were the forecast is another: what is left is the speed.
    each = 200 * 2 * (596_049_920 - 1024 * 151936) / 1e11 + 30 * 2 * 596_049_920 / 1e10
    assert first.corrected == pytest.approx(each, rel=0.02)
    assert found.corrected == pytest.approx(2 * each, rel=0.02)


def one_call(prompt: int, output: int, latency: float) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "latency": latency}
    return {"nodes": [{"id": "a", "usage": usage}]}


def test_wrong_tokens_are_told_from_a_wrong_speed() -> None:
    of = plan([start("text"), llm("a", "{{#start.text#}}", limit=100), end(out="a.text")],
              "start>a", "a>end")  # fmt: skip
    made = planned(of, calls(of, {"text": "你" * 88}))
    right = made.calls[0].seconds
    assert right is not None
    models = {"a": SMALL}
    # The speed was right, ten times as many tokens came.
    longer = score(made, one_call(1000, 1000, 10 * right), models, SPEED)
    assert longer.nodes[0].corrected == pytest.approx(longer.took, rel=0.02)
    assert longer.took > 9 * (longer.seconds or 0)
    # The tokens were right, the machine was slower.
    slower = score(made, one_call(100, 100, 3 * right), models, SPEED)
    assert slower.nodes[0].corrected == pytest.approx(right)
    assert slower.took == pytest.approx(3 * right)


def test_every_item_of_an_iteration_is_in_the_score() -> None:
    nodes = [
        node("start", "start", variables=[{"variable": "items", "type": "any", "label": "i"}]),
        *iteration(llm("inner", "{{#it.item#}}", parent="it", limit=20)), end(out="it.output"),
    ]  # fmt: skip
    ways = ("start>it", "itstart>inner", "it>end")
    made = planned(of := plan(nodes, *ways), calls(of, items=2))
    result = ran(nodes, *ways, items=["a", "b", "c"])
    (inner,) = score(made, result, {"inner": SMALL}, SPEED).nodes
    assert (inner.prompt, inner.prompt_was) == (2 * (TEMPLATE + VARIABLE), 600)
    assert (inner.output, inner.output_was, inner.took) == (40, 90, 6.0)
    assert inner.seconds == made.calls[0].seconds


def test_a_node_that_did_not_run_is_not_scored() -> None:
    of = two()
    made = planned(of, calls(of))
    found = score(made, one_call(100, 100, 1.0), {"a": SMALL, "b": SMALL}, SPEED)
    assert [each.node for each in found.nodes] == ["a"]
    assert found.corrected == found.nodes[0].corrected


def test_a_score_without_speed_or_of_models_elsewhere() -> None:
    of = two()
    made = planned(of, calls(of), speed=None)
    found = score(made, one_call(100, 100, 1.0), {"a": SMALL}, None)
    assert (found.nodes[0].corrected, found.corrected, found.seconds) == (None, None, None)
    assert found.took == 1.0
    assert score(made, one_call(1, 1, 1.0), {"a": None}, SPEED).corrected is None


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["prompt_tokens", "completion_tokens", "latency"])
USAGES = st.dictionaries(NAMES, ODD | st.just(10**400))


@given(ODD | st.lists(st.fixed_dictionaries({"id": st.just("a") | ODD, "usage": USAGES | ODD})))
def test_a_result_of_somebody_else_is_no_accident(nodes: Any) -> None:
    found = score(MADE, {"nodes": nodes}, {"a": SMALL, "b": SMALL}, SPEED)
    assert found.peak == MADE.peak
    assert found.took >= 0


MADE = planned(two(), calls(two()))
