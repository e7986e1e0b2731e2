"""Models of many architectures, made here: headers of our own, random weights.

Only the sizes are written down. Which tensors an architecture has with them is asked of llama.cpp
itself, which can set up a model from a header alone (`llama_model_init_from_user`); that runs in a
process of its own, since llama.cpp ends its process over sizes that it does not like. `small` ones
are written to files with weights and run; `real` ones have the sizes of models that people use,
and only their headers are needed.

Names of keys: docs/gguf.md of ggml-org/ggml. Sizes of real models: their published config.json.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lab.models import VOCABULARY, vocabulary
from models.gguf_files import Value, gguf_bytes

Keys = dict[str, Any]
Shapes = list[tuple[str, tuple[int, ...]]]

# ------------------------------------------------------------------------------------ what there is

_MOE: Keys = {
    "expert_count": 8,
    "expert_used_count": 2,
    "expert_feed_forward_length": 256,
    "expert_shared_count": 1,
    "expert_shared_feed_forward_length": 256,
    "expert_weights_scale": 1.0,
}
_LATENT: Keys = {
    "attention.head_count_kv": 1,
    "attention.q_lora_rank": 192,
    "attention.kv_lora_rank": 128,
    "attention.key_length": 160,
    "attention.value_length": 128,
    "attention.key_length_mla": 96,
    "attention.value_length_mla": 64,
    "rope.dimension_count": 32,
}
_NO_HEADS: Keys = {"attention.head_count": 0, "attention.head_count_kv": 0}
_MAMBA: Keys = {
    **_NO_HEADS,
    "ssm.inner_size": 512,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 16,
}
_MAMBA2: Keys = {
    "ssm.inner_size": 512,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 32,
    "ssm.time_step_rank": 8,
    "ssm.group_count": 2,
}
_DELTA: Keys = {
    "ssm.inner_size": 512,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 64,
    "ssm.time_step_rank": 8,
    "ssm.group_count": 4,
    "full_attention_interval": 4,
    "bias": ("ssm_",),
    "attention.key_length": 64,
    "attention.value_length": 64,
    "rope.dimension_count": 32,
    "rope.dimension_sections": [8, 4, 4, 0],
}
_NORM: Keys = {"attention.layer_norm_epsilon": 1e-5}

SMALL: dict[str, tuple[str, Keys]] = {
    "llama-mha": ("llama", {"attention.head_count_kv": 8}),
    "llama-gqa": ("llama", {"attention.head_count_kv": 2}),
    "llama-mqa": ("llama", {"attention.head_count_kv": 1}),
    "llama-tied": ("llama", {"tied": True}),
    "mistral": ("llama", {"attention.sliding_window": 512}),
    "mixtral": ("llama", {"expert_count": 8, "expert_used_count": 2}),
    "mistral3": ("mistral3", {}),
    "qwen2": ("qwen2", {"bias": ("attn_q", "attn_k", "attn_v")}),
    "qwen2moe": ("qwen2moe", {**_MOE, "bias": ("attn_q", "attn_k", "attn_v")}),
    "qwen3": ("qwen3", {"attention.key_length": 64, "attention.value_length": 64, "tied": True}),
    "qwen3moe": ("qwen3moe", {**_MOE, "attention.key_length": 64, "attention.value_length": 64}),
    "qwen3next": ("qwen3next", {**_DELTA, **_MOE}),
    "qwen35": ("qwen35", _DELTA),
    "qwen35moe": ("qwen35moe", {**_DELTA, **_MOE}),
    "gemma": ("gemma", {"attention.key_length": 64, "attention.value_length": 64, "tied": True}),
    "gemma2": ("gemma2", {"attention.sliding_window": 512, "tied": True}),
    "gemma3": ("gemma3", {"attention.sliding_window": 512, "block_count": 6, "tied": True}),
    "gemma3n": ("gemma3n", {"attention.sliding_window": 512, "block_count": 22, "tied": True,
                            "embedding_length_per_layer_input": 32}),
    "gemma4": ("gemma4", {"attention.sliding_window": 512, "block_count": 5, "tied": True,
                          "attention.sliding_window_pattern": [True, True, True, True, False],
                          "embedding_length_per_layer_input": 0,
                          "attention.shared_kv_layers": 0,
                          "attention.key_length": 64, "attention.value_length": 64,
                          "attention.key_length_swa": 32, "attention.value_length_swa": 32,
                          "rope.dimension_count_swa": 32}),
    "phi2": ("phi2", {"bias": "all", **_NORM}),
    "phi3": ("phi3", {"attention.sliding_window": 512, "bias": ()}),
    "phimoe": ("phimoe", {**_MOE, "bias": "all", **_NORM}),
    "starcoder2": ("starcoder2", {"bias": "all", **_NORM}),
    "gpt2": ("gpt2", {"bias": "all", **_NORM}),
    "gptneox": ("gptneox", {"bias": "all", "use_parallel_residual": True, **_NORM}),
    "falcon": ("falcon", {"attention.head_count_kv": 1, "bias": "all", **_NORM}),
    "bloom": ("bloom", {"bias": "all", **_NORM}),
    "mpt": ("mpt", {"bias": (), "attention.max_alibi_bias": 8.0, **_NORM}),
    "stablelm": ("stablelm", {"bias": ("_norm",), **_NORM}),
    "command-r": ("command-r", {"logit_scale": 1.0, "tied": True, **_NORM}),
    "cohere2": ("cohere2", {"attention.sliding_window": 512, "logit_scale": 1.0, "tied": True,
                            **_NORM}),
    "olmo2": ("olmo2", {"attention.sliding_window": 512}),
    "olmoe": ("olmoe", {"expert_count": 8, "expert_used_count": 2,
                        "attention.head_count_kv": 8}),
    "internlm2": ("internlm2", {}),
    "minicpm": ("minicpm", {}),
    "chatglm": ("chatglm", {"bias": ("attn_qkv",)}),
    "glm4": ("glm4", {"rope.dimension_count": 16}),
    "glm4moe": ("glm4moe", {**_MOE, "leading_dense_block_count": 1, "expert_gating_func": 2,
                            "rope.dimension_sections": [4, 4, 8, 0],
                            "bias": ("attn_q", "attn_k", "attn_v", "exp_probs_b")}),
    "exaone4": ("exaone4", {"attention.sliding_window": 512}),
    "gpt-oss": ("gpt-oss", {"expert_count": 8, "expert_used_count": 2, "bias": "all",
                            "expert_feed_forward_length": 256,
                            "attention.sliding_window": 128}),
    "llama4": ("llama4", {**_MOE, "interleave_moe_layer_step": 1}),
    "smollm3": ("smollm3", {"tied": True}),
    "granite": ("granite", {"attention.scale": 0.1, "logit_scale": 1.0, "tied": True}),
    "granitemoe": ("granitemoe", {"expert_count": 8, "expert_used_count": 2, "tied": True,
                                  "logit_scale": 1.0}),
    "hunyuan-dense": ("hunyuan-dense", {}),
    "ernie4_5": ("ernie4_5", {}),
    "seed_oss": ("seed_oss", {"bias": ("attn_q", "attn_k", "attn_v")}),
    "minimax-m2": ("minimax-m2", {**_MOE, "expert_gating_func": 2, "bias": ("exp_probs_b",)}),
    "deepseek": ("deepseek", {**_MOE, "leading_dense_block_count": 1}),
    "deepseek2": ("deepseek2", {**_MOE, **_LATENT, "leading_dense_block_count": 1}),
    "deepseek32": ("deepseek32", {
        **_MOE, **_LATENT, "leading_dense_block_count": 1, "expert_gating_func": 2,
        "attention.indexer.head_count": 16, "attention.indexer.key_length": 64,
        "attention.indexer.top_k": 512, "bias": ("exp_probs_b", "indexer")}),
    "deepseek2-old": ("deepseek2", {  # a conversion that keeps every head's keys and values
        **_MOE, "leading_dense_block_count": 1, "attention.head_count_kv": 8,
        "attention.q_lora_rank": 192, "attention.kv_lora_rank": 128,
        "attention.key_length": 96, "attention.value_length": 64, "rope.dimension_count": 32}),
    "minicpm3": ("minicpm3", {
        "attention.head_count_kv": 8, "attention.q_lora_rank": 192, "attention.kv_lora_rank": 128,
        "attention.key_length": 96, "attention.value_length": 64, "rope.dimension_count": 32}),
    "mamba": ("mamba", {**_MAMBA, "tied": True, "bias": ("ssm_",)}),
    "mamba2": ("mamba2", {**_MAMBA2, **_NO_HEADS, "tied": True, "bias": ("ssm_",)}),
    "jamba": ("jamba", {**_MAMBA, "attention.head_count": 8,
                        "attention.head_count_kv": [0, 0, 2, 0], "bias": ("ssm_",),
                        "expert_count": 4, "expert_used_count": 2}),
    "falcon-h1": ("falcon-h1", {**_MAMBA2, "attention.key_length": 32,
                                "attention.value_length": 32, "bias": ("ssm_",)}),
    "granitehybrid": ("granitehybrid", {**_MAMBA2, "attention.head_count_kv": [0, 0, 2, 0],
                                        "bias": ("ssm_",), "tied": True}),
    "nemotron_h": ("nemotron_h", {**_MAMBA2, "attention.head_count_kv": [0, 0, 2, 0],
                                  "feed_forward_length": [0, 768, 0, 0], "bias": ("ssm_",),
                                  **_NORM}),
    "plamo2": ("plamo2", {**_MAMBA2, "ssm.group_count": 0, "attention.head_count_kv": [0, 2, 0, 2],
                          "attention.key_length": 32, "attention.value_length": 32,
                          "bias": ("ssm_",)}),
    "lfm2": ("lfm2", {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 0, 2, 0]}),
    "rwkv7": ("rwkv7", {**_NO_HEADS, "wkv.head_size": 64, "bias": "all", **_NORM,
                        "attention.decay_lora_rank": 64, "attention.iclr_lora_rank": 64,
                        "attention.value_residual_mix_lora_rank": 32,
                        "attention.gate_lora_rank": 128, "token_shift_count": 2}),
    "rwkv6": ("rwkv6", {**_NO_HEADS, "wkv.head_size": 64, "bias": "all", **_NORM,
                        "time_mix_extra_dim": 32, "time_decay_extra_dim": 64,
                        "token_shift_count": 2}),
}  # fmt: skip
"""Names → architecture and what differs from `usual`. bias: parts of names of tensors whose bias
the model has; tied: no head of its own."""


def usual(context: int, width: int, layers: int, hidden: int, heads: int) -> Keys:
    """What every transformer's header says."""
    return {
        "context_length": context,
        "embedding_length": width,
        "block_count": layers,
        "feed_forward_length": hidden,
        "attention.head_count": heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }


def _real(
    context: int, words: int, width: int, layers: int, hidden: int, heads: int, kv: int, **more: Any
) -> Keys:
    keys = usual(context, width, layers, hidden, heads)
    keys |= {"vocab_size": words, "attention.head_count_kv": kv}
    return keys | {name.replace("__", "."): value for name, value in more.items()}


def _heads(length: int) -> Keys:
    return {"attention.key_length": length, "attention.value_length": length}


_QKV = ("attn_q", "attn_k", "attn_v")
REAL: dict[str, tuple[str, Keys]] = {
    "Llama-3.2-1B": ("llama", _real(131072, 128256, 2048, 16, 8192, 32, 8, tied=True)),
    "Llama-3.1-8B": ("llama", _real(131072, 128256, 4096, 32, 14336, 32, 8)),
    "Llama-3.3-70B": ("llama", _real(131072, 128256, 8192, 80, 28672, 64, 8)),
    "Llama-2-7B": ("llama", _real(4096, 32000, 4096, 32, 11008, 32, 32)),
    "Mistral-7B-v0.1": ("llama", _real(32768, 32000, 4096, 32, 14336, 32, 8,
                                       attention__sliding_window=4096)),
    "Mixtral-8x7B": ("llama", _real(32768, 32000, 4096, 32, 14336, 32, 8, expert_count=8,
                                    expert_used_count=2)),
    "Qwen2.5-0.5B": ("qwen2", _real(32768, 151936, 896, 24, 4864, 14, 2, tied=True, bias=_QKV)),
    "Qwen2.5-7B": ("qwen2", _real(131072, 152064, 3584, 28, 18944, 28, 4, bias=_QKV)),
    "Qwen3-0.6B": ("qwen3", _real(40960, 151936, 1024, 28, 3072, 16, 8, tied=True) | _heads(128)),
    "Qwen3-8B": ("qwen3", _real(40960, 151936, 4096, 36, 12288, 32, 8) | _heads(128)),
    "Qwen3-30B-A3B": ("qwen3moe", _real(40960, 151936, 2048, 48, 6144, 32, 4, expert_count=128,
                                        expert_used_count=8, expert_feed_forward_length=768)
                      | _heads(128)),
    "Qwen3-Next-80B-A3B": ("qwen3next", _real(
        262144, 151936, 2048, 48, 5120, 16, 2, expert_count=512, expert_used_count=10,
        expert_feed_forward_length=512, expert_shared_feed_forward_length=512,
        full_attention_interval=4, ssm__inner_size=4096, ssm__conv_kernel=4, ssm__state_size=128,
        ssm__time_step_rank=32, ssm__group_count=16, rope__dimension_count=64, bias=("ssm_",))
        | _heads(256)),
    "Gemma-2-9B": ("gemma2", _real(8192, 256000, 3584, 42, 14336, 16, 8, tied=True,
                                   attention__sliding_window=4096) | _heads(256)),
    "Gemma-3-1B": ("gemma3", _real(32768, 262144, 1152, 26, 6912, 4, 1, tied=True,
                                   attention__sliding_window=512) | _heads(256)),
    "Gemma-3-12B": ("gemma3", _real(131072, 262208, 3840, 48, 15360, 16, 8, tied=True,
                                    attention__sliding_window=1024) | _heads(256)),
    "Phi-3-mini": ("phi3", _real(4096, 32064, 3072, 32, 8192, 32, 32,
                                 attention__sliding_window=2047)),
    "Phi-4": ("phi3", _real(16384, 100352, 5120, 40, 17920, 40, 10)),
    "StarCoder2-3B": ("starcoder2", _real(16384, 49152, 3072, 30, 12288, 24, 2, tied=True,
                                          bias="all") | _NORM),
    "GPT-2": ("gpt2", _real(1024, 50257, 768, 12, 3072, 12, 12, tied=True, bias="all") | _NORM),
    "Command-R7B": ("cohere2", _real(132096, 256000, 4096, 32, 14336, 32, 8, tied=True,
                                     attention__sliding_window=4096, logit_scale=0.25) | _NORM),
    "GLM-4-9B": ("glm4", _real(32768, 151552, 4096, 40, 13696, 32, 2, rope__dimension_count=64)
                 | _heads(128)),
    "gpt-oss-20b": ("gpt-oss", _real(131072, 201088, 2880, 24, 2880, 64, 8, expert_count=32,
                                     expert_used_count=4, expert_feed_forward_length=2880,
                                     bias="all", attention__sliding_window=128) | _heads(64)),
    "OLMoE-1B-7B": ("olmoe", _real(4096, 50304, 2048, 16, 1024, 16, 16, expert_count=64,
                                   expert_used_count=8)),
    "Llama-4-Scout": ("llama4", _real(10485760, 202048, 5120, 48, 16384, 40, 8, expert_count=16,
                                      expert_used_count=1, expert_feed_forward_length=8192,
                                      interleave_moe_layer_step=1) | _heads(128)),
    "Phi-3.5-MoE": ("phimoe", _real(131072, 32064, 4096, 32, 6400, 32, 8, expert_count=16,
                                    expert_used_count=2, bias="all") | _NORM),
    "Phi-2": ("phi2", _real(2048, 51200, 2560, 32, 10240, 32, 32, rope__dimension_count=32,
                            bias="all") | _NORM),
    "Falcon-7B": ("falcon", _real(2048, 65024, 4544, 32, 18176, 71, 1, bias=("_norm",))
                  | _NORM),
    "Gemma-3n-E4B": ("gemma3n", _real(32768, 262144, 2048, 35, 16384, 8, 2, tied=True,
                                      attention__sliding_window=512) | _heads(256)),
    "Granite-3.3-8B": ("granite", _real(131072, 49159, 4096, 40, 12800, 32, 8, tied=True,
                                        attention__scale=0.0078, logit_scale=16.0)),
    "DeepSeek-V2-Lite": ("deepseek2", _real(
        163840, 102400, 2048, 27, 10944, 16, 1, expert_count=64, expert_used_count=6,
        expert_feed_forward_length=1408, expert_shared_count=2, expert_weights_scale=1.0,
        leading_dense_block_count=1, attention__kv_lora_rank=512, attention__key_length=576,
        attention__value_length=512, attention__key_length_mla=192, attention__value_length_mla=128,
        rope__dimension_count=64)),
    "DeepSeek-V3": ("deepseek2", _real(
        163840, 129280, 7168, 61, 18432, 128, 1, expert_count=256, expert_used_count=8,
        expert_feed_forward_length=2048, expert_shared_count=1, expert_weights_scale=2.5,
        expert_gating_func=2, leading_dense_block_count=3, attention__q_lora_rank=1536,
        attention__kv_lora_rank=512, attention__key_length=576, attention__value_length=512,
        attention__key_length_mla=192, attention__value_length_mla=128, rope__dimension_count=64)),
    "DeepSeek-V3.2": ("deepseek32", _real(
        163840, 129280, 7168, 61, 18432, 128, 1, expert_count=256, expert_used_count=8,
        expert_feed_forward_length=2048, expert_shared_count=1, expert_weights_scale=2.5,
        expert_gating_func=2, leading_dense_block_count=3, attention__q_lora_rank=1536,
        attention__kv_lora_rank=512, attention__key_length=576, attention__value_length=512,
        attention__key_length_mla=192, attention__value_length_mla=128, rope__dimension_count=64,
        attention__indexer__head_count=64, attention__indexer__key_length=128,
        attention__indexer__top_k=2048, bias=("exp_probs_b", "indexer"))),
    "Mamba-2.8B": ("mamba", _real(
        1048576, 50280, 2560, 64, 0, 0, 0, ssm__inner_size=5120, ssm__conv_kernel=4,
        ssm__state_size=16, ssm__time_step_rank=160, tied=True, bias=("ssm_",))),
    "Mamba2-2.7B": ("mamba2", _real(
        1048576, 50288, 2560, 64, 0, 0, 0, ssm__inner_size=5120, ssm__conv_kernel=4,
        ssm__state_size=128, ssm__time_step_rank=80, ssm__group_count=1, tied=True,
        bias=("ssm_",))),
    "Falcon-H1-1.5B": ("falcon-h1", _real(
        131072, 65537, 2048, 24, 4096, 8, 2, ssm__inner_size=3072, ssm__conv_kernel=4,
        ssm__state_size=256, ssm__time_step_rank=48, ssm__group_count=1, bias=("ssm_",))
        | _heads(128)),
    "Granite-4.0-H-Micro": ("granitehybrid", _real(
        131072, 100352, 2048, 40, 8192, 32,
        [8 if n in (5, 15, 25, 35) else 0 for n in range(40)],  # type: ignore[arg-type]
        ssm__inner_size=4096, ssm__conv_kernel=4, ssm__state_size=128, ssm__time_step_rank=64,
        ssm__group_count=1, bias=("ssm_",), tied=True)),
    "LFM2-1.2B": ("lfm2", _real(
        128000, 65536, 2048, 16, 8192, 32,
        [8 if n in (2, 5, 8, 10, 12, 14) else 0 for n in range(16)],  # type: ignore[arg-type]
        shortconv__l_cache=3, tied=True)),
    "Jamba-Mini": ("jamba", _real(
        262144, 65536, 4096, 32, 14336, 32,
        [8 if n % 8 == 4 else 0 for n in range(32)],  # type: ignore[arg-type]
        ssm__inner_size=8192, ssm__conv_kernel=4, ssm__state_size=16, ssm__time_step_rank=256,
        expert_count=16, expert_used_count=2, bias=("ssm_",))),
    "RWKV7-1.5B": ("rwkv7", _real(
        1048576, 65536, 2048, 24, 8192, 0, 0, wkv__head_size=64, token_shift_count=2, bias="all",
        attention__decay_lora_rank=96, attention__iclr_lora_rank=96,
        attention__value_residual_mix_lora_rank=64, attention__gate_lora_rank=256) | _NORM),
}  # fmt: skip


UNSURE = ("deepseek32", "DeepSeek-V3.2")
"""Their attention chooses its tokens first; the scratch space for that is not predicted well."""


# ------------------------------------------------------------------------------ headers and weights


def metadata(name: str) -> dict[str, Value]:
    """The header of a model, without its vocabulary if it is a `real` one."""
    architecture, keys = (SMALL | REAL)[name]
    if name in SMALL:
        keys = {**usual(4096, 256, 4, 768, 8), "attention.head_count_kv": 2, **keys}
        keys["vocab_size"] = VOCABULARY
    made: dict[str, Value] = {
        "general.architecture": (8, architecture),
        "general.name": (
            8,
            "Tiny",
        ),  # llama.cpp looks for special words of some that it knows by name
        "general.license": (8, "cc0-1.0"),
        "general.file_type": (4, 1),
    }
    for key, value in keys.items():
        if key not in ("bias", "tied"):
            made[f"{architecture}.{key}"] = _value(value)
    return made | (vocabulary() if name in SMALL else {"tokenizer.ggml.model": (8, "no_vocab")})


def _value(value: Any) -> Value:
    match value:
        case list():
            return (9, (_value(value[0])[0], value))
        case bool():
            return (7, value)
        case int():
            return (4, value)
        case float():
            return (6, value)
    return (8, value)


@cache
def shapes(name: str) -> Shapes:
    """The tensors of a model, in llama.cpp's order."""
    _, keys = (SMALL | REAL)[name]
    return [pair for pair in _asked(metadata(name)) if _has(pair[0], keys)]


def _has(tensor: str, keys: Keys) -> bool:
    if tensor.endswith("scale"):  # of FP8 weights and the like
        return False
    if tensor == "output.weight" and keys.get("tied"):
        return False
    if tensor.endswith(".bias"):
        wanted = keys.get("bias", ())
        return wanted == "all" or any(part in tensor for part in wanted)
    return True


def _asked(header: Mapping[str, Value]) -> Shapes:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(gguf_bytes(header))
        file.flush()
        command = [sys.executable, "-P", str(Path(__file__)), file.name]
        quiet = os.environ | {"GGML_NO_BACKTRACE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise ValueError(f"llama.cpp takes no such header: {done.stderr[-500:]}")
    return [(tensor, tuple(shape)) for tensor, shape in json.loads(done.stdout)]


F32, F16, Q4_0, Q8_0, Q4_K = 0, 1, 2, 8, 12
_BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34), Q4_K: (256, 144)}
# What llama.cpp's operations want in full: states of recurrences, routers, sinks.
_FULL = ("norm", "ffn_gate_inp", "ssm_a", "ssm_d", "ssm_conv1d", "ssm_dt.bias", "shortconv.conv",
         "time_mix_", "attn_sinks", "altup", "token_types", "position_embd", "rope")  # fmt: skip
_HALF = (
    "time_mix_key",
    "time_mix_value",
    "time_mix_receptance",
    "time_mix_gate",
    "time_mix_output",
)


def table(name: str, type: int = F16) -> list[tuple[str, Sequence[int], int, int]]:
    """The tensors with their types and offsets. type: of matrices, where their rows allow it."""
    made: list[tuple[str, Sequence[int], int, int]] = []
    offset = 0
    for tensor, shape in shapes(name):
        kind = type
        full = any(part in tensor for part in _FULL) and not tensor.endswith(
            tuple(f"{part}.weight" for part in _HALF)
        )
        if full or len(shape) < 2 or not tensor.endswith(".weight"):
            kind = F32
        elif shape[0] % _BLOCKS[kind][0]:
            kind = F16
        made.append((tensor, shape, kind, offset))
        offset += -(-_size(shape, kind) // 32) * 32
    return made


def _size(shape: Sequence[int], type: int) -> int:
    block, size = _BLOCKS[type]
    return math.prod(shape) // block * size


def header_bytes(name: str, type: int = F16) -> bytes:
    """The beginning of a file, up to its weights."""
    return gguf_bytes(metadata(name), table(name, type))


def hollow(path: Path, name: str, type: int = F16) -> Path:
    """Write a header with a hole where the weights would be."""
    tensors = table(name, type)
    _, shape, kind, offset = tensors[-1]
    begin = gguf_bytes(metadata(name), tensors)
    with open(path, "wb") as file:
        file.write(begin)
        file.truncate(len(begin) + offset + -(-_size(shape, kind) // 32) * 32)
    return path


def write(path: Path, name: str, type: int = F16, seed: int = 1) -> Path:
    """Write a small model with random weights."""
    return write_table(path, metadata(name), table(name, type), seed)


def write_table(
    path: Path,
    header: Mapping[str, Value],
    tensors: Sequence[tuple[str, Sequence[int], int, int]],
    seed: int = 1,
) -> Path:
    """Write a header and random weights for its tensors."""
    pool = _Pool(seed)
    with open(path, "wb") as file:
        file.write(gguf_bytes(header, tensors))
        for tensor, shape, kind, _ in tensors:
            size = _size(shape, kind)
            file.write(pool.weights(tensor, kind, size))
            file.write(bytes(-size % 32))
    return path


class _Pool:
    """Random numbers of every type, the same ones again and again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        numbers = array("f", (self._random.gauss(0, 0.05) for _ in range(1 << 14)))
        self._bytes = {
            F32: numbers.tobytes(),
            F16: struct.pack(f"<{len(numbers)}e", *numbers),
            Q4_0: self._blocks("<e", 0.01, 16),
            Q8_0: self._blocks("<e", 0.0005, 32),
            Q4_K: self._blocks("<ee", 0.0002, 140, 0.0001),
        }

    def _blocks(self, form: str, scale: float, size: int, *more: float) -> bytes:
        some = self._random.randbytes
        return b"".join(struct.pack(form, scale, *more) + some(size) for _ in range(1 << 10))

    def weights(self, tensor: str, type: int, size: int) -> bytes:
        if type == F32 and "norm" in tensor and tensor.endswith("weight"):
            return array("f", [1.0]).tobytes() * (size // 4)
        if tensor.endswith("ssm_a"):  # how fast a state is forgotten
            return array("f", [-1.0]).tobytes() * (size // 4)
        pool = self._bytes[type]
        block = _BLOCKS[type][1]
        start = self._random.randrange(len(pool) // block) * block
        return (pool[start:] + pool * (size // len(pool) + 1))[:size]


# ---------------------------------------------------------------------------- in the process below


_LISTED = "_Z29llama_internal_get_tensor_mapPK11llama_model"


class _Tensor(ctypes.Structure):
    """The beginning of a `ggml_tensor`."""

    _fields_ = (("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4))


class _GgufParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def main() -> None:
    """Print the tensors that llama.cpp makes for the header in a file."""
    from millstream.lab.library import Library, ModelParams, path

    library, more = Library(), ctypes.CDLL(str(path()))
    pointer = ctypes.c_void_p
    more.gguf_init_from_file.restype = pointer
    more.gguf_init_from_file.argtypes = (ctypes.c_char_p, _GgufParams)
    more.ggml_get_name.restype, more.ggml_get_name.argtypes = ctypes.c_char_p, (pointer,)
    more.ggml_n_dims.argtypes = (pointer,)
    more.ggml_nelements.restype, more.ggml_nelements.argtypes = ctypes.c_int64, (pointer,)
    header = more.gguf_init_from_file(sys.argv[1].encode(), _GgufParams(True, None))
    library.llama_backend_init()
    params = library.llama_model_default_params()
    params.no_alloc = True
    fill = ctypes.CFUNCTYPE(None, pointer, pointer)(lambda tensor, _: None)
    start = more.llama_model_init_from_user
    start.restype, start.argtypes = pointer, (pointer, type(fill), pointer, ModelParams)
    model = start(header, fill, None, params)
    if not model:
        sys.stderr.flush()
        os._exit(1)
    # A `const std::vector<std::pair<std::string, ggml_tensor *>> &`; the wheel's text is a pointer.
    listed = getattr(more, _LISTED)
    listed.restype, listed.argtypes = pointer, (pointer,)
    begin, end = (pointer * 2).from_address(listed(model))
    found = {}
    for at in range(begin or 0, end or 0, 16):
        tensor = pointer.from_address(at + 8).value
        sizes = _Tensor.from_address(tensor).ne[: max(1, more.ggml_n_dims(tensor))]
        found[more.ggml_get_name(tensor).decode()] = sizes
    print(json.dumps(list(found.items())), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
