"""Calls of servers that speak the OpenAI protocol, on a real socket."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from millstream.base import BadInput, Failed, MillstreamError, NotHere, Secret, set_language
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import openai
from millstream.models.http import Http, Patience
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.loopback import Refusal
from models.openai_server import OpenAIServer

IMAGE = File("image", "remote_url", url="data:image/png;base64,iVBORw0KGgo=")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(patience=Patience(tries=2, longest_wait=1), environ={}) as http:
        yield http


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def target(server: OpenAIServer, name: str = "gpt-4o", **more: Any) -> Target:
    return Target("openai", name, "openai", server.base_url, **more)


def request(*messages: Message | str, **more: Any) -> ModelRequest:
    said = [Message("user", m) if isinstance(m, str) else m for m in messages or ("Say hello.",)]
    return ModelRequest(ModelRef("openai", "gpt-4o"), said, **more)


async def call(http: Http, target: Target, request: ModelRequest) -> tuple[str, str, ModelEnd]:
    """The text, the reasoning and the end of an answer."""
    items = [item async for item in openai.generate(http, target, request)]
    chunks = [item for item in items if isinstance(item, ModelChunk)]
    assert isinstance(items[-1], ModelEnd)
    assert len(chunks) == len(items) - 1
    text = "".join(chunk.text for chunk in chunks)
    return text, "".join(chunk.reasoning for chunk in chunks), items[-1]


async def failure(http: Http, target: Target, request: ModelRequest) -> MillstreamError:
    with pytest.raises(MillstreamError) as raised:
        await call(http, target, request)
    return raised.value


class TestAnswers:
    async def test_text_streams_as_it_comes_and_ends_with_usage(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.answer_text = ["one ", "two ", "three"]
        items = [item async for item in openai.generate(http, target(server), request())]
        assert [c.text for c in items if isinstance(c, ModelChunk)] == ["one ", "two ", "three"]
        end = items[-1]
        assert isinstance(end, ModelEnd)
        assert (end.finish_reason, end.model) == ("stop", "openai/gpt-4o")
        assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (6, 3)
        assert end.usage.calls == 1
        assert 0 < end.usage.time_to_first_token <= end.usage.latency

    async def test_the_first_word_is_here_before_the_last_is_written(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.hang_after = 2  # the role, and one word
        stream = openai.generate(http, target(server), request())
        item = await asyncio.wait_for(anext(stream), 5)
        assert isinstance(item, ModelChunk)
        assert item.text == "Hel"
        await stream.aclose()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
    async def test_pieces_of_any_size(self, http: Http, server: OpenAIServer, size: int) -> None:
        server.split = size
        server.answer_text = ["中文", " and 🙂"]
        text, _, end = await call(http, target(server), request())
        assert text == "中文 and 🙂"
        assert end.usage.completion_tokens == 2

    async def test_a_server_that_answers_whole_although_asked_to_stream(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.streams = None
        server.reasoning = ["hm"]
        text, reasoning, end = await call(http, target(server), request())
        assert (text, reasoning, end.finish_reason) == ("Hello", "hm", "stop")
        assert end.usage.completion_tokens == 2

    async def test_a_server_that_refuses_to_stream(self, http: Http, server: OpenAIServer) -> None:
        server.streams = False
        for _ in range(2):
            text, _, _ = await call(http, target(server), request())
            assert text == "Hello"
        bodies = server.calls("/v1/chat/completions")
        assert ["stream" in body for body in bodies] == [True, False, False]  # it is remembered

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    async def test_reasoning_in_a_field_of_its_own(
        self, http: Http, server: OpenAIServer, field: str
    ) -> None:
        server.reasoning, server.reasoning_field = ["I ", "think"], field
        text, reasoning, _ = await call(http, target(server), request())
        assert (text, reasoning) == ("Hello", "I think")

    async def test_usage_missing_is_no_error(self, http: Http, server: OpenAIServer) -> None:
        server.usage = False
        text, _, end = await call(http, target(server), request())
        assert text == "Hello"
        assert end.usage.prompt_tokens == 0

    async def test_tool_calls_are_heard_out(self, http: Http, server: OpenAIServer) -> None:
        server.answer_text, server.tool_calls, server.finish_reason = [], True, "tool_calls"
        text, _, end = await call(http, target(server), request())
        assert (text, end.finish_reason) == ("", "tool_calls")

    async def test_a_stream_without_done_is_complete_if_it_gave_a_reason(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.done = False
        assert (await call(http, target(server), request()))[0] == "Hello"

    async def test_a_last_event_without_its_empty_line(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.raw = [b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}']
        text, _, end = await call(http, target(server), request())
        assert (text, end.finish_reason) == ("x", "stop")

    async def test_content_in_parts(self, http: Http, server: OpenAIServer) -> None:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
        parts = [thinking, {"type": "text", "text": "yes"}]
        event = {"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}
        server.raw = [b"data: " + msgspec.json.encode(event) + b"\n\ndata: [DONE]\n\n"]
        text, reasoning, _ = await call(http, target(server), request())
        assert (text, reasoning) == ("yes", "hm")

    async def test_closing_the_stream_closes_the_connection(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.hang_after = 2
        stream = openai.generate(http, target(server), request())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.gone.wait(), 5)

    async def test_cancelling_closes_the_connection(self, http: Http, server: OpenAIServer) -> None:
        server.hang_after = 2
        task = asyncio.create_task(call(http, target(server), request()))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.gone.wait(), 5)

    async def test_a_connection_serves_call_after_call(
        self, http: Http, server: OpenAIServer
    ) -> None:
        for _ in range(3):
            await call(http, target(server), request())
        assert len(http.session().connector._conns) == 1  # type: ignore[union-attr]


def event(content: str | None = None, finish: str | None = None, index: Any = 0) -> bytes:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return msgspec.json.encode({"choices": [choice]})


USAGE = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
WHOLE = (event("海"), event("港 \N{GRINNING FACE}"), event(None, "stop"), USAGE, b"[DONE]")


def framed(*payloads: bytes, before: bytes = b"data: ", after: bytes = b"\n\n") -> bytes:
    return b"".join(before + payload + after for payload in payloads)


class TestOddStreams:
    """The same answer, as the servers of this world send it."""

    @pytest.mark.parametrize("size", [None, 1, 2, 3, 5])
    @pytest.mark.parametrize(
        "raw",
        [
            framed(*WHOLE, after=b"\r\n\r\n"),
            framed(*WHOLE, after=b"\r\r"),
            framed(*WHOLE, before=b"data:"),
            framed(*WHOLE, before=b": keep-alive\n\nevent: message\nid: 7\nretry: 10\ndata: "),
            b"\xef\xbb\xbf" + framed(*WHOLE),
            framed(*WHOLE[:-1]),
            framed(*WHOLE)[:-2],
            framed(*WHOLE, event("later")),
            framed(*WHOLE[:-1], b"[DONE]  "),
            framed(b'{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}', *WHOLE),
            framed(*(b'{"error":null,' + payload[1:] for payload in WHOLE[:-1])),
            framed(*(payload.replace(b'"index":0', b'"index":null') for payload in WHOLE)),
        ],
        ids=[
            *("CR LF", "CR", "no space", "comments and fields", "BOM", "no DONE", "no last line"),
            *("after DONE", "DONE and spaces", "Azure's filter", "no error", "no index"),
        ],
    )
    async def test_framing(
        self, http: Http, server: OpenAIServer, raw: bytes, size: int | None
    ) -> None:
        server.raw, server.split = [raw], size
        text, _, end = await call(http, target(server), request())
        assert text == "海港 \N{GRINNING FACE}"
        assert (end.finish_reason, end.usage.prompt_tokens) == ("stop", 3)

    async def test_one_huge_line(self, http: Http, server: OpenAIServer) -> None:
        server.raw = [framed(event("x" * 3_000_000), *WHOLE[2:])]
        assert len((await call(http, target(server), request()))[0]) == 3_000_000

    async def test_of_several_answers_the_first(self, http: Http, server: OpenAIServer) -> None:
        pieces = (event("B", "length", 1), event("a"), event("C", None, 1), event("b", "stop"))
        server.raw = [framed(*pieces, b"[DONE]")]
        text, _, end = await call(http, target(server), request(params={"n": 2}))
        assert (text, end.finish_reason) == ("ab", "stop")

    async def test_usage_beside_every_piece(self, http: Http, server: OpenAIServer) -> None:
        usage = b'{"usage":{"prompt_tokens":3,"completion_tokens":%d},'
        pieces = (event("a"), event("b"), event(None, "stop"))
        server.raw = [framed(*(usage % i + p[1:] for i, p in enumerate(pieces)), b"[DONE]")]
        text, _, end = await call(http, target(server), request())
        assert (text, end.usage.completion_tokens) == ("ab", 2)

    @pytest.mark.parametrize(
        "error",
        [
            b'{"error":{"message":"overloaded","code":529}}',
            b'{"error":"overloaded"}',
            b'{"object":"error","message":"overloaded","code":503}',
        ],
    )
    async def test_an_error_that_says_success(
        self, http: Http, server: OpenAIServer, error: bytes
    ) -> None:
        server.raw = [framed(event("Hel"), error, b"[DONE]")]
        found = await failure(http, target(server), request())
        assert found.code == "models.failed-midway"
        assert found.message.endswith("after 3 characters: overloaded")

    @pytest.mark.parametrize("half", [b"\xe6", b"\\ud83d"])
    async def test_half_a_character(self, http: Http, server: OpenAIServer, half: bytes) -> None:
        server.raw = [framed(event("HALF").replace(b"HALF", half), *WHOLE)]
        text, _, _ = await call(http, target(server), request())
        assert text == "\N{REPLACEMENT CHARACTER}海港 \N{GRINNING FACE}"

    async def test_compressed_though_nobody_asked(self, http: Http, server: OpenAIServer) -> None:
        async def answer(request: web.Request, seen: Any) -> web.Response:
            assert seen.headers["accept-encoding"] == "identity"
            headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
            return web.Response(body=gzip.compress(framed(*WHOLE)), headers=headers)

        server.answer = answer  # type: ignore[method-assign,assignment]
        assert (await call(http, target(server), request()))[0] == "海港 \N{GRINNING FACE}"

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_a_redirect_gets_no_key(
        self, http: Http, server: OpenAIServer, status: int
    ) -> None:
        async with OpenAIServer() as other:
            there = {"Location": f"{other.url}/v1/chat/completions"}
            server.refusals = [Refusal(status, None, there)]
            error = await failure(http, target(server, key=Secret("sk-of-ours-1")), request())
            assert other.requests == []
            assert other.url in str(error)
            assert "sk-of-ours-1" not in str(error)


class TestRequests:
    async def test_the_body_has_what_the_file_says(self, http: Http, server: OpenAIServer) -> None:
        params = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 64, "seed": 7, "num_ctx": 8192}
        params |= {"presence_penalty": 0.1, "frequency_penalty": 0.3, "top_k": 40}
        await call(
            http,
            target(server),
            request(Message("system", "Be kind."), "Hi", params=params, stop=["END"]),
        )
        assert server.calls("/v1/chat/completions") == [
            {
                "model": "gpt-4o",
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": "Hi"},
                ],
                "stream": True,
                "stream_options": {"include_usage": True},
                "stop": ["END"],
                "max_tokens": 64,
                "temperature": 0.2,
                "top_p": 0.9,
                "seed": 7,
                "presence_penalty": 0.1,
                "frequency_penalty": 0.3,
            }
        ]

    @pytest.mark.parametrize(
        ("params", "sent"),
        [
            ({"num_predict": 99}, {"max_tokens": 99}),
            ({"max_output_tokens": 99}, {"max_tokens": 99}),
            ({"num_predict": -1}, {}),
            ({"max_tokens": 0}, {}),
            ({"keep_alive": "5m", "temperature": None}, {}),
            ({"response_format": "text"}, {}),
            ({"response_format": "json_object"}, {"response_format": {"type": "json_object"}}),
            ({"response_format": "JSON"}, {"response_format": {"type": "json_object"}}),
        ],
    )
    def test_parameters_of_other_providers(
        self, params: dict[str, Any], sent: dict[str, Any]
    ) -> None:
        body = openai.build(Target("o", "m", "openai", "http://h/v1"), request(params=params))
        rest = {k: v for k, v in body.items() if k not in ("model", "messages", "stream")}
        assert rest == {"stream_options": {"include_usage": True}} | sent

    def test_unknown_parameters_go_where_the_server_takes_them(self) -> None:
        wild = request(params={"top_k": 40, "min_p": 0.1, "model": "evil", "stream": False})
        quirks = Quirks(params=None)
        body = openai.build(Target("o", "m", "openai", "http://h/v1", quirks=quirks), wild)
        assert (body["top_k"], body["min_p"]) == (40, 0.1)
        assert (body["model"], body["stream"]) == ("m", True)

    @pytest.mark.parametrize(
        "text",
        ['{"name": "o", "schema": {"type": "object"}, "strict": true}', '{"type": "object"}'],
    )
    def test_the_json_schema_parameter_of_a_file(self, text: str) -> None:
        asked = request(params={"response_format": "json_schema", "json_schema": text})
        body = openai.build(Target("o", "m", "openai", "http://h/v1"), asked)
        assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
        assert "json_schema" not in body

    def test_a_json_schema_parameter_that_is_none(self) -> None:
        asked = request(params={"response_format": "json_schema", "json_schema": "{"})
        with pytest.raises(BadInput) as raised:
            openai.build(Target("o", "m", "openai", "http://h/v1"), asked)
        assert str(raised.value) == "the model parameter json_schema is no JSON schema"

    @pytest.mark.parametrize(
        ("schema", "strict"),
        [
            (
                {
                    "type": "object",
                    "properties": {"a": {"type": "string"}},
                    "required": ["a"],
                    "additionalProperties": False,
                },
                True,
            ),
            ({"type": "object", "properties": {"a": {"type": "string"}}}, False),
            ({"type": "array", "items": {"type": "object"}}, False),
        ],
    )
    def test_a_schema_is_strict_where_openai_would_take_it(
        self, schema: dict[str, Any], strict: bool
    ) -> None:
        body = openai.build(Target("o", "m", "openai", "http://h/v1"), request(schema=schema))
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": strict},
        }

    def test_images_go_to_models_that_take_them_and_nowhere_else(self) -> None:
        document = File("document", "remote_url", url="http://h/x.pdf")
        asked = request(Message("user", "What is this?", (IMAGE, document)))
        sees = Target("o", "m", "openai", "http://h/v1", images=True)
        assert openai.build(sees, asked)["messages"][0]["content"] == [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": IMAGE.url}},
        ]
        blind = Target("o", "m", "openai", "http://h/v1")
        assert openai.build(blind, asked)["messages"][0]["content"] == "What is this?"

    def test_a_prompt_of_the_system_alone(self) -> None:
        asked = request(Message("system", "Translate: 你好"))
        roles = [
            [m["role"] for m in openai.build(t, asked)["messages"]]
            for t in (
                Target("o", "m", "openai", "http://h/v1"),
                Target("o", "m", "openai", "http://h/v1", quirks=Quirks(system_only=False)),
            )
        ]
        assert roles == [["system"], ["user"]]

    async def test_a_bare_prompt_where_the_server_has_completions(
        self, http: Http, server: OpenAIServer
    ) -> None:
        asked = request("Once upon", mode="completion")
        offers = target(server, quirks=Quirks(completions=True))
        assert (await call(http, offers, asked))[0] == "Hello"
        assert (await call(http, target(server), asked))[0] == "Hello"
        (bare,) = server.calls("/v1/completions")
        assert bare["prompt"] == "Once upon"
        (chat,) = server.calls("/v1/chat/completions")
        assert chat["messages"] == [{"role": "user", "content": "Once upon"}]

    async def test_nothing_to_send(self, http: Http, server: OpenAIServer) -> None:
        error = await failure(http, target(server), ModelRequest(ModelRef("a", "b"), []))
        assert str(error) == "there is nothing to send to openai/gpt-4o: the prompt has no messages"
        assert not server.requests

    async def test_the_key_is_a_bearer_token(self, http: Http) -> None:
        async with OpenAIServer(key="sk-secret-12345678") as server:
            good = target(server, key=Secret("sk-secret-12345678"))
            assert (await call(http, good, request()))[0] == "Hello"

    async def test_azure(self, http: Http) -> None:
        async with OpenAIServer("my-gpt", key="azure-key-123456") as server:
            key = Secret("azure-key-123456")
            azure = Target("azure_openai", "gpt-4o", "azure", server.url, key, model="my-gpt")
            assert (await call(http, azure, request()))[0] == "Hello"
            dated = msgspec.structs.replace(azure, options={"api_version": "2025-01-01-preview"})
            await call(http, dated, request())
            undated = msgspec.structs.replace(azure, base_url=server.url + "/openai/v1/")
            await failure(http, undated, request())
        seen = server.requests
        assert seen[0].path == "/openai/deployments/my-gpt/chat/completions"
        assert seen[0].headers["api-key"] == "azure-key-123456"
        versions = [one.query.get("api-version") for one in seen]
        assert versions == ["2024-10-21", "2025-01-01-preview", None]
        assert seen[2].path == "/openai/v1/chat/completions"


class TestConcessions:
    """A server's refusal of a field that the answer does not depend on."""

    @pytest.mark.parametrize(
        ("refused", "params", "left"),
        [
            ({"temperature"}, {"temperature": 0.2}, {}),
            ({"max_tokens"}, {"max_tokens": 9}, {"max_completion_tokens": 9}),
            ({"max_tokens", "max_completion_tokens"}, {"max_tokens": 9}, {}),
            ({"stream_options"}, {}, {}),
        ],
    )
    async def test_goes_without_it_and_remembers(
        self,
        http: Http,
        server: OpenAIServer,
        refused: set[str],
        params: dict[str, Any],
        left: dict[str, Any],
    ) -> None:
        server.refuses = refused
        for _ in range(2):
            assert (await call(http, target(server), request(params=params)))[0] == "Hello"
        bodies = server.calls("/v1/chat/completions")
        assert len(bodies) == len(refused) + 2
        for body in bodies[-2:]:
            assert not refused & body.keys()
            assert left.items() <= body.items()

    async def test_a_schema_gives_way_to_plain_json_and_then_to_nothing(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.refuses = {"response_format"}
        asked = request(schema={"type": "object"})
        assert (await call(http, target(server), asked))[0] == "Hello"
        kinds = [
            (body.get("response_format") or {}).get("type")
            for body in server.calls("/v1/chat/completions")
        ]
        assert kinds == ["json_schema", "json_object", None]

    async def test_a_value_out_of_range_is_the_files_fault(
        self, http: Http, server: OpenAIServer
    ) -> None:
        words = "Invalid 'temperature': decimal above maximum value. Expected <= 2, got 5."
        server.refusals = [Refusal(400, {"error": {"message": words, "param": "temperature"}})]
        error = await failure(http, target(server), request(params={"temperature": 5}))
        assert error.code == "models.refused"
        assert words in str(error)


class TestFailures:
    async def test_no_key(self, http: Http) -> None:
        async with OpenAIServer(key="sk-right") as server:
            error = await failure(http, target(server, setting="OPENAI_API_KEY"), request())
        assert isinstance(error, NotHere)
        assert str(error).startswith("openai/gpt-4o needs a key, and none is set")
        assert "OPENAI_API_KEY" in error.next_step

    async def test_a_wrong_key_is_not_repeated(self, http: Http) -> None:
        async with OpenAIServer(key="sk-right") as server:
            wrong = target(server, key=Secret("sk-wrong-987654321"), setting="OPENAI_API_KEY")
            error = await failure(http, wrong, request())
        assert isinstance(error, NotHere)
        assert str(error) == (
            f"{server.url} does not accept the key for openai/gpt-4o (401): "
            "Incorrect API key provided: •••."
        )
        assert "OPENAI_API_KEY" in error.next_step
        assert "987654321" not in f"{error!r}{error.as_dict()}{error.values}"

    async def test_a_model_that_is_not_there(self, http: Http, server: OpenAIServer) -> None:
        error = await failure(http, target(server, "gpt-9"), request())
        assert isinstance(error, NotHere)
        assert str(error).startswith(f"{server.url} has no model 'gpt-9' (404): The model `gpt-9`")
        assert "--bind openai/gpt-9=PROVIDER/NAME" in error.next_step

    async def test_a_server_that_is_no_model_api(self, http: Http, server: OpenAIServer) -> None:
        astray = Target("openai", "gpt-4o", "openai", server.url + "/api")
        error = await failure(http, astray, request())
        assert isinstance(error, NotHere)
        assert "answers, but not as a model API (404): 404 page not found" in str(error)
        assert "/v1" in error.next_step

    async def test_nobody_there(self, http: Http) -> None:
        error = await failure(
            http, Target("openai", "m", "openai", "http://127.0.0.1:9/v1"), request()
        )
        assert isinstance(error, NotHere)
        assert str(error) == ("nothing answers at http://127.0.0.1:9: the connection was refused")
        assert "millstream doctor" in error.next_step

    async def test_busy_and_then_free(self, server: OpenAIServer) -> None:
        told: list[Any] = []
        notice = lambda key, values: told.append((key, values["seconds"]))  # noqa: E731
        async with Http(notice=notice, environ={}) as http:
            server.refusals = [Refusal(429, {"error": {"message": "slow"}}, {"Retry-After": "0.1"})]
            assert (await call(http, target(server), request()))[0] == "Hello"
        assert told == [("models.waiting", 0.1)]

    async def test_busy_for_ever(self, http: Http, server: OpenAIServer) -> None:
        busy = Refusal(429, {"error": {"message": "Rate limit reached"}}, {"Retry-After": "0"})
        server.refusals = [busy] * 9
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert str(error) == (
            f"{server.url} takes no more requests for openai/gpt-4o now (429; tried 2 ×, waited "
            "0 s; it asks to wait 0 s): Rate limit reached"
        )
        assert len(server.requests) == 2

    async def test_a_wait_that_is_too_long_is_not_begun(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.refusals = [Refusal(429, {"error": "come back"}, {"Retry-After": "86400"})]
        error = await failure(http, target(server), request())
        assert "it asks to wait 86400 s): come back" in str(error)
        assert "network.longest_wait" in error.next_step
        assert len(server.requests) == 1

    async def test_no_credit_is_not_tried_again(self, http: Http, server: OpenAIServer) -> None:
        body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
        server.refusals = [Refusal(429, body)]
        error = await failure(http, target(server), request())
        assert str(error).startswith("the account for openai/gpt-4o has no credit left (429)")
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_broken_once_and_broken_for_ever(
        self, http: Http, server: OpenAIServer, status: int
    ) -> None:
        broken = Refusal(status, {"error": {"message": "cuda out of memory"}}, {"Retry-After": "0"})
        server.refusals = [broken]
        assert (await call(http, target(server), request()))[0] == "Hello"
        server.refusals = [broken] * 9
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert str(error) == (
            f"{server.url} broke down while answering for openai/gpt-4o ({status}; tried 2 ×): "
            "cuda out of memory"
        )

    async def test_a_prompt_that_is_too_long(self, http: Http, server: OpenAIServer) -> None:
        server.context = 3
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert error.code == "models.context-exceeded"
        assert "exceeds the available context size" in str(error)

    async def test_cut_in_mid_stream(self, http: Http, server: OpenAIServer) -> None:
        server.cut_after = 3  # role, "Hel", "lo"
        seen: list[Any] = []

        async def read() -> None:
            async for item in openai.generate(http, target(server), request()):
                seen.append(item)

        with pytest.raises(Failed) as raised:
            await read()
        assert [item.text for item in seen if isinstance(item, ModelChunk)] == ["Hel", "lo"]
        assert str(raised.value) == (
            f"the connection to {server.url} broke in the middle of the answer; "
            "5 characters had arrived"
        )
        assert len(server.requests) == 1  # what was streamed is not asked for again

    async def test_ended_in_mid_stream_in_good_order(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.finish_reason, server.done = None, False
        error = await failure(http, target(server), request())
        assert error.code == "models.cut"
        assert error.values["characters"] == 5

    @pytest.mark.parametrize(
        "piece", [b"data: {oops\n\n", b'data: {"choices": 3}\n\n', b"data: \xff\n\n"]
    )
    async def test_a_malformed_piece(self, http: Http, server: OpenAIServer, piece: bytes) -> None:
        server.raw = [b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n', piece]
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert str(error).startswith(
            f"{server.url} sent a piece of its answer for openai/gpt-4o that cannot be read, "
            "after 3 characters: "
        )

    @pytest.mark.parametrize(
        "raw",
        [
            [],
            [b"data: [DONE]\n\n"],
            [b": keep-alive\n\n"],
            [b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'],
        ],
    )
    async def test_an_empty_answer(
        self, http: Http, server: OpenAIServer, raw: list[bytes]
    ) -> None:
        server.raw = raw
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert str(error) == "openai/gpt-4o ended its answer without writing anything"

    async def test_an_error_in_mid_stream(self, http: Http, server: OpenAIServer) -> None:
        server.error_midway = {"message": "slot was lost", "code": 500}
        error = await failure(http, target(server), request())
        assert isinstance(error, Failed)
        assert str(error) == (
            "openai/gpt-4o failed in the middle of its answer, after 5 characters: slot was lost"
        )

    async def test_slow_to_begin(self, server: OpenAIServer) -> None:
        server.delay = 30
        async with Http(patience=Patience(first_byte=0.1), environ={}) as http:
            error = await failure(http, target(server), request())
        assert str(error) == (
            f"{server.url} sent nothing within 0.1 s, the limit of network.first_byte_timeout"
        )

    async def test_slow_to_begin_is_fine_by_default(self, http: Http, server: OpenAIServer) -> None:
        server.delay = 0.3
        _, _, end = await call(http, target(server), request())
        assert end.usage.time_to_first_token >= 0.3

    async def test_silent_in_mid_stream(self, server: OpenAIServer) -> None:
        server.hang_after = 2
        async with Http(patience=Patience(idle=0.1), environ={}) as http:
            error = await failure(http, target(server), request())
        assert str(error) == (
            f"{server.url} fell silent for 0.1 s, the limit of network.idle_timeout; "
            "3 characters had arrived"
        )

    async def test_in_chinese(self, http: Http) -> None:
        set_language("zh")
        async with OpenAIServer(key="sk-right") as server:
            error = await failure(http, target(server, setting="OPENAI_API_KEY"), request())
        assert "需要密钥" in str(error)
        assert "OPENAI_API_KEY" in error.next_step


class TestCounting:
    async def test_llama_cpp_counts_the_prompt_as_its_template_makes_it(
        self, http: Http, server: OpenAIServer
    ) -> None:
        counts = target(server, options={"tokenize": True})
        asked = request(Message("system", "Be kind."), "Hi there")
        _, _, end = await call(http, counts, asked)
        assert await openai.count_tokens(http, counts, asked) == end.usage.prompt_tokens
        assert await openai.count_tokens(http, target(server), asked) is None

    async def test_a_server_that_can_not_count_after_all(
        self, http: Http, server: OpenAIServer
    ) -> None:
        astray = Target("o", "m", "openai", server.url + "/elsewhere", options={"tokenize": True})
        assert await openai.count_tokens(http, astray, request()) is None
