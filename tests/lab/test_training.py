"""What training takes: sums by hand from the published formulas, counts that people know."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.lab import config, typical
from millstream.lab.training import (
    Method,
    Optimizer,
    Precision,
    Training,
    TrainingFootprint,
    activations,
    adapter_weights,
    footprint,
)
from millstream.models.gguf import Header
from millstream.models.shape import Shape, shape

# Llama 2 7B: width 4096, 32 layers, 32 heads, feed-forward 11008, 32,000 words.
WIDTH, LAYERS, HIDDEN, WORDS, HEADS = 4096, 32, 11008, 32000, 32
MATRICES = LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN)
TABLES = 2 * WORDS * WIDTH
NORMS = (2 * LAYERS + 1) * WIDTH
PARAMETERS = MATRICES + TABLES + NORMS
LLAMA2 = config.header(
    {
        "model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "intermediate_size": HIDDEN, "vocab_size": WORDS, "num_attention_heads": HEADS,
        "max_position_embeddings": 4096,
    }
)  # fmt: skip


def trained(header: Header = LLAMA2, **how: Any) -> TrainingFootprint:
    return footprint(header.tensors, shape(header), Training(**how))


def test_the_model_of_these_tests_is_the_known_one() -> None:
    assert PARAMETERS == LLAMA2.parameters == 6_738_415_616


def test_everything_in_mixed_precision_is_sixteen_bytes_a_parameter() -> None:
    """2 of weights, 4 of their copies in 32 bits, 2 of gradients, 8 of AdamW."""
    made = trained()
    assert made.trained == PARAMETERS
    assert (made.weights, made.master, made.adapters) == (2 * PARAMETERS, 4 * PARAMETERS, 0)
    assert (made.gradients, made.optimizer) == (2 * PARAMETERS, 8 * PARAMETERS)


def test_everything_in_32_bits_is_sixteen_too_and_16_bits_with_8_bit_adam_six() -> None:
    whole = trained(precision="fp32")
    assert whole.master == 0
    assert whole.weights + whole.gradients + whole.optimizer == 16 * PARAMETERS
    small = trained(precision="bf16", optimizer="adamw-8bit")
    assert small.weights + small.master + small.gradients + small.optimizer == 6 * PARAMETERS


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # As `print_trainable_parameters` prints them, with rank 16 beside every linear layer.
        ("Llama-2-7B", 39_976_960),
        ("Llama-3.1-8B", 41_943_040),
    ],
)
def test_adapters_have_as_many_weights_as_peft_says(name: str, count: int) -> None:
    header = LLAMA2 if name == "Llama-2-7B" else typical.named(name)
    assert header is not None
    assert adapter_weights(header.tensors, Training("lora", rank=16)) == count


def test_adapters_beside_queries_and_values_alone() -> None:
    """Rank 8: 4,194,304 weights, 0.06 % of Llama 2 7B."""
    how = Training("lora", rank=8, beside="attention")
    assert adapter_weights(LLAMA2.tensors, how) == LAYERS * 2 * 8 * (WIDTH + WIDTH) == 4_194_304


def test_each_expert_has_adapters_of_its_own() -> None:
    sizes = {
        "model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 32000,
        "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "num_experts_per_tok": 2,
    }  # fmt: skip
    header = config.header(sizes)
    attention = 2 * (4096 + 4096) + 2 * (4096 + 1024)
    experts = 8 * 3 * (4096 + 14336)
    made = adapter_weights(header.tensors, Training("lora", rank=16))
    assert made == 32 * 16 * (attention + experts)


def test_latent_attention_has_one_adapter_for_keys_and_values() -> None:
    """The one matrix of 512 rows to 16 heads of 128 + 128 that a conversion cuts in two."""
    sizes = {
        "model_type": "deepseek_v2", "hidden_size": 2048, "num_hidden_layers": 1,
        "vocab_size": 100, "intermediate_size": 10944, "num_attention_heads": 16,
        "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
    }  # fmt: skip
    queries, down = 2048 + 16 * 192, 2048 + 512 + 64
    up, output = 512 + 16 * (128 + 128), 16 * 128 + 2048
    inner = 3 * (2048 + 10944)
    made = adapter_weights(config.header(sizes).tensors, Training("lora", rank=4))
    assert made == 4 * (queries + down + up + output + inner)


def test_a_frozen_base_has_no_gradients() -> None:
    made = trained(method="lora", rank=16)
    count = 39_976_960
    assert made.weights == 2 * PARAMETERS
    assert (made.adapters, made.master) == (2 * count, 4 * count)
    assert (made.gradients, made.optimizer) == (2 * count, 8 * count)


def test_four_bits_of_a_frozen_base() -> None:
    """Half a byte, and a scale of 8 bits for 64 weights, those with one of 32 bits for 256: 0.127
    bits. The tables stay in 16 bits, one matrix is unpacked."""
    made = trained(method="qlora")
    scales = MATRICES / 64 + 4 * MATRICES / 64 / 256
    assert scales * 8 / MATRICES == pytest.approx(0.127, abs=5e-4)
    rest = 2 * (TABLES + NORMS) + 2 * WIDTH * HIDDEN
    assert made.weights == pytest.approx(MATRICES / 2 + scales + rest, abs=1)
    plain = trained(method="qlora", double_quantization=False)
    assert plain.weights == pytest.approx(MATRICES / 2 + 4 * MATRICES / 64 + rest, abs=1)


# ------------------------------------------------------------------------------------ activations


def test_activations_of_a_layer_without_a_gate_are_those_of_the_paper() -> None:
    """s·b·h·(34 + 5·a·s/h) with a feed-forward layer of 4 h, in 16 bits."""
    h, a, s, b = 1024, 16, 512, 3
    sizes = Shape("gpt2", h, 50257, shape(LLAMA2).layers[:1], heads=a, kv_heads=a, hidden=4 * h)
    how = Training(batch=b, sequence=s, flash=False)
    assert activations(sizes, how, gated=False) == s * b * h * 34 + 5 * a * s * s * b
    how = Training(batch=b, sequence=s, flash=True)
    assert activations(sizes, how, gated=False) == 34 * s * b * h


def test_activations_with_and_without_checkpointing() -> None:
    s = 2048
    live = s * (18 * WIDTH + 8 * HIDDEN)
    assert trained(sequence=s).activations == LAYERS * live
    kept = LAYERS * 2 * s * WIDTH + live
    assert trained(sequence=s, checkpointing=True).activations == kept
    assert trained(sequence=s, precision="fp32").activations == 2 * LAYERS * live


def test_the_scores_of_all_words() -> None:
    """16 bits for the layer, 32 for its loss."""
    assert trained(sequence=2048, batch=2).logits == 2 * 2048 * WORDS * (2 + 4)


def test_a_gate_in_the_matrix_of_the_way_up_counts() -> None:
    """Phi-3 has both in one matrix: as much as Llama's of the same length."""
    said = {
        "hidden_size": 3072, "num_hidden_layers": 4, "intermediate_size": 8192,
        "vocab_size": 32064, "num_attention_heads": 32, "max_position_embeddings": 4096,
    }  # fmt: skip
    phi, llama = (config.header({**said, "model_type": family}) for family in ("phi3", "llama"))
    assert trained(phi).activations == trained(llama).activations


# ------------------------------------------------------------------------------------------- laws

_hows = st.builds(
    Training,
    method=st.sampled_from(get_args(Method)),
    precision=st.sampled_from(get_args(Precision)),
    optimizer=st.sampled_from(get_args(Optimizer)),
    batch=st.integers(1, 64),
    sequence=st.integers(1, 32768),
    checkpointing=st.booleans(),
    flash=st.booleans(),
    rank=st.integers(1, 256),
)


@given(how=_hows)
def test_the_total_is_the_sum_of_the_parts(how: Training) -> None:
    made = footprint(LLAMA2.tensors, shape(LLAMA2), how)
    parts = made.weights + made.master + made.adapters + made.gradients + made.optimizer
    assert made.total == parts + made.activations + made.logits + made.runtime
    assert min(made.weights, made.gradients, made.activations, made.logits, made.runtime) > 0


@given(how=_hows)
def test_more_to_remember_takes_more(how: Training) -> None:
    def total(**changes: Any) -> int:
        fields = {name: getattr(how, name) for name in how.__struct_fields__}
        return footprint(LLAMA2.tensors, shape(LLAMA2), Training(**{**fields, **changes})).total

    own = total()
    assert total(batch=how.batch + 1) > own
    assert total(sequence=how.sequence + 1) > own
    assert total(checkpointing=True) <= total(checkpointing=False)
    assert total(flash=True) <= total(flash=False)
    assert total(rank=how.rank + 1) >= own
    assert total(method="qlora") < total(method="lora")
    assert total(double_quantization=True) <= total(double_quantization=False)
