"""Ollama's native API on loopback: chat, generate, tags, show, ps, version, pull.

Three eras, because users have all of them: "new" (0.30 and later: an over-long prompt is refused
if `shift` is false, else cut to half of the context; `ps` tells the context, counts include cached
tokens), "old" (0.4 to 0.12: it is cut to the whole context, old messages of a chat are dropped
first, nobody is told), "ancient" (as old; a prompt that is cached is not counted at all, and `ps`
tells no context).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiohttp import web

from models.loopback import Loopback, Seen, reply

_CJK = "[぀-ヿ㐀-鿿가-힯豈-﫿]"
_TOKEN = re.compile(rf"{_CJK}|(?:(?!{_CJK})\w)+|[^\w\s]")
NUM_KEEP = 4


def tokens(text: str) -> int:
    """What this server's tokenizer makes of a text: a token a word, sign or CJK character."""
    return len(_TOKEN.findall(text))


class Model(msgspec.Struct):
    """A model that the server has."""

    name: str
    context: int = 40960
    capabilities: Sequence[str] = ("completion",)
    parameters: str = (
        'stop                           "<|im_end|>"\ntemperature                    0.6'
    )
    family: str = "qwen3"
    size: int = 5_200_000_000
    parameter_size: str = "8.2B"
    quantization: str = "Q4_K_M"

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameter_size,
            "quantization_level": self.quantization,
        }


class OllamaServer(Loopback):
    """answer_text and thinking: the pieces that a call streams. default_context: what the server
    loads a model with that nobody asked more of. memory: the most context that it grants."""

    content_type = "application/x-ndjson"

    def __init__(self, *models: Model, era: str = "new") -> None:
        super().__init__()
        self.models = {model.name: model for model in models or (Model("qwen3:8b"),)}
        self.era = era
        self.version = {"new": "0.34.4", "old": "0.5.13", "ancient": "0.1.30"}[era]
        self.loaded: dict[str, int] = {}
        self.default_context = 4096
        self.memory: int | None = None
        self.answer_text = ["Hel", "lo"]
        self.thinking: list[str] = []
        self.done_reason = "stop"
        self.fail_midway: str | None = None
        self.reloads = 0
        self.pull_lines: list[dict[str, Any]] = []
        self.tool_calls: list[dict[str, Any]] = []
        self._cached = ""

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        match seen.method, seen.path:
            case "GET", "/api/version":
                return reply({"version": self.version})
            case "GET", "/api/tags":
                return reply({"models": [_listed(model) for model in self.models.values()]})
            case "GET", "/api/ps":
                return reply({"models": [self._running(name) for name in self.loaded]})
            case "POST", "/api/show":
                model = self._find(seen.body["model"])
                return _missing(seen.body["model"]) if model is None else reply(_shown(model))
            case "POST", "/api/pull":
                lines = [msgspec.json.encode(line) + b"\n" for line in self.pull_lines]
                return await self.stream(request, lines)
            case "POST", "/api/chat" | "/api/generate":
                return await self._generate(request, seen)
        return web.Response(status=404, text="404 page not found")

    def _find(self, name: str) -> Model | None:
        return self.models.get(name) or self.models.get(f"{name}:latest")

    def _running(self, name: str) -> dict[str, Any]:
        model = self.models[name]
        out = {
            **_listed(model),
            "expires_at": "2026-11-22T11:05:00.000000000Z",
            "size_vram": model.size,
        }
        if self.era != "ancient":
            out["context_length"] = self.loaded[name]
        return out

    async def _generate(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if refusal := self.refused():
            return refusal
        body = seen.body
        model = self._find(body["model"])
        if model is None:
            return _missing(body["model"])
        if body.get("think") and "thinking" not in model.capabilities:
            return reply({"error": f'"{body["model"]}" does not support thinking'}, 400)
        context = self._load(model, body.get("options") or {})
        prompt = _prompt(body)
        count = tokens(prompt)
        cached = prompt == self._cached
        self._cached = prompt
        if count > context - 1:
            if self.era == "new" and body.get("shift") is False:
                return reply(
                    {
                        "error": "the prompt is longer than the context length currently available "
                        "to the model; shorten the prompt, adjust the context length in settings, "
                        "or use a model with a longer context length"
                    },
                    400,
                )
            count = self._cut(body, context)
        usage: dict[str, Any] = {
            "total_duration": 1_500_000_000,
            "load_duration": 200_000_000,
            "prompt_eval_count": count,
            "prompt_eval_duration": 300_000_000,
            "eval_count": len(self.thinking) + len(self.answer_text),
            "eval_duration": 1_000_000_000,
        }
        if cached and self.era == "ancient":
            del usage["prompt_eval_count"], usage["prompt_eval_duration"]
        elif cached and self.era == "new":
            usage["prompt_eval_cached_count"] = count - 1
        lines = self._lines(seen.path, body["model"], usage)
        if body.get("stream", True):
            return await self.stream(request, (msgspec.json.encode(line) + b"\n" for line in lines))
        return reply(_whole(list(lines)))

    def _cut(self, body: dict[str, Any], context: int) -> int:
        """How many tokens are left of a prompt that is too long."""
        if self.era == "new":
            return context - max((context - NUM_KEEP) // 2, 1)
        messages = list(body.get("messages") or ())
        while len(messages) > 1 and tokens(_prompt({"messages": messages})) > context:
            oldest = next((m for m in messages[:-1] if m["role"] != "system"), messages[0])
            messages.remove(oldest)
        return min(tokens(_prompt({"messages": messages})) if messages else context, context)

    def _load(self, model: Model, options: dict[str, Any]) -> int:
        wanted = min(options.get("num_ctx") or self.default_context, model.context)
        if self.memory is not None:
            wanted = min(wanted, self.memory)
        if self.loaded.get(model.name) != wanted:
            self.reloads += 1
            self.loaded[model.name] = wanted
        return wanted

    def _lines(self, path: str, model: str, usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
        base = {"model": model, "created_at": "2026-11-22T10:00:00.123456789Z"}
        chat = path == "/api/chat"

        def piece(text: str, thinking: str = "", **more: Any) -> dict[str, Any]:
            if not chat:
                return {"response": text} | ({"thinking": thinking} if thinking else {})
            message = {"role": "assistant", "content": text} | more
            return {"message": message | ({"thinking": thinking} if thinking else {})}

        for text in self.thinking:
            yield base | piece("", text) | {"done": False}
        for text in self.answer_text:
            yield base | piece(text) | {"done": False}
        if self.tool_calls:
            yield base | piece("", tool_calls=self.tool_calls) | {"done": False}
        if self.fail_midway:
            yield {"error": self.fail_midway}
            return
        yield base | piece("") | {"done": True, "done_reason": self.done_reason} | usage


def _prompt(body: dict[str, Any]) -> str:
    if "messages" in body:
        return "\n".join(f"<{m['role']}>{m['content']}" for m in body["messages"])
    return str(body.get("system") or "") + str(body["prompt"])


def _whole(lines: list[dict[str, Any]]) -> dict[str, Any]:
    last = lines[-1]
    if "message" in last:
        message = {"role": "assistant", "content": "".join(x["message"]["content"] for x in lines)}
        return last | {"message": message}
    return last | {"response": "".join(line["response"] for line in lines)}


def _listed(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-11-01T09:00:00.000000000+01:00",
        "size": model.size,
        "digest": "500a1f067a9f782620b40bee6f7b0c89e17ae61f686b92c24933e4ca4b2b8b41",
        "details": model.details,
    }


def _shown(model: Model) -> dict[str, Any]:
    return {
        "license": "Apache License\nVersion 2.0",
        "modelfile": f"FROM {model.name}",
        "parameters": model.parameters,
        "template": "{{ .Prompt }}",
        "details": model.details,
        "model_info": {
            "general.architecture": model.family,
            "general.parameter_count": 8_190_735_360,
            f"{model.family}.block_count": 36,
            f"{model.family}.context_length": model.context,
            f"{model.family}.embedding_length": 4096,
            "tokenizer.ggml.tokens": None,
        },
        "capabilities": model.capabilities,
        "modified_at": "2026-11-01T09:00:00.000000000+01:00",
    }


def _missing(name: str) -> web.Response:
    return reply({"error": f"model '{name}' not found"}, 404)
