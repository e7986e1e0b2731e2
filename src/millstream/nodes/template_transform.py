"""Template: a text written by Jinja2 from variables.

A template that can neither run for ever nor fill the memory is rendered in place; any other one
is rendered in the sandbox. A variable that is not there is None, as in the format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any, ClassVar

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, Place
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Need, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.values import MISSING, File, Pool, Selector
from millstream.values.templates import Heavy, Template, compile_template


class VariableSelector(msgspec.Struct, kw_only=True):
    """A variable of a template or of code, and where its value comes from."""

    variable: str = ""
    value_selector: list[str] | None = None
    value_type: str | None = None


class TemplateData(NodeData, kw_only=True):
    template: str | None = None
    variables: list[VariableSelector] | None = None


class TemplateTransform(Node[TemplateData]):
    type = "template-transform"
    Data: ClassVar[DataClass] = TemplateData

    def __init__(self, data: TemplateData, build: Build) -> None:
        super().__init__(data, build)
        self.template = parse_template(data.template or "", build, "template")
        self._reads = [(v.variable, Selector.of(v.value_selector)) for v in data.variables or ()]
        self._build = build
        self.id = build.spec.id

    def outputs(self) -> dict[str, str]:
        return {"output": "string"}

    def reads(self) -> Iterable[Reading]:
        for i, (_, selector) in enumerate(self._reads):
            yield Reading(selector, f"variables.{i}.value_selector")

    def needs(self) -> Iterable[Need]:
        return () if self.template.static else (Need("code", "jinja2", self.id),)

    def inputs(self, pool: Pool) -> Inputs:
        values: dict[str, Any] = {}
        for name, selector in self._reads:
            value = selector.read(pool)
            values[name] = value if type(value) is str else plain(value)
        return values

    def run(self, inputs: Inputs, context: Context) -> Outcome | Awaitable[Outcome]:
        if not self.template.static:
            return self._in_sandbox(inputs, context)
        try:
            return self._outcome(self.template.render(inputs), context)
        except Heavy:
            return self._in_sandbox(inputs, context)
        except Failed as error:
            raise inner_place(error, self._build.place("template"))

    async def _in_sandbox(self, inputs: Inputs, context: Context) -> Outcome:
        sandbox = context.ports.sandbox
        if sandbox is None:
            raise Failed("engine.no-port", port="sandbox")
        try:
            text = await sandbox.render(self.template.source, inputs)
        except Failed as error:
            raise inner_place(error, self._build.place("template"))
        return self._outcome(text, context)

    def _outcome(self, text: str, context: Context) -> Outcome:
        limit = context.limits.template_length
        if limit is not None and len(text) > limit:
            raise Failed("nodes.template-too-long", length=len(text), limit=limit)
        return Outcome({"output": text})


def parse_template(source: str, build: Build, *path: str | int) -> Template:
    """Compile the template at a path of a node's data. Raises BadInput with its line."""
    try:
        return compile_template(source)
    except BadInput as error:
        raise inner_place(error, build.place(*path))


def inner_place(error: MillstreamError, place: Place) -> MillstreamError:
    """The error of a template or of code, at its place in the file: `code:3` is line 3 of it."""
    line = error.place.line if error.place else None
    field = f"{place.field}:{line}" if line else place.field
    error.place = Place(place.file, place.line, place.node, place.title, field)
    return error


def plain(value: Any) -> Any:
    """A value as templates and code see it: files as mappings, what is missing as None."""
    if value is MISSING:
        return None
    if isinstance(value, File):
        return value.as_dict()
    if isinstance(value, list) and any(isinstance(item, File) for item in value):
        return [plain(item) for item in value]
    return value
