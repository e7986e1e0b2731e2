"""Folders for passing files: gone at the end, and after a kill at the next time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.base import Failed
from millstream.home import files

if TYPE_CHECKING:
    from millstream.home import Shelf

_SIGN = ".passing-"  # and the number of the process that it belongs to


def prepared(place: Path | Shelf) -> None:
    """Make a folder if it is not there: the shelf's for the owner alone, one that a person names as
    any other. Raises OSError."""
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
    else:
        files.private(place.path)


@contextmanager
def aside(place: Path | Shelf) -> Iterator[Path]:
    """A new folder in a folder or on the shelf, for the owner alone. What a run that was killed has
    left there is removed first. Raises Failed."""
    folder = place if isinstance(place, Path) else place.path
    try:
        prepared(place)
        _sweep(folder)
        made = tempfile.TemporaryDirectory(
            prefix=f"{_SIGN}{os.getpid()}-", dir=folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("quantize.cannot-write", file=str(folder), reason=reason) from None
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
