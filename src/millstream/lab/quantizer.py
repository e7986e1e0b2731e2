"""Quantizing, as the worker does it: tensors in, tensors of other types out.

llama.cpp's own functions turn rows of numbers into blocks; which type each tensor gets is `mixes`'
part, what stands before the weights `rewrite`'s. The source is read in pieces and never written
to; memory holds some pieces for each thread, however large the model is.

Source: `llama_model_quantize_impl` of llama.cpp for the order of things; tools/imatrix and
tools/quantize there for importance matrices, both of their formats.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from millstream.base import BadInput, Failed
from millstream.lab.jobs import Quantize
from millstream.lab.library import Library
from millstream.lab.mixes import Planned, needs_imatrix, plan_types
from millstream.lab.rewrite import Layout
from millstream.models import gguf
from millstream.models.gguf import TYPES, Header, Tensor

Tell = Callable[[dict[str, Any]], None]

_PIECE = 1 << 20  # numbers that are converted at once
_F32 = 0
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight")  # matrices don't cover them


class Matrix(msgspec.Struct):
    """An importance matrix: how much each column of a tensor matters, for each of its experts.
    file: its name. rows: by the tensor's name. datasets: the texts that it was made on; chunks:
    pieces of them."""

    file: str
    rows: dict[str, array[float]]
    datasets: list[str]
    chunks: int


class Source(msgspec.Struct, frozen=True):
    """A tensor and the file that it is in."""

    tensor: Tensor
    path: Path
    offset: int


def plan_file(
    headers: Sequence[Header], ftype: str, *, imatrix: bool = False, pure: bool = False
) -> list[Planned]:
    """The type of each tensor of a model in several files, in the order of the new file."""
    tensors = [tensor for header in headers for tensor in header.tensors]
    return plan_types(headers[0], ftype, tensors=tensors, imatrix=imatrix, pure=pure)


def layout(
    paths: Sequence[Path],
    headers: Sequence[Header],
    planned: Sequence[Planned],
    ftype: str,
    matrix: Matrix | None,
) -> Layout:
    """The new file's head and places."""
    extra: dict[str, str | int] = {}
    if matrix is not None:
        extra["quantize.imatrix.file"] = _short(matrix.file)
        if matrix.datasets:
            extra["quantize.imatrix.dataset"] = _short(matrix.datasets[0])
        extra["quantize.imatrix.entries_count"] = len(matrix.rows)
        if matrix.chunks > 0:
            extra["quantize.imatrix.chunks_count"] = matrix.chunks
    return Layout(paths[0], headers[0], planned, ftype, extra)


def _short(text: str) -> str:
    """As much of a text as llama.cpp's overrides have room for."""
    return text.encode()[:127].decode("utf-8", "ignore")


def quantize(job: Quantize, tell: Tell) -> dict[str, Any]:
    """Write the file. Raises BadInput: a matrix that doesn't fit, weights that are no numbers.
    Failed: the system refuses to write."""
    paths = [Path(source) for source in job.sources]
    headers = [gguf.read(path) for path in paths]
    matrix = read_imatrix(Path(job.imatrix)) if job.imatrix else None
    planned = plan_file(headers, job.ftype, imatrix=matrix is not None, pure=job.pure)
    where = {
        tensor.name: Source(tensor, path, header.data_offset + tensor.offset)
        for path, header in zip(paths, headers, strict=True)
        for tensor in header.tensors
    }
    known = matrix.rows if matrix is not None else {}
    for each in needs_imatrix(planned, job.ftype):
        if each.tensor.name not in known:
            raise BadInput("quantize.needs-imatrix", type=job.ftype, tensor=each.tensor.name)
    new = layout(paths, headers, planned, job.ftype, matrix)
    with ThreadPoolExecutor(job.threads) as pool:
        writer = _Writer(Library(), pool, 2 * job.threads, matrix)
        try:
            with open(job.output, "xb") as out:
                try:
                    sha256 = _write(out, new, planned, where, writer, tell)
                except BaseException:
                    Path(job.output).unlink(missing_ok=True)
                    raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failed("quantize.cannot-write", file=job.output, reason=reason) from None
    return {"sha256": sha256, "size": new.size}


def _write(
    out: BinaryIO,
    new: Layout,
    planned: Sequence[Planned],
    where: dict[str, Source],
    writer: _Writer,
    tell: Tell,
) -> str:
    digest = hashlib.sha256()
    total = sum(each.tensor.elements for each in planned)
    done = at = 0

    def put(data: bytes) -> None:
        nonlocal at
        out.write(data)
        digest.update(data)
        at += len(data)

    put(new.head)
    for each, offset in zip(planned, new.offsets, strict=True):
        put(bytes(offset - at))  # up to the alignment
        for piece, elements in writer.pieces(each, where[each.tensor.name]):
            put(piece)
            done += elements
            tell({"step": "tensor", "name": each.tensor.name, "done": done, "total": total})
    put(bytes(new.size - at))
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest()


class _Writer:
    """Tensors as bytes of their new type, piece by piece in order, converted by several threads
    (llama.cpp's functions run without Python's lock)."""

    def __init__(
        self, library: Library, pool: ThreadPoolExecutor, ahead: int, matrix: Matrix | None
    ) -> None:
        self.library = library
        self.pool = pool
        self.ahead = ahead  # pieces under way at once
        self.matrix = matrix
        self.widen: dict[int, Any] = {}

    def pieces(self, each: Planned, source: Source) -> Iterator[tuple[bytes, int]]:
        """The new bytes and the numbers in them."""
        type = _NUMBERS[each.type]
        weights = self._weights(each.tensor) if type != source.tensor.type else None
        waiting: list[tuple[Future[bytes], int]] = []
        for start, rows in _spans(source.tensor):
            elements = rows * source.tensor.shape[0]
            work = self.pool.submit(self._piece, source, type, start, rows, weights)
            waiting.append((work, elements))
            if len(waiting) == self.ahead:
                first, count = waiting.pop(0)
                yield first.result(), count
        for work, count in waiting:
            yield work.result(), count

    def _piece(
        self, source: Source, type: int, start: int, rows: int, weights: array[float] | None
    ) -> bytes:
        """Some rows of a tensor. start: the first of them."""
        tensor, library = source.tensor, self.library
        columns = tensor.shape[0] if tensor.shape else 1
        kind = TYPES[tensor.type]
        row = columns // kind.block * kind.size
        with open(source.path, "rb") as file:
            data = os.pread(file.fileno(), rows * row, source.offset + start * row)
        if len(data) < rows * row:
            size = os.path.getsize(source.path)
            needed = source.offset + tensor.size
            raise BadInput("gguf.truncated", file=source.path.name, size=size, needed=needed)
        if not library.ggml_validate_row_data(tensor.type, data, len(data)):
            raise BadInput("quantize.no-numbers", file=source.path.name, tensor=tensor.name)
        if type == tensor.type:
            return data
        numbers: Any = data
        if tensor.type != _F32:
            numbers = (ctypes.c_float * (rows * columns))()
            widen = self.widen.get(tensor.type)
            if widen is None:
                widen = self.widen[tensor.type] = library.widen(tensor.type)
            widen(data, numbers, rows * columns)
        target = TYPES[type]
        size = rows * columns // target.block * target.size
        out = ctypes.create_string_buffer(size)
        columns_matter = None
        if weights is not None:
            matrix_rows = tensor.shape[1] if len(tensor.shape) > 1 else 1
            expert = start // matrix_rows
            columns_matter = weights.buffer_info()[0] + 4 * columns * expert
        made = library.ggml_quantize_chunk(type, numbers, out, 0, rows, columns, columns_matter)
        if made != size or not library.ggml_validate_row_data(type, out, size):
            raise BadInput("quantize.no-numbers", file=source.path.name, tensor=tensor.name)
        return out.raw

    def _weights(self, tensor: Tensor) -> array[float] | None:
        """What the matrix says of a tensor."""
        if self.matrix is None:
            return None
        found = self.matrix.rows.get(tensor.name)
        if found is None:
            return None
        experts = tensor.shape[2] if len(tensor.shape) > 2 else 1
        if len(found) == tensor.shape[0] * experts:
            return found
        if tensor.name in _TABLES:
            return None
        raise BadInput(
            "quantize.imatrix-size",
            tensor=tensor.name,
            has=len(found),
            needs=tensor.shape[0] * experts,
        )


def _spans(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each piece; no piece has rows of two matrices."""
    columns = tensor.shape[0] if tensor.shape else 1
    rows = tensor.elements // columns
    matrix = tensor.shape[1] if len(tensor.shape) > 1 else 1
    most = max(1, _PIECE // columns)
    for first in range(0, rows, matrix):
        for start in range(first, first + matrix, most):
            yield start, min(most, first + matrix - start)


# ---------------------------------------------------------------------------- importance matrices


def read_imatrix(path: Path) -> Matrix:
    """An importance matrix of llama.cpp's tool, in its GGUF form or the older one. Raises
    BadInput."""
    try:
        with open(path, "rb") as file:
            begin = file.read(4)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("quantize.unreadable-imatrix", file=str(path), reason=reason) from None
    matrix = _gguf_matrix(path) if begin == gguf.MAGIC else _old_matrix(path)
    for name, row in matrix.rows.items():
        if not all(map(math.isfinite, row)):
            raise BadInput("quantize.imatrix-damaged", file=path.name, tensor=name)
    if not matrix.rows:
        raise BadInput("quantize.imatrix-empty", file=path.name)
    return matrix


def _gguf_matrix(path: Path) -> Matrix:
    """Sums of squares by column (`….in_sum2`) and how often an expert was asked (`….counts`)."""
    header = gguf.read(path)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    rows = {}
    for name, tensor in tensors.items():
        if not name.endswith(".in_sum2"):
            continue
        counter = tensors.get(name.removesuffix("in_sum2") + "counts")
        if counter is None or tensor.type != _F32 or counter.type != _F32:
            raise BadInput("quantize.imatrix-damaged", file=path.name, tensor=name)
        sums, counts = _floats(path, header, tensor), _floats(path, header, counter)
        if not counts or len(sums) % len(counts):
            raise BadInput("quantize.imatrix-damaged", file=path.name, tensor=name)
        columns = len(sums) // len(counts)
        for expert, count in enumerate(counts):
            for i in range(expert * columns, (expert + 1) * columns):
                # In 32 bits, as the tool that this stands in for divides.
                sums[i] = sums[i] / count if count > 0 else 1.0
        rows[name.removesuffix(".in_sum2")] = sums
    datasets = [str(text) for text in header.values("imatrix.datasets")]
    return Matrix(path.name, rows, datasets, header.number("imatrix.chunk_count") or 0)


def _floats(path: Path, header: Header, tensor: Tensor) -> array[float]:
    numbers: array[float] = array("f")
    with open(path, "rb") as file:
        file.seek(header.data_offset + tensor.offset)
        numbers.frombytes(file.read(tensor.size))
    return numbers


def _old_matrix(path: Path) -> Matrix:
    """Entries of name, number of calls and sums; then the number of chunks and the text."""
    data = path.read_bytes()
    rows: dict[str, array[float]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        (value,) = struct.unpack_from("<i", data, at)
        at += 4
        return int(value)

    try:
        for _ in range(_counted(number(), data, at)):
            length = _counted(number(), data, at)
            name = data[at : at + length].decode()
            at += length
            calls, count = number(), number()
            count = _counted(4 * count, data, at) // 4
            row: array[float] = array("f")
            row.frombytes(data[at : at + 4 * count])
            at += 4 * count
            if calls > 0:
                for i, value in enumerate(row):
                    row[i] = value / calls
            rows[name] = row
        chunks, datasets = 0, []
        if at < len(data):
            chunks = number()
            length = _counted(number(), data, at)
            datasets = [data[at : at + length].decode()]
    except (struct.error, UnicodeDecodeError, ValueError):
        raise BadInput("quantize.no-imatrix", file=path.name) from None
    return Matrix(path.name, rows, datasets, chunks)


def _counted(size: int, data: bytes, at: int) -> int:
    if not 0 <= size <= len(data) - at:
        raise ValueError("no such length")
    return size
