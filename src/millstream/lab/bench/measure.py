"""Going through all points that are asked for, and keeping every call.

A model is loaded once for each way of loading it; its points take turns, repetition by repetition,
so that a neighbour who comes and goes disturbs all of them alike. What has been measured is in
`Bench.run` at any time: a cancel, an endpoint that breaks down or a model that crashes loses
nothing of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from millstream.base import Failed, MillstreamError
from millstream.lab.bench import watch
from millstream.lab.bench.calls import Call
from millstream.lab.bench.cost import Cost, Prices, cost
from millstream.lab.bench.doubts import Doubt, doubts
from millstream.lab.bench.figures import Figures, figures
from millstream.lab.bench.load import Failure, Load, Profile, Tick
from millstream.lab.bench.prompts import How, Prompts, Ruler
from millstream.lab.bench.roof import Built, Roof
from millstream.lab.bench.subject import Kind, Opened, Subject, Way, hopeless, patiently
from millstream.lab.hardware import Calibration

if TYPE_CHECKING:
    from millstream.lab.hardware import Machine, Speed

FORMAT = 1
_ROOM = 64  # tokens of a context beyond prompt and answer
_IN_VAIN = 2  # repetitions without a success, after which a point is given up


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is measured. prompt, output: tokens; depth: tokens of context that are read
    before the prompt; concurrency: calls at once, of a closed loop; rate: calls a second, of an
    open one; way: how the model is loaded."""

    prompt: int
    output: int
    depth: int = 0
    profile: Profile = "synchronous"
    concurrency: int = 1
    rate: float = 0.0
    way: Way = Way()

    @property
    def load(self) -> Point:
        """The point without the way of loading."""
        return msgspec.structs.replace(self, way=Way())


class Ask(msgspec.Struct, frozen=True):
    """What is to be measured. Lists are gone through in all combinations. sweep: concurrency 1, 2,
    4 … up to the largest given. requests: calls of a repetition, 0 for the usual number. timeout:
    seconds without a piece of the answer that end a call. warm_up: calls before, of every point."""

    prompts: tuple[int, ...] = (512,)
    outputs: tuple[int, ...] = (128,)
    depths: tuple[int, ...] = (0,)
    profile: Literal["synchronous", "concurrent", "constant", "poisson", "sweep"] = "synchronous"
    concurrency: tuple[int, ...] = (1,)
    rates: tuple[float, ...] = ()
    threads: tuple[int, ...] = (0,)
    batches: tuple[int, ...] = (0,)
    layers: tuple[int | None, ...] = (None,)
    requests: int = 0
    repetitions: int = 5
    warm_up: int = 1
    timeout: float | None = 300.0
    seed: int = 0
    prices: Prices = Prices()

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, with all that is before it and its answer."""
        return max(self.depths) + max(self.prompts) + max(self.outputs)

    def ways(self) -> Iterator[Way]:
        for threads, batch, layers in product(self.threads, self.batches, self.layers):
            yield Way(threads, batch, layers)

    def points(self, way: Way) -> Iterator[Point]:
        profile: Profile
        for prompt, output, depth in product(self.prompts, self.outputs, self.depths):
            if self.profile in ("constant", "poisson"):
                for rate in self.rates:
                    kind: Profile = "constant" if self.profile == "constant" else "poisson"
                    yield Point(prompt, output, depth, kind, 1, rate, way)
                continue
            many = self.concurrency
            if self.profile == "sweep":
                most = max(many)
                many = tuple(sorted({2**n for n in range(20) if 2**n < most} | {most}))
            for concurrency in many:
                profile = "synchronous" if concurrency == 1 else "concurrent"
                yield Point(prompt, output, depth, profile, concurrency, 0.0, way)


class Stage(msgspec.Struct):
    """A point, and what came of it. calls: every one, raw. share: of the processor time that the
    model's threads could have had; client: of a core, that sending and reading took. memory: the
    most that the model's process had taken when the point was done."""

    point: Point
    opened: Opened
    calls: list[Call]
    figures: Figures
    memory: watch.Memory = watch.Memory()
    share: float | None = None
    client: float = 0.0
    roof: Roof | None = None
    cost: Cost | None = None
    doubts: list[Doubt] = []

    @property
    def noisy(self) -> bool:
        return any(doubt.kind == "noise" for doubt in self.doubts)


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why no more was measured of a model."""

    code: str
    message: str
    next: str = ""
    exit_code: int = 1

    @classmethod
    def of(cls, error: MillstreamError) -> Trouble:
        return cls(error.code, str(error), error.next_step, error.exit_code)


class Measured(msgspec.Struct):
    """A model and its points. prompts: how their lengths are known."""

    label: str
    kind: Kind
    prompts: How = "guess"
    architecture: str = ""
    quantization: str = ""
    parameters: int = 0
    size: int = 0
    near: bool = False
    stages: list[Stage] = []
    trouble: Trouble | None = None


class Run(msgspec.Struct):
    """A whole benchmark, as `--json` prints and `--save` keeps it. Times in seconds, sizes in
    bytes, speeds in tokens a second. made: Unix time. bandwidth, arithmetic: what the machine was
    measured to do at best, in bytes and operations a second, 0 if it was not asked; calibration:
    how far that can be relied on."""

    version: str
    made: float
    ask: Ask
    format: int = FORMAT
    processor: str = ""
    cores: int = 0
    total_memory: int = 0
    bandwidth: float = 0.0
    arithmetic: float = 0.0
    calibration: Calibration | None = None
    measured: list[Measured] = []
    interrupted: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far it is. step: "loading", "warm-up" or "measuring"; stage of stages, repetition of
    repetitions, from 1; of: calls of the repetition; rate: pieces a second, since it began."""

    label: str
    step: Literal["loading", "prompts", "warm-up", "measuring"]
    point: Point | None = None
    stage: int = 0
    stages: int = 0
    repetition: int = 0
    repetitions: int = 0
    of: int = 0
    tick: Tick | None = None
    rate: float = 0.0


Tell = Callable[[Progress], None]


class _Stop(Exception):
    """No more of this model."""

    def __init__(self, error: MillstreamError) -> None:
        super().__init__(str(error))
        self.error = error


class Bench:
    """Measures models one after the other. machine, speed: of this machine, where they are known.

    run: everything so far. cards: names of this machine's graphics cards."""

    def __init__(
        self,
        ask: Ask,
        *,
        machine: Machine | None = None,
        speed: Speed | None = None,
        tell: Tell = lambda progress: None,
    ) -> None:
        from millstream import __version__

        self.ask = ask
        self._speed, self._tell = speed, tell
        self._cards = bool(machine is not None and machine.usable)
        self.cards = [gpu.name for gpu in machine.gpus] if machine is not None else []
        self.run = Run(__version__, time.time(), ask, measured=[])
        if machine is not None:
            self.run.processor, self.run.cores = machine.processor, machine.cores
            self.run.total_memory = machine.memory or 0
        if speed is not None:
            self.run.bandwidth = max((speed.bandwidth(n) for n in speed.threads), default=0.0)
            self.run.arithmetic = max((speed.operations(n) for n in speed.threads), default=0.0)
            self.run.calibration = speed.calibration

    async def measure(self, subject: Subject) -> Measured:
        """Measure one model. What goes wrong is kept as its trouble; a cancel is passed on."""
        made = _about(subject)
        self.run.measured.append(made)
        speed = self._speed if subject.near and not self._cards else None
        built = Built(subject.model, speed) if subject.model is not None else None
        ways = list(self.ask.ways()) if subject.loads else [Way()]
        try:
            for way in ways:
                await _Session(self, subject, made, built, way, len(ways)).measure()
        except _Stop as stop:
            made.trouble = Trouble.of(stop.error)
        except MillstreamError as error:
            made.trouble = Trouble.of(error)
        except asyncio.CancelledError:
            self.run.interrupted = True
            raise
        finally:
            await subject.close()
        return made

    def tell(self, progress: Progress) -> None:
        self._tell(progress)


class _Session:
    """A model, loaded in one way."""

    def __init__(
        self,
        bench: Bench,
        subject: Subject,
        made: Measured,
        built: Built | None,
        way: Way,
        ways: int,
    ) -> None:
        self.bench, self.subject, self.made, self.built, self.way = bench, subject, made, built, way
        self.ask = bench.ask
        self.points = list(self.ask.points(way))
        self._before = len(made.stages)
        self._all = ways * len(self.points)
        self._began = 0.0
        self._error: MillstreamError | None = None  # of the last repetition without a success

    async def measure(self) -> None:
        subject, points = self.subject, self.points
        self._say("loading")
        subject.require(self.ask.longest)
        context = self.ask.longest + _ROOM
        slots = max(p.concurrency for p in points)
        if points[0].rate:
            slots = max(slots, 4)
        opened = await subject.open(self.way, context=context, slots=slots)
        self._say("prompts")
        ruler = await Ruler.make(subject.measure, subject.usage)
        self.made.prompts = ruler.how
        prompts = Prompts(ruler, subject.measure, seed=self.ask.seed)
        stages = [Stage(point, opened, [], figures([]), doubts=[]) for point in points]
        times = [_Times() for _ in points]
        if self.ask.warm_up:
            cold = [await self._warm_up(n, stage.point, prompts) for n, stage in enumerate(stages)]
            if all(cold) and cold[0] is not None:
                raise _Stop(cold[0])
        in_vain = [0] * len(stages)
        for repetition in range(self.ask.repetitions):
            for number, stage in enumerate(stages):
                if in_vain[number] == _IN_VAIN:
                    continue
                if repetition == 0:
                    self.made.stages.append(stage)
                good = await self._repeat(number, stage, times[number], prompts, repetition, ruler)
                in_vain[number] = 0 if good else in_vain[number] + 1
        if not any(stage.figures.calls for stage in stages):
            raise _Stop(self._error or Failed("bench.empty-answers", model=subject.label))

    async def _warm_up(self, number: int, point: Point, prompts: Prompts) -> MillstreamError | None:
        """Calls that nobody counts; an error if none of them succeeds."""
        self._say("warm-up", number)
        count = max(point.concurrency, self.ask.warm_up)
        load = self._load(number, "warm-up", 0, count)
        some = [await prompts.make(point.prompt, point.output) for _ in range(count)]

        async def warm() -> None:
            calls = await load.run(some, profile="concurrent", concurrency=point.concurrency)
            if load.errors and not any(call.ok for call in calls):
                raise load.errors[0]

        try:
            await patiently(warm, self.ask.timeout)
        except Failure as failure:
            raise _Stop(failure.error) from None
        except MillstreamError as error:
            return error
        return None

    async def _repeat(
        self,
        number: int,
        stage: Stage,
        times: _Times,
        prompts: Prompts,
        repetition: int,
        ruler: Ruler,
    ) -> bool:
        """One repetition of a point. False if not one call of it succeeded."""
        point = stage.point
        count = self.ask.requests or _usual(point)
        self._say("prompts", number, repetition, count)
        some = [await prompts.make(point.prompt, point.output, point.depth) for _ in range(count)]
        load = self._load(number, "measuring", repetition, count)
        pid = self.subject.pid
        spent = watch.processor_seconds(pid) if pid else None
        clock = watch.Stopwatch()
        error: MillstreamError | None = None
        before = len(stage.calls)
        try:
            await load.run(
                some,
                repetition=repetition,
                profile=point.profile,
                concurrency=point.concurrency,
                rate=point.rate,
                seed=self.ask.seed + repetition,
            )
        except Failure as failure:
            error = failure.error
        finally:
            times.add(clock, spent, watch.processor_seconds(pid) if pid else None)
            stage.calls += sorted(load.calls, key=lambda call: call.sent)
            self._sum_up(stage, times, ruler)
        if error is not None:
            raise _Stop(error)
        stage.memory = await self.subject.memory()
        if ruler.exact:
            await load.recount(self.subject.count)
            stage.calls[before:] = sorted(load.calls, key=lambda call: call.sent)
        if stage.memory.card and self.subject.model is not None:
            self.built = Built(self.subject.model, None)
        self._sum_up(stage, times, ruler)
        self._error = load.errors[0] if load.errors else self._error
        return any(call.ok for call in stage.calls[before:])

    def _sum_up(self, stage: Stage, times: _Times, ruler: Ruler) -> None:
        point, made = stage.point, figures(stage.calls)
        stage.figures = made
        closed = point.profile in ("synchronous", "concurrent") and not point.depth
        stage.share = times.share(stage.opened.threads) if closed else None
        stage.client = times.client
        good = [call for call in stage.calls if call.ok]
        read, written = (sum(c.prompt for c in good), sum(c.tokens for c in good))
        if not point.depth:  # what was read beforehand is in no call
            stage.cost = cost(self.ask.prices, made.seconds_busy, read, written)
        if self.built is not None and made.read and made.written:
            at_once = min(point.concurrency, stage.opened.slots or point.concurrency)
            stage.roof = self.built.roof(
                prompt=max(1.0, made.read.mean - point.depth),
                output=made.written.mean,
                depth=float(point.depth),
                at_once=float(at_once) if not point.rate else 1.0,
                decode=made.decode.mean * at_once if made.decode else None,
                prefill=made.prefill.mean if made.prefill and at_once == 1 else None,
                threads=stage.opened.threads,
            )
        stage.doubts = list(
            doubts(
                stage.calls,
                made,
                exact=ruler.exact,
                share=stage.share,
                client=stage.client,
                depth=point.depth,
                reached=stage.roof.decode_share if stage.roof else None,
                layers=(point.way.layers or 0) if stage.opened.cards == 0 else 0,
                cards=self.bench.cards,
            )
        )

    def _load(self, number: int, step: Any, repetition: int, of: int) -> Load:
        def watched(tick: Tick) -> None:
            self._say(step, number, repetition, of, tick)

        self._began = time.perf_counter()
        return Load(self.subject.send, fatal=hopeless, watch=watched)

    def _say(
        self, step: Any, number: int = 0, repetition: int = 0, of: int = 0, tick: Tick | None = None
    ) -> None:
        took = time.perf_counter() - self._began
        self.bench.tell(
            Progress(
                self.made.label,
                step,
                self.points[number],
                self._before + number + 1,
                self._all,
                repetition + 1,
                self.ask.repetitions,
                of,
                tick,
                tick.pieces / took if tick and took > 0 else 0.0,
            )
        )


class _Times:
    """Time of the repetitions of a point: by the clock, of the model's process, and of ours."""

    def __init__(self) -> None:
        self._clock = self._own = self._theirs = 0.0
        self._known = True

    def add(self, clock: watch.Stopwatch, before: float | None, after: float | None) -> None:
        self._clock += clock.seconds
        self._own += clock.processor
        if before is None or after is None:
            self._known = False
        else:
            self._theirs += after - before

    @property
    def client(self) -> float:
        return self._own / self._clock if self._clock else 0.0

    def share(self, threads: int) -> float | None:
        if not self._known or not threads or not self._clock:
            return None
        return min(1.0, self._theirs / (self._clock * threads))


def _usual(point: Point) -> int:
    """Calls of a repetition where nobody says how many."""
    if point.rate:
        return max(4, min(50, round(10 * point.rate)))
    return 1 if point.concurrency == 1 else 2 * point.concurrency


def _about(subject: Subject) -> Measured:
    made = Measured(subject.label, subject.kind, stages=[])
    if (model := subject.model) is not None:
        made.architecture = model.header.architecture
        made.quantization = model.header.quantization
        made.parameters = sum(tensor.elements for tensor in model.tensors)
        made.size = sum(tensor.size for tensor in model.tensors)
    made.near = subject.kind == "embedded" or subject.near
    return made
