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

# Layers that see everything: every nth one, where a header gives no pattern. `_FIRST`: counted
# from the first layer, else from the last of each group.
_PERIODS = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "cohere2": 4,
    "gpt-oss": 2,
    "llama4": 4,
    "olmo2": 4,
    "exaone4": 4,
    "exaone-moe": 4,
    "smallthinker": 4,
    "afmoe": 4,
}
_FIRST = ("smallthinker",)
_WINDOWS = {"gemma2": 4096, "llama4": 8192}  # where a header doesn't say how long
_RECURRENT = ("mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7")
_BOTH = ("falcon-h1",)  # attention and a recurrent part in the same layer
_MIXED = ("jamba", "granitehybrid", "nemotron_h", "nemotron_h_moe", "plamo2", "lfm2", "lfm2moe",
          "kimi-linear")  # fmt: skip
_PERIODIC = ("qwen3next", "qwen35", "qwen35moe")  # recurrent but for every nth layer
_ENCODERS = ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2",
             "jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder")  # fmt: skip


class Layer(msgspec.Struct, frozen=True):
    """One layer. heads: of queries; keys, values: numbers that a token leaves in the cache, for
    all heads; window: tokens that it looks back, 0 for all. state, shift: numbers that a recurrent
    layer keeps for each sequence (of its state, and of the last tokens)."""

    heads: int = 0
    keys: int = 0
    values: int = 0
    window: int = 0
    state: int = 0
    shift: int = 0


class Shape(msgspec.Struct, frozen=True):
    """A model's sizes, as numbers of 32 bits where nothing else is said.

    width: what stands for a token between layers. key, value: of a head. latent: the compressed
    vector of latent attention; plain, rope: of a query's head without and with a place, there;
    queries: the compressed vector of queries. hidden: of dense feed-forward layers; expert: of
    one expert of `experts`, of which a token takes `used`. inner: width of a recurrent layer;
    state: of one of its channels; groups, kernel: of its projections and its convolution.
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
    hidden: int = 0
    experts: int = 0
    used: int = 0
    expert: int = 0
    inner: int = 0
    state: int = 0
    groups: int = 0
    kernel: int = 0

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
    recurrent = _recurrent(header, kv_heads)
    attends = [not r for r in recurrent] if architecture not in _BOTH else [True] * count
    shift, state = _kept(header)
    caching = _caching(header, count)
    layers = []
    for n in range(count):
        keeps = attends[n] and caching[n]
        key_n, value_n = key, value
        if windows[n]:
            key_n = header.number("attention.key_length_swa") or key
            value_n = header.number("attention.value_length_swa") or value
        layers.append(
            Layer(
                heads=heads[n] if attends[n] else 0,
                keys=kv_heads[n] * key_n if keeps else 0,
                values=kv_heads[n] * value_n if keeps and not latent else 0,
                window=windows[n] if keeps else 0,
                state=state if recurrent[n] else 0,
                shift=shift if recurrent[n] else 0,
            )
        )
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
        hidden=number("feed_forward_length"),
        experts=number("expert_count"),
        used=number("expert_used_count"),
        expert=number("expert_feed_forward_length") or number("feed_forward_length"),
        inner=number("ssm.inner_size"),
        state=number("ssm.state_size"),
        groups=number("ssm.group_count"),
        kernel=number("ssm.conv_kernel"),
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


def _windows(header: Header, count: int) -> list[int]:
    """Tokens that each layer looks back; 0 for all."""
    architecture = header.architecture
    period = _PERIODS.get(architecture)
    length = header.number("attention.sliding_window")
    if length is None:
        length = _WINDOWS.get(architecture, 0)
    pattern = header.metadata.get(f"{architecture}.attention.sliding_window_pattern")
    if not length or architecture in _ENCODERS:
        return [0] * count
    if isinstance(pattern, tuple) and len(pattern) >= count and architecture not in ("llama",):
        return [length if on else 0 for on in pattern[:count]]
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 0 and period:
        period = pattern
    if period is None:
        return [0] * count
    whole = 0 if architecture in _FIRST else period - 1
    return [0 if n % period == whole else length for n in range(count)]


def _recurrent(header: Header, kv_heads: list[int]) -> list[bool]:
    """Which layers keep a state."""
    architecture, count = header.architecture, len(kv_heads)
    said = header.metadata.get(f"{architecture}.attention.recurrent_layers")
    if isinstance(said, tuple) and len(said) >= count:
        return [bool(on) for on in said[:count]]
    if architecture in (*_RECURRENT, *_BOTH):
        return [True] * count
    if architecture in _PERIODIC:
        every = header.number("full_attention_interval") or 4
        return [(n + 1) % every != 0 for n in range(count)]
    if architecture.startswith("nemotron_h"):
        lengths = _by_layer(header, "feed_forward_length", count)
        return [not kv_heads[n] and not lengths[n] for n in range(count)]
    if architecture in _MIXED or not any(kv_heads):
        return [not n for n in kv_heads]
    return [False] * count


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
    groups = header.number("ssm.group_count") or 0
    return max(0, kernel - 1) * (inner + 2 * groups * state), state * inner


def _caching(header: Header, count: int) -> list[bool]:
    """Which layers have keys and values of their own."""
    if header.architecture in _ENCODERS:
        return [False] * count
    shared = header.number("attention.shared_kv_layers") or 0
    if header.architecture == "gemma3n" and not shared:
        shared = max(0, count - 20)
    return [n < count - shared for n in range(count)]
