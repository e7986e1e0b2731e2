"""The scheduler: one coroutine that moves a run through a graph.

A frame is one passage through one graph: the app's own, or a container's inside for one item. A
step is ready when no edge into it is undecided and at least one is live; it is skipped when all
are dead. Nodes that do not wait are called in place; the others become tasks whose completions
come back through one first-in-first-out queue. There is no clock, no chance and no set in here:
the same completions in the same order give the same run, under any asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from operator import itemgetter
from typing import Any

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, Place
from millstream.engine.events import (
    Emit,
    Event,
    ItemStarted,
    NodeFinished,
    NodeRetry,
    NodeSkipped,
    NodeStarted,
    NodeStatus,
    ReasoningChunk,
    RunFinished,
    RunStarted,
    RunStatus,
    TextChunk,
    TextReplaced,
)
from millstream.engine.limits import NONE, Limits
from millstream.engine.node import FAIL_BRANCH, SOURCE, Inputs, Outcome
from millstream.engine.plan import Graph, Plan, Step, fingerprint
from millstream.engine.ports import Ports, Record, Usage
from millstream.values import Pool, to_text

INPUTS = "#inputs"  # where the start node finds the inputs
BREATH = 256  # events between two looks at the rest of the world

# Where an execution stands in the app: step, item, step, item, …, step. Their order is that of
# the drawing and the items, whatever finished first.
Position = tuple[int, ...]
Work = Outcome | Awaitable[Outcome]
Wake = Callable[[], None]


class NodeFailed(Exception):
    """A node without an error strategy failed: the frame ends. Carries the node's error."""

    def __init__(self, error: MillstreamError) -> None:
        super().__init__(str(error))
        self.error = error


class Aborted(BaseException):
    """A limit of the run is reached. No error strategy takes that, so it is no `Exception`."""

    def __init__(self, error: MillstreamError) -> None:
        super().__init__(str(error))
        self.error = error


class Run:
    """What the frames of one run share: the way to the world, the event stream, the sums. They
    change with every event, and a plain attribute is set faster than that of a Struct."""

    __slots__ = (
        "began",
        "breath",
        "emit",
        "exceptions",
        "given",
        "journal",
        "limited",
        "limits",
        "now",
        "ports",
        "seq",
        "steps",
        "usage",
        "void",
        "wake",
    )

    def __init__(self, ports: Ports, emit: Emit, wake: Wake, limits: Limits) -> None:
        self.ports = ports
        self.journal = ports.journal
        self.limits = limits
        self.limited = limits.max_steps is not None or limits.max_seconds is not None
        self.emit = emit
        self.wake = wake  # called by whoever has emitted, before it waits
        self.now = ports.clock.now
        self.began = self.now()
        self.seq = 0
        self.breath = BREATH
        self.steps = 0
        self.exceptions = 0
        self.usage = Usage()
        self.given: list[tuple[Position, str, dict[str, Any]]] = []  # by end and answer nodes
        self.void: set[Position] = set()  # items and containers that failed

    def number(self) -> int:
        """The number of the next event."""
        self.seq += 1
        return self.seq

    def check(self, step: Step) -> None:
        """Hold the run to its limits; called at a start of a step when there are any."""
        limits = self.limits
        if limits.max_steps is not None and self.steps > limits.max_steps:
            raise Aborted(Failed("engine.max-steps", steps=limits.max_steps).at(_place(step)))
        if limits.max_seconds is not None and self.now() - self.began > limits.max_seconds:
            error = Failed("engine.max-seconds", seconds=limits.max_seconds)
            raise Aborted(error.at(_place(step)))

    def outputs(self) -> dict[str, Any]:
        """The outputs of the run: answers joined, other values merged, a later one winning.
        What an item gave that failed is not among them: how far it came is a matter of time."""
        found: dict[str, Any] = {}
        if len(self.given) > 1:
            self.given.sort(key=itemgetter(0))
        for position, type, outputs in self.given:
            if self.void and any(position[:n] in self.void for n in range(len(position))):
                continue
            if type == "answer":
                answer, files = outputs.get("answer", ""), outputs.get("files")
                found["answer"] = found.get("answer", "") + to_text(answer)
                if files:
                    found["files"] = [*found.get("files", ()), *files]
            else:
                found |= outputs
        return found


class Context(msgspec.Struct, eq=False):
    """One execution of a node: what the scheduler keeps of it, and what the node sees of its
    run while it works. key: what a journal knows it by, besides its name. said: the text that
    it has streamed."""

    frame: Frame
    index: int
    step: Step
    name: str
    began: float
    inputs: Inputs = {}
    key: bytes = b""
    said: list[str] | None = None
    task: asyncio.Task[None] | None = None
    work: Awaitable[Outcome] | None = None

    @property
    def ports(self) -> Ports:
        return self.frame.run.ports

    @property
    def limits(self) -> Limits:
        return self.frame.run.limits

    def partial(self) -> Outcome:
        """What there is of an execution that has no outcome: the text that it streamed."""
        return Outcome({"text": "".join(self.said)} if self.said else {})

    def text(self, text: str) -> None:
        """Stream a piece of the node's text."""
        if self.said is None:
            self.said = []
        self.said.append(text)
        run = self.frame.run
        run.emit(TextChunk(run.number(), self.name, self.step.id, text))
        run.wake()

    def reasoning(self, text: str) -> None:
        """Stream a piece of reasoning, which is not part of the text."""
        run = self.frame.run
        run.emit(ReasoningChunk(run.number(), self.name, self.step.id, text))
        run.wake()

    def replace(self, text: str) -> None:
        """Say that the streamed text was not the answer, and what is."""
        self.said = [text]
        run = self.frame.run
        run.emit(TextReplaced(run.number(), self.name, self.step.id, text))
        run.wake()

    async def child(
        self, graph: Graph, index: int, total: int, variables: dict[str, Any], pool: Pool
    ) -> Pool:
        """Pass once through a container's inside; the pool that it left.

        index: of the item or round, part of all names inside. variables: what the children read
        under the container's id. Raises NodeFailed.
        """
        frame = self.frame
        run = frame.run
        run.emit(ItemStarted(run.number(), self.name, self.step.id, index, total))
        pool.put(self.step.id, variables)
        position = (*frame.position, self.index, index)
        try:
            await Frame.of(run, graph, pool, f"{self.name}[{index}]/", position).pass_through()
        except NodeFailed:
            run.void.add(position)
            raise
        return pool


class Frame(msgspec.Struct, eq=False):
    """One passage through one graph.

    waiting: undecided edges into each step. live: whether one of them is live. done: completions
    that nobody has looked at. sleeper: what the frame waits for while there are none."""

    run: Run
    graph: Graph
    pool: Pool
    path: str
    position: Position
    waiting: list[int]
    live: list[bool]
    ready: deque[int]
    running: dict[int, Context] = {}
    done: deque[tuple[Context, Outcome | BaseException]] | None = None
    sleeper: asyncio.Future[None] | None = None

    @classmethod
    def of(
        cls, run: Run, graph: Graph, pool: Pool, path: str = "", position: Position = ()
    ) -> Frame:
        waiting, live = graph.edges_in.copy(), graph.live.copy()
        return cls(run, graph, pool, path, position, waiting, live, deque(graph.ready))

    async def pass_through(self) -> None:
        """Run until nothing is left; raises NodeFailed for a failure that no strategy takes."""
        run, ready = self.run, self.ready
        try:
            while True:
                while ready:
                    self._start(ready.popleft())
                    if run.seq > run.breath:
                        run.breath = run.seq + BREATH
                        run.wake()
                        await asyncio.sleep(0)
                if not self.running or self.done is None:
                    return
                run.wake()
                while not self.done:
                    self.sleeper = asyncio.get_running_loop().create_future()
                    await self.sleeper
                context, result = self.done.popleft()
                del self.running[context.index]
                if isinstance(result, Outcome):
                    self._finish(context, result)
                elif isinstance(result, Aborted | KeyboardInterrupt):
                    raise result
                else:
                    self._fail(context, as_error(result))
        finally:
            if self.running:
                await self._stop()
            run.wake()

    # ------------------------------------------------------------------ one step, from its start

    def _start(self, index: int) -> None:
        run = self.run
        step = self.graph.steps[index]
        node = step.node
        name = self.path + step.id
        began = run.now()
        context = Context(self, index, step, name, began)
        run.steps += 1
        if run.limited:
            run.check(step)
        run.seq += 1
        run.emit(NodeStarted(run.seq, name, step.id, step.type, step.title, began - run.began))
        try:
            inputs = context.inputs = node.inputs(self.pool)
            if run.journal is not None and not node.container:  # its children are journalled
                context.key = fingerprint(step, inputs)
                record = run.journal.recall(name, context.key)
                if record is not None:
                    run.exceptions += record.retries
                    outcome = Outcome(record.outputs, record.handle, record.usage, record.details)
                    self._finish(context, outcome, reused=True)
                    return
            result = node.run(inputs, context)
        except (Aborted, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever else a node raises is an error of that node
            self._fail(context, as_error(error))
            return
        if isinstance(result, Outcome):
            if run.journal is not None:
                self._record(context, result)
            self._finish(context, result)
            return
        if self.done is None:
            self.done = deque()
        context.work = result
        context.task = asyncio.create_task(self._wait(context, result, self.done), name=name)
        self.running[index] = context

    async def _wait(
        self,
        context: Context,
        work: Work,
        done: deque[tuple[Context, Outcome | BaseException]],
    ) -> None:
        """The task of a node that waits. However it ends, the frame is told, or it would wait
        for ever."""
        result: Outcome | BaseException
        try:
            result = await self._try(context, work)
        except GeneratorExit:
            raise
        except BaseException as caught:
            result = caught
            if isinstance(work, Coroutine):
                work.close()  # of a journal that failed before it was waited for
        done.append((context, result))
        if self.sleeper is not None and not self.sleeper.done():
            self.sleeper.set_result(None)

    async def _try(self, context: Context, work: Work) -> Outcome:
        """Wait for the work, and try again as the file says."""
        step, run = context.step, self.run
        journal = run.journal if step.node.effect else None
        attempt = 0
        while True:
            try:
                if attempt:
                    await run.ports.clock.sleep(step.interval)
                if journal is not None:
                    await journal.commit()
                if attempt:
                    work = step.node.run(context.inputs, context)
                outcome = work if isinstance(work, Outcome) else await work
                self._record(context, outcome, attempt)
                if journal is not None:
                    await journal.commit()
                return outcome
            except Exception as caught:
                attempt += 1
                if attempt > step.tries:
                    raise
                run.exceptions += 1
                error = as_error(caught).at(_place(step, context.name)).as_dict()
                run.emit(NodeRetry(run.number(), context.name, step.id, attempt, error))
                run.wake()
                context.said = None

    def _record(self, context: Context, outcome: Outcome, retries: int = 0) -> None:
        journal = self.run.journal
        if journal is not None and not context.step.node.container:
            outputs, details = outcome.outputs, outcome.details
            record = Record(outputs, outcome.handle, outcome.usage, details, retries)
            journal.record(context.name, context.key, record)

    def _finish(
        self,
        context: Context,
        outcome: Outcome,
        status: NodeStatus = "succeeded",
        error: MillstreamError | None = None,
        reused: bool = False,
        on: bool = True,
    ) -> None:
        """The last event of an execution, and what follows from it if the frame goes on: its edges
        are decided, what becomes ready is put down, what is dead is skipped."""
        run, step = self.run, context.step
        outputs, handle, usage = outcome.outputs, outcome.handle, outcome.usage
        if usage is not None and not step.node.container:  # its children have counted theirs
            run.usage = run.usage + usage
        if on:
            self.pool.vars[step.id] = outputs
            if step.node.ends:
                run.given.append(((*self.position, context.index), step.type, outputs))
        now = run.now()
        run.seq += 1
        run.emit(
            NodeFinished(
                run.seq,
                context.name,
                step.id,
                step.type,
                step.title,
                status,
                now - run.began,
                now - context.began,
                context.inputs,
                outputs,
                handle,
                outcome.details,
                usage,
                error.as_dict() if error else None,
                reused,
            )
        )
        if not on:
            return
        waiting, live = self.waiting, self.live
        dead: deque[int] | None = None
        for way, target in step.ways:
            left = waiting[target] = waiting[target] - 1
            if way == handle:
                live[target] = True
            if not left:
                if live[target]:
                    self.ready.append(target)
                elif dead is None:
                    dead = deque((target,))
                else:
                    dead.append(target)
        if dead is not None:
            self._skip(dead)

    def _fail(self, context: Context, error: MillstreamError) -> None:
        """Go on by the node's strategy, or end the frame."""
        step = context.step
        error.at(_place(step, context.name))
        if step.strategy is None:
            self._finish(context, context.partial(), "failed", error, on=False)
            raise NodeFailed(error)
        if step.node.container:
            self.run.void.add((*self.position, context.index))
        outputs = {"error_message": error.message, "error_type": error.type}
        if step.strategy != FAIL_BRANCH:
            outputs = {**step.defaults, **outputs}
        handle = FAIL_BRANCH if step.strategy == FAIL_BRANCH else SOURCE
        self.run.exceptions += 1
        self._finish(context, Outcome(outputs, handle), "exception", error)

    def _skip(self, dead: deque[int]) -> None:
        """Pass over steps that no live edge reaches, and everything that follows from it."""
        run = self.run
        while dead:
            step = self.graph.steps[dead.popleft()]
            name = self.path + step.id
            run.emit(NodeSkipped(run.number(), name, step.id, step.type, step.title))
            for _, target in step.ways:
                self.waiting[target] -= 1
                if not self.waiting[target]:
                    if self.live[target]:
                        self.ready.append(target)
                    else:
                        dead.append(target)

    async def _stop(self) -> None:
        """End what is still running. What it had streamed is kept in its last event, and all of
        what has ended without having been looked at yet."""
        ended = self._ended()
        stopped = list(self.running.values())
        self.running.clear()
        for context in stopped:
            assert context.task is not None
            context.task.cancel()
        self.run.wake()
        tasks = (context.task for context in stopped if context.task)
        with suppress(asyncio.CancelledError):  # when told again; `gather` has told its own
            await asyncio.gather(*tasks, return_exceptions=True)
        # What fails from now on fails because it was ended.
        ended |= {i: gave for i, gave in self._ended().items() if isinstance(gave, Outcome)}
        for context in stopped:
            if isinstance(context.work, Coroutine):
                context.work.close()  # of a task that was cancelled before its first turn
        for context in stopped:
            result = ended.get(context.index)
            if isinstance(result, Outcome):
                self._finish(context, result, on=False)
            elif isinstance(result, Exception):
                error = as_error(result).at(_place(context.step, context.name))
                self._finish(context, context.partial(), "failed", error, on=False)
            else:
                self._finish(context, context.partial(), "stopped", on=False)

    def _ended(self) -> dict[int, Outcome | BaseException]:
        """What has ended and was not looked at, by the number of its step."""
        found: dict[int, Outcome | BaseException] = {}
        while self.done:
            context, result = self.done.popleft()
            found[context.index] = result
        return found


async def execute(
    plan: Plan,
    inputs: dict[str, Any],
    ports: Ports,
    emit: Emit,
    *,
    wake: Wake = lambda: None,
    limits: Limits = NONE,
    run_id: str | None = None,
    variables: dict[str, dict[str, Any]] | None = None,
    substitutes: list[dict[str, str]] | None = None,
) -> RunFinished:
    """Run a plan from its root to the end; the last event, which has been emitted too.

    inputs: as the start node accepted them. wake: called when there are events to look at and the
    run is about to wait. variables: what stands under `sys`, `env` and
    `conversation`. substitutes: told in the first event. A failed run is an event, not an
    exception; cancelling this coroutine stops the run, emits its last event with status
    "stopped" and goes on as CancelledError.
    """
    for problem in plan.problems:
        if problem.severity == "error":
            raise problem.as_error(BadInput)
    clock = ports.clock
    run = Run(ports, emit, wake, limits)
    run_id = run_id or clock.new_id()
    mode, name = plan.app.mode, plan.app.name
    now = clock.time()
    emit(RunStarted(run.number(), run_id, name, mode, inputs, now, substitutes or []))
    pool = Pool({"sys": {}, "env": {}, "conversation": {}, **(variables or {}), INPUTS: inputs})
    status: RunStatus = "stopped"
    error: MillstreamError | None = None
    try:
        try:
            await Frame.of(run, plan.root, pool).pass_through()
        finally:
            if run.journal is not None:
                await run.journal.commit()
        status = "partial-succeeded" if run.exceptions else "succeeded"
    except (NodeFailed, Aborted) as ended:
        status, error = "failed", ended.error
    except Exception as fault:
        status, error = "failed", as_error(fault)
    finally:
        try:
            last = RunFinished(
                run.number(),
                status,
                run.outputs(),
                run.now() - run.began,
                run.steps,
                run.usage,
                run.exceptions,
                error.as_dict() if error else None,
            )
            emit(last)
        finally:
            wake()
    return last


def as_error(caught: BaseException) -> MillstreamError:
    """Any exception as one that a person can read; the original stays its cause."""
    if isinstance(caught, MillstreamError):
        return caught
    if isinstance(caught, NodeFailed):
        return caught.error
    key = next((key for kind, key in _PLAIN.items() if isinstance(caught, kind)), None)
    problem = f"{type(caught).__name__}: {caught}"
    error = Failed(key or "base.unexpected", problem=problem, error_type=type(caught).__name__)
    error.__cause__ = caught
    logging.getLogger("millstream").debug(problem, exc_info=caught)
    return error


_PLAIN: dict[type[BaseException], str] = {
    RecursionError: "engine.too-deep",
    MemoryError: "engine.no-memory",
    asyncio.CancelledError: "engine.cancelled",
}


def _place(step: Step, name: str = "") -> Place:
    known, item = step.spec.place, name.rpartition("/")[0] or None
    return Place(file=known.file, line=known.line, node=step.id, title=step.title, item=item)


__all__ = ["Context", "Event", "Frame", "NodeFailed", "Run", "execute"]
