"""From the model that a file names to the one that answers here, or to what would make it work.

A binding decides if there is one. Without one the file is taken at its word: a provider whose key
is here is called as it is, a local server is looked for. Nothing is substituted unasked. The
local default is, in this order: the setting `models.default`, what a server on this machine
serves (a loaded model first), the largest model on the shelf that fits into the free memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from millstream.base import MillstreamError, NotHere, say
from millstream.engine.ports import ModelRef
from millstream.home.credentials import setting_of
from millstream.home.names import provider_name
from millstream.models import presets
from millstream.models.target import LazyTarget, Target

if TYPE_CHECKING:
    from millstream.home import Bindings, Endpoint, Home, ShelfModel
    from millstream.models.discovery import Server, ServerModel, Survey

LOCAL = ModelRef("local", "")  # the local default, as a reference
EMBEDDED = "embedded"
SERVERS = ("ollama", "lmstudio", "llamacpp", "vllm")

Surveyor = Callable[[], Awaitable["Survey"]]
Opener = Callable[["ShelfModel"], LazyTarget]
Memory = Callable[[], "int | None"]


class Resolution(msgspec.Struct, frozen=True):
    """What a model of a file is here. label: what answers, as "provider/name". why: the rule that
    chose it, "" for a file taken at its word. error: why nothing answers; then target is None."""

    ref: ModelRef
    target: Target | LazyTarget | None = None
    label: str = ""
    substitute: bool = False
    why: str = ""
    error: MillstreamError | None = None


class Resolver:
    """Resolves the models of one app.

    survey: the servers that this machine reaches, asked once. embedded: a shelf model as one that
    is loaded when it is first called. memory: free bytes, for the choice among shelf models.
    """

    def __init__(
        self,
        home: Home,
        bindings: Bindings,
        *,
        survey: Surveyor,
        embedded: Opener,
        memory: Memory = lambda: None,
    ) -> None:
        self.home = home
        self.bindings = bindings
        self._survey = survey
        self._embedded = embedded
        self._memory = memory
        self._known: dict[ModelRef, Resolution] = {}

    async def resolve(self, ref: ModelRef) -> Resolution:
        """What a model is here; a resolution without a target says what is missing."""
        known = self._known.get(ref)
        if known is None:
            known = await self._resolve(ref)
            if known.target is not None:
                self._known[ref] = known
        return known

    async def bind(self, ref: ModelRef) -> Target | LazyTarget:
        """`resolve` for callers that need the model; raises NotHere."""
        found = await self.resolve(ref)
        if found.target is None:
            assert found.error is not None
            raise found.error
        return found.target

    async def _resolve(self, ref: ModelRef) -> Resolution:
        rule = None if ref == LOCAL else self.bindings.for_model(ref.provider, ref.name)
        try:
            if ref == LOCAL:
                target, label = await self.default()
            elif rule is None and not ref.name:
                return Resolution(ref, error=NotHere("resolver.no-name"))
            elif rule is None:
                target, label = await self.named(provider_name(ref.provider), ref.name)
            elif "/" not in rule.target:
                target, label = await self._word(rule.target)
            else:
                target, label = await self.named(rule.provider, rule.name)
        except MillstreamError as error:
            return Resolution(ref, error=await self._advise(ref, error, bound=rule is not None))
        wanted = f"{provider_name(ref.provider)}/{ref.name}"
        other = rule is not None and label != wanted
        why = say("resolver.rule", source=rule.source) if rule is not None and other else ""
        return Resolution(ref, target, label, other, why)

    async def _word(self, word: str) -> tuple[Target | LazyTarget, str]:
        """A target without a provider: `local`, or the name of a model of any provider here."""
        if word == "local":
            return await self.default()
        for server in (await self._survey()).servers:
            if model := find(server, word):
                return self._served(server, model), f"{server.provider}/{model.name}"
        return await self.named(EMBEDDED, word)

    async def named(self, provider: str, name: str) -> tuple[Target | LazyTarget, str]:
        """A model by its provider and name. Raises NotHere."""
        if provider == EMBEDDED:
            from millstream.models import packaged

            kept = self.home.shelf.get(packaged.shelved(name))
            return self._embedded(kept), f"{EMBEDDED}/{kept.name}"
        for endpoint in self.home.settings.endpoints:
            if endpoint.name == provider:
                return self._at_endpoint(endpoint, name), f"{provider}/{name}"
        preset = presets.preset(provider)
        if preset is not None and preset.provider in SERVERS:
            server, model = await self._server(preset.provider, name)
            return self._served(server, model), f"{preset.provider}/{model.name}"
        key = self.home.credentials.get(provider)
        if preset is not None:  # `claude` is `anthropic`, and has its key
            provider = preset.provider
            key = key or self.home.credentials.get(provider)
        if preset is not None and not preset.local and key is None:
            variable = presets.target(provider, name, base_url="http://x").setting
            raise NotHere(
                "resolver.no-key", model=f"{provider}/{name}", provider=provider, variable=variable
            )
        return presets.target(provider, name, key=key), f"{provider}/{name}"

    async def default(self) -> tuple[Target | LazyTarget, str]:
        """The local default. Raises NotHere when this machine has no model at all."""
        chosen = self.home.settings.models.default
        if chosen:
            provider, _, name = chosen.partition("/")
            try:
                return await (self.named(provider, name) if name else self._word(chosen))
            except NotHere as error:
                why = error.message
                raise NotHere("resolver.no-default", model=chosen, why=why) from None
        for server in (await self._survey()).servers:
            models = [m for m in server.models if m.generates and not m.remote]
            if models:
                model = next((m for m in models if m.loaded), models[0])
                return self._served(server, model), f"{server.provider}/{model.name}"
        shelf = sorted(self.home.shelf.list(), key=lambda model: model.size, reverse=True)
        if not shelf:
            raise NotHere("resolver.no-local")
        free = self._memory()
        fitting = [m for m in shelf if free is None or m.size * 1.3 < free]
        best = fitting[0] if fitting else shelf[-1]
        return self._embedded(best), f"{EMBEDDED}/{best.name}"

    def _served(self, server: Server, model: ServerModel) -> Target:
        images = model.capabilities is not None and "vision" in model.capabilities
        return presets.target(
            server.provider,
            model.name,
            base_url=server.base_url,
            protocol=server.protocol,
            key=self.home.credentials.get(server.provider),
            context=None if server.protocol == "ollama" else model.context,
            slots=server.slots,
            options={"images": True} if images else None,
        )

    def _at_endpoint(self, endpoint: Endpoint, name: str) -> Target:
        target = presets.target(
            endpoint.name,
            name,
            base_url=presets.address(endpoint),
            protocol=endpoint.protocol,
            key=self.home.credentials.of(endpoint),
            context=endpoint.context,
            slots=endpoint.slots,
            options=endpoint.options,
        )
        return msgspec.structs.replace(target, setting=setting_of(endpoint))

    async def _server(self, kind: str, name: str) -> tuple[Server, ServerModel]:
        from millstream.models.discovery import TITLES

        survey = await self._survey()
        servers = [s for s in survey.servers if s.kind == kind]
        if not servers:
            preset = presets.target(kind, name)
            port = urlsplit(preset.base_url).port
            for probe in survey.probes:
                # One that is locked does not say what it is; its port does, unless it has a name.
                ours = not probe.name and urlsplit(probe.url).port == port
                if ours and probe.outcome == "locked":
                    raise NotHere(
                        "resolver.key-wrong" if probe.keyed else "resolver.locked",
                        kind=kind,
                        title=TITLES.get(kind, kind),
                        url=probe.url,
                        status=probe.detail,
                        variable=preset.setting,
                    )
            title = TITLES.get(kind, kind)
            sought = survey.sought(kind, preset.base_url)
            raise NotHere("resolver.no-server", kind=kind, title=title, url=sought)
        for server in servers:
            if model := find(server, name):
                return server, model
        raise not_served(servers[0], name)

    async def _advise(
        self, ref: ModelRef, error: MillstreamError, *, bound: bool
    ) -> MillstreamError:
        """The error, with the binding that would work with what is here."""
        if bound or ref == LOCAL or not isinstance(error, NotHere):
            return error
        try:
            _, label = await self.default()
        except MillstreamError:
            label = ""
        import shlex

        code = "resolver.needs-bind" if label else "resolver.needs-model"
        wanted = f"{provider_name(ref.provider)}/{ref.name}"
        values: dict[str, Any] = {"why": error.message, "first": error.next_step, "label": label}
        return NotHere(code, model=wanted, bind=shlex.quote(wanted), **values)


def not_served(server: Server, name: str) -> NotHere:
    """That a server does not have a model, with those that it has."""
    from millstream.models.discovery import TITLES

    return NotHere(
        "resolver.not-pulled" if server.kind == "ollama" else "resolver.not-served",
        model=name,
        title=TITLES.get(server.kind, server.kind),
        known=", ".join(model.name for model in server.models[:8]) or "–",
        url=server.base_url,
    )


def find(server: Server, name: str) -> ServerModel | None:
    """A model of a server by its name; Ollama's `:latest` may be left out."""
    for model in server.models:
        if name in (model.name, model.name.removesuffix(":latest")):
            return model
    return None
