"""What people mean by "7b": the shape of a well-known model of about that size.

Sizes are of the models' own config.json files. A size that none of them has is the nearest one
with more or fewer layers; whoever shows it says so.
"""

from __future__ import annotations

import math
import re
from typing import Any

from millstream.lab import config
from millstream.models.gguf import Header

_Sizes = tuple[float, str, int, int, int, int, int, int, int, bool]
# Name → billions of parameters, family, width, layers, feed-forward length, heads, heads of keys
# and values, vocabulary, context, whether head and embeddings share a table.
_KNOWN: dict[str, _Sizes] = {
    "SmolLM2-135M": (0.135, "llama", 576, 30, 1536, 9, 3, 49152, 8192, True),
    "SmolLM2-360M": (0.36, "llama", 960, 32, 2560, 15, 5, 49152, 8192, True),
    "Qwen2.5-0.5B": (0.5, "qwen2", 896, 24, 4864, 14, 2, 151936, 32768, True),
    "Qwen3-0.6B": (0.6, "qwen3", 1024, 28, 3072, 16, 8, 151936, 40960, True),
    "Llama-3.2-1B": (1, "llama", 2048, 16, 8192, 32, 8, 128256, 131072, True),
    "Qwen2.5-1.5B": (1.5, "qwen2", 1536, 28, 8960, 12, 2, 151936, 32768, True),
    "Qwen3-1.7B": (1.7, "qwen3", 2048, 28, 6144, 16, 8, 151936, 40960, True),
    "Llama-3.2-3B": (3, "llama", 3072, 28, 8192, 24, 8, 128256, 131072, True),
    "Qwen3-4B": (4, "qwen3", 2560, 36, 9728, 32, 8, 151936, 40960, True),
    "Mistral-7B-v0.3": (7, "llama", 4096, 32, 14336, 32, 8, 32768, 32768, False),
    "Llama-3.1-8B": (8, "llama", 4096, 32, 14336, 32, 8, 128256, 131072, False),
    "Qwen3-8B": (8.2, "qwen3", 4096, 36, 12288, 32, 8, 151936, 40960, False),
    "Llama-2-13B": (13, "llama", 5120, 40, 13824, 40, 40, 32000, 4096, False),
    "Qwen3-14B": (14, "qwen3", 5120, 40, 17408, 40, 8, 151936, 40960, False),
    "Qwen3-30B-A3B": (30, "qwen3_moe", 2048, 48, 6144, 32, 4, 151936, 40960, False),
    "Qwen3-32B": (32, "qwen3", 5120, 64, 25600, 64, 8, 151936, 40960, False),
    "Llama-3.1-70B": (70, "llama", 8192, 80, 28672, 64, 8, 128256, 131072, False),
    "Qwen2.5-72B": (72, "qwen2", 8192, 80, 29568, 64, 8, 152064, 32768, False),
    "Llama-3.1-405B": (405, "llama", 16384, 126, 53248, 128, 8, 128256, 131072, False),
}
_MORE: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 128},
    "qwen3_moe": {"head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8,
                  "moe_intermediate_size": 768},
}  # fmt: skip
_SIZE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*([bm])", re.I)
_LEAST, _MOST = 0.05, 2000.0  # billions of parameters


def billions(text: str) -> float | None:
    """The parameters that a plain size means ("7b", "72B", "360m"), in billions; None for other
    words."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        return None
    size = float(found[1]) / (1000 if found[2] in "mM" else 1)
    return size if _LEAST <= size <= _MOST else None


def header(size: float) -> tuple[Header, str]:
    """A header for a model of so many billions of parameters, and the name of the model whose
    shape it has. Models of experts stand for no size: a token takes a part of them."""
    dense = [name for name, known in _KNOWN.items() if known[1] not in ("qwen3_moe",)]
    name = min(dense, key=lambda name: abs(math.log(_KNOWN[name][0] / size)))
    made = _made(name, None)
    if not math.isclose(_KNOWN[name][0], size, rel_tol=0.02):
        table = sum(t.elements for t in made.tensors if not t.name.startswith("blk."))
        each = (made.parameters - table) / (made.block_count or 1)
        made = _made(name, max(1, min(1000, round((size * 1e9 - table) / each))))
    return made, name


def named(name: str) -> Header | None:
    """The header of a well-known model, by its name in any case; None for one that isn't here."""
    for known in _KNOWN:
        if name.lower() in (known.lower(), f"{known.lower()}-instruct"):
            return _made(known, None)
    return None


def _made(name: str, layers: int | None) -> Header:
    _, family, width, count, length, heads, kv_heads, words, context, tied = _KNOWN[name]
    said: dict[str, Any] = {
        "model_type": family,
        "hidden_size": width,
        "num_hidden_layers": layers or count,
        "intermediate_size": length,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": words,
        "max_position_embeddings": context,
        "tie_word_embeddings": tied,
        **_MORE.get(family, {}),
    }
    return config.header(said, file=name)
