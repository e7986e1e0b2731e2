"""An app that is ready to run: the Python API.

    app = millstream.load("app.yml", local=True)
    result = app.run(text2translate="…")
    async for event in app.stream(text2translate="…"): ...

`run` and the command line do the same things in the same order: check the inputs, make sure of
everything that the app needs, and only then start the first node.
"""

from __future__ import annotations

import asyncio
import atexit
import weakref
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from millstream import dsl
from millstream.base import BadInput, MillstreamError, NotHere, Place
from millstream.dsl.read import WITH_GRAPH, read_file, read_text
from millstream.engine import Emit, Limits, Plan, Ports, compile, execute
from millstream.engine.events import Event, RunFinished
from millstream.engine.limits import NONE
from millstream.engine.ports import Clock
from millstream.nodes import REGISTRY
from millstream.runtime.choice import Choice
from millstream.runtime.files import LocalFiles
from millstream.runtime.result import Result

if TYPE_CHECKING:
    from millstream.checks import Report
    from millstream.nodes.start import InputVariable
    from millstream.runtime.machine import Machine

T = TypeVar("T")
CHAT_MODES = ("advanced-chat", "chat", "agent-chat", "completion")


class App:
    """A loaded app. Made by `millstream.load` and `millstream.loads`."""

    def __init__(
        self,
        app: dsl.App,
        *,
        choice: Choice | None = None,
        limits: Limits | None = None,
        home: str | Path | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.dsl = app
        self.choice = choice or Choice()
        self.limits = limits
        self.home = home
        self.plan: Plan = compile(app, REGISTRY)
        self.problems = [*app.problems, *dsl.check_structure(app), *self.plan.problems]
        self._asked = {variable.variable: variable for variable in self.variables}
        self._required = {name for name, variable in self._asked.items() if variable.required}
        self._accept = getattr(self.plan.start, "accept", None)
        self._sound = not self.problems and app.mode in WITH_GRAPH and self.plan.start is not None
        self._environment = {v.name: v.value for v in app.environment}
        self._conversation = {v.name: v.value for v in app.conversation}
        self._form = prefilled(self.variables)
        self._ports = ports
        self._machine: Machine | None = None
        self._runner: asyncio.Runner | None = None
        self._runs: list[asyncio.Task[Any]] = []

    # ------------------------------------------------------------------------------ what it is

    @property
    def name(self) -> str:
        return self.dsl.name

    @property
    def mode(self) -> str:
        return self.dsl.mode

    @property
    def variables(self) -> list[InputVariable]:
        """What the app asks for, in the order of its form."""
        return getattr(self.plan.start, "variables", [])

    def export(self) -> str:
        """The app as a file: data-equal to what was read."""
        from millstream.dsl.write import write

        return write(self.dsl)

    async def acheck(self) -> Report:
        """A verdict for each node: runs as it is, with a substitute, or needs somebody."""
        from millstream import checks

        machine = await self.machine()
        prepared = await machine.look(checks.needs(self.plan), self.choice, self.dsl.file)
        return checks.report(self.plan, prepared.findings)

    def check(self) -> Report:
        """`acheck` for callers of `run`."""
        return self._block(self.acheck())

    # --------------------------------------------------------------------------------- running

    def run(
        self, inputs: Mapping[str, Any] | None = None, /, *, query: str | None = None, **named: Any
    ) -> Result:
        """Run to the end and return the result; a failed run is a result too.

        inputs, or named ones, go to the variables of the start node; query is what a person says
        to a chat app. Raises BadInput for inputs that do not fit and NotHere when something is
        missing, both before the first node.
        """
        return self._block(self.arun(inputs, query=query, **named))

    def _block(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work on the app's own event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise BadInput("runtime.loop-is-running")
        if self._runner is None:
            self._runner = asyncio.Runner()
            atexit.register(_close_at_exit, weakref.ref(self))
        return self._runner.run(work)

    async def arun(
        self, inputs: Mapping[str, Any] | None = None, /, *, query: str | None = None, **named: Any
    ) -> Result:
        """`run` for callers that are asynchronous themselves."""
        result = Result()
        async for event in self.stream(inputs, query=query, **named):
            result.take(event)
        return result

    async def stream(
        self, inputs: Mapping[str, Any] | None = None, /, *, query: str | None = None, **named: Any
    ) -> AsyncIterator[Event]:
        """Run and give every event as it happens. Leaving the loop early stops the run."""
        accepted = self.accept({**(inputs or {}), **named})
        if query is None and self.mode in CHAT_MODES:
            raise BadInput("runtime.no-query")
        ports, substitutes = await self._prepared()
        limits = self.limits
        if limits is None:
            limits = NONE if self._ports is not None else (await self.machine()).limits
        if isinstance(ports.files, LocalFiles):
            ports.files.allow(accepted)
        variables = self._variables(query, ports.clock)
        events = _Buffer()
        task = _begun(
            execute(
                self.plan,
                accepted,
                ports,
                self._masked(events.items.append),
                wake=events.wake,
                limits=limits,
                run_id=variables["sys"]["workflow_run_id"],
                variables=variables,
                substitutes=substitutes,
            )
        )
        if task is None:
            for event in events.items:
                yield event
            return
        self._runs.append(task)
        try:
            while True:
                while taken := events.taken():
                    for event in taken:
                        yield event
                    if type(taken[-1]) is RunFinished:
                        return
                await events.wait(task)
        finally:
            self._runs.remove(task)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def stop(self) -> bool:
        """Stop the runs that are going on; False if there is none. Their streams go on to the
        last event, which says "stopped": nodes in between tell the text that they had given."""
        for task in self._runs:
            task.cancel()
        return bool(self._runs)

    def sound(self) -> None:
        """Raises BadInput, with the first thing that is wrong, for an app that cannot run, and
        NotHere for one of a mode that this version does not run."""
        for problem in self.problems:
            if problem.severity == "error":
                raise problem.as_error(BadInput)
        if self.mode not in WITH_GRAPH:
            place = Place(file=self.dsl.file)
            raise NotHere("checks.mode-not-yet", place=place, mode=self.mode)
        if self.plan.start is None:
            raise BadInput("runtime.nothing-to-run", mode=self.mode)

    async def prepare(self) -> list[dict[str, str]]:
        """Make sure of everything that the app needs, as a run does before its first node; what
        stands in for something that the file names (`Result.substitutes`).

        Raises NotHere with all that is missing."""
        return (await self._prepared())[1]

    async def _prepared(self) -> tuple[Ports, list[dict[str, str]]]:
        if self._ports is not None:
            return self._ports, []
        machine = await self.machine()
        return await machine.prepare(self.plan, self.choice, self.dsl.file)

    def accept(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as the start node takes them. What nobody gives is as in Dify's form that
        nobody touched: its default, or an empty text. Raises BadInput for an app that cannot run,
        and for inputs that do not fit or that it does not ask for."""
        if not self._sound:
            self.sound()
            self._sound = True
        if self._accept is None:
            return dict(given)
        inputs = self._form.copy()
        for name, value in given.items():
            if name not in self._asked:
                self.variable(name)
            if value is not None:
                inputs[name] = value
        missing = self._required - inputs.keys()
        if len(missing) > 1:
            names = [name for name in self._asked if name in missing]
            raise BadInput(
                "runtime.inputs-missing", names=", ".join(map(repr, names)), name=names[0]
            )
        accepted: dict[str, Any] = self._accept(inputs)
        return accepted

    def variable(self, name: str, place: Place | None = None) -> InputVariable:
        """What the app asks for under a name. Raises BadInput with what was meant, perhaps; place:
        where the name stands."""
        known = self._asked
        if name in known:
            return known[name]
        if not known:
            raise BadInput("runtime.input-none", place=place, name=name)
        import shlex

        from millstream.home.toml import nearest

        near = nearest(name, known)
        key = "runtime.input-unknown-near" if near else "runtime.input-unknown"
        names = ", ".join(known)
        file = shlex.quote(self.dsl.file)
        raise BadInput(key, place=place, name=name, near=near, known=names, file=file)

    def _masked(self, emit: Emit) -> Emit:
        """What takes the events of a run: `emit`, or what hides the app's secrets from it."""
        if not self.dsl.environment:
            return emit
        secrets = [v.value for v in self.dsl.environment if v.value_type == "secret" and v.value]
        if not secrets:
            return emit
        from millstream.runtime.mask import Mask

        return Mask(map(str, secrets), emit)

    def _variables(self, query: str | None, clock: Clock) -> dict[str, dict[str, Any]]:
        """What stands under `sys`, `env` and `conversation` in a run."""
        system: dict[str, Any] = {
            "files": [],
            "user_id": "local",
            "app_id": self.dsl.file,
            "workflow_id": self.dsl.file,
            "workflow_run_id": clock.new_id(),
            "timestamp": int(clock.time()),
        }
        if self.mode in CHAT_MODES:
            system.update(query=query, conversation_id=clock.new_id(), dialogue_count=1)
        return {
            "sys": system,
            "env": self._environment.copy(),
            "conversation": self._conversation.copy(),
        }

    # ------------------------------------------------------------------------------ its machine

    def use(self, machine: Machine) -> None:
        """Share a machine with other apps; the first of them that is closed closes it."""
        self._machine = machine

    async def machine(self) -> Machine:
        """What this machine offers, opened at first use and kept until `close`."""
        from millstream.runtime.machine import Machine

        loop = asyncio.get_running_loop()
        if self._machine is None or self._machine.loop is not loop:
            self._machine = Machine(self.home)
        return self._machine

    async def aclose(self) -> None:
        """End what the app started: connections, sandbox, the model in memory."""
        machine, self._machine = self._machine, None
        if machine is not None:
            await machine.close()

    def close(self) -> None:
        """`aclose` for callers of `run`."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.run(self.aclose())
            runner.close()

    def __enter__(self) -> App:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> App:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<App {self.name!r} from {self.dsl.file}>"


def _begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
    """Go as far as there is nothing to wait for; a task of the rest, None if there is no rest."""
    try:
        waited = work.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_Rest(work, waited))


class _Rest(Coroutine[Any, Any, Any]):
    """What is left of a coroutine that waits for something already, for a task."""

    def __init__(self, work: Coroutine[Any, Any, Any], waited: Any) -> None:
        self.work = work
        self.waited = waited
        self.known = False  # to the task

    def send(self, value: Any) -> Any:
        if self.known:
            return self.work.send(value)
        self.known = True
        return self.waited

    def throw(self, *thrown: Any) -> Any:
        self.known = True
        return self.work.throw(*thrown)

    def close(self) -> None:
        self.work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError  # a task drives it


def _close_at_exit(app: weakref.ref[App]) -> None:
    """End what an app still has open when the program ends, and leave the loop to it."""
    still = app()
    if still is not None and still._runner is not None:
        still._runner.run(still.aclose())


class _Buffer:
    """Events on their way from a run to its reader."""

    __slots__ = ("items", "waiter")

    def __init__(self) -> None:
        self.items: list[Event] = []
        self.waiter: asyncio.Future[None] | None = None

    def taken(self) -> list[Event]:
        """What has come since the last time."""
        taken = self.items.copy()
        self.items.clear()
        return taken

    async def wait(self, task: asyncio.Task[Any]) -> None:
        """Return when there is an event; raises what ended the run without one."""
        if task.done():
            task.result()
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    def wake(self) -> None:
        """Let the reader look at what has come, or at how the run has ended."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)


def prefilled(variables: Iterable[InputVariable]) -> dict[str, Any]:
    """What stands in Dify's form before anybody has typed: defaults, and empty optional texts."""
    filled: dict[str, Any] = {}
    for variable in variables:
        if variable.default not in (None, "", []):
            filled[variable.variable] = variable.default
        elif not variable.required and variable.type in ("text-input", "paragraph"):
            filled[variable.variable] = ""
    return filled


def load(
    file: str | Path,
    *,
    model: str | None = None,
    local: bool = False,
    bind: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    home: str | Path | None = None,
    ports: Ports | None = None,
) -> App:
    """Load an app file.

    model, local, bind: what to use for what the file names, as the command line's options of the
    same names. home: the data directory, if not the usual one. ports: answers of your own instead
    of this machine's, for tests. Raises BadInput for a file that cannot be read; what is wrong
    inside a readable one is raised by `run` and listed by `check`.
    """
    app = read_file(file, REGISTRY)
    choice = Choice(model, local, bind or {})
    return App(app, choice=choice, limits=limits, home=home, ports=ports)


def loads(
    text: str | bytes,
    *,
    file: str = "<text>",
    model: str | None = None,
    local: bool = False,
    bind: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    home: str | Path | None = None,
    ports: Ports | None = None,
) -> App:
    """Load an app from its text; `file` is the name that messages use."""
    app = read_text(text, file, REGISTRY)
    choice = Choice(model, local, bind or {})
    return App(app, choice=choice, limits=limits, home=home, ports=ports)


def check_file(
    file: str | Path, choice: Choice | None = None, home: str | Path | None = None
) -> Report:
    """The check of a file, readable or not; raises nothing for what a file says."""
    from millstream import checks

    try:
        app = App(read_file(file, REGISTRY), choice=choice, home=home)
    except MillstreamError as error:
        return checks.unreadable(str(file), error)
    with app:
        return app.check()
