"""The process that does one job with llama.cpp's library (`jobs`).

It reads the job from standard input, tells steps and the result on standard output, and ends when
standard input does, which is how it learns that the process above is gone. It always leaves by
`os._exit`: freeing llama.cpp's state can hang.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import msgspec

from millstream.base import MillstreamError
from millstream.lab import jobs


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    job = msgspec.json.decode(line, type=jobs.Job)
    threading.Thread(target=_listen, daemon=True).start()
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # no debugger that looks at a breakdown
    try:
        tell({"result": do(job)})
    except MillstreamError as error:
        values = {name: _plain(value) for name, value in error.values.items()}
        tell({"error": {"kind": type(error).__name__, "code": error.code, "values": values}})
    sys.stderr.flush()
    os._exit(0)


def do(job: jobs.Job) -> dict[str, Any]:
    """Do a job; returns its result."""
    if isinstance(job, jobs.Predict):
        from millstream.lab.predictor import predict

        return predict(job, tell)
    from millstream.lab.quantizer import quantize

    return quantize(job, tell)


def tell(step: dict[str, Any]) -> None:
    """Write a line for the process above."""
    sys.stdout.buffer.write(msgspec.json.encode(step) + b"\n")
    sys.stdout.buffer.flush()


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else str(value)


def _listen() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
