"""What a check of an app says: a verdict for each node, and every problem with its place."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from millstream.base import MillstreamError, say
from millstream.dsl import Problem
from millstream.engine import Need

Verdict = Literal["as-is", "substitute", "needs-you"]

EXIT_CODES = {"as-is": 0, "substitute": 4, "needs-you": 3, "unreadable": 2}


class Met(msgspec.Struct):
    """A need of a plan and what meets it here. used: what answers; why: the rule that chose a
    substitute; error: why nothing answers."""

    need: Need
    wanted: str
    used: str = ""
    substitute: bool = False
    why: str = ""
    error: MillstreamError | None = None


class Finding(msgspec.Struct, omit_defaults=True):
    """One thing that a node asks for: what the file names, what it gets here, and why.

    wanted: such as "azure_openai/gpt-4o". used: what stands in for it, or what it is here.
    why: the rule or the reason, in plain words. next: what to do where nothing fits.
    """

    verdict: Verdict
    wanted: str
    used: str = ""
    why: str = ""
    next: str = ""


class NodeReport(msgspec.Struct, omit_defaults=True):
    """The verdict of a node is the worst of its findings and problems."""

    id: str
    type: str
    title: str
    verdict: Verdict
    line: int | None = None
    findings: list[Finding] = []
    problems: list[dict[str, Any]] = []
    reachable: bool = True


class Report(msgspec.Struct, omit_defaults=True):
    """The check of one file. problems: those of the file as a whole and of its edges; error:
    why it could not be read at all."""

    file: str
    verdict: Literal["as-is", "substitute", "needs-you", "unreadable"]
    name: str = ""
    mode: str = ""
    version: str = ""
    nodes: list[NodeReport] = []
    problems: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """0 runs as it is, 4 with substitutes, 3 needs somebody, 2 unreadable."""
        return EXIT_CODES[self.verdict]

    @property
    def headline(self) -> str:
        return say(f"checks.{self.verdict}")


def problem_dict(problem: Problem) -> dict[str, Any]:
    """A problem for machines: severity, code, message, place, next step."""
    out: dict[str, Any] = {
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "place": msgspec.to_builtins(problem.place),
    }
    if step := problem.next_step:
        out["next"] = step
    return out


def unreadable(file: str, error: MillstreamError) -> Report:
    return Report(file=file, verdict="unreadable", error=error.as_dict())
