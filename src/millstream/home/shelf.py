"""The model shelf: the GGUF files that are kept here, and what is known of each.

Bookkeeping only: pulling a model and reading what is inside of a GGUF file is the business of
`models`. A model is a file `<name>.gguf` with a manifest `<name>.json` beside it; a file that
somebody dropped in has no manifest and is listed all the same. A model in several files
(`name-00001-of-00003.gguf` …) is one model, known by its first file.
"""

from __future__ import annotations

import itertools
import os
import re
import time
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from millstream.base import BadInput, NotHere
from millstream.home import files, toml

if TYPE_CHECKING:
    from millstream.home.directory import Home

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")

_QUANTIZATION = re.compile(r"[-._](ud-)?(i?q\d\w*|tq\d_\d|b?f(16|32)|mxfp4\w*)$")


class Manifest(msgspec.Struct, omit_defaults=True):
    """What is known of a model file. sha256: of a model in one file, in hexadecimal. source:
    where it came from, as a person would fetch it again. context: tokens that it was trained
    for. added: Unix time."""

    sha256: str = ""
    licence: str = ""
    source: str = ""
    quantization: str = ""
    context: int | None = None
    architecture: str = ""
    added: float = 0


class ShelfModel(msgspec.Struct, frozen=True):
    """A model on the shelf. size: bytes of all its files; the rest as in `Manifest`, empty for
    a file that was dropped in by hand."""

    name: str
    path: Path
    size: int
    sha256: str = ""
    licence: str = ""
    source: str = ""
    quantization: str = ""
    context: int | None = None
    architecture: str = ""
    added: float = 0


class Shelf:
    """The models in one folder."""

    def __init__(self, home: Home, path: Path) -> None:
        self._home = home
        self.path = path

    def list(self) -> list[ShelfModel]:
        """Every model, by name. Files that vanish meanwhile are not in it."""
        try:
            found = sorted(self.path.iterdir())
        except OSError:
            return []
        models = []
        for file in found:
            split = _SPLIT.search(file.stem)
            if file.suffix.lower() != ".gguf" or (split and int(split[1]) != 1):
                continue
            with suppress(OSError):
                size = sum(part.stat().st_size for part in _parts(file))
                known = msgspec.structs.asdict(self._manifest(_name(file)))
                models.append(ShelfModel(_name(file), file, size, **known))
        return models

    def get(self, name: str) -> ShelfModel:
        """The model of a name. Its case may differ, and the quantization at its end be left out
        where only one has the rest of the name. NotHere says the nearest name, or which it could
        be."""
        models = self.list()
        for same in (str, str.lower, _without_quantization):
            meant = [model for model in models if same(model.name) == same(name)]
            if same is _without_quantization and same(name) != name.lower():
                break  # it says which one, and that one is not here
            if len(meant) > 1 and same is not str:
                found = ", ".join(model.name for model in meant)
                raise NotHere("home.which-model", name=name, found=found)
            if meant:
                return meant[0]
        near = toml.nearest(name.lower(), [model.name for model in models])
        code = "home.no-model-near" if near else "home.no-model"
        raise NotHere(code, name=name, near=near, path=str(self.path))

    def add(self, file: Path, meta: Manifest | None = None, *, name: str = "") -> ShelfModel:
        """Move a GGUF file to the shelf, whole or not at all, under its own name or another.

        A model of several files is moved with all of them. Raises BadInput for a name that can't
        be one or is another model's, Failed where the system refuses.
        """
        name = name or _name(file)
        if not (name[:1].isalnum() and all(map(_in_names, name))):
            raise BadInput("home.model-name", name=name)
        meta = msgspec.structs.replace(meta or Manifest(), added=time.time())
        with self._home.writing():
            try:
                files.private(self.path)
                targets = []
                for part in _parts(file):
                    split = _SPLIT.search(part.stem)
                    targets.append(self.path / f"{name}{split[0] if split else ''}.gguf")
                if targets[0].exists() and not targets[0].samefile(file):
                    raise BadInput("home.model-kept", name=name)
                # The first file comes last: until then there is no model of that name.
                for part, target in reversed(list(zip(_parts(file), targets, strict=True))):
                    _move(part, target)
            except OSError as error:
                raise files.cannot_write(self.path, error) from None
            files.write(self.path / f"{name}.json", msgspec.json.encode(meta), mode=0o600)
        return self.get(name)

    def remove(self, name: str) -> ShelfModel:
        """Delete a model and its manifest; returns what it was. NotHere if there is none."""
        model = self.get(name)
        with self._home.writing():
            try:
                for part in _parts(model.path):
                    part.unlink(missing_ok=True)
                (self.path / f"{model.name}.json").unlink(missing_ok=True)
            except OSError as error:
                raise files.cannot_write(model.path, error) from None
        return model

    def _manifest(self, name: str) -> Manifest:
        with suppress(OSError, ValueError):
            data = (self.path / f"{name}.json").read_bytes()
            return msgspec.json.decode(data, type=Manifest)
        return Manifest()


def plain_name(text: str) -> str:
    """A text with dashes for all that a model's name cannot have: spaces, signs, path characters.
    Letters of every script stay; it begins with one, or with a digit. "" where there is none."""
    letters = unicodedata.normalize("NFC", text)
    name = re.sub(" +", "-", "".join(c if _in_names(c) else " " for c in letters))
    return "".join(itertools.dropwhile(lambda c: not c.isalnum(), name))


def _without_quantization(name: str) -> str:
    return _QUANTIZATION.sub("", name.lower())


def _in_names(letter: str) -> bool:
    """Letters, digits and what is written above or below letters, of any script, and "._-"."""
    return letter in "._-" or unicodedata.category(letter)[0] in "LMN"


def _name(file: Path) -> str:
    return _SPLIT.sub("", file.stem)


def _parts(file: Path) -> list[Path]:
    """All the files of a model, by its first."""
    split = _SPLIT.search(file.stem)
    if not split:
        return [file]
    base, total = file.stem[: split.start()], int(split[2])
    return [
        file.with_name(f"{base}-{number:05}-of-{split[2]}{file.suffix}")
        for number in range(1, total + 1)
    ]


def _move(file: Path, target: Path) -> None:
    """Rename a file; from another file system copy it aside first, so that the name appears when
    all of it is there."""
    try:
        os.rename(file, target)
    except OSError:
        import shutil

        part = target.with_name(f".{target.name}.moving")
        shutil.copyfile(file, part)
        with open(part, "rb") as copy:
            os.fsync(copy.fileno())
        os.replace(part, target)
        file.unlink()
