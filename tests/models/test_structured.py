"""JSON out of what models really write, validated whatever the way was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import BadInput, Failed
from millstream.engine.ports import (
    Message,
    ModelChunk,
    ModelEnd,
    ModelRef,
    ModelRequest,
    Usage,
)
from millstream.models import salvage
from millstream.models.structured import Found, Schema, Wrong, generate
from millstream.models.target import Quirks, Target

OUTLINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "sections": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "sections"],
    "additionalProperties": False,
}
VALUE = {"title": "Tea", "sections": ["Leaf", "Water"]}
JSON = '{"title": "Tea", "sections": ["Leaf", "Water"]}'


ANSWERS: dict[str, tuple[str, str]] = {
    # what it is: (the answer, the rung)
    "as it should be": (JSON, ""),
    "with blank space": (f"\n\n  {JSON}\n", ""),
    "with a byte order mark": ("\ufeff" + JSON, ""),
    "fenced": (f"```json\n{JSON}\n```", "extracted"),
    "fenced without a name": (f"```\n{JSON}\n```", "extracted"),
    "a fence that is never closed": (f"```json\n{JSON}", "extracted"),
    "in prose": (f"Sure! Here is your outline:\n\n{JSON}\n\nDoes it [suit] you?", "extracted"),
    "in prose with a bracket before": (f"As you asked [see above, {{roughly: {JSON}", "extracted"),
    "with a quote in the prose": (f'A 5" screen [it is 5" wide] {JSON}', "extracted"),
    "in a tool call": (f'<tool_call>{{"name": "o", "arguments": {JSON}}}</tool_call>', "extracted"),
    "in a tool call as text": (
        msgspec.json.encode([{"function": {"name": "o", "arguments": JSON}}]).decode(),
        "extracted",
    ),
    "in a wrapper": (f'{{"outline": {JSON}}}', "extracted"),
    "as a list of one": (f"[{JSON}]", "extracted"),
    "as JSON in a string": (msgspec.json.encode(JSON).decode(), "extracted"),
    "as values in the schema's form": (f'{{"type": "object", "properties": {JSON}}}', "extracted"),
    "after the schema given back": (
        f"The schema is {msgspec.json.encode(OUTLINE).decode()} and so:\n{JSON}",
        "extracted",
    ),
    "after an example": (f'For example {{"title": "x"}}. My answer: {JSON}', "extracted"),
    "trailing commas": ('{"title": "Tea", "sections": ["Leaf", "Water",],}', "repaired"),
    "single quotes": ("{'title': 'Tea', 'sections': ['Leaf', 'Water']}", "repaired"),
    "bare keys": ('{title: "Tea", sections: ["Leaf", "Water"]}', "repaired"),
    "typographic quotes": ("{“title”: “Tea”, “sections”: [“Leaf”, “Water”]}", "repaired"),
    "comments": (
        '{"title": "Tea", // the title\n /* all */ "sections": ["Leaf", # first\n "Water"]}',
        "repaired",
    ),
    "no commas": ('{"title": "Tea"\n "sections": ["Leaf", "Water"]}', "repaired"),
    "closing brackets forgotten": ('{"title": "Tea", "sections": ["Leaf", "Water"', "repaired"),
    "fenced and mended": ("```\n{'title': 'Tea', 'sections': ['Leaf', 'Water',]}\n```", "repaired"),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_value_is_found(answer: tuple[str, str]) -> None:
    text, rung = answer
    assert Schema(OUTLINE).find(text) == Found(VALUE, rung)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"code": "```py\\nprint(1)\\n```"}', "```py\nprint(1)\n```"),
        ('```json\n{"code": "use ``` and ~~~"}\n```', "use ``` and ~~~"),
        ('Use `x` so: ```{"code": "a `b` {c} ]"}``` `done`', "a `b` {c} ]"),
        ('{"code": "brace } and \\" quote"}', 'brace } and " quote'),
        ('{"code": "line\nbreak"}', "line\nbreak"),
        ('{"code": "he said "hi" to me"}', 'he said "hi" to me'),
        ("{'code': 'it\\'s'}", "it's"),
        ('{"code": "D:\\path"}', "D:\\path"),
        ('{"code": "caf\\u00e9",}', "café"),
    ],
)
def test_strings_are_honoured(text: str, value: str) -> None:
    schema = Schema({"type": "object", "required": ["code"]})
    found = schema.find(text)
    assert isinstance(found, Found)
    assert found.value == {"code": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': True, 'b': False, 'c': None}", {"a": True, "b": False, "c": None}),
        ("{a: 1, b: -2.5, c: 1e3, d: +3}", {"a": 1, "b": -2.5, "c": 1000.0, "d": 3}),
        ("{a: two words, b: [x, y]}", {"a": "two words", "b": ["x", "y"]}),
        ('{"a": 1, "b":', {"a": 1}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": "cut in a str', {"a": "cut in a str"}),
        ('{"a": {"b": [1, 2', {"a": {"b": [1, 2]}}),
    ],
)
def test_mending(text: str, value: Any) -> None:
    assert Schema(True).find(text) == Found(value, "repaired")


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("", "$", "it is empty"),
        ("I can't do that.", "$", "it is not JSON: "),
        ('{"title": "Tea"}', "$", "'sections' is a required property"),
        ('{"title": "Tea", "sections": ["a", 3]}', "$.sections[1]", "3 is not of type 'string'"),
        ('{"title": 1, "sections": []}', "$.title", "1 is not of type 'string'"),
        ("Here: {'title': 1, 'sections': []}", "$.title", "1 is not of type 'string'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, path: str, problem: str) -> None:
    wrong = Schema(OUTLINE).find(text)
    assert isinstance(wrong, Wrong)
    assert wrong.path == path
    assert wrong.problem.startswith(problem)


def test_an_answer_that_was_cut_off_is_not_completed_by_guessing() -> None:
    text = '{"title": "Tea", "sections": ["Leaf", "Wat'
    assert Schema(OUTLINE).find(text) == Found(
        {"title": "Tea", "sections": ["Leaf", "Wat"]}, "repaired"
    )
    wrong = Schema(OUTLINE).find(text, complete=False)
    assert wrong == Wrong("$", "it was cut off by the limit on its length")
    assert Schema(OUTLINE).find(JSON + "\n\nAnd now I", complete=False) == Found(VALUE, "extracted")


def test_the_schema_given_back_is_no_answer() -> None:
    lax = {"type": "object", "properties": {"title": {"type": "string"}}}
    assert isinstance(Schema(lax).find("So: " + msgspec.json.encode(lax).decode()), Wrong)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such"},
        {"$ref": "http://127.0.0.1:9/s.json"},
        {"$ref": "#/gone"},
        {"pattern": "("},
        7,
    ],
)
def test_a_schema_that_is_none(schema: Any) -> None:
    with pytest.raises(BadInput) as raised:
        Schema(schema).check("text")
    assert str(raised.value).startswith("the JSON schema is wrong at $")
    assert "Draft 7" in raised.value.next_step


def test_a_schema_that_never_ends() -> None:
    assert isinstance(Schema({"allOf": [{"$ref": "#"}]}).check(1), Wrong)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
PROSE = st.text(st.characters(exclude_characters='{}[]"', codec="utf-8"), max_size=40)


@given(JSON_VALUES.filter(lambda value: isinstance(value, dict | list)), PROSE, PROSE)
def test_any_json_is_found_in_any_prose(value: Any, before: str, after: str) -> None:
    text = f"{before}\n```json\n{msgspec.json.encode(value).decode()}\n```\n{after}"
    first = next(salvage.candidates(text))
    assert first == salvage.Candidate(value)


@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4))
def test_pythons_way_of_writing_it_is_mended(value: Any) -> None:
    found = [c.value for c in salvage.candidates(repr(value)) if c.value == value]
    assert found or "\\" in repr(value) or "'" in str(value)


WILD = st.lists(
    st.sampled_from(
        [*"{}[]\":,'`\\ \n", "true", "None", "12", "a", "//", "/*", "#", "“", "\ud800"]
    ),
    max_size=60,
).map("".join)


@given(WILD)
def test_any_text_is_judged(text: str) -> None:
    found = Schema(OUTLINE).find(text)
    assert isinstance(found, Found | Wrong)
    if isinstance(found, Found):
        assert Schema(OUTLINE).check(found.value) is None


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 100_000, '["' * 100_000, "{" * 50_000 + "}" * 50_000]
)
def test_a_hostile_text_does_not_take_for_ever(text: str) -> None:
    assert isinstance(Schema(OUTLINE).find(text), Wrong)


# ------------------------------------------------------------------------------------ the ladder


class Model:
    """Answers one after the other, and remembers what it was asked."""

    def __init__(self, *answers: str, finish: str = "stop") -> None:
        self.answers = list(answers)
        self.finish = finish
        self.asked: list[ModelRequest] = []

    async def __call__(self, request: ModelRequest) -> AsyncGenerator[ModelChunk | ModelEnd, None]:
        self.asked.append(request)
        text = self.answers.pop(0)
        for start in range(0, len(text), 10):
            yield ModelChunk(text[start : start + 10])
        yield ModelEnd(Usage(10, 5, 1), self.finish)


REQUEST = ModelRequest(ModelRef("p", "m"), [Message("user", "Outline tea.")], schema=OUTLINE)
NATIVE = Target("p", "m", "openai", "http://h/v1")
GRAMMAR = Target("p", "m", "openai", "http://h/v1", quirks=Quirks(schema="grammar"))
PLAIN = Target("p", "m", "openai", "http://h/v1", quirks=Quirks(schema="none"))


async def climb(model: Model, target: Target, reasks: int = 2) -> tuple[str, ModelEnd]:
    items = [item async for item in generate(model, target, REQUEST, reasks=reasks)]
    end = items[-1]
    assert isinstance(end, ModelEnd)
    return "".join(i.text for i in items if isinstance(i, ModelChunk)), end


@pytest.mark.parametrize(
    ("target", "answer", "rung"),
    [
        (NATIVE, JSON, "native"),
        (GRAMMAR, JSON, "grammar"),
        (PLAIN, JSON, "extracted"),
        (NATIVE, f"```{JSON}```", "extracted"),
        (GRAMMAR, JSON[:-2], "repaired"),
    ],
)
async def test_the_rung_that_won_is_told(target: Target, answer: str, rung: str) -> None:
    model = Model(answer)
    text, end = await climb(model, target)
    assert (text, end.structured, end.rung, end.replaces) == (answer, VALUE, rung, None)


async def test_a_server_that_can_not_be_held_to_a_schema_is_shown_it() -> None:
    model = Model(JSON)
    await climb(model, PLAIN)
    assert '"required":["title","sections"]' in model.asked[0].messages[-1].text
    model = Model(JSON)
    await climb(model, NATIVE)
    assert model.asked[0] is REQUEST


async def test_a_model_is_told_what_was_wrong() -> None:
    model = Model('{"title": 1, "sections": []}', JSON)
    text, end = await climb(model, NATIVE)
    assert text == '{"title": 1, "sections": []}'  # what was streamed
    assert (end.structured, end.rung, end.replaces) == (VALUE, "asked again", JSON)
    assert end.usage == Usage(20, 10, 2)
    again = model.asked[1].messages
    assert [message.role for message in again] == ["user", "assistant", "user"]
    assert "at $.title: 1 is not of type 'string'" in again[-1].text


async def test_a_model_that_never_gets_it_right() -> None:
    model = Model("Sorry, " + "no " * 200, "No.", "I said no.")
    with pytest.raises(Failed) as raised:
        await climb(model, NATIVE)
    error = raised.value
    assert str(error) == (
        "p/m did not answer with JSON that fulfils the schema, though asked again 2 times; at $: "
        "it is not JSON: JSON is malformed: invalid character (byte 0). "
        "The answer begins: I said no."
    )
    assert error.values["text"] == "I said no."
    assert "models.reasks" in error.next_step
    assert "text" not in error.as_dict()


async def test_a_limit_that_cuts_every_answer() -> None:
    model = Model(JSON[:-10], JSON[:-10], finish="length")
    with pytest.raises(Failed) as raised:
        await climb(model, GRAMMAR, reasks=1)
    assert "it was cut off by the limit on its length" in str(raised.value)
    assert "max_tokens" in raised.value.next_step
    assert [message.role for message in model.asked[1].messages] == ["user", "user"]
