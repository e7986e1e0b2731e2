"""What a caller wants used for what a file names."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Choice(msgspec.Struct, frozen=True):
    """See docs/bindings.md.

    model: one model for everything. local: the local default for every model, and a local
    substitute for every online tool that has one and cannot be reached. bind: rules from
    "provider/name" to "provider/name", for models and tools; bind_tools: for tools alone.
    """

    model: str | None = None
    local: bool = False
    bind: Mapping[str, str] = {}
    bind_tools: Mapping[str, str] = {}
