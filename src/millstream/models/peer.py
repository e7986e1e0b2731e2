"""Asking a stranger at an address a small question: connections and plain HTTP for discovery.

Over asyncio's own streams: no proxy stands between, nothing heavy is imported, and what is read is
bounded, because anybody may answer. Everything else that the product sends goes through `http`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from millstream.base import Secret

HEAD = 64 << 10  # bytes of an answer's head that are read
BODY = 4 << 20  # and of its body: a list of some ten thousand models


class Refused(NamedTuple):
    """Why there is no connection. address: the IP address that was tried; detail: the system's
    words."""

    outcome: Literal["refused", "silent", "unreachable", "unknown-name"]
    address: str = ""
    detail: str = ""


class Connection(NamedTuple):
    """A connection to one IP address."""

    address: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Answer(NamedTuple):
    """An answer. server: its header of that name; json: None for a body that is none."""

    status: int
    server: str
    json: Any


class NotHttp(Exception):
    """Who answers does not speak HTTP, or says more than anybody wants to know."""


class Names:
    """Names resolved, each once, and never for longer than some seconds.

    In threads of their own: a resolver that waits for a dead DNS server must not hold up the end
    of the program, as the event loop's own threads would."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """IP addresses of a host, IPv4 first; none for a name that does not resolve in time."""
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1", "::1"]
        for family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):
                socket.inet_pton(family, host)
                return [host]
        if host not in self._found:
            self._found[host] = self._start(host)
        done, _ = await asyncio.wait([self._found[host]], timeout=self._seconds)
        return self._found[host].result() if done else []

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        import threading

        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()

        def resolve() -> None:
            try:
                entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                entries = []
            found = sorted(dict.fromkeys(str(entry[4][0]) for entry in entries), key=_is_v6)
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(future.set_result, found)

        threading.Thread(target=resolve, name=f"resolve {host}", daemon=True).start()
        return future


def _is_v6(address: str) -> bool:
    return ":" in address


async def connect(url: str, seconds: float, names: Names) -> Connection | Refused:
    """A connection to the first address of a URL's host that takes one."""
    parts = urlsplit(url)
    addresses = await names.addresses(parts.hostname or "")
    if not addresses:
        return Refused("unknown-name")
    worst = Refused("silent", addresses[0])
    try:
        async with asyncio.timeout(seconds):
            for address in addresses:
                found = await _open(address, url)
                if isinstance(found, Connection):
                    return found
                if worst.outcome != "refused":
                    worst = found
    except TimeoutError:
        pass
    return worst


async def _open(address: str, url: str) -> Connection | Refused:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    try:
        reader, writer = await asyncio.open_connection(
            address,
            parts.port or (443 if tls else 80),
            ssl=True if tls else None,
            server_hostname=parts.hostname if tls else None,
            limit=HEAD,
        )
    except ConnectionRefusedError:
        return Refused("refused", address)
    except OSError as error:
        return Refused("unreachable", address, error.strerror or type(error).__name__)
    return Connection(address, reader, writer)


class Peer:
    """Who answered at an address, to be asked small questions, a connection for each."""

    def __init__(self, url: str, connection: Connection, key: Secret | None = None) -> None:
        parts = urlsplit(url)
        self._url = url
        self._address = connection.address
        self._first: Connection | None = connection
        self._head = f"Host: {parts.netloc.rpartition('@')[2]}\r\nConnection: close\r\n"
        self._head += "Accept: application/json\r\nAccept-Encoding: identity\r\n"
        if key is not None:
            self._head += f"Authorization: Bearer {key.reveal()}\r\n"

    async def get(self, path: str) -> Answer:
        """The answer to a GET. Raises NotHttp, OSError."""
        connection, self._first = self._first, None
        if connection is None:
            opened = await _open(self._address, self._url)
            if isinstance(opened, Refused):
                raise ConnectionResetError
            connection = opened
        try:
            connection.writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
            return await _read_answer(connection.reader)
        finally:
            connection.writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, _, lines = head.partition("\r\n")
        if not (found := re.match(r"HTTP/1\.[01] (\d{3})\b", status)):
            raise NotHttp
        headers = {}
        for line in lines.split("\r\n"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await _read_body(reader, headers)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise NotHttp from None
    try:
        json = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        json = None
    return Answer(int(found[1]), headers.get("server", ""), json)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body: chunked, of a given length, or up to the end of the connection (RFC 9112, 6)."""
    body = bytearray()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := _size((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            _bounded(len(body) + size)
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        return bytes(body)
    if "content-length" in headers:
        return await reader.readexactly(_bounded(_size(headers["content-length"].encode(), 10)))
    while piece := await reader.read(HEAD):
        _bounded(len(body) + len(piece))
        body += piece
    return bytes(body)


def _size(text: bytes, base: int) -> int:
    if not re.fullmatch(rb"\s*[0-9A-Fa-f]{1,9}\s*", text):
        raise NotHttp
    return int(text, base)


def _bounded(size: int) -> int:
    if size > BODY:
        raise NotHttp
    return size
