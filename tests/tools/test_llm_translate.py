"""Translation by the bound model, with a model that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRef, ModelRequest, Usage
from millstream.tools.languages import find_language
from millstream.tools.llm_translate import LlmTranslate, clean, longest, prompt, ran_away
from millstream.tools.translation import DUCKDUCKGO, GOOGLE

Reply = Callable[[ModelRequest], str]


class Model:
    """A model that gives its reply letter by letter; replies to a schema are its structure."""

    def __init__(self, reply: Reply, finish_reason: str = "stop") -> None:
        self.reply = reply
        self.finish_reason = finish_reason
        self.requests: list[ModelRequest] = []
        self.closed = 0

    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        self.requests.append(request)
        reply = self.reply(request)
        try:
            # The first piece is answered last: order must not depend on it.
            for _ in range(20 - len(self.requests)):
                await asyncio.sleep(0)
            yield ModelChunk(reasoning="let me see")
            for letter in reply:
                yield ModelChunk(text=letter)
            usage = Usage(prompt_tokens=10, completion_tokens=len(reply), calls=1)
            structured = {"translation": reply} if request.schema else None
            yield ModelEnd(usage, self.finish_reason, "test/model", structured)
        finally:
            self.closed += 1


def shout(request: ModelRequest) -> str:
    return request.messages[-1].text.upper()


def tool(model: Model, *, piece: int = 1_500, form: Any = GOOGLE) -> LlmTranslate:
    return LlmTranslate(model, ModelRef("openai", "gpt-4o"), piece, form)


async def test_the_text_is_the_users_message_after_an_example() -> None:
    model = Model(lambda _: "Bonjour.")
    result = await tool(model).invoke({"content": "Good morning.", "dest": "fr"})
    assert result.text == "Bonjour."
    assert result.usage == Usage(prompt_tokens=10, completion_tokens=8, calls=1)
    request = model.requests[0]
    assert request.model == ModelRef("openai", "gpt-4o")
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert "into French" in request.messages[0].text
    assert request.messages[2].text == "Merci beaucoup."
    assert request.messages[3].text == "Good morning."


async def test_a_language_that_is_only_a_code_has_no_example() -> None:
    language = find_language("sw")
    assert language is not None
    assert [message.role for message in prompt("x", language)] == ["system", "user"]


async def test_it_takes_the_parameters_of_the_tool_it_stands_for() -> None:
    model = Model(lambda _: "你好")
    duck = tool(model, form=DUCKDUCKGO)
    assert [parameter.name for parameter in duck.parameters] == ["query", "translate_to"]
    result = await duck.invoke({"query": "hello", "translate_to": "zh-Hans"})
    assert result.text == "你好"
    assert "Simplified Chinese" in model.requests[0].messages[0].text


async def test_a_long_text_keeps_its_order_and_white_space_and_sums_its_usage() -> None:
    text = "  First paragraph.\n\n\nSecond one.\nA line.\n\n- third\n"
    model = Model(shout)
    result = await tool(model, piece=24).invoke({"content": text, "dest": "fr"})
    assert result.text == text.upper()
    assert result.usage is not None
    assert result.usage.calls == len(model.requests) > 2


async def test_an_empty_text_asks_nobody() -> None:
    model = Model(shout)
    result = await tool(model).invoke({"content": " \n ", "dest": "fr"})
    assert (result.text, model.requests) == (" \n ", [])


async def test_a_model_that_repeats_itself_must_end_in_a_bounded_string() -> None:
    model = Model(lambda request: "好的" if request.schema else "谢谢" * 10_000)
    result = await tool(model).invoke({"content": "All right.", "dest": "zh-cn"})
    assert result.text == "好的"
    first, second = model.requests
    assert first.schema is None
    assert second.schema is not None
    assert second.schema["properties"]["translation"]["maxLength"] == 33  # 100 bytes of Chinese
    assert model.closed == 2, "the first call was broken off"


async def test_a_model_that_loses_itself_in_a_long_text_gets_shorter_ones() -> None:
    def reply(request: ModelRequest) -> str:
        text = request.messages[-1].text
        return text.upper() if len(text) < 400 else "and so on " * 10_000

    text = "A sentence that means little. " * 30
    model = Model(reply)
    result = await tool(model).invoke({"content": text, "dest": "fr"})
    assert result.text == text.upper()
    assert not any(request.schema for request in model.requests)


async def test_an_answer_cut_by_the_context_is_asked_for_again() -> None:
    model = Model(lambda request: "ja" if request.schema else "jawohl", finish_reason="length")
    result = await tool(model).invoke({"content": "yes", "dest": "de"})
    assert result.text == "ja"
    assert result.usage is not None
    assert result.usage.calls == 2


async def test_a_model_that_says_nothing() -> None:
    with pytest.raises(Failed) as caught:
        await tool(Model(lambda _: " ")).invoke({"content": "yes", "dest": "de"})
    assert caught.value.message == (
        "test/model answered the request for a translation with nothing"
    )
    assert "millstream models pull" in caught.value.next_step


async def test_one_failed_piece_ends_the_others() -> None:
    started = asyncio.Event()

    class Broken(Model):
        async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
            self.requests.append(request)
            try:
                if request.messages[-1].text == "bad":
                    await started.wait()
                    raise Failed("tools.translation-empty", model="x")
                started.set()
                await asyncio.Event().wait()
                yield ModelChunk()
            finally:
                self.closed += 1

    model = Broken(shout)
    with pytest.raises(Failed):
        await tool(model, piece=6).invoke({"content": "good\n\nbad\n\n", "dest": "fr"})
    await asyncio.sleep(0)
    assert model.closed == len(model.requests) == 2


@pytest.mark.parametrize(
    ("answer", "source", "cleaned"),
    [
        (' "Bonjour." ', "Hello.", "Bonjour."),
        ("“你好”", "Hello", "你好"),
        ('"Oui"', '"Yes"', '"Oui"'),
        ('"Oui" ou "non"', "Yes or no", '"Oui" ou "non"'),
        ('"', "x", '"'),
    ],
)
def test_quotation_marks_of_the_models_own_are_taken_off(
    answer: str, source: str, cleaned: str
) -> None:
    assert clean(answer, source) == cleaned


def test_what_counts_as_running_away() -> None:
    assert ran_away("谢谢" * 16, "thanks", 1_000)
    assert ran_away("I am sorry. " * 6, "thanks a lot for all of that", 1_000)
    assert ran_away("too long", "x", 7)
    assert not ran_away("-" * 40, "a rule: " + "-" * 40, 1_000)
    assert not ran_away("no, no, no, no", "nein, nein, nein, nein", 1_000)


@pytest.mark.parametrize(
    ("code", "source", "translation"),
    [
        ("de", "有志者事竟成", "Wo ein Wille ist, da ist auch ein Weg."),
        ("ta", "Thank you", "மிக்க நன்றி உங்களுக்கு"),
        ("en", "中华人民共和国成立", "The founding of the People's Republic of China"),
        ("zh-cn", "OK", "好的，没有问题"),
        ("sw", "你好", "Habari za asubuhi, karibuni sana"),
    ],
)
def test_a_real_translation_has_room(code: str, source: str, translation: str) -> None:
    language = find_language(code)
    assert language is not None
    assert len(translation) <= longest(source, language)


@given(st.text(), st.text())
def test_cleaning_never_fails_and_never_adds(answer: str, source: str) -> None:
    assert clean(answer, source) in answer
    assert ran_away(answer, source, 50) in (True, False)
