"""One model in every precision, beside what people quote; and on cards as others report them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.configs import PUBLISHED
from millstream.base import BadInput, set_language
from millstream.lab import config, typical
from millstream.lab.fit import Fit, fit
from millstream.lab.hardware import Gpu, Machine, of_metal, of_nvidia, of_rocm
from millstream.lab.mixes import DEFAULTS, NEED_IMATRIX, plan_types, retyped
from millstream.lab.names import Model
from millstream.lab.precision import ALL, PLAIN, as_it_is, in_precision, quote
from millstream.models.footprint import Use, footprint, repack_bytes
from millstream.models.gguf import TYPES, Header

GB = 10**9


def header(name: str, quantization: str = "") -> Header:
    made = typical.named(name) or config.header(PUBLISHED[name][1])
    if quantization:
        tensors = retyped(made, quantization)
        made = Header(name, 3, made.metadata, tensors, 0, lambda offset, length: b"")
    return made


def model(name: str, quantization: str = "") -> Model:
    return Model(name, name, (header(name, quantization),), "config")


def made(of: Model, *gpus: Gpu, free: float = 64 * GB, use: Use | None = None,
         labels: Any = (), usable: tuple[str, ...] = ("cuda", "rocm", "metal")) -> Fit:  # fmt: skip
    here = Machine("a processor", 8, 64 * GB, int(free), gpus, usable)
    return fit(of, use or Use(context=4096), here, labels=labels)


# ---------------------------------------------------------------------------------------- bits


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "SmolLM2-135M", "Qwen3-30B-A3B", "mamba-130m"])
@pytest.mark.parametrize("label", ALL)
def test_bits_are_size_by_parameters(name: str, label: str) -> None:
    of = header(name)
    found = in_precision(of, of.tensors, label)
    if found.impossible:
        assert (found.weights, found.bits, found.types) == (0, 0.0, {})
        return
    assert sum(found.types.values()) == found.weights
    assert found.bits == pytest.approx(8 * found.weights / of.parameters)
    if label in DEFAULTS:
        tensors = retyped(of, label)
        assert found.weights == sum(tensor.size for tensor in tensors)


def test_what_needs_an_importance_matrix() -> None:
    of = header("Llama-3.1-8B")
    found = [label for label in ALL if in_precision(of, of.tensors, label).imatrix]
    assert set(NEED_IMATRIX) <= set(found) <= {*NEED_IMATRIX, "IQ3_XS"}


def test_plain_precisions_by_hand() -> None:
    """A row of 64 in 8 bits has a scale of 32 bits; a group of 128 in 4 bits one of 16 and a zero
    of 4, a started group too. Tables, head and norms stay in 16 bits."""
    said = PUBLISHED["SmolLM2-135M"][1] | {
        "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 192, "vocab_size": 100,
        "num_attention_heads": 1, "num_key_value_heads": 1,
    }  # fmt: skip
    of = config.header(said)
    outside = 100 * 64 + 3 * 64
    inside = 4 * 64 * 64 + 3 * 64 * 192
    assert of.parameters == outside + inside
    rows = 4 * 64 + 2 * 192 + 64  # of 64, of 64, of 192 numbers
    groups = 4 * 64 + 2 * 192 + 2 * 64
    found = {label: in_precision(of, of.tensors, label).weights for label in PLAIN}
    assert found == {
        "FP32": 4 * (outside + inside),
        "FP16": 2 * (outside + inside),
        "INT8": 2 * outside + inside + 4 * rows,
        "INT4": 2 * outside + inside // 2 + groups * 2 + groups // 2,
    }


def test_what_falls_back() -> None:
    """Rows of 576 are no multiple of 256: 180 of the 272 tensors of SmolLM2 can't be what the
    mix wants, and four bits are six."""
    of = header("SmolLM2-135M")
    assert len(of.tensors) == 272
    found = in_precision(of, of.tensors, "Q4_K_M")
    assert sum(fall.tensors for fall in found.fallbacks) == 180
    assert {(fall.wanted, fall.taken) for fall in found.fallbacks} == {
        ("Q4_K", "Q5_0"), ("Q6_K", "Q8_0"),
    }  # fmt: skip
    assert found.bits == pytest.approx(6.17, abs=0.01)
    assert in_precision(of, of.tensors, "IQ4_XS").bits == pytest.approx(5.32, abs=0.01)
    wide = header("Llama-3.1-8B")
    assert in_precision(wide, wide.tensors, "Q4_K_M").fallbacks == ()


def test_a_file_as_it_is() -> None:
    of = header("Llama-3.1-8B", "Q4_K_M")
    found = as_it_is([of])
    asked = in_precision(header("Llama-3.1-8B"), header("Llama-3.1-8B").tensors, "Q4_K_M")
    assert (found.weights, found.types) == (asked.weights, asked.types)
    assert found.bits == pytest.approx(of.bits_per_weight)


def test_a_type_that_nobody_knows() -> None:
    of = header("SmolLM2-135M")
    found = in_precision(of, of.tensors, "Q9_Z")
    assert found.impossible == "'Q9_Z' is no type of GGUF files"
    (row,) = made(model("SmolLM2-135M"), labels=("Q9_Z",)).rows
    assert (row.total, row.fits, row.reasons) == (0, None, ())


# --------------------------------------------------------------------------------- rules of thumb


def test_rules_of_thumb_for_seven_billion() -> None:
    """28, 14, 7 and 3.5 GB of weights; 40 to 50 GB for running in 32 bits."""
    rules = {label: quote(label, 7e9) for label in PLAIN}
    assert [rule.weights / GB for rule in rules.values() if rule] == [28, 14, 7, 3.5]
    whole = rules["FP32"]
    assert whole is not None
    assert (whole.low, whole.high) == (40 * GB, 50 * GB)
    assert quote("Q6_K", 7e9) is None


def test_rules_of_thumb_for_seventy_two_billion() -> None:
    """350–400, 175–200 and 85–100 GB, which is 1.2 to 1.4 times the weights."""
    for label, low, high in (("FP32", 350, 400), ("FP16", 175, 200), ("INT8", 85, 100)):
        rule = quote(label, 72e9)
        assert rule is not None
        assert rule.low / GB == pytest.approx(low, rel=0.02)
        assert rule.high / GB == pytest.approx(high, rel=0.02)


def keys(found: Fit, label: str) -> list[str]:
    (row,) = [row for row in found.rows if row.precision.label == label]
    return [reason.key.removeprefix("lab.reason-") for reason in row.reasons]


def test_why_a_rule_is_off() -> None:
    found = made(model("Qwen2.5-72B"), labels=PLAIN, use=Use(context=32768))
    # 72.7 billion are near enough to 72; grouped heads need 11 GB for 32,768 tokens, no more.
    assert keys(found, "FP32") == keys(found, "FP16") == ["running"]
    assert keys(found, "INT8") == ["bits", "running"] or keys(found, "INT8") == ["running"]
    assert found.memory.cache == 80 * 2 * 8 * 128 * 2 * 32768
    assert found.memory.total / GB == pytest.approx(157, rel=0.02)


def test_a_rule_that_holds_needs_no_reason() -> None:
    """Many heads and a long context: a third more for running."""
    found = made(model("Llama-2-7b"), labels=("FP16",), use=Use(context=4096, slots=2))
    assert keys(found, "FP16") == []
    (row,) = found.rows
    quoted = row.precision.quoted
    assert quoted is not None
    assert quoted.weights == 14 * GB  # of the seven billion in its name
    assert quoted.low <= row.total <= quoted.high


def test_a_second_copy_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    of = model("Llama-3.1-8B")
    found = made(of, labels=("Q4_K_M",), use=Use(context=8192))
    assert keys(found, "Q4_K_M") == ["bits", "copy"]
    (row,) = found.rows
    assert row.precision.repack == repack_bytes([header("Llama-3.1-8B", "Q4_K_M")])
    copy = row.reasons[-1]
    assert copy.text.startswith("a second copy of 3.4 GB in the order")
    set_language("zh")
    assert copy.text == "另有 3.4 GB 权重按本处理器计算最快的顺序再存一份"
    without = made(of, labels=("Q4_K_M",), use=Use(context=8192, repack=False))
    assert without.rows[0].total == row.total - row.precision.repack
    assert "copy" not in keys(without, "Q4_K_M")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert made(of, labels=("Q4_K_M",)).rows[0].precision.repack == 0


@settings(max_examples=25)
@given(
    name=st.sampled_from(["Llama-3.1-8B", "Qwen3-0.6B", "gemma-3-1b", "Mixtral-8x7B-v0.1"]),
    label=st.sampled_from(["FP16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K"]),
    context=st.integers(256, 8192),
)
def test_a_row_is_what_a_file_of_that_type_takes(name: str, label: str, context: int) -> None:
    use = Use(context=context)
    (row,) = made(model(name), labels=(label,), use=use).rows
    there = header(name, {"FP16": "F16"}.get(label, label))
    took = footprint([there], use)
    # FP16 counts norms in 16 bits, files have them in 32.
    slack = 4 * sum(t.elements for t in there.tensors if len(t.shape) == 1) + (4 << 20)
    assert row.total == pytest.approx(took.total, abs=slack if label == "FP16" else 0)


# ------------------------------------------------------------------------- cards, as reported


def test_a_card_of_24_gigabytes_takes_14_billion_in_four_bits() -> None:
    (card,) = of_nvidia("NVIDIA GeForce RTX 4090, 24564, 24080\n")
    found = made(model("Qwen3-14B", "Q4_K_M"), card, use=Use(context=8192))
    (one,) = found.offloads
    assert (one.layers, one.all) == (41, 41)
    assert one.context == 40960
    assert one.vram == one.whole < 24080 << 20
    assert [a.text for a in found.advice if "RTX" in a.text] == [
        "NVIDIA GeForce RTX 4090 takes all of it, with up to 40,960 tokens of context"
    ]


def test_the_same_card_takes_a_part_of_it_in_sixteen_bits() -> None:
    (card,) = of_nvidia("NVIDIA GeForce RTX 4090, 24564, 24080\n")
    found = made(model("Qwen3-14B", "F16"), card, use=Use(context=8192))
    (one,) = found.offloads
    assert 20 < one.layers < 41
    assert (one.context, one.experts_outside) == (0, False)
    # What is not on the card is beside it; only the driver's reserve comes on top.
    assert one.vram + one.ram == found.memory.total + (457 << 20)
    assert f"takes {one.layers} of 41 layers" in found.advice[0].text


def test_two_cards_are_told_apart() -> None:
    cards = of_nvidia("Tesla T4, 15360, 15000\nNVIDIA A100-SXM4-80GB, 81920, 80000\n")
    found = made(model("Qwen3-14B", "Q8_0"), *cards)
    small, large = found.offloads
    assert small.layers < small.all == large.layers


def test_experts_outside_need_their_room_in_memory() -> None:
    (card,) = of_nvidia("NVIDIA GeForce RTX 3060, 12288, 11900\n")
    of = model("Qwen3-30B-A3B", "Q4_K_M")
    experts = sum(t.size for t in of.tensors if "_exps." in t.name)
    assert experts > 16 * GB
    use = Use(context=4096, repack=False)
    enough, short = (made(of, card, free=free, use=use) for free in (24 * GB, 12 * GB))
    assert enough.offloads[0].experts_outside
    assert not short.offloads[0].experts_outside
    assert any("-ot" in advice.text for advice in enough.advice)
    assert not any("-ot" in advice.text for advice in short.advice)


def test_a_card_by_amd() -> None:
    report = (
        '{"card0": {"Card Series": "Radeon RX 7900 XTX", "VRAM Total Memory (B)": "25753026560", '
        '"VRAM Total Used Memory (B)": "28467200"}}'
    )
    (card,) = of_rocm(report)
    found = made(model("Qwen3-8B", "Q8_0"), card)
    assert found.offloads[0].layers == found.offloads[0].all
    unused = made(model("Qwen3-8B", "Q8_0"), card, usable=("cuda",))
    assert not unused.offloads[0].usable


def test_memory_that_the_card_shares() -> None:
    """Three quarters of 16 GB: eight billion in 8 bits fit, and take nothing twice."""
    report = (
        '{"SPHardwareDataType": [{"physical_memory": "16 GB", "chip_type": "Apple M2"}], '
        '"SPDisplaysDataType": [{"_name": "kHW_AppleM2Item", "sppci_model": "Apple M2"}]}'
    )
    (card,) = of_metal(report)
    assert card.unified
    found = made(model("Qwen3-8B", "Q8_0"), card, free=12 * GB, use=Use(4096, repack=False))
    (one,) = found.offloads
    assert one.layers == one.all
    assert found.fits is True
    tight = made(model("Qwen3-8B", "F16"), card, free=12 * GB, labels=("Q8_0",))
    assert tight.fits is False  # the card's memory is no more memory
    assert tight.advice[-1].text.startswith("take it in")


def test_a_card_by_vulkan() -> None:
    card = Gpu("Intel Arc A770", "vulkan", 16 * GB, 15 * GB)
    found = made(model("Qwen3-8B", "Q4_K_M"), card, usable=("vulkan",))
    assert found.offloads[0].usable
    assert "Intel Arc A770 takes all of it" in found.advice[0].text


def test_figures_of_cards_are_said_to_be_untested() -> None:
    (card,) = of_nvidia("NVIDIA GeForce RTX 4090, 24564, 24080\n")
    assert "lab.note-gpu-untested" in [n.key for n in made(model("Qwen3-8B"), card).notes]
    assert "lab.note-gpu-untested" not in [n.key for n in made(model("Qwen3-8B")).notes]


def test_what_a_card_lacks_is_counted_with_it() -> None:
    """Too large for memory and card together: the sentence names what both have."""
    (card,) = of_nvidia("Tesla T4, 15360, 15000\n")
    found = made(model("Qwen2.5-72B", "F16"), card, free=16 * GB, labels=("Q8_0", "Q2_K"))
    assert found.fits is False
    (told,) = [a for a in found.advice if a.key == "lab.advice-too-large"]
    assert told.values["free"] == 16 * GB + (15000 << 20) - (457 << 20)


@settings(max_examples=25)
@given(
    free=st.integers(0, 100 * GB),
    name=st.sampled_from(["Qwen3-30B-A3B", "Llama-3.1-8B", "gemma-3-1b", "mamba-130m"]),
    slots=st.integers(1, 4),
)
def test_nothing_is_lost_between_card_and_memory(free: int, name: str, slots: int) -> None:
    card = Gpu("a card", "cuda", free, free)
    found = made(model(name, "Q8_0"), card, use=Use(context=1024, slots=slots))
    (one,) = found.offloads
    tied = not any(t.name == "output.weight" for t in model(name).tensors)
    table = next(t.size for t in model(name, "Q8_0").tensors if t.name == "token_embd.weight")
    twice = (457 << 20) + (table if tied else 0) if one.layers else 0
    assert one.vram + one.ram == found.memory.total + twice
    assert one.vram <= free
    assert not (one.layers == one.all and one.experts_outside)


def test_windows_that_llama_cpp_ignores_are_told() -> None:
    for name, told in (("Phi-3-mini-4k", True), ("Mistral-7B-v0.1", True), ("gemma-2-9b", False),
                       ("Qwen3-8B", False), ("mamba-130m", False)):  # fmt: skip
        notes = [note.key for note in made(model(name)).notes]
        assert ("lab.note-window" in notes) == told


def test_plain_data_for_machines() -> None:
    found = made(model("SmolLM2-135M"), labels=ALL)
    plain = msgspec.json.decode(msgspec.json.encode(found))
    assert plain["memory"]["weights"] == found.memory.weights
    assert {row["precision"]["label"] for row in plain["rows"]} == set(ALL)
    assert set(found.own.types) <= {kind.name for kind in TYPES.values()}


def test_a_type_whose_blocks_do_not_fit_names_those_that_do() -> None:
    of = header("SmolLM2-135M")  # rows of 576 numbers
    with pytest.raises(BadInput, match="do not fit blocks of 128 of the type Q1_0") as caught:
        plan_types(of, "Q1_0")
    text, _, known = caught.value.next_step.partition(": ")
    assert text == "Take one of"
    assert set(known.split(", ")) == {*DEFAULTS} - {"Q1_0"}
    for name in known.split(", "):
        assert plan_types(of, name, imatrix=True)
