"""Quantizing: the same bytes as llama.cpp's own, kept, resumed, refused and cleaned up."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from array import array
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.models import F32, llama, split
from millstream.base import BadInput, Failed, MillstreamError, NotHere
from millstream.home import Home
from millstream.lab import jobs, quantizer
from millstream.lab.convert import command, converted
from millstream.lab.mixes import DEFAULTS, NEED_IMATRIX
from millstream.lab.quantize import Made, Progress, Quantizer, Source, base_name, types_of
from millstream.lab.report import html
from millstream.lab.report.quantize import report
from millstream.lab.rewrite import FILE_TYPES
from millstream.models import gguf
from models.gguf_files import gguf_bytes, tiny

pytest.importorskip("xllamacpp", reason="quantizing needs the extra `local`")

# What llama.cpp's quantizer does with a file, in a process of its own.
REFERENCE = """
import sys
from cyllama.llama import llama_cpp
for name, number, target in zip(*[iter(sys.argv[2:])] * 3):
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype, params.nthread = int(number), 2
    llama_cpp.model_quantize(sys.argv[1], target, params)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "Tiny-F16.gguf")


def quantize(source: Path, target: Any, *types: str, **options: Any) -> list[Any]:
    requantize = options.pop("requantize", False)
    made = Quantizer(Source(source, requantize=requantize), target, **options)
    return asyncio.run(made.run(types))


def directly(source: Path, ftype: str, output: Path, **options: Any) -> bytes:
    """What the worker writes, without a worker."""
    job = jobs.Quantize("m", [str(source)], ftype, str(output), threads=2, **options)
    quantizer.quantize(job, lambda step: None)
    return output.read_bytes()


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ----------------------------------------------------------------------------------- the same bytes


@pytest.mark.slow
@pytest.mark.parametrize("experts", [0, 8])
def test_files_are_llama_cpps_own_to_the_byte(tmp_path: Path, experts: int) -> None:
    pytest.importorskip("cyllama", reason="the package with llama.cpp's quantizer is not here")
    source = llama(tmp_path / "m-F16.gguf", experts=experts, layers=1 if experts else 3)
    # The reference is an older build, which has no Q2_0.
    types = [name for name in DEFAULTS if name not in (*NEED_IMATRIX, "IQ3_XS", "Q2_0")]
    if experts:  # each expert is quantized by itself: some types are enough to see it
        types = ["Q8_0", "Q4_K_M", "Q3_K_L", "Q2_K", "Q4_0", "MXFP4"]
    words = [w for t in types for w in (t, str(FILE_TYPES[t]), str(tmp_path / f"theirs-{t}"))]
    command = [sys.executable, "-c", REFERENCE, str(source), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    for name in types:
        ours = directly(source, name, tmp_path / f"ours-{name}")
        assert ours == (tmp_path / f"theirs-{name}").read_bytes(), name


@pytest.mark.slow
@pytest.mark.model
def test_a_real_model_with_fallbacks(tmp_path: Path, packaged_model: Path) -> None:
    """Rows of 576 numbers: 180 tensors of 272 take another type than their mix says."""
    pytest.importorskip("cyllama", reason="the package with llama.cpp's quantizer is not here")
    source = tmp_path / "smol-F16.gguf"
    directly(packaged_model, "F16", source)
    words = ["Q4_K_M", str(FILE_TYPES["Q4_K_M"]), str(tmp_path / "theirs")]
    command = [sys.executable, "-c", REFERENCE, str(source), *words]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (made,) = quantize(source, tmp_path, "Q4_K_M")
    assert len(made.fallbacks) == 180
    assert made.bits == pytest.approx(6.17, abs=0.01)
    assert checksum(Path(made.path)) == checksum(tmp_path / "theirs") == made.sha256


def test_a_model_in_several_files_becomes_one(tmp_path: Path, source: Path) -> None:
    first = split(source, tmp_path, 3)
    assert first.name == "Tiny-F16-00001-of-00003.gguf"
    (made,) = quantize(first, tmp_path / "out", "Q8_0")
    assert made.name == "Tiny-Q8_0"
    assert Path(made.path).read_bytes() == directly(source, "Q8_0", tmp_path / "whole")


def test_from_16_to_32_bits_and_back_nothing_is_lost(tmp_path: Path, source: Path) -> None:
    directly(source, "F32", tmp_path / "wide.gguf")
    back = directly(tmp_path / "wide.gguf", "F16", tmp_path / "back.gguf")
    assert back == directly(source, "F16", tmp_path / "copy.gguf")


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).map(lambda name: "x." + name.replace("\x00", "")),
        st.one_of(
            st.tuples(st.just(8), st.text(max_size=50)),
            st.tuples(st.just(4), st.integers(0, 2**32 - 1)),
            st.tuples(st.just(7), st.booleans()),
            st.tuples(st.just(9), st.tuples(st.just(5), st.lists(st.integers(-9, 9), max_size=9))),
            st.tuples(st.just(9), st.tuples(st.just(8), st.lists(st.text(max_size=9), max_size=5))),
        ),
        max_size=8,
    )
)
def test_metadata_is_kept_as_it_is(tmp_path_factory: pytest.TempPathFactory, more: Any) -> None:
    file = tmp_path_factory.mktemp("kept") / "m.gguf"
    known = {"general.architecture": (8, "llama"), "general.file_type": (4, 1)}
    tensors = [("blk.0.attn_q.weight", (32, 2), F32, 0)]
    file.write_bytes(gguf_bytes({**known, **more}, tensors, data=256))
    directly(file, "Q8_0", file.with_suffix(".out"))
    before, after = gguf.read(file), gguf.read(file.with_suffix(".out"))
    assert after.metadata["general.file_type"] == FILE_TYPES["Q8_0"]
    for key in more:
        assert before.values(key) == after.values(key)
        if not isinstance(before.metadata[key], gguf.Array):
            assert before.metadata[key] == after.metadata[key]


def test_labels_and_numbers_of_file_types_agree(tmp_path: Path) -> None:
    for name, number in FILE_TYPES.items():
        file = tmp_path / "m.gguf"
        file.write_bytes(tiny(general__file_type=(4, number)))
        assert gguf.read(file).quantization == name
    assert set(DEFAULTS) == set(FILE_TYPES)


# -------------------------------------------------------------------------------- kept and resumed


def test_what_is_finished_is_kept(tmp_path: Path, source: Path) -> None:
    first = quantize(source, tmp_path, "Q8_0", "Q4_K_M")
    assert [made.kept for made in first] == [False, False]
    assert [made.types for made in first][1] == {"F32": 9, "Q4_K": 25, "Q6_K": 5}
    second = quantize(source, tmp_path, "Q8_0", "Q4_K_M", "Q6_K")
    assert [made.kept for made in second] == [True, True, False]
    assert second[0].sha256 == first[0].sha256 == checksum(Path(first[0].path))


def test_a_file_of_another_source_is_not_taken_for_the_same(tmp_path: Path, source: Path) -> None:
    quantize(source, tmp_path / "out", "Q8_0")
    other = llama(tmp_path / source.name, seed=2)
    with pytest.raises(BadInput) as caught:
        quantize(other, tmp_path / "out", "Q8_0")
    assert "was made of something else" in caught.value.message
    assert "--force" in caught.value.next_step
    (made,) = quantize(other, tmp_path / "out", "Q8_0", replace=True)
    assert not made.kept


def test_a_damaged_result_is_noticed(tmp_path: Path, source: Path) -> None:
    (made,) = quantize(source, tmp_path, "Q8_0")
    with open(made.path, "r+b") as file:
        file.seek(made.size // 2)
        file.write(b"\xff\xff\xff")
    with pytest.raises(BadInput) as caught:
        quantize(source, tmp_path, "Q8_0")
    assert "checksum" in caught.value.message


def test_on_the_shelf(tmp_path: Path, source: Path) -> None:
    home = Home.open(tmp_path / "home")
    (made,) = quantize(source, home.shelf, "Q4_0", made_from="hf:org/repo")
    kept = home.shelf.get("tiny-q4_0")
    assert (kept.name, kept.quantization, kept.licence) == ("Tiny-Q4_0", "Q4_0", "cc0-1.0")
    assert (kept.sha256, kept.source) == (made.sha256, "hf:org/repo")
    assert quantize(source, home.shelf, "Q4_0")[0].kept


def test_the_source_is_only_read(tmp_path: Path) -> None:
    source = llama(tmp_path / "Tiny-F16.gguf")
    before, stamp = checksum(source), source.stat().st_mtime_ns
    os.chmod(source, 0o400)
    quantize(source, tmp_path / "out", "Q8_0", "Q2_K")
    assert (checksum(source), source.stat().st_mtime_ns) == (before, stamp)
    with pytest.raises(BadInput) as caught:
        quantize(source, source, "F16", replace=True)
    assert "the source itself" in caught.value.message
    assert checksum(source) == before


def test_a_cancel_leaves_nothing_half_done(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"

    async def cancelled() -> None:
        async def work() -> None:
            await Quantizer(Source(source), out).run(["Q8_0", "IQ4_XS"], listen)

        def listen(progress: Progress) -> None:
            if progress.type == "IQ4_XS":
                task.cancel()

        task = asyncio.create_task(work())
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert sorted(file.name for file in out.iterdir()) == ["Tiny-Q8_0.gguf", "Tiny-Q8_0.gguf.json"]


def test_a_partial_file_of_a_killed_run_is_removed(tmp_path: Path, source: Path) -> None:
    (tmp_path / ".Tiny-Q8_0.gguf.part").write_bytes(b"half")
    quantize(source, tmp_path, "Q8_0")
    assert not (tmp_path / ".Tiny-Q8_0.gguf.part").exists()


def test_a_worker_that_dies_is_an_error_with_a_reason(tmp_path: Path, source: Path) -> None:
    big = llama(tmp_path / "Big-F16.gguf", layers=24)

    def kill(progress: Progress) -> None:
        me = os.getpid()
        for child in Path(f"/proc/{me}/task/{me}/children").read_text().split():
            os.kill(int(child), 6)

    if not Path("/proc/self/task").exists():
        pytest.skip("this system doesn't list a process's children")
    with pytest.raises(Failed) as caught:
        asyncio.run(Quantizer(Source(big), tmp_path / "out").run(["IQ4_XS"], kill))
    assert caught.value.message.endswith("(SIGABRT) and did not say why")
    assert list((tmp_path / "out").iterdir()) == []


# ------------------------------------------------------------------------------------- names, types


def test_types_by_many_names() -> None:
    assert types_of("q4_k_m, Q8_0,INT4") == ["Q4_K_M", "Q8_0"]
    assert types_of("fp16") == ["F16"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct-F16.gguf", "SmolLM2-135M-Instruct"),
        ("Qwen3-0.6B.BF16.gguf", "Qwen3-0.6B"),
        ("phi-3-mini-q4_k_m.gguf", "phi-3-mini"),
        ("model-00001-of-00004.gguf", "model"),
        ("my model (1).gguf", "my-model-1"),
        ("F16.gguf", "F16"),
        ("小 模型-F16.gguf", "小-模型"),
        ("大-F16.gguf", "大"),
        ("मॉडल?-F16.gguf", "मॉडल"),
        ("(1)-.gguf", "1"),
    ],
)
def test_a_name_without_its_label(file: str, name: str) -> None:
    assert base_name(Path(file)) == name


def test_names_of_other_scripts_are_kept_on_the_shelf(tmp_path: Path, source: Path) -> None:
    shelf = Home.open(tmp_path / "home").shelf
    for seed, name in enumerate(("小 模型", "大")):
        quantize(llama(tmp_path / f"{name}-F16.gguf", seed=seed), shelf, "Q4_0")
    assert [model.name for model in shelf.list()] == ["大-Q4_0", "小-模型-Q4_0"]
    assert shelf.get("小-模型-q4_0").path.is_file()


# ---------------------------------------------------------------------------------------- bad input


def test_a_quantized_source_is_refused_with_the_reason(tmp_path: Path, source: Path) -> None:
    (made,) = quantize(source, tmp_path, "Q8_0")
    with pytest.raises(BadInput) as caught:
        Source(Path(made.path))
    assert "quantized already (30 × Q8_0)" in caught.value.message
    assert "adds the loss of both" in caught.value.message
    assert "--allow-requantize" in caught.value.next_step
    (again,) = quantize(Path(made.path), tmp_path / "again", "Q4_0", requantize=True)
    assert again.name == "Tiny-Q4_0"


def test_types_that_need_an_importance_matrix_say_so_first(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadInput) as caught:
        quantize(source, tmp_path / "out", "Q8_0", "IQ2_XS")
    assert "IQ2_XS" in caught.value.message
    assert "--imatrix" in caught.value.next_step
    assert not (tmp_path / "out").exists()


def test_damaged_sources(tmp_path: Path, source: Path) -> None:
    data = source.read_bytes()
    cases = {
        "gguf.truncated": data[: len(data) // 2],
        "gguf.damaged": data[:100],
        "gguf.not-gguf": b"PK\x03\x04" + data[4:],
        "gguf.empty": b"",
        "quantize.no-tensors": gguf_bytes({"general.architecture": (8, "llama")}),
        "quantize.unknown-type": gguf_bytes(
            {"general.architecture": (8, "llama")}, [("a.weight", (32, 2), 99, 0)], data=256
        ),
    }
    for code, content in cases.items():
        file = tmp_path / "bad.gguf"
        file.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            Source(file)
        assert caught.value.code == code
        assert caught.value.next_step
    with pytest.raises(BadInput, match="missing"):
        Source(tmp_path / "nowhere-00001-of-00002.gguf")


def test_weights_that_are_no_numbers(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "nan-F16.gguf"
    data = bytearray(source.read_bytes())
    header = gguf.read(source)
    tensor = next(t for t in header.tensors if t.name == "blk.2.ffn_up.weight")
    struct.pack_into("<e", data, header.data_offset + tensor.offset + 1000, math.nan)
    file.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        quantize(file, tmp_path / "out", "Q4_0")
    assert "blk.2.ffn_up.weight" in caught.value.message
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_that_shrinks_meanwhile(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "short-F16.gguf"
    shutil.copyfile(source, file)
    plan = Quantizer(Source(file), tmp_path / "out")
    os.truncate(file, file.stat().st_size - 4096)
    with pytest.raises(BadInput) as caught:
        asyncio.run(plan.run(["Q8_0"]))
    assert caught.value.code == "gguf.truncated"


def test_no_room_on_the_disk(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(NotHere) as caught:
        quantize(source, tmp_path / "out", "Q8_0")
    assert "of which 16,777,216 stay free; 1,000 are free" in caught.value.message
    assert "fewer types" not in caught.value.next_step
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(NotHere) as caught:
        quantize(source, tmp_path / "out", "Q8_0", "Q4_0")
    assert "ask for fewer types" in caught.value.next_step


def test_a_file_that_stands_in_the_way_is_left_alone(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "taken.gguf"
    file.write_text("mine")
    job = jobs.Quantize("m", [str(source)], "Q8_0", str(file), threads=1)
    with pytest.raises(MillstreamError, match="cannot be written"):
        asyncio.run(jobs.run(job))
    assert file.read_text() == "mine"


def test_a_folder_that_only_lets_itself_be_read(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(Failed) as caught:
        quantize(source, tmp_path / "out", "Q8_0")
    assert caught.value.message == f"{tmp_path / 'out'} cannot be written: Read-only file system"


def test_several_types_do_not_go_into_one_file(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadInput, match="cannot go into the one file"):
        quantize(source, tmp_path / "x.gguf", "Q8_0", "Q4_0")
    (made,) = quantize(source, tmp_path / "x.gguf", "Q8_0")
    assert made.path == str(tmp_path / "x.gguf")
    assert json.loads((tmp_path / "x.gguf.json").read_text())["sha256"] == made.sha256


# ------------------------------------------------------------------------------ importance matrices


def matrix(source: Path, target: Path, *, old: bool = False, columns: int = 0) -> Path:
    """A matrix for every tensor that one is for, in the GGUF form or the older one."""
    names = [t for t in gguf.read(source).tensors if len(t.shape) > 1 and t.name[:3] == "blk"]
    rows = {t.name: [1.0 + n % 7 for n in range(columns or t.shape[0])] for t in names}
    if old:
        out = struct.pack("<i", len(rows))
        for name, row in rows.items():
            out += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 4, len(row))
            out += struct.pack(f"<{len(row)}f", *(4 * value for value in row))
        target.write_bytes(out + struct.pack("<ii", 9, 8) + b"text.txt")
        return target
    table, data = [], b""
    for name, row in rows.items():
        table.append((f"{name}.in_sum2", (len(row), 1), F32, len(data)))
        data += struct.pack(f"<{len(row)}f", *(2 * value for value in row))
        table.append((f"{name}.counts", (1, 1), F32, len(data)))
        data += struct.pack("<f", 2.0) + bytes(28)
    about = {
        "general.type": (8, "imatrix"),
        "imatrix.datasets": (9, (8, ["text.txt"])),
        "imatrix.chunk_count": (4, 9),
    }
    target.write_bytes(gguf_bytes(about, table) + data)
    return target


def test_both_forms_of_an_importance_matrix_say_the_same(tmp_path: Path, source: Path) -> None:
    new = quantizer.read_imatrix(matrix(source, tmp_path / "m.gguf"))
    old = quantizer.read_imatrix(matrix(source, tmp_path / "m.dat", old=True))
    assert new.rows == old.rows
    assert (new.chunks, new.datasets) == (old.chunks, old.datasets) == (9, ["text.txt"])
    assert new.rows["blk.0.attn_q.weight"] == array("f", [1.0 + n % 7 for n in range(256)])


def test_an_importance_matrix_makes_small_types_possible(tmp_path: Path, source: Path) -> None:
    weights = matrix(source, tmp_path / "importance.gguf")
    (with_it,) = quantize(source, tmp_path / "with", "IQ2_XS", imatrix=weights)
    said = gguf.read(with_it.path).metadata
    assert said["quantize.imatrix.file"] == "importance.gguf"  # and not where it was
    assert said["quantize.imatrix.chunks_count"] == 9
    (plain,) = quantize(source, tmp_path / "plain", "Q4_K_S")
    (better,) = quantize(source, tmp_path / "better", "Q4_K_S", imatrix=weights)
    assert plain.sha256 != better.sha256
    again = Quantizer(Source(source), tmp_path / "better")
    with pytest.raises(BadInput, match="made of something else"):
        asyncio.run(again.run(["Q4_K_S"]))


def test_an_importance_matrix_of_another_model(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadInput) as caught:
        quantize(source, tmp_path, "Q4_0", imatrix=matrix(source, tmp_path / "m", columns=40))
    assert "is of another model" in caught.value.message


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_matrix(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "m.dat"
    file.write_bytes(data)
    with pytest.raises(BadInput):
        quantizer.read_imatrix(file)


def test_the_manifest_is_one_of_the_shelf(tmp_path: Path, source: Path) -> None:
    """Keys that only this room knows do not disturb the shelf."""
    home = Home.open(tmp_path)
    quantize(source, home.shelf, "Q8_0")
    import msgspec

    made = msgspec.json.decode((home.shelf.path / "Tiny-Q8_0.json").read_bytes(), type=Made)
    assert made.quantizer.startswith("xllamacpp ")
    assert made.size == home.shelf.get("Tiny-Q8_0").size


# ------------------------------------------------------------------------------------- safetensors

# A converter as a person may have one: the same options, a GGUF file that is there already.
CONVERTER = """
import shutil, sys, time
folder, _, kind, _, target = sys.argv[1:]
print("INFO: loading", folder)
{does}
"""


def folder_of_safetensors(place: Path) -> Path:
    folder = place / "Tiny"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
            "intermediate_size": 64, "vocab_size": 32, "max_position_embeddings": 64,
        })
    )  # fmt: skip
    head = json.dumps(
        {"model.norm.weight": {"dtype": "F16", "shape": [64], "data_offsets": [0, 128]}}
    ).encode()
    data = struct.pack("<Q", len(head)) + head + bytes(128)
    (folder / "model.safetensors").write_bytes(data)
    return folder


def converter(place: Path, does: str) -> str:
    (place / "convert.py").write_text(CONVERTER.format(does=does))
    return str(place / "convert.py")


def test_a_folder_is_converted_and_the_passing_file_goes(tmp_path: Path, source: Path) -> None:
    folder = folder_of_safetensors(tmp_path)
    does = f"shutil.copyfile({str(source)!r}, target); time.sleep(0.5)"
    told: list[tuple[int, int]] = []

    async def work() -> list[Any]:
        program = converter(tmp_path, does)
        async with converted(folder, tmp_path / "out", program, lambda *n: told.append(n)) as file:
            assert file.name == "Tiny.gguf"
            return await Quantizer(Source(file), tmp_path / "out").run(["Q8_0"])

    (made,) = asyncio.run(work())
    assert made.name == "Tiny-Q8_0"
    assert told
    assert {total for _, total in told} == {(folder / "model.safetensors").stat().st_size}
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["Tiny-Q8_0.gguf", "Tiny-Q8_0.gguf.json"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "out").stat().st_mode == plain.stat().st_mode  # a person named it


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("raise SystemExit('Model Foo is not supported')", "Model Foo is not supported"),
        ("print('all is well')", "all is well"),
        ("import os; os.kill(os.getpid(), 9)", "it was ended by SIGKILL"),
        ("import os; os._exit(3)", "it ended with exit code 3 and did not say why"),
    ],
)
def test_a_converter_that_fails_says_why(tmp_path: Path, does: str, words: str) -> None:
    async def work() -> None:
        program = converter(tmp_path, does)
        async with converted(folder_of_safetensors(tmp_path), tmp_path / "out", program):
            pass

    with pytest.raises(Failed) as caught:
        asyncio.run(work())
    assert words in caught.value.message
    assert "Tiny" in caught.value.message
    assert ".passing-" not in caught.value.next_step  # that folder is gone: it could not be run
    assert list((tmp_path / "out").iterdir()) == []


def test_a_converter_may_be_a_script_for_another_python(tmp_path: Path, source: Path) -> None:
    does = f"shutil.copyfile({str(source)!r}, target)"

    async def work(program: str) -> Path:
        async with converted(folder_of_safetensors(tmp_path), tmp_path / "out", program) as file:
            return file

    script = converter(tmp_path, does)
    other = tmp_path / "another Python"
    other.symlink_to(sys.executable)
    assert asyncio.run(work(f"'{other}' {script}")).name == "Tiny.gguf"


def test_what_the_python_of_a_converter_lacks_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        program = converter(tmp_path, "import a_torch_that_is_not_here")
        async with converted(folder_of_safetensors(tmp_path), tmp_path / "out", program):
            pass

    with pytest.raises(Failed, match="a_torch_that_is_not_here") as caught:
        asyncio.run(work())
    assert "millstream[convert]" in caught.value.next_step
    assert "/path/to/python" in caught.value.next_step


def test_without_a_converter_its_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    if command():
        pytest.skip("a converter is installed in this environment")

    async def work() -> None:
        async with converted(folder_of_safetensors(tmp_path), tmp_path / "out"):
            pass

    with pytest.raises(NotHere) as caught:
        asyncio.run(work())
    assert "millstream[convert]" in caught.value.next_step
    assert not (tmp_path / "out").exists()


def test_a_conversion_needs_room_and_sweeps_after_the_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_safetensors(tmp_path)
    left, mine = tmp_path / "out" / ".passing-4194305-x", tmp_path / "out" / ".passing-1-x"
    for each in (left, mine):
        each.mkdir(parents=True)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))

    async def work() -> None:
        async with converted(folder, tmp_path / "out", converter(tmp_path, "")):
            pass

    with pytest.raises(NotHere, match="1,000 are free"):
        asyncio.run(work())
    assert not left.exists()  # no process has that number
    assert mine.exists()


@pytest.mark.slow
def test_the_packages_own_converter(tmp_path: Path) -> None:
    """Where the extra `convert` is installed: it refuses what is no model in its own words."""
    if not command():
        pytest.skip("the extra `convert` is not installed")

    async def work() -> None:
        async with converted(folder_of_safetensors(tmp_path), tmp_path / "out"):
            pass

    with pytest.raises(Failed) as caught:
        asyncio.run(work())
    assert caught.value.code == "quantize.converter-failed"


# ------------------------------------------------------------------------------------- the report


def test_a_report_of_what_was_made(tmp_path: Path) -> None:
    source = tmp_path / "odd-F32.gguf"
    tensors = [
        ("blk.0.attn_q.weight", (96, 2), F32, 0),
        ("blk.0.attn_k.weight", (256, 1), F32, 768),
    ]
    source.write_bytes(gguf_bytes({"general.architecture": (8, "llama")}, tensors, data=1792))
    made = quantize(source, tmp_path, "Q8_0", "Q4_K_M")
    text = html.render(report(made, Source(source)))
    assert made[1].sha256 in text
    assert f"{len(made[1].fallbacks)}/{sum(made[1].types.values())}" in text
    assert "next larger type" in text
    plans = Quantizer(Source(source), tmp_path).plans(["Q8_0"])
    assert "sha" not in html.render(report(plans, Source(source))).lower().split("<body>")[1]
