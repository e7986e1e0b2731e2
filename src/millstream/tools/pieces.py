"""Cutting a long text where it hurts least, so that the pieces joined are the text again."""

from __future__ import annotations

import re

# From the best place to cut to the worst; a cut is made after the match.
_PLACES = (
    re.compile(r"\n[^\S\n]*\n\s*"),  # between paragraphs
    re.compile(r"\n\s*"),  # between lines
    re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？；…]+[”’」』）]*\s*"),  # between sentences
    re.compile(r"[,;:]\s+|[，、：]\s*"),
    re.compile(r"\s+"),
)


def split(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` characters, none empty, that join to the text unchanged.

    Each piece ends at the best place in its second half: a paragraph's end, a line's, a
    sentence's, a clause's, a word's; a text without any of these is cut at the limit.
    """
    pieces = []
    start = 0
    while len(text) - start > limit:
        end = start + _cut(text[start : start + limit])
        pieces.append(text[start:end])
        start = end
    if start < len(text):
        pieces.append(text[start:])
    return pieces


def _cut(window: str) -> int:
    for place in _PLACES:
        ends = [match.end() for match in place.finditer(window, len(window) // 2)]
        if ends:
            return ends[-1]
    return len(window)


def margins(text: str) -> tuple[str, str, str]:
    """White space before, the text itself, white space after: services and models eat the edges."""
    body = text.strip()
    if not body:
        return text, "", ""
    start = text.index(body)
    return text[:start], body, text[start + len(body) :]
