"""The models port: everything that happens between a node's request and a server's answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed, NotHere
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.models.guard import fewest_tokens
from millstream.models.http import Http
from millstream.models.router import Router, Rules
from millstream.models.stitch import without_overlap
from millstream.models.target import Quirks, Target
from millstream.values import File
from models.loopback import nothing_left_over
from models.openai_server import OpenAIServer

REF = ModelRef("azure_openai", "gpt-4o")


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


def target(server: OpenAIServer, **more: Any) -> Target:
    return Target("local", "gpt-4o", "openai", server.base_url, **more)


def router(http: Http, server: OpenAIServer, rules: Rules | None = None, **more: Any) -> Router:
    return Router(http, lambda ref: target(server, **more), rules=rules)


def request(*messages: Message | str, **more: Any) -> ModelRequest:
    said = [Message("user", m) if isinstance(m, str) else m for m in messages or ("Say hello.",)]
    return ModelRequest(REF, said, **more)


async def call(router: Router, request: ModelRequest) -> tuple[str, str, ModelEnd]:
    """Text and reasoning as a reader of the stream has them in the end, and the end."""
    items = [item async for item in router.generate(request)]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    chunks = [item for item in items if isinstance(item, ModelChunk)]
    text = "".join(c.text for c in chunks) if end.replaces is None else end.replaces
    return text, "".join(c.reasoning for c in chunks), end


async def test_streams_are_closed_by_who_reads_them(http: Http, server: OpenAIServer) -> None:
    schema = {"type": "object"}
    with nothing_left_over():
        await call(router(http, server), request())
        server.answer_text = ['{"a": ', "1}"]
        await call(router(http, server), request(schema=schema))
        server.finish_reason = "length"
        _, _, end = await call(router(http, server, Rules(continue_on_length=2)), request())
        assert end.usage.calls == 2


class TestBinding:
    async def test_the_end_says_who_answered(self, http: Http, server: OpenAIServer) -> None:
        asked = []

        def bind(ref: ModelRef) -> Target:
            asked.append(ref)
            return target(server)

        text, _, end = await call(Router(http, bind), request())
        assert (text, end.model, asked) == ("Hello", "local/gpt-4o", [REF])

    async def test_a_model_whose_server_is_started_when_it_is_called(
        self, http: Http, server: OpenAIServer
    ) -> None:
        class Sleeping:
            async def open(self) -> Target:
                await asyncio.sleep(0)
                return target(server)

        async def later(ref: ModelRef) -> Sleeping:
            return Sleeping()

        for bind in (lambda ref: Sleeping(), later):
            assert (await call(Router(http, bind), request()))[0] == "Hello"

    async def test_what_is_not_here(self, http: Http) -> None:
        def bind(ref: ModelRef) -> Target:
            raise NotHere("models.unknown-provider", provider=ref.provider, name=ref.name)

        with pytest.raises(NotHere):
            await call(Router(http, bind), request())


class TestReasoning:
    async def test_inline_reasoning_is_split_off(self, http: Http, server: OpenAIServer) -> None:
        server.answer_text = ["<th", "ink>\nLet me", " see.</thi", "nk>\n\n", "Hel", "lo"]
        assert (await call(router(http, server), request()))[:2] == ("Hello", "Let me see.")

    async def test_reasoning_that_was_taken_for_text(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.answer_text = ["Let me see.", "\n</think>", "\nHello"]
        text, reasoning, end = await call(router(http, server), request())
        assert (text, reasoning, end.replaces) == ("Hello", "Let me see.", "Hello")

    async def test_a_servers_own_split_is_kept(self, http: Http, server: OpenAIServer) -> None:
        server.reasoning = ["Hm."]
        assert (await call(router(http, server), request()))[:2] == ("Hello", "Hm.")


class TestSlots:
    async def test_no_more_calls_at_once_than_the_server_can_run(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.delay = 0.05
        ours = router(http, server, slots=2)
        started = time.perf_counter()
        ends = await asyncio.gather(*(call(ours, request()) for _ in range(6)))
        whole = time.perf_counter() - started
        assert server.most_concurrent == 2
        # Waiting for a slot is no part of a call.
        assert sum(end.usage.latency for _, _, end in ends) < 2.5 * whole

    async def test_a_call_that_is_given_up_frees_its_slot(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.hang_after = 2
        ours = router(http, server, slots=1)
        stream = ours.generate(request())
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(server.gone.wait(), 5)
        server.hang_after = None
        assert (await asyncio.wait_for(call(ours, request()), 5))[0] == "Hello"

    def test_a_router_outlives_its_loop(self) -> None:
        async def once(ours: Router, server: OpenAIServer) -> None:
            async with server:
                ours.http = Http(environ={})
                async with ours.http:
                    await asyncio.gather(*(call(ours, request()) for _ in range(3)))

        one = OpenAIServer()
        ours = Router(Http(environ={}), lambda ref: target(one, slots=1))
        asyncio.run(once(ours, one))
        asyncio.run(once(ours, one))


class TestContext:
    """llama.cpp's way of counting: `options.tokenize`."""

    def counted(self, http: Http, server: OpenAIServer, context: int, **more: Any) -> Router:
        return router(http, server, context=context, options={"tokenize": True}, **more)

    async def test_an_answer_may_take_what_is_left(self, http: Http, server: OpenAIServer) -> None:
        await call(self.counted(http, server, 100), request("one two three"))
        (body,) = server.calls("/v1/chat/completions")
        assert body["max_tokens"] == 100 - 6

    async def test_a_file_may_not_ask_for_more_than_is_left(
        self, http: Http, server: OpenAIServer
    ) -> None:
        asked = request("one two three", params={"num_predict": 5000, "temperature": 0})
        await call(self.counted(http, server, 100), asked)
        (body,) = server.calls("/v1/chat/completions")
        assert (body["max_tokens"], body["temperature"]) == (94, 0)

    async def test_a_prompt_that_does_not_fit_is_not_sent(
        self, http: Http, server: OpenAIServer
    ) -> None:
        with pytest.raises(Failed) as raised:
            await call(self.counted(http, server, 50), request("word " * 100))
        assert str(raised.value) == (
            "the prompt has 103 tokens, and local/gpt-4o has a context of 50"
        )
        assert not server.calls("/v1/chat/completions")

    async def test_what_fits_for_certain_is_not_counted(
        self, http: Http, server: OpenAIServer
    ) -> None:
        await call(self.counted(http, server, 4096), request("Hi", params={"max_tokens": 9}))
        assert [seen.path for seen in server.requests] == ["/v1/chat/completions"]

    async def test_a_prompt_that_the_server_cut_is_an_error(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.context, server.cuts = 200, True
        with pytest.raises(Failed) as raised:
            await call(self.counted(http, server, 4096), request("word " * 400))
        assert str(raised.value) == (
            "local/gpt-4o read only 200 tokens of a prompt of 403 or more: its server cut the "
            "rest off without saying so (context: 4096)"
        )
        assert "models.check_prompt_tokens" in raised.value.next_step

    async def test_a_cut_shows_even_where_nobody_can_count_before(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.context, server.cuts = 2050, True
        for text in ("word " * 4000, "他们说这是一个很长的故事" * 2000):
            for context in (4096, None):
                with pytest.raises(Failed) as raised:
                    await call(router(http, server, context=context), request(text))
                assert raised.value.code == "models.truncated"
        lenient = Rules(check_prompt_tokens=False)
        assert (await call(router(http, server, lenient), request("word " * 4000)))[0] == "Hello"

    @pytest.mark.parametrize("seen", [0, 3, 40, 900])
    async def test_a_server_that_leaves_cached_tokens_out_is_believed(
        self, http: Http, server: OpenAIServer, seen: int
    ) -> None:
        server.context, server.cuts = seen, True
        assert (await call(router(http, server), request("word " * 4000)))[0] == "Hello"


@given(st.text(max_size=300))
def test_no_usual_tokenizer_goes_below_the_bound(text: str) -> None:
    # The leanest that a tokenizer is known to be: a token a word with the space before it, and
    # eight characters of Chinese.
    assert fewest_tokens(request(text)) <= len(text.split()) + len(text) // 8


class TestLength:
    async def test_a_cut_answer_is_kept_and_said_to_be_cut(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.finish_reason = "length"
        text, _, end = await call(router(http, server), request())
        assert (text, end.finish_reason) == ("Hello", "length")

    async def test_it_is_continued_and_stitched_where_that_is_wanted(
        self, http: Http, server: OpenAIServer
    ) -> None:
        server.answers = ["It was a dark and", "a dark and stormy night; the", " rain fell."]
        server.finish_reasons = ["length", "length", "stop"]
        text, _, end = await call(router(http, server, Rules(continue_on_length=5)), request())
        assert text == "It was a dark and stormy night; the rain fell."
        assert (end.finish_reason, end.usage.calls) == ("stop", 3)
        last = server.calls("/v1/chat/completions")[-1]["messages"]
        assert [message["role"] for message in last] == ["user", "assistant", "user"]
        assert last[1]["content"] == "It was a dark and stormy night; the"

    async def test_it_is_not_continued_for_ever(self, http: Http, server: OpenAIServer) -> None:
        server.finish_reason = "length"
        _, _, end = await call(router(http, server, Rules(continue_on_length=2)), request())
        assert (end.finish_reason, end.usage.calls) == ("length", 3)

    async def test_a_long_continuation_streams(self, http: Http, server: OpenAIServer) -> None:
        long = " and then" * 100
        server.answers, server.finish_reasons = ["Once", "Once" + long], ["length", "stop"]
        text, _, _ = await call(router(http, server, Rules(continue_on_length=1)), request())
        assert text == "OnceOnce" + long  # four letters may be chance

    @pytest.mark.parametrize(
        ("before", "after", "new"),
        [
            ("The quick brown fox", "quick brown fox jumps", " jumps"),
            ("The quick brown fox", " jumps", " jumps"),
            ("The quick brown fox", "\nquick brown fox jumps", " jumps"),
            ("ab", "ab", "ab"),
            ("", "x", "x"),
        ],
    )
    def test_the_seam(self, before: str, after: str, new: str) -> None:
        assert without_overlap(before, after) == new


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class TestSchemas:
    async def test_a_schema_is_fulfilled(self, http: Http, server: OpenAIServer) -> None:
        server.answers = ['<think>Easy.</think>{"n": 4}']
        ours = router(http, server, quirks=Quirks(schema="grammar"))
        text, reasoning, end = await call(ours, request(schema=SCHEMA))
        assert (text, reasoning) == ('{"n": 4}', "Easy.")
        assert (end.structured, end.rung) == ({"n": 4}, "grammar")

    async def test_asked_again_on_a_real_connection(self, http: Http, server: OpenAIServer) -> None:
        server.answers = ["four", 'I meant {"n": "four"}', '{"n": 4}']
        text, _, end = await call(router(http, server), request(schema=SCHEMA))
        assert (text, end.structured, end.rung) == ('{"n": 4}', {"n": 4}, "asked again")
        assert end.usage.calls == 3

    async def test_never_right(self, http: Http, server: OpenAIServer) -> None:
        with pytest.raises(Failed) as raised:
            await call(router(http, server, Rules(reasks=0)), request(schema=SCHEMA))
        assert "The answer begins: Hello" in str(raised.value)
        assert raised.value.values["text"] == "Hello"


PNG = b"\x89PNG\r\n\x1a\n"


class Shelf:
    async def read(self, file: File) -> bytes:
        return PNG

    async def save(self, data: bytes, *, name: str, mime_type: str) -> File:
        raise NotImplementedError


class TestFiles:
    IMAGE = File("image", "local_file", name="a.png", url="file:///a.png", mime_type="image/png")
    PAPER = File("document", "local_file", name="a.pdf", url="file:///a.pdf")

    async def test_images_are_sent_along(self, http: Http, server: OpenAIServer) -> None:
        ours = Router(http, lambda ref: target(server, images=True), files=Shelf())
        await call(ours, request(Message("user", "What is it?", (self.IMAGE, self.PAPER))))
        (body,) = server.calls("/v1/chat/completions")
        assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]
        url = body["messages"][0]["content"][1]["image_url"]["url"]
        assert url == "data:image/png;base64,iVBORw0KGgo="

    async def test_a_text_model_is_not_troubled_with_them(
        self, http: Http, server: OpenAIServer
    ) -> None:
        said = [Message("user", "What is it?"), Message("user", "", (self.IMAGE,))]
        await call(Router(http, lambda ref: target(server), files=Shelf()), request(*said))
        (body,) = server.calls("/v1/chat/completions")
        assert body["messages"] == [{"role": "user", "content": "What is it?"}]


async def test_cancelling_a_run_closes_the_connection_at_once(
    http: Http, server: OpenAIServer
) -> None:
    server.hang_after = 2
    task = asyncio.create_task(call(router(http, server, slots=1), request()))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 1)
    await asyncio.wait_for(server.gone.wait(), 1)


class TestCircle:
    async def test_an_answer_in_a_circle_is_ended_and_says_how_long_it_took(
        self, http: Http
    ) -> None:
        async with OpenAIServer() as server:
            server.answer_text = ["The same ", "again. "] * 400
            here = Target("embedded", "gpt-4o", "openai", server.base_url)
            _, _, end = await call(Router(http, lambda ref: here), request())
        assert end.finish_reason == "repetition"
        assert 0 < end.usage.completion_tokens < 800
        assert end.usage.time_to_generate > 0
        spent = end.usage.time_to_first_token + end.usage.time_to_generate
        assert end.usage.latency == pytest.approx(spent)
