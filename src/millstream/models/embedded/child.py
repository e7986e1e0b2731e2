"""The process that holds one model: llama.cpp's own server, and a line to the process above it.

Run as a script by `runtime`, and importing nothing of ours, so that it is up in a tenth of a
second. It reads one line of JSON from stdin (what to load, and the key that the server asks for:
never in arguments or environment), writes a line of JSON for each step to stdout, and leaves
llama.cpp's log on stderr. Requests go to the loopback address that the `ready` line names.

It ends when stdin does, which is how it learns that the process above is gone. The line `retire`
lets it finish what it is answering first. It always leaves by `os._exit`: freeing llama.cpp's
server can hang for ever.

    {"step": "threads", "threads": 1, "milliseconds": {"1": 3.9, "2": 61.0}}
    {"step": "ready", "address": "http://127.0.0.1:41234"}
    {"step": "failed", "problem": "…"}        and the log says why
    {"step": "no-runtime", "problem": "…"}    llama.cpp's library is not installed or not for here
"""

import contextlib
import ctypes
import json
import os
import sys
import threading
import time
import urllib.request
from typing import Any, NoReturn

_PROBE_BYTES = 24 << 20  # weights of the probe: more than a core's cache, set up in milliseconds
_PROBE_SECONDS = 0.04  # for one number of threads in one round
_WORTH = 1.08  # a further core must be this much faster
_CARDS = (1, 2)  # ggml's numbers for devices that are graphics cards, with and without own memory
_IDLE_LOOKS = 3  # looks in a row, a fifth of a second apart, that find no slot at work


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    task = json.loads(line)
    threading.Thread(target=_listen, daemon=True).start()
    _kernel_ends_us(True)
    # llama.cpp would let a debugger look at it when it breaks down, which takes long and writes
    # where our lines go.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        import xllamacpp
    except (ImportError, OSError) as error:
        _leave("no-runtime", str(error))
    threads = task["threads"] or _timed(xllamacpp.xllamacpp.__file__, task)
    if not task["model"]:
        os._exit(0)  # only the timing was asked for
    cards = sum(device["type"] in _CARDS for device in xllamacpp.get_device_info())
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, task, threads, cards))
    except Exception as error:
        _let_the_log_arrive()
        _leave("failed", str(error))
    _kernel_ends_us(False)
    address = server.listening_address
    _tell(step="ready", address=address, threads=threads, cards=cards)
    _retire.wait()
    looks = 0
    while looks < _IDLE_LOOKS:
        time.sleep(0.2)
        looks = looks + 1 if _idle(address, task["key"]) else 0
    os._exit(0)


def _parameters(xllamacpp: Any, task: dict[str, Any], threads: int, cards: int) -> Any:
    """llama.cpp's parameters; every one that isn't set here is as llama.cpp has it."""
    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.model_alias = {task["alias"]}
    params.n_ctx = task["context"] * task["slots"]  # llama.cpp divides it among the slots
    params.n_parallel = task["slots"]
    # A prompt is read in pieces: between two of them other slots go on, and a cancel is seen.
    params.n_batch = params.n_ubatch = max(task["batch"], task["slots"])
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
    # On graphics cards llama.cpp finds out by itself how many layers fit.
    params.fit_params = cards > 0
    if task.get("layers") is not None:
        params.n_gpu_layers, params.fit_params = task["layers"], False
    params.warmup = False
    params.prefill_assistant = False  # an answer is a turn of its own, as everywhere else
    params.cache_ram_mib = 0  # no copies of old prompts beside the slots: memory is as predicted
    params.sleep_idle_seconds = task["sleep"]
    params.port = 0
    params.n_threads_http = 2 * task["slots"] + 8  # a kept connection holds one
    params.api_keys = [task["key"]]
    params.cors_origins = "http://127.0.0.1"
    params.ui = False
    return params


def _let_the_log_arrive() -> None:
    """llama.cpp writes its log in a thread of its own, which would die with us: wait until what
    it has to say of a failure is there, and for two seconds at most."""
    size, still = 0, 0
    for _ in range(100):
        time.sleep(0.02)
        before, size = size, os.fstat(2).st_size
        still = still + 1 if size == before and size else 0
        if still == 5:
            break


def _idle(address: str, key: str) -> bool:
    request = urllib.request.Request(  # noqa: S310
        f"{address}/slots", headers={"Authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return not any(slot.get("is_processing") for slot in json.load(answer))
    except (OSError, ValueError):
        return True


# ------------------------------------------------------------------- the line to the process above

_retire = threading.Event()


def _listen() -> None:
    """Hear what the process above says, and end with it."""
    for line in sys.stdin.buffer:
        if line.strip() == b"retire":
            _retire.set()
    os._exit(0)


def _kernel_ends_us(wanted: bool) -> None:
    """Let the kernel end this process when the pipe above does, or no longer.

    While llama.cpp loads a model no thread of Python's runs, `_listen` neither. Linux can send
    SIGIO when something happens to a pipe, and SIGIO's default is to end the process.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        flags = fcntl.fcntl(0, fcntl.F_GETFL)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)


def _tell(**step: object) -> None:
    print(json.dumps(step), flush=True)


def _leave(step: str, problem: str) -> NoReturn:
    _tell(step=step, problem=problem)
    os._exit(1)


# ---------------------------------------------------------------------------- timing the threads


def _timed(library: str, task: dict[str, Any]) -> int:
    """The best number of threads; 1 where nothing can be timed."""
    if len(task["candidates"]) < 2:
        return 1
    milliseconds: dict[int, float] = {}

    def try_them() -> None:
        try:
            milliseconds.update(probe(library, task["candidates"], tuple(task["shape"])))
        except (AttributeError, OSError) as error:  # another llama.cpp than the one pinned
            print(f"the threads were not timed: {error}", file=sys.stderr)

    # OpenMP keeps helpers for every thread that has computed with some, until that thread ends.
    # With more of them than cores it lets all of them sleep at once where they would wait for one
    # another: the model would be a third slower.
    trial = threading.Thread(target=try_them)
    trial.start()
    trial.join()
    if not milliseconds:
        return 1
    _tell(step="threads", threads=best(milliseconds), milliseconds=milliseconds)
    return best(milliseconds)


def probe(library: str, candidates: list[int], shape: tuple[int, int, int]) -> dict[int, float]:
    """Milliseconds that ggml takes for a row of matrix products like those of one token, by
    number of threads.

    shape: columns, rows and ggml type of the matrices (embedding length, feed-forward length, the
    type of the model's weights). ggml's threads spin while they wait for one another: where a core
    is shared with others two threads can be ten times slower than one, and only trying tells.
    Costs a tenth of a second a candidate on a quiet machine; needs no model.
    """
    columns, rows, kind = shape
    lib = ctypes.CDLL(library)

    class InitParams(ctypes.Structure):
        _fields_ = (
            ("mem_size", ctypes.c_size_t),
            ("mem_buffer", ctypes.c_void_p),
            ("no_alloc", ctypes.c_bool),
        )

    def function(name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(lib, name)
        found.restype, found.argtypes = result, arguments
        return found

    pointer, number = ctypes.c_void_p, ctypes.c_int64
    matrix = function("ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, number, number)
    product = function("ggml_mul_mat", pointer, pointer, pointer, pointer)
    where = function("ggml_get_data", pointer, pointer)
    size = function("ggml_nbytes", ctypes.c_size_t, pointer)
    row_size = function("ggml_row_size", ctypes.c_size_t, ctypes.c_int, number)
    compute = function("ggml_backend_graph_compute", ctypes.c_int, pointer, pointer)
    use_threads = function("ggml_backend_cpu_set_n_threads", None, pointer, ctypes.c_int)
    pair = rows * row_size(kind, columns) + columns * row_size(kind, rows)
    layers = max(1, min(16, _PROBE_BYTES // pair))
    memory = layers * (pair + 64 * (columns + rows)) + (4 << 20)
    processor = function("ggml_backend_cpu_init", pointer)()
    context = function("ggml_init", pointer, InitParams)(InitParams(memory, None, False))

    def zeros(kind: int, columns: int, rows: int) -> Any:
        tensor = matrix(context, kind, columns, rows)
        ctypes.memset(where(tensor), 0, size(tensor))
        return tensor

    token = zeros(0, columns, 1)
    for _ in range(layers):
        wide = product(context, zeros(kind, columns, rows), token)
        token = product(context, zeros(kind, rows, columns), wide)
    graph = function("ggml_new_graph", pointer, pointer)(context)
    function("ggml_build_forward_expand", None, pointer, pointer)(graph, token)
    spent = dict.fromkeys(candidates, 0.0)
    runs = dict.fromkeys(candidates, 0)
    for _ in range(2):
        for threads in candidates:
            start = time.perf_counter()
            use_threads(processor, threads)
            took = 0.0
            while took < _PROBE_SECONDS:
                compute(processor, graph)
                runs[threads] += 1
                took = time.perf_counter() - start
            spent[threads] += took
    function("ggml_backend_free", None, pointer)(processor)
    function("ggml_free", None, pointer)(context)
    return {n: round(1000 * spent[n] / runs[n], 3) for n in candidates}


def best(milliseconds: dict[int, float]) -> int:
    """The fewest threads to which no further ones add much."""
    chosen, *more = sorted(milliseconds)
    for threads in more:
        if milliseconds[threads] * _WORTH < milliseconds[chosen]:
            chosen = threads
    return chosen


if __name__ == "__main__":
    main()
