"""A model server on loopback that speaks at a known pace: OpenAI's protocol, tokens at the moments
that a test says, and a note of when each was written.

Run as a script it serves until its standard input ends, for benchmarks:

    python -m lab.paced FIRST GAP       prints its address
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from models.loopback import Seen, reply
from models.openai_server import OpenAIServer

_ARRIVED: ContextVar[float] = ContextVar("arrived")


class PacedServer(OpenAIServer):
    """first, gap: seconds from a request to its first token, and between two. Each answer has as
    many tokens as are asked for, or `length`. claims: what usage says instead of the truth.
    written: for each answer the moments (of the loop's clock) at which its tokens were written,
    the moment of the request first.
    """

    def __init__(
        self, *models: str, first: float = 0.05, gap: float = 0.01, **options: Any
    ) -> None:
        super().__init__(*models, **options)
        self.first, self.gap = first, gap
        self.known = None
        self.length: int | None = None
        self.claims: dict[str, Any] = {}
        self.finish_reason = "length"
        self.written: list[list[float]] = []

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.path == "/health":  # other clients ask for it first
            return reply({})
        return await super().answer(request, seen)

    async def _complete(
        self, request: web.Request, seen: Seen, deployment: str | None, path: str
    ) -> web.StreamResponse:
        _ARRIVED.set(asyncio.get_running_loop().time())
        body = seen.body
        wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 16
        self.answer_text = [" word"] * (wanted if self.length is None else self.length)
        return await super()._complete(request, seen, deployment, path)

    def _events(
        self, chat: bool, pieces: list[str], finish: str | None, usage: Any
    ) -> Iterator[bytes]:
        told = {**usage, **self.claims} if usage is not None else None
        return super()._events(chat, pieces, finish, told)

    async def _paced(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        clock, arrived = asyncio.get_running_loop().time, _ARRIVED.get()
        moments = [arrived]
        self.written.append(moments)
        async for piece in super()._paced(pieces):
            if b'" word"' in piece:
                due = arrived + self.first + (len(moments) - 1) * self.gap
                if (left := due - clock()) > 0:
                    await asyncio.sleep(left)
                moments.append(clock())
            yield piece


async def _serve(first: float, gap: float) -> None:
    async with PacedServer("m", first=first, gap=gap) as server:
        print(server.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2])))
