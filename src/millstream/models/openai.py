"""The OpenAI protocol: OpenAI itself, Azure, and every server that speaks likewise.

`/chat/completions` for prompts of messages, `/completions` for a bare prompt where the server has
it. Answers stream; a server that will not is read whole. Servers differ in what they refuse: a
parameter that a refusal names is left out, and not sent to that model again; a limit that the
context has no room for, and a schema that the server can't hold to, are conceded for that call.
Inline `<think>` text passes through as text (`reasoning` splits it off); reasoning that comes in a
field of its own (`reasoning_content`, or `reasoning`) is delivered as such. Tool calls are not
asked for yet; a server that makes one all the same is heard out.

Format: OpenAI's API reference, "Chat Completions" and "Completions"; Azure's data-plane
reference for its URLs and header; llama.cpp's server for counting tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import msgspec

from millstream.base import BadInput, MillstreamError, NotHere, redact
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest
from millstream.models import concessions, failures, prompt
from millstream.models.concessions import Concession
from millstream.models.http import Exchange, Http, Refusal, origin_of, words_of_error
from millstream.models.sse import DONE, Events, read
from millstream.models.target import Target

AZURE_VERSION = "2024-10-21"  # the newest dated version that is not a preview

# Parameters that every server of this protocol knows.
_PARAMS = frozenset(("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"))
# Never passed on: asked for elsewhere, or meant for Ollama's native API alone.
# fmt: off
_OURS = frozenset((
    "model", "messages", "prompt", "stream", "stream_options", "stop", "n", "tools", "functions",
    "response_format", "json_schema", "format", "num_ctx", "num_gpu", "num_thread", "keep_alive",
    *prompt.MAX_TOKENS,
))
# fmt: on


class _Delta(msgspec.Struct):
    """The new part of a message, or the whole one. Fields are as wild as servers are."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    refusal: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: Any = None
    finish_reason: Any = None
    index: Any = 0


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    message: Any = None  # of an error whose object is the whole event, as vLLM once sent it


_decode = msgspec.json.Decoder(_Event).decode
_LATE = (400, 413, 422)  # codes of an error event that say that it is a refusal
_CONCESSIONS = 16  # for one call


async def generate(
    http: Http, target: Target, request: ModelRequest
) -> AsyncIterator[ModelChunk | ModelEnd]:
    """Stream one answer (`target.Adapter`)."""
    watch = prompt.Stopwatch()
    call = _Call(http, target, request)
    while True:
        try:
            async with call.send() as answer:
                kind = answer.headers.get("Content-Type", "")
                if "json" in kind:
                    for item in _read_whole(target, await answer.read(), watch):
                        yield call.marked(item)
                    return
                if "html" in kind:
                    raise failures.no_api(target, await answer.read())
                events = Events()
                finish: Any = None
                usage: Any = None
                done = said = called = False
                while not events.closed:
                    piece = await anext(answer, None)
                    for payload in events.close() if piece is None else events.feed(piece):
                        if payload.rstrip() == DONE:
                            done = True
                            break
                        try:
                            event = read(_decode, payload)
                        except (msgspec.DecodeError, RecursionError):
                            if events.closed:
                                raise failures.cut(target, answer.characters) from None
                            raise failures.malformed(target, payload, answer.characters) from None
                        if choice := _ours(event):
                            delta = choice.delta
                            if delta is not None:
                                chunk = _chunk(delta)
                                called = called or bool(delta.tool_calls)
                            else:
                                text = choice.text
                                chunk = ModelChunk(text) if isinstance(text, str) else None
                            if chunk is not None:
                                if not said:
                                    said = True
                                    watch.arrived()
                                answer.characters += len(chunk.text)
                                yield chunk
                            if choice.finish_reason:
                                finish = choice.finish_reason
                        if event.usage:
                            usage = event.usage
                        if error := _error(event):
                            raise call.failure(error, answer.characters, late=said or called)
                    if done:
                        await answer.finish()
                        break
                if not done and finish is None:
                    # The connection ended in good order, but nobody had said that the answer is
                    # complete.
                    if not said:
                        raise failures.empty(target)
                    raise failures.cut(target, answer.characters)
                if not said and not called and finish in (None, "stop"):
                    raise failures.empty(target)
                yield call.marked(_end(target, usage, finish, watch))
                return
        except Concession as concession:  # vLLM's may stand in place of the first event
            call.concede(concession)


class _Call:
    """One call, to be sent again with whatever the server refuses left out."""

    def __init__(self, http: Http, target: Target, request: ModelRequest) -> None:
        if not request.messages:
            raise BadInput("models.no-prompt", model=str(target))
        self._http, self._target = http, target
        self._url, self._headers = address(target, request), credentials(target)
        self._body = build(target, request)
        self._checked = request.schema is not None
        self._wanted = self._checked and _holds(self._body)
        self._patience = _CONCESSIONS
        self._without = http.refused.setdefault(target.identity, [])
        for i, name in enumerate(self._without):
            concessions.concede(self._body, name, self._without[:i])

    def send(self) -> Exchange:
        """The request and its answer. Raises Concession for what the server refuses."""
        return self._http.stream(
            "POST", self._url, headers=self._headers, json=self._body, errors=self._refused
        )

    def concede(self, concession: Concession) -> None:
        """Go without what was refused: from now on, or where it depends on the call, this once."""
        name = concession.name
        if not concession.once:
            concessions.concede(self._body, name, self._without)
            self._without.append(name)
        elif concession.value is not None:
            self._body[name] = concession.value
        else:
            concessions.concede(self._body, name, [])

    def marked(self, item: ModelChunk | ModelEnd) -> ModelChunk | ModelEnd:
        """An item; the end says so if the server was not held to the schema after all."""
        if self._wanted and isinstance(item, ModelEnd) and not _holds(self._body):
            item.rung = "extracted"
        return item

    def failure(self, error: Any, characters: int, *, late: bool) -> Exception:
        """What an error inside a stream means. vLLM refuses what it sees late, such as a schema
        that its grammar can't express, in a stream that has begun with status 200."""
        code = error.get("code") if isinstance(error, dict) else None
        if late or code not in _LATE:
            return failures.failed_midway(self._target, error, characters)
        message, word = words_of_error({"error": error})
        server = origin_of(self._target.base_url)
        return self._refused(Refusal(server, code, redact(message), word, {"error": error}))

    def _refused(self, refusal: Refusal) -> MillstreamError | Concession:
        self._patience -= 1
        if self._patience < 0:  # a server that is never content
            return failures.refused(self._target, refusal)
        return concessions.of(self._target, self._body, refusal, checked=self._checked)


def _holds(body: Mapping[str, Any]) -> bool:
    """Whether a request holds the server to a schema."""
    return (body.get("response_format") or {}).get("type") == "json_schema"


# ------------------------------------------------------------------------------------ requests


def address(target: Target, request: ModelRequest) -> str:
    """Where the request goes."""
    bare = _bare_prompt(target, request)
    path = "/completions" if bare else "/chat/completions"
    base = target.base_url.rstrip("/")
    if target.protocol != "azure" or base.endswith("/v1"):  # Azure's undated API is OpenAI's
        return base + path
    if "/deployments/" not in base:
        base = f"{base.removesuffix('/openai')}/openai/deployments/{target.server_model}"
    return f"{base}{path}?api-version={target.options.get('api_version') or AZURE_VERSION}"


def credentials(target: Target) -> dict[str, str]:
    """The headers that show the key, and those that the target's options add."""
    headers = {str(k): str(v) for k, v in (target.options.get("headers") or {}).items()}
    if target.key is not None:
        if target.protocol == "azure":
            headers["api-key"] = target.key.reveal()
        else:
            headers["Authorization"] = f"Bearer {target.key.reveal()}"
    return headers


def build(target: Target, request: ModelRequest) -> dict[str, Any]:
    """The body of a request."""
    quirks = target.quirks
    body: dict[str, Any] = {"model": target.server_model}
    if _bare_prompt(target, request):
        body["prompt"] = request.messages[0].text
    else:
        body["messages"] = _messages(target, request)
    body["stream"] = True
    if quirks.usage:
        body["stream_options"] = {"include_usage": True}
    if request.stop:
        body["stop"] = list(request.stop)
    if limit := prompt.max_tokens(request):
        body[quirks.max_tokens] = limit
    for name, value in request.params.items():
        known = name in _PARAMS or quirks.params is None or name in quirks.params
        if known and value is not None and name not in _OURS:
            body[name] = value
    if wanted := _response_format(target, request):
        body["response_format"] = wanted
    body.update(quirks.extra)
    return body


def _bare_prompt(target: Target, request: ModelRequest) -> bool:
    return (
        request.mode == "completion"
        and target.quirks.completions
        and len(request.messages) == 1
        and request.messages[0].role == "user"
        and not request.schema
    )


def _messages(target: Target, request: ModelRequest) -> list[dict[str, Any]]:
    said = request.messages
    if not target.quirks.system_only:
        said = prompt.with_a_user(said)
    return [{"role": m.role, "content": _content(target, m)} for m in said]


def _content(target: Target, message: Message) -> str | list[dict[str, Any]]:
    if not message.files or not target.images:
        return message.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    parts += [
        {"type": "image_url", "image_url": {"url": file.url}}
        for file in message.files
        if file.type == "image" and file.url.startswith(("data:", "http://", "https://"))
    ]
    return parts if len(parts) > 1 or not message.text else message.text


def _response_format(target: Target, request: ModelRequest) -> Any:
    if request.schema is not None:
        match target.quirks.schema:
            case "json_schema" | "grammar":
                return _schema_format("answer", request.schema)
            case "json_object":
                return {"type": "json_object"}
        return None
    asked = request.params.get("response_format")
    if isinstance(asked, dict):
        return asked
    match str(asked or "").lower():
        case "json_schema":
            return _file_schema(request.params.get("json_schema"))
        case "json_object" | "json":
            return {"type": "json_object"} if target.quirks.schema != "none" else None
    return None


def _file_schema(text: Any) -> Any:
    """The `json_schema` parameter of a file: JSON text, of a schema or of OpenAI's wrapping."""
    try:
        value = msgspec.json.decode(text) if isinstance(text, str) else text
    except msgspec.DecodeError:
        raise BadInput("models.bad-json-schema-param") from None
    if not isinstance(value, dict):
        raise BadInput("models.bad-json-schema-param")
    if isinstance(value.get("schema"), dict):
        return {"type": "json_schema", "json_schema": {"name": "answer", **value}}
    return _schema_format("answer", value)


def _schema_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    wrapped = {"name": name, "schema": schema, "strict": _strict(schema)}
    return {"type": "json_schema", "json_schema": wrapped}


def _strict(schema: Any) -> bool:
    """Whether a schema meets what OpenAI's strict mode asks for: every object closed, and every
    property of it required."""
    if isinstance(schema, list):
        return all(map(_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required") or ()) != set(properties):
            return False
        rest = [value for key, value in schema.items() if key != "properties"]
        return _strict(list(properties.values())) and _strict(rest)
    return _strict(list(schema.values()))


# ------------------------------------------------------------------------------------- answers


def _read_whole(
    target: Target, body: bytes, watch: prompt.Stopwatch
) -> list[ModelChunk | ModelEnd]:
    """The items of an answer that came in one piece."""
    try:
        event = read(_decode, body)
    except (msgspec.DecodeError, RecursionError):
        raise failures.malformed(target, body) from None
    watch.arrived()
    if error := _error(event):
        raise failures.failed_midway(target, error)
    choice = _ours(event)
    if choice is None:
        raise failures.empty(target)
    message = choice.message or _Delta(content=choice.text)
    chunk = _chunk(message)
    if chunk is None and not message.tool_calls and choice.finish_reason in (None, "stop"):
        raise failures.empty(target)
    end = _end(target, event.usage, choice.finish_reason, watch)
    return [end] if chunk is None else [chunk, end]


def _ours(event: _Event) -> _Choice | None:
    """The first of the answers that a server was asked for: parameters of a file may ask for
    several, and their pieces come mixed."""
    for choice in event.choices or ():
        if type(choice.index) is not int or choice.index == 0:
            return choice
    return None


def _error(event: _Event) -> Any:
    """What an event says of an error, if it is one."""
    if event.error:
        return event.error
    return event.message if event.choices is None and isinstance(event.message, str) else None


def _chunk(delta: _Delta) -> ModelChunk | None:
    text = delta.content
    if type(text) is not str:
        text, thinking = _parts(text) if text else ("", "")
        # A refusal in OpenAI's sense is what the model says instead of an answer.
        text = text or (delta.refusal if isinstance(delta.refusal, str) else "")
    else:
        thinking = ""
    reasoning = delta.reasoning_content or delta.reasoning or thinking
    if type(reasoning) is not str:
        reasoning = ""
    return ModelChunk(text, reasoning) if text or reasoning else None


def _parts(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content in parts (Mistral's reasoning models)."""
    text, thinking = [], []
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            text.append(part["text"])
        elif isinstance(part.get("thinking"), list):
            thinking += [str(p.get("text", "")) for p in part["thinking"] if isinstance(p, dict)]
    return "".join(text), "".join(thinking)


def _end(target: Target, usage: Any, finish: Any, watch: prompt.Stopwatch) -> ModelEnd:
    counted: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
    return ModelEnd(
        watch.usage(_count(counted.get("prompt_tokens")), _count(counted.get("completion_tokens"))),
        finish_reason=str(finish) if finish else None,
        model=str(target),
        cached=_cached(counted.get("prompt_tokens_details")),
    )


def _cached(details: Any) -> int | None:
    """Tokens of the prompt that the server had kept from earlier calls, if it says so."""
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return None if cached is None else _count(cached)


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


# ------------------------------------------------------------------------------ counting tokens


async def count_tokens(http: Http, target: Target, request: ModelRequest) -> int | None:
    """The prompt's tokens, counted by the server (`options.tokenize`: "vllm" for vLLM's way, true
    for llama.cpp's); None where nobody counts, or where a prompt has images."""
    if not target.options.get("tokenize") or any(message.files for message in request.messages):
        return None
    try:
        return await _tokenize(http, target, request)
    except NotHere as error:
        if error.code in ("models.no-such-path", "models.model-missing"):
            return None  # it is some other server after all
        raise
    except (KeyError, TypeError):  # and that is no count
        return None


async def _tokenize(http: Http, target: Target, request: ModelRequest) -> int:
    root = target.base_url.rstrip("/").removesuffix("/v1")
    headers, errors = credentials(target), partial(failures.refused, target)
    bare = _bare_prompt(target, request)
    if target.options["tokenize"] == "vllm":
        whole: dict[str, Any] = {"model": target.server_model}
        if bare:
            whole["prompt"] = request.messages[0].text
        else:
            whole["messages"] = _messages(target, request)
        answer = await http.request_json(
            "POST", f"{root}/tokenize", headers=headers, json=whole, errors=errors
        )
        return len(answer["tokens"])
    if bare:
        text = request.messages[0].text
    else:
        body = {"messages": _messages(target, request)}
        answer = await http.request_json(
            "POST", f"{root}/apply-template", headers=headers, json=body, errors=errors
        )
        text = answer["prompt"]
    whole = {"content": text, "add_special": True, "parse_special": True}
    answer = await http.request_json(
        "POST", f"{root}/tokenize", headers=headers, json=whole, errors=errors
    )
    return len(answer["tokens"])
