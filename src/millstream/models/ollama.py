"""Ollama through its native API: the answers of its models.

The native API, because only there a context length can be asked for; how much, and whether it was
enough, is `ollama_context`'s business. Every call forbids the server to cut a prompt (`truncate`)
or to forget its beginning while it writes (`shift`); servers before 0.13 don't know these fields.
What models a server has is in `ollama_models`, whose names are offered here too.

Format: docs/api.md and docs/openapi.yaml of ollama/ollama. Streams are JSON, one object a line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest
from millstream.models import failures, prompt
from millstream.models import ollama_context as context
from millstream.models.http import Exchange, Http, Refusal
from millstream.models.ollama_context import ANSWER_ROOM
from millstream.models.ollama_models import (
    LoadedModel,
    OllamaDetails,
    OllamaModel,
    PullProgress,
    auth,
    is_missing,
    list_models,
    loaded,
    pull,
    root,
    show,
    version,
)
from millstream.models.prompt import Stopwatch, integer, number
from millstream.models.sse import Lines, read
from millstream.models.target import Target

__all__ = [
    "ANSWER_ROOM",
    "LoadedModel",
    "OllamaDetails",
    "OllamaModel",
    "PullProgress",
    "generate",
    "list_models",
    "loaded",
    "pull",
    "show",
    "version",
]

_INTEGERS = (
    "seed",
    "top_k",
    "repeat_last_n",
    "num_keep",
    "num_batch",
    "num_gpu",
    "num_thread",
    "mirostat",
)
_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "mirostat_tau",
    "mirostat_eta",
)


# ------------------------------------------------------------------------------------- answering


async def generate(
    http: Http, target: Target, request: ModelRequest
) -> AsyncIterator[ModelChunk | ModelEnd]:
    """Stream one answer (see `Adapter`). Raises Failed with "ollama.clipped" at the end of an
    answer that was given to a part of the prompt only."""
    known = await context.known_of(http, target)
    path, body = _body(target, request, known.details)
    size = context.Size.of(request)
    watch = Stopwatch()
    exchange, window = await _open(http, target, request, known, size, path, body)
    answer = _Answer(target)
    lines = Lines()
    async with exchange:
        if "html" in exchange.headers.get("Content-Type", ""):
            raise failures.no_api(target, await exchange.read())
        async for piece in exchange:
            for payload in lines.feed(piece):
                if chunk := answer.take(payload):
                    watch.arrived()
                    exchange.characters = answer.characters
                    yield chunk
            if answer.last is not None:
                await exchange.finish()
                break
        else:
            for payload in lines.close():
                if chunk := answer.take(payload):
                    yield chunk
    last = answer.last
    if last is None:
        raise failures.cut(target, answer.characters)
    if window is not None:
        await context.check(
            http,
            target,
            known,
            size,
            window,
            last.prompt_eval_count,
            counts_cached=last.prompt_eval_cached_count is not None,
        )
    if answer.is_empty:
        raise failures.empty(target)
    usage = watch.usage(last.prompt_eval_count or 0, last.eval_count or 0)
    if last.eval_duration:
        # The server's own times leave out how long the call stood in its queue.
        usage.time_to_generate = _seconds(last.eval_duration)
        usage.time_to_first_token = _seconds(last.load_duration, last.prompt_eval_duration)
        usage.latency = usage.time_to_first_token + usage.time_to_generate
    cached = last.prompt_eval_cached_count
    yield ModelEnd(usage, answer.finish_reason, model=str(target), cached=cached)


async def _open(
    http: Http,
    target: Target,
    request: ModelRequest,
    known: context.Known,
    size: context.Size,
    path: str,
    body: dict[str, Any],
) -> tuple[Exchange, int | None]:
    """The begun answer, and the context that was asked for. A guess at the prompt's tokens that
    turns out too low is corrected here, for a server that refuses what doesn't fit."""
    window = await context.choose(http, target, request, known, size)
    while True:
        if window is not None:
            body["options"]["num_ctx"] = window
            # A server that knows no `shift` would forget the prompt to go on writing.
            left = window - size.likely
            if prompt.max_tokens(request) is None and left > 0:
                body["options"]["num_predict"] = left
        exchange = http.stream(
            "POST",
            root(target.base_url) + path,
            headers=auth(target.key),
            json=body,
            errors=partial(_refused, target, window),
        )
        try:
            return await exchange.open(), window
        except Failed as error:
            larger = context.larger(window, target, request, known.details)
            if error.code != "ollama.too-long" or larger is None:
                raise
            window = larger


def _body(
    target: Target, request: ModelRequest, details: OllamaDetails
) -> tuple[str, dict[str, Any]]:
    """The path and the body of a call, without the context length."""
    # What a binding says is meant for this server; the file's author had another.
    params = {**request.params, **target.options}
    options: dict[str, Any] = {}
    for name in _INTEGERS:
        if (whole := integer(params, name)) is not None:
            options[name] = whole
    for name in _NUMBERS:
        if (value := number(params, name)) is not None:
            options[name] = value
    if (value := number(params, "repetition_penalty")) is not None:
        options.setdefault("repeat_penalty", value)
    if (room := prompt.max_tokens(request)) is not None:
        options["num_predict"] = room
    if request.stop:
        options["stop"] = list(request.stop)
    body: dict[str, Any] = {
        "model": target.server_model,
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": options,
    }
    think = prompt.thinking(params)
    if think is not None and (details.can("thinking") or not think):
        body["think"] = think
    if isinstance(params.get("keep_alive"), str | int | float):
        body["keep_alive"] = params["keep_alive"]
    if request.schema is not None and target.quirks.schema != "none":
        body["format"] = request.schema
    elif prompt.wants_json(params):
        body["format"] = "json"
    body |= target.quirks.extra
    messages = prompt.with_a_user(request.messages)
    if not messages:
        raise BadInput("models.no-prompt", model=str(target))
    if request.mode == "completion":
        return "/api/generate", body | _bare(
            target, messages, details, raw=params.get("raw") is True
        )
    body["messages"] = [
        {"role": message.role, "content": message.text} | _images(target, message, details)
        for message in messages
    ]
    return "/api/chat", body


def _bare(
    target: Target, messages: list[Message], details: OllamaDetails, *, raw: bool
) -> dict[str, Any]:
    """The fields of a completion. The server still puts the prompt into the model's template,
    which an instruction model needs; `raw` (an option of the binding) keeps it as it is."""
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    text = "\n\n".join(message.text for message in rest)
    images = [
        image for message in rest for image in _images(target, message, details).get("images", ())
    ]
    out: dict[str, Any] = {"prompt": text}
    if raw:
        out = {"prompt": f"{system}\n\n{text}" if system else text, "raw": True}
    elif system:
        out["system"] = system
    return out | ({"images": images} if images else {})


def _images(target: Target, message: Message, details: OllamaDetails) -> dict[str, list[str]]:
    """The images of a message for a model that sees; other files no model of Ollama takes."""
    sees = target.images if details.capabilities is None else details.can("vision")
    images = [prompt.blob(file).base64 for file in message.files if sees and file.type == "image"]
    return {"images": images} if images else {}


class _Said(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: Any = None


class _Line(msgspec.Struct):
    """A line of a stream of /api/chat or /api/generate. Durations in nanoseconds."""

    message: _Said | None = None
    response: str | None = None
    thinking: str | None = None
    error: Any = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    prompt_eval_cached_count: int | None = None
    eval_count: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


class _Answer:
    """What has come of an answer. last: its closing line, with the counts."""

    def __init__(self, target: Target) -> None:
        self.last: _Line | None = None
        self.characters = 0
        self._target = target
        self._calls_tools = False
        self._said = False

    def take(self, payload: bytes) -> ModelChunk | None:
        """The text in a line. Raises Failed for an error line and for what is no line."""
        try:
            line = read(_decode, payload)
        except (msgspec.MsgspecError, RecursionError):
            raise failures.malformed(self._target, payload, self.characters) from None
        if line.error:
            raise failures.failed_midway(self._target, {"error": line.error}, self.characters)
        if line.done:
            self.last = line
        if said := line.message:
            text, thinking = said.content or "", said.thinking or ""
            self._calls_tools = self._calls_tools or bool(said.tool_calls)
        else:
            text, thinking = line.response or "", line.thinking or ""
        if not text and not thinking:
            return None
        self._said = True
        self.characters += len(text)
        return ModelChunk(text, thinking)

    @property
    def is_empty(self) -> bool:
        """Whether the answer ended by itself with nothing in it."""
        return not self._said and self.finish_reason in (None, "stop")

    @property
    def finish_reason(self) -> str | None:
        if self._calls_tools:
            return "tool_calls"
        return self.last.done_reason if self.last else None


def _refused(target: Target, window: int | None, refusal: Refusal) -> MillstreamError:
    words = refusal.message.lower()
    if is_missing(refusal):
        return NotHere("ollama.no-model", name=target.server_model, server=refusal.server)
    if "memory" in words:
        return Failed(
            "ollama.no-memory", model=str(target), message=refusal.message, num_ctx=window or "?"
        )
    error = failures.refused(target, refusal)
    if error.code == "models.context-exceeded":
        return Failed(
            "ollama.too-long", model=str(target), num_ctx=window or "?", message=refusal.message
        )
    return error


def _seconds(*durations: int | None) -> float:
    return sum(max(duration or 0, 0) for duration in durations) / 1e9
