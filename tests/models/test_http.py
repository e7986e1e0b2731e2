"""The one way out: who may be reached, by which road, how patiently, and what is said if not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.models.http import (
    Http,
    Patience,
    Refusal,
    is_private,
    origin_of,
    shown,
    words_of_error,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server on loopback that answers everything by `handler`; its address."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def hello(request: web.BaseRequest) -> web.Response:
    return web.json_response({"path": request.path_qs, "host": request.host})


async def failure(awaitable: Awaitable[Any]) -> MillstreamError:
    with pytest.raises(MillstreamError) as raised:
        await awaitable
    return raised.value


class TestWhoMayBeReached:
    @pytest.mark.parametrize(
        ("host", "near"),
        [
            ("localhost", True),
            ("127.0.0.1", True),
            ("::1", True),
            ("0.0.0.0", True),
            ("10.0.0.7", True),
            ("172.17.0.1", True),
            ("192.168.1.5", True),
            ("100.64.1.1", True),  # Tailscale
            ("fe80::1%eth0", True),
            ("::ffff:192.168.1.5", True),
            ("fd00::5", True),
            ("ollama", True),  # a compose service
            ("host.docker.internal", True),
            ("mac.local", True),
            ("8.8.8.8", False),
            ("198.18.0.5", False),  # what a proxy program hands out for a public name
            ("::ffff:8.8.8.8", False),
            ("api.openai.com", None),
        ],
    )
    def test_near_and_far(self, host: str, near: bool | None) -> None:
        assert is_private(host) is near

    @pytest.mark.parametrize("url", ["http://8.8.8.8/v1", "https://api.openai.com/v1"])
    async def test_offline_refuses_all_that_is_far(self, url: str) -> None:
        async with Http(offline=True, environ={}) as http:
            error = await failure(http.request_json("GET", url))
        assert isinstance(error, NotHere)
        assert "is outside this machine and its private network" in str(error)
        assert "--offline" in error.next_step

    async def test_offline_reaches_what_is_near(self) -> None:
        async with serving(hello) as url, Http(offline=True, environ={}) as http:
            assert (await http.request_json("GET", url + "/a"))["path"] == "/a"

    async def test_offline_takes_no_proxy_to_the_outside(self) -> None:
        async with serving(hello) as proxy, Http(offline=True, proxy=proxy, environ={}) as http:
            for way in (
                http.request_json("GET", "http://model.invalid/"),
                http.fetch("GET", "http://model.invalid/", proxy=proxy),
            ):
                assert (await failure(way)).code == "models.offline"

    async def test_offline_follows_no_redirect_to_the_outside(self) -> None:
        async def away(request: web.BaseRequest) -> web.Response:
            return web.Response(status=302, headers={"Location": "http://8.8.8.8/"})

        async with serving(away) as url, Http(offline=True, environ={}) as http:
            error = await failure(http.request_json("GET", url, redirects=True))
        assert error.code == "models.offline"

    @pytest.mark.parametrize(
        "url",
        [
            *("ftp://h/x", "localhost:11434", "http://[::1", "http://h:99999/", "http:///x"),
            *("http://localhost:abc/v1", "http://me:secret@[::1/?key=secret"),
        ],
    )
    async def test_what_is_no_address(self, url: str) -> None:
        async with Http(environ={}) as http:
            error = await failure(http.request_json("GET", url))
        assert isinstance(error, BadInput)
        assert "is not an http or https address" in str(error)
        assert "secret" not in str(error)


class TestRoads:
    async def test_far_hosts_go_through_the_proxy_and_near_ones_do_not(self) -> None:
        asked: list[str] = []

        async def proxy(request: web.BaseRequest) -> web.Response:
            asked.append(str(request.raw_path))
            return web.json_response("proxied")

        async with serving(proxy) as there, serving(hello) as here:
            environ = {"HTTP_PROXY": there, "NO_PROXY": "direct.invalid, .corp.invalid"}
            async with Http(environ=environ) as http:
                assert await http.request_json("GET", "http://model.invalid/v1") == "proxied"
                assert (await http.request_json("GET", here + "/a"))["path"] == "/a"
                for host in ("direct.invalid", "a.corp.invalid"):
                    error = await failure(http.request_json("GET", f"http://{host}/"))
                    assert error.code == "models.unknown-host"
        assert asked == ["http://model.invalid/v1"]

    async def test_a_proxy_of_the_settings_goes_first(self) -> None:
        async def proxy(request: web.BaseRequest) -> web.Response:
            return web.json_response("ours")

        environ = {"http_proxy": "http://127.0.0.1:9"}
        async with serving(proxy) as there, Http(proxy=there, environ=environ) as http:
            assert await http.request_json("GET", "http://model.invalid/") == "ours"

    async def test_a_proxy_that_is_gone(self) -> None:
        async with Http(environ={"http_proxy": "127.0.0.1:9"}) as http:
            error = await failure(http.request_json("GET", "http://model.invalid/"))
        assert isinstance(error, NotHere)
        assert str(error).startswith("the proxy on the way to http://model.invalid failed")
        assert "NO_PROXY" in error.next_step

    async def test_a_socks_proxy(self) -> None:
        async with Http(environ={"ALL_PROXY": "socks5://me:secret@127.0.0.1:1080"}) as http:
            error = await failure(http.request_json("GET", "http://model.invalid/"))
        assert "SOCKS proxy (socks5://127.0.0.1:1080)" in str(error)

    @pytest.mark.parametrize("proxy", ["foo:bar", "http://me:secret@", "ws://proxy:80"])
    async def test_what_is_no_proxy(self, proxy: str) -> None:
        async with Http(environ={"HTTP_PROXY": proxy}) as http:
            error = await failure(http.request_json("GET", "http://model.invalid/"))
        assert error.code == "models.bad-proxy"
        assert "secret" not in str(error)

    async def test_a_proxy_that_nobody_knows(self) -> None:
        async with Http(environ={"HTTP_PROXY": "http://proxy.invalid:3128"}) as http:
            error = await failure(http.request_json("GET", "http://model.invalid/"))
        assert "the name proxy.invalid of the proxy" in str(error)

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_localhost_is_where_discovery_says(self, asynchronous: bool) -> None:
        async with serving(hello) as url:

            def found(origin: str) -> str:
                assert origin == "http://localhost:11434"
                return url

            async def found_later(origin: str) -> str:
                return found(origin)

            async with Http(reach=found_later if asynchronous else found, environ={}) as http:
                answer = await http.request_json("GET", "http://localhost:11434/api/tags?x=1")
        assert answer == {"path": "/api/tags?x=1", "host": url.removeprefix("http://")}

    async def test_many_first_calls_look_for_the_place_once(self) -> None:
        looked = 0
        async with serving(hello) as url:

            async def found(origin: str) -> str:
                nonlocal looked
                looked += 1
                await asyncio.sleep(0.05)
                if looked == 1:
                    raise NotHere("models.offline", host=origin)
                return url

            async with Http(reach=found, environ={}) as http:
                here = "http://localhost:11434"
                first = [asyncio.create_task(http.route(here)) for _ in range(9)]
                await asyncio.sleep(0)
                first[0].cancel()  # who gives up does not end it for the others
                ended = await asyncio.gather(*first, return_exceptions=True)
                assert [type(e) for e in ended] == [asyncio.CancelledError] + [NotHere] * 8
                again = await asyncio.gather(*(http.route(here) for _ in range(9)))
                assert again == [(url, None)] * 9
        assert looked == 2

    async def test_a_place_that_no_longer_answers_is_looked_for_anew(self) -> None:
        async with serving(hello) as url:
            places = ["http://127.0.0.1:9", url]
            async with Http(reach=lambda origin: places.pop(0), environ={}) as http:
                await failure(http.request_json("GET", "http://localhost:11434/"))
                assert (await http.request_json("GET", "http://localhost:11434/"))["path"] == "/"

    async def test_redirects_carry_no_key_to_another_host(self) -> None:
        async def other(request: web.BaseRequest) -> web.Response:
            return web.json_response(sorted(name.lower() for name in request.headers))

        async with serving(other) as there:

            async def away(request: web.BaseRequest) -> web.Response:
                return web.Response(status=302, headers={"Location": there + "/file"})

            async with serving(away) as url, Http(environ={}) as http:
                headers = {"Authorization": "Bearer x", "X-Api-Key": "y", "Range": "bytes=1-"}
                seen = await http.request_json("GET", url, headers=headers, redirects=True)
        assert "range" in seen
        assert not {"authorization", "x-api-key"} & set(seen)

    async def test_a_redirect_that_nobody_wants_is_a_refusal(self) -> None:
        async def away(request: web.BaseRequest) -> web.Response:
            return web.Response(status=301, headers={"Location": "https://h/v1?key=secret"})

        async with serving(away) as url, Http(environ={}) as http:
            error = await failure(http.request_json("POST", url, json={}))
        assert str(error) == f"{url} refused the request (301): → https://h/v1"


class TestFailures:
    async def test_a_name_that_nobody_knows(self) -> None:
        async with Http(environ={}) as http:
            error = await failure(http.request_json("GET", "http://nowhere.invalid:8000/"))
        assert isinstance(error, NotHere)
        assert str(error) == (
            "the name nowhere.invalid of http://nowhere.invalid:8000 is not known to this "
            "machine's DNS"
        )

    async def test_plain_http_behind_https(self) -> None:
        async with serving(hello) as url, Http(environ={}) as http:
            error = await failure(http.request_json("GET", url.replace("http:", "https:")))
        assert isinstance(error, NotHere)
        assert str(error).startswith("no secure connection to https://127.0.0.1:")
        assert "http://" in error.next_step

    async def test_a_server_that_takes_no_connection(self) -> None:
        import socket

        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            async with Http(patience=Patience(connect=0.2), environ={}) as http:
                error = await failure(http.request_json("GET", url))
            for one in waiting:
                one.close()
        assert isinstance(error, NotHere)
        assert "did not take the connection within 0.2 s" in str(error)
        assert "network.connect_timeout" in error.next_step

    async def test_something_that_does_not_speak_http(self) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, Http(environ={}) as http:
            error = await failure(http.request_json("GET", url))
        assert isinstance(error, Failed)
        assert "broke down" in str(error)

    async def test_a_server_that_hangs_up(self) -> None:
        connections = 0

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.read(10)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Http(patience=Patience(tries=3), environ={}) as http:
            error = await failure(http.request_json("POST", url, json={}))
        assert isinstance(error, Failed)
        assert error.code in ("models.hung-up", "models.http-broken")
        assert connections == 3

    async def test_a_kept_connection_that_the_server_closed_meanwhile(self) -> None:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
            await writer.drain()
            await reader.read(1)  # the next request is met with a closed connection
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Http(environ={}) as http:
            assert await http.request_json("GET", url) == 1
            assert await http.request_json("POST", url, json={}) == 1

    async def test_an_answer_that_is_not_json(self) -> None:
        async def page(request: web.BaseRequest) -> web.Response:
            text = "<html><style>p {}</style><h1>It works!</h1></html>"
            return web.Response(text=text, content_type="text/html")

        async with serving(page) as url, Http(environ={}) as http:
            error = await failure(http.request_json("GET", url))
        assert str(error) == f"{url} answered with something that is not JSON: It works!"

    async def test_a_key_in_a_servers_words_is_hidden(self) -> None:
        async def echo(request: web.BaseRequest) -> web.Response:
            return web.json_response(dict(request.headers), status=400)

        async with serving(echo) as url, Http(environ={}) as http:
            headers = {"Authorization": "Bearer abcdefg", "X-Api-Key": "hijklmn"}
            error = await failure(http.request_json("GET", url, headers=headers))
        assert "abcdefg" not in str(error)
        assert "hijklmn" not in str(error)

    async def test_what_had_arrived_before_the_break_is_not_lost(self) -> None:
        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head + b"5\r\nfirst\r\n6\r\nsecond\r\n")  # no last chunk
            writer.close()

        server = await asyncio.start_server(breaks, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        read = b""
        async with server, Http(environ={}) as http:

            async def reading() -> None:
                nonlocal read
                async with http.stream("GET", url) as answer:
                    async for piece in answer:
                        read += piece

            error = await failure(reading())
        assert read == b"firstsecond"
        assert error.code == "models.cut"

    async def test_who_runs_a_server_says_why_it_is_gone(self) -> None:
        async with Http(environ={}) as http:
            url = "http://127.0.0.1:9"
            http.causes[url] = lambda: Failed("base.unexpected", problem="it was killed")
            assert "it was killed" in str(await failure(http.request_json("GET", url + "/x")))
            http.causes[url] = lambda: None
            assert (
                await failure(http.request_json("GET", url))
            ).code == "models.connection-refused"


class TestTrying:
    async def test_waits_grow_and_end(self) -> None:
        statuses = [503, 502, 200]
        told: list[float] = []

        async def ill(request: web.BaseRequest) -> web.Response:
            return web.json_response({"ok": True}, status=statuses.pop(0))

        notice = lambda key, values: told.append(values["seconds"])  # noqa: E731
        patience = Patience(longest_wait=0.05)
        async with serving(ill) as url, Http(patience=patience, notice=notice, environ={}) as http:
            assert await http.request_json("GET", url) == {"ok": True}
        assert told == [0.05, 0.05]

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "3"}, 3.0),
            ({"Retry-After": "1.5"}, 1.5),
            ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
            ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
            ({"Retry-After": "soon"}, None),
            ({}, None),
        ],
    )
    async def test_what_a_server_asks_to_wait(
        self, headers: dict[str, str], seconds: float | None
    ) -> None:
        seen: list[Refusal] = []

        async def busy(request: web.BaseRequest) -> web.Response:
            return web.Response(status=429, headers=headers)

        def errors(refusal: Refusal) -> Exception:
            seen.append(refusal)
            return Failed("models.http-refused", server="", status=429, message="")

        async with serving(busy) as url, Http(patience=Patience(tries=1), environ={}) as http:
            await failure(http.request_json("GET", url, errors=errors))
        assert seen[0].retry_after == seconds


class TestFetching:
    async def test_any_status_is_an_answer(self) -> None:
        async def form(request: web.BaseRequest) -> web.Response:
            text = f"{request.method} {request.raw_path} {(await request.text())}"
            return web.Response(status=503, text=text, headers={"X-A": "b"})

        async with serving(form) as url, Http(environ={}) as http:
            answer = await http.fetch("POST", url, params={"q": "a b"}, data={"text": "你 好"})
        assert (answer.status, answer.headers["x-a"]) == (503, "b")
        assert answer.body == b"POST /?q=a+b text=%E4%BD%A0+%E5%A5%BD"

    async def test_limits_of_its_own(self) -> None:
        async def slow(request: web.BaseRequest) -> web.Response:
            await asyncio.sleep(30 if request.path == "/slow" else 0)
            return web.Response(body=bytes(100))

        async with serving(slow) as url, Http(environ={}) as http:
            error = await failure(http.fetch("GET", url, max_bytes=99))
            assert str(error) == f"{url} answered with more than 99 bytes"
            error = await failure(http.fetch("GET", url + "/slow", read_timeout=0.1))
            assert error.code == "models.no-first-byte"
            assert len((await http.fetch("GET", url)).body) == 100


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no", "type": "t", "code": "c"}}, ("no", "c")),
        ({"error": "model not found"}, ("model not found", "")),
        ({"message": "no"}, ("no", "")),
        ({"detail": [{"loc": ["x"], "msg": "absent", "type": "gone"}]}, ("absent", "gone")),
        ([{"error": {"code": 400, "message": "bad", "status": "INVALID"}}], ("bad", "400")),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, ("login fail", "")),
        ({"type": "error", "error": {"type": "full", "message": "Later"}}, ("Later", "full")),
        ("plain text\n second line", ("plain text second line", "")),
        (None, ("", "")),
    ],
)  # fmt: skip
def test_the_words_of_an_error(body: Any, words: tuple[str, str]) -> None:
    assert words_of_error(body) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "x"]), inner)
    ),
)


@given(JSON)
def test_any_error_body_has_words(body: Any) -> None:
    message, code = words_of_error(body)
    assert message.isprintable()
    assert isinstance(code, str)


@given(st.text(max_size=900))
def test_strangers_text_is_safe_to_show(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 401


def test_an_origin_has_no_secrets() -> None:
    assert origin_of("https://me:pw@h:8/v1?key=x#y") == "https://h:8"


async def test_nothing_is_loaded_before_it_is_used() -> None:
    import subprocess
    import sys

    code = "import sys, millstream.models.router, millstream.models.presets; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "jsonschema"} & set(out.stdout.split())


class TestSilence:
    @pytest.mark.parametrize("beginning", [b"", b'{"half": '])
    async def test_an_answer_that_is_due_soon_is_not_waited_for_without_end(
        self, beginning: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A model may think for minutes; a hub, or a list of models, has nothing to think about."""
        monkeypatch.setattr("millstream.models.http._SILENCE", 0.2)

        async def silent(request: web.BaseRequest) -> web.StreamResponse:
            if beginning:
                answer = web.StreamResponse()
                await answer.prepare(request)
                await answer.write(beginning)
            await asyncio.sleep(60)
            raise AssertionError

        async with serving(silent) as url, Http(environ={}) as http:
            error = await failure(http.request_json("GET", url))
            assert error.message == f"{url} let 0.2 s pass in silence"

            async def model() -> None:
                async with http.stream("GET", url) as exchange:
                    await exchange.read()

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(model(), 0.6)

    async def test_what_the_settings_say_goes_before(self) -> None:
        async def silent(request: web.BaseRequest) -> web.StreamResponse:
            await asyncio.sleep(60)
            raise AssertionError

        patience = Patience(first_byte=0.1)
        async with serving(silent) as url, Http(environ={}, patience=patience) as http:
            error = await failure(http.request_json("GET", url))
            assert "network.first_byte_timeout" in error.message
