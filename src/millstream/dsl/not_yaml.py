"""What is wrong with a text that is not YAML: a parser's complaint in plain words.

libyaml says what it met; a person needs to know where to look and what was probably meant. The
likely cause follows from the complaint and from the text at its place.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from millstream.base import BadInput, Place

# A file of people is some 20 levels deep. Writing, comparing and converting recurse over data.
MAX_DEPTH = 100
_CONTROL = re.compile(  # what YAML 1.1 does not allow in a text
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)
_WEB_PAGE = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_BAD_BEGINNINGS = ("start any token", "alphabetic or numeric", "comment or line break")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)


def explain(error: Exception, text: str) -> BadInput:
    """The error of a YAML parser on a text, as one that a person can read."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return _control_character(text)
    if _WEB_PAGE.match(text):
        return BadInput("dsl.web-page")
    if conflict := _CONFLICT.search(text):
        return _at(text.count("\n", 0, conflict.start()), "conflict")
    problem, context = error.problem or "", error.context or ""
    mark: Any = error.problem_mark or error.context_mark
    opened: Any = error.context_mark or mark
    line = mark.line if mark else 0
    lines = text.split("\n")
    here = lines[line] if line < len(lines) else ""
    column = min(mark.column, len(here)) if mark else 0

    if "tab character" in problem or (
        "start any token" in problem and here[column:].startswith("\t")
    ):
        return _at(line, "yaml-tab")
    if "nesting depth" in problem:
        return _at(line, "too-deep", limit=MAX_DEPTH)
    if "tag" in problem + context:
        return _at(line, "yaml-character", character="!")
    if any(words in problem for words in _BAD_BEGINNINGS):
        return _at(line, "yaml-character", character=_first_character(here, column))
    if "mapping values are not allowed" in problem:
        return _at(line, "yaml-colon")
    if "could not find expected ':'" in problem:
        # The parser notices when it meets the next line, or the end.
        cut = not "".join(lines[opened.line + 1 :]).strip()
        return _at(opened.line, "yaml-cut-off" if cut else "yaml-no-colon")
    if "unexpected end of stream" in problem:
        return _at(opened.line, "yaml-quote")
    if "escape" in problem:
        return _at(line, "yaml-escape")
    if "flow" in context:
        if not here[column:].strip() and not "".join(lines[line + 1 :]).strip():
            # The end of the file, where the parser does not always know what was opened.
            return _at(text.rstrip().count("\n"), "yaml-cut-off")
        return _at(line, "yaml-bracket", opened=opened.line + 1)
    if here[:column].strip():
        return _at(line, "yaml-goes-on")
    if "expected key" in problem or "'-' indicator" in problem:
        return _at(line, "yaml-layout", began=opened.line + 1)
    return _at(line, "not-yaml", problem=problem or str(error))


def _at(line: int, key: str, **values: Any) -> BadInput:
    return BadInput(f"dsl.{key}", place=Place(line=line + 1), **values)


def _control_character(text: str) -> BadInput:
    found = _CONTROL.search(text)
    if not found:
        return BadInput("dsl.control", name="?")
    return _at(text.count("\n", 0, found.start()), "control", name=f"U+{ord(found[0]):04X}")


def _first_character(line: str, column: int) -> str:
    """The character that cannot begin a value; the mark may stand just behind it."""
    if column and line[column - 1] in "*&|>":
        return line[column - 1]
    return line[column : column + 1]
