"""What is recorded of one call of a model, and the figures that follow from it.

All times are seconds on the clock of the event loop, as this program saw them: sent when the
request went out, and one moment for each piece of the answer that had text or reasoning in it. Let
n be the tokens of the answer:

    time to first token     first piece - sent
    time per sample         last piece - sent
    inter-token latency     between neighbouring pieces
    time per output token   (last piece - first piece) / (n - 1)
    decode                  (n - 1) / (last piece - first piece): tokens a second
    prefill                 (tokens of the prompt - those a cache had) / time to first token

The time to the first token has everything in it that a caller waits for: the way there and back,
a queue, reading the prompt, and the first step of writing. Tokens are counted by the server where
it tells, else a piece counts as one (`doubts` says which, and whether to believe it).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

AROUND = 2000  # tokens that may stand around a prompt, unseen by who sends it


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call, raw.

    repetition: which one it belongs to, from 0. due: when it should have been sent, seconds after
    the beginning of the repetition; sent: when it was. pieces: seconds after `sent` at which each
    piece of the answer came. asked, wanted: tokens of the prompt and of the answer that were meant.
    read, told: tokens of prompt and answer by the server's count, 0 if it told none; cached:
    tokens of the prompt that it had kept, None if it doesn't say. counted: tokens of the answer as
    its own tokenizer counts the text, where it was asked. bytes, words: of the answer; words are
    counted so that no tokenizer makes fewer tokens of it. given_bytes, given_words: of the prompt,
    0 if it isn't known. growth: tokens for each further word by which the server's counts of
    prompts had grown beforehand, where no text has so many; else 0. finish: why it ended. error:
    the code of what went wrong, and message: in words.
    """

    repetition: int
    sent: float
    due: float = 0.0
    pieces: tuple[float, ...] = ()
    asked: int = 0
    wanted: int = 0
    read: int = 0
    told: int = 0
    cached: int | None = None
    counted: int | None = None
    bytes: int = 0
    words: int = 0
    given_bytes: int = 0
    given_words: int = 0
    growth: float = 0.0
    finish: str = ""
    error: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        return not self.error and bool(self.pieces)

    @property
    def tokens(self) -> int:
        """Tokens of the answer: as the server told, unless that cannot be."""
        if not self.told or impossible(self):
            return self.counted or len(self.pieces)
        return self.told

    @property
    def prompt(self) -> int:
        """Tokens of the prompt: as the server told, unless that cannot be."""
        if not self.read or misread(self):
            return self.asked
        return self.read

    @property
    def first(self) -> float:
        """Time to first token."""
        return self.pieces[0]

    @property
    def seconds(self) -> float:
        """Time per sample."""
        return self.pieces[-1]

    @property
    def end(self) -> float:
        """When it ended, after the beginning of its repetition."""
        return self.sent + (self.pieces[-1] if self.pieces else 0.0)

    @property
    def gaps(self) -> list[float]:
        """Inter-token latencies."""
        return [after - before for before, after in zip(self.pieces, self.pieces[1:], strict=False)]

    @property
    def per_token(self) -> float | None:
        """Time per output token; None for an answer of one."""
        if self.tokens < 2 or len(self.pieces) < 2:
            return None
        return (self.pieces[-1] - self.pieces[0]) / (self.tokens - 1)

    @property
    def decode(self) -> float | None:
        """Tokens a second while it wrote."""
        each = self.per_token
        return 1 / each if each else None

    @property
    def prefill(self) -> float | None:
        """Tokens of the prompt a second, as the caller sees it."""
        cached = 0 if misread(self) else self.cached or 0
        fresh = self.prompt - cached
        return fresh / self.first if fresh > 0 and self.first > 0 else None


def impossible(call: Call) -> str:
    """Why the server's count of an answer cannot be right, in a word; "" if it may be.

    "recount": its own tokenizer and the pieces of the stream both say something else; "bytes": more
    tokens than bytes; "limit": more tokens than were allowed, though no more pieces came; "words":
    fewer tokens than words. A few tokens more or less are nobody's lie: an end that is counted, a
    letter that takes two of them.
    """
    told, pieces = call.told, len(call.pieces)
    if call.counted is not None:
        slack = 4 + call.counted // 4
        if abs(told - call.counted) > slack and abs(told - pieces) > slack:
            return "recount"
    if told > call.bytes + 8:
        return "bytes"
    if call.wanted and told > call.wanted + 2 and pieces <= call.wanted + 2:
        return "limit"
    if told < call.words - 2 - call.words // 10:
        return "words"
    return ""


def misread(call: Call) -> str:
    """Why the server's count of a prompt cannot be right, in a word; "" if it may be.

    "growth": a longer prompt had more further tokens than further bytes, and what stands around a
    prompt is the same for all; "bytes": more tokens than bytes, though a template or a provider's
    own words stand around them; "words": fewer tokens than words."""
    if call.growth:
        return "growth"
    if not call.given_bytes:
        return ""
    if call.read > call.given_bytes + AROUND:
        return "bytes"
    if call.read < call.given_words - 2 - call.given_words // 10:
        return "words"
    return ""


def busy(calls: Sequence[Call]) -> float:
    """Seconds from the first request of some calls to the end of the last answer."""
    if not calls:
        return 0.0
    return max(call.end for call in calls) - min(call.sent for call in calls)
