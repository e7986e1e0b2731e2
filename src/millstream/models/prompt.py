"""What protocols share on the way from a `ModelRequest` to a body: turns, parameters, files, time.

App files were written for other providers than the one that answers: their prompts may be a
system message only, their parameters have other names, their files may be of a kind that the
model does not read. What is common in putting that right lives here; what a protocol wants of it
is in its own module. Nothing here talks to a server.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from millstream.base import Failed
from millstream.engine.ports import Message, ModelRequest, Usage
from millstream.values import File

# The names under which app files bound the length of an answer, by provider.
MAX_TOKENS = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "num_predict",
)


# ------------------------------------------------------------------------------------- messages


class Turn(NamedTuple):
    """Neighbouring messages of one side of the conversation."""

    role: Literal["user", "assistant"]
    messages: Sequence[Message]

    @property
    def text(self) -> str:
        return "\n\n".join(message.text for message in self.messages if message.text)

    @property
    def files(self) -> list[File]:
        return [file for message in self.messages for file in message.files]


def with_a_user(messages: Iterable[Message]) -> list[Message]:
    """The messages that say something, with at least one that is not a system message.

    A prompt of system messages only is common in app files. Anthropic and Gemini refuse it, and
    the templates of several open models fail at it or drop it. The last one is the task itself,
    so it goes out as the user's: the model reads the same words.
    """
    said = [message for message in messages if message.text.strip() or message.files]
    if said and all(message.role == "system" for message in said):
        said[-1] = Message("user", said[-1].text, said[-1].files)
    return said


def turns(messages: Iterable[Message]) -> tuple[str, list[Turn]]:
    """The system text, and turns in which user and assistant alternate, the user first.

    For protocols that keep the system text apart and want sides to alternate. A tool's result
    counts as the user's. Where the assistant would begin, the system text opens as the user's.
    """
    said = with_a_user(messages)
    system = [message for message in said if message.role == "system"]
    rest = [message for message in said if message.role != "system"]
    if rest and rest[0].role == "assistant" and system:
        rest = [Message("user", message.text, message.files) for message in system] + rest
        system = []
    sides: list[Turn] = []
    for is_answer, group in groupby(rest, lambda message: message.role == "assistant"):
        sides.append(Turn("assistant" if is_answer else "user", list(group)))
    return "\n\n".join(message.text for message in system), sides


# ----------------------------------------------------------------------------------- parameters


def number(params: Mapping[str, Any], *names: str) -> float | None:
    """The first of these parameters that is a number. A text that reads as a number is one;
    what is neither is left out, as a server would refuse it."""
    for name in names:
        value = params.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return value
    return None


def integer(params: Mapping[str, Any], *names: str) -> int | None:
    """As `number`, cut to a whole one; None for an infinite one."""
    value = number(params, *names)
    return None if value is None or abs(value) > 2**53 else int(value)


def max_tokens(request: ModelRequest) -> int | None:
    """The most tokens that the file lets an answer have; None if it says nothing (0 and -1 are
    ways to say nothing)."""
    value = integer(request.params, *MAX_TOKENS)
    return value if value is not None and value > 0 else None


def thinking(params: Mapping[str, Any]) -> bool | str | None:
    """Whether the file asks the model to think, or how much ("low" …); None: it doesn't say."""
    for name in ("think", "thinking", "enable_thinking", "thinking_mode"):
        value = params.get(name)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip():
            word = value.strip().lower()
            return {"true": True, "enabled": True, "false": False, "disabled": False}.get(
                word, word
            )
    return None


def wants_json(params: Mapping[str, Any]) -> bool:
    """Whether the file asks for JSON without a schema (`response_format` and its kin)."""
    for name in ("response_format", "format"):
        value = params.get(name)
        if isinstance(value, Mapping):
            value = value.get("type")
        if isinstance(value, str) and value.lower() in ("json", "json_object"):
            return True
    return False


# ---------------------------------------------------------------------------------------- files


class Blob(NamedTuple):
    """The bytes of a file, ready for a JSON body."""

    mime: str
    base64: str


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def is_remote(file: File) -> bool:
    """Whether only a network address of the file is known."""
    return file.url.startswith(("http://", "https://"))


def blob(file: File) -> Blob:
    """The bytes of a file that is handed over as a `data:` address (RFC 2397).

    One that is only known by a network address is for the caller to fetch first: an adapter does
    not decide which addresses may be visited. Raises Failed for it, and for a broken address.
    """
    if not file.url.startswith("data:"):
        raise Failed("prompt.file-elsewhere", name=_name(file))
    head, comma, body = file.url[5:].partition(",")
    mime, *flags = head.split(";")
    try:
        if not comma:
            raise ValueError("no comma in its data: address")
        if "base64" in flags:
            data = base64.b64decode(unquote(body), validate=True)
        else:
            data = unquote_to_bytes(body)
    except ValueError as error:
        raise Failed("prompt.file-broken", name=_name(file), problem=str(error)) from None
    return Blob(_sniff(data) or file.mime_type or mime, base64.b64encode(data).decode())


def _sniff(data: bytes) -> str:
    """The type that the first bytes betray; names and headers are often wrong about images."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")


def _name(file: File) -> str:
    return file.name or file.url[:40]


# ----------------------------------------------------------------------------------------- time


class Stopwatch:
    """The times of one call, for servers that do not tell their own."""

    __slots__ = ("_first", "_start")

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first: float | None = None

    def arrived(self) -> None:
        """Something of the answer is here."""
        if self._first is None:
            self._first = time.perf_counter()

    def usage(self, prompt_tokens: int, completion_tokens: int) -> Usage:
        now = time.perf_counter()
        first = self._first if self._first is not None else now
        return Usage(
            prompt_tokens=max(prompt_tokens, 0),
            completion_tokens=max(completion_tokens, 0),
            calls=1,
            latency=now - self._start,
            time_to_first_token=first - self._start,
            time_to_generate=now - first,
        )
