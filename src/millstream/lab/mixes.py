"""Which type llama.cpp's quantizer gives each tensor: "Q4_K_M" is a mix of types, not one.

A file type has a type that most tensors get. More bits go to what suffers most: the head, values
of the attention, the way out of the feed-forward layers, the first and the last layers. Where a
row's length is no multiple of a type's block (256 for most), another type takes its place: the
fallback, which makes small models larger than their label says. Norms, routers and small tables
stay as they are.

Source: `llama_tensor_get_type_impl`, `tensor_allows_quantization` and `tensor_type_fallback` in
llama-quant.cpp of llama.cpp; the tests hold every file type against that quantizer itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from millstream.base import BadInput
from millstream.models.gguf import TYPES, Header, Tensor

_NUMBER = {kind.name: number for number, kind in TYPES.items()}

DEFAULTS = {
    "F32": "F32", "F16": "F16", "BF16": "BF16",
    "Q8_0": "Q8_0", "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q5_1": "Q5_1", "Q5_0": "Q5_0",
    "Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "Q4_1": "Q4_1", "Q4_0": "Q4_0",
    "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "MXFP4": "MXFP4",
    "Q3_K_L": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_S": "Q3_K",
    "IQ3_M": "IQ3_S", "IQ3_S": "IQ3_S", "IQ3_XS": "IQ3_S", "IQ3_XXS": "IQ3_XXS",
    "Q2_K": "Q2_K", "Q2_K_S": "Q2_K",
    "IQ2_M": "IQ2_S", "IQ2_S": "IQ2_XS", "IQ2_XS": "IQ2_XS", "IQ2_XXS": "IQ2_XXS",
    "IQ1_M": "IQ1_M", "IQ1_S": "IQ1_S",
    "TQ2_0": "TQ2_0", "TQ1_0": "TQ1_0", "Q2_0": "Q2_0", "Q1_0": "Q1_0",
}  # fmt: skip
"""The file types, from the most bits to the fewest, and the type that most tensors get."""

NEED_IMATRIX = ("IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S")
"""File types that the quantizer refuses to make without an importance matrix."""

_FALLBACKS = {
    "IQ4_NL": ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"),
    "Q4_0": ("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"),
    "Q5_0": ("Q4_K",),
    "Q5_1": ("Q5_K",),
    "Q8_0": ("Q6_K",),
}
_FALLBACK = {wanted: taken for taken, many in _FALLBACKS.items() for wanted in many}

# Parts of names of tensors that are never quantized.
_KEPT = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight",
    "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
    "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight", "attn_rel_b.weight", ".position_embd", "sam.pos_embd",
    "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook",
    "mm.a.code_embd",
)  # fmt: skip
_KEPT_WHOLE = ("position_embd.weight", "token_types.weight")

_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_VALUES = ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")
_LOW = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")  # below three bits


class Planned(msgspec.Struct, frozen=True):
    """A tensor and the type that it gets. fallback_from: the type that its mix wanted where its
    rows don't fit that one's blocks, "" for none. size: bytes then."""

    tensor: Tensor
    type: str
    fallback_from: str = ""

    @property
    def size(self) -> int:
        kind = TYPES[_NUMBER[self.type]]
        return self.tensor.elements // kind.block * kind.size


def plan_types(
    header: Header,
    ftype: str,
    *,
    tensors: Sequence[Tensor] | None = None,
    imatrix: bool = False,
    pure: bool = False,
) -> list[Planned]:
    """The type of every tensor in a file of a file type, in the quantizer's order.

    tensors: of all files of the model, by default those of this header. imatrix: whether an
    importance matrix is used, which changes some mixes. pure: every tensor gets the one type.
    Raises BadInput for a file type that isn't known, or a row that no type fits.
    """
    if ftype not in DEFAULTS:
        raise BadInput("lab.unknown-type", given=ftype, known=", ".join(DEFAULTS))
    plan = _Plan(header, ftype, header.tensors if tensors is None else tensors, imatrix, pure)
    return [plan.planned(tensor) for tensor in plan.tensors]


def retyped(header: Header, ftype: str, *, tensors: Sequence[Tensor] | None = None) -> list[Tensor]:
    """The tensors as a file of a file type would have them. Raises as `plan_types` does."""
    return [
        Tensor(p.tensor.name, p.tensor.shape, _NUMBER[p.type], 0, p.size)
        for p in plan_types(header, ftype, tensors=tensors)
        if p.type in _NUMBER
    ]


def needs_imatrix(planned: Sequence[Planned], ftype: str) -> list[Planned]:
    """The tensors that can't be quantized well enough without an importance matrix."""
    few = {"IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"}
    if ftype == "Q2_K_S":
        few.add("Q2_K")
    apart = (*_EMBEDDINGS, "output.weight")
    return [
        each
        for each in planned
        if each.type in few and each.tensor.type_name != each.type and each.tensor.name not in apart
    ]


def quantizable(tensor: Tensor) -> bool:
    """Whether the quantizer touches a tensor at all."""
    name = tensor.name
    if len(_trimmed(tensor.shape)) < 2 or not name.endswith("weight") or name in _KEPT_WHOLE:
        return False
    return not any(part in name for part in _KEPT)


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end, which ggml doesn't count as dimensions."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


class _Plan:
    """The quantizer on its way: what it has seen of a kind of tensor decides about the next."""

    def __init__(
        self, header: Header, ftype: str, tensors: Sequence[Tensor], imatrix: bool, pure: bool
    ) -> None:
        self.ftype = ftype
        self.default = DEFAULTS[ftype]
        self.imatrix = imatrix
        self.pure = pure
        self.tensors = sorted(tensors, key=_order)
        self.architecture = header.architecture
        self.falcon = self.architecture == "falcon"
        self.layers = header.number("block_count") or 0
        self.experts = header.number("expert_count") or 0
        heads = _first(header, "attention.head_count")
        kv_heads = _first(header, "attention.head_count_kv", heads)
        self.grouped = heads // kv_heads >= 4 if kv_heads else False
        large = self.layers == 80 and self.architecture in _LARGE
        self.seventy = large and (self.architecture != "llama" or heads != kv_heads)
        names = [tensor.name for tensor in tensors]
        self.tied = "output.weight" not in names
        self.values = sum(any(part in name for part in _VALUES) for name in names)
        self.seen = {"value": 0, "down": 0, "gate": 0, "up": 0}

    def planned(self, tensor: Tensor) -> Planned:
        if not quantizable(tensor):
            return Planned(tensor, tensor.type_name)
        if self.default in ("F32", "F16", "BF16"):
            return Planned(tensor, self.default)
        wanted = self.default if self.pure else self._wanted(tensor)
        taken = _fitting(tensor, wanted)
        return Planned(tensor, taken, wanted if taken != wanted else "")

    def _wanted(self, tensor: Tensor) -> str:
        name, ftype = tensor.name, self.ftype
        table = name in _EMBEDDINGS
        if name == "output.weight" or (self.tied and table):
            return self._head(tensor)
        if ftype == "MXFP4":
            return self._mxfp4(tensor)
        if table:
            return self._embeddings()
        if ftype in _LOW:
            return self._low(tensor)
        for parts, choose in _RULES:
            if any(part in name for part in parts):
                return choose(self, tensor)
        return self.default

    def _head(self, tensor: Tensor) -> str:
        kind = TYPES[_NUMBER[self.default]]
        if self.ftype == "MXFP4" or self.falcon or tensor.shape[0] % kind.block:
            return "Q8_0"
        if self.ftype in ("IQ3_XXS", *_LOW):
            return "Q5_K"
        return "Q8_0" if self.default == "Q8_0" else "Q6_K"

    def _embeddings(self) -> str:
        match self.ftype:
            case "IQ2_XXS" | "IQ2_XS" | "IQ1_S" | "IQ1_M":
                return "Q2_K"
            case "IQ2_S" | "IQ2_M" | "IQ3_XXS":
                return "IQ3_S"
            case "TQ1_0" | "TQ2_0" | "Q2_0":
                return "Q4_K"
        return self.default

    def _mxfp4(self, tensor: Tensor) -> str:
        """Only experts get four bits."""
        stacked = len(tensor.shape) > 2 and tensor.shape[2] > 1
        if self.architecture == "bailingmoe3":
            stacked = stacked and "ffn_" in tensor.name
        return "MXFP4" if stacked else "Q8_0"

    def _low(self, tensor: Tensor) -> str:
        name, second = tensor.name, self.ftype in ("IQ2_S", "IQ2_M")
        better = "IQ3_S" if second else "Q2_K"
        if any(part in name for part in _VALUES):
            self._count("value")
            return "Q4_K" if self.grouped or self.experts >= 4 else better
        if self.experts == 8 and "attn_k.weight" in name:
            return "Q4_K"
        if "ffn_down" in name:
            return better if self._count("down") < self.layers // 8 else self.default
        if "attn_output.weight" in name:
            if self.experts == 8:
                return "Q5_K"
            if self.ftype in ("IQ1_S", "IQ1_M"):
                return "IQ2_XXS"
            return "IQ3_S" if second else self.default
        return self.default

    def _attention_values(self, tensor: Tensor) -> str:
        number, wanted = self._count("value"), self.default
        match self.ftype:
            case "Q2_K":
                wanted = "Q4_K" if self.grouped else "Q3_K"
            case "Q2_K_S" | "IQ3_XS" | "IQ3_S" if self.grouped:
                wanted = "Q4_K"
            case "IQ3_XXS":
                wanted = "Q4_K" if self.grouped else "IQ3_XXS" if self.imatrix else "IQ3_S"
            case "IQ3_M":
                wanted = "Q4_K"
            case "Q3_K_M":
                wanted = "Q5_K" if number < 2 else "Q4_K"
            case "Q3_K_L":
                wanted = "Q5_K"
            case "IQ4_NL" | "IQ4_XS" if self.grouped:
                wanted = "Q5_K"
            case "Q4_K_M" | "Q5_K_M" if _more(number, self.values):
                wanted = "Q6_K"
            case "Q4_K_S" if number < 4:
                wanted = "Q5_K"
        if self.seventy and wanted in ("Q3_K", "Q4_K"):
            wanted = "Q5_K"  # eight heads share these values
        return "Q8_0" if self.experts == 8 else wanted

    def _attention_keys(self, tensor: Tensor) -> str:
        return "Q8_0" if self.experts == 8 else self._attention_queries(tensor)

    def _attention_queries(self, tensor: Tensor) -> str:
        return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(self.ftype, self.default)

    def _attention_output(self, tensor: Tensor) -> str:
        if self.falcon:
            return "Q4_K" if self.ftype == "Q3_K_L" else self.default
        if self.experts == 8:
            return "Q5_K" if self.ftype in _EIGHT else self.default
        more = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K",
                "IQ3_M": "Q4_K"}  # fmt: skip
        return more.get(self.ftype, self.default)

    def _feed_down(self, tensor: Tensor) -> str:
        layer, count = self._layer("down", tensor), self.layers
        first, more = layer < count // 8, _more(layer, count)
        match self.ftype:
            case "Q2_K":
                return "Q3_K"
            case "Q2_K_S" if first:
                return "Q4_K"
            case "IQ3_XXS" if not self.imatrix:
                return "Q4_K" if first else "Q3_K"
            case "Q3_K_M":
                if layer < count // 16:
                    return "Q5_K"
                return "Q3_K" if self.falcon and not more else "Q4_K"
            case "IQ3_M" if first or (self.experts == 8 and more):
                return "Q4_K"
            case "Q3_K_L":
                return "Q4_K" if self.falcon else "Q5_K"
            case "Q4_K_M" if self.falcon:
                return "Q6_K" if layer < count // 16 else "Q5_K" if more else "Q4_K"
            case "Q4_K_M" | "Q5_K_M" if more:
                return "Q6_K"
            case "IQ4_NL" | "IQ4_XS" if first and not self.imatrix:
                return "Q5_K"
            case "Q4_K_S" if first and not self.falcon:
                return "Q5_K"
            case "Q4_0" | "Q5_0" if first and self.imatrix:
                return "Q4_1" if self.ftype == "Q4_0" else "Q5_1"
        return self.default

    def _feed_in(self, tensor: Tensor) -> str:
        kind = "gate" if "ffn_gate" in tensor.name else "up"
        layer, count = self._layer(kind, tensor), self.layers
        middle = count // 8 <= layer < 7 * count // 8
        return "IQ3_XXS" if self.ftype == "IQ3_XS" and middle else self.default

    def _count(self, kind: str) -> int:
        """How many tensors of a kind came before this one."""
        self.seen[kind] += 1
        return self.seen[kind] - 1

    def _layer(self, kind: str, tensor: Tensor) -> int:
        number = self._count(kind)
        return _block(tensor.name) if self.experts > 1 else number


# A tensor takes the first rule whose words are in its name.
_RULES: tuple[tuple[tuple[str, ...], Callable[[_Plan, Tensor], str]], ...] = (
    (_VALUES, _Plan._attention_values),
    (("attn_k.weight",), _Plan._attention_keys),
    (("attn_q.weight",), _Plan._attention_queries),
    (("attn_output.weight",), _Plan._attention_output),
    (("ffn_up", "ffn_gate"), _Plan._feed_in),
    (("ffn_down",), _Plan._feed_down),
)
_EIGHT = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S",
          "IQ3_M", "IQ4_XS")  # fmt: skip
_LARGE = ("llama", "qwen2", "deci")  # of 80 layers: the 70 billion kind


def _more(layer: int, layers: int) -> bool:
    """Whether a layer is among those that more bits go to: the first and last eighth, and every
    third in between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _fitting(tensor: Tensor, wanted: str) -> str:
    row = tensor.shape[0]
    if row % TYPES[_NUMBER[wanted]].block == 0:
        return wanted
    block = TYPES[_NUMBER[wanted]].block
    other = "F16" if block == 32 else _FALLBACK.get(wanted)
    if other is None:
        known = ", ".join(name for name, type in DEFAULTS.items() if _fits(row, type))
        key, name = "lab.no-fallback", tensor.name
        raise BadInput(key, tensor=name, row=row, type=wanted, block=block, known=known)
    return other if row % TYPES[_NUMBER[other]].block == 0 else "F16"


def _fits(row: int, type: str) -> bool:
    """Whether a type's blocks fit rows of a length, or another type takes its place."""
    block = TYPES[_NUMBER[type]].block
    return row % block == 0 or block == 32 or type in _FALLBACK


def _first(header: Header, key: str, other: int = 0) -> int:
    """A number of the first layer."""
    value = header.metadata.get(f"{header.architecture}.{key}", other)
    if isinstance(value, tuple):
        value = value[0] if value else other
    return value if isinstance(value, int) and value >= 0 else other


def _block(name: str) -> int:
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _order(tensor: Tensor) -> tuple[int, bytes]:
    """The quantizer goes by layer, then by name; what is in no layer comes first."""
    return _block(tensor.name), tensor.name.encode()
