"""What a header says of its layers: read from the files of others, so never trusted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.models import gguf
from millstream.models.footprint import Use, footprint
from millstream.models.shape import Shape, shape
from models.gguf_files import Value, gguf_bytes


def of(
    architecture: str,
    tensors: list[tuple[str, tuple[int, ...], int, int]] | None = None,
    **keys: Any,
) -> Shape:
    """The shape of a header with these keys; dots written as __."""
    usual = {"block_count": 8, "embedding_length": 64, "attention__head_count": 4}
    pairs: dict[str, Value] = {"general.architecture": (8, architecture)}
    for key, value in {**usual, **keys}.items():
        pairs[f"{architecture}.{key.replace('__', '.')}"] = _value(value)
    data = gguf_bytes(pairs, tensors or [], data=1 << 16)
    return shape(gguf.read_ranges(lambda at, n: data[at : at + n], file="m"))


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return (9, (7 if isinstance(value[0], bool) else 4, value))
    return (7, value) if isinstance(value, bool) else (4, value)


def windows(made: Shape) -> str:
    """A letter a layer: w for a window, . for everything."""
    return "".join("w" if layer.window else "." for layer in made.layers)


@pytest.mark.parametrize(
    ("architecture", "pattern"),
    [
        ("gemma2", "w.w.w.w."),
        ("gemma3", "wwwww.ww"),
        ("cohere2", "www.www."),
        ("cohere2moe", ".www.www"),
        ("gpt-oss", "w.w.w.w."),
        ("olmo2", "www.www."),
        ("plamo3", "wwwwwww."),
        ("laguna", ".www.www"),
        ("exaone4", "........"),  # only its largest model has windows
        ("llama", "........"),
        ("qwen2", "........"),
        ("lfm2", "wwwwwwww"),
    ],
)
def test_which_layers_have_a_window(architecture: str, pattern: str) -> None:
    assert windows(of(architecture, attention__sliding_window=512)) == pattern


def test_a_pattern_of_the_header_counts_where_it_is_heeded() -> None:
    said = [True, False] * 4
    keys = {"attention__sliding_window": 512, "attention__sliding_window_pattern": said}
    assert windows(of("gemma3", **keys)) == "w.w.w.w."
    assert windows(of("gemma4", **keys)) == "w.w.w.w."
    assert windows(of("llama", **keys)) == "........"
    keys["attention__sliding_window_pattern"] = 4
    assert windows(of("gemma3", **keys)) == "www.www."
    assert windows(of("gemma3", attention__sliding_window=0)) == "........"


def test_windows_that_llama_cpp_fixes() -> None:
    assert of("llama4", attention__sliding_window=100).window == 8192
    assert of("llama4").window == 8192
    assert of("llama4", attention__sliding_window=0).window == 0
    assert of("smallthinker", attention__sliding_window=100).window == 4096
    assert of("smallthinker").window == 0
    assert of("gemma2").window == 4096
    assert of("exaone4", block_count=64).window == 4096


def test_heads_of_layers_with_a_window_may_be_others() -> None:
    made = of(
        "gemma4",
        attention__sliding_window=512,
        attention__sliding_window_pattern=[True] * 7 + [False],
        attention__head_count_kv=2,
        attention__key_length=32,
        attention__value_length=32,
        attention__key_length_swa=16,
        attention__value_length_swa=16,
        attention__shared_kv_layers=2,
    )
    assert [layer.keys for layer in made.layers] == [32] * 6 + [0, 0]
    assert {layer.padded for layer in made.layers[:6]} == {64}


def test_recurrent_layers_and_those_that_attend() -> None:
    made = of(
        "jamba",
        attention__head_count_kv=[0, 2, 0, 0, 0, 2, 0, 0],
        ssm__inner_size=128,
        ssm__state_size=16,
        ssm__conv_kernel=4,
    )
    assert [bool(layer.keys) for layer in made.layers] == [False, True, *[False] * 3, True, False,
                                                           False]  # fmt: skip
    assert [layer.state for layer in made.layers][:2] == [2048, 0]
    every = of("qwen3next", full_attention_interval=4, ssm__inner_size=128, ssm__state_size=16)
    assert [bool(layer.keys) for layer in every.layers] == [False, False, False, True] * 2
    both = of("falcon-h1", ssm__inner_size=128, ssm__state_size=16, ssm__conv_kernel=4)
    assert all(layer.keys and layer.state for layer in both.layers)


def test_keys_of_no_use_change_nothing() -> None:
    """A transformer whose header has the sizes of a recurrence."""
    made = of("llama", ssm__inner_size=128, ssm__state_size=16, ssm__conv_kernel=4)
    assert (made.inner, made.state) == (0, 0)
    assert not any(layer.state for layer in made.layers)


def test_encoders_and_diffusion_keep_nothing() -> None:
    for architecture in ("bert", "llada", "dream"):
        assert not of(architecture).attention


def test_feed_forward_by_the_tensors() -> None:
    def made(architecture: str, *shapes: tuple[str, tuple[int, ...]]) -> tuple[int, int, bool]:
        table = [(f"blk.0.ffn_{name}.weight", size, 0, 0) for name, size in shapes]
        found = of(architecture, table, feed_forward_length=128, expert_count=2)
        return found.hidden, found.expert, found.gated

    assert made("llama", ("gate", (64, 128)), ("up", (64, 128)), ("down", (128, 64))) == (
        128,
        0,
        True,
    )
    assert made("gpt2", ("up", (64, 128)), ("down", (128, 64))) == (128, 0, False)
    assert made("phi3", ("up", (64, 256)), ("down", (128, 64))) == (128, 0, True)
    experts = (("gate_exps", (64, 32, 2)), ("up_exps", (64, 32, 2)), ("down_exps", (32, 64, 2)))
    assert made("qwen3moe", *experts) == (0, 32, True)


names = st.sampled_from(
    ("llama", "gemma3", "gemma4", "jamba", "mamba", "nemotron_h", "qwen3next", "deepseek2",
     "llama4", "falcon-h1", "rwkv7", "lfm2", "exaone4", "minimax-01", "kimi-linear", "x", "")
)  # fmt: skip
keys = st.sampled_from(
    ("block_count", "embedding_length", "attention.head_count", "attention.head_count_kv",
     "attention.key_length", "attention.value_length", "attention.key_length_swa",
     "attention.sliding_window", "attention.sliding_window_pattern", "attention.kv_lora_rank",
     "attention.key_length_mla", "attention.recurrent_layers", "attention.shared_kv_layers",
     "full_attention_interval", "feed_forward_length", "expert_count", "expert_used_count",
     "ssm.inner_size", "ssm.state_size", "ssm.group_count", "ssm.conv_kernel", "wkv.head_size",
     "shortconv.l_cache", "kda.head_dim", "rope.dimension_count", "nextn_predict_layers",
     "vocab_size", "context_length")
)  # fmt: skip
values = st.one_of(
    st.tuples(st.just(4), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(5), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(10), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(6), st.floats(width=32)),
    st.tuples(st.just(7), st.booleans()),
    st.tuples(st.just(8), st.text(max_size=5)),
    st.tuples(st.just(9), st.tuples(st.just(5), st.lists(st.integers(-9, 2**31 - 1), max_size=9))),
    st.tuples(st.just(9), st.tuples(st.just(7), st.lists(st.booleans(), max_size=9))),
)


@given(names, st.dictionaries(keys, values, max_size=12))
def test_any_header_has_a_shape_and_a_footprint(name: str, said: dict[str, Value]) -> None:
    pairs: dict[str, Value] = {"general.architecture": (8, name)}
    pairs |= {f"{name}.{key}": value for key, value in said.items()}
    data = gguf_bytes(pairs)
    model = gguf.read_ranges(lambda at, n: data[at : at + n], file="m")
    for use in (Use(context=512), Use(context=512, slots=2, flash=False, shared=True)):
        made = footprint([model], use)
        assert min(getattr(made, part) for part in made.__struct_fields__) >= 0
