"""Looking at the process that is measured, and at our own: memory, processor time.

Linux tells the peak itself (VmHWM); elsewhere `ps` is asked every half second and the most is kept.
What a process has on a graphics card is told by the maker's tool; its output is parsed by a
function of its own.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from millstream.lab import hardware

_EVERY = 0.5  # seconds between two looks where the system keeps no peak

NVIDIA = (
    "nvidia-smi",
    "--query-compute-apps=pid,used_memory",
    "--format=csv,noheader,nounits",
)


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes. peak: the most that the process has had in memory, files that it maps included;
    card: on graphics cards; told: what a server says of itself. 0 for what nobody knows."""

    peak: int = 0
    card: int = 0
    told: int = 0


class Peak:
    """The most memory of a process. pid: None for no process at all."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._most = 0
        self._task: asyncio.Task[None] | None = None
        if pid is not None and sys.platform != "linux":
            self._task = asyncio.create_task(self._look())

    async def read(self) -> Memory:
        if self._pid is None:
            return Memory()
        peak = peak_of(self._pid)
        text = await hardware._output(NVIDIA)
        return Memory(max(self._most, peak), of_nvidia(text, self._pid))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self) -> None:
        while True:
            text = await hardware._output(("ps", "-o", "rss=", "-p", str(self._pid)))
            with suppress(ValueError):
                self._most = max(self._most, int(text) << 10)
            await asyncio.sleep(_EVERY)


def peak_of(pid: int, root: Path = Path("/")) -> int:
    """Bytes that a process has had in memory at most; 0 where the system doesn't say."""
    with suppress(OSError, ValueError):
        for line in (root / f"proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def of_nvidia(text: str, pid: int) -> int:
    """Bytes of a process on all cards, in what `NVIDIA` prints: a line for each process and card,
    sizes in MiB."""
    total = 0
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        with suppress(ValueError):
            number, size = row
            total += int(size) << 20 if int(number) == pid else 0
    return total


def processor_seconds(pid: int, root: Path = Path("/")) -> float | None:
    """Processor time that a process has had; None where the system doesn't say."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        fields = (root / f"proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


class Stopwatch:
    """Seconds since it was made: by the clock, and of this process's processor time."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._clock

    @property
    def processor(self) -> float:
        return time.process_time() - self._processor
