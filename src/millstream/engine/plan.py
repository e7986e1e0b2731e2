"""The plan of an app: everything that every run of it shares, worked out once.

`compile` turns the typed app into graphs of compiled nodes with edges and joins indexed by
number. What is wrong is collected as problems, so that a check can show all of it; a run needs a
plan without errors. Only nodes that the root reaches take part: an edge from anywhere else never
holds a join up.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from millstream import dsl
from millstream.base import MillstreamError
from millstream.dsl import NodeData, Problem
from millstream.dsl.structure import ROOTS
from millstream.engine.events import encode
from millstream.engine.node import FAIL_BRANCH, SOURCE, Build, Node
from millstream.engine.ports import Need
from millstream.values import fits, type_of
from millstream.values.pool import SYSTEM

Registry = Mapping[str, type[Node[Any]]]
DEFAULT_VALUE = "default-value"


class Step(msgspec.Struct):
    """A node at its place in a graph.

    ways: its edges, as (handle, number of the step that they lead to). strategy, defaults, tries,
    interval (seconds): what happens when it fails.
    """

    node: Node[Any]
    id: str
    type: str
    title: str
    spec: dsl.Node
    ways: tuple[tuple[str, int], ...] = ()
    branching: bool = False
    strategy: str | None = None
    defaults: dict[str, Any] = {}
    tries: int = 0
    interval: float = 0.0
    fingerprint: bytes = b""


class Graph(msgspec.Struct):
    """The nodes of an app, or of one container, that its root reaches, each after all that it
    waits for.

    What a frame begins with: `ready`, the numbers of the steps to start, and for each step how
    many edges into it are undecided (`edges_in`) and whether one is live already (`live`)."""

    steps: list[Step] = []
    ready: list[int] = []
    edges_in: list[int] = []
    live: list[bool] = []

    def step(self, id: str) -> Step | None:
        return next((step for step in self.steps if step.id == id), None)


class Plan(msgspec.Struct):
    """A compiled app. nodes: every compiled node by id, unreachable ones included."""

    app: dsl.App
    root: Graph
    nodes: dict[str, Node[Any]]
    problems: list[Problem]

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def start(self) -> Node[Any] | None:
        """The node that takes the inputs; None for an empty graph."""
        return self.root.steps[0].node if self.root.steps else None

    def steps(self) -> Iterator[Step]:
        """Every step that a run may reach, containers before their children."""
        waiting = deque([self.root])
        while waiting:
            for step in waiting.popleft().steps:
                yield step
                inside = getattr(step.node, "graph", None)
                if isinstance(inside, Graph):
                    waiting.append(inside)

    def needs(self) -> list[Need]:
        """What a run may need, without repetitions, in the order of the steps."""
        found = [need for step in self.steps() for need in step.node.needs()]
        return list(dict.fromkeys(found))


def compile(app: dsl.App, registry: Registry) -> Plan:
    """The plan of an app. Never raises for what a file says; see `Plan.problems`."""
    return _Compiler(app, registry).plan()


class _Compiler:
    def __init__(self, app: dsl.App, registry: Registry) -> None:
        self.app = app
        self.registry = registry
        self.problems: list[Problem] = []
        self.nodes: dict[str, Node[Any]] = {}
        self.specs = {spec.id: spec for spec in app.graph.nodes}
        self.children: dict[str | None, list[dsl.Node]] = defaultdict(list)
        for spec in app.graph.nodes:
            self.children[spec.parent].append(spec)
        self.edges: dict[str, list[dsl.Edge]] = defaultdict(list)
        for edge in app.graph.edges:
            source, target = self.specs.get(edge.source), self.specs.get(edge.target)
            if source and target and source.parent == target.parent:
                self.edges[edge.source].append(edge)

    def plan(self) -> Plan:
        root = self._graph(self.children[None], self._root())
        return Plan(self.app, root, self.nodes, self.problems)

    def _root(self) -> dsl.Node | None:
        for type in ROOTS:
            for spec in self.children[None]:
                if spec.type == type:
                    return spec
        return None

    def _graph(self, specs: list[dsl.Node], root: dsl.Node | None) -> Graph:
        """Compile every node of one level; the graph holds those that the root reaches."""
        steps = {spec.id: step for spec in specs if (step := self._step(spec))}
        order = self._order(root.id, steps) if root is not None and root.id in steps else {}
        reached = [steps[id] for id in order]
        for step in reached:
            ways = [(e.handle, order[e.target]) for e in self.edges[step.id] if e.target in order]
            if not step.branching:
                ways = [(SOURCE, target) for _, target in ways]
            step.ways = tuple(ways)
        edges_in = [0] * len(reached)
        for step in reached:
            for _, target in step.ways:
                edges_in[target] += 1
        graph = Graph(reached, [0] if reached else [], edges_in, [False] * len(reached))
        if reached and reached[0].node.quiet:  # it has happened, then, before a frame begins
            graph.ready = []
            for _, target in reached[0].ways:
                graph.live[target] = True
                graph.edges_in[target] -= 1
                if not graph.edges_in[target]:
                    graph.ready.append(target)
        return graph

    def _order(self, root: str, steps: Mapping[str, Step]) -> dict[str, int]:
        """The ids that the root reaches, numbered so that every edge leads to a higher number.
        Nodes of a cycle, which the structure's check refuses, come last."""
        edges_in: dict[str, int] = {root: 0}
        reached = deque([root])
        while reached:
            for edge in self.edges[reached.popleft()]:
                if edge.target in edges_in:
                    edges_in[edge.target] += edge.target != root
                elif edge.target in steps:
                    edges_in[edge.target] = 1
                    reached.append(edge.target)
        order: dict[str, int] = {}
        ready = deque([root])
        while ready:
            id = ready.popleft()
            order[id] = len(order)
            for edge in self.edges[id]:
                if edge.target in edges_in:
                    edges_in[edge.target] -= 1
                    if not edges_in[edge.target]:
                        ready.append(edge.target)
        for id in edges_in:
            order.setdefault(id, len(order))
        return order

    def _step(self, spec: dsl.Node) -> Step | None:
        build = Build(self.app, spec)
        if inside := self.children.get(spec.id):
            build.children = self._graph(inside, dsl.container_start(spec, inside))
        kind = self.registry.get(spec.type)
        if kind is None or spec.data is None:
            return None  # reading has said why
        try:
            node = kind(spec.data, build)
        except MillstreamError as error:
            place = (error.place or build.place()).over(build.place())
            self.problems.append(Problem("error", error.code, place, error.values))
            return None
        self.nodes[spec.id] = node
        if spec.id in SYSTEM:
            self.problems.append(Problem("error", "engine.reserved-id", spec.place))
        data: NodeData = spec.data
        retry = data.retry_config
        return Step(
            node=node,
            id=spec.id,
            type=spec.type,
            title=spec.title,
            spec=spec,
            branching=kind.branches or data.error_strategy == FAIL_BRANCH,
            strategy=None if data.error_strategy == "none" else data.error_strategy,
            defaults=self._defaults(data, build),
            tries=retry.max_retries if retry and retry.retry_enabled and kind.retries else 0,
            interval=max(0.0, retry.retry_interval / 1000) if retry else 0.0,  # NaN is 0 too
        )

    def _defaults(self, data: NodeData, build: Build) -> dict[str, Any]:
        """The outputs of a failed node under the `default-value` strategy; texts that are
        declared as something else are read as JSON."""
        values: dict[str, Any] = {}
        if data.error_strategy != DEFAULT_VALUE:
            return values
        for i, item in enumerate(data.default_value or ()):
            value = item.value
            if item.type != "string" and isinstance(value, str):
                try:
                    value = msgspec.json.decode(value)
                except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                    pass  # it is still a text, which does not fit
            if not fits(value, item.type):
                place = build.place("default_value", i, "value")
                given = {"key": item.key, "type": item.type, "given": type_of(value)}
                self.problems.append(Problem("error", "engine.bad-default", place, given))
            values[item.key] = value
        return values


def fingerprint(step: Step, inputs: dict[str, Any]) -> bytes:
    """What an execution depends on, in 16 bytes: its definition, its inputs.

    The definition is the node's data without what only concerns the canvas.
    """
    if not step.fingerprint:
        raw = step.spec.raw.get("data") or {}
        data = {key: raw[key] for key in sorted(raw, key=str) if key not in _LAYOUT}
        step.fingerprint = blake2b(_packed(data), digest_size=16).digest()
    return blake2b(_packed(inputs), digest_size=16, key=step.fingerprint).digest()


def _packed(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value, enc_hook=str, order="deterministic")
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError):
        return encode(value)


_LAYOUT = frozenset({"selected", "title", "desc", "width", "height"})
