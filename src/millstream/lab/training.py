"""What a training run takes of memory, by part.

    weights      the model that is trained, or the frozen one below adapters
    master       a copy of the trained weights in 32 bits, with mixed precision
    adapters     LoRA's two thin matrices beside each chosen matrix
    gradients    one number for each trained weight
    optimizer    what the optimizer remembers of each trained weight
    activations  what the way back needs of the way there, for each layer
    logits       the last layer's scores for every word and token, often the peak
    runtime      fragmentation and the library's own share

Per trained weight, mixed precision and AdamW take 2 + 4 + 8 bytes and 2 of gradients, 16 in all.
Sources: "Model memory anatomy" of Hugging Face's transformers documentation for weights, gradients
and optimizer states; Korthikanti et al., "Reducing Activation Recomputation in Large Transformer
Models" (arXiv 2205.05198), for activations: s·b·h·(34 + 5·a·s/h) bytes a layer in 16 bits, without
the second term where scores are not kept (flash attention, selective recomputation); Hu et al.
(arXiv 2106.09685) for LoRA; Dettmers et al. (arXiv 2305.14314) for 4-bit bases: blocks of 64
weights with a scale each, the scales quantized again in blocks of 256.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from millstream.models.gguf import Tensor
from millstream.models.shape import Shape

Method = Literal["full", "lora", "qlora"]
Optimizer = Literal["adamw", "adamw-8bit", "sgd", "adafactor", "paged-adamw-8bit"]
Precision = Literal["mixed", "bf16", "fp32"]

_STATES: dict[Optimizer, float] = {
    "adamw": 8.0,
    "adamw-8bit": 2.0,
    "paged-adamw-8bit": 0.0,  # kept in the machine's memory and fetched by page
    "sgd": 0.0,
    "adafactor": 0.1,  # rows and columns instead of each number
}
"""Bytes for each trained weight."""

# Matrices that adapters are put beside, as patterns of names: linear layers, experts' too, but
# neither routers nor the head.
_ADAPTED = {
    "attention": re.compile(r"\.attn_(q|v|qkv)\."),
    "all": re.compile(
        r"\.attn_(q|k|v|qkv|output|[qkv]_[ab]|kv_[ab]|kv_a_mqa)\."
        r"|\.ffn_(gate|up|down)(_exps|_shexp)?\.|\.ssm_(in|out)\."
    ),
}
_NF4_SCALES = 4 / (64 * 256)  # 32 bits of scale for 256 scales
_FRAGMENTED = 0.07  # of everything else
_LIBRARY = 800 << 20  # CUDA's context and kernels


class Training(msgspec.Struct, frozen=True):
    """How a model is trained. batch: sequences at once; sequence: tokens of each. checkpointing:
    a layer's activations are computed again on the way back. flash: scores are not kept. rank: of
    adapters; beside: "attention" for queries and values, "all" for every matrix."""

    method: Method = "full"
    precision: Precision = "mixed"
    optimizer: Optimizer = "adamw"
    batch: int = 1
    sequence: int = 2048
    checkpointing: bool = False
    flash: bool = True
    rank: int = 16
    beside: Literal["attention", "all"] = "all"
    double_quantization: bool = True


class TrainingFootprint(msgspec.Struct, frozen=True):
    """Bytes of a training run, by part. trained: weights that change."""

    trained: int
    weights: int
    master: int
    adapters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    runtime: int

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__struct_fields__[1:])


def footprint(tensors: Sequence[Tensor], sizes: Shape, how: Training) -> TrainingFootprint:
    """What a training run takes. tensors: of the model, of any types; only shapes count."""
    weights = sum(tensor.elements for tensor in tensors)
    each = 4 if how.precision == "fp32" else 2
    if how.method == "full":
        trained, frozen, adapters = weights, each * weights, 0
    else:
        trained = adapter_weights(tensors, how)
        adapters = each * trained
        frozen = each * weights
        if how.method == "qlora":
            frozen = _quantized(tensors, how)
    master = 4 * trained if how.precision == "mixed" else 0
    tokens = how.batch * how.sequence
    logits = tokens * sizes.vocabulary * 6  # 16 bits, and 32 for the loss
    parts = {
        "weights": frozen,
        "master": master,
        "adapters": adapters,
        "gradients": each * trained,
        "optimizer": round(_STATES[how.optimizer] * trained),
        "activations": activations(sizes, how, gated=_gated(tensors, sizes)),
        "logits": logits,
    }
    runtime = _LIBRARY + round(_FRAGMENTED * sum(parts.values()))
    return TrainingFootprint(trained=trained, runtime=runtime, **parts)


def adapter_weights(tensors: Sequence[Tensor], how: Training) -> int:
    """Weights of LoRA's adapters: rank · (row + column) of each chosen matrix, for each expert."""
    chosen = _ADAPTED[how.beside]
    total = 0
    for tensor in tensors:
        if len(tensor.shape) < 2 or not tensor.name.endswith("weight"):
            continue
        if not chosen.search(tensor.name):
            continue
        row, column = tensor.shape[:2]
        copies = tensor.elements // (row * column)
        if ".attn_k_b." in tensor.name:  # with the values' one matrix, which a conversion cuts
            total += how.rank * (column + row * copies)
        elif ".attn_v_b." in tensor.name:
            total += how.rank * column * copies
        else:
            total += how.rank * (row + column) * copies
    return total


def activations(sizes: Shape, how: Training, *, gated: bool = True) -> int:
    """Bytes that the way back needs, in the precision of the run.

    With checkpointing each layer keeps what came in, and one layer at a time has all of it. A
    token's share of a feed-forward layer is counted by its real length: of the paper's 34, 16 are
    for one of four widths that keeps two rows; one with a gate keeps four.
    """
    wide = 2 if how.precision == "fp32" else 1
    tokens = how.batch * how.sequence
    scores = 0 if how.flash else 5 * sizes.heads * how.sequence
    hidden = sizes.used * sizes.expert if sizes.experts else sizes.hidden
    inner = sizes.inner * 8 if not sizes.attention else 0
    live = tokens * (18 * sizes.width + max((8 if gated else 4) * hidden, inner) + scores)
    count = len(sizes.layers)
    kept = live * count
    if how.checkpointing:
        kept = min(kept, 2 * tokens * sizes.width * count + live)
    return wide * kept


def _gated(tensors: Sequence[Tensor], sizes: Shape) -> bool:
    """Whether feed-forward layers have a gate, in a matrix of its own or in that of the way up."""
    return any(
        ".ffn_gate" in tensor.name
        or (".ffn_up." in tensor.name and tensor.shape[-1] > sizes.hidden)
        for tensor in tensors
    )


def _quantized(tensors: Sequence[Tensor], how: Training) -> int:
    """Bytes of a base in NF4; what lies outside of the layers, and vectors, stay in 16 bits. One
    layer's largest matrix is unpacked at a time."""
    scale = _NF4_SCALES + 1 / 64 if how.double_quantization else 4 / 64
    packed = plain = largest = 0
    for tensor in tensors:
        if len(tensor.shape) > 1 and tensor.name.startswith("blk."):
            packed += tensor.elements
            largest = max(largest, tensor.elements)
        else:
            plain += tensor.elements
    return round(packed * (0.5 + scale)) + 2 * plain + 2 * largest
