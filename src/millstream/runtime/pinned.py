"""A machine on which every model of an app is one file: for comparing files on the same app.

Whatever an app names is that model, in this process's own runtime, with one call at a time: calls
that run at once share batches, and the last digits of their sums then depend on one another. With
`fixed` an answer takes the likeliest word each time, and nothing is kept of earlier prompts, so
that the same file gives the same answers in the same time in every order of runs. The model is what
was asked for, no substitute; tools have theirs as elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from millstream.engine.ports import ModelRef
from millstream.models.resolver import Resolution, Resolver
from millstream.models.target import Target
from millstream.runtime.choice import Choice
from millstream.runtime.machine import Machine, Notice

_FIXED: Mapping[str, Any] = {"temperature": 0, "seed": 0, "cache_prompt": False}


class PinnedMachine(Machine):
    """path: the model's file. fixed: no chance in its answers; otherwise the app's own settings
    hold. label: what the model is called, by its file by default.

    asked: how often the model was asked for."""

    def __init__(
        self,
        path: Path,
        home: str | Path | None = None,
        *,
        fixed: bool = True,
        label: str = "",
        offline: bool | None = None,
        notice: Notice | None = None,
    ) -> None:
        super().__init__(home, offline=offline, notice=notice)
        self.path = path
        self.fixed = fixed
        self.label = label or f"embedded/{path.stem}"
        self.asked = 0

    def resolver(self, choice: Choice, app_file: str | None = None) -> Resolver:
        return _OneFile(self, self._bindings(choice, app_file))

    async def open(self) -> Target:
        """The model, loaded; what a call of it asks for."""
        self.asked += 1
        target = await self.embedded.target(self.path, slots=1)
        if not self.fixed:
            return target
        extra = {**target.quirks.extra, **_FIXED}
        return msgspec.structs.replace(
            target, quirks=msgspec.structs.replace(target.quirks, extra=extra)
        )


class _OneFile(Resolver):
    """Every model is the machine's file."""

    def __init__(self, machine: PinnedMachine, bindings: Any) -> None:
        super().__init__(
            machine.home, bindings, survey=machine.survey, embedded=lambda model: machine
        )
        self._machine = machine

    async def resolve(self, ref: ModelRef) -> Resolution:
        return Resolution(ref, self._machine, self._machine.label)
