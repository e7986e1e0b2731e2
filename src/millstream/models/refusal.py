"""Refusals: what a server says instead of an answer, as far as it can be read.

Every server words its errors in a shape of its own. Their texts are a stranger's: cut for
display, put on one line, and free of anything that a terminal would obey.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

_SHOWN = 400  # characters of a server's own words that a message shows


class Refusal(msgspec.Struct):
    """An answer that is no success, as far as it could be read.

    message: the server's own words, keys removed, cut for display. code: its machine-readable
    word for the problem (`model_not_found`, `insufficient_quota` …), if it gave one. body: the
    whole parsed JSON, or the text. tries: how often the request was sent; waited: seconds spent
    waiting in between.
    """

    server: str
    status: int
    message: str = ""
    code: str = ""
    body: Any = None
    retry_after: float | None = None
    tries: int = 1
    waited: float = 0.0


def words_of_error(body: Any) -> tuple[str, str]:
    """The message and the machine-readable code of an error body, in any of the shapes that
    servers use; the message is cut for display."""
    if isinstance(body, list) and body:  # Gemini wraps a streamed error in a list
        body = body[0]
    code = ""
    for _ in range(4):
        if not isinstance(body, dict):
            break
        raw = body.get("code") or body.get("type") or body.get("status") or ""
        code = str(raw) if not isinstance(raw, dict | list) else code
        for name in ("error", "message", "detail", "msg", "error_msg", "errors", "base_resp",
                     "status_msg"):  # fmt: skip
            inner = body.get(name)
            if inner:
                break
        else:
            break
        body = inner[0] if isinstance(inner, list) else inner
    text = (
        body
        if isinstance(body, str)
        else ""
        if body is None
        else msgspec.json.encode(body).decode()
    )
    return shown(text), code


def shown(text: str | bytes) -> str:
    """The beginning of somebody else's text, on one line, fit to be printed."""
    if isinstance(text, bytes):
        text = text[: 4 * _SHOWN].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":  # an HTML page of some proxy
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text[:20_000], flags=re.S | re.I)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or Retry-After (RFC 9110, 10.2.3) as
    seconds or as a date."""
    try:
        if exact := headers.get("retry-after-ms"):
            return max(0.0, float(exact) / 1000)
        value = headers.get("Retry-After")
        if not value:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            then = email.utils.parsedate_to_datetime(value).timestamp()
            return max(0.0, then - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
