"""The scheduler on random graphs: nodes run once or are skipped, joins wait, time is nothing."""

from __future__ import annotations

import ast
import asyncio
import inspect
import random
from collections import Counter
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import millstream.engine
from millstream import dsl
from millstream.base import Failed, Place
from millstream.dsl import NodeData
from millstream.engine import Context, Inputs, Node, Outcome, Ports, compile, execute
from millstream.engine.events import (
    Event,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    RunFinished,
)
from millstream.engine.node import DataClass
from millstream.engine.ports import Usage
from millstream.runtime.clock import SystemClock
from millstream.values import Pool


class WorkData(NodeData, kw_only=True):
    """reads: nodes whose value goes into this one's. turns: how often it waits. fails: it does."""

    reads: list[str] = msgspec.field(default_factory=list)
    turns: int = 0
    fails: bool = False
    ways: int = 0


class Work(Node[WorkData]):
    type = "work"
    Data: ClassVar[DataClass] = WorkData

    def inputs(self, pool: Pool) -> Inputs:
        return {id: pool.get([id, "value"]) or None for id in self.data.reads}

    def run(self, inputs: Inputs, context: Context) -> Any:
        return self.wait(inputs, context) if self.data.turns else self.result(inputs, context)

    async def wait(self, inputs: Inputs, context: Context) -> Outcome:
        for _ in range(self.data.turns):
            await asyncio.sleep(0)
        return self.result(inputs, context)

    def result(self, inputs: Inputs, context: Context) -> Outcome:
        if self.data.fails:
            raise Failed("base.unexpected", problem=context.name)
        text = ",".join(f"{k}={v}" for k, v in inputs.items())
        value = f"{context.step.id}({text})"
        handle = "source"
        if self.branches:
            # Which way is taken follows from the inputs alone.
            handle = f"w{len(value) % max(1, self.data.ways)}"
        return Outcome(
            {"value": value}, handle, Usage(completion_tokens=7) if self.data.turns else None
        )


class Branch(Work):
    type = "branch"
    branches = True


class Start(Work):
    type = "start"


REGISTRY = {"start": Start, "work": Work, "branch": Branch}


def make_app(nodes: list[tuple[str, str, dict[str, Any]]], ways: list[tuple[str, str, str]]) -> Any:
    place = Place(file="random.yml")
    graph = dsl.Graph(
        nodes=[
            dsl.Node(id, type, id, {"data": data}, place, REGISTRY[type].Data(**data))
            for id, type, data in nodes
        ],
        edges=[dsl.Edge(f"{s}{h}{t}", s, t, h, {}, place) for s, h, t in ways],
    )
    return dsl.App("random.yml", "random", "workflow", {}, None, graph=graph)  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[str, str, dict[str, Any]]], list[Any]]:
    """A random acyclic graph with branches, dead ends and unreachable parts."""
    count = draw(st.integers(1, 14))
    nodes: list[tuple[str, str, dict[str, Any]]] = [("n0", "start", {})]
    ways: list[tuple[str, str, str]] = []
    for i in range(1, count):
        sources = draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True))
        branching = draw(st.booleans())
        data: dict[str, Any] = {"reads": [f"n{s}" for s in sources]}
        if branching:
            data["ways"] = draw(st.integers(1, 3))
        nodes.append((f"n{i}", "branch" if branching else "work", data))
        for s in sources:
            width = nodes[s][2].get("ways", 0)
            handle = f"w{draw(st.integers(0, width - 1))}" if width else "source"
            ways.append((f"n{s}", handle, f"n{i}"))
    return nodes, ways


def by_hand(nodes: list[Any], ways: list[Any]) -> dict[str, str]:
    """What each node that runs must give, worked out in topological order without a scheduler."""
    reached = {"n0"}
    for source, _, target in ways:  # sources come before targets
        if source in reached:
            reached.add(target)
    values: dict[str, str] = {}
    taken: dict[str, str] = {}
    for id, type, data in nodes:
        incoming = [(s, h) for s, h, t in ways if t == id and s in reached]
        live = [s for s, h in incoming if s in values and taken[s] in ("*", h)]
        if id != "n0" and not live:
            continue
        text = ",".join(f"{s}={values.get(s)}" for s in data.get("reads", []))
        values[id] = f"{id}({text})"
        width = max(1, data.get("ways", 0))
        taken[id] = f"w{len(values[id]) % width}" if type == "branch" else "*"
    return values


async def run(nodes: list[Any], ways: list[Any], turns: dict[str, int]) -> list[Event]:
    timed = [(id, type, {**data, "turns": turns.get(id, 0)}) for id, type, data in nodes]
    plan = compile(make_app(timed, ways), REGISTRY)
    events: list[Event] = []
    await execute(plan, {}, Ports(clock=SystemClock()), events.append)
    return events


def reachable(ways: list[Any]) -> set[str]:
    found = {"n0"}
    for source, _, target in ways:
        if source in found:
            found.add(target)
    return found


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_every_reachable_node_runs_once_or_is_skipped_whatever_the_timing(
    graph: tuple[list[Any], list[Any]], chance: random.Random
) -> None:
    nodes, ways = graph
    expected = by_hand(nodes, ways)
    for turns in (
        {},
        {id: chance.randint(0, 5) for id, _, _ in nodes},
        {id: chance.randint(1, 3) for id, _, _ in nodes},
    ):
        events = asyncio.run(run(nodes, ways, turns))
        started = Counter(e.node for e in events if isinstance(e, NodeStarted))
        skipped = Counter(e.node for e in events if isinstance(e, NodeSkipped))
        assert set(started.values()) <= {1}
        assert set(skipped.values()) <= {1}
        assert set(started) | set(skipped) == reachable(ways)
        assert not set(started) & set(skipped)
        got = {e.node: e.outputs["value"] for e in events if isinstance(e, NodeFinished)}
        assert got == expected


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_a_join_waits_for_every_live_predecessor(
    graph: tuple[list[Any], list[Any]], chance: random.Random
) -> None:
    nodes, ways = graph
    turns = {id: chance.randint(0, 6) for id, _, _ in nodes}
    events = asyncio.run(run(nodes, ways, turns))
    started = {e.node: e.seq for e in events if isinstance(e, NodeStarted)}
    finished = {e.node: e.seq for e in events if isinstance(e, NodeFinished)}
    for source, _, target in ways:
        if source in finished and target in started:
            assert finished[source] < started[target]


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_same_run_gives_the_same_events_in_the_same_order(
    graph: tuple[list[Any], list[Any]], chance: random.Random
) -> None:
    nodes, ways = graph
    turns = {id: chance.randint(0, 4) for id, _, _ in nodes}

    def shape() -> list[Any]:
        events = asyncio.run(run(nodes, ways, turns))
        return [(type(e).__name__, e.seq, getattr(e, "name", "")) for e in events]

    first = shape()
    assert first == shape()
    assert [seq for _, seq, _ in first] == list(range(1, len(first) + 1))


@given(graphs(), st.data())
@settings(max_examples=150)
def test_a_failure_ends_the_run_and_leaves_nothing_running(
    graph: tuple[list[Any], list[Any]], data: st.DataObject
) -> None:
    nodes, ways = graph
    victim = data.draw(st.sampled_from([id for id, _, _ in nodes]))
    failing = [(id, t, {**d, "fails": id == victim}) for id, t, d in nodes]
    turns = {id: data.draw(st.integers(0, 4)) for id, _, _ in nodes}

    async def main() -> tuple[list[Event], int]:
        events = await run(failing, ways, turns)
        return events, len(asyncio.all_tasks())

    events, tasks = asyncio.run(main())
    assert tasks == 1
    last = events[-1]
    assert isinstance(last, RunFinished)
    ran = victim in by_hand(nodes, ways)
    assert last.status == ("failed" if ran else "succeeded")
    started = {e.name for e in events if isinstance(e, NodeStarted)}
    ended = {e.name for e in events if isinstance(e, NodeFinished)}
    assert started == ended


async def test_cancelling_a_run_stops_its_nodes_and_says_so() -> None:
    nodes = [("n0", "start", {}), ("n1", "work", {"turns": 10**9})]
    plan = compile(make_app(nodes, [("n0", "source", "n1")]), REGISTRY)
    events: list[Event] = []
    task = asyncio.create_task(execute(plan, {}, Ports(clock=SystemClock()), events.append))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stopped = events[-2]
    assert isinstance(stopped, NodeFinished)
    assert (stopped.node, stopped.status) == ("n1", "stopped")
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "stopped"


async def test_what_ends_beside_a_failure_is_told_as_what_it_gave() -> None:
    """Both end in the same turn; the scheduler looks at the failing one first."""
    nodes = [
        ("n0", "start", {}),
        ("n1", "work", {"turns": 2, "fails": True}),
        ("n2", "work", {"turns": 2}),
        ("n3", "work", {"turns": 10**9}),
        ("n4", "work", {}),
        ("n5", "work", {"turns": 2, "fails": True}),
    ]
    ways = [("n0", "source", f"n{i}") for i in (1, 2, 3, 5)]
    plan = compile(make_app(nodes, [*ways, ("n2", "source", "n4")]), REGISTRY)
    events: list[Event] = []
    last = await execute(plan, {}, Ports(clock=SystemClock()), events.append)
    ended = {e.node: (e.status, e.outputs) for e in events if isinstance(e, NodeFinished)}
    assert ended == {
        "n0": ("succeeded", {"value": "n0()"}),
        "n1": ("failed", {}),
        "n2": ("succeeded", {"value": "n2()"}),
        "n3": ("stopped", {}),
        "n5": ("failed", {}),
    }
    errors = {e.node: e.error for e in events if isinstance(e, NodeFinished) and e.error}
    assert {node: error["place"]["node"] for node, error in errors.items()} == {
        "n1": "n1",
        "n5": "n5",
    }
    assert last.status == "failed"
    assert last.error == errors["n1"]
    assert last.usage.total_tokens == 7


def test_ten_thousand_nodes_in_a_row() -> None:
    count = 10_000
    nodes = [("n0", "start", {})] + [(f"n{i}", "work", {}) for i in range(1, count)]
    ways = [(f"n{i}", "source", f"n{i + 1}") for i in range(count - 1)]
    events = asyncio.run(run(nodes, ways, {}))
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.status, last.steps) == ("succeeded", count)


FORBIDDEN = {
    "asyncio": {"wait", "as_completed", "to_thread", "get_event_loop", "timeout", "wait_for"}
    | {"TaskGroup"},  # it ends its tasks in the order of a set
    "modules": {"time", "random", "uuid", "datetime", "os", "socket", "threading", "secrets"},
}


def test_the_engine_uses_no_clock_no_chance_and_no_order_of_sets() -> None:
    """Replay needs the same order every time: the primitives that break it stay out."""
    from pathlib import Path

    engine = Path(inspect.getfile(millstream.engine)).parent
    for path in (*engine.glob("*.py"), *engine.parent.glob("nodes/*.py")):
        tree = ast.parse(path.read_text())
        for part in ast.walk(tree):
            where = f"{path.name}:{getattr(part, 'lineno', '?')}"
            if isinstance(part, ast.Import):
                names = {alias.name.split(".")[0] for alias in part.names}
                assert not names & FORBIDDEN["modules"], where
            elif isinstance(part, ast.ImportFrom):
                assert (part.module or "").split(".")[0] not in FORBIDDEN["modules"], where
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                if part.value.id == "asyncio":
                    assert part.attr not in FORBIDDEN["asyncio"], where
            elif isinstance(part, ast.For | ast.comprehension):
                over = part.iter
                assert not isinstance(over, ast.Set | ast.SetComp), where
                called = over.func if isinstance(over, ast.Call) else None
                name = called.id if isinstance(called, ast.Name) else ""
                assert name not in ("set", "frozenset"), where


def test_the_engine_is_read_in_one_sitting() -> None:
    from pathlib import Path

    folder = Path(inspect.getfile(millstream.engine)).parent
    assert sum(len(path.read_text().splitlines()) for path in folder.glob("*.py")) <= 1500
