"""Making smaller files of a model: which types, where to, and what is there already.

A source with 32 or 16 bits a weight becomes files of GGUF types, one job after the other in a
process of its own (`jobs`, `quantizer`). Each is written aside and named when it is whole, with a
manifest beside it in the shelf's form: its checksum, and what it was made of. A file whose manifest
says that it came from the same source in the same way, and whose checksum is right, is kept. The
source is only ever read.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from millstream.base import BadInput, Failed, NotHere, say
from millstream.home import Manifest, plain_name
from millstream.lab import jobs, library
from millstream.lab.aside import prepared
from millstream.lab.mixes import DEFAULTS, Planned, needs_imatrix
from millstream.lab.quantizer import Matrix, layout, plan_file, read_imatrix
from millstream.models import gguf
from millstream.models.gguf import Header

if TYPE_CHECKING:
    from millstream.home import Shelf

PLAIN = ("F32", "F16", "BF16")  # types whose weights are numbers of their own
_LABEL = re.compile(r"[-._](?:F32|FP32|F16|FP16|BF16|I?Q\d\w*|TQ\d_0|MXFP4|NVFP4)$", re.IGNORECASE)
_SAMPLES, _SAMPLE = 64, 1 << 12
_ROOM = 16 << 20  # bytes that stay free on a disk


class Made(Manifest, omit_defaults=True):
    """A manifest that also says what a file was made of: a fingerprint of the source and of the
    importance matrix, how, and by which build of the quantizer."""

    size: int = 0
    made_of: str = ""
    imatrix: str = ""
    pure: bool = False
    quantizer: str = ""


class Fallback(msgspec.Struct, frozen=True):
    """A tensor whose rows don't fit the type that its mix wants for it."""

    tensor: str
    wanted: str
    type: str


class Plan(msgspec.Struct, frozen=True):
    """A file that can be made. size: its bytes; bits: of a weight on average, all tensors counted;
    types: how many tensors have each. needs: tensors that want an importance matrix. warnings: what
    to know of the file before it is relied on."""

    ftype: str
    name: str
    size: int
    bits: float
    types: dict[str, int]
    fallbacks: list[Fallback]
    needs: list[str]
    warnings: list[str]


class Quantized(msgspec.Struct, frozen=True):
    """A file that was made, or that was there already (`kept`). warnings: as in `Plan`."""

    type: str
    name: str
    path: str
    size: int
    bits: float
    sha256: str
    types: dict[str, int]
    fallbacks: list[Fallback]
    seconds: float
    kept: bool
    warnings: list[str]


class Progress(msgspec.Struct, frozen=True):
    """How far a file is: bytes read of one that is being checked, or weights converted."""

    type: str
    step: Literal["checking", "quantizing"]
    done: int
    total: int


Listen = Callable[[Progress], None]


class Source:
    """A model to be quantized. name: without the label of its type. Raises BadInput for files that
    can't be read, have tensors of unknown types, or are quantized already."""

    def __init__(self, path: Path, *, requantize: bool = False, name: str = "") -> None:
        self.paths = gguf.shard_paths(path)
        self.headers = [gguf.read(part) for part in self.paths]
        self.name = name or base_name(self.paths[0])
        self._fingerprint = ""
        if not any(header.tensors for header in self.headers):
            raise BadInput("quantize.no-tensors", file=self.paths[0].name)
        by_type: dict[str, int] = {}
        for header in self.headers:
            for tensor in header.tensors:
                if tensor.type not in gguf.TYPES:
                    raise BadInput(
                        "quantize.unknown-type",
                        file=header.file,
                        tensor=tensor.name,
                        type=tensor.type,
                    )
                if tensor.type_name not in PLAIN and len(tensor.shape) > 1:
                    by_type[tensor.type_name] = by_type.get(tensor.type_name, 0) + 1
        if by_type and not requantize:
            kinds = ", ".join(f"{count} × {name}" for name, count in sorted(by_type.items()))
            raise BadInput("quantize.quantized", file=self.paths[0].name, types=kinds)

    @property
    def first(self) -> Header:
        return self.headers[0]

    @cached_property
    def warnings(self) -> list[str]:
        """What to know of any file that is made of this."""
        name = self.first.architecture
        if not library.lacks(name):
            return []
        return [say("quantize.unknown-architecture", architecture=name or "?")]

    def fingerprint(self) -> str:
        """Tells this source from others: the headers and samples of the weights, hashed."""
        if not self._fingerprint:
            self._fingerprint = _fingerprint(self.paths, [h.data_offset for h in self.headers])
        return self._fingerprint

    def plan(self, ftype: str, matrix: Matrix | None = None, *, pure: bool = False) -> Plan:
        """What a file of a type would be like. Raises BadInput."""
        planned = plan_file(self.headers, ftype, imatrix=matrix is not None, pure=pure)
        size = layout(self.paths, self.headers, planned, ftype, matrix).size
        known = matrix.rows if matrix is not None else {}
        return Plan(
            ftype,
            f"{self.name}-{ftype}",
            size,
            _bits(planned),
            _types(planned),
            [Fallback(p.tensor.name, p.fallback_from, p.type) for p in planned if p.fallback_from],
            [p.tensor.name for p in needs_imatrix(planned, ftype) if p.tensor.name not in known],
            self.warnings,
        )


def base_name(path: Path) -> str:
    """A model's name by its file's, without the number of a part and the label of its type."""
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)
    return plain_name(_LABEL.sub("", stem) or stem).strip("-._") or "model"


def types_of(text: str) -> list[str]:
    """The types that a list such as "Q4_K_M,q8_0" names. Raises BadInput."""
    known = {name.lower(): name for name in DEFAULTS}
    known |= {"fp32": "F32", "fp16": "F16", "int8": "Q8_0", "int4": "Q4_K_M"}
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    found = []
    for word in wanted:
        if word.lower() not in known:
            raise BadInput("lab.unknown-type", given=word, known=", ".join(DEFAULTS))
        found.append(known[word.lower()])
    if not found:
        raise BadInput("lab.unknown-type", given=text, known=", ".join(DEFAULTS))
    return list(dict.fromkeys(found))


class Quantizer:
    """Makes the files of one source. target: a folder, a file (of one type) or the shelf."""

    def __init__(
        self,
        source: Source,
        target: Path | Shelf,
        *,
        imatrix: Path | None = None,
        pure: bool = False,
        threads: int | None = None,
        replace: bool = False,
        made_from: str = "",
    ) -> None:
        self.source = source
        self.shelf: Shelf | None = None if isinstance(target, Path) else target
        self.target = target if isinstance(target, Path) else target.path
        self.imatrix = imatrix
        self.matrix = read_imatrix(imatrix) if imatrix is not None else None
        self.pure = pure
        self.threads = threads
        self.replace = replace
        self.made_from = made_from or str(source.paths[0])

    def plans(self, types: Sequence[str]) -> list[Plan]:
        """What would be made, looked at before anything is. Raises BadInput: a type that needs an
        importance matrix, one file for several types."""
        plans = [self.source.plan(type, self.matrix, pure=self.pure) for type in types]
        for each in plans:
            if each.needs:
                raise BadInput("quantize.needs-imatrix", type=each.ftype, tensor=each.needs[0])
        if self._one_file and len(plans) > 1:
            raise BadInput("quantize.one-file", file=str(self.target), count=len(plans))
        return plans

    async def run(
        self, types: Sequence[str], listen: Listen = lambda progress: None
    ) -> list[Quantized]:
        """Make the files, one after the other.

        Raises BadInput (see `plans`; a file of that name that is another), NotHere (no room on the
        disk, no library), Failed. What is finished by then stays; what is half done is removed.
        """
        plans = self.plans(types)
        try:
            prepared(self._folder if self.shelf is None else self.shelf)
            for plan in plans:
                self._part(plan).unlink(missing_ok=True)  # of a run that was killed
        except OSError as error:
            raise self._cannot_write(self._folder, error.strerror or str(error)) from None
        kept: dict[str, str] = {}
        for plan in plans:
            if sha256 := await self._kept(plan, listen):
                kept[plan.ftype] = sha256
        self._room([plan for plan in plans if plan.ftype not in kept])
        made = []
        for plan in plans:
            seconds = 0.0
            sha256 = kept.get(plan.ftype, "")
            if not sha256:
                started = asyncio.get_running_loop().time()
                sha256 = await self._make(plan, listen)
                seconds = asyncio.get_running_loop().time() - started
            made.append(
                Quantized(
                    plan.ftype,
                    plan.name,
                    str(self._file(plan)),
                    plan.size,
                    plan.bits,
                    sha256,
                    plan.types,
                    plan.fallbacks,
                    seconds,
                    plan.ftype in kept,
                    plan.warnings,
                )
            )
        return made

    async def there(
        self, types: Sequence[str], listen: Listen = lambda progress: None
    ) -> dict[str, Path]:
        """Those files that are there already and are what would be made."""
        found = {}
        for plan in self.plans(types):
            with suppress(BadInput):
                if await self._kept(plan, listen):
                    found[plan.ftype] = self._file(plan)
        return found

    # ----------------------------------------------------------------------------- where to write

    @property
    def _one_file(self) -> bool:
        return self.shelf is None and self.target.suffix.lower() == ".gguf"

    @property
    def _folder(self) -> Path:
        return self.target.parent if self._one_file else self.target

    def _file(self, plan: Plan) -> Path:
        return self.target if self._one_file else self.target / f"{plan.name}.gguf"

    def _part(self, plan: Plan) -> Path:
        file = self._file(plan)
        return file.with_name(f".{file.name}.part")

    def _manifest(self, plan: Plan) -> Path:
        file = self._file(plan)
        return file.with_name(f"{file.stem if self.shelf is not None else file.name}.json")

    def _cannot_write(self, file: Path, reason: str) -> Failed:
        return Failed("quantize.cannot-write", file=str(file), reason=reason)

    def _room(self, plans: Sequence[Plan]) -> None:
        needed = sum(plan.size for plan in plans) + _ROOM
        free = shutil.disk_usage(self._folder).free
        if plans and needed > free:
            raise NotHere(
                "quantize.no-disk" if len(plans) > 1 else "quantize.no-disk-for-one",
                folder=str(self._folder),
                needed=needed,
                spare=_ROOM,
                free=free,
            )

    # ---------------------------------------------------------------------------------- one file

    async def _kept(self, plan: Plan, listen: Listen) -> str:
        """The checksum of a file that is there and is what would be made; "" to make it."""
        file = self._file(plan)
        if not file.exists():
            return ""
        if any(file.samefile(path) for path in self.source.paths):
            raise BadInput("quantize.onto-source", file=str(file))
        if self.replace:
            return ""
        made = Made()
        with suppress(OSError, ValueError):
            made = msgspec.json.decode(self._manifest(plan).read_bytes(), type=Made)
        wanted = self._made(plan, made.sha256)
        same = (made.made_of, made.imatrix, made.pure, made.quantization, made.quantizer) == (
            wanted.made_of,
            wanted.imatrix,
            wanted.pure,
            wanted.quantization,
            wanted.quantizer,
        )
        if not same or file.stat().st_size != plan.size:
            raise BadInput("quantize.there", file=str(file))

        def tell(done: int) -> None:
            listen(Progress(plan.ftype, "checking", done, plan.size))

        if await asyncio.to_thread(_sha256, file, tell) != made.sha256:
            raise BadInput("quantize.damaged", file=str(file))
        return made.sha256

    async def _make(self, plan: Plan, listen: Listen) -> str:
        from millstream.models.embedded.threads import cores

        part = self._part(plan)
        job = jobs.Quantize(
            model=plan.name,
            sources=[str(path.resolve()) for path in self.source.paths],
            ftype=plan.ftype,
            output=str(part.resolve()),
            threads=self.threads or cores(),
            imatrix=str(self.imatrix.resolve()) if self.imatrix else "",
            pure=self.pure,
        )
        try:
            try:
                result = await jobs.run(
                    job,
                    lambda step: listen(
                        Progress(plan.ftype, "quantizing", step["done"], step["total"])
                    ),
                )
            except Failed as error:
                if error.code == "quantize.cannot-write":  # by the name that a person knows
                    error.values["file"] = str(self._file(plan))
                raise
            made = self._made(plan, result["sha256"])
            file = self._file(plan)
            try:
                if self.replace:
                    file.unlink(missing_ok=True)
                if self.shelf is not None:
                    self.shelf.add(part, made, name=plan.name)
                else:
                    os.replace(part, file)
                    self._manifest(plan).write_bytes(msgspec.json.encode(made) + b"\n")
            except OSError as error:
                raise self._cannot_write(file, error.strerror or str(error)) from None
            return made.sha256
        finally:
            with suppress(OSError):  # a disk that nothing can be written to any more
                part.unlink(missing_ok=True)

    def _made(self, plan: Plan, sha256: str) -> Made:
        first = self.source.first
        return Made(
            sha256=sha256,
            licence=first.licence,
            source=self.made_from,
            quantization=plan.ftype,
            context=first.context_length,
            architecture=first.architecture,
            size=plan.size,
            made_of=self.source.fingerprint(),
            imatrix=_fingerprint([self.imatrix], [0]) if self.imatrix else "",
            pure=self.pure,
            quantizer=quantizer(),
        )


def quantizer() -> str:
    """The package whose quantizer is used, and its version."""
    from importlib.metadata import PackageNotFoundError, version

    from millstream.lab.library import PACKAGE

    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        raise NotHere("embedded.no-extra") from None


def _bits(planned: Sequence[Planned]) -> float:
    elements = sum(each.tensor.elements for each in planned)
    return 8 * sum(each.size for each in planned) / elements


def _types(planned: Sequence[Planned]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in planned:
        found[each.type] = found.get(each.type, 0) + 1
    return dict(sorted(found.items()))


def _fingerprint(paths: Sequence[Path], headers: Sequence[int]) -> str:
    """A hash of files by their sizes, their first bytes and samples in even distances."""
    digest = hashlib.sha256()
    for path, header in zip(paths, headers, strict=True):
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with open(path, "rb") as file:
            digest.update(file.read(header))
            for number in range(_SAMPLES):
                file.seek(header + (size - header) * number // _SAMPLES)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _sha256(path: Path, tell: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    done = 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
            done += len(piece)
            tell(done)
    return digest.hexdigest()
