"""What can go wrong in a call of a model, as errors that a person can act on.

Every adapter gives its refusals to `refused`, so that a wrong key or a missing model reads the
same whoever the provider is. Connections that fail are `http`'s business.
"""

from __future__ import annotations

import re
from typing import Any

from millstream.base import Failed, MillstreamError, NotHere, redact, say
from millstream.home.credentials import variables
from millstream.models.http import Refusal, origin_of, shown, words_of_error
from millstream.models.target import Target

_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|maximum context|prompt is too long|too many (input )?tokens"
    r"|input (is )?too long|exceeds? .{0,40}(context|token)",
    re.I,
)
_NO_MONEY = re.compile(
    r"insufficient.{0,12}(quota|balance|funds|credit)|credit balance|billing|arrears|欠费|余额",
    re.I,
)

# What servers say of a path that they do not have, rather than of a model.
_NO_PATH = re.compile(
    r"(404:? )?((file|page|path|resource|route|url) )?not found[.!]?|invalid url\b.*"
    r"|unexpected endpoint\b.*",
    re.I,
)
# Of a model that is not there, where it is no 404: LiteLLM, DeepSeek, Mistral, OpenRouter, Zhipu.
_NO_MODEL = re.compile(
    r"invalid model( name| id\b|:| ')|model[ _]not[ _](exist|found)|not a valid model|模型不存在",
    re.I,
)


def refused(target: Target, refusal: Refusal) -> MillstreamError:
    """The error for a server's refusal of a call."""
    values: dict[str, Any] = {
        "model": str(target),
        "server": refusal.server,
        "status": refusal.status,
        "message": refusal.message,
        "name": target.server_model,
        "provider": target.provider,
        "setting": target.setting or variables(target.provider)[0],
    }
    status = refusal.status
    money = status == 402 or _NO_MONEY.search(f"{refusal.code} {refusal.message}")
    if money and status in (400, 402, 403, 429):
        return Failed("models.no-credit", **values)
    if status in (401, 403):
        return NotHere("models.key-missing" if target.key is None else "models.key-wrong", **values)
    if status == 404:
        # A server that knows the path says in JSON what it misses there; anything else is some
        # other server, or another path of it.
        known = isinstance(refusal.body, dict | list) and not _NO_PATH.fullmatch(refusal.message)
        return NotHere("models.model-missing" if known else "models.no-such-path", **values)
    if status == 429:
        values |= {"tries": refusal.tries, "waited": round(refusal.waited)}
        wait = refusal.retry_after
        values["asks"] = "" if wait is None else say("models.asks-to-wait", wait=round(wait))
        return Failed("models.rate-limited", **values)
    if status in (400, 413, 422, 500) and _TOO_LONG.search(f"{refusal.code} {refusal.message}"):
        return Failed("models.context-exceeded", **values)
    if status == 400 and _NO_MODEL.search(f"{refusal.code} {refusal.message}"):
        return NotHere("models.model-missing", **values)
    if status >= 500:
        return Failed("models.server-error", tries=refusal.tries, **values)
    return Failed("models.refused", **values)


def failed_midway(target: Target, body: Any, characters: int = 0) -> MillstreamError:
    """The error that a server reported inside a stream that had begun well."""
    message, code = words_of_error(body)
    if _TOO_LONG.search(f"{code} {message}"):
        return refused(target, Refusal(origin_of(target.base_url), 400, message, code, body))
    return Failed(
        "models.failed-midway", model=str(target), message=redact(message), characters=characters
    )


def malformed(target: Target, payload: bytes, characters: int = 0) -> MillstreamError:
    """The error for a piece of a stream that is not what the protocol says."""
    return Failed(
        "models.malformed",
        model=str(target),
        server=origin_of(target.base_url),
        beginning=redact(shown(payload)),
        characters=characters,
    )


def no_api(target: Target, body: bytes) -> MillstreamError:
    """The error for a server that answers well, but with a page for people."""
    return NotHere(
        "models.no-such-path",
        model=str(target),
        server=origin_of(target.base_url),
        status=200,
        message=shown(body),
    )


def cut(target: Target, characters: int = 0) -> MillstreamError:
    """The error for a stream that ended before it said so."""
    return Failed("models.cut", server=origin_of(target.base_url), characters=characters)


def empty(target: Target) -> MillstreamError:
    """The error for an answer without text, reasoning, tool call or a reason to have none."""
    return Failed("models.empty-answer", model=str(target), server=origin_of(target.base_url))
