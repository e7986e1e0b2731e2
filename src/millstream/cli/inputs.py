"""`millstream inputs`: what an app asks for."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from millstream.base import say
from millstream.cli.here import read
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal
from millstream.nodes.start import InputVariable
from millstream.runtime import App
from millstream.runtime.app import CHAT_MODES


class Input(msgspec.Struct, omit_defaults=True):
    """An input as `--json` tells it. max_length: characters, or files of a file-list."""

    name: str
    type: str
    required: bool
    label: str = ""
    description: str = ""
    default: Any = None
    options: list[str] = []
    max_length: int | None = None


class Asks(msgspec.Struct):
    """What an app asks for. query: whether it replies to something that a person says."""

    app: str
    mode: str
    query: bool
    inputs: list[Input]


def arguments(parser: Parser) -> None:
    parser.arg("file", metavar="FILE", help="file")
    parser.arg("--json", action="store_true", help="json")
    parser.arg("--names", action="store_true", help="names")


def run(args: Namespace, terminal: Terminal) -> int:
    app = App(read(args.file, terminal))
    asks = Asks(app.name, app.mode, app.mode in CHAT_MODES, [_input(v) for v in app.variables])
    if args.json:
        terminal.write(msgspec.json.encode(asks, enc_hook=str).decode() + "\n")
    elif args.names:
        for item in asks.inputs:
            terminal.write(item.name + "\n")
    else:
        _table(asks, terminal)
    return 0


def _table(asks: Asks, terminal: Terminal) -> None:
    if not asks.inputs and not asks.query:
        terminal.err(say("cli.inputs.none"))
        return
    rows = [[say(f"cli.inputs.head-{name}") for name in ("name", "type", "needed", "about")]]
    if asks.query:
        rows.append(["--query", "paragraph", say("cli.yes"), say("cli.ask-query")])
    for item in asks.inputs:
        about = [item.label if item.label != item.name else "", item.description]
        about += [" | ".join(item.options)]
        if item.max_length and item.type != "number":
            about.append(say("cli.inputs.at-most", count=item.max_length))
        if item.default not in (None, ""):
            about.append(say("cli.inputs.default", value=item.default))
        needed = say("cli.yes") if item.required else say("cli.no")
        rows.append([item.name, item.type, needed, " · ".join(filter(None, about))])
    for line in terminal.table(rows, ["cyan"], ["dim"]):
        terminal.out(line)


def _input(variable: InputVariable) -> Input:
    return Input(
        name=variable.variable,
        type=variable.type,
        required=bool(variable.required),
        label=variable.label if isinstance(variable.label, str) else "",
        description=variable.description or "",
        default=variable.default,
        options=[str(option) for option in variable.options or ()],
        max_length=variable.max_length or None,
    )
