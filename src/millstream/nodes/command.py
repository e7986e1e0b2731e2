"""Command: runs a command line in a working directory. An experiment of the format's newest
versions; both fields are texts with variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import TextTemplate


class CommandData(NodeData, kw_only=True):
    working_directory: str | None = None
    command: str | None = None


class Command(Later[CommandData]):
    type = "command"
    Data: ClassVar[DataClass] = CommandData

    def reads(self) -> Iterable[Reading]:
        for field in ("working_directory", "command"):
            for selector in TextTemplate(getattr(self.data, field) or "").selectors:
                yield Reading(selector, field)
