"""`millstream compare`: one model in every precision, beside the rule that everybody quotes."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from millstream.base import BadInput, MillstreamError, NotHere, say
from millstream.cli.here import machine, size
from millstream.cli.parser import Parser
from millstream.cli.terminal import StatusLine, Terminal, label, percent

if TYPE_CHECKING:
    from millstream.lab.compare import Compared
    from millstream.lab.compare import Progress as Measuring
    from millstream.lab.hardware import Machine as Hardware
    from millstream.lab.hardware import Speed
    from millstream.lab.names import Model
    from millstream.lab.quantize import Progress, Source
    from millstream.runtime.machine import Machine

INTERRUPTED = 130
_NUMBERS = (("context", 256), ("slots", 1), ("prompt", 8), ("output", 2), ("chunks", 0),
            ("rounds", 1), ("repetitions", 1))  # fmt: skip


def arguments(parser: Parser) -> None:
    parser.arg("model", metavar="MODEL", help="model")
    parser.arg("--types", "-t", metavar="TYPES", default="", help="types")
    parser.arg("--predict", action="store_true", help="predict")
    parser.arg("--allow-requantize", action="store_true", help="requantize")
    parser.arg("--context", "-c", metavar="TOKENS", type=int, default=4096, help="context")
    parser.arg("--slots", "-s", metavar="N", type=int, default=1, help="slots")
    parser.arg("--prompt", "-p", metavar="TOKENS", type=int, default=256, help="prompt")
    parser.arg("--output", "-n", metavar="TOKENS", type=int, default=64, help="output")
    parser.arg("--chunks", metavar="N", type=int, default=4, help="chunks")
    parser.arg("--no-tasks", action="store_true", help="no-tasks")
    parser.arg("--rounds", metavar="N", type=int, default=2, help="rounds")
    parser.arg("--repetitions", "-r", metavar="N", type=int, default=3, help="repetitions")
    parser.arg("--scratch", metavar="DIR", type=Path, help="scratch")
    parser.arg("--keep", action="store_true", help="keep")
    parser.arg("--no-speed", action="store_true", help="no-speed")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    return asyncio.run(_run(args, terminal))


async def _run(args: Namespace, terminal: Terminal) -> int:
    from millstream.lab import compare, hardware, names
    from millstream.lab.quantize import types_of
    from millstream.lab.report import html
    from millstream.models.footprint import Use

    for name, least in _NUMBERS:
        if getattr(args, name) < least:
            values = {"given": getattr(args, name), "least": least}
            raise BadInput("compare.number", option=f"--{name}", **values)
    types = [*compare.USUAL, *(types_of(args.types) if args.types else [])]
    if args.report:
        html.check(args.report)
    here, line = machine(args, terminal), _Line(terminal)
    ended: MillstreamError | asyncio.CancelledError | None = None
    found: Compared | None = None
    try:
        line.say(say("compare.finding", word=label(args.model)))
        model = await names.find(args.model, here.home, here.http)
        own = model.header.quantization
        if own == "BF16":  # it is this model's form of FP16
            types = ["BF16" if type == "F16" else type for type in types]
        hard = await hardware.look()
        speed = await _speed(model, here, args, line)
        use = Use(context=args.context, slots=args.slots, batch=128)
        depth = args.prompt + args.output // 2
        found = compare.foresee(model, types, use, hard, speed, depth=depth)
        if model.path is not None and not args.predict:
            await _measure(found, model, hard, here, args, line)
    except (MillstreamError, asyncio.CancelledError) as error:
        if found is None or not found.measured:
            raise
        ended = error  # what was measured before it is shown all the same
        found.interrupted = True
    finally:
        line.say("")
        await here.close()
    _finish(found, args, terminal)
    if isinstance(ended, MillstreamError):
        raise ended
    if ended is not None:
        return INTERRUPTED
    if (trouble := found.trouble) is not None:
        terminal.trouble(trouble.message, None, trouble.next)
        return trouble.exit_code
    return 0


async def _speed(model: Model, here: Machine, args: Namespace, line: _Line) -> Speed | None:
    """This machine's calibration, for predictions; None where llama.cpp's library is not here."""
    from millstream.lab import hardware

    if args.no_speed:
        return None
    line.say(say("compare.calibrating"))
    try:
        return await hardware.speed(here.home, hardware.USUAL_TYPES)
    except NotHere:
        line.terminal.tell(line.terminal.paint(say("compare.no-library"), "dim"))
        return None


async def _measure(
    found: Compared, model: Model, hard: Hardware, here: Machine, args: Namespace, line: _Line
) -> None:
    from millstream.lab import compare, library
    from millstream.lab.compare import Trial
    from millstream.lab.loss import Options
    from millstream.lab.quantize import Source
    from millstream.lab.tasks import LANGUAGES

    assert model.path is not None
    try:
        source = Source(model.path, requantize=args.allow_requantize)
    except BadInput as error:
        if error.code != "quantize.quantized":
            raise
        raise BadInput("compare.only-plain", name=model.name, types=error.values["types"]) from None
    library.require(model.name, source.first.architecture)
    found.requantized = _quantized(source)
    rows = list(compare.measurable(found))
    for row in found.rows:
        if row not in rows:
            free = size(hard.free or 0)
            large = say("compare.too-large", memory=size(row.memory), free=free)
            row.trouble = row.impossible or large
    if len(rows) < 2:
        raise NotHere("compare.nothing-fits", name=model.name)
    trial = Trial(
        prompt=args.prompt,
        output=args.output,
        rounds=args.rounds,
        repetitions=args.repetitions,
        loss=Options(
            chunks=args.chunks,
            folder=args.scratch,
            languages=() if args.no_tasks else LANGUAGES,
        ),
    )
    async with _files(source, [row.type for row in rows], here, args, line) as files:
        await compare.measure(found, files, here.home, here.http, trial, line.measuring)


def _quantized(source: Source) -> str:
    kinds: dict[str, int] = {}
    for header in source.headers:
        for tensor in header.tensors:
            if tensor.type_name not in ("F32", "F16", "BF16") and len(tensor.shape) > 1:
                kinds[tensor.type_name] = kinds.get(tensor.type_name, 0) + 1
    return ", ".join(f"{count} × {name}" for name, count in sorted(kinds.items()))


@asynccontextmanager
async def _files(
    source: Source, types: list[str], here: Machine, args: Namespace, line: _Line
) -> AsyncIterator[dict[str, Path]]:
    """A file of each type: the source itself, one that is there already, or a new one, which goes
    away at the end unless it is to stay."""
    from millstream.lab.aside import aside
    from millstream.lab.quantize import Quantizer

    own = source.first.quantization
    files = {own: source.paths[0]} if own in types and own in ("F32", "F16", "BF16") else {}
    folders = [folder for folder in (args.scratch, source.paths[0].parent) if folder is not None]
    for place in (here.home.shelf, *(folder for folder in folders if folder.is_dir())):
        if missing := [type for type in types if type not in files]:
            files |= await Quantizer(source, place).there(missing, line.making)
    missing = [type for type in types if type not in files]
    if args.keep:
        made = await Quantizer(source, args.scratch or here.home.shelf).run(missing, line.making)
        yield files | {each.type: Path(each.path) for each in made}
        return
    with aside(args.scratch or here.home.shelf) as folder:
        made = await Quantizer(source, folder).run(missing, line.making) if missing else []
        yield files | {each.type: Path(each.path) for each in made}


class _Line(StatusLine):
    """How far a comparison is."""

    def making(self, progress: Progress) -> None:
        key = "compare.checking" if progress.step == "checking" else "compare.making"
        self.often(lambda: say(key, type=progress.type) + percent(progress.done, progress.total))

    def measuring(self, progress: Measuring) -> None:
        name, done, total = progress.name, progress.done, progress.total
        if progress.step == "timing":
            self.say(say("compare.timing", type=name, done=done + 1, total=total))
        else:
            self.often(lambda: say("compare.losing", type=name) + percent(done, total))


# --------------------------------------------------------------------------------------- the result


def _finish(found: Compared, args: Namespace, terminal: Terminal) -> None:
    if args.report:
        from millstream.lab.report import html
        from millstream.lab.report.compare import report

        html.write(report(found), args.report)
    if args.json:
        terminal.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _tell(found, args, terminal)


def _tell(found: Compared, args: Namespace, terminal: Terminal) -> None:
    from millstream.lab.report import compare as words

    parameters = words.billions(found.parameters)
    title = say("compare.title", name=label(found.name), parameters=parameters)
    terminal.out(terminal.paint_out(title, "bold"))
    for head, table in words.tables(found):
        terminal.out()
        terminal.out(terminal.paint_out(head, "bold"))
        rows = [[text if text is not None else "–" for text in row] for row in table]
        for line in terminal.table(rows, ["cyan"]):
            terminal.out(line)
    terminal.out()
    for line in words.summary(found):
        terminal.out(line)
    for note in _notes(found, args):
        terminal.out(terminal.paint_out(note, "dim"))


def _notes(found: Compared, args: Namespace) -> Iterator[str]:
    from millstream.lab.report import compare as words

    if not found.measured:
        yield say("compare.predicted" if args.predict else "compare.only-predicted")
    yield from words.notes(found)
    if args.keep and found.measured:
        from millstream.home import Home

        folder = args.scratch or Home.open(args.home).shelf.path
        yield say("compare.kept", folder=label(str(folder)))
