"""Speeds that `millstream` predicts after its ten-second calibration, beside measured ones.

    python benchmarks/speed_truth.py [--write] [--rounds 3] [--depth 128,1024,4096] [--only TEXT]
                                     [--threads 1]

In each round the machine is calibrated as the product does it, and then every model reads a prompt
and writes some tokens at each depth; the next round does it all again, so that whoever else uses
the machine disturbs both alike. With one thread the processor's time counts instead of the clock's:
that is what the calibration counts as well, and a neighbour does not lengthen it by waiting (he
does by sharing caches and memory). With more it is the clock. Each round's measurement is held
against the prediction from that round's calibration. Printed: both as medians of the rounds, the
spread of the measured (the farthest round from the median), and how far off the prediction is. A
noisy run says so; what is off then is off for a reason that no formula has.

Models: SmolLM2-135M in several types, and larger ones with random weights, so that more than the
work between the matrices counts. Prints Markdown; --write puts it into docs/lab-truth.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from memory_truth import packaged_types, put

from lab import zoo
from millstream.lab import jobs
from millstream.lab.hardware import Speed, calibrate
from millstream.lab.speed import Pace, predict, work
from millstream.models import gguf
from millstream.models.footprint import Use
from millstream.models.shape import shape

BATCH = 128  # as the embedded runtime reads
TOKENS = 32  # written at each depth; the middle one counts
DEPTHS = (128, 1024, 4096)
NEAR = 0.25
PACKAGED = ("F16", "Q8_0", "Q4_K_M", "Q4_0", "Q4_1")
# A llama of 436 million weights, and a mixture of experts of 480, of which a token takes 160.
RANDOM: dict[str, tuple[str, int]] = {
    "llama 436M, random, Q4_0": ("dense", zoo.Q4_0),
    "llama 436M, random, Q8_0": ("dense", zoo.Q8_0),
    "MoE 480M, random, Q4_0": ("experts", zoo.Q4_0),
}
_KEYS: dict[str, dict[str, Any]] = {
    "dense": {"embedding_length": 1024, "block_count": 24, "feed_forward_length": 4096},
    "experts": {"embedding_length": 768, "block_count": 12, "feed_forward_length": 1536,
                "expert_count": 8, "expert_used_count": 2},
}  # fmt: skip
BETWEEN = "<!-- speed -->", "<!-- end of speed -->"
TOGETHER = "<!-- speed of threads -->", "<!-- end of speed of threads -->"


class Point(NamedTuple):
    """Tokens a second of one model at one depth in one round. share: of a core, that it got."""

    prefill: float
    decode: float
    share: float


async def measure(path: Path, depths: Sequence[int], threads: int) -> dict[int, Point]:
    """Let a process of its own read and write."""
    ask = {"model": str(path), "depths": list(depths), "threads": threads}
    process = await jobs.start(
        sys.executable,
        str(Path(__file__)),
        "--child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said, _ = await process.communicate(json.dumps(ask).encode())
    finally:
        await jobs.end(process)
    return {int(depth): Point(*numbers) for depth, numbers in json.loads(said).items()}


def child() -> None:
    """Read prompts and write tokens with llama.cpp; print what they took."""
    import ctypes

    from millstream.lab.library import Batch, Library

    ask = json.loads(sys.stdin.readline())
    library = Library()
    library.llama_backend_init()
    model = library.llama_model_load_from_file(
        ask["model"].encode(), library.llama_model_default_params()
    )
    params = library.llama_context_default_params()
    params.n_ctx = max(ask["depths"]) + TOKENS + BATCH
    params.n_batch = params.n_ubatch = BATCH
    params.n_threads = params.n_threads_batch = ask["threads"]
    now = time.process_time if ask["threads"] == 1 else time.perf_counter
    context = library.llama_init_from_model(model, params)
    memory = library.llama_get_memory(context)
    one = (ctypes.c_int32 * 1)(0)
    whose = ctypes.POINTER(ctypes.c_int32)

    def decode(start: int, count: int) -> None:
        tokens = (ctypes.c_int32 * count)(*((7 + 13 * (start + n)) % 200 for n in range(count)))
        places = (ctypes.c_int32 * count)(*range(start, start + count))
        counts = (ctypes.c_int32 * count)(*([1] * count))
        owners = (whose * count)(*([ctypes.cast(one, whose)] * count))
        wanted = (ctypes.c_int8 * count)(*([0] * (count - 1)), 1)
        batch = Batch(count, tokens, None, places, counts, owners, wanted)
        if library.llama_decode(context, batch):
            raise SystemExit("llama.cpp does not decode")
        library.llama_synchronize(context)

    decode(0, BATCH)  # pages and caches become warm
    decode(BATCH, 1)
    library.llama_memory_seq_rm(memory, -1, -1, -1)
    found, at, read = {}, 0, 0.0
    for depth in ask["depths"]:
        began, spent, clock = now(), time.process_time(), time.perf_counter()
        while at < depth:
            count = min(BATCH, depth - at)
            decode(at, count)
            at += count
        read += now() - began
        times = []
        for n in range(TOKENS):
            before = now()
            decode(at + n, 1)
            times.append(now() - before)
        share = (time.process_time() - spent) / (time.perf_counter() - clock) / ask["threads"]
        found[depth] = (depth / read, 1 / statistics.median(times), share)
        library.llama_memory_seq_rm(memory, -1, at, -1)
    print(json.dumps(found), flush=True)
    os._exit(0)


# --------------------------------------------------------------------------------------- the models


def random_model(path: Path, kind: str, type: int) -> Path:
    """Write a model of a few hundred million random weights, with words that nobody reads."""
    keys = {
        **zoo.usual(8192, 1024, 24, 4096, 16),
        "attention.head_count": 16 if kind == "dense" else 12,
        "attention.head_count_kv": 4,
        "vocab_size": 32000,
        **_KEYS[kind],
    }
    zoo.REAL[kind] = ("llama", keys)
    return zoo.write_table(path, zoo.metadata(kind), zoo.table(kind, type))


def read_anew(path: Path) -> None:
    """Let the next reader get the file from the disk, as after a start of the machine. What is in
    the system's memory since it was written in small pieces has small pages there: SmolLM2 in F16
    then decodes a fifth slower (Linux 6.18, ext4)."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def models(only: str, folder: Path) -> list[tuple[str, Path]]:
    found = []
    for name, path in await packaged_types(only, PACKAGED):
        if "packaged" not in name and only in name:
            found.append((name, path))
    for name, (kind, type) in RANDOM.items():
        if only in name:
            found.append((name, random_model(folder / f"{kind}-{type}.gguf", kind, type)))
    return found


def expected(path: Path, speed: Speed, depth: int, threads: int) -> Pace:
    header = gguf.read(path)
    sizes = shape(header)
    todo = work(header.tensors, sizes)
    use = Use(context=8192, batch=BATCH)
    return predict(todo, speed, use, depth=depth, prompt=depth, threads=threads)


# ---------------------------------------------------------------------------------------- the rounds


class Row(NamedTuple):
    """One model at one depth, over all rounds."""

    name: str
    depth: int
    measured: list[Point]
    predicted: list[Pace]

    def off(self, what: str) -> float:
        """Of the median: the prediction over the measurement of the same round, less one."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return statistics.median(getattr(p, what) / getattr(m, what) for p, m in pairs) - 1

    @property
    def far(self) -> int:
        """How many of the two are out of bounds."""
        return sum(abs(self.off(what)) > NEAR for what in ("prefill", "decode"))

    def spread(self, what: str) -> float:
        """Of the round that is farthest from the median."""
        speeds = [getattr(point, what) for point in self.measured]
        return max(abs(s / statistics.median(speeds) - 1) for s in speeds)

    def cells(self, what: str) -> list[str]:
        predicted = statistics.median(getattr(pace, what) for pace in self.predicted)
        measured = statistics.median(getattr(point, what) for point in self.measured)
        spread = f"{measured:.1f} ± {self.spread(what):.0%}"
        return [f"{predicted:.1f}", spread, f"{self.off(what):+.0%}"]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--depth", default=",".join(map(str, DEPTHS)))
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child()
    depths = sorted({int(depth) for depth in args.depth.split(",")})
    with tempfile.TemporaryDirectory() as folder:
        files = await models(args.only, Path(folder))
        for _, path in files:
            read_anew(path)
        rows, speeds = await rounds(files, depths, args.rounds, args.threads)
    text = "\n".join(report(rows, speeds, args.threads))
    print(text)
    if args.write:
        begin, end = BETWEEN if args.threads == 1 else TOGETHER
        put(begin, text, end)
    noisy = any(speed.noisy for speed in speeds)
    sys.exit(not noisy and any(row.far for row in rows))


async def rounds(
    files: Sequence[tuple[str, Path]], depths: Sequence[int], count: int, threads: int
) -> tuple[list[Row], list[Speed]]:
    types = {t.type_name for _, p in files for t in gguf.read(p).tensors if len(t.shape) > 1}
    known = sorted(types - {"F32"})
    measured: dict[tuple[str, int], list[Point]] = defaultdict(list)
    predicted: dict[tuple[str, int], list[Pace]] = defaultdict(list)
    speeds = []
    for number in range(count):
        speeds.append(await calibrate(known, counts=(1, threads) if threads > 1 else None))
        print(f"round {number + 1}: {said(speeds[-1])}", file=sys.stderr, flush=True)
        for name, path in files:
            for depth, point in (await measure(path, depths, threads)).items():
                pace = expected(path, speeds[-1], depth, threads)
                measured[name, depth].append(point)
                predicted[name, depth].append(pace)
                print(
                    f"  {name} @ {depth}: prefill {pace.prefill:.1f} / {point.prefill:.1f}, "
                    f"decode {pace.decode:.1f} / {point.decode:.1f}",
                    file=sys.stderr,
                    flush=True,
                )
    rows = [Row(*key, measured[key], predicted[key]) for key in measured]
    return rows, speeds


def number_of(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"


def said(speed: Speed) -> str:
    words = f"share of a core {speed.share:.0%}, spread {speed.spread:.0%}"
    return f"{words}: NOISY" if speed.noisy else words


def report(rows: Sequence[Row], speeds: Sequence[Speed], threads: int) -> list[str]:
    worst = {w: max(rows, key=lambda row: abs(row.off(w))) for w in ("prefill", "decode")}
    points = [point for row in rows for point in row.measured]
    share = statistics.median(point.share for point in points)
    noisy = [speed for speed in speeds if speed.noisy]
    outside = sum(row.far for row in rows)
    lines = [
        f"{speeds[0].processor}, {number_of(threads)}, {len(speeds)} rounds. While calibrating this process "
        f"got {statistics.median(s.share for s in speeds):.0%} of a core (spread of its figures "
        f"{statistics.median(s.spread for s in speeds):.0%}), while measuring {share:.0%}. "
        + (f"**Noisy: {len(noisy)} of {len(speeds)} rounds.**" if noisy else "No noisy round."),
        "",
        "| | worst | |",
        "| --- | --- | --- |",
    ]
    for what, row in worst.items():
        lines.append(f"| {what} | {row.off(what):+.0%} | {row.name}, depth {row.depth:,} |")
    lines += [
        f"| outside of {NEAR:.0%} | {outside} of {2 * len(rows)} | |",
        "",
        "| model | depth | prefill: predicted | measured | off by | decode: predicted | measured "
        "| off by |",
        f"|{' --- |' * 8}",
    ]
    for row in rows:
        cells = [row.name, f"{row.depth:,}", *row.cells("prefill"), *row.cells("decode")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    asyncio.run(main())
