"""Public app files run to their end with canned answers, where all their node types run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import millstream
from canned import CannedModels, CannedTools, ports
from millstream.base import BadInput
from millstream.dsl.read import read_file
from millstream.engine import Later
from millstream.engine.ports import CodeResult, ToolRef, ToolResult
from millstream.nodes import REGISTRY

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "corpus"
FILES = sorted(FOLDER.glob("*.yml"))
pytestmark = pytest.mark.skipif(not FILES, reason="../shared/corpus is not here")


class Answering:
    """Returns what a code node declares, whatever its code: the code itself needs its inputs to
    be what real models and tools give."""

    def __init__(self, app: millstream.App) -> None:
        self.outputs = {
            node.data.code: node.data.outputs or {}
            for node in app.dsl.graph.nodes
            if node.type == "code" and node.data is not None
        }

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> CodeResult:
        declared = self.outputs[code]
        return CodeResult({name: self.value(output) for name, output in declared.items()})

    def value(self, output: Any) -> Any:
        kind = output.type
        if kind == "object":
            return {name: self.value(child) for name, child in (output.children or {}).items()}
        if kind.startswith("array["):
            return [self.value(type(output)(type=kind[6:-1]))]
        return {"number": 1, "boolean": True}.get(kind, "text")

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        return "rendered"


class Giving(CannedTools):
    """A tool that also gives the variables that other nodes read from it."""

    def __init__(self, app: millstream.App) -> None:
        super().__init__('{"a": 1}')
        self.variables: dict[str, dict[str, Any]] = {}
        tools = {step.id for step in app.plan.steps() if step.type == "tool"}
        for node in app.plan.nodes.values():
            for reading in node.reads():
                selector = reading.selector
                if selector.owner in tools and selector.name not in ("text", "json", "files"):
                    value: Any = ["text"] if "array" in reading.wants else "text"
                    self.variables.setdefault(selector.owner, {})[selector.name] = value
        self.by_ref = {
            step.node.ref: self.variables.get(step.id, {})
            for step in app.plan.steps()
            if step.type == "tool"
        }

    async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> ToolResult:
        return ToolResult(self.text, json=[{"content": "text"}], variables=self.by_ref[tool])


def given(app: millstream.App) -> dict[str, Any]:
    values: dict[str, Any] = {}
    picture = {"type": "image", "transfer_method": "remote_url", "url": "https://x/y.png"}
    for variable in app.variables:
        kind = variable.type
        file = dict(picture)
        if variable.allowed_file_types:
            file["type"] = variable.allowed_file_types[0]
            file["extension"] = (variable.allowed_file_extensions or [".x"])[0]
        value: Any = "text"
        if kind == "select":
            value = (variable.options or [""])[0]
        elif kind == "number":
            value = "1"
        elif kind == "checkbox":
            value = True
        elif kind == "file":
            value = file
        elif kind == "file-list":
            value = [file]
        elif kind == "json_object":
            value = {}
        if variable.required or kind not in ("file", "file-list"):
            values[variable.variable] = value
    return values


def outcome(file: Path) -> str:
    """One line: what happens with a file."""
    try:
        app = millstream.App(read_file(file, REGISTRY))
    except BadInput as error:
        return f"cannot be read: {error.message}"
    if app.mode not in ("workflow", "advanced-chat"):
        return f"mode {app.mode}"
    errors = [*app.dsl.errors, *app.plan.errors]
    if errors:
        return f"errors: {errors[0].message}"
    later = sorted({s.type for s in app.plan.steps() if isinstance(s.node, Later)})
    if later:
        return f"later: {', '.join(later)}"
    app._ports = ports(CannedModels(), Giving(app), Answering(app))
    query = "hello" if app.mode == "advanced-chat" else None
    result = app.run(given(app), query=query)
    if result.error:
        return f"{result.status}: {json.dumps(result.error, ensure_ascii=False)}"
    return f"{result.status} {len(result.nodes)} nodes"


def test_every_file_whose_node_types_run_comes_to_its_end(capsys: Any) -> None:
    table = {file.name: outcome(file) for file in FILES}
    with capsys.disabled():
        print()
        for name, line in table.items():
            print(f"{name[:58]:60}{line}")
    assert not {name: line for name, line in table.items() if line.startswith(("failed", "stop"))}
    assert sum(line.startswith("succeeded") for line in table.values()) >= 50


def test_the_first_app_of_all_runs_unchanged() -> None:
    file = FOLDER / ".." / "apps" / "smartrans.yml"
    models = CannedModels({"hello.*tool text": "polished"})
    models.answers = {"(?s)hello.*tool text": "polished"}
    with millstream.load(file, ports=ports(models)) as app:
        result = app.run(text2translate="hello")
    assert result.outputs == {"translation": "polished"}
    assert [node.status for node in result.nodes] == ["succeeded"] * 4
