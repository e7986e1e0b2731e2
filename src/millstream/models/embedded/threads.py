"""How many threads a model may run on: the cores that this process really has.

llama.cpp's threads wait for one another by spinning. More of them than cores, or one core shared
with a busy neighbour, and all of them stand still for whole time slices: measured on two shared
cores, two threads were ten times slower than one. So the runtime times 1, 2, 4 … up to the
physical cores for some tenths of a second before it loads a model (`child.probe`), and again when
answers become much slower.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

from millstream.models.gguf import TYPES, Header

# Types that the probe multiplies by; a model of another type is timed as Q8_0.
_TIMED = {
    number
    for number, kind in TYPES.items()
    if kind.name in ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL")
    or (kind.name[0] == "Q" and kind.name.endswith("_K") and kind.name != "Q8_K")
}
_Q8_0 = 8


def cores(root: Path = Path("/")) -> int:
    """Physical cores that this process may use: those of its affinity, second threads of a core
    left out, and no more than a container's share of processor time is good for."""
    with suppress(AttributeError, OSError):
        usable = os.sched_getaffinity(0) if sys.platform == "linux" else None
        if usable:
            count = len(_physical(usable, root)) or len(usable)
            share = _share(root)
            return max(1, min(count, math.ceil(share))) if share else count
    return os.cpu_count() or 1


def candidates(cores: int) -> list[int]:
    """The numbers of threads that are worth timing."""
    powers = [2**i for i in range(cores.bit_length()) if 2**i < cores]
    return [*powers, cores]


def shape(model: Header) -> tuple[int, int, int]:
    """Columns, rows and type of matrices like the model's own, rounded so that any type fits."""
    columns = model.embedding_length or 1024
    rows = model.number("feed_forward_length") or 4 * columns
    by_type: dict[int, int] = {}
    for tensor in model.tensors:
        if len(tensor.shape) > 1:
            by_type[tensor.type] = by_type.get(tensor.type, 0) + tensor.size
    main = max(by_type, key=lambda type: by_type[type]) if by_type else _Q8_0
    return _rounded(columns), _rounded(rows), main if main in _TIMED else _Q8_0


def _rounded(length: int) -> int:
    return min(1 << 15, max(256, -(-length // 256) * 256))


def _physical(usable: set[int], root: Path) -> set[tuple[str, str]]:
    """Package and core of each usable processor."""
    found = set()
    for number in usable:
        topology = root / f"sys/devices/system/cpu/cpu{number}/topology"
        with suppress(OSError):
            package = (topology / "physical_package_id").read_text().strip()
            found.add((package, (topology / "core_id").read_text().strip()))
    return found


def _share(root: Path) -> float | None:
    """Cores' worth of time that the control group grants; None without a limit."""
    group = root / "sys/fs/cgroup"
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                own = group / line[3:].lstrip("/") / "cpu.max"
                granted, period = (own if own.exists() else group / "cpu.max").read_text().split()
                return int(granted) / int(period)  # "max" is no number
    with suppress(OSError, ValueError):
        granted = (group / "cpu/cpu.cfs_quota_us").read_text()
        period = (group / "cpu/cpu.cfs_period_us").read_text()
        return int(granted) / int(period) if int(granted) > 0 else None
    return None
