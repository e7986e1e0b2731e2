"""The message catalogue: every sentence that a person reads, in English and in Chinese.

A key is `room.name`; the entries of a room live in `catalogue/<room>.py` as a dictionary
`MESSAGES` from name to `Text`, loaded when the first message of that room is needed. Parameters
stand in braces and are filled by `str.format_map`; an unknown parameter stays visible instead of
raising, because a message about an error must never be an error itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, NamedTuple, get_args

Language = Literal["en", "zh"]


class Text(NamedTuple):
    """One message in both languages, and what to do next (empty: nothing can be advised)."""

    en: str
    zh: str
    next_en: str = ""
    next_zh: str = ""


_rooms: dict[str, Mapping[str, Text]] = {}
_chosen: Language | None = None


def set_language(code: str | None) -> None:
    """Choose the language of all messages; None goes back to what the environment says."""
    global _chosen
    _chosen = None if code is None else _from_locale(code)


def language() -> Language:
    """The language of messages: the chosen one, else MILLSTREAM_LANG, LC_ALL, LC_MESSAGES, LANG."""
    if _chosen is not None:
        return _chosen
    for name in ("MILLSTREAM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return _from_locale(value)
    return "en"


def say(key: str, /, **values: object) -> str:
    """The message of a catalogue key in the current language."""
    text = entry(key)
    return _fill(text.zh if language() == "zh" else text.en, values)


def next_step(key: str, /, **values: object) -> str:
    """What a person can do about the message of this key; "" if nothing is known."""
    text = entry(key)
    return _fill(text.next_zh if language() == "zh" else text.next_en, values)


def entry(key: str) -> Text:
    """The catalogue entry of a key; raises KeyError for a key that no room has."""
    room, _, name = key.partition(".")
    messages = _rooms.get(room)
    if messages is None:
        messages = import_module(f"millstream.base.catalogue.{room}").MESSAGES
        _rooms[room] = messages
    return messages[name]


def _from_locale(value: str) -> Language:
    return "zh" if value.lower().startswith("zh") else get_args(Language)[0]


class _Kept(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _fill(template: str, values: Mapping[str, object]) -> str:
    if "{" not in template:
        return template
    return template.format_map(_Kept(values))
