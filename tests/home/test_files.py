"""Results that are written where a person wants them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from millstream.base import Failed
from millstream.home import files


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("before")
    file.chmod(0o640)
    with file.open() as reader:
        files.put(file, b"now")
        assert reader.read() == "before"
    assert file.read_text() == "now"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    for text in (b"first", b"second"):
        assert files.refusal(link) == ""
        files.put(link, text)
        assert link.is_symlink()
        assert file.read_bytes() == text


def test_a_circle_of_links_leads_nowhere(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    assert files.refusal(one) == "Too many levels of symbolic links"
    with pytest.raises(Failed, match="Too many levels of symbolic links"):
        files.put(one, b"text")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert files.refusal(pipe) == ""
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.put(pipe, b"text")
    reader.join(10)
    assert read == [b"text"]
    assert pipe.is_fifo()


def test_a_file_in_a_folder_that_takes_no_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, as the superuser may write everywhere."""
    file = tmp_path / "out"
    file.write_text("something longer")
    number = file.stat().st_ino
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and real(path, mode))
    assert files.refusal(file) == ""
    files.put(file, b"now")
    assert (file.read_text(), file.stat().st_ino) == ("now", number)
    assert files.refusal(tmp_path / "new") == "Permission denied"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/out", "No such file or directory"),
        ("file/out", "Not a directory"),
        ("folder", "Is a directory"),
        ("x" * 300, "File name too long"),
        ("a\x00b", "embedded null"),
    ],
)
def test_what_cannot_be_written_is_known_beforehand(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert reason in files.refusal(tmp_path / name)
    with pytest.raises(Failed, match=reason):
        files.put(tmp_path / name, b"text")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]
