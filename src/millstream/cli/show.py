"""`millstream show`: an app drawn in the terminal or as SVG, with the verdicts of `check`."""

from __future__ import annotations

import asyncio
import sys
from argparse import BooleanOptionalAction, Namespace
from pathlib import Path

from millstream.base import BadInput, say
from millstream.checks import Report
from millstream.cli.here import load, machine, same, save, warn
from millstream.cli.parser import Parser, binding_options
from millstream.cli.terminal import Terminal, label
from millstream.runtime import App


def arguments(parser: Parser) -> None:
    parser.arg("file", metavar="FILE", help="file")
    parser.arg("pictures", metavar="OUT.svg", nargs="*", default=[], help="picture")
    parser.set_defaults(more="pictures")
    parser.arg("--svg", action="store_true", help="svg")
    parser.arg("--output", "-o", metavar="OUT", type=Path, help="output")
    parser.arg("--check", action=BooleanOptionalAction, default=True, help="check")
    binding_options(parser)
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")


def run(args: Namespace, terminal: Terminal) -> int:
    for word in args.pictures:
        if args.output is not None or not word.endswith(".svg"):  # it may be an app: leave it
            raise BadInput("cli.too-many", given=word, program="millstream show")
        args.output = Path(word)
    if args.output is not None and same(args.output, Path(args.file)):
        raise BadInput("cli.over-itself", path=str(args.output))
    app = load(args, terminal)
    report = asyncio.run(_check(app, args, terminal)) if args.check else None
    if args.svg or (args.output and args.output.suffix == ".svg"):
        from millstream.cli.picture import svg

        text = svg.draw(app.dsl, report)
    elif not app.dsl.graph.nodes:
        terminal.err(say("cli.show.nothing", mode=label(app.mode)))
        return 0
    else:
        text = _lines(app, report, terminal, plain=args.output is not None)
    if args.output is not None:
        save(args.output, text)
    else:
        sys.stdout.write(text)
    return 0


async def _check(app: App, args: Namespace, terminal: Terminal) -> Report:
    here = machine(args, terminal)
    app.use(here)
    try:
        return await app.acheck()
    finally:
        warn(here, terminal)
        await here.close()


def _lines(app: App, report: Report | None, terminal: Terminal, *, plain: bool) -> str:
    from millstream.cli.picture import lines

    def paint(text: str, *styles: str) -> str:
        return text if plain else terminal.paint_out(text, *styles)

    encoding = (sys.stdout.encoding or "utf-8").lower()
    verdicts = {node.id: node for node in report.nodes} if report else {}
    count = say("cli.show.nodes", count=len(app.dsl.graph.nodes))
    head = [paint(label(app.name), "bold"), paint(f"{label(app.mode)} · {count}", "dim")]
    if report is not None:
        head.append(report.headline)
    ascii_only = not plain and not encoding.startswith("utf")
    drawing = lines.draw(app.dsl.graph, verdicts, paint=paint, ascii_only=ascii_only)
    return "\n".join(["  ".join(head), "", *drawing]) + "\n"
