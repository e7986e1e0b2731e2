"""Models worth having, for those who ask for a better one: a short list by memory.

Sizes are those of the file that is taken by default; memory is what it needs with 8,192 tokens of
context. What a hub really has is looked at before anything is fetched, so that a name that has
moved is an error and no surprise.
"""

from __future__ import annotations

import msgspec

from millstream.models import packaged


class Recommended(msgspec.Struct, frozen=True):
    """A model by a short name. parameters in billions; size and memory in GB. repository: its id
    on Hugging Face and on ModelScope, "" where it is not on a hub. ollama: its tag there."""

    name: str
    parameters: float
    quantization: str
    size: float
    memory: float
    repository: str
    ollama: str
    licence: str
    languages: str = "en, zh, …"


RECOMMENDED = (
    Recommended(
        packaged.NAME, 0.135, "Q4_1", 0.093, 0.5, "", "smollm2:135m", packaged.LICENCE, "en"
    ),
    Recommended(
        "qwen3-0.6b", 0.6, "Q8_0", 0.7, 2, "Qwen/Qwen3-0.6B-GGUF", "qwen3:0.6b", "apache-2.0"
    ),
    Recommended(
        "qwen3-1.7b", 1.7, "Q8_0", 1.9, 3.5, "Qwen/Qwen3-1.7B-GGUF", "qwen3:1.7b", "apache-2.0"
    ),
    Recommended("qwen3-4b", 4, "Q4_K_M", 2.6, 5, "Qwen/Qwen3-4B-GGUF", "qwen3:4b", "apache-2.0"),
    Recommended("qwen3-8b", 8, "Q4_K_M", 5.1, 8, "Qwen/Qwen3-8B-GGUF", "qwen3:8b", "apache-2.0"),
    Recommended(
        "qwen3-14b", 14, "Q4_K_M", 9.1, 13, "Qwen/Qwen3-14B-GGUF", "qwen3:14b", "apache-2.0"
    ),
    Recommended(
        "qwen3-30b-a3b",
        30,
        "Q4_K_M",
        18.6,
        22,
        "Qwen/Qwen3-30B-A3B-GGUF",
        "qwen3:30b",
        "apache-2.0",
    ),
    Recommended(
        "qwen3-32b", 32, "Q4_K_M", 19.8, 25, "Qwen/Qwen3-32B-GGUF", "qwen3:32b", "apache-2.0"
    ),
    Recommended(
        "qwen2.5-72b",
        72,
        "Q4_K_M",
        47.4,
        56,
        "Qwen/Qwen2.5-72B-Instruct-GGUF",
        "qwen2.5:72b",
        "qwen",
    ),
)


def by_name(name: str) -> Recommended | None:
    """A model of the list by its short name or Ollama tag, case and separators aside."""
    wanted = _plain(name)
    for model in RECOMMENDED:
        if wanted in (_plain(model.name), _plain(model.ollama)):
            return model
    return None


def best(memory: int | None) -> Recommended:
    """The largest model of the list that fits into so many bytes; for an unknown number the
    smallest that is of use."""
    useful = [model for model in RECOMMENDED if model.repository]
    fitting = [model for model in useful if memory is None or model.memory * 1e9 <= memory]
    if memory is None:
        return useful[0]
    return max(fitting, key=lambda model: model.memory) if fitting else RECOMMENDED[0]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter == ".")
