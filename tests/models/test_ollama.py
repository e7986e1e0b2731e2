"""Calls of an Ollama server, by its real protocol on a real socket."""

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

from millstream.base import Failed, MillstreamError, NotHere, Secret, set_language
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models import ollama, ollama_context
from millstream.models.http import Http, Patience
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.loopback import Refusal
from models.ollama_server import Model, OllamaServer, tokens

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(patience=Patience(tries=1), environ={}) as http:
        yield http


def target(server: OllamaServer, name: str = "qwen3:8b", **more: Any) -> Target:
    return Target("ollama", name, "ollama", server.url, **more)


def request(*messages: Message | str, **more: Any) -> ModelRequest:
    said = [Message("user", m) if isinstance(m, str) else m for m in messages or ("Say hello.",)]
    return ModelRequest(ModelRef("openai", "gpt-4o"), said, **more)


async def call(http: Http, target: Target, request: ModelRequest) -> tuple[str, str, ModelEnd]:
    """The text, the reasoning and the end of an answer."""
    items = [item async for item in ollama.generate(http, target, request)]
    chunks = [item for item in items if isinstance(item, ModelChunk)]
    assert isinstance(items[-1], ModelEnd)
    assert len(chunks) == len(items) - 1
    text = "".join(chunk.text for chunk in chunks)
    return text, "".join(chunk.reasoning for chunk in chunks), items[-1]


async def failure(http: Http, target: Target, request: ModelRequest) -> MillstreamError:
    with pytest.raises(MillstreamError) as raised:
        await call(http, target, request)
    return raised.value


# ------------------------------------------------------------------------------------- answering


async def test_an_answer_streams_and_ends_with_what_it_cost(http: Http) -> None:
    async with OllamaServer() as server:
        server.answer_text = ["Good ", "morning", "."]
        items = [item async for item in ollama.generate(http, target(server), request())]
    assert [item.text for item in items[:-1]] == ["Good ", "morning", "."]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    assert (end.finish_reason, end.model) == ("stop", "ollama/qwen3:8b")
    assert (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.calls) == (6, 3, 1)
    # The server's own clock, without the time in its queue.
    assert end.usage.time_to_generate == 1.0
    assert end.usage.time_to_first_token == 0.5
    assert end.usage.latency == 1.5


async def test_reasoning_comes_apart_from_the_text(http: Http) -> None:
    async with OllamaServer(Model("qwen3:8b", capabilities=["completion", "thinking"])) as server:
        server.thinking = ["Hm, ", "hello."]
        text, reasoning, _ = await call(http, target(server), request(params={"think": True}))
    assert (text, reasoning) == ("Hello", "Hm, hello.")
    assert server.calls("/api/chat")[0]["think"] is True


async def test_think_is_not_asked_of_a_model_that_cannot(http: Http) -> None:
    async with OllamaServer() as server:
        await call(http, target(server), request(params={"enable_thinking": True}))
        await call(http, target(server), request(params={"thinking": "false"}))
    assert [body.get("think") for body in server.calls("/api/chat")] == [None, False]


async def test_parameters_of_any_provider_become_options(http: Http) -> None:
    params = {
        "temperature": 0.7,
        "top_p": "0.9",
        "top_k": 40,
        "max_tokens": 300,
        "seed": 7.0,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "response_format": {"type": "json_object"},
        "logit_bias": {"50256": -100},
        "min_p": None,
        "num_gpu": "all",
        "keep_alive": "10m",
    }
    async with OllamaServer() as server:
        await call(http, target(server), request(params=params, stop=["\n\n", "END"]))
    (body,) = server.calls("/api/chat")
    assert body["options"] == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "num_predict": 300,
        "seed": 7,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "stop": ["\n\n", "END"],
        "num_ctx": 4096,
    }
    assert (body["format"], body["keep_alive"]) == ("json", "10m")
    assert (body["truncate"], body["shift"], body["stream"]) == (False, False, True)


async def test_the_binding_overrules_the_file(http: Http) -> None:
    async with OllamaServer() as server:
        options = {"num_ctx": 8192, "keep_alive": -1, "num_gpu": 0}
        await call(http, target(server, options=options), request(params={"num_ctx": 2048}))
    (body,) = server.calls("/api/chat")
    assert (body["options"]["num_ctx"], body["options"]["num_gpu"]) == (8192, 0)
    assert body["keep_alive"] == -1


async def test_a_schema_is_the_format(http: Http) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}
    async with OllamaServer() as server:
        await call(http, target(server), request(schema=schema))
        weak = Quirks(schema="none")
        await call(http, target(server, quirks=weak), request(schema=schema))
    assert [body.get("format") for body in server.calls("/api/chat")] == [schema, None]


async def test_a_prompt_of_system_messages_only_simply_works(http: Http) -> None:
    """As in smartrans, whose only message is a system one, with vision on and no file."""
    async with OllamaServer() as server:
        text, _, _ = await call(http, target(server), request(Message("system", "请润色译文。")))
        await call(
            http, target(server), request(Message("system", "Be brief."), Message("system", "Go."))
        )
    assert text == "Hello"
    first, second = server.calls("/api/chat")
    assert first["messages"] == [{"role": "user", "content": "请润色译文。"}]
    assert [m["role"] for m in second["messages"]] == ["system", "user"]


async def test_images_go_to_models_that_see_and_are_left_out_for_others(http: Http) -> None:
    picture = File("image", "local_file", name="cat.png", url=f"data:image/png;base64,{PNG}")
    paper = File("document", "local_file", name="a.pdf", url="data:application/pdf;base64,JVBERi0=")
    asked = request(Message("user", "What is this?", (picture, paper)))
    models = Model("llava", capabilities=["completion", "vision"]), Model("qwen3:8b")
    async with OllamaServer(*models) as server:
        await call(http, target(server, "llava"), asked)
        await call(http, target(server), asked)
    seeing, blind = server.calls("/api/chat")
    assert seeing["messages"] == [{"role": "user", "content": "What is this?", "images": [PNG]}]
    assert blind["messages"] == [{"role": "user", "content": "What is this?"}]


async def test_an_image_that_nobody_fetched_is_not_dropped_silently(http: Http) -> None:
    picture = File("image", "remote_url", name="cat.png", url="https://example.com/cat.png")
    async with OllamaServer(Model("llava", capabilities=["vision"])) as server:
        error = await failure(
            http, target(server, "llava"), request(Message("user", "?", (picture,)))
        )
    assert str(error) == ("the model is to read the file 'cat.png', but its bytes are not here")


async def test_completion_mode_sends_a_prompt(http: Http) -> None:
    said = Message("system", "Be brief."), Message("user", "Once upon")
    async with OllamaServer() as server:
        server.thinking = ["…"]
        text, reasoning, _ = await call(
            http, target(server), request(*said, mode="completion", stop=["."])
        )
        raw = target(server, options={"raw": True})
        await call(http, raw, request(*said, mode="completion"))
    assert (text, reasoning) == ("Hello", "…")
    shaped, bare = server.calls("/api/generate")
    assert (shaped["prompt"], shaped["system"]) == ("Once upon", "Be brief.")
    assert "raw" not in shaped
    assert (bare["prompt"], bare["raw"]) == ("Be brief.\n\nOnce upon", True)


async def test_the_finish_reason_is_passed_on(http: Http) -> None:
    async with OllamaServer() as server:
        server.done_reason = "length"
        _, _, cut = await call(http, target(server), request())
        server.answer_text = []
        server.done_reason = "stop"
        server.tool_calls = [{"function": {"name": "f", "arguments": {}}}]
        _, _, tools = await call(http, target(server), request())
    assert cut.finish_reason == "length"
    assert tools.finish_reason == "tool_calls"


async def test_an_empty_answer_is_an_error(http: Http) -> None:
    async with OllamaServer() as server:
        server.answer_text = []
        error = await failure(http, target(server), request())
        server.thinking = ["Nothing to say."]
        text, reasoning, _ = await call(http, target(server), request())
    assert str(error) == "ollama/qwen3:8b ended its answer without writing anything"
    assert (text, reasoning) == ("", "Nothing to say.")


async def test_an_empty_prompt_is_refused_here(http: Http) -> None:
    async with OllamaServer() as server:
        error = await failure(http, target(server), request(Message("user", " \n")))
        assert not server.calls("/api/chat")
    assert str(error) == ("there is nothing to send to ollama/qwen3:8b: the prompt has no messages")


async def test_a_page_for_people_is_no_api(http: Http) -> None:
    async with OllamaServer() as server:
        server.content_type = "text/html"
        server.raw = [b"<html><body>Welcome</body></html>"]
        error = await failure(http, target(server), request())
    assert error.code == "models.no-such-path"
    assert "Welcome" in str(error)


async def test_characters_may_arrive_in_pieces(http: Http) -> None:
    async with OllamaServer() as server:
        server.answer_text = ["春眠不", "觉晓 🌸"]
        server.split = 3
        text, _, _ = await call(http, target(server), request())
    assert text == "春眠不觉晓 🌸"


async def test_unknown_fields_and_empty_lines_are_nothing(http: Http) -> None:
    async with OllamaServer() as server:
        server.raw = [
            b"\n",
            b'{"message":{"role":"assistant","content":"a","novelty":[1]},"logprobs":null}\n\r\n',
            b'{"message":null,"done":false}\n',
            b'{"message":{"role":"assistant","content":"b"},"done":true,"done_reason":"stop"}',
        ]
        text, _, end = await call(http, target(server), request())
    assert text == "ab"
    assert end.usage.prompt_tokens == 0


async def test_leaving_an_answer_closes_the_connection_at_once(http: Http) -> None:
    async with OllamaServer() as server:
        server.hang_after = 1
        answer = ollama.generate(http, target(server), request())
        first = await anext(answer)
        assert isinstance(first, ModelChunk)
        await answer.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_key_is_sent_and_never_shown(http: Http) -> None:
    key = Secret("sk-very-secret-key")
    async with OllamaServer() as server:
        await call(http, target(server, key=key), request())
        assert {seen.headers["authorization"] for seen in server.requests} == {
            "Bearer sk-very-secret-key"
        }
        server.refusals = [Refusal(401, {"error": "unauthorized: Bearer sk-very-secret-key"})]
        error = await failure(http, target(server, key=key), request())
    assert "sk-very" not in str(error) + str(error.as_dict()) + repr(error.values)


# --------------------------------------------------------------------------------------- context


def words(count: int) -> str:
    return " ".join(f"w{i}" for i in range(count))


async def test_a_context_is_always_asked_for(http: Http) -> None:
    """Prompt and answer fit, in a power of two; the answer gets what the prompt leaves."""
    async with OllamaServer(Model("qwen3:8b", context=131072)) as server:
        await call(http, target(server), request(params={"max_tokens": 500}))
        await call(http, target(server), request(words(9000)))
    short, long = (body["options"] for body in server.calls("/api/chat"))
    assert (short["num_ctx"], short["num_predict"]) == (4096, 500)
    assert long["num_ctx"] == 32768
    assert ollama.ANSWER_ROOM < long["num_predict"] < 32768 - 9000


async def test_a_loaded_model_is_not_loaded_anew_without_need(http: Http) -> None:
    async with OllamaServer() as server:
        server.loaded["qwen3:8b"] = 32768  # by somebody else
        for _ in range(3):
            await call(http, target(server), request())
        assert server.reloads == 0
        await call(http, target(server), request(words(12000)))
        await call(http, target(server), request())
    contexts = [body["options"]["num_ctx"] for body in server.calls("/api/chat")]
    assert contexts == [32768, 32768, 32768, 32768, 32768]


async def test_the_context_grows_once_and_stays(http: Http) -> None:
    async with OllamaServer() as server:
        for prompt in ("short", words(12000), "short"):
            await call(http, target(server), request(prompt))
    contexts = [body["options"]["num_ctx"] for body in server.calls("/api/chat")]
    assert contexts == [8192, 32768, 32768]
    assert server.reloads == 2
    assert len([seen for seen in server.requests if seen.path == "/api/show"]) == 1


async def test_no_more_context_is_asked_for_than_the_model_has(http: Http) -> None:
    async with OllamaServer(Model("small", context=2048)) as server:
        await call(http, target(server, "small"), request())
        known = target(server, "small", context=1024)
        await call(http, known, request(params={"max_tokens": 5000}))
    first, second = server.calls("/api/chat")
    assert (first["options"]["num_ctx"], second["options"]["num_ctx"]) == (2048, 1024)


async def test_the_context_that_the_models_author_set_is_the_least(http: Http) -> None:
    async with OllamaServer(
        Model("m", parameters="num_ctx                        16384")
    ) as server:
        await call(http, target(server, "m"), request())
    assert server.calls("/api/chat")[0]["options"]["num_ctx"] == 16384


async def test_a_prompt_longer_than_the_model_is_refused_before_the_call(http: Http) -> None:
    async with OllamaServer(Model("small", context=2048)) as server:
        error = await failure(http, target(server, "small"), request(words(3000)))
    assert isinstance(error, Failed)
    assert str(error) == (
        "the prompt has at least 3000 tokens, but ollama/small has a context (num_ctx) of 2048"
    )
    assert "num_ctx" in error.next_step
    assert not server.calls("/api/chat")


async def test_a_guess_that_was_too_low_is_corrected(http: Http) -> None:
    """A text of signs has far more tokens than its length suggests."""
    signs = "!?" * 5000
    async with OllamaServer() as server:
        text, _, end = await call(http, target(server), request(signs))
    contexts = [body["options"]["num_ctx"] for body in server.calls("/api/chat")]
    assert contexts == [8192, 16384]
    assert (text, end.usage.prompt_tokens) == ("Hello", tokens(f"<user>{signs}"))


async def test_a_context_set_by_the_user_is_never_changed(http: Http) -> None:
    async with OllamaServer() as server:
        error = await failure(http, target(server), request("!?" * 1200, params={"num_ctx": 2048}))
    assert len(server.calls("/api/chat")) == 1
    assert str(error).startswith(
        "the prompt does not fit into the context (num_ctx) of 2048 tokens that ollama/qwen3:8b "
        "has on Ollama: the prompt is longer than the context length"
    )


@pytest.mark.parametrize("era", ["old", "ancient"])
async def test_silent_clipping_by_an_old_server_is_an_error(http: Http, era: str) -> None:
    async with OllamaServer(Model("m"), era=era) as server:
        error = await failure(
            http, target(server, "m"), request("w! " * 1000, params={"num_ctx": 1500})
        )
    assert isinstance(error, Failed)
    assert error.code == "ollama.clipped"
    assert str(error) == (
        "Ollama gave ollama/m only a part of the prompt: about 1016 tokens were sent, 1500 were "
        "read, in a context (num_ctx) of 1500"
    )
    assert "num_ctx" in error.next_step


async def test_old_messages_that_an_old_server_dropped_are_missed(http: Http) -> None:
    said = [Message("user" if i % 2 == 0 else "assistant", "w! " * 400) for i in range(5)]
    async with OllamaServer(Model("m"), era="old") as server:
        error = await failure(http, target(server, "m"), request(*said, params={"num_ctx": 2100}))
    assert error.code == "ollama.clipped"
    assert error.values["count"] == 1606


async def test_a_server_that_grants_less_than_asked_is_found_out(http: Http) -> None:
    async with OllamaServer(era="old") as server:
        server.memory = 4096
        error = await failure(http, target(server), request(words(5000)))
    assert error.code == "ollama.clipped"
    assert error.values["num_ctx"] == 4096
    assert server.calls("/api/chat")[0]["options"]["num_ctx"] == 16384


@pytest.mark.parametrize("era", ["new", "old", "ancient"])
async def test_a_cached_prompt_is_no_clipped_one(http: Http, era: str) -> None:
    """The same prompt again: ancient servers then count no prompt at all."""
    async with OllamaServer(era=era) as server:
        for prompt in (words(2500), words(2500), words(11000), words(11000)):
            text, _, end = await call(http, target(server), request(prompt))
            assert text == "Hello"
    assert (end.usage.prompt_tokens == 0) is (era == "ancient")


@given(text=st.text(), n=st.integers(1, 40))
def test_the_size_of_any_prompt_is_bounded_by_what_it_is(text: str, n: int) -> None:
    """What is taken for certain is: whole prompts are never called clipped."""
    size = ollama_context.Size.of(request(text * n))
    assert size.least <= max(tokens(text * n), 1) <= size.most
    assert size.least <= size.likely


async def test_a_model_elsewhere_has_its_own_context(http: Http) -> None:
    class Cloud(OllamaServer):
        async def answer(self, request: Any, seen: Any) -> Any:
            if seen.path == "/api/show":
                from models.loopback import reply

                return reply({"remote_host": "https://ollama.com", "remote_model": "gpt-oss:120b"})
            return await super().answer(request, seen)

    async with Cloud(Model("qwen3:8b", context=131072)) as server:
        server.default_context = 131072
        await call(http, target(server), request(words(9000)))
    assert "num_ctx" not in server.calls("/api/chat")[0]["options"]


# ---------------------------------------------------------------------------------------- errors


async def test_a_model_that_is_not_there_says_how_to_get_it(http: Http) -> None:
    async with OllamaServer() as server:
        error = await failure(http, target(server, "llama3:70b"), request())
    assert isinstance(error, NotHere)
    assert str(error) == f"Ollama at {server.url} has no model 'llama3:70b'"
    assert error.next_step == (
        "Fetch it: ollama pull llama3:70b (or: millstream models pull ollama:llama3:70b); "
        "what is there already: millstream models"
    )
    set_language("zh")
    assert "没有模型 'llama3:70b'" in str(error)


@pytest.mark.parametrize(
    ("refusal", "code", "text"),
    [
        (Refusal(401, {"error": "unauthorized"}), "models.key-missing", "needs a key"),
        (Refusal(404, b"404 page not found"), "models.no-such-path", "not as a model API"),
        (Refusal(429, {"error": "slow down"}, {"Retry-After": "7"}), "models.rate-limited", "7 s"),
        (Refusal(500, {"error": "llama runner exited"}), "models.server-error", "runner exited"),
        (Refusal(503, {"error": "server busy"}), "models.server-error", "server busy"),
        (
            Refusal(500, {"error": "model requires more system memory (9 GiB) than is available"}),
            "ollama.no-memory",
            "num_ctx) of 8192: model requires more system memory",
        ),
        (Refusal(400, {"error": "invalid option"}), "models.refused", "invalid option"),
    ],
)
async def test_refusals_are_explained(http: Http, refusal: Refusal, code: str, text: str) -> None:
    async with OllamaServer() as server:
        server.refusals = [refusal]
        error = await failure(http, target(server), request())
    assert error.code == code
    assert text in str(error)


async def test_a_busy_server_is_asked_again() -> None:
    async with OllamaServer() as server, Http(environ={}) as http:
        server.refusals = [Refusal(503, {"error": "busy"}, {"Retry-After": "0"})]
        text, _, _ = await call(http, target(server), request())
    assert text == "Hello"
    assert len(server.calls("/api/chat")) == 2


async def test_an_error_in_the_middle_keeps_count_of_what_arrived(http: Http) -> None:
    async with OllamaServer() as server:
        server.fail_midway = "an error was encountered while running the model: CUDA error"
        error = await failure(http, target(server), request())
    assert str(error) == (
        "ollama/qwen3:8b failed in the middle of its answer, after 5 characters: "
        "an error was encountered while running the model: CUDA error"
    )


async def test_a_cut_connection_is_an_error(http: Http) -> None:
    async with OllamaServer() as server:
        server.cut_after = 1
        error = await failure(http, target(server), request())
    assert error.code == "models.cut"
    assert "3 characters had arrived" in str(error)


async def test_a_stream_that_just_ends_is_an_error(http: Http) -> None:
    async with OllamaServer() as server:
        server.raw = [b'{"message":{"role":"assistant","content":"Hel"},"done":false}\n']
        error = await failure(http, target(server), request())
    assert error.code == "models.cut"


@pytest.mark.parametrize(
    "line", [b'{"message":{"content":"x"', b"<html>", b'{"message":[]}', b'{"done":"yes"}', b"[1]"]
)
async def test_a_malformed_line_is_an_error(http: Http, line: bytes) -> None:
    async with OllamaServer() as server:
        server.raw = [b'{"message":{"content":"Hi"},"done":false}\n', line + b"\n"]
        error = await failure(http, target(server), request())
    assert error.code == "models.malformed"
    assert "after 2 characters" in str(error)


async def test_nobody_at_the_address(http: Http) -> None:
    async with OllamaServer() as server:
        pass
    error = await failure(http, target(server), request())
    assert isinstance(error, NotHere)
    assert error.code == "models.connection-refused"


@given(
    payload=st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["message", "content", "thinking", "done", "error", "eval_count", "x"]
                    ),
                    inner,
                )
            ),
        ).map(msgspec.json.encode),
    )
)
def test_any_line_is_text_or_a_clear_error(payload: bytes) -> None:
    answer = ollama._Answer(Target("ollama", "m", "ollama", "http://localhost:11434"))
    with suppress(Failed):
        chunk = answer.take(payload)
        assert chunk is None or isinstance(chunk, ModelChunk)


# ---------------------------------------------------------------------- models, memory, fetching


async def test_what_a_server_is_and_has(http: Http) -> None:
    models = (
        Model("qwen3:8b", capabilities=["completion", "tools", "thinking"]),
        Model("bge-m3:latest", context=8192, capabilities=["embedding"], family="bert"),
    )
    async with OllamaServer(*models) as server:
        assert await ollama.version(http, server.url) == "0.34.4"
        for url in (server.url, server.url + "/", server.url + "/v1", server.url + "/api/"):
            qwen, bge = await ollama.list_models(http, url)
        server.loaded["qwen3:8b"] = 8192
        (loaded,) = await ollama.loaded(http, server.url)
        details = await ollama.show(http, server.url, "qwen3:8b")
    assert qwen == ollama.OllamaModel(
        "qwen3:8b",
        size=5_200_000_000,
        quantization="Q4_K_M",
        context=40960,
        family="qwen3",
        parameter_size="8.2B",
        capabilities=("completion", "tools", "thinking"),
    )
    assert (bge.context, bge.capabilities) == (8192, ("embedding",))
    assert loaded == ollama.LoadedModel("qwen3:8b", 5_200_000_000, 5_200_000_000, 8192)
    assert (details.context, details.num_ctx, details.license) == (
        40960,
        0,
        "Apache License\nVersion 2.0",
    )


async def test_a_model_to_show_that_is_not_there(http: Http) -> None:
    async with OllamaServer() as server:
        with pytest.raises(NotHere) as raised:
            await ollama.show(http, server.url, "nothing")
    assert raised.value.code == "ollama.no-model"


class Odd(OllamaServer):
    """Answers every question with the same thing."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    async def answer(self, request: Any, seen: Any) -> Any:
        from models.loopback import reply

        return reply(self.body)


@pytest.mark.parametrize("body", [[], {}, None, "hi", {"models": None}, {"data": []}])
async def test_some_other_server_at_the_address(http: Http, body: Any) -> None:
    async with Odd(body) as server:
        if body != {"models": None}:
            with pytest.raises(Failed) as raised:
                await ollama.list_models(http, server.url)
            assert str(raised.value) == f"{server.url} answers, but not as Ollama does"
        else:
            assert await ollama.list_models(http, server.url) == []


async def test_fields_of_the_wrong_kind_are_no_fields(http: Http) -> None:
    odd = {
        "models": [
            7,
            {"name": ""},
            {"name": "a\x1b[31mb\n", "size": -1, "details": [], "context_length": True},
            {
                "model": "m",
                "size": 10**30,
                "size_vram": 1.5,
                "details": {"family": 3, "parameter_size": None, "context_length": "8k"},
                "capabilities": {"a": 1},
            },
        ],
        "model_info": {"general.architecture": [], "x.context_length": 512},
        "parameters": 5,
        "license": ["MIT"],
    }
    async with Odd(odd) as server:
        # Control characters of a name would reach the terminal.
        assert [m.name for m in await ollama.list_models(http, server.url)] == ["a [31mb", "m"]
        assert [m.size for m in await ollama.loaded(http, server.url)] == [0, 0]
        details = await ollama.show(http, server.url, "m")
    assert details == ollama.OllamaDetails(context=512)


async def test_fetching_a_model_tells_how_far_it_is(http: Http) -> None:
    digest = "sha256:a3de86cd1c132c822487ededd47a324c50491393e6565cd14bafa40d0b8e686f"
    async with OllamaServer() as server:
        server.pull_lines = [
            {"status": "pulling manifest"},
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 100},
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 100, "completed": 60},
            {"status": "verifying sha256 digest"},
            {"status": "writing manifest"},
            {"status": "success"},
        ]
        steps = [step async for step in ollama.pull(http, server.url, "qwen3:8b")]
    assert [(step.completed, step.total) for step in steps[:4]] == [
        (0, 0),
        (0, 100),
        (60, 100),
        (0, 0),
    ]
    assert steps[1].digest == digest
    assert steps[-1].status == "success"
    assert server.calls("/api/pull") == [{"model": "qwen3:8b", "stream": True}]


@pytest.mark.parametrize(
    ("lines", "code", "kind"),
    [
        ([{"error": "pull model manifest: file does not exist"}], "ollama.pull-unknown", NotHere),
        ([{"error": "write: no space left on device"}], "ollama.pull-failed", Failed),
        ([], "ollama.pull-failed", Failed),
    ],
)
async def test_a_fetch_that_fails(
    http: Http, lines: list[dict[str, Any]], code: str, kind: type[MillstreamError]
) -> None:
    async with OllamaServer() as server:
        server.pull_lines = [{"status": "pulling manifest"}, *lines]
        with pytest.raises(kind) as raised:
            _ = [step async for step in ollama.pull(http, server.url, "nothing")]
    assert raised.value.code == code
    assert "nothing" in str(raised.value)


async def test_leaving_a_fetch_stops_it(http: Http) -> None:
    async with OllamaServer() as server:
        server.pull_lines = [{"status": "pulling manifest"}, {"status": "success"}]
        server.hang_after = 1
        steps = ollama.pull(http, server.url, "qwen3:8b")
        await anext(steps)
        await steps.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.gone.wait(), 5)


# ------------------------------------------------------------------------- judged by the SDK


async def test_the_official_client_gets_along_with_this_server() -> None:
    sdk = pytest.importorskip("ollama", reason="the official client is not installed")
    async with OllamaServer(Model("qwen3:8b", capabilities=["thinking", "vision"])) as server:
        server.thinking = ["Hm."]
        client = sdk.AsyncClient(host=server.url)
        messages = [{"role": "user", "content": "Say hello."}]
        parts = [
            part
            async for part in await client.chat(model="qwen3:8b", messages=messages, stream=True)
        ]
        whole = await client.chat(model="qwen3:8b", messages=messages)
        generated = await client.generate(model="qwen3:8b", prompt="Say hello.")
        listed = await client.list()
        running = await client.ps()
        shown = await client.show("qwen3:8b")
        server.pull_lines = [{"status": "pulling manifest"}, {"status": "success"}]
        pulled = [step async for step in await client.pull("qwen3:8b", stream=True)]
        with pytest.raises(sdk.ResponseError, match="not found"):
            await client.chat(model="nothing", messages=messages)
        server.fail_midway = "boom"
        with pytest.raises(sdk.ResponseError, match="boom"):
            async for _ in await client.chat(model="qwen3:8b", messages=messages, stream=True):
                pass
    assert "".join(part.message.content or "" for part in parts) == "Hello"
    assert parts[0].message.thinking == "Hm."
    assert (parts[-1].done_reason, parts[-1].prompt_eval_count) == ("stop", 6)
    assert (whole.message.content, generated.response) == ("Hello", "Hello")
    assert listed.models[0].details.quantization_level == "Q4_K_M"
    assert running.models[0].context_length == 4096
    assert shown.modelinfo["qwen3.context_length"] == 40960
    assert shown.capabilities == ["thinking", "vision"]
    assert [step.status for step in pulled] == ["pulling manifest", "success"]


async def test_our_request_is_the_official_clients(http: Http) -> None:
    """The same call through both: equal but for what we add against silent cutting."""
    sdk = pytest.importorskip("ollama", reason="the official client is not installed")
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    picture = File("image", "local_file", url=f"data:image/png;base64,{PNG}")
    ours = request(
        Message("system", "Be brief."),
        Message("user", "Look.", (picture,)),
        params={"temperature": 0.5, "top_k": 20, "max_tokens": 64, "num_ctx": 4096, "think": False},
        stop=["END"],
        schema=schema,
    )
    async with OllamaServer(Model("m", capabilities=["thinking", "vision"])) as server:
        await call(http, target(server, "m", options={"keep_alive": "5m"}), ours)
        client = sdk.AsyncClient(host=server.url)
        options = sdk.Options(temperature=0.5, top_k=20, num_predict=64, num_ctx=4096, stop=["END"])
        async for _ in await client.chat(
            model="m",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Look.", "images": [base64.b64decode(PNG)]},
            ],
            stream=True,
            format=schema,
            options=options,
            keep_alive="5m",
            think=False,
        ):
            pass
    mine, theirs = server.calls("/api/chat")
    assert (mine.pop("truncate"), mine.pop("shift")) == (False, False)
    theirs.setdefault("tools", None)
    assert mine == {name: value for name, value in theirs.items() if value not in (None, [])}
