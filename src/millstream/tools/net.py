"""What tools use of the egress layer. They open no connection of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Response(Protocol):
    """An answer, read whole. headers: names in any case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Fetcher(Protocol):
    async def fetch(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        proxy: str | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """One request, its answer read whole; redirects are answers, not followed.

        data: form fields. Times in seconds. Raises MillstreamError when nothing comes back, the
        connection is cut, or the answer is longer than `max_bytes` (code "models.too-long").
        """
