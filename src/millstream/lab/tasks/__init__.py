"""Small tasks in English and Chinese: a text and four ways in which it may go on, one is right.

A model is asked for the likelihood of each; the likeliest is its choice. No chat, no sampling, no
parsing of answers: so a small model without training for chats can be asked too, and the same file
gives the same result every time. The items are easy: they tell a model that has lost something from
one that has not, not good models from better ones. All of them were written for this project.

A line of a file: `kind` (facts, grammar or words, sense, order, reading), `context`, `options`
(the right one first; their order doesn't matter, since each is looked at by itself).
"""

from __future__ import annotations

from importlib.resources import files

import msgspec

from millstream.lab.jobs import Question

LANGUAGES = ("en", "zh")


class Item(msgspec.Struct, frozen=True):
    """A task; its first option is the right one."""

    kind: str
    context: str
    options: list[str]

    @property
    def question(self) -> Question:
        return Question(self.context, self.options)


def items(language: str) -> list[Item]:
    """The tasks of a language."""
    text = (files(__name__) / f"{language}.jsonl").read_text("utf-8")
    return [msgspec.json.decode(line, type=Item) for line in text.splitlines()]
