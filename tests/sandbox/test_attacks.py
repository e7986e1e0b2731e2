"""Hostile code: what it tries is refused or stopped, and the next call works as if nothing was.

System calls are tried with arguments that do nothing should they be let through after all:
signal 0, no flags, null pointers. Only EPERM then says that it was the filter that refused.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from millstream.sandbox.syscalls import ARCHITECTURES, NUMBERS

from .conftest import TIGHT, Looked

pytestmark = pytest.mark.asyncio(loop_scope="module")
x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64")

PRELUDE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    got = libc.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if got < 0 else f"got {got}"

def tried(what, *arguments):
    try:
        return f"got {what(*arguments)!r}"[:200]
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
"""


@pytest.fixture(autouse=True, scope="module")
def secret() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", "s3cret-of-the-host")
        yield


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def works_afterwards(sandbox: Any) -> Any:
    """After every attack: nothing is left of it, and the zygote is the same and serves."""
    sandbox.wait_for("")
    await sandbox.python("def main(): return 1")
    zygote = sandbox.zygote()
    yield
    sandbox.wait_for("")
    assert await sandbox.python("def main(a): return {'b': a}", a=[1, "ä"]) == {"b": [1, "ä"]}
    assert sandbox.zygote() == zygote
    assert await sandbox.children() == []
    assert await sandbox.files() == []


# ------------------------------------------------------------------------------ system calls

REFUSED = {
    # other processes and programs
    "fork": (57,),
    "vfork": (58,),
    "clone without a thread": (56, 17, 0, 0, 0, 0),
    "clone into a user namespace": (56, 0x10000000 | 0x10000 | 0x800 | 0x100, 0, 0, 0, 0),
    "execve": (59, 0, 0, 0),
    "execveat": (322, -100, 0, 0, 0, 0),
    "kill everybody": (62, -1, 0),
    "kill the group": (62, 0, 0),
    "kill the zygote": (62, "parent", 0),
    "tkill the zygote": (200, "parent", 0),
    "tgkill the zygote": (234, "parent", "parent", 0),
    "queue a signal to the zygote": (129, "parent", 0, 0),
    "queue a signal to a thread of the zygote": (297, "parent", "parent", 0, 0),
    "pidfd_open the zygote": (434, "parent", 0),
    "pidfd_send_signal": (424, -1, 0, 0, 0),
    "pidfd_getfd": (438, -1, 0, 0),
    "ptrace the zygote": (101, 16, "parent", 0, 0),
    "process_vm_readv": (310, "parent", 0, 0, 0, 0, 0),
    "process_vm_writev": (311, "parent", 0, 0, 0, 0, 0),
    "process_madvise": (440, -1, 0, 0, 0, 0),
    "process_mrelease": (448, -1, 0),
    "kcmp": (312, "parent", "parent", 0, 0, 0),
    "wait4": (61, -1, 0, 1, 0),
    "setpgid": (109, 0, 0),
    "setsid": (112,),
    # leaving the jail
    "unshare": (272, 0),
    "setns": (308, -1, 0),
    "chroot": (161, 0),
    "pivot_root": (155, 0, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0),
    "open_tree": (428, -1, 0, 0),
    "move_mount": (429, -1, 0, -1, 0, 0),
    "fsopen": (430, 0, 0),
    "fsmount": (432, -1, 0, 0),
    "fspick": (433, -1, 0, 0),
    "mount_setattr": (442, -1, 0, 0, 0, 0),
    "name_to_handle_at": (303, -1, 0, 0, 0, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "landlock_create_ruleset": (444, 0, 0, 1),
    "seccomp": (317, 2, 0, 0),
    "prctl: name": (157, 15, 0, 0, 0, 0),
    "prctl: outlive the zygote": (157, 1, 0, 0, 0, 0),
    "prctl: undumpable": (157, 4, 0, 0, 0, 0),
    "arch_prctl": (158, 0x1003, 0),
    "personality": (135, 0xFFFFFFFF),
    "modify_ldt": (154, 0, 0, 0),
    "iopl": (172, 0),
    "ioperm": (173, 0, 0, 0),
    # privileges
    "setuid": (105, 0),
    "setgid": (106, 0),
    "setresuid": (117, -1, -1, -1),
    "setgroups": (116, 0, 0),
    "setfsuid": (122, -1),
    "capset": (126, 0, 0),
    "keyctl": (250, 0, 0, 0, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "request_key": (249, 0, 0, 0, 0),
    # wide surfaces of the kernel
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "userfaultfd": (323, 0),
    "io_uring_setup": (425, 0, 0),
    "io_uring_enter": (426, -1, 0, 0, 0, 0),
    "io_setup": (206, 0, 0),
    "init_module": (175, 0, 0, 0),
    "finit_module": (313, -1, 0, 0),
    "delete_module": (176, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "syslog": (103, 10, 0, 0),
    "acct": (163, 0),
    "swapon": (167, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "settimeofday": (164, 0, 0),
    "clock_settime": (227, 99, 0),
    "adjtimex": (159, 0),
    "sethostname": (170, 0, 0),
    "lookup_dcookie": (212, 0, 0, 0),
    "uselib": (134, 0),
    "vhangup": (153,),
    # memory and messages that outlive a process or reach another
    "memfd_create": (319, 0, 0),
    "memfd_secret": (447, 0),
    "shmget": (29, 0, 0, 0),
    "shmat": (30, -1, 0, 0),
    "semget": (64, 0, 0, 0),
    "msgget": (68, 0, 0),
    "mq_open": (240, 0, 0, 0, 0),
    "mlock": (149, 0, 0),
    "mlockall": (151, 0),
    "remap_file_pages": (216, 0, 0, 0, 0, 0),
    "migrate_pages": (256, 0, 0, 0, 0),
    "inotify_init": (253,),
    "inotify_init1": (294, 0),
    "fanotify_init": (300, 0, 0),
    "signalfd4": (289, -1, 0, 8, 0),
    "timerfd_create": (283, 0, 0),
    "timer_create": (222, 0, 0, 0),
    "eventfd with flags of old": (284, 0),
    # network
    "socket TCP": (41, 2, 1, 0),
    "socket UDP": (41, 2, 2, 0),
    "socket TCP v6": (41, 10, 1, 0),
    "socket unix": (41, 1, 1, 0),
    "socket netlink": (41, 16, 3, 0),
    "socket packet": (41, 17, 3, 0),
    "socket kernel crypto": (41, 38, 5, 0),
    "socket virtual machine": (41, 40, 1, 0),
    "socket pair of datagrams": (53, 1, 2, 0, 0),
    "socket pair of packets": (53, 1, 5, 0, 0),
    "socket pair of another family": (53, 2, 1, 0, 0),
    "connect": (42, -1, 0, 0),
    "bind": (49, -1, 0, 0),
    "listen": (50, -1, 0),
    "accept": (43, -1, 0, 0),
    "accept4": (288, -1, 0, 0, 0),
    "send to an address": (44, -1, 0, 0, 0, 1, 0),
    "send to an address in the upper half": (44, -1, 0, 0, 0, 1 << 40, 0),
    "sendmsg": (46, -1, 0, 0),
    "sendmmsg": (307, -1, 0, 0, 0),
    "recvmsg": (47, -1, 0, 0),
    "setsockopt": (54, -1, 0, 0, 0, 0),
    # limits and priorities
    "setrlimit": (160, 9, 0),
    "prlimit64 with a new limit": (302, 0, 9, 1, 0),
    "prlimit64 with one in the upper half": (302, 0, 9, 1 << 40, 0),
    "setpriority": (141, 0, 0, 0),
    "ioprio_set": (251, 0, 0, 0),
    "sched_setscheduler": (144, 0, 0, 0),
    "sched_setaffinity": (203, 0, 0, 0),
    "sched_setattr": (314, 0, 0, 0),
    "read the limits of the zygote": (302, "parent", 7, 0, 0),
    # what can be asked for in other ways
    "close_range: descriptors of one's own": (436, 99, 99, 2),
    "clone a thread with descriptors of its own": (56, 0x10200, 0, 0, 0, 0),
    "send out of band": (44, -1, 0, 0, 1, 0, 0),
    "receive out of band": (45, -1, 0, 0, 1, 0, 0),
    "sendfile": (40, -1, -1, 0, 0),
    "rename and leave a device": (316, -1, 0, -1, 0, 4),
    # files beside opening them
    "truncate": (76, 0, 0),
    "chmod": (90, 0, 0),
    "fchmod": (91, -1, 0),
    "fchmodat": (268, -1, 0, 0),
    "chown": (92, 0, 0, 0),
    "fchown": (93, -1, 0, 0),
    "lchown": (94, 0, 0, 0),
    "link": (86, 0, 0),
    "linkat": (265, -1, 0, -1, 0, 0),
    "symlink": (88, 0, 0),
    "symlinkat": (266, 0, -1, 0),
    "mknod": (133, 0, 0, 0),
    "mknodat": (259, -1, 0, 0, 0),
    "utime": (132, 0, 0),
    "utimensat": (280, -1, 0, 0, 0),
    "setxattr": (188, 0, 0, 0, 0, 0),
    "getxattr": (191, 0, 0, 0, 0),
    "flock": (73, -1, 0),
    "fallocate": (285, -1, 0, 0, 0),
    "splice": (275, -1, 0, -1, 0, 0, 0),
    "tee": (276, -1, -1, 0, 0),
    "vmsplice": (278, -1, 0, 0, 0),
    "sync": (162,),
    "fcntl: signals to the zygote": (72, 0, 8, "parent"),
    "fcntl: signals to the zygote, newer": (72, 0, 15, 0),
    "fcntl: another signal": (72, 0, 10, 9),
    "fcntl: watch a folder": (72, 0, 1026, 0),
    "fcntl: lease": (72, 0, 1024, 0),
    # what this kernel may get one day
    "a number of tomorrow": (700, 0, 0),
}


# The numbers above are those of x86-64. What the same calls are called on aarch64, from
# asm-generic/unistd.h; below 424 it has none of the others, from there on both count alike.
AARCH64 = """
    16:29 29:194 30:196 41:198 42:203 43:202 44:206 46:211 47:212 49:200 50:201 53:199 54:208
    56:220 59:221 61:260 62:129 64:190 68:186 72:25 73:32 76:45 91:52 93:55 101:117 103:116
    105:146 106:144 109:154 112:157 116:159 117:147 122:151 126:91 129:138 135:92 141:140
    144:119 149:228 151:230 153:58 155:41 157:167 159:171 160:164 161:51 162:81 163:89 164:170
    165:40 166:39 167:224 169:142 170:161 175:105 176:106 179:60 188:5 191:8 200:130 203:122
    206:0 212:18 216:234 222:107 227:112 234:131 240:180 246:104 248:217 249:218 250:219 251:30
    256:238 259:33 265:37 266:36 268:53 272:97 275:76 276:77 278:75 280:88 283:85 285:47 288:242
    289:74 294:26 297:240 298:241 300:262 302:261 303:264 304:265 307:269 308:268 310:270
    40:71 45:207 316:276 311:271 312:272 313:273 314:274 317:277 319:279 321:280 322:281 323:282
"""


def here(number: int) -> int | None:
    """The number of one of these calls on this machine; None if it has no such call."""
    if platform.machine() == "x86_64" or number >= 424:
        return number
    known = dict(pair.split(":") for pair in AARCH64.split())
    return int(known[str(number)]) if str(number) in known else None


async def test_system_calls_are_refused(sandbox: Any) -> None:
    code = (
        PRELUDE
        + """\
def main(calls):
    parent = os.getppid()
    long = ctypes.c_long
    return {name: call(*(long(parent if x == 'parent' else x) for x in numbers))
            for name, numbers in calls.items()}
"""
    )
    calls = {
        name: (number, *arguments)
        for name, (first, *arguments) in REFUSED.items()
        if (number := here(first)) is not None
    }
    found = await sandbox.python(code, calls=calls)
    assert {name: answer for name, answer in found.items() if answer != "EPERM"} == {}
    assert len(found) > 120


async def test_so_is_every_call_without_a_name(sandbox: Any) -> None:
    column = ARCHITECTURES[platform.machine()].column
    named = {numbers[column] for numbers in NUMBERS.values()}
    if platform.machine() == "x86_64":  # uretprobe, uprobe: newer kernels ask no filter, and refuse
        named |= {335, 336}  # all but their own trampolines: the first by SIGILL
    code = PRELUDE + "def main(numbers): return [[n, call(n, *[0] * 6)] for n in numbers]"
    found = await sandbox.python(code, numbers=[n for n in range(1000) if n not in named])
    assert [answer for answer in found if answer[1] != "EPERM"] == []


async def test_calls_with_a_fallback_look_absent(sandbox: Any) -> None:
    code = (
        PRELUDE
        + "def main(ioctl):\n"
        + " return [call(435, 0, 0), call(437, -100, 0, 0, 0), call(ioctl, 0, 0x5412, 0)]"
    )
    # clone3 and openat2; pushing a character into a terminal
    assert await sandbox.python(code, ioctl=here(16)) == ["ENOSYS", "ENOSYS", "ENOTTY"]


@pytest.mark.parametrize("number", [0x40000000 + 39, 0x40000000 + 57, 0xFFFFFFF0])
async def test_another_call_interface_ends_the_process(sandbox: Any, number: int) -> None:
    error = await sandbox.error(PRELUDE + f"def main(): libc.syscall(ctypes.c_long({number}))")
    assert str(error) == "the process of the code was killed by SIGSYS"


@x86_64
async def test_32_bit_code_ends_the_process(sandbox: Any) -> None:
    # mov eax, 20 (getpid); int 0x80; ret
    code = (
        PRELUDE
        + """\
import mmap
def main():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex('b814000000cd80c3'))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""
    )
    error = await sandbox.error(code)
    assert error.code == "sandbox.killed"


# ------------------------------------------------------------------------------------- files

HIDDEN = [
    "/etc/passwd",
    "/etc/hostname",
    "/root",
    "/home",
    "/",
    "/tmp",
    "/var/log",
    "/dev",
    "/dev/mem",
    "/dev/tty",
    "/dev/shm",
    "/dev/kmsg",
    "/sys/kernel",
    "/proc",
    "/proc/self/environ",
    "/proc/self/maps",
    "/proc/self/mem",
    "/proc/self/fd",
    "/proc/self/cmdline",
    "/proc/thread-self/status",
    "/proc/1/environ",
    *(f"/proc/1/{link}/etc/passwd" for link in ("root", "cwd")),
    "/proc/{parent}/environ",
    "/proc/{parent}/mem",
    "/proc/{parent}/cwd/etc/passwd",
    "/proc/{host}/environ",
    "/proc/meminfo",
    "/proc/kallsyms",
    "/proc/sysrq-trigger",
    "..",
    "../..",
    "./../../../etc/passwd",
]


async def test_the_machine_s_files_cannot_be_read(sandbox: Any) -> None:
    code = (
        PRELUDE
        + """\
def read(path):
    return os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(20)
def main(paths, host):
    return {p: tried(read, p.format(parent=os.getppid(), host=host)) for p in paths}
"""
    )
    here = [__file__, sys.executable, str(Path(sys.prefix) / "lib"), os.getcwd()]
    found = await sandbox.python(code, paths=HIDDEN + here, host=os.getpid())
    assert {p: answer for p, answer in found.items() if answer not in ("EACCES", "ENOENT")} == {}


async def test_site_packages_beside_the_standard_library_are_hidden(sandbox: Any) -> None:
    code = (
        PRELUDE
        + """\
import sys
def main():
    folders = [os.path.join(p, 'site-packages') for p in sys.path]
    return [p for p in sys.path if 'packages' in p], [tried(os.listdir, f) for f in folders]
"""
    )
    on_path, answers = await sandbox.python(code)
    assert on_path == []
    assert set(answers) <= {"EACCES", "ENOENT", "ENOTDIR"}


async def test_nothing_can_be_written_outside_the_scratch_folder(sandbox: Any) -> None:
    code = (
        PRELUDE
        + """\
def main(places):
    out = {}
    for place in places:
        path = os.path.join(place, 'evil')
        out[place] = [
            tried(open, path, 'w'),
            tried(os.mkdir, path),
            tried(os.rename, 'mine', path),
            tried(os.open, place, os.O_TMPFILE | os.O_RDWR),
        ]
    out['stdlib'] = [tried(open, os.__file__, 'a'), tried(os.unlink, os.__file__),
        tried(os.rename, os.__file__, 'mine'), tried(os.rmdir, os.path.dirname(os.__file__))]
    out['scratch'] = [tried(os.rmdir, os.getcwd()), tried(os.rename, os.getcwd(), '../x')]
    return out
"""
    )
    places = ["/tmp", "/", "/dev/shm", "/var/tmp", "/root", "/home", "..", "/proc/self", "/run"]
    found = await sandbox.python("open('mine', 'w').close()\n" + code, places=places)
    refusals = {"EACCES", "EPERM", "ENOENT", "EXDEV", "EBUSY", "EROFS", "EOPNOTSUPP", "ENOTEMPTY"}
    assert {p: a for p, a in found.items() if not set(a) <= refusals} == {}


async def test_no_way_of_opening_empties_a_file(sandbox: Any, tmp_path: Path) -> None:
    """Before version 3 Landlock does not look at O_TRUNC, and never at the access mode 3."""
    mine, library = tmp_path / "mine", tmp_path / "library"
    library.mkdir()
    readable = library / "readable.py"
    code = (
        PRELUDE
        + """\
def main(paths): return [tried(os.open, path, mode | flag)
    for path in paths for mode in (0, 1, 2, 3) for flag in (os.O_TRUNC, os.O_TRUNC | os.O_CLOEXEC)]
"""
    )
    for path in (mine, readable):
        path.write_text("precious")
    other = Looked(TIGHT, readable=[library])
    try:
        answers = await other.python(code, paths=[str(mine), str(readable)])
    finally:
        await other.close()
    assert set(answers) <= {"EACCES", "EPERM"}
    assert [path.read_text() for path in (mine, readable)] == ["precious"] * 2
    paths = ["/etc/passwd", "/dev/tty"]
    code = PRELUDE + "def main(paths): return [tried(os.open, path, 3) for path in paths]"
    assert await sandbox.python(code, paths=paths) == ["EPERM"] * 2


async def test_links_devices_and_pipes_cannot_be_made(sandbox: Any) -> None:
    code = (
        PRELUDE
        + """\
def main(): return [tried(os.symlink, '/etc/passwd', 'a'), tried(os.link, '/etc/passwd', 'b'),
    tried(os.mkfifo, 'c'), tried(os.mknod, 'd', 0o600 | 0o020000, 0)]
"""
    )
    assert await sandbox.python(code) == ["EPERM"] * 4


async def test_the_folder_of_another_call_is_out_of_reach(sandbox: Any) -> None:
    other = asyncio.create_task(
        sandbox.python("import time\ndef main():\n open('s', 'w').write('x')\n time.sleep(1)")
    )
    await asyncio.sleep(0.5)
    code = (
        PRELUDE
        + """\
def main():
    mine = os.getcwd()
    return [tried(open, f'../{i}/s') for i in range(1, 9) if not mine.endswith(f'/{i}')]
"""
    )
    answers = set(await sandbox.python(code))
    assert "EACCES" in answers
    assert answers <= {"EACCES", "ENOENT"}  # whether a name exists is no secret
    await other


async def test_a_descriptor_leads_nowhere(sandbox: Any) -> None:
    """Only null in, out, err, and the connection; none of the zygote, of Landlock, of others."""
    code = (
        PRELUDE
        + """\
import stat
def kind(fd):
    mode = os.fstat(fd).st_mode
    return 'socket' if stat.S_ISSOCK(mode) else 'null' if stat.S_ISCHR(mode) else 'other'
def main():
    out = []
    for fd in range(4096):
        try: out.append(kind(fd))
        except OSError: pass
    return out, [tried(lambda: os.open('etc/passwd', os.O_RDONLY, dir_fd=fd)) for fd in range(99)]
"""
    )
    kinds, answers = await sandbox.python(code)
    assert kinds == ["null", "null", "null", "socket"]
    assert set(answers) <= {"ENOTDIR", "EBADF"}


# ------------------------------------------------------------- what the process knows and is


async def test_environment_arguments_and_memory_hold_nothing_of_the_host(sandbox: Any) -> None:
    code = """\
import gc, os, sys
def main():
    seen = [x for o in gc.get_objects() for x in gc.get_referents(o)
            if isinstance(x, (str, bytes))]
    word = '-'.join(['s3cret', 'of', 'the'])
    held = [x for x in seen if (word if isinstance(x, str) else word.encode()) in x]
    return dict(os.environ), sys.argv, sys.orig_argv, os.listdir('.'), len(held)
"""
    environment, arguments, original, files, held = await sandbox.python(code)
    known = {"TMPDIR", "HOME", "MPLCONFIGDIR", "TZ", "MPLBACKEND", "LC_CTYPE", "MALLOC_ARENA_MAX"}
    assert set(environment) <= known | {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert "s3cret" not in str(environment)
    assert (arguments, original, files) == (["main.py"], [], [])
    assert held <= 1  # the word of the search itself


async def test_a_call_sees_nothing_of_the_call_before(sandbox: Any) -> None:
    await sandbox.python(
        """\
import json, sys, builtins, os
def main(word):
    builtins.left = sys.left = os.left = word
    json.dumps = json.loads = json.JSONEncoder.encode = lambda *a, **k: 'poison'
    sys.modules['re'] = None
    sys.path.insert(0, '/evil')
    os.environ['LEFT'] = word
    open(os.path.join(os.environ['TMPDIR'], 'left'), 'w').write(word)
    return word
""",
        word="the first one's secret",
    )
    code = """\
import gc, json, os, re, sys
def main():
    word = ' '.join(['the first', 'one\\'s secret'])
    seen = [x for o in gc.get_objects() for x in gc.get_referents(o) if x == word]
    return (hasattr(sys, 'left'), hasattr(os, 'left'), 'left' in dir(__builtins__),
        json.loads(json.dumps([1])), sys.path[0] == '/evil', 'LEFT' in os.environ,
        os.listdir('.'), [x for x in seen if x is not word])
"""
    assert await sandbox.python(code) == [False, False, False, [1], False, False, [], []]


async def test_flags_of_null_do_not_last(sandbox: Any) -> None:
    code = """\
import fcntl, os
def main():
    seen = [fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_NONBLOCK | os.O_APPEND) for fd in range(3)]
    for fd in range(3): fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
    return seen
"""
    for _ in range(2):
        assert await sandbox.python(code) == [0, 0, 0]


async def test_waiting_signals_are_few(sandbox: Any) -> None:
    """They count against the user, who may have other processes that need some."""
    code = """\
import ctypes, os, signal, threading
def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, [40])
    me = os.getpid(), threading.get_native_id()
    return sum(not ctypes.CDLL(None).tgkill(*me, 40) for _ in range(2000))
"""
    assert await sandbox.python(code) <= 64


async def test_root_has_no_privileges_left(sandbox: Any) -> None:
    """If we run as root: its name, but nothing that it could do."""
    code = (
        PRELUDE
        + """\
def main(): return [tried(os.setuid, 0), tried(os.nice, -5), tried(os.chroot, '.')]
"""
    )
    assert set(await sandbox.python(code)) == {"EPERM"}


# -------------------------------------------------------------------------- running wild

STOPPED = {
    "endless loop": ("def main():\n while True: pass", "time-limit"),
    "loop in C": ("def main(): return len(str(9**9**9))", "time-limit"),
    "sleep": ("import time\ndef main(): time.sleep(100)", "time-limit"),
    "wait for more": (
        """\
import os
def main():
 for fd in range(3, 64):
  try: os.read(fd, 1)
  except OSError: pass
""",
        "time-limit",
    ),
    "loop deaf to signals": (
        """\
import signal
def main():
 for s in range(1, 64):
  try: signal.signal(s, signal.SIG_IGN)
  except (OSError, ValueError): pass
 while True: pass
""",
        "time-limit",
    ),
    "loop in catching everything": (
        """\
def main():
 while True:
  try:
   while True: print('x' * 100)
  except BaseException: pass
""",
        "time-limit",
    ),
    "regular expression": (
        "import re\ndef main(): return bool(re.match(r'(a+)+$', 'a' * 40 + 'b'))",
        "time-limit",
    ),
    "digits without the limit": (
        "import sys\ndef main():\n sys.set_int_max_str_digits(0)\n return str(7 ** 40_000_000)",
        "time-limit",
    ),
    "threads that never end": (
        """\
import threading
def main():
 threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()
 while True: pass
""",
        "time-limit",
    ),
    "10 GB": ("def main(): return len(bytearray(10 << 30))", "memory-limit"),
    "a growing list": (
        "def main():\n x = []\n while True: x.append('y' * 100000 + str(len(x)))",
        "memory-limit",
    ),
    "a growing list that stays": (
        "x = []\ndef main():\n while True: x.append(str(len(x)) * 10)",
        "memory-limit",
    ),
    "a decompression bomb": (
        """\
import zlib
def main():
    packed = zlib.compress(bytes(10 << 20))
    return len(b''.join(zlib.decompress(packed) for _ in range(60)))
""",
        "memory-limit",
    ),
    "a long text": ("def main(): return 'x' * (6 << 20)", "output-limit"),
    "many prints": ("def main():\n while True: print('x' * 1000)", "output-limit"),
    "prints by the back door": (
        "import sys\ndef main():\n while True: sys.stdout.buffer.write(b'x' * 1000)",
        "output-limit",
    ),
    "control characters, longer in JSON": (
        "def main():\n print('\\x00' * (1 << 20))\n return 1",
        "output-limit",
    ),
    "a large file": (
        "def main():\n f = open('a', 'wb')\n while True: f.write(bytes(1 << 20)); f.flush()",
        "scratch-limit",
    ),
    "many files": (
        """\
def main():
 n = 0
 while True:
  n += 1
  with open(f'f{n}', 'wb') as f: f.write(bytes(100_000))
""",
        "scratch-limit",
    ),
    "many empty files": (
        "def main():\n n = 0\n while True:\n  n += 1\n  open(f'f{n}', 'wb').close()",
        "scratch-limit time-limit",  # on some disks it does not get far
    ),
    "files that have no name any more": (
        """\
import os
def main():
 kept = []
 while len(kept) < 50:
  f = open('x', 'wb'); os.unlink('x'); kept.append(f)
  f.write(bytes(1 << 20)); f.flush()
 import time; time.sleep(5)
""",
        "scratch-limit",
    ),
    "files in a folder that may not be read": (
        """\
import os
def main():
 os.mkdir('d', 0o300)
 for i in range(9):
  with open(f'd/{i}', 'wb') as f: f.write(bytes(7 << 20))
 import time; time.sleep(5)
""",
        "scratch-limit",
    ),
    "files that are only in memory": (
        """\
import ctypes, os
libc = ctypes.CDLL(None)
def main():
 for i in range(9):
  with open('f', 'w+b') as f:
   f.write(bytes(7 << 20)); f.flush()
   libc.mmap(None, ctypes.c_size_t(4096), 1, 1, f.fileno(), ctypes.c_long(0))
  os.unlink('f')
 import time; time.sleep(5)
""",
        "scratch-limit",
    ),
    "files that never stay where they are": (
        """\
import os, threading, time
def main():
 for i in range(300): os.mkdir(f'x{i}')
 os.mkdir('d'); d = os.open('d', os.O_RDONLY)
 def move():
  name = 'd'
  while True:
   for i in range(100): new = f'd{i}'; os.rename(name, new); name = new
 for i in range(9):
  fd = os.open(f'f{i}', os.O_CREAT | os.O_WRONLY, dir_fd=d)
  with open(fd, 'wb') as f: f.write(bytes(1 << 20))
 threading.Thread(target=move, daemon=True).start()
 time.sleep(5)
""",
        "scratch-limit",
    ),
    "folders without end": (
        "import os\ndef main():\n while True: os.mkdir('d'); os.chdir('d')",
        "scratch-limit time-limit",
    ),
    "threads with small stacks": (
        """\
import threading, time
def main():
 threading.stack_size(131072)
 while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
""",
        "too-many-threads",
    ),
    "recursion": ("def f(): return f()\ndef main(): return f()", "raised"),
    "recursion without a limit": (
        """\
import sys
sys.setrecursionlimit(10 ** 9)
class A:
 def __getattr__(self, name): return getattr(self, name + 'x')
def main(): return A().y
""",
        "killed memory-limit raised",
    ),
    "a deep result": (
        "def main():\n x = []\n for _ in range(100000): x = [x]\n return x",
        "not-json",
    ),
    "a circular result": ("def main():\n x = []\n x.append(x)\n return x", "not-json"),
    "a fork in a loop": (
        "import os\ndef main():\n while True: os.fork()",
        "raised",
    ),
    "a segmentation fault": ("import ctypes\ndef main(): ctypes.string_at(0)", "killed"),
    "abort": ("import os\ndef main(): os.abort()", "killed"),
    "a trap": ("import os, signal\ndef main(): signal.raise_signal(9)", "killed"),
    "_exit": ("import os\ndef main(): os._exit(0)", "no-result"),
    "hanging up": (
        "import os\ndef main():\n os.closerange(3, 64)\n while True: pass",
        "time-limit",
    ),
    "hanging up everything": (
        "import os\ndef main():\n os.closerange(0, 4096)\n os._exit(3)",
        "no-result",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
async def test_wild_code_is_stopped(sandbox: Any, name: str) -> None:
    code, expected = STOPPED[name]
    sandbox.wait_for(expected)
    error = await sandbox.error(code)
    assert error.code.removeprefix("sandbox.") in expected.split(), error
    assert "sandbox." not in error.message or "allows" in error.message
    assert error.type == "CodeExecutionError"


# ---------------------------------------------------------------- talking to the host oneself

SAY = """\
import os, socket, stat, struct
def say(data):
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, data)
        except OSError: pass
def frame(body, length=None):
    return struct.pack('<Q', len(body) if length is None else length) + body
"""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("b'x' * 100", "output-limit"),
        ("frame(b'not json')", "garbled"),
        ("frame(b'[1]')", "garbled"),
        ("frame(b'{\"printed\": 1}')", "garbled"),
        ("frame(b'{\"value\": NaN}')", "garbled"),
        ('frame(b\'{"problem": {"kind": "no-lock", "problem": "off with it"}}\')', "garbled"),
        ("frame(b'', 2 ** 63)", "output-limit"),
        ("frame(b'[' * 1000000)", "not-json"),
        ("frame(b'{}', 100) + b'\\0' * 100", "garbled"),
        ("b'\\1'", "time-limit"),
    ],
)
async def test_a_forged_reply_is_an_error(sandbox: Any, said: str, code: str) -> None:
    sandbox.wait_for(code)
    error = await sandbox.error(SAY + f"def main():\n  say({said})\n  while True: pass")
    assert error.code == f"sandbox.{code}"


async def test_a_well_forged_reply_is_the_code_s_own_result_and_its_end(sandbox: Any) -> None:
    code = SAY + "def main():\n  say(frame(b'{\"value\": 7}'))\n  while True: pass"
    assert await sandbox.python(code) == 7


async def test_a_forged_reply_says_nothing_that_a_terminal_or_a_file_would_not_take(
    sandbox: Any,
) -> None:
    half = '{"problem": {"kind": "raised", "type": "\\ud800", "problem": "\\udfff", "line": -9}}'
    code = SAY + f"def main():\n say(frame({half.encode()!r}))\n os._exit(0)"
    error = await sandbox.error(code)
    assert str(error) == "the code raised ?: ?"
    code = SAY + 'def main():\n say(frame(b\'{"value": 1, "printed": "\\ud800"}\'))\n os._exit(0)'
    assert (await sandbox.run_code("python3", code, {})).printed == "?"


# --------------------------------------------------------------------- values and errors that lie

LIARS = {
    "an int": (
        "class I(int):\n def __repr__(self): return '1, \"b\": 2'\n __str__ = __repr__",
        "I(7)",
    ),
    "a float": ("class F(float):\n def __repr__(self): return 'NaN'", "F(7)"),
    "a text": (
        "class S(str):\n def __iter__(self): raise SystemExit\n def encode(s, *a): return b''",
        "S('7')",
    ),
    "a list": ("class L(list):\n def __len__(self): return 10**9", "L([7])"),
    "a key": (
        "class K(str):\n __hash__ = str.__hash__\n def __str__(self): raise SystemExit",
        "{K('7'): 7}",
    ),
}


@pytest.mark.parametrize("name", LIARS)
async def test_a_value_is_what_it_is_and_not_what_it_says(sandbox: Any, name: str) -> None:
    classes, value = LIARS[name]
    expected = {"an int": 7, "a float": 7.0, "a text": "7", "a list": [7], "a key": {"7": 7}}
    assert await sandbox.python(f"{classes}\ndef main(): return {value}") == expected[name]


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ("class E(Exception):\n def __str__(self): raise SystemExit", "the code raised E"),
        ("class E(Exception):\n def __str__(self): raise KeyboardInterrupt", "the code raised E"),
        (
            "class S(str):\n def __len__(self): raise SystemExit\n"
            "class E(Exception):\n def __str__(self): return S('x')",
            "the code raised E: x",
        ),
        (
            "class M(type):\n __name__ = property(lambda c: 5)\n"
            "class E(Exception, metaclass=M): pass",
            "the code raised E",
        ),
        ("def E(): return ModuleNotFoundError(name=5)", "the code raised ModuleNotFoundError"),
    ],
)
async def test_so_is_an_exception(sandbox: Any, classes: str, told: str) -> None:
    error = await sandbox.error(f"{classes}\ndef main(): raise E()")
    assert error.code.startswith("sandbox.raised")
    assert error.message.removeprefix("line 4: ") == told


async def test_digits_beyond_what_json_readers_take_are_named(sandbox: Any) -> None:
    code = "import sys\ndef main():\n sys.set_int_max_str_digits(0)\n return [10 ** 5000]"
    error = await sandbox.error(code)
    assert error.code == "sandbox.not-json"
    assert "[0]: " in error.message


@pytest.mark.parametrize(
    "lasting",
    [
        "import threading\nthreading.Thread(target=time.sleep, args=(99,)).start()",
        "import atexit\natexit.register(time.sleep, 99)",
        "class Last:\n def __del__(self): time.sleep(99)\nlast = Last()",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 99)",
        "import sys\nsys.addaudithook(lambda *a: 1 / 0 if a[0] == 'os._exit' else None)",
    ],
)
async def test_what_would_outlive_the_call_ends_with_it(sandbox: Any, lasting: str) -> None:
    assert await sandbox.python(f"import time\n{lasting}\ndef main(): return 1") == 1
    assert await sandbox.children() == []


async def test_javascript_names_of_our_own_are_nobody_s(sandbox: Any) -> None:
    code = "const __call = 1, __finish = 2, __print = 3; function main() { return __call }"
    assert await sandbox.javascript(code) == 1
    code = "JSON.stringify = () => '1}, {\"problem\": 1'; function main() { return 1 }"
    assert (await sandbox.error(code, "javascript")).code == "sandbox.garbled"
