"""One call, in a process of its own that is locked in before it sees any of it.

Reads a request from the host, lets a language run it, writes the reply, ends. Both are frames: a
length of 8 bytes, little-endian, then JSON.

    request   {"source": text, "inputs": object, "output": most bytes of a reply}
    reply     {"value": any, "printed": text}
              {"problem": {"kind": …, …}, "printed": text}

The host trusts nothing of a reply: by then this process may be anything.
"""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import sys
from typing import Any, Final

from .languages import Language, Problem
from .lockdown import Limits

FAILED: Final = 70  # exit code of a child that ended before it had a reply
_LENGTH: Final = struct.Struct("<Q")
_to_json: Final = json.JSONEncoder(ensure_ascii=False).encode  # whatever the code does to `json`


def enter(limits: Limits) -> None:
    """Leave the zygote behind: where its signals go, its arguments, its share of the machine."""
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)  # of its own: flags of a shared one would last
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    sys.argv[:] = ["main.py"]
    sys.orig_argv[:] = []
    limits.apply()


def serve(connection: int, language: Language) -> None:
    """Serve the call that comes over `connection` in a fresh, locked fork; does not return."""
    os.closerange(3, connection)
    os.closerange(connection + 1, 1 << 20)
    try:
        reply = _answer(json.loads(_read(connection)), language)
    except MemoryError:
        reply = b'{"problem": {"kind": "memory-limit"}}'
    _write(connection, reply)
    os._exit(0)


def _answer(request: dict[str, Any], language: Language) -> bytes:
    """The reply, as JSON."""
    limit = request["output"]
    printed = Printed(limit)
    sys.stdin = io.StringIO()
    sys.stdout = sys.stderr = io.TextIOWrapper(
        printed, "utf-8", "backslashreplace", newline="\n", write_through=True
    )
    reserve = bytes(1 << 20)  # to say so with when the code has taken all the rest; not touched
    try:
        body = b'{"value": ' + language.run(request["source"], request["inputs"])
        reply = body + b', "printed": ' + printed.as_json() + b"}"
        problem = Problem("output-limit")
        if len(reply) <= limit and not printed.full:
            return reply
    except Problem as caught:
        problem = Problem("output-limit") if printed.full else caught
    except MemoryError:
        problem = Problem("memory-limit")
    del reserve
    body = b'{"problem": ' + _to_json(problem.report).encode("utf-8", "replace")
    return body + b', "printed": ' + printed.as_json((limit - len(body)) // 8) + b"}"


class Printed(io.BytesIO):
    """What the code has printed; more than the limit ends the call.

    full: whether it wanted more, which JavaScript and code that catches everything may hide.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.full = False

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.limit:
            self.full = True
            raise Problem("output-limit")
        return super().write(data)

    def close(self) -> None:
        """Stay open: code may close or replace `sys.stdout`, what it printed is still wanted."""

    def as_json(self, most: int | None = None) -> bytes:
        """The text in JSON, of the first `most` bytes if so many are asked for."""
        with self.getbuffer() as whole:
            text = str(whole[:most], "utf-8", "replace")
        return _to_json(text).encode()


def _read(connection: int) -> bytes:
    length = _LENGTH.unpack(_read_exactly(connection, _LENGTH.size))[0]
    return _read_exactly(connection, length)


def _read_exactly(connection: int, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = os.read(connection, min(1 << 20, length - len(data)))
        if not piece:
            os._exit(FAILED)  # nobody is waiting for us
        data += piece
    return bytes(data)


def _write(connection: int, body: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(connection, rest) :]
