"""A run that somebody stops tells what it had done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import canned
from canned import edges, end, node, start
from millstream.engine.events import TextChunk
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest
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


async def test_a_run_that_is_stopped_before_its_first_turn_has_a_last_event_too() -> None:
    app = App(canned.app([start(), end()], edges("start>end")), ports=canned.ports())
    asyncio.get_running_loop().call_soon(app.stop)  # comes before the run that begins now
    events = [event async for event in app.stream()]
    assert [type(event).__name__ for event in events][-1] == "RunFinished"


async def test_leaving_the_stream_early_stops_the_run() -> None:
    spec = canned.app([start(), LLM, end(text="llm.text")], edges("start>llm", "llm>end"))
    app = App(spec, ports=canned.ports(models=Endless()))
    stream = app.stream()
    async for event in stream:
        if isinstance(event, TextChunk):
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert app.stop() is False
    assert len(asyncio.all_tasks()) == 1
