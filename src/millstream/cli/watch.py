"""A run as a person watches it, on standard error.

Every finished node leaves a line: its time, tokens and tokens per second. On a terminal the nodes
that are running are drawn below, with the progress of containers and the end of what a model is
writing. The text that will be the app's one output is streamed to standard output, if that is a
terminal too. Events are the only source.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from millstream.base import Place, say
from millstream.cli.drawing import Drawing
from millstream.cli.terminal import Terminal, clean, label, named, shorten, width
from millstream.engine.events import (
    Event,
    ItemStarted,
    NodeFinished,
    NodeRetry,
    NodeStarted,
    ReasoningChunk,
    RunFinished,
    RunStarted,
    TextChunk,
    TextReplaced,
    encode,
)
from millstream.engine.ports import Usage
from millstream.nodes.answer import Answer
from millstream.nodes.end import End
from millstream.runtime import App
from millstream.values import brief

_SIGNS = {
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "exception": ("!", "yellow"),
    "stopped": ("■", "yellow"),
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME = 0.1  # seconds between two drawings
_TITLE = 28  # columns of the titles
_CHILDREN = 4  # nodes inside of containers that are drawn at once
_TAIL = 3  # lines of a model's text that are drawn
_KEPT = 2000  # letters that are kept for them


class _Running(msgspec.Struct):
    """A node that has begun. tail: the end of what it has said. items, total: of a container."""

    title: str
    since: float
    tail: str = ""
    chunks: int = 0
    reasoning: int = 0
    items: int = 0
    total: int = 0


_INCOMPLETE = ("length", "repetition")  # why a model's text may end before it is finished


class Watch:
    """Shows a run as lines. stream: the text that will be the output may go to standard output
    as it comes."""

    def __init__(self, app: App, terminal: Terminal, *, stream: bool) -> None:
        self.terminal = terminal
        self.running: dict[str, _Running] = {}
        self.titles: dict[str, str] = {}  # of nodes, by their ids
        self._told: set[tuple[str, str]] = set()
        self._said: list[str] = []
        self._speaks = speakers(app) if stream and terminal.out_is_tty else frozenset()
        self._speaking: str | None = None
        self._held: list[str] = []

    @property
    def said(self) -> str:
        """The text that went to standard output already."""
        return "".join(self._said)

    # ------------------------------------------------------------------------------------ events

    def take(self, event: Event) -> None:
        match event:
            case TextChunk():
                self._text(event.name, event.node, event.text)
            case ReasoningChunk():
                if node := self.running.get(event.name):
                    node.reasoning += 1
            case NodeStarted():
                title = label(event.title) or label(event.node)
                self.titles[event.node] = title
                self.running[event.name] = _Running(title, time.perf_counter())
            case NodeFinished():
                self._finished(event)
            case ItemStarted():
                if node := self.running.get(event.name):
                    node.items, node.total = node.items + 1, event.total
            case TextReplaced():
                self._void(event.name, say("cli.text-replaced"))
                self._text(event.name, event.node, event.text)
            case NodeRetry():
                self._void(event.name, "")
                problem = _problem(event.error)
                title = self._title(event.name)
                self.line(
                    self._sign("↻", "yellow") + say("cli.retry", title=title, problem=problem)
                )
            case RunStarted():
                self._header(event)
            case RunFinished():
                self._end(event)

    def close(self) -> None:
        """Leave the terminal as it was."""

    def line(self, text: str) -> None:
        """A line that stays."""
        if self._speaking is not None:
            self._held.append(text)
        else:
            self.show(text)

    def show(self, text: str) -> None:
        self.terminal.err(text)

    # ----------------------------------------------------------------------------------- the text

    def _text(self, name: str, node: str, text: str) -> None:
        running = self.running.get(name)
        if running is not None:
            running.chunks += 1
            running.tail = (running.tail + text)[-_KEPT:]
        if node not in self._speaks or "/" in name:
            return
        if self._speaking is None:
            self.pause()
            self.show(self._sign("▸", "cyan") + self._title(name))
            self._speaking = name
        if self._speaking == name:
            self._said.append(text)
            self.terminal.write(text)

    def _void(self, name: str, why: str) -> None:
        """What a node has streamed so far does not count."""
        running = self.running.get(name)
        if running is not None:
            running.tail, running.chunks = "", 0
        if self._speaking == name:
            self._silence()
            self._said.clear()
            if why:
                self.line(self.terminal.paint(why, "dim"))

    def _silence(self) -> None:
        if self._speaking is not None:
            self._speaking = None
            if not (self._said and self._said[-1].endswith("\n")):
                self.terminal.write("\n")
            for line in self._held:
                self.show(line)
            self._held.clear()
            self.resume()

    def pause(self) -> None:
        """Stop drawing; something else is going to be written."""

    def resume(self) -> None:
        """Draw again."""

    # ---------------------------------------------------------------------------------- the lines

    def _header(self, event: RunStarted) -> None:
        self.line(self.terminal.paint(label(event.app) or "-", "bold"))
        for text in substitutes(event.substitutes):
            self.line(self.terminal.paint("≈ ", "yellow") + text)

    def _finished(self, event: NodeFinished) -> None:
        node = self.running.pop(event.name, None)
        if self._speaking == event.name:
            self._silence()
        inside = "/" in event.name
        if inside and event.status == "succeeded":
            self._incomplete(event)
            return
        sign, color = _SIGNS[event.status]
        title = label(event.title) or label(event.node)
        if inside:
            title = f"{path(event.name.rpartition('/')[0], self.titles)}/{title}"
        facts = [duration(event.elapsed)]
        if node is not None and node.total:
            facts.append(say("cli.items", count=node.total))
        if event.reused:
            facts.append(say("cli.reused"))
        facts += cost(event.usage)
        self.line(self._sign(sign, color) + _pad(title) + self._dim(" · ".join(facts)))
        if event.error and event.status == "exception":
            self.line(self._dim(f"  {_problem(event.error)}"))
        self._incomplete(event)

    def _incomplete(self, event: NodeFinished) -> None:
        """That a text is not all of it; of the items of an iteration once."""
        reason = event.outputs.get("finish_reason")
        if reason in _INCOMPLETE and (event.node, reason) not in self._told:
            self._told.add((event.node, reason))
            title = path(event.name, self.titles)
            text = say(f"cli.ended-by-{reason}", title=title)
            self.line(self.terminal.paint("! ", "yellow") + text)

    def _end(self, event: RunFinished) -> None:
        self._silence()
        sign, color = _SIGNS.get(event.status, ("!", "yellow"))
        facts = [duration(event.elapsed)]
        facts += cost(event.usage)
        word = say(f"cli.run-{event.status}")
        self.line(self._sign(sign, color) + word + self._dim(" · ".join(["", *facts])))

    def _title(self, name: str) -> str:
        node = self.running.get(name)
        return node.title if node else label(name)

    def _sign(self, sign: str, color: str) -> str:
        return self.terminal.paint(sign, color) + " "

    def _dim(self, text: str) -> str:
        return self.terminal.paint(text, "dim")


class QuietWatch(Watch):
    """Says only what must never be silent: what stands in for something that the file names."""

    def __init__(self, app: App, terminal: Terminal) -> None:
        super().__init__(app, terminal, stream=False)

    def take(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            for text in substitutes(event.substitutes):
                self.line("≈ " + text)


class EventLines(Watch):
    """Prints every event as a line of JSON, and nothing else."""

    def __init__(self, app: App, terminal: Terminal) -> None:
        super().__init__(app, terminal, stream=False)

    def take(self, event: Event) -> None:
        self.terminal.write(encode(event).decode() + "\n")


class LiveWatch(Watch):
    """Draws what is running below the lines, ten times a second. Needs a running loop."""

    def __init__(self, app: App, terminal: Terminal, *, stream: bool) -> None:
        super().__init__(app, terminal, stream=stream)
        self._drawing: Drawing | None = None
        self._frame = 0
        self.resume()
        terminal.teller = self.line
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def close(self) -> None:
        self.terminal.teller = self.terminal.err
        self._ticker.cancel()
        self._silence()
        self.pause()

    def show(self, text: str) -> None:
        if self._drawing is None:
            super().show(text)
        else:
            self._drawing.above(text)

    def pause(self) -> None:
        drawing, self._drawing = self._drawing, None
        if drawing is not None:
            drawing.close()

    def resume(self) -> None:
        self._drawing = Drawing(sys.stderr)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_FRAME)
            self._frame += 1
            if self._drawing is not None:
                self._drawing.draw(self._lines())

    def _lines(self) -> Iterator[str]:
        spin = self._sign(_SPINNER[self._frame % len(_SPINNER)], "cyan")
        room = self.terminal.width - 2
        outer = {name: node for name, node in self.running.items() if "/" not in name}
        for name, node in outer.items():
            yield spin + _pad(node.title) + self._dim(self._state(node))
            if node.total:
                inner = [n for key, n in self.running.items() if key.startswith(f"{name}[")]
                active = {k.split("]/")[0] for k in self.running if k.startswith(f"{name}[")}
                yield "  " + self._bar(node.items - len(active), node.total)
                for child in inner[:_CHILDREN]:
                    yield "    " + _pad(child.title) + self._dim(self._state(child))
                if len(inner) > _CHILDREN:
                    yield self._dim(f"    {say('cli.more', count=len(inner) - _CHILDREN)}")
            for text in _tail(node.tail, room - 2):
                yield self._dim(f"  {text}")

    def _state(self, node: _Running) -> str:
        facts = [duration(time.perf_counter() - node.since)]
        if node.chunks:
            facts.append(say("cli.pieces", count=node.chunks))
        elif node.reasoning:
            facts.append(say("cli.thinking", count=node.reasoning))
        return " · ".join(facts)

    def _bar(self, done: int, total: int) -> str:
        full = 24 * done // max(1, total)
        bar = self.terminal.paint("━" * full, "green") + self._dim("━" * (24 - full))
        return f"{bar} {done}/{total}"


def substitutes(found: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """A line for each thing that stands in for another (`Result.substitutes`)."""
    lines = dict.fromkeys(
        say(
            "cli.substitute",
            wanted=label(named(item.get("wanted", ""))),
            used=label(item.get("used", "")),
            why=label(item.get("why", "")),
        )
        for item in found
    )
    yield from lines


def speakers(app: App) -> frozenset[str]:
    """The nodes whose text, as it is, will be the one output of the app; empty for an app with
    several outputs."""
    ends = [step.node for step in app.plan.root.steps if step.node.ends]
    names = {o.variable for end in ends if isinstance(end, End) for o in end.data.outputs or ()}
    if len(names) + any(isinstance(node, Answer) for node in ends) != 1:
        return frozenset()
    found: set[str] = set()
    waiting: list[Any] = list(ends)
    while waiting:
        node = waiting.pop()
        for reading in node.reads():
            selector = reading.selector
            alone = f"{{{{#{selector}#}}}}"
            if isinstance(node, Answer) and (node.data.answer or "").strip() != alone:
                continue
            source = app.plan.nodes.get(selector.owner)
            if source is not None and source.type == "variable-aggregator":
                waiting.append(source)
            elif source is not None and selector.name == "text":
                found.add(selector.owner)
    return frozenset(found)


def outputs(app: App) -> list[str]:
    """The names of the outputs that the ends of an app can give."""
    names: list[str] = []
    for step in app.plan.root.steps:
        if isinstance(step.node, End):
            names += [o.variable for o in step.node.data.outputs or ()]
        elif isinstance(step.node, Answer):
            names += ["answer", "files"]
    return list(dict.fromkeys(names))


def path(name: str, titles: Mapping[str, str]) -> str:
    """The name of an execution as people read it: titles in place of the ids."""
    parts = []
    for part in name.split("/"):
        id, bracket, index = part.partition("[")
        parts.append((label(titles.get(id, "")) or label(id)) + bracket + index)
    return "/".join(parts)


def text_of(terminal: Terminal, title: str, text: str, *, whole: bool) -> None:
    """What a node of a run that did not come to its end has said. whole: that was all."""
    key = "cli.finished" if whole else "cli.partial"
    terminal.err(terminal.paint(say(key, title=title), "dim"))
    for line in clean(text).splitlines():
        terminal.err(f"  {line}")


def error_of(terminal: Terminal, error: dict[str, Any]) -> None:
    """The error of a run, from its last event."""
    place = msgspec.convert(error.get("place") or {}, Place)
    terminal.trouble(str(error.get("message", "")), place, str(error.get("next", "")))


def _problem(error: dict[str, Any]) -> str:
    """What went wrong, in one line beside a node."""
    return label(brief(str(error.get("message", "")), 500))


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{seconds:.1f} s"


def cost(usage: Usage | None) -> list[str]:
    """Tokens, and tokens per second where the time is known."""
    if usage is None or not usage.total_tokens:
        return []
    facts = [say("cli.tokens", count=usage.completion_tokens)]
    seconds = usage.time_to_generate or usage.latency - usage.time_to_first_token
    if usage.completion_tokens and seconds > 0:
        facts.append(say("cli.speed", speed=f"{usage.completion_tokens / seconds:.0f}"))
    return facts


def _pad(title: str) -> str:
    title = shorten(title, _TITLE)
    return title + " " * (_TITLE + 2 - width(title))


def _tail(text: str, room: int) -> list[str]:
    """The last lines of a text that grows."""
    lines = [line for line in clean(text).splitlines() if line.strip()][-_TAIL:]
    return [line if width(line) <= room else "…" + _last(line, room - 1) for line in lines]


def _last(line: str, room: int) -> str:
    while width(line) > room:
        line = line[max(1, (width(line) - room) // 2) :]
    return line
