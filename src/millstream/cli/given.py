"""The inputs of a run, from the words of a command line, a JSON file, a pipe or a person.

`name=value` goes before `--input FILE`. `name=@path` is the text in a file, or the file itself
where the app asks for one; `name=@@…` is a text that begins with @. What is still missing comes
from standard input, where exactly one required text is missing and something is piped in, or is
asked for, where a person is at the terminal.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.base import BadInput, Place, say
from millstream.cli.terminal import Terminal, label
from millstream.runtime import App
from millstream.runtime.app import CHAT_MODES, prefilled

if TYPE_CHECKING:
    from millstream.nodes.start import InputVariable
    from millstream.values import File

LINE, TEXT = "text-input", "paragraph"
FILES = ("file", "file-list")
STDIN = "-"


class Given:
    """Inputs and query as they come together."""

    def __init__(self, app: App, *, query: str | None = None) -> None:
        self.app = app
        self.known = {variable.variable: variable for variable in app.variables}
        self.inputs: dict[str, Any] = {}
        self.query = query

    # ---------------------------------------------------------------------- command line and file

    def words(self, words: Sequence[str]) -> None:
        """Take `name=value` words. Raises BadInput."""
        given: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise BadInput("cli.input-form", given=word)
            variable = self.app.variable(name)
            new = self._value(variable, value)
            if variable.type == "file-list" and not isinstance(new, str):
                given[name] = [*given.get(name, []), *new]
            elif name in given:
                raise BadInput("cli.input-twice", name=name)
            else:
                given[name] = new
        self.inputs.update(given)

    def json_file(self, path: str) -> None:
        """Take the inputs in a JSON file ("-": standard input). Raises BadInput."""
        import msgspec

        data = sys.stdin.buffer.read() if path == STDIN else read_bytes(Path(path))
        try:
            found = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
        except ValueError as error:
            raise BadInput(
                "cli.input-not-json", place=Place(file=path), problem=str(error)
            ) from None
        if not isinstance(found, dict):
            raise BadInput("cli.input-not-object", place=Place(file=path))
        for name, value in found.items():
            variable = self.app.variable(name, Place(file=path))
            if variable.type in FILES and isinstance(value, str) and value.startswith("@"):
                value = self._value(variable, value)
            self.inputs[name] = value

    def _value(self, variable: InputVariable, text: str) -> Any:
        if variable.type in FILES:
            if text.startswith("@"):
                found = local_file(text[1:])
            elif text.startswith(("http://", "https://")):
                found = remote_file(text)
            else:
                return text
            return [found] if variable.type == "file-list" else found
        if text.startswith("@@"):
            return text[1:]
        return read_text(Path(text[1:])) if text.startswith("@") else text

    # ------------------------------------------------------------------------ a pipe, or a person

    def missing(self) -> list[InputVariable]:
        """Required variables that nobody has given and that have no default."""
        filled = prefilled(self.known.values())
        return [
            variable
            for name, variable in self.known.items()
            if variable.required and self.inputs.get(name, filled.get(name)) is None
        ]

    @property
    def needs_query(self) -> bool:
        return self.app.mode in CHAT_MODES and self.query is None

    def complete(self, terminal: Terminal, *, stdin: bool = True) -> None:
        """Fill what is missing from standard input or by asking. What then is missing still is
        left to the run to complain of. Raises BadInput, EOFError is the end of the asking.

        stdin: whether standard input may be read; it may have been the app, or the JSON file.
        """
        missing = self.missing()
        if terminal.person and (missing or self.needs_query):
            self._ask(terminal, missing)
        elif stdin and piped():
            texts = [variable for variable in missing if variable.type in (LINE, TEXT)]
            if self.needs_query and not missing:
                self.query = _piped_text() or None
            elif len(missing) == 1 and texts and not self.needs_query and (text := _piped_text()):
                self.inputs[texts[0].variable] = text

    def _ask(self, terminal: Terminal, missing: Sequence[InputVariable]) -> None:
        from millstream.nodes.start import accept

        for variable in missing:
            self._heading(terminal, variable)
            while True:
                try:
                    value = self._answer(terminal, variable)
                    if value in ("", []):
                        raise BadInput("cli.ask-again", name=variable.variable)
                    accept(variable, value)
                except BadInput as error:
                    terminal.error(error)
                except EOFError:
                    terminal.err()
                    return
                else:
                    break
            self.inputs[variable.variable] = value
        if self.needs_query:
            terminal.err(terminal.paint(say("cli.ask-query"), "bold"))
            try:
                self.query = terminal.ask_text()
            except EOFError:
                terminal.err()

    def _heading(self, terminal: Terminal, variable: InputVariable) -> None:
        name = label(variable.variable)
        title = label(variable.label) if isinstance(variable.label, str) else ""
        title = terminal.paint(title or name, "bold")
        hint = say(f"cli.ask-{variable.type}") if variable.type in _HINTS else ""
        inside = " · ".join(part for part in (name, hint) if part)
        terminal.err(f"{title} {terminal.paint(f'({inside})', 'dim')}")
        if variable.description:
            terminal.err(terminal.paint(f"  {label(variable.description)}", "dim"))

    def _answer(self, terminal: Terminal, variable: InputVariable) -> Any:
        if variable.type == "select" and variable.options:
            options = [str(option) for option in variable.options]
            return options[terminal.choose(say("cli.ask-select"), options)]
        if variable.type == TEXT:
            text = terminal.ask_text()
        else:
            text = terminal.ask()
        if variable.type == "file-list":
            return [local_file(path) for path in text.split()]
        if variable.type == "file":
            text = text.strip()
            return remote_file(text) if "://" in text else local_file(text)
        return text


_HINTS = (TEXT, "number", "checkbox", "json_object", "file", "file-list")


def piped() -> bool:
    """Whether standard input is a pipe, a file or a socket, and not a person or nothing."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _piped_text() -> str:
    """All of standard input, without the line end that `echo` puts after its text."""
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        place = Place(file=say("cli.stdin"))
        raise BadInput("cli.not-utf-8", place=place, offset=error.start) from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that a person named; raises BadInput."""
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("cli.cannot-read", path=str(path), reason=reason) from None


def read_text(path: Path) -> str:
    """The text of a UTF-8 file that a person named; raises BadInput."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(file=str(path))
        raise BadInput("cli.not-utf-8", place=place, offset=error.start) from None


def local_file(path: str) -> File:
    """A file of this machine as a value; raises BadInput."""
    import mimetypes

    from millstream.values import File

    place = Path(path).expanduser()
    try:
        size = place.stat().st_size
        with place.open("rb"):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("cli.cannot-read", path=path, reason=reason) from None
    mime = mimetypes.guess_type(place.name)[0] or ""
    return File(
        type=_kind(mime, place.suffix),
        transfer_method="local_file",
        name=place.name,
        url=place.resolve().as_uri(),
        mime_type=mime,
        extension=place.suffix,
        size=size,
    )


def remote_file(url: str) -> File:
    """A file at an address as a value; it is not fetched."""
    import mimetypes
    from urllib.parse import unquote, urlsplit

    from millstream.values import File

    name = unquote(urlsplit(url).path.rpartition("/")[2])
    suffix = Path(name).suffix
    mime = mimetypes.guess_type(name)[0] or ""
    return File(
        type=_kind(mime, suffix),
        transfer_method="remote_url",
        name=name,
        url=url,
        mime_type=mime,
        extension=suffix,
    )


# The extensions that the format counts as documents.
_DOCUMENTS = re.compile(
    r"\.(txt|markdown|mdx?|pdf|html?|xlsx?|vtt|properties|docx?|csv|eml|msg|pptx?|xml|epub)", re.I
)


def _kind(mime: str, suffix: str) -> Any:
    family = mime.partition("/")[0]
    if family in ("image", "audio", "video"):
        return family
    return "document" if _DOCUMENTS.fullmatch(suffix) else "custom"
