"""Calls of Google's Gemini API, by its real protocol on a real socket."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed, MillstreamError, NotHere, Secret, set_language
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import gemini
from millstream.models.http import Http, Patience
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.gemini_server import KEY, Gemini, GeminiServer, Rejected
from models.loopback import Refusal

FLASH = "gemini-2.5-flash"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 40}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(patience=Patience(tries=1), environ={}) as http:
        yield http


def target(server: GeminiServer, name: str = FLASH, **more: Any) -> Target:
    settings = {"key": Secret(KEY), "setting": "GEMINI_API_KEY", **more}
    return Target("gemini", name, "gemini", server.url, **settings)


def request(*messages: Message | str, **more: Any) -> ModelRequest:
    said = [Message("user", m) if isinstance(m, str) else m for m in messages or ("Say hello.",)]
    return ModelRequest(ModelRef("openai", "gpt-4o"), said, **more)


async def call(http: Http, target: Target, request: ModelRequest) -> tuple[str, str, ModelEnd]:
    """The text, the reasoning and the end of an answer."""
    items = [item async for item in gemini.generate(http, target, request)]
    chunks = [item for item in items if isinstance(item, ModelChunk)]
    assert isinstance(items[-1], ModelEnd)
    assert len(chunks) == len(items) - 1
    text = "".join(chunk.text for chunk in chunks)
    return text, "".join(chunk.reasoning for chunk in chunks), items[-1]


async def failure(http: Http, target: Target, request: ModelRequest) -> MillstreamError:
    with pytest.raises(MillstreamError) as raised:
        await call(http, target, request)
    return raised.value


def sent(server: GeminiServer) -> dict[str, Any]:
    body: dict[str, Any] = server.requests[-1].body
    return body


# ------------------------------------------------------------------------------------- answering


async def test_an_answer_streams_and_ends_with_what_it_cost(http: Http) -> None:
    async with GeminiServer() as server:
        server.text = ["Good ", "morning", "."]
        server.thoughts = ["Hm."]
        items = [item async for item in gemini.generate(http, target(server), request())]
    assert [(item.text, item.reasoning) for item in items[:-1]] == [
        ("", "Hm."),
        ("Good ", ""),
        ("morning", ""),
        (".", ""),
    ]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    assert (end.finish_reason, end.model) == ("stop", f"gemini/{FLASH}")
    # Thoughts are paid for as the answer is.
    assert (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.calls) == (12, 4, 1)
    assert 0 < end.usage.time_to_first_token <= end.usage.latency


async def test_the_key_goes_in_a_header_and_never_in_the_address(http: Http) -> None:
    async with GeminiServer() as server:
        for end in ("", "/", "/v1beta", "/v1beta/openai/"):
            there = msgspec.structs.replace(target(server), base_url=server.url + end)
            await call(http, there, request())
        await call(http, target(server, "models/" + FLASH), request())
    for seen in server.requests:
        assert seen.headers["x-goog-api-key"] == KEY
        assert seen.path == f"/v1beta/models/{FLASH}:streamGenerateContent"
        assert dict(seen.query) == {"alt": "sse"}


async def test_a_prompt_of_system_messages_only_simply_works(http: Http) -> None:
    """As in smartrans, whose only message is a system one, with vision on and no file."""
    async with GeminiServer() as server:
        text, _, _ = await call(
            http, target(server, images=True), request(Message("system", "请润色译文。"))
        )
    assert text == "Hello"
    assert sent(server) == {"contents": [{"role": "user", "parts": [{"text": "请润色译文。"}]}]}


async def test_system_text_goes_apart_and_sides_alternate(http: Http) -> None:
    said = (
        Message("system", "Be brief."),
        Message("user", "One."),
        Message("user", "Two."),
        Message("assistant", "Yes?"),
        Message("user", "Three."),
    )
    async with GeminiServer() as server:
        await call(http, target(server), request(*said))
    assert sent(server) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "One.\n\nTwo."}]},
            {"role": "model", "parts": [{"text": "Yes?"}]},
            {"role": "user", "parts": [{"text": "Three."}]},
        ],
    }


async def test_a_model_without_system_instruction_reads_it_first(http: Http) -> None:
    said = Message("system", "Be brief."), Message("user", "Hello.")
    async with GeminiServer(Gemini("gemma-3-27b-it", system=False)) as server:
        for _ in range(2):
            text, _, _ = await call(http, target(server, "gemma-3-27b-it"), request(*said))
    assert text == "Hello"
    assert len(server.requests) == 3
    assert sent(server)["contents"] == [
        {"role": "user", "parts": [{"text": "Be brief."}, {"text": "Hello."}]}
    ]


async def test_an_empty_prompt_is_refused_here(http: Http) -> None:
    async with GeminiServer() as server:
        error = await failure(http, target(server), request(Message("user", " \n")))
    assert not server.requests
    assert str(error) == f"there is nothing to send to gemini/{FLASH}: the prompt has no messages"


async def test_parameters_of_any_provider_become_a_configuration(http: Http) -> None:
    params = {
        "temperature": 0.7,
        "top_p": "0.9",
        "top_k": 40,
        "max_tokens": 300,
        "seed": 3,
        "response_format": "json_object",
        "num_ctx": 4096,
    }
    async with GeminiServer() as server:
        await call(http, target(server), request(params=params, stop=list("abcdefg")))
    assert sent(server)["generationConfig"] == {
        "temperature": 0.7,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 300,
        "seed": 3,
        "responseMimeType": "application/json",
        "stopSequences": list("abcde"),
    }


async def test_what_a_model_does_not_take_is_left_out_and_not_sent_again(http: Http) -> None:
    params = {
        "presence_penalty": 0.2,
        "frequency_penalty": 0.1,
        "thinking": True,
        "max_tokens": 99_999,
        "temperature": 3,
        "response_format": "json_object",
        "top_p": 0.5,
    }
    async with GeminiServer(Gemini("gemma", json=False, thinks=False)) as server:
        for _ in range(2):
            text, _, _ = await call(http, target(server, "gemma"), request(params=params))
    assert text == "Hello"
    assert len(server.requests) == 7  # five refusals, once
    assert sent(server)["generationConfig"] == {"topP": 0.5}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("OTHER", "other"),
        ("SOMETHING_NEW", "something_new"),
    ],
)
async def test_finish_reasons(http: Http, reason: str, finish: str) -> None:
    async with GeminiServer() as server:
        server.finish_reason = reason
        _, _, end = await call(http, target(server), request())
    assert end.finish_reason == finish


async def test_a_reason_with_every_event_ends_nothing(http: Http) -> None:
    def event(text: str) -> bytes:
        part = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
        return b"data: " + msgspec.json.encode({"candidates": [part]}) + b"\n\n"

    async with GeminiServer() as server:
        server.raw = [event("Hel"), event("lo")]
        text, _, _ = await call(http, target(server), request())
    assert text == "Hello"


async def test_unknown_things_are_nothing(http: Http) -> None:
    async with GeminiServer() as server:
        server.more = [
            {"novelty": 1},
            {"candidates": []},
            {"candidates": [{"content": {"parts": [{"executableCode": {"code": "1"}}]}}]},
            {"candidates": [{"groundingMetadata": {}}]},
        ]
        text, _, _ = await call(http, target(server), request())
        server.raw = [
            b": comment\n\nevent: message\nid: 1\nretry: 5\n",
            b'data: {"candidates":[{"content":{"parts":[{"text":"Hi","thought":null}]},',
            b'"finishReason":"STOP"}]}',
        ]
        other, _, _ = await call(http, target(server), request())
    assert (text, other) == ("Hello", "Hi")


async def test_characters_may_arrive_in_pieces(http: Http) -> None:
    async with GeminiServer() as server:
        server.text = ["春眠不", "觉晓 🌸"]
        server.split = 3
        text, _, _ = await call(http, target(server), request())
    assert text == "春眠不觉晓 🌸"


async def test_leaving_an_answer_closes_the_connection_at_once(http: Http) -> None:
    async with GeminiServer() as server:
        server.hang_after = 1
        answer = gemini.generate(http, target(server), request())
        assert isinstance(await anext(answer), ModelChunk)
        await answer.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.gone.wait(), 5)


@pytest.mark.parametrize(
    ("params", "config"),
    [
        ({"thinking": True}, {"includeThoughts": True}),
        ({"thinking": False}, {"thinkingBudget": 0}),
        ({"thinking_budget": 512}, {"thinkingBudget": 512}),
        (
            {"thinking_mode": True, "thinking_budget": 512, "include_thoughts": False},
            {"thinkingBudget": 512},
        ),
        ({"thinking_level": "High"}, {"thinkingLevel": "HIGH"}),
        ({"think": "low"}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ({"include_thoughts": True}, {"includeThoughts": True}),
    ],
)
async def test_thinking(http: Http, params: dict[str, Any], config: dict[str, Any]) -> None:
    async with GeminiServer() as server:
        await call(http, target(server), request(params=params))
    assert sent(server)["generationConfig"] == {"thinkingConfig": config}


async def test_files_of_kinds_that_it_reads(http: Http) -> None:
    picture = File("image", "local_file", name="a.jpg", url=f"data:image/jpeg;base64,{PNG}")
    paper = File("document", "local_file", name="a.pdf", url="data:application/pdf;base64,JVBERi0x")
    comic = File("image", "local_file", name="a.gif", url="data:image/gif;base64,R0lGODdh")
    table = File(
        "document", "local_file", name="a.xlsx", url="data:application/zip;base64,UEsDBA=="
    )
    said = Message("user", "Look.", (picture, paper, comic, table))
    async with GeminiServer() as server:
        await call(http, target(server, images=True), request(said))
        seeing = sent(server)
        await call(http, target(server), request(said))
        blind = sent(server)
    assert seeing["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}},
        {"text": "Look."},
    ]
    assert blind["contents"][0]["parts"] == [{"text": "Look."}]


async def test_an_image_that_nobody_fetched_is_not_dropped_silently(http: Http) -> None:
    picture = File("image", "remote_url", name="cat.png", url="https://example.com/cat.png")
    async with GeminiServer() as server:
        error = await failure(
            http, target(server, images=True), request(Message("user", "?", (picture,)))
        )
    assert str(error) == "the model is to read the file 'cat.png', but its bytes are not here"


# ------------------------------------------------------------------------------------------ JSON


async def test_a_schema_constrains_the_answer(http: Http) -> None:
    async with GeminiServer() as server:
        server.text = ['{"name": "Li', 'n", "age": 3}']
        text, _, _ = await call(http, target(server), request(schema=PERSON))
        await call(http, target(server, quirks=Quirks(schema="none")), request(schema=PERSON))
    assert server.requests[0].body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": PERSON,
    }
    assert "generationConfig" not in sent(server)
    assert text == '{"name": "Lin", "age": 3}'


async def test_a_schema_that_is_too_much_leaves_json(http: Http) -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(15):
        deep = {"type": "object", "properties": {"a": deep}}
    async with GeminiServer() as server:
        await call(http, target(server), request(schema=deep))
        assert sent(server)["generationConfig"] == {"responseMimeType": "application/json"}
        # The next one is tried again.
        await call(http, target(server), request(schema=PERSON))
        assert sent(server)["generationConfig"]["responseJsonSchema"] == PERSON


# ---------------------------------------------------------------------------------------- errors


async def test_a_missing_and_a_wrong_key(http: Http) -> None:
    async with GeminiServer() as server:
        missing = await failure(http, target(server, key=None), request())
        wrong = await failure(http, target(server, key=Secret("AIza-wrong-key")), request())
    assert isinstance(missing, NotHere)
    assert missing.code == "models.key-missing"
    assert missing.next_step.startswith("Set GEMINI_API_KEY in the environment, or keep the key")
    assert isinstance(wrong, NotHere)
    assert str(wrong) == (
        f"{server.url} does not accept the key for gemini/{FLASH} (400): "
        "API key not valid. Please pass a valid API key."
    )


async def test_a_model_that_is_not_there(http: Http) -> None:
    async with GeminiServer() as server:
        error = await failure(http, target(server, "gemini-99"), request())
    assert isinstance(error, NotHere)
    assert error.code == "models.model-missing"


async def test_a_prompt_that_is_too_long(http: Http) -> None:
    async with GeminiServer() as server:
        server.prompt_tokens = 1_200_000
        error = await failure(http, target(server), request())
    assert error.code == "models.context-exceeded"
    assert "1200000" in str(error)


async def test_a_blocked_prompt(http: Http) -> None:
    async with GeminiServer() as server:
        server.block = "PROHIBITED_CONTENT"
        error = await failure(http, target(server), request())
    assert isinstance(error, Failed)
    assert str(error) == (
        f"gemini/{FLASH} does not answer this prompt: it was blocked (PROHIBITED_CONTENT)"
    )
    assert error.next_step
    set_language("zh")
    assert "已被拦截" in str(error)


QUOTA = Rejected(
    "You exceeded your current quota.",
    429,
    "RESOURCE_EXHAUSTED",
    **{"@type": "type.googleapis.com/google.rpc.RetryInfo"},
    retryDelay="37s",
)


@pytest.mark.parametrize(
    ("refusal", "code", "text"),
    [
        (Refusal(429, QUOTA.body), "models.rate-limited", "asks to wait 37 s"),
        (Refusal(429, [QUOTA.body], {"Retry-After": "7"}), "models.rate-limited", "wait 7 s"),
        (
            Refusal(500, Rejected("Internal error encountered.", 500, "INTERNAL").body),
            "models.server-error",
            "Internal error",
        ),
        (
            Refusal(503, Rejected("The model is overloaded.", 503, "UNAVAILABLE").body),
            "models.server-error",
            "overloaded",
        ),
        (
            Refusal(401, Rejected("Invalid credentials", 401, "UNAUTHENTICATED").body),
            "models.key-wrong",
            "Invalid credentials",
        ),
        (
            Refusal(400, Rejected("User location is not supported.", 400).body),
            "models.refused",
            "User location",
        ),
        (Refusal(404, b"<html>nothing here"), "models.no-such-path", "nothing here"),
        (
            Refusal(400, {"error": {"details": [3, {"reason": 1, "retryDelay": []}]}}),
            "models.refused",
            "",
        ),
    ],
)
async def test_refusals_are_explained(http: Http, refusal: Refusal, code: str, text: str) -> None:
    async with GeminiServer() as server:
        server.refusals = [refusal]
        error = await failure(http, target(server), request())
    assert error.code == code
    assert text in str(error)


async def test_a_busy_service_is_asked_again() -> None:
    async with GeminiServer() as server, Http(environ={}) as http:
        busy = Rejected("The model is overloaded.", 503, "UNAVAILABLE").body
        server.refusals = [Refusal(503, busy, {"Retry-After": "0"})]
        text, _, _ = await call(http, target(server), request())
    assert text == "Hello"
    assert len(server.requests) == 2


async def test_an_error_behind_the_events_is_seen(http: Http) -> None:
    """Real streams end so, even after a reason to stop."""
    async with GeminiServer() as server:
        server.fails_midway = Rejected("The model is overloaded.", 503, "UNAVAILABLE")
        error = await failure(http, target(server), request())
    assert str(error) == (
        f"gemini/{FLASH} failed in the middle of its answer, after 5 characters: "
        "The model is overloaded."
    )


async def test_an_error_within_the_events_is_seen(http: Http) -> None:
    async with GeminiServer() as server:
        server.more = [Rejected("Deadline expired.", 504, "DEADLINE_EXCEEDED").body]
        error = await failure(http, target(server), request())
    assert error.code == "models.failed-midway"
    assert "Deadline expired." in str(error)


async def test_a_cut_connection_is_an_error(http: Http) -> None:
    async with GeminiServer() as server:
        server.cut_after = 1
        error = await failure(http, target(server), request())
    assert error.code == "models.cut"
    assert "3 characters had arrived" in str(error)


async def test_a_stream_that_just_ends_is_an_error(http: Http) -> None:
    async with GeminiServer() as server:
        server.finish_reason = None
        error = await failure(http, target(server), request())
    assert error.code == "models.cut"


async def test_an_empty_answer_is_an_error(http: Http) -> None:
    async with GeminiServer() as server:
        server.text = []
        error = await failure(http, target(server), request())
        server.finish_reason = "SAFETY"
        text, _, end = await call(http, target(server), request())
    assert str(error) == f"gemini/{FLASH} ended its answer without writing anything"
    assert (text, end.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    "data", [b"{", b"hello", b"[]", b'{"candidates": 3}', b'{"candidates":[1]}']
)
async def test_a_malformed_event_is_an_error(http: Http, data: bytes) -> None:
    event = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\n\n'
    async with GeminiServer() as server:
        server.raw = [event, b"data: " + data + b"\n\n"]
        error = await failure(http, target(server), request())
        server.raw = [event, b"what is this?\n\n"]
        stray = await failure(http, target(server), request())
    assert (error.code, stray.code) == ("models.malformed", "models.malformed")
    assert "after 2 characters" in str(error)


async def test_a_page_for_people_is_no_api(http: Http) -> None:
    async with GeminiServer() as server:
        server.content_type = "text/html"
        server.raw = [b"<html><body>Welcome</body></html>"]
        error = await failure(http, target(server), request())
    assert error.code == "models.no-such-path"


@given(
    payload=st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["candidates", "content", "parts", "text", "thought", "finishReason",
                         "promptFeedback", "blockReason", "usageMetadata", "error", "x"]
                    ),
                    inner,
                )
            ),
        ).map(lambda value: b"data: " + msgspec.json.encode(value)),
    )
)  # fmt: skip
def test_any_line_is_text_or_a_clear_error(payload: bytes) -> None:
    answer = gemini._Answer(Target("gemini", "m", "gemini", "http://localhost"))
    with suppress(Failed):
        assert all(isinstance(chunk, ModelChunk) for chunk in answer.take(payload))
        answer.end(gemini.Stopwatch())


# ------------------------------------------------------------------------- judged by the SDK


def client_of(server: GeminiServer, key: str = KEY) -> Any:
    genai = pytest.importorskip("google.genai", reason="the official client is not installed")
    options = genai.types.HttpOptions(base_url=server.url, api_version="v1beta")
    return genai.Client(api_key=key, http_options=options).aio


async def test_the_official_client_gets_along_with_this_server() -> None:
    errors = pytest.importorskip("google.genai.errors", reason="the official client is missing")
    async with GeminiServer() as server:
        server.thoughts = ["Hm."]
        client = client_of(server)
        stream = await client.models.generate_content_stream(model=FLASH, contents="Say hello.")
        parts = [part async for part in stream]
        whole = await client.models.generate_content(model=FLASH, contents="Say hello.")
        with pytest.raises(errors.ClientError, match="is not found for API version"):
            await client.models.generate_content(model="nothing", contents="Hi")
        with pytest.raises(errors.ClientError, match="API key not valid"):
            await client_of(server, "wrong").models.generate_content(model=FLASH, contents="Hi")
        server.block = "SAFETY"
        blocked = await client.models.generate_content(model=FLASH, contents="Hi")
    text = "".join(
        p.text for c in parts for p in c.candidates[0].content.parts or () if not p.thought
    )
    assert text == "Hello"
    assert whole.text == "Hello"
    assert parts[-1].candidates[0].finish_reason.name == "STOP"
    assert parts[-1].usage_metadata.thoughts_token_count == 1
    assert blocked.prompt_feedback.block_reason.name == "SAFETY"


def spelt(value: Any) -> Any:
    """A body with its fields spelt as in the documentation; the service takes both spellings."""
    if isinstance(value, dict):
        return {re.sub("_([a-z])", lambda m: m[1].upper(), k): spelt(v) for k, v in value.items()}
    return [spelt(item) for item in value] if isinstance(value, list) else value


async def test_our_request_is_the_official_clients(http: Http) -> None:
    """The same call through both: equal bodies, but for a role that means nothing."""
    types = pytest.importorskip("google.genai.types", reason="the official client is missing")
    picture = File("image", "local_file", url=f"data:image/png;base64,{PNG}")
    ours = request(
        Message("system", "Be brief."),
        Message("user", "Look.", (picture,)),
        Message("assistant", "I see."),
        Message("user", "Who?"),
        params={"temperature": 0.5, "top_p": 0.9, "top_k": 20, "max_tokens": 64, "seed": 1,
                "thinking": True, "thinking_budget": 512},
        stop=["END"],
        schema=PERSON,
    )  # fmt: skip
    async with GeminiServer() as server:
        await call(http, target(server, images=True), ours)
        client = client_of(server)
        stream = await client.models.generate_content_stream(
            model=FLASH,
            contents=[
                types.Content(
                    role="user",
                    parts=[
                        types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"),
                        types.Part.from_text(text="Look."),
                    ],
                ),
                types.Content(role="model", parts=[types.Part.from_text(text="I see.")]),
                types.Content(role="user", parts=[types.Part.from_text(text="Who?")]),
            ],
            config=types.GenerateContentConfig(
                system_instruction="Be brief.",
                temperature=0.5,
                top_p=0.9,
                top_k=20,
                max_output_tokens=64,
                seed=1,
                stop_sequences=["END"],
                response_mime_type="application/json",
                response_json_schema=PERSON,
                thinking_config=types.ThinkingConfig(thinking_budget=512, include_thoughts=True),
            ),
        )
        async for _ in stream:
            pass
    mine, theirs = server.requests
    assert (mine.path, mine.query) == (theirs.path, theirs.query)
    del theirs.body["systemInstruction"]["role"]
    assert theirs.headers["x-goog-api-key"] == KEY
    assert mine.body == spelt(theirs.body)
