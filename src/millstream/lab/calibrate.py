"""The child that times llama.cpp's kernels on this machine, for some seconds.

Run as a script by `hardware`, importing nothing of ours. It reads a line of JSON from stdin (types
of weights, numbers of threads, seconds, bytes of matrices of one type) and writes a line of JSON
for every timed piece of work: what, with which type and width of matrix, on how many threads, how
much work, and the seconds that it took by the clock and of the processor. Types, threads and kinds
take turns, so that a neighbour who comes and goes disturbs all of them alike.

    decode   a token through matrices that no cache holds: bytes of weights read
    small    the same through small square ones, where what comes with each matrix tells
    prefill  many tokens through one matrix: floating-point operations
    attend-token, attend-prompt   flash attention of one token or of many: operations
    rows     norms, products and gates on rows of numbers: numbers written
    node     the smallest operations there are: how many

    {"types": {"Q8_0": 8}, "threads": [1, 2], "seconds": 10, "repack": ["Q4_0"],
     "weights": 134217728}

ggml's own functions are called, through ctypes, in the library that the embedded runtime uses.
"""

import ctypes
import json
import mmap
import os
import random
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

# Length and number of rows of matrices; multiples of every type's block.
_SMALL, _SHAPES = (512, 512), ((512, 4096), (4096, 1024))
_MOST = 1000  # matrices of one shape
_TOKENS = 128  # of a prompt, read at once
_HEAD, _HEADS, _KV_HEADS, _CELLS, _LAYERS = 64, 16, 4, 4096, 12
_F16 = 1
_COLUMNS = 2048  # of rows of numbers
_NODES, _SQUARE = 256, 64
_LEAST = 0.02  # seconds of one timed piece
_TURNS = 2  # at least, so that their difference can be told
_NUMBERS = 1 << 16  # random numbers, which all weights are made of
_ROW, _BLOCK = 512, 32  # of them: what has a size of its own
_CHANGE = 0.3  # of that size, in octaves: its standard deviation


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
        self.around = f("ggml_backend_cpu_buffer_from_ptr", pointer, pointer, size)
        self.allocate = f("ggml_backend_buft_alloc_buffer", pointer, pointer, size)
        self.base = f("ggml_backend_buffer_get_base", pointer, pointer)
        self.at = f("ggml_backend_tensor_alloc", whole, pointer, pointer, pointer)
        self.set = f("ggml_backend_tensor_set", None, pointer, pointer, size, size)
        self.bytes = f("ggml_nbytes", size, pointer)
        self.row = f("ggml_row_size", size, whole, long)
        self.quantize = f(
            "ggml_quantize_chunk", size, whole, pointer, pointer, long, long, long, pointer
        )
        try:
            self.repack = f("_Z35ggml_backend_cpu_repack_buffer_typev", pointer)
        except AttributeError:  # another compiler's name, or a build without
            self.repack = self.plain
        self.processor = self.cpu()
        self._numbers = _numbers()
        self._filled: dict[int, bytes] = {}
        self.kept: list[object] = []  # memory that matrices lie in

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

    def fill(self, tensor: Any, type: int = 0) -> None:
        """Put random weights of a type into a tensor. A constant would not do: the scales of
        blocks are looked up in a table, whose lines would all be in the nearest cache."""
        size = self.bytes(tensor)
        self.set(tensor, self.weights(type, size), 0, size)

    def zero(self, tensor: Any) -> None:
        size = self.bytes(tensor)
        self.set(tensor, bytes(size), 0, size)

    def weights(self, type: int, size: int) -> bytes:
        """So many bytes of random weights."""
        some = self.random(type)
        return (some * (size // len(some) + 1))[:size]

    def random(self, type: int) -> bytes:
        """`_NUMBERS` weights of a type, by ggml's own quantizer."""
        if type in self._filled:
            return self._filled[type]
        columns = _SHAPES[-1][0]
        rows = _NUMBERS // columns
        made = ctypes.create_string_buffer(rows * self.row(type, columns))
        weights = (ctypes.c_float * _NUMBERS).from_buffer(self._numbers)
        alike = (ctypes.c_float * columns)(*([1.0] * columns))
        self.quantize(type, weights, made, 0, rows, columns, alike)
        self._filled[type] = made.raw
        return made.raw


def _numbers() -> "array[float]":
    """Weights as models have them: the size of their numbers changes from row to row and within a
    row by about a quarter of an octave (SmolLM2's by 0.3, in each of its matrices). Where scales of
    blocks are looked up in a table, how many different ones there are tells in its speed."""
    source = random.Random(1)  # noqa: S311
    numbers = array("f")
    while len(numbers) < _NUMBERS:
        row = 0.05 * 2 ** source.gauss(0, _CHANGE)
        for _ in range(_ROW // _BLOCK):
            size = row * 2 ** source.gauss(0, _CHANGE)
            numbers.extend(source.gauss(0, size) for _ in range(_BLOCK))
    return numbers


class _InitParams(ctypes.Structure):
    _fields_ = (
        ("mem_size", ctypes.c_size_t),
        ("mem_buffer", ctypes.c_void_p),
        ("no_alloc", ctypes.c_bool),
    )


class Work:
    """A graph that can be run again and again. amount: what one run does, in its own unit."""

    def __init__(
        self, what: str, type: str, width: int, amount: float, run: Callable[[], object]
    ) -> None:
        self.what, self.type, self.width, self.amount, self.run = what, type, width, amount, run


def works(ggml: Ggml, ask: dict[str, Any]) -> Iterator[Work]:
    """Everything that is timed; built one after the other, and kept."""
    for name, number in ask["types"].items():
        yield from _products(ggml, name, number, ask["weights"], name in ask["repack"])
    yield _attention(ggml, 1)
    yield _attention(ggml, _TOKENS)
    yield _rows(ggml)
    yield _nodes(ggml)


def _products(ggml: Ggml, name: str, number: int, size: int, repack: bool) -> Iterator[Work]:
    """Matrices of all shapes lie at the same place, one after the other."""
    place: Place | None = None
    for width, rows in (_SMALL, *_SHAPES):
        each = rows * ggml.row(number, width)
        count = max(1, min(_MOST, size // each))
        context = ggml.context()
        matrices = [ggml.matrix(context, number, width, rows) for _ in range(count)]
        if place is None:
            place = Place(ggml, number, max(size, each * count), repack)
            ggml.kept.append(place)
        place.put(matrices)
        what = "small" if (width, rows) == _SMALL else "decode"
        yield Work(what, name, width, count * each, _multiply(ggml, matrices, width, 1))
        if what == "small":
            continue
        reading = _multiply(ggml, matrices[:1], width, _TOKENS)
        yield Work("prefill", name, width, 2 * width * rows * _TOKENS, reading)


class Place:
    """Memory for weights, as llama.cpp has it: those of a file are mapped, copies in another order
    are the program's own. The pages of the two are read at different speeds."""

    def __init__(self, ggml: Ggml, type: int, size: int, repack: bool) -> None:
        self._ggml, self._type = ggml, type
        self._repack = repack
        size += 1 << 20
        self._mapped: mmap.mmap | None = None
        if repack:
            self._buffer = ggml.allocate(ggml.repack(), size)
            self._begin = ggml.base(self._buffer)
        else:
            self._mapped = _mapped(ggml.random(type), size)
            self._begin = ctypes.addressof(ctypes.c_char.from_buffer(self._mapped))
            self._buffer = ggml.around(self._begin, size)

    def put(self, matrices: list[Any]) -> None:
        each = self._ggml.bytes(matrices[0])
        numbers = list(range(len(matrices)))
        random.Random(2).shuffle(numbers)  # noqa: S311
        for number, matrix in zip(numbers, matrices, strict=True):
            self._ggml.at(self._buffer, matrix, self._begin + number * each)
            if self._repack:
                self._ggml.fill(matrix, self._type)


def _mapped(weights: bytes, size: int) -> mmap.mmap:
    """A file full of weights, mapped; without room for one the program's own memory."""
    with tempfile.TemporaryFile() as file:
        try:
            for _ in range(0, size, len(weights)):
                file.write(weights)
            file.flush()
            return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
        except OSError:
            mapped = mmap.mmap(-1, size)
            for at in range(0, size, len(weights)):
                mapped[at : at + len(weights)] = weights[: size - at]
            return mapped


def _multiply(ggml: Ggml, matrices: list[Any], width: int, n: int) -> Callable[[], object]:
    context = ggml.context()
    tokens = ggml.matrix(context, 0, width, n)
    products = [ggml.product(context, matrix, tokens) for matrix in matrices]
    return _runner(ggml, context, products, {tokens: 0})


def _attention(ggml: Ggml, n: int) -> Work:
    """Keys and values lie as in a cache: all heads of a token side by side."""
    context = ggml.context()
    mask = ggml.matrix(context, _F16, _CELLS, n)
    inputs: dict[Any, int | None] = {mask: None}
    results = []
    layers = _LAYERS if n == 1 else 1
    for _ in range(layers):
        queries = ggml.cube(context, 0, _HEAD, n, _HEADS)
        stored = [ggml.cube(context, _F16, _HEAD, _KV_HEADS, _CELLS) for _ in range(2)]
        keys, values = (ggml.permute(context, each, 0, 2, 1, 3) for each in stored)
        scale = _HEAD**-0.5
        results.append(ggml.attend(context, queries, keys, values, mask, scale, 0.0, 0.0))
        inputs |= {queries: 0, **dict.fromkeys(stored, _F16)}
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
    run = _runner(ggml, context, [out], {start: 0, scale: 0})
    return Work("rows", "F32", _COLUMNS, 16 * _COLUMNS * _TOKENS, run)


def _nodes(ggml: Ggml) -> Work:
    """What layers are made of, so small that hardly anything is left but the calls."""
    context = ggml.context()
    start = out = ggml.matrix(context, 0, _SQUARE, 1)
    square = ggml.matrix(context, _F16, _SQUARE, _SQUARE)
    for _ in range(_NODES // 8):
        one = ggml.times(context, ggml.norm(context, out, 1e-6), start)
        up, gate = (ggml.product(context, square, one) for _ in range(2))
        down = ggml.product(context, square, ggml.gate(context, gate, up))
        out = ggml.add(context, down, start)
    run = _runner(ggml, context, [out], {start: 0, square: _F16})
    return Work("node", "F32", _SQUARE, _NODES, run)


def _runner(
    ggml: Ggml, context: Any, results: list[Any], inputs: dict[Any, int | None]
) -> Callable[[], object]:
    """inputs: tensors and their types, None for zeros."""
    graph = ggml.graph(context, 2048, False)
    for result in results:
        ggml.expand(graph, result)
    ggml.place(context, ggml.plain())
    for tensor, type in inputs.items():
        if type is None:
            ggml.zero(tensor)
        else:
            ggml.fill(tensor, type)
    return lambda: ggml.compute(ggml.processor, graph)


def main() -> None:
    ask = json.loads(sys.stdin.readline())
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # no debugger that looks at a breakdown
    try:
        import xllamacpp

        ggml = Ggml(xllamacpp.xllamacpp.__file__)
        everything = list(works(ggml, ask))
    except (ImportError, OSError, AttributeError) as error:
        print(json.dumps({"problem": str(error)}), flush=True)
        return
    end, turn = time.perf_counter() + ask["seconds"], 0
    while turn < _TURNS or time.perf_counter() < end:
        for threads in ask["threads"]:
            for work in everything:
                if turn >= _TURNS and time.perf_counter() >= end:
                    return
                ggml.threads(ggml.processor, threads)
                _tell(work, threads, turn)
        turn += 1


def _tell(work: Work, threads: int, turn: int) -> None:
    work.run()  # what others left in the caches goes
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
