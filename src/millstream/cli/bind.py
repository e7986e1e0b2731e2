"""`millstream bind`: what stands in for what app files name, kept for every run."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import msgspec

from millstream.base import NotHere, say
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal, label
from millstream.home import Bindings, Home, parse_bind


def arguments(parser: Parser) -> None:
    parser.commands({"list": _list, "set": _set, "unset": _unset}, "action")


def _list(parser: Parser) -> None:
    parser.arg("--app", metavar="FILE", type=Path, help="cli.bind.app")
    parser.arg("--json", action="store_true", help="json")


def _set(parser: Parser) -> None:
    parser.arg("rule", metavar="A=B", help="rule")
    _kind(parser)


def _unset(parser: Parser) -> None:
    parser.arg("rule", metavar="A", help="rule")
    _kind(parser)


def _kind(parser: Parser) -> None:
    parser.arg("--tool", action="store_true", help="cli.bind.tool")
    parser.arg("--app", metavar="FILE", type=Path, help="cli.bind.app")


def run(args: Namespace, terminal: Terminal) -> int:
    app: Path | None = getattr(args, "app", None)
    bindings = Home.open(args.home).bindings(app)
    beside = app is not None
    if args.action == "set":
        rule = parse_bind(args.rule)
        kind = "tools" if args.tool else rule.kind or "models"
        path = bindings.set(kind, rule.pattern, rule.target, beside_app=beside)
        terminal.err(say("cli.bind.now", a=label(rule.pattern), b=label(rule.target), path=path))
    elif args.action == "unset":
        if not bindings.unset("tools" if args.tool else "models", args.rule, beside_app=beside):
            raise NotHere("cli.bind.none-such", pattern=label(args.rule))
        terminal.err(say("cli.bind.forgotten", pattern=label(args.rule)))
    else:
        _show(bindings, terminal, json=getattr(args, "json", False))
    return 0


def _show(bindings: Bindings, terminal: Terminal, *, json: bool) -> None:
    rules = bindings.rules()
    if json:
        terminal.write(msgspec.json.encode(rules).decode() + "\n")
    elif rules:
        rows = [[say(f"cli.bind.head-{name}") for name in ("kind", "named", "used", "source")]]
        for rule in rules:
            kind = say(f"home.bind-{'tool' if rule.kind == 'tools' else 'model'}")
            rows.append([kind, rule.pattern, rule.target, rule.source])
        for line in terminal.table(rows, [], ["cyan"], ["bold"], ["dim"]):
            terminal.out(line)
    else:
        terminal.err(say("cli.bind.none"))
    for notice in bindings.notices:
        terminal.trouble(notice.message, notice.place, notice.next_step, warning=True)
