"""Calls of Anthropic's Messages API, by its real protocol on a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import BadInput, Failed, MillstreamError, NotHere, Secret
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import anthropic
from millstream.models.http import Http, Patience
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.anthropic_server import KEY, AnthropicServer, Claude
from models.loopback import Refusal

SONNET = "claude-sonnet-4-6"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(patience=Patience(tries=1), environ={}) as http:
        yield http


def target(server: AnthropicServer, name: str = SONNET, **more: Any) -> Target:
    settings = {"key": Secret(KEY), "setting": "ANTHROPIC_API_KEY", **more}
    return Target("anthropic", name, "anthropic", server.url, **settings)


def request(*messages: Message | str, **more: Any) -> ModelRequest:
    said = [Message("user", m) if isinstance(m, str) else m for m in messages or ("Say hello.",)]
    return ModelRequest(ModelRef("openai", "gpt-4o"), said, **more)


async def call(http: Http, target: Target, request: ModelRequest) -> tuple[str, str, ModelEnd]:
    """The text, the reasoning and the end of an answer."""
    items = [item async for item in anthropic.generate(http, target, request)]
    chunks = [item for item in items if isinstance(item, ModelChunk)]
    assert isinstance(items[-1], ModelEnd)
    assert len(chunks) == len(items) - 1
    text = "".join(chunk.text for chunk in chunks)
    return text, "".join(chunk.reasoning for chunk in chunks), items[-1]


async def failure(http: Http, target: Target, request: ModelRequest) -> MillstreamError:
    with pytest.raises(MillstreamError) as raised:
        await call(http, target, request)
    return raised.value


def sent(server: AnthropicServer) -> dict[str, Any]:
    body: dict[str, Any] = server.calls("/v1/messages")[-1]
    return body


# ------------------------------------------------------------------------------------- answering


async def test_an_answer_streams_and_ends_with_what_it_cost(http: Http) -> None:
    async with AnthropicServer() as server:
        server.text = ["Good ", "morning", "."]
        server.usage = {
            "input_tokens": 10,
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 3000,
            "output_tokens": 1,
        }
        items = [item async for item in anthropic.generate(http, target(server), request())]
    assert [item.text for item in items[:-1]] == ["Good ", "morning", "."]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    assert (end.finish_reason, end.model) == ("stop", f"anthropic/{SONNET}")
    assert (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.calls) == (3210, 3, 1)
    assert 0 < end.usage.time_to_first_token <= end.usage.latency


async def test_the_key_goes_in_a_header_and_the_version_with_it(http: Http) -> None:
    async with AnthropicServer() as server:
        for url in (server.url, server.url + "/", server.url + "/v1"):
            await call(http, msgspec.structs.replace(target(server), base_url=url), request())
    headers = server.requests[-1].headers
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert all(not seen.query for seen in server.requests)


async def test_a_prompt_of_system_messages_only_simply_works(http: Http) -> None:
    """As in smartrans, whose only message is a system one, with vision on and no file."""
    async with AnthropicServer() as server:
        text, _, _ = await call(
            http, target(server, images=True), request(Message("system", "请润色译文。"))
        )
    assert text == "Hello"
    assert sent(server)["messages"] == [{"role": "user", "content": "请润色译文。"}]
    assert "system" not in sent(server)


async def test_system_text_goes_apart_and_sides_alternate(http: Http) -> None:
    said = (
        Message("system", "Be brief."),
        Message("user", "One."),
        Message("user", "Two."),
        Message("system", "Be kind."),
        Message("assistant", "Yes?"),
        Message("assistant", ""),
        Message("tool", "42"),
        Message("user", "Three."),
    )
    async with AnthropicServer() as server:
        await call(http, target(server), request(*said))
    assert sent(server)["system"] == "Be brief.\n\nBe kind."
    assert sent(server)["messages"] == [
        {"role": "user", "content": "One.\n\nTwo."},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "42\n\nThree."},
    ]


async def test_a_prompt_that_the_assistant_begins_opens_with_the_system_text(http: Http) -> None:
    said = Message("system", "Play chess."), Message("assistant", "e4"), Message("user", "e5")
    async with AnthropicServer() as server:
        await call(http, target(server), request(*said))
    assert [m["role"] for m in sent(server)["messages"]] == ["user", "assistant", "user"]
    assert sent(server)["messages"][0]["content"] == "Play chess."


async def test_an_empty_prompt_is_refused_here(http: Http) -> None:
    async with AnthropicServer() as server:
        error = await failure(http, target(server), request(Message("user", " \n")))
        assert not server.calls("/v1/messages")
    assert isinstance(error, BadInput)
    assert str(error) == (
        f"there is nothing to send to anthropic/{SONNET}: the prompt has no messages"
    )


async def test_parameters_of_any_provider_become_fields(http: Http) -> None:
    params = {
        "temperature": 1.7,
        "top_k": 40,
        "max_completion_tokens": "300",
        "presence_penalty": 0.5,
        "seed": 3,
        "response_format": "json_object",
        "reasoning_effort": "minimal",
    }
    async with AnthropicServer() as server:
        await call(http, target(server), request(params=params, stop=["\n\n", "END"]))
    body = sent(server)
    assert {name: body[name] for name in body if name not in ("model", "messages", "stream")} == {
        "temperature": 1,
        "top_k": 40,
        "max_tokens": 300,
        "stop_sequences": ["END"],
    }


async def test_an_answer_may_be_as_long_as_the_model_allows(http: Http) -> None:
    """No limit of ours: what the Models API says, asked once."""
    async with AnthropicServer(Claude(SONNET, max_tokens=12_345)) as server:
        await call(http, target(server), request())
        await call(http, target(server), request())
        await call(http, target(server), request(params={"max_tokens": 99_999}))
    assert [body["max_tokens"] for body in server.calls("/v1/messages")] == [12_345] * 3
    assert len([seen for seen in server.requests if seen.method == "GET"]) == 1


async def test_a_model_that_allows_less_than_the_file_asks_is_asked_for_what_it_allows(
    http: Http,
) -> None:
    async with AnthropicServer(Claude("claude-3-5-haiku", max_tokens=8192)) as server:
        server.offers_models = False
        small = target(server, "claude-3-5-haiku")
        text, _, _ = await call(http, small, request(params={"max_tokens": 64_000}))
        await call(http, small, request())
    assert text == "Hello"
    asked = [body["max_tokens"] for body in server.calls("/v1/messages")]
    assert asked == [64_000, 8192, 8192]


async def test_the_answer_is_bounded_by_what_the_prompt_leaves(http: Http) -> None:
    async with AnthropicServer() as server:
        server.input_tokens_of_prompt = 188_240
        text, _, _ = await call(http, target(server), request())
        server.input_tokens_of_prompt = None
        await call(http, target(server), request())
    asked = [body["max_tokens"] for body in server.calls("/v1/messages")]
    assert asked == [64_000, 11_760, 64_000]
    assert text == "Hello"


async def test_what_a_model_takes_no_more_is_left_out_and_not_sent_again(http: Http) -> None:
    """A temperature, as every second app file has it, for a model that knows none."""
    params = {"temperature": 0.7, "top_p": 0.9, "top_k": 5}
    async with AnthropicServer(Claude("claude-opus-5-5", sampling=False)) as server:
        for _ in range(2):
            text, _, _ = await call(http, target(server, "claude-opus-5-5"), request(params=params))
    bodies = server.calls("/v1/messages")
    assert text == "Hello"
    assert len(bodies) == 5  # three refusals, once
    assert not bodies[-1].keys() & params.keys()


async def test_temperature_stays_where_only_one_of_two_may_be_set(http: Http) -> None:
    async with AnthropicServer() as server:
        await call(http, target(server), request(params={"temperature": 0.7, "top_p": 0.9}))
    assert sent(server)["temperature"] == 0.7
    assert "top_p" not in sent(server)


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("something_new", "something_new"),
    ],
)
async def test_finish_reasons(http: Http, stop_reason: str, finish: str) -> None:
    async with AnthropicServer() as server:
        server.stop_reason = stop_reason
        _, _, end = await call(http, target(server), request())
    assert end.finish_reason == finish


async def test_unknown_events_are_nothing(http: Http) -> None:
    async with AnthropicServer() as server:
        server.extra_events = [
            ("vibe", {"type": "vibe", "level": 11}),
            ("content_block_delta", {
                "type": "content_block_delta", "index": 0,
                "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}},
            }),
            ("content_block_start", {
                "type": "content_block_start", "index": 9,
                "content_block": {"type": "server_tool_use", "id": "s", "input": {}},
            }),
        ]  # fmt: skip
        text, _, _ = await call(http, target(server), request())
    assert text == "Hello"


async def test_characters_may_arrive_in_pieces(http: Http) -> None:
    async with AnthropicServer() as server:
        server.text = ["春眠不", "觉晓 🌸"]
        server.split = 3
        text, _, _ = await call(http, target(server), request())
    assert text == "春眠不觉晓 🌸"


async def test_leaving_an_answer_closes_the_connection_at_once(http: Http) -> None:
    async with AnthropicServer() as server:
        server.hang_after = 4
        answer = anthropic.generate(http, target(server), request())
        assert isinstance(await anext(answer), ModelChunk)
        await answer.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.gone.wait(), 5)


# -------------------------------------------------------------------------------------- thinking


async def test_reasoning_comes_apart_from_the_text(http: Http) -> None:
    async with AnthropicServer() as server:
        server.thinking = ["Hm, ", "hello."]
        text, reasoning, end = await call(
            http,
            target(server),
            request(params={"thinking": True, "thinking_budget": 2000, "temperature": 0.7}),
        )
    assert (text, reasoning) == ("Hello", "Hm, hello.")
    assert sent(server)["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "temperature" not in sent(server)  # a thinking model takes none
    assert end.usage.completion_tokens == 4


async def test_a_budget_fits_into_the_answer(http: Http) -> None:
    params = {"thinking": True, "thinking_budget": 9999, "max_tokens": 4096}
    async with AnthropicServer() as server:
        await call(http, target(server), request(params=params))
        await call(http, target(server), request(params=params | {"thinking_budget": 10}))
    budgets = [body["thinking"]["budget_tokens"] for body in server.calls("/v1/messages")]
    assert budgets == [4095, 1024]


async def test_thinking_is_asked_for_in_the_way_that_the_model_knows(http: Http) -> None:
    new, old = Claude("new", adaptive=True), Claude("old")
    async with AnthropicServer(new, old) as server:
        by_budget = request(params={"thinking": True, "thinking_budget": 2000})
        by_itself = request(params={"thinking": True, "max_tokens": 8000})
        await call(http, target(server, "new"), by_budget)
        assert sent(server)["thinking"]["type"] == "adaptive"
        await call(http, target(server, "old"), by_itself)
        assert sent(server)["thinking"] == {"type": "enabled", "budget_tokens": 4000}
        await call(http, target(server, "old"), request(params={"thinking": False}))
        assert sent(server)["thinking"] == {"type": "disabled"}


# ---------------------------------------------------------------------------------------- images


async def test_images_and_papers(http: Http) -> None:
    picture = File("image", "local_file", name="a.jpg", url=f"data:image/jpeg;base64,{PNG}")
    web = File("image", "remote_url", url="https://example.com/b.png")
    paper = File("document", "local_file", name="a.pdf", url="data:application/pdf;base64,JVBERi0x")
    table = File(
        "document", "local_file", name="a.xlsx", url="data:application/zip;base64,UEsDBA=="
    )
    bitmap = File("image", "local_file", name="a.bmp", url="data:image/bmp;base64,Qk0=")
    song = File("audio", "local_file", name="a.mp3", url="data:audio/mpeg;base64,SUQz")
    said = Message("user", "Look.", (picture, web, paper, table, bitmap, song))
    async with AnthropicServer() as server:
        await call(http, target(server, images=True), request(said))
        seeing = sent(server)
        await call(http, target(server), request(said))
        blind = sent(server)
        await call(http, target(server, images=True), request(Message("user", "", (web,))))
        wordless = sent(server)
    # What the bytes are counts, not what the file is called.
    assert seeing["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/b.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
        },
        {"type": "text", "text": "Look."},
    ]
    assert blind["messages"] == [{"role": "user", "content": "Look."}]
    assert [block["type"] for block in wordless["messages"][0]["content"]] == ["image"]


# ------------------------------------------------------------------------------------------ JSON


async def test_a_schema_constrains_the_answer(http: Http) -> None:
    async with AnthropicServer() as server:
        server.text = ['{"name": "Li', 'n", "age": 3}']
        text, _, end = await call(http, target(server), request(schema=PERSON))
    assert sent(server)["output_config"] == {"format": {"type": "json_schema", "schema": PERSON}}
    assert "tools" not in sent(server)
    assert (text, end.finish_reason) == ('{"name": "Lin", "age": 3}', "stop")


async def test_bounds_that_can_not_be_kept_are_told_in_words(http: Http) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 60, "description": "A title."},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 5},
            "day": {"type": ["string", "null"], "format": "date"},
            "part": {"$ref": "#/$defs/part"},
        },
        "required": ["title"],
        "$defs": {"part": {"type": "object", "properties": {"n": {"type": "number"}}}},
    }
    async with AnthropicServer() as server:
        await call(http, target(server), request(schema=schema))
    assert len(server.calls("/v1/messages")) == 1  # the server checks the schema, as the real one
    closed = sent(server)["output_config"]["format"]["schema"]
    assert closed["additionalProperties"] is False
    assert closed["properties"]["title"]["description"] == "A title. (maxLength: 60)"
    assert closed["properties"]["tags"]["description"] == "(minItems: 2; maxItems: 5)"
    assert closed["properties"]["day"] == {
        "anyOf": [
            {"type": "string", "format": "date"},
            {"type": "null", "format": "date"},
        ]
    }
    assert closed["$defs"]["part"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "free",
    [
        {"type": "object"},
        {"type": "object", "properties": {"any": {}}},
        {"type": "object", "properties": {"any": True}},
        {"type": "object", "properties": {"list": {"type": "array"}}},
        {"type": "object", "properties": {"map": {"type": "object", "additionalProperties": {}}}},
    ],
)
async def test_a_schema_with_free_parts_becomes_the_input_of_a_tool(
    http: Http, free: dict[str, Any]
) -> None:
    async with AnthropicServer() as server:
        server.text = ['{"any', '": 1}']
        text, _, end = await call(http, target(server), request(schema=free))
    assert sent(server)["tools"][0]["input_schema"] == free
    assert sent(server)["tool_choice"] == {"type": "tool", "name": "answer"}
    assert "output_config" not in sent(server)
    assert (text, end.finish_reason) == ('{"any": 1}', "stop")


async def test_a_model_without_schemas_is_given_a_tool(http: Http) -> None:
    async with AnthropicServer(Claude("claude-3-haiku", structured=False)) as server:
        server.text = ["{}"]
        for _ in range(2):
            text, _, end = await call(
                http, target(server, "claude-3-haiku"), request(schema=PERSON)
            )
    first, second, third = server.calls("/v1/messages")
    assert "output_config" in first
    assert second["tools"] == third["tools"]
    assert "output_config" not in third  # learnt
    assert (text, end.finish_reason) == ("{}", "stop")


async def test_a_target_may_say_that_its_server_knows_no_schemas(http: Http) -> None:
    async with AnthropicServer() as server:
        await call(http, target(server, quirks=Quirks(schema="none")), request(schema=PERSON))
    assert not sent(server).keys() & {"output_config", "tools"}


@given(
    st.recursive(
        st.sampled_from(["string", "object", 3, None, True, [], {"type": "string"}]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "items", "anyOf", "allOf", "enum", "required", "$defs",
                     "$ref", "minItems", "maxLength", "description", "additionalProperties"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_schema_is_closed_or_given_up(schema: Any) -> None:
    with suppress(anthropic._OpenSchema):
        closed = anthropic._closed(schema)
        assert closed.get("type") != "object" or closed["additionalProperties"] is False
        assert anthropic._closed(closed) == closed


# ---------------------------------------------------------------------------------------- errors


async def test_a_missing_and_a_wrong_key(http: Http) -> None:
    async with AnthropicServer() as server:
        missing = await failure(http, target(server, key=None), request())
        wrong = await failure(http, target(server, key=Secret("sk-ant-wrong-key")), request())
    assert isinstance(missing, NotHere)
    assert missing.code == "models.key-missing"
    assert missing.next_step.startswith("Set ANTHROPIC_API_KEY in the environment, or keep the key")
    assert isinstance(wrong, NotHere)
    assert str(wrong) == (
        f"{server.url} does not accept the key for anthropic/{SONNET} (401): invalid x-api-key"
    )
    assert "sk-ant" not in repr(wrong.values) + repr(missing.values)


async def test_a_model_that_is_not_there(http: Http) -> None:
    async with AnthropicServer() as server:
        error = await failure(http, target(server, "claude-99"), request())
    assert isinstance(error, NotHere)
    assert error.code == "models.model-missing"
    assert "has no model 'claude-99'" in str(error)


async def test_a_prompt_that_is_too_long(http: Http) -> None:
    async with AnthropicServer() as server:
        server.input_tokens_of_prompt = 210_000
        error = await failure(http, target(server), request())
    assert error.code == "models.context-exceeded"
    assert "210000 tokens > 200000 maximum" in str(error)


def error_body(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("refusal", "code", "text"),
    [
        (
            Refusal(429, error_body("rate_limit_error", "Too fast."), {"Retry-After": "7"}),
            "models.rate-limited",
            "asks to wait 7 s): Too fast.",
        ),
        (Refusal(500, error_body("api_error", "Internal")), "models.server-error", "Internal"),
        (Refusal(529, error_body("overloaded_error", "Overloaded")), "models.server-error", "529"),
        (
            Refusal(400, error_body("invalid_request_error", "Your credit balance is too low")),
            "models.no-credit",
            "no credit",
        ),
        (Refusal(403, error_body("permission_error", "No.")), "models.key-wrong", "No."),
        (Refusal(413, error_body("request_too_large", "Big.")), "models.refused", "Big."),
        (Refusal(502, b"<html><title>Bad gateway</title>"), "models.server-error", "Bad gateway"),
    ],
)
async def test_refusals_are_explained(http: Http, refusal: Refusal, code: str, text: str) -> None:
    async with AnthropicServer() as server:
        server.refusals = [refusal]
        error = await failure(http, target(server), request())
    assert error.code == code
    assert text in str(error)


async def test_an_overloaded_server_is_asked_again() -> None:
    async with AnthropicServer() as server, Http(environ={}) as http:
        server.refusals = [
            Refusal(529, error_body("overloaded_error", "Overloaded"), {"Retry-After": "0"}),
            Refusal(429, error_body("rate_limit_error", "Slow"), {"retry-after-ms": "1"}),
        ]
        text, _, _ = await call(http, target(server), request())
    assert text == "Hello"


async def test_an_error_in_the_middle_keeps_count_of_what_arrived(http: Http) -> None:
    async with AnthropicServer() as server:
        server.extra_events = [("error", error_body("overloaded_error", "Overloaded"))]
        error = await failure(http, target(server), request())
    assert str(error) == (
        f"anthropic/{SONNET} failed in the middle of its answer, after 5 characters: Overloaded"
    )


async def test_a_cut_connection_is_an_error(http: Http) -> None:
    async with AnthropicServer() as server:
        server.cut_after = 4
        error = await failure(http, target(server), request())
    assert error.code == "models.cut"
    assert "3 characters had arrived" in str(error)


async def test_a_stream_that_just_ends_is_an_error(http: Http) -> None:
    event = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hel"}}\n\n'
    async with AnthropicServer() as server:
        server.raw = [b"event: content_block_delta\n", event]
        error = await failure(http, target(server), request())
        server.raw = []
        nothing = await failure(http, target(server), request())
    assert (error.code, nothing.code) == ("models.cut", "models.cut")


async def test_an_empty_answer_is_an_error(http: Http) -> None:
    async with AnthropicServer() as server:
        server.text = []
        error = await failure(http, target(server), request())
    assert str(error) == f"anthropic/{SONNET} ended its answer without writing anything"


@pytest.mark.parametrize("data", [b"{", b"hello", b"[]", b'{"type": 3}', b'{"delta": "x"}'])
async def test_a_malformed_event_is_an_error(http: Http, data: bytes) -> None:
    event = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}\n\n'
    async with AnthropicServer() as server:
        server.raw = [event, b"data: " + data + b"\n\n"]
        error = await failure(http, target(server), request())
    assert error.code == "models.malformed"
    assert "after 2 characters" in str(error)


async def test_a_page_for_people_is_no_api(http: Http) -> None:
    async with AnthropicServer() as server:
        server.content_type = "text/html"
        server.raw = [b"<html><body>Welcome</body></html>"]
        error = await failure(http, target(server), request())
    assert error.code == "models.no-such-path"
    assert "Welcome" in str(error)


@given(
    payload=st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["type", "delta", "text", "thinking", "usage", "message", "input_tokens",
                         "stop_reason", "error", "partial_json", "content_block"]
                    ),
                    inner | st.sampled_from(["content_block_delta", "message_start", "error"]),
                )
            ),
        ).map(msgspec.json.encode),
    )
)  # fmt: skip
def test_any_event_is_text_or_a_clear_error(payload: bytes) -> None:
    answer = anthropic._Answer(Target("anthropic", "m", "anthropic", "http://localhost"))
    with suppress(Failed):
        chunk = answer.take(payload)
        assert chunk is None or isinstance(chunk, ModelChunk)


# ------------------------------------------------------------------------- judged by the SDK


async def test_the_official_client_gets_along_with_this_server() -> None:
    sdk = pytest.importorskip("anthropic", reason="the official client is not installed")
    async with AnthropicServer() as server:
        server.thinking = ["Hm."]
        client = sdk.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0)
        messages = [{"role": "user", "content": "Say hello."}]
        async with client.messages.stream(
            model=SONNET, max_tokens=100, messages=messages
        ) as stream:
            text = "".join([part async for part in stream.text_stream])
            final = await stream.get_final_message()
        whole = await client.messages.create(model=SONNET, max_tokens=100, messages=messages)
        about = await client.models.retrieve(SONNET)
        with pytest.raises(sdk.NotFoundError, match="model: nothing"):
            await client.messages.create(model="nothing", max_tokens=1, messages=messages)
        with pytest.raises(sdk.AuthenticationError):
            await client.with_options(api_key="wrong").messages.create(
                model=SONNET, max_tokens=1, messages=messages
            )
        server.extra_events = [("error", error_body("overloaded_error", "Overloaded"))]
        with pytest.raises(sdk.APIStatusError, match="Overloaded"):
            async for _ in await client.messages.create(
                model=SONNET, max_tokens=100, messages=messages, stream=True
            ):
                pass
        await client.close()
    assert text == "Hello"
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == (
        "end_turn",
        12,
        3,
    )
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert about.max_tokens == 64_000


async def test_our_request_is_the_official_clients(http: Http) -> None:
    """The same call through both: equal bodies."""
    sdk = pytest.importorskip("anthropic", reason="the official client is not installed")
    picture = File("image", "local_file", url=f"data:image/png;base64,{PNG}")
    ours = request(
        Message("system", "Be brief."),
        Message("user", "Look.", (picture,)),
        Message("assistant", "I see."),
        Message("user", "Who?"),
        params={"max_tokens": 3000, "thinking": True, "thinking_budget": 2000},
        stop=["END"],
        schema=PERSON,
    )
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    async with AnthropicServer() as server:
        await call(http, target(server, images=True), ours)
        client = sdk.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0)
        async for _ in await client.messages.create(
            model=SONNET,
            max_tokens=3000,
            system="Be brief.",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": source},
                        {"type": "text", "text": "Look."},
                    ],
                },
                {"role": "assistant", "content": "I see."},
                {"role": "user", "content": "Who?"},
            ],
            thinking={"type": "enabled", "budget_tokens": 2000},
            stop_sequences=["END"],
            output_config={"format": {"type": "json_schema", "schema": PERSON}},
            stream=True,
        ):
            pass
        await client.close()
    mine, theirs = server.calls("/v1/messages")
    assert mine == theirs


async def test_our_closed_schema_is_the_official_clients() -> None:
    sdk = pytest.importorskip("anthropic", reason="the official client is not installed")
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "more": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/more"}]},
        },
        "required": ["name"],
        "$defs": {"more": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    assert anthropic._closed(schema) == sdk.transform_schema(schema)


# What vLLM says of 32,000 tokens (what is asked for where a file says nothing) when its model has
# 8,192 of context: through 2025, since, and behind LiteLLM.
VLLM_OLD = (
    "'max_tokens' or 'max_completion_tokens' is too large: {most}. This model's maximum context "
    "length is 8192 tokens and your request has 40 input tokens ({most} > 8192 - 40)."
)
VLLM_NEW = (
    "This model's maximum context length is 8192 tokens. However, you requested {most} output "
    "tokens and your prompt contains at least {least} input tokens, for a total of at least 8193 "
    "tokens. Please reduce the length of the input prompt or the number of requested output tokens."
)
LITELLM = (
    "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: "
    'Hosted_vllmException - {{"error": {{"message": "{words}", "type": "BadRequestError", "param": '
    '"input_tokens", "code": 400}}}} model=fv. context_window_fallbacks=None. fallbacks=None.'
)


def anthropic_error(words: str, status: int = 400) -> Refusal:
    error = {"type": "invalid_request_error", "message": words}
    return Refusal(status, {"type": "error", "error": error})


async def test_a_limit_above_the_context_comes_down_to_what_there_is_room_for(http: Http) -> None:
    """vLLM 0.20 and later, and then its words for a prompt and an answer that do not fit."""
    first = "max_tokens=32000 cannot be greater than max_model_len=8192. Please request fewer."
    async with AnthropicServer() as server:
        server.offers_models = False
        server.refusals = [
            anthropic_error(first),
            anthropic_error(VLLM_NEW.format(most=8192, least=1)),
        ]
        await call(http, target(server), request())
    assert [body["max_tokens"] for body in server.calls("/v1/messages")] == [32_000, 8192, 4096]


@pytest.mark.parametrize("behind_litellm", [False, True])
@pytest.mark.parametrize(
    ("wording", "asked"),
    [(VLLM_OLD, [32_000, 8152]), (VLLM_NEW, [32_000, 8191, 4095])],
    ids=["old", "new"],
)
async def test_a_server_with_little_context_is_asked_for_what_the_prompt_leaves(
    http: Http, wording: str, asked: list[int], behind_litellm: bool
) -> None:
    async with AnthropicServer() as server:
        server.offers_models = False
        for most in asked[:-1]:
            words = wording.format(most=most, least=max(8192 - most + 1, 1))
            if behind_litellm:
                words = LITELLM.format(words=words)
            server.refusals.append(anthropic_error(words))
        text, _, end = await call(http, target(server), request())
        await call(http, target(server), request())
    assert text == "Hello"
    assert end.finish_reason == "stop"
    bodies = server.calls("/v1/messages")
    assert [body["max_tokens"] for body in bodies] == [*asked, 32_000]


async def test_a_prompt_that_leaves_no_room_is_too_long(http: Http) -> None:
    async with AnthropicServer() as server:
        words = VLLM_NEW.format(most=20, least=8192 - 20 + 1)
        server.refusals = [anthropic_error(words)]
        with pytest.raises(Failed) as caught:
            await call(http, target(server), request(params={"max_tokens": 20}))
    assert caught.value.code == "models.context-exceeded"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        # Numbers of other things: an HTTP status, a piece cut off for display, a model's name.
        ('{"message": "max_tokens: too many for qwen-2.5-7b", "code": 400}', None),
        ("max_tokens " + "x" * 386 + " 4096", None),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192].", 8192),
        ("max_tokens is too large: 32000. This model supports at most 16384 completion tokens, "
         "whereas you provided 32000 completion tokens.", 16_384),
    ],
)  # fmt: skip
async def test_only_a_limit_is_taken_for_a_limit(http: Http, words: str, asked: int | None) -> None:
    async with AnthropicServer() as server:
        server.offers_models = False
        server.refusals = [anthropic_error(words)]
        if asked is None:
            with pytest.raises(Failed):
                await call(http, target(server), request())
        else:
            await call(http, target(server), request())
    sent = [body["max_tokens"] for body in server.calls("/v1/messages")]
    assert sent == ([32_000] if asked is None else [32_000, asked])
