"""What fits: sums are those of their parts, limits are where they are said to be, advice helps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.configs import PUBLISHED
from lab.speeds import calibrated
from millstream.base import set_language
from millstream.lab import config, typical
from millstream.lab.fit import Fit, capacity, fit, offload, shown
from millstream.lab.hardware import Gpu, Machine
from millstream.lab.mixes import retyped
from millstream.lab.names import Model
from millstream.lab.precision import ALL, in_precision, quote
from millstream.lab.report import fit as words
from millstream.lab.training import Training
from millstream.models.footprint import CacheType, Use, footprint
from millstream.models.gguf import Header
from millstream.models.shape import shape

GB = 10**9
LARGE = {name for name, (count, _) in PUBLISHED.items() if count > 300e9}
SOME = sorted(set(PUBLISHED) - LARGE)


def model(name: str, quantization: str = "") -> Model:
    """A model of a published shape."""
    header = typical.named(name) or config.header(PUBLISHED[name][1])
    if quantization:
        tensors = retyped(header, quantization)
        header = Header(name, 3, header.metadata, tensors, 0, lambda offset, length: b"")
    return Model(name, name, (header,), "config")


def machine(free: float | None = 64 * GB, *gpus: Gpu, usable: tuple[str, ...] = ()) -> Machine:
    return Machine("a processor", 8, 64 * GB, None if free is None else int(free), gpus, usable)


def card(free: float, backend: Any = "cuda") -> Gpu:
    return Gpu("a card", backend, 24 * GB, int(free), unified=backend == "metal")


def made(name: str, use: Use | None = None, here: Machine | None = None, **more: Any) -> Fit:
    quantization = more.pop("quantization", "")
    more.setdefault("labels", ("FP16", "Q8_0", "Q4_K_M", "Q2_K"))
    return fit(model(name, quantization), use or Use(), here or machine(), **more)


# A machine as `calibrate` would know it: ten gigabytes a second, one hundred GFLOP/s.
SPEED = calibrated(
    ("F16", "Q8_0", "Q4_K"), threads=(1, 2),
    attend_token=1e10, attend_prompt=1e10, rows=1e9, node=1e6,
)  # fmt: skip

_uses = st.builds(
    Use,
    context=st.integers(1, 40000),
    slots=st.integers(1, 16),
    batch=st.sampled_from([1, 32, 128, 512, 2048]),
    keys=st.sampled_from(["F32", "F16", "Q8_0", "Q4_0"]),
    values=st.sampled_from(["F32", "F16", "Q8_0", "Q4_0"]),
    flash=st.booleans(),
)


# ------------------------------------------------------------------------------------------- sums


@settings(max_examples=40)
@given(name=st.sampled_from(SOME), use=_uses)
def test_the_total_is_the_sum_of_its_parts(name: str, use: Use) -> None:
    found = made(name, use, labels=())
    memory = found.memory
    assert sum(part.size for part in found.parts) == memory.weights
    assert sum(part.weights for part in found.parts) == found.parameters
    assert sum(g.keys + g.values for g in found.layers) == memory.cache
    assert sum(g.states for g in found.layers) == memory.states
    items = list(words.memory(found))
    assert sum(item.size for item in items[:-1]) == items[-1].size == memory.total
    numbered = [n for g in found.layers for n in range(g.first, g.last + 1)]
    assert numbered == list(range(len(shape(model(name).header).layers)))


@settings(max_examples=40)
@given(name=st.sampled_from(SOME), use=_uses, more=st.integers(1, 5000))
def test_more_context_and_more_slots_never_take_less(name: str, use: Use, more: int) -> None:
    headers = model(name).headers
    own = footprint(headers, use).total
    longer = msgspec.structs.replace(use, context=use.context + more)
    assert footprint(headers, longer).total >= own
    another = msgspec.structs.replace(use, slots=use.slots + 1)
    assert footprint(headers, another).total >= own


@settings(max_examples=30)
@given(name=st.sampled_from(SOME), share=st.floats(0.1, 3))
def test_the_longest_context_fits_and_the_next_step_does_not(name: str, share: float) -> None:
    of = model(name)
    use = Use(context=2048)
    free = int(share * footprint(of.headers, use).total)
    found = fit(of, use, machine(free), labels=())
    trained = found.trained or 0
    for room in found.room:
        asked = msgspec.structs.replace(use, slots=room.slots, context=room.context)
        assert room.context <= trained
        if room.context:
            assert footprint(of.headers, asked).total <= free
        if room.context < trained:
            longer = min(trained, room.context + 256)
            longer_use = msgspec.structs.replace(asked, context=longer)
            assert footprint(of.headers, longer_use).total > free
    for cell in found.grid:
        assert cell.fits == (cell.total <= free)
    assert found.fits == (found.memory.total <= free)


# --------------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Llama-2-7b", "layers 0–31: keys and values of every token"),
        ("Llama-3.1-8B", "layers 0–31: keys and values of every token, 8 heads for 32 (GQA)"),
        ("gemma-2b", "layers 0–17: keys and values of every token, one head for 8 (MQA)"),
        ("DeepSeek-V2-Lite", "layers 0–26: one latent for each token (MLA)"),
        ("mamba-130m", "layers 0–23: a state for each call, however long"),
    ],
)
def test_what_layers_keep_has_its_name(name: str, said: str) -> None:
    (group,) = words.alike(made(name, labels=()).layers).items()
    assert f"layers {words.numbers(group[1])}: {group[0]}" == said


def test_windows_stand_apart_from_layers_that_see_everything() -> None:
    groups = words.alike(made("gemma-3-1b", Use(context=32768), labels=()).layers)
    assert {kept: words.numbers(many) for kept, many in groups.items()} == {
        "keys and values of a window of 512 tokens, one head for 4 (MQA)": "0–4, 6–10, …, 24–25",
        "keys and values of every token, one head for 4 (MQA)": "5, 11, …, 23",
    }
    window, whole = (sum(g.keys for g in many) for many in groups.values())
    assert window == 22 * 256 * 2 * 768  # a window, a batch more, and the padding
    assert whole == 4 * 256 * 2 * 32768


def test_parts_of_a_model_of_experts() -> None:
    found = made("Qwen3-30B-A3B", labels=())
    parts = {part.part: part for part in found.parts}
    assert set(parts) == {"experts", "routers", "attention", "embeddings", "head", "other"}
    assert parts["experts"].weights == 48 * 128 * 3 * 2048 * 768
    assert parts["routers"].weights == 48 * 128 * 2048
    assert found.active == pytest.approx(3.0e9, rel=0.05)
    assert "; a token takes 3.04 billion of them" in words.about(found)


# ------------------------------------------------------------------------------ precisions, rules


def test_plain_precisions_are_bytes_times_parameters() -> None:
    header = typical.named("Llama-3.1-8B")
    assert header is not None
    count = header.parameters
    sizes = {label: in_precision(header, header.tensors, label).weights for label in ALL}
    assert sizes["FP32"] == 4 * count
    assert sizes["FP16"] == 2 * count
    tables = 2 * 4096 * 128256
    inside = sum(t.elements for t in header.tensors if "blk" in t.name and len(t.shape) > 1)
    norms = count - tables - inside
    rows = sum(t.elements // t.shape[0] for t in header.tensors
               if "blk" in t.name and len(t.shape) > 1)  # fmt: skip
    assert sizes["INT8"] == inside + 4 * rows + 2 * (tables + norms)
    groups = inside // 128
    assert sizes["INT4"] == inside // 2 + groups * 2 + groups // 2 + 2 * (tables + norms)


def test_mixes_have_the_bits_that_llama_cpp_publishes() -> None:
    """Bits a weight of Llama 3.1 8B in the README of llama.cpp's quantizer."""
    header = typical.named("Llama-3.1-8B")
    assert header is not None
    published = {"Q8_0": 8.50, "Q6_K": 6.56, "Q5_K_M": 5.70, "Q5_K_S": 5.57, "Q4_K_M": 4.89,
                 "Q4_K_S": 4.67, "IQ4_NL": 4.68, "IQ4_XS": 4.46, "Q3_K_L": 4.30, "Q3_K_S": 3.64,
                 "Q2_K": 3.16}  # fmt: skip
    found = {label: in_precision(header, header.tensors, label).bits for label in published}
    assert found == {label: pytest.approx(bits, abs=0.012) for label, bits in published.items()}


@pytest.mark.parametrize(
    ("label", "billions", "weights", "low", "high"),
    [
        ("FP32", 7, 28, 40, 50),
        ("FP16", 7, 14, 16.8, 19.6),
        ("INT8", 7, 7, 8.4, 9.8),
        ("INT4", 7, 3.5, 4.2, 4.9),
        # Said of 72 billion: 350–400, 175–200 and 85–100 GB.
        ("FP32", 72, 288, 346, 403),
        ("FP16", 72, 144, 173, 202),
        ("INT8", 72, 72, 86, 101),
    ],
)
def test_the_rules_that_people_quote(
    label: str, billions: float, weights: float, low: float, high: float
) -> None:
    said = quote(label, billions * GB)
    assert said is not None
    assert said.weights == weights * GB
    assert said.low == pytest.approx(low * GB, abs=0.5 * GB)
    assert said.high == pytest.approx(high * GB, abs=0.5 * GB)


def test_a_rule_that_is_off_has_its_reason() -> None:
    found = made("Mistral-7B-v0.3", Use(context=8192), labels=("FP32", "Q4_K_M"))
    whole, small = found.rows
    assert words.rule(whole) == "28.0 GB, 40.0 GB–50.0 GB"
    assert words.why(whole) == (
        "running adds 4 % (1.2 GB) as asked, not 43 to 79 % whatever the use"
    )
    assert "4.83 bits a weight, not 4, with scales and better tensors" in words.why(small)
    assert "it has 7.25 billion weights, not 7" in words.why(small)
    set_language("zh")
    assert words.why(whole) == "按要求运行另需 4 %（1.2 GB），而非一律 43～79 %"


def test_tensors_that_fall_back_are_counted() -> None:
    """The rows of SmolLM2 have 576 numbers, which blocks of 256 do not fit."""
    (row,) = made("SmolLM2-135M", labels=("Q4_K_M",)).rows
    assert row.precision.bits == pytest.approx(6.17, abs=0.01)
    assert sum(f.tensors for f in row.precision.fallbacks) == 180
    assert "166 of its tensors in Q5_0 for Q4_K" in words.why(row)


@settings(max_examples=20)
@given(name=st.sampled_from(SOME), label=st.sampled_from(ALL))
def test_types_of_a_precision_sum_up(name: str, label: str) -> None:
    of = model(name)
    found = in_precision(of.header, of.tensors, label)
    if found.impossible:
        assert found.weights == 0
        return
    assert sum(found.types.values()) == found.weights
    assert found.bits == pytest.approx(8 * found.weights / of.header.parameters)


def test_speed_is_predicted_for_types_that_can_run() -> None:
    found = made("Llama-3.1-8B", speed=SPEED, labels=("FP16", "INT8", "Q8_0", "Q4_0"))
    paces = {row.precision.label: row.pace for row in found.rows}
    assert paces["INT8"] is None  # not a type of llama.cpp
    plain, eight, four = (paces[label] for label in ("FP16", "Q8_0", "Q4_0"))
    assert plain is not None
    assert eight is not None
    assert four is not None
    assert plain.decode < eight.decode < four.decode
    assert plain.threads == 2
    # 15 GB of weights that are read for a token, at 14.1 GB/s.
    assert plain.decode == pytest.approx(2**0.5 * 10 / 15, rel=0.1)
    assert plain.decode <= plain.decode_bound


# ------------------------------------------------------------------------------------------ cards


@settings(max_examples=30)
@given(
    name=st.sampled_from(["Llama-3.1-8B", "SmolLM2-135M", "gemma-3-1b", "mamba-130m"]),
    free=st.integers(0, 30 * GB),
    more=st.integers(0, 10 * GB),
)
def test_a_larger_card_never_takes_fewer_layers(name: str, free: int, more: int) -> None:
    of, use = model(name), Use()
    sizes = shape(of.header)
    one, other = (offload(of, sizes, use, card(f), machine()) for f in (free, free + more))
    assert 0 <= one.layers <= other.layers <= one.all == len(sizes.layers) + 1
    assert one.vram <= free
    assert (one.layers == one.all) == (one.whole <= free)
    if one.layers == 0:
        assert (one.vram, one.ram) == (0, footprint(of.headers, use).total)


def test_what_is_on_the_card_and_beside_it() -> None:
    """All of a model with a head of its own: the table of embeddings stays in memory."""
    of, use = model("Llama-3.1-8B"), Use()
    found = offload(of, shape(of.header), use, card(100 * GB), machine())
    memory = footprint(of.headers, use)
    table = 2 * 4096 * 128256
    reserve = 457 << 20
    expected = memory.weights - table + memory.cache + memory.compute + reserve
    assert found.vram == found.whole == expected
    assert found.ram == table + memory.output + memory.runtime
    tied = model("SmolLM2-135M")
    found = offload(tied, shape(tied.header), use, card(100 * GB), machine())
    assert found.ram == 2 * 576 * 49152 + sum(
        getattr(footprint(tied.headers, use), part) for part in ("output", "runtime")
    )


def test_experts_stay_outside_of_a_card_that_is_too_small() -> None:
    here = machine(64 * GB, card(12 * GB), usable=("cuda",))
    found = made("Qwen3-30B-A3B", here=here, quantization="Q4_K_M", labels=())
    (one,) = found.offloads
    assert one.experts_outside
    assert 0 < one.layers < one.all
    said = 'a card takes all layers if the experts stay in memory (llama.cpp: -ot "_exps=CPU")'
    assert said in [advice.text for advice in found.advice]


def test_a_card_that_nothing_here_uses_is_told_as_such_and_does_not_count() -> None:
    here = machine(4 * GB, card(24 * GB))
    found = made("Llama-3.1-8B", here=here)
    assert found.fits is False
    assert words.card(found.offloads[0]).endswith("the llama.cpp that is installed does not use it")
    assert not any("a card" in advice.text for advice in found.advice)


def test_a_card_that_is_used_counts() -> None:
    here = machine(4 * GB, card(24 * GB), usable=("cuda",))
    assert capacity(here) == 28 * GB - (457 << 20)
    found = made("Llama-3.1-8B", here=here)
    assert found.fits is True
    assert "a card takes all of it, with up to" in found.advice[0].text
    unified = machine(4 * GB, card(24 * GB, "metal"), usable=("metal",))
    assert capacity(unified) == 4 * GB  # it is the same memory


# ----------------------------------------------------------------------------------------- advice


@pytest.mark.parametrize(
    ("name", "use", "free", "room"),
    [
        ("SmolLM2-135M", Use(), 8, "8 at once, each call with up to 8,192 tokens"),
        ("SmolLM2-135M", Use(context=2048, slots=3), 8, "8 at once, each call with up to 8,192"),
        ("Phi-3-mini-4k", Use(slots=3), 40, "8 at once, each call with up to 4,096 tokens"),
        ("Qwen3-8B", Use(context=8192), 20, "2 at once, each call with up to"),
        ("Qwen3-8B", Use(context=4096, slots=4), 20, "4 at once, each call with up to"),
        ("Qwen3-8B", Use(context=16384), 20, "1 at once, each call with up to"),
    ],
)
def test_what_to_do_where_it_fits(name: str, use: Use, free: int, room: str) -> None:
    """As many calls at once as have the context that was asked for."""
    found = made(name, use, here=machine(free * GB))
    (advice,) = (advice.text for advice in found.advice)
    assert advice.startswith(f"it fits: {room}")


def test_what_to_choose_instead() -> None:
    # 16.1 GB of weights, 1.1 GB of cache.
    close = made("Llama-3.1-8B", here=machine(16.9 * GB))
    texts = [advice.text for advice in close.advice]
    assert texts[0] == "it does not fit: 17.3 GB are needed, 16.9 GB are free"
    assert texts[1].startswith("it would fit with a cache of type Q8_0 (16.8 GB)")
    assert texts[2].startswith("it would fit with 5,")
    assert texts[3] == "take it in Q8_0 instead: 9.8 GB"
    small = made("Llama-3.1-8B", here=machine(3 * GB))
    texts = [advice.text for advice in small.advice]
    assert texts[1:] == [
        "no quantization of it that is worth having fits: take a smaller model "
        "(millstream models recommend)"
    ]
    set_language("zh")
    assert small.advice[0].text == "内存不足：需要 17.3 GB，可用 3.0 GB"


def test_a_machine_that_does_not_say_what_is_free() -> None:
    found = made("SmolLM2-135M", here=machine(None))
    assert found.fits is None
    assert found.room == ()
    assert all(cell.fits is None for cell in found.grid)
    assert found.advice[0].text.startswith("this system does not say how much memory is free;")


def test_more_context_than_a_model_was_made_for_is_told() -> None:
    found = made("Llama-2-7b", Use(context=32768), labels=())
    assert found.use.context == 4096
    assert [note.text for note in found.notes if "asked" in note.text] == [
        "the model was made for 4,096 tokens of context; 32,768 were asked for"
    ]


def test_a_window_that_llama_cpp_does_not_use_is_told() -> None:
    notes = [note.text for note in made("Mistral-7B-v0.1", labels=()).notes]
    assert any("llama.cpp does not use the sliding window" in text for text in notes)


# ---------------------------------------------------------------------------------------- reports


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["gemma-3-1b", "mamba-130m", "Qwen3-30B-A3B"])
def test_a_report_has_every_figure(name: str, language: str) -> None:
    from millstream.lab.report import html

    set_language(language)
    here = machine(8 * GB, card(6 * GB), usable=("cuda",))
    found = made(name, here=here, speed=SPEED, how=Training("lora"), labels=ALL)
    page = html.render(words.report([found, made("SmolLM2-135M", here=here)]))
    for item in (*words.memory(found), *words.training(found)):
        assert item.part in page
    for row in found.rows:
        assert f">{row.precision.label}<" in page
    assert page.count("<svg") >= 8


def test_sizes_for_people() -> None:
    sizes = (0, 999, 1000, 99_900, 100_000, 1e6, 999.4e6, 1e9, 1.34e12)
    assert [shown(size) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "1.0 MB", "999 MB", "1.0 GB", "1,340 GB",
    ]  # fmt: skip


_caches: tuple[CacheType, ...] = ("F16", "Q8_0", "Q4_0")


def test_smaller_caches_take_their_share() -> None:
    """2 bytes, 34/32 and 18/32 of a byte for each number."""
    found = made("Llama-3.1-8B", Use(context=32768), labels=())
    cache = found.memory.cache
    rest = found.memory.total - cache
    assert found.by_cache == {
        "F16": rest + cache, "Q8_0": rest + cache * 17 // 32, "Q4_0": rest + cache * 9 // 32,
    }  # fmt: skip
