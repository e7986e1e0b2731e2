"""Whether a model fits: what it will take as this runtime loads it, and what is free here.

What it takes is summed up by `millstream.models.footprint`. Free memory is what the system gives
without swapping, or what a container's limit leaves.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from millstream.models.footprint import Footprint, Use, footprint
from millstream.models.gguf import Header


def estimate(headers: Sequence[Header], *, context: int, slots: int, batch: int) -> Footprint:
    """What a model takes with `context` tokens for each of `slots` calls at once. headers: of all
    its files, the first one first."""
    return footprint(headers, Use(context=context, slots=slots, batch=batch))


# ------------------------------------------------------------------------------- what is free


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping; None where nobody says. root: for tests."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _macos()
    everyone = (_meminfo(root), _addresses(), *_cgroups(root))
    found = [free for free in everyone if free is not None]
    return max(0, min(found)) if found else None


def _meminfo(root: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _addresses() -> int | None:
    """What a limit on the size of a process (`ulimit -v`) leaves to one like this; None without."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return limit - pages * resource.getpagesize()
    return limit


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
