"""Parameter extractor: a language model finds named values in a text.

The model is asked for JSON under a schema made from the parameters. An answer that cannot be read
does not fail the node: `__is_success` is 0, `__reason` says why and every parameter has an empty
value of its type. Only a failing model call fails it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import msgspec

from millstream.base import BadInput, Failed, NotHere
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Need, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.engine.ports import Message, ModelRequest
from millstream.nodes.llm import Memory, ModelConfig, Params, Vision, ask, usage_object
from millstream.values import MISSING, File, Pool, Selector, TextTemplate, to_text

NOT_THE_SCHEMA = "models.not-the-schema"  # what the models room calls an answer that is no use
RESERVED = ("__reason", "__is_success", "__usage")


class Parameter(msgspec.Struct, kw_only=True):
    name: str
    type: str = "string"
    description: str | None = ""
    required: bool | None = False
    options: list[str] | None = None

    @property
    def value_type(self) -> str:
        return {"bool": "boolean", "select": "string"}.get(self.type, self.type)


class ExtractorData(NodeData, kw_only=True):
    model: ModelConfig
    query: list[str] | str | None = None
    parameters: list[Parameter] | None = None
    reasoning_mode: Literal["function_call", "prompt", ""] | None = "function_call"
    instruction: str | None = None
    memory: Memory | None = None
    vision: Vision | None = None


_EMPTY: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "object": {}}


class ParameterExtractor(Node[ExtractorData]):
    type = "parameter-extractor"
    Data: ClassVar[DataClass] = ExtractorData
    retries = False
    effect = True

    def __init__(self, data: ExtractorData, build: Build) -> None:
        super().__init__(data, build)
        self.id = build.spec.id
        self.parameters = data.parameters or []
        for i, parameter in enumerate(self.parameters):
            if parameter.name in RESERVED:
                place = build.place("parameters", i, "name")
                raise BadInput("nodes.reserved-name", place=place, name=parameter.name)
        self.query = Selector.of(data.query if isinstance(data.query, list) else None)
        self.instruction = TextTemplate(data.instruction or "")
        self.vision = data.vision.selector if data.vision else None
        self.params = Params(data.model.completion_params or {})
        self.schema = schema_of(self.parameters)

    def outputs(self) -> dict[str, str]:
        names = {parameter.name: parameter.value_type for parameter in self.parameters}
        return {**names, "__is_success": "number", "__reason": "string", "__usage": "object"}

    def reads(self) -> Iterable[Reading]:
        yield Reading(self.query, "query")
        for selector in self.instruction.selectors:
            yield Reading(selector, "instruction")
        yield from self.params.reads()

    def needs(self) -> Iterable[Need]:
        return (Need("model", self.data.model.ref, self.id, schema=True),)

    def inputs(self, pool: Pool) -> Inputs:
        query = self.query.read(pool)
        files = self.vision.read(pool) if self.vision else None
        found = files if isinstance(files, list) else [files]
        return {
            "query": "" if query is MISSING else to_text(query),
            "instruction": self.instruction.render(pool),
            "files": [item for item in found if isinstance(item, File)],
            "params": self.params.render(pool),
        }

    async def run(self, inputs: Inputs, context: Context) -> Outcome:
        models = context.ports.models
        if models is None:
            raise NotHere("engine.no-port", port="models")
        params = {k: v for k, v in inputs["params"].items() if k != "stop"}
        request = ModelRequest(
            model=self.data.model.ref,
            messages=self._messages(inputs),
            params=params,
            schema=self.schema,
        )
        try:
            _, _, end = await ask(models, request, context, show=False)
        except Failed as error:
            if error.code != NOT_THE_SCHEMA:
                raise
            return Outcome(self._results({}, success=0, reason=error.message, usage=None))
        found = end.structured if isinstance(end.structured, dict) else {}
        usage = usage_object(end.usage)
        outputs = self._results(found, success=1, reason=None, usage=usage)
        return Outcome(outputs, usage=end.usage, details={"model": end.model})

    def _messages(self, inputs: Inputs) -> list[Message]:
        lines = [
            f"- {p.name} ({p.type}{', required' if p.required else ''}): {p.description or ''}"
            + (f" One of: {', '.join(p.options)}." if p.options else "")
            for p in self.parameters
        ]
        system = (
            "Find these values in the text of the user and answer with one JSON object, nothing "
            "else. Take values from the text; do not make them up.\n"
            + "\n".join(lines)
            + f"\nJSON schema: {json.dumps(self.schema, ensure_ascii=False)}"
        )
        if inputs["instruction"]:
            system += f"\n\n{inputs['instruction']}"
        return [
            Message("system", system),
            Message("user", inputs["query"], tuple(inputs["files"])),
        ]

    def _results(
        self, found: dict[str, Any], *, success: int, reason: str | None, usage: Any
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            value = found.get(parameter.name)
            if value is None:
                kind = parameter.value_type
                value = [] if kind.startswith("array") else _EMPTY.get(kind, "")
            values[parameter.name] = value
        return {**values, "__is_success": success, "__reason": reason, "__usage": usage}


def schema_of(parameters: list[Parameter]) -> dict[str, Any]:
    """The JSON schema (Draft 7) of an object with these parameters."""
    properties: dict[str, Any] = {}
    for parameter in parameters:
        kind = parameter.value_type
        if kind.startswith("array["):
            field: dict[str, Any] = {"type": "array", "items": {"type": kind[6:-1]}}
        else:
            field = {"type": kind if kind in _EMPTY else "string"}
        if parameter.options:
            field["enum"] = list(parameter.options)
        if parameter.description:
            field["description"] = parameter.description
        properties[parameter.name] = field
    return {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in parameters if p.required],
    }
