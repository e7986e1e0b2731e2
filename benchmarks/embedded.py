"""Tokens per second of the embedded model: our route against the same runtime in its own process.

    python benchmarks/embedded.py [MODEL.gguf] [--threads 1,2] [--rounds 8] [--tokens 128]

"alone" is xllamacpp driven by a callback in the process that has loaded it. "ours" is the way a run
takes: the router, the OpenAI adapter and the HTTP layer in this process, the model in its child.
Both have the same threads, context, slots and batch; they take turns, and the one that waits does
nothing. Speed is tokens after the first, by the clock. Printed: medians, the spread, the quotient
of the medians and that of the fastest rounds (which a busy machine disturbs least), and what a
token costs this process in CPU time. Then what loading costs: the child's start, the timing of threads, the load itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = "Count from 1 to 500, one number a line."

ALONE = """
import json, os, sys, time, xllamacpp
task = json.loads(sys.stdin.readline())
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx = task["model"], task["context"] * task["slots"]
params.n_parallel, params.port = task["slots"], 0
params.n_batch = params.n_ubatch = task["batch"]
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
params.warmup = params.fit_params = params.ui = False
params.cache_ram_mib = 0
server = xllamacpp.Server(params)
print("ready", flush=True)
for line in sys.stdin:
    times = []
    def piece(chunk):
        choices = chunk.get("choices")
        if choices and choices[0].get("delta", {}).get("content"):
            times.append(time.perf_counter())
    server.handle_chat_completions(json.loads(line), piece)
    print(len(times), times[-1] - times[0], flush=True)
os._exit(0)
"""


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    model = await asyncio.to_thread(lambda: (args.model or _packaged()).resolve())
    print(
        f"{'threads':>7}  {'alone t/s':>22}  {'ours t/s':>22}  {'medians':>8} {'fastest':>8}  CPU a token"
    )
    for threads in map(int, args.threads.split(",")):
        await compare(model, threads, args.rounds, args.tokens)
    await loading(model)


def _packaged() -> Path:
    from millstream.home import Home
    from millstream.models import packaged

    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream-tests"
    return Home.open(os.environ.get("MILLSTREAM_TEST_CACHE") or usual).shelf.get(packaged.NAME).path


async def compare(model: Path, threads: int, rounds: int, tokens: int) -> None:
    from millstream.engine.ports import Message, ModelChunk, ModelRef, ModelRequest
    from millstream.home import Home
    from millstream.models.embedded import EmbeddedModels, runtime
    from millstream.models.http import Http
    from millstream.models.router import Router

    os.environ["MILLSTREAM_EMBEDDED_THREADS"] = str(threads)
    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }
    params = {"max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    request = ModelRequest(ModelRef("embedded", "m"), [Message("user", PROMPT)], params=params)
    task = {"model": str(model), "context": 2048, "slots": 1, "batch": runtime._BATCH}
    alone = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", ALONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def ask(line: Any) -> str:
        assert alone.stdin is not None
        assert alone.stdout is not None
        alone.stdin.write(json.dumps(line) + "\n")
        alone.stdin.flush()
        return alone.stdout.readline()

    with tempfile.TemporaryDirectory() as folder:
        async with Http(environ={}) as http:
            models = EmbeddedModels(Home.open(folder), http)
            ask({**task, "threads": threads})
            target = await models.target(model, context=2048, slots=1)
            router = Router(http, lambda ref: target)

            async def ours() -> float:
                times = []
                async for item in router.generate(request):
                    if isinstance(item, ModelChunk):
                        times.append(time.perf_counter())
                return (len(times) - 1) / (times[-1] - times[0])

            async def theirs() -> float:
                count, seconds = (await asyncio.to_thread(ask, body)).split()
                return (int(count) - 1) / float(seconds)

            await ours()
            await theirs()
            speeds: dict[str, list[float]] = {"alone": [], "ours": []}
            costs = []
            for number in range(rounds):
                turns = [("alone", theirs), ("ours", ours)]
                for name, run in turns if number % 2 else reversed(turns):
                    before = time.process_time()
                    speeds[name].append(await run())
                    if run is ours:
                        costs.append((time.process_time() - before) / tokens)
            await models.close()
    alone.kill()
    alone.wait()
    both = "  ".join(
        f"{statistics.median(v):8.1f} ({min(v):5.1f} … {max(v):5.1f})" for v in speeds.values()
    )
    quotient = statistics.median(speeds["ours"]) / statistics.median(speeds["alone"])
    fastest = max(speeds["ours"]) / max(speeds["alone"])
    cost = 1e6 * statistics.median(costs)
    print(f"{threads:>7}  {both}  {quotient:>8.3f} {fastest:>8.3f}  {cost:.0f} µs", flush=True)


async def loading(model: Path) -> None:
    """Seconds from asking for a target to having one, by whether threads are timed."""
    from millstream.home import Home
    from millstream.models.embedded import EmbeddedModels
    from millstream.models.http import Http

    for timed in (False, True):
        seconds = []
        os.environ["MILLSTREAM_EMBEDDED_THREADS"] = "none" if timed else "1"
        for _ in range(5):
            with tempfile.TemporaryDirectory() as folder:
                async with Http(environ={}) as http:
                    models = EmbeddedModels(Home.open(folder), http)
                    start = time.perf_counter()
                    await models.target(model)
                    seconds.append(time.perf_counter() - start)
                    chosen = models.loaded()[0].threads
                    start = time.perf_counter()
                    for _ in range(1000):
                        await models.target(model)
                    warm = time.perf_counter() - start
                    await models.close()
        how = f"threads timed (chosen: {chosen})" if timed else "threads given"
        print(f"load, {how}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} …)")
    print(f"a target that is loaded: {warm * 1000:.0f} µs")


if __name__ == "__main__":
    asyncio.run(main())
