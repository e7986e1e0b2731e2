"""The two model hubs on loopback: Hugging Face's API and ModelScope's, and where files come from.

As at the real hubs a file's address redirects to another origin (a CDN), which serves ranges and
knows nothing of accounts. Faults can be switched on: see the attributes of `Cdn`.
"""

from __future__ import annotations

import asyncio
import hashlib
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from aiohttp import web

COMMIT = "c0ffee" * 6 + "c0ff"


class Cdn:
    """Where the bytes are. ranges: those that were asked for ("" for a whole file); keys: the
    Authorization headers that came. cuts: bytes after which the next connections break. slow:
    seconds between two pieces of 64 KiB. deaf: ranges are ignored. refuse: statuses for the next
    requests. started: some bytes were sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str] = []
        self.keys: list[str] = []
        self.conditions: list[str] = []
        self.sent = 0
        self.cuts: list[int] = []
        self.slow = 0.0
        self.deaf = False
        self.etags = True
        self.refuse: list[int] = []
        self.started = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Range", "")
        self.ranges.append(asked)
        if key := request.headers.get("Authorization"):
            self.keys.append(key)
        if self.refuse:
            return web.Response(status=self.refuse.pop(0), text="not now")
        data = self.files[request.match_info["path"]]
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {"ETag": etag} if self.etags else {}
        condition = request.headers.get("If-Range", "")
        self.conditions.append(condition)
        start, whole = 0, len(data)
        if asked and not self.deaf and condition in ("", etag):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first)
            if start >= len(data):
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
            whole = min(len(data), int(last) + 1) if last else len(data)
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{len(data)}"
        response = web.StreamResponse(
            status=206 if "Content-Range" in headers else 200, headers=headers
        )
        response.content_length = whole - start
        await response.prepare(request)
        breaking = bool(self.cuts)
        end = min(whole, start + self.cuts.pop(0)) if breaking else whole
        for at in range(start, end, 1 << 16):
            piece = data[at : min(end, at + (1 << 16))]
            await response.write(piece)
            self.sent += len(piece)
            self.started.set()
            await asyncio.sleep(self.slow)
        if breaking:
            await asyncio.sleep(0.05)  # let the last bytes arrive
            assert request.transport is not None
            request.transport.abort()
        return response


class Hubs:
    """Both hubs, with the same repositories. repositories: id → path → bytes. token: what gated
    ones ask for. asked: paths of the API that were asked for, with the Authorization header."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.licences: dict[str, Any] = {}
        self.gated: set[str] = set()
        self.token = ""
        self.page = 1000
        self.lie_sha256 = ""
        self.no_checksums = False
        self.asked: list[tuple[str, str]] = []
        self.cdn = Cdn()
        self.url = self.cdn_url = ""
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        cdn = web.Application()
        cdn.router.add_get("/{path:.*}", self.cdn.serve)
        self.cdn_url = await self._serve(cdn)
        hub = web.Application()
        hub.router.add_get("/api/v1/models/{org}/{name}/repo/files", self._ms_files)
        hub.router.add_get("/api/v1/models/{org}/{name}/repo", self._ms_file)
        hub.router.add_get("/api/v1/models/{org}/{name}", self._ms_info)
        hub.router.add_get("/api/models/{org}/{name}/tree/{revision}", self._hf_tree)
        hub.router.add_get("/api/models/{org}/{name}/revision/{revision}", self._hf_info)
        hub.router.add_get("/api/models/{org}/{name}", self._hf_info)
        hub.router.add_get("/{org}/{name}/resolve/{revision}/{path:.*}", self._hf_file)
        self.url = await self._serve(hub)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def add(self, id: str, files: dict[str, bytes], licence: Any = "apache-2.0") -> None:
        self.repositories[id] = files
        self.licences[id] = licence
        for path, data in files.items():
            self.cdn.files[f"{id}/{path}"] = data

    # ------------------------------------------------------------------------- Hugging Face

    def _hf_refused(self, request: web.Request) -> web.Response | None:
        id = f"{request.match_info['org']}/{request.match_info['name']}"
        given = request.headers.get("Authorization", "")
        self.asked.append((request.path, given))
        if given and given != f"Bearer {self.token}":
            text = "Invalid credentials in Authorization header"
            return web.json_response({"error": text}, status=401)
        if id not in self.repositories:
            if given:
                return web.json_response({"error": "Repository not found"}, status=404)
            return web.json_response({"error": "Invalid username or password."}, status=401)
        if id in self.gated and "/resolve/" in request.path:
            text = f"Access to model {id} is restricted and you are not in the authorized list."
            return web.json_response({"error": text}, status=403 if given else 401)
        return None

    async def _hf_info(self, request: web.Request) -> web.Response:
        if refusal := self._hf_refused(request):
            return refusal
        id = f"{request.match_info['org']}/{request.match_info['name']}"
        licence = self.licences[id]
        body: dict[str, Any] = {"id": id, "modelId": id, "sha": COMMIT, "gated": id in self.gated}
        if licence is None:
            body["tags"] = ["gguf", "license:mit"]
        else:
            body["cardData"] = {"license": licence}
        return web.json_response(body)

    async def _hf_tree(self, request: web.Request) -> web.Response:
        if refusal := self._hf_refused(request):
            return refusal
        assert request.match_info["revision"] == COMMIT
        assert request.query["recursive"] == "true"
        id = f"{request.match_info['org']}/{request.match_info['name']}"
        entries: list[dict[str, Any]] = [{"type": "directory", "oid": "d", "size": 0, "path": "x"}]
        for path, data in self.repositories[id].items():
            entry: dict[str, Any] = {"type": "file", "oid": "g", "size": len(data), "path": path}
            if path.endswith(".gguf") and not self.no_checksums:
                checksum = self.lie_sha256 or hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": checksum, "size": len(data), "pointerSize": 134}
                entry["xetHash"] = "x" * 64
            entries.append(entry)
        start = int(request.query.get("cursor", "0"))
        headers = {}
        if start + self.page < len(entries):
            # The real hub names itself, also through a mirror.
            there = f"https://huggingface.co{request.path}?recursive=true&cursor="
            headers["Link"] = f'<{there}{start + self.page}>; rel="next"'
        return web.json_response(entries[start : start + self.page], headers=headers)

    async def _hf_file(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._hf_refused(request):
            return refusal
        id = f"{request.match_info['org']}/{request.match_info['name']}"
        path = request.match_info["path"]
        if path not in self.repositories[id]:
            return web.json_response({"error": "Entry not found"}, status=404)
        return web.Response(
            status=302, headers={"Location": f"{self.cdn_url}/{id}/{quote(path)}?Expires=1&Sig=x"}
        )

    # --------------------------------------------------------------------------- ModelScope

    def _ms_id(self, request: web.Request) -> str | None:
        id = f"{request.match_info['org']}/{request.match_info['name']}"
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        return id if id in self.repositories else None

    def _ms_missing(self) -> web.Response:
        body = {"Code": 10010205001, "Message": "record not found", "Success": False, "Data": {}}
        return web.json_response(body, status=404)

    async def _ms_info(self, request: web.Request) -> web.Response:
        if (id := self._ms_id(request)) is None:
            return self._ms_missing()
        data = {"Path": id.split("/")[0], "Name": id.split("/")[1], "License": self.licences[id]}
        return web.json_response({"Code": 200, "Success": True, "Message": "", "Data": data})

    async def _ms_files(self, request: web.Request) -> web.Response:
        if (id := self._ms_id(request)) is None:
            return self._ms_missing()
        assert request.query["Revision"] == "master"
        assert request.query["Recursive"] == "true"
        files: list[dict[str, Any]] = [{"Name": "x", "Path": "x", "Type": "tree", "Size": 0}]
        for path, data in self.repositories[id].items():
            files.append(
                {
                    "Name": path.rpartition("/")[2],
                    "Path": path,
                    "Type": "blob",
                    "Size": len(data),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                    "IsLFS": path.endswith(".gguf"),
                    "Revision": COMMIT,
                }
            )
        body = {"Code": 200, "Success": True, "Message": "success", "Data": {"Files": files}}
        return web.json_response(body)

    async def _ms_file(self, request: web.Request) -> web.StreamResponse:
        if (id := self._ms_id(request)) is None:
            return self._ms_missing()
        assert request.query["Revision"] == COMMIT
        path = request.query["FilePath"]
        return web.Response(status=302, headers={"Location": f"{self.cdn_url}/{id}/{quote(path)}"})
