"""Continuing an answer that ran into the token limit, and sewing the parts together.

The model is shown what it has written and told to go on. What it repeats of its last words, as
most models do, is left out where it matches; words that begin a new part are held back until
that is clear.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest, Usage

_OVERLAP = 200  # characters of the seam that are looked at
_LEAST = 8  # a shorter match may be chance

_GO_ON = (
    "Your answer was cut off by a limit on its length. Go on exactly where it stops, in the same "
    "language and form. Do not repeat anything, do not begin anew, do not comment."
)


async def continued(
    answer: Callable[[ModelRequest], AsyncGenerator[ModelChunk | ModelEnd, None]],
    request: ModelRequest,
    times: int,
) -> AsyncGenerator[ModelChunk | ModelEnd, None]:
    """Stream an answer, going on up to `times` times while its finish reason is "length".

    The last finish reason counts; usage is the sum.
    """
    text, usage, replaced = "", Usage(), False
    for turn in range(times + 1):
        asked = request if turn == 0 else _go_on(request, text)
        seam: str | None = None if turn == 0 else ""
        pieces: list[str] = []
        end = ModelEnd(Usage())
        async with aclosing(answer(asked)) as items:
            async for item in items:
                if isinstance(item, ModelEnd):
                    end = item
                    continue
                if seam is None or not item.text:
                    pieces.append(item.text)
                    yield item
                    continue
                seam += item.text
                if len(seam) >= _OVERLAP:
                    fresh, seam = without_overlap(text, seam), None
                    pieces.append(fresh)
                    yield ModelChunk(fresh, item.reasoning)
        if seam:
            fresh = without_overlap(text, seam)
            pieces.append(fresh)
            yield ModelChunk(fresh)
        part = "".join(pieces) if end.replaces is None else end.replaces
        text, usage = text + part, usage + end.usage
        replaced = replaced or end.replaces is not None
        if end.finish_reason != "length" or not part or turn == times:
            end.usage = usage
            end.replaces = text if replaced else None
            yield end
            return


def without_overlap(before: str, after: str) -> str:
    """What is new in `after`: the longest end of `before` that it begins with is left out."""
    start = after.lstrip()
    for size in range(min(len(before), len(start), _OVERLAP), _LEAST - 1, -1):
        if before.endswith(start[:size]):
            return start[size:]
    return after


def _go_on(request: ModelRequest, text: str) -> ModelRequest:
    messages = [*request.messages, Message("assistant", text), Message("user", _GO_ON)]
    return msgspec.structs.replace(request, messages=messages)
