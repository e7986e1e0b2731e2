"""Parts that tests share: apps built from a few words, and ports with canned answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from millstream import dsl
from millstream.dsl.read import read_text
from millstream.engine import Ports, Usage
from millstream.engine.ports import (
    CodeResult,
    ModelChunk,
    ModelEnd,
    ModelRequest,
    ToolParameter,
    ToolRef,
    ToolResult,
)
from millstream.nodes import REGISTRY
from millstream.runtime.clock import SystemClock


def node(id: str, type: str, parent: str | None = None, **data: Any) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": id,
        "type": "custom",
        "data": {"type": type, "title": data.pop("title", id), **data},
    }
    if parent:
        out["parentId"] = parent
    return out


def edges(*ways: str) -> list[dict[str, Any]]:
    """Edges from words such as "a>b" or "a:true>b"."""
    found = []
    for way in ways:
        source, target = way.split(">")
        source, _, handle = source.partition(":")
        found.append(
            {
                "id": way,
                "source": source,
                "target": target,
                "sourceHandle": handle or "source",
                "targetHandle": "target",
            }
        )
    return found


def start(*names: str, type: str = "paragraph", required: bool = True) -> dict[str, Any]:
    return node(
        "start",
        "start",
        variables=[
            {"variable": name, "label": name, "type": type, "required": required} for name in names
        ],
    )


def end(**outputs: str) -> dict[str, Any]:
    """An end node: end(text="llm.text")."""
    return node(
        "end",
        "end",
        outputs=[{"variable": k, "value_selector": v.split(".")} for k, v in outputs.items()],
    )


def document(
    nodes: Sequence[dict[str, Any]], ways: Sequence[dict[str, Any]], mode: str = "workflow"
) -> dict[str, Any]:
    return {
        "app": {"mode": mode, "name": "test"},
        "kind": "app",
        "version": "0.3.0",
        "workflow": {"graph": {"nodes": list(nodes), "edges": list(ways)}},
    }


def app(
    nodes: Sequence[dict[str, Any]], ways: Sequence[dict[str, Any]], mode: str = "workflow"
) -> dsl.App:
    text = json.dumps(document(nodes, ways, mode), ensure_ascii=False)
    return read_text(text, "test.yml", REGISTRY)


class Clock(SystemClock):
    """A clock that ticks only when it is looked at."""

    def __init__(self) -> None:
        self.ticks = 0

    def now(self) -> float:  # type: ignore[override]
        self.ticks += 1
        return self.ticks / 1000


Answer = str | Exception | Callable[[ModelRequest], str]


class CannedModels:
    """Answers from a table: the first pattern found in the prompt's text decides."""

    def __init__(self, answers: dict[str, Answer] | None = None, *, pieces: int = 3) -> None:
        self.answers = answers or {}
        self.pieces = pieces
        self.requests: list[ModelRequest] = []

    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        self.requests.append(request)
        prompt = "\n".join(message.text for message in request.messages)
        answer: Answer = "canned"
        for pattern, found in self.answers.items():
            if re.search(pattern, prompt):
                answer = found
                break
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else answer(request)
        structured = example(request.schema) if request.schema is not None else None
        if request.schema is not None:
            try:
                structured = json.loads(text)
            except ValueError:
                text = json.dumps(structured)
        step = max(1, -(-len(text) // self.pieces))
        for i in range(0, len(text), step):
            yield ModelChunk(text[i : i + step])
            await asyncio.sleep(0)
        usage = Usage(prompt_tokens=len(prompt), completion_tokens=len(text), calls=1)
        yield ModelEnd(usage, "stop", "canned/model", structured, "native")


def example(schema: Any) -> Any:
    """A value that fulfils a simple schema."""
    if not isinstance(schema, dict):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {k: example(v) for k, v in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [example(schema.get("items"))] * max(1, schema.get("minItems") or 1)
    simple: dict[Any, Any] = {"integer": 1, "number": 1, "boolean": True}
    return simple.get(kind, "text")


class CannedTools:
    def __init__(self, text: str = "tool text") -> None:
        self.text = text
        self.calls: list[tuple[ToolRef, dict[str, Any]]] = []

    def parameters(self, tool: ToolRef) -> Sequence[ToolParameter] | None:
        return ()

    async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> ToolResult:
        self.calls.append((tool, parameters))
        return ToolResult(self.text)


class TrustingSandbox:
    """Runs code of our own tests in this process. Never for anything else."""

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> CodeResult:
        scope: dict[str, Any] = {}
        exec(compile(code, "main.py", "exec"), scope)
        await asyncio.sleep(0)
        return CodeResult(scope["main"](**inputs))

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        from jinja2 import Environment

        return Environment().from_string(template).render(variables)


def ports(models: Any = None, tools: Any = None, sandbox: Any = None) -> Ports:
    return Ports(
        clock=SystemClock(),
        models=models or CannedModels(),
        tools=tools or CannedTools(),
        sandbox=sandbox or TrustingSandbox(),
    )
