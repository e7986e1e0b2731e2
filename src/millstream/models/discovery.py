"""Finding the model servers that this machine can reach, and the way to one called `localhost`.

`survey` asks every likely address at once and tells what each of them said; `Reach` finds, from
inside a container, the server that its owner calls `localhost`. Each wait is short and named in
`Haste`. Who answers may be anybody: nothing is believed that has not the form of a model
server's answer.

The order of the candidates is the order of preference: endpoints of the settings, OLLAMA_HOST,
then the usual ports of Ollama, LM Studio, llama.cpp and vLLM, each on this machine and, inside a
container, on `host.docker.internal`, the gateway, and a service named `ollama`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from millstream.base import Secret
from millstream.models.http import is_local_name, is_private, origin_of
from millstream.models.peer import Names, NotHttp, Peer, Refused, connect
from millstream.models.surroundings import Surroundings, look
from millstream.models.target import Protocol_

if TYPE_CHECKING:
    from millstream.home import Home

ServerKind = Literal["ollama", "lmstudio", "llamacpp", "vllm", "openai"]
Why = Literal["setting", "OLLAMA_HOST", "localhost", "host", "gateway", "service"]
Outcome = Literal[
    "answered",  # a model server
    "locked",  # a model server that wants a key, or another one
    "stranger",  # something else than a model server
    "mute",  # the connection stands, no answer came
    "refused",  # the machine is there, nobody listens at this address and port
    "silent",  # no reaction: no such machine, or a firewall that drops
    "unreachable",  # the system knows no way
    "unknown-name",  # the name does not resolve
]

PORTS: tuple[tuple[ServerKind, int], ...] = (
    ("ollama", 11434),
    ("lmstudio", 1234),
    ("llamacpp", 8080),
    ("vllm", 8000),
)
TITLES = {"ollama": "Ollama", "lmstudio": "LM Studio", "llamacpp": "llama.cpp", "vllm": "vLLM"}
OLLAMA = "http://127.0.0.1:11434"
HOST_NAMES = ("host.docker.internal", "host.containers.internal")  # Docker's, Podman's
SERVICE = "ollama"  # the usual name in a compose file
REMEMBERED = 600  # seconds that a way to `localhost` is kept in the data directory


class Haste(msgspec.Struct, frozen=True):
    """How long, in seconds, an address may take: to connect (its name included), and to answer.

    named_*: for addresses that a person gave. A refused connection takes no time at all."""

    connect: float = 0.25
    answer: float = 1.0
    named_connect: float = 1.0
    named_answer: float = 5.0


QUICK = Haste()  # before a run
THOROUGH = Haste(connect=2, answer=5, named_connect=5, named_answer=10)  # for a person who asks


class ServerModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that a server offers, as far as it says so itself.

    size: bytes. context: tokens that can be had of it. capabilities: as Ollama has them
    ("completion", "vision", "embedding" …); None from servers that don't tell. remote: the server
    passes calls on to a machine elsewhere.
    """

    name: str
    size: int = 0
    parameters: str = ""
    quantization: str = ""
    context: int | None = None
    capabilities: tuple[str, ...] | None = None
    loaded: bool | None = None
    remote: bool = False

    @property
    def generates(self) -> bool:
        """Whether it writes text; an embedding model does not."""
        if self.capabilities is not None:
            return "completion" in self.capabilities
        return re.search(r"embed|rerank|\bbge-|whisper", self.name, re.I) is None


class Server(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model server that answered.

    provider: what bindings call it: its kind, or the name of the endpoint in the settings.
    base_url: what a `Target` of its protocol wants, at the address that answered. asked: the
    address as it was written. slots: calls that it runs at once.
    """

    kind: ServerKind
    provider: str
    protocol: Protocol_
    base_url: str
    asked: str
    models: tuple[ServerModel, ...] = ()
    version: str = ""
    slots: int | None = None


class Candidate(msgspec.Struct, frozen=True):
    """An address to be asked. name: of the endpoint that it is from. key: shown to an endpoint;
    at an address that nobody gave, to a server only that asks for one."""

    url: str
    why: Why
    name: str = ""
    key: Secret | None = None

    @property
    def named(self) -> bool:
        """Whether a person gave it."""
        return self.why in ("setting", "OLLAMA_HOST")


class Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a candidate. address: the IP address that was tried last; detail: an HTTP
    status or the system's word; seconds: how long it took; keyed: it was shown a key."""

    url: str
    why: Why
    outcome: Outcome
    seconds: float
    name: str = ""
    address: str = ""
    detail: str = ""
    server: Server | None = None
    keyed: bool = False


class Survey(msgspec.Struct, frozen=True):
    """Everything that was tried, in order of preference."""

    around: Surroundings
    probes: tuple[Probe, ...]

    def sought(self, kind: str, usual: str) -> str:
        """Where a server of a kind was looked for: where a person said, else at its usual URL."""
        given = {"ollama": "OLLAMA_HOST"}.get(kind)
        found = (p.url for p in self.probes if p.name == kind or (given and p.why == given))
        return next(found, usual)

    @property
    def servers(self) -> list[Server]:
        """The servers that answered, each once however many addresses lead to it."""
        found: dict[Any, Server] = {}
        for probe in self.probes:
            if server := probe.server:
                port = urlsplit(server.base_url).port
                found.setdefault((server.kind, port, server.version, server.models), server)
        return list(found.values())


async def survey(
    home: Home,
    *,
    environ: Mapping[str, str] | None = None,
    around: Surroundings | None = None,
    haste: Haste = QUICK,
    everywhere: bool = False,
) -> Survey:
    """Ask every candidate at once. everywhere: as for a container, even if this is none.

    Endpoints on the internet are not asked. Raises BadInput for settings or credentials that
    can't be read.
    """
    import os

    environ = os.environ if environ is None else environ
    around = around or look(environ)
    names = Names(haste.connect)
    wanted = candidates(home, environ, around, everywhere=everywhere)
    probes = await asyncio.gather(*(probe(candidate, haste, names) for candidate in wanted))
    return Survey(around, tuple(probes))


# -------------------------------------------------------------------------------- candidates


def candidates(
    home: Home, environ: Mapping[str, str], around: Surroundings, *, everywhere: bool = False
) -> list[Candidate]:
    """The addresses to ask, the best first, each once."""
    inside = around.inside or everywhere
    found: list[Candidate] = []
    for endpoint in home.settings.endpoints:
        host = urlsplit(endpoint.url).hostname or ""
        if endpoint.protocol in ("openai", "ollama") and is_private(host):
            key = home.credentials.of(endpoint)
            for url, _ in ways(endpoint.url, around, inside):
                found.append(Candidate(url, "setting", endpoint.name, key))
    if text := environ.get("OLLAMA_HOST", "").strip():
        found += [
            Candidate(url, "OLLAMA_HOST") for url, _ in ways(ollama_host(text), around, inside)
        ]
    for kind, port in PORTS:
        # Those that can be told to want a key; Ollama's is for its makers' cloud.
        key = home.credentials.get(kind) if kind in ("llamacpp", "vllm") else None
        found += [
            Candidate(url, why, key=key)
            for url, why in ways(f"http://localhost:{port}", around, inside)
        ]
    first: dict[str, Candidate] = {}
    for candidate in found:
        first.setdefault(candidate.url, candidate)
    return list(first.values())


def ways(url: str, around: Surroundings, inside: bool) -> list[tuple[str, Why]]:
    """The addresses that a URL may mean, the likeliest first: for one on this machine, from
    inside a container, also those of the machine around it."""
    host = urlsplit(url).hostname or ""
    if not is_local_name(host):
        return [(url, "host")]
    own = "[::1]" if host in ("::", "::1") else "localhost"
    found: list[tuple[str, Why]] = [(_at(url, own), "localhost")]
    if inside:
        found += [(_at(url, name), "host") for name in HOST_NAMES]
        found += [(_at(url, address), "gateway") for address in around.gateways]
        if urlsplit(url).port == 11434:
            found.append((_at(url, SERVICE), "service"))
    return found


def ollama_host(text: str) -> str:
    """The URL that OLLAMA_HOST means to a client: `host`, `host:port`, `:port`, `[::1]`, a URL
    with or without port and path. What has no port has 11434, a URL without one 80 or 443; a
    port that can't be one is as good as none. (envconfig.Host of ollama/ollama.)"""
    text = text.strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    usual = {"https": 443, "http": 80}.get(scheme, 11434) if separator else 11434
    rest, slash, path = rest.partition("/")
    if rest.count(":") > 1 and not rest.startswith("["):  # a bare IPv6 address
        host, port = f"[{rest}]", ""
    else:
        host, _, port = rest.rpartition(":") if re.search(r":[^]]*$", rest) else (rest, "", "")
    number = int(port) if port.isascii() and port.isdigit() and int(port) < 65536 else usual
    host = host if host not in ("", "0.0.0.0", "[::]") else "127.0.0.1"  # noqa: S104
    url = f"{'https' if scheme == 'https' else 'http'}://{host}:{number}{slash}{path}".rstrip("/")
    try:
        return url if urlsplit(url).port is not None else OLLAMA
    except ValueError:
        return OLLAMA


def _at(url: str, host: str) -> str:
    """A URL with another host."""
    parts = urlsplit(url)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")


# -------------------------------------------------------------------------------- reaching


class Reach:
    """From the origin of a URL on `localhost` to the one that really answers: `Http`'s `reach`.

    Outside of a container `localhost` is what it says. Inside, the first address of `ways` that
    answers is it; that one is tried first the next time, by other processes too for
    ten minutes. If none does, the origin is returned, so that an error names what was written.
    """

    def __init__(
        self, home: Home | None = None, around: Surroundings | None = None, haste: Haste = QUICK
    ) -> None:
        self._home = home
        self._around = around
        self._haste = haste
        self._known: dict[str, str] = {}

    async def __call__(self, origin: str) -> str:
        around = self._around = self._around or look()
        host = urlsplit(origin).hostname or ""
        if not is_local_name(host):
            return origin
        if not around.inside:
            return _at(origin, "localhost") if host == "0.0.0.0" else origin  # noqa: S104
        names = Names(self._haste.connect)
        known = self._known.get(origin) or self._remembered().get(origin)
        if known and await self._answers(known, names):
            return known
        addresses = [url for url, _ in ways(origin, around, inside=True)]
        answers = await asyncio.gather(*(self._answers(url, names) for url in addresses))
        found = next((url for url, ok in zip(addresses, answers, strict=True) if ok), None)
        if found is None:
            return origin
        self._known[origin] = found
        if self._home and found != addresses[0]:
            self._home.remember("reach", {**self._remembered(), origin: found})
        return found

    async def _answers(self, url: str, names: Names) -> bool:
        """Whether a web server is there. A connection alone says little: Docker's own proxies
        take one for a port that nobody listens on, and drop it."""
        connection = await connect(url, self._haste.connect, names)
        if isinstance(connection, Refused):
            return False
        try:
            async with asyncio.timeout(self._haste.answer):
                await Peer(url, connection).get("/")
        except TimeoutError:
            return True  # busy, but there
        except (OSError, NotHttp):
            return False
        return True

    def _remembered(self) -> dict[str, str]:
        kept = self._home.recall("reach", REMEMBERED) if self._home else None
        return kept if isinstance(kept, dict) else {}


# ---------------------------------------------------------------------------------- probing


async def probe(candidate: Candidate, haste: Haste, names: Names) -> Probe:
    """Ask one address what is there."""
    started = time.monotonic()
    patience = haste.named_connect if candidate.named else haste.connect
    answer = haste.named_answer if candidate.named else haste.answer

    def ended(outcome: Outcome, address: str, detail: str = "", server: Any = None) -> Probe:
        return Probe(
            candidate.url,
            candidate.why,
            outcome,
            round(time.monotonic() - started, 3),
            candidate.name,
            address,
            detail,
            server,
            candidate.key is not None,
        )

    keys = [candidate.key] if candidate.named or candidate.key is None else [None, candidate.key]
    for key in keys:
        connection = await connect(candidate.url, patience, names)
        if isinstance(connection, Refused):
            return ended(connection.outcome, connection.address, connection.detail)
        peer = Peer(candidate.url, connection, key)
        try:
            async with asyncio.timeout(answer):
                found = await _recognise(peer, candidate, connection.address)
        except TimeoutError:
            return ended("mute", connection.address)
        except (OSError, NotHttp, ValueError) as error:
            return ended("stranger", connection.address, type(error).__name__)
        finally:
            connection.writer.close()
        if isinstance(found, Server):
            return ended("answered", connection.address, server=found)
        if found not in (401, 403):
            return ended("stranger", connection.address, str(found))
    return ended("locked", connection.address, str(found))


async def _recognise(peer: Peer, candidate: Candidate, address: str) -> Server | int:
    """Which server this is, by what it answers; the HTTP status of one that is none."""
    # A name that stands for two addresses is written as the one that answered.
    local = is_local_name(urlsplit(candidate.url).hostname or "")
    origin = origin_of(_at(candidate.url, address) if local else candidate.url)
    path = urlsplit(candidate.url).path.rstrip("/")
    root = re.sub(r"/(v1|api)$", "", path)
    version = await peer.get(f"{root}/api/version")
    status = version.status
    word = _dict(version.json).get("version")
    if isinstance(word, str) and version.server != "llama.cpp":
        tags = _dict((await peer.get(f"{root}/api/tags")).json).get("models")
        if isinstance(tags, list):
            return Server(
                "ollama",
                candidate.name or "ollama",
                "ollama",
                origin + root,
                candidate.url,
                _models(tags, _ollama_model),
                _text(word),
            )
    for base in dict.fromkeys([path or f"{root}/v1", f"{root}/v1"]):
        answer = await peer.get(f"{base}/models")
        data = _dict(answer.json).get("data")
        if answer.status == 200 and isinstance(data, list):
            return await _openai(peer, candidate, root, origin + base, answer.server, data)
        status = max(status, answer.status, key=(401, 403).__contains__)
    return status


async def _openai(
    peer: Peer, candidate: Candidate, root: str, base_url: str, header: str, data: list[Any]
) -> Server:
    """One of those that speak OpenAI's protocol, with what only its own kind tells."""
    kind: ServerKind = "openai"
    version, slots = "", None
    owners = {item.get("owned_by") for item in data if isinstance(item, dict)}
    if header == "llama.cpp" or "llamacpp" in owners:
        kind = "llamacpp"
        props = _dict((await peer.get(f"{root}/props")).json)
        context = _count(_dict(props.get("default_generation_settings")).get("n_ctx"))
        slots = _count(props.get("total_slots")) or None
        version = _text(props.get("build_info"))
        data = [{**item, "context": context} for item in data if isinstance(item, dict)]
    elif "vllm" in owners:
        kind = "vllm"
        version = _text(_dict((await peer.get(f"{root}/version")).json).get("version"))
    else:
        native = _dict((await peer.get(f"{root}/api/v0/models")).json).get("data")
        if isinstance(native, list):
            kind, data = "lmstudio", native
    return Server(
        kind,
        candidate.name or ("openai_api_compatible" if kind == "openai" else kind),
        "openai",
        base_url,
        candidate.url,
        _models(data, _openai_model),
        version,
        slots,
    )


def _models(items: Iterable[Any], read: Any) -> tuple[ServerModel, ...]:
    found = (read(item) for item in items if isinstance(item, dict))
    return tuple(model for model in found if model is not None)


def _ollama_model(item: dict[str, Any]) -> ServerModel | None:
    name = _name(item.get("model") or item.get("name"))
    details = _dict(item.get("details"))
    capabilities = item.get("capabilities")
    if not isinstance(capabilities, list):
        # Servers that don't tell: an embedding model is known by its architecture.
        family = details.get("family")
        capabilities = ["embedding"] if family in ("bert", "nomic-bert") else None
    return name and ServerModel(
        name,
        size=_count(item.get("size")),
        parameters=_text(details.get("parameter_size")),
        quantization=_text(details.get("quantization_level")),
        context=_count(details.get("context_length")) or None,
        capabilities=None if capabilities is None else tuple(map(_text, capabilities)),
        remote=bool(item.get("remote_host") or item.get("remote_model")),
    )


def _openai_model(item: dict[str, Any]) -> ServerModel | None:
    """A model of llama.cpp (`meta`), vLLM (`max_model_len`), LM Studio's own list, or any other."""
    name = _name(item.get("id"))
    meta = _dict(item.get("meta"))
    kinds = {"llm": ("completion",), "vlm": ("completion", "vision"), "embeddings": ("embedding",)}
    kind, state = item.get("type"), item.get("state")
    context = (
        _count(item.get("context"))
        or _count(item.get("loaded_context_length"))
        or _count(item.get("max_model_len"))
        or _count(item.get("max_context_length"))
        or _count(meta.get("n_ctx_train"))
    )
    return name and ServerModel(
        name,
        size=_count(meta.get("size")),
        quantization=_text(item.get("quantization")),
        context=context or None,
        capabilities=kinds.get(kind) if isinstance(kind, str) else None,
        loaded=state == "loaded" if isinstance(state, str) else None,
    )


def _name(value: Any) -> Any:
    """A name that can be used and printed; None for any other."""
    if isinstance(value, str) and 0 < len(value) <= 300 and value.isprintable():
        return value
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 100 and value.isprintable() else ""


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**63 else 0


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
