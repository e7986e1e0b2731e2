"""`millstream run`: an app file, its inputs, a run that can be watched, its outputs.

The file is looked at first, then what it needs on this machine, then the inputs; only then is
anybody asked for what is missing. Ctrl-C stops the run and shows what there is; a second one ends
the program at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import msgspec

from millstream.base import BadInput, MillstreamError, NotHere, next_step, say
from millstream.cli import watch
from millstream.cli.given import STDIN, Given
from millstream.cli.here import limits, load, machine, warn
from millstream.cli.parser import Parser, binding_options
from millstream.cli.terminal import Terminal, clean, label
from millstream.engine.events import RunFinished, encode
from millstream.engine.limits import PROFILES
from millstream.engine.ports import Usage
from millstream.runtime import App, Result
from millstream.runtime.app import CHAT_MODES

INTERRUPTED = 130
TEXT, JSON, EVENTS = "text", "json", "events"


def arguments(parser: Parser) -> None:
    parser.arg("file", metavar="FILE", help="file")
    parser.arg("inputs", metavar="name=value", nargs="*", default=[], help="inputs")
    parser.arg("--input", metavar="FILE.json", help="input")
    parser.arg("--query", metavar="TEXT", help="query")
    binding_options(parser)
    parser.arg("--yes", "-y", action="store_true", help="cli.bindings.yes")
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")
    parser.arg("--limits", choices=tuple(PROFILES), help="limits")
    parser.arg("--output", "-o", metavar="NAME", help="output")
    form = parser.choices.add_mutually_exclusive_group()
    for name in (JSON, EVENTS):
        help = say(f"cli.run.{name}")
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=help)
    parser.arg("--no-stream", action="store_true", help="no-stream")
    parser.set_defaults(more="inputs", form=TEXT)


def refusal(error: MillstreamError, form: str) -> Result | RunFinished:
    """What ends before it begins, in the form of what would have come."""
    if form == JSON:
        return Result(status="failed", error=error.as_dict())
    return RunFinished(1, "failed", {}, 0.0, 0, Usage(), error=error.as_dict())


def run(args: Namespace, terminal: Terminal) -> int:
    app = load(args, terminal)
    app.limits = limits(args)
    app.sound()
    _promised(app, args.output)
    for problem in () if terminal.quiet else app.problems:
        terminal.trouble(problem.message, problem.place, problem.next_step, warning=True)
    if args.query is not None and app.mode not in CHAT_MODES:
        raise BadInput("cli.query-of-workflow", mode=app.mode)
    given = Given(app, query=args.query)
    if args.input:
        given.json_file(args.input)
    given.words(args.inputs)
    with asyncio.Runner() as runner:
        try:
            runner.run(_prepare(app, args, terminal))
            given.complete(terminal, stdin=STDIN not in (args.file, args.input))
            result, said = runner.run(_watch(app, given, args, terminal))
        finally:
            runner.run(app.aclose())
    return _show(result, said, args, terminal)


def _promised(app: App, wanted: str | None) -> None:
    """That an app has an output is said before it runs. Raises BadInput."""
    known = watch.outputs(app)
    if wanted and wanted not in known:
        raise BadInput("cli.no-output", name=wanted, known=", ".join(known) or "-")


async def _prepare(app: App, args: Namespace, terminal: Terminal) -> None:
    """See to all that the app needs; where a local model is wanted and none is here, offer one."""
    here = machine(args, terminal)
    app.use(here)
    try:
        await app.prepare()
    except NotHere:
        if not args.local:
            raise
        from millstream.cli.fetch import offer

        if not await offer(args, here, terminal):
            raise
        await app.prepare()
    finally:
        warn(here, terminal)


async def _watch(app: App, given: Given, args: Namespace, terminal: Terminal) -> tuple[Result, str]:
    """Run and show; the result, that of an interrupted run too, and the text that has been
    streamed to standard output."""
    result = Result()
    view = _view(app, args, terminal)
    try:
        with _interruptible(app, terminal):
            async for event in app.stream(given.inputs, query=given.query):
                result.take(event)
                view.take(event)
    finally:
        view.close()
    return result, view.said


def _view(app: App, args: Namespace, terminal: Terminal) -> watch.Watch:
    if args.form == EVENTS:
        return watch.EventLines(app, terminal)
    if terminal.quiet:
        return watch.QuietWatch(app, terminal)
    kind = watch.LiveWatch if terminal.draws else watch.Watch
    return kind(app, terminal, stream=args.form == TEXT and not args.no_stream)


@contextmanager
def _interruptible(app: App, terminal: Terminal) -> Iterator[None]:
    """Ctrl-C, or SIGTERM from whoever started this, stops the run; a second one ends the program
    without waiting for anything."""
    loop = asyncio.get_running_loop()
    pressed = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            if terminal.draws:
                os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the cursor may be hidden
            os._exit(INTERRUPTED)
        pressed = True
        loop.call_soon_threadsafe(app.stop)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --------------------------------------------------------------------------------- what came of it


def _show(result: Result, said: str, args: Namespace, terminal: Terminal) -> int:
    code = INTERRUPTED if result.status == "stopped" else 0 if result.ok else 1
    if args.form == EVENTS:
        return code
    if args.form == JSON:
        terminal.write(encode(result).decode() + "\n")
    elif not result.ok:
        _remains(result, said, terminal)
    if result.error:
        watch.error_of(terminal, result.error)
    if args.form == JSON:
        return code
    if result.ok:
        _outputs(result.outputs, said, args.output, terminal)
        _about_the_model(result, terminal)
    return code


def _outputs(outputs: dict[str, Any], said: str, wanted: str | None, terminal: Terminal) -> None:
    """The outputs on standard output: the text alone if there is one, else each under its name.
    What has been streamed is not said twice."""
    if wanted:
        if wanted not in outputs:  # its end node was not reached
            _remaining(outputs, terminal)
            known = ", ".join(outputs) or "-"
            raise BadInput("cli.no-output", name=wanted, known=known)
        outputs = {wanted: outputs[wanted]}
    shown = {name: value for name, value in outputs.items() if name != "files" or value}
    if not shown:
        terminal.err(terminal.paint(say("cli.no-outputs"), "dim"))
    elif len(shown) == 1:
        text = _text(next(iter(shown.values())))
        if not said or said != text:
            terminal.write(text if text.endswith("\n") else text + "\n")
    else:
        for number, (name, value) in enumerate(shown.items()):
            text = _text(value)
            long = "\n" in text
            if long and number:
                terminal.out()
            terminal.out(f"{terminal.paint_out(label(name), 'bold')}:", end="\n" if long else " ")
            terminal.write(text if text.endswith("\n") else text + "\n")


def _remaining(outputs: dict[str, Any], terminal: Terminal) -> None:
    """Outputs that nobody asked for, beside the error that says so: they were paid for."""
    for name, value in outputs.items():
        terminal.err(f"{terminal.paint(label(name), 'bold')}: {clean(_text(value))}")


def _about_the_model(result: Result, terminal: Terminal) -> None:
    """What a text of the packaged model is worth."""
    used = " ".join(item["used"] for item in result.substitutes)
    if "embedded/" in used and not terminal.quiet:
        from millstream.cli.fetch import OFFERED, suited
        from millstream.models import packaged

        if packaged.NAME in used:
            better = [*suited(), OFFERED[-1]][0]
            values = {"model": packaged.NAME, "better": better}
            terminal.err(terminal.paint(say("cli.run.packaged", **values), "yellow"))
            terminal.err(f"  → {next_step('cli.run.packaged', **values)}")


def _remains(result: Result, said: str, terminal: Terminal) -> None:
    """What a run that did not come to its end leaves: the texts of models that nothing has shown
    yet, those of nodes that had finished too."""
    titles = {node.id: node.title for node in result.nodes}
    for node in result.nodes:
        text = node.outputs.get("text")
        whole = node.status not in ("stopped", "failed")
        if isinstance(text, str) and text and text != said and (node.usage or not whole):
            watch.text_of(terminal, watch.path(node.name, titles), text, whole=whole)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(encode(value), indent=2).decode()
