"""Millstream runs app files on the models that this machine has.

import millstream

app = millstream.load("app.yml", local=True)
print(app.run(text2translate="…").outputs)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.base import BadInput, Failed, MillstreamError, NotHere
    from millstream.engine.events import Event
    from millstream.engine.limits import Limits
    from millstream.runtime import App, NodeResult, Result, load, loads

__version__ = "0.1.0"

_WHERE = {
    "App": "runtime",
    "NodeResult": "runtime",
    "Result": "runtime",
    "load": "runtime",
    "loads": "runtime",
    "Event": "engine.events",
    "Limits": "engine.limits",
    "BadInput": "base",
    "Failed": "base",
    "MillstreamError": "base",
    "NotHere": "base",
}

__all__ = [
    "App",
    "BadInput",
    "Event",
    "Failed",
    "Limits",
    "MillstreamError",
    "NodeResult",
    "NotHere",
    "Result",
    "load",
    "loads",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'millstream' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"millstream.{_WHERE[name]}"), name)
