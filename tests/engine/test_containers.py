"""Random apps with containers in containers, failures of all kinds and a journal.

What each must give is worked out by hand, without a scheduler. Whether a node fails follows from
its name, so that the same app fails at the same places however it is timed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canned import Clock
from drawn import box, drawn
from millstream.base import Failed
from millstream.dsl import NodeData
from millstream.engine import Context, Inputs, Node, Outcome, Plan, Ports, execute
from millstream.engine.events import (
    Event,
    ItemStarted,
    NodeFinished,
    NodeStarted,
    RunFinished,
    encode,
)
from millstream.engine.node import DataClass
from millstream.engine.ports import Record
from millstream.nodes.iteration import Iteration, IterationStart
from millstream.values import Pool

# ------------------------------------------------------------------------------------ the nodes


class WorkData(NodeData, kw_only=True):
    """reads: nodes whose results go into this one's. fails: in 4; of all names that this node
    has, so many fail. flaky: first tries that fail. turns: how often it waits, before and after
    its first event; 0: in place."""

    reads: list[str] = msgspec.field(default_factory=list)
    fails: int = 0
    flaky: int = 0
    turns: int = 0


TRIED: Counter[str] = Counter()


def breaks(name: str, fails: int) -> bool:
    return crc32(name.encode()) % 4 < fails


class Work(Node[WorkData]):
    type = "work"
    Data: ClassVar[DataClass] = WorkData
    retries = True
    effect = True
    ends = True

    def inputs(self, pool: Pool) -> Inputs:
        return {
            id: pool.get([id, "value"]) or pool.get([id, "output"]) or None for id in self.reads
        }

    @property
    def reads(self) -> list[str]:  # type: ignore[override]
        return self.data.reads

    def run(self, inputs: Inputs, context: Context) -> Any:
        # Only a node that waits is tried again, so a flaky one waits.
        if self.data.turns or self.data.flaky:
            return self.wait(inputs, context)
        return self.work(inputs, context)

    async def wait(self, inputs: Inputs, context: Context) -> Outcome:
        if self.data.turns < 0:
            await asyncio.get_running_loop().create_future()  # for ever
        for turn in range(self.data.turns):
            context.text(f"{turn} ")
            await asyncio.sleep(0)
        return self.work(inputs, context)

    def work(self, inputs: Inputs, context: Context) -> Outcome:
        name = context.name
        TRIED[name] += 1
        if breaks(name, self.data.fails) or TRIED[name] <= self.data.flaky:
            raise Failed("base.unexpected", problem=name)
        value = worth(name, inputs)
        return Outcome({"value": value, name: value}, details={"made": name})


def worth(name: str, inputs: Inputs) -> str:
    return f"{name}({','.join(f'{k}={v}' for k, v in inputs.items())})"


class Start(Work):
    type = "start"


REGISTRY = {
    "start": Start,
    "work": Work,
    "iteration": Iteration,
    "iteration-start": IterationStart,
}


# ------------------------------------------------------------------------------- random drawings


@dataclass
class Drawn:
    """A node of the drawing. before: earlier nodes of its level, with the handle of the edge."""

    id: str
    before: list[tuple[str, str]]
    strategy: str | None = None
    fails: int = 0
    flaky: int = 0
    tries: int = 0
    turns: int = 0
    items: int = -1  # of an iteration
    mode: str = "terminated"
    width: int = 1
    inside: list[Drawn] = field(default_factory=list)


@st.composite
def levels(draw: st.DrawFn, prefix: str = "n", depth: int = 0) -> list[Drawn]:
    level: list[Drawn] = []
    pick = draw
    for i in range(pick(st.integers(1, 5 if not depth else 3))):
        id = f"{prefix}{i}"
        earlier = [item.id for item in level]
        sources: list[str] = []
        if earlier:
            sources = pick(st.lists(st.sampled_from(earlier), min_size=1, max_size=2, unique=True))
        handles = st.sampled_from(["source", "source", "fail-branch"])
        item = Drawn(id, [(source, pick(handles)) for source in sources])
        if i or depth:
            item.strategy = pick(st.sampled_from([None, None, "fail-branch", "default-value"]))
            item.turns = pick(st.integers(0, 3))
            if depth < 2 and pick(st.integers(0, 2)) == 0:
                item.items = pick(st.integers(0, 4))
                item.mode = pick(
                    st.sampled_from(["terminated", "continue-on-error", "remove-abnormal-output"])
                )
                item.width = pick(st.integers(1, 3))
                item.inside = pick(levels(f"{id}x", depth + 1))
            else:
                item.fails = pick(st.sampled_from([0, 0, 0, 1, 2]))
                item.flaky = pick(st.sampled_from([0, 0, 1, 2]))
                item.tries = pick(st.integers(0, 3))
        level.append(item)
    return level


def plan_of(level: list[Drawn], turns: int = 0) -> Plan:
    """turns: added to the turns of every node, by a rule that mixes them up."""
    boxes: list[dict[str, Any]] = []
    ways: list[str] = []

    def add(items: list[Drawn], parent: str | None) -> None:
        for item in items:
            data: dict[str, Any] = {"error_strategy": item.strategy}
            if item.strategy == "default-value":
                data["default_value"] = [{"key": "value", "type": "string", "value": "default"}]
            if item.items >= 0:
                data |= {
                    "iterator_selector": [f"{item.id}list", "value"],
                    "output_selector": [item.inside[-1].id, "value"],
                    "start_node_id": f"{item.id}s",
                    "is_parallel": item.width > 1,
                    "parallel_nums": item.width,
                    "error_handle_mode": item.mode,
                    "flatten_output": False,
                }
                boxes.append(box(item.id, "iteration", parent, **data))
                boxes.append(box(f"{item.id}s", "iteration-start", item.id))
                ways.append(f"{item.id}s>{item.inside[0].id}")
                add(item.inside, item.id)
            else:
                more = (crc32(item.id.encode()) * turns) % 4 if turns else 0
                data |= {
                    "reads": [source for source, _ in item.before],
                    "fails": item.fails,
                    "flaky": item.flaky,
                    "turns": item.turns + more,
                    "retry_config": {"retry_enabled": True, "max_retries": item.tries},
                }
                first = parent is None and item is level[0]
                boxes.append(box(item.id, "start" if first else "work", parent, **data))
            ways.extend(f"{source}:{handle}>{item.id}" for source, handle in item.before)

    add(level, None)
    return drawn(REGISTRY, boxes, ways)


def lists(level: list[Drawn]) -> dict[str, dict[str, Any]]:
    """What every iteration goes over, by the name under which it finds it."""
    found: dict[str, dict[str, Any]] = {}
    for item in level:
        if item.items >= 0:
            found |= {f"{item.id}list": {"value": list(range(item.items))}, **lists(item.inside)}
    return found


# --------------------------------------------------------------------------------- what must be


def by_hand(
    level: list[Drawn], path: str, seen: dict[str, Any]
) -> tuple[dict[str, Any] | None, bool]:
    """The outputs of each node that runs, or None if the level fails, and whether anything
    failed on the way."""
    outputs: dict[str, Any] = {}
    taken: dict[str, str] = {}
    strategies = {item.id: item.strategy for item in level}
    noise = False
    for item in level:
        ways = [
            source
            for source, handle in item.before
            if source in taken and (strategies[source] != "fail-branch" or taken[source] == handle)
        ]
        if item.before and not ways:
            continue
        known = {**seen, **outputs}
        if item.items >= 0:
            gave, noisy = iterate(item, path, known)
            noise |= noisy
        else:
            name = path + item.id
            inputs = {}
            for source, _ in item.before:
                got = known.get(source, {})
                inputs[source] = got.get("value") or got.get("output") or None
            fails = breaks(name, item.fails) or item.flaky > item.tries
            noise |= fails or item.flaky > 0
            gave = None if fails else {"value": worth(name, inputs)}
        taken[item.id] = "source"
        if gave is None:
            noise = True
            if item.strategy is None:
                return None, True
            gave = {"value": "default"} if item.strategy == "default-value" else {}
            taken[item.id] = "fail-branch"
        outputs[item.id] = gave
    return outputs, noise


def iterate(item: Drawn, path: str, known: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    results: list[Any] = []
    noise = False
    for index in range(item.items):
        gave, noisy = by_hand(item.inside, f"{path}{item.id}[{index}]/", known)
        noise |= noisy
        if gave is not None:
            results.append(gave.get(item.inside[-1].id, {}).get("value"))
        elif item.mode == "terminated":
            return None, True
        elif item.mode == "continue-on-error":
            results.append(None)
    return {"output": results}, noise


# ------------------------------------------------------------------------------------- the runs


class Fixed(Clock):
    """A clock that ticks when it is looked at, and never says anything else."""

    def time(self) -> float:  # type: ignore[override]
        return 1.0

    def new_id(self) -> str:  # type: ignore[override]
        return "run"

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]
        await asyncio.sleep(0)


class Killed(BaseException):
    """The process is gone."""


class Journal:
    """Keeps records in memory, until it is killed; then it keeps nothing more."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[bytes, Record]] = {}
        self.dead = False

    def recall(self, name: str, fingerprint: bytes) -> Record | None:
        key, record = self.records.get(name, (b"", None))
        return record if key == fingerprint else None

    def record(self, name: str, fingerprint: bytes, record: Record) -> None:
        if not self.dead:
            assert self.records.setdefault(name, (fingerprint, record)) == (fingerprint, record)

    async def commit(self) -> None:
        await asyncio.sleep(0)


def run(
    level: list[Drawn], *, turns: int = 0, journal: Journal | None = None, kill_at: int = 0
) -> list[Event]:
    """The events of a run. kill_at: the number of the event after which nothing is kept. Whenever
    the loop looks at the world, the reader has been told of all events."""
    TRIED.clear()
    events: list[Event] = []
    told = 0
    late: list[Event] = []
    if journal is not None:
        journal.dead = False

    def emit(event: Event) -> None:
        if journal is not None and journal.dead:
            raise Killed
        events.append(event)
        if event.seq == kill_at:
            assert journal is not None
            journal.dead = True
            raise Killed

    def wake() -> None:
        nonlocal told
        told = len(events)

    async def main() -> None:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        select = selector.select

        def look(timeout: float | None) -> Any:
            over = not events or isinstance(events[-1], RunFinished) or (journal and journal.dead)
            if not over and told < len(events):
                late.extend(events[told:])
            return select(timeout)

        selector.select = look
        ports = Ports(clock=Fixed(), journal=journal)
        plan = plan_of(level, turns)
        running = execute(plan, {}, ports, emit, wake=wake, variables=lists(level))
        await asyncio.wait_for(running, 60)
        assert not late
        assert len(asyncio.all_tasks()) <= 2  # this one and that of wait_for

    try:
        asyncio.run(main())
    except Killed:
        assert kill_at
    return events


def outcome(events: list[Event]) -> RunFinished:
    last = events[-1]
    assert isinstance(last, RunFinished)
    return last


def agrees(level: list[Drawn], events: list[Event]) -> None:
    """The events tell what was worked out by hand, each execution once, from start to end."""
    expected, noise = by_hand(level, "", lists(level))
    started = [e.name for e in events if isinstance(e, NodeStarted)]
    ended = {e.name: e for e in events if isinstance(e, NodeFinished)}
    assert len(set(started)) == len(started)
    assert set(started) == set(ended)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    if expected is None:
        assert outcome(events).status == "failed"
        error = outcome(events).error
        assert error is not None
        assert error["place"]["node"]
        return
    assert outcome(events).status == ("partial-succeeded" if noise else "succeeded")
    ran = {
        name: {key: value for key, value in e.outputs.items() if key in ("value", "output")}
        for name, e in ended.items()
        if "[" not in name
    }
    assert ran == expected


@given(levels())
@settings(max_examples=250)
def test_containers_end_as_worked_out_by_hand_whatever_the_timing(level: list[Drawn]) -> None:
    results = []
    for turns in (0, 1, 7):
        events = run(level, turns=turns)
        agrees(level, events)
        results.append(outcome(events))
    if results[0].status != "failed":
        assert results[0].outputs == results[1].outputs == results[2].outputs
        assert list(results[0].outputs) == list(results[1].outputs) == list(results[2].outputs)


@given(levels(), st.integers(0, 5))
@settings(max_examples=120)
def test_the_same_completions_give_the_same_bytes(level: list[Drawn], turns: int) -> None:
    first, second = (b"\n".join(map(encode, run(level, turns=turns))) for _ in range(2))
    assert first == second


def test_items_that_a_failure_elsewhere_ends_are_ended_in_their_order() -> None:
    level = [
        Drawn("n0", []),
        Drawn("n1", [("n0", "source")], items=50, width=50, inside=[Drawn("n1x0", [], turns=-1)]),
        Drawn("n2", [("n0", "source")], flaky=9, turns=3),
    ]
    events = run(level)
    stopped = [e.name for e in events if isinstance(e, NodeFinished) and e.status == "stopped"]
    assert stopped == [f"n1[{index}]/n1x0" for index in range(50)] + ["n1"]


@pytest.mark.parametrize("wait", range(1, 5))
@pytest.mark.parametrize("tries", range(3))
def test_an_item_that_ends_soon_leaves_the_others_their_time_to_end(wait: int, tries: int) -> None:
    """What a failure elsewhere ends is told of, though one item is done with that before others.
    (From Python 3.12 on: there an item in a container in a container is ended in more turns.)"""
    item = Drawn("n2x0x0", [], fails=2, tries=tries, turns=1)
    inner = Drawn("n2x0", [], items=4, width=4, inside=[item])
    level = [
        Drawn("n0", []),
        Drawn("n1", [("n0", "source")], turns=wait),
        Drawn("n2", [("n0", "source")], items=1, inside=[inner]),
        Drawn("n3", [("n1", "source")], fails=4),
    ]
    for journal in (None, Journal()):
        agrees(level, run(level, journal=journal))


@given(levels())
@settings(max_examples=100)
def test_items_begin_in_order_and_never_more_than_may(level: list[Drawn]) -> None:
    events = run(level, turns=3)
    widths = {item.id: item.width for item in everything(level)}
    begun: dict[str, list[int]] = {}
    for event in events:
        if isinstance(event, ItemStarted):
            begun.setdefault(event.name, []).append(event.index)
            assert event.total > event.index
    for indexes in begun.values():
        assert indexes == list(range(len(indexes)))
    live: Counter[str] = Counter()
    for event in events:
        name = getattr(event, "name", "")
        if "[" in name and isinstance(event, NodeStarted | NodeFinished):
            container = name.rpartition("[")[0]
            live[container] += 1 if isinstance(event, NodeStarted) else -1
    assert set(live.values()) <= {0}
    assert set(begun) <= {e.name for e in events if isinstance(e, NodeFinished)}
    assert all(widths[name.rpartition("/")[2]] >= 1 for name in begun)


def everything(level: list[Drawn]) -> list[Drawn]:
    return [*level, *(inner for item in level for inner in everything(item.inside))]


@given(levels(), st.data())
@settings(max_examples=60)
def test_a_run_that_is_killed_anywhere_goes_on_where_it_was(
    level: list[Drawn], data: st.DataObject
) -> None:
    whole = run(level, turns=2)
    numbers = range(1, len(whole))
    if len(whole) > 40:  # every event of small runs, some of large ones
        numbers = data.draw(st.lists(st.sampled_from(numbers), min_size=10, max_size=20))  # type: ignore[assignment]
    for kill_at in numbers:
        journal = Journal()
        run(level, turns=2, journal=journal, kill_at=kill_at)
        kept = set(journal.records)
        events = run(level, turns=2, journal=journal)
        assert not kept & set(TRIED)  # nothing that is recorded runs again
        agrees(level, events)
        if outcome(whole).status == "failed":
            continue
        assert outcome(events).outputs == outcome(whole).outputs
        assert list(outcome(events).outputs) == list(outcome(whole).outputs)
        assert outcome(events).status == outcome(whole).status
        assert outcome(events).usage == outcome(whole).usage
        assert settled(events) == settled(whole)
        reused = {e.name for e in events if isinstance(e, NodeFinished) and e.reused}
        assert reused <= kept
        assert not [
            e for e in events if isinstance(e, NodeFinished) and e.type == "iteration" and e.reused
        ]


def settled(events: list[Event]) -> dict[str, dict[str, Any]]:
    """Each execution and its details, without those that somebody's failure cut short: how far
    they came, and whether they began, is a matter of time."""
    ended = [e for e in events if isinstance(e, NodeFinished)]
    cut = [e.name.rpartition("/")[0] + "/" for e in ended if e.status == "failed"]
    cut += [e.name + "[" for e in ended if e.status in ("failed", "exception")]
    return {e.name: e.details for e in ended if not e.name.startswith(tuple(cut))}


@given(levels(), st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=40)
def test_it_may_be_killed_again_and_again(level: list[Drawn], first: int, second: int) -> None:
    journal = Journal()
    for kill_at in (first, second):
        run(level, journal=journal, kill_at=kill_at)
    agrees(level, run(level, journal=journal))


def test_a_record_is_good_for_the_same_work_only() -> None:
    """A node whose data or inputs are others runs again, and what follows from it."""
    before = [Drawn("n0", []), Drawn("n1", [("n0", "source")]), Drawn("n2", [("n1", "source")])]
    journal = Journal()
    run(before, journal=journal)
    after = [before[0], Drawn("n1", [("n0", "source")], tries=3), before[2]]
    journal.records = dict(journal.records)
    renewed = Journal()
    renewed.records = {name: journal.records[name] for name in ("n0", "n2")}
    renewed.records["n1"] = journal.records["n1"]
    renewed.record = lambda name, key, record: None  # type: ignore[method-assign]
    run(after, journal=renewed)
    assert set(TRIED) == {"n1"}  # its outputs are the same, so n2 is not touched
    moved = [before[0], before[1], Drawn("n2", [("n0", "source")])]
    run(moved, journal=renewed)
    assert set(TRIED) == {"n2"}
