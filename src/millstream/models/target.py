"""A model that can be called: where it is, how to speak to it, what its server is known to do.

Bindings turn a file's `ModelRef` into a `Target`; an adapter (one module per protocol) speaks to
it. A target is plain data, and its key never shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from millstream.base import Secret as Secret
from millstream.engine.ports import ModelChunk, ModelEnd, ModelRequest

if TYPE_CHECKING:
    from millstream.models.http import Http

Protocol_ = Literal["openai", "azure", "ollama", "anthropic", "gemini"]


class Quirks(msgspec.Struct, frozen=True):
    """What a server does its own way.

    max_tokens: the name of that parameter. schema: the best way to ask for JSON. usage: it sends
    token counts in a stream when asked with `stream_options`. extra: fields for every body.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    schema: Literal["json_schema", "json_object", "none"] = "json_schema"
    usage: bool = True
    extra: dict[str, Any] = {}


class Target(msgspec.Struct, frozen=True):
    """A model here or at a provider.

    provider and name: how people and results call it ("ollama/qwen3:8b"). model: the name that
    the server wants, if another. context: tokens of context it is known to have; None unknown.
    slots: calls that its server really runs at once; None for no bound of ours.
    """

    provider: str
    name: str
    protocol: Protocol_
    base_url: str
    key: Secret | None = None
    model: str = ""
    context: int | None = None
    slots: int | None = None
    quirks: Quirks = Quirks()
    options: dict[str, Any] = {}  # protocol's own: Azure's api_version, Ollama's keep_alive …

    @property
    def server_model(self) -> str:
        return self.model or self.name

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class Adapter(Protocol):
    """What each protocol module offers as its function `generate`."""

    def __call__(
        self, http: Http, target: Target, request: ModelRequest
    ) -> AsyncIterator[ModelChunk | ModelEnd]:
        """Stream one answer. `request.schema`, if the protocol can constrain by it, is passed on
        natively; checking the answer is the caller's business (`structured`)."""
