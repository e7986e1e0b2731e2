"""Work with llama.cpp's library, done in a process of its own: what is asked, and how it goes.

The library ends its process where its own state looks wrong to it, a damaged model can bring it
down, and memory may run out; none of that must take this process along. So a job goes as a line of
JSON to a worker (`worker`), which tells its steps and its result on lines of JSON, and leaves the
library's log in a file without a name. The worker ends with this process, however that ends, and
when the job is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, say

_LINE = 1 << 28  # bytes of a worker's longest line
_LEAVING = 5.0  # seconds that a worker has to end when it has told its result
_KILLED = -9


class Quantize(msgspec.Struct, tag=True, frozen=True):
    """Write a file of another type. sources: all files of the model; output: a file that is not
    there yet; imatrix: a file, "" for none. Result: sha256, size."""

    model: str
    sources: list[str]
    ftype: str
    output: str
    threads: int
    imatrix: str = ""
    pure: bool = False


class Question(msgspec.Struct, frozen=True):
    """A text and the ways in which it may go on."""

    context: str
    options: list[str]


class Predict(msgspec.Struct, tag=True, frozen=True):
    """Let models predict texts and answer questions, side by side. model: the base's name; names,
    files: of the models, the base first. texts: each cut into chunks of `context` tokens, at most
    `chunks` of them (0: all), read `batch` tokens at once. threads: 0 for the best of
    `candidates`. rows: a file (its number, -1 for none) that the base's logits are written to, or
    with `stored` read from; then no model of `files` is the base. folder: where that file is.
    Steps and result: `predictor`."""

    model: str
    names: list[str]
    files: list[str]
    texts: list[str]
    questions: list[Question]
    context: int
    chunks: int
    batch: int
    threads: int
    candidates: list[int]
    rows: int = -1
    stored: bool = False
    folder: str = ""


Job = Quantize | Predict

Listen = Callable[[dict[str, Any]], None]


async def run(
    job: Job, listen: Listen = lambda step: None, *, files: Sequence[int] = ()
) -> dict[str, Any]:
    """Do a job. listen: is told each step; files: open files that the worker needs. Returns the
    result.

    Raises what the worker raised; NotHere or Failed with llama.cpp's own words where it broke
    down. A job that is cancelled is ended at once."""
    with tempfile.TemporaryFile(buffering=0) as log:
        process = await start(
            sys.executable,
            "-P",
            "-m",
            "millstream.lab.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log.fileno(),
            limit=_LINE,
            start_new_session=True,
            pass_fds=files,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):  # gone already: its end says why
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                await process.stdin.drain()
            while line := await process.stdout.readline():
                told = _told(line)
                if "result" in told:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(process.wait(), _LEAVING)
                    return dict(told["result"])
                if "error" in told:
                    raise _error(told["error"])
                listen(told)
            raise broken(job.model, _end(log), await process.wait())
        finally:
            await end(process)


async def start(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a process. One that is cancelled meanwhile is ended here: asyncio itself then waits for
    an end that it may never see."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await end(await starting)
        raise


async def end(process: asyncio.subprocess.Process) -> None:
    """See to it that a process is gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            # Not `process.kill()`, which may take the exit code that asyncio waits for.
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()


def _told(line: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}  # a library that writes where it should not
    return told if isinstance(told, dict) else {}


def _error(told: dict[str, Any]) -> MillstreamError:
    kinds: dict[str, type[MillstreamError]] = {k.__name__: k for k in (BadInput, NotHere, Failed)}
    return kinds.get(told["kind"], Failed)(told["code"], **told["values"])


# ------------------------------------------------------------------------------- llama.cpp's words

_ARCHITECTURE = re.compile(r"unknown model architecture: '([^'\n]*)'")
_NO_MEMORY = re.compile(
    r"insufficient memory|failed to allocate|unable to allocate|out of memory|cannot allocate"
    r"|bad_alloc|MemoryError",
    re.I,
)
_TROUBLE = re.compile(r"error|fail|assert|\babort|invalid|not support|Error:", re.I)
_REASON = re.compile(r"error loading model: (?!error loading model )?(.+)")


def broken(model: str, log: str, code: int) -> MillstreamError:
    """Why a worker ended without a result, by its log and its exit code."""
    if found := _ARCHITECTURE.search(log):
        return NotHere("embedded.unknown-architecture", model=model, architecture=found[1])
    if _NO_MEMORY.search(log):
        return NotHere("embedded.memory-refused", model=model)
    words = _last_words(log)
    if code == _KILLED:
        return Failed("embedded.killed-loading", model=model, how="SIGKILL")
    if code < 0:
        how = str(code)
        with suppress(ValueError):
            how = signal.Signals(-code).name
        if not words:
            return Failed("quantize.crashed-silently", model=model, how=how)
        return Failed("quantize.crashed", model=model, how=how, words=words)
    words = words or say("quantize.converter-silent", code=code)
    return Failed("embedded.refused", model=model, words=words)


def _last_words(log: str) -> str:
    """Why a model was not loaded, else the last complaint of a log, else its last line, "" where it
    has none; shortened for display."""
    if found := _REASON.search(log):
        return found[1].strip()[:300]
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    complaints = [line for line in lines if _TROUBLE.search(line)]
    said = complaints or lines
    return said[-1][-300:] if said else ""


def _end(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    log.seek(max(0, size - (64 << 10)))
    return log.read().decode("utf-8", "replace")
