"""Node types that do not run yet: read, compiled, and honest about what they read and give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millstream.dsl import read_file
from millstream.dsl.typed import convert
from millstream.engine import compile
from millstream.nodes import REGISTRY

APPS = Path(__file__).parent.parent / "fixtures" / "apps"


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("every-node", "desk", "chapters", "hook", "pipeline"):
        plan = compile(read_file(APPS / f"{name}.yml", REGISTRY), REGISTRY)
        assert plan.problems == []
        found |= plan.nodes
    return found


def test_each_says_that_it_needs_a_newer_runtime(nodes: dict[str, Any]) -> None:
    later = {"knowledge-retrieval", "knowledge-retrieval-v2", "question-classifier", "agent"}
    later |= {"http-request", "assigner", "loop", "loop-end", "document-extractor", "datasource"}
    later |= {"list-operator", "human-input", "trigger-webhook", "trigger-schedule", "command"}
    later |= {"trigger-plugin", "knowledge-index"}
    found = {need.ref for node in nodes.values() for need in node.needs() if need.kind == "runtime"}
    assert later <= found


@pytest.mark.parametrize(
    ("id", "outputs"),
    [
        ("know", {"result": "array[object]"}),
        ("know2", {"result": "array[object]"}),
        ("read", {"text": "string"}),
        ("list", {"result": "array[object]", "first_record": "object", "last_record": "object"}),
        ("agent", None),  # the strategy's schema decides
        (
            "ask",
            dict.fromkeys(
                ("remark", "__action_id", "__action_value", "__rendered_content"), "string"
            ),
        ),
        ("old", {}),
        ("polish", {"tries": "number", "loop_round": "number"}),
        ("hook", {"_webhook_raw": "object", "X_Id": "string", "text": "string"}),
        ("clock", {}),
        (
            "fetch",
            {
                "status_code": "number",
                "body": "string",
                "headers": "object",
                "files": "array[file]",
            },
        ),
    ],
)
def test_what_they_give(nodes: dict[str, Any], id: str, outputs: dict[str, str] | None) -> None:
    assert nodes[id].outputs() == outputs


@pytest.mark.parametrize(
    ("id", "reads"),
    [
        ("know", {"query_variable_selector": "sys.query"}),
        ("read", {"variable_selector": "start.doc"}),
        ("list", {"variable": "know.result"}),
        ("agent", {"agent_parameters.query.value": "sys.query"}),
        ("ask", {"form_content": "agent.text"}),
        (
            "old",
            {
                "assigned_variable_selector": "conversation.asked",
                "input_variable_selector": "agent.text",
            },
        ),
        ("count", {"items.0.variable_selector": "conversation.asked"}),
        ("cmd", {"command": "start.doc"}),
        ("sort", {"query_variable_selector": "start.sys.query"}),
        ("polish", {"break_conditions.0.variable_selector": "polish.tries"}),
        ("index", {"index_chunk_variable_selector": "src.file"}),
    ],
)
def test_what_they_read(nodes: dict[str, Any], id: str, reads: dict[str, str]) -> None:
    assert {read.field: str(read.selector) for read in nodes[id].reads()} == reads


def test_a_key_in_a_request_does_not_show() -> None:
    raw = {"type": "api-key", "config": {"type": "bearer", "api_key": "hush", "header": ""}}
    data, faults = convert({"authorization": raw}, REGISTRY["http-request"].Data)
    assert faults == []
    assert "hush" not in repr(data)
    assert "bearer" in repr(data)


def test_the_inside_of_a_loop_is_compiled_and_sees_its_variables(nodes: dict[str, Any]) -> None:
    assert nodes["polish"].inside() == {"tries": "number"}
    assert [step.id for step in nodes["polish"].graph.steps] == ["polishstart", "add", "stop"]
