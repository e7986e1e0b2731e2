"""What a person calls a model, and what is found: files, folders, the shelf, hubs, Ollama, sizes.

Servers speak their true protocols on loopback and count what they send: weights are never fetched.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lab.configs import PUBLISHED, llama
from lab.models import llama as write_llama
from lab.models import split
from millstream.base import BadInput, MillstreamError, NotHere, set_language
from millstream.home import Home
from millstream.lab import config, names
from millstream.models import discovery, gguf
from millstream.models.http import Http
from models.gguf_files import Value, gguf_bytes
from models.hub_server import Cdn, Hubs
from models.loopback import Loopback, reply
from models.ollama_server import Model as Kept
from models.ollama_server import OllamaServer

MiB = 1 << 20
SMALL = llama(64, 2, 128, 4, 2, 100, 512)
METADATA: dict[str, Value] = {
    "general.architecture": (8, "llama"),
    "general.name": (8, "Tiny"),
    "general.file_type": (4, 7),
    "llama.context_length": (4, 4096),
    "llama.block_count": (4, 1),
    "llama.embedding_length": (4, 64),
    "llama.feed_forward_length": (4, 128),
    "llama.attention.head_count": (4, 4),
    "llama.attention.head_count_kv": (4, 2),
}
Q8_0 = 8


def model(megabytes: int, words: int = 0) -> bytes:
    """A GGUF file whose weights are so large; words: of its vocabulary, which the header has."""
    rows = megabytes * MiB // 68
    more: dict[str, Value] = {}
    if words:
        more = {"tokenizer.ggml.tokens": (9, (8, [f"<word number {n}>" for n in range(words)]))}
    begin = gguf_bytes(METADATA | more, [("blk.0.attn_q.weight", (64, rows), Q8_0, 0)])
    return begin + bytes(68 * rows)


def weights(tensors: dict[str, Sequence[int]], dtype: str = "BF16") -> bytes:
    """A safetensors file, its weights all zero."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in tensors.items():
        size = 2
        for length in shape:
            size *= length
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def llama_weights(layers: int = 2) -> dict[str, Sequence[int]]:
    """The tensors of `SMALL` as transformers calls them."""
    found: dict[str, Sequence[int]] = {
        "model.embed_tokens.weight": (100, 64),
        "model.norm.weight": (64,),
        "lm_head.weight": (100, 64),
    }
    for n in range(layers):
        at = f"model.layers.{n}."
        found |= {
            f"{at}input_layernorm.weight": (64,),
            f"{at}self_attn.q_proj.weight": (64, 64),
            f"{at}self_attn.k_proj.weight": (32, 64),
            f"{at}self_attn.v_proj.weight": (32, 64),
            f"{at}self_attn.o_proj.weight": (64, 64),
            f"{at}post_attention_layernorm.weight": (64,),
            f"{at}mlp.gate_proj.weight": (128, 64),
            f"{at}mlp.up_proj.weight": (128, 64),
            f"{at}mlp.down_proj.weight": (64, 128),
        }
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    set_language("en")
    for name in list(os.environ):
        if name.startswith(("MILLSTREAM_", "HF_", "HUGGING_FACE", "MODELSCOPE", "OLLAMA")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("millstream.models.discovery.candidates", lambda *args, **options: [])
    return Home.open(tmp_path / "home")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(environ={}) as http:
        yield http


@pytest.fixture
async def hubs(monkeypatch: pytest.MonkeyPatch, home: Home) -> AsyncIterator[Hubs]:
    async with Hubs() as hubs:
        monkeypatch.setenv("HF_ENDPOINT", hubs.url)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", hubs.url)
        yield hubs


async def refusal(word: str, home: Home, http: Http) -> MillstreamError:
    with pytest.raises(MillstreamError) as caught:
        await names.find(word, home, http)
    return caught.value


# --------------------------------------------------------------------------------------- files here


async def test_a_file(tmp_path: Path, home: Home, http: Http) -> None:
    path = write_llama(tmp_path / "Tiny-F16.gguf")
    found = await names.find(str(path), home, http)
    assert (found.name, found.kind, found.exact) == ("Tiny-F16", "gguf", True)
    assert (found.path, found.stored) == (path, path.stat().st_size)
    assert found.tensors == gguf.read(path).tensors


async def test_a_file_by_a_relative_path(
    tmp_path: Path, home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_llama(tmp_path / "Tiny.gguf")
    monkeypatch.chdir(tmp_path)
    for word in ("Tiny.gguf", "./Tiny.gguf", "  Tiny.gguf "):
        assert (await names.find(word, home, http)).path == tmp_path / "Tiny.gguf"


async def test_all_parts_of_a_model(tmp_path: Path, home: Home, http: Http) -> None:
    whole = write_llama(tmp_path / "Tiny.gguf")
    first = split(whole, tmp_path, 3)
    second = first.with_name(first.name.replace("00001-of", "00002-of"))
    for path in (first, second):
        found = await names.find(str(path), home, http)
        assert found.name == "Tiny"
        assert len(found.headers) == 3
        assert found.header.architecture == "llama"
        expected = gguf.read(whole)
        assert {t.name for t in found.tensors} == {t.name for t in expected.tensors}
        assert sum(h.weight_bytes for h in found.headers) == expected.weight_bytes
        assert found.stored == sum(p.stat().st_size for p in tmp_path.glob("*-of-*.gguf"))
    second.unlink()
    error = await refusal(str(first), home, http)
    assert isinstance(error, BadInput)
    assert "Tiny-00002-of-00003.gguf" in error.message


async def test_a_folder_with_one_model(tmp_path: Path, home: Home, http: Http) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    write_llama(folder / "Tiny.gguf")
    (folder / "mmproj-Tiny.gguf").write_bytes(b"not looked at")
    assert (await names.find(str(folder), home, http)).name == "Tiny"
    write_llama(folder / "Other.gguf")
    error = await refusal(str(folder), home, http)
    assert error.message == f"{folder} has several models: Other.gguf, Tiny.gguf"
    assert error.next_step == "Name one of the files."


async def test_a_folder_with_the_parts_of_one(tmp_path: Path, home: Home, http: Http) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    split(write_llama(tmp_path / "Tiny.gguf"), folder, 2)
    assert len((await names.find(str(folder), home, http)).headers) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.gguf is empty"),
        (b"PK\x03\x04" + bytes(200), "x.gguf is not a GGUF model file"),
        (model(1)[:200], "x.gguf"),
        (model(1)[:-100], "x.gguf"),
        (gguf_bytes(METADATA, [("a", (64,), 77, 0)], data=512), "'a', type 77"),
    ],
)
async def test_a_file_that_is_damaged(
    tmp_path: Path, home: Home, http: Http, data: bytes, message: str
) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    error = await refusal(str(tmp_path / "x.gguf"), home, http)
    assert isinstance(error, BadInput)
    assert message in error.message
    assert error.next_step


@pytest.mark.parametrize(
    "word", ["no-such.gguf", "/no/such", "./no", "~/no/such", "no.safetensors"]
)
async def test_a_file_that_is_not_there(word: str, home: Home, http: Http) -> None:
    error = await refusal(word, home, http)
    assert isinstance(error, BadInput)
    assert error.code == "gguf.missing"
    assert word in error.message


@pytest.mark.parametrize("word", ["", "   ", "a\0b", "x" * 5000, "what is this", "7bb"])
async def test_no_name_at_all(word: str, home: Home, http: Http) -> None:
    error = await refusal(word, home, http)
    assert isinstance(error, BadInput)
    assert error.code == "lab.unknown-name"
    assert "hf:ORG/REPO" in error.next_step


async def test_no_name_in_chinese(home: Home, http: Http) -> None:
    set_language("zh")
    error = await refusal("什么", home, http)
    assert error.message == "'什么' 不是可以查看的模型"
    assert "7b 这样的规模" in error.next_step


# ------------------------------------------------------------------------------ config, safetensors


async def test_a_config_alone(tmp_path: Path, home: Home, http: Http) -> None:
    folder = tmp_path / "Llama-3.2-1B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(PUBLISHED["Llama-3.2-1B"][1]))
    for path in (folder, folder / "config.json"):
        found = await names.find(str(path), home, http)
        assert (found.name, found.kind, found.exact) == ("Llama-3.2-1B", "config", False)
        assert found.header.architecture == "llama"
        assert (found.path, found.stored) == (None, None)


async def test_a_folder_of_safetensors(
    tmp_path: Path, home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Small"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALL))
    (folder / "model.safetensors").write_bytes(weights(llama_weights()))
    (folder / "consolidated.safetensors").write_bytes(weights(llama_weights()))  # a second copy
    found = await names.find(str(folder), home, http)
    assert (found.name, found.kind) == ("Small", "config")
    assert found.stored == found.header.parameters * 2
    again = await names.find(str(folder / "model.safetensors"), home, http)
    assert (again.tensors, again.stored) == (found.tensors, found.stored)
    monkeypatch.chdir(folder)
    assert (await names.find("model.safetensors", home, http)).name == "Small"


@pytest.mark.parametrize("index", [True, False])
async def test_shards(tmp_path: Path, home: Home, http: Http, index: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    tensors = list(llama_weights().items())
    files = [f"model-{n:05}-of-00003.safetensors" for n in (1, 2, 3)]
    for number, file in enumerate(files):
        (tmp_path / file).write_bytes(weights(dict(tensors[number::3])))
    if index:
        where = {name: files[number % 3] for number, (name, _) in enumerate(tensors)}
        text = json.dumps({"metadata": {}, "weight_map": where})
        (tmp_path / "model.safetensors.index.json").write_text(text)
    for word in (tmp_path, tmp_path / files[1]):
        found = await names.find(str(word), home, http)
        assert found.stored == 2 * found.header.parameters
    (tmp_path / files[0]).unlink()
    (tmp_path / files[2]).unlink()
    error = await refusal(str(tmp_path), home, http)
    assert error.message == (
        f"{tmp_path} is incomplete: the model has 3 files; missing: {files[0]}, {files[2]}"
    )
    assert error.next_step == "Fetch the missing files into the same folder."
    set_language("zh")
    assert "不完整：该模型共有 3 个文件" in error.message


async def test_a_family_that_is_not_known_by_its_tensors(
    tmp_path: Path, home: Home, http: Http
) -> None:
    """The same tensors as a family that is known, and so the same sizes."""
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"model_type": "novel"}))
    (tmp_path / "model.safetensors").write_bytes(weights(llama_weights()))
    found = await names.find(str(tmp_path), home, http)
    expected = config.header(SMALL)
    assert {t.name: (t.shape, t.type_name) for t in found.tensors} == {
        t.name: (t.shape, t.type_name) for t in expected.tensors
    }
    assert found.header.architecture == "novel"
    assert found.header.kv_heads == 2


async def test_experts_of_a_family_that_is_not_known(
    tmp_path: Path, home: Home, http: Http
) -> None:
    tensors: dict[str, Sequence[int]] = {"model.embed_tokens.weight": (100, 64)}
    for n in range(4):
        for part, shape in (("gate", (32, 64)), ("up", (32, 64)), ("down", (64, 32))):
            tensors[f"model.layers.0.mlp.experts.{n}.{part}_proj.weight"] = shape
    tensors["model.layers.0.mlp.gate.weight"] = (4, 64)
    tensors["model.vision_tower.layers.0.fc1.weight"] = (64, 64)
    more = {"model_type": "novel_moe", "num_experts": 4, "num_experts_per_tok": 2}
    (tmp_path / "config.json").write_text(json.dumps(SMALL | more))
    (tmp_path / "model.safetensors").write_bytes(weights(tensors))
    found = await names.find(str(tmp_path), home, http)
    assert {t.name: t.shape for t in found.tensors} == {
        "token_embd.weight": (64, 100),
        "blk.0.ffn_gate_exps.weight": (64, 32, 4),
        "blk.0.ffn_up_exps.weight": (64, 32, 4),
        "blk.0.ffn_down_exps.weight": (32, 64, 4),
        "blk.0.ffn_gate_inp.weight": (64, 4),
    }


WHOLE = weights(llama_weights())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no safetensors file, or its header is damaged"),
        (b"\x00" * 40, "is no safetensors file, or its header is damaged"),
        (struct.pack("<Q", 1 << 60) + b"{}", "is no safetensors file, or its header is damaged"),
        (struct.pack("<Q", 5) + b"[1,2]", "is no safetensors file, or its header is damaged"),
        (WHOLE[:100], "is no safetensors file, or its header is damaged"),
        (WHOLE[:-100], "model.safetensors"),
        (WHOLE.replace(b"BF16", b"BF17", 1), ""),
        (WHOLE.replace(b"[100, 64]", b"[-10, 64]", 1), "does not add up"),
        (WHOLE.replace(b"[100, 64]", b"[900, 64]", 1), "does not add up"),
        (weights({"model.layers.0.mlp.up_proj.qweight": (8, 8)}), "llama.cpp does not convert"),
    ],
)
async def test_safetensors_that_are_damaged(
    tmp_path: Path, home: Home, http: Http, data: bytes, message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    (tmp_path / "model.safetensors").write_bytes(data)
    if not message:  # a type of the future: of a known family the config tells enough
        assert (await names.find(str(tmp_path), home, http)).tensors
        return
    error = await refusal(str(tmp_path), home, http)
    assert isinstance(error, BadInput)
    assert message in error.message
    assert error.next_step


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
async def test_a_config_that_is_none(tmp_path: Path, home: Home, http: Http, text: bytes) -> None:
    (tmp_path / "config.json").write_bytes(text)
    error = await refusal(str(tmp_path / "config.json"), home, http)
    assert error.message == "config.json is no config.json: it is no JSON object"


async def test_a_config_that_lacks_a_size(tmp_path: Path, home: Home, http: Http) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"model_type": "llama"}')
    error = await refusal(str(file), home, http)
    assert error.message == (
        f"{file} does not say 'hidden_size', and without it no size can be told"
    )


async def test_a_folder_without_a_model(tmp_path: Path, home: Home, http: Http) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    error = await refusal(str(empty), home, http)
    assert error.message == f"{empty} has no config.json"
    assert "config.json beside its safetensors" in error.next_step
    (empty / "model.safetensors").write_bytes(WHOLE)
    assert (await refusal(str(empty / "model.safetensors"), home, http)).code == "lab.no-config"
    (empty / "config.json").write_text(json.dumps(SMALL))
    (empty / "model.safetensors.index.json").write_text("{}")
    error = await refusal(str(empty), home, http)
    assert "model.safetensors.index.json is no safetensors file" in error.message


# --------------------------------------------------------------------------- the shelf, plain sizes


async def test_on_the_shelf(tmp_path: Path, home: Home, http: Http) -> None:
    home.shelf.add(write_llama(tmp_path / "Tiny-F16.gguf"))
    for word in ("Tiny-F16", "tiny-f16", "embedded/Tiny-F16"):
        found = await names.find(word, home, http)
        assert (found.name, found.kind) == ("Tiny-F16", "gguf")
        assert found.path == home.shelf.get("Tiny-F16").path.resolve()
    error = await refusal("embedded/Tiny-F61", home, http)
    assert isinstance(error, NotHere)
    assert "Tiny-F16" in error.message + error.next_step


@pytest.mark.parametrize(("word", "name"), [("7b", "Mistral-7B-v0.3"), ("360m", "SmolLM2-360M")])
async def test_a_plain_size(word: str, name: str, home: Home, http: Http) -> None:
    found = await names.find(word, home, http)
    assert (found.name, found.kind, found.stands_for) == (word, "typical", name)
    assert not found.exact


async def test_a_folder_that_is_called_like_a_size(
    tmp_path: Path, home: Home, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7b").mkdir()
    write_llama(tmp_path / "7b" / "Tiny.gguf")
    monkeypatch.chdir(tmp_path)
    assert (await names.find("7b", home, http)).name == "Tiny"


async def test_the_packaged_model_before_it_is_here(home: Home, http: Http) -> None:
    error = await refusal("smollm2", home, http)
    assert isinstance(error, NotHere)
    assert error.next_step.endswith("millstream models pull smollm2")


async def test_the_packaged_model_once_it_is_here(home: Home, http: Http, tmp_path: Path) -> None:
    made = write_llama(tmp_path / "smollm2-135m-instruct.gguf")
    home.shelf.add(made)
    for word in ("smollm2", "SmolLM2-135M", "embedded/smollm2", "packaged"):
        assert (await names.find(word, home, http)).name == "smollm2-135m-instruct"


# ------------------------------------------------------------------------------------------ on hubs


@pytest.mark.parametrize(
    "word",
    [
        "hf:Org/Big-GGUF",
        "Org/Big-GGUF",
        "Org/Big-GGUF:Q8_0",
        "hf:Org/Big-GGUF/Big-Q8_0.gguf",
        "https://huggingface.co/Org/Big-GGUF/blob/main/Big-Q8_0.gguf",
        "ms:Org/Big-GGUF",
        "https://www.modelscope.cn/models/Org/Big-GGUF",
    ],
)
async def test_only_the_header_is_fetched(word: str, home: Home, http: Http, hubs: Hubs) -> None:
    data = model(24)
    hubs.add("Org/Big-GGUF", {"Big-Q8_0.gguf": data, "README.md": b"#"})
    found = await names.find(word, home, http)
    assert (found.name, found.kind, found.exact) == ("Big-Q8_0", "gguf", True)
    assert (found.stored, found.path) == (len(data), None)
    assert found.header.weight_bytes == 24 * MiB // 68 * 68
    assert hubs.cdn.ranges == ["bytes=0-1048575"]
    assert hubs.cdn.sent == MiB
    assert home.shelf.list() == []


async def test_a_header_that_is_longer_than_the_first_look(
    home: Home, http: Http, hubs: Hubs
) -> None:
    """Each range begins where the last one ended."""
    hubs.add("Org/Words-GGUF", {"Words-Q8_0.gguf": model(24, words=150_000)})
    found = await names.find("Org/Words-GGUF", home, http)
    assert found.header.vocabulary == 150_000
    ends = [0, 1, 2, 4, 8]
    asked = [f"bytes={a * MiB}-{b * MiB - 1}" for a, b in pairwise(ends)]
    assert hubs.cdn.ranges == asked
    assert hubs.cdn.sent == 8 * MiB


async def test_a_server_without_ranges_is_hung_up_on(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.add("Org/Words-GGUF", {"Words-Q8_0.gguf": model(64, words=100_000)})
    hubs.cdn.deaf = True
    found = await names.find("Org/Words-GGUF", home, http)
    assert found.header.vocabulary == 100_000
    # 1, 2 and 4 MiB were read; the rest is what was on its way.
    assert hubs.cdn.sent < 40 * MiB


async def test_a_file_that_is_shorter_than_a_look(home: Home, http: Http, hubs: Hubs) -> None:
    whole = gguf_bytes(METADATA, [("a.weight", (64, 2), 0, 0)], data=512)
    hubs.add("Org/A-GGUF", {"A-Q8_0.gguf": whole})
    assert (await names.find("Org/A-GGUF", home, http)).header.weight_bytes == 512
    assert hubs.cdn.sent == len(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"<html>" + data[6:], "is not a GGUF model file"),
        (lambda data: data[:150], "A-Q8_0.gguf"),
        (lambda data: data[: MiB + 100], "A-Q8_0.gguf"),
        (lambda data: b"", "A-Q8_0.gguf is empty"),
    ],
)
async def test_a_damaged_file_at_a_hub(
    change: Any, message: str, home: Home, http: Http, hubs: Hubs
) -> None:
    hubs.add("Org/A-GGUF", {"A-Q8_0.gguf": change(model(2, words=60_000))})
    error = await refusal("Org/A-GGUF", home, http)
    assert isinstance(error, BadInput)
    assert message in error.message
    assert error.next_step


async def test_a_file_in_parts_at_a_hub(home: Home, http: Http, hubs: Hubs) -> None:
    files = {f"Big-Q8_0-{n:05}-of-00003.gguf": model(8) for n in (1, 2, 3)}
    hubs.add("Org/Big-GGUF", files)
    found = await names.find("Org/Big-GGUF", home, http)
    assert len(found.headers) == 3
    assert found.stored == sum(map(len, files.values()))
    assert hubs.cdn.sent == 3 * MiB
    del hubs.repositories["Org/Big-GGUF"]["Big-Q8_0-00002-of-00003.gguf"]
    assert isinstance(await refusal("Org/Big-GGUF", home, http), NotHere)


async def test_what_a_hub_does_not_have(home: Home, http: Http, hubs: Hubs) -> None:
    hubs.add("Org/Big-GGUF", {"Big-Q8_0.gguf": model(1)})
    for word, message in (
        ("ms:Org/None", "ModelScope has no Org/None"),
        ("hf:Org/None", "Hugging Face shows no Org/None to somebody without an account"),
        ("Org/Big-GGUF:Q2_K", "nothing called 'Q2_K'; it has: Q8_0"),
    ):
        error = await refusal(word, home, http)
        assert isinstance(error, NotHere)
        assert message in error.message
        assert error.next_step
    hubs.cdn.refuse = [404]
    error = await refusal("Org/Big-GGUF", home, http)
    assert "404" in error.message
    assert isinstance(await refusal("https://example.com/a/b", home, http), BadInput)


async def test_a_key_goes_to_the_hub_only(
    home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_token")
    hubs.token = "hf_secret_token"
    hubs.add("Org/Big-GGUF", {"Big-Q8_0.gguf": model(1)})
    await names.find("Org/Big-GGUF", home, http)
    assert {key for _, key in hubs.asked} == {"Bearer hf_secret_token"}
    assert hubs.cdn.keys == []


async def test_a_repository_that_nobody_has_converted(home: Home, http: Http, hubs: Hubs) -> None:
    """Of a known family only the config is fetched."""
    shards = {f"model-{n:05}-of-00002.safetensors": bytes(4 * MiB) for n in (1, 2)}
    other = {"consolidated.safetensors": bytes(8 * MiB), "original/model.safetensors": b"x"}
    config_json = json.dumps(PUBLISHED["Qwen3-0.6B"][1]).encode()
    hubs.add("Qwen/Qwen3-0.6B", {"config.json": config_json, **shards, **other})
    for word in ("hf:Qwen/Qwen3-0.6B", "ms:Qwen/Qwen3-0.6B"):
        found = await names.find(word, home, http)
        assert (found.name, found.kind) == ("Qwen3-0.6B", "config")
        assert found.header.parameters == PUBLISHED["Qwen3-0.6B"][0]
        assert (found.source, found.stored) == (word, 8 * MiB)
    assert hubs.cdn.sent == 2 * len(config_json)


async def test_tables_of_a_family_that_is_not_known(home: Home, http: Http, hubs: Hubs) -> None:
    large = dict(llama_weights())
    large["lm_head.weight"] = (40_000, 64)
    for n in range(2500):  # so that the table is longer than the first look
        large[f"model.layers.{n}.a_rather_long_name_for_a_norm_{'x' * 60}.weight"] = (64,)
    file = weights(large)
    said = SMALL | {"model_type": "novel"}
    hubs.add("Org/Novel", {"config.json": json.dumps(said).encode(), "model.safetensors": file})
    found = await names.find("Org/Novel", home, http)
    shapes = {tensor.name: tensor.shape for tensor in found.tensors}
    assert shapes["output.weight"] == (64, 40_000)
    (length,) = struct.unpack("<Q", file[:8])
    assert length > 1 << 18
    assert hubs.cdn.sent < length + 1024
    hubs.add("Org/Nothing", {"README.md": b"#"})
    assert (await refusal("Org/Nothing", home, http)).code == "pull.no-gguf"
    hubs.add("Org/Broken", {"config.json": b"{", "model.safetensors": file})
    assert (await refusal("Org/Broken", home, http)).code == "lab.not-config"


# ------------------------------------------------------------------------------------------ offline


async def test_offline_a_recommended_model_is_known_by_its_shape(home: Home) -> None:
    async with Http(offline=True, environ={}) as http:
        found = await names.find("qwen3-8b", home, http)
        assert (found.name, found.kind, found.stands_for) == ("qwen3-8b", "typical", "qwen3-8b")
        # The Q4_K_M of the hub has 5.03 GB.
        assert found.header.weight_bytes == pytest.approx(5.02e9, rel=0.01)
        assert found.header.quantization == "Q4_K_M"
        for word in ("hf:Qwen/Qwen3-8B-GGUF", "ollama:qwen3:8b"):
            error = await refusal(word, home, http)
            assert error.code == "models.offline"
            assert error.next_step


async def test_a_hub_that_answers_wrongly_is_not_passed_over(
    home: Home, http: Http, hubs: Hubs
) -> None:
    """Only a hub that cannot be reached is stood in for."""
    error = await refusal("qwen3-8b", home, http)
    assert error.code == "pull.no-repository-or-private"


# ------------------------------------------------------------------------------------------- Ollama


class Ollama(OllamaServer):
    """One whose models have tensors, as `verbose` shows them. tensors: what it lists."""

    def __init__(self, tensors: Any) -> None:
        super().__init__(Kept("qwen3:8b"))
        self.tensors = tensors

    async def answer(self, request: Any, seen: Any) -> Any:
        answered = await super().answer(request, seen)
        if seen.path == "/api/show" and answered.status == 200:
            body = json.loads(answered.body)
            if seen.body.get("verbose"):
                body["model_info"]["tokenizer.ggml.tokens"] = ["a", "b", "c"]
                body["tensors"] = self.tensors
            return reply(body)
        return answered


TENSORS = [
    {"name": "token_embd.weight", "type": "Q4_K", "shape": [4096, 3]},
    {"name": "output_norm.weight", "type": "F32", "shape": [4096]},
]


@pytest.fixture
def library(home_with_ollama: Home) -> None:
    """No library, unless a test has one."""
    home_with_ollama.settings.set("hub.ollama", "http://127.0.0.1:9")


def answering(monkeypatch: pytest.MonkeyPatch, server: Loopback) -> None:
    """Ollama is found where it is, whatever else runs on the machine of the tests."""
    every = discovery.candidates

    def only(*args: Any, **options: Any) -> Any:
        return [one for one in every(*args, **options) if one.why == "OLLAMA_HOST"]

    monkeypatch.setenv("OLLAMA_HOST", server.url)
    monkeypatch.setattr(discovery, "candidates", only)


@pytest.fixture
def home_with_ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in list(os.environ):
        if name.startswith(("MILLSTREAM_", "HF_", "OLLAMA")):
            monkeypatch.delenv(name)
    return Home.open(tmp_path / "home")


async def test_a_model_of_a_running_ollama(
    home_with_ollama: Home, http: Http, library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Ollama(TENSORS) as server:
        answering(monkeypatch, server)
        for word in ("ollama:qwen3:8b", "ollama/qwen3:8b"):
            found = await names.find(word, home_with_ollama, http)
            assert (found.name, found.kind, found.exact) == ("qwen3:8b", "server", True)
            assert found.source == "ollama:qwen3:8b"
            assert found.header.architecture == "qwen3"
            assert found.header.block_count == 36
            assert found.header.vocabulary == 3
            # 16 super-blocks of 256 in a row of 4,096, 144 bytes each.
            assert [tensor.size for tensor in found.tensors] == [3 * 16 * 144, 4 * 4096]
        assert all(body["verbose"] for body in server.calls("/api/show"))


async def test_an_ollama_that_tells_no_tensors_leads_to_the_library(
    home_with_ollama: Home, http: Http, library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Ollama(None) as server:
        answering(monkeypatch, server)
        error = await refusal("ollama:qwen3:8b", home_with_ollama, http)
    assert "127.0.0.1:9" in error.message


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        "many",
        [7],
        [{"name": "a", "type": "Q9_X", "shape": [4]}],
        [{"name": "a", "type": "F32", "shape": [0]}],
        [{"name": "a", "type": "F32", "shape": [True]}],
        [{"name": "a", "type": "F32", "shape": []}],
        [{"name": "a", "type": "Q8_0", "shape": [33]}],
        [{"name": 3, "type": "F32", "shape": [4]}],
        [{"name": "a", "type": None, "shape": [4]}],
    ],
)
async def test_an_ollama_whose_tensors_are_none(tensors: Any, http: Http) -> None:
    async with Ollama(tensors) as server:
        with pytest.raises(NotHere) as caught:
            await names._shown("qwen3:8b", server.url, http)
    assert caught.value.message == "this Ollama does not tell the tensors of qwen3:8b"
    assert caught.value.next_step == "Update Ollama, or name the model on a hub: hf:ORG/REPO"


class Library(Loopback):
    """Ollama's library: a registry that redirects to where its blobs are."""

    def __init__(self, cdn: str) -> None:
        super().__init__()
        self.manifests: dict[str, Any] = {}
        self.cdn = cdn

    async def answer(self, request: Any, seen: Any) -> Any:
        if "/manifests/" in seen.path:
            name = seen.path.removeprefix("/v2/").replace("/manifests/", ":")
            if name in self.manifests:
                return reply(self.manifests[name])
            code = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}
            return reply({"errors": [code]}, 404)
        digest = seen.path.rpartition("/")[2]
        return web.Response(status=307, headers={"Location": f"{self.cdn}/{digest}"})

    def add(self, name: str, cdn: Cdn, data: bytes) -> None:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        cdn.files[digest] = data
        kind = "application/vnd.ollama.image."
        self.manifests[name] = {
            "schemaVersion": 2,
            "layers": [
                {"mediaType": f"{kind}license", "digest": "sha256:" + "0" * 64, "size": 5},
                {"mediaType": f"{kind}model", "digest": digest, "size": len(data)},
            ],
        }


@pytest.mark.parametrize(
    ("word", "there"),
    [
        ("ollama:qwen3", "library/qwen3:latest"),
        ("ollama:qwen3:8b", "library/qwen3:8b"),
        ("ollama/somebody/mine:q8", "somebody/mine:q8"),
    ],
)
async def test_the_library_of_ollama(
    word: str, there: str, home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Library(hubs.cdn_url) as library:
        home.settings.set("hub.ollama", library.url)
        library.add(there, hubs.cdn, model(24))
        found = await names.find(word, home, http)
        assert (found.name, found.kind) == (word[len("ollama:") :], "gguf")
        assert found.stored is not None
        assert found.stored > 23 * MiB
        assert hubs.cdn.sent == MiB
        error = await refusal("ollama:nobody", home, http)
    assert isinstance(error, NotHere)
    assert error.message == "neither the Ollama of this machine nor its library has nobody"
    assert "https://ollama.com/library" in error.next_step


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        {},
        {"layers": "x"},
        {"layers": [3]},
        {"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../x"}]},
        {"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": 5}]},
    ],
)
async def test_a_manifest_that_is_none(
    manifest: Any, home: Home, http: Http, hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Library(hubs.cdn_url) as library:
        home.settings.set("hub.ollama", library.url)
        library.manifests["library/qwen3:latest"] = manifest
        error = await refusal("ollama:qwen3", home, http)
    assert error.code == "lab.no-ollama-model"


async def test_no_name_of_ollamas(home: Home, http: Http) -> None:
    for word in ("ollama:", "ollama:a b", "ollama:../../x?y", "ollama:a/b/c/d/e"):
        error = await refusal(word, home, http)
        assert (type(error), error.code) == (BadInput, "lab.unknown-name")


def test_the_library_has_the_names_of_all_architectures_that_it_loads() -> None:
    from lab import zoo
    from millstream.lab import library

    library.path()
    known = {architecture for architecture, _ in (zoo.SMALL | zoo.REAL).values()}
    assert not any(map(library.lacks, known))
    assert library.lacks("xlama")
    assert library.lacks("lllll")  # as many a symbol of C++ ends
    assert library.lacks("llama_model_llama")
