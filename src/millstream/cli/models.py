"""`millstream models`: the models of this machine, and those that may come to it."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import TYPE_CHECKING

import msgspec

from millstream.base import say
from millstream.cli.here import machine, size
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal

if TYPE_CHECKING:
    from millstream.runtime.machine import Machine


class Model(msgspec.Struct, omit_defaults=True):
    """A model as `--json` tells it. name: as bindings know it. size: bytes. where: a file or the
    address of a server."""

    name: str
    where: str
    size: int = 0
    quantization: str = ""
    context: int | None = None
    licence: str = ""
    loaded: bool | None = None


def arguments(parser: Parser) -> None:
    parser.commands({"list": _list}, "action")


def _list(parser: Parser) -> None:
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    models = asyncio.run(_found(args, terminal))
    if getattr(args, "json", False):
        terminal.write(msgspec.json.encode(models).decode() + "\n")
    elif models:
        head = ("name", "size", "quantization", "context", "licence", "where")
        rows = [[say(f"cli.models.head-{name}") for name in head]]
        for model in models:
            much = size(model.size) if model.size else ""
            context = f"{model.context:,}" if model.context else ""
            row = [model.name, much, model.quantization, context, model.licence, model.where]
            rows.append(row)
        for line in terminal.table(rows, ["cyan"], [], [], [], ["dim"]):
            terminal.out(line)
    else:
        terminal.err(say("cli.models.none"))
    return 0


async def _found(args: Namespace, terminal: Terminal) -> list[Model]:
    here = machine(args, terminal)
    try:
        return [*_shelf(here), *await _servers(here)]
    finally:
        await here.close()


def _shelf(here: Machine) -> list[Model]:
    return [
        Model(f"embedded/{m.name}", str(m.path), m.size, m.quantization, m.context, m.licence)
        for m in here.home.shelf.list()
    ]


async def _servers(here: Machine) -> list[Model]:
    return [
        Model(
            f"{server.provider}/{m.name}",
            server.base_url,
            m.size,
            m.quantization,
            m.context,
            loaded=m.loaded,
        )
        for server in (await here.survey()).servers
        for m in server.models
    ]
