"""Python code: `main(**inputs)` of a fresh `__main__` module returns a JSON value."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Any, Final

from .languages import Problem

FILE: Final = "main.py"
# What code nodes import most often. A module costs memory in every child, which takes time to
# share and to give back: rare and large ones (random, hashlib, html) are cheaper imported late.
PRELOAD: Final = (
    "_strptime base64 collections copy datetime functools io itertools json math os re string "
    "textwrap time traceback typing unicodedata urllib.parse"
)
_MAX_DEPTH: Final = 500

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def load(preload: Iterable[str]) -> None:
    import _thread
    import site

    _thread.stack_size(2 << 20)  # instead of 8 MB of address space for every thread
    site.setquit()  # `exit` and `quit`, which an interpreter without site-packages lacks
    for name in (*PRELOAD.split(), *preload):
        with suppress(ImportError):  # the code will say so, if it asks for it
            __import__(name)


def run(source: str, inputs: dict[str, Any]) -> bytes:
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    if "numpy" in sys.modules:  # seeded when it was loaded, so alike in all children
        sys.modules["numpy"].random.seed()
    try:
        exec(_compile(source), module.__dict__)  # noqa: S102 (what this process is for)
        main = getattr(module, "main", None)
        if not callable(main):
            raise Problem("no-main")
        value = main(**inputs)
    except Problem:
        raise
    except MemoryError as error:
        raise Problem("memory-limit", line=_line(error.__traceback__)) from None
    except BaseException as error:
        raise _raised(error) from None
    return _to_json(value)


def _compile(source: str) -> Any:
    try:
        return compile(source, FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise Problem("syntax", problem=error.msg, line=error.lineno) from None
    except ValueError as error:  # null bytes
        raise Problem("syntax", problem=str(error), line=None) from None


def _raised(error: BaseException) -> Problem:
    """What an error of the code is to its author."""
    # What an exception says of itself is the code's own doing, even that it has a name.
    name, line = type.__dict__["__name__"].__get__(type(error)), _line(error.__traceback__)
    try:
        text = str.__str__(str(error))
    except BaseException:
        text = ""
    if isinstance(error, ModuleNotFoundError) and type(error.name) is str and error.name:
        return Problem("no-package", package=error.name.partition(".")[0], line=line)
    if isinstance(error, TypeError) and _depth(error.__traceback__) == 1:
        return Problem("arguments", problem=text)
    if _tried_network(error):
        return Problem("network", problem=text, line=line)
    return Problem("raised", type=name, problem=text, line=line)


def _line(traceback: TracebackType | None) -> int | None:
    """The innermost line of the author's code that an error came through."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILE:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _depth(traceback: TracebackType | None) -> int:
    depth = 0
    while traceback is not None:
        depth += 1
        traceback = traceback.tb_next
    return depth


def _tried_network(error: BaseException | None) -> bool:
    """Whether an error goes back to a socket that could not be had."""
    for _ in range(20):
        if error is None:
            return False
        traceback = error.__traceback__
        while traceback is not None:
            name = traceback.tb_frame.f_globals.get("__name__")
            if name == "socket" and isinstance(error, OSError):
                return True
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return False


def _to_json(value: Any) -> bytes:
    sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)  # the host reads no more
    try:
        return _encode(value).encode()
    except MemoryError:
        raise Problem("memory-limit") from None
    except Exception as error:
        raise Problem("not-json", **(_not_json(value) or {"problem": str(error)})) from None


def _not_json(value: Any) -> dict[str, str] | None:
    """Where in a value the first part is that JSON cannot hold, and what is there."""
    todo: list[tuple[Any, str, int]] = [(value, "", 0)]
    while todo:
        value, where, depth = todo.pop()
        if depth > _MAX_DEPTH:
            return {"what": "nested"}
        match value:
            case str():
                if any("\ud800" <= character <= "\udfff" for character in value):
                    return {"where": where, "what": "half-character"}
            case float() if not math.isfinite(value):
                return {"where": where, "problem": repr(value)}
            case int():
                try:
                    str(int(value))
                except ValueError:
                    return {"where": where, "what": "huge-number"}
            case None | float():
                pass
            case list() | tuple():
                parts = [(part, f"{where}[{i}]", depth + 1) for i, part in enumerate(value)]
                todo.extend(reversed(parts))
            case dict():
                for key in value:
                    if not isinstance(key, str | int | float | None):
                        return {"where": where, "what": "key", "type": type(key).__name__}
                parts = [(part, f"{where}[{key!r}]", depth + 1) for key, part in value.items()]
                todo.extend(reversed(parts))
            case _:
                return {"where": where, "what": "type", "type": type(value).__name__}
    return None
