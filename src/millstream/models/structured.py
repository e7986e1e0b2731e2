"""Answers in JSON: a ladder of ways to a value that fulfils its schema.

    native, grammar   the server was held to the schema, and the answer is JSON as it stands
    extracted         JSON was found in the answer: fenced, in prose, wrapped in a tool call
    repaired          nearly-JSON was mended: `salvage` says what
    asked again       the model was told what was wrong, and did better

On every rung the value is validated here, for a server that should have kept to a schema may not
have. An answer that ran into the token limit counts only if it is complete: closing its brackets
would pass off a part as the whole. The adapter is a callable; nothing here talks to a server.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from millstream.base import BadInput, Failed, MillstreamError
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest, Usage
from millstream.models import salvage
from millstream.models.target import Target

Answer = Callable[[ModelRequest], AsyncGenerator[ModelChunk | ModelEnd, None]]

_SHOWN = 200  # characters of an answer that an error shows


class Found(NamedTuple):
    """A value that fulfils the schema. rung: "" for an answer that was nothing but JSON."""

    value: Any
    rung: str = ""


class Wrong(NamedTuple):
    """What is wrong with an answer: the place as a path from `$`, and the problem in words."""

    path: str
    problem: str


class Schema:
    """A JSON schema (Draft 7), ready to judge values. Raises BadInput for one that is none.

    References to other documents are not followed: a schema comes with a stranger's file.
    """

    def __init__(self, schema: Any) -> None:
        # Imported here: 85 ms that a run without schemas need not pay.
        from jsonschema import Draft7Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry

        self.schema = schema
        try:
            if not isinstance(schema, dict | bool):
                raise SchemaError("it is no object")
            Draft7Validator.check_schema(schema)
        except SchemaError as error:
            raise _bad_schema(str(error.message), error.path) from None
        self._validator = Draft7Validator(schema, registry=Registry())

    def check(self, value: Any) -> Wrong | None:
        """What is wrong with a value; None if nothing is."""
        import re

        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            error = best_match(self._validator.iter_errors(value))
        except Unresolvable as unresolved:
            raise _bad_schema(f"{unresolved.ref} is not in it") from None
        except re.error as broken:
            raise _bad_schema(f"pattern: {broken}") from None
        except RecursionError:
            return Wrong("$", "it is nested too deeply")
        if error is None:
            return None
        return Wrong(error.json_path, _short(error.message))

    def find(self, text: str, *, complete: bool = True) -> Found | Wrong:
        """The value that a text means. complete: the text was not cut off by a token limit."""
        text = text.strip().removeprefix("\ufeff")
        first: Wrong | None = None
        try:
            whole = salvage.decode(text)
        except ValueError as error:
            first = Wrong("$", f"it is not JSON: {error}") if text else Wrong("$", "it is empty")
        else:
            first = self.check(whole)
            if first is None:
                return Found(whole)
            for value in self._meanings(whole):
                if self.check(value) is None:
                    return Found(value, "extracted")
            return first
        wrong: Wrong | None = None
        for candidate in salvage.candidates(text):
            if candidate.cut and not complete:
                continue
            for value in self._meanings(candidate.value):
                problem = self.check(value)
                if problem is None:
                    return Found(value, "repaired" if candidate.mended else "extracted")
                wrong = wrong or problem
        if not complete:
            return Wrong("$", "it was cut off by the limit on its length")
        return wrong or first

    def _meanings(self, value: Any) -> Iterator[Any]:
        """What a value may mean, without the schema that many models give back."""
        if value != self.schema:
            for meaning in salvage.unwrapped(value):
                if not self._is_echo(meaning):
                    yield meaning

    def _is_echo(self, value: Any) -> bool:
        """Whether a value has the form of a schema, and should not."""
        if not isinstance(value, dict) or not isinstance(self.schema, dict):
            return False
        known = self.schema.get("properties") or {}
        return "$schema" in value or (
            "type" in value and "properties" in value and "properties" not in known
        )


async def generate(
    answer: Answer, target: Target, request: ModelRequest, *, reasks: int
) -> AsyncGenerator[ModelChunk | ModelEnd, None]:
    """Stream the answer to a request with a schema; its end has the validated value.

    reasks: how often the model may be told what was wrong. Raises Failed when it never gets it
    right (the whole text is in the error's values), BadInput for a schema that is none.
    """
    schema = Schema(request.schema)
    constrained = target.quirks.schema in ("json_schema", "grammar") and _holds(target)
    asked = request if constrained else _instructed(request)
    usage = Usage()
    text, wrong = "", Wrong("$", "")
    for attempt in range(reasks + 1):
        pieces: list[str] = []
        end = ModelEnd(Usage())
        items = answer(asked)
        try:
            async for item in items:
                if isinstance(item, ModelEnd):
                    end = item
                    continue
                pieces.append(item.text)
                if attempt == 0:
                    yield item
        except MillstreamError as error:
            if attempt == 0:
                raise
            # The first answer is what there is to say something about.
            raise _failure(target, text, wrong, attempt) from error
        finally:
            await items.aclose()
        usage += end.usage
        text = "".join(pieces) if end.replaces is None else end.replaces
        complete = end.finish_reason != "length"
        found = schema.find(text, complete=complete)
        if isinstance(found, Found):
            native = "grammar" if target.quirks.schema == "grammar" else "native"
            end.structured = found.value
            end.rung = found.rung or end.rung or (native if constrained else "extracted")
            if attempt:
                end.rung, end.replaces = "asked again", text
            end.usage = usage
            yield end
            return
        wrong = found
        asked = _again(request, text if complete else "", wrong)
    raise _failure(target, text, wrong, reasks)


def _holds(target: Target) -> bool:
    """Whether a server that takes a schema holds an answer to it. Many that speak Anthropic's
    protocol and are not Anthropic's take it and look at it no further: they are told in words,
    too."""
    host = urlsplit(target.base_url).hostname or ""
    return target.protocol != "anthropic" or host.endswith("anthropic.com")


def _instructed(request: ModelRequest) -> ModelRequest:
    """The request, with the schema in words for a server that can't be held to it."""
    *before, last = request.messages
    schema = msgspec.json.encode(request.schema).decode()
    words = (
        f"{last.text}\n\nAnswer with one JSON value and nothing else: no explanation, no code "
        f"fence. It must fulfil this JSON schema:\n{schema}"
    )
    message = Message(last.role, words, last.files)
    return msgspec.structs.replace(request, messages=[*before, message])


def _again(request: ModelRequest, text: str, wrong: Wrong) -> ModelRequest:
    """The request after a wrong answer: what was wrong with it, and the schema once more."""
    schema = msgspec.json.encode(request.schema).decode()
    fault = wrong.problem if wrong.path == "$" else f"at {wrong.path}: {wrong.problem}"
    words = (
        f"That was not right: {fault}. Answer again with one complete JSON value and nothing "
        f"else, as short as the task allows. It must fulfil this JSON schema:\n{schema}"
    )
    said = [Message("assistant", text)] if text.strip() else []
    messages = [*request.messages, *said, Message("user", words)]
    return msgspec.structs.replace(request, messages=messages)


def _failure(target: Target, text: str, wrong: Wrong, reasks: int) -> Failed:
    return Failed(
        "models.not-the-schema",
        model=str(target),
        path=wrong.path,
        problem=wrong.problem,
        beginning=_short(" ".join(text.split())) or "…",
        reasks=reasks,
        text=text,
    )


def _bad_schema(problem: str, path: Any = ()) -> BadInput:
    place = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return BadInput("models.bad-schema", path=place, problem=_short(problem))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
