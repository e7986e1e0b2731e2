"""A model that brings llama.cpp down: said in words, whatever is written where our lines go."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import zoo
from millstream.base import Failed
from millstream.home import Home
from millstream.models.embedded import EmbeddedModels, runtime
from millstream.models.http import Http

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")


def crashing(path: Path) -> Path:
    """Heads that are shorter than what rotates in them: llama.cpp notices when it computes."""
    header = zoo.metadata("gemma4")
    del header["gemma4.rope.dimension_count_swa"]
    return zoo.write_table(path, header, zoo.table("gemma4"))


async def test_a_model_that_ends_its_process(tmp_path: Path) -> None:
    path = crashing(tmp_path / "m.gguf")
    async with Http(environ={}) as http:
        models = EmbeddedModels(Home.open(tmp_path / "home"), http)
        with pytest.raises(Failed) as caught:
            await models.target(path, context=512, slots=1)
        assert "GGML_ASSERT" in caught.value.message or "SIGABRT" in caught.value.message
        assert models.loaded() == []
        await models.close()


async def test_lines_that_are_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A debugger that the system calls writes to the same place."""
    child = tmp_path / "child.py"
    words = "print('[New LWP 16278]\\nTo enable execution', flush=True)\n"
    child.write_text(words + runtime._CHILD.read_text())
    monkeypatch.setattr(runtime, "_CHILD", child)
    path = zoo.write(tmp_path / "m.gguf", "llama-gqa")
    async with Http(environ={}) as http:
        models = EmbeddedModels(Home.open(tmp_path / "home"), http)
        assert (await models.target(path, context=512, slots=1)).context == 512
        await models.close()
