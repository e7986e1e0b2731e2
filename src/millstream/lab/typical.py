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

_Sizes = tuple[str, str, int, int, int, int, int, int, int, bool]
# Billions of parameters → name, family, width, layers, feed-forward length, heads, heads of keys
# and values, vocabulary, context, whether head and embeddings share a table.
_KNOWN: dict[float, _Sizes] = {
    0.135: ("SmolLM2-135M", "llama", 576, 30, 1536, 9, 3, 49152, 8192, True),
    0.36: ("SmolLM2-360M", "llama", 960, 32, 2560, 15, 5, 49152, 8192, True),
    0.5: ("Qwen2.5-0.5B", "qwen2", 896, 24, 4864, 14, 2, 151936, 32768, True),
    0.6: ("Qwen3-0.6B", "qwen3", 1024, 28, 3072, 16, 8, 151936, 40960, True),
    1: ("Llama-3.2-1B", "llama", 2048, 16, 8192, 32, 8, 128256, 131072, True),
    1.5: ("Qwen2.5-1.5B", "qwen2", 1536, 28, 8960, 12, 2, 151936, 32768, True),
    1.7: ("Qwen3-1.7B", "qwen3", 2048, 28, 6144, 16, 8, 151936, 40960, True),
    3: ("Llama-3.2-3B", "llama", 3072, 28, 8192, 24, 8, 128256, 131072, True),
    4: ("Qwen3-4B", "qwen3", 2560, 36, 9728, 32, 8, 151936, 40960, True),
    7: ("Mistral-7B-v0.3", "llama", 4096, 32, 14336, 32, 8, 32768, 32768, False),
    8: ("Llama-3.1-8B", "llama", 4096, 32, 14336, 32, 8, 128256, 131072, False),
    13: ("Llama-2-13B", "llama", 5120, 40, 13824, 40, 40, 32000, 4096, False),
    14: ("Qwen3-14B", "qwen3", 5120, 40, 17408, 40, 8, 151936, 40960, False),
    32: ("Qwen3-32B", "qwen3", 5120, 64, 25600, 64, 8, 151936, 40960, False),
    70: ("Llama-3.1-70B", "llama", 8192, 80, 28672, 64, 8, 128256, 131072, False),
    72: ("Qwen2.5-72B", "qwen2", 8192, 80, 29568, 64, 8, 152064, 32768, False),
    405: ("Llama-3.1-405B", "llama", 16384, 126, 53248, 128, 8, 128256, 131072, False),
}
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
    shape it has."""
    nearest = min(_KNOWN, key=lambda known: abs(math.log(known / size)))
    name, *_ = _KNOWN[nearest]
    exact = math.isclose(nearest, size, rel_tol=0.02)
    made = _made(nearest, None)
    if not exact:
        table = sum(t.elements for t in made.tensors if not t.name.startswith("blk."))
        layers = made.block_count or 1
        each = (made.parameters - table) / layers
        made = _made(nearest, max(1, min(1000, round((size * 1e9 - table) / each))))
    return made, name


def _made(known: float, layers: int | None) -> Header:
    name, family, width, count, length, heads, kv_heads, words, context, tied = _KNOWN[known]
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
    }
    if family == "qwen3":
        said["head_dim"] = 128
    return config.header(said, file=name)
