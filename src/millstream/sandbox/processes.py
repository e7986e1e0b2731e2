"""Zygotes and children as the host sees them: starting, asking, killing, noticing their end.

One event loop, no threads. A zygote that ends, for whatever reason, takes its children with it
and leaves nothing behind; what waited for them is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import tempfile
import weakref
from collections import deque
from pathlib import Path
from typing import Any, Final

from millstream.base import NotHere
from millstream.sandbox import scratch
from millstream.sandbox.outcome import Ended

_LENGTH: Final = struct.Struct("<Q")
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.zygote import main; "
    "del sys.path[0]; main(int(sys.argv[2]))"
)
# All that a zygote finds in its environment. UTC, as code nodes are used to; one heap, because
# every further one reserves 64 MB of what a child may have; and no threads of the numeric
# libraries, which would only fight over the processors.
_ENVIRONMENT: Final = {
    "TMPDIR": "",  # the zygote sets it for every child, HOME too
    "TZ": "UTC",
    "MALLOC_ARENA_MAX": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class TooLong(Exception):
    """A reply that is longer than allowed."""


class Child:
    """A locked process that serves one call.

    ended: done when it is gone; None if its zygote went first.
    """

    def __init__(self, zygote: Zygote, call: int, connection: socket.socket) -> None:
        self.zygote = zygote
        self.call = call
        self.connection = connection
        self.ended: asyncio.Future[Ended | None] = zygote.loop.create_future()

    async def ask(self, request: bytes, limit: int) -> bytes | None:
        """Send a request; the reply, None if the child ended or hung up before it was there.

        Raises TooLong for a reply of more than `limit` bytes, before it is read.
        """
        loop, data = self.zygote.loop, bytearray()
        try:
            await loop.sock_sendall(self.connection, _LENGTH.pack(len(request)) + request)
            end = _LENGTH.size
            while len(data) < end:
                piece = await loop.sock_recv(self.connection, 256 * 1024)
                if not piece:
                    return None
                data += piece
                if end == _LENGTH.size <= len(data):
                    end += _LENGTH.unpack_from(data)[0]
                    if end > limit + _LENGTH.size:
                        raise TooLong
        except ConnectionError:
            return None
        return bytes(memoryview(data)[_LENGTH.size : end])

    def dismiss(self, grace: float = 0) -> None:
        """Hang up, and have the child killed if it is still there after `grace` seconds."""
        self.connection.close()
        if self.ended.done():
            return
        if grace:
            later = self.zygote.loop.call_later(grace, self.dismiss)
            self.ended.add_done_callback(lambda _: later.cancel())
        else:
            self.zygote.send({"kill": self.call})


class Zygote:
    """A zygote as its host sees it.

    hello: its first message; gone: done when it has ended.
    """

    def __init__(self, python: str, settings: dict[str, Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.hello: asyncio.Future[dict[str, Any]] = self.loop.create_future()
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self._children: dict[int, Child] = {}
        self._calls = 0
        self._rest = b""
        self._unsent: deque[tuple[bytes, int | None]] = deque()
        self._root = tempfile.mkdtemp(prefix="millstream-sandbox-")
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        home = str(Path(__file__).parents[1])
        try:
            self._process = subprocess.Popen(  # noqa: S603 (the operator's interpreter, our code)
                [python, "-I", "-S", "-X", "utf8", "-c", _BOOT, home, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us, not for it
            )
        except OSError as error:
            self._control.close()
            scratch.remove(self._root)
            raise NotHere("sandbox.no-python", path=python, problem=error.strerror) from None
        finally:
            theirs.close()
        # For a program that ends, or forgets us, without closing.
        self._forgotten = weakref.finalize(self, _end, self._process, self._root)
        self.loop.add_reader(self._control, self._read)
        self.send({**settings, "root": self._root})

    def fork(self) -> Child:
        """A new child. Its slot of time begins now."""
        self._calls += 1
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        child = self._children[self._calls] = Child(self, self._calls, ours)
        self.send({"fork": self._calls}, theirs.detach())
        return child

    def send(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        """Send a message, and a descriptor that is closed here once it has gone."""
        self._unsent.append((json.dumps(message).encode() + b"\n", descriptor))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, descriptor = self._unsent[0]
            try:
                attached = [] if descriptor is None else [descriptor]
                sent = socket.send_fds(self._control, [data], attached)
            except BlockingIOError:
                self.loop.add_writer(self._control, self._flush)
                return
            except OSError:
                self._end()
                return
            if descriptor is not None:
                os.close(descriptor)
            if sent < len(data):
                self._unsent[0] = (data[sent:], None)
            else:
                self._unsent.popleft()
        self.loop.remove_writer(self._control)

    def _read(self) -> None:
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "ended" not in message:
                self.hello.set_result(message)
            elif child := self._children.pop(message["ended"], None):
                child.ended.set_result(Ended(message["status"], message["why"]))

    def _end(self) -> None:
        """The zygote has gone, whoever it was that ended it."""
        if self.gone.done():
            return
        self.gone.set_result(None)
        self.loop.remove_reader(self._control)
        self.loop.remove_writer(self._control)
        self._control.close()
        for _, descriptor in self._unsent:
            if descriptor is not None:
                os.close(descriptor)
        self._unsent.clear()
        self._process.kill()
        said = self._process.stderr.read() if self._process.stderr else b""
        self._process.communicate()
        if not self.hello.done():
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            self.hello.set_result({"detail": last})
        for child in self._children.values():
            child.ended.set_result(None)
        self._children.clear()
        self._forgotten()

    async def close(self) -> None:
        """Have the zygote end itself and its children, and wait for that."""
        if asyncio.get_running_loop() is not self.loop:
            self.abandon()
        elif not self.gone.done():
            self._control.shutdown(socket.SHUT_WR)
            await asyncio.shield(self.gone)

    def abandon(self) -> None:
        """`close` for when the event loop that could wait is gone; blocks for some milliseconds."""
        if not self.gone.done():
            self._control.close()
            self._process.communicate()


def _end(process: subprocess.Popen[bytes], root: str) -> None:
    """End a zygote that may have ended already, with its children, and remove its folders."""
    process.kill()
    process.wait()
    scratch.remove(root)
