"""`millstream export`: an app file written back, data-equal, in the one order."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from millstream.cli.here import read, save
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal


def arguments(parser: Parser) -> None:
    parser.arg("file", metavar="FILE", help="file")
    parser.arg("--output", "-o", metavar="OUT", type=Path, help="output")


def run(args: Namespace, terminal: Terminal) -> int:
    from millstream import dsl

    text = dsl.write(read(args.file, terminal))
    if args.output is None:
        terminal.write(text)
    else:
        save(args.output, text)
    return 0
