"""The result of a run, gathered from its events. Its JSON form is that of `run --json`."""

from __future__ import annotations

from typing import Any

import msgspec

from millstream.engine.events import (
    Event,
    NodeFinished,
    NodeStatus,
    RunFinished,
    RunStarted,
    RunStatus,
)
from millstream.engine.ports import Usage


class NodeResult(msgspec.Struct, omit_defaults=True, gc=False):
    """One execution of a node. elapsed: seconds. Skipped nodes are not listed."""

    name: str
    id: str
    type: str
    title: str
    status: NodeStatus
    elapsed: float
    outputs: dict[str, Any] = {}
    usage: Usage | None = None
    error: dict[str, Any] | None = None


class Result(msgspec.Struct):
    """What a run gave.

    status: "succeeded"; "partial-succeeded" when an error strategy took a failure; "failed";
    "stopped". substitutes: what stood in for something that the file names. nodes: in the order
    in which they ended; those that were stopped keep the text that they had given.
    """

    status: RunStatus = "stopped"
    outputs: dict[str, Any] = {}
    error: dict[str, Any] | None = None
    substitutes: list[dict[str, str]] = []
    nodes: list[NodeResult] = []
    usage: Usage = msgspec.field(default_factory=Usage)
    elapsed: float = 0.0
    run: str = ""

    def __repr__(self) -> str:
        """Short: asyncio writes the result of a task into texts that nobody sees."""
        return f"<Result {self.status}, outputs: {', '.join(self.outputs) or 'none'}>"

    @property
    def ok(self) -> bool:
        """Whether the run came to its end."""
        return self.status in ("succeeded", "partial-succeeded")

    def take(self, event: Event) -> None:
        """Take what an event says into the result."""
        if isinstance(event, NodeFinished):
            self.nodes.append(
                NodeResult(
                    event.name,
                    event.node,
                    event.type,
                    event.title,
                    event.status,
                    event.elapsed,
                    event.outputs,
                    event.usage,
                    event.error,
                )
            )
        elif isinstance(event, RunFinished):
            self.status = event.status
            self.outputs = event.outputs
            self.error = event.error
            self.usage = event.usage
            self.elapsed = event.elapsed
        elif isinstance(event, RunStarted):
            self.run = event.run
            self.substitutes = event.substitutes
