"""`millstream models` and `doctor`, on servers of our own and files of our own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canned import edges, end, start
from cli.parts import Run, Write, llm
from cli.person import Person
from millstream.cli.fetch import suited

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
    surely = person("models", "rm", "embedded/tiny")
    surely.see("Delete tiny (1.0 kB)?")
    surely.type("y\n")
    surely.see("tiny is deleted")
    assert surely.wait() == 0
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


def test_an_answer_that_is_all_reasoning_is_told(millstream: Run, serve: Any) -> None:
    """As vLLM streams it, where the end of the reasoning never came."""
    serve(["So ", "hm\x1b[2J"], field="reasoning")
    done = millstream("models", "chat", "stub/m", "Hello")
    assert (done.returncode, done.stdout) == (0, "\n")
    assert "All that it wrote is marked as its reasoning:\nSo hm" in done.stderr
    assert "\x1b[2J" not in done.stderr


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


def test_an_error_does_not_end_a_talk_that_has_begun(person: Sit, serve: Any) -> None:
    stub = serve(["First answer"])
    somebody = person("models", "chat", "stub/m")
    somebody.see("\n> ")
    somebody.type("One?\n")
    somebody.see("stub/m · ")
    stub.close()
    somebody.type("Two?\n")
    somebody.see("Error: ")
    somebody.prompted()
    somebody.type("\x04")
    assert somebody.wait() == 0


def test_a_model_that_is_not_here_has_no_other_in_its_place(
    millstream: Run, serve: Any, shelf: Path
) -> None:
    serve()
    done = millstream("models", "chat", "nowhere", "Hello")
    assert done.returncode == 3
    assert "there is no model nowhere on the shelf" in done.stderr
    assert "--bind" not in done.stderr


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


@pytest.mark.parametrize("moment", ["\n> ", "Endless"])
def test_a_talk_ends_when_it_is_told_to(person: Sit, serve: Any, moment: str) -> None:
    """Between answers and in the middle of one."""
    serve(["Endless"], hang=True)
    somebody = person("models", "chat", "stub/m")
    somebody.see("\n> ")
    if moment == "Endless":
        somebody.type("Go\n")
        somebody.see(moment)
    time.sleep(0.2)
    somebody.process.terminate()
    assert somebody.wait() == 130


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


# ---------------------------------------------------------------------------- with a real model


@pytest.fixture
def embedded(packaged_model: Path, env: dict[str, str]) -> str:
    """The packaged model on the shelf of the data directory."""
    pytest.importorskip("xllamacpp")
    folder = Path(env["MILLSTREAM_HOME"], "models")
    folder.mkdir(parents=True)
    (folder / packaged_model.name).symlink_to(packaged_model)
    return f"embedded/{packaged_model.stem}"


@pytest.mark.slow
@pytest.mark.model
def test_a_run_on_the_packaged_model_says_what_it_is_worth(
    millstream: Run, write: Write, embedded: str
) -> None:
    short = llm(text="Say hello to {{#start.name#}}.")
    short["data"]["model"]["completion_params"] = {"max_tokens": 12}
    nodes = [start("name"), short, end(text="llm.text")]
    write("app.yml", nodes, edges("start>llm", "llm>end"))
    done = millstream("run", "app.yml", "name=Ann", "--model", embedded)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert f"≈ openai/gpt-x → {embedded} (by --model {embedded})" in done.stderr
    assert "it proves the pipe, not the prose" in done.stderr
    assert "millstream models pull qwen3-" in done.stderr
    quiet = millstream("run", "app.yml", "name=Ann", "--model", embedded, "-q", "--lang", "zh")
    assert quiet.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.model
def test_show_of_the_packaged_model(millstream: Run, embedded: str) -> None:
    facts = json.loads(millstream("models", "show", embedded, "--json").stdout)
    assert facts["architecture"] == "llama"
    assert facts["parameters"] == 134_515_008
    assert facts["context"] == 8192
    table = millstream("models", "show", embedded.removeprefix("embedded/"), "--lang", "zh").stdout
    assert "架构" in table


# -------------------------------------------------------------------------- where no model is


@pytest.fixture
def bare(millstream: Run, serve: Any) -> None:
    """A machine without any model, and a hub that answers on loopback."""
    if json.loads(millstream("models", "list", "--json").stdout):
        pytest.skip("a model server runs on this machine")
    hub = serve()
    millstream("endpoints", "remove", "stub")
    millstream("settings", "set", "hub.endpoint", hub.url)


def test_local_without_a_model_asks_which_to_fetch(bare: None, person: Sit, speaks: str) -> None:
    somebody = person("run", speaks, "name=x", "--local")
    somebody.see("Which shall be fetched?")
    somebody.see("smollm2-135m-instruct: 93.0 MB, apache-2.0, from the package index")
    somebody.prompted()
    none = re.findall(r"(\d)  none", somebody.screen)
    somebody.type(f"{none[0]}\n")
    assert somebody.wait() == 3
    assert "there is no model on this machine" in somebody.screen


def test_a_better_one_is_offered_by_the_hub_that_answers(
    bare: None, millstream: Run, person: Sit, speaks: str, serve: Any
) -> None:
    millstream("settings", "set", "hub.endpoint", "http://127.0.0.1:9")
    other = serve()
    millstream("endpoints", "remove", "stub")
    extra = {"MODELSCOPE_DOMAIN": other.url}
    somebody = person("run", speaks, "name=x", "--local", extra=extra)
    somebody.prompted()
    if not suited():
        pytest.skip("this machine has no memory for a better model")
    assert f"1  {suited()[0]}: " in somebody.screen
    assert "from a model hub" in somebody.screen
    somebody.interrupt()
    assert somebody.wait() == 130


def test_ctrl_c_at_the_question(bare: None, person: Sit, speaks: str) -> None:
    somebody = person("run", speaks, "name=x", "--local")
    somebody.see("Which shall be fetched?")
    somebody.prompted()
    somebody.interrupt()
    assert somebody.wait() == 130


def test_nobody_is_asked_in_a_pipe(bare: None, millstream: Run, speaks: str) -> None:
    done = millstream("run", speaks, "name=x", "--local")
    assert done.returncode == 3
    assert "millstream models pull smollm2" in done.stderr
