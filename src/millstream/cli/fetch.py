"""Fetching a model, with a bar and a question; and the offer to do so where a run has none."""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.base import MillstreamError, say
from millstream.cli.here import size
from millstream.cli.terminal import Terminal, label
from millstream.models import packaged, pull, recommended
from millstream.runtime import Choice

if TYPE_CHECKING:
    from millstream.models.pull import Candidate, Found, Progress, Pulled
    from millstream.runtime.machine import Machine

OFFERED = ("qwen3-1.7b", "qwen3-0.6b")  # of a hub: good enough to be of use, soon here
_BAR = 24
_PATIENCE = 5.0  # seconds that a hub has to answer


async def fetch(name: str, here: Machine, terminal: Terminal, *, choose: bool = False) -> Pulled:
    """Pull a model, telling how far it is. choose: a person is asked for the quantization."""
    bar = _Bar(terminal)
    try:
        return await pull.pull(
            name,
            here.home,
            here.http,
            progress=bar.show,
            choose=(lambda found: _choose(found, terminal)) if choose else None,
            confirm=bar.describe,
        )
    finally:
        bar.close()


async def offer(args: Namespace, here: Machine, terminal: Terminal) -> bool:
    """Where this machine has no model at all: ask which to fetch, and fetch it.

    With --yes the first choice is taken; without a person and --yes nothing is fetched. False if
    nothing was fetched."""
    if here.http.offline or not (terminal.person or args.yes) or not await _has_none(here):
        return False
    names = [*await _on_a_hub(here), packaged.NAME]
    if args.yes:
        chosen = names[0]
    else:
        choices = [_in_words(name) for name in names] + [say("cli.fetch.none")]
        number = terminal.choose(say("cli.fetch.which"), choices)
        if number == len(names):
            return False
        chosen = names[number]
    await fetch(chosen, here, terminal)
    return True


async def _has_none(here: Machine) -> bool:
    try:
        await here.resolver(Choice()).default()
    except MillstreamError as error:
        return error.code == "resolver.no-local"
    return False


async def _on_a_hub(here: Machine) -> list[str]:
    """What the hubs have for this machine's memory, if one of them answers, the best first."""

    async def answers(url: str) -> bool:
        try:
            await here.http.fetch("HEAD", url, connect_timeout=_PATIENCE, read_timeout=_PATIENCE)
        except MillstreamError:
            return False
        return True

    urls = pull.hubs_of(here.home, here.http).urls
    return suited() if any(await asyncio.gather(*map(answers, urls))) else []


def suited() -> list[str]:
    """Better models than the packaged one that fit into this machine's memory, the best first."""
    from millstream.models.embedded.memory import available

    free = available()
    known = [model for name in OFFERED if (model := recommended.by_name(name))]
    return [model.name for model in known if free is None or model.memory * 1e9 <= free]


def _in_words(name: str) -> str:
    model = recommended.by_name(name)
    assert model is not None
    key = "cli.fetch.packaged" if name == packaged.NAME else "cli.fetch.recommended"
    much = size(round(model.size * 1e9))
    return say(key, name=name, size=much, licence=model.licence)


def _choose(found: Sequence[Candidate], terminal: Terminal) -> Candidate:
    terminal.status("")
    choices = [
        " · ".join(filter(None, (c.quantization or c.name, size(c.size) if c.size else "")))
        for c in found
    ]
    return found[terminal.choose(say("cli.fetch.which-file"), choices)]


class _Bar:
    """A line that is written over on a terminal, and nothing but the main facts elsewhere."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.drawn = terminal.draws and not terminal.quiet
        self._since = self._shown = time.monotonic()
        self._first = 0

    def describe(self, found: Found) -> bool:
        """Say what is going to be fetched."""
        if not self.terminal.quiet and found.kind != "ollama":  # which tells neither before
            much = size(found.size) if found.size else "?"
            licence = found.licence or say("cli.fetch.no-licence")
            text = say("cli.fetch.found", name=label(found.name), size=much, licence=label(licence))
            self.terminal.status("")
            self.terminal.err(text)
        self._since = time.monotonic()
        return True

    def show(self, progress: Progress) -> None:
        if progress.step == "kept":
            self.terminal.status("")
            retry = f"millstream models pull {progress.source}"
            self.terminal.err(say("cli.fetch.kept", name=label(progress.name), retry=retry))
            return
        now = time.monotonic()
        if not self.drawn or (progress.done and now - self._shown < 0.1):
            return
        self._shown = now
        text = f"{label(progress.name)}  {say(f'cli.fetch.{progress.step}')}"
        if progress.total:
            full = _BAR * progress.done // progress.total
            bar = "━" * full + " " * (_BAR - full)
            text += f"  {bar} {100 * progress.done // progress.total} %"
            text += f"  {size(progress.done)} / {size(progress.total)}"
        elif progress.done:
            text += f"  {size(progress.done)}"
        if progress.step == "fetching":
            self._first = self._first or progress.done
            seconds = now - self._since
            if seconds > 1 and progress.done > self._first:
                text += f"  {size(round((progress.done - self._first) / seconds))}/s"
        self.terminal.status(text)

    def close(self) -> None:
        self.terminal.status("")
