"""How fast code runs in the sandbox: everything pinned to one core, one call after the other.

    python benchmarks/sandbox.py [calls] [rounds]

Prints, for each round and language, calls a second on the clock, p50 and p99, and the CPU time of
host, zygote and children together for one call. On a busy machine only the last is to be trusted:
its inverse is what one quiet core would do.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time

from millstream.sandbox.host import LocalSandbox

PYTHON = """
import json

def main(text: str) -> dict:
    data = json.loads(text)
    return {"url": data["data"]["url"]}
"""
JAVASCRIPT = "function main({text}) { return { url: JSON.parse(text).data.url } }"
TEMPLATE = "{% for a in rows %}{% for b in rows %}{{ a }}{{ b }} {% endfor %}{% endfor %}"
TEXT = json.dumps({"data": {"url": "https://example.org"}})
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(sandbox: LocalSandbox) -> float:
    """Seconds of CPU of this process, the zygotes, and the children that they have reaped."""
    used = time.process_time()
    for zygote in sandbox._zygotes.values():
        with open(f"/proc/{zygote._process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        used += sum(map(int, fields[11:15])) / TICKS
    return used


async def measure(sandbox: LocalSandbox, name: str, calls: int) -> float:
    async def call() -> None:
        if name == "python":
            await sandbox.run_code("python3", PYTHON, {"text": TEXT})
        elif name == "javascript":
            await sandbox.run_code("javascript", JAVASCRIPT, {"text": TEXT})
        else:
            await sandbox.render(TEMPLATE, {"rows": [1, 2, 3]})

    for _ in range(10):
        await call()
    cpu, took = cpu_of(sandbox), []
    for _ in range(calls):
        start = time.perf_counter()
        await call()
        took.append(time.perf_counter() - start)
    await asyncio.sleep(0.05)  # the last child is reaped
    cpu = (cpu_of(sandbox) - cpu) / calls
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    print(
        f"{name:10} {calls / sum(took):5.0f} calls/s on the clock   p50 {p50 * 1e3:5.2f} ms   "
        f"p99 {p99 * 1e3:5.2f} ms   CPU {cpu * 1e3:4.2f} ms a call = {1 / cpu:4.0f} calls/s"
    )
    return cpu


async def main(calls: int, rounds: int) -> None:
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    sandbox = LocalSandbox()
    start = time.perf_counter()
    await sandbox.run_code("python3", PYTHON, {"text": TEXT})
    print(f"first call {(time.perf_counter() - start) * 1e3:.0f} ms, then on core {core}:")
    results: dict[str, list[float]] = {"python": [], "javascript": [], "template": []}
    for _ in range(rounds):
        for name, cpu in results.items():
            cpu.append(await measure(sandbox, name, calls))
    await sandbox.close()
    for name, cpu in results.items():
        middle = statistics.median(cpu)
        print(f"median of {rounds}: {name} {middle * 1e3:.2f} ms CPU = {1 / middle:.0f} calls/s")
    load = os.getloadavg()[0]
    print(f"load average {load:.1f}")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*[*numbers, *(300, 5)[len(numbers) :]]))
