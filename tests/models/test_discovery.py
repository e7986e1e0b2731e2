"""Finding model servers: who is asked, in which order, how they are known, and that nobody who
answers can do harm."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from millstream.home import Endpoint, Home
from millstream.models import discovery
from millstream.models.discovery import (
    QUICK,
    Haste,
    Probe,
    Reach,
    Survey,
    candidates,
    ollama_host,
    survey,
    ways,
)
from millstream.models.http import Http
from millstream.models.peer import NotHttp, _read_answer
from millstream.models.surroundings import Surroundings
from models.loopback import Loopback, Seen, reply
from models.ollama_server import Model, OllamaServer

HOST = Surroundings()
DOCKER = Surroundings("docker", gateways=("172.17.0.1",), networks=("172.17.0.0/16",))
PATIENT = Haste(connect=5, answer=10, named_connect=5, named_answer=10)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    for name in list(os.environ):
        if name.startswith("MILLSTREAM_") or name.endswith("_API_KEY") or name == "OLLAMA_HOST":
            monkeypatch.delenv(name)
    return Home.open(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_usual_ports(monkeypatch):
    """What happens to run on this machine is not asked; tests say which ports are usual."""
    monkeypatch.setattr(discovery, "PORTS", ())


class Answers(Loopback):
    """A server with a fixed answer for every path."""

    def __init__(self, answers: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.answers = answers
        self.headers = headers or {}

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        found = self.answers.get(seen.path)
        if isinstance(found, int):
            return reply({"error": "no"}, found, self.headers)
        return reply({"error": "no"} if found is None else found, 404 if found is None else 200,
                     self.headers)  # fmt: skip


# Shapes as the servers' own documentation shows them.
LMSTUDIO = {
    "/v1/models": {"object": "list", "data": [{"id": "qwen2-vl-7b-instruct", "object": "model"}]},
    "/api/v0/models": {
        "object": "list",
        "data": [
            {
                "id": "qwen2-vl-7b-instruct",
                "object": "model",
                "type": "vlm",
                "publisher": "mlx-community",
                "arch": "qwen2_vl",
                "compatibility_type": "mlx",
                "quantization": "4bit",
                "state": "not-loaded",
                "max_context_length": 32768,
            },
            {
                "id": "meta-llama-3.1-8b-instruct",
                "object": "model",
                "type": "llm",
                "quantization": "Q4_K_M",
                "state": "loaded",
                "max_context_length": 131072,
                "loaded_context_length": 4096,
            },
            {"id": "text-embedding-nomic-embed-text-v1.5", "type": "embeddings"},
        ],
    },
}
LLAMACPP = {
    "/v1/models": {
        "models": [{"name": "qwen3"}],
        "object": "list",
        "data": [
            {
                "id": "qwen3",
                "object": "model",
                "owned_by": "llamacpp",
                "meta": {"n_ctx_train": 40960, "n_params": 596049920, "size": 633495552},
            }
        ],
    },
    "/props": {
        "default_generation_settings": {"n_ctx": 8192},
        "total_slots": 4,
        "build_info": "b8681-abc",
    },
    # It copies some of Ollama's paths for editors' sake.
    "/api/tags": {"models": [{"name": "qwen3", "model": "qwen3"}]},
    "/api/version": {"version": "0.0.0"},
}
VLLM = {
    "/v1/models": {
        "object": "list",
        "data": [
            {
                "id": "Qwen/Qwen3-8B",
                "object": "model",
                "owned_by": "vllm",
                "root": "Qwen/Qwen3-8B",
                "max_model_len": 32768,
            }
        ],
    },
    "/version": {"version": "0.11.0"},
}


def port(server: Loopback) -> int:
    return int(server.url.rpartition(":")[2])


def usual(monkeypatch, *servers: Loopback) -> None:
    monkeypatch.setattr(discovery, "PORTS", [("x", port(server)) for server in servers])


async def look_on(home: Home, **options: Any) -> Survey:
    options = {"environ": {}, "around": HOST, "haste": PATIENT, **options}
    return await survey(home, **options)


# ------------------------------------------------------------------------------ the addresses


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        (":66000", "http://127.0.0.1:11434"),
        (":-1", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("[::]:11434", "http://127.0.0.1:11434"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "http://1.2.3.4:11434"),
        (" ' 1.2.3.4 ' ", "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:11434/", "http://1.2.3.4:11434"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("", "http://127.0.0.1:11434"),
        ("[::", "http://127.0.0.1:11434"),
    ],
)
def test_ollama_host_in_all_its_forms(text, url):
    assert ollama_host(text) == url


@given(st.text(max_size=30))
def test_any_ollama_host_is_an_address(text):
    from urllib.parse import urlsplit

    parts = urlsplit(ollama_host(text))
    assert parts.scheme in ("http", "https")
    assert parts.port is not None


def test_outside_of_a_container_localhost_is_localhost():
    assert ways("http://localhost:11434/v1", HOST, inside=False) == [
        ("http://localhost:11434/v1", "localhost")
    ]


def test_inside_of_one_it_is_the_machine_around_it_too():
    assert ways("http://127.0.0.1:11434/v1", DOCKER, inside=True) == [
        ("http://localhost:11434/v1", "localhost"),
        ("http://host.docker.internal:11434/v1", "host"),
        ("http://host.containers.internal:11434/v1", "host"),
        ("http://172.17.0.1:11434/v1", "gateway"),
        ("http://ollama:11434/v1", "service"),
    ]
    # The compose service is Ollama's.
    assert "http://ollama:1234" not in dict(ways("http://localhost:1234", DOCKER, inside=True))
    # An address of another machine is that machine.
    assert len(ways("http://192.168.1.5:11434", DOCKER, inside=True)) == 1


def test_what_a_person_named_is_asked_first(home, monkeypatch):
    monkeypatch.setattr(discovery, "PORTS", [("ollama", 11434), ("lmstudio", 1234)])
    home.settings.add_endpoint(Endpoint("box", "http://192.168.1.5:8000/v1"))
    home.settings.add_endpoint(Endpoint("mine", "http://localhost:1234"))
    home.settings.add_endpoint(Endpoint("cloud", "https://api.example.com/v1"))
    home.settings.add_endpoint(Endpoint("claude", "http://localhost:9", protocol="anthropic"))
    found = candidates(home, {"OLLAMA_HOST": "10.0.0.7"}, HOST)
    assert [(candidate.url, candidate.why, candidate.name) for candidate in found] == [
        ("http://192.168.1.5:8000/v1", "setting", "box"),
        ("http://localhost:1234", "setting", "mine"),
        ("http://10.0.0.7:11434", "OLLAMA_HOST", ""),
        ("http://localhost:11434", "localhost", ""),
    ]


# ------------------------------------------------------------------------------- recognising


async def test_ollama_is_known_by_its_own_api(home, monkeypatch):
    models = Model("qwen3:8b"), Model("nomic-embed-text:latest", family="nomic-bert", size=274)
    async with OllamaServer(*models) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert (found.kind, found.provider, found.protocol) == ("ollama", "ollama", "ollama")
        assert (found.base_url, found.version) == (server.url, "0.34.4")
        qwen, nomic = found.models
        assert (qwen.name, qwen.size, qwen.quantization, qwen.parameters) == (
            "qwen3:8b",
            5_200_000_000,
            "Q4_K_M",
            "8.2B",
        )
        assert (qwen.generates, nomic.generates) == (True, False)


async def test_a_model_in_a_cloud_is_not_taken_for_one_that_is_here(home, monkeypatch):
    tags = {"models": [{"name": "gpt-oss:120b-cloud", "remote_host": "https://ollama.com:443"}]}
    async with Answers({"/api/version": {"version": "0.12.0"}, "/api/tags": tags}) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert found.models[0].remote is True


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/api"])
async def test_an_address_may_be_written_with_or_without_v1(home, suffix):
    async with OllamaServer() as server:
        home.settings.add_endpoint(Endpoint("box", server.url + suffix))
        [found] = (await look_on(home)).servers
        assert (found.kind, found.provider, found.base_url) == ("ollama", "box", server.url)
    async with Answers(VLLM) as server:
        home.settings.add_endpoint(Endpoint("box", server.url + suffix))
        [found] = (await look_on(home)).servers
        assert (found.kind, found.base_url) == ("vllm", server.url + "/v1")


async def test_a_server_behind_a_path(home):
    answers = {f"/ai{path}": answer for path, answer in VLLM.items()}
    async with Answers(answers) as server:
        home.settings.add_endpoint(Endpoint("box", server.url + "/ai"))
        [found] = (await look_on(home)).servers
        assert (found.base_url, found.version) == (server.url + "/ai/v1", "0.11.0")
    async with Answers({"/api/v3/models": VLLM["/v1/models"]}) as server:
        home.settings.add_endpoint(Endpoint("box", server.url + "/api/v3"))
        [found] = (await look_on(home)).servers
        assert found.base_url == server.url + "/api/v3"


async def test_lm_studio(home, monkeypatch):
    async with Answers(LMSTUDIO) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert (found.kind, found.provider, found.protocol) == ("lmstudio", "lmstudio", "openai")
        assert found.base_url == server.url + "/v1"
        vision, llama, embed = found.models
        assert (vision.context, vision.loaded, vision.quantization) == (32768, False, "4bit")
        assert vision.capabilities == ("completion", "vision")
        assert (llama.context, llama.loaded) == (4096, True)
        assert embed.generates is False


async def test_llama_cpp_even_where_it_copies_ollama(home, monkeypatch):
    async with Answers(LLAMACPP, {"Server": "llama.cpp"}) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert (found.kind, found.provider, found.slots) == ("llamacpp", "llamacpp", 4)
        assert found.version == "b8681-abc"
        # What its slots have counts, not what the model was trained for.
        assert (found.models[0].name, found.models[0].context) == ("qwen3", 8192)


async def test_vllm(home, monkeypatch):
    async with Answers(VLLM) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert (found.kind, found.version, found.models[0].context) == ("vllm", "0.11.0", 32768)


async def test_vllm_with_a_key_at_its_usual_port(home, monkeypatch):
    class Locked(Answers):
        async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
            if seen.headers.get("authorization") == "Bearer right-key":
                return await super().answer(request, seen)
            # As vLLM does; /version and /tokenize are open to all.
            return reply({"error": "Unauthorized"}, 401)

    async with Locked(VLLM) as server:
        monkeypatch.setattr(discovery, "PORTS", [("vllm", port(server))])
        for key, outcome in ((None, "locked"), ("wrong-key", "locked"), ("right-key", "answered")):
            if key:
                home.credentials.set("vllm", key)
            [probe] = (await look_on(home)).probes
            assert (probe.outcome, probe.keyed) == (outcome, key is not None)
        [found] = (await look_on(home)).servers
        assert (found.provider, found.models[0].name) == ("vllm", "Qwen/Qwen3-8B")
    async with Answers(VLLM) as server:  # one that asks for no key is shown none
        monkeypatch.setattr(discovery, "PORTS", [("vllm", port(server))])
        assert len((await look_on(home)).servers) == 1
        assert all("authorization" not in seen.headers for seen in server.requests)


async def test_any_other_server_of_that_protocol(home, monkeypatch):
    async with Answers({"/v1/models": {"data": [{"id": "m", "owned_by": "me"}]}}) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert (found.kind, found.provider) == ("openai", "openai_api_compatible")


async def test_one_server_at_two_addresses_is_one(home, monkeypatch):
    async with OllamaServer() as server:
        usual(monkeypatch, server)
        home.settings.add_endpoint(Endpoint("box", server.url + "/v1"))
        found = await look_on(home, environ={"OLLAMA_HOST": server.url + "/x/.."})
        assert sum(probe.outcome == "answered" for probe in found.probes) == 2
        assert [each.provider for each in found.servers] == ["box"]


# ------------------------------------------------------------------------------------- keys


async def test_the_key_of_an_endpoint_goes_there_and_nowhere_else(home, monkeypatch):
    async with Answers(VLLM) as mine, Answers(VLLM) as other:
        usual(monkeypatch, other)
        home.settings.add_endpoint(Endpoint("box", mine.url + "/v1"))
        home.credentials.set("box", "sk-0123456789")
        await look_on(home)
        assert {seen.headers.get("authorization") for seen in mine.requests} == {
            "Bearer sk-0123456789"
        }
        assert {seen.headers.get("authorization") for seen in other.requests} == {None}


async def test_a_server_that_wants_a_key_says_so(home, monkeypatch):
    async with Answers({"/v1/models": 401}) as server:
        usual(monkeypatch, server)
        found = await look_on(home)
        assert [(probe.outcome, probe.detail) for probe in found.probes] == [("locked", "401")]
        assert found.servers == []


def test_a_survey_can_be_shown_and_has_no_key(home):
    home.credentials.set("box", "sk-0123456789")
    home.settings.add_endpoint(Endpoint("box", "http://localhost:9"))
    found = asyncio.run(look_on(home))
    assert b"0123456789" not in msgspec.json.encode(found)
    assert "0123456789" not in repr(candidates(home, {}, HOST))


# ---------------------------------------------------------------------------- nobody is there


async def test_nobody_is_there(home, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody else gets this port, and nobody listens on it
        monkeypatch.setattr(discovery, "PORTS", [("ollama", free.getsockname()[1])])
        found = await look_on(home, haste=QUICK)
    assert [probe.outcome for probe in found.probes] == ["refused"]


async def test_a_name_server_that_never_answers_holds_nothing_up(home, monkeypatch):
    release = threading.Event()

    def never(*args: Any, **options: Any) -> Any:
        release.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", never)
    home.settings.add_endpoint(Endpoint("box", "http://box.local:11434"))
    try:
        found = await look_on(home, haste=Haste(connect=0.01))
        assert [probe.outcome for probe in found.probes] == ["unknown-name"]
        waiting = [thread for thread in threading.enumerate() if thread.name == "resolve box.local"]
        assert all(thread.daemon for thread in waiting)
    finally:
        release.set()


def test_a_survey_loads_nothing_heavy(home):
    script = (
        "import asyncio, sys; from millstream.home import Home; "
        "from millstream.models.discovery import survey; "
        f"asyncio.run(survey(Home.open({str(home.path)!r}))); "
        "print(*sorted({'aiohttp', 'rich', 'tomlkit', 'xllamacpp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_stands_between(home, monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with OllamaServer() as server:
        usual(monkeypatch, server)
        assert len((await look_on(home)).servers) == 1


# --------------------------------------------------------------------------- hostile strangers


@asynccontextmanager
async def raw(*pieces: bytes, forever: bytes = b"", hold: bool = False) -> AsyncIterator[str]:
    """A server that sends what it likes to everybody, then more and more, or holds the line."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for piece in pieces:
                writer.write(piece)
            while forever:
                writer.write(forever)
                await writer.drain()
            if hold:
                await asyncio.sleep(3600)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\n"


async def outcome(home: Home, url: str) -> Probe:
    home.settings.add_endpoint(Endpoint("stranger", url))
    haste = Haste(named_connect=5, named_answer=2)
    [probe] = (await look_on(home, haste=haste)).probes
    return probe


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"\r\n\r\n"],
        [b"SSH-2.0-OpenSSH_9.6\r\n"],
        [b"SSH-2.0-OpenSSH_9.6\r\n\r\n"],
        [b"\x15\x03\x01\x00\x02\x02\x46"],
        [b"HTTP/1.1 200 OK"],
        [OK, b"\r\n<html>hello</html>"],
        [OK, b"\r\nnull"],
        [OK, b'\r\n{"version": 7, "data": "x", "models": {}}'],
        [OK, b"\r\n" + b"[" * 100_000],
        [OK, b"Content-Length: -1\r\n\r\n"],
        [OK, b"Content-Length: 99999999999\r\n\r\n{}"],
        [OK, b"Content-Length: 100000000\r\n\r\n{}"],
        [OK, b"Content-Length: 10\r\n\r\n{}"],
        [OK, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [OK, b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n{}"],
        [b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n"],
        [b"HTTP/1.1 999 What\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000],
    ],
)
async def test_a_stranger_is_a_stranger(home, pieces):
    async with raw(*pieces) as url:
        assert (await outcome(home, url)).outcome == "stranger"


@pytest.mark.parametrize(
    ("pieces", "forever"),
    [
        ([], b"x" * 4096),
        ([OK], b"X-Header: again\r\n"),
        ([OK, b"\r\n"], b" " * 65536),
        ([OK, b"Transfer-Encoding: chunked\r\n\r\n"], b"1000\r\n" + b" " * 4096 + b"\r\n"),
    ],
)
async def test_one_who_never_stops_talking_is_cut_short(home, pieces, forever):
    async with raw(*pieces, forever=forever) as url:
        assert (await outcome(home, url)).outcome in ("stranger", "mute")


async def test_one_who_says_nothing(home):
    async with raw(hold=True) as url:
        assert (await outcome(home, url)).outcome == "mute"


async def test_names_that_would_harm_a_terminal_are_left_out(home, monkeypatch):
    names = ["good", "\x1b[2J\x1b]0;owned\x07", "a\nb", "", "x" * 5000, 7, None, "‮evil"]
    answer = {"data": [*({"id": name} for name in names), 5, None, [], {}]}
    answer["data"].append({"id": "odd", "max_model_len": "many", "meta": 3, "state": 1, "type": []})
    async with Answers({"/v1/models": answer}) as server:
        usual(monkeypatch, server)
        [found] = (await look_on(home)).servers
        assert [model.name for model in found.models] == ["good", "odd"]
        assert found.models[1].context is None


@given(
    st.binary(max_size=200), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"])
)
def test_any_bytes_are_an_answer_or_none(data, head):
    async def read() -> None:
        reader = asyncio.StreamReader(limit=1024)
        reader.feed_data(head + data)
        reader.feed_eof()
        try:
            found = await _read_answer(reader)
        except NotHttp:
            return
        assert 100 <= found.status <= 999

    asyncio.run(read())


# ----------------------------------------------------------------------------------- reaching


@asynccontextmanager
async def serving(address: str, number: int = 0) -> AsyncIterator[int]:
    """Somebody who speaks HTTP at an address of 127.0.0.0/8."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"from": address})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, address, number)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


linux = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.0/8 is all ours on Linux")
INSIDE = Surroundings("docker", gateways=("127.0.0.2", "127.0.0.3"))


@linux
async def test_localhost_inside_a_container_is_found_at_the_gateway(home):
    async with serving("127.0.0.3") as number:
        reach = Reach(home, INSIDE)
        assert await reach(f"http://localhost:{number}") == f"http://127.0.0.3:{number}"
        assert await reach(f"http://127.0.0.1:{number}") == f"http://127.0.0.3:{number}"
        assert await reach(f"http://0.0.0.0:{number}") == f"http://127.0.0.3:{number}"
        # The nearer one goes first, once it is there and the way was not remembered.
        async with serving("127.0.0.2", number):
            fresh = Reach(None, INSIDE)
            assert await fresh(f"http://localhost:{number}") == f"http://127.0.0.2:{number}"
        async with serving("127.0.0.1", number):
            fresh = Reach(None, INSIDE)
            assert await fresh(f"http://localhost:{number}") == f"http://localhost:{number}"


@linux
async def test_a_way_that_was_found_is_remembered_while_it_leads_somewhere(home):
    async with serving("127.0.0.3") as number:
        url = f"http://localhost:{number}"
        await Reach(home, INSIDE)(url)
        async with serving("127.0.0.2", number):
            assert await Reach(home, INSIDE)(url) == f"http://127.0.0.3:{number}"
    async with serving("127.0.0.2", number):
        assert await Reach(home, INSIDE)(url) == f"http://127.0.0.2:{number}"


@linux
async def test_a_proxy_that_takes_a_connection_and_drops_it_is_not_the_server(home):
    async with raw() as url, serving("127.0.0.2", int(url.rpartition(":")[2])) as number:
        found = await Reach(home, INSIDE)(url)
        assert found == f"http://127.0.0.2:{number}"


async def test_where_nobody_answers_the_address_stays_what_it_was(home):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://localhost:{free.getsockname()[1]}"
        assert await Reach(home, Surroundings("docker"))(url) == url
    assert home.recall("reach", 60) is None


async def test_outside_of_a_container_nothing_is_tried(home):
    reach = Reach(home, HOST)
    assert await reach("http://localhost:9") == "http://localhost:9"
    assert await reach("http://0.0.0.0:9") == "http://localhost:9"
    assert await reach("http://example.com") == "http://example.com"


@linux
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
async def test_the_http_layer_takes_the_way_past_every_proxy(home, proxy):
    async with serving("127.0.0.2") as number:
        environ = {"HTTP_PROXY": proxy, "ALL_PROXY": proxy}
        async with Http(reach=Reach(home, INSIDE), environ=environ) as http:
            url = f"http://localhost:{number}/api/tags"
            assert await http.request_json("GET", url) == {"from": "127.0.0.2"}
