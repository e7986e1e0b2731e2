"""Variable assigner: writes conversation variables, and loop variables inside of a loop.

The first version writes one variable (`write_mode`: over-write, append or clear); the second has
a list of items, done in order, each with an operation and a constant or a variable to take. A
failing item leaves nothing changed. No outputs: later nodes see the changed variables.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector


class Item(msgspec.Struct, kw_only=True):
    """operation: over-write, clear, append, extend, set, +=, -=, *=, /=, remove-first,
    remove-last. value: a selector where input_type is "variable", else the value itself."""

    variable_selector: list[str] | None = None
    operation: str | None = "over-write"
    input_type: str | None = "variable"
    value: Any = None


class AssignerData(NodeData, kw_only=True):
    items: list[Item] | None = None
    # The first version.
    assigned_variable_selector: list[str] | None = None
    write_mode: str | None = None
    input_variable_selector: list[str] | None = None


class Assigner(Later[AssignerData]):
    type = "assigner"
    Data: ClassVar[DataClass] = AssignerData

    def outputs(self) -> dict[str, str]:
        return {}

    def reads(self) -> Iterable[Reading]:
        data = self.data
        if data.items is None:
            for field in ("assigned_variable_selector", "input_variable_selector"):
                if parts := getattr(data, field):
                    yield Reading(Selector.of(parts), field)
            return
        for i, item in enumerate(data.items):
            if item.variable_selector:
                yield Reading(Selector.of(item.variable_selector), f"items.{i}.variable_selector")
            if item.input_type == "variable" and isinstance(item.value, list):
                parts = [part for part in item.value if isinstance(part, str)]
                yield Reading(Selector.of(parts), f"items.{i}.value")
