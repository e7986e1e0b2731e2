"""The filter and the tables it is made of.

The aarch64 filter cannot be run here. Both filters are therefore also run by an interpreter of
BPF, on every system call number there may be.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from millstream.sandbox import lockdown, scratch, zygote
from millstream.sandbox.syscalls import ABSENT, ALLOWED, ARCHITECTURES, CHECKED, NUMBERS, number

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, ENOTTY = (0x50000 | code for code in (errno.EPERM, errno.ENOSYS, errno.ENOTTY))
OWN_PID = 0x7FFFFFF1
HEADERS = Path("/usr/include")


def run(program: bytes, audit: int, nr: int, *arguments: int) -> int:
    """What a filter decides on a system call: classic BPF as in linux/filter.h."""
    full = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", nr, audit, 0, *(a & 0xFFFFFFFFFFFFFFFF for a in full))
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        operation, then, otherwise, constant = code[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, constant)[0]
            case 0x15:
                at += then if accumulator == constant else otherwise
            case 0x35:
                at += then if accumulator >= constant else otherwise
            case 0x45:
                at += then if accumulator & constant else otherwise
            case 0x54:
                accumulator &= constant
            case 0x06:
                return int(constant)
            case _:
                raise AssertionError(hex(operation))


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> tuple[bytes, int, str]:
    arch = ARCHITECTURES[request.param]
    return lockdown.program(arch), arch.audit, request.param


Machine = tuple[bytes, int, str]


def test_exactly_the_named_calls_are_let_through(machine: Machine) -> None:
    program, audit, name = machine
    arch = ARCHITECTURES[name]
    expected = {}
    for names in ALLOWED.values():
        expected.update({number(n, arch): ALLOW for n in names.split()})
    expected.update({number(n, arch): ENOSYS for n in ABSENT})
    checked = {number(n, arch) for n in CHECKED}
    for nr in range(2000):
        if nr not in checked:
            assert run(program, audit, nr, 1, 1, 1) == expected.get(nr, EPERM), nr


def test_other_interfaces_end_the_process(machine: Machine) -> None:
    program, audit, _ = machine
    for other in (
        0x40000003,
        0x40000028,
        0xC0000015,
        0,
        *(a.audit for a in ARCHITECTURES.values()),
    ):
        if other != audit:
            assert run(program, other, 1) == KILL
    for nr in (0x40000000, 0x40000001, 0x7FFFFFFF, -1, -(2**31)):
        assert run(program, audit, nr) == KILL


THREAD, SIGCHLD = 0x3D0F00, 17


@pytest.mark.parametrize(
    ("name", "arguments", "decision"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (0x7D0F00,), ALLOW),  # musl
        ("clone", (THREAD & ~0x400,), EPERM),  # with descriptors of its own
        ("clone", (THREAD & ~0x200,), EPERM),
        ("clone", (SIGCHLD,), EPERM),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 3, 0x40022), EPERM),
        ("close_range", (3, 9, 0), ALLOW),
        ("close_range", (3, 9, 4), ALLOW),
        ("close_range", (3, 9, 2), EPERM),
        ("close_range", (3, 9, 6), EPERM),
        ("renameat2", (-100, 1, -100, 1, 2), ALLOW),
        ("renameat2", (-100, 1, -100, 1, 4), EPERM),
        ("recvfrom", (3, 1, 1, 0x142, 0, 0), ALLOW),
        ("recvfrom", (3, 1, 1, 1, 0, 0), EPERM),
        ("recvfrom", (3, 1, 1, 0x2000, 0, 0), EPERM),
        ("sendto", (3, 1, 1, 0x4040, 0, 0), ALLOW),
        ("sendto", (3, 1, 1, 1, 0, 0), EPERM),
        ("prlimit64", (1, 7, 0, 1), EPERM),
        ("clone", (0x4111,), EPERM),  # vfork
        *(("clone", (THREAD | 1 << bit,), EPERM) for bit in (17, 25, 26, 27, 28, 29, 30)),
        ("fcntl", (3, 2, 1), ALLOW),
        ("fcntl", (3, 1030, 0), ALLOW),
        ("fcntl", (3, 8, 1), EPERM),
        ("fcntl", (3, 10, 9), EPERM),
        ("fcntl", (3, 15, 0), EPERM),
        ("fcntl", (3, 1024, 0), EPERM),
        ("ioctl", (3, 0x5421), ALLOW),
        ("ioctl", (3, 0x5412), ENOTTY),
        ("ioctl", (3, 0x5401), ENOTTY),
        ("openat", (-100, 1, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (-100, 1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), ALLOW),
        ("openat", (-100, 1, os.O_RDWR | os.O_TRUNC), ALLOW),
        ("openat", (-100, 1, os.O_RDONLY | os.O_TRUNC), EPERM),
        ("openat", (-100, 1, 3), EPERM),
        ("openat", (-100, 1, 3 | os.O_TRUNC | os.O_CLOEXEC), EPERM),
        ("prlimit64", (0, 7, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1, 0), EPERM),
        ("prlimit64", (0, 7, 1 << 32, 0), EPERM),
        ("sendto", (3, 1, 1, 0, 0, 0), ALLOW),
        ("sendto", (3, 1, 1, 0, 1, 0), EPERM),
        ("sendto", (3, 1, 1, 0, 1 << 63, 0), EPERM),
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (1, 1 | 0o2000000 | 0o4000, 0), ALLOW),
        ("socketpair", (1, 2, 0), EPERM),
        ("socketpair", (1, 5, 0), EPERM),
        ("socketpair", (2, 1, 0), EPERM),
        ("tgkill", (OWN_PID, 1, 9), ALLOW),
        ("tgkill", (1, 1, 9), EPERM),
    ],
)
def test_arguments_decide(
    machine: Machine, name: str, arguments: tuple[int, ...], decision: int
) -> None:
    program, audit, arch = machine
    nr = number(name, ARCHITECTURES[arch])
    assert nr is not None
    assert run(program, audit, nr, *arguments) == decision


def test_filters_fit_into_the_kernel(machine: Machine) -> None:
    program, _, _ = machine
    assert len(program) % 8 == 0
    assert len(program) // 8 <= 4096
    assert program.count(struct.pack("=I", OWN_PID)) == 1


def test_every_named_call_has_numbers() -> None:
    named = [n for names in ALLOWED.values() for n in names.split()] + CHECKED + ABSENT
    assert sorted(named) == sorted(NUMBERS)
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("header", "column"),
    [("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)],
)
def test_numbers_are_those_of_the_kernel_headers(header: str, column: int) -> None:
    path = HEADERS / header
    if not path.exists():
        pytest.skip("the kernel's headers are not here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    known = {name: int(value) for name, value in found}
    if "fstatat" in known:  # the generic table's name for what 64-bit machines call newfstatat
        known["newfstatat"] = known["fstatat"]
    for name, numbers in NUMBERS.items():
        assert known.get(name) == numbers[column], name


# ----------------------------------------------------------------------------- scratch folders


def test_any_tree_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    os.chdir(folder)
    try:
        for _ in range(1500):  # deeper than a path may be long, and than Python recurses
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "broken").symlink_to("nowhere")
    (folder / "shut").mkdir()
    (folder / "shut" / "in").write_text("x")
    (folder / "shut").chmod(0)
    os.mkdir(bytes(folder) + b"/\xff\n")
    assert scratch.usage(str(folder), 10_000)[1] > 10_000
    scratch.remove(str(folder))
    assert not folder.exists()
    assert (outside / "kept").read_text() == "x"


def test_usage_counts_what_is_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(100_000))
    (tmp_path / "link").symlink_to("/usr")
    with open(tmp_path / "holes", "wb") as file:
        file.truncate(1 << 40)
    size, entries, missed = scratch.usage(str(tmp_path), 100)
    assert (entries, missed) == (4, False)
    assert 100_000 <= size < 200_000
    assert scratch.usage(str(tmp_path), 2).entries == 3
    (tmp_path / "a").chmod(0o300)
    assert scratch.usage(str(tmp_path), 100).size == size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_files_without_a_name_are_counted_too(tmp_path: Path) -> None:
    def held() -> int:
        return scratch.open_but_removed(os.getpid(), str(tmp_path), 1 << 40).size

    with open(tmp_path / "a", "w+b") as file:
        file.write(bytes(300_000))
        file.flush()
        before = held()
        os.unlink(tmp_path / "a")
        assert held() - before >= 300_000
        shown = mmap.mmap(file.fileno(), 4096)  # it has a descriptor of its own
        assert 300_000 <= held() - before < 600_000
        shown.close()
    (tmp_path / "b").write_bytes(bytes(300_000))
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    opened = os.open(tmp_path / "b", os.O_RDONLY)
    page = libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, opened, 0)
    os.close(opened)
    os.unlink(tmp_path / "b")
    assert held() - before >= 1 << 40
    libc.munmap(ctypes.c_void_p(page), ctypes.c_size_t(4096))
    assert held() <= before
    assert scratch.open_but_removed(2**22 + 1, str(tmp_path), 1).size == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_what_was_missed_is_looked_for_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files may be moved about so that they are never where one looks."""
    at_rest = "import time; print(flush=True); time.sleep(60)"  # opens and closes no more files
    child = subprocess.Popen([sys.executable, "-c", at_rest], stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline()
    states = []

    def usage(folder: str, most: int) -> scratch.Usage:
        stat = Path(f"/proc/{child.pid}/stat").read_text()
        states.append(stat.rpartition(")")[2].split()[0])
        return scratch.Usage(1 << 30 if len(states) == 2 else 0, 1, len(states) == 1)

    monkeypatch.setattr(scratch, "usage", usage)
    mother = object.__new__(zygote.Zygote)
    mother.jail, mother.scratch_limit = object(), 1 << 20
    try:
        assert mother._exceeded(child.pid, "/nowhere") == "scratch"
        assert states[0] != "T"
        assert states[1:] == ["T"]
        assert mother._exceeded(child.pid, "/nowhere") is None  # nothing missed: looked at once
        assert len(states) == 3
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
