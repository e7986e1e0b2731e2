"""The OpenAI protocol on loopback: chat and bare completions, as OpenAI, Azure and llama.cpp do.

Strict where OpenAI is: a missing or wrong key, an unknown model, an unknown parameter (with
`param` and `code`), `stream_options` without `stream`. What a test wants to be otherwise, it sets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web

from .loopback import Loopback, Seen, reply

# fmt: off
KNOWN = frozenset((
    "model", "messages", "prompt", "stream", "stream_options", "stop", "temperature", "top_p",
    "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "seed",
    "response_format", "user", "logit_bias", "reasoning_effort",
))
# fmt: on
_TOKEN = re.compile(r"[一-鿿]|\w+|[^\w\s]")


def tokens(text: str) -> int:
    """What this server's tokenizer makes of a text: a token a word, Han character or sign."""
    return len(_TOKEN.findall(text))


class OpenAIServer(Loopback):
    """answer_text: the pieces that a call streams; answers: whole texts, used up call by call
    before it. reasoning: pieces that come first, in `reasoning_field`. usage: whether streams
    tell token counts when asked. refuses: names of parameters that it calls unsupported.
    streams: False refuses `stream`; None answers whole although a stream was asked for.
    context: prompts beyond it are refused, or with `cuts` silently shortened. delay: seconds
    before the answer begins. fields: extra fields of every delta.
    """

    def __init__(self, *models: str, key: str | None = None) -> None:
        super().__init__()
        self.models = models or ("gpt-4o",)
        self.key = key
        self.answer_text = ["Hel", "lo"]
        self.answers: list[str] = []
        self.finish_reasons: list[str | None] = []
        self.finish_reason: str | None = "stop"
        self.reasoning: list[str] = []
        self.reasoning_field = "reasoning_content"
        self.usage = True
        self.refuses: set[str] = set()
        self.known: frozenset[str] | None = KNOWN
        self.streams: bool | None = True
        self.context: int | None = None
        self.cuts = False
        self.delay = 0.0
        self.tool_calls = False
        self.error_midway: Any = None
        self.done = True
        self.concurrent = self.most_concurrent = 0

    @property
    def base_url(self) -> str:
        return self.url + "/v1"

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        azure = re.fullmatch(r"/openai/deployments/([^/]+)(/(?:chat/)?completions)", seen.path)
        path = f"/v1{azure[2]}" if azure else seen.path
        if seen.method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
            self.concurrent += 1
            self.most_concurrent = max(self.concurrent, self.most_concurrent)
            try:
                return await self._complete(request, seen, azure[1] if azure else None, path)
            finally:
                self.concurrent -= 1
        match seen.method, path:
            case "GET", "/v1/models":
                return reply({"object": "list", "data": [{"id": m} for m in self.models]})
            case "POST", "/apply-template":
                return reply({"prompt": _template(seen.body["messages"])})
            case "POST", "/tokenize":
                return reply({"tokens": list(range(tokens(seen.body["content"])))})
        return web.Response(status=404, text="404 page not found")

    async def _complete(
        self, request: web.Request, seen: Seen, deployment: str | None, path: str
    ) -> web.StreamResponse:
        if refusal := self.refused():
            return refusal
        body = seen.body
        if problem := self._problem(seen, deployment):
            return problem
        if self.delay:
            await asyncio.sleep(self.delay)
        chat = "chat" in path
        text = _template(body["messages"]) if chat else body["prompt"]
        count = tokens(text)
        if self.context is not None and count > self.context:
            if not self.cuts:
                return reply(
                    _error(
                        f"the request exceeds the available context size, try increasing it: "
                        f"{count} of {self.context}",
                        "exceed_context_size_error",
                    ),
                    400,
                )
            count = self.context
        pieces = [self.answers.pop(0)] if self.answers else self.answer_text
        finish = self.finish_reasons.pop(0) if self.finish_reasons else self.finish_reason
        usage = {
            "prompt_tokens": count,
            "completion_tokens": len(pieces),
            "total_tokens": count + len(pieces),
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        if body.get("stream") and self.streams is not None:
            wanted = (body.get("stream_options") or {}).get("include_usage") and self.usage
            events = self._events(chat, pieces, finish, usage if wanted else None)
            return await self.stream(request, events)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces)}
        if self.reasoning:
            message[self.reasoning_field] = "".join(self.reasoning)
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"message": message} if chat else {"text": "".join(pieces)}
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
        return reply(whole | {"choices": [choice], "usage": usage})

    def _problem(self, seen: Seen, deployment: str | None) -> web.Response | None:
        body = seen.body
        if self.key is not None:
            given = seen.headers.get("api-key" if deployment else "authorization", "")
            if given.removeprefix("Bearer ") != self.key:
                said = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
                return reply(_error(said, "invalid_api_key"), 401)
        if deployment is not None and not seen.query.get("api-version"):
            return reply(_error("Resource not found", "404"), 404)
        if (deployment or body["model"]) not in self.models:
            said = f"The model `{body['model']}` does not exist or you do not have access to it."
            return reply(_error(said, "model_not_found"), 404)
        for name in body:
            if name in self.refuses or (self.known is not None and name not in self.known):
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                return reply(_error(said, "unsupported_parameter", name), 400)
        if "stream_options" in body and not body.get("stream"):
            said = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            return reply(_error(said, None, "stream_options"), 400)
        if body.get("stream") and self.streams is False:
            return reply(_error("Streaming is not supported by this model.", None), 400)
        return None

    def _events(
        self, chat: bool, pieces: list[str], finish: str | None, usage: Any
    ) -> Iterator[bytes]:
        head = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 1732000000,
            "model": "gpt-4o-2024-11-20",
            "system_fingerprint": "fp_1",
        }

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
            choice |= {"delta": delta} if chat else {"text": delta.get("content", "")}
            return _event(head | {"choices": [choice], "usage": None})

        if chat:
            yield event({"role": "assistant", "content": "", "refusal": None})
        for thought in self.reasoning:
            yield event({"content": None, self.reasoning_field: thought})
        for piece in pieces:
            yield event({"content": piece})
        if self.tool_calls:
            call = {"index": 0, "id": "call_1", "type": "function"}
            yield event({"tool_calls": [call | {"function": {"name": "f", "arguments": ""}}]})
            yield event({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
        if self.error_midway is not None:
            yield _event({"error": self.error_midway})
            return
        if finish:
            yield event({}, finish)
        if usage is not None:
            yield _event(head | {"choices": [], "usage": usage})
        if self.done:
            yield b"data: [DONE]\n\n"


def _event(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _error(message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _template(messages: list[dict[str, Any]]) -> str:
    return "\n".join(f"<{message['role']}>{_text(message['content'])}" for message in messages)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
