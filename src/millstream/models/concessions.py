"""What a server of OpenAI's protocol refuses, and what an answer does without.

Servers differ in what they take. A parameter that a refusal names is left out, or said in the
other way that there is; a limit that the context has no room for becomes what there is room for; a
schema that a grammar cannot express loses the words that are beyond it. Whatever else is refused
is an error.

Sources of the words that are searched for: answers of OpenAI, Azure, llama.cpp, vLLM 0.32 and
older, DashScope and others, as their users and their own code show them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec

from millstream.base import MillstreamError
from millstream.models import failures
from millstream.models.http import Refusal
from millstream.models.room import left
from millstream.models.target import Target


class Concession(Exception):
    """The server refuses a field that an answer does not depend on: go without it.

    once: it is this call's value that is refused, not the field. value: what would do instead."""

    def __init__(self, name: str, *, once: bool = False, value: Any = None) -> None:
        self.name = name
        self.once = once
        self.value = value


_UNSUPPORTED = re.compile(
    r"unsupported|not (be )?support|unknown|unrecogni[sz]ed|unexpected|not permitted|extra inputs"
    r"|unavailable|not allowed|does not (accept|exist)|不支持",
    re.I,
)


_GRAMMAR = re.compile(r"grammar|guided|structured.?output|xgrammar|outlines", re.I)


def of(
    target: Target, body: dict[str, Any], refusal: Refusal, *, checked: bool = False
) -> MillstreamError | Concession:
    """What could be left out of a refused request; the error to show, if there is nothing.

    checked: the answer is held to its schema here too, so that the server need not."""
    if refusal.status in (400, 422):
        for name in _LIMITS:
            asked = body.get(name)
            room = left(refusal, asked) if type(asked) is int else None
            if room:
                return Concession(name, once=True, value=room)
        # `structured` looks at the answer and asks again; a schema that nobody checks is kept.
        if checked and "response_format" in body and _GRAMMAR.search(refusal.message):
            looser = _loosened(body["response_format"], refusal.message)
            return Concession("response_format", once=True, value=looser)
    if refusal.status in (400, 415, 422, 500, 501):
        error = refusal.body.get("error") if isinstance(refusal.body, dict) else None
        named = str(error.get("param") or "") if isinstance(error, dict) else ""
        if refusal.code.startswith("unsupported_") or _UNSUPPORTED.search(refusal.message):
            for name in reversed(body):
                if name in ("model", "messages", "prompt"):
                    continue
                if named.split(".")[0] == name or re.search(rf"\b{name}\b", refusal.message):
                    return Concession(name)
            if body.get("stream") and re.search(r"\bstream", refusal.message, re.I):
                return Concession("stream")
    return failures.refused(target, refusal)


_KEYS = re.compile(r'Unimplemented keys: (\["[^\]]*"\])')
_FORMAT = re.compile(r"Unknown format: ([\w-]+)")
_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples")


def _loosened(response_format: dict[str, Any], said: str) -> dict[str, Any] | None:
    """A schema without the words that a grammar (llguidance's) calls beyond it; None if it names
    none that are in it."""
    if response_format.get("type") != "json_schema":
        return None
    unknown: set[str] = set()
    if keys := _KEYS.search(said):
        with suppress(msgspec.DecodeError, msgspec.ValidationError):
            unknown = msgspec.json.decode(keys[1], type=set[str])
    word = _FORMAT.search(said)

    def walk(schema: Any) -> Any:
        if isinstance(schema, list):
            return [walk(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        kept: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _NAMES and isinstance(value, dict):
                kept[key] = {name: walk(each) for name, each in value.items()}
            elif key in _VALUES:
                kept[key] = value
            elif key not in unknown and not (word and key == "format" and value == word[1]):
                kept[key] = walk(value)
        return kept

    wrapped = response_format["json_schema"]
    schema = walk(wrapped["schema"])
    if schema == wrapped["schema"]:
        return None
    return {**response_format, "json_schema": {**wrapped, "schema": schema}}


def concede(body: dict[str, Any], name: str, before: list[str]) -> None:
    """Do without a field, or with the next best that has not been refused before."""
    value = body.pop(name, None)
    if value is None:
        return
    if name == "stream":
        body.pop("stream_options", None)
    elif name == "response_format" and value["type"] == "json_schema":
        body[name] = {"type": "json_object"}
    elif name in _LIMITS and (other := _LIMITS[name]) not in before:
        body[other] = value


_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
