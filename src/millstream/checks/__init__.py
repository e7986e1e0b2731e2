"""Verdicts on an app: what its file asks, what answers here, what somebody has to do.

`report` puts together what others have found: reading and compiling, the structure, the
variables, and what meets each need on this machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from millstream.base import MillstreamError, Place
from millstream.checks.report import (
    Finding,
    Met,
    NodeReport,
    Report,
    Verdict,
    problem_dict,
    unreadable,
)
from millstream.checks.variables import check_variables
from millstream.dsl import App, Problem, check_structure
from millstream.dsl.read import WITH_GRAPH
from millstream.engine import Need, Plan

__all__ = ["Finding", "Met", "NodeReport", "Report", "needs", "report", "unreadable"]

_ORDER: tuple[Verdict, ...] = ("as-is", "substitute", "needs-you")


def problems(plan: Plan) -> list[Problem]:
    """Everything that is wrong or odd in the file, each thing once."""
    app = plan.app
    found = [*app.problems, *check_structure(app), *plan.problems, *check_variables(plan)]
    found += _doubts(plan)
    if app.mode not in WITH_GRAPH:
        place = Place(file=app.file)
        found.append(Problem("error", "checks.mode-not-yet", place, {"mode": app.mode}))
    found += _unheeded(app)
    once: dict[object, Problem] = {}
    for problem in found:
        told = (problem.code, repr(problem.values), *msgspec.structs.astuple(problem.place))
        once.setdefault(told, problem)
    return list(once.values())


def _doubts(plan: Plan) -> Iterator[Problem]:
    """What nodes say of themselves: warnings, since a failure may be caught."""
    for node in plan.nodes.values():
        for error in node.doubts():
            assert error.place is not None
            yield Problem("warning", error.code, error.place, error.values)


def _unheeded(app: App) -> Iterator[Problem]:
    """Features that the file switches on and that this version does not act upon, where somebody
    may rely on them."""
    feature = app.features.get("sensitive_word_avoidance")
    if isinstance(feature, dict) and feature.get("enabled"):
        path = ("workflow", "features", "sensitive_word_avoidance")
        place = Place(app.file, app.lines.line(*path), field=".".join(path))
        yield Problem("warning", "checks.no-moderation", place)


def needs(plan: Plan) -> list[Need]:
    """What any node needs that a way leads to in the file: more than a run does, where a node is
    wrong, since a plan has nothing behind it, or where there are several starts."""
    never = _cut_off(plan.app, check_structure(plan.app))
    nodes = (node for id, node in plan.nodes.items() if id not in never)
    found = [*plan.needs(), *(need for node in nodes for need in node.needs())]
    return list(dict.fromkeys(found))


def report(plan: Plan, findings: Sequence[Met]) -> Report:
    """The check of an app that could be read."""
    app = plan.app
    of_node: dict[str, list[Problem]] = defaultdict(list)
    of_file: list[Problem] = []
    ids = {spec.id for spec in app.graph.nodes}
    for problem in problems(plan):
        if problem.place.node in ids:
            of_node[str(problem.place.node)].append(problem)
        else:
            of_file.append(problem)
    met: dict[str, list[Finding]] = defaultdict(list)
    for item in findings:
        met[item.need.node].append(_finding(item))
    reached = {step.id for step in plan.steps()}
    cut_off = _cut_off(app, (*of_file, *(p for all in of_node.values() for p in all)))
    nodes = []
    for spec in app.graph.nodes:
        wrong = any(p.severity == "error" for p in of_node[spec.id])
        verdicts: list[Verdict] = ["needs-you" if wrong else "as-is"]
        verdicts += [finding.verdict for finding in met[spec.id]]
        nodes.append(
            NodeReport(
                id=spec.id,
                type=spec.type,
                title=spec.title,
                verdict=_worst(verdicts),
                line=spec.place.line,
                findings=met[spec.id],
                problems=[problem_dict(p) for p in of_node[spec.id]],
                reachable=spec.id in reached or spec.id not in cut_off,
            )
        )
    overall = [node.verdict for node in nodes]
    if any(problem.severity == "error" for problem in of_file) or not reached:
        overall.append("needs-you")
    return Report(
        file=app.file,
        verdict=_worst(overall),
        name=app.name,
        mode=app.mode,
        version=app.version,
        nodes=nodes,
        problems=[problem_dict(problem) for problem in of_file],
    )


def _cut_off(app: App, problems: Sequence[Problem]) -> set[str]:
    """The nodes that no way leads to, as the file has it. A plan also lacks what is behind a node
    that is wrong: that node is to be corrected, and not those that wait for it."""
    if any(problem.code == "dsl.no-start" for problem in problems):
        return {spec.id for spec in app.graph.nodes}
    never = ("dsl.unreachable", "dsl.several-starts")
    found = {str(problem.place.node) for problem in problems if problem.code in never}
    for _ in app.graph.nodes:  # what is inside of them, as deep as that may be
        inside = {spec.id for spec in app.graph.nodes if spec.parent in found} - found
        if not inside:
            break
        found |= inside
    return found


def _finding(met: Met) -> Finding:
    error: MillstreamError | None = met.error
    if error is not None:
        return Finding("needs-you", met.wanted, why=error.message, next=error.next_step)
    verdict: Verdict = "substitute" if met.substitute else "as-is"
    return Finding(verdict, met.wanted, met.used, met.why)


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=_ORDER.index, default="as-is")
