"""Whole command lines in processes of their own, each with a data directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canned import document, edges, end, start
from cli.parts import Run, Write, llm, template
from cli.person import COMMAND, Person
from cli.stub import Stub


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment without anything of the person who runs the tests."""
    kept = ("PATH", "HOME", "SYSTEMROOT", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {
        **found,
        "LANG": "en_US.UTF-8",
        "PYTHONUTF8": "1",
        "MILLSTREAM_HOME": str(tmp_path / "home"),
    }


@pytest.fixture
def millstream(env: dict[str, str], tmp_path: Path) -> Run:
    """Run a command line; standard input is closed unless it is given."""

    def run(*words: str, stdin: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**env, **more},
            cwd=tmp_path,
            timeout=240,
        )

    return run


@pytest.fixture
def person(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Person]]:
    """Sit down at a terminal and run a command line there."""
    people = []

    def sit(*words: str, extra: dict[str, str] | None = None, **options: Any) -> Person:
        people.append(Person(*words, cwd=tmp_path, env={**env, **(extra or {})}, **options))
        return people[-1]

    yield sit
    for somebody in people:
        somebody.__exit__()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an app file of the nodes and edges that canned.document takes."""

    def write(name: str, nodes: list[Any], ways: list[Any], mode: str = "workflow") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document(nodes, ways, mode), ensure_ascii=False, indent=1))
        return path

    return write


@pytest.fixture
def serve(millstream: Run) -> Iterator[Callable[..., Stub]]:
    """Start a model server and keep it as the endpoint `stub`."""
    stubs = []

    def serve(*answers: list[str], **options: Any) -> Stub:
        stubs.append(Stub(*answers, **options))
        done = millstream("endpoints", "set", "stub", stubs[-1].url)
        assert done.returncode == 0, done.stderr
        return stubs[-1]

    yield serve
    for stub in stubs:
        stub.close()


@pytest.fixture
def hello(write: Write) -> str:
    """An app that greets; it needs nothing."""
    greeting = template("greet", "Hello {{ name }}!", name="start.name")
    nodes = [start("name"), greeting, end(text="greet.output")]
    return write("hello.yml", nodes, edges("start>greet", "greet>end")).name


@pytest.fixture
def speaks(write: Write) -> str:
    """An app whose one output is what a model says."""
    nodes = [start("name"), llm(title="Polish"), end(text="llm.text")]
    return write("speaks.yml", nodes, edges("start>llm", "llm>end")).name
