"""End: the outputs of a workflow, each read from somewhere by a selector.

A run may pass several end nodes; their outputs are merged, a later one wins. A selector that
finds nothing gives null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.values import MISSING, Pool, Selector


class Output(msgspec.Struct, kw_only=True):
    variable: str
    value_selector: list[str] | None = None
    value_type: str | None = None


class EndData(NodeData, kw_only=True):
    outputs: list[Output] | None = None


class End(Node[EndData]):
    type = "end"
    Data: ClassVar[DataClass] = EndData
    ends = True

    def __init__(self, data: EndData, build: Build) -> None:
        super().__init__(data, build)
        self._reads = [(o.variable, Selector.of(o.value_selector)) for o in data.outputs or ()]

    def reads(self) -> Iterable[Reading]:
        for i, (_, selector) in enumerate(self._reads):
            yield Reading(selector, f"outputs.{i}.value_selector")

    def inputs(self, pool: Pool) -> Inputs:
        values: dict[str, Any] = {}
        for name, selector in self._reads:
            value = selector.read(pool)
            values[name] = None if value is MISSING else value
        return values

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        return Outcome(inputs)
