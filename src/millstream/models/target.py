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

    max_tokens: the name of that parameter. schema: how it can be made to answer in JSON:
    "json_schema" and "grammar" constrain it to a schema (the latter at every token, as llama.cpp,
    vLLM and Ollama do), "json_object" to JSON of any shape, "none" not at all. usage: it sends
    token counts in a stream when asked with `stream_options`. completions: it offers
    `/completions` for a bare prompt. system_only: it takes a prompt of system messages alone;
    else the last one is sent as the user's. params: names of `completion_params` passed on
    besides those that every server of the protocol knows; None passes all. extra: fields for
    every body.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    schema: Literal["json_schema", "grammar", "json_object", "none"] = "json_schema"
    usage: bool = True
    completions: bool = False
    system_only: bool = True
    params: tuple[str, ...] | None = ()
    extra: dict[str, Any] = {}


class Target(msgspec.Struct, frozen=True):
    """A model here or at a provider.

    provider and name: how people and results call it ("ollama/qwen3:8b"). model: the name that
    the server wants, if another. context: tokens of context it is known to have; None unknown.
    slots: calls that its server really runs at once; None for no bound of ours. images: whether
    it is given the images of a prompt. setting: where its key is looked for, for error messages
    ("OPENAI_API_KEY").
    """

    provider: str
    name: str
    protocol: Protocol_
    base_url: str
    key: Secret | None = None
    model: str = ""
    context: int | None = None
    slots: int | None = None
    images: bool = False
    setting: str = ""
    quirks: Quirks = Quirks()
    options: dict[str, Any] = {}  # protocol's own: Azure's api_version, Ollama's keep_alive …

    @property
    def server_model(self) -> str:
        return self.model or self.name

    @property
    def identity(self) -> tuple[str, str, str]:
        """Protocol, base URL and name on the server: what tells it from every other model."""
        return self.protocol, self.base_url, self.server_model

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class LazyTarget(Protocol):
    """A model whose server is started when it is first called (the embedded runtime)."""

    async def open(self) -> Target:
        """The model, ready to be called; cheap when it already is."""


class Adapter(Protocol):
    """What each protocol module offers as its function `generate`.

    It raises what `failures` makes of a refusal, delivers a server's separate reasoning as
    `ModelChunk.reasoning` (inline `<think>` is split off by the router), and gets the files of a
    message as `data:` or http addresses only. A module may also offer
    `count_tokens(http, target, request) -> int | None`: the prompt's tokens as the server will
    count them, asked before the call.
    """

    def __call__(
        self, http: Http, target: Target, request: ModelRequest
    ) -> AsyncIterator[ModelChunk | ModelEnd]:
        """Stream one answer. `request.schema`, if the protocol can constrain by it, is passed on
        natively; checking the answer is the caller's business (`structured`)."""
