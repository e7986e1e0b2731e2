"""HTTP request: asks a server and gives back what it answers.

URL, headers, parameters, body and key are texts with variables. Headers and parameters have a
`name:value` on each line. Outputs: `status_code`, `body`, `headers`, and `files` when the answer
is a file. An answer that is not 2xx is a success too, unless an error strategy or retries are
set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector, TextTemplate


class Credentials(msgspec.Struct, kw_only=True):
    """type: basic, bearer or custom; header: the one that carries the key."""

    type: str | None = None
    api_key: str | None = None
    header: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(type={self.type!r})"


class Authorization(msgspec.Struct, kw_only=True):
    """type: no-auth or api-key."""

    type: str | None = "no-auth"
    config: Credentials | None = None


class BodyItem(msgspec.Struct, kw_only=True):
    id: str | None = None
    key: str | None = ""
    type: str | None = "text"
    value: str | None = ""
    file: list[str] | None = None


class Body(msgspec.Struct, kw_only=True):
    """type: none, form-data, x-www-form-urlencoded, raw-text, json or binary. data: one text in
    older files."""

    type: str | None = "none"
    data: list[BodyItem] | str | None = None


class Timeout(msgspec.Struct, kw_only=True):
    """Seconds; 0 and null are the defaults. The max_ fields are limits of the editor."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    max_connect_timeout: float | None = None
    max_read_timeout: float | None = None
    max_write_timeout: float | None = None


class HttpRequestData(NodeData, kw_only=True):
    method: str | None = "get"
    url: str | None = ""
    authorization: Authorization | None = None
    headers: str | None = ""
    params: str | None = ""
    body: Body | None = None
    timeout: Timeout | None = None
    ssl_verify: bool | None = None


class HttpRequest(Later[HttpRequestData]):
    type = "http-request"
    Data: ClassVar[DataClass] = HttpRequestData
    retries = True

    def outputs(self) -> dict[str, str]:
        return {
            "status_code": "number",
            "body": "string",
            "headers": "object",
            "files": "array[file]",
        }

    def reads(self) -> Iterable[Reading]:
        data = self.data
        texts = {"url": data.url, "headers": data.headers, "params": data.params}
        if data.authorization and data.authorization.config:
            texts["authorization.config.api_key"] = data.authorization.config.api_key
        items = data.body.data if data.body else None
        if isinstance(items, str):
            texts["body.data"] = items
        else:
            for i, item in enumerate(items or ()):
                texts[f"body.data.{i}.key"] = item.key
                texts[f"body.data.{i}.value"] = item.value
                if item.type == "file" and item.file:
                    yield Reading(Selector.of(item.file), f"body.data.{i}.file", ("file", "array"))
        for field, text in texts.items():
            for selector in TextTemplate(text or "").selectors:
                yield Reading(selector, field)
