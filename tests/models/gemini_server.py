"""Google's Gemini API (v1beta) on loopback: generateContent and streamGenerateContent.

As strict as the real one about what it takes; error texts are the real ones where users have
quoted them. A stream that fails midway ends, as the real one does, in plain JSON that is no event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from models.loopback import Loopback, Seen, reply

KEY = "AIzaSyLoopbackKeyOfOurOwn"
_CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences",
    "presencePenalty", "frequencyPenalty", "seed", "responseMimeType", "responseSchema",
    "responseJsonSchema", "thinkingConfig",
}  # fmt: skip
_MIME = re.compile(r"image/(png|jpeg|webp|heic|heif)|application/pdf|audio/.+|video/.+|text/plain")


class Gemini(msgspec.Struct):
    """A model and what it takes."""

    name: str = "gemini-2.5-flash"
    penalties: bool = False
    system: bool = True
    json: bool = True
    thinks: bool = True
    output_limit: int = 65_536
    input_limit: int = 1_048_576


class Rejected(Exception):
    """A request that the API does not take."""

    def __init__(
        self, message: str, code: int = 400, status: str = "INVALID_ARGUMENT", **detail: Any
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.status, self.detail = message, code, status, detail

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.detail:
            error["details"] = [self.detail]
        return {"error": error}


class GeminiServer(Loopback):
    """text and thoughts: the pieces that a call streams. block: the reason for which the prompt
    is blocked. fails_midway: an error that ends the stream."""

    def __init__(self, *models: Gemini) -> None:
        super().__init__()
        self.models = {model.name: model for model in models or (Gemini(),)}
        self.text = ["Hel", "lo"]
        self.thoughts: list[str] = []
        self.finish_reason: str | None = "STOP"
        self.block: str | None = None
        self.fails_midway: Rejected | None = None
        self.more: list[dict[str, Any]] = []
        self.prompt_tokens = 12

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        found = re.fullmatch(r"/v1beta/models/([^/:]+):(\w+)", seen.path)
        try:
            if seen.method != "POST" or found is None:
                raise Rejected("Not found", 404, "NOT_FOUND")
            if refusal := self.refused():
                return refusal
            self._authenticate(seen)
            self._check(found[1], seen.body)
        except Rejected as error:
            return reply(error.body, error.code)
        events = list(self._events())
        if found[2] == "generateContent":
            return reply(_whole(events))
        assert seen.query.get("alt") == "sse"
        pieces = [b"data: " + msgspec.json.encode(event) + b"\r\n\r\n" for event in events]
        if self.fails_midway is not None:
            raw = msgspec.json.format(msgspec.json.encode(self.fails_midway.body), indent=2)
            pieces += [raw[:20], raw[20:] + b"\n"]
        return await self.stream(request, pieces)

    def _authenticate(self, seen: Seen) -> None:
        key = seen.headers.get("x-goog-api-key") or seen.query.get("key")
        if not key:
            raise Rejected(
                "Method doesn't allow unregistered callers (callers without established "
                "identity). Please use API Key or other form of API consumer identity to call "
                "this API.",
                403,
                "PERMISSION_DENIED",
            )
        if key != KEY:
            raise Rejected(
                "API key not valid. Please pass a valid API key.",
                **{"@type": "type.googleapis.com/google.rpc.ErrorInfo"},
                reason="API_KEY_INVALID",
                domain="googleapis.com",
            )

    def _check(self, name: str, body: dict[str, Any]) -> None:
        model = self.models.get(name)
        if model is None:
            raise Rejected(
                f"models/{name} is not found for API version v1beta, or is not supported for "
                "generateContent. Call ListModels to see the list of available models and their "
                "supported methods.",
                404,
                "NOT_FOUND",
            )
        if self.prompt_tokens > model.input_limit:
            raise Rejected(
                f"The input token count ({self.prompt_tokens}) exceeds the maximum number of "
                f"tokens allowed ({model.input_limit})."
            )
        for field in body:
            if field not in ("contents", "systemInstruction", "generationConfig", "tools"):
                raise Rejected(f'Invalid JSON payload received. Unknown name "{field}": '
                               "Cannot find field.")  # fmt: skip
        if "systemInstruction" in body and not model.system:
            raise Rejected(f"Developer instruction is not enabled for models/{model.name}")
        _check_contents(body.get("contents", ()))
        _check_config(body.get("generationConfig", {}), model)

    def _events(self) -> Iterator[dict[str, Any]]:
        base = {"modelVersion": "gemini-2.5-flash", "responseId": "JPozaonvK7yzvdIPrJ7FyAk"}
        usage = {"promptTokenCount": self.prompt_tokens, "totalTokenCount": self.prompt_tokens}
        if self.block:
            feedback = {"blockReason": self.block}
            yield {"promptFeedback": feedback, "usageMetadata": usage} | base
            return
        pieces: list[dict[str, Any]] = [{"text": text, "thought": True} for text in self.thoughts]
        pieces += [{"text": text} for text in self.text]
        for i, part in enumerate(pieces):
            yield {
                "candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
                "usageMetadata": {**usage, "thoughtsTokenCount": min(i + 1, len(self.thoughts))},
            } | base
        yield from self.more
        last: dict[str, Any] = {"content": {"role": "model"}, "index": 0}
        if self.finish_reason is not None:
            last["finishReason"] = self.finish_reason
        counts = {
            "candidatesTokenCount": len(self.text),
            "thoughtsTokenCount": len(self.thoughts),
            "totalTokenCount": self.prompt_tokens + len(self.text) + len(self.thoughts),
        }
        yield {"candidates": [last], "usageMetadata": usage | counts} | base


def _check_contents(contents: Sequence[Mapping[str, Any]]) -> None:
    if not contents:
        raise Rejected("* GenerateContentRequest.contents: contents is not specified\n")
    for i, content in enumerate(contents):
        if content.get("role") not in ("user", "model"):
            raise Rejected("Please use a valid role: user, model.")
        for j, part in enumerate(content["parts"] or [{}]):
            data = part.get("inlineData")
            # Field names may be spelt either way, as everywhere in Google's JSON.
            kind = data and (data.get("mimeType") or data["mime_type"])
            if data is not None and not _MIME.fullmatch(kind):
                raise Rejected(f"Unsupported MIME type: {kind}")
            if data is None and not part.get("text"):
                raise Rejected(
                    f"* GenerateContentRequest.contents[{i}].parts[{j}].data: required oneof "
                    "field 'data' must have one initialized field\n"
                )


def _check_config(config: Mapping[str, Any], model: Gemini) -> None:
    for field in config:
        if field not in _CONFIG:
            raise Rejected(
                f'Invalid JSON payload received. Unknown name "{field}" at '
                "'generation_config': Cannot find field."
            )
    if not model.penalties and (config.get("presencePenalty") or config.get("frequencyPenalty")):
        raise Rejected(f"Penalty is not enabled for models/{model.name}")
    if not model.json and config.get("responseMimeType") == "application/json":
        raise Rejected(f"JSON mode is not enabled for models/{model.name}")
    if "responseJsonSchema" in config and "responseMimeType" not in config:
        raise Rejected("Response schema with mime type: 'text/plain' is unsupported")
    if _depth(config.get("responseJsonSchema")) > 20:
        raise Rejected("The specified schema produces a constraint that has too many states for "
                       "serving.")  # fmt: skip
    if not model.thinks and config.get("thinkingConfig"):
        raise Rejected("Thinking is not supported for this model.")
    if config.get("maxOutputTokens", 1) > model.output_limit:
        raise Rejected(
            "* GenerateContentRequest.generation_config.max_output_tokens: must be in the range "
            f"[1, {model.output_limit}]\n"
        )
    if not 0 <= config.get("temperature", 1) <= 2:
        raise Rejected("* GenerateContentRequest.generation_config.temperature: temperature must "
                       "be in the range [0.0, 2.0].\n")  # fmt: skip
    if len(config.get("stopSequences", ())) > 5:
        raise Rejected("* GenerateContentRequest.generation_config.stop_sequences: at most 5")


def _depth(schema: Any) -> int:
    if isinstance(schema, dict):
        return 1 + max(map(_depth, schema.values()), default=0)
    return max(map(_depth, schema), default=0) if isinstance(schema, list) else 0


def _whole(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The response that a stream builds up."""
    parts = [
        part
        for event in events
        for candidate in event.get("candidates", ())
        for part in candidate.get("content", {}).get("parts", ())
    ]
    last = {**events[-1]}
    if "candidates" in last:
        content = {"content": {"parts": parts, "role": "model"}}
        last["candidates"] = [last["candidates"][0] | content]
    return last
