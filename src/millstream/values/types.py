"""Value types of the DSL, and which type a Python value has.

The rules are those of the format: a boolean is not a number, an integer and a float are both
`number`, a list's type follows from its elements, and a list of mixed or null elements is
`array[any]`.
"""

from __future__ import annotations

from typing import Any, Literal

from millstream.values.file import MARK, MARK_VALUE, File

ValueType = Literal[
    "string",
    "number",
    "boolean",
    "object",
    "secret",
    "file",
    "array[string]",
    "array[number]",
    "array[boolean]",
    "array[object]",
    "array[file]",
    "array[any]",
    "none",
    "any",
]

_SCALARS: dict[type, ValueType] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "none",
    File: "file",
}


def type_of(value: Any) -> ValueType:
    """The DSL type of a value."""
    found = _SCALARS.get(type(value))
    if found is not None:
        return found
    if isinstance(value, dict):
        return "file" if value.get(MARK) == MARK_VALUE else "object"
    if isinstance(value, list | tuple):
        kinds = dict.fromkeys(type_of(item) for item in value)
        if len(kinds) == 1:
            kind = next(iter(kinds))
            if kind in ("string", "number", "boolean", "object", "file"):
                return f"array[{kind}]"  # type: ignore[return-value]
        return "array[any]"
    return "any"


def fits(value: Any, declared: str | None) -> bool:
    """Whether a value may stand where a type is declared; null and unknown types always may."""
    want = (declared or "any").lower()
    if value is None or want in ("any", "none", ""):
        return True
    return assignable(type_of(value), want, empty=isinstance(value, list) and not value)


def assignable(have: str, want: str, *, empty: bool = False) -> bool:
    """Whether a value of type `have` may stand where `want` is declared."""
    have, want = _plain(have), _plain(want)
    if have == want or "any" in (have, want):
        return True
    if have.startswith("array[") and want.startswith("array["):
        return empty or "array[any]" in (have, want)
    return want == "array" and have.startswith("array[")


def _plain(name: str) -> str:
    name = name.lower()
    if name in ("integer", "float", "int"):
        return "number"
    if name in ("secret", "str", "text-input", "paragraph", "select"):
        return "string"
    if name in ("bool", "checkbox"):
        return "boolean"
    if name in ("dict", "json_object", "json"):
        return "object"
    if name == "file-list":
        return "array[file]"
    return name
