"""Folders for passing files: gone at the end, and after a kill at the next time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millstream.base import Failed
from millstream.home import files

_SIGN = ".passing-"  # and the number of the process that it belongs to


@contextmanager
def aside(place: Path) -> Iterator[Path]:
    """A new folder in a folder. What a run that was killed has left there is removed first.
    Raises Failed."""
    try:
        files.private(place)
        _sweep(place)
        made = tempfile.TemporaryDirectory(
            prefix=f"{_SIGN}{os.getpid()}-", dir=place, ignore_cleanup_errors=True
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("quantize.cannot-write", file=str(place), reason=reason) from None
    with made as name:
        yield Path(name)


def _sweep(place: Path) -> None:
    for left in place.glob(f"{_SIGN}*-*"):
        owner = left.name.removeprefix(_SIGN).partition("-")[0]
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
