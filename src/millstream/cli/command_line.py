"""One command line from its words to its exit code.

Whatever goes wrong ends here: as a message with its place and the next step on standard error,
and as an exit code. No traceback reaches a person who did not ask for it (MILLSTREAM_DEBUG=1).
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from millstream.base import BadInput, Failed, MillstreamError, redact, say, set_language
from millstream.cli.parser import COMMANDS, Parser, build, command, unknown_option
from millstream.cli.terminal import Terminal

OK = 0
INTERRUPTED = 130
LIST = "list"
READER_GONE = 141  # as a shell reports a process that SIGPIPE ended


def main(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code. See docs/cli.md for the codes."""
    _open_what_is_closed()
    terminal = Terminal(color=_wanted_color(argv))
    debug = _debugging()
    try:
        set_language(_wanted_language(argv))
        args = _parse(argv)
        if args is None:
            return OK
        terminal.quiet = getattr(args, "quiet", False)
        with _ended_like_interrupted(terminal):
            code = command(args.command).run(args, terminal)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        terminal.err(f"\n{say('cli.interrupted')}")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return READER_GONE
    except MillstreamError as error:
        if debug:
            _show_traceback(error)
        return _refused(error, argv, terminal)
    except Exception as fault:
        if debug:
            _show_traceback(fault)
        if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
            terminal.error(Failed("cli.disk-full", where=fault.filename or say("cli.stdout")))
            _forget_output()
            return Failed.exit_code
        problem = redact(f"{type(fault).__name__}: {fault}")
        return _refused(Failed("base.unexpected", problem=problem), argv, terminal)
    finally:
        set_language(None)


def _refused(error: MillstreamError, argv: Sequence[str], terminal: Terminal) -> int:
    """Say an error, and also as JSON to whoever asked for JSON and has got nothing else."""
    terminal.error(error)
    words = list(argv[: argv.index("--")] if "--" in argv else argv)
    form = next((word[2:] for word in words if word in ("--json", "--events")), "")
    if form and not terminal.wrote:
        from millstream.engine.events import encode

        name = next((word for word in words if word in COMMANDS), "")
        refusal = getattr(command(name), "refusal", None) if name else None
        told = refusal(error, form) if refusal else {"error": error.as_dict()}
        with suppress(BrokenPipeError):
            terminal.write(encode(told).decode() + "\n")
    return error.exit_code


@contextmanager
def _ended_like_interrupted(terminal: Terminal) -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, so that nothing is left behind; where Ctrl-C is ignored (a
    script's job in the background), it ends the process as ever."""

    def end(number: int, frame: FrameType | None) -> None:
        terminal.ending = True
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # to the event loop that listens for it

    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open_what_is_closed() -> None:
    """Standard streams that whoever started this has closed lead nowhere. In their order, so that
    each gets the number that is its own, and no other file does."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _parse(argv: Sequence[str]) -> Namespace | None:
    """The arguments of a command; None where help was all that was asked for."""
    parser = build()
    if not argv:
        print(parser.format_help(), end="")
        return None
    try:
        args: Namespace
        args, rest = parser.parse_known_args(list(argv))
    except SystemExit:  # argparse has printed the help or the version
        return None
    chosen = _chosen(parser, args)
    if rest and LIST in chosen.inner and getattr(args, "action", "") is None:
        at = list(argv).index(args.command) + 1  # an option of the list, whose name may be left out
        return _parse([*argv[:at], LIST, *argv[at:]])
    for word in rest:
        if word.startswith("-") and word != "-":
            raise unknown_option(chosen, word)
    if rest:  # argparse takes words of a list up to the first option only
        more = getattr(args, "more", None)
        if more is None:
            raise BadInput("cli.too-many", program=chosen.prog, given=rest[0])
        getattr(args, more).extend(rest)
    if args.command is None:
        raise BadInput("cli.no-command-given", program=parser.prog)
    args.home = getattr(args, "home", None)
    return args


def _chosen(parser: Parser, args: Namespace) -> Parser:
    for dest in ("command", "action"):
        name = getattr(args, dest, None)
        if name is not None and name in parser.inner:
            parser = parser.inner[name]
    return parser


def _wanted_language(argv: Sequence[str]) -> str | None:
    """The language of `--lang`, which the help that is about to be built needs to know."""
    for i, word in enumerate(argv):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and i + 1 < len(argv):
            return argv[i + 1]
    return None


def _wanted_color(argv: Sequence[str]) -> bool | None:
    if "--no-color" in argv:
        return False
    return True if "--color" in argv else None


def _forget_output() -> None:
    """What is still in the buffer goes nowhere, so that closing does not fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debugging() -> bool:
    """Whether somebody wants to see where faults are; those inside of a run are logged."""
    if not os.environ.get("MILLSTREAM_DEBUG"):
        return False
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                _show_traceback(record.exc_info[1])

    log = logging.getLogger("millstream")
    log.setLevel(logging.DEBUG)
    log.handlers[:] = [Handler()]
    return True


def _show_traceback(fault: BaseException) -> None:
    import traceback

    sys.stderr.write(redact("".join(traceback.format_exception(fault))))
