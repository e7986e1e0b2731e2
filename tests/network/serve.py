"""A program that serves Ollama's protocol, or the next best thing: `serve.py ADDRESS PORT`."""

import asyncio
import sys

from aiohttp import web

from models.ollama_server import Model, OllamaServer


async def main(address: str, port: int) -> None:
    server = OllamaServer(Model("qwen3:8b"))
    server.answer_text = ["Hello", " from", " the", " host"]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server._dispatch)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
