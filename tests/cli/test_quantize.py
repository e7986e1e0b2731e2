"""`millstream quantize` as a person and as a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.parts import Run
from lab.configs import llama as llama_config
from lab.models import llama
from lab.test_names import weights


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
        ("bare", "bare has a config.json and no weights: there is nothing to quantize", 2),
        ("odd", "odd has a tensor of a type that is not known here: 'a.weight', type F4", 2),
    ],
)
def test_what_cannot_be_quantized(
    millstream: Run, tmp_path: Path, source: str, message: str, code: int
) -> None:
    for name in ("bare", "odd"):
        (tmp_path / name).mkdir()
        config = llama_config(64, 2, 128, 4, 2, 100, 512)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    (tmp_path / "odd/model.safetensors").write_bytes(weights({"a.weight": (4, 4)}, "F4"))
    done = millstream("quantize", source, "-t", "Q8_0")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["xlama", "lllll"])
def test_an_architecture_that_nothing_here_loads(
    millstream: Run, tmp_path: Path, name: str
) -> None:
    """It becomes what was asked for, with a warning."""
    file = llama(tmp_path / "tiny-F16.gguf")
    file.write_bytes(file.read_bytes().replace(b"llama", name.encode()))
    words = ("quantize", file.name, "-t", "Q8_0", "-o", "out")
    warning = f"the llama.cpp in use does not know the architecture {name!r}"
    for more in ("--dry-run", "--force"):
        done = millstream(*words, more, "--json", "--report", "q.html")
        assert done.returncode == 0, done.stderr
        assert warning in done.stderr
        ((told,),) = (each["warnings"] for each in json.loads(done.stdout))
        assert told.startswith(warning)
        assert name in (tmp_path / "q.html").read_text()
    assert (tmp_path / "out/tiny-Q8_0.gguf").exists()
    for command in (("loss", file.name, "out/tiny-Q8_0.gguf"), ("bench", "out/tiny-Q8_0.gguf")):
        refused = millstream(*command)
        assert (refused.returncode, name in refused.stderr) == (3, True)


def test_what_is_wrong_is_said_with_what_to_do(millstream: Run, tmp_path: Path) -> None:
    llama(tmp_path / "tiny-F16.gguf")
    done = millstream("quantize", "tiny-F16.gguf", "-t", "Q4_0", "-o", "o", "--imatrix", "nope")
    assert done.returncode == 2
    assert "the importance matrix nope cannot be read: No such file" in done.stderr
    assert "→ Give the file that llama.cpp's `llama-imatrix` has written" in done.stderr
    assert not (tmp_path / "o").exists()
