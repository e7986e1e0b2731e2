"""Locking a process in: Landlock for files, a seccomp-BPF filter for system calls, rlimits.

Everything by ctypes on the C library, nothing to install. A `Lockdown` is prepared once, in the
zygote, so that putting it on in a fresh child costs a few system calls. Nothing takes it off.
This module must work without the rest of Millstream: it runs in an interpreter of its own.

In two layers: `restrict_zygote` for the zygote and all its children, `Lockdown.lock` for one child.
After both a process has its standard library to read, one scratch folder to write, memory, time,
threads and the descriptors that it holds. No network, no other process, no new program, no
privileges, nothing of the machine's files.

Layouts and numbers: linux/landlock.h, linux/seccomp.h, linux/filter.h, linux/capability.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .syscalls import ABSENT, ALLOWED, ARCHITECTURES, CHECKED, Architecture, number

_libc = ctypes.CDLL(None, use_errno=True)


class Lacking(Exception):
    """Why a process cannot be locked in on this machine; `what` is one word for it."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(what, detail)
        self.what = what
        self.detail = detail


def available() -> None:
    """Raise Lacking if this machine cannot lock a process in."""
    if not sys.platform.startswith("linux"):
        raise Lacking("linux", sys.platform)
    if platform.machine() not in ARCHITECTURES or sys.maxsize < 2**32:
        raise Lacking("processor", platform.machine())
    try:
        landlock_version()
    except OSError as error:
        raise Lacking("landlock", os.strerror(error.errno or 0)) from None
    if _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        raise Lacking("seccomp", os.strerror(ctypes.get_errno()))


class Limits:
    """Limits of one process: address space and size of a file in bytes, seconds on the processor
    (more end it by SIGXCPU), open files, signals that wait (counted for the whole user), no locked
    memory, no core dumps. Never above what this process may have.
    """

    def __init__(self, memory: int, cpu: int, file_size: int, open_files: int = 64) -> None:
        wanted = {
            resource.RLIMIT_AS: memory,
            resource.RLIMIT_CPU: cpu,
            resource.RLIMIT_FSIZE: file_size,
            resource.RLIMIT_NOFILE: open_files,
            # One byte is no core dump, and tells Linux not to start a program (systemd-coredump,
            # apport: with the rights of root) that would take one; 0 does not.
            resource.RLIMIT_CORE: 1,
            resource.RLIMIT_MEMLOCK: 0,
        }
        if sys.platform.startswith("linux"):
            wanted[resource.RLIMIT_SIGPENDING] = 64
        self._limits = []
        for which, value in wanted.items():
            hard = resource.getrlimit(which)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            self._limits.append((which, (value, value)))

    def apply(self) -> None:
        """Limit this process for good."""
        for which, values in self._limits:
            resource.setrlimit(which, values)


class Lockdown:
    """What a child may reach, prepared.

    readable: files and folders that it may read; those that do not exist are left out.
    """

    def __init__(self, readable: Iterable[str]) -> None:
        self._filter = Filter(ARCHITECTURES[platform.machine()])
        self._rights = Rights.of(landlock_version())
        self._rules = _rules(readable, self._rights)

    def scratch(self, path: str) -> Rule:
        """What lets a child write below a folder."""
        return Rule(path, self._rights.write)

    def lock(self, scratch: Rule) -> None:
        """Lock this process in for good; it may write below its scratch folder only.

        Its privileges must be dropped already, and it must have a single thread. Raises OSError.
        """
        _restrict_files(self._rights, [*self._rules, scratch])
        self._filter.install()


def restrict_zygote(readable: Iterable[str], hidden: Iterable[str], scratch: str) -> None:
    """Let this process and all that it will fork read only that, and write below `scratch`.

    hidden: folders inside readable ones that stay out of reach. Landlock can only add rights, so
    what lies beside a hidden folder is granted piece by piece: slow to set up, therefore done
    here, once for all children. Raises OSError.
    """
    drop_privileges()
    rights = Rights.of(landlock_version())
    holes = [os.path.realpath(path) for path in hidden]
    pieces = [piece for path in readable for piece in _around(os.path.realpath(path), holes)]
    rules = [
        *_rules(pieces, rights),
        Rule("/proc", rights.read),  # to watch the children
        Rule(scratch, rights.write),
        Rule(os.path.dirname(scratch), _REMOVE_DIR),  # to remove it in the end
    ]
    _restrict_files(rights, rules)
    for rule in rules:
        os.close(rule.fd)


def drop_privileges() -> None:
    """Give up every capability of root and all ways to get one back."""
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, bytes(24)))
    # Also what lets an unprivileged process restrict and filter itself.
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends."""
    if sys.platform.startswith("linux"):
        _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def _rules(readable: Iterable[str], rights: Rights) -> list[Rule]:
    found: list[str] = []
    for path in sorted(filter(os.path.exists, readable)):
        if not any(path == outer or path.startswith(outer + "/") for outer in found):
            found.append(path)
    null = Rule(os.devnull, rights.read | _WRITE_FILE)
    return [*(Rule(path, rights.read) for path in found), null]


def _around(path: str, holes: Sequence[str]) -> Iterator[str]:
    """A path, or the pieces of it that together leave the holes out."""
    if path in holes:
        return
    if not any(hole.startswith(path.rstrip("/") + "/") for hole in holes):
        yield path
        return
    for name in sorted(os.listdir(path)):
        yield from _around(os.path.join(path, name), holes)


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


_PR_SET_PDEATHSIG: Final = 1
_PR_GET_SECCOMP: Final = 21
_PR_SET_NO_NEW_PRIVS: Final = 38

# ------------------------------------------------------------------------------------ Landlock

# The numbers of these calls are the same on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH: Final = 1
_CREATE_RULESET_VERSION: Final = 1
_LOG_SAME_EXEC_OFF: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_DIR: Final = 1 << 4
_REMOVE_FILE: Final = 1 << 5
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
_OF_A_FILE: Final = 1 | _WRITE_FILE | _READ_FILE | _TRUNCATE  # the only ones a file rule may name


def landlock_version() -> int:
    """The version of Landlock that this kernel speaks. Raises OSError where it speaks none."""
    none = ctypes.c_void_p(None)
    flags = ctypes.c_uint32(_CREATE_RULESET_VERSION)
    return _check(_libc.syscall(_CREATE_RULESET, none, ctypes.c_size_t(0), flags))


class Rights(NamedTuple):
    """What a version of Landlock can forbid, and what we grant of it."""

    ruleset: bytes  # struct landlock_ruleset_attr
    read: int
    write: int
    flags: int  # of landlock_restrict_self

    @classmethod
    def of(cls, version: int) -> Rights:
        files = (1 << 13) - 1
        for since, bit in ((2, _REFER), (3, _TRUNCATE), (5, 1 << 15)):  # 5: ioctl on devices
            if version >= since:
                files |= bit
        ruleset = struct.pack("=Q", files)
        if version >= 4:
            ruleset += struct.pack("=Q", 0b11)  # TCP: bind and connect
        if version >= 6:
            ruleset += struct.pack("=Q", 0b11)  # abstract sockets and signals stay inside
        read = _READ_FILE | _READ_DIR
        # Nothing may be executed, and no devices, sockets, pipes or symbolic links be made.
        write = read | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
        # What code is refused would fill the machine's audit log.
        flags = _LOG_SAME_EXEC_OFF if version >= 7 else 0
        return cls(ruleset, read, (write | _REFER | _TRUNCATE) & files, flags)


class Rule:
    """Rights below a path. The path is opened here, so that what it names cannot change later."""

    def __init__(self, path: str, rights: int) -> None:
        self.fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = rights if os.path.isdir(path) else rights & _OF_A_FILE
        self.packed = struct.pack("=Qi", rights, self.fd)  # struct landlock_path_beneath_attr


def _restrict_files(rights: Rights, rules: Iterable[Rule]) -> None:
    size = ctypes.c_size_t(len(rights.ruleset))
    ruleset = _check(_libc.syscall(_CREATE_RULESET, rights.ruleset, size, 0))
    for rule in rules:
        _check(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule.packed, 0))
    _check(_libc.syscall(_RESTRICT_SELF, ruleset, rights.flags))
    os.close(ruleset)


# ------------------------------------------------------------------------------------- seccomp

Instruction = bytes  # struct sock_filter: code, jump if true, jump if false, constant


def _instruction(code: int, constant: int, then: int = 0, otherwise: int = 0) -> Instruction:
    return struct.pack("=HBBI", code, then, otherwise, constant & 0xFFFFFFFF)


def _load(offset: int) -> Instruction:
    """Load 32 bits of struct seccomp_data: 0 the number, 4 the processor, 16 … the arguments."""
    return _instruction(0x20, offset)


def _argument(index: int, *, upper: bool = False) -> Instruction:
    return _load(16 + 8 * index + (4 if upper else 0))  # little-endian, both processors


def _return(action: int) -> Instruction:
    return _instruction(0x06, action)


def _equal(constant: int, then: int, otherwise: int) -> Instruction:
    return _instruction(0x15, constant, then, otherwise)


def _at_least(constant: int, then: int, otherwise: int) -> Instruction:
    return _instruction(0x35, constant, then, otherwise)


def _any_bit(constant: int, then: int, otherwise: int) -> Instruction:
    return _instruction(0x45, constant, then, otherwise)


def _errno(code: int) -> Instruction:
    return _return(0x00050000 | code)


_ALLOW: Final = _return(0x7FFF0000)
_KILL: Final = _return(0x80000000)
_REFUSE: Final = _errno(errno.EPERM)

Block = list[Instruction]  # ends in a return on every path


def _argument_in(index: int, allowed: Sequence[int], refuse: Instruction = _REFUSE) -> Block:
    block = [_argument(index)]
    for value in allowed:
        block += [_equal(value, 0, 1), _ALLOW]
    return [*block, refuse]


def _only_bits(index: int, allowed: int, block: Block) -> Block:
    """A block for when an argument has no other bits."""
    return [_argument(index), _any_bit(~allowed & 0xFFFFFFFF, 0, 1), _REFUSE, *block]


def _argument_null(index: int) -> Block:
    lower, upper = _argument(index), _argument(index, upper=True)
    return [lower, _equal(0, 0, 3), upper, _equal(0, 0, 1), _ALLOW, _REFUSE]


def _open_flags(index: int) -> Block:
    """Not the ways to open that Landlock does not see: emptying a file that is opened to be read
    (before version 3), and the access mode 3, with which a file is neither read nor written, so
    that every one may be opened, and emptied before version 3."""
    return [
        _argument(index),
        _instruction(0x54, _O_TRUNC | 3),
        _equal(_O_TRUNC, 3, 0),
        _equal(_O_TRUNC | 3, 2, 0),
        _equal(3, 1, 0),
        _ALLOW,
        _REFUSE,
    ]


_O_TRUNC: Final = 0o1000
_CLONE_THREAD: Final = 0x00010000 | 0x400 | 0x200  # with the files and the folder of all
_CLONE_NEW: Final = 0x7E020000  # every kind of namespace
_OWN_PID: Final = 0x7FFFFFF1  # stands for a number that is only known in the child

_CHECKS: Final[dict[str, Block]] = {
    # Threads, but no processes.
    "clone": [
        _argument(0),
        _instruction(0x54, _CLONE_NEW | _CLONE_THREAD),
        _equal(_CLONE_THREAD, 0, 1),
        _ALLOW,
        _REFUSE,
    ],
    # Not CLOSE_RANGE_UNSHARE: a thread with descriptors of its own escapes their limit and the
    # zygote's look at what they hold.
    "close_range": _argument_in(2, [0, 4]),
    # Duplicate, flags, record locks. F_SETOWN and F_SETSIG would send signals to anybody.
    "fcntl": _argument_in(1, [0, 1, 2, 3, 4, 5, 6, 7, 1030]),
    # FIONBIO for pipes and socket pairs; the others as if on a file that is no terminal.
    "ioctl": _argument_in(1, [0x5421], _errno(errno.ENOTTY)),
    # Not MAP_HUGETLB, whose pages come out of a pool for others.
    "mmap": [_argument(3), _any_bit(0x40000, 0, 1), _REFUSE, _ALLOW],
    "open": _open_flags(1),
    "openat": _open_flags(2),
    # Read one's own limits, never set them.
    "prlimit64": [_argument(0), _equal(0, 1, 0), _REFUSE, *_argument_null(2)],
    # Not RENAME_WHITEOUT, which makes a device that Landlock does not see.
    "renameat2": _argument_in(4, [0, 1, 2]),
    # MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, MSG_WAITALL. Not MSG_OOB, which of Unix sockets has been
    # a way into the kernel (CVE-2025-38236).
    "recvfrom": _only_bits(3, 0x2 | 0x20 | 0x40 | 0x100, [_ALLOW]),
    # MSG_DONTWAIT, MSG_NOSIGNAL. No address: only to the other end of a pair.
    "sendto": _only_bits(3, 0x40 | 0x4000, _argument_null(4)),
    # Pairs of stream sockets (what asyncio wakes itself with); a datagram one could be addressed.
    "socketpair": [
        _argument(0),
        _equal(1, 0, 5),  # AF_UNIX
        _argument(1),
        _instruction(0x54, 0xF),  # without SOCK_CLOEXEC and SOCK_NONBLOCK
        _equal(1, 0, 2),  # SOCK_STREAM
        _ALLOW,
        _REFUSE,
        _REFUSE,
    ],
    # Signals to its own threads.
    "tgkill": _argument_in(0, [_OWN_PID]),
}


def program(arch: Architecture) -> bytes:
    """The filter of a processor, with `_OWN_PID` still to be filled in."""
    blocks: dict[int, Block] = {}

    def let(name: str, block: Block) -> None:
        nr = number(name, arch)
        if nr is not None:
            blocks[nr] = block

    for names in ALLOWED.values():
        for name in names.split():
            let(name, [_ALLOW])
    for name in CHECKED:
        let(name, _CHECKS[name])
    for name in ABSENT:
        let(name, [_errno(errno.ENOSYS)])

    # Numbers in a row that are treated alike make one case; what lies between is refused.
    cases: list[tuple[int, Block]] = [(0, [_REFUSE])]
    for nr in sorted(blocks):
        for start, block in ((nr, blocks[nr]), (nr + 1, [_REFUSE])):
            if cases[-1][0] == start:
                cases.pop()
            if not cases or cases[-1][1] != block:
                cases.append((start, block))
    cases.append((0x40000000, [_KILL]))  # the x32 interface and nonsense

    check = [_load(4), _equal(arch.audit, 1, 0), _KILL, _load(0)]
    return b"".join([*check, *_search(cases)])


def _search(cases: Sequence[tuple[int, Block]]) -> Block:
    """Find the case of the number in the accumulator by halving."""
    if len(cases) == 1:
        return cases[0][1]
    middle = len(cases) // 2
    below, above = _search(cases[:middle]), _search(cases[middle:])
    return [_at_least(cases[middle][0], len(below), 0), *below, *above]


class Filter:
    """A seccomp program, ready to be installed by a child for itself."""

    def __init__(self, arch: Architecture) -> None:
        code = program(arch)
        self._code = ctypes.create_string_buffer(code, len(code))
        self._own_pid = code.index(struct.pack("=I", _OWN_PID))
        # struct sock_fprog: a count, and (aligned to a pointer) where the instructions are
        self._prog = struct.pack("@HP", len(code) // 8, ctypes.addressof(self._code))

    def install(self) -> None:
        struct.pack_into("=I", self._code, self._own_pid, os.getpid())
        _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._prog, 0, 0))


_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
