"""`millstream doctor`: what was looked for on this machine, what answered, what mends the rest."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from millstream.base import hide_password, say
from millstream.cli.here import machine
from millstream.cli.parser import Parser
from millstream.cli.terminal import Terminal, clean, label, wrap

if TYPE_CHECKING:
    from millstream.checks.doctor import Item, Report

_TITLES = {"online": "cli.doctor.internet"}  # cli.doctor.online is the help of --online
SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def arguments(parser: Parser) -> None:
    parser.arg("--online", action="store_true", help="online")
    parser.arg("--verbose", "-v", action="store_true", help="verbose")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    report = asyncio.run(_diagnose(args, terminal))
    if args.json:
        terminal.write(msgspec.json.encode(report.as_dict()).decode() + "\n")
        return report.exit_code
    for topic, items in groupby(report.items, key=lambda item: item.topic):
        terminal.out(terminal.paint_out(say(_TITLES.get(topic, f"cli.doctor.{topic}")), "bold"))
        for item in items:
            _show(item, terminal)
    if args.verbose and report.survey is not None:
        terminal.out(terminal.paint_out(say("cli.doctor.tried"), "bold"))
        rows = [[say(f"cli.doctor.head-{name}") for name in ("url", "outcome", "detail")]]
        rows += [
            [hide_password(probe.url), probe.outcome, probe.detail]
            for probe in report.survey.probes
        ]
        for line in terminal.table(rows):
            terminal.out("  " + line)
    sign, color = SIGNS[report.verdict]
    headline = terminal.paint_out(f"{sign} {say(f'cli.doctor.{report.verdict}')}", color, "bold")
    terminal.out(headline)
    return report.exit_code


async def _diagnose(args: Namespace, terminal: Terminal) -> Report:
    from millstream.checks.doctor import diagnose

    here = machine(args, terminal)
    try:
        if terminal.draws and not terminal.quiet:
            terminal.status(say("cli.doctor.looking"))
        return await diagnose(here.home, here.http if args.online else None, online=args.online)
    finally:
        terminal.status("")
        await here.close()


def _show(item: Item, terminal: Terminal) -> None:
    sign, color = SIGNS[item.verdict]
    room = terminal.width - 5 if terminal.out_is_tty else 1_000_000
    lines = [line for text in clean(item.message).splitlines() for line in wrap(text, room)]
    terminal.out(f"  {terminal.paint_out(sign, color)} {lines[0] if lines else label(item.code)}")
    for line in lines[1:]:
        terminal.out(f"    {line}")
    for number, text in enumerate(clean(item.fix).splitlines()):
        terminal.out(f"    {'→' if number == 0 else ' '} {text}")
