"""This machine, as a run sees it: ports wired from the data directory, bindings and servers.

Everything is opened when it is first needed and closed by `close`. A machine belongs to one event
loop; apps on the same loop may share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from millstream.base import MillstreamError, NotHere, Place, say
from millstream.checks.report import Met
from millstream.engine import Need, Plan, Ports
from millstream.engine.limits import Limits, profile
from millstream.engine.ports import ModelRef, ToolRef
from millstream.home import Binding, Bindings, Home, every_model, everything_local, parse_bind
from millstream.models.hosts import is_outside, origin_of
from millstream.models.resolver import LOCAL, Resolution, Resolver
from millstream.runtime.choice import Choice
from millstream.runtime.clock import SystemClock
from millstream.runtime.files import LocalFiles

if TYPE_CHECKING:
    from millstream.home import ShelfModel
    from millstream.home.toml import Notice as Unheeded
    from millstream.models.discovery import Survey
    from millstream.models.embedded import EmbeddedModels
    from millstream.models.http import Http
    from millstream.models.target import Target
    from millstream.sandbox.host import LocalSandbox
    from millstream.tools import Toolbox

Notice = Callable[[str, Mapping[str, Any]], None]
PATIENCE = 5.0  # seconds that an online tool has to answer before `--local` takes its substitute
_KNOCK = 2.0  # seconds that an endpoint has to take a connection, and to say what it is
_STRICT = ("ollama", "vllm", "lmstudio")  # servers that answer for the models that they list, only


class Prepared(msgspec.Struct):
    """What one app uses here. findings: for each need of the plan, what meets it."""

    ports: Ports
    findings: list[Met]
    substitutes: list[dict[str, str]]


class Machine:
    """home: the data directory, if not the usual one. offline: overrules the setting. notice: is
    told what a person may want to know while waiting (a catalogue key and its values)."""

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        offline: bool | None = None,
        notice: Notice | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.home = Home.open(home)
        self.notice = notice
        self._offline = offline
        self._http: Http | None = None
        self._embedded: EmbeddedModels | None = None
        self._sandbox: LocalSandbox | None = None
        self._survey: asyncio.Task[Survey] | None = None
        self._prepared: dict[int, tuple[Plan, Prepared]] = {}
        self.warnings: list[Unheeded] = []  # what settings and bindings say to no effect
        self.files = LocalFiles(lambda: self.http)

    # ---------------------------------------------------------------------------------- parts

    @property
    def http(self) -> Http:
        if self._http is None:
            from millstream.models.discovery import Reach
            from millstream.models.http import Http, Patience

            network = self.home.settings.network
            self._http = Http(
                offline=network.offline if self._offline is None else self._offline,
                patience=Patience(
                    connect=network.connect_timeout,
                    first_byte=network.first_byte_timeout,
                    idle=network.idle_timeout,
                    tries=network.tries,
                    longest_wait=network.longest_wait,
                ),
                reach=Reach(self.home),
                notice=self.notice,
                proxy=network.proxy,
            )
        return self._http

    @property
    def embedded(self) -> EmbeddedModels:
        if self._embedded is None:
            from millstream.models.embedded import EmbeddedModels

            self._embedded = EmbeddedModels(self.home, self.http, notice=self.notice)
        return self._embedded

    @property
    def sandbox(self) -> LocalSandbox:
        if self._sandbox is None:
            from millstream.sandbox.host import LocalSandbox, SandboxLimits

            rules = self.home.settings.sandbox
            self._sandbox = LocalSandbox(
                limits=SandboxLimits(
                    seconds=rules.seconds,
                    memory_mb=rules.memory_mb,
                    output_mb=rules.output_mb,
                    scratch_mb=rules.scratch_mb,
                    processes=rules.processes,
                ),
                packages=rules.packages or None,
                unconfined=rules.unconfined or None,
            )
        return self._sandbox

    @property
    def limits(self) -> Limits:
        """The limits of a run that the settings say; none by default."""
        wanted = msgspec.structs.asdict(self.home.settings.limits)
        start = profile(wanted.pop("profile"))
        told = {name: value for name, value in wanted.items() if value is not None}
        return msgspec.structs.replace(start, **told) if told else start

    async def survey(self) -> Survey:
        """The model servers that this machine reaches; asked once, for all who want to know."""
        if self._survey is None:
            from millstream.models.discovery import survey

            self._survey = asyncio.create_task(survey(self.home))
        return await asyncio.shield(self._survey)

    def resolver(self, choice: Choice, app_file: str | None = None) -> Resolver:
        """What models are here, by a choice and by the bindings beside an app."""
        return Resolver(
            self.home,
            self._bindings(choice, app_file),
            survey=self.survey,
            embedded=lambda model: _Embedded(self, model),
            memory=_free_memory,
        )

    def _bindings(self, choice: Choice, app_file: str | None) -> Bindings:
        rules = [parse_bind(f"{name}={target}") for name, target in choice.bind.items()]
        for name, target in choice.bind_tools.items():
            rule = parse_bind(f"{name}={target}", "--bind-tool")
            rules.append(msgspec.structs.replace(rule, kind="tools"))
        if choice.local:
            rules.append(everything_local())
        if choice.model:  # behind the other general rule, so that it goes before it
            rules.append(every_model(choice.model))
        beside = app_file if app_file and Path(app_file).is_file() else None
        bindings = self.home.bindings(beside, rules)
        for unheeded in (*self.home.settings.notices, *bindings.notices):
            if unheeded not in self.warnings:
                self.warnings.append(unheeded)
        return bindings

    # ------------------------------------------------------------------------------ preparing

    async def prepare(
        self, plan: Plan, choice: Choice, app_file: str
    ) -> tuple[Ports, list[dict[str, str]]]:
        """The ports of an app, and what stands in for something that it names.

        Raises NotHere, before anything has run, with all that is missing and what would help."""
        known = self._prepared.get(id(plan))
        if known is None:
            prepared = await self.look(plan.needs(), choice, app_file)
            missing = [met for met in prepared.findings if met.error is not None]
            if missing:
                raise _needs(plan, missing)
            known = self._prepared[id(plan)] = (plan, prepared)
        return known[1].ports, known[1].substitutes

    async def look(self, needs: Sequence[Need], choice: Choice, app_file: str) -> Prepared:
        """What meets each need here; nothing is raised for what is missing."""
        clock = SystemClock()
        if not needs:
            return Prepared(Ports(clock=clock, sandbox=_Lazy(self), files=self.files), [], [])
        resolver = self.resolver(choice, app_file)
        models = tools = None
        first = next((need.ref for need in needs if need.kind == "model"), LOCAL)
        if any(need.kind in ("model", "tool") for need in needs):
            from millstream.models.router import Router, Rules

            wanted = self.home.settings.models
            rules = Rules(
                reasks=wanted.reasks,
                continue_on_length=wanted.continue_on_length,
                check_prompt_tokens=wanted.check_prompt_tokens,
                stop_repetition=wanted.stop_repetition,
            )
            models = Router(self.http, resolver.bind, files=self.files, rules=rules)
        bound: dict[ToolRef, Binding] = {}
        if any(need.kind == "tool" for need in needs):
            plain = self._bindings(msgspec.structs.replace(choice, local=False), app_file)
            bound = await self._substitutes(needs, resolver.bindings, plain)
            substitutes = {f"{r.provider}/{r.name}": rule.target for r, rule in bound.items()}
            tools = self._toolbox(models, substitutes, first)
        findings = []
        for need in needs:
            if need.kind == "tool" and tools is not None:
                rule = bound.get(need.ref)
                findings.append(await self._meet_tool(need, rule, resolver, tools, first))
            else:
                findings.append(await self._meet(need, resolver))
        told = [
            {"node": met.need.node, "wanted": met.wanted, "used": met.used, "why": met.why}
            for met in findings
            if met.substitute
        ]
        ports = Ports(
            clock=clock, models=models, tools=tools, sandbox=_Lazy(self), files=self.files
        )
        return Prepared(ports, findings, told)

    async def _meet(self, need: Need, resolver: Resolver) -> Met:
        wanted = str(need.ref)
        if need.kind == "model":
            return _met(need, await self._resolve(resolver, need.ref))
        try:
            if need.kind == "code":
                self.sandbox.ready(need.ref)
            elif need.kind == "package":
                self.sandbox.require(need.ref)
            else:
                raise NotHere("engine.not-yet", type=need.ref)
        except MillstreamError as error:
            return Met(need, wanted, error=error)
        return Met(need, wanted, used=wanted)

    async def _resolve(self, resolver: Resolver, ref: ModelRef) -> Resolution:
        """What a model is here; nothing, if it is out of reach by the settings."""
        from millstream.home.names import provider_name
        from millstream.models.target import Target

        found = await resolver.resolve(ref)
        url = getattr(found.target, "base_url", "")
        name = getattr(found.target, "provider", "")
        endpoints = self.home.settings.endpoints
        ours = next((each for each in endpoints if provider_name(each.name) == name), None)
        if not url or not (ours or self.http.offline):
            return found
        error: MillstreamError | None = None
        if await is_outside(url):
            if self.http.offline:
                error = NotHere("models.offline", host=urlsplit(url).hostname or url)
        elif ours is not None and isinstance(found.target, Target):
            error = await self._refused(found.target, asks=ours.protocol in ("openai", "ollama"))
        return found if error is None else msgspec.structs.replace(found, target=None, error=error)

    async def _refused(self, target: Target, *, asks: bool) -> MillstreamError | None:
        """Why an endpoint nearby will not answer: nobody listens there, it does not like the key,
        or does not have the model. asks: whether its protocol tells what it has. A server that
        says nothing of itself is asked in the run."""
        from millstream.models import failures
        from millstream.models.discovery import Candidate, Haste, probe
        from millstream.models.peer import Names, Refused, connect
        from millstream.models.refusal import Refusal
        from millstream.models.resolver import find, not_served

        try:
            there, proxy = await self.http.route(target.base_url)
        except NotHere as error:
            return error
        if proxy is not None:
            return None
        names = Names(_KNOCK)
        if not asks:
            connection = await connect(there, _KNOCK, names)
            if isinstance(connection, Refused):
                return self._nobody(there) if connection.outcome == "refused" else None
            connection.writer.close()
            return None
        haste = Haste(named_connect=_KNOCK, named_answer=_KNOCK)
        candidate = Candidate(there, "setting", target.provider, target.key)
        found = await probe(candidate, haste, names)
        if found.outcome == "refused":
            return self._nobody(there)
        if found.outcome == "locked" and found.detail == "401":
            return failures.refused(target, Refusal(origin_of(there), 401, "Unauthorized"))
        server = found.server
        if server is None or server.kind not in _STRICT:
            return None
        name = target.server_model
        return None if find(server, name) else not_served(server, name)

    def _nobody(self, url: str) -> NotHere:
        self.http.forget_route(url)
        return NotHere("models.connection-refused", server=origin_of(url))

    async def _meet_tool(
        self,
        need: Need,
        rule: Binding | None,
        resolver: Resolver,
        tools: Toolbox,
        first: ModelRef,
    ) -> Met:
        ref: ToolRef = need.ref
        wanted = str(ref)
        try:
            info = tools.require(ref)
        except MillstreamError as error:
            return Met(need, wanted, error=error)
        substitute = tools.substituted(ref)
        if substitute is None:
            if info.online and self.http.offline:
                refused = NotHere("runtime.offline-tool", tool=f"{info.provider}/{info.name}")
                return Met(need, wanted, error=refused)
            return Met(need, wanted, used=f"{info.provider}/{info.name}")
        model = await self._resolve(resolver, first)
        if model.target is None:
            return Met(need, wanted, error=model.error)
        why = say("resolver.rule", source=rule.source) if rule else ""
        used = say("runtime.translated-by", model=model.label)
        return Met(need, wanted, used, substitute=True, why=why)

    async def _substitutes(
        self, needs: Sequence[Need], bindings: Bindings, plain: Bindings
    ) -> dict[ToolRef, Binding]:
        """Tools that something else does the work of, as bindings say.

        A rule for the tool itself is taken at its word (`plain`: the bindings without `--local`);
        the general one of `--local` only where the tool's service cannot be reached, or is not
        here at all."""
        found: dict[ToolRef, Binding] = {}
        box = self._toolbox(None, {}, LOCAL)
        for ref in dict.fromkeys(need.ref for need in needs if need.kind == "tool"):
            own = plain.for_tool(ref.provider, ref.name)
            rule = own or bindings.for_tool(ref.provider, ref.name)
            info = box.describe(ref)
            if rule is None or info is None or info.substitute is None:
                continue
            if rule.pattern == "*" and info.here and await self._answers(box, ref):
                continue
            found[ref] = rule
        return found

    async def _answers(self, tools: Toolbox, ref: ToolRef) -> bool:
        try:
            return await asyncio.wait_for(tools.answers(ref), PATIENCE)
        except TimeoutError:
            return False

    def _toolbox(self, models: Any, substitutes: Mapping[str, str], llm: ModelRef) -> Toolbox:
        from millstream.tools import Toolbox

        settings = self.home.settings.translate
        now = SystemClock.time
        return Toolbox(self.http, models, settings, substitutes, llm=llm, now=now)

    async def close(self) -> None:
        """End everything that was opened."""
        if self._survey is not None:
            self._survey.cancel()
            self._survey = None
        if self._embedded is not None:
            await self._embedded.close()
        if self._sandbox is not None:
            await self._sandbox.close()
        if self._http is not None:
            await self._http.close()
        self._embedded = self._sandbox = self._http = None
        self._prepared.clear()


class _Embedded:
    """A shelf model that is loaded when it is first called."""

    def __init__(self, machine: Machine, model: ShelfModel) -> None:
        self.machine = machine
        self.model = model

    async def open(self) -> Target:
        return await self.machine.embedded.target(self.model.name)


class _Lazy:
    """The sandbox port; the room is loaded with the first untrusted code."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> Any:
        return await self.machine.sandbox.run_code(language, code, inputs)

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        return await self.machine.sandbox.render(template, variables)


def _met(need: Need, found: Resolution) -> Met:
    wanted = str(need.ref)
    if found.target is None:
        return Met(need, wanted, error=found.error)
    return Met(need, wanted, found.label, found.substitute, found.why)


def _needs(plan: Plan, missing: list[Met]) -> MillstreamError:
    """One error for everything that is missing."""
    steps = {step.id: step for step in plan.steps()}
    for met in missing:
        step = steps[met.need.node]
        known = step.spec.place
        assert met.error is not None
        place = Place(known.file, known.line, step.id, step.title)
        met.error = type(met.error)(met.error.code, place=place, **met.error.values)
    errors = {met.error.message: met.error for met in missing if met.error is not None}
    if len(errors) == 1:
        return next(iter(errors.values()))
    lines = [f"\n  {error}" for error in errors.values()]
    steps_text = dict.fromkeys(error.next_step for error in errors.values() if error.next_step)
    advice = "".join(f"\n  {text}" for text in steps_text)
    return NotHere("runtime.needs", count=len(errors), list="".join(lines), advice=advice)


def _free_memory() -> int | None:
    from millstream.models.embedded.memory import available

    return available()
