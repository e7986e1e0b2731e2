"""The data directory: one place, outside clone and virtual environment, that survives upgrades.

    home.json         format stamp
    settings.toml     settings, with the owner's comments
    millstream.toml   bindings for every app
    credentials.toml  keys, mode 0600
    models/           models kept here, each with its manifest
    cache/            what may be lost at any time
    backups/          whole directories as they were before a migration

It comes into being with the first thing that is written. A directory of an older format is
migrated after a verified backup; one of a newer format is refused, with the way back.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from millstream import __version__
from millstream.base import BadInput, Failed, MillstreamError
from millstream.home import files

if TYPE_CHECKING:
    from millstream.home.bindings import Binding, Bindings
    from millstream.home.credentials import Credentials
    from millstream.home.settings import Settings
    from millstream.home.shelf import Shelf

STAMP = "home.json"
MODEL = ".gguf"
APART = ("backups", "cache", ".lock")  # never part of a backup
Migration = Callable[[Path], None]


class Stamp(msgspec.Struct, omit_defaults=True):
    """What home.json says. migrating: the backup of a migration that has not ended."""

    format: int
    written_by: str = "?"
    migrating: str | None = None


class Home:
    """The data directory and what is in it.

    format: the one that this version writes. migrations: from a format to the next; each is given
    the directory and may leave anything behind when it fails, the backup is put back then.
    """

    format: ClassVar[int] = 1
    migrations: ClassVar[Mapping[int, Migration]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | Path | None = None) -> Home:
        """The data directory at a path, or at its usual place, ready to be used.

        Nothing is created. Raises BadInput for a newer format or a directory that can't be one.
        """
        home = cls(Path(path).expanduser().absolute() if path else usual_place())
        stamp = home.stamp()
        if stamp and (stamp.format != cls.format or stamp.migrating):
            home._migrate()
        return home

    # ------------------------------------------------------------------------- what is in it

    @cached_property
    def settings(self) -> Settings:
        from millstream.home.settings import Settings

        return Settings(self)

    @cached_property
    def credentials(self) -> Credentials:
        from millstream.home.credentials import Credentials

        return Credentials(self)

    @cached_property
    def shelf(self) -> Shelf:
        from millstream.home.shelf import Shelf

        folder = self.settings.models.dir
        return Shelf(self, Path(folder).expanduser() if folder else self.path / "models")

    def bindings(
        self, app_file: str | Path | None = None, rules: Iterable[Binding] = ()
    ) -> Bindings:
        """The bindings for an app: `rules` of the command line, those beside the file, ours."""
        from millstream.home.bindings import Bindings

        return Bindings(self, app_file, rules)

    # ------------------------------------------------------------------------------ writing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer. The directory exists and is stamped inside. Raises Failed."""
        try:
            files.private(self.path)
        except OSError as error:
            raise files.cannot_write(self.path, error) from None
        with files.locked(self.path):
            files.sweep(self.path)
            if self.stamp() is None:
                self._write_stamp(Stamp(self.format, __version__))
            yield

    def recall(self, name: str, seconds: float) -> Any:
        """What was remembered under a name within the last seconds, or None."""
        with suppress(OSError, ValueError, TypeError, LookupError):
            kept = msgspec.json.decode((self.path / "cache" / f"{name}.json").read_bytes())
            if isinstance(kept, dict) and 0 <= time.time() - kept["time"] < seconds:
                return kept["value"]
        return None

    def remember(self, name: str, value: Any) -> None:
        """Keep a small JSON value in the cache. A cache that can't be written is no error."""
        with suppress(OSError, MillstreamError), self.writing():
            folder = self.path / "cache"
            files.private(folder)
            kept = {"time": time.time(), "value": value}
            files.write(folder / f"{name}.json", msgspec.json.encode(kept))

    # ---------------------------------------------------------------------- stamp, migration

    def stamp(self) -> Stamp | None:
        """What the directory says of itself; None before anything was written.

        Raises BadInput for a newer format, a damaged stamp, no access, and a path that is a file.
        """
        try:
            stamp = msgspec.json.decode((self.path / STAMP).read_bytes(), type=Stamp)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise BadInput("home.not-a-folder", path=str(self.path)) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInput("home.cannot-read", path=str(self.path), reason=reason) from None
        except ValueError:  # not UTF-8, not JSON, not of this shape
            raise self._stamp_damaged() from None
        if stamp.format > self.format:
            raise self._too_new(stamp)
        if stamp.format < 1 or (stamp.migrating and stamp.migrating not in self._backup_names()):
            raise self._stamp_damaged()
        return stamp

    def _stamp_damaged(self) -> BadInput:
        return BadInput("home.stamp-damaged", path=str(self.path / STAMP))

    def _too_new(self, stamp: Stamp) -> BadInput:
        older = [backup for backup in self.backups() if _format_of(backup) <= self.format]
        return BadInput(
            "home.too-new-with-backup" if older else "home.too-new",
            path=str(self.path),
            format=stamp.format,
            version=stamp.written_by,
            ours=self.format,
            our_version=__version__,
            backup=str(older[-1]) if older else "",
        )

    def backups(self) -> list[Path]:
        """Whole data directories as they were before a migration; each can be MILLSTREAM_HOME."""
        found = [path.parent for path in (self.path / "backups").glob(f"*/{STAMP}")]
        return sorted(path for path in found if not path.name.startswith("."))

    def _backup_names(self) -> list[str]:
        return [path.name for path in self.backups()]

    def _write_stamp(self, stamp: Stamp) -> None:
        files.write(self.path / STAMP, msgspec.json.encode(stamp) + b"\n", mode=0o600)

    def _migrate(self) -> None:
        with files.locked(self.path):
            stamp = self.stamp()  # another process may have done the work meanwhile
            if stamp is None or (stamp.format == self.format and not stamp.migrating):
                return
            if stamp.migrating:
                backup = self.path / "backups" / stamp.migrating
                self._put_back(backup)
                stamp.migrating = None
            else:
                backup = self._back_up(stamp)
            old = stamp.format
            self._write_stamp(Stamp(old, stamp.written_by, migrating=backup.name))
            try:
                for number in range(old, self.format):
                    self.migrations[number](self.path)
            except Exception as problem:
                self._put_back(backup)
                self._write_stamp(Stamp(old, stamp.written_by))
                raise Failed(
                    "home.migration-failed",
                    path=str(self.path),
                    old=old,
                    new=self.format,
                    problem=str(problem) or type(problem).__name__,
                ) from problem
            self._write_stamp(Stamp(self.format, __version__))

    def _back_up(self, stamp: Stamp) -> Path:
        """Copy the directory aside, read the copy again and compare; model files are linked."""
        import shutil

        name = f"{time.strftime('%Y%m%d-%H%M%S')}-format-{stamp.format}"
        folder = self.path / "backups"
        part, backup = folder / f".{name}", folder / name
        try:
            files.private(folder)
            for left in folder.glob(".*"):  # by a process that was killed here
                shutil.rmtree(left)
            for source in _contents(self.path):
                copy = part / source.relative_to(self.path)
                files.private(copy.parent)
                if source.is_symlink():
                    copy.symlink_to(os.readlink(source))
                elif source.suffix == MODEL:
                    _link(source, copy)
                else:
                    data = source.read_bytes()
                    files.write(copy, data, mode=0o600)
                    if copy.read_bytes() != data:
                        raise OSError(f"{copy} differs from {source}")
            part.rename(backup)
        except (OSError, MillstreamError) as problem:
            shutil.rmtree(part, ignore_errors=True)
            reason = str(problem)
            raise Failed("home.backup-failed", path=str(self.path), problem=reason) from None
        return backup

    def _put_back(self, backup: Path) -> None:
        """Make everything as it is in the backup, but for the stamp.

        No model is removed, only a second name of one that the backup has."""
        wanted = {source.relative_to(backup): source for source in _contents(backup)}
        for path in list(_contents(self.path)):
            if path.relative_to(self.path) in wanted:
                continue
            if path.suffix != MODEL or path.stat().st_nlink > 1:
                path.unlink()
                with suppress(OSError):  # it has other files
                    path.parent.rmdir()
        for name, source in wanted.items():
            target = self.path / name
            if name == Path(STAMP):
                continue
            files.private(target.parent)
            if source.is_symlink():
                target.unlink(missing_ok=True)
                target.symlink_to(os.readlink(source))
            elif source.suffix == MODEL:
                _link(source, target)
            else:
                files.write(target, source.read_bytes(), mode=0o600)


def usual_place() -> Path:
    """Where the data directory is: MILLSTREAM_HOME, else the system's place for user data.

    Raises BadInput where the user has no home directory, as in some containers.
    """
    if chosen := os.environ.get("MILLSTREAM_HOME"):
        return Path(chosen).expanduser().absolute()
    try:
        user = Path.home()
    except RuntimeError:
        raise BadInput("home.no-user-home") from None
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "Millstream"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else user / "AppData" / "Local") / "Millstream"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else user / ".local" / "share") / "millstream"


def _contents(folder: Path) -> Iterator[Path]:
    """Every file and link of a data directory that a backup has, in a fixed order."""
    for path in sorted(folder.iterdir()):
        if path.name in APART or path.suffix == ".part":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _contents(path)
        else:
            yield path


def _link(source: Path, target: Path) -> None:
    """Give a model file, which nothing ever writes into, a second name instead of copying it.

    Where the file system has no links it stays where it is: migrations never delete a model."""
    with suppress(OSError):
        os.link(source, target)


def _format_of(backup: Path) -> int:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((backup / STAMP).read_bytes(), type=Stamp).format
    return sys.maxsize
