"""The OpenAI adapter against a real llama.cpp server, with the packaged model.

The server is xllamacpp's, in a process of its own; nothing of the embedded runtime is in between.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.base import Failed, NotHere, Secret
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import openai, presets
from millstream.models.http import Http
from millstream.models.router import Router
from millstream.models.target import Target

pytestmark = pytest.mark.model
KEY = "llama-cpp-test-key"

SERVER = f"""
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.port, p.warmup = sys.argv[1], 1024, 2, 0, False
p.cpuparams.n_threads = 1
p.api_keys = [{KEY!r}]
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address(packaged_model: Path) -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(packaged_model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def target(address: str) -> Target:
    return presets.target(
        "llamacpp",
        "smollm2",
        key=Secret(KEY),
        base_url=address + "/v1",
        context=512,  # of each of the two slots
        slots=2,
        options={"tokenize": True},
    )


def request(*texts: str, **more: Any) -> ModelRequest:
    roles = ("system", "user")[-len(texts) :] if len(texts) > 1 else ("user",)
    said = [Message(role, text) for role, text in zip(roles, texts, strict=True)]  # type: ignore[arg-type]
    more.setdefault("params", {"temperature": 0, "max_tokens": 24})
    return ModelRequest(ModelRef("llamacpp", "smollm2"), said, **more)


async def call(http: Http, target: Target, request: ModelRequest) -> tuple[list[str], ModelEnd]:
    items = [item async for item in Router(http, lambda ref: target).generate(request)]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    return [item.text for item in items if isinstance(item, ModelChunk)], end


async def test_it_streams_and_counts(http: Http, target: Target) -> None:
    asked = request("You are brief.", "Count: one, two, three,")
    pieces, end = await call(http, target, asked)
    assert len(pieces) > 3
    assert "".join(pieces).strip()
    assert end.finish_reason in ("stop", "length")
    assert end.usage.completion_tokens >= len(pieces)
    assert end.usage.prompt_tokens == await openai.count_tokens(http, target, asked)
    assert 0 < end.usage.time_to_first_token < end.usage.latency


async def test_a_prompt_of_the_system_alone(http: Http, target: Target) -> None:
    said = [Message("system", "Say the word tea.")]
    asked = ModelRequest(ModelRef("llamacpp", "smollm2"), said, params={"max_tokens": 8})
    pieces, _ = await call(http, target, asked)
    assert "".join(pieces).strip()


async def test_json_by_grammar(http: Http, target: Target) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "big": {"type": "boolean"},
        },
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    asked = request("Name a city in France.", schema=schema, params={"max_tokens": 60})
    _, end = await call(http, target, asked)
    assert end.rung == "grammar"
    assert set(end.structured) == {"city", "big"}


@pytest.mark.slow
async def test_the_token_limit_is_what_is_left(http: Http, target: Target) -> None:
    _, end = await call(http, target, request("Tell a long story. " * 60, params={}))
    assert end.usage.prompt_tokens + end.usage.completion_tokens <= 512
    if end.finish_reason == "length":
        assert end.usage.prompt_tokens + end.usage.completion_tokens == 512


async def test_a_prompt_beyond_the_context(http: Http, target: Target) -> None:
    with pytest.raises(Failed) as raised:
        await call(http, target, request("word " * 600))
    assert raised.value.code == "models.too-long-prompt"
    blind = Target("llamacpp", "smollm2", "openai", target.base_url, target.key)
    with pytest.raises(Failed) as raised:
        await call(http, blind, request("word " * 600))
    assert raised.value.code == "models.context-exceeded"


async def test_a_wrong_key(http: Http, target: Target) -> None:
    wrong = Target("llamacpp", "smollm2", "openai", target.base_url, Secret("no-such-key-here"))
    with pytest.raises(NotHere) as raised:
        await call(http, wrong, request("Hi"))
    assert raised.value.code == "models.key-wrong"


async def test_a_cancelled_call_frees_its_slot(http: Http, target: Target) -> None:
    ours = Router(http, lambda ref: target)
    for _ in range(4):
        stream = ours.generate(request("Tell a very long story.", params={"max_tokens": 400}))
        await anext(stream)
        await stream.aclose()
    _, end = await call(http, target, request("Hi", params={"max_tokens": 4}))
    assert end.usage.completion_tokens <= 4
