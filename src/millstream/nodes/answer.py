"""Answer: a reply of a chat app, a text with variables in it.

Several answers of one turn are joined without a separator. Values are written as Markdown: lists
as bullets, objects as JSON, files as links. A reference that finds nothing leaves its own name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.values import File, Pool, TextTemplate, to_markdown


class AnswerData(NodeData, kw_only=True):
    answer: str | None = None


class Answer(Node[AnswerData]):
    type = "answer"
    Data: ClassVar[DataClass] = AnswerData
    ends = True

    def __init__(self, data: AnswerData, build: Build) -> None:
        super().__init__(data, build)
        self.template = TextTemplate(data.answer or "")

    def outputs(self) -> dict[str, str]:
        return {"answer": "string", "files": "array[file]"}

    def reads(self) -> Iterable[Reading]:
        for selector in self.template.selectors:
            yield Reading(selector, "answer")

    def inputs(self, pool: Pool) -> Inputs:
        files: list[File] = []
        for selector in self.template.selectors:
            value = selector.read(pool)
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, File):
                    files.append(item)
        return {"answer": self.template.render(pool, text=to_markdown), "files": files}

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        return Outcome(inputs)
