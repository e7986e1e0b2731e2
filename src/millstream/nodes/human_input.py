"""Human input: the run pauses until a person has filled in a form and chosen an action.

Each action is a way out by its id; when nobody answers in time, the way out is `__timeout`.
Outputs: every input, `__action_id`, `__action_value` and `__rendered_content`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector, TextTemplate


class DeliveryMethod(msgspec.Struct, kw_only=True):
    """type: webapp or email; config: the recipients and the text of a mail."""

    id: str | None = None
    type: str | None = None
    enabled: bool | None = True
    config: dict[str, Any] | None = None


class FormDefault(msgspec.Struct, kw_only=True):
    type: str | None = "constant"
    value: Any = None
    selector: list[str] | None = None


class FormInput(msgspec.Struct, kw_only=True):
    """type: paragraph, select, file or file-list."""

    type: str | None = "paragraph"
    output_variable_name: str | None = None
    default: FormDefault | None = None
    option_source: dict[str, Any] | None = None
    allowed_file_types: list[str] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[str] | None = None
    number_limits: int | None = None


class UserAction(msgspec.Struct, kw_only=True):
    """id: the way out. button_style: primary, default, accent or ghost."""

    id: str
    title: str | None = None
    button_style: str | None = None


class HumanInputData(NodeData, kw_only=True):
    """form_content: Markdown with variables. timeout_unit: hour or day."""

    delivery_methods: list[DeliveryMethod] | None = None
    form_content: str | None = None
    inputs: list[FormInput] | None = None
    user_actions: list[UserAction] | None = None
    timeout: float | None = None
    timeout_unit: str | None = "hour"


_VALUE_TYPES = {"file": "file", "file-list": "array[file]"}


class HumanInput(Later[HumanInputData]):
    type = "human-input"
    Data: ClassVar[DataClass] = HumanInputData
    branches = True

    def outputs(self) -> dict[str, str]:
        inputs = {
            item.output_variable_name: _VALUE_TYPES.get(item.type or "", "string")
            for item in self.data.inputs or ()
            if item.output_variable_name
        }
        names = ("__action_id", "__action_value", "__rendered_content")
        return {**inputs, **dict.fromkeys(names, "string")}

    def reads(self) -> Iterable[Reading]:
        for selector in TextTemplate(self.data.form_content or "").selectors:
            yield Reading(selector, "form_content")
        for i, item in enumerate(self.data.inputs or ()):
            if item.default and item.default.type == "variable" and item.default.selector:
                yield Reading(Selector.of(item.default.selector), f"inputs.{i}.default.selector")
