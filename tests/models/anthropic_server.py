"""Anthropic's Messages API on loopback, as strict as the real one about what it takes.

Both dated versions: 2023-06-01, and 2026-10-21 in which sampling parameters are gone. Error texts
are the real ones where users have quoted them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from models.loopback import Loopback, Seen, reply

KEY = "sk-ant-api03-loopback-key"
_MEDIA = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
    "allOf", "$ref", "$defs", "definitions", "description", "title", "format", "default",
}  # fmt: skip


class Claude(msgspec.Struct):
    """A model. sampling: it takes temperature and its kin. structured: it takes a schema."""

    id: str = "claude-sonnet-4-6"
    max_tokens: int = 64_000
    max_input_tokens: int = 200_000
    sampling: bool = True
    structured: bool = True
    adaptive: bool = False  # thinks as much as it likes; no budget
    prefill: bool = True


class Rejected(Exception):
    """A request that the API does not take."""

    def __init__(
        self, message: str, status: int = 400, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind = message, status, kind


class AnthropicServer(Loopback):
    """text and thinking: the pieces that a call streams. extra_events go out before the end."""

    def __init__(self, *models: Claude) -> None:
        super().__init__()
        self.models = {model.id: model for model in models or (Claude(),)}
        self.text = ["Hel", "lo"]
        self.thinking: list[str] = []
        self.stop_reason = "end_turn"
        self.extra_events: list[tuple[str, dict[str, Any]]] = []
        self.usage: dict[str, Any] = {"input_tokens": 12, "output_tokens": 1}
        self.input_tokens_of_prompt: int | None = None
        self.offers_models = True

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        try:
            if seen.method == "GET" and seen.path.startswith("/v1/models/") and self.offers_models:
                self._authenticate(seen.headers)
                return reply(_info(self._model(seen.path.removeprefix("/v1/models/"))))
            if (seen.method, seen.path) != ("POST", "/v1/messages"):
                raise Rejected("Not found", 404, "not_found_error")
            if refusal := self.refused():
                return refusal
            self._authenticate(seen.headers)
            self._check(seen.body, seen.headers["anthropic-version"])
        except Rejected as error:
            body = {
                "type": "error",
                "error": {"type": error.kind, "message": error.message},
                "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
            }
            return reply(body, error.status, {"request-id": body["request_id"]})
        events = list(self._events(seen.body))
        if not seen.body.get("stream"):
            return reply(_whole(events))
        return await self.stream(request, (_sse(name, data) for name, data in events))

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        if headers.get("anthropic-version") not in ("2023-06-01", "2026-10-21"):
            raise Rejected("anthropic-version: header is required")
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Rejected("x-api-key header is required", 401, "authentication_error")
        if key != KEY:
            raise Rejected("invalid x-api-key", 401, "authentication_error")

    def _model(self, name: str) -> Claude:
        if name not in self.models:
            raise Rejected(f"model: {name}", 404, "not_found_error")
        return self.models[name]

    def _check(self, body: dict[str, Any], version: str) -> None:
        known = {"model", "max_tokens", "messages", "system", "stream", "stop_sequences",
                 "thinking", "tools", "tool_choice", "output_config", "metadata"}  # fmt: skip
        if version == "2023-06-01":
            known |= {"temperature", "top_p", "top_k"}
        for name in body:
            if name not in known:
                raise Rejected(f"{name}: Extra inputs are not permitted")
        for name in ("model", "max_tokens", "messages"):
            if name not in body:
                raise Rejected(f"{name}: Field required")
        model = self._model(body["model"])
        if body["max_tokens"] > model.max_tokens:
            raise Rejected(
                f"max_tokens: {body['max_tokens']} > {model.max_tokens}, which is the maximum "
                f"allowed number of output tokens for {model.id}"
            )
        length = self.input_tokens_of_prompt
        if length is not None and length > model.max_input_tokens:
            raise Rejected(
                f"prompt is too long: {length} tokens > {model.max_input_tokens} maximum"
            )
        if length is not None and length + body["max_tokens"] > model.max_input_tokens:
            raise Rejected(
                f"input length and `max_tokens` exceed context limit: {length} + "
                f"{body['max_tokens']} > {model.max_input_tokens}, decrease input length or "
                "`max_tokens` and try again"
            )
        _check_sampling(body, model)
        _check_thinking(body, model)
        _check_messages(body["messages"], model)
        if "system" in body and not body["system"]:
            raise Rejected("system: text content blocks must be non-empty")
        for text in body.get("stop_sequences", ()):
            if not text.strip():
                raise Rejected("stop_sequences: each stop sequence must contain non-whitespace")
        if wanted := body.get("output_config", {}).get("format"):
            if not model.structured:
                raise Rejected(f"'{model.id}' does not support output_config.format.")
            _check_schema(wanted["schema"])
        for tool in body.get("tools", ()):
            if tool["input_schema"].get("type") != "object":
                raise Rejected("tools.0.custom.input_schema.type: Field required")

    def _events(self, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield _event(
            "message_start",
            message={
                "id": "msg_01EhbwSNmMbGjBwJjiuEq1cF",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": self.usage,
            },
        )
        index = 0
        if self.thinking:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": text} for text in self.thinking]
            yield from _block(
                index, block, [*deltas, {"type": "signature_delta", "signature": "E"}]
            )
            index += 1
        yield _event("ping")
        stop = self.stop_reason
        if body.get("tool_choice", {}).get("type") == "tool":
            name = body["tool_choice"]["name"]
            block = {"type": "tool_use", "id": "toolu_01A09q90qw90lq917", "name": name, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": x} for x in ["", *self.text]]
            stop = "tool_use"
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": text} for text in self.text]
        if self.text:
            yield from _block(index, block, deltas)
        yield from self.extra_events
        yield _event(
            "message_delta",
            delta={"stop_reason": stop, "stop_sequence": None},
            usage={"output_tokens": len(self.text) + len(self.thinking)},
        )
        yield _event("message_stop")


def _check_sampling(body: dict[str, Any], model: Claude) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if name in body and not model.sampling:
            raise Rejected(f"`{name}` is deprecated for this model.")
    if not 0 <= body.get("temperature", 1) <= 1:
        raise Rejected("temperature: range: 0..1")
    if "temperature" in body and "top_p" in body:
        raise Rejected(
            "`temperature` and `top_p` cannot both be specified for this model. "
            "Please use only one."
        )


def _check_thinking(body: dict[str, Any], model: Claude) -> None:
    thinking = body.get("thinking")
    if not thinking:
        return
    if thinking["type"] == "enabled":
        if model.adaptive:
            raise Rejected(
                '"thinking.type.enabled" is not supported for this model. Use '
                '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
            )
        if thinking["budget_tokens"] < 1024:
            raise Rejected("thinking.enabled.budget_tokens: Input should be greater than or "
                           "equal to 1024")  # fmt: skip
        if thinking["budget_tokens"] >= body["max_tokens"]:
            raise Rejected("`max_tokens` must be greater than `thinking.budget_tokens`.")
        if body.get("temperature", 1) != 1:
            raise Rejected("`temperature` may only be set to 1 when thinking is enabled.")
    elif thinking["type"] == "adaptive" and not model.adaptive:
        raise Rejected("adaptive thinking is not supported on this model")
    if thinking["type"] != "disabled" and body.get("tool_choice", {}).get("type") == "tool":
        raise Rejected("Thinking may not be enabled when tool_choice forces tool use.")


def _check_messages(messages: Sequence[dict[str, Any]], model: Claude) -> None:
    if not messages:
        raise Rejected("messages: at least one message is required")
    for i, message in enumerate(messages):
        if message["role"] not in ("user", "assistant"):
            raise Rejected(
                f'messages: Unexpected role "{message["role"]}". The Messages API accepts a '
                'top-level `system` parameter, not "system" as an input message role.'
            )
        if not message["content"]:
            raise Rejected(f"messages.{i}: all messages must have non-empty content")
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                raise Rejected("messages: text content blocks must contain non-whitespace text")
            source = block.get("source", {})
            media = source.get("media_type", "image/png")
            if block["type"] == "image" and media not in _MEDIA:
                raise Rejected(
                    f"messages.{i}.content.0.image.source.base64.media_type: Input should be "
                    "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                )
    if messages[0]["role"] != "user":
        raise Rejected('messages: first message must use the "user" role')
    if messages[-1]["role"] == "assistant" and not model.prefill:
        raise Rejected("This model does not support assistant message prefill. The conversation "
                       "must end with a user message.")  # fmt: skip


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise Rejected("output_config.format.schema: boolean schemas are not supported")
    kind = schema.get("type")
    for name in schema:
        if name not in _KEYWORDS and not (name == "minItems" and schema[name] in (0, 1)):
            raise Rejected(
                f"output_config.format.schema: For '{kind}' type, property '{name}' is not "
                "supported"
            )
    if kind == "object":
        if schema.get("additionalProperties") is not False:
            raise Rejected(
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
                "explicitly set to false"
            )
        for inner in schema.get("properties", {}).values():
            _check_schema(inner)
    if "items" in schema:
        _check_schema(schema["items"])
    for name in ("anyOf", "allOf"):
        for inner in schema.get(name, ()):
            _check_schema(inner)
    for inner in {**schema.get("$defs", {}), **schema.get("definitions", {})}.values():
        _check_schema(inner)


def _event(kind: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"type": kind, **fields}


def _block(
    index: int, block: dict[str, Any], deltas: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield _event("content_block_start", index=index, content_block=block)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _sse(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def _whole(events: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The message that a stream builds up."""
    message: dict[str, Any] = {}
    for name, data in events:
        match name:
            case "message_start":
                message = {**data["message"], "content": []}
            case "content_block_start":
                message["content"].append(dict(data["content_block"]))
            case "content_block_delta":
                block, delta = message["content"][data["index"]], data["delta"]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                elif delta["type"] == "thinking_delta":
                    block["thinking"] += delta["thinking"]
            case "message_delta":
                message |= data["delta"]
                message["usage"] = {**message["usage"], **data["usage"]}
    return message


def _info(model: Claude) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id.replace("-", " ").title(),
        "created_at": "2026-09-01T00:00:00Z",
        "lifecycle": "active",
        "max_tokens": model.max_tokens,
        "max_input_tokens": model.max_input_tokens,
    }
