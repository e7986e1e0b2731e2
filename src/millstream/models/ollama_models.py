"""What an Ollama server is, has on its disk, holds in memory and can fetch.

Answers of its models are in `ollama`, which offers these names too. Everything that a server says
is checked before it is believed: a field of the wrong kind is no field, names are made fit to be
printed, and something else than Ollama behind the address is an error.

Format: docs/api.md and docs/openapi.yaml of ollama/ollama.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from millstream.base import Failed, MillstreamError, NotHere, Secret
from millstream.models.http import Http, Refusal, origin_of, refused, shown, words_of_error
from millstream.models.sse import Lines

_SHOWS_AT_ONCE = 4


class OllamaModel(msgspec.Struct, frozen=True):
    """A model that a server has on its disk. size: bytes of its files. context: tokens, None if
    unknown. remote: the server passes calls on to a machine elsewhere."""

    name: str
    size: int = 0
    quantization: str = ""
    context: int | None = None
    family: str = ""
    parameter_size: str = ""
    capabilities: tuple[str, ...] | None = None
    remote: bool = False


class OllamaDetails(msgspec.Struct, frozen=True):
    """What a server tells of one model. context: tokens it was trained for. num_ctx: the context
    that its author set, 0 for none. capabilities: "completion", "vision", "thinking", "tools",
    "embedding", "insert"; None from servers that don't tell."""

    context: int | None = None
    num_ctx: int = 0
    capabilities: tuple[str, ...] | None = None
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    license: str = ""
    remote: bool = False

    def can(self, capability: str) -> bool:
        """Whether the model is able to do something, or may be."""
        return self.capabilities is None or capability in self.capabilities


class LoadedModel(msgspec.Struct, frozen=True):
    """A model that a server holds in memory. size and size_vram in bytes; context in tokens, None
    from servers that don't tell."""

    name: str
    size: int = 0
    size_vram: int = 0
    context: int | None = None


class PullProgress(msgspec.Struct, frozen=True):
    """A step of fetching a model. completed of total bytes of the layer `digest`; 0 of 0 in
    steps without bytes."""

    status: str
    digest: str = ""
    completed: int = 0
    total: int = 0


async def version(http: Http, base_url: str, *, key: Secret | None = None) -> str:
    """The server's version, such as "0.34.4". Raises NotHere if nobody answers, Failed if who
    answers isn't Ollama."""
    return _text(_mapping(await _ask(http, base_url, "/api/version", key), base_url)["version"])


async def list_models(http: Http, base_url: str, *, key: Secret | None = None) -> list[OllamaModel]:
    """The models that a server has, in its order: newest first."""
    answer = _mapping(await _ask(http, base_url, "/api/tags", key), base_url, "models")
    models = [model for item in _items(answer["models"]) if (model := _model(item)) is not None]
    at_once = asyncio.Semaphore(_SHOWS_AT_ONCE)

    async def complete(model: OllamaModel) -> OllamaModel:
        if model.context is not None and model.capabilities is not None:
            return model
        async with at_once:
            try:
                details = await show(http, base_url, model.name, key=key)
            except MillstreamError:
                return model
        return msgspec.structs.replace(
            model,
            context=model.context or details.context,
            capabilities=details.capabilities,
            remote=model.remote or details.remote,
        )

    return list(await asyncio.gather(*map(complete, models)))


async def show(http: Http, base_url: str, name: str, *, key: Secret | None = None) -> OllamaDetails:
    """What a server tells of a model. Raises NotHere with "ollama.no-model" if it has none of
    that name."""

    def error(refusal: Refusal) -> Exception:
        if is_missing(refusal):
            return NotHere("ollama.no-model", name=name, server=refusal.server)
        return refused(refusal)

    raw = await http.request_json(
        "POST",
        root(base_url) + "/api/show",
        headers=auth(key),
        json={"model": name},
        errors=error,
    )
    answer = _mapping(raw, base_url)
    details = _dict(answer.get("details"))
    info = _dict(answer.get("model_info"))
    architecture = info.get("general.architecture")
    context = _count(info.get(f"{architecture}.context_length"))
    if not context:
        found = (_count(info[key]) for key in info if str(key).endswith(".context_length"))
        context = max(found, default=0)
    return OllamaDetails(
        context=context or None,
        num_ctx=_parameter(answer.get("parameters"), "num_ctx"),
        capabilities=_capabilities(answer.get("capabilities")),
        family=_text(details.get("family")),
        parameter_size=_text(details.get("parameter_size")),
        quantization=_text(details.get("quantization_level")),
        license=answer["license"] if isinstance(answer.get("license"), str) else "",
        remote=bool(answer.get("remote_host") or answer.get("remote_model")),
    )


def is_missing(refusal: Refusal) -> bool:
    """Whether a refusal says that the server has no such model."""
    if refusal.status != 404 or not isinstance(refusal.body, dict):
        return False
    return "not found" in refusal.message


async def loaded(http: Http, base_url: str, *, key: Secret | None = None) -> list[LoadedModel]:
    """The models that a server holds in memory now."""
    answer = _mapping(await _ask(http, base_url, "/api/ps", key), base_url, "models")
    return [
        LoadedModel(
            name,
            size=_count(item.get("size")),
            size_vram=_count(item.get("size_vram")),
            context=_count(item.get("context_length")) or None,
        )
        for item in _items(answer["models"])
        if (name := _text(item.get("model") or item.get("name")))
    ]


async def pull(
    http: Http, base_url: str, name: str, *, key: Secret | None = None
) -> AsyncIterator[PullProgress]:
    """Let a server fetch a model, and tell how far it is. Closing the iterator stops it; what
    is fetched is kept, and the next pull goes on from there.

    Raises NotHere with "ollama.pull-unknown" if the library has no such model, Failed with
    "ollama.pull-failed" for every other end than success.
    """

    def failed(message: str) -> MillstreamError:
        values: dict[str, Any] = {
            "name": name,
            "server": origin_of(base_url),
            "message": shown(message),
        }
        if "file does not exist" in message or "not found" in message:
            return NotHere("ollama.pull-unknown", **values)
        return Failed("ollama.pull-failed", **values)

    lines = Lines()
    status = ""
    async with http.stream(
        "POST",
        root(base_url) + "/api/pull",
        headers=auth(key),
        json={"model": name, "stream": True},
        errors=lambda refusal: failed(refusal.message),
    ) as exchange:
        async for piece in exchange:
            for payload in lines.feed(piece):
                try:
                    step = _dict(msgspec.json.decode(payload))
                except (msgspec.MsgspecError, RecursionError):
                    raise failed(shown(payload)) from None
                if step.get("error"):
                    raise failed(words_of_error(step)[0])
                status = _text(step.get("status"))
                total = _count(step.get("total"))
                completed = min(_count(step.get("completed")), total)
                yield PullProgress(status, _text(step.get("digest")), completed, total)
    if status != "success":
        raise failed(status or "…")


def _model(item: Mapping[str, Any]) -> OllamaModel | None:
    name = _text(item.get("model") or item.get("name"))
    if not name:
        return None
    details = _dict(item.get("details"))
    return OllamaModel(
        name,
        size=_count(item.get("size")),
        quantization=_text(details.get("quantization_level")),
        context=_count(details.get("context_length")) or None,
        family=_text(details.get("family")),
        parameter_size=_text(details.get("parameter_size")),
        capabilities=_capabilities(item.get("capabilities")),
        remote=bool(item.get("remote_host") or item.get("remote_model")),
    )


async def _ask(http: Http, base_url: str, path: str, key: Secret | None) -> Any:
    return await http.request_json("GET", root(base_url) + path, headers=auth(key))


def root(base_url: str) -> str:
    """The address before `/api`. People write it with `/v1` or `/api` at its end too."""
    parts = urlsplit(base_url)
    path = re.sub(r"/(v1|api)$", "", parts.path.rstrip("/"))
    return f"{parts.scheme}://{parts.netloc}{path}"


def auth(key: Secret | None) -> dict[str, str]:
    """Ollama itself has no keys, but proxies before it and its own cloud do."""
    return {} if key is None else {"Authorization": f"Bearer {key.reveal()}"}


def _mapping(answer: Any, base_url: str, *needed: str) -> dict[str, Any]:
    """An answer that is an object with these fields; Failed for any other."""
    if isinstance(answer, dict) and all(name in answer for name in needed):
        return {"version": "", **answer}
    raise Failed("ollama.not-ollama", server=origin_of(base_url))


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """A short text of the server's, fit to be printed; "" for what is none."""
    return shown(value) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    """A count of the server's; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return 0
    return value


def _capabilities(value: Any) -> tuple[str, ...] | None:
    return tuple(_text(item) for item in value) if isinstance(value, list) else None


def _parameter(parameters: Any, name: str) -> int:
    """A whole number from the Modelfile parameters, a text of lines of name and value."""
    text = parameters if isinstance(parameters, str) else ""
    found = re.search(rf"^{name}\s+(\d{{1,9}})\s*$", text, re.M)
    return int(found[1]) if found else 0
