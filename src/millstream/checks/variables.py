"""Variables along the edges: does what a node reads exist, was it made before, does it fit?

Works on the compiled plan: every node tells what it reads and what it gives. Nothing is said of
what only a run can tell. A missing variable that fails its node is an error, another a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from millstream import dsl
from millstream.base import Place
from millstream.dsl import Problem
from millstream.dsl.app import Severity
from millstream.engine import Plan, Reading
from millstream.values import Selector
from millstream.values.pool import SYSTEM as SYSTEM_OWNERS
from millstream.values.text import REFERENCE
from millstream.values.types import assignable

# What every run has under `sys`, and what only chats and knowledge pipelines have.
SYSTEM = {
    "query": "string",
    "files": "array[file]",
    "conversation_id": "string",
    "dialogue_count": "number",
    "user_id": "string",
    "app_id": "string",
    "workflow_id": "string",
    "workflow_run_id": "string",
    "timestamp": "number",
}
_FAILURE = {"error_message": "string", "error_type": "string"}
# What somebody meant as a reference, in whatever form.
_MEANT = re.compile(r"\{\{#[ \t]*([^#{}.\s]+)\.[^#{}\n]+#\}\}")
_OTHER_TEXTS = frozenset({"code", "template", "jinja2_text", "title", "desc"})  # `{{#` is theirs


def check_variables(plan: Plan) -> list[Problem]:
    """Problems with the variables of every node that is read, in the order of the file."""
    return list(_Checker(plan).problems())


class _Checker:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.app = plan.app
        self.specs = {spec.id: spec for spec in self.app.graph.nodes}
        self.bits = {id: bit for bit, id in enumerate(self.specs)}
        self.before = _before(self.app, self.bits)
        self.outputs: dict[str, dict[str, str] | None] = {}

    def problems(self) -> Iterator[Problem]:
        for spec in self.app.graph.nodes:
            node = self.plan.nodes.get(spec.id)
            for reading in node.reads() if node is not None else ():
                problem = self.look(spec, reading)
                if problem is not None:
                    yield problem
            if node is not None:
                yield from self.unread(spec)

    def unread(self, spec: dsl.Node) -> Iterator[Problem]:
        """References to something that is there, in a form that the format leaves as it is."""
        waiting: list[tuple[Any, str]] = [(spec.raw.get("data"), "")]
        while waiting:
            value, path = waiting.pop()
            if isinstance(value, dict):
                inside = [(v, f"{path}.{k}") for k, v in value.items() if k not in _OTHER_TEXTS]
                waiting += reversed(inside)
            elif isinstance(value, list):
                waiting += reversed([(item, f"{path}.{i}") for i, item in enumerate(value)])
            elif isinstance(value, str) and "{{#" in value:
                field = Reading(Selector.of(None), path[1:])
                for meant in _MEANT.finditer(value):
                    there = meant[1] in self.specs or meant[1] in SYSTEM_OWNERS
                    if there and not REFERENCE.fullmatch(meant[0]):
                        code, text = "checks.not-a-reference", meant[0]
                        yield self.problem(spec, field, "warning", code, reference=text)

    def look(self, spec: dsl.Node, reading: Reading) -> Problem | None:
        """What is wrong with one reading; None if nothing is, or nobody can tell."""
        selector = reading.selector
        name = str(selector)
        severity: Severity = "error" if reading.required else "warning"
        if not selector.given:
            if not reading.required:
                return None
            return self.problem(spec, reading, severity, "checks.nothing-chosen")
        known = self.names(spec, selector.owner)
        if known is None:
            return None
        if not known:
            return self.problem(spec, reading, severity, "checks.no-node", name=name)
        kind = known.get(selector.name) or known.get(name.partition(".")[2])
        if kind is None:
            there = ", ".join(sorted(known))
            return self.problem(spec, reading, severity, "checks.no-output", name=name, known=there)
        if not self.made_before(spec, selector.owner):
            return self.problem(spec, reading, "warning", "checks.not-before", name=name)
        wants = reading.wants
        if not selector.keys and wants and not any(assignable(kind, want) for want in wants):
            return self.problem(
                spec,
                reading,
                "warning",
                "checks.wrong-type",
                name=name,
                given=kind,
                wanted=", ".join(wants),
            )
        return None

    def names(self, spec: dsl.Node, owner: str) -> dict[str, str] | None:
        """Names and types under a first selector part; empty if there is no such thing, None
        where only a run can tell."""
        if owner == "sys":
            return SYSTEM
        if owner in ("env", "conversation"):
            declared = self.app.environment if owner == "env" else self.app.conversation
            return {variable.name: variable.value_type for variable in declared}
        if owner == "rag":
            return None
        other = self.specs.get(owner)
        if other is None:
            return {}
        node = self.plan.nodes.get(owner)
        if node is None:
            return None
        if owner == spec.id or owner in self.parents(spec):
            return node.inside() or None
        if owner not in self.outputs:
            given = node.outputs()
            strategy = other.data.error_strategy if other.data else None
            fails = strategy in ("fail-branch", "default-value")
            self.outputs[owner] = {**given, **_FAILURE} if given and fails else given
        return self.outputs[owner]

    def parents(self, spec: dsl.Node) -> list[str]:
        found = []
        parent = spec.parent
        while parent is not None and parent not in found:
            found.append(parent)
            above = self.specs.get(parent)
            parent = above.parent if above else None
        return found

    def made_before(self, spec: dsl.Node, owner: str) -> bool:
        """Whether a node may have run when this one reads: it lies before it, or before one of
        the containers that this one is in, or inside this one."""
        other = self.specs.get(owner)
        if (
            owner == spec.id
            or other is None
            or owner in self.parents(spec)
            or spec.id in self.parents(other)
        ):
            return True
        bit = 1 << self.bits[owner]
        return any(self.before.get(id, 0) & bit for id in (spec.id, *self.parents(spec)))

    def problem(
        self, spec: dsl.Node, reading: Reading, severity: Severity, code: str, **values: Any
    ) -> Problem:
        path = [int(part) if part.isdigit() else part for part in reading.field.split(".")]
        line = self.app.lines.line(*spec.path, "data", *path) if spec.path else None
        place = Place(spec.place.file, line or spec.place.line, spec.id, spec.title, reading.field)
        return Problem(severity, code, place, values)


def _before(app: dsl.App, bits: dict[str, int]) -> dict[str, int]:
    """For each node all nodes from which a way of edges leads to it, as bits of a number: sets
    would take gigabytes in a long chain."""
    waiting = dict.fromkeys(bits, 0)
    outgoing: dict[str, list[str]] = defaultdict(list)
    for edge in app.graph.edges:
        if edge.source in bits and edge.target in bits:
            waiting[edge.target] += 1
            outgoing[edge.source].append(edge.target)
    ready = [id for id, count in waiting.items() if not count]
    before = dict.fromkeys(bits, 0)
    while ready:
        id = ready.pop()
        own = before[id] | 1 << bits[id]
        for target in outgoing[id]:
            before[target] |= own
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return before
