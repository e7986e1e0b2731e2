"""What a model's header says of its layers: which keep keys and values, of what size, how far back.

Architectures differ most in what they remember of the tokens before: every head's keys and values
(multi-head attention), those of groups of heads, one compressed vector (latent attention), only a
window of the last tokens, a state of fixed size (recurrent layers), or nothing because an earlier
layer's are used. Memory, speed and quantizers read it from here.

Source: `load_hparams` of each architecture in llama.cpp. What it ignores is ignored here too: the
windows of Mistral and Phi-3 are not used, their whole context is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from millstream.models.gguf import Header

# Layers that see everything where a header gives no pattern: the last one of each group of so many,
# in those of `_FIRST` the first one. Only these architectures heed a window.
_PERIODS = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "cohere2": 4,
    "cohere2moe": 4,
    "gpt-oss": 2,
    "llama4": 4,
    "olmo2": 4,
    "exaone4": 4,
    "exaone-moe": 4,
    "smallthinker": 4,
    "afmoe": 4,
    "laguna": 4,
    "mellum": 4,
    "muse-glimmer": 4,
    "plamo3": 8,
}
_FIRST = ("smallthinker", "cohere2moe", "laguna")
_SAID = ("gemma4", "granite_swa", "spark2_5", "mimo2", "step35", "maple")  # always by a pattern
_WINDOWS = {"gemma2": 4096, "exaone4": 4096, "exaone-moe": 128}  # where a header doesn't say
_FIXED = {"llama4": 8192, "smallthinker": 4096}  # whatever a header says
_RECURRENT = ("mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7")
_BOTH = ("falcon-h1",)  # attention and a recurrent part in the same layer
_MIXED = ("jamba", "granitehybrid", "nemotron_h", "nemotron_h_moe", "plamo2", "lfm2", "lfm2moe",
          "kimi-linear", "bailingmoe3", "kimi-k3")  # fmt: skip
_PERIODIC = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "minimax-01": 8}
"""Recurrent but for every nth layer."""
_INDEXED = ("deepseek32", "glm-dsa")  # a short key for each token, to choose whom to attend to
_WITHOUT = ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2",
            "jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder", "dream", "llada",
            "llada-moe", "rnd1")  # fmt: skip
"""Those that see a whole text at once and keep nothing of it: encoders, diffusion."""
_EXAONE_WITH_WINDOWS = 64  # layers
_UNGROUPED = ("mamba", "jamba")
_OWN_INPUTS = 256  # numbers that every layer of a Gemma 3n gets of each token


class Layer(msgspec.Struct, frozen=True):
    """One layer. heads: of queries; keys, values: numbers that a token leaves in the cache, for
    all heads; index: of a key beside them that is only for choosing tokens; window: tokens that it
    looks back, 0 for all. padded: what `values` takes without flash attention, where all layers
    have the room of the widest. state, shift: numbers that a recurrent layer keeps for each
    sequence (of its state, and of the last tokens)."""

    heads: int = 0
    keys: int = 0
    values: int = 0
    padded: int = 0
    index: int = 0
    window: int = 0
    state: int = 0
    shift: int = 0


class Shape(msgspec.Struct, frozen=True):
    """A model's sizes, as numbers of 32 bits where nothing else is said.

    width: what stands for a token between layers. key, value: of a head. latent: the compressed
    vector of latent attention; plain, rope: of a query's head without and with a place, there;
    queries: the compressed vector of queries. indexers: heads that choose tokens. hidden: of dense
    feed-forward layers, 0 if there are none; expert: of one expert of `experts`, of which a token
    takes `used`; gated: both have a gate. extra: what each layer gets of a token beside the width.
    inner: width of a recurrent layer; state: of one of its channels; groups, kernel: of its
    projections and its convolution; head: of an RWKV.
    """

    architecture: str
    width: int
    vocabulary: int
    layers: tuple[Layer, ...]
    context: int | None = None
    heads: int = 0
    kv_heads: int = 0
    key: int = 0
    value: int = 0
    latent: int = 0
    plain: int = 0
    rope: int = 0
    queries: int = 0
    indexers: int = 0
    hidden: int = 0
    experts: int = 0
    used: int = 0
    expert: int = 0
    gated: bool = True
    extra: int = 0
    inner: int = 0
    state: int = 0
    groups: int = 0
    kernel: int = 0
    head: int = 0

    @property
    def attention(self) -> bool:
        """Whether any layer keeps keys."""
        return any(layer.keys for layer in self.layers)

    @property
    def window(self) -> int:
        """Tokens of the longest window; 0 where every layer sees everything."""
        return max((layer.window for layer in self.layers), default=0)


def shape(header: Header) -> Shape:
    """The sizes that a header tells. What it doesn't tell is 0."""
    architecture = header.architecture

    def number(key: str) -> int:
        return header.number(key) or 0

    count = max(0, (header.block_count or 0) - number("nextn_predict_layers"))
    heads = _by_layer(header, "attention.head_count", count)
    width = header.embedding_length or 0
    widest = max(heads, default=0)
    usual = width // widest if widest else 0
    key = _or(header.number("attention.key_length"), usual)
    value = _or(header.number("attention.value_length"), usual)
    # Conversions from before `key_length_mla` keep keys and values of every head.
    latent = number("attention.kv_lora_rank") if number("attention.key_length_mla") else 0
    kv_heads = heads
    if f"{architecture}.attention.head_count_kv" in header.metadata:
        kv_heads = _by_layer(header, "attention.head_count_kv", count)
    windows = _windows(header, count)
    attends, recurrent = _kinds(header, kv_heads)
    shift, state = _kept(header)
    caching = _caching(header, count)
    index = number("attention.indexer.key_length") if architecture in _INDEXED else 0
    key_near = _or(header.number("attention.key_length_swa"), key)
    value_near = _or(header.number("attention.value_length_swa"), value)
    values = [kv_heads[n] * (value_near if windows[n] else value) for n in range(count)]
    layers = []
    for n in range(count):
        keeps = attends[n] and caching[n]
        layers.append(
            Layer(
                heads=heads[n] if attends[n] else 0,
                keys=kv_heads[n] * (key_near if windows[n] else key) if keeps else 0,
                values=values[n] if keeps and not latent else 0,
                padded=max(values) if keeps and not latent else 0,
                index=index if keeps else 0,
                window=windows[n] if keeps else 0,
                state=state if recurrent[n] else 0,
                shift=shift if recurrent[n] else 0,
            )
        )
    hidden, expert, gated = _feed_forward(header)
    scans = any(recurrent)
    return Shape(
        architecture=architecture,
        width=width,
        vocabulary=header.vocabulary or _rows(header),
        layers=tuple(layers),
        context=header.context_length,
        heads=widest,
        kv_heads=max(kv_heads, default=0),
        key=key,
        value=value,
        latent=latent,
        plain=max(0, number("attention.key_length_mla") - number("rope.dimension_count")),
        rope=number("rope.dimension_count"),
        queries=number("attention.q_lora_rank"),
        indexers=number("attention.indexer.head_count") if index else 0,
        hidden=hidden,
        experts=number("expert_count"),
        used=number("expert_used_count"),
        expert=expert,
        gated=gated,
        extra=_OWN_INPUTS
        if architecture == "gemma3n"
        else number("embedding_length_per_layer_input"),
        inner=number("ssm.inner_size") if scans else 0,
        state=number("ssm.state_size") if scans else 0,
        groups=number("ssm.group_count") if scans else 0,
        kernel=number("ssm.conv_kernel") if scans else 0,
        head=number("wkv.head_size") if scans else 0,
    )


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _rows(header: Header) -> int:
    """The vocabulary by the table of embeddings, for a header that doesn't say."""
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
            return tensor.shape[1]
    return 0


def _by_layer(header: Header, key: str, count: int) -> list[int]:
    value: Any = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, tuple) and len(value) >= count:
        return [n if isinstance(n, int) and n >= 0 else 0 for n in value[:count]]
    return [header.number(key) or 0] * count


def _feed_forward(header: Header) -> tuple[int, int, bool]:
    """Hidden numbers of a dense layer and of one expert, and whether they are gated: by the
    tensors, since headers say it in several ways; without any by the header."""
    hidden = expert = 0
    gated = False
    seen = False
    for tensor in header.tensors:
        _, _, part = tensor.name.partition("ffn_")
        if not part or len(tensor.shape) < 2:
            continue
        if part == "down.weight":
            hidden, seen = max(hidden, tensor.shape[0]), True
        elif part == "down_exps.weight":
            expert, seen = max(expert, tensor.shape[0]), True
        elif part in ("gate.weight", "gate_exps.weight", "gate_up_exps.weight"):
            gated = True
        elif part == "up.weight":  # of Phi 3 and GLM 4 it has the gate in it
            gated = gated or tensor.shape[1] == 2 * (header.number("feed_forward_length") or 0)
    if seen:
        return hidden, expert, gated
    hidden = header.number("feed_forward_length") or 0
    return hidden, header.number("expert_feed_forward_length") or hidden, True


def _windows(header: Header, count: int) -> list[int]:
    """Tokens that each layer looks back; 0 for all."""
    architecture = header.architecture
    length = header.number("attention.sliding_window")
    if length is None:
        length = _WINDOWS.get(architecture, _FIXED.get(architecture, 0))
        if architecture == "smallthinker":
            length = 0
    elif length:
        length = _FIXED.get(architecture, length)
    if architecture == "exaone4" and count != _EXAONE_WITH_WINDOWS:
        length = 0
    if not length or architecture in _WITHOUT:
        return [0] * count
    if architecture == "lfm2":
        return [length] * count
    pattern = header.metadata.get(f"{architecture}.attention.sliding_window_pattern")
    period = _PERIODS.get(architecture)
    if isinstance(pattern, tuple) and len(pattern) >= count and (period or architecture in _SAID):
        return [length if on else 0 for on in pattern[:count]]
    if period is None:
        return [0] * count
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern >= 0:
        period = pattern
    if not period:
        return [length] * count
    whole = 0 if architecture in _FIRST else period - 1
    return [0 if n % period == whole else length for n in range(count)]


def _kinds(header: Header, kv_heads: list[int]) -> tuple[list[bool], list[bool]]:
    """Which layers attend, and which keep a state."""
    architecture, count = header.architecture, len(kv_heads)
    if architecture in _RECURRENT:
        return [False] * count, [True] * count
    if architecture in _BOTH:
        return [True] * count, [True] * count
    recurrent = [False] * count
    if every := _PERIODIC.get(architecture):
        every = header.number("full_attention_interval") or every
        said = header.metadata.get(f"{architecture}.attention.recurrent_layers")
        recurrent = [(n + 1) % every != 0 for n in range(count)]
        if isinstance(said, tuple) and len(said) >= count:
            recurrent = [bool(on) for on in said[:count]]
    elif architecture.startswith("nemotron_h"):
        lengths = _by_layer(header, "feed_forward_length", count)
        recurrent = [not kv_heads[n] and not lengths[n] for n in range(count)]
        return [bool(kv_heads[n]) and not lengths[n] for n in range(count)], recurrent
    elif architecture in _MIXED or not any(kv_heads):
        recurrent = [not n for n in kv_heads]
    return [not r for r in recurrent], recurrent


def _kept(header: Header) -> tuple[int, int]:
    """Numbers that a recurrent layer keeps for a sequence: of the last tokens, of its state."""
    width = header.embedding_length or 0
    if head := header.number("wkv.head_size"):
        return (header.number("token_shift_count") or 2) * width, width * head
    if kernel := header.number("shortconv.l_cache"):
        return width * (kernel - 1), 0
    kernel = header.number("ssm.conv_kernel") or 0
    if head := header.number("kda.head_dim"):
        rows = head * (header.heads or 0)
        return 3 * max(0, kernel - 1) * rows, head * rows
    inner, state = header.number("ssm.inner_size") or 0, header.number("ssm.state_size") or 0
    groups = 0 if header.architecture in _UNGROUPED else header.number("ssm.group_count") or 0
    if not state and (length := header.number("attention.key_length")):
        return 0, length * length * (header.heads or 0)  # linear attention
    return max(0, kernel - 1) * (inner + 2 * groups * state), state * inner


def _caching(header: Header, count: int) -> list[bool]:
    """Which layers have keys and values of their own."""
    if header.architecture in _WITHOUT:
        return [False] * count
    shared = 0
    if header.architecture == "gemma3n":
        shared = max(0, count - 20)
    elif header.architecture == "gemma4":
        shared = header.number("attention.shared_kv_layers") or 0
    return [n < count - shared for n in range(count)]
