"""Rows of logits, compared by ggml's own operations: the arithmetic of `loss`.

A row has a number for every word of the vocabulary, up to some 250,000 of them, and there are
thousands of rows: too many for Python, and a reason for numpy that ggml takes away, since its
operations are in the library that is loaded anyway. For logits b of the base and q of the other
model, with log Σ exp written as L:

    negative log-likelihood of a word t   L(q) - q[t]
    Kullback-Leibler divergence           Σ softmax(b) (b - q) - L(b) + L(q)

ggml sums in 64 bits here; single numbers have 32. L is the largest logit less the logarithm of its
own probability, which has a relative error of 1e-7 whatever the logits are. So each figure is right
to about 1e-6, and equal logits give 0. Rows are copied once and go through in groups that bound the
memory.

Source: ggml.h of llama.cpp.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from ctypes import c_bool, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, NamedTuple

from millstream.lab.library import path

ROWS = 16  # of a group
_F32 = 0
_OVERHEAD = 1 << 20  # bytes of a context without its numbers


class NoNumbers(Exception):
    """A model's logits are no numbers that could be compared."""


class Likely(NamedTuple):
    """What a row says. nll: the negative log-likelihood of the word that came; top: the likeliest
    word."""

    nll: float
    top: int


class Compared(NamedTuple):
    """A row against the base's. kld: the divergence, in nats; same: whether both have the same
    likeliest word."""

    nll: float
    kld: float
    same: bool


class _InitParams(ctypes.Structure):
    _fields_ = (("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool))


class _Ggml:
    """The functions of the library that are needed."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(path()))
        f = self._function
        self.init = f("ggml_init", c_void_p, _InitParams)
        self.matrix = f("ggml_new_tensor_2d", c_void_p, c_void_p, c_int, c_int64, c_int64)
        self.softmax = f("ggml_soft_max", c_void_p, c_void_p, c_void_p)
        self.argmax = f("ggml_argmax", c_void_p, c_void_p, c_void_p)
        self.minus = f("ggml_sub", c_void_p, c_void_p, c_void_p, c_void_p)
        self.times = f("ggml_mul", c_void_p, c_void_p, c_void_p, c_void_p)
        self.sums = f("ggml_sum_rows", c_void_p, c_void_p, c_void_p)
        self.graph = f("ggml_new_graph_custom", c_void_p, c_void_p, c_size_t, c_bool)
        self.expand = f("ggml_build_forward_expand", None, c_void_p, c_void_p)
        self.cpu = f("ggml_backend_cpu_init", c_void_p)
        self.threads = f("ggml_backend_cpu_set_n_threads", None, c_void_p, c_int)
        self.compute = f("ggml_backend_graph_compute", c_int, c_void_p, c_void_p)
        self.plain = f("ggml_backend_cpu_buffer_type", c_void_p)
        self.place = f("ggml_backend_alloc_ctx_tensors_from_buft", c_void_p, c_void_p, c_void_p)
        self.data = f("ggml_get_data", c_void_p, c_void_p)

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(self._lib, name)
        found.restype, found.argtypes = result, arguments
        return found


class Comparer:
    """Compares rows of logits of one vocabulary with the base's.

    vocabulary: numbers of a row; rows: of a group. A row is given by its address. First `take` the
    base's rows, then ask for any other model's `against` them."""

    def __init__(self, vocabulary: int, *, rows: int = ROWS, threads: int = 1) -> None:
        self.vocabulary, self.rows = vocabulary, rows
        self._size = 4 * vocabulary
        ggml = self._ggml = _Ggml()
        self._cpu = ggml.cpu()
        ggml.threads(self._cpu, threads)
        # The base's own graph and tensors; what it finds is copied into the others' graph.
        context = ggml.init(_InitParams(_OVERHEAD, None, True))
        base = ggml.matrix(context, _F32, vocabulary, rows)
        self._take = _Half(ggml, context, base)
        self._take.add(self._take.found)
        place = ggml.place(context, ggml.plain())
        context = ggml.init(_InitParams(_OVERHEAD, None, True))
        inputs = [ggml.matrix(context, _F32, vocabulary, rows) for _ in range(3)]
        base, chances, other = inputs
        self._against = _Half(ggml, context, other)
        mean = ggml.sums(context, ggml.times(context, chances, ggml.minus(context, base, other)))
        self._against.add((mean, *self._against.found))
        if not place or not ggml.place(context, ggml.plain()):
            raise MemoryError
        for tensor in inputs:  # rows that are not used yet must not be odd numbers
            ctypes.memset(ggml.data(tensor), 0, self._size * rows)
        ctypes.memset(ggml.data(self._take.logits), 0, self._size * rows)
        self._base, self._chances, self._mean = map(ggml.data, (base, chances, mean))
        self._sums: list[float] = []
        self._tops: list[int] = []

    def take(self, addresses: Sequence[int], words: Sequence[int]) -> list[Likely]:
        """The base's rows, as many as a group has at most, and the words that came."""
        found = self._run(self._take, addresses)
        size = self._size * len(addresses)
        ctypes.memmove(self._base, self._ggml.data(self._take.logits), size)
        ctypes.memmove(self._chances, self._ggml.data(self._take.chances), size)
        self._sums = [total for total, _ in found]
        self._tops = [top for _, top in found]
        return [
            Likely(total - _number(address, word), top)
            for (total, top), address, word in zip(found, addresses, words, strict=True)
        ]

    def against(self, addresses: Sequence[int], words: Sequence[int]) -> list[Compared]:
        """Another model's rows at the same places as those that were taken last."""
        found = self._run(self._against, addresses)
        means = (c_float * len(addresses)).from_address(self._mean)
        out = []
        for i, ((total, top), address, word) in enumerate(
            zip(found, addresses, words, strict=True)
        ):
            divergence = float(means[i]) - self._sums[i] + total
            if not math.isfinite(divergence):
                raise NoNumbers
            same = top == self._tops[i]
            # It is never below zero; the last digit of 32 bits may be.
            out.append(Compared(total - _number(address, word), max(0.0, divergence), same))
        return out

    def likely(self, addresses: Sequence[int], words: Sequence[int]) -> Iterator[Likely]:
        """Any model's rows by themselves, however many."""
        for start in range(0, len(addresses), self.rows):
            some = addresses[start : start + self.rows]
            found = self._run(self._take, some)
            for (total, top), address, word in zip(found, some, words[start:], strict=False):
                yield Likely(total - _number(address, word), top)

    def _run(self, half: _Half, addresses: Sequence[int]) -> list[tuple[float, int]]:
        """L and the likeliest word of each row."""
        ggml, size = self._ggml, self._size
        start = ggml.data(half.logits)
        for i, address in enumerate(addresses):
            ctypes.memmove(start + i * size, address, size)
        if ggml.compute(self._cpu, half.graph):
            raise MemoryError
        tops = (c_int32 * len(addresses)).from_address(ggml.data(half.tops))
        chances = ggml.data(half.chances)
        out = []
        for i, (address, top) in enumerate(zip(addresses, tops, strict=True)):
            chance = _number(chances + i * size, top)
            if not 0 < chance <= 1.001:  # NaN neither
                raise NoNumbers
            out.append((_number(address, top) - math.log(chance), int(top)))
        return out


class _Half:
    """The operations on one model's rows: chances of all words, the likeliest of them."""

    def __init__(self, ggml: _Ggml, context: int, logits: int) -> None:
        self._ggml = ggml
        self.logits = logits
        self.chances = ggml.softmax(context, logits)
        self.tops = ggml.argmax(context, logits)
        self.found = (self.chances, self.tops)
        self.graph = ggml.graph(context, 32, False)

    def add(self, results: Sequence[int]) -> None:
        for result in results:
            self._ggml.expand(self.graph, result)


def _number(address: int, index: int) -> float:
    return float(c_float.from_address(address + 4 * index).value)
