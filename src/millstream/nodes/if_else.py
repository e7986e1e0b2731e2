"""If-else: the first case whose conditions hold decides the way; none: the way "false".

Outputs: `result`, whether a case held, and `selected_case_id`. Files from before cases existed
have conditions directly in the data; they make one case named "true".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.nodes.conditions import Condition, Conditions
from millstream.values import MISSING, Pool

ELSE = "false"


class Case(msgspec.Struct, kw_only=True):
    case_id: str | bool | int | None = None
    id: str | bool | int | None = None
    logical_operator: Literal["and", "or"] | None = "and"
    conditions: list[Condition] | None = None

    @property
    def handle(self) -> str:
        """The case's way out; an unquoted `true` in a file is the text "true"."""
        id = self.case_id if self.case_id is not None else self.id
        return str(id).lower() if isinstance(id, bool) else str(id)


class IfElseData(NodeData, kw_only=True):
    cases: list[Case] | None = None
    logical_operator: Literal["and", "or"] | None = "and"  # of older files
    conditions: list[Condition] | None = None


class IfElse(Node[IfElseData]):
    type = "if-else"
    Data: ClassVar[DataClass] = IfElseData
    branches = True

    def __init__(self, data: IfElseData, build: Build) -> None:
        super().__init__(data, build)
        if data.cases is None:
            conditions = Conditions(
                data.conditions or [], data.logical_operator, build, "conditions"
            )
            self.cases = [(_outcome(True, "true"), conditions)]
        else:
            self.cases = [
                (
                    _outcome(True, case.handle),
                    Conditions(
                        case.conditions or [],
                        case.logical_operator,
                        build,
                        "cases",
                        i,
                        "conditions",
                    ),
                )
                for i, case in enumerate(data.cases)
            ]
        self.selectors = [pair for _, case in self.cases for pair in case.selectors]
        self.templates = [pair for _, case in self.cases for pair in case.templates]

    def outputs(self) -> dict[str, str]:
        return {"result": "boolean", "selected_case_id": "string"}

    def reads(self) -> Iterable[Reading]:
        for _, conditions in self.cases:
            yield from conditions.reads()

    def inputs(self, pool: Pool) -> Inputs:
        values: Inputs = {}
        for name, selector in self.selectors:
            value = selector.read(pool)
            if value is not MISSING:  # an error where its condition is judged, if it ever is
                values[name] = value
        for name, template in self.templates:
            values[name] = template.render(pool)
        return values

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        for outcome, conditions in self.cases:
            if conditions.judge(inputs):
                return outcome
        return OTHERWISE


def _outcome(result: bool, handle: str) -> Outcome:
    return Outcome({"result": result, "selected_case_id": handle}, handle)


OTHERWISE = _outcome(False, ELSE)
