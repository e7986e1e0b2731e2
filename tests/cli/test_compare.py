"""`millstream compare` as a person runs it: predicted, measured, refused, broken off."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.parts import Run
from cli.person import Person
from lab.models import llama
from millstream.lab import jobs
from millstream.lab.quantizer import quantize

QUICK = ("--rounds", "1", "-r", "1", "-p", "200", "-n", "24", "--chunks", "1", "--no-tasks",
         "--no-speed")  # fmt: skip
needs_library = pytest.mark.skipif(
    find_spec("xllamacpp") is None, reason="measuring needs the extra `local`"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(llama(tmp_path_factory.mktemp("models") / "Tiny-F16.gguf", spread=0.1))


def test_a_name_is_predicted(millstream: Run, tmp_path: Path) -> None:
    done = millstream("compare", "7b", "--no-speed", "--report", "r.html")
    assert done.returncode == 0, done.stderr
    for words in ("7b: 7.25B parameters", "26.6 %", "25 %", "as said", "Predicted: no weights"):
        assert words in done.stdout
    assert "Precision lost" not in done.stdout
    assert "7b: which precision" in (tmp_path / "r.html").read_text()
    chinese = millstream("--lang", "zh", "compare", "7b", "--no-speed", "--json")
    rows = json.loads(chinese.stdout)["rows"]
    assert [row["precision"] for row in rows] == ["FP32", "FP16", "INT8", "INT4"]


@needs_library
@pytest.mark.slow
def test_a_file_is_measured_and_nothing_is_left(
    millstream: Run, model: str, tmp_path: Path
) -> None:
    done = millstream("compare", model, *QUICK, "--json", "--report", "r.html")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["against"], found["base"], found["measured"]) == ("F32", "F32", True)
    for row in found["rows"]:
        ran = row["timed"]
        assert ran["decode"]["mean"] > 0
        assert ran["memory"] == pytest.approx(ran["foreseen"], rel=0.2)
    klds = [row["lost"]["figures"]["kld"]["value"] for row in found["rows"][1:]]
    assert klds == sorted(klds)  # F16, Q8_0, Q4_K_M: the fewer bits, the farther away
    assert found["rows"][1]["lost"]["perplexity"]["value"] == pytest.approx(0, abs=0.01)
    shelf = tmp_path / "home" / "models"
    assert not shelf.exists() or list(shelf.iterdir()) == []
    assert "When to use which" in (tmp_path / "r.html").read_text()


@needs_library
@pytest.mark.slow
def test_files_that_are_kept_are_taken_the_next_time(
    millstream: Run, model: str, tmp_path: Path
) -> None:
    words = ("compare", model, *QUICK, "--keep", "--scratch", "kept", "-q")
    (tmp_path / "kept").mkdir()
    done = millstream(*words)
    assert done.returncode == 0, done.stderr
    assert "The files stay in kept." in done.stdout
    files = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "kept").glob("*.gguf")}
    assert sorted(files) == ["Tiny-F32.gguf", "Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf"]
    assert millstream(*words).returncode == 0
    again = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "kept").glob("*.gguf")}
    assert again == files


@needs_library
def test_a_quantized_source_is_refused_with_what_to_do(
    millstream: Run, model: str, tmp_path: Path
) -> None:
    made = str(tmp_path / "Tiny-Q4_0.gguf")
    quantize(jobs.Quantize("m", [model], "Q4_0", made, threads=1), lambda step: None)
    done = millstream("compare", made, *QUICK)
    assert done.returncode == 2
    assert "quantized already (30 × Q4_0)" in done.stderr or "× Q4_0" in done.stderr
    assert "--allow-requantize" in done.stderr
    assert "--predict" in done.stderr
    assert millstream("compare", made, "--predict", "--no-speed").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("7b", "--rounds", "0"), "--rounds 0: it takes at least 1"),
        (("7b", "--types", "Q9"), "'Q9' is no type of GGUF files"),
        (("7b", "--report", "nowhere/r.html"), "the report nowhere/r.html cannot be written"),
        (("./nowhere.gguf",), "there is no file ./nowhere.gguf"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    millstream: Run, words: tuple[str, ...], message: str
) -> None:
    done = millstream("compare", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@needs_library
def test_an_architecture_that_nothing_here_loads(
    millstream: Run, model: str, tmp_path: Path
) -> None:
    data = Path(model).read_bytes().replace(b"llama", b"xlama")
    (tmp_path / "strange.gguf").write_bytes(data)
    done = millstream("compare", "strange.gguf", *QUICK)
    assert done.returncode == 3
    assert "strange has the architecture 'xlama'" in done.stderr
    assert list((tmp_path / "home").glob("models/*")) == []


@needs_library
@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(
    person: Callable[..., Person], model: str, tmp_path: Path
) -> None:
    somebody = person("compare", model, *QUICK)
    somebody.see("Timing")
    somebody.interrupt()
    assert somebody.wait() == 130
    assert "Precision lost" in somebody.screen  # what was measured by then is shown
    assert "Stopped before all was measured" in somebody.screen
    assert list((tmp_path / "home" / "models").glob(".passing-*")) == []


@needs_library
def test_ctrl_c_before_anything_was_measured(
    person: Callable[..., Person], model: str, tmp_path: Path
) -> None:
    somebody = person("compare", model, *QUICK)
    somebody.see("Reading")
    somebody.interrupt()
    assert somebody.wait() == 130
    for words in ("Speed", "Traceback"):  # nothing foreseen passes for measured
        assert words not in somebody.screen


@needs_library
@pytest.mark.slow
def test_what_is_asked_to_end_leaves_nothing(
    person: Callable[..., Person], model: str, tmp_path: Path
) -> None:
    somebody = person("compare", model, *QUICK)
    somebody.see("Reading")
    assert list((tmp_path / "home" / "models").glob(".passing-*"))
    somebody.process.terminate()
    assert somebody.wait() == 130
    assert not list((tmp_path / "home" / "models").glob(".passing-*"))


@needs_library
@pytest.mark.slow
def test_what_a_kill_has_left_goes_at_the_next_time(
    person: Callable[..., Person], millstream: Run, model: str, tmp_path: Path
) -> None:
    shelf = tmp_path / "home" / "models"
    somebody = person("compare", model, *QUICK)
    somebody.see("Reading")
    somebody.process.kill()
    somebody.process.wait()
    assert len(list(shelf.glob(".passing-*"))) == 1
    assert millstream("compare", model, *QUICK, "-q").returncode == 0
    assert list(shelf.glob(".passing-*")) == []
