"""Predicted memory, held against llama.cpp: small models of every architecture that we make, and
headers with the sizes of well-known ones. benchmarks/memory_truth.py does the whole of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from lab import zoo
from millstream.home import Home
from millstream.lab import typical
from millstream.lab.fit import lacking
from millstream.lab.names import Model
from millstream.lab.weigh import Weighed, weigh
from millstream.models import gguf
from millstream.models.embedded import EmbeddedModels
from millstream.models.footprint import Use, footprint, repack_bytes, row_bytes
from millstream.models.http import Http
from millstream.models.shape import shape

pytest.importorskip("xllamacpp", reason="llama.cpp's word needs the extra `local`")

MIB = 1 << 20
USES = (
    Use(context=4096, batch=256),
    Use(context=2048, slots=3, batch=512),
    Use(context=2048, slots=3, batch=128, shared=True),
    Use(context=4096, batch=512, flash=False),
    Use(context=4096, slots=2, batch=64, keys="Q8_0", values="Q8_0"),
    Use(context=1024, batch=512, outputs=512),
    Use(context=4096, batch=64, whole_window=True),
)
SOME = ("Llama-3.1-8B", "Mixtral-8x7B", "Qwen3-30B-A3B", "Gemma-3-12B", "Phi-3-mini", "GPT-2",
        "DeepSeek-V3", "Mamba2-2.7B", "Jamba-Mini", "RWKV7-1.5B", "gpt-oss-20b")  # fmt: skip
NAMES = (*zoo.SMALL, *SOME)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weighed | BaseException]:
    """What llama.cpp says of every model, asked two at a time."""
    folder = tmp_path_factory.mktemp("hollow")

    async def ask() -> list[Weighed | BaseException]:
        turn = asyncio.Semaphore(2)

        async def one(name: str) -> Weighed:
            async with turn:
                path = folder / f"{name}.gguf"
                await asyncio.to_thread(zoo.hollow, path, name)
                weighed = await weigh(path, USES)
                path.unlink()
                return weighed

        return await asyncio.gather(*map(one, NAMES), return_exceptions=True)

    return dict(zip(NAMES, asyncio.run(ask()), strict=True))


def header(name: str) -> gguf.Header:
    data = zoo.header_bytes(name)
    return gguf.read_ranges(lambda offset, length: data[offset : offset + length], file=name)


@pytest.mark.parametrize("name", NAMES)
def test_what_llama_cpp_plans_is_what_is_predicted(name: str, said: dict[str, Any]) -> None:
    """Weights, caches and states to the byte; scratch space to a tenth or 8 MiB."""
    if isinstance(said[name], BaseException):
        raise said[name]
    model = header(name)
    assert model.weight_bytes == said[name].size
    assert lacking(Model(name, name, (model,), "gguf")) == []
    for use, buffers in zip(USES, said[name].buffers, strict=True):
        made = footprint([model], use)
        assert made.cache + made.states == buffers.cache, use
        off = abs(made.compute - buffers.compute)
        assert off <= max(buffers.compute / 10, 8 * MIB) or name in zoo.UNSURE, use
        if use.outputs is None:
            assert abs(made.output - buffers.output) <= MIB / 100, use


@pytest.mark.parametrize("type", ["Q4_0", "Q4_K", "Q8_0"])
def test_copies_in_another_order(tmp_path: Path, type: str) -> None:
    number = getattr(zoo, type)

    async def copied(name: str) -> tuple[int, int]:
        path = await asyncio.to_thread(zoo.write, tmp_path / f"{name}.gguf", name, number)
        weighed = await weigh(path, [Use(context=512, batch=64)], mapped=True)
        kinds = weighed.buffers[0].weights
        return repack_bytes([gguf.read(path)]), kinds.get("CPU_REPACK", 0)

    async def all() -> list[tuple[int, int]]:
        return [await copied(name) for name in ("llama-tied", "qwen3moe", "deepseek2", "jamba")]

    for predicted, made in asyncio.run(all()):
        assert predicted == made
        assert (made > 0) == (type != "Q8_0")


async def test_models_that_only_a_size_is_known_of() -> None:
    """Their headers come from a config and are sketched for llama.cpp."""
    for size in (0.5, 7, 30):
        model, _ = typical.header(size)
        weighed = await weigh([model], USES[:2])
        assert weighed.size == model.weight_bytes
        for use, buffers in zip(USES, weighed.buffers, strict=False):
            made = footprint([model], use)
            assert made.cache == buffers.cache
            assert abs(made.compute - buffers.compute) <= buffers.compute / 10


async def peak(path: Path, context: int, slots: int, home: Path) -> tuple[int, int]:
    """Bytes that the runtime predicts, and those that its child had at most."""
    async with Http(environ={}) as http:
        models = EmbeddedModels(Home.open(home), http)
        try:
            target = await models.target(path, context=context, slots=slots)
            (model,) = models.loaded()
            assert target.key is not None
            await http.request_json(
                "POST",
                f"{target.base_url}/completions",
                headers={"Authorization": f"Bearer {target.key.reveal()}"},
                json={"prompt": "the river of and " * 30, "max_tokens": 4, "temperature": 0},
            )
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{model.pid}/status").read_text())
            assert found is not None
            return model.memory, int(found[1]) << 10
        finally:
            await models.close()


proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")


@proc
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixtral", "jamba"])
async def test_the_peak_of_a_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_THREADS", "1")
    path = zoo.write(tmp_path / "m.gguf", name, zoo.Q4_0)
    predicted, measured = await peak(path, 2048, 2, tmp_path / "home")
    assert abs(predicted - measured) <= measured / 10


@proc
@pytest.mark.slow
@pytest.mark.model
async def test_the_peak_of_the_packaged_model(
    packaged_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_EMBEDDED_THREADS", "1")
    predicted, measured = await peak(packaged_model, 4096, 1, tmp_path)
    assert abs(predicted - measured) <= measured / 10


# ------------------------------------------------------------------------------------ laws, by hand


def test_keys_and_values_by_hand() -> None:
    """Four layers, two heads of 32 numbers each for keys and values."""
    model = header("llama-gqa")
    plain = footprint([model], Use(context=4096))
    assert plain.cache == 4 * 4096 * (2 * 32 + 2 * 32) * 2
    small = footprint([model], Use(context=4096, keys="Q8_0", values="Q4_0"))
    assert small.cache == 4 * 4096 * (64 // 32 * 34 + 64 // 32 * 18)
    assert footprint([model], Use(context=4096, slots=3)).cache == 3 * plain.cache


def test_windows_end_growth() -> None:
    model = header("gemma3")
    sizes = shape(model)
    assert [layer.window for layer in sizes.layers] == [512] * 5 + [0]
    short, long = (footprint([model], Use(context=n, batch=256)) for n in (4096, 8192))
    assert long.cache - short.cache == 4096 * 2 * 64 * 2  # the one layer that sees everything
    whole = footprint([model], Use(context=4096, batch=256, whole_window=True))
    assert whole.cache == 6 * 4096 * 2 * 64 * 2


def test_what_llama_cpp_does_not_heed_is_not_heeded() -> None:
    """Windows of Mistral and Phi 3 stand in their headers and are not used."""
    for name in ("mistral", "phi3"):
        assert shape(header(name)).window == 0


def test_a_state_does_not_grow() -> None:
    model = header("mamba2")
    for context in (256, 1 << 20):
        made = footprint([model], Use(context=context, slots=2))
        assert made.cache == 0
        assert made.states == 2 * 4 * 4 * (32 * 512 + 3 * (512 + 2 * 2 * 32))


def test_rows_of_blocks_count_whole() -> None:
    assert row_bytes("Q8_0", 64) == 68
    assert row_bytes("Q8_0", 65) == 102
    assert row_bytes("F16", 0) == 0
