"""How fast a model will be on this machine, from its shape and the machine's calibration.

A token that is generated reads every weight once, and the cache of all tokens before it; a prompt
is read many tokens at a time, so that arithmetic counts. To both come the small operations between
the matrices. Each part has its own measured rate (`hardware.Speed`). Matrices were measured with
short and with long rows, and small ones, which gives three figures for each type: what a byte (an
operation) costs, what a row does, which for some types is less than nothing, and what comes with
each matrix: threads that begin at several places of it and wait for one another at its end. A type
that wasn't measured takes those of the nearest number of bits.

    decode   Σ matrices: bytes · a + rows · b + c  +  attention at this depth  +  small operations
    prefill  Σ matrices but the head: operations · a + rows · b  +  attention at half the depth
             on the average  +  rows of numbers; experts as in decode, since llama.cpp takes the
             tokens of an expert one by one, but as on one thread: weights come from a cache that
             is each core's own
    bound    the same with the best rate of all and nothing else: the roofline

Sources: Williams et al., "Roofline" (CACM 2009); forward FLOPs of Kaplan et al. (arXiv 2001.08361),
with attention added; `ggml_compute_forward_flash_attn_ext_f16` and `llama_kv_cache::get_n_kv` of
llama.cpp. Of experts only those count that a token takes; the table of embeddings is looked up, not
multiplied.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import msgspec
from msgspec.structs import astuple

from millstream.lab.hardware import Rate, Speed
from millstream.models.footprint import Use
from millstream.models.gguf import TYPES, Tensor
from millstream.models.shape import Shape

_BITS = {kind.name: kind.bits for kind in TYPES.values()}
_PADDED, _SPLIT = 256, 512  # tokens of a cache
_TILE = 64  # tokens of a prompt that attend together
_NODES_A_LAYER = 33  # operations between matrices in a layer of a transformer, as graphs have them


class Matrices(msgspec.Struct, frozen=True):
    """The matrices of one type that a token is multiplied with: all together."""

    bytes: int
    weights: int
    rows: int
    count: int

    def __add__(self, other: Matrices) -> Matrices:
        return Matrices(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Matrices) -> Matrices:
        return Matrices(*map(operator.sub, astuple(self), astuple(other)))


_NONE = Matrices(0, 0, 0, 0)


class Attention(msgspec.Struct, frozen=True):
    """What layers do for each token before the one that they work on. window: tokens that they look
    back, 0 for all; operations: of floating point; bytes: of the cache, with 16 bits a number;
    heads: of one layer."""

    window: int
    operations: int
    bytes: int
    heads: int = 1

    def seen(self, depth: float) -> float:
        return min(depth, self.window) if self.window else depth

    def uneven(self, depth: float, threads: int) -> float:
        """How much longer one token's attention takes than if every thread had the same to do.

        llama.cpp rounds the tokens of a cache up to a multiple. From some number on each thread
        takes an equal part of these, of which the last may be empty; before, some heads each."""
        seen = self.seen(depth)
        if threads == 1 or seen < 1:
            return 1.0
        padded = _PADDED * _parts(int(seen) + 1, _PADDED)
        if padded >= _SPLIT:
            return threads * min(seen, _parts(padded, threads)) / seen
        heads = max(1, self.heads)
        piece = _parts(heads, 4 * threads)
        most = piece * _parts(_parts(heads, piece), threads)
        return threads * min(most, heads) / heads

    def torn(self, tokens: int, threads: int) -> float:
        """How much more attention a prompt takes because threads tear its tiles: what is to be done
        is dealt out in four equal pieces for each, and a piece need not end where a tile does."""
        if threads == 1 or tokens < _TILE:
            return 1.0
        heads = max(1, self.heads)
        rows = heads * tokens
        piece = _parts(rows, max(threads, _parts(rows, _parts(rows, 4 * threads))))
        tiles = at = 0
        while at < rows:
            end = min(rows, at - at % piece + piece, at - at % tokens + tokens)
            tiles += _parts(end - at, _TILE)
            at = end
        return tiles / (heads * _parts(tokens, _TILE))


def _parts(whole: int, size: int) -> int:
    """How many of a size are needed for the whole."""
    return -(-whole // size)


class Work(msgspec.Struct, frozen=True):
    """What a model does for one token. layers, head: matrices by type; the head only works for
    tokens that are sampled. experts: those of `layers` that are experts'. attends: by window.
    numbers: what norms, gates and the like write. nodes: operations of a pass."""

    layers: dict[str, Matrices]
    head: dict[str, Matrices]
    attends: tuple[Attention, ...]
    numbers: int
    nodes: int
    experts: dict[str, Matrices] = {}

    @property
    def bytes(self) -> int:
        """Weights that are read for a token, in bytes."""
        return sum(m.bytes for part in (self.layers, self.head) for m in part.values())

    def operations(self, depth: int) -> int:
        """Floating-point operations of a token with so many tokens before it."""
        weights = sum(m.weights for part in (self.layers, self.head) for m in part.values())
        return 2 * weights + round(self.attention(depth))

    def attention(self, depth: float) -> float:
        """Floating-point operations of the attention to so many tokens."""
        return sum(each.operations * each.seen(depth) for each in self.attends)

    def attending(self, depth: float, threads: int) -> float:
        """`attention` of one token, and what threads wait for one another in it."""
        return sum(
            each.operations * each.seen(depth) * each.uneven(depth, threads)
            for each in self.attends
        )

    def reading(self, depth: float, tokens: int, threads: int) -> float:
        """`attention` of each of so many tokens that are read at once, torn tiles included."""
        return sum(
            each.operations * each.seen(depth) * each.torn(tokens, threads) for each in self.attends
        )

    def cached(self, depth: float) -> float:
        """Bytes of keys and values that are read at such a depth."""
        return sum(each.bytes * each.seen(depth) for each in self.attends)


class Pace(msgspec.Struct, frozen=True):
    """How fast a model is predicted to be. prefill, decode: tokens a second on the machine when
    it is quiet; bound: the roofline of each. threads: the number that decodes fastest. share: of
    the processor that this process got when the machine was measured."""

    prefill: float
    decode: float
    prefill_bound: float
    decode_bound: float
    threads: int
    depth: int
    share: float = 1.0
    spread: float = 0.0
    noisy: bool = False

    def seconds(self, prompt: int, output: int) -> float:
        """From sending a prompt to the last token of its answer."""
        return prompt / self.prefill + output / self.decode

    def first_token(self, prompt: int) -> float:
        """Seconds to the first token."""
        return prompt / self.prefill + 1 / self.decode


def work(tensors: Sequence[Tensor], sizes: Shape) -> Work:
    """What a model does for a token."""
    layers: dict[str, Matrices] = {}
    head: dict[str, Matrices] = {}
    experts: dict[str, Matrices] = {}
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    last = "token_embd.weight" if tied else "output.weight"
    for tensor in tensors:
        looked_up = tensor.name.startswith(("token_embd", "per_layer_token_embd"))
        if len(tensor.shape) < 2 or "_norm" in tensor.name:
            continue
        if looked_up and tensor.name != last:
            continue
        part = 1.0
        if "_exps" in tensor.name and sizes.experts:
            part = min(1.0, sizes.used / sizes.experts)
        found = Matrices(
            round(part * tensor.size),
            round(part * tensor.elements),
            round(part * tensor.elements / tensor.shape[0]),
            round(part * math.prod(tensor.shape[2:])),
        )
        parts = [head if tensor.name == last else layers]
        parts += [experts] if part < 1 else []
        for where in parts:
            known = where.get(tensor.type_name)
            where[tensor.type_name] = known + found if known else found
    key, value = sizes.latent or sizes.key, sizes.latent or sizes.value
    attends: dict[int, Attention] = {}
    for layer in sizes.layers:
        if layer.keys:
            so_far = attends.get(layer.window, Attention(layer.window, 0, 0))
            attends[layer.window] = Attention(
                layer.window,
                so_far.operations + 2 * layer.heads * (key + value),
                so_far.bytes + 2 * (layer.keys + layer.values),
                layer.heads,
            )
    hidden = sizes.used * sizes.expert if sizes.experts else sizes.hidden
    row = 8 * sizes.width + hidden + 2 * sizes.heads * sizes.key + 8 * sizes.inner
    count = len(sizes.layers)
    attention = tuple(attends.values())
    return Work(layers, head, attention, row * count, _NODES_A_LAYER * count, experts)


def predict(
    todo: Work,
    speed: Speed,
    use: Use,
    *,
    depth: int = 0,
    prompt: int = 512,
    before: int = 0,
    threads: int | None = None,
) -> Pace:
    """How fast a model writes at a depth of the context, on the best number of threads or a given
    one, and reads a prompt. prompt: its tokens; before: those that are there already."""
    counts = speed.threads if threads is None else [threads]
    middle = before + prompt / 2
    paces = [_pace(todo, speed, use, depth, prompt, middle, count) for count in counts]
    return max(paces, key=lambda pace: pace.decode)


def _pace(
    todo: Work, speed: Speed, use: Use, depth: int, prompt: int, middle: float, threads: int
) -> Pace:
    """middle: the depth of a prompt's token on the average."""
    rates = _Rates(speed, threads)
    small = todo.nodes * rates.cost("node") + todo.numbers * rates.cost("rows")
    token = small + todo.attending(depth, threads) * rates.cost("attend-token")
    for part in (todo.layers, todo.head):
        token += sum(rates.reading(type, m) for type, m in part.items())
    few = min(speed.threads)
    alone = _Rates(speed, few)
    batch = max(1, min(use.tokens, prompt))
    each = todo.nodes * rates.cost("node") / batch + todo.numbers * rates.cost("rows")
    each += todo.reading(middle, batch, threads) * rates.cost("attend-prompt")
    for type, m in todo.layers.items():
        apart = todo.experts.get(type, _NONE)
        some = m - apart
        each += rates.matrices("prefill", type, 2 * some.weights, some.rows)
        each += alone.reading(type, apart) / (threads / few)
    best_bytes, best_operations = speed.bandwidth(threads), speed.operations(threads)
    return Pace(
        prefill=1 / each,
        decode=1 / token,
        prefill_bound=best_operations / todo.operations(round(middle)),
        decode_bound=best_bytes / (todo.bytes + todo.cached(depth)),
        threads=threads,
        depth=depth,
        share=speed.share,
        spread=speed.spread,
        noisy=speed.noisy,
    )


class _Rates:
    """What a machine's work costs on a number of threads, in seconds."""

    def __init__(self, speed: Speed, threads: int) -> None:
        self._known = [rate for rate in speed.rates if rate.threads == threads]

    def cost(self, what: str) -> float:
        """Of one unit of a kind of work that has no type."""
        return next(1 / rate.rate for rate in self._known if rate.what == what)

    def reading(self, type: str, of: Matrices) -> float:
        """Of matrices that a token is multiplied with."""
        return self.matrices("decode", type, of.bytes, of.rows) + of.count * self._each(type)

    def _each(self, type: str) -> float:
        """Of a matrix beyond its bytes: what small ones take longer than such rows need."""
        small, short = self._nearest("small", type)[0], self._nearest("decode", type)[0]
        size = small.width**2 * _BITS[small.type] / 8
        return max(0.0, size / small.rate - size / short.rate)

    def _nearest(self, what: str, type: str) -> list[Rate]:
        """Those of this type, or of the nearest in bits, by the length of rows."""
        bits = _BITS.get(type, 16.0)
        known = [rate for rate in self._known if rate.what == what]
        nearest = min(known, key=lambda r: (r.type != type, abs(_BITS.get(r.type, 16.0) - bits)))
        return sorted((r for r in known if r.type == nearest.type), key=lambda r: r.width)

    def matrices(self, what: str, type: str, amount: float, rows: float) -> float:
        """Of matrices: an amount (bytes or operations) in so many rows."""
        same = self._nearest(what, type)
        short, long = same[0], same[-1]
        if short.width == long.width or not rows or not amount:
            return amount / long.rate
        # What a unit costs is a straight line over 1 / length of a row; it is not drawn on beyond
        # rows of half the shortest length. Mostly a short row costs more, of some types less.
        unit = 2 if what == "prefill" else _BITS[type] / 8 if type in _BITS else 2.0
        inverse = min(2 / short.width, max(1 / long.width, rows * unit / amount))
        slope = (1 / short.rate - 1 / long.rate) / (1 / short.width - 1 / long.width)
        return amount * (1 / long.rate + slope * (inverse - 1 / long.width))
