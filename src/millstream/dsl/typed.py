"""From a node's raw data to its data class, as tolerantly as files in the wild need.

msgspec does it in one step for what exporters write. Where it refuses, the data is walked along
the class: a number where a text is wanted becomes text, an unquoted `true` the text "true", an
empty text or null where something else is wanted gives way to the default. What cannot be meant
is reported, field by field. The raw data itself is never changed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")
Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """A field that does not fit. wanted, given: words for the kinds; never the value itself."""

    path: Path
    wanted: str
    given: str


def convert(raw: Any, type: type[T]) -> tuple[T | None, list[Fault]]:
    """Data of a class; None and at least one fault where it cannot be."""
    try:
        return msgspec.convert(raw, type, strict=False), []
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    faults: list[Fault] = []
    loose = _loosen(raw, _info(type), (), faults)
    if not faults:
        try:
            return msgspec.convert(loose, type, strict=False), []
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            faults.append(Fault((), str(error), kind(raw)))
    return None, faults


def kind(value: Any) -> str:
    """A word for what a value is, in the format's terms."""
    if value is None:
        return "null"
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return type(value).__name__


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (list, "list"),
    (dict, "mapping"),
    (datetime.date, "date"),
    (bytes, "binary data"),
)

_SCALARS: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (float, int),
}
_WORDS: dict[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.ListType: "list",
    inspect.DictType: "mapping",
    inspect.StructType: "mapping",
    inspect.NoneType: "null",
}
_DEFAULT = object()  # a value that gives way to the default of its field


_info: Callable[[Any], inspect.Type] = cache(inspect.type_info)


def _loosen(value: Any, info: inspect.Type, path: Path, faults: list[Fault]) -> Any:
    """The value as `info` wants it, or _DEFAULT, or whatever after noting a fault."""
    if isinstance(info, inspect.UnionType):
        return _loosen_union(value, info, path, faults)
    if isinstance(info, inspect.AnyType):
        return value
    if value is None or value == "":
        if isinstance(info, inspect.StrType) and value == "":
            return value
        if not isinstance(info, inspect.LiteralType) or value not in info.values:
            return _DEFAULT
    if isinstance(info, inspect.StructType):
        if value == []:
            value = {}
        if isinstance(value, dict):
            return _loosen_fields(value, info, path, faults)
    elif isinstance(info, inspect.ListType):
        if value == {}:
            return []
        if isinstance(value, list):
            return _loosen_items(value, info.item_type, path, faults)
    elif isinstance(info, inspect.DictType):
        if value == []:
            return {}
        if isinstance(value, dict):
            return {
                str(key): _or_none(_loosen(item, info.value_type, (*path, key), faults))
                for key, item in value.items()
            }
    elif isinstance(info, inspect.LiteralType):
        if value in info.values:
            return value
        if isinstance(value, str) and value.strip().lower() in info.values:
            return value.strip().lower()
    elif isinstance(info, inspect.StrType):
        if (text := _text(value)) is not None:
            return text
    else:
        try:
            return msgspec.convert(value, _SCALARS[type(info)][0], strict=False)
        except (KeyError, ValueError):
            pass
    faults.append(Fault(path, _word(info), kind(value)))
    return value


def _loosen_union(value: Any, info: inspect.UnionType, path: Path, faults: list[Fault]) -> Any:
    types = [option for option in info.types if not isinstance(option, inspect.NoneType)]
    nullable = len(types) < len(info.types)
    if value is None:
        return None if nullable else _DEFAULT
    for option in types:
        if _suits(value, option):
            chosen = option
            break
    else:
        if value == "" and nullable:
            return None
        chosen = types[0]
        if len(types) > 1 and isinstance(value, dict | list):
            faults.append(Fault(path, _word(info), kind(value)))
            return value
    loose = _loosen(value, chosen, path, faults)
    return None if loose is _DEFAULT and nullable else loose


def _loosen_fields(
    value: dict[Any, Any], info: inspect.StructType, path: Path, faults: list[Fault]
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field in info.fields:
        name = field.encode_name
        given = value.get(name)
        loose = _loosen(given, field.type, (*path, name), faults) if name in value else _DEFAULT
        if loose is not _DEFAULT:
            out[name] = loose
        elif field.required:
            faults.append(Fault((*path, name), _word(field.type), kind(given)))
    return out


def _loosen_items(
    value: list[Any], info: inspect.Type, path: Path, faults: list[Fault]
) -> list[Any]:
    if isinstance(info, inspect.StrType) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # a selector in one list too many
    out = []
    for i, item in enumerate(value):
        loose = _loosen(item, info, (*path, i), faults)
        if loose is _DEFAULT:
            faults.append(Fault((*path, i), _word(info), kind(item)))
        out.append(loose)
    return out


def _suits(value: Any, info: inspect.Type) -> bool:
    """Whether a value is of the kind that a type wants, without any conversion."""
    if isinstance(info, inspect.StructType | inspect.DictType):
        return isinstance(value, dict)
    if isinstance(info, inspect.ListType):
        return isinstance(value, list)
    if isinstance(info, inspect.LiteralType):
        return value in info.values
    return isinstance(info, inspect.AnyType) or type(value) in _SCALARS.get(type(info), ())


def _text(value: Any) -> str | None:
    """A scalar that was meant as text but written without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | datetime.date):
        return str(value)
    return None


def _or_none(value: Any) -> Any:
    return None if value is _DEFAULT else value


def _word(info: inspect.Type) -> str:
    if isinstance(info, inspect.UnionType):
        words = [_word(option) for option in info.types if not isinstance(option, inspect.NoneType)]
        return " / ".join(dict.fromkeys(words))
    if isinstance(info, inspect.LiteralType):
        return " / ".join(map(repr, info.values))
    return _WORDS.get(type(info), "value")
