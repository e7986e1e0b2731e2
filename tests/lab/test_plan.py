"""A plan of a whole app: what each node asks, what that takes, and how near a run came to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canned import app, edges, end, node, start
from cli.parts import llm
from lab.test_fit import GB, SPEED, card, machine, model
from millstream import dsl
from millstream.base import set_language
from millstream.engine import Plan, compile
from millstream.lab import plan
from millstream.lab.names import Model
from millstream.lab.report import fit as words
from millstream.lab.report import html
from millstream.models.footprint import Use, footprint
from millstream.nodes import REGISTRY

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = model("SmolLM2-135M")


def compiled(nodes: list[Any], *ways: str, mode: str = "workflow") -> Plan:
    return compile(app(nodes, edges(*ways), mode), REGISTRY)


def one(text: str = "Say {{#start.name#}}", **data: Any) -> Plan:
    nodes = [start("name"), llm(text=text, title="Polish", **data), end(text="llm.text")]
    return compiled(nodes, "start>llm", "llm>end")


def made(of: Plan, on: Model | None = SMALL, **more: Any) -> plan.AppPlan:
    asked = plan.calls(of, more.pop("inputs", None), items=more.pop("items", 1))
    here = more.pop("here", machine())
    speed = more.pop("speed", None)
    models = {call.node: on for call in asked}
    labels = dict.fromkeys(models, on.name if on else "openai/gpt-x")
    options = {"context": 2048, "slots": 1, **more}
    return plan.make(of, asked, models, labels, here, speed, **options)


# -------------------------------------------------------------------------------- what it asks


def test_tokens_of_a_text_by_its_letters() -> None:
    assert plan.tokens("") == 0
    assert plan.tokens("Hello world!") == 3
    assert plan.tokens("请润色这段文字") == 7
    assert plan.tokens("请润色: abcd") == 3 + 2


def test_a_prompt_is_its_text_and_what_is_put_in() -> None:
    of = one("Say {{#start.name#}}")  # "Say " is a token, a message's frame 12
    (unknown,) = plan.calls(of)
    assert unknown.prompt == 12 + 1 + plan.VARIABLE
    (known,) = plan.calls(of, {"name": "x" * 400})
    assert known.prompt == 12 + 1 + 100
    assert (known.node, known.title, known.times) == ("llm", "Polish", 1)


def test_an_answer_is_what_the_next_prompt_has() -> None:
    limit = {"provider": "openai", "name": "m", "mode": "chat",
             "completion_params": {"max_tokens": 40}}  # fmt: skip
    first = llm("a", "Say {{#start.name#}}", title="A")
    first["data"]["model"] = limit
    nodes = [start("name"), first, llm("b", "{{#a.text#}}"), end(text="b.text")]
    one_, two = plan.calls(compiled(nodes, "start>a", "a>b", "b>end"))
    assert (one_.output, one_.bounded) == (40, True)
    assert two.prompt == 12 + 40
    assert (two.output, two.bounded) == (plan.ANSWER, False)


def test_what_stands_in_a_container_counts_for_each_item() -> None:
    inner = llm("work", "Write {{#it.item#}}")
    inner["parentId"] = "it"
    nodes = [
        start("items"),
        node("it", "iteration", iterator_selector=["start", "items"], start_node_id="s",
             output_selector=["work", "text"], is_parallel=True, parallel_nums=3),
        node("s", "iteration-start", parent="it"), inner, end(out="it.output"),
    ]  # fmt: skip
    of = compiled(nodes, "start>it", "it>end", "s>work")
    (call,) = plan.calls(of, items=7)
    assert call.times == 7
    assert plan.at_once(of, ["work"]) == 3
    seven = made(of, items=7, speed=SPEED)
    single = made(of, items=1, speed=SPEED)
    assert seven.seconds == pytest.approx(7 * (single.seconds or 0))


def test_branches_may_run_at_once() -> None:
    many = [llm(name, "Say {{#start.name#}}") for name in "abc"]
    nodes = [start("name"), *many, llm("d", "{{#a.text#}}{{#b.text#}}"), end(text="d.text")]
    ways = [f"start>{name}" for name in "abc"] + [f"{name}>d" for name in "abc"]
    of = compiled(nodes, *ways, "d>end")
    assert plan.at_once(of, "abcd") == 3
    assert plan.at_once(of, "ad") == 1
    (loaded,) = made(of).models
    assert loaded.at_once == 3


@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLES.glob("*.yml")))
def test_every_example_has_a_plan(file: str) -> None:
    of = compile(dsl.read_file(EXAMPLES / file, REGISTRY), REGISTRY)
    found = made(of, speed=SPEED)
    nodes = [step.id for step in of.steps() if any(n.kind == "model" for n in step.node.needs())]
    assert sorted(p.call.node for p in found.calls) == sorted(nodes)
    assert all(p.call.prompt > 12 and p.call.output > 0 and p.seconds for p in found.calls)
    assert found.peak == footprint(SMALL.headers, Use(context=2048, batch=128)).total


# ---------------------------------------------------------------------------- what it will take


def test_memory_is_that_of_every_model_that_is_loaded() -> None:
    nodes = [start("name"), llm("a"), llm("b", "{{#a.text#}}"), end(text="b.text")]
    of = compiled(nodes, "start>a", "a>b", "b>end")
    asked = plan.calls(of)
    other = model("Qwen2.5-0.5B")
    found = plan.make(
        of, asked, {"a": SMALL, "b": other}, {"a": "one", "b": "two"}, machine(), SPEED,
        context=4096, slots=2,
    )  # fmt: skip
    use = Use(context=4096, slots=2, batch=128)
    sizes = {loaded.name: loaded.memory for loaded in found.models}
    assert sizes == {"one": footprint(SMALL.headers, use), "two": footprint(other.headers, use)}
    assert found.peak == sum(memory.total for memory in sizes.values() if memory)
    seconds = [p.seconds or 0 for p in found.calls]
    assert found.seconds == pytest.approx(sum(seconds))
    assert seconds[1] > seconds[0] > 0  # the larger one takes longer


def test_a_model_that_runs_elsewhere_takes_nothing_and_nobody_knows_how_long() -> None:
    found = made(one(), None, speed=SPEED)
    assert (found.peak, found.seconds) == (0, None)
    assert found.models[0].memory is None
    assert words.plan_total(found) == "no model of this app runs here"


def test_an_app_without_models() -> None:
    found = made(compiled([start("name"), end(text="start.name")], "start>end"))
    assert found.calls == ()
    assert [advice.text for advice in found.advice] == ["this app calls no model"]


@given(prompt=st.integers(1, 4000), output=st.integers(1, 4000), more=st.integers(1, 500))
@example(prompt=64, output=1, more=1)
def test_longer_calls_take_longer(prompt: int, output: int, more: int) -> None:
    """A few more tokens of a prompt do so on one thread; several may tear 64 tokens of it into
    more tiles than 65 (`Attention.torn`)."""
    own = plan.duration(SMALL, SPEED, prompt, output)
    assert plan.duration(SMALL, SPEED, prompt, output + more) > own > 0
    assert plan.duration(SMALL, SPEED, 2 * prompt + more, output) > own
    alone = SPEED.on(1)
    assert plan.duration(SMALL, alone, prompt + more, output) > plan.duration(
        SMALL, alone, prompt, output
    )


# ------------------------------------------------------------------------------------- advice


def told(found: plan.AppPlan) -> list[str]:
    return [advice.text for advice in found.advice]


def test_a_call_that_is_longer_than_the_context() -> None:
    found = made(one(), inputs={"name": "x" * 12000}, context=2048)
    assert told(found) == [
        "SmolLM2-135M: a call needs up to 3,313 tokens, and slots have 2,048: set "
        "embedded.context = 4096"
    ]


def test_more_calls_at_once_than_slots() -> None:
    nodes = [start("name"), llm("a"), llm("b"), end(text="a.text", other="b.text")]
    found = made(compiled(nodes, "start>a", "start>b", "a>end", "b>end"))
    assert told(found) == [
        "SmolLM2-135M: up to 2 calls may come at once and it answers 1 at a time: set "
        "embedded.slots = 2 if memory allows"
    ]


def test_a_model_that_does_not_fit_has_a_smaller_one_beside_it() -> None:
    large = model("Llama-3.1-8B")
    found = made(one(), large, here=machine(12 * GB))
    assert found.models[0].instead == "Q8_0"
    assert told(found) == ["Llama-3.1-8B does not fit (16.4 GB, 12.0 GB are free): take it in Q8_0"]
    found = made(one(), large, here=machine(1 * GB))
    assert found.models[0].instead == ""
    assert told(found)[0].startswith("Llama-3.1-8B does not fit in any quantization (16.4 GB, ")
    set_language("zh")
    assert told(found)[0].startswith("Llama-3.1-8B 的任何量化都无法运行（需要 16.4 GB")


def test_models_that_do_not_fit_together() -> None:
    nodes = [start("name"), llm("a"), llm("b", "{{#a.text#}}"), end(text="b.text")]
    of = compiled(nodes, "start>a", "a>b", "b>end")
    two = {"a": model("Qwen3-0.6B"), "b": model("Qwen2.5-0.5B")}
    labels = {"a": "one", "b": "two"}
    found = plan.make(of, plan.calls(of), two, labels, machine(2 * GB), None, context=2048, slots=1)
    assert told(found) == [
        "the models of this app do not fit together (2.6 GB of 2.0 GB): they are loaded in turn"
    ]


def test_cards_say_how_much_they_take() -> None:
    here = machine(64 * GB, card(8 * GB), usable=("cuda",))
    (loaded,) = made(one(), model("Llama-3.1-8B"), here=here).models
    (on,) = loaded.offloads
    assert 0 < on.layers < on.all == 33
    assert on.vram <= 8 * GB


# ------------------------------------------------------------------------------- how it went


def result(*nodes: tuple[str, int, int, float]) -> dict[str, Any]:
    """What `run --json` prints, as far as it matters."""
    return {
        "status": "succeeded",
        "nodes": [
            {"id": id, "usage": {"prompt_tokens": p, "completion_tokens": c, "latency": s}}
            for id, p, c, s in nodes
        ]
        + [{"id": "start"}, {"id": "end", "usage": None}],
    }


def test_a_plan_is_scored_by_tokens_and_by_time() -> None:
    found = made(one(), speed=SPEED)
    score = plan.score(found, result(("llm", 100, 50, 2.5)), {"llm": SMALL}, SPEED, peak=3)
    (scored,) = score.nodes
    assert (scored.prompt, scored.output) == (12 + 1 + plan.VARIABLE, plan.ANSWER)
    assert (scored.prompt_was, scored.output_was, scored.took) == (100, 50, 2.5)
    assert scored.corrected == plan.duration(SMALL, SPEED, 100, 50)
    assert (score.corrected, score.took) == (scored.corrected, 2.5)
    assert (score.peak, score.peak_was) == (found.peak, 3)
    assert "it took 2.50 s" in words.score_total(score)


def test_executions_of_one_node_are_summed() -> None:
    found = made(one(), speed=SPEED)
    score = plan.score(
        found, result(("llm", 100, 50, 1.0), ("llm", 300, 150, 2.0)), {"llm": SMALL}, SPEED
    )
    (scored,) = score.nodes
    assert (scored.prompt_was, scored.output_was, scored.took) == (400, 200, 3.0)
    assert scored.corrected == pytest.approx(2 * plan.duration(SMALL, SPEED, 200, 100))


def test_nodes_that_did_not_run_are_not_scored() -> None:
    score = plan.score(made(one()), result(), {"llm": SMALL}, SPEED)
    assert score.nodes == ()
    assert (score.corrected, score.took) == (None, 0)


_noise = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "usage", "prompt_tokens", "completion_tokens", "latency", "x"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(nodes=_noise)
def test_no_result_breaks_the_score(nodes: Any) -> None:
    score = plan.score(made(one()), {"nodes": nodes}, {"llm": SMALL}, None)
    assert score.corrected is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_of_a_plan_and_its_run(language: str) -> None:
    set_language(language)
    found = made(one(), speed=SPEED)
    score = plan.score(found, result(("llm", 100, 50, 2.5)), {"llm": SMALL}, SPEED, peak=1 << 20)
    page = html.render(words.plan_report([(found, score)])).replace("\u00a0", " ")
    assert "Polish" in page
    for text in (words.plan_total(found), words.score_total(score), words.loaded(found.models[0])):
        assert text in page
