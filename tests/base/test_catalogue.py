"""The message catalogue is whole: both languages, the same parameters, every key used and known.

The code is searched for keys: literals given to `say`, `next_step`, an error or a problem must be
in the catalogue, and every entry must be named somewhere, in full or by the beginning of an
f-string.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

import millstream
from millstream.base.messages import Text, entry, say

SOURCE = Path(millstream.__file__).parent
CATALOGUE = SOURCE / "base" / "catalogue"
ROOMS = sorted(path.stem for path in CATALOGUE.glob("*.py") if path.stem != "__init__")
KEY = re.compile(rf"({'|'.join(ROOMS)})\.[a-z0-9][a-z0-9._:-]*", re.I)

# Calls whose first argument is a key; a Problem's and an Item's are further on.
ERRORS = {"BadInput", "NotHere", "Failed", "MillstreamError"}
SPEAKERS = {"say", "next_step", "Notice", *ERRORS}
SPEAKERS_LATER = {"Problem": 1, "Item": 2}


COMMAND = re.compile(
    r"\s*(#|millstream|pass|sudo|ollama|systemctl|timedatectl|[A-Z_]+=)\b|#|\{open"
)


def messages(room: str) -> dict[str, Text]:
    found: dict[str, Text] = import_module(f"millstream.base.catalogue.{room}").MESSAGES
    return found


ENTRIES = {f"{room}.{name}": text for room in ROOMS for name, text in messages(room).items()}


def parameters(text: str) -> set[str]:
    """The names in braces; raises ValueError for braces that do not fit together."""
    return {name.split(".")[0].split("[")[0] for _, name, _, _ in Formatter().parse(text) if name}


@cache
def modules() -> list[tuple[Path, ast.Module]]:
    return [
        (path, ast.parse(path.read_text()))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent != CATALOGUE
    ]


def literals(node: ast.expr) -> Iterator[str]:
    """The texts that an argument can be: itself, or either side of a choice."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from literals(body)
            yield from literals(other)


def said() -> Iterator[tuple[str, str]]:
    """Every key that the code hands to something that speaks, and where."""
    for path, tree in modules():
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", "")  # a method of that name says something else
            at = 0 if name in SPEAKERS else SPEAKERS_LATER.get(name)
            if at is not None and len(call.args) > at:
                for text in literals(call.args[at]):
                    yield text, f"{path.relative_to(SOURCE)}:{call.lineno}"


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_says_the_same_in_both_languages(key: str) -> None:
    text = ENTRIES[key]
    assert text.en
    assert text.zh
    assert parameters(text.en) == parameters(text.zh)
    assert bool(text.next_en) == bool(text.next_zh)
    assert parameters(text.next_en) == parameters(text.next_zh)


@pytest.mark.parametrize("key", ENTRIES)
def test_chinese_is_chinese(key: str) -> None:
    """A sentence must not have been copied over; a command may be."""
    text = ENTRIES[key]
    for english, chinese in ((text.en, text.zh), (text.next_en, text.next_zh)):
        if english == chinese:
            sentences = [line for line in english.splitlines() if not COMMAND.match(line)]
            words = re.sub(r"\{[^}]*\}|`[^`]*`|https?://\S+", "", "\n".join(sentences))
            assert not re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", words), english


def test_every_key_that_the_code_names_is_there() -> None:
    unknown = []
    for key, where in said():
        if not KEY.fullmatch(key):
            unknown.append(f"{where}: {key!r} names no room of the catalogue")
            continue
        try:
            entry(key)
        except KeyError:
            unknown.append(f"{where}: {key!r}")
    assert not unknown, "\n".join(unknown)


def test_every_entry_is_used() -> None:
    named: set[str] = set()
    beginnings: set[str] = set()
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                first = node.values[0]
                if isinstance(first, ast.Constant) and KEY.match(str(first.value) + "x"):
                    beginnings.add(str(first.value))
    beginnings -= {"cli."}  # of the parser; its keys are in `help_keys`
    named |= help_keys()
    unused = [key for key in ENTRIES if key not in named and not key.startswith(tuple(beginnings))]
    assert not unused, "\n".join(unused)


def help_keys() -> set[str]:
    """The keys that the help of all commands asks for."""
    from millstream.cli import parser

    asked: set[str] = set()

    def listen(key: str, /, **values: object) -> str:
        asked.add(key)
        return say(key, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "say", listen)
        for command in parser.walk(parser.build()):
            _ = command.examples
    return asked


def test_parameters_that_are_missing_stay_visible() -> None:
    assert say("base.line") == "line {line}"
