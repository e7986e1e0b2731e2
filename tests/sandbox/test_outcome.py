"""What comes over the wire from a child that is not what it was: never more than a value of
moderate size, or an error that a person can read."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millstream.base import Failed, MillstreamError
from millstream.engine.ports import CodeResult
from millstream.sandbox.outcome import Ended, Outcomes, SandboxLimits
from millstream.sandbox.processes import Child, TooLong

LIMITS = SandboxLimits(memory_mb=16)
KINDS = [
    "raised", "syntax", "network", "arguments", "no-main", "no-package", "not-json",
    "memory-limit", "output-limit", "template-syntax", "template-failed", "no-lock", "unconfined",
    "raised-silently", "../x", "", "{kind}",
]  # fmt: skip

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
reports = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS) | anything},
    optional={
        name: anything | st.text(max_size=9) | st.sampled_from(["{0.__class__}", "{problem}"])
        for name in ("type", "problem", "line", "package", "where", "what", "more")
    },
)
replies = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    anything.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {}, optional={"value": anything, "printed": anything, "problem": reports | anything}
    ).map(lambda reply: json.dumps(reply).encode()),
)


@pytest.mark.parametrize(
    "value",
    [
        b'"\xed\xa0\x80"',
        b"1" + b"0" * 310 + b".0",
        b"1" + b"0" * 300 + b"e99",
        b"1E+0400",
        *(text.encode("utf-16-le", "surrogatepass") for text in ('"\ud800"', "1e999", "1")),
    ],
)
def test_a_value_is_finite_and_whole_however_it_is_written(value: bytes) -> None:
    start, end = (text.encode("utf-16-le") if b"\0" in value else text.encode() for text in ENDS)
    found = outcome(start + value + end, "python3")
    assert isinstance(found, Failed)
    assert found.code in ("sandbox.garbled", "sandbox.not-json")


ENDS = ('{"value":', "}")


def test_what_an_error_says_is_whole_and_not_too_long() -> None:
    report = b'{"problem": {"kind": "not-json", "where": "\\ud800", "problem": "\\udfff"}}'
    assert str(outcome(report, "python3")).endswith("?: ?")
    report = json.dumps({"problem": {"kind": "raised", "type": "E", "problem": "x" * 10**6}})
    assert len(str(outcome(report.encode(), "python3"))) < 110_000


def test_looking_at_a_reply_costs_little() -> None:
    """What a text holds is no part of a value; no look is endless or takes much memory."""
    limits = SandboxLimits(memory_mb=1)

    def took(reply: bytes) -> CodeResult | MillstreamError:
        begun = time.process_time()
        tracemalloc.start()
        try:
            return Outcomes("python3", limits, "").of_reply(reply)
        except MillstreamError as error:
            return error
        finally:
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
            tracemalloc.stop()
            assert time.process_time() - begun < 10

    text = ',[{:\\"' * 300_000
    found = took(json.dumps({"value": text}).encode())
    assert isinstance(found, CodeResult)
    assert found.value == text
    found = took(b"," * 20_000 + b'"' + b'\\"' * 300_000)  # never ends
    assert isinstance(found, Failed)
    found = took(b'{"value":[{}' + b",{}" * 20_000 + b"]}")
    assert isinstance(found, Failed)
    assert found.code == "sandbox.memory-limit"


def outcome(reply: bytes, language: str) -> CodeResult | MillstreamError:
    try:
        return Outcomes(language, LIMITS, "").of_reply(reply)
    except MillstreamError as error:
        return error


@settings(max_examples=1500)
@given(reply=replies, language=st.sampled_from(["python3", "jinja2"]))
@example(reply=b'{"value": NaN}', language="python3")
@example(reply=b'{"value": 1e999}', language="python3")
@example(reply=b'{"value": "\\ud800"}', language="python3")
@example(reply=b'{"value": ' + b"9" * 5000 + b"}", language="python3")
@example(reply=b"[" * 100_000, language="python3")
@example(reply=b'{"value": ' + b"[" * 100_000, language="python3")
@example(reply=b'{"value": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", language="python3")
@example(reply=b'{"problem": {"kind": "raised", "line": -1}}', language="python3")
@example(reply=b'{"problem": {"kind": "raised", "line": 1e300}}', language="python3")
def test_any_reply_is_a_value_or_a_readable_error(reply: bytes, language: str) -> None:
    result = outcome(reply, language)
    if isinstance(result, CodeResult):
        assert type(result.printed) is str
        json.dumps(result.value, ensure_ascii=False, allow_nan=False).encode()
    else:
        assert result.message
        assert "unconfined" not in result.next_step  # no lie may lead to lowered guards
        json.dumps(result.as_dict())


@pytest.mark.parametrize(
    "part", ["[],", "{},", '{"":0},', "0,", '"",', '"a",', '["a",{"b":[]}],', "1.5,"]
)
def test_a_reply_that_swells_in_memory_is_refused(part: str) -> None:
    reply = '{"value": [' + (part * (4_000_000 // len(part))).rstrip(",") + "]}"
    with pytest.raises(Failed) as caught:
        Outcomes("python3", LIMITS, "").of_reply(reply.encode())
    assert caught.value.code == "sandbox.memory-limit"


def test_a_long_text_full_of_commas_is_not_refused() -> None:
    text = "1,2,[3],{4}" * 300_000
    reply = json.dumps({"value": text}).encode()
    assert Outcomes("python3", LIMITS, "").of_reply(reply).value == text


@pytest.mark.parametrize("package", ["x; rm -rf ~", "a b", "--index-url", "../x", "$(id)", ""])
def test_only_a_name_is_put_into_a_command(package: str) -> None:
    reply = json.dumps({"problem": {"kind": "no-package", "package": package}}).encode()
    with pytest.raises(Failed) as caught:
        Outcomes("python3", LIMITS, "/env").of_reply(reply)
    assert caught.value.code == "sandbox.garbled"


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        (None, "the sandbox was ended from outside while the code was running"),
        (Ended(0), "the code ended its process instead of returning from main"),
        (Ended(70 << 8), "the code ended its process instead of returning from main"),
        (Ended(9), "the process of the code was killed by SIGKILL"),
        (Ended(11 | 128), "the process of the code was killed by SIGSEGV"),
        (Ended(24), "it was stopped after 60 s, which is as long as sandbox.seconds allows"),
        (
            Ended(9, "scratch"),
            "it wrote more files than fit into the 64 MB that sandbox.scratch_mb",
        ),
        (Ended(9, "threads"), "the code started more than 128 threads"),
    ],
)
def test_an_end_without_a_reply_is_told(ended: Ended | None, message: str) -> None:
    assert Outcomes("python3", SandboxLimits(), "").of_end(ended).message.startswith(message)


async def asked(said: bytes, limit: int = 1000) -> bytes | None:
    """What a child's answer is taken for, if it says this and hangs up."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    zygote: Any = SimpleNamespace(loop=asyncio.get_running_loop())
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    with ours, theirs:
        return await Child(zygote, 1, ours).ask(b"{}", limit)


def framed(body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(body) if length is None else length) + body


@settings(max_examples=200)
@given(said=st.binary(max_size=40) | st.binary(max_size=40).map(framed))
@example(said=framed(b"x", 2**64 - 1))
@example(said=framed(b"", 0) + b"more")
async def test_any_bytes_are_a_frame_or_none(said: bytes) -> None:
    try:
        body = await asked(said)
    except TooLong:
        assert struct.unpack_from("<Q", said)[0] > 1000
    else:
        assert body is None or said.startswith(struct.pack("<Q", len(body)) + body)


async def test_a_frame_ends_where_it_says() -> None:
    assert await asked(framed(b"abc") + b"anything after it") == b"abc"
    assert await asked(framed(b"abc")[:-1]) is None
    assert await asked(b"") is None
    assert await asked(framed(b"x" * 1000)) == b"x" * 1000
    with pytest.raises(TooLong):
        await asked(framed(b"x" * 1001))
