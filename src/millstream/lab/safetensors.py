"""The tables of safetensors files, and the GGUF header that a conversion of them would have.

A file begins with the length of a JSON text and that text: for each tensor its type, its shape and
where it lies. The weights are never read. Together with a config.json of a family that `config`
knows, the config decides and the tables are only counted; of other families the tensors are taken
as they are, with the names that llama.cpp would give them, and the config says what the cache
needs. What a tensor is called elsewhere decides which type a quantizer gives it, no more.

Format: README.md of huggingface/safetensors. Names: `TensorNameMap` of llama.cpp's gguf-py.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from millstream.base import BadInput
from millstream.lab.config import FAMILIES, family_of, language_part
from millstream.lab.config import header as header_of_config
from millstream.models.gguf import TYPES, Header, Ranges, Tensor

_NUMBER = {kind.name: number for number, kind in TYPES.items()}
_LONGEST = 1 << 27  # bytes of a table; the longest have some twenty millions
_DIMENSIONS = 8
_ENOUGH = 0.9  # of the weights that a config speaks of
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
"""The end of the name of one of several files of a model."""
TORCH = "pytorch_model*.bin"
"""Files of weights in another format, which the converter reads as well."""
_PACKED = re.compile(r"\.(qweight|qzeros|g_idx|weight_packed|absmax|quant_map)$")


_NUMBERS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")  # one weight each


class Entry(msgspec.Struct, frozen=True):
    """A tensor of a table: its type as the file calls it, its shape (the longest way round:
    rows first), its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


def read(path: Path) -> list[Entry]:
    """The table of one file. Raises BadInput: unreadable, no such format, incomplete."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:

            def ranges(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            return read_ranges(ranges, file=path.name, size=size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("gguf.unreadable", file=str(path), reason=reason) from None


def read_ranges(ranges: Ranges, *, file: str, size: int | None = None) -> list[Entry]:
    """The table of whatever gives its bytes by range. size: of the whole file, where known."""
    begin = ranges(0, 8)
    if len(begin) < 8:
        raise BadInput("lab.not-safetensors", file=file)
    (length,) = struct.unpack("<Q", begin)
    if length > _LONGEST or (size is not None and length + 8 > size):
        raise BadInput("lab.not-safetensors", file=file)
    text = ranges(8, length)
    if len(text) < length:
        raise BadInput("gguf.truncated-header", file=file, size=len(text) + 8)
    try:
        table = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput("lab.not-safetensors", file=file) from None
    entries, end = [], 0
    for name, said in table.items():
        if name == "__metadata__":
            continue
        entry, last = _entry(name, said, file)
        entries.append(entry)
        end = max(end, last)
    if size is not None and 8 + length + end > size:
        raise BadInput("gguf.truncated", file=file, size=size, needed=8 + length + end)
    return entries


def odd(entries: Sequence[Entry]) -> Entry | None:
    """The first tensor of a type that no conversion is known to read."""
    return next((entry for entry in entries if entry.dtype not in _BYTES), None)


def lacking(entries: Sequence[Entry], made: Header) -> bool:
    """Whether files have clearly fewer weights than the header that their config makes."""
    if not all(entry.dtype in _NUMBERS for entry in entries):
        return False  # several weights in a number, scales beside them
    there = sum(math.prod(entry.shape) for entry in entries)
    return there < _ENOUGH * sum(tensor.elements for tensor in made.tensors)


def _entry(name: str, said: Any, file: str) -> tuple[Entry, int]:
    fields = said if isinstance(said, dict) else {}
    dtype, shape, place = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if isinstance(dtype, str) and _counts(shape) and _counts(place) and len(place) == 2:
        size = place[1] - place[0]
        if size == math.prod(shape) * _BYTES.get(dtype, 0) or (size >= 0 and dtype not in _BYTES):
            return Entry(name, dtype, tuple(shape), size), place[1]
    raise BadInput("lab.safetensors-entry", file=file, tensor=name[:80])


def _counts(value: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= _DIMENSIONS
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 50 for n in value)
    )


def folder(path: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The config.json of a folder and the tables of its files. Raises BadInput: no config, or
    files that its index names and that are missing."""
    config = read_config(path / "config.json")
    index = path / "model.safetensors.index.json"
    wanted = chosen(file.name for file in path.glob("*.safetensors"))
    if index.exists():
        wanted = _of_index(index)
    elif wanted and (shard := SHARD.search(wanted[0])):
        stem, count = wanted[0][: shard.start()], int(shard[2])
        wanted = [f"{stem}-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    if missing := [name for name in wanted if not (path / name).exists()]:
        names = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise BadInput("lab.shards", folder=str(path), count=len(wanted), missing=names)
    return config, [entry for name in wanted for entry in read(path / name)]


def chosen(names: Iterable[str]) -> list[str]:
    """Which files of a repository are the model: some have a second copy beside it, under another
    name ("consolidated") or in a folder ("original")."""
    files = sorted(name for name in names if name.endswith(".safetensors") and "/" not in name)
    return [name for name in files if name.startswith("model")] or files


def _of_index(index: Path) -> list[str]:
    try:
        told = msgspec.json.decode(index.read_bytes(), type=dict[str, Any])
        names = told["weight_map"].values()
        return sorted({name for name in names if re.fullmatch(r"[\w.-]+\.safetensors", name)})
    except (OSError, msgspec.MsgspecError, KeyError, AttributeError, TypeError):
        raise BadInput("lab.not-safetensors", file=index.name) from None


def read_config(path: Path) -> dict[str, Any]:
    """A config.json. Raises BadInput."""
    try:
        return config_of(path.read_bytes(), path.name)
    except FileNotFoundError:
        raise BadInput("lab.no-config", folder=str(path.parent)) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("gguf.unreadable", file=str(path), reason=reason) from None


def config_of(data: bytes, file: str) -> dict[str, Any]:
    """The object that a config.json is. Raises BadInput."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput("lab.not-config", file=file) from None


def header(config: Mapping[str, Any], entries: Sequence[Entry], *, file: str) -> Header:
    """The header that a conversion would have. Raises BadInput for weights that are packed
    already, which no conversion reads, and as `config.header` does."""
    for entry in entries:
        if _PACKED.search(entry.name):
            raise BadInput("lab.packed", file=file, tensor=entry.name[:80])
    if family_of(config) in FAMILIES or not entries:
        return header_of_config(config, file=file)
    return _as_they_are(config, entries, file)


# ------------------------------------------------------------------------- of families not known

_PREFIX = re.compile(
    r"^(?:model\.)?(?:language_model\.)?(?:model\.|transformer\.|backbone\.|gpt_neox\.)?"
)
_APART = re.compile(r"vision|visual|audio|image|mm_projector|multi_modal|\.rotary_emb\.")
_LAYER = re.compile(r"^(?:layers|h|blocks|block)\.(\d+)\.(.+)$")
_EXPERT = re.compile(r"^(?:mlp|block_sparse_moe|moe)\.experts\.(\d+)\.(\w+)\.(weight)$")
# The end of a name in a layer → what llama.cpp calls it.
_IN_LAYER = {
    "attn_norm": ("input_layernorm", "ln_1"),
    "attn_q_norm": ("q_norm",),
    "attn_k_norm": ("k_norm",),
    "ffn_norm": ("post_attention_layernorm", "ln_2"),
    "attn_q": ("q_proj", "query", "wq"),
    "attn_k": ("k_proj", "key", "wk"),
    "attn_v": ("v_proj", "value", "wv"),
    "attn_qkv": ("qkv_proj", "query_key_value", "c_attn", "Wqkv", "wqkv"),
    "attn_output": ("o_proj", "out_proj", "attn.c_proj", "attention.dense", "dense", "wo"),
    "ffn_gate": ("gate_proj", "w1"),
    "ffn_up": ("up_proj", "gate_up_proj", "dense_h_to_4h", "c_fc", "fc1", "w3"),
    "ffn_down": ("down_proj", "dense_4h_to_h", "mlp.c_proj", "fc2", "w2"),
    "ffn_gate_inp": ("mlp.gate", "block_sparse_moe.gate", "router"),
}
_ENDS = sorted(
    ((end, name) for name, ends in _IN_LAYER.items() for end in ends),
    key=lambda pair: -len(pair[0]),
)
_OUTSIDE = {"embed_tokens": "token_embd", "wte": "token_embd", "embeddings": "token_embd",
            "embed_in": "token_embd", "lm_head": "output", "embed_out": "output"}  # fmt: skip


def _as_they_are(config: Mapping[str, Any], entries: Sequence[Entry], file: str) -> Header:
    """Each tensor under the name that llama.cpp would most likely give it; experts are stacked."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    stacks: dict[str, int] = {}
    for entry in entries:
        name = _PREFIX.sub("", entry.name)
        if _APART.search(entry.name) or not entry.shape:
            continue
        layer = _LAYER.match(name)
        called = _in_layer(layer[1], layer[2]) if layer else _outside(name)
        if layer and (expert := _EXPERT.match(layer[2])):
            called = f"blk.{layer[1]}.{_end(expert[2], 'ffn_up')}_exps.weight"
            stacks[called] = stacks.get(called, 0) + 1
        shapes[called] = (tuple(reversed(entry.shape)), entry.dtype)
    tensors, offset = [], 0
    for called, (shape, dtype) in shapes.items():
        if called in stacks:
            shape = (*shape, stacks[called])
        wide = len(shape) > 1 and "_norm" not in called
        number = _NUMBER[dtype if dtype in ("F32", "F16") else "BF16"] if wide else _NUMBER["F32"]
        size = math.prod(shape) * TYPES[number].size
        tensors.append(Tensor(called, shape, number, offset, size))
        offset += -(-size // 32) * 32
    return Header(file, 3, _metadata(config), tensors, 0, lambda offset, length: b"")


def _in_layer(number: str, rest: str) -> str:
    stem, _, kind = rest.rpartition(".")
    end = _end(stem, "")
    if not end:
        end = stem.replace(".", "_") + ("_norm" if "norm" in stem or "ln" in stem else "")
    return f"blk.{number}.{end}.{kind}"


def _outside(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    for end, called in _OUTSIDE.items():
        if stem.endswith(end):
            return f"{called}.{kind}"
    return f"output_norm.{kind}" if "norm" in stem or stem == "ln_f" else name


def _end(stem: str, other: str) -> str:
    for end, called in _ENDS:
        if stem == end or stem.endswith(f".{end}"):
            return called
    return other


def _metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the cache depends on, by the names that most configs use."""
    inner = language_part(config)
    family = family_of(config) or "?"
    keys = {
        "embedding_length": ("hidden_size", "d_model", "n_embd"),
        "block_count": ("num_hidden_layers", "n_layer", "num_layers"),
        "vocab_size": ("vocab_size",),
        "context_length": ("max_position_embeddings", "n_positions", "seq_length"),
        "feed_forward_length": ("intermediate_size", "ffn_hidden_size", "n_inner"),
        "attention.head_count": ("num_attention_heads", "n_head"),
        "attention.head_count_kv": ("num_key_value_heads", "multi_query_group_num"),
        "attention.key_length": ("head_dim",),
        "attention.value_length": ("head_dim",),
        "expert_count": ("num_experts", "num_local_experts", "n_routed_experts"),
        "expert_used_count": ("num_experts_per_tok", "num_experts_per_token"),
        "expert_feed_forward_length": ("moe_intermediate_size",),
    }
    metadata: dict[str, Any] = {"general.architecture": family}
    for key, names in keys.items():
        for name in names:
            value = inner.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31:
                metadata[f"{family}.{key}"] = value
                break
    return metadata
