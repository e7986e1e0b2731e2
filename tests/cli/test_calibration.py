"""A machine that was disturbed while it was measured: every command that relies on it says so."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.parts import Run
from lab.models import llama
from lab.speeds import calibrated
from millstream.home import Home
from millstream.lab import hardware

AGAIN = "quiet: --calibrate"
ELSEWHERE = "quiet: millstream fit MODEL --calibrate"
needs_library = pytest.mark.skipif(
    find_spec("xllamacpp") is None, reason="measuring needs the extra `local`"
)


@pytest.fixture(params=[0.5, 1.0], ids=["disturbed", "quiet"])
def disturbed(request: pytest.FixtureRequest, env: dict[str, str], tmp_path: Path) -> bool:
    """Puts a calibration of this machine into the data directory."""
    types = (*hardware.USUAL_TYPES, "F32")
    made = msgspec.structs.replace(
        calibrated(types, share=request.param),
        measured=time.time(),
        processor=hardware.processor_name(),
        library=hardware._library(),
    )
    Home.open(Path(env["MILLSTREAM_HOME"])).remember(hardware._KEPT, msgspec.to_builtins(made))
    return bool(request.param < 1)


def said(text: str, again: str) -> int:
    """How often a text says it, with what measures the machine once more."""
    text = " ".join(text.split()).replace("<wbr>", "")
    words = "calibration of this machine was disturbed by others at work (this process got 50% of"
    assert text.count(words) == text.count(again)
    return text.count(words)


def noisy(data: Any) -> set[bool]:
    """What is said of noise anywhere in what `--json` prints."""
    if isinstance(data, dict):
        own = {data["noisy"]} if "noisy" in data else set()
        return own.union(*map(noisy, data.values()))
    return set().union(*map(noisy, data)) if isinstance(data, list) else set()


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["fit", "0.6b"], AGAIN),
        (["fit", "0.6b", "0.5b"], AGAIN),
        (["fit", "0.6b", "0.5b", "--all"], AGAIN),
        (["fit", "0.6b", "--for", "APP"], AGAIN),
        (["fit", "0.6b", "0.5b", "--for", "APP"], AGAIN),
        (["compare", "0.6b"], ELSEWHERE),
        (["models", "recommend"], ELSEWHERE),
    ],
    ids=["fit", "fit several", "fit all", "plan", "plans", "compare", "recommend"],
)
def test_it_is_said_once(
    millstream: Run, disturbed: bool, speaks: str, tmp_path: Path, words: list[str], again: str
) -> None:
    words = [speaks if word == "APP" else word for word in words]
    done = millstream(*words, "--report", "r.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text()
    assert said(done.stdout, again) == disturbed
    assert said(page, again) == disturbed
    assert noisy(json.loads(millstream(*words, "--json").stdout)) == {disturbed}


@needs_library
def test_bench_says_it_of_its_roofline(millstream: Run, disturbed: bool, tmp_path: Path) -> None:
    file = llama(tmp_path / "tiny-F16.gguf").name
    quick = ("-p", "200", "-n", "8", "-r", "1", "-t", "1")
    done = millstream("bench", file, *quick, "--report", "r.html", "--save", "run.json")
    assert done.returncode == 0, done.stderr
    assert "of the roofline" in done.stdout
    assert said(done.stdout, AGAIN) == disturbed
    assert said((tmp_path / "r.html").read_text(), AGAIN) == disturbed
    assert json.loads((tmp_path / "run.json").read_text())["calibration"]["noisy"] == disturbed
    without = millstream("bench", file, *quick, "--no-roofline")
    assert said(without.stdout, AGAIN) == 0


def test_a_recommendation_does_not_judge_by_it_as_if_it_were_sure(
    millstream: Run, disturbed: bool
) -> None:
    models = json.loads(millstream("models", "recommend", "--json").stdout)["models"]
    reasons = [why["text"] for each in models for why in each["why"]]
    sure = "quick enough to wait for"
    told = f"{sure}, as far as a disturbed calibration tells"
    if len(models) > 2:  # of a machine with much memory the best is not quick
        assert (told in reasons, sure in reasons) == (disturbed, not disturbed)
