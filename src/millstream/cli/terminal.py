"""Where words go out and come in: streams, colours, widths, tables, questions.

Results go to standard output, everything else to standard error. What comes from files, models
and tools is hostile: `clean` takes out what would steer a terminal before a person sees it, while
a pipe gets the data as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Self, TextIO

from millstream.base import MillstreamError, Place, say
from millstream.home.names import provider_name

_LONGEST = 4000  # characters of a message that are shown
_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36}

# Control characters but tab and line feed; in labels also those that turn the direction of text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_PLAIN_SIGNS = str.maketrans(
    {
        "✓": "+",
        "≈": "~",
        "✗": "x",
        "■": "#",
        "▸": ">",
        "↻": "@",
        "→": ">",
        "·": "-",
        "…": ".",
    }
)


class Terminal:
    """The two streams of a command and what they can show.

    color: None decides by the environment (NO_COLOR, TERM=dumb, FORCE_COLOR) and by whether a
    person is there. quiet: no progress.
    """

    def __init__(self, *, color: bool | None = None, quiet: bool = False) -> None:
        self.quiet = quiet
        self._color = color
        self._status = ""
        self.ending = False  # whoever started this wants it to end
        self.wrote = False  # something, on standard output
        self.teller: Callable[[str], None] = self.err
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:  # half a character pair in a text is no reason to fail
                reconfigure(errors="backslashreplace")

    # ------------------------------------------------------------------------------ what is there

    @cached_property
    def out_is_tty(self) -> bool:
        return _is_tty(sys.stdout)

    @cached_property
    def err_is_tty(self) -> bool:
        return _is_tty(sys.stderr)

    @cached_property
    def draws(self) -> bool:
        """Whether a line of the terminal can be written over."""
        return self.err_is_tty and not _dumb()

    @cached_property
    def person(self) -> bool:
        """Whether somebody can be asked."""
        return _is_tty(sys.stdin) and self.err_is_tty

    @cached_property
    def width(self) -> int:
        return shutil.get_terminal_size((100, 24)).columns

    def colored(self, stream: TextIO) -> bool:
        if self._color is not None:
            return self._color
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return _is_tty(stream) and not _dumb()

    # ------------------------------------------------------------------------------------ writing

    def out(self, text: str = "", end: str = "\n") -> None:
        """A line of our own on standard output."""
        self.wrote = True
        sys.stdout.write(fit_signs(text, sys.stdout) + end)

    def write(self, text: str) -> None:
        """Data, sent at once: as it is into a pipe or a file, harmless to a terminal."""
        self.wrote = True
        sys.stdout.write(clean(text) if self.out_is_tty else text)
        sys.stdout.flush()

    def err(self, text: str = "") -> None:
        """A line for the person, beside the result."""
        stream = sys.stderr
        stream.write(fit_signs(text, stream) + "\n")
        stream.flush()

    def tell(self, text: str) -> None:
        """A line for the person while something else may be drawing."""
        self.teller(text)

    def status(self, text: str) -> None:
        """What is going on, in a line that the next one overwrites; "" takes it away."""
        if self.draws and (text or self._status):
            self._status = text
            sys.stderr.write("\r\x1b[K" + fit_signs(shorten(text, self.width - 1), sys.stderr))
            sys.stderr.flush()

    def paint(self, text: str, *styles: str, stream: TextIO | None = None) -> str:
        """The text in colours, where the stream (standard error by default) has any."""
        if not styles or not text or not self.colored(stream or sys.stderr):
            return text
        codes = ";".join(str(_CODES[style]) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def paint_out(self, text: str, *styles: str) -> str:
        return self.paint(text, *styles, stream=sys.stdout)

    def table(self, rows: Sequence[Sequence[str]], *styles: Sequence[str]) -> Iterator[str]:
        """The lines of a table for standard output. Cells are cleaned; a last column that is too
        wide for a person's terminal is wrapped. styles: of each column, the first row excepted,
        which is the head."""
        rows = [[label(cell) for cell in row] for row in rows]
        columns = max(map(len, rows), default=0)
        widths = [max(width(row[i]) for row in rows if i < len(row)) for i in range(columns)]
        left = sum(widths[:-1]) + 2 * (columns - 1)
        room = max(24, self.width - left - 1) if self.out_is_tty else 1_000_000
        for number, row in enumerate(rows):
            cells = []
            for i, cell in enumerate(row[:-1]):
                style = ("bold",) if number == 0 else tuple(styles[i]) if i < len(styles) else ()
                cells.append(self.paint_out(cell, *style) + " " * (widths[i] - width(cell)))
            last = list(wrap(row[-1], room)) or [""]
            style = ("bold",) if number == 0 else ()
            yield "  ".join([*cells, self.paint_out(last[0], *style)]).rstrip()
            for more in last[1:]:
                yield " " * left + more

    def error(self, error: MillstreamError) -> None:
        """An error for a person: what, where, what next."""
        self.trouble(error.message, error.place, error.next_step)

    def trouble(
        self,
        message: str,
        place: Place | None = None,
        next_step: str = "",
        *,
        warning: bool = False,
    ) -> None:
        word = say("cli.warning") if warning else say("cli.error")
        color = "yellow" if warning else "red"
        self.err(f"{self.paint(word, color, 'bold')} {_turned(clean(_readable(message)))}")
        if place and (where := str(place)):
            self.err(self.paint(f"  {say('cli.at', place=label(where))}", "dim"))
        if next_step:
            for i, line in enumerate(_turned(clean(next_step)).splitlines()):
                self.err(f"  {'→' if i == 0 else ' '} {line}")

    # ------------------------------------------------------------------------------------- asking

    def ask(self, prompt: str = "> ") -> str:
        """A line that a person types. Raises EOFError when they end the input, KeyboardInterrupt
        for Ctrl-C, also where an event loop has other plans for it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if self.out_is_tty:
                with suppress(ImportError):
                    import readline  # noqa: F401 - arrow keys and history for `input`
                return input(prompt)
            sys.stderr.write(prompt)
            sys.stderr.flush()
            return input()
        finally:
            signal.signal(signal.SIGINT, before)

    def ask_text(self) -> str:
        """Lines up to an empty one or the end of input. Empty lines in the middle of something
        that is being pasted belong to it."""
        lines: list[str] = []
        while True:
            try:
                line = self.ask()
            except EOFError:
                if not lines:
                    raise
                break
            if not line and not _more_is_coming():
                if lines:
                    break
                continue
            lines.append(line)
        return "\n".join(lines).rstrip("\n")

    def choose(self, question: str, choices: Sequence[str]) -> int:
        """The index of the choice that a person makes, by its number, its words or a beginning
        that no other has; just Enter takes the first. Raises EOFError."""
        self.err(question)
        for number, choice in enumerate(choices, 1):
            self.err(f"  {self.paint(str(number), 'cyan')}  {clean(choice)}")
        while True:
            answer = self.ask(f"{say('cli.which', count=len(choices))} ").strip()
            if not answer:
                return 0
            if answer in choices:
                return choices.index(answer)
            if answer.isdecimal() and 1 <= int(answer) <= len(choices):
                return int(answer) - 1
            begun = [i for i, c in enumerate(choices) if c.lower().startswith(answer.lower())]
            if len(begun) == 1:
                return begun[0]
            self.err(say("cli.not-a-choice", answer=label(answer), count=len(choices)))


class StatusLine:
    """What is going on, in a line of a person's terminal that the next one overwrites; silent
    where nobody watches. Leaving the context takes the line away."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.drawn = terminal.draws and not terminal.quiet
        self._shown = 0.0

    def say(self, text: str) -> None:
        """Show it now."""
        if self.drawn:
            self._shown = time.monotonic()
            self.terminal.status(text)

    def often(self, text: Callable[[], str]) -> None:
        """Show what changes all the time: ten times a second at most."""
        if self.drawn and time.monotonic() - self._shown >= 0.1:
            self.say(text())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.say("")


def percent(done: int, total: int) -> str:
    """How much of something is done, for the end of a line; "" for nothing that is known."""
    return f" {min(100, 100 * done // total)} %" if total else ""


def clean(text: str) -> str:
    """Text of unknown origin as a terminal may show it, line by line."""
    return _CONTROL.sub("\ufffd", text.replace("\r", ""))


def _turned(text: str) -> str:
    """Words of ours around somebody else's: these shall not turn the direction of ours."""
    return _TURNING.sub("", text)


def _readable(message: str) -> str:
    """A message as long as a person may read: somebody's code may raise a whole document. Results
    in JSON have more of it."""
    if len(message) <= _LONGEST:
        return message
    begin, end = message[: _LONGEST * 3 // 4], message[-_LONGEST // 4 :]
    more = say("cli.left-out", count=f"{len(message) - _LONGEST:,}")
    return f"{begin}\n{more}\n{end}"


def label(text: str) -> str:
    """A title or name of unknown origin, in one line."""
    return _turned(clean(" ".join(text.split())))


def named(text: str) -> str:
    """What a file names, as bindings know it: `openai/gpt-4o` for
    `langgenius/openai/openai/gpt-4o`."""
    parts = text.split("/", 3)
    if len(parts) < 4:
        return text
    provider = "/".join(parts[:3])
    return f"{provider_name(provider)}/{parts[3]}"


def width(text: str) -> int:
    """The columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    columns = 0
    for char in text:
        if unicodedata.combining(char) or char in "\u200b\u200d\ufe0e\ufe0f":
            continue
        columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return columns


def shorten(text: str, room: int) -> str:
    """The text in at most `room` columns, with a sign where something is left out."""
    if width(text) <= room:
        return text
    kept, columns = [], 1
    for char in text:
        columns += width(char)
        if columns > room:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def wrap(text: str, room: int) -> Iterator[str]:
    """The text in lines of at most `room` columns, broken at spaces and between wide characters."""
    line, columns = "", 0
    for word in _words(text):
        size = width(word)
        if columns + size > room and line.strip():
            yield line.rstrip()
            line, columns = "", 0
            word = word.lstrip()
            size = width(word)
        line += word
        columns += size
    if line.strip():
        yield line.rstrip()


def _words(text: str) -> Iterable[str]:
    """Pieces between which a line may break; closing punctuation stays with what it closes."""
    wide = "\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef"
    closing = "，。、；：？！）】》」』”’"
    return re.findall(
        rf"\s*(?:[{wide}][{closing}]*|[^\s{wide}]+[{closing}]*)|\s+$", " ".join(text.split())
    )


def _dumb() -> bool:
    """Whether the terminal, by what TERM says, shows text and nothing else."""
    return os.environ.get("TERM", "" if os.name == "posix" else "windows") in ("", "dumb")


def _is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def fit_signs(text: str, stream: TextIO) -> str:
    """The text with our signs in ASCII where the stream has no others."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    if encoding.startswith("utf") or text.isascii():
        return text
    return text.translate(_PLAIN_SIGNS)


def _more_is_coming() -> bool:
    """Whether input waits already, as in the middle of a paste."""
    import select

    try:
        return bool(select.select([sys.stdin], [], [], 0.05)[0])
    except (OSError, ValueError):
        return False
