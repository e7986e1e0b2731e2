"""A model server on a host and an app in a "container", in two real network namespaces.

    host namespace  10.231.77.1 ───veth─── 10.231.77.2  container namespace
      Ollama's protocol on 11434                          nothing of its own, gateway .1

The container's loopback is its own, as in Docker; there is no DNS, and what is sent to the name
server is lost, as behind a bad VPN. Needs root and `ip` (iproute2).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
HOST, CONTAINER = "10.231.77.1", "10.231.77.2"
PORT = 11434


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def whether() -> str:
    """Why there can be no namespaces here; "" if there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if not shutil.which("ip"):
        return "no `ip` (iproute2)"
    name = f"ms{os.getpid()}try"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""


pytestmark = [pytest.mark.slow]


class World:
    """The two namespaces. home: the data directory that programs in both use."""

    def __init__(self, home: Path) -> None:
        self.host = f"ms{os.getpid()}h"
        self.container = f"ms{os.getpid()}c"
        self.home = home

    def build(self) -> None:
        ends = f"v{os.getpid()}h", f"v{os.getpid()}c"
        for name in (self.host, self.container):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in (
            (self.host, ends[0], HOST),
            (self.container, ends[1], CONTAINER),
        ):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        ip("-n", self.container, "route", "add", "default", "via", HOST)

    def tear_down(self) -> None:
        for name in (self.host, self.container):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)

    def names(self, text: str) -> None:
        """The container's /etc/hosts (`ip netns exec` puts it in place)."""
        folder = Path("/etc/netns", self.container)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(text)

    def command(self, name: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", name, sys.executable, *words]

    def environ(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().endswith("_PROXY") and not name.startswith(("MILLSTREAM", "OLLAMA"))
        }
        kept |= {"PYTHONPATH": str(TESTS), "MILLSTREAM_HOME": str(self.home), "LANG": "C"}
        return kept | more

    @contextmanager
    def serving(self, address: str) -> Iterator[None]:
        """Ollama on the host, at an address."""
        words = self.command(self.host, str(TESTS / "network/serve.py"), address, str(PORT))
        with subprocess.Popen(words, env=self.environ(), stdout=subprocess.PIPE, text=True) as done:
            try:
                assert done.stdout is not None
                assert done.stdout.readline() == "ready\n"
                yield
            finally:
                done.kill()

    def run(self, where: str, script: str, **environ: str) -> Any:
        """What a program prints as JSON. `around` in it is what the place is: the host is none
        of a container's, whatever the machine that runs the tests is."""
        name = {"host": self.host, "container": self.container}[where]
        inside = "container" if where == "container" else ""
        head = (
            "import asyncio, json, msgspec\n"
            "from millstream.home import Endpoint, Home\n"
            "from millstream.models.surroundings import look\n"
            f"around = msgspec.structs.replace(look({{}}), container={inside!r}, wsl=False)\n"
            "home = Home.open()\n"
        )
        done = subprocess.run(
            self.command(name, "-c", head + script),
            env=self.environ(**environ),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def doctor(self, where: str, **environ: str) -> list[dict[str, Any]]:
        script = (
            "from millstream.checks.doctor import diagnose\n"
            "print(json.dumps(asyncio.run(diagnose(home, around=around)).as_dict()))"
        )
        return [item for item in self.run(where, script, **environ)["items"]
                if item["topic"] == "servers"]  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if reason := whether():
        pytest.skip(reason)
    world = World(tmp_path / "home")
    try:
        world.build()
        yield world
    finally:
        world.tear_down()


SURVEY = """
from millstream.models.discovery import survey
found = asyncio.run(survey(home, around=around))
print(json.dumps([[probe.url, probe.why, probe.outcome] for probe in found.probes]
                 + [[server.base_url, server.kind] for server in found.servers]))
"""

ASK = """
from millstream.models.discovery import Reach
from millstream.models.http import Http
async def ask(url):
    async with Http(reach=Reach(home, around)) as http:
        answer = await http.request_json("GET", url + "/api/tags")
        return [model["name"] for model in answer["models"]]
print(json.dumps(asyncio.run(ask("http://localhost:11434"))))
"""


def test_the_server_of_the_host_is_found_through_the_gateway(world):
    with world.serving("0.0.0.0"):
        found = world.run("container", SURVEY)
        assert ["http://localhost:11434", "localhost", "refused"] in found
        assert [f"http://{HOST}:{PORT}", "gateway", "answered"] in found
        assert found[-1] == [f"http://{HOST}:{PORT}", "ollama"]
        [item] = world.doctor("container")
        assert (item["verdict"], item["code"]) == ("ok", "doctor.server-around")
        assert item["message"] == (
            f"Ollama 0.34.4 answers at http://{HOST}:{PORT} and has qwen3:8b. "
            "From inside this container, localhost:11434 leads there"
        )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"},
        {"http_proxy": "http://10.231.77.99:3128", "NO_PROXY": "example.com"},
    ],
)
def test_a_url_with_localhost_works_from_the_container_past_every_proxy(world, environ):
    with world.serving("0.0.0.0"):
        assert world.run("container", ASK, **environ) == ["qwen3:8b"]


def test_an_endpoint_of_the_settings_written_with_localhost_works_in_both_places(world):
    add = (
        "home.settings.add_endpoint(Endpoint('box', 'http://localhost:11434/v1'))\n"
        "print(json.dumps(1))"
    )
    world.run("host", add)
    with world.serving("0.0.0.0"):
        for where, url in (("host", "127.0.0.1"), ("container", HOST)):
            assert world.run(where, SURVEY)[-1] == [f"http://{url}:{PORT}", "ollama"]
            assert [item["code"] for item in world.doctor(where)] == [
                "doctor.server" if where == "host" else "doctor.server-around"
            ]


def test_host_docker_internal_is_taken_where_it_leads_somewhere(world):
    world.names(f"127.0.0.1 localhost\n{HOST} host.docker.internal\n")
    with world.serving("0.0.0.0"):
        assert world.run("container", SURVEY)[-1] == [
            f"http://host.docker.internal:{PORT}",
            "ollama",
        ]
        assert world.run("container", ASK) == ["qwen3:8b"]


def test_a_compose_service_named_ollama_is_found_without_any_gateway(world):
    ip("-n", world.container, "route", "del", "default")
    world.names(f"127.0.0.1 localhost\n{HOST} ollama\n")
    with world.serving(HOST):
        assert world.run("container", SURVEY)[-1] == [f"http://ollama:{PORT}", "ollama"]
        assert world.run("container", ASK) == ["qwen3:8b"]


def test_a_server_that_listens_on_loopback_only_is_recognised_from_both_sides(world):
    with world.serving("127.0.0.1"):
        # On its own machine that is certain,
        answers, narrow = world.doctor("host")
        assert (answers["code"], answers["verdict"]) == ("doctor.server", "ok")
        assert narrow["message"].startswith("Ollama listens on 127.0.0.1 only")
        assert narrow["fix"].endswith("ollama serve") or "systemctl" in narrow["fix"]
        # also for one who wrote the machine's other address,
        told = world.doctor("host", OLLAMA_HOST=HOST)
        [item] = [item for item in told if item["verdict"] == "fail"]
        assert item["code"] == "doctor.loopback-only-here"
        assert f"listens on 127.0.0.1 only, so {HOST} is refused" in item["message"]
        # and from inside the container it is one of two reasons.
        [item] = world.doctor("container", OLLAMA_HOST="localhost")
        assert (item["verdict"], item["code"]) == ("fail", "doctor.refused-around")
        assert f"nobody listens on port {PORT} in this container" in item["message"]
        assert f"({HOST}) is there, but refuses that port" in item["message"]
        assert "or it listens on 127.0.0.1 only" in item["message"]
        assert item["fix"] == "On that machine: OLLAMA_HOST=0.0.0.0 ollama serve"
    # The command that was advised helps.
    with world.serving("0.0.0.0"):
        [item] = world.doctor("container", OLLAMA_HOST="localhost")
        assert item["verdict"] == "ok"


def test_a_host_that_swallows_what_containers_send_is_a_firewall(world):
    ip("-n", world.host, "route", "add", "blackhole", f"{CONTAINER}/32")
    with world.serving("0.0.0.0"):
        [item] = world.doctor("container")
    assert (item["verdict"], item["code"]) == ("warn", "doctor.firewall")
    assert item["fix"] == (
        "On that machine: sudo ufw allow proto tcp from 10.231.77.0/24 to any port 11434"
    )


def test_a_container_without_a_way_out_is_told_the_option_that_makes_one(world):
    ip("-n", world.container, "route", "del", "default")
    with world.serving("0.0.0.0"):
        [item] = world.doctor("container")
    assert item["code"] == "doctor.no-way-out"
    assert "--add-host=host.docker.internal:host-gateway" in item["fix"]


APP = """
app: {name: greet, mode: workflow}
kind: app
version: 0.3.0
workflow:
  graph:
    nodes:
    - {id: a, data: {type: start, title: Start, variables: []}}
    - id: b
      data:
        type: llm
        title: Ask
        model: {provider: langgenius/ollama/ollama, name: "qwen3:8b", mode: chat}
        prompt_template: [{role: user, text: Say hello}]
    - id: c
      data: {type: end, title: End, outputs: [{variable: text, value_selector: [b, text]}]}
    edges:
    - {id: ab, source: a, target: b}
    - {id: bc, source: b, target: c}
"""


def test_an_app_runs_in_the_container_on_the_model_of_the_host(world, tmp_path):
    (tmp_path / "app.yml").write_text(APP)
    script = (
        "import millstream\n"
        f"result = millstream.load({str(tmp_path / 'app.yml')!r}).run()\n"
        "print(json.dumps([result.status, result.outputs]))"
    )
    with world.serving("0.0.0.0"):
        for environ in ({}, {"HTTP_PROXY": "http://127.0.0.1:9"}):
            found = world.run("container", script, container="docker", **environ)
            assert found == ["succeeded", {"text": "Hello from the host"}]


def test_nobody_serves_anywhere(world):
    [item] = world.doctor("host")
    assert item["verdict"] == "warn"
    assert item["code"] in ("doctor.nobody", "doctor.not-running")
    [item] = world.doctor("container")
    assert item["code"] == "doctor.refused-around"
