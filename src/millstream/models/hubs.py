"""The hubs that GGUF files are on, Hugging Face and ModelScope: what a repository has.

A repository is listed with sizes and checksums before anything is fetched, at the commit that its
branch points to now, so that a pull that is interrupted goes on with the same file. A mirror of
Hugging Face is an other `endpoint` with the same paths. Which of the files to take, and fetching
it, is the business of `pull`.

Formats: for Hugging Face `huggingface_hub` 1.x (`hf_api.py`, `utils/_http.py`): `/api/models/ID`,
`/api/models/ID/tree/REVISION`, `/ID/resolve/REVISION/PATH`. For ModelScope `modelscope` 1.x
(`hub/api.py`, `hub/file_download.py`): `/api/v1/models/ID`, `…/repo/files`, `…/repo`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, Secret
from millstream.models.download import Remote
from millstream.models.http import Http, Refusal, refused, shown

Hub = Literal["hf", "ms"]
NAMES: dict[Hub, str] = {"hf": "Hugging Face", "ms": "ModelScope"}
HUGGING_FACE = "https://huggingface.co"
MODELSCOPE = "https://www.modelscope.cn"
_HOSTS: dict[str, Hub] = {
    "huggingface.co": "hf",
    "www.huggingface.co": "hf",
    "hf.co": "hf",
    "hf-mirror.com": "hf",
    "modelscope.cn": "ms",
    "www.modelscope.cn": "ms",
    "modelscope.ai": "ms",
    "www.modelscope.ai": "ms",
}
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_PAGES = 100  # of a thousand files each


class Repository(msgspec.Struct, frozen=True):
    """A repository, or a file in it, as a person named it. tag: the part of a file's name that
    says its quantization. revision: a branch or commit, "" for the main one."""

    hub: Hub
    id: str
    path: str = ""
    tag: str = ""
    revision: str = ""

    def __str__(self) -> str:
        rest = f"/{self.path}" if self.path else f":{self.tag}" if self.tag else ""
        return f"{self.hub}:{self.id}{rest}"


class RemoteFile(msgspec.Struct, frozen=True):
    """A file of a repository. path: in the repository, with slashes."""

    path: str
    remote: Remote


class Listing(msgspec.Struct, frozen=True):
    """What a repository has. licence: as its author says, "" for nothing said."""

    repository: Repository
    files: tuple[RemoteFile, ...]
    licence: str = ""


class Hubs:
    """Both hubs. endpoint: Hugging Face or a mirror of it; token: an account's there."""

    def __init__(
        self,
        http: Http,
        *,
        endpoint: str = HUGGING_FACE,
        token: Secret | None = None,
        modelscope: str = MODELSCOPE,
    ) -> None:
        self.http = http
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._modelscope = modelscope.rstrip("/")

    @property
    def urls(self) -> tuple[str, str]:
        """Where they are: Hugging Face or its mirror, ModelScope."""
        return self._endpoint, self._modelscope

    def headers(self, hub: Hub) -> dict[str, str]:
        """What a request shows who asks."""
        if hub == "hf" and self._token is not None:
            return {"Authorization": f"Bearer {self._token.reveal()}"}
        return {}

    def refused(self, repository: Repository, refusal: Refusal) -> MillstreamError:
        """What a hub's refusal means."""
        status = refusal.status
        # ModelScope has its words in a field that nobody else has.
        own = refusal.body.get("Message") if isinstance(refusal.body, dict) else None
        values: dict[str, Any] = {
            "model": repository.id,
            "hub": NAMES[repository.hub],
            "server": refusal.server,
            "message": shown(own) if isinstance(own, str) and own else refusal.message,
        }
        if status == 401 and self._token is not None and repository.hub == "hf":
            return NotHere("pull.wrong-token", **values)
        if status == 401 and not re.search(r"restricted|gated", refusal.message, re.I):
            # Hugging Face says so of repositories that don't exist, too.
            return NotHere("pull.no-repository-or-private", **values)
        if status in (401, 403):
            return NotHere("pull.gated", **values)
        if status == 404:
            return NotHere("pull.no-repository", **values)
        general = refused(refusal)
        assert isinstance(general, MillstreamError)
        return general

    async def look(self, repository: Repository) -> Listing:
        """What a repository has. Raises NotHere: there is none, it is private or gated, the hub
        is out of reach."""
        if repository.hub == "hf":
            return await self._hugging_face(repository)
        return await self._model_scope(repository)

    async def _hugging_face(self, repository: Repository) -> Listing:
        api = f"{self._endpoint}/api/models/{repository.id}"
        wanted = repository.revision
        info = await self._ask(repository, f"{api}/revision/{quote(wanted, '')}" if wanted else api)
        commit = _text(info, "sha") or wanted or "main"
        card = info.get("cardData")
        licence = _licence(card.get("license") if isinstance(card, dict) else None)
        tags = info.get("tags")
        for tag in tags if isinstance(tags, list) else []:
            if not licence and isinstance(tag, str) and tag.startswith("license:"):
                licence = tag.removeprefix("license:")
        entries: list[Any] = []
        page: str | None = f"{api}/tree/{quote(commit, '')}?recursive=true"
        for _ in range(_PAGES):
            if page is None:
                break
            found, page = await self._page(repository, page)
            entries += found
        files = []
        for entry in entries:
            if not isinstance(entry, dict) or entry.get("type") != "file":
                continue
            path = _text(entry, "path")
            lfs = entry.get("lfs")
            lfs = lfs if isinstance(lfs, dict) else {}
            url = f"{self._endpoint}/{repository.id}/resolve/{quote(commit, '')}/{quote(path)}"
            size = _size(lfs.get("size", entry.get("size")))
            files.append(RemoteFile(path, Remote(url, size, _sha256(lfs.get("oid")))))
        return Listing(repository, tuple(files), licence)

    async def _page(self, repository: Repository, url: str) -> tuple[list[Any], str | None]:
        """A page of a listing, and where the next one is."""
        async with self.http.stream(
            "GET",
            url,
            headers=self.headers(repository.hub),
            errors=lambda refusal: self.refused(repository, refusal),
            redirects=True,
        ) as exchange:
            body = await exchange.read()
            link = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', exchange.headers.get("Link", ""))
        try:
            found = msgspec.json.decode(body)
        except msgspec.DecodeError:
            found = None
        if not isinstance(found, list):
            raise self._not_a_hub(repository, exchange.server)
        # A mirror passes the hub's own address on: the next page is asked where this one was.
        if link is None:
            return found, None
        parts = urlsplit(link[1])
        return found, f"{exchange.server}{parts.path}?{parts.query}"

    async def _model_scope(self, repository: Repository) -> Listing:
        api = f"{self._modelscope}/api/v1/models/{repository.id}"
        revision = repository.revision or "master"
        info = (await self._ask(repository, api)).get("Data")
        query = urlencode({"Revision": revision, "Recursive": "true"})
        answer = await self._ask(repository, f"{api}/repo/files?{query}")
        data = answer.get("Data")
        entries = data.get("Files") if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise self._not_a_hub(repository, self._modelscope)
        files = []
        for entry in entries:
            if not isinstance(entry, dict) or entry.get("Type") == "tree":
                continue
            path = _text(entry, "Path") or _text(entry, "Name")
            commit = _text(entry, "Revision") or revision
            url = f"{api}/repo?{urlencode({'Revision': commit, 'FilePath': path})}"
            checksum = _sha256(entry.get("Sha256"))
            files.append(RemoteFile(path, Remote(url, _size(entry.get("Size")), checksum)))
        licence = _licence(info.get("License")) if isinstance(info, dict) else ""
        return Listing(repository, tuple(files), licence)

    async def _ask(self, repository: Repository, url: str) -> dict[str, Any]:
        answer = await self.http.request_json(
            "GET",
            url,
            headers=self.headers(repository.hub),
            errors=lambda refusal: self.refused(repository, refusal),
            redirects=True,
        )
        if not isinstance(answer, dict):
            raise self._not_a_hub(repository, url)
        if repository.hub == "ms" and answer.get("Success") is False:
            raise NotHere(
                "pull.no-repository",
                model=repository.id,
                hub=NAMES[repository.hub],
                server=self._modelscope,
                message=_text(answer, "Message"),
            )
        return answer

    def _not_a_hub(self, repository: Repository, server: str) -> Failed:
        return Failed("pull.not-a-hub", server=server, hub=NAMES[repository.hub])


def parse(text: str) -> Repository | None:
    """A repository from `hf:ORG/REPO`, `ms:ORG/REPO`, `ORG/REPO`, each with `:TAG` or `/PATH`
    behind it, or from a page of a hub; None for other words. Raises BadInput for a page that is
    none of a repository."""
    if text.startswith(("https://", "http://")):
        return _from_url(text)
    hub: Hub = "hf"
    if text[:3].lower() in ("hf:", "ms:"):
        hub = "hf" if text[:2].lower() == "hf" else "ms"
        text = text[3:]
    elif "/" not in text:
        return None
    parts = text.strip("/").split("/")
    id, tag = "/".join(parts[:2]), ""
    if len(parts) == 2 and ":" in id:
        id, tag = id.split(":", 1)
    if not _ID.fullmatch(id) or ".." in parts:
        raise BadInput("pull.bad-name", name=text)
    return Repository(hub, id, "/".join(parts[2:]), tag)


def _from_url(url: str) -> Repository:
    parts = urlsplit(url)
    hub = _HOSTS.get((parts.hostname or "").lower())
    if hub is None:
        raise BadInput("pull.unknown-hub", url=url)
    path = [unquote(part) for part in parts.path.split("/") if part]
    if hub == "ms" and path[:1] == ["models"]:
        path = path[1:]
    id, rest = "/".join(path[:2]), path[2:]
    if not _ID.fullmatch(id) or ".." in path:
        raise BadInput("pull.bad-name", name=url)
    if rest[:2] == ["file", "view"]:  # ModelScope's page of a file
        rest = rest[1:]
    if rest[:1] in (["resolve"], ["blob"], ["raw"], ["view"], ["tree"]):
        file = "/".join(rest[2:])
        return Repository(hub, id, file if rest[0] != "tree" else "", "", "/".join(rest[1:2]))
    return Repository(hub, id)


def _licence(value: Any) -> str:
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    return ", ".join(item for item in values if isinstance(item, str))[:100]


def _text(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _sha256(value: Any) -> str:
    text = value.lower().removeprefix("sha256:") if isinstance(value, str) else ""
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else ""
