"""What training takes, by hand: from the formulas of the sources that the module names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.configs import PUBLISHED, llama
from millstream.lab import config
from millstream.lab.training import Training, TrainingFootprint, adapter_weights, footprint
from millstream.models.gguf import Header
from millstream.models.shape import shape

MiB, GB = 1 << 20, 1e9
# One layer of width 8 with 2 heads: small enough for a sheet of paper.
PAPER = config.header(llama(8, 1, 24, 2, 2, 100, 64))
TABLE = 100 * 8  # embeddings, and the head as many
LAYER = 4 * 8 * 8 + 3 * 8 * 24 + 2 * 8  # attention, feed-forward, two norms
WEIGHTS = 2 * TABLE + LAYER + 8


def train(header: Header, **how: Any) -> TrainingFootprint:
    return footprint(header.tensors, shape(header), Training(**how))


def of(name: str) -> Header:
    return config.header(PUBLISHED[name][1])


def ours(made: TrainingFootprint) -> int:
    """Without activations, logits and what the runtime adds."""
    return made.weights + made.master + made.adapters + made.gradients + made.optimizer


# --------------------------------------------------------------------------------- all its weights


def test_the_sheet_of_paper_is_right() -> None:
    assert WEIGHTS == PAPER.parameters == 2456


@pytest.mark.parametrize(
    ("precision", "optimizer", "each"),
    [
        ("mixed", "adamw", 16),  # 2 + 4 + 2 + 8
        ("fp32", "adamw", 16),  # 4 + 4 + 8
        ("bf16", "adamw", 12),  # 2 + 2 + 8
        ("bf16", "adamw-8bit", 6),  # 2 + 2 + 2
        ("mixed", "adamw-8bit", 10),  # 2 + 4 + 2 + 2
        ("bf16", "sgd", 4),  # 2 + 2
        ("bf16", "paged-adamw-8bit", 4),  # the states are elsewhere
    ],
)
def test_bytes_for_each_weight(precision: Any, optimizer: Any, each: int) -> None:
    made = train(PAPER, precision=precision, optimizer=optimizer)
    assert made.trained == WEIGHTS
    assert made.adapters == 0
    assert ours(made) == each * WEIGHTS


def test_a_model_of_seven_billion() -> None:
    """16 bytes a weight: 7.24 billion of them are 116 GB before the first activation."""
    made = train(of("Mistral-7B-v0.1"), sequence=1)
    assert ours(made) == 16 * 7_241_732_096
    assert (made.weights, made.master) == (2 * 7_241_732_096, 4 * 7_241_732_096)


def test_adafactor_keeps_rows_and_columns() -> None:
    adamw, adafactor = train(PAPER), train(PAPER, optimizer="adafactor")
    assert adafactor.optimizer < adamw.optimizer / 20
    assert msgspec.structs.replace(adafactor, optimizer=0, runtime=0) == msgspec.structs.replace(
        adamw, optimizer=0, runtime=0
    )


# ----------------------------------------------------------------------------------- LoRA and QLoRA


def test_adapters_beside_every_matrix() -> None:
    """rank · (in + out) of each: four of 8 + 8, three of 8 + 24."""
    how = Training(method="lora", rank=4)
    assert adapter_weights(PAPER.tensors, how) == 4 * (4 * 16 + 3 * 32)


def test_adapters_beside_queries_and_values() -> None:
    how = Training(method="lora", rank=4, beside="attention")
    assert adapter_weights(PAPER.tensors, how) == 4 * 2 * 16


@pytest.mark.parametrize(
    ("name", "beside", "rank", "expected"),
    [
        # Queries 4096 → 4096, keys and values 4096 → 1024, out 4096 → 4096; three of 4096, 14336.
        ("Llama-3.1-8B", "all", 16, 32 * 16 * (2 * 8192 + 2 * 5120 + 3 * 18432)),
        ("Llama-2-7b", "attention", 8, 32 * 8 * 2 * 8192),  # 4,194,304, as peft prints
        # One matrix for queries, keys and values: 3072 → 9216.
        ("Phi-3-mini-4k", "attention", 8, 32 * 8 * (3072 + 9216)),
        # In one and out of the other: 768 → 3072, 1536 → 768, in each of 24 layers.
        ("mamba-130m", "all", 8, 24 * 8 * ((768 + 3072) + (1536 + 768))),
    ],
)
def test_adapters_of_real_models(name: str, beside: Any, rank: int, expected: int) -> None:
    how = Training(method="lora", rank=rank, beside=beside)
    assert adapter_weights(of(name).tensors, how) == expected


def test_every_expert_has_adapters_of_its_own() -> None:
    how = Training(method="lora", rank=8)
    attention = 32 * 8 * (2 * 8192 + 2 * 5120)
    assert adapter_weights(of("Mixtral-8x7B-v0.1").tensors, how) == (
        attention + 32 * 8 * 8 * 3 * (4096 + 14336)
    )


def test_lora_freezes_the_model() -> None:
    made = train(PAPER, method="lora", rank=4)
    adapters = 4 * (4 * 16 + 3 * 32)
    assert made.trained == adapters
    assert made.weights == 2 * WEIGHTS
    assert ours(made) == 2 * WEIGHTS + 16 * adapters


def test_qlora_keeps_half_a_byte_for_each_weight_of_the_layers() -> None:
    """Blocks of 64 weights have a scale of 8 bits, blocks of 256 scales one of 32. What is outside
    of the layers has 16 bits, and one matrix at a time is unpacked."""
    packed = 4 * 8 * 8 + 3 * 8 * 24
    plain = WEIGHTS - packed
    made = train(PAPER, method="qlora", rank=4)
    bytes_each = 0.5 + 1 / 64 + 4 / (64 * 256)
    assert made.weights == round(packed * bytes_each) + 2 * plain + 2 * 8 * 24
    simple = train(PAPER, method="qlora", rank=4, double_quantization=False)
    assert simple.weights == round(packed * (0.5 + 4 / 64)) + 2 * plain + 2 * 8 * 24


def test_qlora_of_seven_billion_fits_a_small_card() -> None:
    """The paper trains 7 billion on a card of 6 GB and 65 on one of 48: the base is the most."""
    how = {"method": "qlora", "rank": 16, "sequence": 512, "checkpointing": True,
           "optimizer": "paged-adamw-8bit"}  # fmt: skip
    made = train(of("Llama-2-7b"), **how)
    assert made.weights == pytest.approx(0.516 * 6.476e9 + 2 * 0.262e9, rel=0.05)
    assert 4.5 * GB < made.total < 6.5 * GB


# -------------------------------------------------------------------------------------- activations


def test_activations_of_a_paper_transformer() -> None:
    """34 bytes of a width of a token, where the feed-forward layer has four widths and no gate."""
    header = config.header(llama(8, 1, 32, 2, 2, 100, 64))
    header.tensors[:] = [t for t in header.tensors if "ffn_gate" not in t.name]
    made = train(header, batch=3, sequence=10)
    assert made.activations == 34 * 10 * 3 * 8
    scores = train(header, batch=3, sequence=10, flash=False)
    assert scores.activations == 10 * 3 * 8 * 34 + 5 * 2 * 10 * 10 * 3


def test_activations_of_a_gated_layer() -> None:
    """18 widths, and four rows of 16 bits of the feed-forward length."""
    made = train(PAPER, batch=2, sequence=5)
    assert made.activations == 2 * 5 * (18 * 8 + 8 * 24)
    assert train(PAPER, batch=2, sequence=5, precision="fp32").activations == 2 * made.activations


def test_checkpoints_keep_what_comes_into_a_layer() -> None:
    header = config.header(llama(8, 5, 24, 2, 2, 100, 64))
    live = 7 * (18 * 8 + 8 * 24)
    assert train(header, sequence=7).activations == 5 * live
    made = train(header, sequence=7, checkpointing=True)
    assert made.activations == 5 * 2 * 7 * 8 + live
    # Of a single layer nothing is to be gained.
    assert train(PAPER, checkpointing=True) == train(PAPER)


def test_of_experts_those_that_a_token_takes() -> None:
    made = train(of("Mixtral-8x7B-v0.1"), sequence=1)
    assert made.activations == 32 * (18 * 4096 + 8 * 2 * 14336)


def test_logits_may_be_the_peak() -> None:
    """16 bits of each score and 32 for the loss: 2,048 tokens of 152,000 words are 1.87 GB."""
    made = train(of("Qwen3-0.6B"), checkpointing=True)
    assert made.logits == 6 * 2048 * 151936
    assert made.logits > made.activations


def test_a_recurrent_model_has_no_scores() -> None:
    for flash in (True, False):
        made = train(of("mamba-130m"), sequence=64, flash=flash)
        assert made.activations == 24 * 64 * (18 * 768 + 8 * 1536)


# --------------------------------------------------------------------------------------------- laws

HOW = st.builds(
    Training,
    method=st.sampled_from(["full", "lora", "qlora"]),
    precision=st.sampled_from(["mixed", "bf16", "fp32"]),
    optimizer=st.sampled_from(["adamw", "adamw-8bit", "sgd", "adafactor", "paged-adamw-8bit"]),
    batch=st.integers(1, 64),
    sequence=st.integers(1, 8192),
    checkpointing=st.booleans(),
    flash=st.booleans(),
    rank=st.integers(1, 256),
    beside=st.sampled_from(["attention", "all"]),
)
MODELS = [of(name) for name in ("Qwen3-0.6B", "SmolLM2-135M", "mamba-130m", "Phi-3-mini-4k")]
MODELS.append(config.header(llama(64, 2, 128, 4, 2, 100, 512, model_type="mixtral",
                                  num_local_experts=4, num_experts_per_tok=2)))  # fmt: skip
SHAPES = {id(header): shape(header) for header in MODELS}
TABLES = {id(header): header.tensors for header in MODELS}


def takes(header: Header, how: Training) -> TrainingFootprint:
    return footprint(TABLES[id(header)], SHAPES[id(header)], how)


@given(st.sampled_from(MODELS), HOW)
def test_the_total_is_the_sum_of_the_parts(header: Header, how: Training) -> None:
    made = takes(header, how)
    parts = msgspec.structs.asdict(made)
    trained = parts.pop("trained")
    assert made.total == sum(parts.values())
    assert min(parts.values()) >= 0
    assert trained <= header.parameters or how.method != "full"


@given(st.sampled_from(MODELS), HOW, st.sampled_from(["batch", "sequence", "rank"]))
def test_more_never_takes_less(header: Header, how: Training, what: str) -> None:
    more = msgspec.structs.replace(how, **{what: getattr(how, what) + 1})
    before, after = takes(header, how), takes(header, more)
    adapters = how.method != "full" and adapter_weights(TABLES[id(header)], how)
    if what == "rank" and not adapters:
        assert before == after
    else:
        assert before.total < after.total


@given(st.sampled_from(MODELS), HOW)
def test_checkpoints_never_take_more(header: Header, how: Training) -> None:
    kept = takes(header, msgspec.structs.replace(how, checkpointing=False))
    again = takes(header, msgspec.structs.replace(how, checkpointing=True))
    assert again.total <= kept.total


@given(st.sampled_from(MODELS), HOW)
def test_flash_attention_never_takes_more(header: Header, how: Training) -> None:
    with_scores = takes(header, msgspec.structs.replace(how, flash=False))
    assert takes(header, msgspec.structs.replace(how, flash=True)).total <= with_scores.total


@given(st.sampled_from(MODELS), HOW)
def test_a_base_in_four_bits_takes_less(header: Header, how: Training) -> None:
    lora = takes(header, msgspec.structs.replace(how, method="lora"))
    qlora = takes(header, msgspec.structs.replace(how, method="qlora"))
    assert qlora.weights < lora.weights
    assert qlora.trained == lora.trained
