"""What a loaded model takes of memory, by part: the sums that llama.cpp allocates by.

    weights   every tensor as it lies in the file
    repack    second copies of some types, in an order that this processor multiplies faster
    cache     keys and values, and the states of recurrent layers, for every slot
    compute   scratch space of one batch, the largest of the stages that it goes through
    output    what a batch leaves for the sampler
    runtime   the process itself: library, vocabulary, graphs

Weights, cache and output are llama.cpp's own figures to the byte. Compute follows the order in
which its graph allocator places tensors: within a stage a few numbers per token stand side by
side, and the largest stage counts. benchmarks/memory_truth.py holds all of them against llama.cpp
for every architecture that can be made here; docs/lab-truth.md has the table.

Sources: `llama_kv_cache`, `llama_memory_recurrent`, `llama_context::graph_reserve`,
`ggml_gallocr_reserve_n` and `ggml-cpu/repack.cpp` of llama.cpp; the stages were found by reading
its graphs (GGML_SCHED_DEBUG) and by varying one size at a time.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Literal

import msgspec

from millstream.models.gguf import TYPES, Array, Header, Kind, Tensor
from millstream.models.shape import Layer, Shape, shape

CacheType = Literal["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"]

_BY_NAME: dict[str, Kind] = {kind.name: kind for kind in TYPES.values()}
_X86 = frozenset(("Q4_0", "Q4_K", "IQ4_NL", "MXFP4"))  # with AVX2, which the wheel asks for
_ARM = _X86 | {"Q5_K", "Q6_K", "Q8_0"}  # with dot products; from the source, not measured
REPACKED = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM}
_F32 = 4
_PAD = 256  # cells that a cache grows by
# Measured with models of 1,000 to 256,000 words and of 4 to 60 layers (benchmarks/memory_truth.py).
_LIBRARY = 40 << 20  # Python, llama.cpp's library, its threads and server
_PER_WORD = 240  # bytes for each word of the vocabulary: text, hash tables
_PER_MERGE = 215  # bytes for each rule that joins two words
_PER_NODE = 1 << 10  # bytes of each node that a graph has room for, kept twice
_LEAST_NODES, _NODES_A_TENSOR = 1024, 8
_LONG_GRAPHS = ("qwen3next", "qwen35", "qwen35moe", "kimi-linear", "bailingmoe3", "minimax-01")
_LONG_A_TENSOR, _LONG_A_TOKEN = 32, 40


class Use(msgspec.Struct, frozen=True):
    """How a model is loaded. context: tokens of one slot; slots: calls at once; batch: tokens of
    a prompt that are read at once; outputs: tokens of a batch that are sampled from, by default
    one a slot (all of them for embeddings and perplexity); keys, values: types of the cache.
    flash: flash attention, which llama.cpp uses where it can. shared: all slots share one cache.
    """

    context: int = 8192
    slots: int = 1
    batch: int = 256
    outputs: int | None = None
    keys: CacheType = "F16"
    values: CacheType = "F16"
    flash: bool = True
    shared: bool = False
    whole_window: bool = False
    repack: bool = True

    @property
    def cells(self) -> int:
        """Tokens that the cache of one stream has room for, padded."""
        tokens = self.context * self.slots if self.shared else self.context
        return _padded(max(1, tokens))

    @property
    def streams(self) -> int:
        """Caches beside one another."""
        return 1 if self.shared else self.slots

    @property
    def tokens(self) -> int:
        """Tokens of one batch."""
        return max(1, min(self.batch, self.context * self.slots))

    @property
    def sampled(self) -> int:
        wanted = self.slots if self.outputs is None else self.outputs
        return min(wanted, self.tokens)


class Footprint(msgspec.Struct, frozen=True):
    """Bytes of a loaded model, by part. cache: keys and values; states: of recurrent layers."""

    weights: int
    repack: int
    cache: int
    states: int
    compute: int
    output: int
    runtime: int

    @property
    def total(self) -> int:
        """All of it: the most that the process will have in memory."""
        return sum(getattr(self, name) for name in self.__struct_fields__)


def footprint(headers: Sequence[Header], use: Use, *, sizes: Shape | None = None) -> Footprint:
    """What a model takes. headers: of all its files, the first one first."""
    sizes = sizes or shape(headers[0])
    by_layer = [cache_bytes(layer, use) for layer in sizes.layers]
    return Footprint(
        weights=sum(header.weight_bytes for header in headers),
        repack=repack_bytes(headers) if use.repack else 0,
        cache=sum(keys + values for keys, values, _ in by_layer),
        states=sum(state for _, _, state in by_layer),
        compute=compute_bytes(sizes, use),
        output=_F32 * sizes.vocabulary * max(use.slots, use.sampled),
        runtime=runtime_bytes(headers, sizes, use),
    )


# ------------------------------------------------------------------------------------- the cache


def cache_bytes(layer: Layer, use: Use) -> tuple[int, int, int]:
    """Bytes of one layer's keys, values and recurrent state.

    A layer with a window keeps as many tokens as the window has and a batch more; with `shared`
    the windows of all slots. States are 32-bit floats, one for each slot, however long its text.
    """
    cells = layer_cells(layer, use) * use.streams
    keys = cells * (row_bytes(use.keys, layer.keys) + row_bytes(use.keys, layer.index))
    values = cells * row_bytes(use.values, layer.values if use.flash else layer.padded)
    return keys, values, _F32 * use.slots * (layer.state + layer.shift)


def layer_cells(layer: Layer, use: Use) -> int:
    """Tokens that one stream of a layer's cache has room for."""
    if not layer.window or use.whole_window:
        return use.cells
    window = layer.window * (use.slots if use.shared else 1)
    return _padded(min(use.cells, window + use.tokens))


def row_bytes(type_name: str, length: int) -> int:
    """Bytes of a row of so many numbers; a started block counts whole."""
    kind = _BY_NAME[type_name]
    return -(-length // kind.block) * kind.size


def _padded(tokens: int) -> int:
    return -(-tokens // _PAD) * _PAD


# ------------------------------------------------------------------------------------ scratch space


def compute_bytes(sizes: Shape, use: Use) -> int:
    """Bytes of scratch space for one batch: masks, which are there all the time, and the largest
    stage. Numbers are 32-bit floats; flash attention's masks have 16 bits. Layers with a window
    have a mask of their own."""
    tokens = use.tokens
    kept = tokens * len(sizes.layers) * sizes.extra
    stages = [
        tokens * max(_feed_forward(sizes), _attention(sizes, use)) + kept,
        4 * kept + 5 * tokens * sizes.width if kept else 0,
        _recurrence(sizes, use) + kept,
        use.sampled * (sizes.vocabulary + 6 * sizes.width),
    ]
    masks = {bool(layer.window): layer_cells(layer, use) for layer in sizes.layers if layer.keys}
    mask = tokens * sum(masks.values()) * (2 if use.flash else _F32)
    return mask + _F32 * max(stages)


def _feed_forward(sizes: Shape) -> int:
    """Numbers a token: gate, up and their product, without a gate only what goes up; five rows of
    the width beside them (what goes around the layer, its norm, what comes in), of a Gemma 3n,
    whose tokens are four rows, ten. The experts' results need new room where they don't fit into
    what gate and up leave."""
    row = (10 if sizes.architecture == "gemma3n" else 5) * sizes.width
    times = 3 if sizes.gated else 1
    dense = times * sizes.hidden + row
    if not sizes.experts:
        return dense
    back = sizes.used * sizes.width
    chosen = times * sizes.used * sizes.expert
    fits = back <= 2 * sizes.used * sizes.expert
    return max(dense, chosen + row + (0 if fits else back))


def _attention(sizes: Shape, use: Use) -> int:
    """Numbers a token: its queries, keys and values on the way to the cache; without flash
    attention a score for each head and each token before it."""
    if not sizes.attention:
        return 0
    scores = 0 if use.flash else sizes.heads * use.cells
    if sizes.latent:
        head = 2 * sizes.latent + sizes.plain + 3 * sizes.rope
        chosen = 2 * use.cells if sizes.indexers else 0  # of each token before it; too low
        return sizes.heads * head + 5 * sizes.width + sizes.queries + scores + chosen
    queries, keys = sizes.heads * sizes.key, sizes.kv_heads * sizes.key
    caches = 2 if sizes.window else 1
    if use.flash:
        return 2 * queries + 3 * sizes.width + (2 + caches) * keys
    return 3 * queries + 3 * sizes.width + 2 * caches * keys + scores


def _recurrence(sizes: Shape, use: Use) -> int:
    """Numbers of a whole batch: what comes in, the convolution and its input, the scan, and the
    states of all slots before and after it."""
    if sizes.head:  # rows of the width that an RWKV mixes with the token before
        rows = 20 if sizes.architecture.endswith("7") else 15
        return sizes.width * (use.tokens * rows + 2 * use.slots * sizes.head)
    if not sizes.inner:
        return 0
    state = sizes.state * sizes.inner
    both = sizes.inner + 2 * sizes.groups * sizes.state
    if sizes.architecture.startswith("qwen3"):  # a delta rule
        token = (3 * both + 5 * sizes.inner) // 2 + 5 * sizes.width
        return use.tokens * token + 2 * use.slots * state
    if sizes.groups:
        token = sizes.inner + both + 2 * both + 2 * sizes.inner + 3 * sizes.width
        return use.tokens * token + 2 * use.slots * state
    return use.tokens * (7 * sizes.inner + sizes.width) + 2 * use.slots * state


# --------------------------------------------------------------------------- copies, the process


def repack_bytes(headers: Sequence[Header], *, machine: str = "") -> int:
    """Bytes of weights that get a second copy: matrices of some types whose rows come in eights,
    and the experts'. machine: the processor, as `platform.machine` calls it."""
    types = REPACKED.get((machine or platform.machine()).lower(), frozenset())
    return sum(
        tensor.size
        for header in headers
        for tensor in header.tensors
        if tensor.type_name in types and _repacked(tensor)
    )


def _repacked(tensor: Tensor) -> bool:
    shape = tensor.shape
    multiplied = tensor.name.endswith(".weight") and not tensor.name.startswith("token_embd")
    stacked = len(shape) == 3 and "_exps" in tensor.name
    return multiplied and (len(shape) == 2 or stacked) and shape[1] % 8 == 0


def runtime_bytes(headers: Sequence[Header], sizes: Shape, use: Use) -> int:
    """Bytes of the process beside the model: library, vocabulary, graphs. A graph has room for as
    many nodes as `llama_context::graph_max_nodes` says."""
    tensors = sum(len(header.tensors) for header in headers)
    merges = headers[0].metadata.get("tokenizer.ggml.merges")
    rules = merges.count if isinstance(merges, Array) else 0
    words = _PER_WORD * sizes.vocabulary + _PER_MERGE * rules
    nodes = max(_LEAST_NODES, _NODES_A_TENSOR * tensors)
    if sizes.architecture in _LONG_GRAPHS:
        nodes = max(_LONG_A_TENSOR * tensors, _LONG_A_TOKEN * use.tokens)
    return _LIBRARY + words + _PER_NODE * nodes
