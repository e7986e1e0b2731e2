"""A stand-in for the translation service on a loopback socket, speaking its real protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from millstream.home.settings import Translate
from millstream.models.http import Http
from millstream.tools.google_translate import GoogleTranslate

Answer = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


def sentences(*pairs: tuple[str | None, str | None]) -> list[Any]:
    """An answer as the service gives it: sentences first, then what nobody needs."""
    return [
        [[new, old, None, None, 3, None, None, [[]]] for new, old in pairs],
        None,
        "en",
        None,
        None,
        None,
        1,
        [],
        [["en"], None, [1], ["en"]],
    ]


class Service:
    """What was asked, and what is answered: by default each line, in capitals, as a sentence."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answer: Answer = self.translate
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        text = str(form.get("q") or request.query.get("q", ""))
        self.asked.append((request.method, dict(request.query), text))
        return await self.answer(request, text)

    async def translate(self, request: web.Request, text: str) -> web.StreamResponse:
        lines = text.splitlines(keepends=True)
        return web.json_response(sentences(*((line.upper(), line) for line in lines)))

    def says(self, body: str | bytes, *, status: int = 200, **headers: str) -> None:
        """Give this answer to every request. Header names with `_` for `-`."""
        kind = headers.pop("content_type", "application/json; charset=utf-8")
        raw = body.encode() if isinstance(body, str) else body
        all_headers = {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}

        async def answer(_request: web.Request, _text: str) -> web.StreamResponse:
            return web.Response(body=raw, status=status, headers=all_headers)

        self.answer = answer

    def says_json(self, value: Any) -> None:
        self.says(json.dumps(value, ensure_ascii=False))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/translate_a/single", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = site._server.sockets[0].getsockname()[:2]  # type: ignore[union-attr]
    service.url = f"http://{host}:{port}/translate_a/single"
    yield service
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(environ={}) as http:
        yield http


@pytest.fixture
def google(service: Service, http: Http) -> GoogleTranslate:
    return GoogleTranslate(http, Translate(endpoint=service.url))
