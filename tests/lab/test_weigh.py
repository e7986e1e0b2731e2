"""Asking llama.cpp: headers with holes, other builds, what it refuses, and who cancels."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import zoo
from millstream.base import Failed, NotHere
from millstream.lab import jobs, library, weigh
from millstream.models import gguf
from millstream.models.footprint import Use
from models.gguf_files import gguf_bytes

pytest.importorskip("xllamacpp", reason="llama.cpp's word needs the extra `local`")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.write(tmp_path_factory.mktemp("model") / "tiny.gguf", "llama-gqa")


# ----------------------------------------------------------------------------- a header and a hole


async def test_a_sketch_weighs_what_the_file_does(model: Path) -> None:
    header = gguf.read(model)
    uses = [Use(context=512), Use(context=1024, slots=2)]
    assert await weigh.weigh([header], uses) == await weigh.weigh(model, uses)


async def test_weights_are_neither_read_nor_written(tmp_path: Path) -> None:
    """650 GB of them, on a machine that has them nowhere."""
    data = zoo.header_bytes("DeepSeek-V3", zoo.Q8_0)
    header = gguf.read_ranges(lambda at, n: data[at : at + n], file="large")
    weighed = await weigh.weigh([header], [Use(context=512)])
    assert weighed.size == header.weight_bytes > 650 * 10**9


@given(
    st.dictionaries(
        st.sampled_from(["x.a", "x.b", "x.attention.c", "general.name"]),
        st.one_of(
            st.tuples(st.just(4), st.integers(0, 2**32 - 1)),
            st.tuples(st.just(5), st.integers(-(2**31), -1)),
            st.tuples(st.just(6), st.floats(width=32, allow_nan=False)),
            st.tuples(st.just(7), st.booleans()),
            st.tuples(st.just(8), st.text(max_size=9)),
            st.tuples(st.just(9), st.tuples(st.just(4), st.lists(st.integers(0, 9), min_size=1))),
        ),
    )
)
def test_a_sketch_says_what_the_header_does(
    tmp_path_factory: pytest.TempPathFactory, said: Any
) -> None:
    tensors = [("a.weight", (32, 3), 8, 0), ("b.weight", (5,), 0, 128)]
    data = gguf_bytes({"general.architecture": (8, "x"), **said}, tensors, data=160)
    header = gguf.read_ranges(lambda at, n: data[at : at + n], file="x")
    path = tmp_path_factory.mktemp("sketch") / "x.gguf"
    weigh.sketch([header], path)
    again = gguf.read(path)
    assert again.tensors == header.tensors
    assert {key: again.metadata[key] for key in header.metadata} == header.metadata


async def test_a_place_where_no_sketch_can_be(model: Path) -> None:
    with pytest.raises(Failed, match="nowhere") as caught:
        weigh.sketch([gguf.read(model)], Path("/nowhere/at/all.gguf"))
    assert caught.value.code == "lab.no-sketch"


# ---------------------------------------------------------------------------------- other builds


def test_the_build_that_is_pinned() -> None:
    library.Library()


def test_another_build_is_refused_with_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field less, as in the build of September, and one more."""
    fields = list(library.ContextParams._fields_)
    at = [name for name, *_ in fields].index("moe_cache_size")
    for others in ([*fields[:at], *fields[at + 1 :]], [("new", ctypes.c_void_p), *fields]):
        other = type("Other", (ctypes.Structure,), {"_fields_": others})
        monkeypatch.setattr(library, "ContextParams", other)
        with pytest.raises(NotHere) as caught:
            library.Library()
        assert caught.value.code == "quantize.other-build"
        assert "offload_kqv" in caught.value.message
        assert "pip install" in caught.value.next_step


def test_a_library_without_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (*library._FUNCTIONS, ("llama_of_tomorrow", None, ()))
    monkeypatch.setattr(library, "_FUNCTIONS", missing)
    with pytest.raises(NotHere, match="llama_of_tomorrow"):
        library.Library()


class Name:
    """What a library calls a kind of buffer."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def decode(self) -> str:
        return "CPU"


class Lying:
    """A library whose breakdown is made of these numbers."""

    ggml_backend_buft_name = Name

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __getattr__(self, name: str) -> Any:
        def fill(target: int, context: int) -> None:
            for number in self.numbers:
                ctypes.c_uint64.from_address(target).value = number
                target += 8

        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(fill)


def node(color: int, kind: int, left: int = 0) -> Any:
    return weigh._Node(color, None, left or None, None, kind or None, 1, 2, 3)


def test_a_map_of_another_form_is_refused() -> None:
    good, odd, nameless = node(1, 5), node(7, 5), node(0, 0)  # they have to outlive their addresses
    more = node(1, 5, ctypes.addressof(good))
    address = ctypes.addressof
    found = weigh._breakdown(Lying(0, 0, address(good), 0, 0, 1), 1)
    assert found == {"CPU": (1, 2, 3)}
    for numbers in (
        (0, 0, address(good), 0, 0, 0),  # empty
        (0, 0, address(good), 0, 0, 2**60),  # not a count
        (0, 0, address(good), 0, 0, 2),  # fewer than it says
        (0, 0, address(more), 0, 0, 1),  # more than it says
        (0, 0, address(odd), 0, 0, 1),  # not a node
        (0, 0, address(nameless), 0, 0, 1),
    ):
        with pytest.raises(NotHere, match="another build"):
            weigh._breakdown(Lying(*numbers), 1)

    class Without:
        pass

    with pytest.raises(NotHere, match="another build"):
        weigh._breakdown(Without(), 1)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PACKAGE", "no_such_package")
    with pytest.raises(NotHere) as caught:
        library.Library()
    assert "local" in caught.value.next_step


# ------------------------------------------------------------------------------- what it refuses


async def test_reasons_are_llama_cpps_own(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    header, table = zoo.metadata("llama-gqa"), zoo.table("llama-gqa")
    path.write_bytes(gguf_bytes(header, table[:-3], data=1 << 24))
    with pytest.raises(Failed, match=r"blk\.3\.ffn_\w+\.weight") as caught:
        await weigh.weigh(path, [Use()])
    assert caught.value.message.startswith("llama.cpp cannot load m: ")


async def test_an_architecture_that_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    tensors = zoo.table("llama-gqa")[:1]
    path.write_bytes(gguf_bytes({"general.architecture": (8, "tomorrow")}, tensors, data=1 << 20))
    with pytest.raises(NotHere, match="tomorrow"):
        await weigh.weigh(path, [Use()])


async def test_a_header_that_ends_the_process(tmp_path: Path) -> None:
    """llama.cpp aborts; no debugger is called, no line of it is taken for an answer."""
    header = zoo.metadata("llama-gqa")
    header["llama.attention.head_count_kv"] = (4, 3)
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes(header, zoo.table("llama-gqa"), data=1 << 24))
    with pytest.raises(Failed) as caught:
        await weigh.weigh(path, [Use()])
    assert caught.value.next_step


async def test_a_cancel_leaves_no_process(model: Path) -> None:
    for steps in (0, 1, 3, 10, 300):
        asking = asyncio.create_task(weigh.weigh(model, [Use()]))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await asking
    assert not _children()


async def test_a_start_that_is_cancelled_ends_what_it_started() -> None:
    starting = asyncio.create_task(jobs.start(sys.executable, "-c", "import time; time.sleep(60)"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await starting
    assert not _children()


def _children() -> list[str]:
    """Processes of ours that still run, where the system tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{os.getpid()}$", text, re.M) and "zombie" not in text:
            found.append(text.split("\n")[0])
    return [name for name in found if "python" in name]
