"""An app drawn with the letters of a terminal: a node a line, edges as rails beside them.

Nodes stand in the order in which a run may reach them. A rail leads down to the node whose
name it will meet; where a node has several ways out each gets a rail and a line that names it.
What is inside of a container stands in a frame below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from millstream import dsl
from millstream.base import say
from millstream.checks import NodeReport
from millstream.cli.picture.layout import rank
from millstream.cli.picture.words import about, way, ways
from millstream.cli.terminal import label, named, shorten

Paint = Callable[..., str]

_ASCII = str.maketrans("│─├┼┴╮╯╭╰●◆■▣▸…·→≈✓✗↺", "|-+++\\/+\\o*#O>.->~+x@")
_SIGNS = {"start": "▸", "end": "■", "answer": "■", "iteration": "▣", "loop": "▣"}
_VERDICTS = {"as-is": ("✓", "green"), "substitute": ("≈", "yellow"), "needs-you": ("✗", "red")}


_LONG = 60  # columns of a title, and of what is said about a node


def _title(node: dsl.Node) -> str:
    return shorten(label(node.title) or label(node.id), _LONG) or "?"


def draw(
    graph: dsl.Graph,
    verdicts: Mapping[str, NodeReport] | None = None,
    *,
    paint: Paint = lambda text, *styles: text,
    ascii_only: bool = False,
) -> Iterator[str]:
    """The lines of the drawing. verdicts: what `check` says of each node. paint: gives styles to
    a text."""
    levels: dict[str | None, list[dsl.Node]] = defaultdict(list)
    seen: set[str] = set()
    for node in graph.nodes:
        if node.id not in seen:
            seen.add(node.id)
            levels[node.parent].append(node)
    for line in _Level(levels, graph.edges, None, verdicts or {}, paint).lines():
        yield (line.translate(_ASCII) if ascii_only else line).rstrip()


class _Level:
    """The drawing of one level. rails: what each column waits for, "" for an empty one."""

    def __init__(
        self,
        levels: Mapping[str | None, list[dsl.Node]],
        edges: Sequence[dsl.Edge],
        parent: str | None,
        verdicts: Mapping[str, NodeReport],
        paint: Paint,
    ) -> None:
        self.levels = levels
        self.edges = edges
        self.verdicts = verdicts
        self.paint = paint
        self.nodes = {node.id: node for node in levels.get(parent, ())}
        self.out: dict[str, list[dsl.Edge]] = defaultdict(list)
        after: dict[str, list[str]] = defaultdict(list)
        for edge in edges:
            if edge.source in self.nodes and edge.target in self.nodes:
                self.out[edge.source].append(edge)
        for id, out in self.out.items():
            place = {handle: i for i, (handle, _) in enumerate(ways(self.nodes[id]))}
            out.sort(key=lambda edge: place.get(edge.handle, len(place)))
            after[id] = [edge.target for edge in out]
        self.ranks = rank(list(self.nodes), after)
        self.order = self._order(after)
        self.drawn: set[str] = set()
        self.rails: list[str] = []

    def _order(self, after: Mapping[str, Sequence[str]]) -> list[str]:
        """A node comes when all before it have come, one branch to its end before the next."""
        before: dict[str, int] = dict.fromkeys(self.nodes, 0)
        for source, targets in after.items():
            for target in targets:
                if self.ranks[source] < self.ranks[target]:
                    before[target] += 1
        roots = [id for id in self.nodes if not before[id]]
        linked = {id for targets in after.values() for id in targets} | set(after)
        roots.sort(key=lambda id: (id not in linked, self.nodes[id].type != "start"))
        waiting = list(reversed(roots))
        order: list[str] = []
        while waiting:
            id = waiting.pop()
            order.append(id)
            for target in reversed(after.get(id, ())):
                if self.ranks[id] < self.ranks[target]:
                    before[target] -= 1
                    if not before[target]:
                        waiting.append(target)
        return order

    def lines(self) -> Iterator[str]:
        for id in self.order:
            yield from self.node(self.nodes[id])

    # ------------------------------------------------------------------------------------- a node

    def node(self, node: dsl.Node) -> Iterator[str]:
        others = [i for i, waits in enumerate(self.rails) if waits == node.id]
        if len(others) > 1:
            yield self._merge(others)
        elif any(self.rails):
            yield self._shift()
        if node.id not in self.rails:
            self.rails[self._free()] = node.id
        column = self.rails.index(node.id)
        self.drawn.add(node.id)
        sign = _SIGNS.get(node.type, "◆" if len(ways(node)) > 1 else "●")
        yield self._rails({column: sign}) + " " + self._words(node)
        ahead = self._ahead(node)
        self.rails[column] = ""
        yield from self._notes(node, column if ahead else None)
        yield from self._inside(node, column, bool(ahead))
        yield from self._fork(node, column, ahead)
        while self.rails and not self.rails[-1]:
            self.rails.pop()

    def _free(self) -> int:
        if "" in self.rails:
            return self.rails.index("")
        self.rails.append("")
        return len(self.rails) - 1

    def _merge(self, waiting: Sequence[int]) -> str:
        """Bring the rails that wait for the same node into the first of them."""
        first, *others = waiting
        line = self._across(first, "├", others[-1], "╯", others)
        for i in others:
            self.rails[i] = ""
        return line

    def _shift(self) -> str:
        """The rails as they are; one of them may move into an empty column on its left."""
        live = [i for i, waits in enumerate(self.rails) if waits]
        for column, i in enumerate(live):
            if column < i:
                line = self._across(column, "╭", i, "╯")
                self.rails[column], self.rails[i] = self.rails[i], ""
                return line
        return self._rails()

    def _across(
        self, left: int, start: str, right: int, end: str, joining: Sequence[int] = ()
    ) -> str:
        """A line from one column to another, over the rails between them."""
        cells = []
        for i in range(max(len(self.rails), right + 1)):
            rail = i < len(self.rails) and bool(self.rails[i])
            if i == left:
                cells.append(f"{start}─")
            elif left < i < right:
                cells.append("┴─" if i in joining else "┼─" if rail else "──")
            elif i == right:
                cells.append(f"{end} ")
            else:
                cells.append("│ " if rail else "  ")
        return self.paint("".join(cells).rstrip(), "dim")

    def _ahead(self, node: dsl.Node) -> list[dsl.Edge]:
        """The edges out of a node that lead down, in the order of its ways out."""
        return [edge for edge in self.out[node.id] if edge.target not in self.drawn]

    def _fork(self, node: dsl.Node, column: int, ahead: Sequence[dsl.Edge]) -> Iterator[str]:
        """A rail for each edge; a line for each that has a name or is not alone."""
        targets = dict.fromkeys(edge.target for edge in ahead)
        named = len(ways(node)) > 1
        for number, edge in enumerate(ahead):
            text = way(node, edge.handle) if named else ""
            if len(targets) > 1 or named:
                goes = _title(self.nodes[edge.target])
                text = f"{text} → {goes}" if text else f"→ {goes}"
            if number == 0:
                self.rails[column] = edge.target
                if named:
                    yield self._rails() + " " + self.paint(text, "cyan")
                continue
            if edge.target in self.rails:
                if named:
                    yield self._rails() + " " + self.paint(text, "cyan")
                continue
            new = self._right_of(column)
            drawn = self._across(column, "├", new, "╮")
            self.rails[new] = edge.target
            yield f"{drawn} {self.paint(text, 'cyan')}" if text else drawn
        for edge in self.out[node.id]:
            if edge.target in self.drawn:
                text = "↺ " + say("cli.show.back-to", node=_title(self.nodes[edge.target]))
                yield f"{self._rails()} {self.paint(text, 'yellow')}"

    def _right_of(self, column: int) -> int:
        for i in range(column + 1, len(self.rails)):
            if not self.rails[i]:
                return i
        self.rails.append("")
        return len(self.rails) - 1

    # ------------------------------------------------------------------------------------ its words

    def _words(self, node: dsl.Node) -> str:
        kind = shorten(label(node.type), _LONG) or "?"
        parts = [self.paint(_title(node), "bold"), self.paint(kind, "dim")]
        if text := shorten(about(node), _LONG):
            parts.append(self.paint(text, "dim"))
        report = self.verdicts.get(node.id)
        if report is not None:
            sign, color = _VERDICTS[report.verdict]
            word = say(f"cli.check.{report.verdict}") if report.verdict != "as-is" else ""
            parts.append(self.paint(f"{sign} {word}".rstrip(), color))
            if not report.reachable:
                parts.append(self.paint(say("cli.check.unreached"), "dim"))
        return "  ".join(parts)

    def _notes(self, node: dsl.Node, column: int | None) -> Iterator[str]:
        """What stands in for something, and what is needed, below the node."""
        report = self.verdicts.get(node.id)
        if report is None or report.verdict == "as-is":
            return
        marks = {column: "│"} if column is not None else {}
        for found in report.findings:
            if found.verdict != "as-is":
                met = f"{named(found.wanted)} → {found.used}" if found.used else found.why
                yield f"{self._rails(marks)}   {self.paint(label(met), 'dim')}"
        for problem in report.problems:
            if problem["severity"] == "error":
                yield f"{self._rails(marks)}   {self.paint(label(problem['message']), 'dim')}"

    def _inside(self, node: dsl.Node, column: int, goes_on: bool) -> Iterator[str]:
        """The frame with what is in a container."""
        if not self.levels.get(node.id):
            return
        inner = _Level(self.levels, self.edges, node.id, self.verdicts, self.paint)
        marks = {column: "│"} if goes_on else {}
        rail = self._rails(marks, at_least=column + 1)
        yield f"{rail} {self.paint('╭───', 'dim')}"
        for line in inner.lines():
            yield f"{rail} {self.paint('│', 'dim')} {line}"
        yield f"{rail} {self.paint('╰───', 'dim')}"

    def _rails(self, marks: Mapping[int, str] | None = None, at_least: int = 0) -> str:
        """The rails as they run down, with a sign where a node stands."""
        marks = marks or {}
        count = max([len(self.rails), at_least, *(i + 1 for i in marks)])
        cells = []
        for i in range(count):
            rail = "│" if i < len(self.rails) and self.rails[i] else " "
            sign = marks.get(i)
            cells.append(sign if sign else rail)
        text = " ".join(cells).rstrip() or " "
        signs = [sign for sign in marks.values() if sign != "│"]
        if signs:
            return text
        return self.paint(text, "dim") if text.strip() else text
