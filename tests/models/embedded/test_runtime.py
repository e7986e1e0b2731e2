"""The embedded runtime with the packaged model: calls, crashes, limits, the end of processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from millstream.base import BadInput, Failed, NotHere, set_language
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRef, ModelRequest
from millstream.home import Home
from millstream.models import gguf, openai
from millstream.models.embedded import EmbeddedModels, memory, runtime
from millstream.models.http import Http
from millstream.models.router import Router
from millstream.models.target import Target
from models.gguf_files import gguf_bytes, tiny

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
pytestmark = pytest.mark.model

LONG = "Count from 1 to 500, one number a line."


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty data directory; models run on one thread, which is not timed."""
    set_language("en")
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_THREADS", "1")
    return Home.open(tmp_path / "home")


@pytest.fixture
async def models(home: Home, http: Http) -> AsyncIterator[EmbeddedModels]:
    models = EmbeddedModels(home, http)
    yield models
    await models.close()


def request(text: str = "Say hello.", **options: Any) -> ModelRequest:
    params = {"temperature": 0, "max_tokens": 16, "ignore_eos": True} | options.pop("params", {})
    ref = ModelRef("embedded", "m")
    return ModelRequest(ref, [Message("user", text)], params=params, **options)


async def answer(http: Http, target: Target, asked: ModelRequest) -> tuple[str, ModelEnd]:
    text, end = "", None
    async for item in openai.generate(http, target, asked):
        if isinstance(item, ModelChunk):
            text += item.text
        else:
            end = item
    assert end is not None
    return text, end


async def busy(http: Http, target: Target) -> int:
    """Slots of the server that are at work."""
    url = target.base_url.removesuffix("/v1") + "/slots"
    slots = await http.request_json("GET", url, headers=openai.credentials(target))
    return sum(slot["is_processing"] for slot in slots)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds; the test's own time limit ends a wait in vain."""
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


# --------------------------------------------------------------------------------------- calls


async def test_a_model_is_loaded_once_and_answers(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    steps: list[runtime.Loading] = []
    targets = await asyncio.gather(
        *[models.target(packaged_model, progress=steps.append) for _ in range(3)]
    )
    assert len({target.base_url for target in targets}) == 1
    target = await models.target(packaged_model)
    assert target == targets[0]
    assert (target.provider, target.name) == ("embedded", packaged_model.stem)
    assert (target.context, target.slots) == (8192, 2)
    [loaded] = models.loaded()
    assert loaded.threads == 1
    assert steps[-1] == runtime.Loading(packaged_model.stem, "ready", 96576768, 96576768)
    text, end = await answer(http, target, request())
    assert text
    assert end.model == f"embedded/{packaged_model.stem}"
    assert end.usage.prompt_tokens > 5
    assert end.usage.completion_tokens > 0
    assert await openai.count_tokens(http, target, request()) == end.usage.prompt_tokens


async def test_the_context_of_each_call_is_what_is_promised(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    """llama.cpp divides a context among its slots: 512 for each of two is 1,024 there."""
    target = await models.target(packaged_model, context=512, slots=2)
    assert (target.context, target.slots) == (512, 2)
    _, end = await answer(http, target, request("word " * 450, params={"max_tokens": 8}))
    assert end.usage.prompt_tokens > 450
    with pytest.raises(Failed) as caught:
        await answer(http, target, request("word " * 600))
    assert caught.value.code == "models.context-exceeded"


async def test_a_longer_context_than_is_loaded_replaces_the_child(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    small = await models.target(packaged_model, context=512, slots=1)
    [first] = models.loaded()
    large = await models.target(packaged_model, context=1024)
    assert (large.context, large.slots) == (1024, 1)
    assert large.base_url != small.base_url
    await until(lambda: gone(first.pid))
    assert await models.target(packaged_model, context=512) == large
    endless = await models.target(packaged_model, context=1 << 20)
    assert endless.context == 8192  # no more than the model was made for


async def test_an_answer_keeps_to_a_json_schema(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=1024, slots=1)
    schema = {
        "type": "object",
        "properties": {
            "animal": {"type": "string", "enum": ["cat", "dog"]},
            "legs": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["animal", "legs"],
        "additionalProperties": False,
    }
    pet = request("A pet, please.", schema=schema, params={"max_tokens": 64, "ignore_eos": False})
    text, _ = await answer(http, target, pet)
    value = json.loads(text)
    assert value["animal"] in ("cat", "dog")
    assert value["legs"] in range(10)
    router = Router(http, lambda ref: target)
    items = [item async for item in router.generate(pet)]
    assert isinstance(items[-1], ModelEnd)
    assert items[-1].structured["animal"] in ("cat", "dog")
    assert items[-1].rung == "grammar"


@pytest.mark.model
@pytest.mark.parametrize(
    "schema",
    [
        None,
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    ],
)
async def test_an_answer_after_an_answer_is_a_turn_of_its_own(
    models: EmbeddedModels, http: Http, packaged_model: Path, schema: dict[str, Any] | None
) -> None:
    """A prompt may end with an example of an answer, where the user's text is empty."""
    target = await models.target(packaged_model, context=1024, slots=1)
    example = '{"a": 1}'
    said = [Message("user", "One."), Message("assistant", example)]
    params = {"temperature": 0, "max_tokens": 24, "ignore_eos": schema is None}
    ref = ModelRef("embedded", "m")
    text, _ = await answer(http, target, ModelRequest(ref, said, params=params, schema=schema))
    assert text.strip()
    if schema is not None:
        assert isinstance(json.loads(text)["a"], int)


async def test_calls_at_the_same_time_are_batched(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=1024, slots=2)

    async def most_at_work() -> int:
        most = 0
        while most < 2:
            most = max(most, await busy(http, target))
        return most

    calls = [
        asyncio.create_task(answer(http, target, request(LONG, params={"max_tokens": 40})))
        for _ in range(2)
    ]
    assert await most_at_work() == 2
    for text, end in await asyncio.gather(*calls):
        assert text
        assert end.usage.completion_tokens == 40


async def test_closing_a_stream_frees_its_slot(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=4096, slots=1)
    stream = openai.generate(http, target, request(LONG, params={"max_tokens": 4000}))
    async for _ in stream:
        break
    assert await busy(http, target) == 1
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: _free(http, target))
    text, _ = await answer(http, target, request())
    assert text


async def test_a_long_prompt_is_cancelled_before_it_is_read(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=8192, slots=1)
    reading = asyncio.create_task(
        answer(http, target, request("word " * 7000, params={"max_tokens": 1}))
    )
    await until(lambda: _busy(http, target))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await until(lambda: _free(http, target))


async def _free(http: Http, target: Target) -> bool:
    return await busy(http, target) == 0


async def _busy(http: Http, target: Target) -> bool:
    return await busy(http, target) == 1


async def test_a_prompt_without_messages_never_reaches_it(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=512, slots=1)
    with pytest.raises(BadInput, match="the prompt has no messages"):
        await answer(http, target, ModelRequest(ModelRef("embedded", "m"), []))


async def test_the_key_is_asked_for_and_shown_nowhere(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=512, slots=1)
    assert target.key is not None
    [child] = models.loaded()
    for place in ("cmdline", "environ"):
        assert target.key.reveal().encode() not in Path(f"/proc/{child.pid}/{place}").read_bytes()
    assert target.key.reveal() not in repr(target)
    reply = await http.fetch("GET", f"{target.base_url}/models")
    slots = await http.fetch("GET", target.base_url.removesuffix("/v1") + "/slots")
    assert 401 in (reply.status, slots.status)
    assert slots.status == 401


async def test_an_idle_model_gives_its_memory_back(
    home: Home, http: Http, packaged_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_IDLE_SECONDS", "1")
    models = EmbeddedModels(home, http)
    try:
        target = await models.target(packaged_model, context=2048, slots=2)
        await answer(http, target, request())
        [child] = models.loaded()
        loaded = _resident(child.pid)
        await until(lambda: _resident(child.pid) < loaded // 2)
        assert await answer(http, await models.target(packaged_model), request())
        assert _resident(child.pid) > loaded // 2
    finally:
        await models.close()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


async def test_a_loaded_model_takes_what_was_predicted(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=4096, slots=2)
    await answer(http, target, request("word " * 600))
    [child] = models.loaded()
    measured = _resident(child.pid) * os.sysconf("SC_PAGE_SIZE")
    assert 0.85 < measured / child.memory < 1.15


# ------------------------------------------------------------------------------------- crashes


async def killed_after(
    words: int, pid: int, how: signal.Signals, http: Http, target: Target
) -> None:
    """Make a long call, and end the child when some of the answer is here."""
    asked = request(LONG, params={"max_tokens": 1500})
    async for _ in openai.generate(http, target, asked):
        words -= 1
        if words == 0:
            os.kill(pid, how)


async def test_a_killed_child_is_an_error_of_that_call_alone(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=2048, slots=1)
    [first] = models.loaded()
    with pytest.raises(Failed) as caught:
        await killed_after(3, first.pid, signal.SIGKILL, http, target)
    assert str(caught.value) == (
        f"{packaged_model.stem} was killed in the middle of the call (SIGKILL): most likely "
        "memory ran out"
    )
    assert "the model is loaded anew by the next call" in caught.value.next_step
    with pytest.raises(Failed, match="was killed in the middle of the call"):
        await answer(http, target, request())  # a target from before
    text, _ = await answer(http, await models.target(packaged_model), request())
    assert text
    [second] = models.loaded()
    assert second.pid != first.pid


async def test_a_child_that_breaks_down_says_its_last_words(
    models: EmbeddedModels, http: Http, packaged_model: Path
) -> None:
    target = await models.target(packaged_model, context=2048, slots=1)
    [child] = models.loaded()
    with pytest.raises(Failed) as caught:
        await killed_after(1, child.pid, signal.SIGABRT, http, target)
    assert caught.value.code == "embedded.crashed"
    assert "broke down in the middle of the call (SIGABRT):" in str(caught.value)


async def test_closing_ends_the_children(home: Home, http: Http, packaged_model: Path) -> None:
    models = EmbeddedModels(home, http)
    target = await models.target(packaged_model, context=512, slots=1)
    [child] = models.loaded()
    await models.close()
    assert gone(child.pid)
    assert models.loaded() == []
    assert http.causes == {}
    with pytest.raises(NotHere, match="the connection was refused"):
        await answer(http, target, request())
    loading = asyncio.create_task(models.target(packaged_model, context=512))
    await asyncio.sleep(0.2)
    await models.close()
    with pytest.raises(asyncio.CancelledError):
        await loading


async def test_a_load_goes_on_when_one_of_those_who_wait_leaves(
    models: EmbeddedModels, packaged_model: Path
) -> None:
    leaving = asyncio.create_task(models.target(packaged_model, context=512))
    staying = asyncio.create_task(models.target(packaged_model, context=512))
    await asyncio.sleep(0.1)
    leaving.cancel()
    assert (await staying).context == 512
    assert leaving.cancelled()


# -------------------------------------------------------------------------------- what can't be


async def test_files_that_are_no_models(
    models: EmbeddedModels, packaged_model: Path, tmp_path: Path
) -> None:
    def file(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    with open(packaged_model, "rb") as source:
        beginning = source.read(20 << 20)
    for path, kind, message in [
        (tmp_path / "none.gguf", BadInput, "there is no file"),
        (file("page.gguf", b"<html>"), BadInput, "page.gguf is not a GGUF model file"),
        (file("cut.gguf", beginning), BadInput, "cut.gguf is incomplete"),
        (file("x-00001-of-00002.gguf", tiny()), BadInput, "parts that are missing"),
        (
            file("new.gguf", gguf_bytes({"general.architecture": (8, "brandnew")})),
            NotHere,
            "new has the architecture 'brandnew', which the llama.cpp in use does not know",
        ),
        (file("tiny.gguf", tiny()), Failed, "llama.cpp cannot load tiny: "),
    ]:
        with pytest.raises(kind) as caught:
            await models.target(path)
        assert message in str(caught.value)
        assert caught.value.next_step
    with pytest.raises(NotHere, match="smol"):
        await models.target("smol")
    assert models.loaded() == []


async def test_not_enough_memory_is_said_before_anything_is_loaded(
    home: Home, http: Http, packaged_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_CONTEXT", "8192")
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_SLOTS", "4")
    poor = EmbeddedModels(home, http, available=lambda: 300 << 20)
    with pytest.raises(NotHere) as caught:
        await poor.target(packaged_model)
    assert re.fullmatch(
        rf"not enough memory for {packaged_model.stem}: it takes \d+ MiB \(weights 92 MiB, and "
        r"720 MiB for 4 × 8192 tokens of context\), and 300 MiB is free",
        str(caught.value),
    )
    assert "embedded.context" in caught.value.next_step
    assert "embedded.check_memory = false" in caught.value.next_step


async def test_what_nobody_asked_for_shrinks_to_fit(
    home: Home, http: Http, packaged_model: Path
) -> None:
    model = gguf.read(packaged_model)
    enough = memory.estimate([model], context=4096, slots=1, batch=128).total
    modest = EmbeddedModels(home, http, available=lambda: enough)
    try:
        target = await modest.target(packaged_model)
        assert (target.context, target.slots) == (4096, 1)
    finally:
        await modest.close()
    least = memory.estimate([model], context=2048, slots=1, batch=128).total
    poor = EmbeddedModels(home, http, available=lambda: least - 1)
    with pytest.raises(NotHere, match=r"1 × 2048 tokens of context"):
        await poor.target(packaged_model)


async def test_memory_is_not_asked_about_when_nobody_wants_it(
    home: Home, http: Http, packaged_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_CHECK_MEMORY", "false")
    models = EmbeddedModels(home, http, available=lambda: 1)
    try:
        assert await models.target(packaged_model, context=512, slots=1)
    finally:
        await models.close()


async def test_another_model_makes_room(
    home: Home, http: Http, packaged_model: Path, tmp_path: Path
) -> None:
    """Memory for one model only: the one that is idle goes."""
    second = tmp_path / "second.gguf"
    second.symlink_to(packaged_model)
    third = tmp_path / "third.gguf"
    os.link(packaged_model, third)
    one = 1.5 * memory.estimate([gguf.read(packaged_model)], context=512, slots=1, batch=128).total
    models = EmbeddedModels(
        home, http, available=lambda: int(one) - sum(m.memory for m in models.loaded())
    )
    try:
        await models.target(packaged_model, context=512, slots=1)
        [first] = models.loaded()
        await models.target(second, context=512, slots=1)  # the same file by another name
        assert [model.pid for model in models.loaded()] == [first.pid]
        target = await models.target(third, context=512, slots=1)
        assert [model.path for model in models.loaded()] == [third]
        assert gone(first.pid)
        assert (await answer(http, target, request()))[0]
    finally:
        await models.close()


async def test_without_the_extra(
    models: EmbeddedModels, packaged_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError(\"No module named 'xllamacpp'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NotHere) as caught:
        await models.target(packaged_model)
    assert "the extra `local`, which is not installed" in str(caught.value)
    assert caught.value.next_step == "pip install 'millstream[local]'"
    (tmp_path / "xllamacpp.py").write_text("raise OSError('GLIBC_2.99 not found')")
    with pytest.raises(NotHere, match=r"does not start here: GLIBC_2\.99 not found"):
        await models.target(packaged_model)


async def test_a_child_that_dies_while_it_loads(
    models: EmbeddedModels, packaged_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "xllamacpp.py").write_text("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Failed) as caught:
        await models.target(packaged_model)
    assert "was killed by the system while it was loaded (SIGKILL)" in str(caught.value)
    (tmp_path / "xllamacpp.py").write_text(
        "import os; os.write(2, b'0.00.1 E ggml: GGML_ASSERT(x) failed\\n'); os.abort()"
    )
    with pytest.raises(Failed, match=r"broke down .* \(SIGABRT\): GGML_ASSERT\(x\) failed"):
        await models.target(packaged_model)


# ------------------------------------------------------------------------------------- threads


async def test_threads_are_timed_when_nobody_says(
    home: Home, http: Http, packaged_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLSTREAM_EMBEDDED_THREADS")
    monkeypatch.setattr(runtime.threads, "cores", lambda: 2)
    told: list[tuple[str, Any]] = []
    models = EmbeddedModels(home, http, notice=lambda key, values: told.append((key, values)))
    try:
        await models.target(packaged_model, context=512, slots=1)
        [loaded] = models.loaded()
        assert loaded.threads in (1, 2)
        assert [key for key, _ in told] == ["embedded.loading", "embedded.ready"]
        assert told[1][1]["threads"] == loaded.threads
    finally:
        await models.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list threads")
def test_the_timing_leaves_no_threads_behind() -> None:
    """OpenMP counts helpers that nobody uses any more, and slows down those that are used."""
    script = """
        import os, time, xllamacpp
        from millstream.models.embedded import child

        def threads():
            return len(os.listdir("/proc/self/task"))

        before = threads()
        child._timed(xllamacpp.xllamacpp.__file__, {"candidates": [1, 2], "shape": [768, 256, 0]})
        for _ in range(500):
            if threads() > before:
                time.sleep(0.01)
        print(before, threads())
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    timed, counted = done.stdout.splitlines()
    assert set(json.loads(timed)["milliseconds"]) == {"1", "2"}
    assert len(set(counted.split())) == 1


async def test_a_model_that_became_slow_changes_its_threads(
    home: Home, http: Http, packaged_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLSTREAM_EMBEDDED_THREADS")
    monkeypatch.setattr(runtime.threads, "cores", lambda: 1)
    models = EmbeddedModels(home, http)
    try:
        before = await models.target(packaged_model, context=512, slots=1)
        [first] = models.loaded()
        [child] = models._children.values()
        assert not child.slowed()
        child.timed -= 3600
        line = "slot print_timing: id  0 | task 9 |        eval time =  {} ms /    64 tokens ( 1.0 "
        line += "ms per token,   {} tokens per second)\n"
        os.write(child._log.fileno, line.format("640.00", "100.00").encode())
        os.write(child._log.fileno, line.format("6400.00", "10.00").encode())
        # A second core is there now, and the only number of threads that is tried.
        child.task["candidates"] = [2, 2]
        after = await models.target(packaged_model, context=512, slots=1)
        assert after.base_url != before.base_url
        [second] = models.loaded()
        assert (first.threads, second.threads) == (1, 2)
        await until(lambda: gone(first.pid))
    finally:
        await models.close()


def test_the_log_is_cut_when_it_becomes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LOG", 1000)
    log = runtime._Log()
    for number in range(100):
        os.write(log.fileno, f"line {number} of a long log\n".encode())
        assert f"line {number} " in log.news()
        assert log.news() == ""
    assert os.fstat(log.fileno).st_size < 1100
    assert "line 99 of a long log" in log.text() or log.text() == ""


# --------------------------------------------------------------------------- the end of processes

SCRIPT = textwrap.dedent("""
    import asyncio, sys
    from millstream.engine.ports import Message, ModelChunk, ModelRef, ModelRequest
    from millstream.home import Home
    from millstream.models import openai
    from millstream.models.embedded import EmbeddedModels
    from millstream.models.http import Http

    home, file, when = sys.argv[1:]

    async def main():
        async with Http(environ={}) as http:
            models = EmbeddedModels(Home.open(home), http)
            load = asyncio.create_task(models.target(file, context=2048, slots=1))
            if when == "loading":
                while not models._loads:
                    await asyncio.sleep(0)
                import subprocess
                began = subprocess.Popen
                class Popen(began):
                    def __init__(self, *args, **options):
                        super().__init__(*args, **options)
                        print(self.pid, flush=True)
                subprocess.Popen = Popen
            target = await load
            if when != "loading":
                print(models.loaded()[0].pid, flush=True)
            request = ModelRequest(ModelRef("e", "m"), [Message("user", "Count to 900.")],
                                   params={"max_tokens": 1500, "ignore_eos": True})
            try:
                async for _ in openai.generate(http, target, request):
                    print("word", flush=True)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
                target = await models.target(file)
                request.params = {"max_tokens": 4}
                async for item in openai.generate(http, target, request):
                    pass
                print("again", models.loaded()[0].pid, flush=True)

    asyncio.run(main())
""")


def program(home: Home, model: Path, when: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(home.path), str(model), when],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_gone(pid: int) -> None:
    while not gone(pid):
        time.sleep(0.02)


def test_ctrl_c_does_not_hit_the_child(home: Home, packaged_model: Path) -> None:
    """A terminal sends SIGINT to all of its foreground group; the child is none of it."""
    with program(home, packaged_model, "serving") as process:
        pid = int(next_line(process))
        assert next_line(process) == "word"
        os.killpg(process.pid, signal.SIGINT)
        while (line := next_line(process)) == "word":
            pass
        assert line == f"again {pid}"
    wait_until_gone(pid)


@pytest.mark.parametrize("when", ["serving", "loading"])
def test_a_child_ends_with_its_parent(home: Home, packaged_model: Path, when: str) -> None:
    with program(home, packaged_model, when) as process:
        pid = int(next_line(process))
        if when == "serving":
            assert next_line(process) == "word"
        process.kill()
        wait_until_gone(pid)
