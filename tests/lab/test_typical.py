"""What "7b" means: sizes in words, and the well-known model whose shape stands for one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.configs import PUBLISHED
from millstream.lab import typical
from millstream.lab.weigh import weigh
from millstream.models.footprint import Use
from millstream.models.recommended import RECOMMENDED

# Parameters as the hubs have them.
KNOWN = {
    "SmolLM2-135M": 134_515_008,
    "SmolLM2-360M": 361_821_120,
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3.2-1B": 1_235_814_400,
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen3-1.7B": 1_720_574_976,
    "Llama-3.2-3B": 3_212_749_824,
    "Qwen3-4B": 4_022_468_096,
    "Mistral-7B-v0.3": 7_248_023_552,
    "Llama-3.1-8B": 8_030_261_248,
    "Qwen3-8B": 8_190_735_360,
    "Llama-2-13B": 13_015_864_320,
    "Qwen3-14B": 14_768_307_200,
    "Qwen3-30B-A3B": 30_532_122_624,
    "Qwen3-32B": 32_762_123_264,
    "Llama-3.1-70B": 70_553_706_496,
    "Qwen2.5-72B": 72_706_203_648,
    "Llama-3.1-405B": 405_853_388_800,
}


@pytest.mark.parametrize("name", KNOWN)
def test_well_known_models_have_their_published_size(name: str) -> None:
    for word in (name, name.lower(), f"{name}-Instruct"):
        header = typical.named(word)
        assert header is not None
        assert header.parameters == KNOWN[name]


def test_the_list_is_whole() -> None:
    assert set(KNOWN) == set(typical._KNOWN)
    assert typical.named("Llama-3.1") is None
    for model in RECOMMENDED:  # the list of recommendations needs all of them
        assert typical.named("SmolLM2-135M" if not model.repository else model.name)


def test_shapes_agree_with_the_configs() -> None:
    for name, (parameters, _) in PUBLISHED.items():
        if (header := typical.named(name)) is not None:
            assert header.parameters == parameters


@pytest.mark.parametrize(
    ("text", "size"),
    [("7b", 7.0), ("7B", 7.0), (" 72B ", 72.0), ("0.6b", 0.6), ("360m", 0.36), ("1.7 b", 1.7),
     ("405B", 405.0), ("50M", 0.05)],
)  # fmt: skip
def test_sizes_in_words(text: str, size: float) -> None:
    assert typical.billions(text) == pytest.approx(size)


@pytest.mark.parametrize(
    "text",
    ["7", "b", "7bb", "7b-chat", "qwen3-8b", "-7b", "0b", "0.01b", "5000b", "7k", "", "７b0"],
)
def test_words_that_are_no_size(text: str) -> None:
    assert typical.billions(text) is None


@pytest.mark.parametrize(
    ("size", "name"),
    [(7, "Mistral-7B-v0.3"), (8, "Llama-3.1-8B"), (72, "Qwen2.5-72B"), (0.6, "Qwen3-0.6B"),
     (0.135, "SmolLM2-135M"), (30, "Qwen3-32B"), (13, "Llama-2-13B")],
)  # fmt: skip
def test_a_size_stands_for_a_model(size: float, name: str) -> None:
    assert typical.header(size)[1] == name


@given(st.floats(0.05, 2000))
@example(1.0)
@example(3.0)
def test_any_size_is_nearly_met(size: float) -> None:
    """By more or fewer layers of the nearest model; of a very small one a layer is a lot, and what
    is sold as 1B has 1.24 billion weights."""
    header, name = typical.header(size)
    assert header.parameters == pytest.approx(size * 1e9, rel=0.27 if size < 1.1 else 0.1)
    assert name in KNOWN
    assert not any("_exps" in tensor.name for tensor in header.tensors)  # none of experts


async def test_llama_cpp_takes_a_size() -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp is the judge here")
    for size in (0.36, 7, 20, 72):
        header, _ = typical.header(size)
        said = await weigh([header], [Use(context=1024)])
        assert said.size == header.weight_bytes
