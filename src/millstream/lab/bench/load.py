"""Sending calls: one after the other, several at once, or at a rate, and timing what comes back.

Closed loops (`synchronous`, `concurrent`) send the next call when one has ended, so that the server
decides how fast it goes. Open ones (`constant`, `poisson`) send at moments that were fixed before,
whether the server keeps up or not, as people do; the moments of a Poisson process come from a seed.
Time is the event loop's, so that a test may have a clock of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Literal

import msgspec

from millstream.base import MillstreamError
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.lab.bench.calls import Call
from millstream.models.guard import fewest_tokens

Profile = Literal["synchronous", "concurrent", "constant", "poisson"]
Items = AsyncGenerator[ModelChunk | ModelEnd, None]
Send = Callable[["Prompt"], Items]
Count = Callable[[str], Awaitable["int | None"]]


class Prompt(msgspec.Struct, frozen=True):
    """What one call says. prefix: a beginning that is read before anything is timed. tokens: of
    the whole, as counted or estimated beforehand; wanted: tokens of the answer.
    growth: as of a `Call`."""

    text: str
    tokens: int
    wanted: int
    prefix: str = ""
    growth: float = 0.0


class Tick(msgspec.Struct):
    """What has happened so far in a repetition, for whoever watches."""

    done: int = 0
    failed: int = 0
    running: int = 0
    pieces: int = 0


Watch = Callable[[Tick], None]


class Failure(Exception):
    """An error after which further calls make no sense. calls: what came before it."""

    def __init__(self, error: MillstreamError, calls: list[Call]) -> None:
        super().__init__(str(error))
        self.error, self.calls = error, calls


def moments(profile: Profile, count: int, rate: float, seed: int) -> list[float]:
    """When the calls of an open loop are due, in seconds from the first."""
    if profile == "constant":
        return [number / rate for number in range(count)]
    source = random.Random(seed)  # noqa: S311
    due = [0.0]
    while len(due) < count:
        due.append(due[-1] + source.expovariate(rate))
    return due[:count]


class Load:
    """Sends prompts and records calls. send: starts a call. fatal: whether an error ends it all.

    calls: what has been recorded of the repetition that is under way, calls that were cut off by
    a cancel too. errors: of those that failed.
    """

    def __init__(
        self,
        send: Send,
        *,
        fatal: Callable[[MillstreamError], bool] = lambda error: False,
        watch: Watch = lambda tick: None,
    ) -> None:
        self._send, self._fatal, self._watch = send, fatal, watch
        self.calls: list[Call] = []
        self.errors: list[MillstreamError] = []
        self._texts: list[str] = []
        self.tick = Tick()

    async def run(
        self,
        prompts: Sequence[Prompt],
        *,
        repetition: int = 0,
        profile: Profile = "synchronous",
        concurrency: int = 1,
        rate: float = 1.0,
        seed: int = 0,
    ) -> list[Call]:
        """Send all prompts; their calls, in the order in which they were sent.

        Raises Failure for an error that further calls could only repeat."""
        self.calls, self.errors, self._texts, self.tick = [], [], [], Tick()
        if profile in ("constant", "poisson"):
            due = moments(profile, len(prompts), rate, seed)
            await self._at(prompts, due, repetition)
        elif any(prompt.prefix for prompt in prompts):
            await self._rounds(prompts, concurrency, repetition)
        else:
            await self._loop(prompts, concurrency if profile == "concurrent" else 1, repetition)
        return sorted(self.calls, key=lambda call: call.sent)

    async def recount(self, count: Count) -> None:
        """Have the answers counted by the server's tokenizer, when nothing is timed any more."""
        for i, (call, text) in enumerate(zip(self.calls, self._texts, strict=True)):
            if call.ok and text:
                counted = await count(text)
                if counted is None:
                    return
                self.calls[i] = msgspec.structs.replace(call, counted=counted)

    # ---------------------------------------------------------------------------- orders of calls

    async def _loop(self, prompts: Sequence[Prompt], concurrency: int, repetition: int) -> None:
        """So many at once, the next as soon as one has ended."""
        began = _now()
        left = iter(prompts)

        async def worker() -> None:
            for prompt in left:  # one iterator for all of them
                await self._call(prompt, began, repetition)

        await self._together([worker() for _ in range(min(concurrency, len(prompts)))])

    async def _rounds(self, prompts: Sequence[Prompt], concurrency: int, repetition: int) -> None:
        """The beginnings of so many prompts are read, then their calls are timed together."""
        began = _now()
        for start in range(0, len(prompts), concurrency):
            some = prompts[start : start + concurrency]
            ready: list[Prompt] = []
            await self._together([self._read(p, began, repetition, ready) for p in some])
            await self._together([self._call(prompt, began, repetition) for prompt in ready])

    async def _at(self, prompts: Sequence[Prompt], due: Sequence[float], repetition: int) -> None:
        """Each at its moment."""
        began = _now()

        async def wait(prompt: Prompt, moment: float) -> None:
            await asyncio.sleep(max(0.0, began + moment - _now()))
            await self._call(prompt, began, repetition, moment)

        await self._together([wait(*pair) for pair in zip(prompts, due, strict=True)])

    async def _together(self, works: Sequence[Awaitable[None]]) -> None:
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.gather(*tasks)
        except MillstreamError as error:
            raise Failure(error, self.calls) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------ one call

    async def _read(
        self, prompt: Prompt, began: float, repetition: int, ready: list[Prompt]
    ) -> None:
        """Have the beginning of a prompt read, so that the server has it in its cache. ready: is
        given the prompt then; else its call has failed."""
        begin = msgspec.structs.replace(prompt, text=prompt.prefix, wanted=1, prefix="")
        sent = _now()
        try:
            async with aclosing(self._send(begin)) as stream:
                async for _ in stream:
                    pass
        except MillstreamError as error:
            self._fail(self._call_of(prompt, began, repetition, None, sent, [], [], None), error)
        else:
            ready.append(prompt)

    async def _call(
        self, prompt: Prompt, began: float, repetition: int, due: float | None = None
    ) -> None:
        tick, watch, clock = self.tick, self._watch, asyncio.get_running_loop().time
        pieces: list[float] = []
        texts: list[str] = []
        end: ModelEnd | None = None
        error: MillstreamError | None = None
        tick.running += 1
        sent = clock()
        try:
            async with aclosing(self._send(prompt)) as stream:
                async for item in stream:
                    if type(item) is ModelChunk:
                        pieces.append(clock() - sent)
                        texts.append(item.text or item.reasoning)
                        tick.pieces += 1
                        watch(tick)
                    elif isinstance(item, ModelEnd):
                        end = item
        except MillstreamError as caught:
            error = caught
        except asyncio.CancelledError:
            if pieces:
                call = self._call_of(prompt, began, repetition, due, sent, pieces, texts, end)
                self._keep(msgspec.structs.replace(call, error="cancelled"), texts)
            raise
        tick.running -= 1
        call = self._call_of(prompt, began, repetition, due, sent, pieces, texts, end)
        if error is not None:
            self._fail(call, error, texts)
            return
        tick.done += 1
        self._keep(call, texts)
        watch(tick)

    @staticmethod
    def _call_of(
        prompt: Prompt,
        began: float,
        repetition: int,
        due: float | None,
        sent: float,
        pieces: list[float],
        texts: list[str],
        end: ModelEnd | None,
    ) -> Call:
        text = "".join(texts)
        usage = end.usage if end else None
        return Call(
            repetition=repetition,
            sent=sent - began,
            due=sent - began if due is None else due,
            pieces=tuple(pieces),
            asked=prompt.tokens,
            wanted=prompt.wanted,
            read=usage.prompt_tokens if usage else 0,
            told=usage.completion_tokens if usage else 0,
            cached=_cached(end),
            bytes=len(text.encode("utf-8", "replace")),
            words=_words(text),
            given_bytes=len(prompt.text.encode("utf-8", "replace")),
            given_words=_words(prompt.text),
            growth=prompt.growth,
            finish=(end.finish_reason or "") if end else "",
        )

    def _fail(self, call: Call, error: MillstreamError, texts: Sequence[str] = ()) -> None:
        """Record a call that failed; raises the error if it ends everything."""
        self.tick.failed += 1
        self.errors.append(error)
        self._keep(msgspec.structs.replace(call, error=error.code, message=str(error)), texts)
        self._watch(self.tick)
        if self._fatal(error):
            raise error

    def _keep(self, call: Call, texts: Sequence[str]) -> None:
        self.calls.append(call)
        self._texts.append("".join(texts))


def _cached(end: ModelEnd | None) -> int | None:
    """Tokens of the prompt that the server says it had kept; None for more than there are."""
    if end is None or end.cached is None or end.cached > end.usage.prompt_tokens:
        return None
    return end.cached


def _words(text: str) -> int:
    asked = ModelRequest(ModelRef("", ""), [Message("user", text)])
    return fewest_tokens(asked)


def _now() -> float:
    return asyncio.get_running_loop().time()
