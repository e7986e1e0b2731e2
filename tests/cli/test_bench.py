"""`millstream bench` as a person runs it: tables, JSON, saved runs, reports, Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cli.parts import Run
from cli.person import COMMAND, Person
from cli.stub import Stub
from lab.models import llama

PIECES = ["word "] * 8
SCHEMA = Path(__file__).parents[2] / "docs/bench.schema.json"
QUICK = ("-p", "40", "-n", "8", "-r", "3", "--no-roofline")


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub(PIECES, pause=0.002)
    yield stub
    stub.close()


def test_a_table_for_people(millstream: Run, stub: Stub) -> None:
    done = millstream("bench", stub.url, *QUICK, "--hour-price", "2", "--currency", "EUR")
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == f"m @ {stub.url.removesuffix('/v1')}"
    rows = {line.split("  ")[0]: line for line in lines}
    for name in ("prefill tokens/s", "decode tokens/s", "first token", "inter-token p99",
                 "time per output token", "time per sample", "requests/s",
                 "price of a million tokens written"):  # fmt: skip
        assert name in rows, done.stdout
    assert rows["calls (failed)"].endswith("3 (0)")
    assert rows["price of a million tokens written"].endswith("EUR")
    assert "\x1b" not in done.stdout + done.stderr


def test_many_points_are_rows_and_chinese(millstream: Run, stub: Stub) -> None:
    done = millstream(
        "bench", stub.url, *QUICK, "--profile", "sweep", "-c", "8", "-r", "1", "--lang", "zh"
    )
    assert done.returncode == 0, done.stderr
    for count in (2, 4, 8):
        assert sum(f"40 → 8 · 并发 {count}" in line for line in done.stdout.splitlines()) >= 2
    assert "每输出 token 时间" in done.stdout


def test_json_is_as_the_schema_says_and_has_every_call(millstream: Run, stub: Stub) -> None:
    done = millstream("bench", stub.url, *QUICK, "--json", "--rate", "200", "--requests", "4")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (stage,) = told["measured"][0]["stages"]
    assert stage["point"]["profile"] == "poisson"
    assert len(stage["calls"]) == 12
    assert all(len(call["pieces"]) == 8 for call in stage["calls"])
    assert stage["figures"]["gap"]["count"] == 12 * 7
    assert told["comparison"] is None


def test_a_run_against_a_saved_one(millstream: Run, stub: Stub, tmp_path: Path) -> None:
    words = ("bench", stub.url, "-p", "40", "-n", "8", "-r", "5", "--no-roofline")
    assert millstream(*words, "--save", "old.json").returncode == 0
    stub.pause = 0.03  # so much slower that no neighbour can make up for it
    done = millstream(*words, "--against", "old.json", "--report", "r.html")
    assert done.returncode == 0, done.stderr
    (row,) = [
        line for line in done.stdout.splitlines() if " inter-token " in line and "→ 8" in line
    ]
    assert row.split()[-1] == "slower"
    assert "0.008" in row
    page = (tmp_path / "r.html").read_text()
    assert "Against the saved run" in page
    assert "</svg>" in page
    told = json.loads(millstream(*words, "--against", "old.json", "--json").stdout)
    verdicts = {each["metric"]: each["verdict"] for each in told["comparison"]["differences"]}
    assert verdicts["decode"] == verdicts["gap"] == "slower"


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("option", ["--save", "--report"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_costs_neither_the_figures_nor_an_older_file(
    millstream: Run,
    stub: Stub,
    env: dict[str, str],
    tmp_path: Path,
    option: str,
    form: tuple[str, ...],
) -> None:
    words = ("bench", stub.url, *QUICK, option, "kept")
    assert millstream(*words).returncode == 0
    before = (tmp_path / "kept").read_bytes()
    done = subprocess.run(
        [*COMMAND, *words, *form],
        capture_output=True, text=True, encoding="utf-8", env=env, cwd=tmp_path, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "kept cannot be written: File too large" in done.stderr
    assert f"by {option}" in done.stderr
    assert ("decode" if form else "decode tokens/s") in done.stdout
    assert (tmp_path / "kept").read_bytes() == before
    assert not list(tmp_path.glob(".kept*"))


def test_nothing_alike_costs_no_figures(millstream: Run, stub: Stub, tmp_path: Path) -> None:
    assert millstream("bench", stub.url, *QUICK, "--save", "old.json").returncode == 0
    words = (*QUICK, "-n", "4", "--against", "old.json", "--report", "r.html")
    done = millstream("bench", stub.url, *words)
    assert done.returncode == 2
    assert "nothing in this run was measured in old.json" in done.stderr
    assert "decode tokens/s" in done.stdout
    assert (tmp_path / "r.html").exists()


def test_several_models_and_one_that_is_not_there(millstream: Run, stub: Stub) -> None:
    done = millstream("bench", stub.url, "http://127.0.0.1:9/v1", "--model", "m", *QUICK)
    assert done.returncode == 3
    assert "decode tokens/s" in done.stdout  # what could be measured was
    assert "m @ http://127.0.0.1:9: nothing answers" in done.stderr


def test_an_address_that_cannot_even_be_asked_for_its_models(millstream: Run, stub: Stub) -> None:
    """The others are measured all the same."""
    dead = "http://127.0.0.1:9/v1"
    done = millstream("bench", dead, stub.url, *QUICK)
    assert done.returncode == 3
    assert "decode tokens/s" in done.stdout
    assert done.stderr.count("nothing answers") == 1
    assert dead in done.stderr
    both = millstream("bench", dead, f"{dead}/", *QUICK, "--json")
    assert both.returncode == 3
    assert [each["kind"] for each in json.loads(both.stdout)["measured"]] == ["missing"] * 2
    assert [each["label"] for each in json.loads(both.stdout)["measured"]] == [dead, f"{dead}/"]


def test_a_key_of_an_endpoint_is_sent_and_never_shown(
    millstream: Run, serve: Callable[..., Stub]
) -> None:
    stub = serve(PIECES)
    done = millstream("bench", "stub/m", *QUICK, "--json", "--save", "r.json",
                      STUB_API_KEY="sk-very-secret-1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(stub.keys) == {"Bearer sk-very-secret-1"}
    assert "very-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-p", "many"), 2, "--prompt takes whole numbers from 1 to 10,000,000"),
        (("-p", "0"), 2, "--prompt takes whole numbers from 1 to 10,000,000"),
        (("-n", ","), 2, "--output takes whole numbers"),
        (("--timeout", "soon"), 2, "--timeout takes a number from 0 on; 'soon' is not"),
        (("--profile", "constant"), 2, "sends calls at a rate, and none is given"),
        (("--profile", "sweep", "--rate", "2"), 2, "--rate means nothing to the profile sweep"),
        (("--rate", "2", "-d", "100"), 2, "--depth needs calls that wait"),
        (("--profile", "synchronous", "-c", "4"), 2, "sends one call at a time"),
        (("--kwh-price", "1"), 2, "nothing says how much the machine draws"),
        (("--threads", "2"), 2, "is not loaded by this program"),
        (("--against", "none.json"), 2, "none.json cannot be read"),
        (("--save", "no/where.json"), 2, "there is no folder"),
    ],
)
def test_wrong_words(
    millstream: Run, stub: Stub, words: tuple[str, ...], code: int, message: str
) -> None:
    done = millstream("bench", stub.url, *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not stub.prompts  # nothing was sent


def test_a_model_without_an_address(millstream: Run) -> None:
    done = millstream("bench", "some-model", "--model", "m")
    assert done.returncode == 2
    assert "no address of one is given" in done.stderr


def test_a_server_that_hangs(millstream: Run) -> None:
    stub = Stub(["word "], hang=True)
    done = millstream("bench", stub.url, *QUICK, "--timeout", "0.3")
    stub.close()
    assert done.returncode == 1
    assert "gave no sign of life for 0.3 s, the limit of --timeout" in done.stderr
    assert "→ Give it more time with --timeout" in done.stderr
    assert "kept" not in done.stderr


def test_what_was_measured_before_a_trouble_is_said_to_be_kept(millstream: Run) -> None:
    stub = Stub(["word "] * 8, locked_after=6)
    words = ("-p", "16", "-n", "8", "-r", "50", "--no-roofline")
    done = millstream("bench", stub.url, *words)
    stub.close()
    assert done.returncode == 3
    assert "16 → 8" in done.stdout
    assert "What had been measured is shown, and kept." in done.stderr


def test_a_prompt_that_is_too_long_for_a_model_here(millstream: Run, tmp_path: Path) -> None:
    """Before this machine is measured, or anything is loaded."""
    llama(tmp_path / "m.gguf")
    done = millstream("bench", "m.gguf", "-p", "9999999")
    assert done.returncode == 2
    assert "m was trained for" in done.stderr
    assert "come to 10,000,127" in done.stderr


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_files_that_are_not_written_because_nothing_was_measured(
    millstream: Run, tmp_path: Path, form: tuple[str, ...]
) -> None:
    (tmp_path / "old.json").write_bytes(b"")
    files = ("--save", "old.json", "--report", "r.html")
    done = millstream("bench", "http://127.0.0.1:9/v1", "--model", "m", *QUICK, *files, *form)
    assert done.returncode == 3
    assert "nothing answers" in done.stderr
    for name in ("old.json", "r.html"):
        assert f"Nothing was measured: {name} is not written." in done.stderr
    assert (tmp_path / "old.json").read_bytes() == b""
    assert not (tmp_path / "r.html").exists()


def test_ctrl_c_prints_what_was_measured(person: Callable[..., Person], stub: Stub) -> None:
    stub.pause = 0.02
    somebody = person("bench", stub.url, "-p", "40", "-n", "8", "-r", "1000", "--no-roofline")
    somebody.see("measuring 40 → 8  3/1000")
    somebody.process.send_signal(signal.SIGINT)
    somebody.see("Stopped. These are the figures")
    assert somebody.process.wait(30) == 130
    assert "decode tokens/s" in somebody.screen


def test_ctrl_c_before_anything_was_measured(person: Callable[..., Person]) -> None:
    stub = Stub([], hang=True)
    somebody = person("bench", stub.url, "--no-roofline")
    while not stub.prompts:
        time.sleep(0.05)
    somebody.process.send_signal(signal.SIGINT)
    assert somebody.process.wait(30) == 130
    stub.close()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="the extra `local` is not installed")
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system lists no processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process(
    env: dict[str, str], tmp_path: Path, packaged_model: Path, number: signal.Signals
) -> None:
    words = [str(packaged_model), "-p", "40", "-n", "16", "-r", "1000", "-t", "1", "--no-roofline"]
    process = subprocess.Popen(
        [*COMMAND, "bench", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
        start_new_session=True,
    )  # fmt: skip
    child = _child(process.pid)
    began = _seconds(child)
    while _seconds(child) < began + 1.0:  # loaded, and at work
        time.sleep(0.05)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopped" in err
    assert "decode tokens/s" in out or "before anything" in err
    assert not Path(f"/proc/{child}/cmdline").exists()


def _child(pid: int) -> int:
    """The process that holds the model, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for found in _children(pid):
            with suppress(OSError):  # one that has ended in the meantime
                if b"embedded/child.py" in Path(f"/proc/{found}/cmdline").read_bytes():
                    return found
        time.sleep(0.02)
    raise AssertionError("no child was started")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _seconds(pid: int) -> float:
    from millstream.lab.bench.watch import processor_seconds

    spent: Any = processor_seconds(pid)
    assert spent is not None, "the child is gone"
    return float(spent)
