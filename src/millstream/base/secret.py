"""Keys and passwords that do not show, and the last net for texts that come from elsewhere.

A `Secret` prints as dots, cannot be pickled or serialised, and is opened with `reveal` where a
request is built, nowhere else. A server's own error text may still repeat a key that it was sent:
`redact` takes every secret that this process knows out of a text before anybody sees it.
"""

from __future__ import annotations

import re
from typing import NoReturn

HIDDEN = "•••"

_known: set[str] = set()
_USER_INFO = re.compile(r"(?<=://)([^/@\s]*):([^/@\s]*)@")


class Secret:
    """A key that prints as dots. Equal to another one with the same value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        # A short word would black out innocent text; no provider's key is that short.
        if len(value) >= 8:
            _known.add(value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


def redact(text: str) -> str:
    """The text with every secret of this process, and passwords in URLs, replaced by dots."""
    for value in _known:
        if value in text:
            text = text.replace(value, HIDDEN)
    return hide_password(text)


def hide_password(text: str) -> str:
    """The text with `user:password@` of every URL in it replaced by dots."""
    return _USER_INFO.sub(f"{HIDDEN}@", text) if "://" in text else text
