"""`millstream models`: the models of this machine, and those that may come to it."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from millstream.base import Failed, NotHere, hide_password, say
from millstream.cli.here import machine, size
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal, label, shorten

if TYPE_CHECKING:
    from millstream.home import ShelfModel
    from millstream.models.discovery import Server
    from millstream.runtime.machine import Machine

EMBEDDED = "embedded"


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
    parser.commands(
        {
            "list": _list,
            "pull": _pull,
            "show": _show,
            "rm": _rm,
            "chat": _chat,
            "recommend": _recommend,
        },
        "action",
    )


def _list(parser: Parser) -> None:
    parser.arg("--json", action="store_true", help="json")


def _pull(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="name")
    parser.arg("--yes", "-y", action="store_true", help="cli.bindings.yes")
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")


def _show(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="cli.models.name")
    parser.arg("--json", action="store_true", help="json")


def _rm(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="cli.models.name")
    parser.arg("--yes", "-y", action="store_true", help="yes")


def _chat(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", nargs="?", default="local", help="name")
    parser.arg("text", metavar="TEXT", nargs="*", default=[], help="text")
    parser.arg("--system", metavar="TEXT", default="", help="system")
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")
    parser.set_defaults(more="text")


def _recommend(parser: Parser) -> None:
    parser.arg("--for", dest="file", metavar="APP.yml", help="for")
    parser.arg("--no-speed", action="store_true", help="no-speed")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    if args.action == "chat":
        from millstream.cli.chat import chat

        return chat(args, terminal)
    if args.action == "recommend":
        from millstream.cli.recommend import recommend

        return asyncio.run(recommend(args, terminal))
    commands = {"pull": _fetch, "show": _describe, "rm": _remove}
    return asyncio.run(_with_machine(commands.get(args.action, _overview), args, terminal))


async def _with_machine(command: Any, args: Namespace, terminal: Terminal) -> int:
    here = machine(args, terminal)
    try:
        await command(here, args, terminal)
    finally:
        await here.close()
    return 0


# ------------------------------------------------------------------------------------ what is here


async def _overview(here: Machine, args: Namespace, terminal: Terminal) -> None:
    survey = await here.survey()
    for probe in survey.probes:
        if probe.outcome == "locked":
            terminal.err(say("cli.models.locked", url=hide_password(probe.url)))
    models = [_kept(model) for model in here.home.shelf.list()]
    models += [model for server in survey.servers for model in _served(server)]
    if getattr(args, "json", False):
        terminal.write(msgspec.json.encode(models).decode() + "\n")
    elif models:
        head = ("name", "size", "quantization", "context", "licence", "where")
        rows = [[say(f"cli.models.head-{name}") for name in head]]
        for model in models:
            much = size(model.size) if model.size else ""
            context = f"{model.context:,}" if model.context else ""
            rows.append([model.name, much, model.quantization, context, model.licence, model.where])
        for line in terminal.table(rows, ["cyan"], [], [], [], ["dim"]):
            terminal.out(line)
    else:
        terminal.err(say("cli.models.none"))


def _kept(model: ShelfModel) -> Model:
    return Model(
        f"{EMBEDDED}/{model.name}",
        str(model.path),
        model.size,
        model.quantization,
        model.context,
        model.licence,
    )


def _served(server: Server) -> list[Model]:
    return [
        Model(
            f"{server.provider}/{model.name}",
            hide_password(server.base_url),
            model.size,
            model.quantization,
            model.context,
            loaded=model.loaded,
        )
        for model in server.models
    ]


async def _describe(here: Machine, args: Namespace, terminal: Terminal) -> None:
    """Everything that is known of one model."""
    provider, _, name = args.name.rpartition("/") if "/" in args.name else (EMBEDDED, "", args.name)
    if provider == EMBEDDED:
        from millstream.models import packaged

        facts = _facts(here.home.shelf.get(packaged.shelved(name)))
    else:
        servers = (await here.survey()).servers
        served = [(server, model) for server in servers for model in _served(server)]
        wanted = (args.name, f"{args.name}:latest")
        found = next((model for _, model in served if model.name in wanted), None)
        if found is None:  # one of an endpoint, by the kind that its server is
            own = (model for server, model in served if server.kind == provider)
            found = next((model for model in own if model.name.endswith(f"/{name}")), None)
        if found is None:
            raise NotHere("cli.models.none-such", name=args.name)
        facts = msgspec.to_builtins(found)
    if args.json:
        terminal.write(msgspec.json.encode(facts).decode() + "\n")
        return
    if facts.get("size"):
        facts["size"] = size(facts["size"])
    facts |= {name: f"{value:,}" for name, value in facts.items() if type(value) is int}
    rows = [[say("cli.models.head-fact"), say("cli.models.head-value")]]
    rows += [[say(f"cli.models.fact-{name}"), str(value)] for name, value in facts.items()]
    for line in terminal.table(rows, ["cyan"]):
        terminal.out(line)


def _facts(model: ShelfModel) -> dict[str, Any]:
    from millstream.models import gguf

    header = gguf.read(model.path)
    facts: dict[str, Any] = {
        "name": f"{EMBEDDED}/{model.name}",
        "where": str(model.path),
        "size": model.size,
        "architecture": header.architecture,
        "parameters": header.parameters,
        "quantization": model.quantization or header.quantization,
        "context": model.context or header.context_length,
        "licence": model.licence or header.licence,
        "source": model.source,
        "sha256": model.sha256,
    }
    return {name: value for name, value in facts.items() if value}


# -------------------------------------------------------------------------------- coming and going


async def _fetch(here: Machine, args: Namespace, terminal: Terminal) -> None:
    from millstream.cli.fetch import fetch

    pulled = await fetch(args.name, here, terminal, choose=terminal.person and not args.yes)
    key = "cli.models.pulled" if pulled.new else "cli.models.was-here"
    terminal.err(say(key, name=label(pulled.label)))
    if pulled.model is None and pulled.licence and not terminal.quiet:
        licence = shorten(label(pulled.licence), 100)
        terminal.err(say("cli.models.licence", licence=licence))


async def _remove(here: Machine, args: Namespace, terminal: Terminal) -> None:
    provider, _, name = args.name.rpartition("/")
    if provider not in ("", EMBEDDED):
        raise Failed("cli.models.not-ours", name=args.name)
    from millstream.models import packaged

    model = here.home.shelf.get(packaged.shelved(name))
    if terminal.person and not args.yes:
        question = say("cli.models.rm-sure", name=label(model.name), size=size(model.size))
        if terminal.choose(question, [say("cli.no"), say("cli.yes")]) == 0:
            return
    here.home.shelf.remove(model.name)
    terminal.err(say("cli.models.removed", name=label(model.name)))
