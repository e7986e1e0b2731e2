"""`millstream models chat`: a quick talk with a model, to see whether it is there and any good."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from contextlib import aclosing

from millstream.base import BadInput, MillstreamError, say
from millstream.cli.given import piped
from millstream.cli.here import machine
from millstream.cli.terminal import Terminal, clean, label
from millstream.cli.watch import cost, duration
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.runtime import Choice
from millstream.runtime.machine import Machine


def chat(args: Namespace, terminal: Terminal) -> int:
    """Answer a text of the command line or of a pipe; else talk until a person ends the input.

    Ctrl-C ends an answer; at the prompt it ends the talk."""
    text = " ".join(args.text)
    if not text and piped():
        text = sys.stdin.read()
    if not text and not terminal.person:
        raise BadInput("cli.chat.nothing")
    talk = [Message("system", args.system)] if args.system else []
    with asyncio.Runner() as runner:
        here = runner.run(_open(args, terminal))
        try:
            if text:
                runner.run(_answer(here, args.name, [*talk, Message("user", text)], terminal))
            else:
                _talk(runner, here, args.name, talk, terminal)
        finally:
            runner.run(here.close())
    return 0


async def _open(args: Namespace, terminal: Terminal) -> Machine:
    return machine(args, terminal)


def _talk(
    runner: asyncio.Runner, here: Machine, name: str, talk: list[Message], terminal: Terminal
) -> None:
    terminal.err(terminal.paint(say("cli.chat.hint"), "dim"))
    answered = False
    while True:
        try:
            text = terminal.ask()
        except (EOFError, KeyboardInterrupt):
            if terminal.ending:
                raise
            terminal.err()
            return
        if not text.strip():
            continue
        talk.append(Message("user", text))
        try:
            said = runner.run(_answer(here, name, talk, terminal))
        except KeyboardInterrupt:
            if terminal.ending:
                raise
            terminal.err(terminal.paint(f"\n{say('cli.interrupted')}", "dim"))
            talk.pop()
        except MillstreamError as error:
            if not answered:
                raise
            terminal.error(error)
            talk.pop()
        else:
            answered = True
            talk.append(Message("assistant", said))


async def _answer(here: Machine, name: str, talk: list[Message], terminal: Terminal) -> str:
    """Stream an answer to standard output; returns it. Raises MillstreamError."""
    from millstream.models.resolver import LOCAL
    from millstream.models.router import Router

    provider, slash, model = name.partition("/")
    if name == LOCAL.provider:
        ref = LOCAL
    else:
        ref = ModelRef(provider, model) if slash else ModelRef("embedded", name)
    # Chosen by name: what else is here is no answer to a model that is not.
    resolver = here.resolver(Choice() if ref == LOCAL else Choice(f"{ref.provider}/{ref.name}"))
    found = await resolver.resolve(ref)
    if found.error is not None:
        raise found.error
    router = Router(here.http, resolver.bind)
    said: list[str] = []
    thought: list[str] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    end: ModelEnd | None = None
    stream = router.generate(ModelRequest(ref, talk))
    async with aclosing(stream):
        async for item in stream:
            if isinstance(item, ModelEnd):
                end = item
            elif isinstance(item, ModelChunk):
                thought.append(item.reasoning)
                if item.text:
                    said.append(item.text)
                    terminal.write(item.text)
    text = "".join(said)
    if end is not None and end.replaces is not None:
        text = end.replaces
        terminal.write(f"\n{text}")
    if not text and any(thought):
        terminal.err(say("cli.chat.only-thought"))
        terminal.err(terminal.paint(clean("".join(thought)).strip(), "dim"))
    if not text.endswith("\n"):
        terminal.write("\n")
    if end is not None and not terminal.quiet and terminal.err_is_tty:
        facts = [found.label, duration(loop.time() - began), *cost(end.usage)]
        terminal.err(terminal.paint(label(" · ".join(facts)), "dim"))
    return text
