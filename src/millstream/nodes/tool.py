"""Tool: a call of a built-in tool, later of plugins, APIs, MCP servers and other apps.

Form settings and parameters are constants, selectors, or texts with references. A selector that
finds nothing leaves its parameter out, unless the tool requires it. Outputs: `text`, `files`,
`json`, and whatever variables the tool names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from millstream.base import Failed, NotHere
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Need, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.engine.ports import ToolRef, ToolResult
from millstream.values import MISSING, Pool, Selector, TextTemplate, to_text


class ToolData(NodeData, kw_only=True):
    provider_id: str | None = None
    provider_name: str | None = None
    provider_type: str | None = "builtin"
    tool_name: str | None = None
    tool_label: str | None = None
    tool_configurations: dict[str, Any] | None = None
    tool_parameters: dict[str, Any] | None = None
    tool_node_version: str | int | None = None
    credential_id: str | None = None
    plugin_unique_identifier: str | None = None
    plugin_id: str | None = None
    output_schema: dict[str, Any] | None = None

    @property
    def ref(self) -> ToolRef:
        return ToolRef(
            self.provider_type or "builtin",
            self.provider_id or self.provider_name or "",
            self.tool_name or "",
        )


class Tool(Node[ToolData]):
    type = "tool"
    Data: ClassVar[DataClass] = ToolData
    retries = True
    effect = True

    def __init__(self, data: ToolData, build: Build) -> None:
        super().__init__(data, build)
        self.id = build.spec.id
        self.ref = data.ref
        self.arguments = {
            **{n: _argument(v) for n, v in (data.tool_configurations or {}).items()},
            **{n: _argument(v) for n, v in (data.tool_parameters or {}).items()},
        }
        self._given = set(data.tool_parameters or {})

    def outputs(self) -> dict[str, str] | None:
        names = {"text": "string", "files": "array[file]", "json": "array[object]"}
        schema = self.data.output_schema
        properties = schema.get("properties") if isinstance(schema, dict) else None
        for name, field in properties.items() if isinstance(properties, dict) else ():
            kind = field.get("type") if isinstance(field, dict) else None
            names.setdefault(str(name), kind if isinstance(kind, str) else "any")
        return names

    def reads(self) -> Iterable[Reading]:
        for name, argument in self.arguments.items():
            part = "tool_parameters" if name in self._given else "tool_configurations"
            if isinstance(argument, Selector):
                yield Reading(argument, f"{part}.{name}.value")
            elif isinstance(argument, TextTemplate):
                for selector in argument.selectors:
                    yield Reading(selector, f"{part}.{name}.value")

    def needs(self) -> Iterable[Need]:
        return (Need("tool", self.ref, self.id),)

    def inputs(self, pool: Pool) -> Inputs:
        values: dict[str, Any] = {}
        for name, argument in self.arguments.items():
            if isinstance(argument, TextTemplate):
                values[name] = argument.render(pool)
            elif isinstance(argument, Selector):
                value = argument.read(pool)
                if value is not MISSING:
                    values[name] = value
            elif argument is not None:
                values[name] = argument
        return values

    async def run(self, inputs: Inputs, context: Context) -> Outcome:
        tools = context.ports.tools
        if tools is None:
            raise NotHere("engine.no-port", port="tools")
        values = dict(inputs)
        for parameter in tools.parameters(self.ref) or ():
            if values.get(parameter.name) is not None:
                continue
            if parameter.default is not None:
                values[parameter.name] = parameter.default
            elif parameter.required:
                raise Failed(
                    "nodes.tool-parameter",
                    name=parameter.name,
                    tool=str(self.ref),
                    error_type="ToolParameterError",
                )
        result = await tools.invoke(self.ref, values)
        if not isinstance(result, ToolResult):
            raise Failed("nodes.tool-garbled", tool=str(self.ref), error_type="ToolNodeError")
        outputs = {
            **result.variables,
            "text": to_text(result.text),
            "files": list(result.files),
            "json": list(result.json) or [{"data": []}],
        }
        return Outcome(outputs, usage=result.usage)


def _argument(value: Any) -> Any:
    """A parameter of the file as a constant, a selector or a text with references."""
    if not isinstance(value, dict) or "type" not in value or "value" not in value:
        return value
    kind, inner = value["type"], value["value"]
    if kind == "variable":
        return Selector.of(inner if isinstance(inner, list) else None)
    if isinstance(inner, str):
        template = TextTemplate(inner)
        return template if template.selectors else inner
    return inner
