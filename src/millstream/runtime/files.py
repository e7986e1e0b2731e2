"""Files that a run may read: those that its caller gave, and what is on the web.

A file value only says where its bytes are, and a code node or a tool may make one that says
anything. So a path on this machine is read only if it came in with the inputs.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from millstream.base import Failed
from millstream.values import File

if TYPE_CHECKING:
    from millstream.models.http import Http


class LocalFiles:
    """The `Files` port of this machine. http: called for the connections when one is needed."""

    def __init__(self, http: Callable[[], Http]) -> None:
        self._http = http
        self._given: set[Path] = set()

    def allow(self, value: Any) -> None:
        """Let the files among the inputs of a run be read."""
        if isinstance(value, File):
            if (path := _path(value.url)) is not None:
                self._given.add(path)
        elif isinstance(value, dict):
            for item in value.values():
                self.allow(item)
        elif isinstance(value, list):
            for item in value:
                self.allow(item)

    async def read(self, file: File) -> bytes:
        """The bytes of a file. Raises Failed."""
        if file.url.startswith("data:"):
            return _data(file)
        if file.url.startswith(("http://", "https://")):
            answer = await self._http().fetch("GET", file.url)
            if answer.status >= 400:
                raise Failed("runtime.file-status", name=_name(file), status=answer.status)
            return answer.body
        path = _path(file.url)
        if path is None or path not in self._given:
            raise Failed("runtime.file-not-given", name=_name(file))
        try:
            return path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failed("runtime.file-unreadable", name=_name(file), reason=reason) from None

    async def save(self, data: bytes, *, name: str, mime_type: str) -> File:
        """A file value that holds its own bytes: nothing is left on the disk."""
        kind = mime_type.partition("/")[0]
        type = kind if kind in ("image", "audio", "video") else "document"
        url = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
        suffix = Path(name).suffix
        return File(type, "tool_file", name, url, mime_type, suffix, len(data))  # type: ignore[arg-type]


def _path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)).resolve() if parts.scheme == "file" else None


def _data(file: File) -> bytes:
    head, _, body = file.url.partition(",")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
        return unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise Failed("runtime.file-garbled", name=_name(file)) from None


def _name(file: File) -> str:
    return file.name or file.url[:80]
