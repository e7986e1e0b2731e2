"""What is not to be believed, or not quite: of a server's counts, and of the measurement itself."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from millstream.base import say
from millstream.lab.bench.calls import Call, impossible, misread
from millstream.lab.bench.figures import Figures

NOISY = 0.10  # standard deviation of repetitions, as a share of their mean
QUIET = 0.85  # of the processor time that a model's threads could have had
BUSY = 0.7  # of a core, that sending and reading took
_MERGED = 1.25  # tokens a piece
_SPLIT = 0.8
_SHORT = 0.9  # of the tokens that were wanted
_LONG = 1.1  # of them, and two: an end may be counted
_ABOVE = 1.05  # of the roofline, which was measured, too
_KEPT = 0.1  # of a prompt that should have been new
_OFF = 0.1  # of a prompt's length
_LATE = 0.05  # seconds after a call was due


class Doubt(msgspec.Struct, frozen=True):
    """A sentence about a point. kind: "noise", "tokens", "prompt", "client", "calls" or "layers";
    key: of the catalogue."""

    kind: str
    key: str
    values: dict[str, Any] = {}

    @property
    def text(self) -> str:
        return say(self.key, **self.values)


def doubts(
    calls: Sequence[Call],
    made: Figures,
    *,
    exact: bool,
    share: float | None = None,
    client: float = 0.0,
    depth: int = 0,
    reached: float | None = None,
    layers: int = 0,
    cards: Sequence[str] = (),
) -> Iterator[Doubt]:
    """exact: prompts were measured by the server's tokenizer. share: of the processor time that
    the model's threads could have had; client: of a core, that this program took. depth: tokens
    that were read beforehand. reached: the speed of decode as a share of the roofline. layers:
    that were meant for a graphics card, where the runtime can use none; cards: that are there
    nevertheless."""
    good = [call for call in calls if call.ok]
    if not good:
        return
    if layers:
        key = "bench.doubt-card-unused" if cards else "bench.doubt-no-card"
        yield Doubt("layers", key, {"layers": layers, "cards": ", ".join(cards)})
    yield from _of_answers(good)
    yield from _of_prompts(good, exact, depth)
    if made.failed:
        yield Doubt("calls", "bench.doubt-failed", {"failed": made.failed, "calls": len(calls)})
    for name in ("decode", "requests"):
        values = made.each.get(name, [])
        if len(values) > 1 and (mean := statistics.fmean(values)):
            off = statistics.stdev(values) / mean
            if off > NOISY:
                yield Doubt("noise", "bench.doubt-noisy", {"share": off, "count": len(values)})
                break
    if share is not None and share < QUIET:
        yield Doubt("noise", "bench.doubt-shared", {"share": share})
    if client > BUSY:
        yield Doubt("client", "bench.doubt-client", {"share": client})
    if reached is not None and reached > _ABOVE:
        yield Doubt("calls", "bench.doubt-above", {"share": reached})
    if made.late is not None and made.late.p95 > _LATE:
        yield Doubt("client", "bench.doubt-late", {"seconds": made.late.p95})


def _of_answers(good: Sequence[Call]) -> Iterator[Doubt]:
    lies = [(call, why) for call in good if call.told and (why := impossible(call))]
    if lies:
        call, why = lies[0]
        values = {
            "count": len(lies),
            "calls": len(good),
            "told": call.told,
            "pieces": len(call.pieces),
            "bytes": call.bytes,
            "words": call.words,
            "wanted": call.wanted,
            "counted": call.counted or 0,
        }
        yield Doubt("tokens", f"bench.lie-{why}", values)
    silent = sum(not call.told for call in good)
    if silent:
        yield Doubt("tokens", "bench.doubt-no-usage", {"count": silent, "calls": len(good)})
    honest = [call for call in good if call.told and not impossible(call)]
    each = _middle(honest, lambda call: call.told / len(call.pieces))
    whole = sum(len(call.pieces) == 1 and call.tokens > 4 for call in good)
    if whole:
        yield Doubt("tokens", "bench.doubt-not-streamed", {"count": whole, "calls": len(good)})
    elif each is not None and each > _MERGED:
        yield Doubt("tokens", "bench.doubt-merged", {"each": each})
    elif each is not None and each < _SPLIT:
        yield Doubt("tokens", "bench.doubt-split", {"each": 1 / each})
    written = _middle(good, lambda call: call.tokens)
    wanted = good[0].wanted
    if written is not None and wanted:
        values = {"tokens": round(written), "wanted": wanted}
        if written < _SHORT * wanted:
            yield Doubt("calls", "bench.doubt-short", values)
        elif written > _LONG * wanted + 2:
            yield Doubt("calls", "bench.doubt-long", values)


def _of_prompts(good: Sequence[Call], exact: bool, depth: int) -> Iterator[Doubt]:
    lies = [(call, why) for call in good if call.read and (why := misread(call))]
    if lies:
        call, why = lies[0]
        values: dict[str, Any] = {
            "count": len(lies),
            "calls": len(good),
            "read": call.read,
            "bytes": call.given_bytes,
            "words": call.given_words,
            "growth": call.growth,
            "asked": call.asked,
        }
        yield Doubt("prompt", f"bench.lie-prompt-{why}", values)
    told = [call for call in good if call.read and call.asked and not misread(call)]
    off = _middle(told, lambda call: call.read / call.asked)
    if off is not None and abs(off - 1) > _OFF:
        values = {"asked": told[0].asked, "read": round(off * told[0].asked)}
        key = "bench.doubt-prompt-count" if exact else "bench.doubt-prompt-length"
        yield Doubt("prompt", key, values)
    kept = _middle([c for c in good if c.cached], lambda call: (call.cached or 0) / call.prompt)
    if depth:
        known = [call for call in good if call.cached is not None]
        share = _middle(known, lambda call: (call.cached or 0) / call.prompt)
        if share is None or share < 0.8 * depth / max(1, good[0].prompt):
            yield Doubt("prompt", "bench.doubt-depth", {"depth": depth})
    elif kept is not None and kept > _KEPT and (good[0].cached or 0) > 32:
        yield Doubt("prompt", "bench.doubt-cached", {"share": kept})


def _middle(calls: Sequence[Call], figure: Callable[[Call], float]) -> float | None:
    return statistics.median(map(figure, calls)) if calls else None
