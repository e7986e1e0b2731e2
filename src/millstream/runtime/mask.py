"""The values of an app's secret variables, kept out of everything that a run tells.

Nodes work with the true values; what leaves a run leaves it as events, and here is the door. A
value is found as it is and as it looks inside of JSON, of Python's notation, of an address and of
base64. An app without secrets never comes this way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from millstream.base.secret import HIDDEN
from millstream.engine.events import (
    Emit,
    Event,
    NodeFinished,
    NodeRetry,
    ReasoningChunk,
    TextChunk,
    TextReplaced,
)

_SHORT = 4  # characters; a shorter secret is hidden only where it stands alone
_DEEPEST = 200  # levels of nesting that are looked into

Chunk = TextChunk | ReasoningChunk


class Mask:
    """Hands events on with dots for secrets, and numbers them anew.

    The end of a chunk that may be the beginning of a secret is held back until the next one
    tells, or the node ends."""

    def __init__(self, secrets: Iterable[str], put: Emit) -> None:
        self._put = put
        self._seq = 0
        values = {form for secret in secrets for form in (secret, secret.strip())}
        self._alone = frozenset(values - {""})
        forms = {form for secret in self._alone if len(secret) >= _SHORT for form in _forms(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._held: dict[tuple[type[Chunk], str], Chunk] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, TextChunk | ReasoningChunk):
            self._chunk(event)
            return
        if isinstance(event, NodeFinished | NodeRetry | TextReplaced):
            for kind in (TextChunk, ReasoningChunk):
                if held := self._held.pop((kind, event.name), None):
                    self._number(held)
        for field in event.__struct_fields__:
            value = getattr(event, field)
            if isinstance(value, str | dict | list):
                setattr(event, field, self.hide(value))
        self._number(event)

    def _number(self, event: Event) -> None:
        self._seq += 1
        event.seq = self._seq
        self._put(event)

    def _chunk(self, event: Chunk) -> None:
        key = (type(event), event.name)
        before = self._held.pop(key, None)
        text = self.hide(before.text + event.text if before else event.text)
        rest = self._beginning(text)
        if rest:
            self._held[key] = msgspec.structs.replace(event, text=text[-rest:])
            text = text[:-rest]
        if text:
            event.text = text
            self._number(event)

    def _beginning(self, text: str) -> int:
        """The length of the longest end of a text with which a secret may begin."""
        longest = min(len(text), len(self._forms[0]) - 1) if self._forms else 0
        for length in range(longest, 0, -1):
            if any(form.startswith(text[-length:]) for form in self._forms):
                return length
        return 0

    def hide(self, value: Any, above: tuple[int, ...] = ()) -> Any:
        """The value with dots in the place of every secret. above: the ids of the containers
        that it is in; what holds itself or is nested too deeply becomes an ellipsis."""
        if isinstance(value, str):
            if value in self._alone:
                return HIDDEN
            for form in self._forms:
                if form in value:
                    value = value.replace(form, HIDDEN)
            return value
        if not isinstance(value, dict | list | tuple | msgspec.Struct):
            return value
        if id(value) in above or len(above) > _DEEPEST:
            return "…"
        above = (*above, id(value))
        if isinstance(value, dict):
            return {self.hide(key, above): self.hide(item, above) for key, item in value.items()}
        if isinstance(value, msgspec.Struct):
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            return type(value)(**{k: self.hide(item, above) for k, item in fields.items()})
        return type(value)(self.hide(item, above) for item in value)


def _forms(secret: str) -> Iterable[str]:
    """The texts in which a secret may hide."""
    yield secret
    for ascii in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii)[1:-1]
    yield repr(secret)[1:-1]
    raw = secret.encode("utf-8", "surrogatepass")
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield base64.b64encode(raw).decode().rstrip("=")
