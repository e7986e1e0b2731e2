"""The one error family: what went wrong in plain words, where, and what to do next.

An error carries a catalogue key and its parameters, not a finished sentence, so that the same
error reads in English or Chinese wherever it is shown. Its class says how a command ends:
`BadInput` 2, `NotHere` 3, everything else 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from millstream.base.messages import next_step, say


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an error lives. Every part may be absent; lines count from 1."""

    file: str | None = None
    line: int | None = None
    node: str | None = None  # node id
    title: str | None = None  # node title
    field: str | None = None  # a path such as "model.completion_params.temperature"
    item: str | None = None  # of an iteration or loop around the node, such as "sections[2]"

    def over(self, other: Place | None) -> Place:
        """This place, with the parts that it lacks taken from another."""
        if other is None:
            return self
        return Place(
            file=self.file or other.file,
            line=self.line or other.line,
            node=self.node or other.node,
            title=self.title or other.title,
            item=self.item or other.item,
            field=self.field or other.field,
        )

    def __str__(self) -> str:
        parts = []
        if self.file:
            parts.append(f"{self.file}:{self.line}" if self.line else self.file)
        elif self.line:
            parts.append(say("base.line", line=self.line))
        if self.node:
            name = f"{self.title!r} ({self.node})" if self.title else self.node
            parts.append(say("base.node", node=name))
        if self.item:
            parts.append(say("base.item", item=self.item))
        if self.field:
            parts.append(self.field)
        return ", ".join(parts)


class MillstreamError(Exception):
    """An error that a person can read.

    key: catalogue key, such as "dsl.not-yaml"; it is also the error's `code`.
    place: where it happened; rooms further out add the parts that they know (`at`).
    values: parameters of the message. Never a secret.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, /, *, place: Place | None = None, **values: Any) -> None:
        super().__init__(key)
        self.code = key
        self.place = place
        self.values = values

    def at(self, place: Place) -> MillstreamError:
        """The same error; parts of the place that it did not know are filled in."""
        self.place = self.place.over(place) if self.place else place
        return self

    @property
    def message(self) -> str:
        """What went wrong, in the current language."""
        return say(self.code, **self.values)

    @property
    def next_step(self) -> str:
        """What to do about it, in the current language; may be empty."""
        return next_step(self.code, **self.values)

    @property
    def type(self) -> str:
        """The name that an app file's fail branch sees as `error_type`."""
        return str(self.values.get("error_type") or type(self).__name__)

    def __str__(self) -> str:
        where = str(self.place) if self.place else ""
        return f"{where}: {self.message}" if where else self.message

    def as_dict(self) -> dict[str, Any]:
        """The error for machines: code, message, place and next step."""
        out: dict[str, Any] = {"code": self.code, "type": self.type, "message": self.message}
        if self.place:
            out["place"] = msgspec.to_builtins(self.place)
        if step := self.next_step:
            out["next"] = step
        return out


class BadInput(MillstreamError):
    """A file or an input that cannot be used as it is: exit code 2."""

    exit_code = 2


class NotHere(MillstreamError):
    """Something that the app needs and this machine does not have: exit code 3."""

    exit_code = 3


class Failed(MillstreamError):
    """Something that was tried and failed: exit code 1."""
