"""A config.json alone: the tensors of its conversion, as published and as llama.cpp takes them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from lab.configs import FALCON_H1, PUBLISHED, llama
from millstream.base import BadInput, MillstreamError, set_language
from millstream.lab import config
from millstream.lab.weigh import weigh
from millstream.models.footprint import Use, footprint
from millstream.models.shape import shape

EVERY = {name: known for name, (_, known) in PUBLISHED.items()} | {"Falcon-H1-1.5B": FALCON_H1}
SMALL = llama(64, 2, 128, 4, 2, 100, 512)


def table(known: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in config.header(known).tensors}


# ------------------------------------------------------------------------------- what is published


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    published, known = PUBLISHED[name]
    tensors = config.header(known).tensors
    # The factors of places are no weights; a conversion writes them beside these.
    assert sum(t.elements for t in tensors if not t.name.startswith("rope_")) == published
    assert len({tensor.name for tensor in tensors}) == len(tensors)


def test_every_family_is_tried() -> None:
    tried = {config.family_of(known) for known in EVERY.values()}
    assert tried == set(config.FAMILIES)


@pytest.mark.parametrize("name", EVERY)
async def test_llama_cpp_takes_the_table(name: str) -> None:
    """It looks for each tensor by its name, wants it in this shape, and wants no other."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is the judge here")
    header = config.header(EVERY[name], file=name)
    use = Use(context=4096, slots=2, batch=128)
    said = await weigh([header], [use])
    told = footprint([header], use)
    assert said.size == header.weight_bytes == told.weights
    assert said.buffers[0].cache == told.cache + told.states


async def test_llama_cpp_does_not_take_a_wrong_table() -> None:
    """So that the test above can fail."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is the judge here")
    for change in ("rename", "drop", "add", "widen"):
        header = config.header(EVERY["Qwen3-0.6B"])
        tensor = header.tensors[5]
        if change == "rename":
            header.tensors[5] = replace(tensor, name=tensor.name.replace("attn", "self_attn"))
        elif change == "drop":
            del header.tensors[5]
        elif change == "add":
            header.tensors.append(replace(tensor, name="blk.0.attn_z.weight"))
        else:
            longer = (tensor.shape[0], tensor.shape[1] + 64)
            header.tensors[5] = replace(tensor, shape=longer)
        with pytest.raises(MillstreamError):
            await weigh([header], [Use(context=512)])


# ------------------------------------------------------------------------------------ names, shapes


def test_the_names_of_a_llama() -> None:
    assert table(SMALL | {"num_hidden_layers": 1}) == {
        "token_embd.weight": (64, 100),
        "output_norm.weight": (64,),
        "output.weight": (64, 100),
        "blk.0.attn_norm.weight": (64,),
        "blk.0.attn_q.weight": (64, 64),
        "blk.0.attn_k.weight": (64, 32),
        "blk.0.attn_v.weight": (64, 32),
        "blk.0.attn_output.weight": (64, 64),
        "blk.0.ffn_norm.weight": (64,),
        "blk.0.ffn_gate.weight": (64, 128),
        "blk.0.ffn_up.weight": (64, 128),
        "blk.0.ffn_down.weight": (128, 64),
    }


@pytest.mark.parametrize(
    ("name", "tensor", "expected"),
    [
        ("Llama-3.1-8B", "rope_freqs.weight", (64,)),
        ("Qwen2.5-7B", "blk.0.attn_q.bias", (3584,)),
        ("Qwen3-8B", "blk.35.attn_k_norm.weight", (128,)),
        ("Qwen3-30B-A3B", "blk.47.ffn_down_exps.weight", (768, 2048, 128)),
        ("Qwen1.5-MoE-A2.7B", "blk.0.ffn_gate_inp_shexp.weight", (2048,)),
        ("Mixtral-8x7B-v0.1", "blk.0.ffn_gate_inp.weight", (4096, 8)),
        ("gemma-2-9b", "blk.0.post_ffw_norm.weight", (3584,)),
        ("OLMo-2-1124-7B", "blk.0.attn_q_norm.weight", (4096,)),
        ("Phi-3-mini-4k", "blk.0.attn_qkv.weight", (3072, 9216)),
        ("Phi-3-mini-4k", "blk.0.ffn_up.weight", (3072, 16384)),
        ("gpt-oss-20b", "blk.0.attn_sinks.weight", (64,)),
        ("DeepSeek-V2-Lite", "blk.0.attn_kv_a_mqa.weight", (2048, 576)),
        ("DeepSeek-V2-Lite", "blk.1.ffn_gate_shexp.weight", (2048, 2816)),
        ("DeepSeek-V3", "blk.2.ffn_gate.weight", (7168, 18432)),
        ("DeepSeek-V3", "blk.3.exp_probs_b.bias", (256,)),
        ("mamba-130m", "blk.0.ssm_conv1d.weight", (4, 1536)),
        ("Falcon-H1-1.5B", "blk.0.ssm_in.weight", (2048, 6704)),
    ],
)
def test_what_is_particular_to_a_family(name: str, tensor: str, expected: tuple[int, ...]) -> None:
    assert table(EVERY[name])[tensor] == expected


def test_a_shared_table_is_there_once() -> None:
    tied = config.header(SMALL | {"tie_word_embeddings": True})
    apart = config.header(SMALL)
    assert apart.parameters - tied.parameters == 64 * 100
    assert "output.weight" not in {tensor.name for tensor in tied.tensors}


def test_layers_without_experts() -> None:
    """Some layers of a mixture may be dense: every second one, or those that are listed."""
    mixed = SMALL | {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2,
                     "moe_intermediate_size": 32, "num_hidden_layers": 4}  # fmt: skip
    for more, dense in (
        ({}, []),
        ({"decoder_sparse_step": 2}, [0, 2]),
        ({"mlp_only_layers": [3]}, [3]),
    ):
        names = table(mixed | more)
        assert [n for n in range(4) if f"blk.{n}.ffn_gate.weight" in names] == dense
        assert [n for n in range(4) if f"blk.{n}.ffn_gate_exps.weight" in names] == [
            n for n in range(4) if n not in dense
        ]


def test_types_of_a_conversion() -> None:
    for said, matrix in (
        ("bfloat16", "BF16"),
        ("float16", "F16"),
        ("float32", "F32"),
        (None, "F16"),
    ):
        header = config.header(SMALL | {"torch_dtype": said})
        types = {tensor.name: tensor.type_name for tensor in header.tensors}
        assert types["blk.0.attn_q.weight"] == matrix
        assert types["blk.0.attn_norm.weight"] == "F32"
    assert config.header(SMALL, dtype="F32").quantization == "F32"
    later = {key: value for key, value in SMALL.items() if key != "torch_dtype"}
    assert config.header(later | {"dtype": "bfloat16"}).quantization == "BF16"


def test_experts_that_are_in_four_bits_already_stay_so() -> None:
    header = config.header(EVERY["gpt-oss-20b"])
    types = {tensor.name: tensor.type_name for tensor in header.tensors}
    assert types["blk.0.ffn_up_exps.weight"] == "MXFP4"
    assert (types["blk.0.ffn_up_exps.bias"], types["blk.0.attn_q.weight"]) == ("F32", "BF16")
    assert header.weight_bytes == pytest.approx(13.8e9, rel=0.01)  # the size of its file
    # Eight bits are unpacked.
    assert config.header(EVERY["DeepSeek-V3"]).quantization == "BF16"


def test_factors_of_longer_contexts_are_written_down() -> None:
    factors = {"type": "longrope", "long_factor": [1.0] * 6, "short_factor": [1.0] * 6}
    known = SMALL | {"model_type": "phi3", "rope_scaling": factors, "partial_rotary_factor": 0.75}
    names = table(known)
    assert names["rope_factors_long.weight"] == names["rope_factors_short.weight"] == (6,)


def test_the_language_model_in_a_model_with_eyes() -> None:
    inner = config.header(EVERY["gemma-3-4b"])
    assert inner.architecture == "gemma3"
    sizes = shape(inner)
    assert [layer.window for layer in sizes.layers[:6]] == [1024] * 5 + [0]
    assert (sizes.heads, sizes.kv_heads, sizes.key) == (8, 4, 256)
    assert not any("vision" in tensor.name for tensor in inner.tensors)


def test_a_class_says_the_family_too() -> None:
    for name, family in {
        "LlamaForCausalLM": "llama",
        "Qwen3MoeForCausalLM": "qwen3_moe",
        "DeepseekV3ForCausalLM": "deepseek_v3",
        "GptOssForCausalLM": "gpt_oss",
    }.items():
        assert config.family_of({"architectures": [name]}) == family
    assert config.family_of({}) == ""


def test_a_context_is_what_the_model_was_trained_for() -> None:
    assert shape(config.header(SMALL)).context == 512


# ------------------------------------------------------------------------------------- wrong ones


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size",
                                 "num_attention_heads", "intermediate_size"])  # fmt: skip
def test_a_size_that_is_missing(key: str) -> None:
    for known in (
        {name: value for name, value in SMALL.items() if name != key},
        SMALL | {key: None},
    ):
        with pytest.raises(BadInput) as caught:
            config.header(known, file="my/config.json")
        assert caught.value.message == (
            f"my/config.json does not say {key!r}, and without it no size can be told"
        )
        assert "not that of an adapter" in caught.value.next_step


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("hidden_size", -1, "-1"),
        ("hidden_size", "4096", "'4096'"),
        ("hidden_size", 64.5, "64.5"),
        ("hidden_size", 1 << 40, "1099511627776"),
        ("vocab_size", [1], "[1]"),
        ("num_hidden_layers", 0, "0"),
        ("num_hidden_layers", 5000, "5000"),
        ("num_attention_heads", 0, "0"),
        ("num_attention_heads", 128, "128"),
        ("num_key_value_heads", 0, "0"),
        ("num_key_value_heads", 3, "3"),
        ("intermediate_size", {"a": "b" * 99}, "{'a': '" + "b" * 33),
    ],
)
def test_a_size_that_no_model_has(key: str, value: Any, shown: str) -> None:
    with pytest.raises(BadInput) as caught:
        config.header(SMALL | {key: value})
    assert caught.value.message == f"config.json says {shown} for {key!r}, which no model has"
    assert "config.json of the model as its hub has it" in caught.value.next_step


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "intermediate_size"])
def test_nothing_is_empty(key: str) -> None:
    with pytest.raises(BadInput, match="which no model has"):
        config.header(SMALL | {key: 0})


@pytest.mark.parametrize(
    "odd",
    [
        {"mlp_only_layers": "all"},
        {"mlp_only_layers": [[1], None, "x"]},
        {"rope_scaling": "linear"},
        {"rope_scaling": {"type": ["llama3"]}},
        {"partial_rotary_factor": "half"},
        {"tie_word_embeddings": "no"},
        {"attention_bias": 1},
        {"quantization_config": []},
        {"text_config": 7},
        {"architectures": [3]},
        {"torch_dtype": ["float16"]},
        {"_name_or_path": 5},
        {"sliding_window": None},
    ],
)
def test_what_says_no_size_may_be_anything(odd: dict[str, Any]) -> None:
    mixed = {"model_type": "qwen3_moe", "num_experts": 2, "num_experts_per_tok": 1,
             "moe_intermediate_size": 32}  # fmt: skip
    assert config.header(SMALL | mixed | odd).tensors


def test_a_family_that_is_not_known() -> None:
    with pytest.raises(BadInput) as caught:
        config.header(SMALL | {"model_type": "bloom"})
    assert caught.value.message == (
        "config.json is of the family 'bloom', whose tensors are not known here"
    )
    assert "deepseek_v2" in caught.value.next_step
    for nothing in ({}, {"architectures": []}, {"architectures": "x"}, {"model_type": 4}):
        with pytest.raises(BadInput, match="of the family '\\?'"):
            config.header(nothing)


def test_in_chinese() -> None:
    set_language("zh")
    for known, words in (
        ({"model_type": "bloom"}, "config.json 属于 'bloom' 系列，本程序不了解其张量结构"),
        ({"model_type": "llama"}, "config.json 中没有 'hidden_size'，无法计算大小"),
        (SMALL | {"vocab_size": -5}, "config.json 中 'vocab_size' 的值为 -5，不可能是模型的值"),
    ):
        with pytest.raises(BadInput) as caught:
            config.header(known)
        assert caught.value.message == words
