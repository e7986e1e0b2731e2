"""A run that is stopped tells what it had done; a program that ends leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import canned
from canned import document, edges, end, node, start
from millstream.engine.events import NodeFinished, RunFinished, TextChunk
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest
from millstream.engine.scheduler import Run
from millstream.runtime import App, Result

LLM = node(
    "llm",
    "llm",
    model={"provider": "p", "name": "m", "mode": "chat"},
    prompt_template=[{"role": "user", "text": "go"}],
)


class Endless:
    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        while True:
            yield ModelChunk("word ")
            await asyncio.sleep(0.001)


async def test_stop_ends_the_stream_with_the_partial_text() -> None:
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Endless()))
    result = Result()
    async for event in app.stream():
        result.take(event)
        if isinstance(event, TextChunk) and event.seq > 10:
            app.stop()
    assert result.status == "stopped"
    assert [(n.name, n.status) for n in result.nodes] == [
        ("start", "succeeded"),
        ("llm", "stopped"),
    ]
    assert result.nodes[1].outputs["text"].startswith("word word ")
    assert app.stop() is False


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_run_can_be_stopped_at_any_event(number: int) -> None:
    """The first ones come before the run has had a turn of the loop."""
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Endless()))
    events = []
    async for event in app.stream():
        events.append(event)
        if event.seq == number:
            assert app.stop()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(events) <= max(7, number + 4)  # the node may have begun
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "stopped"
    finished = {e.name: e.status for e in events if isinstance(e, NodeFinished)}
    assert finished == {"start": "succeeded", "llm": "stopped"}
    assert len(asyncio.all_tasks()) == 1


class Slow(Endless):
    """Takes its time to end."""

    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        try:
            yield ModelChunk("word ")
            await asyncio.sleep(60)
        finally:
            for _ in range(5):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)


async def test_a_run_that_is_stopped_again_and_again_tells_all_the_same() -> None:
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Slow()))
    events = []
    async for event in app.stream():
        events.append(event)
        if isinstance(event, TextChunk):
            for wait in range(4):
                asyncio.get_running_loop().call_later(0.005 * wait, app.stop)
    finished = {e.name: e.status for e in events if isinstance(e, NodeFinished)}
    assert finished == {"start": "succeeded", "llm": "stopped"}
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "stopped"
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_run_can_be_left_at_any_event(number: int) -> None:
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Endless()))
    stream = app.stream()
    async for event in stream:
        if event.seq == number:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert app.stop() is False
    assert len(asyncio.all_tasks()) == 1


async def test_a_fault_of_the_engine_reaches_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Run) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(Run, "outputs", broken)
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Endless()))

    async def read() -> None:
        async for event in app.stream():
            if isinstance(event, TextChunk):
                app.stop()

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(read(), 10)


@pytest.mark.model
def test_a_program_that_closes_nothing_ends_without_a_word(
    tmp_path: Path, packaged_model: Path
) -> None:
    """The model in its own process, the sandbox and the connections are ended all the same."""
    nodes = [
        start("x"),
        node("code", "code", code_language="python3", outputs={"y": {"type": "string"}},
             code="def main():\n    return {'y': 'z'}", variables=[]),
        node("llm", "llm", model={"provider": "p", "name": "m", "mode": "chat",
                                  "completion_params": {"max_tokens": 4}},
             prompt_template=[{"role": "user", "text": "Say {{#code.y#}}"}]),
        end(text="llm.text"),
    ]  # fmt: skip
    data = document(nodes, edges("start>code", "code>llm", "llm>end"))
    (tmp_path / "app.json").write_text(json.dumps(data))
    (tmp_path / "models").mkdir()
    shutil.copyfile(packaged_model, tmp_path / "models" / "small.gguf")
    program = (
        "import millstream\n"
        "app = millstream.load('app.json', model='embedded/small', home='.')\n"
        "print(app.run(x='a').status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("succeeded\n", "")
