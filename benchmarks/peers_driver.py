"""Millstream's driver for the side-by-side benchmark of workflow engines.

Each function does one workload once, asserts its output and returns its figures; the workloads
(`common.py`) come with the benchmark. The app files go through the real loader and the real
plan, every event is consumed, defaults are on.
"""

import asyncio
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import common as C

import millstream
from millstream.engine import Ports, Usage
from millstream.engine.events import RunFinished, TextChunk
from millstream.engine.ports import ModelChunk, ModelEnd


def _run(app, inputs):
    """One run with every event consumed; the outputs, and the time inside a running loop."""

    async def main():
        with C.Timer() as timer:
            last = None
            async for event in app.stream(inputs):
                last = event
        return last, timer

    last, timer = asyncio.run(main())
    assert isinstance(last, RunFinished)
    assert last.status == "succeeded", last.error
    return last.outputs, timer


def _nobody():
    from millstream.runtime.clock import SystemClock

    return Ports(clock=SystemClock())


def _timed(dsl, inputs, count, expected):
    text = C.dumps(dsl)
    with C.Timer() as load:
        app = millstream.loads(text, ports=_nobody())
    outputs, run = _run(app, inputs)
    assert outputs["out"] == expected, outputs
    return C.per_node(run, count, load)


def w1(n):
    return _timed(C.dsl_chain(n), {"x": "a"}, n, C.chain_expect(n))


def w2(n):
    return _timed(C.dsl_fan(n), {"x": "a"}, n + 1, C.fan_expect(n))


def w3(n):
    out = {}
    items = [f"i{k}" for k in range(n)]
    for name, parallel in (("seq", None), ("par", 10)):
        dsl = C.dsl_iter(parallel)
        variables = dsl["workflow"]["graph"]["nodes"][0]["data"]["variables"]
        variables.append({"variable": "items", "label": "items", "type": "list", "required": True})
        app = millstream.loads(C.dumps(dsl), ports=_nobody())
        outputs, run = _run(app, {"items": items})
        assert outputs["out"] == [item + "!" for item in items]
        out[f"{name}_item_us"] = run.s / n * 1e6
        out[f"{name}_item_cpu_us"] = run.cpu / n * 1e6
    out["items"] = n
    return out


def w4(n):
    return _timed(C.dsl_branch(n), {"x": "xax"}, n, "xax-yes")


def w5(n):
    """n model calls in one run, then 4n runs of one call each, through the product's client.

    The server is an endpoint of the settings, and every model of the app is bound to it."""
    home = Path(tempfile.mkdtemp(prefix="millstream-bench-"))
    (home / "settings.toml").write_text(f'[[endpoints]]\nname = "stub"\nurl = "{C.STUB}"\n')
    os.environ["STUB_API_KEY"] = "k"
    choice = {"model": "stub/stub", "home": home}
    fan = millstream.loads(C.dumps(C.dsl_llm_fan(n)), **choice)
    one = millstream.loads(C.dumps(C.dsl_llm_one()), **choice)
    out = {}

    async def run(app, text):
        async for event in app.stream({"x": text}):
            last = event
        assert last.status == "succeeded", last.error
        return last.outputs["out"]

    async def main():
        await run(one, "warm")
        await run(fan, "warm")
        with C.Timer() as t:
            got = await run(fan, "a")
        assert got == "[" + "|".join(f"echo:a-{k}" for k in range(n)) + "]", got
        out.update(fan_ms=t.s * 1e3, fan_cpu_ms=t.cpu * 1e3)
        with C.Timer() as t:
            got = await asyncio.gather(*(run(one, f"a-{k}") for k in range(4 * n)))
        assert got == [f"echo:a-{k}" for k in range(4 * n)]
        out.update(runs_ms=t.s * 1e3, runs_cpu_ms=t.cpu * 1e3)
        await fan.aclose()
        await one.aclose()

    asyncio.run(main())
    shutil.rmtree(home)
    return out


class _Burst:
    """A model in this process that gives its chunks as fast as they are taken."""

    def __init__(self, count):
        self.count = count

    async def generate(self, request):
        self.began = time.perf_counter()
        for i in range(self.count):
            yield ModelChunk(f"c{i} ")
            await asyncio.sleep(0)  # a real model awaits the network between chunks
        yield ModelEnd(Usage(), "stop")


def w6(n):
    from millstream.runtime.clock import SystemClock

    model = _Burst(n)
    app = millstream.loads(C.dumps(C.dsl_llm_one()), ports=Ports(SystemClock(), models=model))
    got, first = [], 0.0

    async def main():
        nonlocal first
        with C.Timer() as timer:
            async for event in app.stream({"x": "a"}):
                if type(event) is TextChunk:
                    if not got:
                        first = time.perf_counter()
                    got.append(event.text)
        return timer

    timer = asyncio.run(main())
    assert "".join(got) == "".join(f"c{i} " for i in range(n))
    return {
        "chunks_per_s": n / timer.s,
        "chunk_cpu_us": timer.cpu / n * 1e6,
        "first_us": (first - model.began) * 1e6,
    }


def w7(_):
    outputs = millstream.load(C.SMALL_DSL).run(x="w").outputs
    assert outputs == {"out": "hello w"}, outputs
    return {"ok": 1}


def w8(reps):
    from millstream.dsl.read import read_text
    from millstream.nodes import REGISTRY

    text = C.big_text()
    with C.Timer() as t:
        for _ in range(reps):
            app = read_text(text, "big.yml", REGISTRY)
    assert len(app.graph.nodes) > 30
    assert app.graph.edges
    assert all(node.data is not None for node in app.graph.nodes), app.problems
    assert json.dumps(app.lines.line("workflow", "graph", "nodes", 3, "data"))
    return {"parse_ms": t.s / reps * 1e3, "parse_cpu_ms": t.cpu / reps * 1e3, "full_load": 1}
