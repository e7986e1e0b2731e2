"""Google's Gemini API, v1beta: `streamGenerateContent`.

A file's parameters may be meant for another provider, and Gemini's own models differ in what they
take (penalties, system instructions, JSON, thinking). What a model refuses and an answer does not
depend on is left out, and not sent to that model again.

A stream has no closing event: it is complete if it said why it finished. When the service fails
midway, it puts the error behind the events as plain JSON, which no reader of events would see; so
lines are read here, one event each, and what is no event is looked at when the stream is over.

Format: ai.google.dev/api, "generateContent"; ai.google.dev/gemini-api/docs for the rest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from millstream.base import BadInput, Failed
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest
from millstream.models import failures, prompt
from millstream.models.http import Exchange, Http, Refusal
from millstream.models.prompt import Stopwatch, Turn, integer, number
from millstream.models.sse import Lines, read
from millstream.models.target import Target

_MOST_STOPS = 5
_LEVELS = frozenset(("minimal", "low", "medium", "high", "xhigh"))
_KINDS = re.compile(
    r"image/(png|jpeg|webp|heic|heif)|application/pdf|text/plain|audio/.+|video/.+", re.I
)

_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "MODEL_ARMOR": "content_filter",
}


async def generate(
    http: Http, target: Target, request: ModelRequest
) -> AsyncIterator[ModelChunk | ModelEnd]:
    """Stream one answer (`target.Adapter`). Raises Failed with "gemini.blocked" for a prompt that
    the service does not want to answer."""
    watch = Stopwatch()
    answer = _Answer(target)
    lines = Lines()
    async with await _open(http, target, request) as exchange:
        if "html" in exchange.headers.get("Content-Type", ""):
            raise failures.no_api(target, await exchange.read())
        async for piece in exchange:
            for line in lines.feed(piece):
                for chunk in answer.take(line):
                    watch.arrived()
                    exchange.characters = answer.characters
                    yield chunk
        for line in lines.close():
            for chunk in answer.take(line):
                yield chunk
    yield answer.end(watch)


# -------------------------------------------------------------------------------------- requests


async def _open(http: Http, target: Target, request: ModelRequest) -> Exchange:
    """The begun answer to a request, with what the model refuses left out."""
    refused = http.refused.setdefault(target.identity, [])
    body = _body(target, request)
    for what in refused:
        _go_without(body, what)
    while True:
        exchange = http.stream(
            "POST",
            _address(target),
            headers={} if target.key is None else {"x-goog-api-key": target.key.reveal()},
            json=body,
            errors=partial(_refused, target, body),
        )
        try:
            return await exchange.open()
        except _Concession as concession:
            _go_without(body, concession.what)
            # What is wrong with a schema is not wrong with the next one.
            if concession.what != "schema":
                refused.append(concession.what)


def _address(target: Target) -> str:
    """Where a call goes. Without its key: addresses end up in logs."""
    base = target.base_url.rstrip("/").removesuffix("/openai")
    if not re.search(r"/v1(beta|alpha)?$", base):
        base += "/v1beta"
    name = target.server_model
    path = quote(name if "/" in name else f"models/{name}", safe="/")
    return f"{base}/{path}:streamGenerateContent?alt=sse"


def _body(target: Target, request: ModelRequest) -> dict[str, Any]:
    system, turns = prompt.turns(request.messages)
    if not turns:
        raise BadInput("models.no-prompt", model=str(target))
    body: dict[str, Any] = {
        "contents": [
            {"role": "model" if turn.role == "assistant" else "user", "parts": parts}
            for turn in turns
            if (parts := _parts(target, turn))
        ]
    }
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if config := _config(target, request):
        body["generationConfig"] = config
    return body | target.quirks.extra


def _parts(target: Target, turn: Turn) -> list[dict[str, Any]]:
    """The parts of a turn: files of the kinds that Gemini reads before the text."""
    parts: list[dict[str, Any]] = []
    for file in turn.files if target.images else ():
        blob = prompt.blob(file)
        if _KINDS.fullmatch(blob.mime):
            parts.append({"inlineData": {"mimeType": blob.mime, "data": blob.base64}})
    if turn.text.strip():
        parts.append({"text": turn.text})
    return parts


def _config(target: Target, request: ModelRequest) -> dict[str, Any]:
    params = {**request.params, **target.options}
    found = {
        "temperature": number(params, "temperature"),
        "topP": number(params, "top_p"),
        "topK": integer(params, "top_k"),
        "presencePenalty": number(params, "presence_penalty"),
        "frequencyPenalty": number(params, "frequency_penalty"),
        "seed": integer(params, "seed"),
        # Left alone, an answer may be as long as the model allows.
        "maxOutputTokens": prompt.max_tokens(request),
        "stopSequences": list(request.stop)[:_MOST_STOPS] or None,
        "thinkingConfig": _thinking(params) or None,
    }
    config: dict[str, Any] = {k: value for k, value in found.items() if value is not None}
    constrained = request.schema is not None and target.quirks.schema == "json_schema"
    if constrained or prompt.wants_json(params):
        config["responseMimeType"] = "application/json"
    if constrained:
        config["responseJsonSchema"] = request.schema
    return config


def _thinking(params: Mapping[str, Any]) -> dict[str, Any]:
    """The `thinkingConfig`: whether thoughts are told, and how many there may be."""
    config: dict[str, Any] = {}
    wanted = prompt.thinking(params)
    level = params.get("thinking_level") or params.get("reasoning_effort") or wanted
    if isinstance(level, str) and level.lower() in _LEVELS:
        config["thinkingLevel"] = level.upper()
    elif (budget := integer(params, "thinking_budget")) is not None:
        config["thinkingBudget"] = budget
    elif wanted is False:
        return {"thinkingBudget": 0}
    told = params.get("include_thoughts")
    if told is True or (told is None and wanted):
        config["includeThoughts"] = True
    return config


# -------------------------------------------------------------------------------------- refusals


class _Concession(Exception):
    """The model refuses something that an answer does not depend on: go without it."""

    def __init__(self, what: str) -> None:
        self.what = what


# What a refusal speaks of, and the fields of `generationConfig` that it is about.
_OPTIONAL = {
    "penalty": ("presencePenalty", "frequencyPenalty"),
    "json mode": ("responseMimeType", "responseJsonSchema"),
    "mime_?type": ("responseMimeType", "responseJsonSchema"),
    "schema": ("responseJsonSchema",),
    "thinking|thought": ("thinkingConfig",),
    "max_?output_?tokens": ("maxOutputTokens",),
    "stop_?sequence": ("stopSequences",),
    "temperature": ("temperature",),
    "top_?p": ("topP",),
    "top_?k": ("topK",),
    "seed": ("seed",),
}
_SYSTEM = "developer instruction|system_?instruction"


def _refused(target: Target, body: dict[str, Any], refusal: Refusal) -> Exception:
    refusal.retry_after = refusal.retry_after or _retry_delay(refusal.body)
    if refusal.status != 400:
        return failures.refused(target, refusal)
    if _reason(refusal.body) == "API_KEY_INVALID":
        # The one service that answers 400 to a wrong key.
        error = failures.refused(target, msgspec.structs.replace(refusal, status=401))
        error.values["status"] = 400
        return error
    error = failures.refused(target, refusal)
    if error.code == "models.refused":
        message = refusal.message.lower()
        if "systemInstruction" in body and re.search(_SYSTEM, message):
            return _Concession(_SYSTEM)
        config = body.get("generationConfig", {})
        for what, fields in _OPTIONAL.items():
            if re.search(what, message) and any(field in config for field in fields):
                return _Concession(what)
    return error


def _go_without(body: dict[str, Any], what: str) -> None:
    if what == _SYSTEM:
        # Gemma has no system instruction: its template puts it before the first words, too.
        system = body.pop("systemInstruction", None)
        if system is not None:
            body["contents"][0]["parts"][:0] = system["parts"]
        return
    config = body.get("generationConfig", {})
    for field in _OPTIONAL[what]:
        config.pop(field, None)


def _details(body: Any) -> list[dict[str, Any]]:
    """The `details` of an error (google.rpc.Status)."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []


def _reason(body: Any) -> str:
    return next((str(item["reason"]) for item in _details(body) if "reason" in item), "")


def _retry_delay(body: Any) -> float | None:
    """The seconds to wait that an error names (google.rpc.RetryInfo: "37s", "1.5s")."""
    for item in _details(body):
        if found := re.fullmatch(r"(\d{1,9}(\.\d+)?)s", str(item.get("retryDelay"))):
            return float(found[1])
    return None


# --------------------------------------------------------------------------------------- answers


class _Part(msgspec.Struct):
    text: str | None = None
    thought: bool | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Event(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode

# Lines of an event stream that are not data.
_ASIDE = (b":", b"event:", b"id:", b"retry:")


class _Answer:
    """What has come of an answer."""

    def __init__(self, target: Target) -> None:
        self.characters = 0
        self._target = target
        self._finish_reason: str | None = None
        self._usage = _Usage()
        self._said = False
        self._stray: list[bytes] = []  # lines that are no events: an error, probably

    def take(self, line: bytes) -> list[ModelChunk]:
        """The text in a line of the stream. Raises Failed for a blocked prompt, an error, and for
        what is no event."""
        if not line.startswith(b"data:"):
            if not line.startswith(_ASIDE):
                self._stray.append(line)
            return []
        try:
            event = read(_decode, line[5:])
        except (msgspec.MsgspecError, RecursionError):
            raise failures.malformed(self._target, line[5:], self.characters) from None
        if event.error:
            raise failures.failed_midway(self._target, {"error": event.error}, self.characters)
        if event.usage_metadata is not None:
            self._usage = event.usage_metadata
        if (feedback := event.prompt_feedback) and feedback.block_reason:
            reason = feedback.block_reason_message or feedback.block_reason
            raise Failed("gemini.blocked", model=str(self._target), reason=reason)
        if not event.candidates:
            return []
        candidate = event.candidates[0]
        # Older models tell a reason with every event; the last one counts.
        self._finish_reason = candidate.finish_reason or self._finish_reason
        parts = (candidate.content.parts if candidate.content else None) or ()
        return [self._chunk(part.text, part.thought) for part in parts if part.text]

    def end(self, watch: Stopwatch) -> ModelEnd:
        """The end of the answer. Raises Failed for one that is not complete, or is nothing."""
        if self._stray:
            raise self._stray_error()
        if self._finish_reason is None:
            raise failures.cut(self._target, self.characters)
        finish = _FINISH.get(self._finish_reason, self._finish_reason.lower())
        if not self._said and finish == "stop":
            raise failures.empty(self._target)
        counts = self._usage
        read = (counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0)
        written = (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
        return ModelEnd(
            watch.usage(read, written),
            finish,
            model=str(self._target),
            cached=counts.cached_content_token_count,
        )

    def _chunk(self, text: str, thought: bool | None) -> ModelChunk:
        self._said = True
        if thought:
            return ModelChunk("", text)
        self.characters += len(text)
        return ModelChunk(text)

    def _stray_error(self) -> Exception:
        raw = b"\n".join(self._stray)
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            return failures.malformed(self._target, raw, self.characters)
        return failures.failed_midway(self._target, body, self.characters)
