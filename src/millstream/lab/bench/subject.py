"""What is measured: a model that is loaded here, or a server that is asked.

    NAME · embedded/NAME · model.gguf     loaded here, by the runtime that apps use
    ollama/qwen3:8b · lmstudio/NAME       of a server on this machine
    PROVIDER/NAME                         of an endpoint in the settings, or of a provider
    http://127.0.0.1:8000/v1              any server of the OpenAI protocol; its model by name,
                                          or the only one that it has

Calls go the way that those of apps go, through the adapter of the protocol, without the router's
slots: a benchmark wants to see the queue. A key comes from where keys are kept and never shows.

Formats: `/tokenize` and `/apply-template` of llama.cpp's server; `/tokenize` of vLLM.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, Secret
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.home import every_model
from millstream.lab import library, names
from millstream.lab.bench import watch
from millstream.lab.bench.load import Items, Prompt
from millstream.models import failures, openai, presets
from millstream.models.embedded import EmbeddedModels
from millstream.models.embedded.runtime import Tuning
from millstream.models.hosts import is_local_name, origin_of, without_secrets
from millstream.models.http import Http, Patience
from millstream.models.resolver import Resolver
from millstream.models.router import adapter
from millstream.models.target import LazyTarget, Target

if TYPE_CHECKING:
    from millstream.home import Home, ShelfModel
    from millstream.models.discovery import Survey

Result = TypeVar("Result")
Kind = Literal["embedded", "ollama", "endpoint", "missing"]

_PROBE = 10.0  # seconds that a server has to show a tokenizer
_WAITS = (0.25, 0.5, 1.0, 2.0)  # seconds between calls that are not measured, of a busy server
_TOO_SLOW = ("models.no-first-byte", "models.idle")
# Errors that every further call would repeat.
_HOPELESS = (
    "bench.long-prompt",
    "bench.no-credit",
    "bench.no-memory",
    "bench.refused",
    "embedded.crashed",
    "embedded.killed",
)
# Errors whose next step is one of an app: what a benchmark has for them.
_OTHERWISE = {
    "models.model-missing": "bench.model-missing",
    "models.context-exceeded": "bench.long-prompt",
    "ollama.too-long": "bench.long-prompt",
    "models.no-credit": "bench.no-credit",
    "models.refused": "bench.refused",
    "models.offline": "bench.offline",
    "models.unknown-provider": "bench.another-model",
    "gemini.blocked": "bench.another-model",
    "ollama.no-memory": "bench.no-memory",
    "models.no-address": "bench.no-address",
    "models.no-azure-address": "bench.no-azure-address",
}


class Way(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a model is loaded for a part of the measurement; 0 and None leave it to the runtime."""

    threads: int = 0
    batch: int = 0
    layers: int | None = None


class Opened(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model was loaded with. memory: bytes, as predicted. seconds: that loading took.
    cards: graphics cards that its runtime can use, None where nobody says."""

    context: int = 0
    slots: int = 0
    threads: int = 0
    batch: int = 0
    memory: int = 0
    seconds: float = 0.0
    cards: int | None = None


def hopeless(error: MillstreamError) -> bool:
    """Whether there is no use in calling again."""
    return isinstance(error, NotHere | BadInput) or error.code in _HOPELESS


def busy(error: MillstreamError) -> bool:
    """Whether a server refused a call only because it had too much to do."""
    overloaded = error.code == "models.server-error" and error.values.get("status") == 503
    return error.code == "bench.busy" or overloaded


async def patiently(call: Callable[[], Awaitable[Result]], limit: float | None) -> Result:
    """What a call gives that nobody measures: while the server is busy it is made again, after
    short waits, of no more than `limit` seconds in all. Raises the last error."""
    waited = 0.0
    for wait in _WAITS:
        try:
            return await call()
        except MillstreamError as error:
            waited += wait
            if not busy(error) or (limit is not None and waited > limit):
                raise
        await asyncio.sleep(wait)
    return await call()


def patience(timeout: float | None, usual: Patience) -> Patience:
    """How a benchmark waits: so long for a piece of an answer, or a refusal."""
    return msgspec.structs.replace(usual, first_byte=timeout, idle=timeout, refusals=False)


def _told(error: MillstreamError) -> MillstreamError:
    """An error in a benchmark's words: the settings and options that apps would have for it mean
    nothing here."""
    values = error.values
    if key := _OTHERWISE.get(error.code):
        return type(error)(key, why=error.message, **values)
    if error.code in _TOO_SLOW:
        return Failed("bench.silent", server=values["server"], seconds=values["seconds"])
    if error.code == "models.rate-limited":
        return Failed("bench.busy", **values)
    return error


class Subject:
    """A model that can be called. label: for people. model: its header, where it can be had, for
    what it could do at best."""

    kind: Kind = "endpoint"
    loads = False  # whether `Way` means anything to it

    def __init__(self, label: str, http: Http, target: Target | None = None) -> None:
        self.label = label
        self.model: names.Model | None = None
        self._http = http
        self._target = target
        self._extras = True
        self._counts: Literal["llama.cpp", "vllm", ""] | None = None

    @property
    def target(self) -> Target:
        assert self._target is not None
        return self._target

    @property
    def near(self) -> bool:
        """Whether it runs on this machine."""
        host = urlsplit(self.target.base_url).hostname or ""
        return is_local_name(host) or host.startswith("127.") or host == "::1"

    async def open(self, way: Way, *, context: int, slots: int) -> Opened:
        """Be ready to be called, loaded as it is wanted."""
        return Opened()

    def require(self, tokens: int) -> None:
        """See that a prompt and its answer can be so long. Raises BadInput for more tokens than
        the model was trained for, where that is known."""
        trained = self.model.header.context_length if self.model is not None else None
        if trained and tokens > trained:
            raise BadInput("bench.long-context", model=self.label, tokens=tokens, trained=trained)

    async def close(self) -> None:
        """Let go of what was opened."""

    async def memory(self) -> watch.Memory:
        """What its process has taken at most."""
        return watch.Memory()

    @property
    def pid(self) -> int | None:
        """Its process, where it is one of ours."""
        return None

    # ---------------------------------------------------------------------------------- calling

    async def send(self, prompt: Prompt) -> Items:
        """Call it (`load.Send`). An answer is asked to be of the wanted length, where the server
        knows a way to ask; one that refuses the asking is called without."""
        while True:
            extras = self._extras
            stream: Items = self._generate(prompt)
            try:
                async with aclosing(stream):
                    while (item := await self._next(stream)) is not None:
                        yield item
                return
            except Failed as error:
                if error.code != "bench.refused" or not extras:
                    raise
                self._extras = False

    async def _next(self, stream: Items) -> ModelChunk | ModelEnd | None:
        """The next piece of an answer; None after the last. Whatever else a server sends, such as
        comments that keep a connection open, is no sign of life. Raises Failed."""
        limit = self._http.patience.idle
        try:
            async with asyncio.timeout(limit):
                return await anext(stream, None)
        except TimeoutError:
            server = origin_of(self.target.base_url)
            raise Failed("bench.silent", server=server, seconds=limit) from None
        except MillstreamError as error:
            raise _told(error) from None

    def _generate(self, prompt: Prompt) -> Items:
        target = self.target
        params: dict[str, Any] = {"max_tokens": prompt.wanted, "temperature": 0}
        if self._extras:
            params |= {"ignore_eos": True, "min_tokens": prompt.wanted}
        request = self._request(prompt.text, params)
        made: Items = adapter(target).generate(self._http, target, request)
        return made

    def _request(self, text: str, params: dict[str, Any] | None = None) -> ModelRequest:
        target = self.target
        ref = ModelRef(target.provider, target.name)
        return ModelRequest(ref, [Message("user", text)], params=params or {})

    async def usage(self, text: str) -> int:
        """Tokens of a prompt, by what the server says of a short call."""
        return await patiently(lambda: self._usage(text), self._http.patience.idle)

    async def _usage(self, text: str) -> int:
        read = 0
        async with aclosing(self.send(Prompt(text, 0, 1))) as stream:
            async for item in stream:
                if isinstance(item, ModelEnd):
                    read = item.usage.prompt_tokens + (
                        # Ollama's count leaves out what it had in its cache.
                        (item.cached or 0) if self.target.protocol == "ollama" else 0
                    )
        return read

    # --------------------------------------------------------------------------------- counting

    async def measure(self, text: str) -> int | None:
        """Tokens of a prompt with its template, by the server's tokenizer; None without one."""
        if self._counts is None:
            self._counts = await self._tokenizer(text)
        if self._counts == "llama.cpp":
            return await patiently(lambda: self._counted(text), self._http.patience.idle)
        if self._counts == "vllm":
            messages = [{"role": "user", "content": text}]
            return await self._ask({"messages": messages, "add_generation_prompt": True})
        return None

    async def _counted(self, text: str) -> int | None:
        request = self._request(text)
        try:
            return await openai.count_tokens(self._http, self._tokenizing, request)
        except MillstreamError as error:
            raise _told(error) from None

    async def count(self, text: str) -> int | None:
        """Tokens of an answer; None where nobody counts."""
        if self._counts == "llama.cpp":
            return await self._ask({"content": text, "add_special": False})
        if self._counts == "vllm":
            return await self._ask({"prompt": text, "add_special_tokens": False})
        return None

    @property
    def _tokenizing(self) -> Target:
        options = {**self.target.options, "tokenize": True}
        return msgspec.structs.replace(self.target, options=options)

    async def _tokenizer(self, text: str) -> Literal["llama.cpp", "vllm", ""]:
        """Whose way of counting the server has."""
        if self.target.protocol != "openai":
            return ""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE):
                with suppress(MillstreamError, KeyError, TypeError):
                    request = self._request(text)
                    if await openai.count_tokens(self._http, self._tokenizing, request):
                        return "llama.cpp"
                messages = [{"role": "user", "content": text}]
                return "vllm" if await self._ask({"messages": messages}) else ""
        return ""

    async def _ask(self, body: dict[str, Any]) -> int | None:
        root = self.target.base_url.rstrip("/").removesuffix("/v1")
        try:
            told = await self._http.request_json(
                "POST",
                f"{root}/tokenize",
                headers=openai.credentials(self.target),
                json={"model": self.target.server_model, **body},
            )
        except MillstreamError:
            return None
        told = told if isinstance(told, dict) else {}
        tokens, count = told.get("tokens"), told.get("count")
        if isinstance(tokens, list):
            return len(tokens)
        return count if isinstance(count, int) else None


class Embedded(Subject):
    """A GGUF file, in a child process of its own."""

    kind: Kind = "embedded"
    loads = True

    def __init__(self, name: str, path: Path, home: Home, http: Http, model: names.Model) -> None:
        super().__init__(f"embedded/{name}", http)
        self.model = model
        self._path, self._home = path, home
        self._models: EmbeddedModels | None = None
        self._peak = watch.Peak()

    @property
    def near(self) -> bool:
        return True

    async def open(self, way: Way, *, context: int, slots: int) -> Opened:
        await self.close()
        tuning = Tuning(threads=way.threads, layers=way.layers)
        if way.batch:
            tuning = msgspec.structs.replace(tuning, batch=way.batch)
        self._models = EmbeddedModels(self._home, self._http, tuning=tuning)
        clock = watch.Stopwatch()
        self._target = await self._models.target(self._path, context=context, slots=slots)
        loaded = self._models.loaded()[0]
        self._peak = watch.Peak(loaded.pid)
        return Opened(
            context=loaded.context,
            slots=loaded.slots,
            threads=loaded.threads,
            batch=max(tuning.batch, loaded.slots),
            memory=loaded.memory,
            seconds=clock.seconds,
            cards=loaded.cards,
        )

    async def close(self) -> None:
        self._peak.stop()
        models, self._models = self._models, None
        if models is not None:
            await models.close()

    async def memory(self) -> watch.Memory:
        return await self._peak.read()

    @property
    def pid(self) -> int | None:
        loaded = self._models.loaded() if self._models else []
        return loaded[0].pid if loaded else None


class Ollama(Subject):
    """A model of an Ollama."""

    kind: Kind = "ollama"

    async def memory(self) -> watch.Memory:
        from millstream.models import ollama

        try:
            running = await ollama.loaded(self._http, self.target.base_url, key=self.target.key)
        except MillstreamError:
            return watch.Memory()
        for each in running:
            if each.name in (self.target.server_model, f"{self.target.server_model}:latest"):
                return watch.Memory(told=each.size, card=each.size_vram)
        return watch.Memory()


# ------------------------------------------------------------------------------- finding it


_BARE = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+|\[[0-9a-fA-F:]+\]):\d{1,5}(/|$)")


async def find(word: str, home: Home, http: Http, *, model: str = "") -> Subject:
    """What a word of the command line means. model: the server's model, for a URL.

    Raises BadInput, NotHere: also for a model that is here and sure not to load."""
    word = word.strip()
    if _BARE.match(word):
        word = f"http://{word}"
    if word.lower().startswith(("http://", "https://")):
        return await _at(word, model, home, http)
    if "://" in word:
        raise BadInput("bench.bad-url", url=without_secrets(word))
    if _is_file(word):
        found = await names.find(word, home, http)
        assert found.path is not None
        return _embedded(found.name, found.path, home, http, found)
    if "/" not in word and any(word.lower() == kept.name.lower() for kept in home.shelf.list()):
        word = f"embedded/{word}"
    target, label = await _resolved(word, home)
    if isinstance(target, _Shelf):
        kept = target.model
        found = await names.find(str(kept.path), home, http)
        return _embedded(kept.name, kept.path, home, http, found)
    assert isinstance(target, Target)
    if target.protocol == "ollama":
        subject: Subject = Ollama(label, http, target)
        if subject.near:
            # Its own word only: a library elsewhere is not asked for the sake of a figure.
            with suppress(MillstreamError):
                found = await names._shown(target.server_model, target.base_url, http)
                subject.model = found
        return subject
    return Subject(label, http, target)


def _embedded(name: str, path: Path, home: Home, http: Http, model: names.Model) -> Embedded:
    subject = Embedded(name, path, home, http, model)
    library.require(subject.label, model.header.architecture)
    return subject


def _is_file(word: str) -> bool:
    path = Path(word).expanduser()
    return path.suffix.lower() == ".gguf" and (path.exists() or len(path.parts) > 1)


class _Shelf:
    """A model on the shelf, found but not loaded."""

    def __init__(self, model: ShelfModel) -> None:
        self.model = model

    async def open(self) -> Target:
        raise NotImplementedError


async def _resolved(word: str, home: Home) -> tuple[Target | LazyTarget, str]:
    async def survey() -> Survey:
        from millstream.models.discovery import survey

        return await survey(home)

    bindings = home.bindings(None, [every_model(word, "bench")])
    resolver = Resolver(home, bindings, survey=survey, embedded=_Shelf)
    found = await resolver.resolve(ModelRef("bench", "model"))
    if found.target is None:
        assert found.error is not None
        raise _told(found.error)
    return found.target, found.label


async def _at(url: str, model: str, home: Home, http: Http) -> Subject:
    """A server of the OpenAI protocol by its address."""
    url = url.rstrip("/")
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query:
        raise BadInput("bench.bad-url", url=without_secrets(url))
    for suffix in ("/chat/completions", "/completions"):
        url = url.removesuffix(suffix)
    provider, key, options = _known(url, home)
    url = presets.with_path(url)
    made = presets.target(
        provider, model or "?", base_url=url, key=key, options=options, protocol="openai"
    )
    name = model or await _only_model(made, http)
    target = msgspec.structs.replace(made, name=name)
    usual = urlsplit(url).path in ("", "/v1")  # any other path tells apart what one host serves
    return Subject(f"{name} @ {origin_of(url) if usual else without_secrets(url)}", http, target)


def _known(url: str, home: Home) -> tuple[str, Secret | None, dict[str, Any]]:
    """Whose address it is, with the key: of an endpoint in the settings, a provider, or nobody's
    (a key may be kept under the name of the host)."""
    for endpoint in home.settings.endpoints:
        if endpoint.url.rstrip("/") == url:
            return endpoint.name, home.credentials.of(endpoint), dict(endpoint.options)
    for preset in presets.PRESETS.values():
        known = preset.base_url and preset.protocol == "openai" and not preset.local
        if known and origin_of(preset.base_url) == origin_of(url):
            return preset.provider, home.credentials.get(preset.provider), {}
    host = (urlsplit(url).hostname or "").replace(".", "-").replace(":", "-")
    return host, home.credentials.get(host), {}


async def _only_model(target: Target, http: Http) -> str:
    """The one model that a server has."""
    url = target.base_url
    try:
        told = await http.request_json(
            "GET",
            f"{url}/models",
            headers=openai.credentials(target),
            errors=partial(failures.refused, target),
        )
    except MillstreamError as error:
        raise _told(error) from None
    data = told.get("data") if isinstance(told, dict) else None
    listed = [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
    known = [str(each["id"]) for each in listed if isinstance(each.get("id"), str)]
    if len(known) != 1:
        raise BadInput("bench.which-model", url=url, known=", ".join(known[:12]) or "–")
    return known[0]
