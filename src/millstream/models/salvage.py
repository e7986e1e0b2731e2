"""Finding the JSON in what a model wrote, and mending it.

Models put JSON into fences, after an explanation, inside a tool call that nobody asked for; they
write Python's literals, forget a bracket, leave a comma too many. Nothing here knows a schema:
values come out in the order in which they deserve to be believed, and `structured` takes the
first one that is right. The text is a stranger's: work is bounded and nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_UNCLOSED = 6  # brackets without an end that are followed up: each costs a pass over the text
_DEPTH = 100  # of nested values that are mended


class Candidate(NamedTuple):
    """A value that the text may mean. mended: it was no JSON as it stood. cut: the text ended
    in the middle of it."""

    value: Any
    mended: bool = False
    cut: bool = False


def candidates(text: str) -> Iterator[Candidate]:
    """Values in a text that is not wholly JSON: first what is JSON as it stands, then what can
    be mended, each from the longest to the shortest."""
    regions = sorted(_regions(text), key=lambda region: region[0] - region[1])
    for start, end, closed in regions:
        if closed:
            try:
                yield Candidate(decode(text[start:end]))
            except ValueError:
                pass
    for start, end, _ in regions:
        mender = _Mender(text[start:end])
        try:
            value = mender.value()
        except (ValueError, IndexError):
            continue
        yield Candidate(value, mended=True, cut=mender.cut)


def decode(text: str) -> Any:
    """The value of a text that is JSON; ValueError if it isn't."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from None


def unwrapped(value: Any, depth: int = 4) -> Iterator[Any]:
    """A value, and then what it may only be the wrapping of: a tool call, a list of one, an
    object with one key, JSON in a string, the `properties` of an imitated schema."""
    yield value
    if depth == 0:
        return
    inner: list[Any] = []
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            inner.append(decode(value))
        except ValueError:
            pass
    elif isinstance(value, list) and len(value) == 1:
        inner = value
    elif isinstance(value, dict):
        inner = [value[name] for name in _WRAPPERS if name in value]
        if len(value) == 1:
            inner += value.values()
    for item in inner:
        yield from unwrapped(item, depth - 1)


_WRAPPERS = ("arguments", "parameters", "function", "tool_calls", "input", "properties")


# ------------------------------------------------------------------------------------ finding

_SIGNS = re.compile(r'["{}\[\]\\]')


def _regions(text: str) -> list[tuple[int, int, bool]]:
    """Outermost bracketed parts: start, end, and whether the bracket was closed. Brackets inside
    double-quoted strings don't count."""
    found = []
    start, unclosed = 0, 0
    while (begin := _first_bracket(text, start)) >= 0:
        end = _closing(text, begin)
        found.append((begin, end or len(text), end is not None))
        if end is not None:
            start = end
            continue
        # It may be a bracket of the prose, and the JSON be behind it.
        unclosed += 1
        if unclosed == _UNCLOSED:
            break
        start = begin + 1
    return found


def _first_bracket(text: str, start: int) -> int:
    places = [place for sign in "{[" if (place := text.find(sign, start)) >= 0]
    return min(places, default=-1)


def _closing(text: str, start: int) -> int | None:
    """Where the bracket at `start` is closed, as the end of a slice."""
    depth, quoted, escaped = 0, False, -1
    for match in _SIGNS.finditer(text, start):
        place = match.start()
        if place == escaped:
            continue
        match text[place]:
            case '"':
                quoted = not quoted
            case "\\":
                escaped = place + 1 if quoted else -1
            case "{" | "[" if not quoted:
                depth += 1
            case "}" | "]" if not quoted:
                depth -= 1
                if depth == 0:
                    return place + 1
    return None


# ------------------------------------------------------------------------------------- mending

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_WORDS = {
    "true": True, "True": True, "false": False, "False": False,
    "null": None, "None": None, "undefined": None, "NaN": None,
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BLANK = re.compile(r"(\s|//[^\n]*|/\*.*?(\*/|\Z)|#[^\n]*)+", re.S)
_BARE = re.compile(r"[^,:{}\[\]\n\"']*")
_KEY_NEXT = re.compile(r"""\s*\n\s*["'][^"'\n]*["']\s*:""")


class _Mender:
    """Reads one value from text that is nearly JSON. ValueError where it is not even that.

    Mended: comments, commas too many or too few, single, typographic or missing quotes, Python's
    literals, raw line breaks and unescaped quotes in strings, brackets missing at the end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.cut = False
        self.depth = 0

    def value(self) -> Any:
        sign = self._next()
        if sign in "{[":
            self.depth += 1
            if self.depth > _DEPTH:
                raise ValueError("nested too deeply")
            self.at += 1
            value: Any = self._object() if sign == "{" else self._array()
            self.depth -= 1
            return value
        if sign in _QUOTES:
            return self._string(",}]")
        return self._bare()

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (sign := self._next(",")) and sign not in "}]":
            key = str(self._string(":") if sign in _QUOTES else self._word())
            if self._next() != ":":
                if self.at >= len(self.text):
                    break  # a key that the end has left without a value
                raise ValueError("a key without a value")
            self.at += 1
            if not self._next():
                break
            found[key] = self.value()
        self._close()
        return found

    def _array(self) -> list[Any]:
        found: list[Any] = []
        while (sign := self._next(",")) and sign not in "}]":
            before = self.at
            found.append(self.value())
            if self.at == before:
                raise ValueError("not a list")
        self._close()
        return found

    def _close(self) -> None:
        if self.at >= len(self.text):
            self.cut = True
        self.at += 1

    def _next(self, skipped: str = "") -> str:
        """The next sign that is neither blank nor a comment; "" at the end."""
        while self.at < len(self.text):
            if blank := _BLANK.match(self.text, self.at):
                self.at = blank.end()
            elif self.text[self.at] in skipped:
                self.at += 1
            else:
                return self.text[self.at]
        return ""

    def _string(self, followers: str) -> str:
        """A quoted text. A quote ends it only if what comes next may follow a string."""
        text, close = self.text, _QUOTES[self.text[self.at]]
        self.at += 1
        out = []
        while self.at < len(text):
            sign = text[self.at]
            self.at += 1
            if sign == "\\" and self.at < len(text):
                out.append(self._escape())
            elif sign == close and self._may_end(followers):
                return "".join(out)
            else:
                out.append(sign)
        self.cut = True
        return "".join(out)

    def _escape(self) -> str:
        sign = self.text[self.at]
        self.at += 1
        if sign == "u" and re.fullmatch("[0-9a-fA-F]{4}", self.text[self.at : self.at + 4]):
            self.at += 4
            return chr(int(self.text[self.at - 4 : self.at], 16))
        return _ESCAPES.get(sign) or (sign if sign in "\"'\\/`" else "\\" + sign)

    def _may_end(self, followers: str) -> bool:
        blank = _BLANK.match(self.text, self.at)
        place = blank.end() if blank else self.at
        if place >= len(self.text) or self.text[place] in followers:
            return True
        return _KEY_NEXT.match(self.text, self.at) is not None

    def _word(self) -> str:
        found = _BARE.match(self.text, self.at)
        word = found.group().strip() if found else ""
        if not word:
            raise ValueError(f"unexpected {self.text[self.at : self.at + 1]!r}")
        self.at += len(found.group()) if found else 0
        return word

    def _bare(self) -> Any:
        """A number, a literal of JSON, Python or JavaScript, or a text without quotes."""
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        for kind in (int, float):
            try:
                return kind(word)
            except ValueError:
                pass
        return word
