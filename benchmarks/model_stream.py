"""What a streamed model call costs: CPU microseconds a chunk, and a call.

Drives the OpenAI adapter, alone and behind the router, against the loopback stub of the peers'
benchmark (../shared/bench/stub.py), which runs in a process of its own. "bare" is aiohttp read by
hand with `json.loads` on every line, the least that any client does.

    python benchmarks/model_stream.py [STUB.py]

Two workloads: a burst of 2,000 chunks in one answer, and answers of 10 small events, one after
the other and 200 at once (the stub thinks 100 ms before each; only the CPU time of this process
is counted). Medians of 5. One after the other, a call wakes the process for every event; at
once, many events are found at each waking.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from millstream.engine.ports import Message, ModelChunk, ModelRef, ModelRequest
from millstream.models import openai
from millstream.models.http import Http
from millstream.models.router import Router
from millstream.models.target import Target

STUB = Path(__file__).resolve().parents[2] / "shared" / "bench" / "stub.py"
WORDS = "one two three four five six seven eight nine ten eleven twelve"


def request(model: str) -> ModelRequest:
    return ModelRequest(ModelRef("stub", model), [Message("user", WORDS)])


async def bare(session: aiohttp.ClientSession, base: str, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": WORDS}], "stream": True}
    count = 0
    async with session.post(base + "/chat/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                count += bool(choices and choices[0]["delta"].get("content"))
    return count


async def consume(items: object) -> int:
    return sum([isinstance(item, ModelChunk) async for item in items])  # type: ignore[attr-defined]


async def main(base: str) -> None:
    target = Target("stub", "echo", "openai", base)
    connector = aiohttp.TCPConnector(limit=0)
    async with Http() as http, aiohttp.ClientSession(connector=connector) as session:
        burst = Target("stub", "burst", "openai", base)
        router = Router(http, lambda ref: Target("stub", ref.name, "openai", base))
        ways: dict[str, Callable[[str], Awaitable[int]]] = {
            "bare": lambda model: bare(session, base, model),
            "adapter": lambda model: consume(
                openai.generate(http, burst if model == "burst" else target, request(model))
            ),
            "router": lambda model: consume(router.generate(request(model))),
        }
        print(f"{'':10}{'µs a chunk':>14}{'ms a call':>14}{'ms, 200 at once':>18}")
        for name, call in ways.items():
            chunks, calls, crowds = [], [], []
            await call("echo")
            for _ in range(5):
                start = time.process_time()
                assert await call("burst") == 2000
                chunks.append((time.process_time() - start) / 2000 * 1e6)
            for _ in range(5):
                start = time.process_time()
                for _ in range(10):
                    assert await call("echo") == 8
                calls.append((time.process_time() - start) / 10 * 1e3)
            for _ in range(5):
                start = time.process_time()
                assert set(await asyncio.gather(*(call("echo") for _ in range(200)))) == {8}
                crowds.append((time.process_time() - start) / 200 * 1e3)
            figures = [statistics.median(each) for each in (chunks, calls, crowds)]
            print(f"{name:10}{figures[0]:14.1f}{figures[1]:14.2f}{figures[2]:18.2f}")


if __name__ == "__main__":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stub = sys.argv[1] if len(sys.argv) > 1 else str(STUB)
    process = subprocess.Popen([sys.executable, stub, str(port)])
    try:
        time.sleep(1.5)
        asyncio.run(main(f"http://127.0.0.1:{port}/v1"))
    finally:
        process.terminate()
