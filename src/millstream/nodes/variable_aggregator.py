"""Variable aggregator: one name for what one of several branches gave.

The first selector of the list whose variable exists is taken, be its value empty or null. With
groups, each group gives an object `{output: …}` under its name. Nothing exists: no outputs.
Older files call this type `variable-assigner`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.values import MISSING, Pool, Selector


class Group(msgspec.Struct, kw_only=True):
    group_name: str = ""
    groupId: str | None = None  # noqa: N815 - the file's word
    output_type: str | None = None
    variables: list[list[str]] | None = None


class AdvancedSettings(msgspec.Struct, kw_only=True):
    group_enabled: bool | None = False
    groups: list[Group] | None = None


class AggregatorData(NodeData, kw_only=True):
    output_type: str | None = None
    variables: list[list[str]] | None = None
    advanced_settings: AdvancedSettings | None = None


class VariableAggregator(Node[AggregatorData]):
    type = "variable-aggregator"
    Data: ClassVar[DataClass] = AggregatorData

    def __init__(self, data: AggregatorData, build: Build) -> None:
        super().__init__(data, build)
        advanced = data.advanced_settings
        self.grouped = advanced is not None and bool(advanced.group_enabled)
        self.groups = [("output", data.output_type, data.variables)]
        if advanced is not None and self.grouped:
            self.groups = [
                (group.group_name, group.output_type, group.variables)
                for group in advanced.groups or ()
            ]
        self._reads = [
            (name, [Selector.of(parts) for parts in variables or ()])
            for name, _, variables in self.groups
        ]

    def outputs(self) -> dict[str, str]:
        return {name: "object" if self.grouped else kind or "any" for name, kind, _ in self.groups}

    def reads(self) -> Iterable[Reading]:
        for g, (_, selectors) in enumerate(self._reads):
            for i, selector in enumerate(selectors):
                where = f"advanced_settings.groups.{g}.variables.{i}" if self.grouped else ""
                yield Reading(selector, where or f"variables.{i}")

    def inputs(self, pool: Pool) -> Inputs:
        found: dict[str, Any] = {}
        for name, selectors in self._reads:
            for selector in selectors:
                value = selector.read(pool)
                if value is not MISSING:
                    found[name] = value
                    break
        return found

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        if not self.grouped:
            return Outcome(inputs)
        return Outcome({name: {"output": value} for name, value in inputs.items()})
