"""Whether the drawing of an app makes sense: ids, edges, starts, cycles, containers.

Looks at the graph alone; variables and their types are the business of `checks`. A problem is an
error where a run could not begin or would never end, a warning where something in the drawing
has no effect. Nothing here recurses, and all of it is linear in nodes and edges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from millstream.base import Place
from millstream.dsl.app import App, Edge, Node, Problem, Severity
from millstream.dsl.read import CONTAINERS, WITH_GRAPH, as_text

ROOTS = ("start", "datasource", "trigger-webhook", "trigger-schedule", "trigger-plugin")
_STARTS_INSIDE = ("iteration-start", "loop-start")
_SHOWN = 8  # nodes of a cycle in a message


def check_structure(app: App) -> list[Problem]:
    """What is wrong or odd in an app's graph; empty for apps that have none."""
    missing = any(problem.code == "dsl.no-graph" for problem in app.problems)
    if not app.graph.nodes and (missing or app.mode not in WITH_GRAPH):
        return []
    return list(_Check(app).problems())


def container_start(container: Node, inside: Iterable[Node]) -> Node | None:
    """The child where a container begins: the one that it names, else its start child, else (in
    files of the first versions) the child that calls itself the start."""
    inside = list(inside)
    wanted = _wanted_start(container)
    for node in inside:
        if node.id == wanted:
            return node
    for node in inside:
        if node.type in _STARTS_INSIDE:
            return node
    for node in inside:
        if _data(node).get("isIterationStart"):
            return node
    return None


def handles(node: Node) -> list[str]:
    """The names of the ways out of a node, as its data says; one twice if the data has it twice."""
    data = _data(node)
    found = ["source"]
    if node.type == "if-else":
        cases = data.get("cases")
        found = [*(["true"] if cases is None else _ids(cases, "case_id", "id")), "false"]
    elif node.type == "question-classifier":
        found = _ids(data.get("classes"), "id")
    elif node.type == "human-input":
        found += [*_ids(data.get("user_actions"), "id"), "__timeout", "__timeout__"]
    if data.get("error_strategy") == "fail-branch":
        found.append("fail-branch")
    return found


class _Check:
    def __init__(self, app: App) -> None:
        self.app = app
        self.nodes: dict[str, Node] = {}
        self.levels: dict[str | None, list[Node]] = defaultdict(list)
        self.next: dict[str, list[str]] = defaultdict(list)  # within a level
        self.ways: dict[str, Counter[str]] = {}

    def problems(self) -> Iterator[Problem]:
        yield from self.ids()
        yield from self.edges()
        roots = [node for node in self.levels[None] if node.type in ROOTS]
        yield from self.starts(roots)
        containers = [node for node in self.nodes.values() if node.type in CONTAINERS]
        entries: dict[str | None, list[Node]] = {None: roots} if roots else {}
        for node in containers:
            if entry := container_start(node, self.levels[node.id]):
                entries[node.id] = [entry]
        reached = self.reach(entries)
        for node in containers:
            yield from self.container(node, entries.get(node.id), node.id in reached)
        yield from self.unreachable(entries, reached)
        yield from self.cycles(reached)

    def ids(self) -> Iterator[Problem]:
        for node in self.app.graph.nodes:
            first = self.nodes.setdefault(node.id, node)
            if first is node:
                self.levels[node.parent].append(node)
            else:
                values = {"id": node.id, "first": first.place.line or "?"}
                yield Problem("error", "dsl.duplicate-node-id", node.place, values)
            ways = Counter(handles(node))
            self.ways[node.id] = ways
            if len(ways) < ways.total():
                values = {"id": ways.most_common(1)[0][0]}
                yield Problem("warning", "dsl.duplicate-handle", node.place, values)

    def edges(self) -> Iterator[Problem]:
        seen: dict[str, Edge] = {}
        for edge in self.app.graph.edges:
            if seen.setdefault(edge.id, edge) is not edge:
                values = {"id": edge.id, "first": seen[edge.id].place.line or "?"}
                yield Problem("warning", "dsl.duplicate-edge-id", edge.place, values)
            source, target = self.nodes.get(edge.source), self.nodes.get(edge.target)
            if source is None or target is None:
                missing = edge.source if source is None else edge.target
                yield Problem("warning", "dsl.edge-to-nowhere", edge.place, {"id": missing})
                continue
            values = {"source": _name(source), "target": _name(target)}
            if source.parent != target.parent:
                yield Problem("warning", "dsl.edge-across", edge.place, values)
                continue
            self.next[edge.source].append(edge.target)
            known = self.ways[source.id]
            if edge.handle in known or source.data is None:
                continue
            if list(known) != ["source"]:
                values |= {"handle": edge.handle, "known": ", ".join(known)}
                yield Problem("warning", "dsl.no-such-handle", edge.place, values)
            elif edge.handle == "fail-branch":  # of a node with one way out all edges are taken
                yield Problem("warning", "dsl.no-fail-branch", edge.place, values)

    def starts(self, roots: list[Node]) -> Iterator[Problem]:
        if not roots:
            yield Problem("error", "dsl.no-start", Place(file=self.app.file))
        starts = [node for node in roots if node.type == "start"]
        for other in roots if starts else ():
            if other is not starts[0] and other.type != "datasource":
                values = {"first": _name(starts[0])}
                yield Problem("warning", "dsl.several-starts", other.place, values)

    def container(self, node: Node, entry: Sequence[Node] | None, runs: bool) -> Iterator[Problem]:
        wanted = _wanted_start(node)
        severity: Severity = "error" if runs else "warning"
        if not self.levels[node.id]:
            yield Problem(severity, "dsl.empty-container", node.place)
        elif not entry:
            yield Problem(severity, "dsl.container-without-start", node.place)
        elif wanted and entry[0].id != wanted:
            values = {"id": wanted, "taken": _name(entry[0])}
            yield Problem("warning", "dsl.no-such-start", node.place, values)

    def reach(self, entries: Mapping[str | None, list[Node]]) -> set[str]:
        """The ids of all nodes that a run may come to, those inside of containers included."""
        reached: set[str] = set()
        waiting = [node.id for node in entries.get(None, ())]
        while waiting:
            id = waiting.pop()
            if id not in reached:
                reached.add(id)
                waiting.extend(self.next.get(id, ()))
                waiting.extend(node.id for node in entries.get(id, ()))
        return reached

    def unreachable(
        self, entries: Mapping[str | None, list[Node]], reached: set[str]
    ) -> Iterator[Problem]:
        """Nodes that never run. Where a whole level does not, its nodes are not named singly."""
        for node in self.nodes.values():
            runs = node.parent in entries and (node.parent is None or node.parent in reached)
            if runs and node.id not in reached:
                yield Problem("warning", "dsl.unreachable", node.place)

    def cycles(self, reached: set[str]) -> Iterator[Problem]:
        """Every knot of edges that lead back to where they come from, with one way round."""
        for knot in _knots(self.nodes, self.next):
            way: dict[str, None] = {}
            id = knot[0]
            members = set(knot)
            while id not in way:
                way[id] = None
                id = next(after for after in self.next[id] if after in members)
            around = list(way)[list(way).index(id) :]
            shown = [_name(self.nodes[id]) for id in around[:_SHOWN]]
            if len(around) > _SHOWN:
                shown.append("…")
            values = {"nodes": " → ".join([*shown, shown[0]])}
            severity: Severity = "error" if reached.intersection(around) else "warning"
            yield Problem(severity, "dsl.cycle", self.nodes[around[0]].place, values)


def _knots(nodes: Iterable[str], after: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """The strongly connected parts of a graph that hold a cycle (Tarjan's algorithm, with a
    stack of its own instead of recursion)."""
    number: dict[str, int] = {}  # in the order of discovery
    low: dict[str, int] = {}  # the earliest open node that can be reached
    open_nodes: list[str] = []
    is_open: set[str] = set()
    for root in nodes:
        if root in number:
            continue
        work: list[tuple[str, Iterator[str]]] = []
        entering: str | None = root
        while entering is not None or work:
            if entering is not None:
                number[entering] = low[entering] = len(number)
                open_nodes.append(entering)
                is_open.add(entering)
                work.append((entering, iter(after.get(entering, ()))))
                entering = None
            id, rest = work[-1]
            for other in rest:
                if other not in number:
                    entering = other
                    break
                if other in is_open:
                    low[id] = min(low[id], number[other])
            if entering is not None:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[id])
            if low[id] == number[id]:
                part: list[str] = []
                while not part or part[-1] != id:
                    part.append(open_nodes.pop())
                    is_open.discard(part[-1])
                if len(part) > 1 or id in after.get(id, ()):
                    yield part[::-1]


def _wanted_start(container: Node) -> str:
    return as_text(_data(container).get("start_node_id"))


def _ids(items: Any, *keys: str) -> list[str]:
    """The ids of a list of cases, classes or actions, under the first of the keys that is set."""
    mappings = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    found = (
        next((item[key] for key in keys if item.get(key) is not None), "") for item in mappings
    )
    return [id for id in map(as_text, found) if id]


def _data(node: Node) -> Mapping[str, Any]:
    data = node.raw.get("data")
    return data if isinstance(data, dict) else {}


def _name(node: Node) -> str:
    return node.title or node.id
