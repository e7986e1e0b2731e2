"""Nodes that misbehave: whatever one does, the run comes to an end and names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar

import msgspec
import pytest

from drawn import box, drawn
from millstream.base import Failed
from millstream.dsl import NodeData
from millstream.engine import Context, Inputs, Limits, Node, Outcome, Plan, Ports, execute
from millstream.engine.events import (
    Event,
    ItemStarted,
    NodeFinished,
    NodeRetry,
    RunFinished,
    TextChunk,
    encode,
)
from millstream.engine.node import DataClass
from millstream.nodes.iteration import Iteration, IterationStart
from millstream.runtime.clock import SystemClock
from millstream.values import Pool


class OddData(NodeData, kw_only=True):
    """how: a key of HOW. moment: inputs, run, wait, or retry (a second try that fails at once)."""

    how: str = "succeed"
    moment: str = "wait"


class Panic(BaseException):
    """What a native library raises that does not want to be caught."""


async def _cancelled() -> None:
    """Wait for something that somebody else cancels."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


HOW: dict[str, Callable[[], Any]] = {
    "value": lambda: int("x"),
    "recursion": lambda: _deep(),
    "memory": lambda: _raise(MemoryError()),
    "exit": lambda: _raise(SystemExit(3)),
    "panic": lambda: _raise(Panic("native code panicked")),
    "cancelled": lambda: _raise(asyncio.CancelledError()),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "surrogate": lambda: "\ud800".encode(),
    "stop": lambda: _raise(StopIteration()),
    "stop-async": lambda: _raise(StopAsyncIteration()),
    "group": lambda: _raise(ExceptionGroup("several", [ValueError("one")])),
}


def _raise(error: BaseException) -> None:
    raise error


def _deep() -> Any:
    return _deep()


class Odd(Node[OddData]):
    type = "odd"
    Data: ClassVar[DataClass] = OddData
    retries = True

    def __init__(self, data: OddData, build: Any) -> None:
        super().__init__(data, build)
        self.tries = 0

    def inputs(self, pool: Pool) -> Inputs:
        if self.data.moment == "inputs":
            HOW[self.data.how]()
        return {}

    def run(self, inputs: Inputs, context: Context) -> Any:
        self.tries += 1
        if self.data.moment == "run" or (self.data.moment == "retry" and self.tries > 1):
            HOW[self.data.how]()
        return self.wait(context)

    async def wait(self, context: Context) -> Outcome:
        context.text("said ")
        await asyncio.sleep(0)
        if self.data.moment == "retry":
            raise Failed("base.unexpected", problem="first try")
        if self.data.how == "outside":
            await _cancelled()
        if self.data.how == "forever":
            await asyncio.Event().wait()
        if self.data.moment == "wait" and self.data.how in HOW:
            HOW[self.data.how]()
        return Outcome({"ok": True})


class Start(Node[NodeData]):
    type = "start"

    def inputs(self, pool: Pool) -> Inputs:
        return {"items": [1, 2, 3]}

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        return Outcome(inputs)


REGISTRY = {
    "start": Start,
    "odd": Odd,
    "iteration": Iteration,
    "iteration-start": IterationStart,
}


def odd(id: str, parent: str | None = None, **data: Any) -> dict[str, Any]:
    return box(id, "odd", parent, **data)


def plan_of(boxes: list[dict[str, Any]], *ways: str) -> Plan:
    return drawn(REGISTRY, [box("start", "start"), *boxes], ways)


async def run(plan: Plan, **more: Any) -> list[Event]:
    events: list[Event] = []
    ports = Ports(clock=SystemClock())
    await asyncio.wait_for(execute(plan, {}, ports, events.append, **more), 20)
    return events


def last(events: list[Event]) -> RunFinished:
    found = events[-1]
    assert isinstance(found, RunFinished)
    return found


MOMENTS = ("inputs", "run", "wait", "retry")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", sorted(set(HOW) - {"interrupt"}))
async def test_whatever_a_node_raises_is_a_failure_that_names_it(how: str, moment: str) -> None:
    retry = {"retry_enabled": True, "max_retries": 1} if moment == "retry" else None
    plan = plan_of([odd("bad", how=how, moment=moment, retry_config=retry)], "start>bad")
    events = await run(plan)
    error = last(events).error
    assert last(events).status == "failed"
    assert error is not None
    assert error["message"]
    assert error["place"] == {"file": "drawn.yml", "node": "bad", "title": "The bad"}
    assert "Traceback" not in encode(last(events)).decode()
    assert [e.name for e in events if isinstance(e, NodeFinished)] == ["start", "bad"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("recursion", "a value is nested too deeply to be worked with, or holds itself"),
        ("memory", "the memory of this machine is not enough for this"),
        ("cancelled", "something that the node waited for was cancelled"),
        ("outside", "something that the node waited for was cancelled"),
        ("panic", "unexpected error: Panic: native code panicked"),
    ],
)
async def test_the_words_for_it(how: str, words: str) -> None:
    events = await run(plan_of([odd("bad", how=how)], "start>bad"))
    error = last(events).error
    assert error is not None
    assert error["message"] == words
    failed = events[-2]
    assert isinstance(failed, NodeFinished)
    assert failed.outputs == {"text": "said "}  # what it had given is not lost


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_ends_the_run_and_goes_on_to_the_caller(moment: str) -> None:
    retry = {"retry_enabled": True, "max_retries": 1} if moment == "retry" else None
    bad = odd("bad", how="interrupt", moment=moment, retry_config=retry)
    plan = plan_of([odd("slow", how="forever"), bad], "start>slow", "start>bad")
    events: list[Event] = []

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            await execute(plan, {}, Ports(clock=SystemClock()), events.append)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert last(events).status == "stopped"
    assert ("slow", "stopped") in [
        (e.name, e.status) for e in events if isinstance(e, NodeFinished)
    ]


async def test_the_strategies_take_whatever_is_raised() -> None:
    strategy = {"error_strategy": "fail-branch"}
    nodes = [odd("bad", how="exit", **strategy), odd("after"), odd("never")]
    events = await run(plan_of(nodes, "start>bad", "bad:fail-branch>after", "bad>never"))
    assert last(events).status == "partial-succeeded"
    ended = {e.name: e for e in events if isinstance(e, NodeFinished)}
    assert ended["bad"].status == "exception"
    assert ended["bad"].outputs["error_type"] == "SystemExit"
    assert list(ended) == ["start", "bad", "after"]


@pytest.mark.parametrize("interval", [0, 0.0001, float("nan"), -5])
async def test_retries_are_counted_and_their_interval_may_be_odd(interval: float) -> None:
    retry = {"retry_enabled": True, "max_retries": 3, "retry_interval": interval}
    events = await run(plan_of([odd("bad", how="value", retry_config=retry)], "start>bad"))
    assert [e.attempt for e in events if isinstance(e, NodeRetry)] == [1, 2, 3]
    assert last(events).exceptions == 3
    assert all(e.error["place"]["node"] == "bad" for e in events if isinstance(e, NodeRetry))


def iteration(id: str, parent: str | None = None, **data: Any) -> list[dict[str, Any]]:
    data = {
        "iterator_selector": ["start", "items"],
        "output_selector": [f"{id}w", "ok"],
        "start_node_id": f"{id}s",
        **data,
    }
    return [box(id, "iteration", parent, **data), box(f"{id}s", "iteration-start", id)]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("mode", ["terminated", "continue-on-error"])
async def test_a_limit_ends_the_run_whatever_the_containers_would_bear(
    mode: str, parallel: bool
) -> None:
    data = {"error_handle_mode": mode, "is_parallel": parallel, "error_strategy": "fail-branch"}
    nodes = [*iteration("it", **data), odd("itw", "it"), odd("after")]
    plan = plan_of(nodes, "start>it", "its>itw", "it:fail-branch>after")
    events = await run(plan, limits=Limits(max_steps=4))
    error = last(events).error
    assert error is not None
    assert error["code"] == "engine.max-steps"
    assert error["place"]["node"] == "itw"
    assert not [e for e in events if getattr(e, "node", "") == "after"]


@pytest.mark.parametrize("parallel", [False, True])
def test_an_interrupt_inside_of_a_container_ends_the_run(parallel: bool) -> None:
    nodes = [*iteration("it", is_parallel=parallel), odd("itw", "it", how="interrupt")]
    plan = plan_of(nodes, "start>it", "its>itw")
    events: list[Event] = []

    async def main() -> None:
        await execute(plan, {}, Ports(clock=SystemClock()), events.append)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert last(events).status == "stopped"


async def test_long_chains_let_others_have_a_turn() -> None:
    """Nodes that never wait still let the reader, a stop and a server go on beside them."""
    nodes = [*iteration("it"), box("itw", "start", "it")]
    plan = plan_of(nodes, "start>it", "its>itw")
    many: Any = plan.root.steps[0].node
    many.inputs = lambda pool: {"items": [0] * 100_000}
    events: list[Event] = []
    task = asyncio.create_task(execute(plan, {}, Ports(clock=SystemClock()), events.append))
    seen = []
    while not task.done() and len(seen) < 50:
        await asyncio.sleep(0)
        seen.append(len(events))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(set(seen)) > 40
    assert max(after - before for before, after in pairwise(seen)) < 600
    assert last(events).status == "stopped"
    assert sum(isinstance(e, ItemStarted) for e in events) < 100_000


async def test_values_that_json_cannot_hold_can_be_told() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    odd_values = [float("nan"), "\ud83d", "\ud83d\ude00", 10**5000, {None: 1}, {1, 2}, loop, object]
    line = encode(TextChunk(1, "n", "n", odd_values))  # type: ignore[arg-type]
    text = line.decode()
    assert msgspec.json.decode(line)
    assert "😀" in text
    assert "\ufffd" in text
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(encode(deep)) < 1000
