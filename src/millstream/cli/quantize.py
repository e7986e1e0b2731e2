"""`millstream quantize`: smaller files of a model, made by llama.cpp's own quantizer."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from millstream.base import BadInput, NotHere, say
from millstream.cli.here import machine, size
from millstream.cli.parser import Parser
from millstream.cli.terminal import StatusLine, Terminal, label, percent

if TYPE_CHECKING:
    from millstream.lab.quantize import Plan, Progress, Quantized, Source
    from millstream.runtime.machine import Machine


def arguments(parser: Parser) -> None:
    parser.arg("source", metavar="SRC", help="source")
    parser.arg("--types", "-t", metavar="TYPES", required=True, help="types")
    parser.arg("--output", "-o", metavar="PATH", type=Path, help="output")
    parser.arg("--imatrix", metavar="FILE", type=Path, help="imatrix")
    parser.arg("--pure", action="store_true", help="pure")
    parser.arg("--allow-requantize", action="store_true", help="requantize")
    parser.arg("--threads", metavar="N", type=int, help="threads")
    parser.arg("--converter", metavar="PATH", default="", help="converter")
    parser.arg("--force", action="store_true", help="force")
    parser.arg("--dry-run", action="store_true", help="dry-run")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    return asyncio.run(_run(args, terminal))


async def _run(args: Namespace, terminal: Terminal) -> int:
    from millstream.lab.quantize import Quantizer, Source, types_of
    from millstream.lab.report import html
    from millstream.lab.report.quantize import report

    types = types_of(args.types)
    if args.report:
        html.check(args.report)
    if args.threads is not None and args.threads < 1:
        raise BadInput("bench.bad-number", option="--threads", given=str(args.threads), least=1)
    here = machine(args, terminal)
    try:
        async with _source(args, here, terminal) as (path, name):
            source = Source(path, requantize=args.allow_requantize, name=name)
            for words in source.warnings:
                terminal.trouble(words, warning=True)
            quantizer = Quantizer(
                source,
                args.output or here.home.shelf,
                imatrix=args.imatrix,
                pure=args.pure,
                threads=args.threads,
                replace=args.force,
                made_from=args.source,
            )
            if args.dry_run:
                plans = quantizer.plans(types)
                if args.report:
                    html.write(report(plans, source), args.report)
                _tell_plans(plans, source, args, terminal)
                return 0
            with _Line(terminal, source.name) as line:
                made = await quantizer.run(types, line.show)
            if args.report:
                html.write(report(made, source), args.report)
            _tell(made, source, args, terminal)
    finally:
        await here.close()
    return 0


@asynccontextmanager
async def _source(
    args: Namespace, here: Machine, terminal: Terminal
) -> AsyncIterator[tuple[Path, str]]:
    """The GGUF file to read, converted for as long as it takes if need be, and its name."""
    from millstream.lab import names
    from millstream.lab.convert import converted

    found = await names.find(args.source, here.home, here.http)
    folder = _folder(args.source)
    if found.path is not None:
        yield found.path, ""
    elif folder is not None:
        if found.odd is not None:
            tensor, type = found.odd.name[:80], found.odd.dtype[:20]
            raise BadInput("lab.unknown-tensor-type", file=str(folder), tensor=tensor, type=type)
        named = args.output if args.output and args.output.suffix != ".gguf" else None
        if not terminal.quiet and not terminal.draws:
            terminal.err(say("quantize.converting", name=label(found.name)))
        place = named or here.home.shelf
        with _Line(terminal, found.name) as line:
            async with converted(folder, place, args.converter, line.convert) as path:
                terminal.status("")
                yield path, folder.name
    elif found.kind == "typical":
        raise BadInput("quantize.no-model", name=found.name)
    else:
        raise NotHere("quantize.not-here", name=found.name)


def _folder(word: str) -> Path | None:
    """The folder of safetensors files that a word names."""
    path = Path(os.path.realpath(Path(word).expanduser()))
    return path if path.is_dir() else path.parent if path.exists() else None


class _Line(StatusLine):
    """How far a file is."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        super().__init__(terminal)
        self.name = name

    def show(self, progress: Progress) -> None:
        name = label(f"{self.name}-{progress.type}")
        what = say(f"quantize.{progress.step}", name=name)
        self.often(lambda: what + percent(progress.done, progress.total))

    def convert(self, done: int, total: int) -> None:
        what = say("quantize.converting", name=label(self.name))
        self.often(lambda: what + percent(done, total))


def _tell(made: list[Quantized], source: Source, args: Namespace, terminal: Terminal) -> None:
    if args.json:
        terminal.write(msgspec.json.encode(made).decode() + "\n")
        return
    columns = ("type", "size", "of-source", "bits", "fallbacks", "time", "sha256", "file")
    rows = [[say(f"quantize.head-{name}") for name in columns]]
    whole = sum(path.stat().st_size for path in source.paths)
    for each in made:
        took = say("quantize.kept") if each.kept else f"{each.seconds:.1f} s"
        share = f"{100 * each.size / whole:.1f} %"
        fallbacks = f"{len(each.fallbacks)}/{sum(each.types.values())}"
        start = [each.type, size(each.size), share, f"{each.bits:.2f}", fallbacks]
        rows.append([*start, took, each.sha256[:12], each.path])
    for line in terminal.table(rows, ["cyan"], [], [], [], [], ["dim"], ["dim"]):
        terminal.out(line)
    _explain(made, source, terminal)


def _tell_plans(plans: list[Plan], source: Source, args: Namespace, terminal: Terminal) -> None:
    if args.json:
        terminal.write(msgspec.json.encode(plans).decode() + "\n")
        return
    columns = ("type", "size", "of-source", "bits", "fallbacks")
    rows = [[say(f"quantize.head-{name}") for name in columns]]
    whole = sum(path.stat().st_size for path in source.paths)
    for each in plans:
        share = f"{100 * each.size / whole:.1f} %"
        fallbacks = f"{len(each.fallbacks)}/{sum(each.types.values())}"
        rows.append([each.ftype, size(each.size), share, f"{each.bits:.2f}", fallbacks])
    for line in terminal.table(rows, ["cyan"]):
        terminal.out(line)
    _explain(plans, source, terminal)
    if not terminal.quiet:
        terminal.err(say("quantize.dry"))


def _explain(made: list[Quantized] | list[Plan], source: Source, terminal: Terminal) -> None:
    """Why a file is larger than its label says."""
    for each in made:
        if each.fallbacks and not terminal.quiet:
            tensor = each.fallbacks[0].tensor
            every = [t for header in source.headers for t in header.tensors]
            row = next(t.shape[0] for t in every if t.name == tensor)
            note = say("quantize.fallback-note", example=label(tensor), row=row)
            terminal.err(terminal.paint(note, "dim"))
            return
