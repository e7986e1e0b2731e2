"""Fetching one large file: with resume, checksum, and no two writers at once.

The bytes go to `NAME.part` beside the target, which gets its name when all of it is there and its
checksum is right. What a cut connection, Ctrl-C or a kill left behind is gone on with; a note
beside it (`NAME.part.json`) says which file it is the beginning of. Another process that fetches
the same file is waited for. Where the bytes come from is the caller's knowledge.

Format: RFC 9110, section 14 (range requests) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from millstream.base import Failed, MillstreamError
from millstream.home import files
from millstream.models.http import Exchange, Http, Refusal, refused

Progress = Callable[[int, int | None], None]
"""Bytes that are here, and of how many (None: nobody knows)."""

_SPARE = 64 << 20  # bytes that a download leaves free on the disk
_TRIES = 5  # connections in a row that bring nothing new
_LOOK = 0.2  # seconds between two looks at a file that another process fetches
_CHUNK = 1 << 20
_PASSING = frozenset(
    f"models.{name}"
    for name in (
        "cut",
        "hung-up",
        "idle",
        "no-first-byte",
        "silent",
        "http-broken",
        "connection-refused",
        "connect-timeout",
        "unreachable",
        "unknown-host",
    )
)  # problems of a connection after which the next one may do better


class Remote(msgspec.Struct, frozen=True):
    """A file elsewhere. size in bytes and sha256 in hexadecimal, where known."""

    url: str
    size: int | None = None
    sha256: str = ""


class _Note(msgspec.Struct):
    """What a part is the beginning of. mark: the sha256, else the server's ETag."""

    mark: str
    size: int | None = None


async def download(
    http: Http,
    remote: Remote,
    target: Path,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Callable[[Refusal], Exception] = refused,
    progress: Progress | None = None,
    retry: str = "",
) -> str:
    """Fetch a file to `target`; returns its sha256. A target that is there is checked only.

    headers: a key, for the first host. retry: the command that goes on after an interruption,
    for messages. Raises what `errors` makes of a refusal; Failed with "download.disk-space" before
    anything is fetched, "download.disk-full", "download.checksum" (the part is thrown away),
    "download.interrupted" (it is kept); and whatever `Http` raises.
    """
    part = target.with_name(target.name + ".part")
    try:
        with await alone(part) as file:
            if found := await asyncio.to_thread(_checked, target, remote):
                part.unlink()
                return found
            fetch = _Fetch(http, remote, target, part, file, headers, errors, progress, retry)
            return await fetch.run()
    except OSError as error:
        raise cannot_write(target, error, retry) from None


def cannot_write(file: Path, error: OSError, retry: str) -> Failed:
    """What went wrong when the system refused to write a file. retry: as for `download`."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = "download.disk-full" if full else "download.cannot-write"
    return Failed(code, file=str(file), reason=error.strerror or str(error), retry=retry)


def sha256_of(file: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with open(file, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def need_room(folder: Path, name: str, size: int) -> None:
    """Raise Failed if the disk of a folder cannot take `size` further bytes for a file."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise Failed(
            "download.disk-space",
            file=name,
            path=str(folder),
            needed=size,
            free=free,
            spare=_SPARE,
        )


class _Fetch:
    def __init__(
        self,
        http: Http,
        remote: Remote,
        target: Path,
        part: Path,
        file: IO[bytes],
        headers: Mapping[str, str] | None,
        errors: Callable[[Refusal], Exception],
        progress: Progress | None,
        retry: str,
    ) -> None:
        self.http = http
        self.remote = remote
        self.target = target
        self.name = target.name
        self.part = part
        self.note = part.with_name(part.name + ".json")
        self.file = file
        self.headers = dict(headers or {})
        self.errors = errors
        self.progress = progress or (lambda done, total: None)
        self.retry = retry
        self.total = remote.size
        self.done = 0
        self.digest = hashlib.sha256()
        self.mark = ""

    async def run(self) -> str:
        await self._take_up()
        if self.total is not None:
            need_room(self.target.parent, self.name, self.total - self.done)
        fruitless = 0
        while not self._complete:
            before, problem = self.done, ""
            try:
                await self._go_on()
            except MillstreamError as error:
                if error.code not in _PASSING or not (self.done or error.code == "models.cut"):
                    raise
                problem = error.message
            fruitless = 0 if self.done > before else fruitless + 1
            if fruitless == _TRIES:
                raise Failed(
                    "download.interrupted",
                    file=self.name,
                    done=self.done,
                    total=self.total or "?",
                    problem=problem,
                    retry=self.retry,
                )
            if problem:
                await asyncio.sleep(0.25 * 2**fruitless)
        return await self._finish()

    @property
    def _complete(self) -> bool:
        return self.total is not None and self.done >= self.total

    async def _take_up(self) -> None:
        """Read what an earlier try left, if it is the beginning of this file."""
        try:
            note = msgspec.json.decode(self.note.read_bytes(), type=_Note)
        except (OSError, ValueError):
            note = _Note("")
        known = self.remote.sha256
        size = os.fstat(self.file.fileno()).st_size
        if not note.mark or (known and note.mark != known) or (self.total and size > self.total):
            self._start_over()
            return
        self.mark = note.mark
        self.total = self.total if self.total is not None else note.size
        self.file.seek(0)
        while piece := await asyncio.to_thread(self.file.read, _CHUNK):
            self.digest.update(piece)
            self.done += len(piece)
            self.progress(self.done, self.total)

    def _start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.done, self.digest, self.mark = 0, hashlib.sha256(), ""

    async def _go_on(self) -> None:
        """Fetch from where we are; returns at the end, early or not."""
        sent = dict(self.headers)
        if self.done:
            sent["Range"] = f"bytes={self.done}-"
            if self.mark != self.remote.sha256 and not self.mark.startswith("W/"):
                sent["If-Range"] = self.mark
        try:
            async with self.http.stream(
                "GET",
                self.remote.url,
                headers=sent,
                errors=self._refused,
                redirects=True,
                soon=True,
            ) as exchange:
                self._begin(exchange)
                async for piece in exchange:
                    self.file.write(piece)
                    self.digest.update(piece)
                    self.done += len(piece)
                    self.progress(self.done, self.total)
            if self.total is None:  # the server never said; it ended in good order
                self.total = self.done
        except _NoSuchRange:
            self._start_over()
        finally:
            self.file.flush()

    def _begin(self, exchange: Exchange) -> None:
        """Take in what the answer says of the file, and whether it goes on or begins anew."""
        headers = exchange.headers
        start, total = 0, _number(headers.get("Content-Length"))
        if exchange.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
            start = int(found[1]) if found else -1
            total = int(found[2]) if found and found[2] != "*" else self.total
        etag = headers.get("ETag", "")
        changed = not self.remote.sha256 and self.mark and etag and etag != self.mark
        if start != self.done or changed:
            self._start_over()
            if start:
                raise _NoSuchRange
        if total is not None and self.total is not None and total != self.total:
            raise Failed("download.other-size", file=self.name, expected=self.total, total=total)
        if self.total is None and total is not None:
            self.total = total
            need_room(self.target.parent, self.name, total - self.done)
        self.mark = self.remote.sha256 or etag
        self.note.write_bytes(msgspec.json.encode(_Note(self.mark, self.total)))

    def _refused(self, refusal: Refusal) -> Exception:
        if refusal.status == 416 and self.done:
            return _NoSuchRange()
        return self.errors(refusal)

    async def _finish(self) -> str:
        found = self.digest.hexdigest()
        wanted = self.remote.sha256
        if (wanted and found != wanted) or self.total != self.done:
            self._start_over()
            self.note.unlink(missing_ok=True)
            raise Failed(
                "download.checksum",
                file=self.name,
                expected=wanted,
                found=found,
                retry=self.retry,
            )
        self.file.flush()
        await asyncio.to_thread(os.fsync, self.file.fileno())
        os.replace(self.part, self.target)
        self.note.unlink(missing_ok=True)
        return found


class _NoSuchRange(Exception):
    """The server cannot go on from where we are."""


async def alone(path: Path) -> IO[bytes]:
    """Open a file for appending when no other process has it open in this way, and wait for those
    that do. The system ends the claim of one that dies. Closing the file gives it free."""
    while True:
        files.private(path.parent)
        file = open(path, "ab+")  # noqa: SIM115, ASYNC230
        try:
            while not _locked(file):  # noqa: ASYNC110 (another process cannot set an event)
                await asyncio.sleep(_LOOK)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()  # whoever had it has moved it away: what has the name now is another file


def _locked(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _checked(target: Path, remote: Remote) -> str:
    """The checksum of a file that is here, if it is the one that is meant; else ""."""
    if not target.exists() or remote.size not in (None, target.stat().st_size):
        return ""
    found = sha256_of(target)
    return found if not remote.sha256 or found == remote.sha256 else ""


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
