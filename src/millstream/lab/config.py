"""What a model is by its config.json: the header that a GGUF file of it would have.

Only the shape of the model matters here, so the header has the keys that llama.cpp reads sizes
from and the table of tensors as a conversion writes it, and no weights. Families that are not
listed are refused: a table that is guessed would give wrong bytes.

Names and shapes of tensors, and what is kept in 32 bits: the conversion scripts and
`llama_model::load_tensors` of llama.cpp. Every family here is held against llama.cpp by loading a
model that was made from this table (tests/lab).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from millstream.base import BadInput
from millstream.models.gguf import TYPES, Header, Tensor

_NUMBER = {kind.name: number for number, kind in TYPES.items()}
_MOST = 1 << 31  # no size in a config is larger
_MOST_LAYERS = 1 << 10
_F32 = 0
# Matrices that conversions keep in 32 bits: routers, convolutions, small recurrent tables.
_KEPT = ("ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "ssm_a", "ssm_d", "exp_probs_b")


def header(config: Mapping[str, Any], *, file: str = "config.json", dtype: str = "") -> Header:
    """The header of the model that a config describes. dtype: of its matrices ("F16", "BF16",
    "F32"), by default what the config says. Raises BadInput: a family or a size is not known."""
    config = language_part(config)
    family = family_of(config)
    describe = FAMILIES.get(family)
    if describe is None:
        known = ", ".join(sorted(FAMILIES))
        raise BadInput("lab.unknown-family", file=file, family=family or "?", known=known)
    made = _Builder(config, file, dtype)
    describe(made)
    return made.header()


class _Builder:
    """A header in the making. Sizes are asked for by their names in the config."""

    def __init__(self, config: Mapping[str, Any], file: str, dtype: str) -> None:
        self.config = config
        self.file = file
        self.type = _NUMBER[dtype or _dtype(config)]
        self.architecture = ""
        self.usual: Mapping[str, int] = {}  # what configs of the family leave out
        self.metadata: dict[str, Any] = {}
        self.tensors: list[Tensor] = []
        self._offset = 0
        said = config.get("quantization_config")
        method = said.get("quant_method") if isinstance(said, dict) else None
        # Conversions take over what is in MXFP4 already and unpack all other quantizations.
        self.expert_type = _NUMBER["MXFP4"] if method == "mxfp4" else self.type

    def begin(self, architecture: str) -> None:
        """Name the architecture and say what every one has."""
        self.architecture = architecture
        self.metadata["general.architecture"] = architecture
        name = self.config.get("_name_or_path")
        self.metadata["general.name"] = name if isinstance(name, str) else ""
        self.width = self.number("hidden_size", "d_model", "n_embd")
        self.layers = self.number("num_hidden_layers", "n_layer")
        if not 0 < self.layers <= _MOST_LAYERS:
            raise self.bad("num_hidden_layers", self.layers)
        self.vocabulary = self.number("vocab_size")
        trained = self.number("max_position_embeddings", "max_seq_len", default=1 << 20)
        self.say("context_length", trained)
        self.say("embedding_length", self.width)
        self.say("block_count", self.layers)
        self.say("vocab_size", self.vocabulary)

    def say(self, key: str, value: Any) -> None:
        self.metadata[f"{self.architecture}.{key}"] = value

    def number(self, *names: str, default: int | None = None) -> int:
        """A size: the first of the names that the config has."""
        for name in names:
            value = self.config.get(name, self.usual.get(name))
            if isinstance(value, bool) or value is None:
                continue
            if isinstance(value, int) and 0 <= value < _MOST:
                return value
            raise self.bad(name, value)
        if default is None:
            raise BadInput("lab.config-missing", file=self.file, key=names[0])
        return default

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.config.get(name)
        return value if isinstance(value, bool) else default

    def bad(self, name: str, value: object) -> BadInput:
        return BadInput("lab.config-value", file=self.file, key=name, value=repr(value)[:40])

    def add(self, name: str, *shape: int) -> None:
        """A tensor, the row length first, as ggml counts. Vectors, biases and what conversions keep
        in 32 bits are F32."""
        small = len(shape) == 1 or name.endswith(".bias")
        small = small or any(part in name for part in ("_norm", *_KEPT))
        number = _F32 if small else self.expert_type if "_exps." in name else self.type
        kind = TYPES[number]
        elements = 1
        for length in shape:
            elements *= length
        if not 0 < elements < 1 << 48 or shape[0] % kind.block:
            raise self.bad(name, shape)
        size = elements // kind.block * kind.size
        self.tensors.append(Tensor(name, shape, number, self._offset, size))
        self._offset += -(-size // 32) * 32

    def header(self) -> Header:
        return Header(self.file, 3, self.metadata, self.tensors, 0, lambda offset, length: b"")

    # ------------------------------------------------------------------------------- common parts

    def stretched(self, each: int) -> None:
        """The tables by which places in a long context are stretched: a number for each pair of a
        head's numbers."""
        scaling = self.config.get("rope_scaling")
        scaling = scaling if isinstance(scaling, dict) else {}
        share = self.config.get("partial_rotary_factor")
        pairs = int(each * share) // 2 if isinstance(share, float) and 0 < share <= 1 else each // 2
        if scaling.get("rope_type", scaling.get("type")) == "llama3":
            self.add("rope_freqs.weight", pairs)
        if isinstance(scaling.get("long_factor"), list):
            self.add("rope_factors_long.weight", pairs)
            self.add("rope_factors_short.weight", pairs)

    def ends(self, *, tied: bool = False, norm: str = "output_norm", bias: bool = False) -> None:
        """The table of embeddings, the last norm, and the head unless the two share a table."""
        self.add("token_embd.weight", self.width, self.vocabulary)
        self.add(f"{norm}.weight", self.width)
        if bias:
            self.add(f"{norm}.bias", self.width)
        if not self.flag("tie_word_embeddings", tied):
            self.add("output.weight", self.width, self.vocabulary)

    def heads(self) -> tuple[int, int, int]:
        """Heads, heads of keys and values, and numbers in each; said in the header too."""
        heads = self.number("num_attention_heads", "n_head")
        kv_heads = self.number("num_key_value_heads", default=heads)
        if not heads:
            raise self.bad("num_attention_heads", heads)
        if not kv_heads or heads % kv_heads:
            raise self.bad("num_key_value_heads", kv_heads)
        each = self.number("head_dim", default=self.width // heads)
        if not each:
            raise self.bad("num_attention_heads", heads)
        self.say("attention.head_count", heads)
        self.say("attention.head_count_kv", kv_heads)
        self.say("attention.key_length", each)
        self.say("attention.value_length", each)
        return heads, kv_heads, each

    def feed_forward(self, layer: int, length: int, *, gate: bool = True) -> None:
        begin = f"blk.{layer}.ffn_"
        if gate:
            self.add(f"{begin}gate.weight", self.width, length)
        self.add(f"{begin}up.weight", self.width, length)
        self.add(f"{begin}down.weight", length, self.width)

    def experts(self, layer: int, count: int, length: int, *, shared: int = 0) -> None:
        """A router and its experts. shared: length of the part that every token takes."""
        begin = f"blk.{layer}.ffn_"
        self.add(f"{begin}gate_inp.weight", self.width, count)
        self.add(f"{begin}gate_exps.weight", self.width, length, count)
        self.add(f"{begin}up_exps.weight", self.width, length, count)
        self.add(f"{begin}down_exps.weight", length, self.width, count)
        if shared:
            self.add(f"{begin}gate_shexp.weight", self.width, shared)
            self.add(f"{begin}up_shexp.weight", self.width, shared)
            self.add(f"{begin}down_shexp.weight", shared, self.width)


# -------------------------------------------------------------------------------- transformers


def _transformer(
    architecture: str,
    *,
    bias: bool = False,
    head_norms: bool = False,
    row_norms: bool = False,
    pre_norms: bool = True,
    post_norms: bool = False,
    tied: bool = False,
    window: bool = False,
    usual: Mapping[str, int] | None = None,
) -> Callable[[_Builder], None]:
    """A decoder of attention and feed-forward layers, dense or with experts.

    bias: on queries, keys and values. head_norms, row_norms: norms of queries and keys by head or
    whole. window: the header says the sliding window of the config. usual: what configs leave out.
    """

    def describe(made: _Builder) -> None:
        made.usual = usual or {}
        made.begin(architecture)
        made.ends(tied=tied)
        heads, kv_heads, each = made.heads()
        made.stretched(each)
        length = made.number("intermediate_size", "n_inner")
        made.say("feed_forward_length", length)
        if window and (tokens := made.number("sliding_window", default=0)):
            made.say("attention.sliding_window", tokens)
        count, expert, shared = _experts(made)
        sparse = _sparse(made, count)
        biased = made.flag("attention_bias", bias)
        for layer in range(made.layers):
            begin = f"blk.{layer}."
            if pre_norms:
                made.add(f"{begin}attn_norm.weight", made.width)
            parts = {"q": heads * each, "k": kv_heads * each, "v": kv_heads * each}
            for part, rows in parts.items():
                made.add(f"{begin}attn_{part}.weight", made.width, rows)
                if biased:
                    made.add(f"{begin}attn_{part}.bias", rows)
            if head_norms or row_norms:
                for part in "qk":
                    made.add(f"{begin}attn_{part}_norm.weight", each if head_norms else parts[part])
            made.add(f"{begin}attn_output.weight", heads * each, made.width)
            if post_norms:
                made.add(f"{begin}post_attention_norm.weight", made.width)
                made.add(f"{begin}post_ffw_norm.weight", made.width)
            if pre_norms:
                made.add(f"{begin}ffn_norm.weight", made.width)
            if layer in sparse:
                made.experts(layer, count, expert, shared=shared)
                if shared and architecture == "qwen2moe":
                    made.add(f"{begin}ffn_gate_inp_shexp.weight", made.width)
            else:
                made.feed_forward(layer, length)

    return describe


def _experts(made: _Builder) -> tuple[int, int, int]:
    """Experts, the length of one, and of the part that every token takes; said in the header."""
    count = made.number("num_experts", "num_local_experts", "n_routed_experts", default=0)
    if not count:
        return 0, 0, 0
    used = made.number("num_experts_per_tok", "num_experts_per_token", "experts_per_token")
    length = made.number("moe_intermediate_size", "intermediate_size")
    shared = made.number("shared_expert_intermediate_size", default=0)
    shared = shared or made.number("n_shared_experts", default=0) * length
    made.say("expert_count", count)
    made.say("expert_used_count", used)
    made.say("expert_feed_forward_length", length)
    if shared:
        made.say("expert_shared_feed_forward_length", shared)
    return count, length, shared


def _sparse(made: _Builder, count: int) -> set[int]:
    """The layers that have experts."""
    if not count:
        return set()
    step = made.number("decoder_sparse_step", "moe_layer_freq", default=1) or 1
    dense = made.config.get("mlp_only_layers")
    apart = dense if isinstance(dense, list) else []
    return {n for n in range(made.layers) if (n + 1) % step == 0 and n not in apart}


def _phi3(made: _Builder) -> None:
    """Queries, keys and values in one matrix, gate and up in another."""
    made.begin("phi3")
    made.ends()
    heads, kv_heads, each = made.heads()
    made.say("rope.dimension_count", each)
    made.stretched(each)
    length = made.number("intermediate_size")
    made.say("feed_forward_length", length)
    if tokens := made.number("sliding_window", default=0):
        made.say("attention.sliding_window", tokens)
    for layer in range(made.layers):
        begin = f"blk.{layer}."
        made.add(f"{begin}attn_norm.weight", made.width)
        made.add(f"{begin}attn_qkv.weight", made.width, (heads + 2 * kv_heads) * each)
        made.add(f"{begin}attn_output.weight", heads * each, made.width)
        made.add(f"{begin}ffn_norm.weight", made.width)
        made.add(f"{begin}ffn_up.weight", made.width, 2 * length)
        made.add(f"{begin}ffn_down.weight", length, made.width)


def _gpt_oss(made: _Builder) -> None:
    """Experts with biases, a sink for each head, every second layer with a window."""
    made.begin("gpt-oss")
    made.ends()
    heads, kv_heads, each = made.heads()
    count, length, _ = _experts(made)
    made.say("feed_forward_length", length)
    made.say("attention.sliding_window", made.number("sliding_window"))
    for layer in range(made.layers):
        begin = f"blk.{layer}."
        made.add(f"{begin}attn_norm.weight", made.width)
        for part, rows in {"q": heads, "k": kv_heads, "v": kv_heads}.items():
            made.add(f"{begin}attn_{part}.weight", made.width, rows * each)
            made.add(f"{begin}attn_{part}.bias", rows * each)
        made.add(f"{begin}attn_output.weight", heads * each, made.width)
        made.add(f"{begin}attn_output.bias", made.width)
        made.add(f"{begin}attn_sinks.weight", heads)
        made.add(f"{begin}post_attention_norm.weight", made.width)
        made.experts(layer, count, length)
        made.add(f"{begin}ffn_gate_inp.bias", count)
        made.add(f"{begin}ffn_gate_exps.bias", length, count)
        made.add(f"{begin}ffn_up_exps.bias", length, count)
        made.add(f"{begin}ffn_down_exps.bias", made.width, count)


def _deepseek(made: _Builder) -> None:
    """Multi-head latent attention: keys and values come from one short vector a token."""
    made.begin("deepseek2")
    made.ends()
    heads = made.number("num_attention_heads")
    latent = made.number("kv_lora_rank")
    rope, plain = made.number("qk_rope_head_dim"), made.number("qk_nope_head_dim")
    value, queries = made.number("v_head_dim"), made.number("q_lora_rank", default=0)
    made.say("attention.head_count", heads)
    made.say("attention.head_count_kv", 1)
    made.say("attention.key_length", latent + rope)
    made.say("attention.value_length", latent)
    made.say("attention.key_length_mla", plain + rope)
    made.say("attention.value_length_mla", value)
    made.say("attention.kv_lora_rank", latent)
    made.say("rope.dimension_count", rope)
    if queries:
        made.say("attention.q_lora_rank", queries)
    length = made.number("intermediate_size")
    made.say("feed_forward_length", length)
    count, expert, shared = _experts(made)
    made.say("expert_shared_count", made.number("n_shared_experts", default=0))
    dense = made.number("first_k_dense_replace", default=0)
    made.say("leading_dense_block_count", dense)
    for layer in range(made.layers):
        begin = f"blk.{layer}."
        made.add(f"{begin}attn_norm.weight", made.width)
        if queries:
            made.add(f"{begin}attn_q_a.weight", made.width, queries)
            made.add(f"{begin}attn_q_a_norm.weight", queries)
            made.add(f"{begin}attn_q_b.weight", queries, heads * (plain + rope))
        else:
            made.add(f"{begin}attn_q.weight", made.width, heads * (plain + rope))
        made.add(f"{begin}attn_kv_a_mqa.weight", made.width, latent + rope)
        made.add(f"{begin}attn_kv_a_norm.weight", latent)
        made.add(f"{begin}attn_k_b.weight", plain, latent, heads)
        made.add(f"{begin}attn_v_b.weight", latent, value, heads)
        made.add(f"{begin}attn_output.weight", heads * value, made.width)
        made.add(f"{begin}ffn_norm.weight", made.width)
        if layer < dense or not count:
            made.feed_forward(layer, length)
        else:
            made.experts(layer, count, expert, shared=shared)
            if made.config.get("topk_method") == "noaux_tc":
                made.add(f"{begin}exp_probs_b.bias", count)


# ----------------------------------------------------------------------------- state-space models


def _mamba(made: _Builder) -> None:
    """No attention at all: every layer keeps a state of fixed size."""
    made.begin("mamba")
    made.ends(tied=True)
    inner = made.number("intermediate_size", "d_inner", default=2 * made.width)
    state = made.number("state_size", "d_state", default=16)
    kernel = made.number("conv_kernel", "d_conv", default=4)
    rank = made.config.get("time_step_rank")
    rank = rank if isinstance(rank, int) and rank > 0 else -(-made.width // 16)
    made.say("attention.head_count", 0)
    made.say("feed_forward_length", 0)
    made.say("ssm.conv_kernel", kernel)
    made.say("ssm.inner_size", inner)
    made.say("ssm.state_size", state)
    made.say("ssm.time_step_rank", rank)
    for layer in range(made.layers):
        begin = f"blk.{layer}."
        made.add(f"{begin}attn_norm.weight", made.width)
        made.add(f"{begin}ssm_in.weight", made.width, 2 * inner)
        made.add(f"{begin}ssm_conv1d.weight", kernel, inner)
        made.add(f"{begin}ssm_conv1d.bias", inner)
        made.add(f"{begin}ssm_x.weight", inner, rank + 2 * state)
        made.add(f"{begin}ssm_dt.weight", rank, inner)
        made.add(f"{begin}ssm_dt.bias", inner)
        made.add(f"{begin}ssm_a", state, inner)
        made.add(f"{begin}ssm_d", inner)
        made.add(f"{begin}ssm_out.weight", inner, made.width)


def _falcon_h1(made: _Builder) -> None:
    """Attention and a state-space model side by side in every layer."""
    made.begin("falcon-h1")
    made.ends()
    heads, kv_heads, each = made.heads()
    length = made.number("intermediate_size")
    inner, state = made.number("mamba_d_ssm"), made.number("mamba_d_state")
    kernel, groups = made.number("mamba_d_conv"), made.number("mamba_n_groups")
    mixers = made.number("mamba_n_heads")
    made.say("feed_forward_length", length)
    made.say("ssm.conv_kernel", kernel)
    made.say("ssm.inner_size", inner)
    made.say("ssm.state_size", state)
    made.say("ssm.time_step_rank", mixers)
    made.say("ssm.group_count", groups)
    for layer in range(made.layers):
        begin = f"blk.{layer}."
        made.add(f"{begin}attn_norm.weight", made.width)
        for part, rows in {"q": heads, "k": kv_heads, "v": kv_heads}.items():
            made.add(f"{begin}attn_{part}.weight", made.width, rows * each)
        made.add(f"{begin}attn_output.weight", heads * each, made.width)
        both = inner + 2 * groups * state
        made.add(f"{begin}ssm_in.weight", made.width, inner + both + mixers)
        made.add(f"{begin}ssm_conv1d.weight", kernel, both)
        made.add(f"{begin}ssm_conv1d.bias", both)
        made.add(f"{begin}ssm_dt.bias", mixers)
        made.add(f"{begin}ssm_a", 1, mixers)
        made.add(f"{begin}ssm_d", 1, mixers)
        if made.flag("mamba_rms_norm"):
            made.add(f"{begin}ssm_norm.weight", inner // max(1, groups), groups)
        made.add(f"{begin}ssm_out.weight", inner, made.width)
        made.add(f"{begin}ffn_norm", made.width)  # without an ending
        made.feed_forward(layer, length)


# What the configs of the larger Gemma 3 leave out: `Gemma3TextConfig` of transformers.
_GEMMA3 = {
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208,
    "sliding_window": 4096, "max_position_embeddings": 131_072,
}  # fmt: skip

FAMILIES: dict[str, Callable[[_Builder], None]] = {
    "llama": _transformer("llama"),
    "mistral": _transformer("llama", window=True),
    "mixtral": _transformer("llama"),
    "granite": _transformer("granite"),
    "smollm3": _transformer("smollm3", tied=True),
    "qwen2": _transformer("qwen2", bias=True),
    "qwen2_moe": _transformer("qwen2moe", bias=True),
    "qwen3": _transformer("qwen3", head_norms=True),
    "qwen3_moe": _transformer("qwen3moe", head_norms=True),
    "gemma": _transformer("gemma", tied=True),
    "gemma2": _transformer("gemma2", post_norms=True, tied=True, window=True),
    "gemma3_text": _transformer(
        "gemma3", head_norms=True, post_norms=True, tied=True, window=True, usual=_GEMMA3
    ),
    "olmo2": _transformer("olmo2", row_norms=True, pre_norms=False, post_norms=True),
    "phi3": _phi3,
    "gpt_oss": _gpt_oss,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "kimi_k2": _deepseek,
    "mamba": _mamba,
    "falcon_h1": _falcon_h1,
}
"""What is known, by the `model_type` of a config.json."""


def language_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model, if it has parts."""
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        return config
    shared = ("tie_word_embeddings", "torch_dtype", "dtype", "quantization_config")
    outer = {key: config[key] for key in shared if key in config}
    return {**outer, **inner}


def family_of(config: Mapping[str, Any]) -> str:
    """What kind of model a config is of, by its own word or by the name of its class; "" where it
    says neither. A family that is not in `FAMILIES` is unknown here."""
    inner = language_part(config)
    said = inner.get("model_type")
    if isinstance(said, str) and said:
        return _ALIASES.get(said, said)
    names = inner.get("architectures")
    name = names[0] if isinstance(names, list) and names else ""
    plain = str(name).removesuffix("ForCausalLM").lower()
    return next((family for family in FAMILIES if family.replace("_", "") == plain), plain)


_ALIASES = {"gemma3": "gemma3_text", "ministral": "mistral", "phi4": "phi3"}


def _dtype(config: Mapping[str, Any]) -> str:
    said = str(config.get("torch_dtype") or config.get("dtype") or "")
    return {"bfloat16": "BF16", "float32": "F32"}.get(said, "F16")
