"""The one way out: every connection that the product opens to another machine goes through `Http`.

It decides whether a host may be reached at all (`offline`), by which proxy (none for loopback and
private addresses), at which address (`reach`, filled by discovery, finds a server that is called
`localhost` from inside a container), how long to be patient, and when to try again. It turns every
failure of a connection into an error that a person can read. What a server's refusal means is the
caller's knowledge: it hands in `errors`. Nothing here knows models or their protocols.

A streamed answer is read in whatever pieces the socket gives; `sse` cuts them into events.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, is_web_address, redact
from millstream.base.secret import HIDDEN
from millstream.models.hosts import Proxies, resolves_privately, without_secrets
from millstream.models.hosts import is_local_name as is_local_name
from millstream.models.hosts import is_private as is_private
from millstream.models.hosts import origin_of as origin_of
from millstream.models.refusal import Refusal as Refusal
from millstream.models.refusal import retry_after
from millstream.models.refusal import shown as shown
from millstream.models.refusal import words_of_error as words_of_error

if TYPE_CHECKING:
    import aiohttp

Reach = Callable[[str], "str | Awaitable[str]"]
Route = tuple[str, "str | None"]  # the origin that is really asked, and through which proxy
Notice = Callable[[str, Mapping[str, Any]], None]

_ERROR_BODY = 64 * 1024  # bytes of a refusal that are read: it is shown, never used
_REDIRECTS = 10
_GRACE = 0.25  # seconds that a server has to end a stream after its last event
_AGAIN = frozenset((408, 429, 500, 502, 503, 504, 529))
_HOPELESS = frozenset(
    ("insufficient_quota", "billing_hard_limit_reached", "exceed_context_size_error")
)
_SECRET_HEADERS = frozenset(
    ("authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie")
)


_SILENCE = 60.0  # seconds, where an answer is due soon


class Patience(msgspec.Struct, frozen=True):
    """How long to wait, in seconds; None waits for ever. There is no limit on a whole call.

    connect: until a connection stands. first_byte: from the request to the first byte of the
    answer (a long prompt on a slow machine takes minutes). idle: between two pieces of an answer.
    tries: how often a request is sent in all when the server is busy or broken (429, 5xx) and
    nothing of the answer has been seen. longest_wait: the longest pause between two tries.
    refusals: False tries again on a fresh connection only, never what a server has refused (for
    whoever measures it). The others are settings too: `network.connect_timeout`,
    `network.first_byte_timeout`, `network.idle_timeout`, `network.tries`, `network.longest_wait`.
    """

    connect: float | None = 30.0
    first_byte: float | None = None
    idle: float | None = None
    tries: int = 4
    longest_wait: float = 120.0
    refusals: bool = True


class Answer(msgspec.Struct):
    """An answer, read whole. headers: names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refused(refusal: Refusal) -> Exception:
    """What a refusal means when nothing more is known of the server."""
    return Failed(
        "models.http-refused",
        server=refusal.server,
        status=refusal.status,
        message=refusal.message,
    )


class Http:
    """The connections of one runtime. Opened when first used; `close` it, or use `async with`.

    offline: only loopback and private addresses may be reached. reach: maps the origin of a URL
    whose host is `localhost` (`http://localhost:11434`) to the one that answers. notice: is told
    of every wait (a catalogue key and its values). proxy: for all that is not near, instead of
    what the environment says. environ: where proxies are read from.
    """

    def __init__(
        self,
        *,
        offline: bool = False,
        patience: Patience | None = None,
        reach: Reach | None = None,
        notice: Notice | None = None,
        proxy: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.offline = offline
        self.patience = patience or Patience()
        self.reach = reach
        self.notice = notice
        # Origins of servers that are processes of ours → why such a process is gone, if it is.
        self.causes: dict[str, Callable[[], Exception | None]] = {}
        # Of models (`Target.identity`): the parts of a request that one refused, and that are left
        # out from then on; and what else its adapter learned, and need not ask again.
        self.refused: dict[tuple[str, str, str], list[str]] = {}
        self.learned: dict[tuple[str, str, str], Any] = {}
        self._proxies = Proxies(os.environ if environ is None else environ, proxy)
        self._routes: dict[str, Route] = {}  # by origin
        self._finding: dict[str, asyncio.Task[Route]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._timeout: aiohttp.ClientTimeout | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. The next use opens new ones."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        errors: Callable[[Refusal], Exception] = refused,
        redirects: bool = False,
        soon: bool = False,
    ) -> Exchange:
        """Send a request when entered with `async with`, and iterate over the answer's bytes.

        json: a body to encode; data: a body that is already bytes. errors: makes the error to
        raise from a refusal. redirects: follow them (GET and HEAD only; headers other than Range
        are not taken to another host). soon: nobody has to think for this answer, so silence has a
        limit where the settings have none.

        Raises NotHere (no way to the server), Failed (cut, too slow), and what `errors` gives.
        """
        sent = dict(headers) if headers else {}
        if json is not None:
            data = _encoded(json)
            sent.setdefault("Content-Type", "application/json")
        patience = self._brief() if soon else None
        return Exchange(
            self, method, url, sent, data, errors=errors, redirects=redirects, patience=patience
        )

    def _brief(self) -> Patience:
        usual = self.patience
        return msgspec.structs.replace(
            usual, first_byte=usual.first_byte or _SILENCE, idle=usual.idle or _SILENCE
        )

    async def request_json(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        errors: Callable[[Refusal], Exception] = refused,
        redirects: bool = False,
    ) -> Any:
        """The parsed JSON of a whole answer; None for an empty one. Raises as `stream` does, and
        Failed for an answer that is not JSON."""
        async with self.stream(
            method,
            url,
            headers=headers,
            json=json,
            data=data,
            errors=errors,
            redirects=redirects,
            soon=True,
        ) as exchange:
            body = await exchange.read()
        if not body.strip():
            return None
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise Failed("models.not-json", server=exchange.server, beginning=shown(body)) from None

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        proxy: str | None = None,
        max_bytes: int | None = None,
    ) -> Answer:
        """Send one request once, and read its answer whole, whatever its status is.

        data: form fields. Times in seconds, the layer's own where None. proxy: instead of the
        one that the route would take. Raises as `stream` does, and Failed for an answer of more
        than `max_bytes`.
        """
        sent = dict(headers) if headers else {}
        body = None
        if data is not None:
            body = urlencode(data).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        usual = self.patience
        patience = Patience(
            connect=usual.connect if connect_timeout is None else connect_timeout,
            first_byte=usual.first_byte if read_timeout is None else read_timeout,
            idle=usual.idle if read_timeout is None else read_timeout,
            tries=2,  # the second one only where a kept connection was closed in the meantime
        )
        exchange = Exchange(self, method, url, sent, body, patience=patience, proxy=proxy)
        read = bytearray()
        async with exchange:
            async for piece in exchange:
                read += piece
                if max_bytes is not None and len(read) > max_bytes:
                    raise Failed("models.too-long", server=exchange.server, limit=max_bytes)
        return Answer(exchange.status, exchange.headers, bytes(read))

    def session(self) -> aiohttp.ClientSession:
        """The open session of the running loop."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop or self._session.closed:
            self._session = _open_session(self)
            self._loop = loop
        return self._session

    def timeout(self, patience: Patience) -> aiohttp.ClientTimeout:
        """aiohttp's part of our patience: the connection only."""
        import aiohttp

        if self._timeout is None or self._timeout.sock_connect != patience.connect:
            self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect)
        return self._timeout

    async def route(self, url: str) -> Route:
        """Where a URL is really asked, and through which proxy (None: directly).

        Raises NotHere when `offline` forbids the host and its address is in the URL; a name is
        judged by what it resolves to, when the connection is made.
        """
        if not is_web_address(url):
            raise BadInput("models.bad-url", url=without_secrets(url))
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        known = self._routes.get(origin)
        if known is None:  # many calls may begin at once: one of them looks for the way
            finding = self._finding.get(origin)
            if finding is None:
                look = self._find_route(origin, parts.scheme, parts.hostname or "")
                finding = self._finding[origin] = asyncio.create_task(look)
                finding.add_done_callback(lambda _: self._finding.pop(origin, None))
            known = self._routes[origin] = await asyncio.shield(finding)
        there, proxy = known
        return (url if there == origin else there + url[len(origin) :]), proxy

    def forget_route(self, url: str) -> None:
        """Look anew for a server that did not answer where it was last found."""
        parts = urlsplit(url)
        self._routes.pop(f"{parts.scheme}://{parts.netloc}", None)

    async def _find_route(self, origin: str, scheme: str, host: str) -> Route:
        near = is_private(host)
        if self.offline and near is False:
            raise NotHere("models.offline", host=host)
        if self.reach is not None and is_local_name(host):
            found = self.reach(origin)
            there = await found if inspect.isawaitable(found) else found
            return there.rstrip("/"), None
        if near or self.offline or not (proxy := self._proxies.of(scheme, host)):
            return origin, None
        return origin, None if near is None and await resolves_privately(host) else proxy


class Exchange:
    """One request and the stream of its answer: an async context manager, then an iterator.

    Leaving the context before the end closes the connection, which is how a server learns that
    nobody wants the rest. `characters` is counted up by an adapter as text arrives, so that a
    broken connection can say how far the answer came.
    """

    def __init__(
        self,
        http: Http,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        *,
        errors: Callable[[Refusal], Exception] | None = None,
        redirects: bool = False,
        patience: Patience | None = None,
        proxy: str | None = None,
    ) -> None:
        self.server = origin_of(url)
        self.characters = 0
        self._http = http
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._errors = errors  # None: a refusal is an answer like any other
        self._redirects = redirects
        self._patience = patience or http.patience
        self._proxy = proxy
        self._deadline: float | None = None  # of the first byte, in loop time
        self._broken: Exception | None = None
        self._opened = False
        self._response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; names in any case."""
        return self._response.headers

    async def __aenter__(self) -> Exchange:
        return self if self._opened else await self.open()

    async def open(self) -> Exchange:
        """Send the request; done on entering, unless somebody did it before."""
        first_byte = self._patience.first_byte
        if first_byte is not None:
            self._deadline = asyncio.get_running_loop().time() + first_byte
        self._response = await self._open()
        self._readany = self._response.content.readany
        self._opened = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        """The bytes that are there, as soon as there are any."""
        if self._broken is not None:
            raise self._broken
        try:
            if self._deadline is None and self._patience.idle is None:
                data = await self._readany()
            else:
                data = await self._impatient_read()
        except _failures() as error:
            self._broken = await self._read_error(error)
            # What arrived before the break is still in the reader's buffer, which refuses to
            # give it once it knows of the break.
            rest: list[bytes] = list(getattr(self._response.content, "_buffer", ()))
            offset = getattr(self._response.content, "_buffer_offset", 0)
            data = b"".join(rest)[offset:]
            if not data:
                raise self._broken from None
        if data:
            return data
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """The whole rest of the answer."""
        return b"".join([piece async for piece in self])

    async def finish(self) -> None:
        """Let a stream whose last event has come end, so that its connection serves again. A
        server that does not end it soon loses the connection instead."""
        if self._response.content.at_eof():
            return
        try:
            async with asyncio.timeout(_GRACE):
                while await self._readany():
                    pass
        except _failures():
            pass

    async def _impatient_read(self) -> bytes:
        idle = self._patience.idle
        deadline = self._deadline
        loop = asyncio.get_running_loop()
        if deadline is None and idle is not None:
            deadline = loop.time() + idle
        async with asyncio.timeout_at(deadline):
            data = await self._readany()
        self._deadline = None
        return data

    async def _read_error(self, error: Exception) -> Exception:
        if isinstance(error, TimeoutError):
            return self._too_slow(first=self._deadline is not None)
        broken = Failed("models.cut", server=self.server, characters=self.characters)
        return await self._cause() or broken

    async def _cause(self) -> Exception | None:
        """Why the connection broke, if the server's keeper knows; it may take its time."""
        keeper = self._http.causes.get(self.server)
        return await asyncio.to_thread(keeper) if keeper is not None else None

    def _too_slow(self, *, first: bool) -> Failed:
        usual = self._http.patience
        limit = self._patience.first_byte if first else self._patience.idle
        if limit == _SILENCE and (usual.first_byte if first else usual.idle) is None:
            return Failed("models.silent", server=self.server, seconds=limit)
        if first:
            return Failed("models.no-first-byte", server=self.server, seconds=limit)
        return Failed("models.idle", server=self.server, seconds=limit, characters=self.characters)

    # ------------------------------------------------------------------------------- opening

    async def _open(self) -> aiohttp.ClientResponse:
        """Send until an answer is a success, or trying again makes no sense."""
        patience = self._patience
        tries, waited = 0, 0.0
        while True:
            tries += 1
            try:
                if self._deadline is None:
                    response = await self._send()
                else:
                    async with asyncio.timeout_at(self._deadline):
                        response = await self._send()
                if response.status < 300 or self._errors is None:
                    return response
                refusal = await self._refusal(response)
            except MillstreamError:
                raise
            except _failures() as error:
                # A kept connection that the server has closed in the meantime says nothing
                # about the server: send again on a fresh one.
                if _is_disconnect(error) and tries < patience.tries:
                    continue
                raise await self._cause() or self._open_error(error) from None
            refusal.tries, refusal.waited = tries, waited
            last = tries >= patience.tries or not patience.refusals
            if refusal.status not in _AGAIN or refusal.code in _HOPELESS or last:
                raise self._errors(refusal)
            pause = refusal.retry_after
            if pause is None:
                pause = min(0.5 * 2 ** (tries - 1), patience.longest_wait)
            if pause > patience.longest_wait:
                raise self._errors(refusal)
            if self._http.notice is not None:
                values = {"server": self.server, "status": refusal.status, "seconds": pause}
                self._http.notice("models.waiting", values)
            waited += pause
            await asyncio.sleep(pause)
            if self._deadline is not None:
                self._deadline += pause

    async def _send(self) -> aiohttp.ClientResponse:
        http = self._http
        url, proxy = await http.route(self._url)
        method, headers, body = self._method, self._headers, self._body
        for _ in range(_REDIRECTS):
            response = await http.session().request(
                method,
                url,
                headers=headers,
                data=body,
                proxy=None if http.offline else self._proxy or proxy,
                allow_redirects=False,
                timeout=http.timeout(self._patience),
            )
            there = response.headers.get("Location")
            if not (self._redirects and 300 < response.status < 400 and there):
                return response
            response.release()
            there = urljoin(url, there)
            if origin_of(there) != origin_of(url):
                headers = {k: v for k, v in headers.items() if k.lower() in ("range", "accept")}
            method, body = ("HEAD" if method == "HEAD" else "GET"), None
            url, proxy = await http.route(there)
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> Refusal:
        raw = bytearray()
        try:
            while len(raw) < _ERROR_BODY and (piece := await response.content.readany()):
                raw += piece
        except _failures():
            pass  # a refusal that breaks off is still a refusal
        response.close()
        text = raw[:_ERROR_BODY].decode("utf-8", "replace")
        for name, value in self._headers.items():
            secret = value.split(" ", 1)[-1]
            if name.lower() in _SECRET_HEADERS and len(secret) > 3:
                text = text.replace(secret, HIDDEN)
        text = redact(text)
        try:
            parsed: Any = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            parsed = text
        message, code = words_of_error(parsed)
        if 300 <= response.status < 400 and not message:
            message = "→ " + without_secrets(response.headers.get("Location", ""))
        return Refusal(
            server=self.server,
            status=response.status,
            message=message or str(response.reason or ""),
            code=code,
            body=parsed,
            retry_after=retry_after(response.headers),
        )

    def _open_error(self, error: Exception) -> Exception:
        import aiohttp

        url, server = self._url, self.server
        self._http.forget_route(url)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            seconds = self._patience.connect
            return NotHere("models.connect-timeout", server=server, seconds=seconds)
        if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
            return NotHere("models.proxy", server=server, problem=_problem(error))
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return NotHere("models.tls", server=server, problem=_problem(error))
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            if error.host != urlsplit(url).hostname:
                return NotHere("models.unknown-proxy", server=server, host=error.host)
            return NotHere("models.unknown-host", server=server, host=error.host)
        if isinstance(error, aiohttp.InvalidURL):
            return BadInput("models.bad-url", url=without_secrets(url))
        if isinstance(error, aiohttp.ClientConnectorError):
            if error.os_error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                return NotHere("models.unreachable", server=server, problem=_problem(error))
            return NotHere("models.connection-refused", server=server)
        if isinstance(error, TimeoutError):
            return self._too_slow(first=True)
        if _is_disconnect(error):
            return Failed("models.hung-up", server=server)
        return Failed("models.http-broken", server=server, problem=_problem(error))


# ------------------------------------------------------------------------------------ aiohttp


def _open_session(http: Http) -> aiohttp.ClientSession:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

    from millstream import __version__

    class Resolver(AbstractResolver):
        """The system's names, and the last word on `offline`."""

        def __init__(self) -> None:
            self._system = aiohttp.ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
            if http.offline and is_private(host) is None and not await resolves_privately(host):
                raise NotHere("models.offline", host=host)
            return await self._system.resolve(host, port, family)

        async def close(self) -> None:
            await self._system.close()

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A compressed stream is held back by whoever compresses it.
        headers={"User-Agent": f"millstream/{__version__}", "Accept-Encoding": "identity"},
        read_bufsize=1 << 18,
        trust_env=False,
    )


def _failures() -> tuple[type[Exception], ...]:
    """What aiohttp raises; looked up late, when it has been imported anyway."""
    import aiohttp

    return (aiohttp.ClientError, OSError)


def _is_disconnect(error: Exception) -> bool:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(
        error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError
    )


def _encoded(value: Any) -> bytes:
    """A body as JSON. Half of a surrogate pair, left over where somebody cut a text, has no place
    in UTF-8: a question mark takes it."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        from json import dumps

        return dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _problem(error: Exception) -> str:
    return shown(str(getattr(error, "os_error", None) or error) or type(error).__name__)
