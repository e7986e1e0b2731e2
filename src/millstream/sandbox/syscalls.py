"""What a locked child may ask of the kernel: system calls by name, and their numbers.

Only data. `ALLOWED` and `CHECKED` say what is let through, in words that do not depend on the
machine; `NUMBERS` says what a name is called on which processor. `lockdown` makes a filter of
both. Everything that is not named is refused with EPERM: sockets, new processes and programs,
signals to others, mounts, namespaces, tracing, keyrings, io_uring, bpf, memfd, shared memory …

Numbers come from the kernel's headers: arch/x86/entry/syscalls/syscall_64.tbl (installed as
asm/unistd_64.h) and include/uapi/asm-generic/unistd.h, which is what aarch64 uses. The x86-64
table is run by the tests; so was the aarch64 one, on an emulated machine.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Architecture(NamedTuple):
    """A processor as seccomp knows it. audit: AUDIT_ARCH_* of linux/audit.h."""

    audit: int
    column: int  # of NUMBERS


ARCHITECTURES: Final = {
    "x86_64": Architecture(0xC000003E, 0),
    "aarch64": Architecture(0xC00000B7, 1),
}

# What needs no look at its arguments: files are guarded by Landlock, the rest touches nothing
# but the process itself.
ALLOWED: Final[dict[str, str]] = {
    "open and read files": """
        close read readv pread64 lseek fstat stat lstat newfstatat statx
        access faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir fchdir fadvise64
        dup dup2 dup3 umask""",
    "write files in the scratch folder": """
        write writev pwrite64 ftruncate fsync fdatasync rename renameat mkdir mkdirat
        rmdir unlink unlinkat copy_file_range""",
    "wait": """
        poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait pipe pipe2
        eventfd2 clock_nanosleep nanosleep pause restart_syscall""",
    "memory": "munmap mprotect mremap madvise msync brk",
    "threads": """
        futex set_robust_list rseq gettid sched_yield sched_getaffinity getcpu exit exit_group""",
    "signals to itself": """
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend
        sigaltstack alarm setitimer getitimer""",
    "time": "clock_gettime clock_getres gettimeofday time times",
    "who and what am I": """
        getpid getppid getuid geteuid getgid getegid getresuid getresgid uname sysinfo getrusage
        getrlimit getrandom""",
}

# What is let through for some arguments only; `lockdown` holds the checks.
CHECKED: Final = [
    "clone",
    "close_range",
    "fcntl",
    "ioctl",
    "mmap",
    "open",
    "openat",
    "prlimit64",
    "recvfrom",
    "renameat2",
    "sendto",
    "socketpair",
    "tgkill",
]

# What must look as if this kernel did not have it, so that the C library falls back.
ABSENT: Final = ["clone3", "openat2"]

# name: (x86-64, aarch64); None where the processor never had the call.
NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "access": (21, None),
    "alarm": (37, None),
    "brk": (12, 214),
    "chdir": (80, 49),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "close_range": (436, 436),
    "copy_file_range": (326, 285),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, None),
    "eventfd2": (290, 19),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fadvise64": (221, 223),
    "fchdir": (81, 50),
    "fcntl": (72, 25),
    "fdatasync": (75, 83),
    "fstat": (5, 80),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getitimer": (36, 102),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getresgid": (120, 150),
    "getresuid": (118, 148),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "ioctl": (16, 29),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "msync": (26, 227),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "pause": (34, None),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "prlimit64": (302, 261),
    "pselect6": (270, 72),
    "pwrite64": (18, 68),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "restart_syscall": (219, 128),
    "rmdir": (84, None),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "select": (23, None),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "setitimer": (38, 103),
    "sigaltstack": (131, 132),
    "socketpair": (53, 199),
    "stat": (4, None),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "tgkill": (234, 131),
    "time": (201, None),
    "times": (100, 153),
    "umask": (95, 166),
    "uname": (63, 160),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "write": (1, 64),
    "writev": (20, 66),
}


def number(name: str, arch: Architecture) -> int | None:
    """The number of a system call on a processor; None if it has no such call."""
    return NUMBERS[name][arch.column]
