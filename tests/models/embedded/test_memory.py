"""What a model will take, and what is free: sums against known figures, systems from files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from millstream.models import gguf
from millstream.models.embedded import memory, threads
from models.gguf_files import TENSORS, TINY, gguf_bytes

MIB = 1 << 20


def header(**changes: tuple[int, object]) -> gguf.Header:
    metadata = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    data = gguf_bytes(metadata, TENSORS, data=784)
    return gguf.read_ranges(lambda offset, length: data[offset : offset + length], file="tiny")


@pytest.mark.model
def test_the_packaged_model_takes_what_llama_cpp_reports(packaged_model: Path) -> None:
    """22.5 KiB of keys and values a token; 92.10 MiB of weights; with two slots of 2,048 tokens
    and batches of 256 the server's log says 8.32 MiB of scratch space."""
    model = gguf.read(packaged_model)
    two = memory.estimate([model], context=2048, slots=2, batch=256)
    assert round(two.weights / MIB, 2) == 92.10
    assert two.cache == 90 * MIB
    assert round(two.compute / MIB, 1) == 8.3
    four = memory.estimate([model], context=8192, slots=4, batch=512)
    assert four.cache == 4 * 180 * MIB
    assert four.total > four.weights + four.cache + four.compute


def test_keys_and_values_are_counted_by_layer() -> None:
    """Two layers with 2 and 1 heads of 16 numbers, in 2 bytes each, keys and values; a slot has
    room for a multiple of 256 tokens."""
    assert memory.estimate([header()], context=200, slots=3, batch=1).cache == 768 * 3 * 32 * 2
    own = header(llama__attention__key_length=(4, 24), llama__attention__value_length=(4, 8))
    assert memory.estimate([own], context=256, slots=3, batch=1).cache == 768 * 3 * 32 * 2


def test_latent_attention_keeps_one_vector_a_layer() -> None:
    model = header(
        llama__attention__head_count_kv=(4, 1),
        llama__attention__kv_lora_rank=(4, 512),
        llama__attention__key_length=(4, 576),
        llama__attention__value_length=(4, 512),
        llama__attention__key_length_mla=(4, 192),
        llama__rope__dimension_count=(4, 64),
    )
    assert memory.estimate([model], context=256, slots=1, batch=1).cache == 256 * 2 * 576 * 2


def test_a_state_space_model_keeps_a_state_for_each_call() -> None:
    model = header(
        llama__attention__head_count=(4, 0),
        llama__attention__head_count_kv=(4, 0),
        llama__ssm__inner_size=(4, 128),
        llama__ssm__conv_kernel=(4, 4),
        llama__ssm__state_size=(4, 16),
    )
    state = (3 * 128 + 16 * 128) * 4 * 2
    for context in (256, 10_000):
        found = memory.estimate([model], context=context, slots=3, batch=1)
        assert (found.cache, found.states) == (0, 3 * state)


def test_a_model_that_says_nothing_of_itself_still_has_an_estimate() -> None:
    data = gguf_bytes({"general.architecture": (8, "x")})
    model = gguf.read_ranges(lambda offset, length: data[offset : offset + length], file="x")
    assert memory.estimate([model], context=8192, slots=4, batch=256).cache == 0


# -------------------------------------------------------------------------------- what is free


def system(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n"


def test_memory_that_the_system_gives_without_swapping(tmp_path: Path) -> None:
    root = system(tmp_path, proc__meminfo=MEMINFO)
    assert memory.available(root) == 4 << 30


def test_a_containers_limit_counts_if_it_is_lower(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/a/b\n",
        sys__fs__cgroup__a__memory_DOT_max=str(1 << 30),
        sys__fs__cgroup__a__memory_DOT_current=str(768 << 20),
        sys__fs__cgroup__a__memory_DOT_stat=f"anon 1\ninactive_file {128 << 20}\n",
        sys__fs__cgroup__a__b__memory_DOT_max="max\n",
    )
    assert memory.available(root) == 384 << 20


def test_a_container_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/docker/0123\n",
        sys__fs__cgroup__memory_DOT_max=str(1 << 30),
        sys__fs__cgroup__memory_DOT_current=str(1 << 29),
    )
    assert memory.available(root) == 1 << 29


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
        sys__fs__cgroup__memory__x__memory_DOT_limit_in_bytes=str(1 << 30),
        sys__fs__cgroup__memory__x__memory_DOT_usage_in_bytes=str(1 << 28),
        sys__fs__cgroup__memory__x__memory_DOT_stat=f"total_inactive_file {1 << 20}\n",
    )
    assert memory.available(root) == (3 << 28) + (1 << 20)


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert memory.available(tmp_path) is None
    assert memory.available(system(tmp_path, proc__meminfo="MemAvailable:\n")) is None


def test_this_machine() -> None:
    free = memory.available()
    assert free is None or 1 << 20 < free < 1 << 50


# ------------------------------------------------------------------------------------- threads


def test_numbers_of_threads_worth_timing() -> None:
    assert threads.candidates(1) == [1]
    assert threads.candidates(2) == [1, 2]
    assert threads.candidates(6) == [1, 2, 4, 6]
    assert threads.candidates(16) == [1, 2, 4, 8, 16]


def test_second_threads_of_a_core_are_no_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cpu in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{cpu % 4}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert threads.cores(tmp_path) == 4
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 4, 1}, raising=False)
    assert threads.cores(tmp_path) == 2


@pytest.mark.parametrize(
    ("granted", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8)]
)
def test_a_containers_share_of_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: str, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = system(
        tmp_path, proc__self__cgroup="0::/x\n", sys__fs__cgroup__x__cpu_DOT_max=granted + "\n"
    )
    assert threads.cores(root) == expected


def test_the_probe_multiplies_by_what_the_model_has() -> None:
    columns, rows, kind = threads.shape(header(llama__embedding_length=(4, 576)))
    assert (columns, rows) == (768, 256)  # rounded up, so that every type divides them
    assert gguf.TYPES[kind].name == "F32"


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is Linux's")
def test_a_limit_on_the_size_of_a_process_counts() -> None:
    script = (
        "import resource\n"
        "from millstream.models.embedded import memory\n"
        "free = memory.available()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "print(free, memory.available())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    free, left = map(int, done.stdout.split())
    assert left < 1 << 30
    assert left <= free
