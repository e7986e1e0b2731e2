"""Telling a model's reasoning from its answer, where both come in one text.

Models that think aloud put it between `<think>` and `</think>`, wherever they like; some chat
templates open the tag in the prompt, so that only the closing one is seen. Servers that deliver
reasoning in a field of its own need nothing of this. Whether a node shows reasoning inside its
text again (`reasoning_format: tagged`) is the node's business.

Rules: tags count in any case. Blank space around a piece of reasoning belongs to nobody; pieces
are joined by a line break. A tag that is never closed makes all that follows it reasoning. A
closing tag that was never opened makes all text before it reasoning.
"""

from __future__ import annotations

import re
from typing import Literal

_TAG = re.compile(r"</?think>", re.I)
_TAGS = ("<think>", "</think>")

# Where the next character stands: at the very start of the answer, inside reasoning, after
# reasoning (blank space is dropped), or in plain text.
_State = Literal["start", "inside", "after", "text"]


class Splitter:
    """Splits one answer that comes in pieces; any way of cutting it gives the same result.

    misjudged: a lone closing tag has shown that text which was passed on before was reasoning;
    `text` is what the answer really is.
    """

    __slots__ = ("_blank", "_held", "_new", "_reasoned", "_state", "_text", "misjudged")

    def __init__(self) -> None:
        self.misjudged = False
        self._state: _State = "start"
        self._held = ""  # what may be the beginning of a tag
        self._blank = ""  # blank space of which the next character decides
        self._new = False  # no reasoning has come since the opening tag
        self._reasoned = False
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The answer's text, as far as it is known."""
        return "".join(self._text)

    def feed(self, piece: str) -> list[tuple[str, str]] | None:
        """Pairs of text and reasoning to pass on; None: the piece is text as it stands."""
        if self._state == "text" and not self._held and "<" not in piece:
            self._text.append(piece)
            return None
        out: list[tuple[str, str]] = []
        rest = self._held + piece
        while tag := _TAG.search(rest):
            self._take(out, rest[: tag.start()])
            self._meet(out, tag.group())
            rest = rest[tag.end() :]
        start = rest.rfind("<")
        if start >= 0 and any(name.startswith(rest[start:].lower()) for name in _TAGS):
            self._held = rest[start:]
            rest = rest[:start]
        else:
            self._held = ""
        self._take(out, rest)
        return out

    def close(self) -> list[tuple[str, str]]:
        """What was held back, at the end of the answer."""
        out: list[tuple[str, str]] = []
        self._take(out, self._held)
        self._held = ""
        if self._state == "start" and self._blank:
            self._say(out, self._blank)
        return out

    def _take(self, out: list[tuple[str, str]], piece: str) -> None:
        if not piece:
            return
        match self._state:
            case "text":
                self._say(out, piece)
            case "inside":
                piece = self._blank + piece
                bare = piece.rstrip()
                self._blank = piece[len(bare) :]
                if self._new:
                    bare = bare.lstrip()
                self._think(out, bare)
            case "after":
                if piece := piece.lstrip():
                    self._say(out, piece)
            case "start":
                self._blank += piece
                if not self._blank.isspace():
                    self._say(out, self._blank)

    def _meet(self, out: list[tuple[str, str]], tag: str) -> None:
        closing = tag[1] == "/"
        if self._state == "inside" and not closing:
            self._take(out, tag)  # it only talks about the tag
        elif not closing:
            self._state, self._blank, self._new = "inside", "", True
        else:
            if self._state != "inside" and self._text:
                thought = self.text.strip()
                self._text.clear()
                self.misjudged = self._new = True
                self._think(out, thought)
            self._state, self._blank = "after", ""

    def _say(self, out: list[tuple[str, str]], text: str) -> None:
        self._state, self._blank = "text", ""
        self._text.append(text)
        out.append((text, ""))

    def _think(self, out: list[tuple[str, str]], thought: str) -> None:
        if not thought:
            return
        if self._new and self._reasoned:
            thought = "\n" + thought
        self._new, self._reasoned = False, True
        out.append(("", thought))
