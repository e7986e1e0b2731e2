"""Ollama through its native API: the answers of its models (the models are in `ollama_models`).

The native API, because only there a context length can be asked for. Left alone, Ollama loads a
model with 2,048 to 262,144 tokens of context depending on its version and the graphics card, and
cuts a longer prompt without a word. So every call says how much it needs (`num_ctx`), forbids
cutting (`truncate`, `shift`; servers before 0.13 don't know them), and looks afterwards whether
the prompt can have been read whole.

Format: docs/api.md and docs/openapi.yaml of ollama/ollama. Streams are JSON, one object a line.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest
from millstream.models import failures, prompt
from millstream.models.http import Exchange, Http, Refusal
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
from millstream.models.sse import Lines
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

ANSWER_ROOM = 4096
"""Tokens of context kept free for an answer whose length the file does not bound."""

_LEAST_CONTEXT = 4096
_IMAGE_TOKENS = 2048  # a generous guess; models differ from 256 to several thousand
_MESSAGE_TOKENS = 16  # what a template puts around a message
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")

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
    known = await _known(http, target)
    path, body = _body(target, request, known.details)
    size = _Size.of(body)
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
        await _check_clipped(http, target, known, size, window, last)
    if answer.is_empty:
        raise failures.empty(target)
    usage = watch.usage(last.prompt_eval_count or 0, last.eval_count or 0)
    if last.eval_duration:
        # The server's own times leave out how long the call stood in its queue.
        usage.time_to_generate = _seconds(last.eval_duration)
        usage.time_to_first_token = _seconds(last.load_duration, last.prompt_eval_duration)
        usage.latency = usage.time_to_first_token + usage.time_to_generate
    yield ModelEnd(usage, answer.finish_reason, model=str(target))


async def _open(
    http: Http,
    target: Target,
    request: ModelRequest,
    known: _Known,
    size: _Size,
    path: str,
    body: dict[str, Any],
) -> tuple[Exchange, int | None]:
    """The begun answer, and the context that was asked for. A guess at the prompt's tokens that
    turns out too low is corrected here, for a server that refuses what doesn't fit."""
    window = await _choose_window(http, target, request, known, size)
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
            larger = _larger(window, target, request, known.details)
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
            line = _decode(payload)
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


# --------------------------------------------------------------------------------------- context


class _Known:
    """What has been learnt of a model. window: the context it was last seen loaded with."""

    def __init__(self, details: OllamaDetails) -> None:
        self.details = details
        self.window = 0


_memory: WeakKeyDictionary[Http, dict[tuple[str, str], _Known]] = WeakKeyDictionary()


async def _known(http: Http, target: Target) -> _Known:
    """What this process knows of a model; asks the server the first time."""
    memory = _memory.setdefault(http, {})
    key = (target.base_url, target.server_model)
    if (known := memory.get(key)) is None:
        try:
            details = await show(http, target.base_url, target.server_model, key=target.key)
        except Failed:
            return _Known(OllamaDetails())  # it may answer all the same
        known = memory.setdefault(key, _Known(details))
    return known


class _Size(NamedTuple):
    """How many tokens a prompt may have: at least, rarely more than likely, never more than most.

    No tokenizer of today joins two words into a token, and hardly one joins more than four Han
    characters. On the other side, 3 characters a token is little for a language in Latin letters,
    1.5 tokens are much for another character, and a token has at least one byte.
    """

    least: int
    likely: int
    most: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> _Size:
        parts: Iterable[Mapping[str, Any]] = body.get("messages") or [body]
        least = likely = most = 0
        for part in parts:
            text = " ".join(part[key] for key in ("content", "system", "prompt") if part.get(key))
            ascii_ = len(text.encode("ascii", "ignore"))
            images = _IMAGE_TOKENS * len(part.get("images") or ())
            least += max(len(text.split()), sum(map(len, _HAN.findall(text))) // 4)
            likely += ascii_ // 3 + (len(text) - ascii_) * 3 // 2 + _MESSAGE_TOKENS + images
            most += len(text.encode("utf-8", "replace")) + 4 * (_MESSAGE_TOKENS + images)
        return cls(least, likely, most)


def _limit(target: Target, details: OllamaDetails) -> int | None:
    """The most context that the model can have here; None if nobody said."""
    return min(filter(None, (details.context, target.context)), default=None)


def _wish(target: Target, request: ModelRequest) -> int | None:
    """The context length that the binding or the file sets, if one does."""
    wish = integer(target.options, "num_ctx") or integer(request.params, "num_ctx")
    return wish if wish and wish > 0 else None


async def _choose_window(
    http: Http, target: Target, request: ModelRequest, known: _Known, size: _Size
) -> int | None:
    """The `num_ctx` for a call: enough for prompt and answer, and rather what is loaded already,
    because any other value makes the server load the model anew. None where the server passes
    the call on to another one, which has its own context."""
    details = known.details
    if details.remote:
        return None
    limit = _limit(target, details)
    wish = _wish(target, request)
    most = min(filter(None, (wish, limit)), default=None)
    if most is not None and size.least >= most:
        raise Failed(
            "ollama.longer-than-context", model=str(target), least=size.least, num_ctx=most
        )
    if wish is not None:
        return wish
    need = size.likely + (prompt.max_tokens(request) or ANSWER_ROOM)
    known.window = known.window or await _loaded_window(http, target) or 0
    if known.window >= need:
        return known.window
    window = max(_LEAST_CONTEXT, details.num_ctx)
    while window < need:
        window *= 2
    return min(window, limit) if limit else window


def _larger(
    window: int | None, target: Target, request: ModelRequest, details: OllamaDetails
) -> int | None:
    """The next `num_ctx` to try after one that was too small; None if there is no larger one."""
    limit = _limit(target, details)
    if window is None or limit is None or window >= limit or _wish(target, request):
        return None
    return min(window * 2, limit)


async def _loaded_window(http: Http, target: Target) -> int | None:
    """The context that the server has loaded the model with; None if it doesn't tell."""
    with suppress(MillstreamError):
        for model in await loaded(http, target.base_url, key=target.key):
            if model.name in (target.server_model, f"{target.server_model}:latest"):
                return model.context
    return None


async def _check_clipped(
    http: Http, target: Target, known: _Known, size: _Size, asked: int, last: _Line
) -> None:
    """Raise Failed if the model can't have read the whole prompt.

    Only what is certain, or what servers that cut leave behind, counts: a prompt of more words
    than the context has tokens; as many tokens as the context has, to the one; as many as half of
    it leaves (`num_keep` of 4, or 5 with a start token, and half of the rest); fewer tokens than
    the prompt has words. The last two are believed only of a prompt that comes near the context,
    and the last only of a server that counts tokens which it had in its cache.
    """
    window = asked
    if known.window != asked:
        window = known.window = await _loaded_window(http, target) or asked
    count = last.prompt_eval_count
    clipped = size.least >= window
    if not clipped and count is not None and size.most >= window:
        clipped = count == window
        if not clipped and size.likely >= window * 3 // 4:
            halves = [window - max((window - keep) // 2, 1) for keep in (4, 5)]
            clipped = count in halves or (
                count < size.least and await _counts_cached(http, target, last)
            )
    if clipped:
        raise Failed(
            "ollama.clipped",
            model=str(target),
            num_ctx=window,
            count="?" if count is None else count,
            likely=size.likely,
        )


async def _counts_cached(http: Http, target: Target, last: _Line) -> bool:
    """Whether `prompt_eval_count` includes tokens that were in the server's cache: since 0.3,
    but for the first of 0.30."""
    if last.prompt_eval_cached_count is not None:
        return True
    with suppress(MillstreamError):
        found = re.match(r"(\d+)\.(\d+)", await version(http, target.base_url, key=target.key))
        if found:
            release = (int(found[1]), int(found[2]))
            return release >= (0, 3) and release != (0, 30)
    return False
