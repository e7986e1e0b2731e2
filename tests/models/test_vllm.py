"""What vLLM 0.32 answers, word for word: how it refuses, and what is made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web

from millstream.base import Failed, NotHere
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import openai, presets
from millstream.models.http import Http
from millstream.models.router import Router
from millstream.models.target import Target
from models.loopback import Refusal, Seen, reply
from models.openai_server import OpenAIServer

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "uniqueItems": True, "maxItems": 3},
        "uniqueItems": {"type": "string", "format": "phone"},
        "b": {"enum": [{"uniqueItems": True}]},
    },
}


class VLLM(OpenAIServer):
    """grammar: what it says, in a stream with status 200, of schemas that it can't hold to, one
    after the other. counts: whether it has /tokenize; each prompt has 33 tokens."""

    def __init__(self) -> None:
        super().__init__("smollm2")
        self.known = None
        self.grammar: list[str] = []
        self.counts = True
        self.rung: str | None = None  # of the last answer

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.path == "/tokenize":
            if not self.counts:
                return reply({"detail": "Not Found"}, 404)
            assert seen.body["model"] == "smollm2"
            return reply({"count": 33, "max_model_len": 2048, "tokens": list(range(33))})
        if "response_format" in seen.body and self.grammar:
            error = _error(self.grammar.pop(0))
            self.raw = [b"data: " + msgspec.json.encode(error) + b"\n\n", b"data: [DONE]\n\n"]
        else:
            self.raw = None
        return await super().answer(request, seen)


def _error(message: str, param: str | None = None, code: int = 400) -> dict[str, Any]:
    kind = "BadRequestError"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.fixture
async def server() -> AsyncIterator[VLLM]:
    async with VLLM() as server:
        yield server


def target(server: OpenAIServer, **more: Any) -> Target:
    return presets.target("vllm", "smollm2", base_url=server.base_url, environ={}, **more)


def request(**more: Any) -> ModelRequest:
    return ModelRequest(ModelRef("x", "m"), [Message("user", "Say hello.")], **more)


async def call(http: Http, target: Target, request: ModelRequest) -> str:
    items = [item async for item in openai.generate(http, target, request)]
    return "".join(item.text for item in items if isinstance(item, ModelChunk))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (
            "max_tokens=4000 cannot be greater than max_model_len=2048. Please request fewer "
            "output tokens. (parameter=max_tokens, value=4000)",
            2048,
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum "
            "context length is 2048 tokens and your request has 33 input tokens (4000 > 2048 - "
            "33).",
            2015,
        ),
        (
            "This model's maximum context length is 2048 tokens. However, you requested 4033 "
            "tokens (33 in the messages, 4000 in the completion). Please reduce the length of the "
            "messages or completion.",
            2015,
        ),
    ],
)
async def test_an_answer_may_be_as_long_as_there_is_room(
    http: Http, server: VLLM, said: str, left: int
) -> None:
    server.refusals = [Refusal(400, _error(said, "max_tokens"))]
    wanted = request(params={"max_tokens": 4000})
    assert await call(http, target(server), wanted) == "Hello"
    assert [body["max_tokens"] for body in server.calls("/v1/chat/completions")] == [4000, left]
    # It is this number that is refused: the next call asks for its own.
    assert await call(http, target(server), request(params={"max_tokens": 20})) == "Hello"
    assert server.calls("/v1/chat/completions")[-1]["max_tokens"] == 20


async def test_room_for_nothing_is_a_prompt_that_is_too_long(http: Http, server: VLLM) -> None:
    said = (
        "This model's maximum context length is 2048 tokens. However, you requested 7000 tokens "
        "(3000 in the messages, 4000 in the completion). Please reduce the length of the messages."
    )
    server.refusals = [Refusal(400, _error(said))]
    with pytest.raises(Failed) as raised:
        await call(http, target(server), request(params={"max_tokens": 4000}))
    assert raised.value.code == "models.context-exceeded"
    assert len(server.requests) == 1


async def test_where_the_prompt_is_only_half_counted_the_room_is_searched_for(
    http: Http, server: VLLM
) -> None:
    """Words of services that run it (Bedrock, Cloudflare, MiniMax): the number of the
    prompt's tokens is where counting stopped, so that context less prompt is one too many again."""
    said = (
        "This model's maximum context length is 2048 tokens. However, you requested {} output "
        "tokens and your prompt contains at least {} input tokens, for a total of at least 2049 "
        "tokens. Please reduce the length of the input prompt or the number of requested output "
        "tokens."
    )
    server.refusals = [Refusal(400, _error(said.format(n, 2049 - n))) for n in (2000, 1000)]
    assert await call(http, target(server), request(params={"max_tokens": 2000})) == "Hello"
    asked = [body["max_tokens"] for body in server.calls("/v1/chat/completions")]
    assert asked == [2000, 1000, 500]
    server.refusals = [Refusal(400, _error(said.format(20, 2029)))]
    with pytest.raises(Failed) as raised:
        await call(http, target(server), request(params={"max_tokens": 20}))
    assert raised.value.code == "models.context-exceeded"


@pytest.mark.parametrize("completions", [False, True])
async def test_its_own_count_tells_how_long_an_answer_may_be(
    http: Http, server: VLLM, completions: bool
) -> None:
    """Unless it is told, vLLM ends a bare completion after 16 tokens."""
    options = {"quirks": {"completions": completions}}
    found = target(server, context=2048, options=options)
    router = Router(http, lambda ref: found)
    for limit, sent in ((None, 2015), (20, 20), (4000, 2015)):
        params = {} if limit is None else {"max_tokens": limit}
        mode = "completion" if completions else "chat"
        _ = [item async for item in router.generate(request(mode=mode, params=params))]
        path = "/v1/completions" if completions else "/v1/chat/completions"
        assert server.calls(path)[-1]["max_tokens"] == sent
    asked = server.calls("/tokenize")
    assert len(asked) == 2  # 20 fit without counting
    assert ("prompt" if completions else "messages") in asked[0]
    server.counts = False
    _ = [item async for item in router.generate(request())]
    assert "max_tokens" not in server.calls("/v1/chat/completions")[-1]


async def test_its_own_count_finds_a_prompt_that_is_too_long(http: Http, server: VLLM) -> None:
    router = Router(http, lambda ref: target(server, context=32))
    with pytest.raises(Failed, match="33") as raised:
        _ = [item async for item in router.generate(request())]
    assert raised.value.code == "models.too-long-prompt"
    assert server.calls("/v1/chat/completions") == []


async def test_a_server_that_is_never_content_is_given_up(http: Http, server: VLLM) -> None:
    said = "max_tokens=4000 cannot be greater than max_model_len={}. Please request fewer"
    server.refusals = [Refusal(400, _error(said.format(n))) for n in range(3999, 0, -1)]
    with pytest.raises(Failed, match="max_model_len"):
        await call(http, target(server), request(params={"max_tokens": 4000}))
    assert len(server.requests) < 20


async def answered(http: Http, server: VLLM) -> list[Any]:
    """The formats that a call with the schema asks for, one after the other."""
    server.requests.clear()
    server.answer_text = ['{"a": []}']
    router = Router(http, lambda ref: target(server))
    items = [item async for item in router.generate(request(schema=SCHEMA))]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    assert end.structured == {"a": []}
    server.rung = end.rung
    return [body["response_format"] for body in server.calls("/v1/chat/completions")]


async def test_a_word_of_a_schema_that_its_grammar_can_not_express(
    http: Http, server: VLLM
) -> None:
    server.grammar = [
        'Grammar error: Unimplemented keys: ["uniqueItems"]',
        "Grammar error: Unknown format: phone",
    ]
    asked = await answered(http, server)
    assert asked[0]["json_schema"]["schema"] == SCHEMA
    assert asked[-1]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "maxItems": 3},
            "uniqueItems": {"type": "string"},
            "b": {"enum": [{"uniqueItems": True}]},
        },
    }
    # Another schema, or another server's grammar, may be within its powers: it is tried.
    assert len(await answered(http, server)) == 1


@pytest.mark.parametrize(
    "said",
    [
        "Grammar error: Pointer '/definitions/none' does not exist",
        'Grammar error: Unimplemented keys: ["contains"]',  # that is not in it
        "Grammar error: Unimplemented keys: [oops",
    ],
)
async def test_a_schema_that_its_grammar_can_not_express_at_all(
    http: Http, server: VLLM, said: str
) -> None:
    server.grammar = [said]
    assert [asked["type"] for asked in await answered(http, server)] == [
        "json_schema",
        "json_object",
    ]
    assert server.rung == "extracted"  # it was not held to the schema
    await answered(http, server)
    assert server.rung == "grammar"


async def test_a_schema_of_the_file_that_is_none_is_the_files_fault(
    http: Http, server: VLLM
) -> None:
    server.grammar = ["Grammar error: Invalid type: nonsense"]
    params = {"response_format": "json_schema", "json_schema": '{"type": "nonsense"}'}
    with pytest.raises(Failed) as raised:
        await call(http, target(server), request(params=params))
    assert raised.value.code == "models.refused"
    assert str(raised.value) == (
        f"{server.url} refused the request for vllm/smollm2 (400): Grammar error: Invalid type: "
        "nonsense"
    )


async def test_a_base_url_without_v1(http: Http, server: VLLM) -> None:
    server.refusals = [Refusal(404, {"detail": "Not Found"})]
    with pytest.raises(NotHere) as raised:
        await call(http, target(server), request())
    assert raised.value.code == "models.no-such-path"
    assert "/v1" in raised.value.next_step
