"""What this machine has: memory, cores, graphics cards; and how fast it really is.

Cards are found by the makers' own tools (`nvidia-smi`, `rocm-smi`, `system_profiler`) and, where
those are missing, by llama.cpp's list of devices; what these print is parsed by functions of their
own, so that a report of another machine can be looked at too. Speed is measured, not looked up:
`calibrate` lets llama.cpp's kernels run for ten seconds and keeps what they did, with its spread.

On a machine that others use as well the clock tells how busy those are. So for one thread the
processor's time is what counts, and the share that this process got of a core is told beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from millstream.base import Failed, NotHere
from millstream.lab import jobs
from millstream.models.embedded import memory, threads
from millstream.models.footprint import REPACKED
from millstream.models.gguf import TYPES

if TYPE_CHECKING:
    from millstream.home import Home

Backend = Literal["cuda", "rocm", "metal", "vulkan", "other"]

_CHILD = Path(__file__).with_name("calibrate.py")
_KEPT = "lab-speed-4"  # in the cache; another number when something else is measured
_PATIENCE = 15.0  # seconds that a maker's tool has to answer
_LEAVING = 5.0  # seconds that the child has to end when it has said everything
_QUIET = 0.85  # of a core: with less, others were at work
_STEADY = 0.35  # of the middle: with more between the best and the worst, it was noisy
_AGAIN = 3600.0  # seconds after which a disturbed measurement is done once more
_WEIGHTS = 128 << 20  # bytes of matrices of each type: some times what caches hold
_METAL_SHARE = 0.75  # of unified memory that the system lets a card work with

KINDS = ("decode", "small", "prefill", "attend-token", "attend-prompt", "rows", "node")
USUAL_TYPES = ("F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0")
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A graphics card. total, free: bytes. unified: it works in the machine's own memory."""

    name: str
    backend: Backend
    total: int
    free: int
    unified: bool = False


class Machine(msgspec.Struct, frozen=True):
    """What a machine has. memory, free: bytes, None where the system doesn't say."""

    processor: str
    cores: int
    memory: int | None
    free: int | None
    gpus: tuple[Gpu, ...] = ()
    usable: tuple[str, ...] = ()
    """Kinds of cards that the llama.cpp installed here can use; none for the plain wheel."""


async def look(root: Path = Path("/")) -> Machine:
    """This machine. Nothing is raised for what can't be found out."""
    gpus, devices = await asyncio.gather(_gpus(), _devices())
    usable = tuple(sorted({gpu.backend for gpu in devices}))
    return Machine(
        processor=processor_name(root),
        cores=threads.cores(),
        memory=total_memory(root),
        free=memory.available(root),
        gpus=tuple(gpus or devices),
        usable=usable,
    )


def total_memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory, as far as a container's limit allows."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) << 10
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def processor_name(root: Path = Path("/")) -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


# ------------------------------------------------------------------------------------------- cards


async def _gpus() -> list[Gpu]:
    asked: tuple[tuple[Sequence[str], Callable[[str], list[Gpu]]], ...] = (
        (NVIDIA, of_nvidia),
        (ROCM, of_rocm),
        (METAL, of_metal),
    )
    found: list[Gpu] = []
    for command, parse in asked:
        if command is METAL and sys.platform != "darwin":
            continue
        text = await _output(command)
        found += parse(text) if text else []
    return found


NVIDIA = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free",
    "--format=csv,noheader,nounits",
)
ROCM = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
METAL = ("system_profiler", "SPDisplaysDataType", "SPHardwareDataType", "-json")


def of_nvidia(text: str) -> list[Gpu]:
    """The cards in what `NVIDIA` prints: a line each, sizes in MiB. Cards that share the machine's
    memory say "[N/A]" and are left out."""
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        with contextlib.suppress(ValueError):
            name, total, free = row
            found.append(Gpu(name.strip(), "cuda", int(total) << 20, int(free) << 20))
    return _sane(found)


def _sane(found: Iterable[Gpu]) -> list[Gpu]:
    """Cards whose sizes can be true."""
    return [gpu for gpu in found if 0 < gpu.total < 1 << 50 and 0 <= gpu.free <= gpu.total]


def of_rocm(text: str) -> list[Gpu]:
    """The cards in what `ROCM` prints: an object for each card, sizes in bytes. Warnings may stand
    before it."""
    try:
        told = json.loads(text[text.find("{") :])
    except (ValueError, RecursionError):
        return []
    found = []
    for card in told.values() if isinstance(told, dict) else ():
        if not isinstance(card, dict):
            continue
        lower = {str(key).lower(): str(value) for key, value in card.items()}
        names = (lower.get(key, "N/A") for key in _ROCM_NAMES)
        name = next((name for name in names if name not in ("", "N/A")), "AMD")
        with contextlib.suppress(KeyError, ValueError):
            total = int(lower["vram total memory (b)"])
            used = int(lower["vram total used memory (b)"])
            found.append(Gpu(name, "rocm", total, max(0, total - used)))
    return _sane(found)


_ROCM_NAMES = ("card series", "device name", "card model")


def of_metal(text: str) -> list[Gpu]:
    """Apple's processor in what `METAL` prints: its card works in the machine's memory."""
    try:
        told = json.loads(text)
        hardware = told["SPHardwareDataType"][0]
        amount, unit = str(hardware["physical_memory"]).split()
        size = int(float(amount) * {"GB": 1 << 30, "TB": 1 << 40}[unit])
        cards = told["SPDisplaysDataType"]
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError):
        return []
    found = []
    for card in cards if isinstance(cards, list) else ():
        name = str(card.get("sppci_model") or card.get("_name")) if isinstance(card, dict) else ""
        if "apple" in name.lower():
            usable = int(size * _METAL_SHARE)
            found.append(Gpu(name, "metal", usable, usable, unified=True))
    return _sane(found)


def of_llama_cpp(devices: Iterable[Any]) -> list[Gpu]:
    """The cards among llama.cpp's own devices (`xllamacpp.get_device_info`). Their types are
    numbers of ggml's `ggml_backend_dev_type`."""
    found = []
    for device in devices:
        fields = device if isinstance(device, dict) else {}
        kind, name = fields.get("type"), str(fields.get("name", ""))
        total, free = fields.get("memory_total"), fields.get("memory_free")
        if kind in (_CARD, _SHARING) and isinstance(total, int) and isinstance(free, int):
            backend: Backend = next((b for key, b in _BACKENDS if key in name.lower()), "other")
            label = str(fields.get("description") or name)
            found.append(Gpu(label, backend, total, min(free, total), unified=kind == _SHARING))
    return _sane(found)


_CARD, _SHARING = 1, 2  # the second works in the machine's own memory
_BACKENDS: tuple[tuple[str, Backend], ...] = (
    ("cuda", "cuda"),
    ("rocm", "rocm"),
    ("hip", "rocm"),
    ("metal", "metal"),
    ("mtl", "metal"),
    ("vulkan", "vulkan"),
)
_DEVICES = "import json, xllamacpp; print(json.dumps(xllamacpp.get_device_info(), default=str))"


async def _devices() -> list[Gpu]:
    """Cards that the llama.cpp installed here sees. It is asked in a process of its own: drivers
    that are broken end the process that wakes them."""
    text = await _output((sys.executable, "-c", _DEVICES))
    try:
        told = json.loads(text or "[]")
    except ValueError:
        return []
    return of_llama_cpp(told if isinstance(told, list) else ())


async def _output(command: Sequence[str]) -> str:
    """What a program prints; "" if there is none, it fails, or says nothing for too long."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        process = await jobs.start(
            program,
            *command[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(_PATIENCE):
            out, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        await jobs.end(process)
    return out.decode("utf-8", "replace") if process.returncode == 0 else ""


# --------------------------------------------------------------------------------------- how fast


class Rate(msgspec.Struct, frozen=True):
    """How fast one kind of work went.

    what, type, width, threads: as in `calibrate`. rate: its unit a second, of one thread by the
    processor's time, as if nobody else were there; now: as the clock saw it. spread: between best
    and worst turn, as a share of the middle. share: of the cores that were asked for, which this
    process got.
    """

    what: str
    type: str
    width: int
    threads: int
    rate: float
    now: float
    spread: float
    share: float
    turns: int


class Calibration(msgspec.Struct, frozen=True):
    """How far a machine's measured speed can be relied on. share: of the cores that it asked for,
    which this process got meanwhile; spread: between figures of the same work, as a share of the
    middle. noisy: others were at work."""

    share: float
    spread: float
    noisy: bool


class Speed(msgspec.Struct, frozen=True):
    """A machine's calibration. measured: Unix time. processor, library: what it holds for."""

    measured: float
    seconds: float
    processor: str
    library: str
    rates: tuple[Rate, ...]

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were tried."""
        return sorted({rate.threads for rate in self.rates})

    @property
    def whole(self) -> bool:
        """Whether it has all kinds of work for every number of threads."""
        have = {(rate.what, rate.threads) for rate in self.rates}
        return bool(have) and have >= {(what, n) for what in KINDS for n in self.threads}

    @property
    def share(self) -> float:
        """Of the cores that it asked for, which this process got while it measured: the middle of
        all kinds, by the number of threads that got least."""
        return min(map(statistics.median, self._by_threads("share")), default=1.0)

    @property
    def spread(self) -> float:
        """How far apart figures of the same work were: the middle of all kinds, by the number of
        threads that was disturbed most."""
        return max(map(statistics.median, self._by_threads("spread")), default=0.0)

    def _by_threads(self, name: Literal["share", "spread"]) -> Iterable[list[float]]:
        for count in self.threads:
            some = [r for r in self.rates if r.threads == count and r.turns > 1]
            if some:
                yield [getattr(rate, name) for rate in some]

    @property
    def noisy(self) -> bool:
        """Whether others were at work on this machine."""
        return self.share < _QUIET or self.spread > _STEADY

    @property
    def calibration(self) -> Calibration:
        """What to keep beside figures that rest on this."""
        return Calibration(self.share, self.spread, self.noisy)

    def on(self, threads: int) -> Speed:
        """What was measured with so many threads only."""
        some = tuple(rate for rate in self.rates if rate.threads == threads)
        return msgspec.structs.replace(self, rates=some)

    def bandwidth(self, threads: int) -> float:
        """Bytes a second that a token's weights can be read with, at best."""
        found = [r.rate for r in self.rates if r.what == "decode" and r.threads == threads]
        return max(found, default=0.0)

    def operations(self, threads: int) -> float:
        """Floating-point operations a second, at best."""
        found = [r.rate for r in self.rates if r.what == "prefill" and r.threads == threads]
        return max(found, default=0.0)


async def calibrate(
    types: Iterable[str] = USUAL_TYPES,
    *,
    seconds: float = 10.0,
    counts: Sequence[int] | None = None,
    told: Callable[[int], None] | None = None,
) -> Speed:
    """Measure for some seconds. counts: of threads, by default 1, 2, 4 … cores. told: is told how
    many pieces have been measured.

    Raises NotHere without llama.cpp's library, Failed if it breaks down.
    """
    began = time.monotonic()
    counts = list(counts or threads.candidates(threads.cores()))
    repacked = REPACKED.get(platform.machine().lower(), frozenset())
    ask = {
        "types": {name: _NUMBERS[name] for name in dict.fromkeys(types)},
        "threads": counts,
        "seconds": seconds,
        "repack": sorted(repacked),
        "weights": min(_WEIGHTS, (memory.available() or _WEIGHTS << 5) >> 5),
    }
    process = await jobs.start(
        sys.executable,
        "-P",
        str(_CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(ask).encode() + b"\n")
    process.stdin.close()
    pieces: dict[_Key, list[tuple[float, float, float]]] = defaultdict(list)
    try:
        async for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # of a library that writes where it should not
            if problem := said.get("problem"):
                raise NotHere("lab.no-library", problem=problem)
            key = (said["what"], said["type"], said["width"], said["threads"])
            pieces[key].append((said["amount"], said["wall"], max(said["processor"], 1e-9)))
            if told is not None:
                told(sum(map(len, pieces.values())))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _LEAVING)
    finally:
        await jobs.end(process)
    if process.returncode or not pieces:
        raise Failed("lab.calibration-broke", code=process.returncode)
    rates = tuple(_rate(*key, turns) for key, turns in sorted(pieces.items()))
    return Speed(time.time(), time.monotonic() - began, processor_name(), _library(), rates)


_Key = tuple[str, str, int, int]


def _rate(
    what: str, type: str, width: int, threads: int, turns: Sequence[tuple[float, float, float]]
) -> Rate:
    clock = [amount / wall for amount, wall, _ in turns]
    alone = [amount / spent for amount, _, spent in turns] if threads == 1 else clock
    middle = statistics.median(alone)
    return Rate(
        what=what,
        type=type,
        width=width,
        threads=threads,
        rate=middle,
        now=statistics.median(clock),
        spread=(max(alone) - min(alone)) / middle,
        share=min(1.0, statistics.median(s / (w * threads) for _, w, s in turns)),
        turns=len(turns),
    )


async def speed(
    home: Home, types: Iterable[str] = USUAL_TYPES, *, anew: bool = False, seconds: float = 10.0
) -> Speed:
    """This machine's calibration: the kept one if it is of this processor and library and knows
    these types, else a new one, which is kept; one that was disturbed for an hour only."""
    wanted = list(dict.fromkeys(types))
    kept = None if anew else _kept(home)
    if kept is not None:
        known = {rate.type for rate in kept.rates if rate.what == "decode"}
        good = not kept.noisy or abs(time.time() - kept.measured) < _AGAIN
        if good and not set(wanted) - known:
            return kept
        wanted = sorted(known | set(wanted))
    measured = await calibrate(wanted, seconds=seconds)
    home.remember(_KEPT, msgspec.to_builtins(measured))
    return measured


def _kept(home: Home) -> Speed | None:
    try:
        kept = msgspec.convert(home.recall(_KEPT, float("inf")), Speed)
    except msgspec.ValidationError:
        return None
    same = kept.processor == processor_name() and kept.library == _library()
    return kept if same and kept.whole else None


def _library() -> str:
    """The version of llama.cpp's package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return ""
