"""List operator: filters a list, takes one element, sorts and shortens it, in this order.

Outputs: `result`, the list; `first_record` and `last_record`, null when it is empty. Elements are
texts, numbers, booleans or files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector


class FilterCondition(msgspec.Struct, kw_only=True):
    """key: the attribute of a file; "" for elements that are no files."""

    key: str | None = ""
    comparison_operator: str | None = None
    value: Any = None


class Filter(msgspec.Struct, kw_only=True):
    enabled: bool | None = False
    conditions: list[FilterCondition] | None = None


class Extract(msgspec.Struct, kw_only=True):
    """serial: the number of the element, from 1; a text with variables."""

    enabled: bool | None = False
    serial: str | None = None


class Order(msgspec.Struct, kw_only=True):
    """value: asc or desc."""

    enabled: bool | None = False
    key: str | None = ""
    value: str | None = "asc"


class Limit(msgspec.Struct, kw_only=True):
    enabled: bool | None = False
    size: int | None = None


class ListOperatorData(NodeData, kw_only=True):
    variable: list[str] | None = None
    filter_by: Filter | None = None
    extract_by: Extract | None = None
    order_by: Order | None = None
    limit: Limit | None = None
    var_type: str | None = None
    item_var_type: str | None = None


class ListOperator(Later[ListOperatorData]):
    type = "list-operator"
    Data: ClassVar[DataClass] = ListOperatorData

    def outputs(self) -> dict[str, str]:
        item = self.data.item_var_type or "any"
        result = self.data.var_type or "array[any]"
        return {"result": result, "first_record": item, "last_record": item}

    def reads(self) -> Iterable[Reading]:
        yield Reading(Selector.of(self.data.variable), "variable", ("array",), required=True)
