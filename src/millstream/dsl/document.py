"""Reading a YAML or JSON document: text in; plain data, line numbers and repeated keys out.

libyaml's parser delivers events, one loop builds the data from them, without recursion. What a
plain scalar means is asked of PyYAML's safe loader once for each distinct text, so the data is
what `yaml.safe_load` gives, in half of its time. While the data is built, the line of every
entry is kept in a mapping beside it. What the data means is the business of `read`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import msgspec
import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from millstream.base import BadInput, Place
from millstream.dsl.not_yaml import MAX_DEPTH, explain

try:
    from yaml._yaml import CParser as _Parser
except ImportError:  # PyYAML built without libyaml: the same events, ten times slower
    _Parser = yaml.SafeLoader  # type: ignore[misc, assignment]

Progress = Callable[[int, int], None]

# Entries that aliases may add to those which the file spells out; a bomb has billions.
MAX_ALIASED = 1_000_000
# A longer number stays a text: `1:1:1:…`, to base 60, would take quadratic time.
_MAX_NUMBER = 1000  # characters
_PROGRESS_EVERY = 4096  # events

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_TAG = "tag:yaml.org,2002:"


class Repeat(NamedTuple):
    """A key that a mapping has twice; the later one counts."""

    key: str
    first: int
    line: int


class Lines:
    """The lines of a document's parts, found by walking its data; see `dsl.app.Lines`.

    A mapping entry is at the line of its key, a list item at the line where it starts.
    """

    def __init__(self, data: Any, marks: dict[int, Any], root: int = 1) -> None:
        self._data = data
        self._marks = marks  # id of a container in `data` -> key or index -> line from 0
        self._root = root

    def line(self, *path: str | int) -> int | None:
        found = self._root
        value = self._data
        for part in path:
            try:
                found = self._marks[id(value)][part] + 1
                value = value[part]
            except (KeyError, IndexError, TypeError):
                break
        return found


class Document(NamedTuple):
    data: Any
    lines: Lines
    repeats: list[Repeat]


def parse(
    source: str | bytes, file: str | None = None, *, progress: Progress | None = None
) -> Document:
    """Read one document. progress: called now and then with bytes done and bytes in all.

    Raises BadInput for whatever is not one YAML or JSON document of sane depth and size.
    """
    size = len(source)
    text = decode(source, file) if isinstance(source, bytes) else source.removeprefix("\ufeff")
    if not text.strip():
        raise BadInput("dsl.empty", place=Place(file=file))
    is_json = _is_json(text)
    if is_json:
        text = _SURROGATES.sub(_join_surrogates, text)
    try:
        return _build(text, file, size, progress, is_json)
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise explain(error, text).at(Place(file=file)) from None


def decode(data: bytes, file: str | None = None) -> str:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark."""
    mark = next((mark for mark in _BYTE_ORDER_MARKS if data.startswith(mark)), b"")
    encoding = _BYTE_ORDER_MARKS.get(mark, "utf-8")
    data = data.removeprefix(mark)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and b"\0" in data:
            raise BadInput("dsl.binary", place=Place(file=file)) from None
        line = data.count("\n".encode(encoding), 0, error.start) + 1
        raise BadInput(
            "dsl.encoding", place=Place(file=file, line=line), encoding=encoding.upper()
        ) from None


# --------------------------------------------------------------------------------- the loop


class _Merge:
    """Stands for a `<<` key until its mapping is complete."""


def _build(
    text: str, file: str | None, size: int, progress: Progress | None, is_json: bool
) -> Document:
    """The loop over the events. It is long because every call in it would show in the figures."""
    next_event: Callable[[], Any] = _Parser(text).get_event
    next_event()  # the start of the stream
    if type(next_event()) is yaml.StreamEndEvent:
        raise BadInput("dsl.empty", place=Place(file=file))
    meanings: dict[str, Any] = {}  # what a plain scalar means, by its text
    marks: dict[int, Any] = {}
    repeats: list[Repeat] = []
    anchors: dict[str, list[Any]] = {}  # name -> [value, entries in it; None while it is open]
    open_anchors: dict[int, tuple[list[Any], int]] = {}  # id -> (that list, count at its start)
    merging: set[int] = set()
    stack: list[tuple[Any, bool, Any]] = []
    current: Any = None  # the container that is being filled, and the lines of its entries
    lines: Any = None
    in_list = False
    key: Any = None
    has_key = False
    key_line = 0
    root_line = 1
    root: Any = None
    count = aliased = until_progress = 0

    while True:
        event = next_event()
        kind = type(event)
        count += 1
        if progress is not None:
            until_progress -= 1
            if until_progress < 0:
                until_progress = _PROGRESS_EVERY
                progress(event.start_mark.index * size // len(text), size)

        if kind is ScalarEvent:
            value = event.value
            plain = event.implicit[0]
            if plain:
                try:
                    value = meanings[value]
                except KeyError:
                    value = meanings[value] = _meaning(value, is_json)
            elif event.tag is not None and event.tag != "!":
                value = _tagged(event, file)
            if event.anchor is not None:
                anchors[event.anchor] = [value, 1]
            if in_list:
                current.append(value)
                lines.append(event.start_mark.line)
                continue
            if has_key:
                current[key] = value
                has_key = False
                continue
            if current is None:
                root = value
                root_line = event.start_mark.line + 1
                continue
            key = value
            key_line = event.start_mark.line
            if key in current:
                repeats.append(Repeat(str(key), lines[key] + 1, key_line + 1))
            elif key == "<<" and plain:
                key = _Merge()
                merging.add(id(current))
            lines[key] = key_line
            has_key = True

        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            is_list = kind is SequenceStartEvent
            new: Any = [] if is_list else {}
            if event.tag is not None and event.tag not in (
                ("!", _TAG + "seq") if is_list else ("!", _TAG + "map")
            ):
                _refuse("dsl.tag", file, event, tag=event.tag.removeprefix(_TAG))
            if in_list:
                current.append(new)
                lines.append(event.start_mark.line)
            elif has_key:
                current[key] = new
                has_key = False
            elif current is None:
                root = new
                root_line = event.start_mark.line + 1
            else:
                _refuse("dsl.container-key", file, event)
            if event.anchor is not None:
                anchors[event.anchor] = [new, None]
                open_anchors[id(new)] = (anchors[event.anchor], count)
            stack.append((current, in_list, lines))
            if len(stack) > MAX_DEPTH:
                _refuse("dsl.too-deep", file, event, limit=MAX_DEPTH)
            current, in_list = new, is_list
            lines = marks[id(new)] = [] if is_list else {}

        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            if merging and id(current) in merging:
                _merge(current, lines, marks, file)
            if open_anchors and id(current) in open_anchors:
                anchor, start = open_anchors.pop(id(current))
                anchor[1] = count - start
            current, in_list, lines = stack.pop()

        elif kind is AliasEvent:
            value, entries = anchors.get(event.anchor) or _refuse(
                "dsl.no-anchor", file, event, name=event.anchor
            )
            if entries is None:
                _refuse("dsl.alias-loop", file, event, name=event.anchor)
            count += entries
            aliased += entries
            if aliased > MAX_ALIASED:
                _refuse("dsl.alias-bomb", file, event, limit=MAX_ALIASED)
            if in_list:
                current.append(value)
                lines.append(event.start_mark.line)
            elif has_key:
                current[key] = value
                has_key = False
            elif isinstance(value, dict | list):
                _refuse("dsl.container-key", file, event)
            else:
                key, key_line, has_key = value, event.start_mark.line, True
                lines[key] = key_line

        else:  # the end of the document
            break

    if type(event := next_event()) is not yaml.StreamEndEvent:
        _refuse("dsl.documents", file, event)
    if progress is not None:
        progress(size, size)
    return Document(root, Lines(root, marks, root_line), repeats)


def _merge(mapping: dict[Any, Any], lines: dict[Any, int], marks: Any, file: str | None) -> None:
    """Carry out `<<` keys: what a mapping says itself counts more, then the first of a list."""
    own = {key: value for key, value in mapping.items() if not isinstance(key, _Merge)}
    merged: dict[Any, Any] = {}
    merged_lines: dict[Any, int] = {}
    for key, value in mapping.items():
        if isinstance(key, _Merge):
            for other in reversed(value) if isinstance(value, list) else [value]:
                if not isinstance(other, dict):
                    raise BadInput("dsl.merge", place=Place(file=file, line=lines[key] + 1))
                merged.update(other)
                merged_lines.update(marks[id(other)])
    own_lines = {key: lines[key] for key in own}
    for target, parts in ((mapping, (merged, own)), (lines, (merged_lines, own_lines))):
        target.clear()
        for part in parts:
            target.update(part)


# ------------------------------------------------------------------------------ scalars

_SCALAR_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "binary")
_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers


def _meaning(text: str, is_json: bool) -> Any:
    """The value of a plain scalar."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return _construct(tag, text)
    # JSON has `1e5`, which YAML 1.1 takes for a text.
    return float(text) if is_json else text


def _construct(tag: str, text: str, mark: Any = None) -> Any:
    """The value of a scalar with a tag; a text that looks like a number or date but is none
    (`2024-13-45`, `0b_`) stays a text."""
    if tag in (_TAG + "merge", _TAG + "value") or (
        len(text) > _MAX_NUMBER and tag in (_TAG + "int", _TAG + "float")
    ):
        return text
    try:
        node = yaml.ScalarNode(tag, text, mark)
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, LookupError, AttributeError, OverflowError):
        return text


def _tagged(event: Any, file: str | None) -> Any:
    """The value of a scalar with a tag of its own, such as `!!str 5`."""
    if event.tag.removeprefix(_TAG) not in _SCALAR_TAGS:
        _refuse("dsl.tag", file, event, tag=event.tag.removeprefix(_TAG))
    return _construct(event.tag, event.value, event.start_mark)


# -------------------------------------------------------------------------------- JSON


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def _join_surrogates(match: re.Match[str]) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML does not know."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


# ------------------------------------------------------------------------------ refusals


def _refuse(key: str, file: str | None, event: Any, **values: Any) -> NoReturn:
    raise BadInput(key, place=Place(file=file, line=event.start_mark.line + 1), **values)
