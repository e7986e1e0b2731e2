"""What a node type is: its data, how it is compiled, how it runs.

A node has three moments. `__init__` compiles it, once per app: templates parsed, selectors made.
`inputs` looks up in the pool all that one execution depends on, as plain data. `run` does the
work from these inputs alone; it returns its `Outcome`, or, if it has to wait for something, a
coroutine of it. The split lets a journal compare inputs, and another machine run the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from millstream import dsl
from millstream.base import Failed, MillstreamError, Place
from millstream.dsl import NodeData
from millstream.engine.ports import Need, Usage
from millstream.values import Pool, Selector

if TYPE_CHECKING:
    from millstream.engine.plan import Graph
    from millstream.engine.scheduler import Context

D = TypeVar("D", bound=NodeData)
Inputs = dict[str, Any]
DataClass = type[NodeData]

SOURCE = "source"
FAIL_BRANCH = "fail-branch"


class Outcome(msgspec.Struct, gc=False):
    """What an execution gave. handle: the way out that is taken, for nodes that branch.
    details: what a person may want to know beyond the outputs."""

    outputs: dict[str, Any]
    handle: str = SOURCE
    usage: Usage | None = None
    details: dict[str, Any] = {}


class Reading(msgspec.Struct, frozen=True):
    """A place in a node's data that reads a variable.

    wants: the value types that will do ("array": any list); empty for any. required: the node
    fails where the variable is missing."""

    selector: Selector
    field: str
    wants: Sequence[str] = ()
    required: bool = False


class Build(msgspec.Struct):
    """What a node is compiled from, besides its data.

    children: the compiled inside of a container. spec: the node in the file, for its raw data."""

    app: dsl.App
    spec: dsl.Node
    children: Graph | None = None

    def place(self, *path: str | int) -> Place:
        """The place of a field of this node's data, with its line in the file."""
        known, line = self.spec.place, None
        if self.spec.path:
            line = self.app.lines.line(*self.spec.path, "data", *path)
        return Place(
            file=known.file,
            line=line or known.line,
            node=self.spec.id,
            title=self.spec.title,
            field=".".join(map(str, path)) or None,
        )


class Node(Generic[D]):
    """Base of all node types. See the module for its three moments.

    branches: one of several ways out is taken. effect: may act on the world, so that a journal is
    committed before and after it. quiet: no events (the inner start of a container). ends: its
    outputs are outputs of the run. retries: obeys the file's retry settings.
    """

    type: ClassVar[str]
    Data: ClassVar[DataClass] = NodeData
    branches: ClassVar[bool] = False
    effect: ClassVar[bool] = False
    quiet: ClassVar[bool] = False
    ends: ClassVar[bool] = False
    retries: ClassVar[bool] = False
    container: ClassVar[bool] = False

    def __init__(self, data: D, build: Build) -> None:
        self.data = data

    def inputs(self, pool: Pool) -> Inputs:
        """All that an execution depends on; raises MillstreamError."""
        return {}

    def run(self, inputs: Inputs, context: Context) -> Outcome | Awaitable[Outcome]:
        """Do the work; raises MillstreamError."""
        raise NotImplementedError

    # What checks ask about a compiled node.
    def reads(self) -> Iterable[Reading]:
        """Every variable that the node reads, with the place of the reference in its data."""
        return ()

    def outputs(self) -> dict[str, str] | None:
        """Names and value types of the outputs; None where only a run can tell."""
        return {}

    def inside(self) -> dict[str, str]:
        """What the children of a container read under its id: names and value types."""
        return {}

    def needs(self) -> Iterable[Need]:
        """What must be here before this node can run."""
        return ()

    def doubts(self) -> Iterable[MillstreamError]:
        """What is bound to fail in a run, as far as the file alone tells."""
        return ()


class Later(Node[D]):
    """A node type that is read, checked and written back, but not run by this version."""

    def __init__(self, data: D, build: Build) -> None:
        super().__init__(data, build)
        self.id = build.spec.id

    def outputs(self) -> dict[str, str] | None:
        return None

    def needs(self) -> Iterable[Need]:
        return (Need("runtime", self.type, self.id),)

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        raise Failed("engine.not-yet", type=self.type)
