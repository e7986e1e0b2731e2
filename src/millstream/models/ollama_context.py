"""How much context a call of an Ollama server asks for, and whether it got it.

Left alone, Ollama loads a model with 2,048 to 262,144 tokens of context, depending on its version
and the graphics card, and cuts a longer prompt without a word. So a call says what it needs; a
prompt that can't fit is refused before; and afterwards the server's count and the context that it
really gave are looked at. What is learnt of a model is kept as long as the connections live.

What servers do with a prompt that is too long: since 0.30 they refuse it if `shift` is false, and
else keep half of the context's tokens; 0.4 to 0.12 keep as many as the context has, after dropping
the oldest messages of a chat. Source: llm/llama_server.go, runner/ and server/prompt.go of
ollama/ollama.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from millstream.base import Failed, MillstreamError
from millstream.engine.ports import ModelRequest
from millstream.models import prompt
from millstream.models.guard import fewest_tokens
from millstream.models.http import Http
from millstream.models.ollama_models import OllamaDetails, loaded, show, version
from millstream.models.prompt import integer
from millstream.models.target import Target

ANSWER_ROOM = 4096
"""Tokens of context kept free for an answer whose length the file does not bound."""

_LEAST_WINDOW = 4096
_MESSAGE_TOKENS = 16  # what a template puts around a message
_IMAGE_TOKENS = 2048  # a generous guess; models differ from 256 to several thousand


class Known:
    """What has been learnt of a model. window: the context it was last seen loaded with."""

    def __init__(self, details: OllamaDetails) -> None:
        self.details = details
        self.window = 0


async def known_of(http: Http, target: Target) -> Known:
    """What is known of a model; the server is asked the first time. Raises NotHere for a model
    or a server that isn't there."""
    known: Known | None = http.learned.get(target.identity)
    if known is None:
        try:
            details = await show(http, target.base_url, target.server_model, key=target.key)
        except Failed:
            return Known(OllamaDetails())  # it may answer all the same
        known = http.learned.setdefault(target.identity, Known(details))
    return known


class Size(NamedTuple):
    """How many tokens a prompt may have: at least, rarely more than likely, never more than most.

    3 characters a token is little for a language in Latin letters, 1.5 tokens are much for
    another character, and a token has at least one byte.
    """

    least: int
    likely: int
    most: int

    @classmethod
    def of(cls, request: ModelRequest) -> Size:
        likely = most = 0
        for message in request.messages:
            text = message.text
            ascii_ = len(text.encode("ascii", "ignore"))
            around = _MESSAGE_TOKENS + _IMAGE_TOKENS * len(message.files)
            likely += ascii_ // 3 + (len(text) - ascii_) * 3 // 2 + around
            most += len(text.encode("utf-8", "replace")) + 4 * around
        return cls(fewest_tokens(request), likely, most)


async def choose(
    http: Http, target: Target, request: ModelRequest, known: Known, size: Size
) -> int | None:
    """The `num_ctx` for a call: enough for prompt and answer, and rather what is loaded already,
    because any other value makes the server load the model anew. None where the server passes
    the call on to another one, which has its own context.

    Raises Failed with "ollama.longer-than-context" for a prompt that can't fit.
    """
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
    window = max(_LEAST_WINDOW, details.num_ctx)
    while window < need:
        window *= 2
    return min(window, limit) if limit else window


def larger(
    window: int | None, target: Target, request: ModelRequest, details: OllamaDetails
) -> int | None:
    """The next `num_ctx` to try after one that was too small; None if there is none to try."""
    limit = _limit(target, details)
    if window is None or limit is None or window >= limit or _wish(target, request):
        return None
    return min(window * 2, limit)


async def check(
    http: Http,
    target: Target,
    known: Known,
    size: Size,
    asked: int,
    count: int | None,
    *,
    counts_cached: bool,
) -> None:
    """Raise Failed with "ollama.clipped" if the model can't have read the whole prompt.

    asked: the `num_ctx` of the call. count: the server's count of the prompt's tokens.
    counts_cached: it is known to include tokens that the server had in its cache.

    Only what is certain, or what servers that cut leave behind, counts: a prompt of more words
    than the context has tokens; as many tokens as the context has, to the one; as many as half of
    it leaves (`num_keep` of 4, or 5 with a start token, and half of the rest); fewer tokens than
    the prompt has words. The last two are believed only of a prompt that comes near the context,
    and the last only of a server that counts cached tokens.
    """
    window = asked
    if known.window != asked:
        window = known.window = await _loaded_window(http, target) or asked
    clipped = size.least >= window
    if not clipped and count is not None and size.most >= window:
        clipped = count == window
        if not clipped and size.likely >= window * 3 // 4:
            halves = [window - max((window - keep) // 2, 1) for keep in (4, 5)]
            clipped = count in halves or (
                count < size.least and (counts_cached or await _counts_cached(http, target))
            )
    if clipped:
        raise Failed(
            "ollama.clipped",
            model=str(target),
            num_ctx=window,
            count="?" if count is None else count,
            likely=size.likely,
        )


def _limit(target: Target, details: OllamaDetails) -> int | None:
    """The most context that the model can have here; None if nobody said."""
    return min(filter(None, (details.context, target.context)), default=None)


def _wish(target: Target, request: ModelRequest) -> int | None:
    """The context that the binding or the file sets, if one does."""
    wish = integer(target.options, "num_ctx") or integer(request.params, "num_ctx")
    return wish if wish and wish > 0 else None


async def _loaded_window(http: Http, target: Target) -> int | None:
    """The context that the server has loaded the model with; None if it doesn't tell."""
    with suppress(MillstreamError):
        for model in await loaded(http, target.base_url, key=target.key):
            if model.name in (target.server_model, f"{target.server_model}:latest"):
                return model.context
    return None


async def _counts_cached(http: Http, target: Target) -> bool:
    """Whether the server's version counts cached tokens: since 0.3, but for the first of 0.30."""
    with suppress(MillstreamError):
        found = re.match(r"(\d+)\.(\d+)", await version(http, target.base_url, key=target.key))
        if found:
            release = (int(found[1]), int(found[2]))
            return release >= (0, 3) and release != (0, 30)
    return False
