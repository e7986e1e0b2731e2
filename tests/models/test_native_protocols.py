"""The same request to every native protocol, through the router, as a run makes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream.base import Secret
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest, Usage
from millstream.models import presets, structured
from millstream.models.http import Http, Patience
from millstream.models.router import Router
from models import anthropic_server, gemini_server
from models.loopback import Loopback, nothing_left_over
from models.ollama_server import OllamaServer

SMARTRANS = Path(__file__).resolve().parents[3] / "shared" / "apps" / "smartrans.yml"
SERVERS: dict[str, tuple[type[Loopback], str, str]] = {
    "ollama": (OllamaServer, "qwen3:8b", "answer_text"),
    "anthropic": (anthropic_server.AnthropicServer, "claude-sonnet-4-6", "text"),
    "gemini": (gemini_server.GeminiServer, "gemini-2.5-flash", "text"),
}
KEYS = {"anthropic": anthropic_server.KEY, "gemini": gemini_server.KEY}


@pytest.fixture(params=SERVERS)
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Router, Any, str]]:
    """A router to a server that speaks the protocol, the server, and its field for the answer."""
    kind, name, field = SERVERS[request.param]
    key = KEYS.get(request.param)
    patience = Patience(tries=1)
    async with kind() as server, Http(patience=patience, environ={}) as http:
        target = presets.target(
            request.param, name, key=key and Secret(key), base_url=server.url, environ={}
        )
        yield Router(http, lambda ref: target), server, field


async def said(router: Router, request: ModelRequest) -> tuple[str, ModelEnd]:
    items = [item async for item in router.generate(request)]
    assert isinstance(items[-1], ModelEnd)
    return "".join(item.text for item in items if isinstance(item, ModelChunk)), items[-1]


def request(text: str = "Who?", **more: Any) -> ModelRequest:
    return ModelRequest(ModelRef("azure_openai", "gpt-4o"), [Message("user", text)], **more)


@pytest.mark.skipif(not SMARTRANS.exists(), reason="../shared/apps is not here")
async def test_the_prompt_of_smartrans_gets_its_answer(served: tuple[Router, Any, str]) -> None:
    """A system message only, a temperature, vision on without a file."""
    router, server, field = served
    setattr(server, field, ["润色", "后的译文"])
    graph = yaml.safe_load(SMARTRANS.read_text())["workflow"]["graph"]
    node = next(node["data"] for node in graph["nodes"] if node["data"]["type"] == "llm")
    model = node["model"]
    messages = [Message(part["role"], part["text"]) for part in node["prompt_template"]]
    text, end = await said(
        router,
        ModelRequest(
            ModelRef(model["provider"], model["name"]),
            messages,
            mode=model["mode"],
            params=model["completion_params"],
        ),
    )
    assert (text, end.finish_reason, end.usage.calls) == ("润色后的译文", "stop", 1)


async def test_streams_are_closed_by_who_reads_them(served: tuple[Router, Any, str]) -> None:
    router, server, field = served
    setattr(server, field, ["one ", "two"])
    with nothing_left_over():
        await said(router, request())
        stream = router.generate(request())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]


async def test_an_answer_under_a_schema(served: tuple[Router, Any, str]) -> None:
    router, server, field = served
    setattr(server, field, ['{"name":', ' "林"}'])
    name = {"type": "string", "minLength": 1, "maxLength": 9}
    schema = {"type": "object", "properties": {"name": name}, "required": ["name"]}
    for _ in range(2):  # what the adapter learned of the model is there at the second one
        _, end = await said(router, request(schema=schema))
        assert end.structured == {"name": "林"}
    if isinstance(server, anthropic_server.AnthropicServer):
        # Not Anthropic's own address: such servers may ignore the schema, so words say it too.
        body = server.calls("/v1/messages")[-1]
        assert body["output_config"]["format"]["type"] == "json_schema"
        assert '"maxLength":9' in str(body["messages"][-1]["content"])
        assert end.rung == "extracted"
    else:
        assert end.rung in ("native", "grammar")


@pytest.mark.parametrize(
    ("url", "rung"), [("https://api.anthropic.com", "native"), ("http://gateway", "extracted")]
)
async def test_anthropic_s_own_service_holds_to_a_schema(url: str, rung: str) -> None:
    asked = []

    async def answer(request: ModelRequest) -> Any:
        asked.append(request.messages[-1].text)
        yield ModelChunk('{"a": 1}')
        yield ModelEnd(Usage())

    target = presets.target("anthropic", "claude-sonnet-4-6", base_url=url, environ={})
    stream = structured.generate(answer, target, request(schema={"type": "object"}), reasks=0)
    items = [item async for item in stream]
    assert items[-1].rung == rung  # type: ignore[union-attr]
    assert ("JSON schema" in asked[0]) == (rung == "extracted")


async def test_a_cancelled_call_is_cancelled_at_the_server(served: tuple[Router, Any, str]) -> None:
    router, server, field = served
    setattr(server, field, ["a", "b", "c"])
    server.hang_after = 4 if isinstance(server, anthropic_server.AnthropicServer) else 1
    answer = router.generate(request())
    await anext(answer)
    await answer.aclose()
    await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_task_that_is_cancelled_lets_go_of_the_server(
    served: tuple[Router, Any, str],
) -> None:
    router, server, _ = served
    server.hang_after = 0
    task = asyncio.create_task(said(router, request()))
    while not any(seen.method == "POST" and "show" not in seen.path for seen in server.requests):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.gone.wait(), 5)


async def test_many_calls_at_once(served: tuple[Router, Any, str]) -> None:
    router, _, _ = served
    answers = await asyncio.gather(*(said(router, request(f"Call {i}.")) for i in range(40)))
    assert {text for text, _ in answers} == {"Hello"}


async def test_half_a_character_does_not_stop_a_call(served: tuple[Router, Any, str]) -> None:
    """A text that somebody cut in the middle of a surrogate pair."""
    router, server, _ = served
    text, _ = await said(router, request("Smile \ud83d"))
    assert text == "Hello"
    assert "Smile ?" in str(server.requests[-1].body) + str(server.requests[-2:])


@pytest.mark.parametrize("half", [b"\xe6", b"\xe6\xb5", b"\\ud83d", b"\\ude00"])
async def test_nor_does_half_a_character_in_an_answer(
    served: tuple[Router, Any, str], half: bytes
) -> None:
    """As servers send it that cut their text between two tokens of a character."""
    router, server, field = served
    setattr(server, field, ["Hal", "HALF", "lo \\ud83d \N{GRINNING FACE}"])
    stream = server.stream

    async def cutting(request: Any, pieces: Iterable[bytes]) -> Any:
        return await stream(request, [piece.replace(b"HALF", half) for piece in pieces])

    server.stream = cutting
    text, end = await said(router, request())
    assert text == "Hal\N{REPLACEMENT CHARACTER}lo \\ud83d \N{GRINNING FACE}"
    assert end.finish_reason == "stop"
