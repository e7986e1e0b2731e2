"""Whether a model fits: what it will take, summed up from its header, and what is free here.

The sums are llama.cpp's: weights as they lie in the file, the cache of keys and values for every
token of every slot, the scratch space of one batch. They lean to the safe side where an
architecture has a cheaper cache than full attention (sliding windows are counted as full).
Free memory is what the system gives without swapping, or what a container's limit leaves.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from millstream.models.gguf import Header

_F16 = 2
_F32 = 4
_RUNTIME = 72 << 20  # Python, llama.cpp's library, vocabulary and graphs


class Estimate(msgspec.Struct, frozen=True):
    """Bytes that a loaded model takes. cache: keys and values for all slots. work: scratch space
    of a batch. runtime: the process without the model."""

    weights: int
    cache: int
    work: int
    runtime: int = _RUNTIME

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.work + self.runtime


def estimate(headers: Sequence[Header], *, context: int, slots: int, batch: int) -> Estimate:
    """What a model takes with `context` tokens for each of `slots` calls at once. headers: of all
    its files, the first one first."""
    model = headers[0]
    vocabulary, width = model.vocabulary or 0, model.embedding_length or 0
    tokens = context * slots
    work = _F32 * batch * (vocabulary + width) + batch * (_F16 * tokens + (15 << 10))
    work += _F32 * vocabulary * slots
    return Estimate(
        weights=sum(header.weight_bytes for header in headers),
        cache=tokens * _bytes_per_token(model) + slots * _recurrent_bytes(model),
        work=work,
    )


def _bytes_per_token(model: Header) -> int:
    """Bytes of keys and values that one token adds, in 16-bit floats."""
    latent = model.number("attention.kv_lora_rank")
    if latent:  # multi-head latent attention keeps one compressed vector a layer
        rope = model.number("rope.dimension_count") or 0
        return _F16 * (latent + rope) * (model.block_count or 0)
    heads = model.heads or 1
    each = (model.embedding_length or 0) // heads
    key = model.number("attention.key_length")
    value = model.number("attention.value_length")
    width = (each if key is None else key) + (each if value is None else value)
    by_layer = model.per_layer("attention.head_count_kv")
    if not any(by_layer):
        # Nothing said: as many as heads. A model without heads keeps no keys at all.
        by_layer = [model.heads or 0] * (model.block_count or 0)
    return _F16 * width * sum(by_layer)


def _recurrent_bytes(model: Header) -> int:
    """Bytes of state that a slot of a state-space model has, however long its text is."""
    inner = model.number("ssm.inner_size")
    if not inner:
        return 0
    kernel, state = model.number("ssm.conv_kernel") or 0, model.number("ssm.state_size") or 0
    groups = model.number("ssm.group_count") or 0
    convolution = max(0, kernel - 1) * (inner + 2 * groups * state)
    return _F32 * (convolution + state * inner) * (model.block_count or 0)


# ------------------------------------------------------------------------------- what is free


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping; None where nobody says. root: for tests."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _macos()
    found = [free for free in (_meminfo(root), *_cgroups(root)) if free is not None]
    return max(0, min(found)) if found else None


def _meminfo(root: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _cgroups(root: Path) -> Iterator[int]:
    """What the limits of this process's control groups leave, of the groups above them too. Pages
    of files that nobody has used lately are as good as free."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        limit_name = "memory.limit_in_bytes" if controllers else "memory.max"
        usage_name = "memory.usage_in_bytes" if controllers else "memory.current"
        cached_name = "total_inactive_file" if controllers else "inactive_file"
        # In a container the path is often that of the host, while the mount begins at our own
        # group: what is not there is left out, and the top is looked at in any case.
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group != top and top not in group.parents:
                break
            with suppress(OSError, ValueError):
                limit = int((group / limit_name).read_text())  # "max" is no number
                usage = int((group / usage_name).read_text())
                yield limit - usage + _stat(group / "memory.stat", cached_name)


def _stat(file: Path, name: str) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in file.read_text().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
    return 0


def _macos() -> int | None:
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        lines = subprocess.run(
            ["/usr/bin/vm_stat"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.splitlines()
        page = int(lines[0].split("page size of ")[1].split()[0])
        counts = dict(line.rstrip(".").split(":") for line in lines[1:] if ":" in line)
        names = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
        return page * sum(int(counts.get(name, 0)) for name in names)
    return None


def _windows() -> int | None:
    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.available)
