"""The LLM node: how a prompt is put together, what comes out, and its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

import millstream
from canned import CannedModels, app, document, edges, end, node, ports
from millstream.base import Failed
from millstream.engine.events import NodeFinished, NodeRetry, TextChunk
from millstream.engine.ports import Message, ModelChunk, ModelEnd, Usage
from millstream.values import File

MODEL = {"provider": "openai", "name": "gpt-4o", "mode": "chat", "completion_params": {}}


def llm(prompt: Any = None, **data: Any) -> dict[str, Any]:
    if prompt is None:
        prompt = [{"role": "user", "text": "{{#start.x#}}"}]
    return node("llm", "llm", **{"model": MODEL, "prompt_template": prompt, **data})


def variables(*names: str) -> dict[str, Any]:
    found = [{"variable": name, "type": "any", "label": name} for name in names]
    return node("start", "start", variables=found)


def ask(
    llm: dict[str, Any],
    inputs: dict[str, Any] | None = None,
    models: Any = None,
    output: str = "llm.text",
    **more: Any,
) -> tuple[millstream.Result, Any]:
    models = models or CannedModels()
    nodes = [variables(*(inputs or {"x": ""})), llm, end(out=output)]
    mode = "advanced-chat" if "query" in more else "workflow"
    loaded = app(nodes, edges("start>llm", "llm>end"), mode)
    result = millstream.App(loaded, ports=ports(models)).run(inputs or {"x": "hi"}, **more)
    return result, (models.requests[-1] if getattr(models, "requests", None) else None)


def test_messages_in_order_with_variables_as_text() -> None:
    prompt = [
        {"role": "system", "text": "Be {{#start.how#}}."},
        {"role": "user", "text": "List: {{#start.list#}} {{#start.obj#}} {{#start.none#}}|"},
        {"role": "assistant", "text": "", "edition_type": "basic"},
    ]
    inputs = {"how": "kind", "list": ["a", "é"], "obj": {"k": "中"}, "none": None}
    _, request = ask(llm(prompt), inputs)
    assert request.messages == [
        Message("system", "Be kind."),
        Message("user", 'List: ["a", "é"] {"k": "中"} |'),
    ]


def test_a_system_only_prompt_and_vision_without_files_are_fine() -> None:
    vision = {"enabled": True, "configs": {"detail": "high"}}
    result, request = ask(llm([{"role": "system", "text": "Only this"}], vision=vision))
    assert result.status == "succeeded"
    assert request.messages == [Message("system", "Only this")]


def test_a_missing_variable_fails_the_node_and_says_which() -> None:
    result, request = ask(llm([{"role": "user", "text": "{{#nobody.text#}}"}]))
    assert request is None
    assert result.error is not None
    assert result.error["message"] == "the variable 'nobody.text' is not there"
    assert result.error["type"] == "VariableNotFoundError"
    assert result.error["place"]["node"] == "llm"


def test_the_text_of_a_message_under_its_other_name() -> None:
    """Files that were not made by an exporter have it; in theirs it would be nothing."""
    prompt = [
        {"role": "system", "content": "Be {{#start.x#}}."},
        {"role": "user", "text": "One", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "Three"}]},
    ]
    _, request = ask(llm(prompt), {"x": "kind"})
    assert request.messages == [Message("system", "Be kind."), Message("user", "One")]


def test_nothing_to_ask() -> None:
    result, _ = ask(llm([{"role": "user", "text": ""}]))
    assert result.error is not None
    assert result.error["type"] == "NoPromptFoundError"


def test_jinja2_prompts_get_lists_and_objects_as_text() -> None:
    prompt = [
        {
            "role": "user",
            "edition_type": "jinja2",
            "text": "",
            "jinja2_text": "{% if name %}Hi {{ name }}{% endif %}: {{ rows }} {{ ctx }} "
            "{{#context#}}",
        }
    ]
    config = {
        "jinja2_variables": [
            {"variable": "name", "value_selector": ["start", "x"]},
            {"variable": "rows", "value_selector": ["start", "rows"]},
            {"variable": "ctx", "value_selector": ["start", "docs"]},
        ]
    }
    inputs = {"x": "Bo", "rows": ["a", {"k": 1}], "docs": [{"content": "c1"}, {"content": "c2"}]}
    context = {"enabled": True, "variable_selector": ["start", "docs"]}
    _, request = ask(llm(prompt, prompt_config=config, context=context), inputs)
    assert request.messages[0].text == 'Hi Bo: a\n{"k": 1} c1\nc2 c1\nc2'


def test_the_context_goes_in_as_it_is() -> None:
    prompt = [{"role": "user", "text": "Use {{#context#}} for {{#start.x#}}"}]
    context = {"enabled": True, "variable_selector": ["start", "docs"]}
    _, request = ask(
        llm(prompt, context=context), {"x": "q", "docs": [{"content": "{{#start.x#}} %s"}, "t"]}
    )
    assert request.messages[0].text == "Use {{#start.x#}} %s\nt for q"
    result, _ = ask(llm(prompt, context=context), {"x": "q", "docs": [{"title": "no content"}]})
    assert result.error is not None
    assert result.error["type"] == "InvalidContextStructureError"


def test_the_question_follows_with_memory_on_and_only_then() -> None:
    prompt = [{"role": "system", "text": "S"}]
    _, request = ask(llm(prompt, memory={"window": {"enabled": False}}), query="Why?")
    assert request.messages[-1] == Message("user", "Why?")
    template = {"query_prompt_template": "Asked: {{#sys.query#}}"}
    _, request = ask(llm(prompt, memory=template), query="Why?")
    assert request.messages[-1] == Message("user", "Asked: Why?")
    _, request = ask(llm(prompt), query="Why?")
    assert request.messages == [Message("system", "S")]


def test_files_go_with_the_last_user_message() -> None:
    picture = {"type": "image", "transfer_method": "remote_url", "url": "https://x/y.png"}
    file = File.from_dict(picture)
    vision = {"enabled": True, "configs": {"variable_selector": ["start", "pic"]}}
    prompt = [{"role": "user", "text": "See"}, {"role": "assistant", "text": "ok"}]
    _, request = ask(llm(prompt, vision=vision), {"pic": file})
    assert request.messages[0] == Message("user", "See", (file,))
    _, request = ask(llm([{"role": "system", "text": "S"}], vision=vision), {"pic": [file]})
    assert request.messages[1] == Message("user", "", (file,))
    named = [{"role": "user", "text": "Look: {{#start.pic#}}"}]
    _, request = ask(llm(named), {"pic": file})
    assert request.messages == [Message("user", "Look: "), Message("user", "", (file,))]


def test_completion_prompts_and_parameters() -> None:
    model = {
        **MODEL,
        "mode": "completion",
        "completion_params": {
            "stop": ["END"],
            "temperature": 0.7,
            "max_tokens": "{{#start.n#}}",
            "tag": "{{#start.t#}}",
        },
    }
    prompt = {"text": "Q: #sys.query# {{#start.t#}}", "edition_type": "basic"}
    _, request = ask(llm(prompt, model=model), {"n": 12, "t": "v"}, query="what")
    assert request.mode == "completion"
    assert request.messages == [Message("user", "Q: what v")]
    assert request.stop == ["END"]
    assert request.params == {"temperature": 0.7, "max_tokens": 12, "tag": "v"}


def test_outputs_and_their_names() -> None:
    result, _ = ask(llm(), models=CannedModels({"hi": "Hello there"}))
    outputs = result.nodes[1].outputs
    assert outputs["text"] == "Hello there"
    assert outputs["finish_reason"] == "stop"
    assert outputs["reasoning_content"] == ""
    assert outputs["usage"]["total_tokens"] == 13
    assert result.usage.total_tokens == 13


class Thinking:
    async def generate(self, request: Any) -> Any:
        yield ModelChunk(reasoning="let me ")
        yield ModelChunk(reasoning="see")
        yield ModelChunk("42")
        yield ModelEnd(Usage(calls=1), "stop")


def test_reasoning_is_kept_apart_unless_the_file_wants_tags() -> None:
    result, _ = ask(llm(), models=Thinking())
    assert result.outputs == {"out": "42"}
    assert result.nodes[1].outputs["reasoning_content"] == "let me see"
    result, _ = ask(llm(reasoning_format="tagged"), models=Thinking())
    assert result.outputs == {"out": "<think>\nlet me see\n</think>\n42"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_structured_output() -> None:
    wanted = {"structured_output_enabled": True, "structured_output": {"schema": SCHEMA}}
    models = CannedModels({"hi": '{"a": "b"}'})
    result, request = ask(llm(**wanted), models=models, output="llm.structured_output.a")
    assert request.schema == SCHEMA
    assert result.outputs == {"out": "b"}
    off = {**wanted, "structured_output_switch_on": False}
    _, request = ask(llm(**off))
    assert request.schema is None
    bad = {"structured_output_switch_on": True, "structured_output": {"schema": "["}}
    with pytest.raises(millstream.BadInput, match="not a JSON schema"):
        ask(llm(**bad))


class Flaky:
    """Fails a number of times, each time after a piece of text."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def generate(self, request: Any) -> Any:
        yield ModelChunk("piece")
        if self.left:
            self.left -= 1
            raise Failed("base.unexpected", problem="cut", error_type="InvokeConnectionError")
        yield ModelEnd(Usage(calls=1), "stop")


RETRY = {"retry_enabled": True, "max_retries": 2, "retry_interval": 1}


async def events_of(data: dict[str, Any], models: Any) -> list[Any]:
    nodes = [variables("x"), llm(**data), end(out="llm.text", type="llm.error_type")]
    text = json.dumps(document(nodes, edges("start>llm", "llm>end", "llm:fail-branch>end")))
    loaded = millstream.loads(text, ports=ports(models))
    return [event async for event in loaded.stream(x="hi")]


async def test_retries_and_then_success() -> None:
    events = await events_of({"retry_config": RETRY}, Flaky(2))
    assert [e.attempt for e in events if isinstance(e, NodeRetry)] == [1, 2]
    assert events[-1].outputs["out"] == "piece"
    assert events[-1].status == "partial-succeeded"
    assert events[-1].exceptions == 2


async def test_a_failure_keeps_the_partial_text() -> None:
    events = await events_of({"retry_config": {**RETRY, "max_retries": 1}}, Flaky(9))
    assert events[-1].status == "failed"
    failed = next(e for e in events if isinstance(e, NodeFinished) and e.node == "llm")
    assert failed.outputs == {"text": "piece"}
    assert len([e for e in events if isinstance(e, TextChunk)]) == 2


async def test_error_strategies() -> None:
    events = await events_of({"error_strategy": "fail-branch"}, Flaky(9))
    assert events[-1].outputs == {"out": None, "type": "InvokeConnectionError"}
    assert events[-1].status == "partial-succeeded"
    default = [{"key": "text", "type": "string", "value": "instead"}]
    events = await events_of(
        {"error_strategy": "default-value", "default_value": default}, Flaky(9)
    )
    assert events[-1].outputs["out"] == "instead"
    number = [{"key": "text", "type": "number", "value": "not json"}]
    with pytest.raises(millstream.BadInput, match="declared as number but is string"):
        await events_of({"error_strategy": "default-value", "default_value": number}, Flaky(9))
