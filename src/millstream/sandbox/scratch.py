"""Scratch folders of untrusted code: how much is in them, and removing whatever is in them.

What lies there was made by hostile code: folders nested without end, names of any bytes, folders
without permissions. Nothing here follows a symbolic link, recurses, or builds a long path. Used by
the zygote and, for what a killed zygote left behind, by the host.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final, NamedTuple

_LONGEST_PATH: Final = 1000


def is_empty(folder: str) -> bool:
    with os.scandir(folder) as found:
        return next(found, None) is None


class Usage(NamedTuple):
    """What is in a scratch folder. missed: whether something was gone when it was looked at, as
    files are that are renamed all the time, with whatever is in them."""

    size: int  # bytes on disk
    entries: int
    missed: bool


def usage(folder: str, most_entries: int) -> Usage:
    """What is below a folder; stops counting above `most_entries`.

    Folders nested deeply count as too many: every level makes looking at the next one slower.
    """
    size = entries = 0
    missed = False
    todo = [folder]
    while todo and entries <= most_entries:
        inner = todo.pop()
        if len(inner) - len(folder) > _LONGEST_PATH:
            return Usage(size, most_entries + 1, missed)
        try:
            with _scan(inner) as found:
                for entry in found:
                    entries += 1
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                    except OSError:
                        missed = True
        except OSError:
            entries += 1
            missed = True
    return Usage(size, entries, missed)


def _scan(folder: str) -> Any:
    try:
        return os.scandir(folder)
    except PermissionError:  # made so that we cannot look, as its owner may
        os.chmod(folder, 0o700)
        return os.scandir(folder)


def open_but_removed(pid: int, folder: str, most: int) -> Usage:
    """Files below a folder that a process holds after their names are gone: open, or in memory
    only. Nobody can tell the size of the latter, so that they count as `most` bytes each."""
    size = 0
    missed = False
    seen = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                found = os.stat(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                missed = True
                continue
            if found.st_nlink == 0 and found.st_ino not in seen:
                seen.add(found.st_ino)
                size += found.st_blocks * 512
        with open(f"/proc/{pid}/maps", "rb") as maps:
            start = os.fsencode(folder) + b"/"
            mapped = {
                int(line.split(None, 5)[4])
                for line in maps
                if start in line and line.endswith(b" (deleted)\n")
            }
    except OSError:  # it has ended
        return Usage(size, 0, False)
    return Usage(size + most * len(mapped - seen), len(mapped), missed)


def remove(folder: str) -> None:
    """Remove a folder and all below it. Nobody may be writing there any more.

    A nested folder is emptied by moving what is in it up to the top, once for every entry, so
    that depth costs neither stack nor path length. Never raises; what the system refuses to
    remove stays.
    """
    moved = 0
    unknown = os.urandom(8).hex()  # so that nothing there can be in the way
    todo = [folder]
    emptied = []
    while todo:
        inner = todo.pop()
        emptied.append(inner)
        try:
            with os.scandir(inner) as found:
                entries = list(found)
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                moved += 1
                up = os.path.join(folder, f".{unknown}{moved}")
                os.rename(entry.path, up)
                todo.append(up)
        except OSError:
            continue
    for inner in reversed(emptied):
        with suppress(OSError):
            os.rmdir(inner)
