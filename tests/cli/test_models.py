"""`millstream models` and `doctor`, on servers of our own and files of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.parts import Run
from cli.person import Person

Sit = Callable[..., Person]


@pytest.fixture
def shelf(env: dict[str, str]) -> Path:
    """A folder of models with one that somebody dropped in."""
    folder = Path(env["MILLSTREAM_HOME"], "models")
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(b"GGUF" + bytes(1000))
    (folder / "tiny.json").write_text('{"licence": "mit", "quantization": "Q8_0", "context": 2048}')
    return folder


def test_list(millstream: Run, shelf: Path, serve: Any) -> None:
    stub = serve()
    done = millstream("models")
    assert done.returncode == 0
    assert re.search(r"embedded/tiny +1\.0 kB +Q8_0 +2,048 +mit +.*tiny\.gguf", done.stdout)
    assert re.search(rf"stub/m .*{re.escape(stub.url.removesuffix('/v1'))}", done.stdout)
    found = json.loads(millstream("models", "list", "--json").stdout)
    assert {"embedded/tiny", "stub/m"} <= {model["name"] for model in found}


def test_remove(millstream: Run, shelf: Path, person: Sit) -> None:
    missing = millstream("models", "rm", "tinyy")
    assert missing.returncode == 3
    assert "tiny" in missing.stderr
    somebody = person("models", "rm", "tiny")
    somebody.see("Delete tiny (1.0 kB)?")
    somebody.type("\n")  # no is the first choice
    assert somebody.wait() == 0
    assert (shelf / "tiny.gguf").exists()
    done = millstream("models", "rm", "embedded/tiny")
    assert "tiny is deleted" in done.stderr
    assert not (shelf / "tiny.gguf").exists()
    theirs = millstream("models", "rm", "ollama/x")
    assert theirs.returncode == 1
    assert "ollama rm" in theirs.stderr


def test_show_of_a_file_that_is_no_model(millstream: Run, shelf: Path) -> None:
    done = millstream("models", "show", "tiny")
    assert done.returncode == 2
    assert "tiny.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_of_a_model_on_a_server(millstream: Run, serve: Any) -> None:
    serve()
    assert "stub/m" in millstream("models", "show", "stub/m").stdout
    missing = millstream("models", "show", "stub/other")
    assert missing.returncode == 3


def test_a_name_that_nothing_has(millstream: Run) -> None:
    done = millstream("models", "pull", "no-such-model")
    assert done.returncode == 2
    assert "hf:ORG/REPO" in done.stderr


def test_offline_fetches_nothing(millstream: Run) -> None:
    done = millstream("models", "pull", "smollm2", "--offline")
    assert done.returncode == 3
    assert "--offline" in done.stderr


def test_say_one_thing(millstream: Run, serve: Any) -> None:
    stub = serve(["Hi ", "there"])
    done = millstream("models", "chat", "stub/m", "Hello", "model")
    assert (done.returncode, done.stdout) == (0, "Hi there\n")
    piped = millstream("models", "chat", "stub/m", "--system", "Be brief.", stdin="From a pipe")
    assert piped.stdout == "Hi there\n"
    assert stub.prompts == ["Hello model", "Be brief.\nFrom a pipe"]
    silent = millstream("models", "chat", "stub/m")
    assert silent.returncode == 2


def test_a_talk_remembers(person: Sit, serve: Any) -> None:
    stub = serve(["First ", "answer"], ["Second"])
    somebody = person("models", "chat", "stub/m")
    somebody.see("Ctrl-D ends the talk")
    somebody.see("\n> ")
    somebody.type("One?\n")
    somebody.see("First answer")
    somebody.see("stub/m · ")
    somebody.type("Two?\n")
    somebody.see("Second")
    somebody.prompted()
    somebody.type("\x04")
    assert somebody.wait() == 0
    assert stub.prompts[1] == "One?\nFirst answer\nTwo?"


def test_ctrl_c_ends_an_answer_not_the_talk(person: Sit, serve: Any) -> None:
    serve(["Endless"], hang=True)
    somebody = person("models", "chat", "stub/m")
    somebody.see("\n> ")
    somebody.type("Go\n")
    somebody.see("Endless")
    somebody.interrupt()
    somebody.see("interrupted")
    somebody.prompted()
    somebody.type("\x04")
    assert somebody.wait() == 0


def test_doctor(millstream: Run, serve: Any) -> None:
    stub = serve()
    done = millstream("doctor")
    assert "Data directory" in done.stdout
    assert "Model servers" in done.stdout
    report = json.loads(millstream("doctor", "--json").stdout)
    assert any(probe.get("name") == "stub" for probe in report["tried"])
    verbose = millstream("doctor", "-v", "--lang", "zh")
    assert "模型服务" in verbose.stdout
    assert stub.url.removesuffix("/v1") in verbose.stdout


@pytest.mark.slow
@pytest.mark.model
def test_the_main_job(millstream: Run, person: Sit, tmp_path: Path) -> None:
    """From a machine without a model to a polished text, with one command."""
    shared = Path(__file__).parents[3] / "shared" / "apps" / "smartrans.yml"
    if not shared.is_file():
        pytest.skip("the app is not here")
    before = json.loads(millstream("models", "list", "--json").stdout)
    if before:
        pytest.skip("a model server runs here already")
    somebody = person("run", str(shared), "--local", "--offline", "--yes", "text2translate=Hello")
    assert somebody.wait() == 3
    assert "--offline" in somebody.screen
