"""Benchmarks: exact on a clock of our own, true on a real socket, honest about what goes wrong."""

from __future__ import annotations

import asyncio
import os
import re
import selectors
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from lab.models import llama
from lab.paced import PacedServer
from lab.speeds import calibrated
from millstream.base import BadInput, Failed, NotHere, set_language
from millstream.engine.ports import ModelChunk, ModelEnd, Usage
from millstream.home import Home
from millstream.lab import names
from millstream.lab.bench import against, watch
from millstream.lab.bench.calls import Call, impossible, misread
from millstream.lab.bench.cost import Prices, cost
from millstream.lab.bench.doubts import doubts
from millstream.lab.bench.figures import figures
from millstream.lab.bench.load import Load, Prompt, moments
from millstream.lab.bench.measure import Ask, Bench, Measured, Point, Run, Stage
from millstream.lab.bench.prompts import Prompts, Ruler
from millstream.lab.bench.roof import Built, cache_bytes
from millstream.lab.bench.subject import Opened, Subject, Way, find, patience, patiently
from millstream.lab.bench.words import difference, failed, scaled
from millstream.lab.bench.words import figures as in_words
from millstream.lab.hardware import Gpu, Machine
from millstream.lab.report import html
from millstream.lab.report.bench import report
from millstream.lab.report.document import Plot, Table
from millstream.models import presets
from millstream.models.http import Http, Patience
from models.loopback import Refusal, Seen, reply
from models.ollama_server import OllamaServer

FIRST, GAP = 0.05, 0.01


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    set_language("en")
    yield
    set_language(None)


# -------------------------------------------------------------------------- on a clock of our own


class _Leap(selectors.SelectSelector):
    """A selector that does not wait: it moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._leap.now


def virtually(work: Coroutine[Any, Any, Any]) -> Any:
    """Run something in which time passes only while everybody waits."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


Items = AsyncGenerator[ModelChunk | ModelEnd, None]


async def paced(prompt: Prompt) -> Items:
    """A model that takes exactly FIRST and GAP."""
    await asyncio.sleep(FIRST)
    for number in range(prompt.wanted):
        if number:
            await asyncio.sleep(GAP)
        yield ModelChunk("word ")
    yield ModelEnd(Usage(prompt.tokens, prompt.wanted, 1), "length")


def prompts(count: int, wanted: int = 11) -> list[Prompt]:
    return [Prompt(f"{n} words", 100, wanted) for n in range(count)]


def test_every_figure_of_known_delays_is_exact() -> None:
    calls = virtually(Load(paced).run(prompts(5)))
    made = figures(calls)
    assert (made.calls, made.failed) == (5, 0)
    known = {
        "first": FIRST,
        "gap": GAP,
        "per_token": GAP,
        "seconds": FIRST + 10 * GAP,
        "decode": 1 / GAP,
        "prefill": 100 / FIRST,
        "requests": 1 / 0.15,
        "output": 11 / 0.15,
        "all": 111 / 0.15,
    }
    for name, value in known.items():
        found = getattr(made, name)
        assert found.mean == pytest.approx(value), name
        if name not in ("requests", "output", "all"):
            assert (found.p50, found.p95, found.p99) == pytest.approx((value,) * 3), name
    assert made.gap is not None
    assert made.gap.count == 50


def test_calls_at_once() -> None:
    load = Load(paced)
    calls = virtually(load.run(prompts(8), profile="concurrent", concurrency=4))
    assert [round(call.sent, 6) for call in calls] == [0, 0, 0, 0, 0.15, 0.15, 0.15, 0.15]
    made = figures(calls)
    assert made.requests is not None
    assert made.requests.mean == pytest.approx(8 / 0.3)


def test_a_constant_rate_does_not_wait_for_answers() -> None:
    calls = virtually(Load(paced).run(prompts(6), profile="constant", rate=50))
    assert [call.sent for call in calls] == pytest.approx([n / 50 for n in range(6)])
    made = figures(calls)
    assert made.late is not None
    assert made.late.high == pytest.approx(0, abs=1e-6)


def test_a_poisson_process_is_seeded_and_keeps_its_rate() -> None:
    due = moments("poisson", 2000, 4.0, seed=7)
    assert due == moments("poisson", 2000, 4.0, seed=7) != moments("poisson", 2000, 4.0, seed=8)
    assert due == sorted(due)
    gaps = [b - a for a, b in pairwise(due)]
    assert sum(gaps) / len(gaps) == pytest.approx(1 / 4, rel=0.1)
    # Of an exponential distribution, the standard deviation is the mean.
    assert (sum((g - 0.25) ** 2 for g in gaps) / len(gaps)) ** 0.5 == pytest.approx(0.25, rel=0.1)
    calls = virtually(Load(paced).run(prompts(5), profile="poisson", rate=4.0, seed=7))
    assert [call.sent for call in calls] == pytest.approx(due[:5])


def test_a_beginning_is_read_before_the_clock_runs() -> None:
    asked: list[str] = []

    async def send(prompt: Prompt) -> Items:
        asked.append(prompt.text)
        async for item in paced(prompt):
            yield item

    some = [Prompt(f"{n} long text", 600, 3, prefix=f"{n} long") for n in range(4)]
    calls = virtually(Load(send).run(some, profile="concurrent", concurrency=2))
    assert asked == ["0 long", "1 long", "0 long text", "1 long text",
                     "2 long", "3 long", "2 long text", "3 long text"]  # fmt: skip
    assert [call.first for call in calls] == pytest.approx([FIRST] * 4)


def test_a_cancel_keeps_what_has_come() -> None:
    load = Load(paced)

    async def cancelled() -> list[Call]:
        task = asyncio.ensure_future(load.run(prompts(3)))
        await asyncio.sleep(0.15 + 0.105)  # one is done, the next has come to its sixth token
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return load.calls

    done, broken = virtually(cancelled())
    assert done.ok
    assert (broken.error, len(broken.pieces)) == ("cancelled", 6)
    made = figures([done, broken])
    assert (made.calls, made.failed) == (1, 0)
    assert made.requests is None  # the repetition was not finished


# --------------------------------------------------------------------------------- maths of a call


def test_the_figures_of_a_call_by_hand() -> None:
    call = Call(0, 1.0, pieces=(0.5, 0.6, 0.9), read=30, told=3, cached=10, bytes=15, wanted=3)
    assert call.first == 0.5
    assert call.seconds == 0.9
    assert call.gaps == pytest.approx([0.1, 0.3])
    assert call.per_token == pytest.approx(0.2)
    assert call.decode == pytest.approx(5)
    assert call.prefill == pytest.approx(40)
    assert call.end == pytest.approx(1.9)


def test_several_tokens_in_a_piece() -> None:
    call = Call(0, 0.0, pieces=(0.5, 0.7), told=5, bytes=25, wanted=5)
    assert call.tokens == 5
    assert call.per_token == pytest.approx(0.05)


def test_a_call_of_one_piece_has_no_speed() -> None:
    call = Call(0, 0.0, pieces=(0.5,), told=9, bytes=40, wanted=9)
    assert (call.decode, call.per_token, call.gaps) == (None, None, [])


def test_a_call_whose_pieces_came_in_a_burst_does_not_outweigh_the_others() -> None:
    def call(number: int, gap: float) -> Call:
        pieces = tuple(0.5 + gap * n for n in range(12))
        return Call(number, 0.0, pieces=pieces, told=12, bytes=60, wanted=12)

    made = figures([*(call(n, 0.01) for n in range(4)), call(4, 0.000_03)])
    assert made.decode is not None
    assert made.per_token is not None
    assert made.decode.mean == pytest.approx(5 * 11 / (4 * 0.11 + 0.000_33))
    assert made.decode.mean == pytest.approx(1 / made.per_token.mean)
    assert made.decode.variation == pytest.approx(made.per_token.variation)
    assert made.decode.p50 == pytest.approx(100)
    assert figures([call(0, 0.0)]).decode is None


def test_a_speed_above_the_roofline_is_doubted() -> None:
    calls = virtually(Load(paced).run(prompts(2)))
    for reached, said in ((None, False), (0.99, False), (1.2, True)):
        found = doubts(calls, figures(calls), exact=True, reached=reached)
        assert any("decode is 120% of what" in doubt.text for doubt in found) is said


PIECES = tuple(n / 100 for n in range(1, 21))


@pytest.mark.parametrize(
    ("told", "more", "why"),
    [
        (20, {}, ""),
        (21, {}, ""),  # the end counted
        (18, {}, ""),  # letters of two tokens
        (400, {}, "bytes"),
        (60, {}, "limit"),
        (3, {}, "words"),
        (40, {"counted": 20, "wanted": 64}, "recount"),
        (20, {"counted": 30}, ""),  # what was made is not always cut the same way again
        (5, {"words": 2}, ""),  # a server that cuts tokens into pieces
    ],
)
def test_counts_that_cannot_be(told: int, more: dict[str, Any], why: str) -> None:
    usual = {"bytes": 100, "words": 20, "wanted": 20}
    call = Call(0, 0.0, pieces=PIECES, told=told, **usual | more)
    assert impossible(call) == why
    assert call.tokens == ((call.counted or 20) if why else told)


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (64, ""),
        (70, ""),
        (1900, ""),  # a provider's own words, and a template
        (1_000_000_000, "bytes"),
        (3, "words"),
        (0, ""),  # it tells nothing
    ],
)
def test_counts_of_prompts_that_cannot_be(read: int, why: str) -> None:
    call = Call(0, 0.0, pieces=PIECES, asked=64, read=read, told=20, bytes=100, wanted=20,
                given_bytes=300, given_words=50, cached=2)  # fmt: skip
    assert misread(call) == (why if read else "words")
    assert call.prompt == (64 if why or not read else read)
    found = [d.key for d in doubts([call], figures([call]), exact=False) if "lie-prompt" in d.key]
    assert found == ([f"bench.lie-prompt-{why}"] if why else [])


# ------------------------------------------------------------------------------ on a real socket


@pytest.fixture
async def server() -> AsyncIterator[PacedServer]:
    async with PacedServer("m", first=0.02, gap=0.002) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(environ={}, patience=patience(60, Patience())) as http:
        yield http


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


async def measured(server: Any, http: Http, **ask: Any) -> Measured:
    target = presets.target("stub", "m", base_url=server.base_url)
    usual = {"prompts": (40,), "outputs": (12,), "repetitions": 2, "warm_up": 0}
    bench = Bench(Ask(**usual | ask))
    return await bench.measure(Subject("stub/m", http, target))


async def test_what_is_recorded_is_what_was_sent(server: PacedServer, http: Http) -> None:
    """By the server's own notes, on the same clock: nothing arrives before it was written, and
    nothing is lost."""
    made = await measured(server, http, concurrency=(3,), profile="concurrent", requests=6)
    (stage,) = made.stages
    written = server.written[-12:]
    assert len(stage.calls) == 12
    for call in stage.calls:
        assert call.ok
        assert (len(call.pieces), call.tokens, call.finish) == (12, 12, "length")
        assert call.first >= server.first
        assert call.seconds >= server.first + 11 * server.gap
        assert list(call.pieces) == sorted(call.pieces)
    # Sums, so that it does not matter which call was which.
    took = sum(call.seconds for call in stage.calls)
    assert took >= sum(moments[-1] - moments[0] for moments in written)
    assert stage.figures.written is not None
    assert stage.figures.written.mean == 12


async def test_prompts_have_the_wanted_length_and_are_new(server: PacedServer, http: Http) -> None:
    made = await measured(server, http, prompts=(20, 100), requests=3)
    assert made.prompts == "tokenizer"
    for stage in made.stages:
        assert {call.asked for call in stage.calls} == {stage.point.prompt}
        assert {call.read for call in stage.calls} == {stage.point.prompt}
        assert not stage.doubts or {doubt.kind for doubt in stage.doubts} <= {"noise", "client"}
    texts = [b["messages"][0]["content"] for b in server.calls("/v1/chat/completions")]
    begins = {text.split(" ")[0] + text.split(" ")[1] for text in texts}
    assert len(begins) > len(texts) // 2


async def test_answers_are_asked_to_be_long(server: PacedServer, http: Http) -> None:
    await measured(server, http)
    body = server.calls("/v1/chat/completions")[-1]
    assert (body["max_tokens"], body["ignore_eos"], body["min_tokens"]) == (12, True, 12)
    assert body["temperature"] == 0


async def test_a_server_that_refuses_the_asking_is_called_without(http: Http) -> None:
    async with PacedServer("m", first=0, gap=0) as server:
        server.refuses = {"ignore_eos", "min_tokens"}
        made = await measured(server, http)
    assert made.trouble is None
    assert made.stages[0].figures.calls == 2


class Other(PacedServer):
    """A server with another tokenizer's way, or none."""

    def __init__(self, way: str) -> None:
        super().__init__("m", first=0, gap=0)
        self.way = way

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.path == "/apply-template":
            return web.Response(status=404, text="404 page not found")
        if seen.path == "/tokenize":
            if self.way != "vllm":
                return web.Response(status=404, text="404 page not found")
            text = seen.body.get("prompt") or seen.body["messages"][0]["content"]
            return reply({"count": len(text.split()) + 7, "max_model_len": 4096, "tokens": None})
        return await super().answer(request, seen)


async def test_the_tokenizer_of_vllm(http: Http) -> None:
    async with Other("vllm") as server:
        made = await measured(server, http, prompts=(50,))
    assert made.prompts == "tokenizer"
    assert {call.asked for call in made.stages[0].calls} == {50}


async def test_without_a_tokenizer_two_calls_tell_the_length(http: Http) -> None:
    async with Other("none") as server:
        made = await measured(server, http, prompts=(200,))
    assert made.prompts == "usage"
    assert made.stages[0].figures.read is not None
    assert made.stages[0].figures.read.mean == pytest.approx(200, rel=0.05)


async def test_without_tokenizer_and_usage_lengths_are_guesses(http: Http) -> None:
    async with Other("none") as server:
        server.usage = False
        made = await measured(server, http)
    assert made.prompts == "guess"
    (doubt,) = [d for d in made.stages[0].doubts if d.kind == "tokens"]
    assert doubt.text == (
        "the server told no token counts (2 of 2 calls): a piece of an answer is taken for a token"
    )


async def test_prompts_that_are_too_short() -> None:
    async def measure(text: str) -> int:
        return 30 + len(text.split())

    maker = Prompts(Ruler("tokenizer", 1.0, 30.0), measure)
    assert (await maker.make(31, 1)).tokens == 31
    with pytest.raises(BadInput, match="template and one word take 31"):
        await maker.make(30, 1)


async def test_a_depth_is_the_beginning_of_the_prompt() -> None:
    async def measure(text: str) -> int:
        return 10 + len(text.split())

    made = await Prompts(Ruler("tokenizer", 1.0, 10.0), measure).make(100, 5, depth=300)
    assert made.tokens == 400
    assert made.text.startswith(made.prefix)
    assert 290 <= len(made.prefix.split()) <= 300


# ------------------------------------------------------------------------------- doubtful servers


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"completion_tokens": 900}, "counts 900 tokens in an answer"),
        ({"completion_tokens": 1}, "counts 1 tokens in an answer"),
        ({"completion_tokens": 36}, "counts 36 tokens"),
        ({"prompt_tokens": 60}, "says that it read 60 tokens of prompts that have 40"),
        ({"prompt_tokens": 8}, "counts 8 tokens in a prompt of"),
        ({"prompt_tokens": 1_000_000_000}, "counts 1000000000 tokens in a prompt of"),
    ],
)
async def test_a_server_that_lies_about_tokens(
    server: PacedServer, http: Http, claims: dict[str, Any], said: str
) -> None:
    server.claims = claims
    made = await measured(server, http)
    (stage,) = made.stages
    assert any(said in doubt.text for doubt in stage.doubts), [d.text for d in stage.doubts]
    if "completion_tokens" in claims:  # and is not believed
        assert stage.figures.written is not None
        assert stage.figures.written.mean == 12
    if "prompt of" in said:
        assert stage.figures.read is not None
        assert stage.figures.read.mean == 40


class Counting(Other):
    """A server without a tokenizer to ask, that counts prompts in its own way by their words."""

    def __init__(self, count: Callable[[int], int]) -> None:
        super().__init__("none")
        self.count = count

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.path.endswith("/completions"):
            text = seen.body["messages"][0]["content"]
            self.claims = {"prompt_tokens": self.count(len(text.split()))}
        return await super().answer(request, seen)


async def test_counts_that_grow_by_more_than_a_word_has_bytes_are_not_used(http: Http) -> None:
    """Short prompts, too, of which no count is too much for a template around them."""
    async with Counting(lambda words: 50 * words) as server:
        made = await measured(server, http, prompts=(32,))
    assert made.prompts == "doubt"
    (stage,) = made.stages
    assert {call.read for call in stage.calls} == {850}
    assert stage.figures.read is not None
    assert stage.figures.read.mean == 32
    (said,) = [doubt.text for doubt in stage.doubts if doubt.kind == "prompt"]
    assert "counts 50 tokens more for each further word of a prompt" in said
    assert "32 are taken instead of 850 (2 of 2 calls)" in said


@pytest.mark.parametrize("around", [10, 1800])
@pytest.mark.parametrize("each", [1, 5])
async def test_what_stands_around_prompts_is_no_lie(http: Http, around: int, each: int) -> None:
    async with Counting(lambda words: around + each * words) as server:
        made = await measured(server, http, prompts=(2500,))
    assert made.prompts == "usage"
    assert not [doubt.text for doubt in made.stages[0].doubts if doubt.kind == "prompt"]


async def test_a_server_that_says_nothing(server: PacedServer, http: Http) -> None:
    server.length = 0
    made = await measured(server, http)
    assert made.trouble is not None
    assert "without a single token" in made.trouble.message


async def test_a_server_that_had_seen_the_prompt(server: PacedServer, http: Http) -> None:
    server.claims = {"prompt_tokens": 400, "prompt_tokens_details": {"cached_tokens": 300}}
    made = await measured(server, http, prompts=(400,))
    (stage,) = made.stages
    assert stage.figures.cached == 300
    assert any("had 75% of the prompts in its cache" in doubt.text for doubt in stage.doubts)
    call = stage.calls[0]
    assert call.prefill == pytest.approx(100 / call.first)


async def test_answers_that_end_by_themselves(server: PacedServer, http: Http) -> None:
    server.length = 5
    made = await measured(server, http)
    texts = [doubt.text for doubt in made.stages[0].doubts]
    assert "answers ended by themselves after 5 tokens, 12 were wanted" in texts


async def test_answers_that_do_not_end(server: PacedServer, http: Http) -> None:
    server.length = 120
    made = await measured(server, http)
    (stage,) = made.stages
    begin = "answers had 120 tokens, 12 were allowed"
    assert any(doubt.text.startswith(begin) for doubt in stage.doubts)
    assert begin in str(report(Run("0", 0.0, Ask(), measured=[made])).sections)
    set_language("zh")
    assert any("回答有 120 个 token，而上限为 12 个" in doubt.text for doubt in stage.doubts)


async def test_a_server_that_does_not_stream(server: PacedServer, http: Http) -> None:
    server.streams = None
    made = await measured(server, http)
    texts = [doubt.text for doubt in made.stages[0].doubts]
    assert any(text.startswith("answers came in one piece (2 of 2 calls)") for text in texts)
    assert made.stages[0].figures.decode is None


# --------------------------------------------------------------------------------- what goes wrong

KEY = "sk-very-secret-123"


@pytest.mark.parametrize(
    ("refusal", "words", "code"),
    [
        (Refusal(401, {"error": {"message": f"bad key {KEY}"}}), "needs a key", 3),
        (Refusal(404, {"error": {"message": "no such model"}}), "has no model 'm'", 3),
        (Refusal(402, {"error": {"message": "no credit"}}), "no credit", 1),
        (Refusal(400, {"error": {"message": "odd"}}), "odd", 1),
        (Refusal(400, {"error": {"message": "prompt is too long"}}), "too long", 1),
        (Refusal(429, {"error": {"message": "slow down"}}), "takes no more requests", 1),
        (Refusal(500, {"error": {"message": "boom"}}), "boom", 1),
        (Refusal(503, b"busy"), "busy", 1),
    ],
)
async def test_refusals(
    server: PacedServer, http: Http, refusal: Refusal, words: str, code: int
) -> None:
    server.refusals = [refusal] * 20
    made = await measured(server, http)
    assert made.trouble is not None
    assert words in made.trouble.message
    assert made.trouble.exit_code == code
    assert made.trouble.next
    said = made.trouble.message + made.trouble.next
    for word in ("network.", "--bind", "--local", "app file"):  # those are for apps
        assert word not in said
    # Nothing was tried again behind our back: the calls that count, and those that find out how
    # long prompts are.
    assert len(server.calls("/v1/chat/completions")) <= 3


async def test_some_refusals_are_counted(server: PacedServer, http: Http) -> None:
    refused = Refusal(500, {"error": {"message": "boom"}})
    server.refusals = [refused]
    made = await measured(server, http, repetitions=3)
    (stage,) = made.stages
    assert made.trouble is None
    assert (stage.figures.calls, stage.figures.failed) == (2, 1)
    assert any("1 of 3 calls failed" in doubt.text for doubt in stage.doubts)
    assert "boom" in stage.calls[0].message


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("depth", [0, 50])
async def test_a_server_that_refuses_every_third_call_is_measured(
    http: Http, monkeypatch: pytest.MonkeyPatch, status: int, depth: int
) -> None:
    """Whichever call it is: one that finds out how long prompts are, the warm-up, or one that
    counts."""

    class Third(Other):
        count = 0

        async def _complete(self, *rest: Any) -> Any:
            self.count += 1
            if self.count % 3 == 0:
                return reply({"error": {"message": "slow down"}}, status)
            return await super()._complete(*rest)

    monkeypatch.setattr("millstream.lab.bench.subject._WAITS", (0.01, 0.02))
    for begin in range(3):
        async with Third("none") as server:
            server.count = begin
            made = await measured(server, http, repetitions=6, warm_up=1, depths=(depth,))
        assert made.trouble is None
        assert made.prompts == "usage"
        (stage,) = made.stages
        assert stage.figures.calls + stage.figures.failed == 6
        assert stage.figures.failed in ((1, 2) if not depth else (2, 3, 4))
        assert {call.error for call in stage.calls if not call.ok} <= {
            "bench.busy", "models.server-error"
        }  # fmt: skip


def test_a_busy_server_is_waited_for_within_the_limit() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise Failed("bench.busy")

    for limit, count in ((None, 5), (1.0, 3), (0.1, 1)):
        calls = 0
        with pytest.raises(Failed):
            virtually(patiently(call, limit))
        assert calls == count


async def test_a_point_that_never_succeeds_leaves_the_others(http: Http) -> None:
    class Short(PacedServer):
        async def _complete(self, request: Any, seen: Any, *rest: Any) -> Any:
            if len(str(seen.body["messages"])) > 1000:
                return reply({"error": {"message": "too much"}}, 500)
            return await super()._complete(request, seen, *rest)

    async with Short("m", first=0, gap=0) as server:
        made = await measured(server, http, prompts=(1000, 32), repetitions=2, warm_up=1)
    bad, good = made.stages
    assert made.trouble is None
    assert (bad.figures.calls, bad.figures.failed) == (0, 2)
    assert (good.figures.calls, good.figures.failed) == (2, 0)
    assert [text.endswith("no call succeeded, of 2") for text in failed(made)] == [True]
    run = Run("0", 0.0, Ask(), measured=[made])
    assert "no call succeeded, of 2" in str(report(run).sections)


async def test_a_server_that_falls_silent_keeps_what_was_measured(
    server: PacedServer, http: Http
) -> None:
    class Silent(Subject):
        sent = 0

        async def send(self, prompt: Prompt) -> Items:
            self.sent += 1
            server.hang_after = 4 if self.sent > 2 else None
            async for item in super().send(prompt):
                yield item

    http.patience = patience(1, http.patience)
    target = presets.target("stub", "m", base_url=server.base_url)
    bench = Bench(Ask(prompts=(40,), outputs=(12,), repetitions=9, warm_up=0))
    made = await bench.measure(Silent("stub/m", http, target))
    (stage,) = made.stages
    # Two calls succeeded, two more were waited for, then it was given up.
    assert (stage.figures.calls, stage.figures.failed) == (2, 2)
    assert "gave no sign of life for 1 s, the limit of --timeout" in stage.calls[-1].message
    assert stage.calls[-1].pieces


async def test_a_silent_server_is_an_error_with_a_next_step(
    server: PacedServer, http: Http
) -> None:
    server.hang_after = 0
    http.patience = patience(1, http.patience)
    made = await measured(server, http)
    assert made.trouble is not None
    assert made.trouble.message == (
        f"{server.url} gave no sign of life for 1 s, the limit of --timeout"
    )
    assert "--timeout" in made.trouble.next


@pytest.mark.parametrize("pieces", [0, 3])
async def test_comments_are_no_pieces_of_an_answer(http: Http, pieces: int) -> None:
    """A proxy keeps the connection open for a server that has fallen silent."""

    class Kept(PacedServer):
        def _events(self, *rest: Any) -> Iterator[bytes]:
            yield from list(super()._events(*rest))[: pieces + 1]
            for _ in range(200):
                yield b": ping\n\n"

        async def _paced(self, pieces: Any) -> AsyncIterator[bytes]:
            async for piece in super()._paced(pieces):
                await asyncio.sleep(0.05)
                yield piece

    http.patience = patience(0.4, http.patience)
    async with Kept("m", first=0, gap=0) as server, asyncio.timeout(6):
        made = await measured(server, http)
    assert made.trouble is not None
    assert "gave no sign of life for 0.4 s, the limit of --timeout" in made.trouble.message


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"cut_after": 5}, "broke in the middle of the answer"),
        ({"raw": [b"data: {nonsense\n\n"] * 2}, "cannot be read"),
        ({"raw": [b"data: [DONE]\n\n"]}, "without writing anything"),
        ({"error_midway": {"message": "out of cards"}}, "out of cards"),
    ],
)
async def test_broken_streams(
    server: PacedServer, http: Http, how: dict[str, Any], words: str
) -> None:
    for name, value in how.items():
        setattr(server, name, value)
    made = await measured(server, http)
    assert made.trouble is not None
    assert words in made.trouble.message
    assert made.stages == [] or not made.stages[0].figures.calls


async def test_no_server_at_all(http: Http) -> None:
    class Nobody:
        base_url = "http://127.0.0.1:9/v1"

    made = await measured(Nobody(), http)
    assert made.trouble is not None
    assert made.trouble.exit_code == 3
    assert "the connection was refused" in made.trouble.message


# -------------------------------------------------------------------------------------- finding it


async def test_an_address_with_one_model(server: PacedServer, http: Http, home: Home) -> None:
    subject = await find(server.base_url, home, http)
    assert subject.label == f"m @ {server.url}"
    assert subject.target.server_model == "m"
    assert subject.near
    assert (await find(server.url, home, http)).target.base_url == server.base_url
    whole = f"{server.base_url}/chat/completions"
    assert (await find(whole, home, http, model="n")).target.base_url == server.base_url


async def test_endpoints_of_one_host_have_labels_of_their_own(http: Http, home: Home) -> None:
    addresses = ("http://127.0.0.1:9", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/a/v1/",
                 "http://127.0.0.1:9/b/v1/chat/completions")  # fmt: skip
    labels = [(await find(each, home, http, model="m")).label for each in addresses]
    assert labels == ["m @ http://127.0.0.1:9", "m @ http://127.0.0.1:9",
                      "m @ http://127.0.0.1:9/a/v1", "m @ http://127.0.0.1:9/b/v1"]  # fmt: skip


async def test_an_address_with_several_models(http: Http, home: Home) -> None:
    async with PacedServer("a", "b") as server:
        with pytest.raises(BadInput, match="does not have exactly one model: a, b") as caught:
            await find(server.base_url, home, http)
        assert "--model" in caught.value.next_step
        assert (await find(server.base_url, home, http, model="b")).target.name == "b"


async def test_a_key_comes_from_where_keys_are_kept_and_never_shows(
    http: Http, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PacedServer("m", first=0, gap=0, key=KEY) as server:
        monkeypatch.setenv("127_0_0_1_API_KEY", KEY)
        subject = await find(server.base_url, home, http)
        bench = Bench(Ask(prompts=(40,), outputs=(4,), repetitions=1))
        made = await bench.measure(subject)
        monkeypatch.delenv("127_0_0_1_API_KEY")
        without = await bench.measure(await find(server.base_url, home, http, model="m"))
    assert made.trouble is None
    assert without.trouble is not None
    assert without.trouble.code == "models.key-missing"
    assert "millstream keys set 127-0-0-1" in without.trouble.next
    assert KEY not in msgspec.json.encode(bench.run).decode()
    assert KEY not in repr(subject.__dict__)


@pytest.mark.parametrize(
    "url", ["http://", "https://u:p@host/v1", "http://host/v1?key=x", "ftp://u:p@host/v1"]
)
async def test_addresses_that_are_none(url: str, http: Http, home: Home) -> None:
    with pytest.raises(BadInput) as caught:
        await find(url, home, http)
    assert caught.value.code == "bench.bad-url"
    assert "u:p" not in str(caught.value)


async def test_more_than_a_model_was_trained_for_is_refused_before_it_is_loaded(
    tmp_path: Path, home: Home, http: Http
) -> None:
    subject = await find(str(llama(tmp_path / "m.gguf")), home, http)
    assert subject.model is not None
    trained = subject.model.header.context_length
    assert trained
    subject.require(trained)
    made = await Bench(Ask(prompts=(8, trained - 10), outputs=(11,))).measure(subject)
    assert made.trouble is not None
    assert f"trained for {trained:,} tokens" in made.trouble.message
    assert f"come to {trained + 1:,}" in made.trouble.message
    assert "--prompt" in made.trouble.next


async def test_names_that_nothing_has(http: Http, home: Home, tmp_path: Path) -> None:
    with pytest.raises(NotHere) as caught:
        await find("nobody/m", home, http)
    assert "millstream bench http://HOST:PORT/v1" in caught.value.next_step
    with pytest.raises(NotHere):
        await find("nothing-of-that-name", home, http)
    with pytest.raises(BadInput):
        await find(str(tmp_path / "missing.gguf"), home, http)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(BadInput):
        await find(str(tmp_path / "bad.gguf"), home, http)


async def test_a_model_of_an_ollama(
    http: Http, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OllamaServer() as server:
        server.answer_text = ["word "] * 12
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        subject = await find("ollama/qwen3:8b", home, http)
        ask = Ask(prompts=(80,), outputs=(12,), repetitions=2)
        made = await Bench(ask).measure(subject)
    assert made.trouble is None
    assert (made.label, made.kind, made.prompts) == ("ollama/qwen3:8b", "ollama", "usage")
    (stage,) = made.stages
    assert {call.tokens for call in stage.calls} == {12}
    assert stage.figures.read is not None
    assert stage.figures.read.mean == pytest.approx(80, rel=0.1)
    assert stage.memory.told == 5_200_000_000
    body = server.calls("/api/chat")[-1]
    assert body["options"]["num_predict"] == 12


# ------------------------------------------------------------------------ roofline, price, memory


# A machine as `calibrate` would know it.
SPEED = calibrated(prefill=4e10, attend_token=1e10, attend_prompt=2e10, rows=1e9, node=1e6)


async def test_the_roofline_by_hand(tmp_path: Path, home: Home, http: Http) -> None:
    model = await names.find(str(llama(tmp_path / "m.gguf")), home, http)
    built = Built(model, SPEED)
    weights = 4 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512) + 256 * 273
    keys = 4 * 2 * 128 * 2  # layers, keys and values, numbers of a token, bytes
    middle = 100 + 8
    roof = built.roof(
        prompt=100, output=16, depth=0, at_once=1, decode=1000.0, prefill=5000.0, threads=1
    )
    assert cache_bytes(built.shape, 10) == 10 * keys
    assert roof.bytes == 2 * weights + middle * keys
    attention = 4 * 2 * 4 * (64 + 64)  # layers, two products of two operations, heads, sizes
    assert roof.operations == 2 * weights + middle * attention
    assert roof.decode_bound == pytest.approx(1e10 / roof.bytes)
    assert roof.decode_share == pytest.approx(1000 * roof.bytes / 1e10)
    assert roof.decode_rate == pytest.approx(1000 * roof.operations)
    layers = 2 * (weights - 256 * 273) + 2 * 256 * 273 / 100
    assert roof.prompt_operations == pytest.approx(layers + 50 * attention)
    assert roof.prefill_bound == pytest.approx(4e10 / roof.prompt_operations)
    assert roof.predicted_decode is not None
    assert roof.predicted_decode <= roof.decode_bound
    many = built.roof(prompt=100, output=16, depth=0, at_once=4, decode=2e3, prefill=None)
    assert many.bytes == 2 * weights / 4 + middle * keys
    unknown = Built(model, None).roof(
        prompt=100, output=16, depth=0, at_once=1, decode=1e3, prefill=None
    )
    assert (unknown.decode_share, unknown.decode_rate) == (None, 1e3 * unknown.operations)


async def test_a_server_that_is_faster_than_the_machine_can_be(
    server: PacedServer, tmp_path: Path, home: Home, http: Http
) -> None:
    subject = Subject("a/m", http, presets.target("stub", "m", base_url=server.base_url))
    subject.model = await names.find(str(llama(tmp_path / "m.gguf")), home, http)
    slow = calibrated(prefill=4e7, attend_token=1e7, attend_prompt=2e7, rows=1e6, node=1e3)
    made = await Bench(Ask(prompts=(40,), outputs=(12,)), speed=slow).measure(subject)
    (stage,) = made.stages
    assert stage.roof is not None
    assert stage.roof.decode_share is not None
    assert stage.roof.decode_share > 1
    assert any("of what this machine was measured to allow" in d.text for d in stage.doubts)


def test_prices_by_hand() -> None:
    # A hundred watts for an hour are 0.1 kWh: 3 cents; and half a unit for the hour.
    prices = Prices(watts=100, kwh=0.3, hour=0.5)
    made = cost(prices, 3600, 3_000_000, 1_000_000)
    assert made is not None
    assert made.joules == pytest.approx(0.36)
    assert made.output == pytest.approx(0.53)
    assert made.all == pytest.approx(0.53 / 4)
    watts = cost(Prices(watts=50), 10, 5, 100)
    assert watts is not None
    assert (watts.joules, watts.output) == (5.0, None)
    assert cost(Prices(), 10, 5, 100) is None
    assert cost(prices, 10, 5, 0) is None


def test_memory_on_cards_as_nvidia_tells_it() -> None:
    text = "4711, 5120\n4712, 300\n4711, 1024\n[N/A], [N/A]\n"
    assert watch.of_nvidia(text, 4711) == (5120 + 1024) << 20
    assert watch.of_nvidia(text, 1) == watch.of_nvidia("", 4711) == 0


def test_peak_and_processor_time_as_linux_tells_them(tmp_path: Path) -> None:
    folder = tmp_path / "proc/42"
    folder.mkdir(parents=True)
    (folder / "status").write_text("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  2048 kB\n")
    fields = " ".join(["S", *map(str, range(4, 14)), "250", "50", *map(str, range(16, 53))])
    (folder / "stat").write_text(f"42 (odd) name) {fields}\n")
    assert watch.peak_of(42, tmp_path) == 2 << 20
    assert watch.processor_seconds(42, tmp_path) == 300 / os.sysconf("SC_CLK_TCK")
    assert watch.peak_of(43, tmp_path) == 0
    assert watch.processor_seconds(43, tmp_path) is None


# --------------------------------------------------------------------------- a run against another


def run_of(scale: float, *, count: int = 5, label: str = "a/m", noise: float = 0.01) -> Run:
    """A run whose model takes `scale` times as long, the repetitions a little apart."""
    calls = []
    for repetition in range(count):
        off = scale * (1 + noise * (repetition - count // 2))
        pieces = tuple(off * (FIRST + n * GAP) for n in range(8))
        calls.append(Call(repetition, 0.0, pieces=pieces, read=64, told=8, bytes=40, wanted=8))
    stage = Stage(Point(64, 8), Opened(), calls, figures(calls))
    return Run("0", 1.7e9, Ask(), measured=[Measured(label, "endpoint", stages=[stage])])


@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.8, "faster"), (1.25, "slower"), (1.002, "none"), (1.0, "none")]
)
def test_differences_and_chance(scale: float, verdict: str) -> None:
    made = against.compare(run_of(1.0), run_of(scale))
    assert len(made.differences) == 7
    assert {each.verdict for each in made.differences} == {verdict}
    for each in made.differences:
        fast = each.metric in ("prefill", "decode", "requests", "output")
        assert each.ratio == pytest.approx(1 / scale if fast else scale, rel=0.01)
        assert each.low <= each.ratio <= each.high
        if verdict in ("faster", "slower"):
            assert each.p == pytest.approx(2 / 252)
        assert each.p <= each.q


def test_too_few_repetitions_prove_nothing() -> None:
    made = against.compare(run_of(1.0, count=3), run_of(0.5, count=3))
    assert {each.verdict for each in made.differences} == {"few"}


def test_runs_of_other_models_and_points() -> None:
    # Two models that were each measured alone are compared, whatever their names are.
    assert against.compare(run_of(1.0), run_of(0.5, label="b/m")).differences
    other = run_of(1.0)
    other.measured[0].stages[0].point = Point(64, 99)
    with pytest.raises(BadInput, match="nothing in this run"):
        against.compare(run_of(1.0), other, "old.json")
    both = run_of(1.0)
    both.measured[0].stages.append(other.measured[0].stages[0])
    assert against.compare(run_of(1.0), both).unmatched == 1
    loaded = run_of(1.0)
    loaded.measured[0].stages[0].point = Point(64, 8, way=Way(threads=2))
    assert against.compare(run_of(1.0), loaded).differences


def test_a_saved_run_comes_back_whole(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(msgspec.json.encode(run_of(1.0)))
    assert against.load(file) == run_of(1.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no saved benchmark"),
        (b"[1]", "no saved benchmark"),
        (b'{"format": 1}', "no saved benchmark"),
        (b'{"format": 99}', "saved by a newer version"),
        (b"\xff\xfe\x00", "no saved benchmark"),
    ],
)
def test_files_that_are_no_runs(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(data)
    with pytest.raises(BadInput, match=words):
        against.load(file)
    with pytest.raises(BadInput, match="cannot be read"):
        against.load(tmp_path / "none.json")


# -------------------------------------------------------------------------------------- in words


def test_lines_of_a_report_that_differ_have_names_that_differ() -> None:
    made = run_of(1.0)
    (measured,) = made.measured
    (stage,) = measured.stages
    measured.stages = [
        msgspec.structs.replace(stage, point=Point(prompt, 8, concurrency=count, way=Way(threads)))
        for prompt in (64, 128)
        for threads in (1, 2)
        for count in (1, 2, 4)
    ]
    plots = [b for s in report(made, None).sections for b in s.blocks if isinstance(b, Plot)]
    lines = [[series.name for series in plot.series] for plot in plots]
    assert max(map(len, lines)) >= 8
    for line in lines:
        assert len(set(line)) == len(line)
    said = [name for line in lines for name in line]
    for words in ("a/m, 128 → 8 · threads 2: decode", "a/m, threads 1: prefill"):
        assert any(words in name for name in said), said


async def test_a_report_says_everything(server: PacedServer, http: Http) -> None:
    target = presets.target("stub", "m", base_url=server.base_url)
    ask = Ask(prompts=(40, 80), outputs=(8,), profile="sweep", concurrency=(4,), repetitions=2,
              warm_up=0, prices=Prices(hour=2.0, currency="EUR"))  # fmt: skip
    bench = Bench(ask)
    await bench.measure(Subject("stub/m", http, target))
    comparison = against.compare(bench.run, bench.run, "old.json")
    for language in ("en", "zh"):
        set_language(language)
        made = report(bench.run, comparison)
        text = html.render(made)
        for stage in bench.run.measured[0].stages:
            assert "EUR" in in_words(stage, "EUR")["price"]
        assert "stub/m" in text
        assert len(made.sections) >= 5
        speeds, _, effort = [b for b in made.sections[0].blocks if isinstance(b, Table)]
        assert [column.title for column in speeds.columns].count("±") == 4
        assert all(isinstance(cell, float) for row in speeds.rows for cell in row[1:])
        assert all(str(row[-1]).endswith(" EUR") for row in effort.rows)
    set_language("en")
    headings = [section.heading for section in report(bench.run, comparison).sections]
    assert headings[:4] == ["Figures", "By context", "By calls at once", "Latency"]
    assert "Against the saved run" in headings


def test_numbers_for_people_are_written_out() -> None:
    before, now = run_of(0.001), run_of(0.0002)
    rows = [difference(each) for each in against.compare(before, now).differences]
    (decode,) = [row for row in rows if row[1] == "decode"]
    assert decode[2:4] == ["100,020/s", "500,100/s"]
    (stage,) = now.measured[0].stages
    stage.cost = cost(Prices(watts=1e7, kwh=0.3), 10, 64, 1000)
    shown = in_words(stage, "EUR")
    assert shown["decode"].startswith("500,0")
    assert shown["joules"] == "100,000 J"
    assert shown["price"] == "8,333 EUR"
    assert scaled(999.7e6) == "1,000 MFLOP"
    texts = [*shown.values(), *(text for row in rows for text in row), str(report(now).summary)]
    assert not [text for text in texts if re.search(r"\de[+-]\d", text)]
    assert "writes 500,0" in str(report(now).summary)


def test_sweeps_double() -> None:
    ask = Ask(profile="sweep", concurrency=(12,))
    assert [point.concurrency for point in ask.points(Way())] == [1, 2, 4, 8, 12]
    ask = Ask(threads=(1, 2), batches=(64, 128), layers=(None, 3))
    assert len(list(ask.ways())) == 8


# ------------------------------------------------------------------------- a model that is loaded

pytest_model = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("xllamacpp") is None,
        reason="the extra `local` is not installed",
    ),
]


class TestEmbedded:
    pytestmark = pytest_model

    async def test_the_real_model(self, packaged_model: Path, home: Home, http: Http) -> None:
        http.patience = Patience()
        subject = await find(str(packaged_model), home, http)
        ask = Ask(prompts=(48,), outputs=(8,), depths=(0, 64), threads=(1,), batches=(64,),
                  repetitions=2)  # fmt: skip
        bench = Bench(ask, speed=SPEED)
        made = await bench.measure(subject)
        assert made.trouble is None
        assert (made.kind, made.prompts, made.architecture) == ("embedded", "tokenizer", "llama")
        plain, deep = made.stages
        for stage in (plain, deep):
            assert (stage.opened.threads, stage.opened.batch) == (1, 64)
            assert {call.tokens for call in stage.calls} == {8}
            assert stage.memory.peak > made.size
            assert stage.roof is not None
            assert stage.roof.decode_share is not None
        assert {call.read for call in plain.calls} == {48}
        assert {call.read for call in deep.calls} == {48 + 64}
        # What was read beforehand was not read again.
        assert all((call.cached or 0) >= 48 for call in deep.calls)
        assert not any(doubt.kind in ("tokens", "prompt") for doubt in plain.doubts)
        assert subject.pid is None  # and its process is gone

    @pytest.mark.parametrize(
        ("gpus", "words"),
        [
            ((), "there is no graphics card here: the 5 GPU layers ran on the processor"),
            ((Gpu("RTX", "cuda", 8 << 30, 8 << 30),), "does not use RTX: the 5 GPU layers ran"),
        ],
    )
    async def test_layers_for_a_card_that_is_not_there(
        self, packaged_model: Path, home: Home, http: Http, gpus: tuple[Gpu, ...], words: str
    ) -> None:
        http.patience = Patience()
        subject = await find(str(packaged_model), home, http)
        machine = Machine("a processor", 2, 8 << 30, 8 << 30, gpus)
        ask = Ask(prompts=(48,), outputs=(4,), threads=(1,), layers=(None, 0, 5), repetitions=1,
                  warm_up=0)  # fmt: skip
        made = await Bench(ask, machine=machine).measure(subject)
        assert made.trouble is None
        assert [stage.opened.cards for stage in made.stages] == [0, 0, 0]
        said = [[d.text for d in stage.doubts if d.kind == "layers"] for stage in made.stages]
        assert said[:2] == [[], []]
        assert words in said[2][0]

    async def test_a_model_whose_process_hangs(
        self, packaged_model: Path, home: Home, http: Http
    ) -> None:
        http.patience = patience(2, Patience())
        subject = await find(str(packaged_model), home, http)
        ask = Ask(prompts=(48,), outputs=(4,), threads=(1,), warm_up=0)

        def stop(progress: Any) -> None:
            if progress.step == "prompts" and progress.repetition == 2 and subject.pid:
                os.kill(subject.pid, signal.SIGSTOP)

        made = await Bench(ask, tell=stop).measure(subject)
        assert made.trouble is not None
        assert "gave no sign of life for 2 s, the limit of --timeout" in made.trouble.message
        assert "--timeout" in made.trouble.next
        assert made.stages[0].figures.calls == 1

    async def test_a_model_whose_process_crashes(
        self, packaged_model: Path, home: Home, http: Http
    ) -> None:
        http.patience = patience(60, Patience())
        subject = await find(str(packaged_model), home, http)
        ask = Ask(prompts=(48,), outputs=(64,), threads=(1,), repetitions=50, warm_up=0)

        def kill(progress: Any) -> None:
            late = progress.step == "measuring" and progress.repetition == 2
            if late and progress.tick and progress.tick.pieces > 2 and subject.pid:
                os.kill(subject.pid, signal.SIGABRT)

        made = await Bench(ask, tell=kill).measure(subject)
        assert made.trouble is not None
        assert "SIGABRT" in made.trouble.message
        assert made.trouble.next
        (stage,) = made.stages
        assert stage.figures.calls == 1  # the first repetition is kept
