"""A server on 127.0.0.1 for the protocols of model providers, and the ways in which it can fail.

The protocol servers beside this file speak as their providers do; what is common lives here:
requests are kept for the test to look at, replies can be refused, cut, cut into small pieces or
left hanging, and a client that goes away is noticed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from aiohttp import web


class Seen(NamedTuple):
    """A request as it arrived. Header names are in small letters; body is the decoded JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Refusal(NamedTuple):
    """An answer that replaces the next model call's."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class Loopback:
    """Base of the protocol servers; `async with` starts and stops it.

    requests: all that arrived. refusals: used up one by one by model calls.
    raw: bytes sent as the stream instead of the right ones. cut_after: pieces of the stream after
    which the connection breaks. hang_after: pieces after which nothing more comes.
    split: size in bytes of the writes. gone: set when a client leaves a stream early.
    """

    content_type = "text/event-stream"

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.refusals: list[Refusal] = []
        self.raw: list[bytes] | None = None
        self.cut_after: int | None = None
        self.hang_after: int | None = None
        self.split: int | None = None
        self.gone = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = msgspec.json.decode(data) if data else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.path, request.query, headers, body)
        self.requests.append(seen)
        return await self.answer(request, seen)

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        raise NotImplementedError

    def refused(self) -> web.Response | None:
        """The next prepared refusal, as a response."""
        if not self.refusals:
            return None
        status, body, headers = self.refusals.pop(0)
        return reply(body, status, headers)

    async def stream(self, request: web.Request, pieces: Iterable[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        try:
            count = 0
            async for piece in self._paced(self.raw if self.raw is not None else pieces):
                if count == self.cut_after:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                if count == self.hang_after:
                    await asyncio.Event().wait()
                count += 1
                step = self.split or len(piece) or 1
                for start in range(0, len(piece), step):
                    await response.write(piece[start : start + step])
                    if self.split:
                        await asyncio.sleep(0.0005)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        await response.write_eof()
        return response

    async def _paced(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)
        if self.cut_after is not None or self.hang_after is not None:
            yield b""

    def calls(self, path: str) -> list[Any]:
        """Bodies of the requests to a path."""
        return [seen.body for seen in self.requests if seen.path == path]


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response; bytes are sent as they are."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(
        body=data, status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


@contextmanager
def nothing_left_over() -> Iterator[None]:
    """Every asynchronous generator that is used in the block is closed by who used it. One that
    the loop has to close costs a task and a waking of the loop, and closes at any later time."""
    left: list[str] = []
    before = sys.get_asyncgen_hooks()

    def finalizer(generator: Any) -> None:
        left.append(generator.__qualname__)
        assert before.finalizer is not None
        before.finalizer(generator)

    sys.set_asyncgen_hooks(firstiter=before.firstiter, finalizer=finalizer)
    try:
        yield
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*before)
    assert not left
