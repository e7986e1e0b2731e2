"""`millstream settings`: what can be changed, what it is now, and where that is said."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from millstream.base import say
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal
from millstream.home import Home


def arguments(parser: Parser) -> None:
    parser.commands({"list": _list, "get": _get, "set": _set, "unset": _get}, "action")


def _list(parser: Parser) -> None:
    parser.arg("--json", action="store_true", help="json")


def _get(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="cli.settings.name")


def _set(parser: Parser) -> None:
    _get(parser)
    parser.arg("value", metavar="VALUE", help="value")


def run(args: Namespace, terminal: Terminal) -> int:
    settings = Home.open(args.home).settings
    if args.action == "get":
        terminal.write(_shown(settings.get(args.name)) + "\n")
    elif args.action == "set":
        settings.set(args.name, args.value)
        _say(terminal, args.name, settings.describe(args.name).value, str(settings.path))
    elif args.action == "unset":
        settings.unset(args.name)
        _say(terminal, args.name, settings.describe(args.name).value, str(settings.path))
    elif getattr(args, "json", False):
        rows = {s.name: {**msgspec.structs.asdict(s), "doc": s.doc} for s in settings.table()}
        terminal.write(msgspec.json.encode(list(rows.values())).decode() + "\n")
    else:
        head = [say(f"cli.settings.head-{name}") for name in ("name", "value", "source", "about")]
        rows_ = [head]
        for setting in settings.table():
            source = "" if setting.source == "default" else setting.source
            if source == "environment":
                source = say("cli.settings.environment")
            rows_.append([setting.name, _shown(setting.value), source, setting.doc])
        for line in terminal.table(rows_, ["cyan"], ["bold"], ["dim"]):
            terminal.out(line)
        for notice in settings.notices:
            terminal.trouble(notice.message, notice.place, notice.next_step, warning=True)
    return 0


def _say(terminal: Terminal, name: str, value: Any, path: str) -> None:
    if not terminal.quiet:
        terminal.err(say("cli.settings.now", name=name, value=_shown(value), path=path))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
