"""Where results may not go: over what they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.parts import Run
from lab.models import llama

FILES = ("m.gguf", "app.yml", "app.json", "cases.jsonl")


@pytest.fixture
def files(hello: str, tmp_path: Path) -> dict[str, bytes]:
    llama(tmp_path / "m.gguf")
    (tmp_path / "app.yml").write_bytes((tmp_path / hello).read_bytes())
    (tmp_path / "app.json").write_text(json.dumps({"app": {"mode": "workflow"}, "version": "1"}))
    (tmp_path / "cases.jsonl").write_text('{"inputs": {"name": "x"}}\n')
    return {name: (tmp_path / name).read_bytes() for name in FILES}


@pytest.mark.parametrize(
    "words",
    [
        "fit m.gguf --report m.gguf",
        "fit --for app.yml --local --report app.yml",
        "models recommend --report app.yml",
        "quantize m.gguf -t Q8_0 --report m.gguf",
        "loss m.gguf m.gguf --report m.gguf",
        "loss m.gguf m.gguf --app app.yml --cases cases.jsonl --report cases.jsonl",
        "compare m.gguf --predict --report m.gguf",
        "bench m.gguf --report m.gguf",
        "bench m.gguf --save m.gguf",
        "bench m.gguf --save app.json",
        "bench m.gguf --save app.yml",
        "show app.yml -o app.yml",
        "show app.yml -o ./app.yml --svg",
    ],
)
def test_nothing_is_written_over_what_it_is_made_from(
    millstream: Run, files: dict[str, bytes], tmp_path: Path, words: str
) -> None:
    done = millstream(*words.split())
    assert done.returncode == 2, done.stderr
    assert "not replaced by" in done.stderr
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == files
