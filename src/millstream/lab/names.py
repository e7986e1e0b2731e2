"""From what a person calls a model to its header, wherever it is; weights are never fetched.

    model.gguf · folder · config.json · x.safetensors      files here
    NAME · embedded/NAME                                   on the shelf
    ollama:NAME · ollama/NAME                              of a running Ollama, else its library
    qwen3-0.6b                                             recommended, on a hub
    hf:ORG/REPO[:TAG] · ms:… · ORG/REPO[:TAG] · https://   on a hub, its header read by ranges
    7b · 72B · 360m                                        the shape of a well-known model

A repository without GGUF files is described by its config.json and, for a family that isn't
known, by the tables of its safetensors files.

Formats: those of `gguf`, `safetensors` and `hubs`; `/api/show` with `verbose` of Ollama's
docs/api.md; its library is an OCI registry (manifest, then blob) of the distribution spec 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.lab import safetensors, typical
from millstream.lab.config import FAMILIES, family_of
from millstream.lab.config import header as header_of_config
from millstream.lab.mixes import retyped
from millstream.lab.rewrite import FILE_TYPES
from millstream.models import gguf, hubs, ollama_models, packaged, pull, recommended
from millstream.models.gguf import TYPES, Header, Tensor
from millstream.models.http import Http, Refusal, refused

if TYPE_CHECKING:
    from millstream.base import Secret
    from millstream.home import Home

_MODEL_LAYER = "application/vnd.ollama.image.model"
_TYPE_NUMBERS = {kind.name: number for number, kind in TYPES.items()}
_TENSORS = 1 << 17  # of a model that a server describes
_OLLAMA_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+){0,3}(?::[\w.-]+)?")


class Model(msgspec.Struct, frozen=True):
    """A model that was found. name: for people; source: where it is, in words that find it again.

    headers: of all its files, the first one first; of a config.json the one that a conversion
    would have. exact: the bytes are those of a file, not of a conversion still to be made.
    path: of a GGUF file here. stored: bytes on disk or at the hub, None if unknown. stands_for:
    the well-known model whose shape a plain size took. Of a config.json: lacking: weights that it
    speaks of are not in the files beside it; odd: a tensor of theirs whose type is not known.
    """

    name: str
    source: str
    headers: tuple[Header, ...]
    kind: Literal["gguf", "config", "typical", "server"]
    path: Path | None = None
    stored: int | None = None
    stands_for: str = ""
    lacking: bool = False
    odd: safetensors.Entry | None = None

    @property
    def header(self) -> Header:
        return self.headers[0]

    @property
    def exact(self) -> bool:
        return self.kind in ("gguf", "server")

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors of all files."""
        return [tensor for header in self.headers for tensor in header.tensors]


async def find(word: str, home: Home, http: Http) -> Model:
    """The model that a word means. Raises BadInput (a damaged file, no name at all), NotHere (no
    such model, the hub is out of reach), Failed."""
    word = word.strip()
    if not word or "\0" in word:
        raise BadInput("lab.unknown-name", name=word)
    if (here := _here(word)) is not None:
        return here
    if (size := typical.billions(word)) is not None:
        header, known = typical.header(size)
        return Model(word, known, (header,), "typical", stands_for=known)
    kept = _on_shelf(word.removeprefix("embedded/"), home)
    if kept is not None:
        return kept
    if word.startswith("embedded/"):
        home.shelf.get(word.removeprefix("embedded/"))  # says which is the nearest
    if word.lower().startswith(("ollama:", "ollama/")):
        return await _of_ollama(word[len("ollama:") :], home, http)
    if word.lower() in packaged.WORDS:
        raise NotHere("lab.packaged-not-here", name=packaged.NAME)
    try:
        return await _on_a_hub(word, home, http)
    except MillstreamError as error:
        shape = _well_known(word)
        if shape is None or not error.code.startswith("models."):
            raise
        return shape  # no hub answers, and its shape is known without one


def _well_known(word: str) -> Model | None:
    """A recommended model by its known shape, in the quantization that would be fetched."""
    wanted = recommended.by_name(word)
    header = typical.named(wanted.name) if wanted is not None else None
    if wanted is None or header is None:
        return None
    tensors = retyped(header, wanted.quantization)
    said = {**header.metadata, "general.file_type": FILE_TYPES[wanted.quantization]}
    made = Header(header.file, 3, said, tensors, 0, lambda offset, length: b"")
    return Model(wanted.name, wanted.name, (made,), "typical", stands_for=wanted.name)


# --------------------------------------------------------------------------------------- files here


def _here(word: str) -> Model | None:
    try:
        path = Path(word).expanduser()
        there = path.exists()
    except (OSError, RuntimeError):  # too long for a file system; nobody's home
        return None
    if not there:
        file = path.suffix.lower() in (".gguf", ".safetensors", ".json") and ":" not in word
        if file or word.startswith(("/", "~", "./", "../")):
            raise BadInput("gguf.missing", file=word)
        return None
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".safetensors":
        if safetensors.SHARD.search(path.name):
            return _folder(path.parent)
        config = safetensors.read_config(path.parent / "config.json")
        entries = safetensors.read(path)
        return _weighed(_of_config(config, entries, path.parent.resolve().name, str(path)), entries)
    if path.suffix.lower() == ".json":
        config = safetensors.read_config(path)
        return _of_config(config, [], path.parent.resolve().name, str(path))
    return _file(path)


def _file(path: Path, name: str = "") -> Model:
    parts = gguf.shard_paths(path)
    headers = tuple(gguf.read(part) for part in parts)
    stored = sum(part.stat().st_size for part in parts)
    name = name or re.sub(r"-\d{5}-of-\d{5}$", "", parts[0].stem)
    _known_types(headers)
    return Model(name, str(parts[0]), headers, "gguf", parts[0].resolve(), stored)


def _folder(path: Path) -> Model:
    if not (path / "config.json").exists():
        files = [file for file in sorted(path.glob("*.gguf")) if "mmproj" not in file.name]
        if len(files) == 1 or (files and len(gguf.shard_paths(files[0])) == len(files)):
            return _file(files[0])
        if files:
            names = ", ".join(file.name for file in files[:8])
            raise BadInput("lab.several", folder=str(path), names=names)
    config, entries = safetensors.folder(path)
    made = _of_config(config, entries, path.resolve().name, str(path))
    others = any(path.glob(safetensors.TORCH))  # they have no table
    return made if others else _weighed(made, entries)


def _weighed(made: Model, entries: Sequence[safetensors.Entry]) -> Model:
    """A model that says so if the files beside its config lack weights."""
    return msgspec.structs.replace(made, lacking=safetensors.lacking(entries, made.header))


def _of_config(
    config: Mapping[str, Any], entries: Sequence[safetensors.Entry], name: str, source: str
) -> Model:
    made = safetensors.header(config, entries, file=source)
    stored = sum(entry.size for entry in entries) or None
    odd = safetensors.odd(entries)
    return Model(name, source, (made,), "config", stored=stored, odd=odd)


def _on_shelf(name: str, home: Home) -> Model | None:
    try:
        kept = home.shelf.get(packaged.shelved(name))
    except NotHere:
        return None
    return _file(kept.path, kept.name)


def _known_types(headers: Sequence[Header]) -> None:
    """Raises BadInput for a tensor whose type, and so whose size, is not known."""
    for header in headers:
        for tensor in header.tensors:
            if tensor.type not in TYPES:
                name, type = tensor.name, tensor.type
                raise BadInput("lab.unknown-tensor-type", file=header.file, tensor=name, type=type)


# ------------------------------------------------------------------------------------------ on hubs


async def _on_a_hub(word: str, home: Home, http: Http) -> Model:
    try:
        repository = hubs.parse(word)
    except BadInput:
        raise BadInput("lab.unknown-name", name=word) from None
    known = recommended.by_name(word)
    if repository is None and (known is None or not known.repository):
        raise BadInput("lab.unknown-name", name=word)
    try:
        found = await pull.find(word, home, http)
    except NotHere as error:
        if error.code != "pull.no-gguf" or repository is None:
            raise
        return await _unconverted(repository, home, http)
    place = pull.hubs_of(home, http)
    assert found.repository is not None
    headers = []
    for path, remote in found.files:
        fetch = _ranges(http, remote.url, place.headers(found.repository.hub))
        headers.append(await gguf.read_remote(fetch, file=path, size=remote.size))
    _known_types(headers)
    return Model(found.name, found.source, tuple(headers), "gguf", stored=found.size)


async def _unconverted(repository: hubs.Repository, home: Home, http: Http) -> Model:
    """A repository of safetensors files."""
    place = pull.hubs_of(home, http)
    listing = await place.look(repository)
    files = {file.path: file.remote for file in listing.files}
    if "config.json" not in files:
        raise NotHere("pull.no-gguf", model=str(repository))
    headers = place.headers(repository.hub)
    fetch = _ranges(http, files["config.json"].url, headers)
    config = safetensors.config_of(await fetch(0, 1 << 22), "config.json")
    weights = {path: files[path] for path in safetensors.chosen(files)}
    name = repository.id.rpartition("/")[2]
    sizes = [remote.size for remote in weights.values()]
    stored = sum(size or 0 for size in sizes) if sizes and None not in sizes else None
    entries: list[safetensors.Entry] = []
    if family_of(config) in FAMILIES:
        made = header_of_config(config, file=f"{repository}/config.json")
    else:
        for path, remote in weights.items():
            entries += await _table(_ranges(http, remote.url, headers), path, remote.size)
        made = safetensors.header(config, entries, file=f"{repository}/config.json")
    return Model(name, str(repository), (made,), "config", stored=stored)


async def _table(
    fetch: Callable[[int, int], Awaitable[bytes]], file: str, size: int | None
) -> list[safetensors.Entry]:
    """The table of a safetensors file elsewhere."""
    begin = await fetch(0, 1 << 18)
    length = 8 + int.from_bytes(begin[:8], "little")
    if len(begin) < length < 1 << 27:
        begin += await fetch(len(begin), length - len(begin))
    return safetensors.read_ranges(
        lambda offset, count: begin[offset : offset + count], file=file, size=size
    )


def _ranges(
    http: Http, url: str, headers: Mapping[str, str]
) -> Callable[[int, int], Awaitable[bytes]]:
    """Ranges of a file elsewhere; a server that gives the whole file is hung up on when there is
    enough."""

    async def fetch(offset: int, length: int) -> bytes:
        wanted = {**headers, "Range": f"bytes={offset}-{offset + length - 1}"}
        data = bytearray()
        asked = http.stream("GET", url, headers=wanted, errors=_past, redirects=True, soon=True)
        async with asked as answer:
            skip = offset if answer.status == 200 else 0
            if skip > 1 << 28:
                raise Failed("lab.no-ranges", server=answer.server)
            async for piece in answer:
                data += piece
                if len(data) >= skip + length:
                    break
        return bytes(data[skip : skip + length])

    async def whole(offset: int, length: int) -> bytes:
        try:
            return await fetch(offset, length)
        except _Past:
            return b""

    return whole


class _Past(Exception):
    """A range that begins behind the end of a file."""


def _past(refusal: Refusal) -> Exception:
    return _Past() if refusal.status == 416 else refused(refusal)


# ------------------------------------------------------------------------------------------- Ollama


async def _of_ollama(name: str, home: Home, http: Http) -> Model:
    """A model of the Ollama that runs here; one that isn't there is looked up in its library."""
    if not _OLLAMA_NAME.fullmatch(name):
        raise BadInput("lab.unknown-name", name=f"ollama:{name}")
    from millstream.models import discovery

    survey = await discovery.survey(home)
    server = next((server for server in survey.servers if server.kind == "ollama"), None)
    if server is not None:
        key = home.credentials.get(server.provider)
        with suppress(NotHere):  # it has no such model, or tells nothing of it
            return await _shown(name, server.base_url, http, key)
    return await _in_library(name, home, http)


async def _shown(name: str, base_url: str, http: Http, key: Secret | None = None) -> Model:
    def error(refusal: Refusal) -> Exception:
        if ollama_models.is_missing(refusal):
            return NotHere("ollama.no-model", name=name, server=refusal.server)
        return refused(refusal)

    told = await http.request_json(
        "POST",
        ollama_models.root(base_url) + "/api/show",
        headers=ollama_models.auth(key),
        json={"model": name, "verbose": True},
        errors=error,
    )
    told = told if isinstance(told, dict) else {}
    info, listed = told.get("model_info"), told.get("tensors")
    if not isinstance(info, dict) or not isinstance(listed, list) or not listed:
        raise NotHere("lab.ollama-silent", name=name)
    tensors = [_described(item, name) for item in listed[:_TENSORS]]
    plain = {str(key): _plain(value) for key, value in info.items()}
    words = info.get("tokenizer.ggml.tokens")
    architecture = str(plain.get("general.architecture", ""))
    if isinstance(words, list):
        plain[f"{architecture}.vocab_size"] = len(words)
    header = Header(name, 3, plain, tensors, 0, lambda offset, length: b"")
    _known_types([header])
    return Model(name, f"ollama:{name}", (header,), "server", stored=header.weight_bytes)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) and len(value) <= 4096 else value


def _described(item: Any, model: str) -> Tensor:
    """A tensor as Ollama lists it; the row length comes first."""
    fields = item if isinstance(item, dict) else {}
    name, type, shape = fields.get("name"), fields.get("type"), fields.get("shape")
    number = _TYPE_NUMBERS.get(type.upper()) if isinstance(type, str) else None
    sound = isinstance(shape, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 40 for n in shape
    )
    if not isinstance(name, str) or number is None or not sound or not shape:
        raise NotHere("lab.ollama-silent", name=model)
    kind = TYPES[number]
    if shape[0] % kind.block:
        raise NotHere("lab.ollama-silent", name=model)
    elements = 1
    for length in shape:
        elements *= length
    return Tensor(name, tuple(shape), number, 0, elements // kind.block * kind.size)


async def _in_library(name: str, home: Home, http: Http) -> Model:
    """The header of a model in Ollama's library, by ranges."""
    path, _, tag = name.partition(":")
    path = path if "/" in path else f"library/{path}"
    root = f"{home.settings.hub.ollama.rstrip('/')}/v2/{quote(path)}"

    def error(refusal: Refusal) -> Exception:
        if refusal.status == 404:
            return NotHere("lab.no-ollama-model", name=name)
        return refused(refusal)

    manifest = await http.request_json(
        "GET", f"{root}/manifests/{quote(tag or 'latest')}", errors=error, redirects=True
    )
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        if not isinstance(layer, dict) or layer.get("mediaType") != _MODEL_LAYER:
            continue
        digest, size = layer.get("digest"), layer.get("size")
        if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            continue
        size = size if isinstance(size, int) else None
        fetch = _ranges(http, f"{root}/blobs/{digest}", {})
        header = await gguf.read_remote(fetch, file=name, size=size)
        _known_types([header])
        return Model(name, f"ollama:{name}", (header,), "gguf", stored=size)
    raise NotHere("lab.no-ollama-model", name=name)
