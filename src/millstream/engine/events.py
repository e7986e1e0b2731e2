"""The event stream of a run: everything that a terminal, a client, a journal or a test sees.

Events are numbered from 1 without gaps. `name` is the deterministic name of a node execution
(`write`, or `chapters[12]/write` inside the 13th item of the container `chapters`); `node` is the
node's id in the file. `at` and `elapsed` are seconds of the run's clock, `at` since the start of
the run. What is in an event is shared with the run and with others: read it, do not change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from millstream.engine.ports import Usage

NodeStatus = Literal["succeeded", "failed", "exception", "stopped"]
RunStatus = Literal["succeeded", "partial-succeeded", "failed", "stopped"]


class Event(msgspec.Struct, tag_field="event", tag=True, omit_defaults=True, gc=False):
    seq: int


class RunStarted(Event, tag="run_started", gc=False):
    """created_at: Unix seconds. substitutes: what stands in for something that the file names,
    each with `node`, `wanted`, `used` and `why`."""

    run: str
    app: str
    mode: str
    inputs: dict[str, Any]
    created_at: float
    substitutes: list[dict[str, str]] = []


class NodeStarted(Event, tag="node_started", gc=False):
    name: str
    node: str
    type: str
    title: str
    at: float


class NodeSkipped(Event, tag="node_skipped", gc=False):
    """No live way leads to this node in this run."""

    name: str
    node: str
    type: str
    title: str


class NodeRetry(Event, tag="node_retry", gc=False):
    """A node failed and is about to be tried again; what it has streamed so far is void.

    attempt: 1 for the first try again."""

    name: str
    node: str
    attempt: int
    error: dict[str, Any]


class TextChunk(Event, tag="text_chunk", gc=False):
    name: str
    node: str
    text: str


class ReasoningChunk(Event, tag="reasoning_chunk", gc=False):
    name: str
    node: str
    text: str


class TextReplaced(Event, tag="text_replaced", gc=False):
    """What a node streamed was not its answer after all; this is."""

    name: str
    node: str
    text: str


class ItemStarted(Event, tag="item_started", gc=False):
    """A container begins an item (iteration) or a round (loop). name: the container's."""

    name: str
    node: str
    index: int
    total: int


class NodeFinished(Event, tag="node_finished", gc=False):
    """status "exception": it failed, and the run goes on by the node's error strategy.
    "stopped": the run ended before it did; outputs hold the text it had given."""

    name: str
    node: str
    type: str
    title: str
    status: NodeStatus
    at: float
    elapsed: float
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    handle: str = "source"
    details: dict[str, Any] = {}
    usage: Usage | None = None
    error: dict[str, Any] | None = None
    reused: bool = False


class RunFinished(Event, tag="run_finished", gc=False):
    """exceptions: failures that an error strategy or a retry repaired."""

    status: RunStatus
    outputs: dict[str, Any]
    elapsed: float
    steps: int
    usage: Usage
    exceptions: int = 0
    error: dict[str, Any] | None = None


Emit = Callable[[Event], None]


def encode(event: Any) -> bytes:
    """An event, or any value of a run, as one line of JSON without the line end."""
    try:
        return msgspec.json.encode(event, enc_hook=str)
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError):
        return msgspec.json.encode(_writable(event, ()))


_DEEPEST = 200  # levels; readers of JSON stop at some hundred


def _writable(value: Any, above: tuple[int, ...]) -> Any:
    """A value that JSON cannot hold, as near to it as JSON can: halves of characters become
    U+FFFD, keys texts, what holds itself or is nested too deeply an ellipsis. above: the ids of
    the containers that this value is in."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and value.bit_length() > 10_000:
        return hex(value)  # Python refuses to write it in decimal
    if value is None or isinstance(value, int | float):
        return value
    if id(value) in above or len(above) > _DEEPEST:
        return "…"
    above = (*above, id(value))
    if isinstance(value, msgspec.Struct):
        config = type(value).__struct_config__
        tag = {config.tag_field: config.tag} if config.tag_field else {}
        value = tag | msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {str(_writable(key, above)): _writable(item, above) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_writable(item, above) for item in value]
    return _writable(str(value), above)
