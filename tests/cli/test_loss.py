"""`millstream loss` as a person runs it: tables, JSON, a report, an app; refusals; Ctrl-C."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canned import edges, end, node, start
from cli.parts import Run, Write, llm
from cli.person import Person
from lab.configs import llama as llama_config
from lab.models import llama
from lab.test_names import llama_weights, weights
from millstream.lab import jobs, texts
from millstream.lab.quantizer import quantize

pytest.importorskip("xllamacpp", reason="measuring needs the extra `local`")

QUICK = ("--context", "64", "--chunks", "2", "--batch", "32", "--threads", "1")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    source = llama(folder / "Tiny-F16.gguf", spread=0.1)
    made = folder / "Tiny-Q4_0.gguf"
    quantize(jobs.Quantize("m", [str(source)], "Q4_0", str(made), threads=1), lambda step: None)
    return str(source), str(made)


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "some.txt").write_text(texts.text("en")[:600])
    return "some.txt"


def test_tables_for_people(millstream: Run, models: tuple[str, str], text: str) -> None:
    done = millstream("loss", *models, *QUICK, "--text", text)
    assert done.returncode == 0, done.stderr
    for words in ("How far from the base", "Tiny-F16 (base)", "0/39", "What it still can do"):
        assert words in done.stdout
    row = next(line for line in done.stdout.splitlines() if "Tiny-Q4_0" in line)
    assert "±" in row
    assert "62 tokens of some.txt count (chunks of 64); 104 tasks; threads: 1" in done.stderr
    assert "62 tokens are few" in done.stderr
    assert "do little better than chance" in done.stderr.replace("does", "do")
    quiet = millstream("-q", "loss", *models, *QUICK, "--text", text, "--no-tasks")
    assert quiet.stderr == ""


def test_json_and_a_text_on_standard_input(millstream: Run, models: tuple[str, str]) -> None:
    said = texts.text("zh")[:200]
    done = millstream("loss", *models, *QUICK, "--text", "-", "--no-tasks", "--json", stdin=said)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    loss = found["loss"]
    assert found["app"] is None
    assert [text["name"] for text in loss["texts"]] == ["<standard input>"]
    (quant,) = loss["quants"]
    assert quant["type"] == "Q4_0"
    assert set(quant["whole"]["percentiles"]) >= {"50", "99", "99.9", "100"}
    assert quant["whole"]["kld"]["value"] > 0
    assert loss["base"]["whole"]["perplexity"]["value"] > 1
    assert loss["base"]["original"] is True


def test_texts_of_one_name_are_told_apart_and_repeats_count_once(
    millstream: Run, models: tuple[str, str], tmp_path: Path
) -> None:
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.txt").write_text(texts.text("en")[number * 600 :][:600])
    words = ["a/t.txt", "zh", "b/t.txt", "./a/t.txt", "zh"]
    given = [each for word in words for each in ("--text", word)]
    done = millstream("loss", *models, *QUICK, *given, "--no-tasks", "--json")
    assert done.returncode == 0, done.stderr
    loss = json.loads(done.stdout)["loss"]
    assert [text["name"] for text in loss["texts"]] == ["a/t.txt", "zh", "b/t.txt"]
    for model in (loss["base"], *loss["quants"]):
        parts = [each["tokens"] for each in model["texts"].values()]
        assert len(parts) == 3
        assert sum(parts) == model["whole"]["tokens"]


def test_a_report(millstream: Run, models: tuple[str, str], text: str, tmp_path: Path) -> None:
    words = ("--text", text, "--text", "zh", "--report", "loss.html", "--lang", "zh")
    done = millstream("loss", *models, *QUICK, *words)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "loss.html").read_text()
    for said in ("量化的代价：Tiny-F16", "Q4_0", "大小与散度", "任务正确率", "<svg"):
        assert said in page


def test_from_the_shelf_with_the_same_file_twice(
    millstream: Run, models: tuple[str, str], text: str, tmp_path: Path
) -> None:
    shelf = tmp_path / "home" / "models"
    shelf.mkdir(parents=True)
    os.symlink(models[0], shelf / "tiny.gguf")
    words = (*QUICK, "--text", text, "--no-tasks", "--json")
    done = millstream("loss", models[0], "tiny", *words)
    assert done.returncode == 0, done.stderr
    (quant,) = json.loads(done.stdout)["loss"]["quants"]
    assert quant["name"] == "tiny"
    assert quant["whole"]["kld"]["value"] == 0
    assert quant["whole"]["same_top"]["value"] == 1


# ------------------------------------------------------------------------------------------ an app


@pytest.mark.model
@pytest.mark.slow
def test_an_app_on_each_model(
    millstream: Run, write: Write, packaged_model: Path, tmp_path: Path
) -> None:
    """The app asks for chance; runs without it give the same text from the same file."""
    ask = llm(text="What is the capital of {{#start.name#}}? Answer with one word.")
    params = {"temperature": 1.5, "max_tokens": 40}
    ask["data"]["model"]["completion_params"] = params
    app = write("ask.yml", [start("name"), ask, end(answer="llm.text")],
                edges("start>llm", "llm>end")).name  # fmt: skip
    lines = [
        {"inputs": {"name": "France"}, "expect": {"contains": "Paris"}},
        {"name": "never", "inputs": {"name": "Japan"}, "expect": {"equals": "Tokyo"}},
    ]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.symlink(packaged_model, tmp_path / "again.gguf")
    words = ("--no-text", "--no-tasks", "--app", app, "--cases", "cases.jsonl")
    done = millstream("loss", str(packaged_model), "again.gguf", *words, "--report", "app.html")
    assert done.returncode == 0, done.stderr
    assert "The app: " in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.strip().startswith("again "))
    assert "1/2 (50 ± 50 %)" in row, done.stdout
    assert "1.000" in row
    assert "2/2" in row
    assert "MB" in row
    assert "again, never: is not 'Tokyo' ← " in done.stdout
    assert "temperature 0, a fixed seed" in done.stderr
    assert "Tokyo" in (tmp_path / "app.html").read_text()


@pytest.fixture
def translates(millstream: Run, write: Write, tmp_path: Path) -> str:
    """An app whose first node asks a service that is not there."""
    tool = node(
        "t", "tool", provider_id="google_translate", provider_type="builtin",
        tool_name="translate", tool_configurations={"dest": "fr"},
        tool_parameters={"content": {"type": "mixed", "value": "{{#start.name#}}"}},
    )  # fmt: skip
    endpoint = "http://127.0.0.1:1/translate_a/single"
    done = millstream("settings", "set", "translate.endpoint", endpoint)
    assert done.returncode == 0, done.stderr
    (tmp_path / "cases.jsonl").write_text('{"inputs": {"name": "Good morning."}}\n' * 2)
    ask = llm(text="{{#t.text#}}")
    ask["data"]["model"]["completion_params"] = {"max_tokens": 8}
    nodes = [start("name"), tool, ask, end(text="llm.text")]
    return write("t.yml", nodes, edges("start>t", "t>llm", "llm>end")).name


def test_cases_that_never_ask_the_model_are_no_result(
    millstream: Run, models: tuple[str, str], translates: str
) -> None:
    words = ("--no-text", "--no-tasks", "--app", translates, "--cases", "cases.jsonl")
    done = millstream("loss", *models, *words)
    assert done.returncode == 1
    assert "0/2" in done.stdout
    assert "the app says nothing of Tiny-F16, Tiny-Q4_0" in done.stderr
    assert (done.stdout + done.stderr).count("Google Translate did not answer") == 1
    assert "--bind google_translate/translate=llm, or --local" in done.stderr
    data = json.loads(millstream("loss", *models, *words, "--json").stdout)
    outcomes = [each for run in data["app"]["runs"] for each in run["outcomes"]]
    assert [each["asked"] for each in outcomes] == [False] * 4
    assert all("--local" in each["next"] for each in outcomes)


@pytest.mark.model
@pytest.mark.parametrize("words", [("--local",), ("--bind-tool", "*=llm")])
def test_tools_have_substitutes_as_in_a_run(
    millstream: Run, translates: str, packaged_model: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """The measured model does a tool's work, too; it is itself no substitute."""
    os.symlink(packaged_model, tmp_path / "again.gguf")
    asked = ("--no-text", "--no-tasks", "--app", translates, "--cases", "cases.jsonl", *words)
    done = millstream("loss", str(packaged_model), "again.gguf", *asked, "--report", "app.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2/2 (100") == 2, done.stdout
    told = "google_translate/translate → translation by the model that is measured"
    assert done.stderr.count(told) == 1
    assert done.stderr.count("≈ ") == 1
    assert told in (tmp_path / "app.html").read_text()


@pytest.mark.model
def test_ctrl_c_in_the_cases_keeps_those_that_have_run(
    person: Callable[..., Person], write: Write, packaged_model: Path, tmp_path: Path
) -> None:
    ask = llm(text="Write about {{#start.name#}}.")
    ask["data"]["model"]["completion_params"] = {"max_tokens": 60}
    app = write("ask.yml", [start("name"), ask, end(answer="llm.text")],
                edges("start>llm", "llm>end")).name  # fmt: skip
    line = json.dumps({"inputs": {"name": "France"}}) + "\n"
    (tmp_path / "cases.jsonl").write_text(line * 4)
    os.symlink(packaged_model, tmp_path / "again.gguf")
    words = ("--no-text", "--no-tasks", "--app", app, "--cases", "cases.jsonl")
    somebody = person("loss", str(packaged_model), "again.gguf", *words)
    somebody.see("the app runs on again 62 %")  # one of four has run
    somebody.interrupt()
    assert somebody.wait() == 130
    somebody.see("4/4 (100")
    somebody.see("1/1 (100")
    somebody.see("5 of the 8 runs of cases were done")


def test_an_app_that_lacks_something_is_refused_before_the_work(
    millstream: Run, models: tuple[str, str], speaks: str, tmp_path: Path
) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text('{"inputs": {"name": "x"}}\n{"inputs": {}}\n')
    words = ("--app", speaks, "--cases", "cases.jsonl")
    done = millstream("loss", *models, *words)
    assert done.returncode == 2
    assert "cases.jsonl:2" in done.stderr
    assert "name" in done.stderr
    cases.write_text('{"inputs": {"name": "x"}}\n{"inputs":')
    done = millstream("loss", *models, *words)
    assert done.returncode == 2
    assert "cases.jsonl:2" in done.stderr
    assert "not JSON" in done.stderr
    cases.write_text('{"inputs": {"name": "x"}, "expect": {"output": "zz", "contains": "y"}}\n')
    done = millstream("loss", *models, *words)
    assert done.returncode == 2
    assert "no output 'zz'" in done.stderr
    assert "cases.jsonl:1" in done.stderr


def test_figures_are_kept_when_the_app_fails(
    millstream: Run, models: tuple[str, str], text: str, write: Write, tmp_path: Path
) -> None:
    """The small model has no chat template that an app could use, or answers nonsense: whatever
    the cases come to, what was measured before is shown."""
    app = write("ask.yml", [start("name"), llm(), end(answer="llm.text")],
                edges("start>llm", "llm>end")).name  # fmt: skip
    (tmp_path / "cases.jsonl").write_text('{"inputs": {"name": "x"}, "expect": {"equals": "y"}}\n')
    words = (*QUICK, "--text", text, "--no-tasks", "--app", app, "--cases", "cases.jsonl")
    done = millstream("loss", *models, *words)
    assert "How far from the base" in done.stdout
    assert "Traceback" not in done.stderr


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--context", "4"), 2, "--context must be 8 or more, not 4"),
        (("--threads", "0"), 2, "--threads must be 1 or more, not 0"),
        (("--no-text", "--no-tasks"), 2, "there is nothing left to measure"),
        (("--app", "app.yml"), 2, "--app and --cases go together"),
        (("--local",), 2, "--local says how an app is run, and there is none"),
        (("--text", "none.txt"), 2, "the text none.txt cannot be read: No such file"),
        (("--report", "no/where.html"), 2, "the report no/where.html cannot be written"),
        (("--text", "latin.txt"), 2, "the text latin.txt is not in UTF-8 (byte 4)"),
    ],
)
def test_what_is_asked_wrongly(
    millstream: Run, models: tuple[str, str], tmp_path: Path,
    words: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    done = millstream("loss", *models, *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_models_that_are_not_there_or_no_pair(
    millstream: Run, models: tuple[str, str], tmp_path: Path
) -> None:
    done = millstream("loss", models[0], "none.gguf")
    assert done.returncode == 2
    assert "none.gguf" in done.stderr
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(models[1]).read_bytes()[:-5000])
    done = millstream("loss", models[0], "cut.gguf")
    assert done.returncode == 2
    assert "cut.gguf" in done.stderr
    other = llama(tmp_path / "other.gguf", words=False)
    done = millstream("loss", models[0], str(other))
    assert done.returncode == 2
    assert "different vocabularies" in done.stderr


def test_what_is_no_gguf_file(millstream: Run, models: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "st"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(llama_config(64, 2, 128, 4, 2, 100, 512)))
    done = millstream("loss", models[0], "st")
    assert done.returncode == 2
    assert "st has a config.json and no weights" in done.stderr
    assert "models pull" not in done.stderr
    (folder / "model.safetensors").write_bytes(weights(llama_weights(), "F16"))
    done = millstream("loss", models[0], "st")
    assert "st is no GGUF file" in done.stderr
    assert "millstream quantize st -t F16" in done.stderr
    done = millstream("loss", models[0], "7b")
    assert "7b is a size, not a model" in done.stderr


def test_what_was_measured_is_shown_with_the_trouble(
    millstream: Run, models: tuple[str, str], text: str, tmp_path: Path
) -> None:
    data = bytearray(Path(models[0]).read_bytes())
    data[-2:] = b"\x00\x7e"  # no number, in 16 bits
    (tmp_path / "broken.gguf").write_bytes(data)
    words = (*QUICK, "--text", text, "--no-tasks")
    done = millstream("loss", models[0], "broken.gguf", models[1], *words)
    assert done.returncode == 1
    assert "broken predicts no numbers (NaN)" in done.stderr
    assert "2 of the 3 models were measured" in done.stderr
    assert "Tiny-Q4_0" in done.stdout
    again = millstream("loss", models[0], "broken.gguf", models[1], *words, "--json", "--quiet")
    assert again.returncode == 1
    said = json.loads(again.stdout)["loss"]
    assert [quant["name"] for quant in said["quants"]] == ["Tiny-Q4_0"]
    assert [note["key"] for note in said["missing"]] == ["loss.cut", "loss.left-out"]


def test_all_files_that_are_no_good_are_told(
    millstream: Run, models: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "cut.gguf").write_bytes(Path(models[1]).read_bytes()[:-1000])
    (tmp_path / "other.gguf").write_bytes(b"GGML" + bytes(100))
    done = millstream("loss", models[0], "cut.gguf", models[1], "other.gguf", "nowhere.gguf")
    assert done.returncode == 2
    assert [name in done.stderr for name in ("cut.gguf", "other.gguf", "nowhere.gguf")] == [
        True
    ] * 3
    assert done.stderr.count("Error:") == 3


def test_a_circle_of_links_as_a_text(
    millstream: Run, models: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "one.txt").symlink_to(tmp_path / "other.txt")
    (tmp_path / "other.txt").symlink_to(tmp_path / "one.txt")
    done = millstream("loss", *models, "--text", "one.txt")
    assert done.returncode == 2
    assert "one.txt cannot be read: Too many levels of symbolic links" in done.stderr


def test_ctrl_c(person: Callable[..., Person], models: tuple[str, str], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words: tuple[Any, ...] = ("--chunks", "0", "--context", "64", "--scratch", str(scratch))
    somebody = person("loss", *models, *words)
    somebody.see("is reading")
    somebody.interrupt()
    assert somebody.wait() == 130
    assert "Traceback" not in somebody.screen
    assert list(scratch.iterdir()) == []
