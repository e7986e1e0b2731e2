"""`millstream quantize` as a person and as a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.parts import Run
from lab.models import llama


def test_files_are_made_told_and_kept(millstream: Run, tmp_path: Path) -> None:
    llama(tmp_path / "tiny-F16.gguf")
    words = ("quantize", "tiny-F16.gguf", "-t", "Q8_0,Q4_K_M", "-o", "out")
    planned = millstream(*words, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "Q4_K_M" in planned.stdout
    assert not (tmp_path / "out").exists()
    done = millstream(*words, "--json", "--report", "q.html")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    files = {path.name for path in (tmp_path / "out").glob("*.gguf")}
    assert files == {"tiny-Q8_0.gguf", "tiny-Q4_K_M.gguf"}
    assert "tiny" in (tmp_path / "q.html").read_text()
    assert millstream(*words).returncode == 0
    again = json.loads(millstream(*words, "--json").stdout)
    assert str(made).count("'sha256'") == str(again).count("'sha256'") == 2
    assert str(again).count("'kept': True") == 2


@pytest.mark.parametrize(
    ("source", "message", "code"),
    [
        ("7b", "7b is a size, not a model: there are no weights to quantize", 2),
        ("nowhere.gguf", "nowhere.gguf", 2),
    ],
)
def test_what_cannot_be_quantized(millstream: Run, source: str, message: str, code: int) -> None:
    done = millstream("quantize", source, "-t", "Q8_0")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
