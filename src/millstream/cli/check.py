"""`millstream check`: what each node of an app needs, and whether it is here.

A folder stands for every app file below it; what is no app at all is passed over there. The
verdicts come from `checks`; here they become lines, JSON and an exit code.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from millstream.base import BadInput, MillstreamError, say
from millstream.checks import NodeReport, Report, unreadable
from millstream.cli.given import STDIN
from millstream.cli.here import choice, machine, read, warn
from millstream.cli.parser import Parser, binding_options
from millstream.cli.terminal import Terminal, clean, label, named, shorten, width, wrap
from millstream.dsl.read import may_be_app
from millstream.engine.events import encode
from millstream.runtime import App

ENDINGS = (".yml", ".yaml", ".json", ".dify")
WORST = (0, 4, 3, 2)  # exit codes, the worst last
SIGNS = {
    "as-is": ("✓", "green"),
    "substitute": ("≈", "yellow"),
    "needs-you": ("✗", "red"),
    "unreadable": ("✗", "red"),
}


def arguments(parser: Parser) -> None:
    parser.arg("files", metavar="FILE", nargs="+", help="files")
    binding_options(parser)
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")
    parser.arg("--verbose", "-v", action="store_true", help="verbose")
    parser.arg("--json", action="store_true", help="json")
    parser.set_defaults(more="files")


def run(args: Namespace, terminal: Terminal) -> int:
    files = list(_files(args.files))
    reports = asyncio.run(_check(files, args, terminal)) if files else []
    if not reports:  # what there is belongs to others
        raise BadInput("cli.no-app-files", folder=args.files[0], endings=", ".join(ENDINGS))
    if not args.json and len(files) > 1:
        terminal.out(_summary(reports, terminal))
    return max((report.exit_code for report in reports), key=WORST.index)


async def _check(
    files: Sequence[tuple[str, bool]], args: Namespace, terminal: Terminal
) -> list[Report]:
    """Check every file and show its report at once."""
    here = machine(args, terminal)
    reports = []
    try:
        for number, (file, sought) in enumerate(files, 1):
            if len(files) > 1 and terminal.draws and not terminal.quiet:
                terminal.status(f"{number}/{len(files)} {label(file)}")
            try:
                app = App(read(file, terminal), choice=choice(args), home=args.home)
            except MillstreamError as error:
                if sought and _other(file, error):
                    continue
                report = unreadable(file, error)
            else:
                app.use(here)
                report = await app.acheck()
            terminal.status("")
            reports.append(report)
            _show(report, args, terminal, alone=len(files) == 1)
    finally:
        terminal.status("")
        warn(here, terminal)
        await here.close()
    return reports


def _other(file: str, error: MillstreamError) -> bool:
    """Whether a file in a folder is none of ours, rather than an app that cannot be read."""
    if error.code in ("dsl.documents", "dsl.tag"):  # of clusters, clouds and build systems
        return not may_be_app(Path(file).read_bytes())
    return error.code in ("dsl.not-an-app", "dsl.not-mapping")


def _files(names: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Every file, and whether it was found in a folder."""
    for name in names:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name, False
            continue
        for found in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
            if found.suffix.lower() in ENDINGS and not hidden and found.is_file():
                yield str(found), True


# ------------------------------------------------------------------------------------ for a person


def _show(report: Report, args: Namespace, terminal: Terminal, *, alone: bool) -> None:
    if args.json:
        terminal.write(encode(report).decode() + "\n")
        return
    if not alone and not args.verbose:
        terminal.out(_one_line(report, terminal))
        return
    for line in _lines(report, terminal):
        terminal.out(line)
    if not alone:
        terminal.out()


def _one_line(report: Report, terminal: Terminal) -> str:
    reason = label(next(_reasons(report), "")) or _warned(report)
    text = f"{_sign(report.verdict, terminal)} {label(report.file)}: {report.headline}"
    if reason:
        room = terminal.width - width(text) if terminal.out_is_tty else 200
        text += terminal.paint_out(f" · {shorten(reason, max(room, 40))}", "dim")
    return text


def _reasons(report: Report) -> Iterator[str]:
    """Why a file does not run as it is, the first reason first."""
    if report.error:
        yield _with_line(report.error)
    for problem in report.problems:
        if problem["severity"] == "error":
            yield _with_line(problem)
    for node in report.nodes:
        if node.verdict == report.verdict != "as-is":
            yield from (_with_line(p) for p in node.problems if p["severity"] == "error")
            for found in node.findings:
                if found.verdict == report.verdict:
                    yield f"{named(found.wanted)} → {found.used}" if found.used else found.why


def _with_line(problem: dict[str, Any]) -> str:
    line = (problem.get("place") or {}).get("line")
    where = f" ({say('base.line', line=line)})" if line else ""
    return f"{problem['message']}{where}"


def _warned(report: Report) -> str:
    """How many things look wrong in a file; "" for none."""
    problems = [*report.problems, *(p for node in report.nodes for p in node.problems)]
    count = sum(problem["severity"] == "warning" for problem in problems)
    key = "cli.check.warning" if count == 1 else "cli.check.warnings"
    return say(key, count=count) if count else ""


def _lines(report: Report, terminal: Terminal) -> Iterator[str]:
    named = (report.mode, report.version, report.file if report.name else "")
    facts = [fact for fact in named if fact]
    title = terminal.paint_out(label(report.name) or label(report.file), "bold")
    yield f"{title}  {terminal.paint_out(label(' · '.join(facts)), 'dim')}" if facts else title
    if report.error:
        yield from _problem({**report.error, "severity": "error"}, terminal, "  ")
    for problem in report.problems:
        yield from _problem(problem, terminal, "  ")
    room = min(32, max((width(label(node.title)) for node in report.nodes), default=0))
    for node in report.nodes:
        yield from _node(node, terminal, room)
    yield _verdict(report, terminal)


def _node(node: NodeReport, terminal: Terminal, room: int) -> Iterator[str]:
    title = shorten(label(node.title) or label(node.id), room or 32)
    title += " " * (room - width(title))
    line = f"{node.line or '':>5}"
    text = f"{_sign(node.verdict, terminal)} {terminal.paint_out(line, 'dim')}  {title}  "
    text += terminal.paint_out(label(node.type), "cyan")
    if not node.reachable:
        text += terminal.paint_out(f"  {say('cli.check.unreached')}", "dim")
    yield text
    for found in node.findings:
        met = named(found.wanted)
        if found.used and found.verdict == "substitute":
            met += f" → {found.used}"
        words = [met, found.why]
        yield from _wrapped(": ".join(filter(None, words)), terminal, " " * 9)
        if found.next:
            yield from _next(found.next, terminal, " " * 9)
    for problem in node.problems:
        yield from _problem(problem, terminal, " " * 9)


def _problem(problem: dict[str, Any], terminal: Terminal, indent: str) -> Iterator[str]:
    bad = problem["severity"] == "error"
    word = say("cli.error" if bad else "cli.warning")
    place = problem.get("place") or {}
    where = [say("base.line", line=place["line"])] if place.get("line") else []
    where += [place["field"]] if place.get("field") else []
    text = f"{word} {problem['message']}" + (f" ({', '.join(where)})" if where else "")
    lines = list(_wrapped(text, terminal, indent))
    if lines:
        painted = terminal.paint_out(word, "red" if bad else "yellow")
        lines[0] = lines[0].replace(word, painted, 1)
    yield from lines
    if problem.get("next"):
        yield from _next(problem["next"], terminal, indent)


def _next(text: str, terminal: Terminal, indent: str) -> Iterator[str]:
    for number, line in enumerate(_wrapped(text, terminal, indent + "  ")):
        yield f"{indent}→ {line.strip()}" if number == 0 else line


def _wrapped(text: str, terminal: Terminal, indent: str) -> Iterator[str]:
    room = max(40, terminal.width - len(indent) - 1) if terminal.out_is_tty else 1_000_000
    for paragraph in clean(text).splitlines():
        for line in wrap(paragraph, room):
            yield indent + line


def _verdict(report: Report, terminal: Terminal) -> str:
    counts = Counter[str](node.verdict for node in report.nodes)
    parts = [
        f"{_sign(verdict, terminal)} {counts[verdict]} {say(f'cli.check.{verdict}')}"
        for verdict in SIGNS
        if counts[verdict]
    ]
    headline = terminal.paint_out(report.headline, SIGNS[report.verdict][1], "bold")
    return " · ".join(filter(None, [headline, *parts, _warned(report)]))


def _summary(reports: Sequence[Report], terminal: Terminal) -> str:
    counts = Counter[str](report.verdict for report in reports)
    parts = [
        f"{_sign(verdict, terminal)} {counts[verdict]} {say(f'checks.{verdict}')}"
        for verdict in SIGNS
        if counts[verdict]
    ]
    head = terminal.paint_out(say("cli.check.files-checked", count=len(reports)), "bold")
    return " · ".join([head, *parts])


def _sign(verdict: str, terminal: Terminal) -> str:
    sign, color = SIGNS[verdict]
    return terminal.paint_out(sign, color)
