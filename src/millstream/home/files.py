"""Files that are whole at every moment, and one writer at a time.

A file is written beside its name, flushed to the disk and renamed over it: a reader, a crash or a
full disk finds the old text or the new one, never half of one. What a killed writer left behind
has a name that nothing reads, and the next writer takes it away.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from millstream.base import Failed


def write(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace or create a file, all or nothing.

    mode: permissions from the first byte on; None keeps those that the file has, and gives a new
    file what the umask says. A symbolic link stays one: its target is replaced. Raises Failed.
    """
    path = Path(os.path.realpath(path))  # `Path.resolve` raises an error of its own in a circle
    try:
        if mode is None:
            with suppress(FileNotFoundError):
                mode = stat.S_IMODE(path.stat().st_mode)
        part = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
        handle = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600
        )
        try:
            with open(handle, "wb") as file:
                if mode is not None:
                    os.chmod(part, mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _flush_folder(path.parent)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


def put(path: Path, data: bytes) -> None:
    """Write a result where a person wants it. A pipe or a device of that name is written to, and so
    is a file whose folder takes no new ones; anything else is replaced whole. Raises Failed,
    BrokenPipeError."""
    try:
        if path.exists() and not (path.is_file() and _open(path)):
            path.write_bytes(data)
        else:
            write(path, data)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


def refusal(path: Path) -> str:
    """Why `put` would not write there, in the system's words; "" where nothing is known against
    it."""
    folder = path.absolute().parent
    try:
        if path.is_dir():
            return os.strerror(errno.EISDIR)
        if not folder.is_dir():
            return os.strerror(errno.ENOTDIR if folder.exists() else errno.ENOENT)
        with suppress(FileNotFoundError):
            os.stat(path)
        good = os.access(path, os.W_OK) if path.exists() else _open(path)
    except (OSError, ValueError) as error:
        return reason(error)
    return "" if good else os.strerror(errno.EACCES)


def _open(path: Path) -> bool:
    """Whether a file may be put in the place of this one."""
    return os.access(Path(os.path.realpath(path)).parent, os.W_OK)


def private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone: the `parents` of
    pathlib would be as the umask says. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def cannot_write(path: Path, error: OSError | ValueError) -> Failed:
    """What went wrong when the system refused to write a file."""
    return Failed("home.cannot-write", path=str(path), reason=reason(error))


def reason(error: Exception) -> str:
    """Why something can't be written, in the system's words."""
    if isinstance(error, Failed):
        return str(error.values.get("reason", ""))
    return getattr(error, "strerror", None) or str(error)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder. Only for the holder of its lock."""
    with suppress(OSError):
        for part in folder.glob(".*.part"):
            part.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder among all processes; the system ends the lock of one that
    dies. Not to be entered twice."""
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_write(folder / ".lock", error) from None
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse to flush a folder
    finally:
        os.close(handle)
