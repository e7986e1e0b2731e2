"""TOML files that people write: read with the line of every key, changed with comments kept.

Settings, credentials and bindings are such files. Read by the standard library; tomlkit, which
keeps comments and order, is only imported to change one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from millstream.base import BadInput, Place, next_step, say

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.|$)""")


class Notice(msgspec.Struct, frozen=True):
    """Something odd in a file that stops nothing: a catalogue key, its parameters, its place."""

    code: str
    place: Place
    values: dict[str, Any] = {}

    @property
    def message(self) -> str:
        return say(self.code, **self.values)

    @property
    def next_step(self) -> str:
        return next_step(self.code, **self.values)


class Table(msgspec.Struct):
    """A TOML file: its data, and its text to find lines in."""

    path: Path
    data: dict[str, Any] = {}
    text: str = ""

    def place(self, *keys: str | int) -> Place:
        """Where a key is; for one that can't be found, its table."""
        return Place(file=str(self.path), line=self.line(*keys))

    def line(self, *keys: str | int) -> int | None:
        """The line (from 1) of a key, or of the nearest table around it. A line inside of a text
        of several lines that looks like a key may deceive it; only messages depend on it."""
        best: tuple[int, int] | None = None
        table: list[str | int] = []
        seen: dict[str, int] = {}
        for number, text in enumerate(self.text.splitlines(), 1):
            text = text.strip()
            if text.startswith("["):
                name = text.partition("]")[0].lstrip("[").strip()
                table = list(_parts(name))
                if text.startswith("[["):
                    seen[name] = seen.get(name, -1) + 1
                    table.append(seen[name])
                here = table
            elif "=" in text:
                here = [*table, *_parts(text.partition("=")[0])]
            else:
                continue
            depth = len(here)
            if tuple(here) == keys[:depth] and (best is None or depth > best[0]):
                best = depth, number
        return best[1] if best else None


def read(path: Path) -> Table:
    """Read a TOML file; an absent one is empty.

    Raises BadInput: not readable, not UTF-8, not TOML (with the line). No content of the file
    is in the error.
    """
    try:
        text = path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return Table(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("home.cannot-read", path=str(path), reason=reason) from None
    except UnicodeDecodeError:
        raise BadInput("home.not-utf-8", place=Place(file=str(path))) from None
    return parse(path, text)


def parse(path: Path, text: str) -> Table:
    """The table of a text that came from a path; raises BadInput as `read`."""
    import tomllib

    text = text.removeprefix("\ufeff")
    try:
        return Table(path, tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        # "… (at line 3, column 5)" or "… (at end of document)"
        problem, _, where = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = int(found[1]) if found else len(text.rstrip().splitlines())
        place = Place(file=str(path), line=line)
        raise BadInput("home.not-toml", place=place, problem=problem or where) from None
    except RecursionError:
        place = Place(file=str(path))
        raise BadInput("home.not-toml", place=place, problem="nested too deep") from None


def changed(table: Table, change: Callable[[TOMLDocument], None]) -> str:
    """The text of a table after a change to its tomlkit document."""
    import tomlkit

    document = tomlkit.parse(table.text)
    change(document)
    return tomlkit.dumps(document)


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, or ""."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words), n=1, cutoff=0.6)), "")


def _parts(dotted: str) -> list[str]:
    parts = []
    for double, single, bare in _PART.findall(dotted):
        parts.append(double.replace('\\"', '"').replace("\\\\", "\\") or single or bare)
    return parts
