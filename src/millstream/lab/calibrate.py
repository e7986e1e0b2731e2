"""The child that times llama.cpp's kernels on this machine, for some seconds.

Run as a script by `hardware`, importing nothing of ours. It reads a line of JSON from stdin (types
of weights, numbers of threads, seconds) and writes a line of JSON for every timed piece of work:
what, with which type and width of matrix, on how many threads, how much work, and the seconds that
it took by the clock and of the processor. Types, threads and kinds take turns, so that a neighbour
who comes and goes disturbs all of them alike.

    decode   a token through matrices that no cache holds: bytes of weights read
    prefill  many tokens through one matrix: floating-point operations
    attend-token, attend-prompt   flash attention of one token or of many: operations
    rows     norms, products and gates on rows of numbers: numbers written
    node     the smallest operations there are: how many

    {"types": {"Q8_0": 8}, "threads": [1, 2], "seconds": 10, "repack": ["Q4_0"]}

ggml's own functions are called, through ctypes, in the library that the embedded runtime uses.
"""

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

_WIDTHS = (512, 4096)  # of a row of weights; multiples of every type's block
_ELEMENTS = 1 << 22  # of a matrix
_WEIGHTS = 64 << 20  # bytes of matrices for one token: more than caches hold
_TOKENS = 128  # of a prompt, read at once
_HEAD, _HEADS, _KV_HEADS, _CELLS, _LAYERS = 64, 16, 4, 2048, 8
_COLUMNS = 2048  # of rows of numbers
_NODES = 256
_LEAST = 0.02  # seconds of one timed piece
_PATTERN = 0x11  # a byte that makes a small normal number of every type


class Ggml:
    """The functions of the library that are needed."""

    def __init__(self, library: str) -> None:
        self._lib = ctypes.CDLL(library)
        pointer, whole, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
        size, real = ctypes.c_size_t, ctypes.c_float
        f = self._function
        self.init = f("ggml_init", pointer, _InitParams)
        self.free = f("ggml_free", None, pointer)
        self.matrix = f("ggml_new_tensor_2d", pointer, pointer, whole, long, long)
        self.cube = f("ggml_new_tensor_3d", pointer, pointer, whole, long, long, long)
        self.permute = f("ggml_permute", pointer, pointer, pointer, *[whole] * 4)
        self.product = f("ggml_mul_mat", pointer, pointer, pointer, pointer)
        self.norm = f("ggml_rms_norm", pointer, pointer, pointer, real)
        self.times = f("ggml_mul", pointer, pointer, pointer, pointer)
        self.add = f("ggml_add", pointer, pointer, pointer, pointer)
        self.gate = f("ggml_swiglu_split", pointer, pointer, pointer, pointer)
        reals = (real, real, real)
        self.attend = f("ggml_flash_attn_ext", pointer, *[pointer] * 5, *reals)
        self.graph = f("ggml_new_graph_custom", pointer, pointer, size, ctypes.c_bool)
        self.expand = f("ggml_build_forward_expand", None, pointer, pointer)
        self.cpu = f("ggml_backend_cpu_init", pointer)
        self.threads = f("ggml_backend_cpu_set_n_threads", None, pointer, whole)
        self.compute = f("ggml_backend_graph_compute", whole, pointer, pointer)
        self.plain = f("ggml_backend_cpu_buffer_type", pointer)
        self.alloc = f("ggml_backend_alloc_ctx_tensors_from_buft", pointer, pointer, pointer)
        self.release = f("ggml_backend_buffer_free", None, pointer)
        self.set = f("ggml_backend_tensor_set", None, pointer, pointer, size, size)
        self.bytes = f("ggml_nbytes", size, pointer)
        self.row = f("ggml_row_size", size, whole, long)
        try:
            self.repack = f("_Z35ggml_backend_cpu_repack_buffer_typev", pointer)
        except AttributeError:  # another compiler's name, or a build without
            self.repack = self.plain
        self.processor = self.cpu()

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(self._lib, name)
        found.restype, found.argtypes = result, arguments
        return found

    def context(self) -> Any:
        """A place for tensors whose bytes live elsewhere."""
        return self.init(_InitParams(8 << 20, None, True))

    def place(self, context: Any, kind: Any) -> Any:
        """Memory for all tensors of a context."""
        return self.alloc(context, kind)

    def fill(self, tensor: Any) -> None:
        size = self.bytes(tensor)
        self.set(tensor, _filled(size), 0, size)


class _InitParams(ctypes.Structure):
    _fields_ = (
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    )


_buffer = ctypes.create_string_buffer(0)


def _filled(size: int) -> Any:
    global _buffer
    if len(_buffer) < size:
        _buffer = ctypes.create_string_buffer(size)
        ctypes.memset(_buffer, _PATTERN, size)
    return _buffer


class Work:
    """A graph that can be run again and again. amount: what one run does, in its own unit."""

    def __init__(
        self, what: str, type: str, width: int, amount: float, run: Callable[[], object]
    ) -> None:
        self.what, self.type, self.width, self.amount, self.run = what, type, width, amount, run


def works(ggml: Ggml, types: dict[str, int], repack: list[str]) -> Iterator[Work]:
    """Everything that is timed; built one after the other, and kept."""
    for name, number in types.items():
        kind = ggml.repack() if name in repack else ggml.plain()
        for width in _WIDTHS:
            yield from _products(ggml, name, number, width, kind)
    yield _attention(ggml, 1)
    yield _attention(ggml, _TOKENS)
    yield _rows(ggml)
    yield _nodes(ggml)


def _products(ggml: Ggml, name: str, number: int, width: int, kind: Any) -> Iterator[Work]:
    rows = _ELEMENTS // width
    each = rows * ggml.row(number, width)
    count = max(1, min(24, _WEIGHTS // each))
    weights = ggml.context()
    matrices = [ggml.matrix(weights, number, width, rows) for _ in range(count)]
    if not ggml.place(weights, kind):
        return
    for matrix in matrices:
        ggml.fill(matrix)
    yield Work("decode", name, width, count * each, _multiply(ggml, matrices, width, 1))
    operations = 2 * width * rows * _TOKENS
    yield Work("prefill", name, width, operations, _multiply(ggml, matrices[:1], width, _TOKENS))


def _multiply(ggml: Ggml, matrices: list[Any], width: int, n: int) -> Callable[[], object]:
    context = ggml.context()
    tokens = ggml.matrix(context, 0, width, n)
    products = [ggml.product(context, matrix, tokens) for matrix in matrices]
    return _runner(ggml, context, products, [tokens])


def _attention(ggml: Ggml, n: int) -> Work:
    """Keys and values lie as in a cache: all heads of a token side by side."""
    context = ggml.context()
    inputs = [ggml.matrix(context, 1, _CELLS, n)]
    results = []
    layers = _LAYERS if n == 1 else 1
    for _ in range(layers):
        queries = ggml.cube(context, 0, _HEAD, n, _HEADS)
        stored = [ggml.cube(context, 1, _HEAD, _KV_HEADS, _CELLS) for _ in range(2)]
        keys, values = (ggml.permute(context, each, 0, 2, 1, 3) for each in stored)
        scale = _HEAD**-0.5
        results.append(ggml.attend(context, queries, keys, values, inputs[0], scale, 0.0, 0.0))
        inputs += [queries, *stored]
    amount = layers * 4 * _HEAD * _CELLS * _HEADS * n
    what = "attend-token" if n == 1 else "attend-prompt"
    return Work(what, "F16", _HEAD, amount, _runner(ggml, context, results, inputs))


def _rows(ggml: Ggml) -> Work:
    context = ggml.context()
    start, scale = ggml.matrix(context, 0, _COLUMNS, _TOKENS), ggml.matrix(context, 0, _COLUMNS, 1)
    out = start
    for _ in range(4):
        out = ggml.times(context, ggml.norm(context, out, 1e-6), scale)
        out = ggml.add(context, ggml.gate(context, out, start), start)
    run = _runner(ggml, context, [out], [start, scale])
    return Work("rows", "F32", _COLUMNS, 16 * _COLUMNS * _TOKENS, run)


def _nodes(ggml: Ggml) -> Work:
    context = ggml.context()
    start = out = ggml.matrix(context, 0, 64, 1)
    for _ in range(_NODES):
        out = ggml.add(context, out, start)
    return Work("node", "F32", 64, _NODES, _runner(ggml, context, [out], [start]))


def _runner(
    ggml: Ggml, context: Any, results: list[Any], inputs: list[Any]
) -> Callable[[], object]:
    graph = ggml.graph(context, 2048, False)
    for result in results:
        ggml.expand(graph, result)
    ggml.place(context, ggml.plain())
    for tensor in inputs:
        ggml.fill(tensor)
    return lambda: ggml.compute(ggml.processor, graph)


def main() -> None:
    ask = json.loads(sys.stdin.readline())
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # no debugger that looks at a breakdown
    try:
        import xllamacpp

        ggml = Ggml(xllamacpp.xllamacpp.__file__)
        everything = list(works(ggml, ask["types"], ask["repack"]))
    except (ImportError, OSError, AttributeError) as error:
        print(json.dumps({"problem": str(error)}), flush=True)
        return
    end, turn, longest = time.perf_counter() + ask["seconds"], 0, 0.0
    while turn == 0 or time.perf_counter() + longest < end:
        began = time.perf_counter()
        for work in everything:
            for threads in ask["threads"]:
                ggml.threads(ggml.processor, threads)
                _tell(work, threads, turn)
        turn, longest = turn + 1, max(longest, time.perf_counter() - began)


def _tell(work: Work, threads: int, turn: int) -> None:
    work.run()
    clock, processor, runs = time.perf_counter(), time.process_time(), 0
    while (wall := time.perf_counter() - clock) < _LEAST:
        work.run()
        runs += 1
    spent = time.process_time() - processor
    said = {
        "what": work.what,
        "type": work.type,
        "width": work.width,
        "threads": threads,
        "turn": turn,
        "amount": work.amount * runs,
        "wall": wall,
        "processor": spent,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
