"""Text with `{{#node.name#}}` in it, and how a value becomes text.

A template is cut into its pieces once, when an app is compiled; a run only looks values up.
The form of a reference: a node id of 1 to 50 letters, digits or `_`, then 1 to 10 names of up to
30 characters, with dots between and no spaces. Anything else stays as it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from millstream.values.file import File
from millstream.values.pool import MISSING, Pool, Selector
from millstream.values.types import type_of

REFERENCE = re.compile(r"\{\{#([A-Za-z0-9_]{1,50}(?:\.[A-Za-z_][A-Za-z0-9_]{0,29}){1,10})#\}\}")


class TextTemplate:
    """A text whose references are found in a pool at each rendering.

    pieces: literal texts and selectors in the order of the text.
    """

    __slots__ = ("pieces", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.pieces: list[str | Selector] = []
        for i, piece in enumerate(REFERENCE.split(source)):
            if i % 2:
                self.pieces.append(Selector.of(piece.split(".")))
            elif piece:
                self.pieces.append(piece)

    @property
    def selectors(self) -> list[Selector]:
        """Every reference, in order, repeated ones included."""
        return [piece for piece in self.pieces if not isinstance(piece, str)]

    def render(
        self,
        pool: Pool,
        *,
        missing: Callable[[Selector], str] = str,
        text: Callable[[Any], str] | None = None,
    ) -> str:
        """The text with every value in its place.

        missing: what to put where nothing is found; by default the selector's own text.
        text: how a value becomes text (`to_text` unless told).
        """
        convert = text or to_text
        out = []
        for piece in self.pieces:
            if isinstance(piece, str):
                out.append(piece)
                continue
            value = piece.read(pool)
            if type(value) is str:
                out.append(value)
            else:
                out.append(missing(piece) if value is MISSING else convert(value))
        return out[0] if len(out) == 1 else "".join(out)


def to_text(value: Any) -> str:
    """A value as plain text: prompts, HTTP texts, conditions.

    Objects and string lists become JSON, other lists Python's notation, None and files nothing.
    """
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, File):
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    kind = type_of(value)
    if kind == "object" or kind == "array[string]":
        return json.dumps(value, ensure_ascii=False, default=_plain, check_circular=False)
    if kind == "array[file]" or (isinstance(value, list) and not value):
        return ""
    return str(_plain(value))


def to_markdown(value: Any) -> str:
    """A value as an answer shows it: lists as bullets, objects as indented JSON, files as links."""
    if isinstance(value, File):
        link = f"[{value.name or value.url}]({value.url})"
        return f"!{link}" if value.type == "image" else link
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, indent=2, default=_plain, check_circular=False)
    if isinstance(value, list):
        if value and all(isinstance(item, File) for item in value):
            return "\n".join(to_markdown(item) for item in value)
        return "\n".join(f"- {item if isinstance(item, str) else _plain(item)}" for item in value)
    return to_text(value)


def brief(value: Any, length: int = 80) -> str:
    """A value as a message shows it: the beginning of a long text."""
    text = value if isinstance(value, str) else to_text(value)
    return text if len(text) <= length else f"{text[:length]}…"


def _plain(value: Any) -> Any:
    """A value without `File` objects, for the standard library's writers."""
    if isinstance(value, File):
        return value.as_dict()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
