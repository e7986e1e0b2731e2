"""Guarding the context: a prompt that a server shortens in silence is an error, not an answer.

Before a call the prompt's tokens are counted, where the server or its protocol can; a prompt that
does not fit is refused here, and an answer that no file bounds may take all that is left of the
context. After the call the server's own count is compared. Servers for which nobody can count
beforehand are held to a lower bound that no tokenizer goes below (`fewest_tokens`).

Counting is left out where it could not matter: a token is at least one byte, so a text of fewer
bytes than the context has room is known to fit.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec

from millstream.base import Failed
from millstream.engine.ports import ModelEnd, ModelRequest
from millstream.models import prompt
from millstream.models.http import Http
from millstream.models.target import Target

Counter = Callable[[Http, Target, ModelRequest], Awaitable[int | None]]

# Tokens that a chat template may add to a message, and to the whole.
_TEMPLATE = 32

_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯豈-﫿]")


class Guard:
    """What is known of one call before it: made by `prepare`, asked again by `verify`.

    request: to send instead of the original one. prompt_tokens: counted beforehand, if at all.
    """

    __slots__ = ("prompt_tokens", "request", "target")

    def __init__(self, target: Target, request: ModelRequest, prompt_tokens: int | None) -> None:
        self.target = target
        self.request = request
        self.prompt_tokens = prompt_tokens

    def verify(self, end: ModelEnd) -> None:
        """Raise Failed if the server read less than the prompt."""
        seen = end.usage.prompt_tokens
        if not seen or any(message.files for message in self.request.messages):
            return
        if self.prompt_tokens is not None:
            # Counting by two roads may differ by a template's few tokens, never by a part.
            expected, tolerated = self.prompt_tokens, max(_TEMPLATE, self.prompt_tokens // 50)
        else:
            # No word is shorter than two characters with the space before it.
            if not self._is_a_limit(seen) or 2 * seen >= _characters(self.request):
                return
            expected = fewest_tokens(self.request)
            tolerated = expected // 4
        if seen < expected - tolerated:
            raise Failed(
                "models.truncated",
                model=str(self.target),
                seen=seen,
                expected=expected,
                context=self.target.context or "?",
            )

    def _is_a_limit(self, seen: int) -> bool:
        """Whether a count is what a server that cuts would report, and not one of those that
        leave cached tokens out: half of the context to all of it."""
        if self.target.context is not None and self.target.context >= 256:
            return seen >= 0.4 * self.target.context
        return seen >= 1000


async def prepare(
    http: Http, target: Target, request: ModelRequest, counter: Counter | None
) -> Guard:
    """Count a prompt if that can tell anything, and bound the answer by what is left.

    Raises Failed for a prompt that does not fit the context.
    """
    context = target.context
    if context is None or counter is None:
        return Guard(target, request, None)
    asked = prompt.max_tokens(request)
    most = sum(len(m.text.encode()) + _TEMPLATE for m in request.messages) + _TEMPLATE
    if asked is not None and most + asked <= context:
        return Guard(target, request, None)
    count = await counter(http, target, request)
    if count is None:
        return Guard(target, request, None)
    left = context - count
    if left <= 0:
        raise Failed("models.too-long-prompt", model=str(target), count=count, context=context)
    if asked is None or asked > left:
        names = dict.fromkeys(prompt.MAX_TOKENS)
        params = {name: value for name, value in request.params.items() if name not in names}
        request = msgspec.structs.replace(request, params=params | {"max_tokens": left})
    return Guard(target, request, count)


def fewest_tokens(request: ModelRequest) -> int:
    """A number of tokens below which no usual tokenizer brings the prompt.

    Tokens do not reach over blank space, so every word with a letter or digit in it is one at
    least. In Chinese, Japanese and Korean, which put no space between words, a token of more
    than eight characters is unheard of in running text.
    """
    total = 0
    for message in request.messages:
        cjk = len(_CJK.findall(message.text))
        words = [word for word in message.text.split() if not cjk or not _CJK.search(word)]
        total += sum(any(map(str.isalnum, word)) for word in words) + cjk // 8
    return total


def _characters(request: ModelRequest) -> int:
    return sum(len(message.text) for message in request.messages)
