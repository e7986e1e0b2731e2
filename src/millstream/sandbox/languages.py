"""The languages that a child can run, one module each, and what can go wrong in all of them.

A language is a module with `load(preload)`, called once in the zygote, and `run(source, inputs)`,
called in a child, which returns the result as JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

MODULES = {"python3": "run_python", "javascript": "run_javascript", "jinja2": "run_jinja"}


class Problem(BaseException):  # not an Exception: code that catches everything does not catch it
    """Why there is no result. kind: a name that the host knows; values: for its message."""

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind, values)
        self.report = {"kind": kind, **values}


class Language(Protocol):
    def load(self, preload: Iterable[str]) -> None: ...

    def run(self, source: str, inputs: dict[str, Any]) -> bytes: ...


def load(name: str, libraries: list[str], preload: Iterable[str]) -> Language:
    """Import what a language needs, `libraries` being searched for this once.

    What is loaded here can be used in every child; its folder can then be out of their reach.
    """
    module: Any = import_module(f".{MODULES[name]}", __package__)
    language: Language = module
    sys.path += libraries
    try:
        language.load(preload)
    finally:
        for path in libraries:
            sys.path.remove(path)
            sys.path_importer_cache.pop(path, None)
    # Folders of which only a part can be read cannot be listed: have Python remember what is there.
    find_spec("a module that nobody has")
    return language
