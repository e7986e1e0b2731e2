"""Loop: the nodes inside run again and again until a condition holds or the count is reached.

Loop variables live under the loop's id and are written by assigners inside. The conditions are
tested before the first round and after each. Outputs: every loop variable, and `loop_round`, the
rounds done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Build, Graph, Reading
from millstream.engine.node import DataClass, Later
from millstream.nodes.conditions import Condition
from millstream.values import Selector


class LoopVariable(msgspec.Struct, kw_only=True):
    """value: a selector where value_type is "variable", else a constant, maybe as text."""

    id: str | None = None
    label: str
    var_type: str | None = "string"
    value_type: Literal["constant", "variable"] | None = "constant"
    value: Any = None


class LoopData(NodeData, kw_only=True):
    start_node_id: str | None = None
    loop_count: int | None = None
    logical_operator: Literal["and", "or"] | None = "and"
    break_conditions: list[Condition] | None = None
    loop_variables: list[LoopVariable] | None = None
    error_handle_mode: str | None = None  # not obeyed: a child that fails fails the loop


class Loop(Later[LoopData]):
    type = "loop"
    Data: ClassVar[DataClass] = LoopData
    container = True

    def __init__(self, data: LoopData, build: Build) -> None:
        super().__init__(data, build)
        self.graph = build.children or Graph()

    def inside(self) -> dict[str, str]:
        return {item.label: item.var_type or "any" for item in self.data.loop_variables or ()}

    def outputs(self) -> dict[str, str]:
        return {**self.inside(), "loop_round": "number"}

    def reads(self) -> Iterable[Reading]:
        for i, item in enumerate(self.data.loop_variables or ()):
            if item.value_type == "variable" and isinstance(item.value, list):
                parts = [part for part in item.value if isinstance(part, str)]
                yield Reading(Selector.of(parts), f"loop_variables.{i}.value", required=True)
        for i, condition in enumerate(self.data.break_conditions or ()):
            selector = Selector.of(condition.variable_selector)
            yield Reading(selector, f"break_conditions.{i}.variable_selector")


class LoopStart(Later[NodeData]):
    """Where a loop's inside begins; nothing happens here."""

    type = "loop-start"
    Data: ClassVar[DataClass] = NodeData
    quiet = True

    def outputs(self) -> dict[str, str]:
        return {}


class LoopEnd(Later[NodeData]):
    """Ends the loop after the round in which it is reached."""

    type = "loop-end"
    Data: ClassVar[DataClass] = NodeData

    def outputs(self) -> dict[str, str]:
        return {}
