"""Loaded models: one child process each, started when first needed and kept warm.

A caller asks for a `Target` before every call; that is cheap while the child lives, and starts it
again when it has died. Requests go to llama.cpp's own server on a loopback port, which batches
those that run at once; closing a connection frees its slot. A child that dies in the middle of a
call is noticed by the connection breaking, and `Http.causes` then gives the reason.

A child ends with this process however that ends: it holds the other end of a pipe. It is in a
session of its own, so that Ctrl-C in the terminal does not hit it. Children outlive an event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from millstream.base import Failed, MillstreamError, NotHere, Secret
from millstream.models import gguf, presets
from millstream.models.embedded import memory, threads
from millstream.models.http import Http, origin_of
from millstream.models.target import Target

if TYPE_CHECKING:
    from millstream.home import Home

PROVIDER = "embedded"
CONTEXT = 8192  # tokens of a call where nobody says, if the model was trained for as many
SLOTS = 2  # calls at once where nobody says; more cost time at the load and add little speed
_LOOK = 0.01  # seconds between two looks at a child that is ending
_LEAST_CONTEXT = 2048  # what a context that nobody asked for may shrink to
_BATCH = 128  # tokens of a prompt that are read before a cancel is seen
# While it reads a prompt llama.cpp only notices that nobody listens if it has something to say.
_EXTRA = {"return_progress": True}
_CHILD = Path(__file__).with_name("child.py")
_SLOW = 0.4  # of the best speed so far: then the threads are timed anew
_SLOW_TOKENS = 16  # shorter answers tell nothing of the speed
_TIMING_HOLDS = 60.0  # seconds between two timings of a model, however slow it becomes
_PATIENCE = 5.0  # seconds that a child has to end before it is killed
_DYING = 0.5  # seconds from a connection that breaks to the process being gone
_LOG = 1 << 20  # bytes of llama.cpp's log that are kept

_KILLED = -9  # the exit code of a process that was ended by SIGKILL

Notice = Callable[[str, Mapping[str, Any]], None]


class Loading(msgspec.Struct, frozen=True):
    """How far a model is. done of total bytes of its weights; 0 while threads are timed."""

    model: str
    step: Literal["threads", "weights", "ready"]
    done: int = 0
    total: int = 0


class Loaded(msgspec.Struct, frozen=True):
    """A model that is in memory. context: tokens of each call; memory: bytes, as predicted; cards:
    graphics cards that its llama.cpp can use."""

    name: str
    path: Path
    context: int
    slots: int
    threads: int
    memory: int
    pid: int
    cards: int = 0


class Tuning(msgspec.Struct, frozen=True):
    """How a model is to be loaded, for whoever wants to compare. threads: 0 for what the settings
    say, else the best. batch: tokens of a prompt that are read at once. layers: so many on graphics
    cards, counted as llama.cpp does (the head is one); None for as many as fit."""

    threads: int = 0
    batch: int = _BATCH
    layers: int | None = None


Progress = Callable[[Loading], None]


class EmbeddedModels:
    """The models that this process has loaded.

    home: has the shelf and the settings `embedded.*`. http: the connections that calls go over.
    notice: is told of loads (a catalogue key and its values). available: free bytes. tuning: how
    all of them are loaded.
    """

    def __init__(
        self,
        home: Home,
        http: Http,
        *,
        notice: Notice | None = None,
        available: Callable[[], int | None] = memory.available,
        tuning: Tuning | None = None,
    ) -> None:
        self._home = home
        self._http = http
        self._notice = notice
        self._available = available
        self._tuning = tuning or Tuning()
        self._known: dict[str | Path, tuple[str, Path]] = {}  # what was asked for → name, file
        self._children: dict[Path, _Child] = {}
        self._retired: list[_Child] = []
        self._loads: dict[Path, _Load] = {}

    async def target(
        self,
        name_or_path: str | Path,
        *,
        context: int | None = None,
        slots: int | None = None,
        progress: Progress | None = None,
    ) -> Target:
        """Where a model can be called now; loads it if need be. To be asked before every call.

        name_or_path: a name on the shelf, or a GGUF file. context: tokens that a call needs;
        slots: calls that run at once. A child with less is replaced, and ends when it is idle.
        Callers at the same time share one load, which goes on when one of them is cancelled.

        Raises NotHere (no such model, not enough memory, the extra `local` is missing), BadInput
        (a file that is no model, or damaged), Failed (llama.cpp refuses it).
        """
        known = self._known.get(name_or_path)
        child = self._children.get(known[1]) if known else None
        if known is None or child is None or not child.alive:
            known = self._known[name_or_path] = self._find(name_or_path)
        name, path = known
        child = self._children.get(path)
        better = 0
        if child is not None and child.serves(context, slots):
            if child.slowed():
                better = await self._better_threads(child)
            if not better:
                return child.target
        load = self._loads.get(path)
        if load is None:
            load = self._loads[path] = _Load()
            load.start(self._load(load, name, path, context, slots, better), self._loads, path)
        if progress is not None:
            load.listeners.append(progress)
        child = await asyncio.shield(load.task)
        if child.serves(context, slots):
            return child.target
        return await self.target(name_or_path, context=context, slots=slots, progress=progress)

    def loaded(self) -> list[Loaded]:
        """The models that are in memory."""
        return [
            Loaded(
                child.name,
                path,
                child.plan.context,
                child.plan.slots,
                child.threads,
                child.plan.estimate.total,
                child.process.pid,
                child.cards,
            )
            for path, child in self._children.items()
            if child.alive
        ]

    async def close(self) -> None:
        """End all children. The next `target` loads again."""
        for load in list(self._loads.values()):
            load.task.cancel()
            with suppress(asyncio.CancelledError, MillstreamError):
                await load.task
        children = [*self._children.values(), *self._retired]
        self._children.clear()
        self._retired.clear()
        for child in children:
            child.hang_up()
        for child in children:
            await child.end()
            self._http.causes.pop(child.address, None)

    def _find(self, name_or_path: str | Path) -> tuple[str, Path]:
        path = Path(name_or_path).expanduser()
        if path.suffix.lower() == ".gguf" and (path.exists() or len(path.parts) > 1):
            path = gguf.shard_paths(path.resolve())[0]
            return re.sub(r"-\d{5}-of-\d{5}$", "", path.stem), path
        model = self._home.shelf.get(os.fspath(name_or_path))
        return model.name, model.path.resolve()

    async def _load(
        self,
        load: _Load,
        name: str,
        path: Path,
        context: int | None,
        slots: int | None,
        thread_count: int,
    ) -> _Child:
        headers = [gguf.read(part) for part in gguf.shard_paths(path)]
        old = self._children.get(path)
        if old is not None and old.alive:  # it has too little of something: keep the rest
            context, slots = old.plan.at_least(context, slots)
        plan = await self._plan(name, path, headers, context, slots)
        settings = self._home.settings.embedded
        idle = settings.idle_seconds
        size = sum(header.weight_bytes for header in headers)
        if self._notice is not None:
            self._notice("embedded.loading", {"model": name, "size": shown(size)})
        load.tell(Loading(name, "threads"))
        started = time.monotonic()
        child = _Child(
            name,
            plan,
            {
                "model": str(path),
                "alias": name,
                "context": plan.context,
                "slots": plan.slots,
                "batch": self._tuning.batch,
                "layers": self._tuning.layers,
                "threads": thread_count or self._tuning.threads or settings.threads or 0,
                "candidates": threads.candidates(threads.cores()),
                "shape": threads.shape(headers[0]),
                "sleep": -1 if idle is None else max(1, round(idle)),
            },
        )
        try:
            await child.ready(lambda done: load.tell(Loading(name, "weights", done, size)), size)
        except BaseException:
            child.process.kill()
            child.process.wait()
            raise
        if old is not None:
            old.retire()
            self._retired.append(old)
        for gone in [child for child in self._retired if not child.alive]:
            self._retired.remove(gone)
            self._http.causes.pop(gone.address, None)
        self._children[path] = child
        self._http.causes[child.address] = child.cause
        load.tell(Loading(name, "ready", size, size))
        if self._notice is not None:
            values = {
                "model": name,
                "seconds": time.monotonic() - started,
                "threads": child.threads,
                "context": plan.context,
                "slots": plan.slots,
            }
            self._notice("embedded.ready", values)
        return child

    async def _plan(
        self,
        name: str,
        path: Path,
        headers: Sequence[gguf.Header],
        context: int | None,
        slots: int | None,
    ) -> _Plan:
        """Context and slots that fit into memory: what was asked for, else what is comfortable.
        Other models are unloaded to make room. Raises NotHere."""
        settings = self._home.settings.embedded
        context, slots = context or settings.context, slots or settings.slots
        batch = self._tuning.batch
        plan = _Plan(headers, context or CONTEXT, slots or SLOTS, batch)
        free = self._available() if settings.check_memory else None
        if free is None:
            return plan
        while slots is None and plan.slots > 1 and plan.estimate.total > free // 2:
            plan = _Plan(headers, plan.context, plan.slots // 2, batch)
        others = [c for where, c in self._children.items() if where != path and c.alive]
        taken = sum(child.plan.estimate.total for child in others)
        if free < plan.estimate.total <= free + taken:
            for child in others:
                child.retire()
            for child in others:
                await child.gone()
            free = self._available() or free
        while context is None and plan.context > _LEAST_CONTEXT and plan.estimate.total > free:
            shorter = max(_LEAST_CONTEXT, plan.context // 2)
            plan = _Plan(headers, shorter, plan.slots, batch)
        needed = plan.estimate
        if needed.total > free:
            raise NotHere(
                "embedded.no-memory",
                model=name,
                needed=shown(needed.total),
                free=shown(free),
                weights=shown(needed.weights),
                cache=shown(needed.cache),
                context=plan.context,
                slots=plan.slots,
            )
        return plan

    async def _better_threads(self, child: _Child) -> int:
        """Time the threads again if the model is idle; another number than now that is better,
        or 0."""
        if self._home.settings.embedded.threads or not await self._idle(child):
            return 0
        child.timed = time.monotonic()
        timing = _Child(child.name, child.plan, {**child.task, "model": "", "threads": 0})
        with suppress(MillstreamError):
            await timing.ready(lambda _: None, 0)
        return timing.threads if timing.threads != child.threads else 0

    async def _idle(self, child: _Child) -> bool:
        headers = {"Authorization": f"Bearer {child.key.reveal()}"}
        try:
            found = await self._http.request_json("GET", f"{child.address}/slots", headers=headers)
        except MillstreamError:
            return False
        return not any(slot.get("is_processing") for slot in found)


class _Plan:
    """A context and a number of slots, and what they take. trained: tokens that the model was
    made for; no context is longer."""

    def __init__(
        self, headers: Sequence[gguf.Header], context: int, slots: int, batch: int
    ) -> None:
        self.trained = headers[0].context_length
        self.context = min(context, self.trained or context)
        self.slots = slots
        self.estimate = memory.estimate(headers, context=self.context, slots=slots, batch=batch)

    def at_least(self, context: int | None, slots: int | None) -> tuple[int, int]:
        return max(context or 0, self.context), max(slots or 0, self.slots)

    def serves(self, context: int | None, slots: int | None) -> bool:
        context = min(context or 0, self.trained or sys.maxsize)
        return context <= self.context and (slots or 0) <= self.slots


class _Load:
    """A load under way, and those who want to know how far it is."""

    task: asyncio.Task[_Child]

    def __init__(self) -> None:
        self.listeners: list[Progress] = []

    def start(self, work: Any, loads: dict[Path, _Load], path: Path) -> None:
        def done(task: asyncio.Task[_Child]) -> None:
            del loads[path]
            if not task.cancelled():
                task.exception()  # whoever still waits has it too

        self.task = asyncio.create_task(work)
        self.task.add_done_callback(done)

    def tell(self, loading: Loading) -> None:
        for listener in self.listeners:
            listener(loading)


class _Child:
    """A child process, and the model in it once it is `ready`.

    task: what `child` reads. timed: when its threads were timed, in monotonic seconds.
    """

    def __init__(self, name: str, plan: _Plan, task: dict[str, Any]) -> None:
        self.name = name
        self.plan = plan
        self.task = task
        self.key = Secret(secrets.token_hex(24))
        self.address = ""
        self.threads = self.cards = 0
        self.timed = time.monotonic()
        self._fastest = 0.0
        self._let_go = False
        self._log = _Log()
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.fileno,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._write({**task, "key": self.key.reveal()})

    @cached_property
    def target(self) -> Target:
        """Where the model is called."""
        return presets.target(
            PROVIDER,
            self.name,
            base_url=f"{self.address}/v1",
            key=self.key,
            context=self.plan.context,
            slots=self.plan.slots,
            options={"tokenize": True, "images": False, "quirks": {"extra": _EXTRA}},
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def serves(self, context: int | None, slots: int | None) -> bool:
        """Whether calls of that size can go to it."""
        return self.alive and not self._let_go and self.plan.serves(context, slots)

    async def ready(self, listen: Callable[[int], None], size: int) -> None:
        """Wait until the model is loaded, or the threads are timed if only that was asked for.
        listen: is told how many of the `size` bytes of its weights are in memory."""
        while True:
            line = await self._line(listen, size)
            if not line:
                if self.task["model"] or await asyncio.to_thread(self.process.wait):
                    raise await self._failure()
                return
            try:
                step = json.loads(line)
            except ValueError:
                continue  # of a library that writes where it should not
            match step["step"]:
                case "threads":
                    self.threads = step["threads"]
                case "ready":
                    self.address = origin_of(step["address"])
                    self.threads, self.cards = step["threads"], step["cards"]
                    return
                case "no-runtime":
                    missing = "No module named" in step["problem"]
                    code = "embedded.no-extra" if missing else "embedded.broken-extra"
                    raise NotHere(code, problem=step["problem"])
                case _:
                    raise await self._failure()

    async def _line(self, listen: Callable[[int], None], size: int) -> bytes:
        """The next line that the child writes; b"" at its end."""
        assert self.process.stdout is not None
        reading = asyncio.create_task(asyncio.to_thread(self.process.stdout.readline))
        try:
            while not (await asyncio.wait({reading}, timeout=0.1))[0]:
                listen(min(size, _mapped(self.process.pid)))
        except asyncio.CancelledError:
            self.process.kill()  # the thread reads the end then
            raise
        return await reading

    async def _failure(self) -> MillstreamError:
        """Why the model could not be loaded, by llama.cpp's log."""
        code = await asyncio.to_thread(self.process.wait)
        return _refusal(self.name, self._log.text(), code)

    def slowed(self) -> bool:
        """Whether the last answers came much slower than earlier ones did."""
        latest = 0.0
        for found in _SPEED.finditer(self._log.news()):
            if int(found[1]) >= _SLOW_TOKENS:
                latest = float(found[2])
                self._fastest = max(self._fastest, latest)
        return 0 < latest < _SLOW * self._fastest and time.monotonic() - self.timed > _TIMING_HOLDS

    def cause(self) -> MillstreamError | None:
        """Why a connection to this child broke; None if the child has nothing to do with it."""
        try:
            code = self.process.wait(_DYING)
        except subprocess.TimeoutExpired:
            return None
        if self._let_go:
            return Failed("embedded.unloaded", model=self.name)
        words = _last_words(self._log.text())
        key = "embedded.killed" if code == _KILLED else "embedded.crashed"
        return Failed(key, model=self.name, how=_how(code), words=words)

    def retire(self) -> None:
        """Take no further calls; end when those that run are answered."""
        self._let_go = True
        self._write("retire")

    def hang_up(self) -> None:
        """Let the child see its end: it leaves at once."""
        self._let_go = True
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    async def gone(self) -> None:
        """Wait for the end of a child that was told to. No thread waits: when a program ends it
        can have no new ones."""
        while self.process.poll() is None:  # noqa: ASYNC110 (nothing tells a loop of it everywhere)
            await asyncio.sleep(_LOOK)

    async def end(self) -> None:
        """See to it that the child is gone, whatever it is doing."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.gone()
        except TimeoutError:
            self.process.kill()
            await self.gone()

    def _write(self, line: object) -> None:
        assert self.process.stdin is not None
        text = line if isinstance(line, str) else json.dumps(line)
        with suppress(OSError):  # it is gone already, and `ready` says why
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()


class _Log:
    """What llama.cpp writes: a file without a name, cut when it becomes long."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._seen = 0
        with suppress(ImportError):
            import fcntl

            flags = fcntl.fcntl(self.fileno, fcntl.F_GETFL)
            fcntl.fcntl(self.fileno, fcntl.F_SETFL, flags | os.O_APPEND)

    @property
    def fileno(self) -> int:
        return self._file.fileno()

    def text(self) -> str:
        """Its end."""
        size = os.fstat(self.fileno).st_size
        return self._from(max(0, size - (64 << 10)), size)

    def news(self) -> str:
        """What was written since the last look."""
        size = os.fstat(self.fileno).st_size
        if size == self._seen:
            return ""
        text = self._from(self._seen, size)
        self._seen = size
        if size > _LOG:
            os.ftruncate(self.fileno, 0)
            self._seen = 0
        return text

    def _from(self, start: int, end: int) -> str:
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8", "replace")


# llama.cpp's lines: a clock, one letter for how bad it is, where it is from, the message.
_ERROR = re.compile(r"^[\d.]+ E +(?:\w+ +)?[\w()]+: (.+)$", re.M)
_SPEED = re.compile(r"\| +eval time = +[\d.]+ ms / +(\d+) tokens \(.*?([\d.]+) tokens per second\)")
_ARCHITECTURE = re.compile(r"unknown model architecture: '([^'\n]*)'")
_NO_MEMORY = re.compile(
    r"insufficient memory|failed to allocate|unable to allocate|out of memory|cannot allocate", re.I
)


def _refusal(model: str, log: str, code: int) -> MillstreamError:
    """Why a model was not loaded."""
    if found := _ARCHITECTURE.search(log):
        return NotHere("embedded.unknown-architecture", model=model, architecture=found[1])
    if _NO_MEMORY.search(log):
        return NotHere("embedded.memory-refused", model=model)
    words = next((w for w in _ERROR.findall(log) if "error loading" in w), "") or _last_words(log)
    if code < 0:
        key = "embedded.killed-loading" if code == _KILLED else "embedded.crashed-loading"
        return Failed(key, model=model, how=_how(code), words=words)
    return Failed("embedded.refused", model=model, words=words)


def _last_words(log: str) -> str:
    """The last complaint of a log, or its last line, shortened for display."""
    lines = _ERROR.findall(log) or [line for line in log.splitlines() if line.strip()]
    return lines[-1].strip()[-300:] if lines else "–"


def _how(code: int) -> str:
    """How a process ended, in a word: SIGKILL, or its exit code."""
    with suppress(ValueError):
        return signal.Signals(-code).name
    return str(code)


def _mapped(pid: int) -> int:
    """Bytes of files that a process has mapped and read, which are a model's weights; 0 where the
    system doesn't say."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[2])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def shown(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
