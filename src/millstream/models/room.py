"""What a refusal says of the room that a prompt leaves for its answer.

A request may ask for more tokens than the model's context has left; servers refuse that, each in
its own words, and mostly with the numbers. From those follows what to ask for instead.
"""

from __future__ import annotations

import re

import msgspec

from millstream.models.http import Refusal

LEAST = 16  # tokens; with less of them left, it is the prompt that is too long

_WORDS = (
    # Anthropic: "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"
    re.compile(r"(?P<prompt>\d{1,9}) \+ \d+ > (?P<context>\d{1,9})"),
    # vLLM 0.20 and later: "max_tokens=32000 cannot be greater than max_model_len=8192."
    re.compile(r"cannot be greater than max_model_len=(?P<context>\d{1,9})(?P<prompt>)"),
    # vLLM 0.8 and later: "'max_tokens' … is too large: 32000. … (32000 > 8192 - 40)."
    re.compile(r"\d > (?P<context>\d{1,9}) - (?P<prompt>\d{1,9})"),
    # vLLM before that, and OpenAI: "This model's maximum context length is 8192 tokens. However,
    # you requested 32040 tokens (40 in the messages, 32000 in the completion)."
    re.compile(
        r"context length is (?P<context>\d{1,9}) tokens\. However, you requested \d+ tokens"
        r" \((?P<prompt>\d{1,9}) in the"
    ),
    # vLLM since, and services that run it (Bedrock, Cloudflare, MiniMax): "… However, you requested
    # 32000 output tokens and your prompt contains at least 40 input tokens"
    re.compile(
        r"context length is (?P<context>\d{1,9}) tokens.{0,40}requested \d+ output tokens"
        r".{0,40}?(?P<bound>at least )?(?P<prompt>\d{1,9}) input tokens"
    ),
)


def left(refusal: Refusal, most: int) -> int | None:
    """Tokens that an answer may have where `most` are too many; 0 if there is no room for one.
    None: the refusal says nothing of that."""
    # The message is cut for display; a gateway's own words may stand before the server's.
    whole = msgspec.json.encode(refusal.body).decode()
    for form in _WORDS:
        if found := form.search(whole):
            room = int(found["context"]) - int(found["prompt"] or 0)
            if found.groupdict().get("bound"):
                room = min(room, most // 2)  # the prompt was not counted to its end
            return room if LEAST <= room < most else 0
    return None
