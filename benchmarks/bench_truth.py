"""Whether `millstream bench` tells the truth: beside independent clients, on one endpoint that sends
its tokens at known moments; and how much traffic the client can take before it is the bottleneck.

    python benchmarks/bench_truth.py [--aiperf PATH] [--guidellm PATH] [--limit]

An endpoint on loopback (tests/lab/paced.py) sends the first token 50 ms after a request and one more
every 10 ms. Every client that is here measures it, one after the other; the difference from ours is
printed for each figure. AIPerf and GuideLLM are looked for in the PATH, or where the options say;
install each in an environment of its own:

    pip install aiperf
    pip install guidellm        (brings torch, for the loader that feeds its prompts)

Both want a tokenizer, to make prompts with: a folder with one is made here, so that no hub is
needed. The last row is OpenAI's own SDK in a loop of ten lines, timed by hand. --limit measures
how many pieces a second ours can read at 64 calls at once, from a server that sends them as fast as
it can, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIRST, GAP, TOKENS, PROMPT = 0.05, 0.01, 64, 64
POINTS = ((1, 30), (8, 160))  # calls at once, calls
FIGURES = ("first", "gap", "seconds", "requests", "output")
NAMES = ("first token ms", "inter-token ms", "per sample ms", "requests/s", "output tokens/s")
KNOWN = {"first": FIRST, "gap": GAP, "seconds": FIRST + (TOKENS - 1) * GAP}
WITHIN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--aiperf", default=shutil.which("aiperf"))
    parser.add_argument("--guidellm", default=shutil.which("guidellm"))
    parser.add_argument("--limit", action="store_true")
    args = parser.parse_args()
    if args.limit:
        limit()
        return
    clients: dict[str, Callable[[str, int, int, Path], dict[str, float]]] = {"millstream": ours}
    if args.aiperf:
        clients["aiperf"] = lambda *a: aiperf(args.aiperf, *a)
    if args.guidellm:
        clients["guidellm"] = lambda *a: guidellm(args.guidellm, *a)
    clients["openai SDK"] = by_hand
    print("| at once | client |", " | ".join(NAMES), "|")
    print("| --- | --- |", " | ".join("---:" for _ in NAMES), "|")
    worst = 0.0
    with Server(FIRST, GAP) as url, tempfile.TemporaryDirectory() as folder:
        tokenizer(Path(folder))
        for at_once, calls in POINTS:
            known = KNOWN | {"requests": at_once / KNOWN["seconds"]}
            known["output"] = known["requests"] * TOKENS
            row(at_once, "(known)", known, {})
            mine: dict[str, float] = {}
            for name, client in clients.items():
                found = client(url, at_once, calls, Path(folder))
                mine = mine or found
                row(at_once, name, found, {} if found is mine else mine)
                if client is not by_hand:  # the SDK is slow itself
                    worst = max([worst, *(abs(found[k] / mine[k] - 1) for k in FIGURES)])
    print(f"\nlargest difference between ours and a benchmark of others: {worst:.1%}")
    sys.exit(worst > WITHIN)


def row(at_once: int, name: str, found: dict[str, float], ours: dict[str, float]) -> None:
    cells = []
    for key in FIGURES:
        value = found[key] * (1000 if key in KNOWN else 1)
        cells.append(f"{value:.2f}" + (f" ({found[key] / ours[key] - 1:+.1%})" if ours else ""))
    print(f"| {at_once} | {name} |", " | ".join(cells), "|", flush=True)


class Server:
    """The paced server, in a process of its own."""

    def __init__(self, first: float, gap: float) -> None:
        self.words = [str(first), str(gap)]

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "lab.paced", *self.words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=ROOT / "tests", stdin=pipe, stdout=pipe, text=True
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *exc: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def measured(url: str, *words: str) -> Any:
    command = [sys.executable, "-m", "millstream", "bench", url, "--json", "--no-roofline", *words]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "MILLSTREAM_HOME": home}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)["measured"][0]["stages"][0]


def ours(url: str, at_once: int, calls: int, folder: Path) -> dict[str, float]:
    stage = measured(
        url, "-p", str(PROMPT), "-n", str(TOKENS), "-c", str(at_once), "-r", "2",
        "--requests", str(calls // 2),
    )  # fmt: skip
    made = stage["figures"]
    return {key: made[key]["mean"] for key in FIGURES}


def aiperf(program: str, url: str, at_once: int, calls: int, folder: Path) -> dict[str, float]:
    root = url.removesuffix("/v1")
    out = folder / "aiperf"
    command = [
        program, "profile", "--model", "m", "--url", root, "--endpoint-type", "chat", "--streaming",
        "--tokenizer", str(folder), "--concurrency", str(at_once), "--request-count", str(calls),
        "--warmup-request-count", str(at_once), "--isl", str(PROMPT), "--osl", str(TOKENS),
        "--use-server-token-count", "--artifact-dir", str(out), "--ui", "none",
    ]  # fmt: skip
    run(command)
    told = json.loads((out / "profile_export_aiperf.json").read_text())
    return {
        "first": told["time_to_first_token"]["avg"] / 1000,
        "gap": told["inter_token_latency"]["avg"] / 1000,
        "seconds": told["request_latency"]["avg"] / 1000,
        "requests": told["request_throughput"]["avg"],
        "output": told["output_token_throughput"]["avg"],
    }


def guidellm(program: str, url: str, at_once: int, calls: int, folder: Path) -> dict[str, float]:
    out = folder / "guidellm.json"
    profile = "kind=synchronous" if at_once == 1 else f"kind=concurrent,streams={at_once}"
    command = [
        program, "run", "--backend", f"kind=openai_http,target={url.removesuffix('/v1')},model=m",
        "--profile", profile, "--constraint", f"kind=max_requests,count={calls}",
        "--tokenizer", f"kind=hf_auto,model={folder}",
        "--data", f"kind=synthetic_text,prompt_tokens={PROMPT},output_tokens={TOKENS}",
        "--output", f"kind=json,path={out}", "--disable-progress",
    ]  # fmt: skip
    run(command)
    told = json.loads(out.read_text())["benchmarks"][0]["metrics"]

    def mean(name: str) -> float:
        return float(told[name]["successful"]["mean"])

    return {
        "first": mean("time_to_first_token_ms") / 1000,
        "gap": mean("inter_token_latency_ms") / 1000,
        "seconds": mean("request_latency"),
        "requests": mean("requests_per_second"),
        "output": mean("output_tokens_per_second"),
    }


def run(command: list[str]) -> None:
    """Run a client that is to reach no hub."""
    env = {**os.environ, "USE_TORCH": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout[-3000:] + done.stderr[-3000:])


def by_hand(url: str, at_once: int, calls: int, folder: Path) -> dict[str, float]:
    """OpenAI's SDK, and nothing of ours."""
    from openai import AsyncOpenAI

    times: list[list[float]] = []

    async def work() -> float:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            left = iter(range(calls))

            async def worker(keep: bool) -> None:
                for _ in left if keep else range(1):
                    sent = time.perf_counter()
                    stream = await client.chat.completions.create(
                        model="m",
                        messages=[{"role": "user", "content": "word " * PROMPT}],
                        max_tokens=TOKENS,
                        stream=True,
                    )
                    came = [sent]
                    async for chunk in stream:
                        if chunk.choices and chunk.choices[0].delta.content:
                            came.append(time.perf_counter())
                    if keep:
                        times.append(came)

            await asyncio.gather(*(worker(False) for _ in range(at_once)))
            began = time.perf_counter()
            await asyncio.gather(*(worker(True) for _ in range(at_once)))
            return time.perf_counter() - began

    took = asyncio.run(work())
    gaps = [b - a for came in times for a, b in pairwise(came[1:])]
    return {
        "first": statistics.fmean(came[1] - came[0] for came in times),
        "gap": statistics.fmean(gaps),
        "seconds": statistics.fmean(came[-1] - came[0] for came in times),
        "requests": len(times) / took,
        "output": sum(len(came) - 1 for came in times) / took,
    }


def limit() -> None:
    """Pieces a second at 64 calls at once, as fast as the server sends."""
    with Server(0, 0) as url:
        stage = measured(
            url, "-p", "16", "-n", "500", "-c", "64", "-r", "3", "--requests", "256"
        )  # fmt: skip
    speed = stage["figures"]["output"]
    print(f"{speed['mean']:,.0f} ± {speed['sd']:,.0f} pieces a second at 64 calls at once")
    print(
        f"of a core: {stage['client']:.0%}; each piece {1e6 * stage['client'] / speed['mean']:.0f} µs"
    )


def tokenizer(folder: Path) -> None:
    """A tokenizer in Hugging Face's form: each word of a short list is a token."""
    words = [
        *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child"),
        *("world", "school", "state", "family", "student", "group", "country", "problem", "word"),
    ]
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *words])}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    pieces = [
        {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Removed", "invert": False},
        {"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Isolated", "invert": False},
    ]
    made = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": word, "special": True, **special}
            for i, word in enumerate(["<unk>", "<s>", "</s>"])
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pieces},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    (folder / "tokenizer.json").write_text(json.dumps(made))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main()
