"""Anthropic's Messages API, and the servers that speak it too.

Version 2023-06-01 of the API is asked for, not the newer 2026-10-21: only there may a request set
a temperature, and app files do. Models that take none any more say so when they are asked; what a
server refuses and an answer does not depend on is left out, and not sent to that model again.

JSON under a schema is asked for natively (`output_config.format`), which constrains the model as
it writes; where model or schema can't have that, by forcing the call of a tool whose input has the
schema. Either way the JSON arrives as text.

Format: platform.claude.com/docs, "Messages", "Streaming messages", "Errors", "Structured outputs".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from millstream.base import BadInput, MillstreamError
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest, Usage
from millstream.models import failures, prompt
from millstream.models.http import Exchange, Http, Refusal
from millstream.models.prompt import Stopwatch, Turn, integer, number
from millstream.models.room import left
from millstream.models.sse import Events, read
from millstream.models.target import Target
from millstream.values import File

VERSION = "2023-06-01"

# The API wants a bound for every answer. Asked for where nobody tells the model's own bound.
_MOST_TOKENS = 32_000
_LEAST_BUDGET = 1024

_IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_EFFORTS = frozenset(("low", "medium", "high", "xhigh", "max"))
_TOOL = "answer"

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


async def generate(
    http: Http, target: Target, request: ModelRequest
) -> AsyncIterator[ModelChunk | ModelEnd]:
    """Stream one answer (`target.Adapter`)."""
    watch = Stopwatch()
    answer = _Answer(target)
    events = Events()
    async with await _open(http, target, request) as exchange:
        if "html" in exchange.headers.get("Content-Type", ""):
            raise failures.no_api(target, await exchange.read())
        async for piece in exchange:
            for payload in events.feed(piece):
                if chunk := answer.take(payload):
                    watch.arrived()
                    exchange.characters = answer.characters
                    yield chunk
            if answer.done:
                await exchange.finish()
                break
        else:
            for payload in events.close():
                if chunk := answer.take(payload):
                    yield chunk
    yield answer.end(watch)


# -------------------------------------------------------------------------------------- requests


class _Learned:
    """What a model has told: the most tokens of an answer, and fields that it refuses."""

    def __init__(self) -> None:
        self.most_tokens: int | None = None
        self.refused: list[_Concession] = []


async def _open(http: Http, target: Target, request: ModelRequest) -> Exchange:
    """The begun answer to a request, with what the model refuses left out."""
    learned: _Learned = http.learned.setdefault(target.identity, _Learned())
    most = prompt.max_tokens(request)
    if most is None:
        most = learned.most_tokens = learned.most_tokens or await _ask_most_tokens(http, target)
    elif learned.most_tokens is not None:
        most = min(most, learned.most_tokens)
    body = _body(target, request, most)
    for concession in learned.refused:
        concession.apply(body, request)
    while True:
        exchange = http.stream(
            "POST",
            _root(target) + "/v1/messages",
            headers=_headers(target),
            json=body,
            errors=partial(_refused, target, body),
        )
        try:
            return await exchange.open()
        except _Fewer as fewer:
            body["max_tokens"] = fewer.tokens
            if fewer.always:
                learned.most_tokens = fewer.tokens
        except _Concession as concession:
            concession.apply(body, request)
            if not concession.is_about_the_schema:
                learned.refused.append(concession)


async def _ask_most_tokens(http: Http, target: Target) -> int:
    """The most tokens that the model can answer with: what the Models API says."""
    url = f"{_root(target)}/v1/models/{quote(target.server_model, safe='')}"
    try:
        told = await http.request_json("GET", url, headers=_headers(target))
    except MillstreamError:
        told = None  # servers that only speak alike don't have it
    most = told.get("max_tokens") if isinstance(told, dict) else None
    return most if isinstance(most, int) and most > 0 else _MOST_TOKENS


def _body(target: Target, request: ModelRequest, most: int) -> dict[str, Any]:
    system, turns = prompt.turns(request.messages)
    if not turns:
        raise BadInput("models.no-prompt", model=str(target))
    params = {**request.params, **target.options}
    body: dict[str, Any] = {
        "model": target.server_model,
        "max_tokens": most,
        "messages": [
            {"role": turn.role, "content": content}
            for turn in turns
            if (content := _content(target, turn))
        ],
        "stream": True,
    }
    if system:
        body["system"] = system
    # A stop of blank space only is refused.
    if stop := [text for text in request.stop if text.strip()]:
        body["stop_sequences"] = stop
    if thinking := _thinking(params, most):
        body["thinking"] = thinking
    if body.get("thinking", {}).get("type", "disabled") == "disabled":
        # Temperatures end at 1 here, at 2 elsewhere.
        if (temperature := number(params, "temperature")) is not None:
            body["temperature"] = min(max(temperature, 0), 1)
        if (top_p := number(params, "top_p")) is not None:
            body["top_p"] = top_p
        if top_k := integer(params, "top_k"):
            body["top_k"] = top_k
    output: dict[str, Any] = {}
    effort = params.get("effort") or params.get("reasoning_effort")
    if isinstance(effort, str) and effort in _EFFORTS:
        output["effort"] = effort
    if request.schema is not None and target.quirks.schema == "json_schema":
        try:
            output["format"] = {"type": "json_schema", "schema": _closed(request.schema)}
        except _OpenSchema:
            _force_tool(body, request.schema)
    if output:
        body["output_config"] = output
    return body | target.quirks.extra


def _content(target: Target, turn: Turn) -> str | list[dict[str, Any]]:
    """Text alone as it is; pictures before the text, as the API's guide advises."""
    files = [block for file in turn.files if target.images and (block := _block(file))]
    text = turn.text.rstrip() if turn.role == "assistant" else turn.text
    if not files:
        return text
    return [*files, {"type": "text", "text": text}] if text.strip() else files


def _block(file: File) -> dict[str, Any] | None:
    """The content block of an image or a PDF; None for what the API does not take."""
    source: dict[str, str]
    if prompt.is_remote(file):
        mime = "image" if file.type == "image" else file.mime_type or file.extension
        source = {"type": "url", "url": file.url}
    elif file.type in ("image", "document"):
        blob = prompt.blob(file)
        mime = blob.mime if blob.mime.startswith("image/") is (blob.mime in _IMAGES) else ""
        source = {"type": "base64", "media_type": blob.mime, "data": blob.base64}
    else:
        return None
    if mime.startswith("image"):
        return {"type": "image", "source": source}
    return {"type": "document", "source": source} if mime.endswith("pdf") else None


def _thinking(params: Mapping[str, Any], most: int) -> dict[str, Any] | None:
    """The `thinking` field. Without a budget the model decides how much; models that can't are
    found out when they refuse."""
    wanted = prompt.thinking(params)
    if wanted is None:
        return None
    if not wanted or wanted == "none":
        return {"type": "disabled"}
    budget = integer(params, "thinking_budget", "budget_tokens")
    if budget is None or most <= _LEAST_BUDGET:
        return {"type": "adaptive", "display": "summarized"}
    return {"type": "enabled", "budget_tokens": min(max(budget, _LEAST_BUDGET), most - 1)}


def _headers(target: Target) -> dict[str, str]:
    headers = {"anthropic-version": VERSION}
    if target.key is not None:
        headers["x-api-key"] = target.key.reveal()
    return headers


def _root(target: Target) -> str:
    return target.base_url.rstrip("/").removesuffix("/v1")


# ---------------------------------------------------------------------------------------- schema


class _OpenSchema(Exception):
    """A schema with a part that may be anything, which constrained writing does not offer."""


_KEPT = frozenset(("$ref", "enum", "const", "description", "title", "default", "required"))
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)


def _closed(schema: Any) -> dict[str, Any]:
    """A schema as constrained writing wants it: objects take no further properties, and bounds
    it does not know are told in words. What fulfils it need not fulfil the original, which is
    checked afterwards anyway. Raises _OpenSchema."""
    if not isinstance(schema, dict):
        raise _OpenSchema
    out: dict[str, Any] = {}
    told: list[str] = []
    for name, value in schema.items():
        if name in _KEPT or (name == "minItems" and value in (0, 1)):
            out[name] = value
        elif name in ("$defs", "definitions", "properties") and isinstance(value, dict):
            out[name] = {key: _closed(inner) for key, inner in value.items()}
        elif name in ("anyOf", "oneOf") and isinstance(value, list):
            out["anyOf"] = [_closed(inner) for inner in value]
        elif name == "allOf" and isinstance(value, list):
            out["allOf"] = [_closed(inner) for inner in value]
        elif name == "items":
            out["items"] = _closed(value)
        elif name == "type" or (name == "format" and value in _FORMATS):
            out[name] = value
        elif name not in ("$schema", "$id", "additionalProperties"):
            told.append(f"{name}: {msgspec.json.encode(value).decode()}")
    kinds = out.get("type")
    if isinstance(kinds, list):
        del out["type"]
        return {"anyOf": [_closed({**schema, "type": kind}) for kind in kinds]}
    if kinds == "object":
        if not out.get("properties"):
            raise _OpenSchema
        out["additionalProperties"] = False
    else:
        for name in ("properties", "required"):
            out.pop(name, None)
    if kinds == "array" and "items" not in out:
        raise _OpenSchema
    if not out.keys() & {"type", "$ref", "enum", "const", "anyOf", "allOf"}:
        raise _OpenSchema
    if told:
        words = [out["description"]] if isinstance(out.get("description"), str) else []
        out["description"] = " ".join([*words, f"({'; '.join(told)})"])
    return out


def _force_tool(body: dict[str, Any], schema: dict[str, Any]) -> None:
    """Ask for JSON as the input of a tool; the API takes objects only as that."""
    if schema.get("type") == "object":
        body["tools"] = [{"name": _TOOL, "description": "Give the answer.", "input_schema": schema}]
        body["tool_choice"] = {"type": "tool", "name": _TOOL}


# -------------------------------------------------------------------------------------- refusals


class _Concession(Exception):
    """The server refuses a field that an answer does not depend on: go without it, or with the
    next best. kind: the way of thinking that is refused; message: the server's words."""

    def __init__(self, name: str, kind: str, message: str) -> None:
        self.name = name
        self.kind = kind
        self.message = message

    @property
    def is_about_the_schema(self) -> bool:
        """Whether it says nothing about the next schema."""
        about_all = "support" in self.message and "schema:" not in self.message
        return self.name == "output_config" and not about_all

    def apply(self, body: dict[str, Any], request: ModelRequest) -> None:
        value = body.get(self.name)
        if value is None or (self.kind and value["type"] != self.kind):
            return
        del body[self.name]
        if self.kind == "enabled" and "adaptive" in self.message:
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
        elif self.kind == "adaptive" and body["max_tokens"] > 2 * _LEAST_BUDGET:
            body["thinking"] = {"type": "enabled", "budget_tokens": body["max_tokens"] // 2}
        elif self.name == "output_config" and "effort" in self.message and "effort" in value:
            if "format" in value:
                body["output_config"] = {"format": value["format"]}
        elif self.name == "output_config" and "format" in value and request.schema is not None:
            _force_tool(body, request.schema)
        elif self.name == "tool_choice":
            body["tool_choice"] = {"type": "auto"}


class _Fewer(Exception):
    """An answer may have so many tokens only: always, or after this prompt."""

    def __init__(self, tokens: int, *, always: bool) -> None:
        self.tokens = tokens
        self.always = always


# In the order of giving up: of two that exclude each other, the later one stays.
_OPTIONAL = ("top_k", "top_p", "temperature", "tool_choice", "thinking", "output_config")

# Whole numbers that stand alone: no part of a name, and not cut off for display.
_NUMBER = re.compile(r"(?<![\w.-])\d+(?![\w…-])")


def _refused(target: Target, body: dict[str, Any], refusal: Refusal) -> Exception:
    message = refusal.message
    if refusal.status in (400, 422):
        if fewer := _fewer(body["max_tokens"], refusal):
            return fewer
        for name in _OPTIONAL:
            if name in body and re.search(rf"\b{name}\b", message, re.I):
                kind = body[name]["type"] if name == "thinking" else ""
                return _Concession(name, kind, message)
    return failures.refused(target, refusal)


def _fewer(most: int, refusal: Refusal) -> _Fewer | None:
    """What a refusal says of the tokens that an answer may have, if it is about them."""
    message = refusal.message
    room = left(refusal, most)
    if room is not None:
        return _Fewer(room, always=False) if room else None
    if "max_tokens" in message and not re.search(r"thinking|context|input tokens", message):
        # "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens …"
        numbers = map(int, _NUMBER.findall(message))
        lower = [n for n in numbers if 0 < n < most and n != refusal.status]
        if lower:
            return _Fewer(max(lower), always=True)
    return None


# --------------------------------------------------------------------------------------- answers


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    """What a block grows by, or how the message changes at its end."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    """An event of any kind; those that are new have nothing for us."""

    type: str = ""
    message: _Message | None = None
    content_block: _Delta | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class _Answer:
    """What has come of an answer. done: its last event is here."""

    def __init__(self, target: Target) -> None:
        self.characters = 0
        self.done = False
        self._target = target
        self._usage = _Usage()
        self._stop_reason: str | None = None
        self._said = False
        self._called = False

    def take(self, payload: bytes) -> ModelChunk | None:
        """The text in an event. Raises Failed for an error event and for what is no event."""
        try:
            event = read(_decode, payload)
        except (msgspec.MsgspecError, RecursionError):
            raise failures.malformed(self._target, payload, self.characters) from None
        match event.type:
            case "content_block_delta":
                return self._chunk(event.delta)
            case "content_block_start":
                return self._chunk(event.content_block)
            case "message_start":
                if event.message is not None:
                    self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self._stop_reason = event.delta.stop_reason
            case "message_stop":
                self.done = True
            case "error":
                raise failures.failed_midway(self._target, event.error, self.characters)
        return None

    def end(self, watch: Stopwatch) -> ModelEnd:
        """The end of the answer. Raises Failed for one that is not complete, or is nothing."""
        reason = self._stop_reason
        if not self.done and reason is None:
            raise failures.cut(self._target, self.characters)
        finish = _FINISH.get(reason, reason) if reason else None
        if finish == "tool_calls" and self._called:
            finish = "stop"  # the only tool there is is the form of the answer
        if not self._said and finish in (None, "stop"):
            raise failures.empty(self._target)
        cached = self._usage.cache_read_input_tokens
        return ModelEnd(self._spent(watch), finish, model=str(self._target), cached=cached)

    def _chunk(self, delta: _Delta | None) -> ModelChunk | None:
        if delta is None:
            return None
        if delta.partial_json is not None:
            self._called = True
        text = delta.text or delta.partial_json or ""
        if not text and not delta.thinking:
            return None
        self._said = True
        self.characters += len(text)
        return ModelChunk(text, delta.thinking or "")

    def _count(self, usage: _Usage | None) -> None:
        """Counts grow during an answer; the last one told is the right one."""
        for name in _Usage.__struct_fields__ if usage is not None else ():
            if (count := getattr(usage, name)) is not None:
                setattr(self._usage, name, count)

    def _spent(self, watch: Stopwatch) -> Usage:
        """What the call cost. Tokens written to the cache or read from it are the prompt's too."""
        counts = self._usage
        read = (
            counts.input_tokens,
            counts.cache_creation_input_tokens,
            counts.cache_read_input_tokens,
        )
        return watch.usage(sum(count or 0 for count in read), counts.output_tokens or 0)
