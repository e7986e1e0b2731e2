"""Scratch folders of untrusted code: how much is in them, and removing whatever is in them.

What lies there was made by hostile code: folders nested without end, names of any bytes, folders
without permissions. Nothing here follows a symbolic link, recurses, or builds a long path. Used by
the zygote and, for what a killed zygote left behind, by the host.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_LONGEST_PATH: Final = 1000


def is_empty(folder: str) -> bool:
    with os.scandir(folder) as found:
        return next(found, None) is None


def usage(folder: str, most_entries: int) -> tuple[int, int]:
    """Bytes on disk and number of entries below a folder; stops counting above `most_entries`.

    Folders nested deeply count as too many: every level makes looking at the next one slower.
    """
    size = entries = 0
    todo = [folder]
    while todo and entries <= most_entries:
        inner = todo.pop()
        if len(inner) - len(folder) > _LONGEST_PATH:
            return size, most_entries + 1
        try:
            with os.scandir(inner) as found:
                for entry in found:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:  # removed meanwhile
            entries += 1
    return size, entries


def open_but_removed(pid: int) -> int:
    """Bytes of files that a process holds open after their names are gone."""
    size = 0
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for descriptor in descriptors:
        try:
            found = os.stat(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if found.st_nlink == 0:
            size += found.st_blocks * 512
    return size


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
