"""`millstream endpoints`: model servers and provider accounts under names of one's own."""

from __future__ import annotations

from argparse import Namespace
from urllib.parse import urlsplit

import msgspec

from millstream.base import BadInput, NotHere, say
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal, label
from millstream.home import Endpoint, Home
from millstream.models.hosts import without_secrets

RESERVED = ("embedded", "local")  # what Millstream's own models are called
PROTOCOLS = ("openai", "azure", "ollama", "anthropic", "gemini")


def arguments(parser: Parser) -> None:
    parser.commands({"list": _list, "set": _set, "remove": _remove}, "action")


def _list(parser: Parser) -> None:
    parser.arg("--json", action="store_true", help="json")


def _set(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="cli.endpoints.name")
    parser.arg("url", metavar="URL", help="url")
    parser.arg("--protocol", choices=PROTOCOLS, default="openai", help="protocol")
    parser.arg("--key", metavar="env:NAME", help="key")
    parser.arg("--context", metavar="TOKENS", type=int, help="context")
    parser.arg("--slots", metavar="N", type=int, help="slots")
    parser.arg("--option", metavar="A=B", action="append", default=[], help="option")


def _remove(parser: Parser) -> None:
    parser.arg("name", metavar="NAME", help="cli.endpoints.name")


def run(args: Namespace, terminal: Terminal) -> int:
    settings = Home.open(args.home).settings
    if args.action == "set":
        settings.add_endpoint(_endpoint(args))
        terminal.err(say("cli.endpoints.kept", name=label(args.name), path=settings.path))
    elif args.action == "remove":
        if not settings.remove_endpoint(args.name):
            raise NotHere("cli.endpoints.none-such", name=label(args.name))
        terminal.err(say("cli.endpoints.removed", name=label(args.name)))
    elif getattr(args, "json", False):
        shown = [msgspec.structs.replace(e, url=without_secrets(e.url)) for e in settings.endpoints]
        terminal.write(msgspec.json.encode(shown).decode() + "\n")
    elif settings.endpoints:
        rows = [[say(f"cli.endpoints.head-{name}") for name in ("name", "protocol", "url")]]
        rows += [[e.name, e.protocol, without_secrets(e.url)] for e in settings.endpoints]
        for line in terminal.table(rows, ["cyan"], ["dim"]):
            terminal.out(line)
    else:
        terminal.err(say("cli.endpoints.none"))
    return 0


def _endpoint(args: Namespace) -> Endpoint:
    options = {}
    for text in args.option:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput("cli.endpoints.option-form", given=text)
        options[name] = value
    if args.name.lower() in RESERVED:
        raise BadInput("cli.endpoints.reserved", name=args.name)
    parts = urlsplit(args.url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput("cli.endpoints.address-only", name=label(args.name))
    given = {"name": args.name, "url": args.url, "protocol": args.protocol, "key": args.key}
    given |= {"context": args.context, "slots": args.slots, "options": options}
    try:
        return msgspec.convert(given, Endpoint)
    except msgspec.ValidationError as error:
        raise BadInput("cli.endpoints.wrong", problem=str(error)) from None
