"""A key shows nowhere: not in results, events, errors, tracebacks or lists, wherever it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from canned import edges, end, start
from cli.parts import Run, Write, llm
from millstream.home import Endpoint, Home

CANARY = "sk-CANARY-0123456789abcdef"
APP = "app.yml"

COMMANDS = [
    ("run", APP, "name=x", "--model", "box/m"),
    ("run", APP, "name=x", "--model", "box/m", "--json"),
    ("run", APP, "name=x", "--model", "box/m", "--events"),
    ("run", APP, "name=x", "--model", "openai/m"),
    ("run", APP, "name=x"),
    ("check", APP, "--model", "box/m", "--json"),
    ("models",),
    ("models", "show", "box/m"),
    ("models", "chat", "box/m", "hi"),
    ("doctor", "--verbose"),
    ("doctor", "--json"),
    ("endpoints",),
    ("endpoints", "list", "--json"),
    ("keys",),
    ("keys", "list", "--json"),
    ("settings",),
    ("bind",),
]


@pytest.fixture
def everywhere(millstream: Run, env: dict[str, str], write: Write) -> None:
    """The key as that of an endpoint, in its address where a hand wrote it, of a provider, and of
    a proxy."""
    write(APP, [start("name"), llm(), end(out="llm.text")], edges("start>llm", "llm>end"))
    url = f"http://user:{CANARY}@127.0.0.1:9/v1?key={CANARY}"
    refused = millstream("endpoints", "set", "box", url)
    assert refused.returncode == 2
    assert "CANARY" not in refused.stderr
    Home.open(env["MILLSTREAM_HOME"]).settings.add_endpoint(Endpoint("box", url))
    assert millstream("keys", "set", "box", stdin=CANARY).returncode == 0
    env["OPENAI_API_KEY"] = CANARY
    env["HTTPS_PROXY"] = f"http://user:{CANARY}@127.0.0.1:9"
    env["MILLSTREAM_DEBUG"] = "1"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_key_shows_nowhere(everywhere: None, millstream: Run, words: tuple[str, ...]) -> None:
    done = millstream(*words)
    assert "CANARY" not in done.stdout + done.stderr
    assert done.stdout + done.stderr


def test_a_key_is_in_its_file_and_in_the_address_that_names_it_for_its_owner_only(
    everywhere: None, millstream: Run, env: dict[str, str]
) -> None:
    millstream("run", APP, "name=x", "--model", "box/m")
    home = Path(env["MILLSTREAM_HOME"])
    holding = {file for file in home.rglob("*") if file.is_file() and CANARY in file.read_text()}
    assert {file.name for file in holding} == {"credentials.toml", "settings.toml"}
    assert {file.stat().st_mode & 0o777 for file in holding} == {0o600}
