"""The typed app: what a file says, with the file's own data kept whole beside it.

`read` makes an `App` from a file; `check_structure` finds what is wrong with its graph;
`write` gives the file back. `raw` mappings are the file's data, unknown keys included, and are
never changed by anything that reads an app.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from millstream.base import MillstreamError, Place, next_step, say
from millstream.base.secret import HIDDEN

Mode = Literal["workflow", "advanced-chat", "chat", "agent-chat", "completion", "agent"]
Severity = Literal["error", "warning"]


class RetryConfig(msgspec.Struct, frozen=True):
    """How often a failed node is tried again. retry_interval: milliseconds."""

    retry_enabled: bool = False
    max_retries: int = 0
    retry_interval: float = 0


class DefaultValue(msgspec.Struct, frozen=True):
    """One output that a failed node has instead, under the `default-value` strategy."""

    key: str
    value: Any = None
    type: str = "string"


class NodeData(msgspec.Struct, kw_only=True):
    """What the `data` of every node type may hold; each type's own class adds its fields."""

    type: str = ""
    title: str = ""
    desc: str | None = None
    version: str | int | float | None = None
    error_strategy: Literal["fail-branch", "default-value", "none"] | None = None
    default_value: list[DefaultValue] | None = None
    retry_config: RetryConfig | None = None


class DataType(Protocol):
    """What `dsl` needs to know of a node type: its data class. The registry maps
    `data.type` to it."""

    Data: ClassVar[type[NodeData]]


Registry = Mapping[str, type[DataType]]


class Problem(msgspec.Struct, frozen=True):
    """Something wrong or odd in a file: a catalogue key with its parameters and its place.

    error: the app cannot run. warning: it runs, but not as its author may think.
    """

    severity: Severity
    code: str
    place: Place
    values: dict[str, Any] = {}

    @property
    def message(self) -> str:
        return say(self.code, **self.values)

    @property
    def next_step(self) -> str:
        return next_step(self.code, **self.values)

    def as_error(self, kind: type[MillstreamError]) -> MillstreamError:
        return kind(self.code, place=self.place, **self.values)


class Node(msgspec.Struct):
    """A node of the drawing.

    data: the typed data, or None where the type is unknown or its data does not parse (then a
    problem says so). raw: the outer mapping of the file. path: keys and indexes that lead to it
    in the file. parent: id of the container it is in.
    """

    id: str
    type: str
    title: str
    raw: dict[str, Any]
    place: Place
    data: NodeData | None = None
    parent: str | None = None
    path: tuple[str | int, ...] = ()

    def __repr__(self) -> str:  # raw data may hold keys and passwords
        return f"Node({self.id!r}, type={self.type!r}, title={self.title!r})"


class Edge(msgspec.Struct):
    """An arrow. handle: which way out of the source it is, "source" for the ordinary one."""

    id: str
    source: str
    target: str
    handle: str
    raw: dict[str, Any]
    place: Place

    def __repr__(self) -> str:
        return f"Edge({self.id!r}, {self.source!r} -{self.handle}-> {self.target!r})"


class Graph(msgspec.Struct):
    """Nodes and edges in the order of the file; canvas notes are kept apart."""

    nodes: list[Node] = []
    edges: list[Edge] = []
    notes: list[dict[str, Any]] = []

    def node(self, id: str) -> Node | None:
        return next((node for node in self.nodes if node.id == id), None)


class Variable(msgspec.Struct):
    """An environment or conversation variable. value_type "secret" is never shown."""

    name: str
    value_type: str
    value: Any
    description: str = ""

    def __repr__(self) -> str:
        shown = HIDDEN if self.value_type == "secret" else repr(self.value)
        return f"Variable({self.name!r}, {self.value_type!r}, {shown})"


class Lines(Protocol):
    """Where the parts of a file are."""

    def line(self, *path: str | int) -> int | None:
        """The line (from 1) of the entry at a path of keys and indexes; of the deepest part
        that exists if the path goes further than the file."""


class App(msgspec.Struct):
    """An app file, read.

    file: its path, or a name such as "<stdin>". raw: the whole file. graph: empty for the modes
    that have none (chat, agent-chat, completion, agent). problems: found while reading.
    """

    file: str
    name: str
    mode: str
    raw: dict[str, Any]
    lines: Lines
    version: str = "0.1.0"
    description: str = ""
    graph: Graph = msgspec.field(default_factory=Graph)
    environment: list[Variable] = []
    conversation: list[Variable] = []
    problems: list[Problem] = []

    def __repr__(self) -> str:  # never the raw file: it may hold secrets
        return f"App({self.file!r}, name={self.name!r}, mode={self.mode!r})"

    @property
    def features(self) -> dict[str, Any]:
        workflow = self.raw.get("workflow")
        found = workflow.get("features") if isinstance(workflow, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]
