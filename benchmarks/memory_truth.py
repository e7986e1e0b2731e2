"""What `millstream` predicts of memory beside what llama.cpp says, and what a process really takes.

    python benchmarks/memory_truth.py [--write] [--only TEXT] [--quick]

Three kinds of models, each in several ways of using it:

* the packaged SmolLM2-135M in every type that `millstream quantize` makes of it;
* small models of more than sixty architectures with random weights, made here (tests/lab/zoo.py);
* headers with the sizes of well-known models, without weights: llama.cpp plans their load.

Weights, caches and states have to be equal to the byte, and so have the copies that are made in
another order ("repack"). Scratch space may be off by 10 % or 8 MiB, whichever is more, and the peak
of a process by 10 %. The peak is that of the child that the embedded runtime starts, after it has
answered a prompt in every slot. Nothing is timed: a busy machine does not matter. Prints Markdown;
--write puts it into docs/lab-truth.md. Files of SmolLM2 are kept in the cache of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lab import zoo
from millstream.base import MillstreamError
from millstream.home import Home
from millstream.lab.mixes import DEFAULTS, NEED_IMATRIX
from millstream.lab.quantize import Quantizer, Source
from millstream.lab.weigh import weigh
from millstream.models import gguf, packaged
from millstream.models.embedded import EmbeddedModels
from millstream.models.footprint import Use, footprint, repack_bytes
from millstream.models.http import Http
from millstream.models.pull import pull
from millstream.models.shape import Shape, shape

MIB = 1 << 20
USES = {
    "4,096 tokens": Use(context=4096, batch=256),
    "32,768 tokens": Use(context=32768, batch=128),
    "3 slots": Use(context=2048, slots=3, batch=512),
    "3 slots, one cache": Use(context=2048, slots=3, batch=128, shared=True),
    "no flash attention": Use(context=4096, batch=512, flash=False),
    "2 slots, Q8_0 cache": Use(context=4096, slots=2, batch=256, keys="Q8_0", values="Q8_0"),
    "Q8_0 keys, Q4_0 values": Use(context=8192, batch=128, keys="Q8_0", values="Q4_0"),
    "every token sampled": Use(context=1024, batch=512, outputs=512),
    "whole windows": Use(context=4096, batch=64, whole_window=True),
}
LOADS = ((2048, 1), (4096, 2))  # context and slots of processes that are started
QUICK = ("llama-gqa", "mixtral", "qwen3moe", "gemma3", "phi3", "deepseek2", "mamba2", "jamba")
BEGIN, END = "<!-- memory -->", "<!-- end of memory -->"
PROMPT = "the river of and " * 40


@dataclass
class Row:
    """Of one model: what is off, at its worst over all uses. cache: bytes; scratch: a share and
    MiB; output: bytes; copies: bytes; peak: pairs of predicted and measured bytes."""

    name: str
    size: int = 0
    weights: int = 0
    cache: int = 0
    scratch: float = 0.0
    scratch_mib: float = 0.0
    worst: str = ""
    output: int = 0
    uses: int = 0
    copied: int = 0
    copies: int | None = None
    peaks: list[tuple[int, int]] = field(default_factory=list)
    problem: str = ""

    @property
    def peak(self) -> float:
        return max((said / was - 1 for said, was in self.peaks), key=abs, default=0.0)

    @property
    def good(self) -> bool:
        near = abs(self.scratch) <= 0.1 or abs(self.scratch_mib) <= 8
        exact = not (self.weights or self.cache or self.copies)
        return exact and near and abs(self.peak) <= 0.1 and not self.problem


async def dry(name: str, path: Path) -> Row:
    """What llama.cpp plans, beside what is predicted."""
    header = gguf.read(path)
    sizes = shape(header)
    row = Row(name, size=header.weight_bytes)
    uses = {label: use for label, use in USES.items() if _possible(sizes, use)}
    try:
        weighed = await weigh(path, list(uses.values()))
    except MillstreamError as error:
        row.problem = str(error)
        return row
    row.weights, row.uses = header.weight_bytes - weighed.size, len(uses)
    for label, use, buffers in zip(uses, uses.values(), weighed.buffers, strict=True):
        made = footprint([header], use, sizes=sizes)
        row.cache = max(row.cache, made.cache + made.states - buffers.cache, key=abs)
        off = made.compute - buffers.compute
        share = off / buffers.compute
        if _badness(share, off) > _badness(row.scratch, row.scratch_mib * MIB):
            row.scratch, row.scratch_mib, row.worst = share, off / MIB, label
        if use.outputs is None:  # of many outputs there is only room once they come
            row.output = max(row.output, made.output - buffers.output, key=abs)
    return row


def _possible(sizes: Shape, use: Use) -> bool:
    """Whether llama.cpp takes such a cache: blocks have to fit into a head, and where values are
    read out of the keys both have one type."""
    blocks = all(length % 32 == 0 for length in (sizes.key, sizes.value))
    return use.keys == "F16" or (blocks and (use.keys == use.values or not sizes.latent))


def _badness(share: float, off: float) -> tuple[bool, float]:
    outside = abs(share) > 0.1 and abs(off) > 8 * MIB
    return outside, abs(share) if abs(off) > MIB / 2 else 0.0


async def loaded(row: Row, path: Path, loads: Sequence[tuple[int, int]]) -> None:
    """What a load of the file makes, and what a process has at its peak."""
    header = gguf.read(path)
    weighed = await weigh(path, [Use(context=512, batch=64)], mapped=True)
    copied = weighed.buffers[0].weights.get("CPU_REPACK", 0)
    row.copied, row.copies = copied, repack_bytes([header]) - copied
    for context, slots in loads:
        row.peaks.append(await peak(path, context, slots))


async def peak(path: Path, context: int, slots: int) -> tuple[int, int]:
    """Bytes that the embedded runtime predicts for a load, and those its child had at most."""
    os.environ["MILLSTREAM_EMBEDDED_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        async with Http(environ={}) as http:
            models = EmbeddedModels(Home.open(folder), http)
            try:
                target = await models.target(path, context=context, slots=slots)
                (model,) = models.loaded()
                key = target.key.reveal() if target.key else ""
                body = {"prompt": PROMPT, "max_tokens": 4, "temperature": 0}
                calls = (
                    http.request_json(
                        "POST",
                        f"{target.base_url}/completions",
                        headers={"Authorization": f"Bearer {key}"},
                        json=body,
                    )
                    for _ in range(slots)
                )
                await asyncio.gather(*calls)
                status = Path(f"/proc/{model.pid}/status").read_text()  # noqa: ASYNC240
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                assert found is not None
                return model.memory, int(found[1]) << 10
            finally:
                await models.close()


# ---------------------------------------------------------------------------------------- the models


async def packaged_types(only: str, types: Sequence[str]) -> list[tuple[str, Path]]:
    """SmolLM2 as it is packaged, as F16, and in other types that are made of that."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream-tests"
    home = Home.open(os.environ.get("MILLSTREAM_TEST_CACHE") or usual)
    async with Http() as http:
        model = (await pull(packaged.NAME, home, http)).model
    assert model is not None
    folder = Path(os.environ.get("MILLSTREAM_TEST_CACHE") or usual) / "truth"
    folder.mkdir(exist_ok=True)
    made = await Quantizer(Source(model.path, requantize=True), folder).run(["F16"])
    files = [("SmolLM2-135M Q4_1, packaged", model.path), ("SmolLM2-135M F16", Path(made[0].path))]
    source = Source(files[1][1])
    for name in types:
        label = f"SmolLM2-135M {name}"
        if name == "F16" or name in NEED_IMATRIX or only not in label:
            continue
        try:
            (quant,) = await Quantizer(source, folder).run([name])
        except MillstreamError as error:  # rows of 576 numbers don't fit
            print(f"{name}: {error.message}", file=sys.stderr)
            continue
        files.append((label, Path(quant.path)))
    return files


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a few models, one load each")
    parser.add_argument("--only", default="", help="models with this in their names")
    args = parser.parse_args()
    loads = LOADS[:1] if args.quick else LOADS
    groups: dict[str, list[Row]] = {"packaged": [], "small": [], "real": []}
    types = ("Q8_0", "Q4_0", "Q4_K_M") if args.quick else tuple(DEFAULTS)
    for name, path in await packaged_types(args.only, types):
        if args.only in name:
            groups["packaged"].append(await both(name, path, loads))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        for name in QUICK if args.quick else zoo.SMALL:
            if args.only in name:
                zoo.write(path, name)
                groups["small"].append(await both(name, path, loads))
        for name in zoo.REAL:
            if args.only in name and not args.quick:
                zoo.hollow(path, name, zoo.Q4_K)
                groups["real"].append(await dry(name, path))
                note(groups["real"][-1])
    text = "\n".join(report(groups))
    print(text)
    if args.write:
        put(BEGIN, text, END)
    sys.exit(
        not all(row.good or row.name in zoo.UNSURE for rows in groups.values() for row in rows)
    )


async def both(name: str, path: Path, loads: Sequence[tuple[int, int]]) -> Row:
    row = await dry(name, path)
    if not row.problem:
        await loaded(row, path, loads)
    note(row)
    return row


def note(row: Row) -> None:
    print("ok " if row.good else "OFF", row.name, row.problem, file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------------- the table


def report(groups: dict[str, list[Row]]) -> list[str]:
    titles = {
        "packaged": "SmolLM2-135M in the types that `quantize` makes",
        "small": "Small models with random weights, loaded and run",
        "real": "Sizes of well-known models in Q4_K, planned by llama.cpp without weights",
    }
    rows = [row for each in groups.values() for row in each]
    lines = [summary(rows), ""]
    for kind, some in groups.items():
        if some:
            lines += ["<details>", f"<summary>{titles[kind]}: {len(some)}</summary>", ""]
            lines += [*table(some, kind != "real"), "", "</details>", ""]
    return lines[:-1]


def summary(rows: Sequence[Row]) -> str:
    sure = [row for row in rows if row.name not in zoo.UNSURE]
    scratch = max(sure, key=lambda row: _badness(row.scratch, row.scratch_mib * MIB))
    peak = max(rows, key=lambda row: abs(row.peak))
    exact = sum(not (row.weights or row.cache or row.copies or row.problem) for row in rows)
    uses = sum(row.uses for row in rows)
    loads = sum(len(row.peaks) for row in rows)
    output = max((abs(row.output) for row in rows), default=0)
    return "\n".join(
        [
            f"{len(rows)} models, {uses} ways of using them, {loads} processes.",
            "",
            "| | worst |",
            "| --- | --- |",
            f"| weights, caches and states, copies | equal to the byte: {exact} of {len(rows)} |",
            f"| scratch space | {scratch.scratch:+.1%}, {scratch.scratch_mib:+.1f} MiB "
            f"({scratch.name}, {scratch.worst}) |",
            f"| output | {output:,} bytes; llama.cpp's log rounds to 10,486 |",
            f"| peak of a process | {peak.peak:+.1%} ({peak.name}) |",
        ]
    )


def table(rows: Sequence[Row], ran: bool) -> list[str]:
    heads = [
        "model",
        "weights, bytes",
        "weights off by",
        "caches off by",
        "scratch off by, at worst",
    ]
    heads += ["copies, bytes", "copies off by", "peak predicted / measured, MiB"] if ran else []
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for row in rows:
        if row.problem:
            lines.append(f"| {row.name} | {row.problem} |" + " |" * (len(heads) - 2))
            continue
        scratch = f"{row.scratch:+.1%}, {row.scratch_mib:+.1f} MiB ({row.worst})"
        if not row.worst:
            scratch = "less than half a MiB"
        cells = [row.name, f"{row.size:,}", f"{row.weights}", f"{row.cache}", scratch]
        if ran:
            peaks = ", ".join(
                f"{said / MIB:.1f} / {was / MIB:.1f} ({said / was - 1:+.1%})"
                for said, was in row.peaks
            )
            cells += [f"{row.copied:,}", f"{row.copies}", peaks]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def put(begin: str, text: str, end: str) -> None:
    """Put a table between its two marks in docs/lab-truth.md."""
    path = ROOT / "docs" / "lab-truth.md"
    whole = path.read_text()
    before, rest = whole.split(begin)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    asyncio.run(main())
