"""The data directory: where it is, that it is whole at every moment, that no upgrade loses it."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from millstream import __version__
from millstream.base import BadInput, Failed, set_language
from millstream.home import Home, Manifest, files, usual_place
from millstream.home.directory import Migration

linux = pytest.mark.skipif(sys.platform != "linux", reason="the paths of Linux")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------------------- the place


def test_millstream_home_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MILLSTREAM_HOME", str(tmp_path / "here"))
    assert Home.open().path == tmp_path / "here"


@linux
def test_without_it_the_place_is_that_of_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv("MILLSTREAM_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert usual_place() == Path("/home/ada/.local/share/millstream")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert usual_place() == Path("/data/millstream")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")  # the specification: ignore it
    assert usual_place() == Path("/home/ada/.local/share/millstream")


def test_other_systems_have_their_own_place(monkeypatch):
    monkeypatch.delenv("MILLSTREAM_HOME", raising=False)
    monkeypatch.setenv("HOME", "/Users/ada")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert usual_place() == Path("/Users/ada/Library/Application Support/Millstream")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/Users/ada/Local")
    assert usual_place() == Path("/Users/ada/Local/Millstream")


def test_a_user_without_home_is_told_what_to_set(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MILLSTREAM_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(BadInput) as error:
        usual_place()
    assert "MILLSTREAM_HOME" in error.value.next_step


# -------------------------------------------------------------------------------- creation


def test_reading_creates_nothing(home):
    assert home.settings.network.offline is False
    assert home.credentials.get("openai") is None
    assert home.bindings().for_model("openai", "gpt-4o") is None
    assert home.shelf.list() == []
    assert home.recall("servers", 60) is None
    assert not home.path.exists()


def test_the_first_writing_makes_a_private_stamped_directory(tmp_path):
    os.umask(old := os.umask(0o000))
    try:
        os.umask(0o000)
        home = Home.open(tmp_path / "a" / "home")
        home.settings.set("network.offline", "true")
    finally:
        os.umask(old)
    assert mode(home.path) == 0o700
    assert mode(home.path.parent) == 0o700  # a parent that had to be made, too
    assert json.loads((home.path / "home.json").read_text()) == {
        "format": 1,
        "written_by": __version__,
    }
    assert mode(home.path / "settings.toml") == 0o600


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(BadInput, match="is not a folder"):
        Home.open(tmp_path / "home")


@pytest.mark.parametrize(
    "stamp",
    ["", "{", "[]", '{"format": "1"}', '{"format": 0}', '{"format": 1, "migrating": "../.."}'],
)
def test_a_damaged_stamp_is_named_and_the_advice_repairs_it(home, stamp):
    home.path.mkdir()
    (home.path / "home.json").write_text(stamp)
    with pytest.raises(BadInput) as error:
        Home.open(home.path)
    assert error.value.message == (
        f"{home.path}/home.json is damaged: it should say which format the data directory has"
    )
    assert os.system(error.value.next_step.partition("put it right: ")[2]) == 0
    Home.open(home.path)


# --------------------------------------------------------------- a newer format, and the way back


def test_a_newer_format_is_refused_with_the_way_back(home):
    home.settings.set("network.offline", "true")
    (home.path / "home.json").write_text('{"format": 7, "written_by": "4.2.0"}')
    with pytest.raises(BadInput) as error:
        Home.open(home.path)
    assert error.value.exit_code == 2
    assert error.value.message == (
        f"the data directory {home.path} has format 7, written by Millstream 4.2.0; this is "
        f"Millstream {__version__}, which reads formats up to 1. Nothing was changed"
    )
    assert 'pip install "millstream>=4.2.0"' in error.value.next_step
    assert "MILLSTREAM_HOME=/some/where" in error.value.next_step
    set_language("zh")
    assert "数据目录" in error.value.message
    assert "MILLSTREAM_HOME" in error.value.next_step


def test_a_process_that_still_runs_does_not_write_into_a_newer_format(home):
    home.settings.set("network.offline", "true")
    (home.path / "home.json").write_text('{"format": 7, "written_by": "4.2.0"}')
    with pytest.raises(BadInput, match="format 7"):
        home.settings.set("network.offline", "false")
    assert "offline = true" in (home.path / "settings.toml").read_text()


# -------------------------------------------------------------------------------- migration


def shout(path: Path) -> None:
    file = path / "settings.toml"
    files.write(file, file.read_bytes() + b"# NEW\n")
    (path / "models").rename(path / "library")


def stumble(path: Path) -> None:
    shout(path)
    (path / "extra").write_text("half")
    raise ValueError("the disk said no")


def die(path: Path) -> None:
    shout(path)
    (path / "extra").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def newer(migration: Migration) -> type[Home]:
    class Newer(Home):
        format = 2
        migrations = {1: migration}  # noqa: RUF012

    return Newer


@pytest.fixture
def old(home, tmp_path):
    """A directory of format 1 with something of everything."""
    home.settings.set("network.offline", "true")
    home.credentials.set("openai", "sk-0123456789")
    home.bindings().set("models", "openai/*", "local")
    (tmp_path / "m.gguf").write_bytes(b"GGUF" * 1000)
    home.shelf.add(tmp_path / "m.gguf", Manifest(licence="Apache-2.0"))
    return home


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file that counts, by name: its bytes."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock" and "backups" not in file.relative_to(path).parts
    }


def test_an_older_format_is_backed_up_and_migrated(old):
    before = snapshot(old.path)
    home = newer(shout).open(old.path)
    assert (home.path / "settings.toml").read_text().endswith("# NEW\n")
    assert json.loads((home.path / "home.json").read_text())["format"] == 2
    [backup] = home.backups()
    assert snapshot(backup) == before
    assert mode(backup / "credentials.toml") == 0o600
    # The models take no second place on the disk.
    assert (backup / "models/m.gguf").samefile(home.path / "library/m.gguf")
    # Once is enough.
    newer(stumble).open(old.path)
    assert len(home.backups()) == 1


def test_after_an_upgrade_the_backup_is_the_way_back(old):
    newer(shout).open(old.path)
    with pytest.raises(BadInput) as error:
        Home.open(old.path)
    [backup] = old.backups()
    assert f'export MILLSTREAM_HOME="{backup}"' in error.value.next_step
    back = Home.open(backup)
    assert back.credentials.get("openai").reveal() == "sk-0123456789"
    assert back.shelf.get("m").licence == "Apache-2.0"


def test_a_failed_migration_leaves_everything_as_it_was(old):
    before = snapshot(old.path)
    with pytest.raises(Failed) as error:
        newer(stumble).open(old.path)
    assert error.value.message == (
        f"the data directory {old.path} could not be upgraded from format 1 to 2 and is as it was "
        "before: the disk said no"
    )
    assert snapshot(old.path) == before
    assert Home.open(old.path).shelf.get("m").size == 4000


def test_a_migration_killed_in_the_middle_is_done_again_from_the_backup(old):
    before = snapshot(old.path)
    if (child := os.fork()) == 0:
        newer(die).open(old.path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert (old.path / "extra").exists()
    home = newer(shout).open(old.path)
    assert not (home.path / "extra").exists()
    assert (home.path / "settings.toml").read_bytes() == before["settings.toml"] + b"# NEW\n"
    assert snapshot(home.backups()[0]) == before


def test_without_room_for_the_backup_nothing_is_touched(old, monkeypatch):
    before = snapshot(old.path)
    # One file of the copy is bigger than this process may write.
    (old.path / "big.toml").write_bytes(b"#" * 300_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Failed, match="could not be backed up before its upgrade"):
            newer(shout).open(old.path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((old.path / "backups").iterdir()) == []
    (old.path / "big.toml").unlink()
    assert snapshot(old.path) == before


# ------------------------------------------------------------------ whole files, one writer


def test_a_writer_that_is_killed_never_leaves_a_broken_file(home):
    """40 writers, each killed at a moment of its own between writes of files small and big."""
    size = 400_000
    big = home.path / "big"
    with home.writing():
        files.write(big, b"#" * size)
    chance = random.Random(7)
    seen = set()
    for turn in range(40):
        if (child := os.fork()) == 0:
            try:
                letter = chr(ord("A") + turn)
                while True:
                    with home.writing():
                        files.write(big, letter.encode() * size)
                    home.settings.set("models.default", letter * 99)
                    home.credentials.set("openai", letter * 99)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.005, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        data = big.read_bytes()
        assert (len(data), len(set(data))) == (size, 1)
        fresh = Home.open(home.path)
        key = fresh.credentials.get("openai")
        assert len(fresh.settings.models.default) in (0, 99)
        assert key is None or len(key.reveal()) == 99
        seen.add(data[0])
    assert len(seen) > 5, "the writers were killed before they wrote anything"
    # The next one gets the lock at once and clears away what they left.
    home.settings.set("models.default", "")
    assert list(home.path.glob(".*.part")) == []


def test_writers_at_the_same_time_lose_nothing(home):
    """8 processes change different settings of one file, over and over."""
    names = [
        "models.default",
        "models.dir",
        "network.proxy",
        "network.connect_timeout",
        "sandbox.memory_mb",
        "limits.max_steps",
        "translate.proxy",
        "translate.piece",
    ]
    children = []
    for name in names:
        if (child := os.fork()) == 0:
            try:
                for number in range(1, 9):
                    Home.open(home.path).settings.set(name, str(number))
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    fresh = Home.open(home.path).settings
    assert [str(fresh.get(name)) for name in names] == ["8", "8", "8", "8.0", "8", "8", "8", "8"]


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(home):
    home.settings.set("models.default", "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Failed) as error:
            home.settings.set("models.default", "x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.message == f"{home.path}/settings.toml cannot be written: File too large"
    assert Home.open(home.path).settings.models.default == "old"
    assert list(home.path.glob(".*.part")) == []


def test_a_linked_file_stays_a_link(home, tmp_path):
    """People keep such files in a repository of their own."""
    (tmp_path / "dotfiles.toml").write_text("# mine\n")
    home.path.mkdir()
    (home.path / "settings.toml").symlink_to(tmp_path / "dotfiles.toml")
    home.settings.set("network.offline", "true")
    assert (home.path / "settings.toml").is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text() == "# mine\n\n[network]\noffline = true\n"


# -------------------------------------------------------------------------------- the cache


def test_the_cache_forgets(home, monkeypatch):
    home.remember("servers", ["http://127.0.0.1:11434"])
    assert home.recall("servers", 60) == ["http://127.0.0.1:11434"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert home.recall("servers", 60) is None
    monkeypatch.setattr(time, "time", lambda: now - 3600)  # the clock was put back
    assert home.recall("servers", 60) is None


@pytest.mark.parametrize("junk", ["", "{", "7", '{"time": "x", "value": 1}', "\xff"])
def test_a_broken_cache_is_as_good_as_none(home, junk):
    home.remember("servers", 1)
    (home.path / "cache/servers.json").write_text(junk, encoding="latin-1")
    assert home.recall("servers", 60) is None
