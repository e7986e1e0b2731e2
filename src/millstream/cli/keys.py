"""`millstream keys`: credentials of providers, kept and never shown.

A key comes from a person at the terminal, who does not see it, or from a pipe; never from the
command line, where every user of the machine could read it.
"""

from __future__ import annotations

import sys
from argparse import Namespace

import msgspec

from millstream.base import say
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal, label
from millstream.home import Home, provider_name
from millstream.home.credentials import VARIABLES, Credentials, variables


def arguments(parser: Parser) -> None:
    parser.commands({"list": _list, "set": _set, "remove": _remove}, "action")


def _list(parser: Parser) -> None:
    parser.arg("--json", action="store_true", help="json")


def _set(parser: Parser) -> None:
    parser.arg("provider", metavar="PROVIDER", help="cli.keys.provider")
    parser.arg("--keyring", action="store_true", help="keyring")
    parser.arg("--from", metavar="env:NAME", dest="reference", help="from")


def _remove(parser: Parser) -> None:
    parser.arg("provider", metavar="PROVIDER", help="cli.keys.provider")


def run(args: Namespace, terminal: Terminal) -> int:
    keys = Home.open(args.home).credentials
    if args.action == "set":
        key = args.reference or _read(args.provider, terminal)
        where = keys.set(args.provider, key, "keyring" if args.keyring else "file")
        terminal.err(
            say("cli.keys.kept", provider=label(provider_name(args.provider)), where=where)
        )
    elif args.action == "remove":
        removed = keys.remove(args.provider)
        key = "cli.keys.removed" if removed else "cli.keys.none-kept"
        names = ", ".join(variables(args.provider))
        terminal.err(say(key, provider=label(provider_name(args.provider)), variables=names))
    else:
        _show(keys, terminal, json=getattr(args, "json", False))
    for notice in keys.notices:
        terminal.trouble(notice.message, notice.place, notice.next_step, warning=True)
    return 0


def _read(provider: str, terminal: Terminal) -> str:
    if terminal.person:
        from getpass import getpass

        return getpass(say("cli.keys.ask", provider=label(provider)) + " ", stream=sys.stderr)
    return sys.stdin.readline().strip()


def _show(keys: Credentials, terminal: Terminal, *, json: bool) -> None:
    known = dict.fromkeys([*keys.providers(), *sorted({*VARIABLES, "openai", "anthropic"})])
    found = {provider: where for provider in known if (where := keys.where(provider))}
    if json:
        rows = [{"provider": p, "source": w.source, "name": w.name} for p, w in found.items()]
        terminal.write(msgspec.json.encode(rows).decode() + "\n")
    elif found:
        head = [say("cli.keys.head-provider"), say("cli.keys.head-where")]
        for line in terminal.table([head, *([p, str(w)] for p, w in found.items())], ["cyan"]):
            terminal.out(line)
    else:
        terminal.err(say("cli.keys.none"))
