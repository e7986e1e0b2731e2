"""The variable pool of a run, and selectors that read it.

The pool maps a first selector part (a node id, `sys`, `env`, `conversation`, `rag`) to the
outputs kept under it. Values are shared, never copied: whoever has a value must not change it.
A child of a container works on a `fork`, which sees everything of the parent and hides what it
writes from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from millstream.values.file import MARK, MARK_VALUE, File

SYSTEM: Final = ("sys", "env", "conversation", "rag")


class _Missing:
    """What a selector finds when there is nothing; unlike None, which is a value."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

Variables = dict[str, dict[str, Any]]


class Pool:
    """All variables that a frame of a run can see."""

    __slots__ = ("vars",)

    def __init__(self, variables: Variables | None = None) -> None:
        self.vars: Variables = variables if variables is not None else {}

    def put(self, owner: str, outputs: dict[str, Any]) -> None:
        """Replace what is kept under a first selector part."""
        self.vars[owner] = outputs

    def set(self, owner: str, name: str, value: Any) -> None:
        """Change one variable; other frames that share the old mapping do not see it."""
        self.vars[owner] = {**self.vars.get(owner, {}), name: value}

    def get(self, selector: Sequence[str]) -> Any:
        """The value at a selector, or MISSING."""
        return Selector.of(selector).read(self)

    def fork(self) -> Pool:
        """A pool that starts as this one and goes its own way."""
        return Pool(self.vars.copy())


class Selector(msgspec.Struct, frozen=True):
    """A path to a value: owner, name and further keys into an object or a file.

    A selector shorter than two parts finds nothing. A name with a dot in it (`sys.query` under
    the start node) is a name like any other.
    """

    owner: str
    name: str
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Any] | Selector | None) -> Selector:
        """The selector of a DSL list; an absent or too short one finds nothing."""
        if isinstance(parts, Selector):
            return parts
        words = [str(part) for part in parts or ()]
        if len(words) < 2:
            return cls(words[0] if words else "", "")
        return cls(words[0], words[1], tuple(words[2:]))

    def read(self, pool: Pool) -> Any:
        """The value in a pool, or MISSING."""
        outputs = pool.vars.get(self.owner)
        if outputs is None:
            return MISSING
        value = outputs.get(self.name, MISSING)
        if not self.keys:
            return value
        if value is MISSING:  # ["node", "a", "b"] may also name the output "a.b"
            return outputs.get(".".join((self.name, *self.keys)), MISSING)
        return descend(value, self.keys)

    @property
    def given(self) -> bool:
        """Whether the file names anything at all."""
        return bool(self.owner and self.name)

    @property
    def parts(self) -> list[str]:
        return [self.owner, self.name, *self.keys] if self.name else [self.owner]

    def __str__(self) -> str:
        return ".".join(self.parts)


def descend(value: Any, keys: Iterable[str]) -> Any:
    """Follow keys into objects and files; MISSING where a key is not there."""
    for key in keys:
        if isinstance(value, File):
            value = value.attribute(key)
            if value is None:
                return MISSING
        elif isinstance(value, Mapping):
            if key not in value:
                return MISSING
            value = value[key]
            if isinstance(value, dict) and value.get(MARK) == MARK_VALUE:
                value = File.from_dict(value)
        else:
            return MISSING
    return value
