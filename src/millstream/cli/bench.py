"""`millstream bench`: how fast a model really is, here or at a server."""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, say
from millstream.cli.here import machine, size
from millstream.cli.parser import Parser, filled
from millstream.cli.terminal import StatusLine, Terminal, label
from millstream.home import files

if TYPE_CHECKING:
    from millstream.lab.bench.against import Comparison
    from millstream.lab.bench.measure import Ask, Bench, Measured, Progress, Run
    from millstream.lab.bench.subject import Subject
    from millstream.lab.hardware import Speed
    from millstream.runtime.machine import Machine

INTERRUPTED = 130
_FEW = 3  # points that are shown with all their figures
_PROFILES = ("synchronous", "concurrent", "constant", "poisson", "sweep")


def arguments(parser: Parser) -> None:
    parser.arg("targets", metavar="MODEL", nargs="+", help="targets")
    parser.set_defaults(more="targets")
    parser.arg("--model", metavar="NAME", type=filled, help="model")
    parser.arg("--prompt", "-p", metavar="TOKENS", default="512", help="prompt")
    parser.arg("--output", "-n", metavar="TOKENS", default="128", help="output")
    parser.arg("--depth", "-d", metavar="TOKENS", default="0", help="depth")
    parser.arg("--concurrency", "-c", metavar="N", default="", help="concurrency")
    parser.arg("--profile", choices=_PROFILES, help="profile")
    parser.arg("--rate", metavar="PER_SECOND", default="", help="rate")
    parser.arg("--requests", metavar="N", default="0", help="requests")
    parser.arg("--repetitions", "-r", metavar="N", default="5", help="repetitions")
    parser.arg("--warm-up", metavar="N", default="1", help="warm-up")
    parser.arg("--threads", "-t", metavar="N", default="", help="threads")
    parser.arg("--batch", "-b", metavar="TOKENS", default="", help="batch")
    parser.arg("--gpu-layers", metavar="N", default="", help="gpu-layers")
    parser.arg("--timeout", metavar="SECONDS", default="300", help="timeout")
    parser.arg("--seed", metavar="N", default="0", help="seed")
    parser.arg("--no-roofline", action="store_true", help="no-roofline")
    parser.arg("--calibrate", action="store_true", help="calibrate")
    parser.arg("--watts", metavar="W", default="0", help="watts")
    parser.arg("--kwh-price", metavar="PRICE", default="0", help="kwh-price")
    parser.arg("--hour-price", metavar="PRICE", default="0", help="hour-price")
    parser.arg("--currency", metavar="WORD", default="", help="currency")
    parser.arg("--save", metavar="FILE", type=Path, help="save")
    parser.arg("--against", metavar="FILE", type=Path, help="against")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    return asyncio.run(_run(args, terminal))


async def _run(args: Namespace, terminal: Terminal) -> int:
    from millstream.lab.bench import against
    from millstream.lab.report import html

    ask = _ask(args)
    before = against.load(args.against) if args.against else None
    if args.save is not None:
        _check(args.save)
    if args.report is not None:
        html.check(args.report)
    bench: Bench | None = None
    here = machine(args, terminal)
    line = _Line(terminal)
    try:
        bench, subjects = await _prepare(args, ask, here, line)
        for subject in subjects:
            await bench.measure(subject)
    except asyncio.CancelledError:
        if bench is None:
            raise
        bench.run.interrupted = True
    finally:
        line.say("")
        await here.close()
    return _finish(bench.run, before, args, terminal)


async def _prepare(
    args: Namespace, ask: Ask, here: Machine, line: _Line
) -> tuple[Bench, list[Subject]]:
    """Everything that is known before the first call. Of several models those that are not there
    become troubles of the run."""
    from millstream.lab import hardware
    from millstream.lab.bench.measure import Bench, Measured, Trouble
    from millstream.lab.bench.subject import find, patience

    here.http.patience = patience(ask.timeout, here.http.patience)
    if args.model and not any(word.startswith(("http://", "https://")) for word in args.targets):
        raise BadInput("bench.model-alone")
    subjects, lost = [], {}
    for word in args.targets:
        line.say(say("bench.finding", word=label(word)))
        try:
            subjects.append(await find(word, here.home, here.http, model=args.model or ""))
        except (NotHere, Failed) as error:
            if len(args.targets) == 1:
                raise
            lost[label(word)] = error
    for subject in subjects:
        subject.require(ask.longest)
    for option in ("threads", "batch", "gpu_layers"):
        other = next((s.label for s in subjects if not s.loads), "")
        if getattr(args, option) and other:
            name = f"--{option.replace('_', '-')}"
            raise BadInput("bench.not-loaded-here", option=name, model=other)
    speed: Speed | None = None
    near = [s.model for s in subjects if s.near and s.model is not None]
    types = {t.type_name for m in near for t in m.tensors if len(t.shape) > 1}
    if types and not args.no_roofline:
        line.say(say("bench.calibrating"))
        wanted = [*hardware.USUAL_TYPES, *sorted(types)]
        speed = await hardware.speed(here.home, wanted, anew=args.calibrate)
    found = await hardware.look()
    bench = Bench(ask, machine=found, speed=speed, tell=line.show)
    bench.run.measured += [
        Measured(name, "missing", trouble=Trouble.of(error)) for name, error in lost.items()
    ]
    return bench, subjects


def _finish(run: Run, before: Run | None, args: Namespace, terminal: Terminal) -> int:
    """Save, report and print what was measured; the exit code."""
    from millstream.lab.bench import words
    from millstream.lab.bench.against import Printed

    measured = [each for each in run.measured if any(s.figures.calls for s in each.stages)]
    # Files come first, as whoever reads what is printed may go away in the middle of it.
    comparison, errors = _keep(run, before, args) if measured else (None, [])
    if args.json:
        printed = Printed(**msgspec.structs.asdict(run), comparison=comparison)
        terminal.write(msgspec.json.encode(printed).decode() + "\n")
    else:
        for each in measured:
            _tell(each, run, terminal)
        for text in words.disturbed(run):
            terminal.out(terminal.paint_out("! ", "yellow") + text)
        if comparison is not None:
            _tell_comparison(comparison, terminal)
    code = 0
    for error in errors:
        terminal.error(error)
        code = code or error.exit_code
    for each in run.measured:
        for text in words.failed(each) if each in measured else ():
            terminal.trouble(f"{each.label}: {text}")
            code = code or 1
        if each.trouble is not None:
            message = say("bench.trouble", label=each.label, message=each.trouble.message)
            kept = say("bench.kept") if each in measured else ""
            terminal.trouble(message, None, f"{each.trouble.next} {kept}".strip())
            code = code or each.trouble.exit_code
    if not measured:
        for path in filter(None, (args.save, args.report)):
            terminal.err(say("bench.not-written", file=label(str(path))))
    if run.interrupted:
        terminal.err(say("bench.stopped" if measured else "bench.nothing-yet"))
        return INTERRUPTED
    return code


def _keep(
    run: Run, before: Run | None, args: Namespace
) -> tuple[Comparison | None, list[MillstreamError]]:
    """Save a run, compare it, and write its report: the comparison, and what could not be done.
    None of these costs the figures, nor the others."""
    from millstream.lab.bench import against

    comparison: Comparison | None = None
    errors: list[MillstreamError] = []
    with _noted(errors):
        if args.save:
            _write(args.save, msgspec.json.encode(run))
    with _noted(errors):
        if before is not None:
            comparison = against.compare(before, run, str(args.against))
    with _noted(errors):
        if args.report:
            from millstream.lab.report import html
            from millstream.lab.report.bench import report

            html.write(report(run, comparison), args.report)
    return comparison, errors


@contextmanager
def _noted(errors: list[MillstreamError]) -> Iterator[None]:
    """Goes on after an error, and keeps it."""
    try:
        yield
    except MillstreamError as error:
        errors.append(error)


_LARGEST = 1 << 28  # bytes of a saved run


def _check(path: Path) -> None:
    """Say before the work that a run can't be saved there. Raises BadInput."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInput("bench.no-folder", file=str(path), folder=str(folder))
    if reason := files.refusal(path):
        raise BadInput("bench.cannot-write", file=str(path), reason=reason)
    if path.is_file() and path.stat().st_size and not _is_run(path):
        raise BadInput("bench.not-replaced", file=str(path))


def _is_run(path: Path) -> bool:
    """Whether a file is a saved run; a model, or an app, may have been named by mistake."""
    from millstream.lab.bench import against

    try:
        return path.stat().st_size < _LARGEST and bool(against.load(path))
    except BadInput:
        return False


def _write(path: Path, data: bytes) -> None:
    """A run into a file. Raises Failed."""
    try:
        files.put(path, data)
    except (Failed, BrokenPipeError) as error:
        raise Failed("bench.cannot-write", file=str(path), reason=files.reason(error)) from None


# ------------------------------------------------------------------------------- what is asked


def _ask(args: Namespace) -> Ask:
    from millstream.lab.bench.cost import Prices
    from millstream.lab.bench.measure import Ask

    rates = tuple(_number("--rate", word, 0.001) for word in _words(args.rate))
    concurrency = _counts("--concurrency", args.concurrency, 1)
    profile = args.profile or _profile(rates, concurrency)
    if profile in ("constant", "poisson"):
        if not rates:
            raise BadInput("bench.needs-rate", profile=profile)
        if any(_counts("--depth", args.depth, 0)):
            raise BadInput("bench.depth-rate", profile=profile)
    elif rates:
        raise BadInput("bench.rate-alone", profile=profile)
    if profile == "synchronous" and any(n > 1 for n in concurrency):
        raise BadInput("bench.many-calls", given=args.concurrency)
    prices = Prices(
        _number("--watts", args.watts, 0),
        _number("--kwh-price", args.kwh_price, 0),
        _number("--hour-price", args.hour_price, 0),
        args.currency,
    )
    if prices.kwh and not prices.watts:
        raise BadInput("bench.needs-watts")
    usual = {"concurrent": (4,), "sweep": (8,)}.get(profile, (1,))
    return Ask(
        prompts=_counts("--prompt", args.prompt, 1),
        outputs=_counts("--output", args.output, 1),
        depths=_counts("--depth", args.depth, 0),
        profile=profile,
        concurrency=concurrency or usual,
        rates=rates,
        threads=_counts("--threads", args.threads, 1) or (0,),
        batches=_counts("--batch", args.batch, 1) or (0,),
        layers=_counts("--gpu-layers", args.gpu_layers, 0) or (None,),
        requests=_count("--requests", args.requests, 0),
        repetitions=_count("--repetitions", args.repetitions, 1),
        warm_up=_count("--warm-up", args.warm_up, 0),
        timeout=_number("--timeout", args.timeout, 0) or None,
        seed=_count("--seed", args.seed, 0),
        prices=prices,
    )


def _profile(
    rates: tuple[float, ...], concurrency: tuple[int, ...]
) -> Literal["synchronous", "concurrent", "poisson"]:
    """The profile that the other options mean."""
    if rates:
        return "poisson"
    return "concurrent" if any(n > 1 for n in concurrency) else "synchronous"


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


_MOST = 10_000_000  # of anything that is counted; a prompt so long would be made of words here


def _counts(option: str, text: str, least: int) -> tuple[int, ...]:
    """Whole numbers with commas between them; "" for none."""
    found = []
    for word in _words(text):
        if not word.isdecimal() or not least <= int(word[:20]) <= _MOST:
            raise BadInput("bench.bad-list", option=option, given=text[:80], least=least)
        found.append(int(word))
    if text and not found:
        raise BadInput("bench.bad-list", option=option, given=text, least=least)
    return tuple(dict.fromkeys(found))


def _count(option: str, text: str, least: int) -> int:
    """One whole number."""
    if not text.strip().isdecimal() or int(text) < least:
        raise BadInput("bench.bad-number", option=option, given=text, least=least)
    return int(text)


def _number(option: str, text: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value < 1e12:
        raise BadInput("bench.bad-number", option=option, given=text, least=least)
    return value


# -------------------------------------------------------------------------------------- progress


class _Line(StatusLine):
    """How far a benchmark is."""

    def show(self, progress: Progress) -> None:
        if progress.tick is None:
            self.say(self._text(progress))
        else:
            self.often(lambda: self._text(progress))

    @staticmethod
    def _text(progress: Progress) -> str:
        from millstream.lab.bench import words

        tick = progress.tick
        text = f"{label(progress.label)}  {say(f'bench.progress-{progress.step}')}"
        if progress.point is not None and progress.step != "loading":
            text += f" {words.point(progress.point)}"
            if progress.stages > 1:
                text += f" [{progress.stage}/{progress.stages}]"
        if progress.step == "measuring":
            text += f"  {progress.repetition}/{progress.repetitions}"
        if tick is not None:
            done = tick.done + tick.failed
            values = {"done": done, "of": progress.of, "running": tick.running}
            text += "  " + say("bench.live", rate=progress.rate, **values)
        return text


# ------------------------------------------------------------------------------------- the tables


def _tell(measured: Measured, run: Run, terminal: Terminal) -> None:
    from millstream.lab.bench import words

    terminal.out(terminal.paint_out(label(measured.label), "bold"))
    for text in _about(measured):
        terminal.out("  " + text)
    stages = [stage for stage in measured.stages if stage.figures.calls]
    currency = run.ask.prices.currency
    if len(stages) <= _FEW:
        head = [say("bench.head-figure"), *(words.point(stage.point) for stage in stages)]
        columns = [words.figures(stage, currency) for stage in stages]
        rows = [head]
        for key in words.FIGURES:
            cells = [column.get(key, "") for column in columns]
            if any(cells):
                rows.append([say(f"bench.head-{key}"), *(cell or "–" for cell in cells)])
        tables = [rows]
    else:
        made = [words.figures(stage, currency) for stage in stages]
        tables = []
        for names in words.TABLES:
            known = [name for name in names if any(name in each for each in made)]
            rows = [[say("bench.head-point"), *(say(f"bench.head-{name}") for name in known)]]
            for stage, each in zip(stages, made, strict=True):
                rows.append([words.point(stage.point), *(each.get(n, "–") for n in known)])
            tables.append(rows)
    for rows in tables:
        for line in terminal.table(rows, ["cyan"] if len(stages) > _FEW else []):
            terminal.out("  " + line)
        if rows is not tables[-1]:
            terminal.out()
    for text in words.doubts(stages):
        terminal.out("  " + terminal.paint_out("! ", "yellow") + label(text))
    terminal.out()


def _about(measured: Measured) -> list[str]:
    lines = []
    if measured.parameters:
        lines.append(
            say(
                "bench.about-model",
                architecture=label(measured.architecture),
                parameters=measured.parameters / 1e9,
                quantization=label(measured.quantization or "?"),
                size=size(measured.size),
            )
        )
    for opened in dict.fromkeys(stage.opened for stage in measured.stages):
        if opened.threads:
            lines.append(say("bench.about-load", **msgspec.structs.asdict(opened)))
    lines.append(say(f"bench.prompts-{measured.prompts}"))
    return lines


def _tell_comparison(made: Comparison, terminal: Terminal) -> None:
    from millstream.lab.bench import words

    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(made.made))
    title = say("bench.against-title", file=label(made.file), when=when)
    terminal.out(terminal.paint_out(title, "bold"))
    names = ("point", "figure", "before", "now", "change", "p", "verdict")
    rows = [[say(f"bench.head-{name}") for name in names]]
    rows += [words.difference(each) for each in made.differences]
    for text in terminal.table(rows, ["cyan"]):
        terminal.out("  " + text)
    for text in words.notes(made):
        terminal.out("  " + terminal.paint_out(text, "dim"))
