"""What a machine has: reports of others' machines, whole and broken; and its calibration."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed, NotHere
from millstream.home import Home
from millstream.lab import hardware
from millstream.lab.hardware import Gpu, Rate, Speed, of_llama_cpp, of_metal, of_nvidia, of_rocm

MIB, GIB = 1 << 20, 1 << 30

# As the programs print them with the options of `NVIDIA`, `ROCM` and `METAL`.
RTX = "NVIDIA GeForce RTX 4090, 24564, 23010\nNVIDIA RTX A2000 12GB, 12282, 11987\n"
SPARK = "NVIDIA GB10, [N/A], [N/A]\n"
RADEON = """WARNING: AMD GPU device(s) is/are in a low-power state. Check power control

{"card0": {"Card Series": "Radeon RX 7900 XTX", "Card Model": "0x744c", \
"Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "EXT94393", \
"VRAM Total Memory (B)": "25753026560", "VRAM Total Used Memory (B)": "27332608"}, \
"card1": {"Card Series": "N/A", "Device Name": "AMD Instinct MI210", \
"VRAM Total Memory (B)": "68702699520", "VRAM Total Used Memory (B)": "11079680"}, \
"system": {"Driver version": "6.8.5"}}
"""
APPLE = json.dumps(
    {
        "SPDisplaysDataType": [
            {
                "_name": "Apple M2 Pro",
                "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
                "spdisplays_ndrvs": [{"_name": "Color LCD", "_spdisplays_pixels": "3024 x 1964"}],
                "spdisplays_vendor": "sppci_vendor_Apple",
                "sppci_bus": "spdisplays_builtin",
                "sppci_cores": "19",
                "sppci_device_type": "spdisplays_gpu",
                "sppci_model": "Apple M2 Pro",
            }
        ],
        "SPHardwareDataType": [
            {
                "_name": "hardware_overview",
                "chip_type": "Apple M2 Pro",
                "machine_model": "Mac14,9",
                "number_processors": "proc 12:8:4",
                "physical_memory": "32 GB",
            }
        ],
    }
)
DEVICES = [
    {"name": "CUDA0", "description": "NVIDIA GeForce RTX 4090", "type": 1,
     "memory_free": 24_100_000_000, "memory_total": 25_390_809_088, "device_id": "0000:01:00.0"},
    {"name": "Vulkan0", "description": "AMD Radeon 780M (RADV PHOENIX)", "type": 2,
     "memory_free": 15_000_000_000, "memory_total": 16_000_000_000},
    {"name": "CPU", "description": "AMD Ryzen 9", "type": 0,
     "memory_free": 25_000_000_000, "memory_total": 33_000_000_000},
    {"name": "BLAS", "description": "OpenBLAS", "type": 3, "memory_free": 0, "memory_total": 0},
]  # fmt: skip


def test_cards_of_nvidia() -> None:
    assert of_nvidia(RTX) == [
        Gpu("NVIDIA GeForce RTX 4090", "cuda", 24564 * MIB, 23010 * MIB),
        Gpu("NVIDIA RTX A2000 12GB", "cuda", 12282 * MIB, 11987 * MIB),
    ]
    assert of_nvidia(SPARK) == []  # it works in the machine's own memory


def test_cards_of_amd() -> None:
    first, second = of_rocm(RADEON)
    assert first == Gpu("Radeon RX 7900 XTX", "rocm", 25753026560, 25753026560 - 27332608)
    assert second.name == "AMD Instinct MI210"


def test_cards_of_apple() -> None:
    (card,) = of_metal(APPLE)
    assert (card.name, card.backend, card.unified) == ("Apple M2 Pro", "metal", True)
    assert card.total == 24 * GIB  # what the system lets it work with
    intel = APPLE.replace("Apple M2 Pro", "AMD Radeon Pro 5500M")
    assert of_metal(intel) == []


def test_devices_of_llama_cpp() -> None:
    cuda, vulkan = of_llama_cpp(DEVICES)
    assert (cuda.name, cuda.backend, cuda.unified) == ("NVIDIA GeForce RTX 4090", "cuda", False)
    assert (vulkan.backend, vulkan.unified) == ("vulkan", True)
    assert cuda.free == 24_100_000_000


def test_types_of_devices_are_the_librarys_numbers() -> None:
    """Another library would call something else a graphics card."""
    xllamacpp = pytest.importorskip("xllamacpp")
    kinds = type(xllamacpp.get_device_info()[0]["type"])
    names = {kind.value: kind.name.rpartition("TYPE_")[2] for kind in kinds}
    assert (names[hardware._CARD], names[hardware._SHARING]) == ("GPU", "IGPU")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "Failed to initialize NVML: Driver/library version mismatch\n",
        "NVIDIA GeForce RTX 4090, 24564\n",
        "NVIDIA GeForce RTX 4090, 24564, [Unknown Error]\n",
        "NVIDIA GeForce RTX 4090, -1, 5\n",
        "NVIDIA GeForce RTX 4090, 24564, 99999\n",
        "NVIDIA GeForce RTX 4090, 99999999999999999999, 1\n",
        '"NVIDIA, 1, 2\n',
        "{}",
        "[]",
        "null",
        '{"card0": null}',
        '{"card0": {"VRAM Total Memory (B)": "x", "VRAM Total Used Memory (B)": "1"}}',
        '{"card0": {"VRAM Total Memory (B)": "-5", "VRAM Total Used Memory (B)": "1"}}',
        '{"card0": {"VRAM Total Memory (B)": "100"}}',
        '{"card0": ' * 5000,
        '{"SPHardwareDataType": [], "SPDisplaysDataType": []}',
        '{"SPHardwareDataType": [{"physical_memory": "32 GB"}], "SPDisplaysDataType": null}',
        '{"SPHardwareDataType": [{"physical_memory": "inf GB"}], "SPDisplaysDataType": []}',
        '{"SPHardwareDataType": [{"physical_memory": "32 Go"}], "SPDisplaysDataType": []}',
        '{"SPHardwareDataType": [{"physical_memory": 32}], "SPDisplaysDataType": [1]}',
    ],
)
def test_broken_reports_are_of_no_cards(text: str) -> None:
    for parse in (of_nvidia, of_rocm, of_metal):
        assert parse(text) == []


@given(st.text(max_size=300))
def test_any_report(text: str) -> None:
    for parse in (of_nvidia, of_rocm, of_metal):
        parse(text)


@given(st.data())
def test_any_cut_of_a_report(data: st.DataObject) -> None:
    for text, parse in ((RTX, of_nvidia), (RADEON, of_rocm), (APPLE, of_metal)):
        parse(text[: data.draw(st.integers(0, len(text)))])


@given(st.lists(st.dictionaries(st.sampled_from(["name", "type", "memory_total", "memory_free"]),
                                st.one_of(st.integers(), st.text(), st.none()))))  # fmt: skip
def test_any_devices(devices: list[dict[str, object]]) -> None:
    of_llama_cpp([*devices, None, 3])


# ---------------------------------------------------------------------- the makers' own programs


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@posix
async def test_programs_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "nvidia-smi", f"printf '%s' '{RTX}'")
    program(tmp_path, "rocm-smi", f"cat <<'EOF'\n{RADEON}EOF")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = await hardware.look()
    assert [gpu.backend for gpu in found.gpus] == ["cuda", "cuda", "rocm", "rocm"]
    assert found.usable == ()  # the plain wheel of llama.cpp uses none of them
    assert found.cores >= 1
    assert found.memory is None or found.memory > 1 << 20


@posix
async def test_programs_that_fail_lie_or_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    program(tmp_path, "rocm-smi", "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(hardware, "_PATIENCE", 0.5)
    assert (await hardware.look()).gpus == ()


def test_memory_and_processor_of_a_system(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       24684096 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 9354\n")
    assert hardware.total_memory(tmp_path) == 24684096 << 10
    assert hardware.processor_name(tmp_path) == "AMD EPYC 9354"
    (tmp_path / "proc/meminfo").write_text("MemTotal: lots\n")
    assert (hardware.total_memory(tmp_path) or 1) > 0
    assert hardware.processor_name(tmp_path / "nowhere")


# -------------------------------------------------------------------------------------- calibration


def rate(**changes: object) -> Rate:
    usual = Rate("decode", "Q8_0", 512, 1, rate=1e10, now=9e9, spread=0.1, share=0.95, turns=3)
    return msgspec.structs.replace(usual, **changes)


def whole(*types: str) -> Speed:
    """A calibration with everything in it."""
    typed = [rate(what=what, type=name) for what in hardware.KINDS[:3] for name in types]
    return speed(*typed, *(rate(what=what, type="F32") for what in hardware.KINDS[3:]))


def speed(*rates: Rate) -> Speed:
    return Speed(0.0, 10.0, hardware.processor_name(), hardware._library(), rates)


def test_noise_is_noticed() -> None:
    assert not speed(rate()).noisy
    assert speed(rate(share=0.6)).noisy
    assert speed(rate(spread=0.5)).noisy
    assert not speed(rate(), rate(threads=2, share=0.95)).noisy
    assert speed(rate(), rate(threads=2, share=0.74)).noisy  # two threads on one free core
    assert speed(rate(), rate(threads=2, spread=0.55)).noisy
    assert not speed(rate(), rate(threads=2, spread=9.0, turns=1)).noisy  # nothing to compare


class Timed:
    """Stands in for the ten seconds of measuring. asked: the types of every time; share: of its
    cores, that it got."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.share = 1.0

    async def __call__(self, types: list[str], **_: object) -> Speed:
        self.asked.append(types)
        made = whole(*types)
        some = [msgspec.structs.replace(each, share=self.share) for each in made.rates]
        return msgspec.structs.replace(made, measured=time.time(), rates=tuple(some))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    made = Timed()
    monkeypatch.setattr(hardware, "calibrate", made)
    return made


def test_a_calibration_is_kept_for_its_machine_and_types(
    tmp_path: Path, timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.open(tmp_path)
    for types in (["Q8_0"], ["Q8_0"], ["Q8_0", "F16"], ["F16"]):
        asyncio.run(hardware.speed(home, types))
    assert timed.asked == [["Q8_0"], ["F16", "Q8_0"]]
    asyncio.run(hardware.speed(home, ["F16"], anew=True))
    assert len(timed.asked) == 3
    monkeypatch.setattr(hardware, "processor_name", lambda: "another")
    asyncio.run(hardware.speed(home, ["F16"]))
    assert len(timed.asked) == 4


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_disturbed_calibration_is_kept_for_an_hour(
    tmp_path: Path, timed: Timed, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    home = Home.open(tmp_path)
    timed.share = share
    for _ in range(2):
        asyncio.run(hardware.speed(home, ["F16", "Q8_0"]))
    assert timed.asked == [["F16", "Q8_0"]]
    later = time.time() + 3700
    monkeypatch.setattr(time, "time", lambda: later)
    asyncio.run(hardware.speed(home, ["F16"]))
    assert timed.asked[1:] == [["F16", "Q8_0"]] * (share < 1)  # nothing that was known is lost


def test_a_kept_calibration_that_lacks_something_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.open(tmp_path)

    async def measured(types: list[str], **_: object) -> Speed:
        return whole(*types)

    monkeypatch.setattr(hardware, "calibrate", measured)
    for kept in (None, 7, {}, msgspec.to_builtins(speed(rate())), msgspec.to_builtins(speed())):
        home.remember(hardware._KEPT, kept)
        assert asyncio.run(hardware.speed(home, ["Q8_0"])).whole


async def test_a_calibration() -> None:
    """A short one, for real: every kind of work has a rate, and the parts can be told apart."""
    pytest.importorskip("xllamacpp", reason="calibration needs the extra `local`")
    told: list[int] = []
    made = await hardware.calibrate(["F16", "Q4_0"], seconds=0.1, counts=[1], told=told.append)
    kinds = {(each.what, each.type) for each in made.rates}
    assert {("decode", "F16"), ("small", "F16"), ("prefill", "Q4_0"), ("attend-token", "F16"),
            ("attend-prompt", "F16"), ("rows", "F32"), ("node", "F32")} <= kinds  # fmt: skip
    assert all(each.rate > 0 and 0 < each.share <= 1 for each in made.rates)
    assert told == sorted(told)
    assert made.threads == [1]
    assert msgspec.convert(msgspec.to_builtins(made), Speed) == made


PIECE = json.dumps(
    {"what": "decode", "type": "F16", "width": 512, "threads": 1, "turn": 0, "amount": 1e9,
     "wall": 0.1, "processor": 0.1}
)  # fmt: skip


@pytest.mark.parametrize(
    ("child", "error", "words"),
    [
        ("import json; print(json.dumps({'problem': 'no such file'}))", NotHere, "no such file"),
        ("import os; print('[New LWP 1]', flush=True); os.abort()", Failed, "-6"),
        ("", Failed, "0"),
        (f"print({PIECE!r}, flush=True); import os; os._exit(7)", Failed, "7"),
    ],
)
async def test_a_calibration_that_breaks_down(
    child: str,
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = tmp_path / "child.py"
    script.write_text(f"import sys\nsys.stdin.readline()\n{child}\n")
    monkeypatch.setattr(hardware, "_CHILD", script)
    with pytest.raises(error, match=words):
        await hardware.calibrate(["F16"], seconds=0.1, counts=[1])


async def test_a_cancelled_calibration_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child.py"
    seen = tmp_path / "pid"
    script.write_text(
        f"import os, time\nopen({str(seen)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(hardware, "_CHILD", script)
    running = asyncio.create_task(hardware.calibrate(["F16"], seconds=60, counts=[1]))
    while not seen.exists() or not seen.read_text():
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(seen.read_text()), 0)
