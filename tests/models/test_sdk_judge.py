"""The official SDK as the judge: for the same request it must send what we send.

A recording server takes the request of `openai`'s client and ours; bodies must be equal, and the
path, the query and the header with the key.
"""

from __future__ import annotations

from typing import Any

import pytest

from millstream.base import Secret
from millstream.engine.ports import Message, ModelChunk, ModelRef, ModelRequest
from millstream.models import openai as ours
from millstream.models.http import Http
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.loopback import Seen
from models.openai_server import OpenAIServer

sdk = pytest.importorskip("openai", reason="the official openai SDK is not installed")

KEY = "sk-judge-123456789"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
IMAGE = "data:image/png;base64,iVBORw0KGgo="

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name: (how the SDK is asked, how we are asked)
    "plain": ({}, {}),
    "parameters": (
        {"temperature": 0.3, "top_p": 0.8, "seed": 3, "stop": ["X"], "max_completion_tokens": 50},
        {"params": {"temperature": 0.3, "top_p": 0.8, "seed": 3, "max_tokens": 50}, "stop": ["X"]},
    ),
    "penalties": (
        {"presence_penalty": 0.5, "frequency_penalty": -0.5},
        {"params": {"presence_penalty": 0.5, "frequency_penalty": -0.5}},
    ),
    "a schema": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            }
        },
        {"schema": SCHEMA},
    ),
    "json": (
        {"response_format": {"type": "json_object"}},
        {"params": {"response_format": "json_object"}},
    ),
    "an image": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": IMAGE}},
                    ],
                }
            ]
        },
        {"messages": [Message("user", "What is this?", (File("image", "local_file", url=IMAGE),))]},
    ),
}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "翻译"},
]


def judged(seen: Seen) -> tuple[Any, ...]:
    headers = {name: seen.headers.get(name) for name in ("authorization", "api-key")}
    return seen.method, seen.path, dict(seen.query), headers, seen.body


async def compare(
    server: OpenAIServer, client: Any, target: Target, asked: dict[str, Any], own: dict[str, Any]
) -> None:
    body = {"model": target.server_model, "messages": MESSAGES} | asked
    stream = await client.chat.completions.create(
        **body, stream=True, stream_options={"include_usage": True}
    )
    theirs = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    messages = [Message(m["role"], m["content"]) for m in MESSAGES]  # type: ignore[arg-type]
    request = ModelRequest(ModelRef("openai", "gpt-4o"), **({"messages": messages} | own))
    async with Http(environ={}) as http:
        items = [item async for item in ours.generate(http, target, request)]
    text = "".join(item.text for item in items if isinstance(item, ModelChunk))
    assert text == theirs == "Hello"
    first, second = server.requests
    assert judged(second) == judged(first)


@pytest.mark.parametrize(("asked", "own"), CASES.values(), ids=CASES)
async def test_openai(asked: dict[str, Any], own: dict[str, Any]) -> None:
    async with OpenAIServer(key=KEY) as server:
        client = sdk.AsyncOpenAI(base_url=server.base_url, api_key=KEY)
        quirks = Quirks(max_tokens="max_completion_tokens")
        target = Target(
            "openai", "gpt-4o", "openai", server.base_url, Secret(KEY), quirks=quirks, images=True
        )
        await compare(server, client, target, asked, own)


@pytest.mark.parametrize(("asked", "own"), CASES.values(), ids=CASES)
async def test_azure(asked: dict[str, Any], own: dict[str, Any]) -> None:
    async with OpenAIServer("my-gpt", key=KEY) as server:
        client = sdk.AsyncAzureOpenAI(
            azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21"
        )
        quirks = Quirks(max_tokens="max_completion_tokens")
        target = Target(
            "azure_openai", "gpt-4o", "azure", server.url, Secret(KEY), "my-gpt",
            quirks=quirks, images=True,
        )  # fmt: skip
        await compare(server, client, target, asked, own)


async def test_bare_completions() -> None:
    async with OpenAIServer("gpt-3.5-turbo-instruct", key=KEY) as server:
        client = sdk.AsyncOpenAI(base_url=server.base_url, api_key=KEY)
        stream = await client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=9, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        assert "".join([c.choices[0].text async for c in stream if c.choices]) == "Hello"
        target = Target(
            "openai", "gpt-3.5-turbo-instruct", "openai", server.base_url, Secret(KEY),
            quirks=Quirks(completions=True),
        )  # fmt: skip
        request = ModelRequest(
            ModelRef("o", "m"), [Message("user", "Once")], "completion", {"max_tokens": 9}
        )
        async with Http(environ={}) as http:
            assert [item async for item in ours.generate(http, target, request)]
        first, second = server.requests
        assert judged(second) == judged(first)
