"""Google Translate against a server that speaks its protocol, and against everything else that
such a server, or the network before it, has been seen to answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed, MillstreamError, NotHere, set_language
from millstream.home.settings import Translate
from millstream.models.http import Http
from millstream.tools.google_translate import GoogleTranslate, read_answer

from .conftest import Service, sentences


async def refusal(google: GoogleTranslate, **parameters: Any) -> MillstreamError:
    with pytest.raises(MillstreamError) as caught:
        await google.invoke({"content": "hello", "dest": "fr"} | parameters)
    error = caught.value
    assert error.type == "ToolRuntimeInvocationError"
    assert error.next_step.startswith(
        "Let the bound model translate instead: --bind google_translate/translate=llm, or --local."
    )
    return error


# ------------------------------------------------------------------------------- as it should be


async def test_a_translation_in_several_sentences(
    google: GoogleTranslate, service: Service
) -> None:
    service.says_json(sentences(("你好。", "Hello. "), ("世界。", "World."), (None, None)))
    result = await google.invoke({"content": "Hello. World.", "dest": "zh-cn"})
    assert result.text == "你好。世界。"
    assert result.usage is None
    method, query, text = service.asked[0]
    assert method == "GET"
    assert query == {
        "client": "gtx", "sl": "auto", "tl": "zh-CN", "dt": "t", "q": "Hello. World."
    }  # fmt: skip
    assert text == "Hello. World."


async def test_english_unless_the_file_says_otherwise(
    google: GoogleTranslate, service: Service
) -> None:
    await google.invoke({"content": "bonjour", "dest": None})
    await google.invoke({"content": "bonjour", "dest": "custom", "custom_dest": "SW"})
    assert [query["tl"] for _, query, _ in service.asked] == ["en", "sw"]


async def test_a_longer_text_goes_as_a_form(google: GoogleTranslate, service: Service) -> None:
    text = "All that is gold does not glitter. " * 60
    result = await google.invoke({"content": text, "dest": "fr"})
    assert result.text == text.upper()
    method, query, _ = service.asked[0]
    assert method == "POST"
    assert "q" not in query


async def test_a_very_long_text_goes_in_pieces_and_keeps_its_white_space(
    service: Service, http: Http
) -> None:
    text = "\n  One line.\n\n\tAnother  one. And more.\n" * 40 + "   "
    google = GoogleTranslate(http, Translate(endpoint=service.url, piece=120))
    result = await google.invoke({"content": text, "dest": "fr"})
    assert result.text == text.upper()
    assert len(service.asked) > 10
    assert all(0 < len(text) <= 120 for _, _, text in service.asked)


async def test_nothing_is_asked_for_an_empty_text(
    google: GoogleTranslate, service: Service
) -> None:
    assert (await google.invoke({"content": "", "dest": "fr"})).text == ""
    assert (await google.invoke({"content": " \n", "dest": "fr"})).text == " \n"
    assert service.asked == []


async def test_all_requests_of_a_text_go_through_the_proxy(service: Service, http: Http) -> None:
    seen: list[str] = []

    async def relay(request: web.Request) -> web.Response:
        seen.append(str(request.rel_url) if request.rel_url.is_absolute() else request.path_qs)
        return web.json_response(sentences(("salut", "hello")))

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", relay)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    settings = Translate(
        endpoint="http://translate.example/translate_a/single", proxy=f"http://127.0.0.1:{port}"
    )
    result = await GoogleTranslate(http, settings).invoke({"content": "hello", "dest": "fr"})
    await runner.cleanup()
    assert result.text == "salut"
    assert len(seen) == 1
    assert "translate_a/single" in seen[0]
    assert service.asked == []


# ------------------------------------------------------------------------- what a caller does wrong


async def test_a_missing_text(google: GoogleTranslate, service: Service) -> None:
    with pytest.raises(Failed) as caught:
        await google.invoke({"dest": "fr"})
    assert caught.value.message == "the tool was called without its parameter 'content'"
    assert caught.value.type == "ToolParameterError"
    assert service.asked == []


async def test_a_language_that_is_none(google: GoogleTranslate, service: Service) -> None:
    with pytest.raises(Failed) as caught:
        await google.invoke({"content": "hello", "dest": "klingonese"})
    assert caught.value.message == "dest is 'klingonese', which is no language code"
    assert caught.value.next_step == "Use a code such as en, fr or zh-CN."
    with pytest.raises(Failed) as caught:
        await google.invoke({"content": "hello", "dest": "custom"})
    assert caught.value.message == "custom_dest is '', which is no language code"
    assert service.asked == []


# -------------------------------------------------------------------------------- what it answers

SORRY = (
    "<html><head><title>Sorry...</title></head><body>Our systems have detected unusual traffic "
    "from your computer network.</body></html>"
)


@pytest.mark.parametrize("status", [429, 503, 200])
async def test_a_captcha_page(google: GoogleTranslate, service: Service, status: int) -> None:
    service.says(SORRY, status=status, content_type="text/html")
    error = await refusal(google)
    assert error.message == (
        "Google Translate takes this machine for a robot and asks for a captcha (at 127.0.0.1)"
    )


async def test_a_redirect_to_the_captcha(google: GoogleTranslate, service: Service) -> None:
    service.says("", status=302, Location="https://www.google.com/sorry/index?continue=x")
    assert "asks for a captcha" in (await refusal(google)).message
    assert len(service.asked) == 1


async def test_too_many_requests(google: GoogleTranslate, service: Service) -> None:
    service.says("", status=429)
    error = await refusal(google)
    assert error.message == (
        "Google Translate refuses for now: too many requests from this address "
        "(status 429 at 127.0.0.1)"
    )
    assert "with the node's retry switched on" in error.next_step
    assert len(service.asked) == 1, "trying again is the node's business"


@pytest.mark.parametrize(
    ("header", "shown"),
    [("120", "120 s"), ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT")],
)
async def test_too_many_requests_until_a_time(
    google: GoogleTranslate, service: Service, header: str, shown: str
) -> None:
    service.says("slow down", status=429, Retry_After=header)
    error = await refusal(google)
    assert error.message.endswith(f"it asks to wait: {shown}")


async def test_errors_in_chinese(google: GoogleTranslate, service: Service) -> None:
    set_language("zh")
    try:
        service.says("", status=429)
        with pytest.raises(Failed) as caught:
            await google.invoke({"content": "hello", "dest": "fr"})
        assert caught.value.message == (
            "谷歌翻译暂时拒绝请求：来自本机地址的请求过多（127.0.0.1 返回 429）"
        )
        assert "--bind google_translate/translate=llm" in caught.value.next_step
        service.says("{")
        with pytest.raises(Failed) as caught:
            await google.invoke({"content": "hello", "dest": "fr"})
        assert caught.value.message == "谷歌翻译返回的不是译文：不是 JSON 的文本（127.0.0.1）"
    finally:
        set_language(None)


async def test_a_portal_that_wants_a_login(google: GoogleTranslate, service: Service) -> None:
    service.says("", status=302, Location="http://user:pw@portal.example:8080/login?x=1")
    error = await refusal(google)
    assert error.message == (
        "Google Translate sent us elsewhere (portal.example, status 302) instead of translating"
    )
    service.says("", status=302, Location="http://[oops")
    assert "(127.0.0.1, status 302)" in (await refusal(google)).message


@pytest.mark.parametrize("status", [204, 400, 403, 404, 413, 500, 502, 503])
async def test_other_statuses(google: GoogleTranslate, service: Service, status: int) -> None:
    service.says("" if status == 204 else "<html>no</html>", status=status)
    error = await refusal(google)
    assert error.message == f"Google Translate answered with status {status} (at 127.0.0.1)"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "an empty answer"),
        ("<!doctype html><p>Welcome to the hotel", "a web page"),
        ("oops", "text that is not JSON"),
        ('[[["half', "text that is not JSON"),
        (b'[[["\xff\xfe"]]]', "bytes that are not UTF-8 text"),
        (b"\x1f\x8b\x08\x00\xff", "bytes that are not UTF-8 text"),
        ("[" * 100_000, "text that is not JSON"),
        ("null", "JSON of another shape"),
        ("[]", "JSON of another shape"),
        ("{}", "JSON of another shape"),
        ('{"sentences": []}', "JSON of another shape"),
        ('[null, null, "en"]', "JSON of another shape"),
        ('["hello"]', "JSON of another shape"),
        ('[["hello"]]', "JSON of another shape"),
        ('[[[{"trans": "x"}]]]', "JSON of another shape"),
        ("[[]]", "no translated sentence"),
        ("[[[]]]", "no translated sentence"),
        ('[[[null, null, null, "pinyin"]]]', "no translated sentence"),
        ('[[["", "hello"]]]', "no translated sentence"),
    ],
)
async def test_odd_answers(
    google: GoogleTranslate, service: Service, body: str | bytes, problem: str
) -> None:
    service.says(body)
    error = await refusal(google)
    assert error.message == (
        f"Google Translate answered something else than a translation: {problem} (at 127.0.0.1)"
    )


async def test_null_pieces_are_passed_over(google: GoogleTranslate, service: Service) -> None:
    service.says_json([[["Salut", "Hello"], [None, None, "sa'ly"], [], [" !", "!"]], None, "en"])
    assert (await google.invoke({"content": "Hello!", "dest": "fr"})).text == "Salut !"


async def test_an_answer_without_end(service: Service, http: Http) -> None:
    service.says("x" * (1 << 20) + "y")
    google = GoogleTranslate(http, Translate(endpoint=service.url, max_mb=1))
    error = await refusal(google)
    assert error.message == (
        "Google Translate gave an answer of more than 1 MiB, the limit translate.max_mb "
        "(at 127.0.0.1)"
    )


async def test_a_cut_connection(google: GoogleTranslate, service: Service) -> None:
    async def cut(request: web.Request, text: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(json.dumps(sentences(("salut", text)))[:20].encode())
        assert request.transport
        request.transport.close()
        return response

    service.answer = cut
    error = await refusal(google)
    assert error.message.startswith("Google Translate did not answer at 127.0.0.1: ")


async def test_nobody_listens(http: Http) -> None:
    google = GoogleTranslate(http, Translate(endpoint="http://127.0.0.1:9/x"))
    error = await refusal(google)
    assert error.message.startswith("Google Translate did not answer at 127.0.0.1: ")
    assert "translate.proxy" in error.next_step


async def test_a_service_that_says_nothing(service: Service, http: Http) -> None:
    never = asyncio.Event()

    async def silent(request: web.Request, text: str) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    service.answer = silent
    google = GoogleTranslate(http, Translate(endpoint=service.url, read_timeout=0.05))
    error = await refusal(google)
    never.set()
    assert error.message == (
        "Google Translate at 127.0.0.1 let 0.05 s pass in silence, "
        "the limit of translate.read_timeout"
    )
    assert "raise translate.read_timeout" in error.next_step


async def test_offline_is_not_here() -> None:
    async with Http(offline=True, environ={}) as http:
        with pytest.raises(NotHere) as caught:
            await GoogleTranslate(http, Translate()).invoke({"content": "x", "dest": "fr"})
    assert caught.value.message.startswith(
        "Google Translate did not answer at translate.googleapis.com: "
    )
    assert "--local" in caught.value.next_step


# ------------------------------------------------------------------------------------------ fuzz

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_translation_or_a_named_oddity(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read_answer(body), str)


@given(st.lists(st.tuples(st.none() | st.text(), st.text())))
def test_a_good_answer_is_read_whole(pairs: list[tuple[str | None, str]]) -> None:
    with suppress(UnicodeEncodeError):
        body = json.dumps(sentences(*pairs), ensure_ascii=False).encode()
        expected = "".join(new or "" for new, _ in pairs)
        if expected:
            assert read_answer(body) == expected
        else:
            with pytest.raises(ValueError, match="nothing"):
                read_answer(body)
