"""Google Translate through the public endpoint that browsers use; no key, no promise.

`POST/GET …/translate_a/single?client=gtx&sl=auto&tl=<code>&dt=t&q=<text>` answers nested JSON
arrays: the first element is a list of sentences, each a list that begins with the translation and
its source. The endpoint is undocumented and takes about 5,000 characters a request; it turns away
who asks too often, by status 429, by a redirect to a "sorry" page or by that page itself. Each
such answer becomes an error that says so and names the local substitute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec

from millstream.base import Failed, MillstreamError, NotHere, say
from millstream.engine.ports import ToolResult
from millstream.home.settings import Translate
from millstream.tools.languages import Language
from millstream.tools.net import Fetcher, Response
from millstream.tools.pieces import margins, split
from millstream.tools.translation import GOOGLE

ENDPOINT = "https://translate.googleapis.com/translate_a/single"

# Longer addresses are refused by the endpoint or a proxy before it; then the text goes as a form.
_LONGEST_URL = 2_000

_SORRY = re.compile(rb"unusual traffic|/sorry/|g-recaptcha|captcha", re.IGNORECASE)


class GoogleTranslate:
    """The tool `translate`."""

    parameters = GOOGLE.parameters

    def __init__(self, http: Fetcher, settings: Translate) -> None:
        self._http = http
        self._settings = settings
        self._endpoint = settings.endpoint or ENDPOINT
        self._host = _host(self._endpoint)

    async def invoke(self, parameters: Mapping[str, Any]) -> ToolResult:
        """The translation. An empty text is its own translation and asks nobody."""
        text, language = GOOGLE.read(parameters)
        out = []
        for piece in split(text, max(1, self._settings.piece)):
            before, body, after = margins(piece)
            out += [before, await self._translate(body, language) if body else "", after]
        return ToolResult(text="".join(out))

    async def _translate(self, text: str, language: Language) -> str:
        settings = self._settings
        params = {"client": "gtx", "sl": "auto", "tl": language.code, "dt": "t"}
        long = len(self._endpoint) + len(urlencode({**params, "q": text})) >= _LONGEST_URL
        try:
            answer = await self._http.fetch(
                "POST" if long else "GET",
                self._endpoint,
                params=params if long else {**params, "q": text},
                data={"q": text} if long else None,
                headers={"User-Agent": "Mozilla/5.0 (compatible; Millstream)"},
                connect_timeout=settings.connect_timeout,
                read_timeout=settings.read_timeout,
                proxy=settings.proxy or None,
                max_bytes=settings.max_mb << 20,
            )
        except MillstreamError as error:
            if error.code == "models.too-long":
                self._fail("too-long", limit=settings.max_mb)
            if error.code in ("models.no-first-byte", "models.idle"):
                self._fail("slow", seconds=settings.read_timeout)
            # Refused by --offline or with nobody there it is NotHere, broken on the way Failed.
            kind = NotHere if isinstance(error, NotHere) else Failed
            self._fail("unreachable", kind, problem=error.message)
        if answer.status != 200:
            self._refuse(answer)
        return self._read(answer)

    def _refuse(self, answer: Response) -> NoReturn:
        target = answer.headers.get("Location", "")
        if "/sorry/" in target or _SORRY.search(answer.body):
            self._fail("robot")
        if answer.status == 429:
            if wait := answer.headers.get("Retry-After", "").strip():
                self._fail("wait", wait=f"{wait} s" if wait.isdecimal() else wait[:40])
            self._fail("limit")
        if 300 <= answer.status < 400 and target:
            there = _host(target) or self._host
            self._fail("redirect", status=answer.status, target=there)
        self._fail("status", status=answer.status)

    def _read(self, answer: Response) -> str:
        try:
            return read_answer(answer.body)
        except ValueError as error:
            if _SORRY.search(answer.body):
                self._fail("robot")
            self._fail("odd", problem=say(f"tools.odd-{error}"))

    def _fail(self, what: str, kind: type[MillstreamError] = Failed, **values: Any) -> NoReturn:
        # error_type: what a fail branch sees.
        raise kind(
            f"tools.google-{what}",
            host=self._host,
            error_type="ToolRuntimeInvocationError",
            **values,
        ) from None


def read_answer(body: bytes) -> str:
    """The translation in an answer of the endpoint.

    Raises ValueError with the name of what came instead: "page", "empty", "bytes", "text", "shape"
    or "nothing" (catalogue: `tools.odd-…`).
    """
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(_kind(body)) from None
    if not isinstance(data, list) or not data or not isinstance(data[0], list):
        raise ValueError("shape")
    parts = []
    for sentence in data[0]:
        if not isinstance(sentence, list):
            raise ValueError("shape")
        first = sentence[0] if sentence else None
        if first is None:  # a transliteration, or nothing
            continue
        if not isinstance(first, str):
            raise ValueError("shape")
        parts.append(first)
    if not any(parts):
        raise ValueError("nothing")
    return "".join(parts)


def _kind(body: bytes) -> str:
    """What a body that is not JSON is."""
    body = body.strip()
    if not body:
        return "empty"
    if body.startswith(b"<"):
        return "page"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "bytes"
    return "text"


def _host(url: str) -> str:
    """The host of an address, fit to be shown; "" if it has none."""
    try:
        return (urlsplit(url[:2_000]).hostname or "")[:100]
    except ValueError:
        return ""
