"""Prompts of so many tokens, none of which a server has seen before.

A prompt is a row of short words that most vocabularies have as one token each. It begins with words
drawn anew for every call, so that no cache of prompts helps (what a chat template puts before them
stays the same for all, and a server may keep that; `Call.cached` tells). Where the server has a
tokenizer to ask (`Ruler`) words are added and taken away until the number is right, else two short
calls tell how many tokens a word and the template take, and the length is an estimate.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from millstream.base import BadInput
from millstream.lab.bench.calls import AROUND
from millstream.lab.bench.load import Prompt

Measure = Callable[[str], Awaitable["int | None"]]
"""Tokens of a prompt as the model gets it, template and all; None where nobody counts."""

How = Literal["tokenizer", "usage", "guess", "doubt"]

_ASK = "\n\nWrite a very long story in which every one of these words appears."
_ROOM_TO_ASK = 64  # a shorter prompt is words alone
_ROUNDS = 12
_UNIQUE = 4  # words at the beginning that are drawn from all numbers, too
_A_WORD = 1.3  # tokens, where nobody tells
_TEMPLATE = 10
_SLACK = 16  # tokens by which what stands around two prompts may differ, as a date does

# fmt: off
_WORDS = (
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand", "part", "place",
    "case", "week", "company", "system", "program", "question", "work", "government", "number",
    "night", "point", "home", "water", "room", "mother", "area", "money", "story", "fact", "month",
    "lot", "right", "study", "book", "eye", "job", "word", "business", "issue", "side", "kind",
    "head", "house", "service", "friend", "father", "power", "hour", "game", "line", "end",
    "member", "law", "car", "city", "community", "name", "president", "team", "minute", "idea",
    "body", "information", "back", "parent", "face", "others", "level", "office", "door", "health",
    "person", "art", "war", "history", "party", "result", "change", "morning", "reason", "research",
    "moment", "air", "teacher", "force", "education",
)
# fmt: on


class Ruler(msgspec.Struct):
    """How long prompts are. how: by the server's tokenizer, by what its `usage` said of two
    calls, or by a guess, as it said nothing ("guess") or what cannot be ("doubt"). each, template:
    tokens of a word, and of what stands around all words. growth: as of a `Call`."""

    how: How = "guess"
    each: float = _A_WORD
    template: float = _TEMPLATE
    growth: float = 0.0

    @property
    def exact(self) -> bool:
        return self.how == "tokenizer"

    @staticmethod
    async def make(measure: Measure, usage: Callable[[str], Awaitable[int]]) -> Ruler:
        """measure: asks a tokenizer; usage: makes a call of one token and returns what the server
        says that the prompt had, 0 if it says nothing."""
        source = random.Random(secrets.token_hex(8))  # noqa: S311
        short, long = _row(source, 16), _row(source, 80)
        counts = [await measure(text) for text in (short, long)]
        how: How = "tokenizer"
        if None in counts:
            how, counts = "usage", [await usage(text) for text in (short, long)]
        few, many = (count or 0 for count in counts)
        each = (many - few) / 64
        if not 0 < few < AROUND or not 0.2 < each < 8:
            beyond = many - few > len(long) - len(short) + _SLACK
            return Ruler("doubt" if few else "guess", growth=each if beyond else 0.0)
        return Ruler(how, each, max(0.0, few - 16 * each))


class Prompts:
    """Makes prompts. seed: of the words; what makes every prompt new is not seeded."""

    def __init__(self, ruler: Ruler, measure: Measure, *, seed: int = 0) -> None:
        self.ruler = ruler
        self._measure = measure
        self._source = random.Random(f"{seed} {secrets.token_hex(8)}")  # noqa: S311

    async def make(self, tokens: int, wanted: int, depth: int = 0) -> Prompt:
        """A prompt of so many tokens, behind `depth` others that are read before it.

        Raises BadInput for fewer than the model's template takes already."""
        whole = tokens + depth
        ask = _ASK if tokens >= _ROOM_TO_ASK else ""
        count = max(1, round((whole - self.ruler.template) / self.ruler.each) - (15 if ask else 0))
        words = _row(self._source, count).split(" ")
        found = await self._fit(words, ask, whole)
        prefix = ""
        if depth:
            # Some of the template stands before the words, and is read beforehand, too.
            before = round((depth - self.ruler.template / 2) / self.ruler.each)
            before = min(max(1, before), len(words) - 1)
            prefix = " ".join(words[:before])
        return Prompt(" ".join(words) + ask, found, wanted, prefix, self.ruler.growth)

    async def _fit(self, words: list[str], ask: str, whole: int) -> int:
        """Add and take away words until the number of tokens is right, or as near as it gets."""
        if not self.ruler.exact:
            return whole
        found = 0
        for _ in range(_ROUNDS):
            counted = await self._measure(" ".join(words) + ask)
            if counted is None:
                return whole
            found, missing = counted, whole - counted
            if missing == 0:
                break
            if missing > 0:
                words += self._source.choices(_WORDS, k=max(1, round(missing / self.ruler.each)))
            elif len(words) <= 1:
                raise BadInput("bench.short-prompt", tokens=whole, least=counted)
            else:
                spare = min(len(words) - 1, max(1, round(-missing / self.ruler.each)))
                del words[len(words) - spare :]
        return found


def _row(source: random.Random, count: int) -> str:
    """Words that begin as no other row does."""
    first = [f"{source.choice(_WORDS)}{source.randrange(10)}" for _ in range(min(_UNIQUE, count))]
    return " ".join([*first, *source.choices(_WORDS, k=count - len(first))])
