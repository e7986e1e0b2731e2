"""The doctor: what was looked for, what answered, and the one command that mends the rest."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import millstream
from millstream.base import set_language
from millstream.base.catalogue.doctor import MESSAGES
from millstream.checks import doctor
from millstream.checks.doctor import Item, Report, diagnose
from millstream.home import Endpoint, Home
from millstream.models import discovery
from millstream.models.discovery import Haste, Outcome, Probe, Survey, Why
from millstream.models.http import Http
from millstream.models.surroundings import Listener, Surroundings
from models.loopback import Refusal
from models.ollama_server import OllamaServer

HOST = Surroundings()
DOCKER = Surroundings("docker", gateways=("172.17.0.1",), networks=("172.17.0.0/16",))
HASTE = Haste(connect=5, answer=10, named_connect=5, named_answer=10)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    set_language("en")
    for name in list(os.environ):
        if name.startswith("MILLSTREAM_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(discovery, "PORTS", ())
    monkeypatch.setattr(doctor, "PORTS", ())
    monkeypatch.setattr(doctor, "_SERVICE_FILE", Path("/nowhere"))
    monkeypatch.setattr(doctor, "_sandbox", no_sandbox)
    return Home.open(tmp_path / "home")


try_sandbox = doctor._sandbox


async def no_sandbox(home: Home) -> list[Item]:
    """Starting one takes its time; one test does."""
    return []


async def visit(home: Home, **options: Any) -> Report:
    return await diagnose(home, **{"environ": {}, "around": HOST, "haste": HASTE, **options})


def of(report: Report, topic: str) -> list[tuple[str, str, str]]:
    return [(item.verdict, item.message, item.fix) for item in report.items if item.topic == topic]


def only(report: Report, code: str) -> Item:
    [item] = [item for item in report.items if item.code == f"doctor.{code}"]
    return item


# ------------------------------------------------------------------------------ the directory


async def test_a_fresh_machine(home):
    report = await visit(home)
    assert of(report, "home") == [
        ("ok", f"{home.path}, to be made with the first thing that is kept", "")
    ]
    assert not home.path.exists()
    assert only(report, "python").message == (
        f"Millstream {millstream.__version__}, "
        f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"
    )
    item = only(report, "no-model")
    assert (item.verdict, item.fix) == ("fail", "millstream models pull smollm2-135m-instruct")
    assert (report.verdict, report.exit_code) == ("fail", 1)


async def test_everything_in_order(home):
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("box", server.url))
        report = await visit(home)
    assert (report.verdict, report.exit_code) in [("ok", 0), ("warn", 0)]
    assert of(report, "home") == [("ok", f"{home.path}, format 1", "")]


async def test_a_directory_that_others_can_read(home):
    home.settings.set("network.offline", "true")
    home.path.chmod(0o755)
    item = only(await visit(home), "home-open")
    assert (item.verdict, item.fix) == ("warn", f'chmod 700 "{home.path}"')


async def test_keys_that_others_could_read(home):
    home.credentials.set("openai", "sk-0123456789")
    home.credentials.path.chmod(0o644)
    told = of(await visit(home), "home")
    assert told[1][:2] == (
        "warn",
        f"{home.credentials.path}: {home.credentials.path} could be read by others; "
        "its mode is now 0600",
    )


async def test_broken_files_are_all_told_and_hide_nothing(home):
    home.settings.set("network.offline", "true")
    home.settings.path.write_text("[network\n")
    (home.path / "millstream.toml").write_text("[bind.modles]\n")
    report = await visit(Home.open(home.path))
    told = of(report, "home")
    assert [(verdict, text.split(": ")[1]) for verdict, text, _ in told[1:]] == [
        ("fail", "the file is not valid TOML"),
        ("warn", "bind.modles is unknown here and has no effect; did you mean bind.models?"),
    ]
    assert f"{home.settings.path}:1" in told[1][1]
    assert report.survey is None
    assert report.exit_code == 1


async def test_little_space_is_told(home, monkeypatch):
    usage = doctor.shutil.disk_usage("/")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=300_000_000))
    item = only(await visit(home), "disk")
    assert item.message.startswith("only 300 MB are free where ")


async def test_a_clock_that_is_behind(home, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert only(await visit(home), "clock").verdict == "warn"


async def test_a_runtime_that_does_not_load_is_told_with_its_reason(home, tmp_path, monkeypatch):
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('GLIBC_2.99 not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "find_spec", lambda name: True)
    item = only(await visit(home), "runtime-broken")
    assert "GLIBC_2.99 not found" in item.message
    assert item.fix == 'pip install --force-reinstall "millstream[local]"'


async def test_missing_extras_say_their_command(home, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    report = await visit(home)
    assert only(report, "no-runtime").fix == 'pip install "millstream[local]"'


@pytest.mark.skipif(sys.platform != "linux", reason="code is locked in by Linux")
async def test_code_of_both_languages_is_tried(home, monkeypatch):
    monkeypatch.setattr(doctor, "_sandbox", try_sandbox)
    told = of(await visit(home), "sandbox")
    assert [text for _, text, _ in told] == ["Python runs locked in", "JavaScript runs locked in"]
    home.settings.set("sandbox.unconfined", "true")
    told = of(await visit(home), "sandbox")
    assert told[0] == (
        "warn",
        "Python runs with all your rights: the setting sandbox.unconfined says so",
        "millstream settings unset sandbox.unconfined",
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert only(await visit(home), "no-javascript").fix == 'pip install "millstream[javascript]"'


# ------------------------------------------------------------------------ servers that answer


async def test_a_server_is_told_with_its_models(home):
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("box", server.url + "/v1"))
        report = await visit(home)
        assert only(report, "server").message == (
            f"Ollama 0.34.4 answers at {server.url} and has qwen3:8b"
        )


async def test_a_server_without_models(home):
    async with OllamaServer() as server:
        server.models.clear()
        home.settings.add_endpoint(Endpoint("box", server.url))
        item = only(await visit(home), "empty-ollama")
        assert (item.verdict, item.fix) == ("warn", "ollama pull qwen3:1.7b")


@pytest.mark.skipif(sys.platform != "linux", reason="listeners are read from /proc")
async def test_on_its_own_machine_it_is_certain_that_it_listens_on_loopback_only(home):
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("box", server.url))
        item = only(await visit(home), "loopback-only")
        assert item.verdict == "ok"
        assert item.message == (
            "Ollama listens on 127.0.0.1 only: this machine reaches it, containers and other "
            "machines do not"
        )
        assert item.fix == "Only if they have to: OLLAMA_HOST=0.0.0.0 ollama serve"


async def test_where_ollama_is_a_service_the_command_is_for_the_service(home, monkeypatch):
    monkeypatch.setattr(doctor, "_SERVICE_FILE", Path("/"))
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("box", server.url))
        fix = only(await visit(home), "loopback-only").fix
    assert "/etc/systemd/system/ollama.service.d" in fix
    assert fix.endswith("sudo systemctl restart ollama")


# ------------------------------------------------------------------ servers that do not answer


@pytest.fixture
def free_port():
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


async def test_an_endpoint_that_nobody_serves(home, free_port):
    home.settings.add_endpoint(Endpoint("box", f"http://localhost:{free_port}/v1"))
    item = only(await visit(home), "nobody")
    assert item.verdict == "fail"
    assert item.message == (
        f"the endpoint box of the settings (http://localhost:{free_port}/v1): nobody listens on "
        f"port {free_port} of this machine"
    )


async def test_ollama_host_that_nobody_serves(home, free_port, monkeypatch):
    environ = {"OLLAMA_HOST": f"127.0.0.1:{free_port}"}
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/ollama")
    item = only(await visit(home, environ=environ), "not-running")
    assert (item.verdict, item.fix) == ("fail", "ollama serve")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    item = only(await visit(home, environ=environ), "nobody")
    assert item.message.startswith(f"OLLAMA_HOST (http://127.0.0.1:{free_port}): nobody listens")


async def test_a_server_that_wants_a_key(home):
    async with OllamaServer() as server:

        async def refuse(request: Any, seen: Any) -> Any:
            server.refusals.append(Refusal(401))
            return server.refused()

        server.answer = refuse  # type: ignore[method-assign]
        home.settings.add_endpoint(Endpoint("box", server.url))
        item = only(await visit(home), "locked")
        assert (item.verdict, item.fix) == ("fail", "millstream keys set box")
        home.credentials.set("box", "wrong-key")
        item = only(await visit(home), "key-wrong")
        assert "does not accept the key" in item.message


async def test_an_endpoint_of_a_protocol_without_a_list(home, free_port):
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("claude", server.url, protocol="anthropic"))
        home.settings.add_endpoint(
            Endpoint("gone", f"http://127.0.0.1:{free_port}", protocol="gemini")
        )
        report = await visit(home)
        assert only(report, "listens").verdict == "ok"
        assert "claude" in only(report, "listens").message
        assert server.requests == []
    item = only(report, "no-listener")
    assert item.message == (
        f"the endpoint gone of the settings (http://127.0.0.1:{free_port}): nobody answers at "
        f"http://127.0.0.1:{free_port}"
    )
    assert "millstream endpoints set gone URL --protocol gemini" in item.fix


async def test_what_nobody_named_and_nobody_serves_is_told_once(home, free_port, monkeypatch):
    ports = (("ollama", free_port), ("lmstudio", free_port), ("vllm", free_port))
    monkeypatch.setattr(discovery, "PORTS", ports[:1])
    monkeypatch.setattr(doctor, "PORTS", ports)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert [item.verdict for item in (await visit(home)).items if item.topic == "servers"] == [
        "warn"
    ]


def why_not(
    url: str,
    *probes: tuple[Why, str, Outcome],
    around: Surroundings = HOST,
    here: tuple[Listener, ...] = (),
    kind: str = "ollama",
) -> Item:
    """What is said of an endpoint whose ways ended so: (why, IP address, outcome)."""
    tried = tuple(
        Probe(f"http://{address or 'x'}:11434", why, outcome, 0.0, "box", address)
        for why, address, outcome in probes
    )
    target = doctor._Target(url, tried, kind, "box")
    return doctor._missing(target, around, list(here))


LOCAL = "http://localhost:11434"


def test_in_a_container_a_refusing_gateway_leaves_two_reasons_and_both_are_told():
    set_language("en")
    item = why_not(
        LOCAL,
        ("localhost", "127.0.0.1", "refused"),
        ("host", "", "unknown-name"),
        ("gateway", "172.17.0.1", "refused"),
        ("service", "", "unknown-name"),
        around=DOCKER,
    )
    assert item.code == "doctor.refused-around"
    assert "(172.17.0.1) is there, but refuses that port" in item.message
    assert "it listens on 127.0.0.1 only" in item.message
    assert item.fix == "On that machine: OLLAMA_HOST=0.0.0.0 ollama serve"


def test_in_a_container_a_silent_gateway_is_a_firewall():
    item = why_not(
        LOCAL,
        ("localhost", "127.0.0.1", "refused"),
        ("gateway", "172.17.0.1", "silent"),
        around=DOCKER,
    )
    assert item.code == "doctor.firewall"
    assert "ufw allow proto tcp from 172.17.0.0/16 to any port 11434" in item.fix


def test_in_a_container_without_a_way_out_the_option_of_docker_is_told():
    item = why_not(
        LOCAL,
        ("localhost", "127.0.0.1", "refused"),
        ("host", "", "unknown-name"),
        around=Surroundings("docker"),
    )
    assert item.code == "doctor.no-way-out"
    assert "--add-host=host.docker.internal:host-gateway" in item.fix


def test_an_address_of_our_own_that_is_refused_while_loopback_listens_is_certain():
    item = why_not(
        "http://127.0.0.77:11434".replace("127.0.0.77", own := _own_address()),
        ("host", own, "refused"),
        here=(Listener("127.0.0.1", 11434),),
    )
    assert item.code == "doctor.loopback-only-here"
    assert f"listens on 127.0.0.1 only, so {own} is refused" in item.message
    assert f"Write localhost instead of {own}" in item.fix


def _own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.213", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def test_a_server_that_listens_on_another_address_only():
    own = _own_address()
    item = why_not(LOCAL, ("localhost", "127.0.0.1", "refused"), here=(Listener(own, 11434),))
    assert item.code == "doctor.bound-elsewhere"
    assert item.fix == f"export OLLAMA_HOST={own}:11434"


@pytest.mark.parametrize(
    ("outcome", "beginning", "fix"),
    [
        ("refused", "192.0.2.7 is there, but refuses port 11434", "On 192.0.2.7: OLLAMA_HOST="),
        ("silent", "192.0.2.7 does not react", "Try it from here: curl -m 5 "),
        ("unreachable", "there is no way from here to 192.0.2.7", "Check the network: "),
        ("unknown-name", "the name 192.0.2.7 is unknown here", "Check its spelling"),
        ("mute", "takes connections", "Look at its own log"),
        ("stranger", "something answers", "Check host, port and path"),
    ],
)
def test_another_machine_that_does_not_answer(outcome, beginning, fix):
    item = why_not("http://192.0.2.7:11434", ("host", "192.0.2.7", outcome))
    assert beginning in item.message
    assert item.fix.startswith(fix)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("llamacpp", "llama-server --host 0.0.0.0 --port 11434"),
        ("vllm", "vllm serve MODEL --host 0.0.0.0"),
        ("lmstudio", "switch on “Serve on Local Network”"),
        ("", "start it, listening on 0.0.0.0:11434"),
    ],
)
def test_each_kind_of_server_is_opened_in_its_own_way(kind, command):
    item = why_not("http://192.0.2.7:11434", ("host", "192.0.2.7", "refused"), kind=kind)
    assert item.fix.startswith(f"On 192.0.2.7: {command}")


# ------------------------------------------------------------------------------------ network


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://ada:secret@proxy:3128"}, "proxy-loopback"),
        ({"HTTPS_PROXY": "proxy:3128", "NO_PROXY": "example.com, localhost"}, "proxy"),
        ({"http_proxy": "http://proxy", "no_proxy": "*"}, "proxy"),
        ({"ALL_PROXY": "socks5h://127.0.0.1:1080"}, "proxy-socks"),
        ({"HTTPS_PROXY": "proxy:port"}, "proxy-bad"),
        ({"HTTPS_PROXY": "http://ada:secret@"}, "proxy-bad"),
    ],
)
async def test_proxies(home, environ, code):
    report = await visit(home, environ=environ)
    told = [item for item in report.items if item.topic == "network"]
    assert [item.code for item in told] == ([f"doctor.{code}"] if code else [])
    assert "secret" not in json.dumps(report.as_dict())
    if code == "proxy-loopback":
        assert told[0].fix == "export NO_PROXY=localhost,127.0.0.1,::1"


async def test_the_internet_is_left_alone_unless_asked(home):
    async with OllamaServer() as hub, Http(environ={}) as http:
        home.settings.set("hub.endpoint", hub.url)
        await visit(home, http=http)
        assert hub.requests == []


async def test_the_internet_when_asked(home, monkeypatch):
    async def index() -> Item:
        return Item("online", "ok", "doctor.index")

    monkeypatch.setattr(doctor, "_index", index)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    async with OllamaServer() as hub, Http(environ={}) as http:
        home.settings.set("hub.endpoint", hub.url)
        report = await diagnose(home, http, online=True, environ={}, around=HOST, haste=HASTE)
        assert only(report, "hub").message == f"{hub.url} answers: models can be pulled"
        home.settings.set("hub.endpoint", "http://127.0.0.1:9")
        monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)
        report = await diagnose(home, http, online=True, environ={}, around=HOST, haste=HASTE)
        assert only(report, "hub").message == f"{hub.url} answers: models can be pulled"
        assert not [item for item in report.items if item.code == "doctor.no-hub"]
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    async with Http(environ={}) as http:
        report = await diagnose(home, http, online=True, environ={}, around=HOST, haste=HASTE)
        item = only(report, "no-hub")
        assert item.verdict == "warn"
        assert "hub.endpoint" in item.fix


# ------------------------------------------------------------------------------------- report


async def test_the_report_for_machines_has_everything_and_no_key(home, free_port):
    home.settings.add_endpoint(Endpoint("box", f"http://localhost:{free_port}"))
    home.credentials.set("box", "sk-0123456789")
    data = json.loads(json.dumps((await visit(home)).as_dict()))
    assert data["verdict"] == "fail"
    assert set(data) == {"verdict", "items", "around", "tried", "seconds"}
    assert all({"topic", "verdict", "code", "message"} <= set(item) for item in data["items"])
    assert next((each["url"], each["outcome"]) for each in data["tried"]) == (
        f"http://localhost:{free_port}",
        "refused",
    )
    assert "0123456789" not in json.dumps(data)


async def test_every_sentence_is_complete_in_both_languages(home, free_port):
    """No parameter of a message is left open."""
    home.settings.add_endpoint(Endpoint("box", f"http://localhost:{free_port}"))
    environ = {"HTTPS_PROXY": "http://proxy", "OLLAMA_HOST": f"localhost:{free_port}"}
    report = await visit(home, environ=environ)
    inside = [
        why_not(LOCAL, (why, "172.17.0.1", outcome), around=DOCKER)
        for why in ("gateway", "host")
        for outcome in Outcome.__args__
        if outcome != "answered"
    ]
    outside = [
        why_not("http://192.0.2.7:11434", ("host", "192.0.2.7", outcome))
        for outcome in Outcome.__args__
        if outcome != "answered"
    ]
    for language in ("en", "zh"):
        set_language(language)
        for item in [*report.items, *inside, *outside]:
            assert "{" not in item.message + item.fix


def test_every_word_of_a_survey_has_its_own_in_the_catalogue():
    assert {f"outcome-{outcome}" for outcome in Outcome.__args__} <= set(MESSAGES)
    assert {f"why-{why}" for why in Why.__args__} <= set(MESSAGES)
    assert {f"topic-{topic}" for topic in doctor.Topic.__args__} <= set(MESSAGES)


def test_the_verdict_is_the_worst_one():
    items = [Item("home", "ok", "doctor.offline"), Item("home", "warn", "doctor.offline")]
    assert Report(items, Survey(HOST, ()), 0.1).exit_code == 0
    items.append(Item("home", "fail", "doctor.offline"))
    assert (Report(items, None, 0.1).verdict, Report(items, None, 0.1).exit_code) == ("fail", 1)
