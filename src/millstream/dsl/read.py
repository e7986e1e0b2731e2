"""Reading an app file: any export, and what other tools and hands make of the format.

What a file is follows from its shape, never from its version. Only a file that is no app at all
raises; whatever else is wrong becomes a problem of the app, with its place, and the rest is read
all the same. Node types are known through the registry alone. Whether the graph makes sense is
asked by `check_structure`.
"""

from __future__ import annotations

import datetime
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from millstream.base import BadInput, Place, Secret
from millstream.dsl.app import App, Edge, Graph, Node, Problem, Registry, Severity, Variable
from millstream.dsl.document import Document, Lines, Progress, parse
from millstream.dsl.typed import convert, kind
from millstream.values.types import fits, type_of

Keys = tuple[str | int, ...]

MODES = ("workflow", "advanced-chat", "chat", "agent-chat", "completion", "agent")
WITH_GRAPH = ("workflow", "advanced-chat", "rag-pipeline")
CONTAINERS = ("iteration", "loop")
MAX_NESTED = 50  # containers inside of containers
_SIGNS = ("app", "workflow", "graph", "graph_config", "nodes", "model_config", "rag_pipeline")
_BEGINNING = re.compile(rb"^[\"']?(" + "|".join(_SIGNS).encode() + rb")[\"']?\s*:", re.MULTILINE)
_ENVELOPES = ("data", "yaml_content")  # what an export and an import API wrap a file in
_GRAPHS: tuple[Keys, ...] = (("workflow", "graph"), ("graph",), ("graph_config",), ())
_OTHER_NAMES = {"variable-assigner": "variable-aggregator"}  # of the first versions


def read_file(
    path: str | os.PathLike[str], registry: Registry, *, progress: Progress | None = None
) -> App:
    """Read an app file. progress: called now and then with bytes done and bytes in all.

    Raises BadInput for what cannot be read, is not YAML or JSON, or is no app at all.
    """
    file = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadInput("dsl.no-file", place=Place(file=file)) from None
    except IsADirectoryError:
        raise BadInput("dsl.folder", place=Place(file=file)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput("dsl.unreadable", place=Place(file=file), reason=reason) from None
    return read_text(data, file, registry, progress=progress)


def read_text(
    text: str | bytes, file: str, registry: Registry, *, progress: Progress | None = None
) -> App:
    """Read an app from its text; `file` is the name that messages call it by."""
    document = parse(text, file, progress=progress)
    inside = file
    while isinstance(wrapped := _wrapped(document.data), str):
        inside += "#data"
        document = parse(wrapped, inside)
    if not isinstance(document.data, dict):
        raise BadInput(
            "dsl.not-mapping",
            place=Place(file=inside, line=document.lines.line()),
            given=kind(document.data),
        )
    if not any(sign in document.data for sign in (*_SIGNS, "agent")):
        keys = ", ".join(str(key) for key in list(document.data)[:5])
        raise BadInput("dsl.not-an-app", place=Place(file=inside), keys=keys)
    return _Reader(document, inside, registry).app(file)


def may_be_app(text: bytes) -> bool:
    """Whether a text that cannot be read has a line that begins like one of an app."""
    return _BEGINNING.search(text) is not None


def _wrapped(data: Any) -> Any:
    if isinstance(data, dict) and not any(sign in data for sign in _SIGNS):
        for key in _ENVELOPES:
            if key in data:
                return data[key]
    return None


class _Reader:
    def __init__(self, document: Document, file: str, registry: Registry) -> None:
        self.raw: dict[str, Any] = document.data
        self.lines: Lines = document.lines
        self.repeats = document.repeats
        self.file = file
        self.registry = registry
        self.problems: list[Problem] = []

    def app(self, file: str) -> App:
        for repeat in self.repeats:
            place = Place(file=self.file, line=repeat.line, field=repeat.key)
            values = {"key": repeat.key, "first": repeat.first}
            self.problems.append(Problem("warning", "dsl.repeated-key", place, values))
        header = _mapping(self.raw.get("app")) or _mapping(self.raw.get("rag_pipeline"))
        graph = self.graph()
        mode = self.mode(header, graph)
        if graph is None and mode in WITH_GRAPH:
            self.problem("error", "dsl.no-graph", (), mode=mode)
        version = self.raw.get("version")
        return App(
            file=file,
            name=as_text(header.get("name")) or Path(file).stem,
            mode=mode,
            raw=self.raw,
            lines=self.lines,
            version="0.1.0" if version is None else as_text(version),
            description=as_text(header.get("description")),
            graph=graph or Graph(),
            environment=self.variables("environment_variables"),
            conversation=self.variables("conversation_variables"),
            problems=self.problems,
        )

    def mode(self, header: Mapping[str, Any], graph: Graph | None) -> str:
        """The mode that the file says, or the one that its parts are those of."""
        said = header.get("mode")
        if said in MODES:
            return str(said)
        config = _mapping(self.raw.get("model_config"))
        if "rag_pipeline" in self.raw or self.raw.get("kind") == "rag_pipeline":
            return "rag-pipeline"
        if graph is not None:
            chat = any(node.type == "answer" for node in graph.nodes)
            mode = "advanced-chat" if chat else "workflow"
        elif "agent" in self.raw:
            mode = "agent"
        elif config:
            agent = _mapping(config.get("agent_mode")).get("enabled")
            simple = _mapping(config.get("model")).get("mode") == "completion"
            mode = "agent-chat" if agent else "completion" if simple else "chat"
        else:
            mode = "workflow"
        if said is not None:
            self.problem("warning", "dsl.unknown-mode", ("app", "mode"), mode=said, taken=mode)
        return mode

    # ------------------------------------------------------------------------------ the graph

    def graph(self) -> Graph | None:
        for path in _GRAPHS:
            found: Any = self.raw
            for key in path:
                found = _mapping(found).get(key)
            if isinstance(found, dict) and ("nodes" in found or "edges" in found or path):
                return self.graph_at(found, path)
        return None

    def graph_at(self, raw: dict[str, Any], path: Keys) -> Graph:
        graph = Graph(nodes=[], edges=[], notes=[])
        undecided: list[tuple[Node, str, str]] = []  # inside of an iteration and of a loop
        for i, item in self.items(raw, path, "nodes"):
            if item.get("type") == "custom-note":
                graph.notes.append(item)
                continue
            node = self.node(item, (*path, "nodes", i))
            if node is None:
                continue
            graph.nodes.append(node)
            parents = _parents(item)
            node.parent = parents[0] if parents else None
            if len(parents) == 2:
                undecided.append((node, parents[0], parents[1]))
        by_id = {node.id: node for node in graph.nodes}
        for node, iteration, loop in undecided:
            if loop in by_id and by_id[loop].parent == iteration:
                node.parent = loop
        self.settle(graph.nodes)
        for i, item in self.items(raw, path, "edges"):
            edge = self.edge(item, (*path, "edges", i))
            if edge is not None:
                graph.edges.append(edge)
        return graph

    def settle(self, nodes: list[Node]) -> None:
        """Take nodes out of containers that cannot hold them: what remains is a forest, not too
        deep for those who recurse over it."""
        types = {node.id: node.type for node in nodes}
        children: dict[str | None, list[Node]] = defaultdict(list)
        for node in nodes:
            if node.parent is not None:
                holder = types.get(node.parent)
                if holder is None or (holder in self.registry and holder not in CONTAINERS):
                    self.take_out(node, "dsl.no-such-container")
            children[node.parent].append(node)
        settled: dict[str, str | None] = {}  # the container of each id
        level, depth = children[None], 0
        while level:
            if depth > MAX_NESTED:
                for node in level:
                    self.take_out(node, "dsl.containers-too-deep", limit=MAX_NESTED)
                depth = 0
            depth += 1
            new = dict.fromkeys(node.id for node in level if node.id not in settled)
            settled.update((node.id, node.parent) for node in level if node.id in new)
            level = [child for id in new for child in children[id]]
        for node in nodes:
            # A second node of the same id somewhere else might stand inside of itself.
            if node.parent is not None and settled.get(node.id) != node.parent:
                self.take_out(node, "dsl.container-loop")

    def take_out(self, node: Node, code: str, **values: Any) -> None:
        values["id"] = node.parent
        node.parent = None
        severity: Severity = "error" if code == "dsl.containers-too-deep" else "warning"
        self.problems.append(Problem(severity, code, node.place, values))

    def items(self, raw: dict[str, Any], path: Keys, key: str) -> list[tuple[int, dict[str, Any]]]:
        """The mappings of a list, numbered; whatever else is there is a problem."""
        found = raw.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.problem("error", "dsl.not-a-list", (*path, key), key=key, given=kind(found))
            return []
        items = []
        for i, item in enumerate(found):
            if isinstance(item, dict):
                items.append((i, item))
            else:
                self.problem("error", "dsl.item", (*path, key, i), key=key, given=kind(item))
        return items

    def node(self, raw: dict[str, Any], path: Keys) -> Node | None:
        id = as_text(raw.get("id"))
        line = self.lines.line(*path)
        if not id:
            self.problem("error", "dsl.node-without-id", path)
            return None
        data = raw.get("data")
        if not isinstance(data, dict):
            data = {}
        type = as_text(data.get("type"))
        outer = as_text(raw.get("type"))
        if not type and outer in self.registry:  # hand-made files put it outside
            type = outer
        type = _OTHER_NAMES.get(type, type)
        title = as_text(data.get("title"))
        place = Place(file=self.file, line=line, node=id, title=title or None)
        node = Node(id=id, type=type, title=title, raw=raw, place=place, path=path)
        registered = self.registry.get(type)
        if not type:
            self.problems.append(Problem("error", "dsl.node-without-type", place))
        elif registered is None:
            self.problems.append(Problem("error", "dsl.unknown-node-type", place, {"type": type}))
        else:
            node.data, faults = convert(data, registered.Data)
            for fault in faults:
                field = ".".join(map(str, fault.path)) or None
                at = self.lines.line(*path, "data", *fault.path)
                there = Place(file=self.file, line=at, node=id, title=title or None, field=field)
                values = {"wanted": fault.wanted, "given": fault.given}
                code = "dsl.field-missing" if _absent(data, fault.path) else "dsl.field"
                self.problems.append(Problem("error", code, there, values))
        return node

    def edge(self, raw: dict[str, Any], path: Keys) -> Edge | None:
        source, target = as_text(raw.get("source")), as_text(raw.get("target"))
        if not source or not target:
            self.problem("warning", "dsl.edge-without-end", path)
            return None
        handle = as_text(raw.get("sourceHandle"))
        if handle in ("", "success-branch"):
            handle = "source"
        return Edge(
            id=as_text(raw.get("id")) or f"{source}-{handle}-{target}",
            source=source,
            target=target,
            handle=handle,
            raw=raw,
            place=Place(file=self.file, line=self.lines.line(*path)),
        )

    # ------------------------------------------------------------------------------ variables

    def variables(self, key: str) -> list[Variable]:
        path: Keys = ("workflow",) if isinstance(self.raw.get("workflow"), dict) else ()
        holder = self.raw["workflow"] if path else self.raw
        found = []
        for i, item in self.items(holder, path, key):
            here = (*path, key, i)
            name = as_text(item.get("name"))
            if not name:
                self.problem("error", "dsl.variable-without-name", here)
                continue
            # Files that were not exported say `type`, and may mean a secret by it.
            declared = as_text(item.get("value_type") or item.get("type")).lower()
            value = item.get("value")
            value_type = declared or type_of(value)
            if isinstance(value, datetime.date):
                value = str(value)
            typed = _typed(value, value_type)
            if value_type == "secret" and isinstance(typed, str):
                Secret(typed)  # from now on `redact` takes it out of foreign texts
            if not fits(typed, value_type):
                self.problem(
                    "error",
                    "dsl.variable-type",
                    (*here, "value"),
                    name=name,
                    wanted=value_type,
                    given=kind(value),
                )
            description = as_text(item.get("description"))
            found.append(Variable(name, value_type, typed, description))
        return found

    def problem(self, severity: Severity, code: str, path: Keys, **values: Any) -> None:
        field = ".".join(map(str, path)) or None
        place = Place(file=self.file, line=self.lines.line(*path), field=field)
        self.problems.append(Problem(severity, code, place, values))


def _parents(raw: Mapping[str, Any]) -> list[str]:
    """The container of a node; an iteration and a loop if the file names both."""
    data = _mapping(raw.get("data"))
    for said in (data.get("container_id"), raw.get("parentId")):
        if said not in (None, ""):
            return [as_text(said)]
    both = (data.get("iteration_id"), data.get("loop_id"))
    return [as_text(said) for said in both if said not in (None, "")]


def _typed(value: Any, value_type: str) -> Any:
    """A variable's value as its type says: texts of numbers, lists and objects are read."""
    if not isinstance(value, str):
        if value_type in ("string", "secret") and isinstance(value, int | float):
            return as_text(value)
        return value
    if value_type in ("string", "secret", "any"):
        return value
    if not value.strip():
        return None
    try:
        read = msgspec.json.decode(value)
        return read if fits(read, value_type) else value
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return value


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """A scalar as text: an id without quotes is a number in YAML, a handle `true` a boolean."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | datetime.date):
        return str(value)
    return ""


def _absent(value: Any, path: Keys) -> bool:
    """Whether nothing is written at a place of a node's data."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return True
    return False
