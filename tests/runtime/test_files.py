"""What a run may read: the files that it was given, and nothing else of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.base import Failed
from millstream.runtime.files import LocalFiles
from millstream.values import File


def no_http() -> None:
    raise AssertionError("nothing is to be fetched")


def at(path: Path) -> File:
    return File("image", "local_file", path.name, path.as_uri())


async def test_only_files_among_the_inputs_are_read(tmp_path: Path) -> None:
    given, secret = tmp_path / "a b.png", tmp_path / "secret"
    given.write_bytes(b"png")
    secret.write_bytes(b"key")
    files = LocalFiles(no_http)  # type: ignore[arg-type]
    files.allow({"x": [at(given)], "y": {"z": "text"}})
    assert await files.read(at(given)) == b"png"
    with pytest.raises(Failed, match="not one of the inputs"):
        await files.read(at(secret))
    roundabout = File("image", "local_file", "x", f"file://{tmp_path}/../{tmp_path.name}/secret")
    with pytest.raises(Failed, match="not one of the inputs"):
        await files.read(roundabout)
    given.unlink()
    with pytest.raises(Failed, match="cannot be read"):
        await files.read(at(given))


async def test_saved_bytes_come_back() -> None:
    files = LocalFiles(no_http)  # type: ignore[arg-type]
    kept = await files.save(b"\x00\xff", name="x.png", mime_type="image/png")
    assert (kept.type, kept.extension, kept.size) == ("image", ".png", 2)
    assert await files.read(kept) == b"\x00\xff"
    with pytest.raises(Failed, match="cannot be decoded"):
        await files.read(File("image", "local_file", "x", "data:image/png;base64,é"))
