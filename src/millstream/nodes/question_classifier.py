"""Question classifier: a model decides which class a text belongs to; each class is a way out.

The handle of a way out is the class's id. Outputs: `class_name`, `class_id`, `class_label` and
`usage`. A missing query counts as an empty text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.nodes.llm import Memory, ModelConfig, Vision
from millstream.values import Selector, TextTemplate


class Class(msgspec.Struct, kw_only=True):
    """id: the way out. name: what the model is told; a text with variables."""

    id: str
    name: str = ""
    label: str | None = None


class QuestionClassifierData(NodeData, kw_only=True):
    query_variable_selector: list[str] | None = None
    model: ModelConfig | None = None
    classes: list[Class] | None = None
    instruction: str | None = None
    memory: Memory | None = None
    vision: Vision | None = None


class QuestionClassifier(Later[QuestionClassifierData]):
    type = "question-classifier"
    Data: ClassVar[DataClass] = QuestionClassifierData
    branches = True

    def outputs(self) -> dict[str, str]:
        names = ("class_name", "class_id", "class_label")
        return {**dict.fromkeys(names, "string"), "usage": "object"}

    def reads(self) -> Iterable[Reading]:
        yield Reading(Selector.of(self.data.query_variable_selector), "query_variable_selector")
        for selector in TextTemplate(self.data.instruction or "").selectors:
            yield Reading(selector, "instruction")
        for i, item in enumerate(self.data.classes or ()):
            for selector in TextTemplate(item.name).selectors:
                yield Reading(selector, f"classes.{i}.name")
