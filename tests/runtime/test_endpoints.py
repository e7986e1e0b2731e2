"""What is known of an endpoint before a run: nobody there, a key that it refuses, no such model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import millstream
from millstream.base import NotHere, set_language
from millstream.home import Endpoint, Home
from models.loopback import Seen, reply
from models.openai_server import OpenAIServer

APP = """
app: {mode: workflow, name: One}
workflow:
  graph:
    nodes:
    - {id: s, data: {type: start, title: s, variables: []}}
    - id: l
      data:
        type: llm
        title: l
        model: {provider: openai, name: gpt-4o, mode: chat, completion_params: {}}
        prompt_template: [{role: user, text: hello}]
    - {id: e, data: {type: end, title: e, outputs: [{variable: o, value_selector: [l, text]}]}}
    edges: [{source: s, target: l}, {source: l, target: e}]
"""


class Server(OpenAIServer):
    """owner: who owns its models, which tells what kind of server it is."""

    owner = "vllm"

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.path == "/v1/models":
            if self.key and seen.headers.get("authorization") != f"Bearer {self.key}":
                return reply({"error": "Unauthorized"}, 401)
            models = [{"id": m, "owned_by": self.owner, "max_model_len": 99} for m in self.models]
            return reply({"object": "list", "data": models})
        return await super().answer(request, seen)


async def run(
    server: Server, home: Path, model: str = "box/small", protocol: Any = "openai"
) -> str:
    set_language("en")
    opened = Home.open(home)
    opened.settings.add_endpoint(Endpoint("box", server.base_url, protocol=protocol))
    async with millstream.loads(APP, model=model, home=home) as app:
        last: Any = None
        async for event in app.stream({}):
            last = event
    assert last.status == "succeeded", last.error
    return str(last.outputs["o"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BOX_API_KEY", raising=False)
    return tmp_path / "home"


async def test_a_model_that_is_there(home: Path) -> None:
    async with Server("small", "big") as server:
        assert await run(server, home) == "Hello"


async def test_a_model_that_is_not_there_is_told_before_the_run(home: Path) -> None:
    async with Server("small", "big") as server:
        with pytest.raises(NotHere) as caught:
            await run(server, home, "box/none")
        assert "does not serve none (it serves: small, big)" in caught.value.message
        assert server.calls("/v1/chat/completions") == []


async def test_a_server_that_serves_more_than_it_lists_is_asked(home: Path) -> None:
    """llama.cpp takes any name; what a gateway of an unknown kind does, nobody knows."""
    for owner in ("llamacpp", "me"):
        async with Server("small") as server:
            server.owner = owner
            server.models = ("small",)
            with pytest.raises(AssertionError, match="none"):  # refused by the call itself
                await run(server, home, "box/none")
            assert len(server.calls("/v1/chat/completions")) == 1


async def test_a_key_that_is_missing_or_wrong_is_told_before_the_run(home: Path) -> None:
    async with Server("small", key="right") as server:
        with pytest.raises(NotHere) as caught:
            await run(server, home)
        assert caught.value.code == "models.key-missing"
        Home.open(home).credentials.set("box", "wrong-key")
        with pytest.raises(NotHere) as caught:
            await run(server, home)
        assert caught.value.code == "models.key-wrong"
        assert server.calls("/v1/chat/completions") == []
        Home.open(home).credentials.set("box", "right")
        assert await run(server, home) == "Hello"


async def test_nobody_there(home: Path) -> None:
    server = Server("small")
    async with server:
        pass
    with pytest.raises(NotHere) as caught:
        await run(server, home)
    assert caught.value.code == "models.connection-refused"
    with pytest.raises(NotHere) as caught:
        await run(server, home, protocol="anthropic")
    assert caught.value.code == "models.connection-refused"
