"""This machine, as the options of a command line choose it: data directory, app, limits."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream import dsl
from millstream.base import BadInput, Failed, say
from millstream.cli.given import STDIN
from millstream.cli.terminal import Terminal, clean, label
from millstream.engine import Limits
from millstream.engine.limits import profile
from millstream.runtime import App, Choice

if TYPE_CHECKING:
    from millstream.runtime.machine import Machine


def choice(args: Namespace) -> Choice:
    """What stands in for what a file names, by the options."""
    model = getattr(args, "model", None)
    return Choice(model, args.local, dict(args.bind), dict(args.bind_tool))


def read(file: str, terminal: Terminal) -> dsl.App:
    """The app in a file; "-" is standard input. Raises BadInput."""
    from millstream.nodes import REGISTRY

    with _progress(terminal, say("cli.reading", file=label(file))) as progress:
        if file == STDIN:
            text = sys.stdin.buffer.read()
            return dsl.read_text(text, say("cli.stdin"), REGISTRY, progress=progress)
        return dsl.read_file(file, REGISTRY, progress=progress)


def load(args: Namespace, terminal: Terminal) -> App:
    """The app of FILE, with what the options say stands in for what it names."""
    return App(read(args.file, terminal), choice=choice(args), home=args.home)


def warn(here: Machine, terminal: Terminal) -> None:
    """Say once what settings and bindings hold that has no effect: a misspelt name, say."""
    told, here.warnings = here.warnings, []
    for unheeded in () if terminal.quiet else told:
        terminal.trouble(unheeded.message, unheeded.place, unheeded.next_step, warning=True)


def same(one: Path, other: Path) -> bool:
    """Whether two names mean one file that is there."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def save(path: Path, text: str) -> None:
    """Write a result where a person wants it (`files.put`); "-" is standard output. Raises
    BadInput."""
    from millstream.home import files

    if str(path) == STDIN:
        sys.stdout.write(text)
        return
    try:
        files.put(path, text.encode())
    except Failed as error:
        raise BadInput("cli.cannot-write", path=str(path), reason=files.reason(error)) from None


Progress = Callable[[int, int], None]


@contextmanager
def _progress(terminal: Terminal, what: str) -> Iterator[Progress]:
    """A line about bytes done and bytes in all, on a terminal, while something takes long."""
    began = shown = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - began > 0.5 and now - shown > 0.1:
            shown = now
            percent = 100 * done // max(1, total)
            terminal.status(f"{what} {percent} % ({size(done)} / {size(total)})")

    try:
        yield progress if terminal.draws and not terminal.quiet else _nothing
    finally:
        terminal.status("")


def _nothing(done: int, total: int) -> None:
    pass


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def limits(args: Namespace) -> Limits | None:
    """The limits of a run: the profile of --limits alone, else (None) what the settings say."""
    return profile(args.limits) if args.limits else None


def machine(args: Namespace, terminal: Terminal) -> Machine:
    """This machine; what there is to say while something is waited for goes to the terminal.
    Needs a running event loop."""
    from millstream.runtime.machine import Machine

    def notice(key: str, values: Mapping[str, Any]) -> None:
        if not terminal.quiet:
            terminal.tell(terminal.paint(clean(say(key, **values)), "dim"))

    offline = True if getattr(args, "offline", False) else None
    return Machine(args.home, offline=offline, notice=notice)
