"""Starting, sharing, stopping and losing the processes of the sandbox; where it cannot be had."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from millstream.base import BadInput, Failed, NotHere
from millstream.sandbox import zygote
from millstream.sandbox.host import LocalSandbox, SandboxLimits
from millstream.sandbox.outcome import Ended, Outcomes

from .conftest import TIGHT, Looked

HELLO = "def main(): return 'hello'"
SLEEP = "import time\ndef main(seconds):\n  time.sleep(seconds)\n  return seconds"


async def gone(pid: int) -> bool:
    """Whether a process has ended, or does so soon."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.02)
    return False


async def test_nothing_starts_before_the_first_call_and_nothing_stays_after_close() -> None:
    sandbox = Looked(TIGHT)
    assert sandbox._zygotes == {}
    await sandbox.close()
    assert await sandbox.python(HELLO) == "hello"
    await sandbox.render("{{ 1 + 1 }}", {})
    pids = [sandbox.zygote(), sandbox.zygote("jinja2")]
    folders = [sandbox.folder(), sandbox.folder("jinja2")]
    assert all(folder.is_dir() for folder in folders)
    await sandbox.close()
    assert [await gone(pid) for pid in pids] == [True, True]
    assert [folder.exists() for folder in folders] == [False, False]
    assert await sandbox.python(HELLO) == "hello"  # a closed one opens again
    await sandbox.close()


async def test_close_ends_calls_that_are_running() -> None:
    sandbox = Looked(TIGHT)
    call = asyncio.create_task(sandbox.python(SLEEP, seconds=100))
    await asyncio.sleep(0.5)
    await sandbox.close()
    with pytest.raises(Failed) as caught:
        await call
    assert caught.value.code == "sandbox.zygote-killed"


async def test_many_calls_at_once_share_a_few_processes() -> None:
    sandbox = Looked(SandboxLimits(seconds=20, processes=4))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            await asyncio.sleep(0.005)
            if sandbox._zygotes:
                pid = sandbox.zygote()
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                most = max(most, len(children))

    watcher = asyncio.create_task(watch())
    code = "import os\ndef main(i):\n  sum(range(100000))\n  return [i, os.getpid()]"
    results = await asyncio.gather(*(sandbox.python(code, i=i) for i in range(50)))
    watcher.cancel()
    assert [i for i, _ in results] == list(range(50))
    assert len({pid for _, pid in results}) == 50  # a process is never used twice
    assert 2 <= most <= 5  # one may be on its way out while the next comes in
    assert await sandbox.children() == []
    await sandbox.close()


async def test_waiting_for_a_turn_is_not_running() -> None:
    sandbox = Looked(SandboxLimits(seconds=2, processes=1))
    started = time.monotonic()
    calls = [sandbox.python(SLEEP, seconds=1) for _ in range(3)]
    assert await asyncio.gather(*calls) == [1, 1, 1]
    assert time.monotonic() - started >= 3
    await sandbox.close()


async def test_cancelling_a_call_kills_its_process_and_frees_its_place() -> None:
    sandbox = Looked(SandboxLimits(processes=1))
    await sandbox.python(HELLO)
    call = asyncio.create_task(sandbox.python(SLEEP, seconds=100))
    await asyncio.sleep(0.3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.wait_for(sandbox.python(HELLO), 5) == "hello"
    assert await sandbox.children() == []
    waiting = [asyncio.create_task(sandbox.python(SLEEP, seconds=100)) for _ in range(3)]
    await asyncio.sleep(0.2)
    for task in reversed(waiting):  # those that wait for a place, too
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await asyncio.wait_for(sandbox.python(HELLO), 5) == "hello"
    await sandbox.close()


async def test_cancelling_the_first_call_does_not_harm_the_second() -> None:
    sandbox = Looked(TIGHT)
    first = asyncio.create_task(sandbox.python(HELLO))
    second = asyncio.create_task(sandbox.python(HELLO))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "hello"
    await sandbox.close()


async def test_after_the_zygote_was_killed_the_next_call_works() -> None:
    sandbox = Looked(TIGHT)
    running = asyncio.create_task(sandbox.python(SLEEP, seconds=100))
    await asyncio.sleep(0.5)
    zygote, folder = sandbox.zygote(), sandbox.folder()
    children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    os.kill(zygote, signal.SIGKILL)
    with pytest.raises(Failed) as caught:
        await running
    assert caught.value.message.startswith("the sandbox was ended from outside")
    assert await sandbox.python(HELLO) == "hello"
    assert sandbox.zygote() != zygote
    assert len(children) == 1
    assert await gone(int(children[0]))  # the kernel saw to that
    assert not folder.exists()
    await sandbox.close()


async def test_a_zygote_that_died_unnoticed_is_replaced() -> None:
    sandbox = Looked(TIGHT)
    await sandbox.python(HELLO)
    zygote = sandbox.zygote()
    os.kill(zygote, signal.SIGKILL)
    while Path(f"/proc/{zygote}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)  # the event loop must not see it
    assert await sandbox.python(HELLO) == "hello"
    assert sandbox.zygote() != zygote
    await sandbox.close()


async def test_a_child_that_was_killed_is_an_error_of_its_call_only() -> None:
    sandbox = Looked(TIGHT)
    await sandbox.python(HELLO)
    zygote = sandbox.zygote()
    running = asyncio.create_task(sandbox.python(SLEEP, seconds=100))
    await asyncio.sleep(0.3)
    child = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGKILL)
    with pytest.raises(Failed, match="killed by SIGKILL"):
        await running
    assert await sandbox.python(HELLO) == "hello"
    assert sandbox.zygote() == zygote
    await sandbox.close()


def test_one_sandbox_in_one_event_loop_after_the_other() -> None:
    sandbox = Looked(TIGHT)
    pids = []
    for _ in range(2):
        assert asyncio.run(sandbox.python(HELLO)) == "hello"
        pids.append(sandbox.zygote())
    assert len(set(pids)) == 2
    asyncio.run(sandbox.close())
    assert all(asyncio.run(gone(pid)) for pid in pids)


HOST = """
import asyncio, os, signal, sys
from millstream.sandbox.host import LocalSandbox

async def main():
    sandbox = LocalSandbox()
    await sandbox.run_code("python3", "def main(): return 1", {})
    asyncio.create_task(
        sandbox.run_code("python3", "import time\\ndef main(): time.sleep(99)", {})
    )
    await asyncio.sleep(0.3)
    zygote = sandbox._zygotes["python3"]
    print(zygote._process.pid, zygote._root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_host_that_dies_takes_everything_with_it() -> None:
    done = subprocess.run([sys.executable, "-c", HOST], capture_output=True, text=True)
    pid, root = done.stdout.split()
    assert await gone(int(pid))
    for _ in range(100):
        if not Path(root).exists():
            break
        await asyncio.sleep(0.02)
    assert not Path(root).exists()


def test_importing_the_sandbox_is_cheap() -> None:
    code = (
        "import sys; import millstream.sandbox.host;"
        "print(sorted({'jinja2', 'quickjs', 'millstream.sandbox.lockdown'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_zygote_needs_nothing_but_the_standard_library() -> None:
    """Its modules import each other and what every Python has, as their package says."""
    folder = Path(sys.modules[LocalSandbox.__module__].__file__ or "").parent
    for path in folder.glob("*.py"):
        if path.stem in ("host", "processes", "outcome"):
            continue
        for line in path.read_text().splitlines():
            found = re.match(r"\s*(?:from (\S+) import|import (\S+))", line)
            name = found and (found[1] or found[2])
            if name and not name.startswith("."):
                root = name.partition(".")[0]
                lazy = root in ("jinja2", "quickjs") and line.startswith(" ")
                assert root in sys.stdlib_module_names or lazy, (path.name, line)


# -------------------------------------------------------------------------------- packages


def package(folder: Path, name: str, source: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)


async def test_code_can_use_the_packages_that_it_was_given(tmp_path: Path) -> None:
    package(tmp_path / "given", "handy", "from handy_helper import double")
    package(tmp_path / "given", "handy_helper", "def double(x): return 2 * x")
    package(tmp_path / "other", "secret", "")
    code = "import handy\ndef main(x): return handy.double(x)"
    sandbox = Looked(TIGHT, packages=tmp_path / "given")
    assert await sandbox.python(code, x=4) == 8
    error = await sandbox.error("import absent_one")
    assert (
        error.message == f"the code needs the package absent_one, which is not in {tmp_path}/given"
    )
    error = await sandbox.error(f"def main(): return open('{tmp_path}/other/secret.py').read()")
    assert "PermissionError" in error.message
    error = await sandbox.error(f"def main(): open('{tmp_path}/given/new.py', 'w')")
    assert "PermissionError" in error.message
    await sandbox.close()
    without = Looked(TIGHT)
    assert (await without.error(code, x=4)).code == "sandbox.no-packages"
    await without.close()


async def test_a_virtual_environment_brings_its_own_interpreter(tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    [site] = environment.glob("lib/python3.*/site-packages")
    package(site, "handy", "value = 5")
    sandbox = Looked(TIGHT, packages=environment, preload=["handy", "not_there"])
    code = "import sys\ndef main(): return 'handy' in sys.modules, __import__('handy').value"
    assert await sandbox.python(code) == [True, 5]
    executable = Path(f"/proc/{sandbox.zygote()}/cmdline").read_bytes().split(b"\0")[0]
    assert executable == bytes(environment / "bin" / "python")
    await sandbox.close()


async def test_folders_can_be_given_to_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x,y")
    sandbox = Looked(TIGHT, readable=[tmp_path / "data"])
    code = "def main(path): return open(path + '/data/a.csv').read()"
    assert await sandbox.python(code, path=str(tmp_path)) == "x,y"
    await sandbox.close()


async def test_an_environment_that_is_not_there_is_named(tmp_path: Path) -> None:
    sandbox = Looked(TIGHT, packages=tmp_path / "gone")
    error = await sandbox.error(HELLO)
    assert isinstance(error, NotHere)
    assert (
        error.message == f"the setting sandbox.packages names {tmp_path}/gone, which is not there"
    )


async def test_an_interpreter_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    sandbox = Looked(TIGHT, python=str(tmp_path / "python"))
    error = await sandbox.error(HELLO)
    assert isinstance(error, NotHere)
    assert error.message.startswith(f"the interpreter for code, {tmp_path}/python, cannot be start")


async def test_an_interpreter_that_fails_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first line >&2\necho no such thing >&2\nexit 1\n")
    broken.chmod(0o755)
    sandbox = Looked(TIGHT, python=str(broken))
    for _ in range(2):
        error = await sandbox.error(HELLO)
        assert error.message == "the sandbox could not be started: no such thing"
    await sandbox.close()


# ------------------------------------------------------------------------ where it is not safe


async def test_without_the_extra_javascript_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.sandbox.host.find_spec", lambda name: None)
    error = await Looked(TIGHT).error("function main() {}", "javascript")
    assert isinstance(error, NotHere)
    assert error.message == "JavaScript needs the package quickjs-ng, which is not installed"
    assert error.next_step == "pip install 'millstream[javascript]'"


# Runs a program after a filter has taken one system call away: (number, errno to answer).
WITHOUT = """
import asyncio, ctypes, struct, sys, warnings
from millstream.base import MillstreamError
from millstream.sandbox.host import LocalSandbox
warnings.simplefilter("always")
libc = ctypes.CDLL(None, use_errno=True)

def take_away(number, code, argument=None):
    steps = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16),
        (0x15 if argument is not None else 0x35, 0, 1, argument or 0),
        (0x06, 0, 0, 0x50000 | code), (0x06, 0, 0, 0x7fff0000)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *s) for s in steps))
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, struct.pack("@HP", len(steps), ctypes.addressof(packed)), 0, 0) == 0

async def main(code):
    sandbox = LocalSandbox()
    try:
        result = await sandbox.run_code("python3", code, {})
        print(result.value)
    except MillstreamError as error:
        print(type(error).__name__, error.code, error.message, "|", error.next_step)
    await sandbox.close()

if len(sys.argv) > 2:
    take_away(*map(int, sys.argv[2].split(",")))
asyncio.run(main(sys.argv[1]))
"""

Without = Callable[..., tuple[str, str]]


def without(*arguments: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    return done.stdout.strip(), done.stderr.strip()


LANDLOCK = "444,38"
PRCTL = {"x86_64": 157, "aarch64": 167}[os.uname().machine]


@pytest.mark.parametrize(
    ("taken", "code", "words"),
    [
        (LANDLOCK, "sandbox.no-landlock", "this kernel has no Landlock"),
        ("444,95", "sandbox.no-landlock", "Operation not supported"),
        ("444,1", "sandbox.no-landlock", "Operation not permitted"),
        (f"{PRCTL},22,21", "sandbox.no-seccomp", "this kernel has no seccomp"),
        (f"{PRCTL},1,22", "sandbox.no-lock", "could not be locked in: Operation not permitted"),
        ("446,1", "sandbox.no-start", "Operation not permitted"),
    ],
)
def test_code_is_refused_where_it_cannot_be_locked_in(taken: str, code: str, words: str) -> None:
    said, _ = without(HELLO, taken)
    assert code in said
    assert words in said
    if code != "sandbox.no-start":
        assert said.startswith("NotHere")
        assert "MILLSTREAM_SANDBOX=unconfined" in said


def test_the_operator_can_run_code_unconfined_and_is_warned() -> None:
    code = "import os\ndef main(): return open('/etc/passwd').read(4), 'HOME' in os.environ"
    said, warned = without(code, LANDLOCK, MILLSTREAM_SANDBOX="unconfined")
    assert said == "['root', True]"
    assert "code runs without protection: it can read your files and use the network" in warned


async def test_unconfined_code_still_has_a_process_and_limits_of_its_own() -> None:
    sandbox = Looked(TIGHT, unconfined=True)
    with pytest.warns(RuntimeWarning, match="without protection"):
        assert await sandbox.python("import os\ndef main(): return os.getpid()") != os.getpid()
    assert (await sandbox.error("def main():\n while True: pass")).code == "sandbox.time-limit"
    assert (await sandbox.error("def main(): bytearray(1 << 30)")).code == "sandbox.memory-limit"
    assert (await sandbox.error("import os\ndef main(): os.abort()")).code == "sandbox.killed"
    await sandbox.close()


@pytest.mark.parametrize(
    ("platform", "unconfined", "code"),
    [("darwin", False, "no-linux"), ("win32", False, "no-linux")],
)
async def test_other_systems_are_refused(
    monkeypatch: pytest.MonkeyPatch, platform: str, unconfined: bool, code: str
) -> None:
    sandbox = Looked(TIGHT, unconfined=unconfined)
    monkeypatch.setattr("millstream.sandbox.host.sys.platform", platform)
    error = await sandbox.error(HELLO)
    assert error.code == f"sandbox.{code}"
    assert platform in error.message


async def test_systems_that_cannot_fork_are_refused_in_any_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("millstream.sandbox.host.os.fork")
    error = await Looked(TIGHT, unconfined=True).error(HELLO)
    assert isinstance(error, NotHere)
    assert error.code == "sandbox.no-fork"


def test_limits_are_those_of_the_documentation() -> None:
    limits = SandboxLimits()
    assert (limits.seconds, limits.memory_mb, limits.output_mb) == (60, 512, 64)


async def test_a_limit_that_leaves_no_room_at_all_is_named_too() -> None:
    sandbox = Looked(SandboxLimits(memory_mb=8))
    error = await sandbox.error(HELLO)
    assert error.message == "it needed more memory than the 8 MB that sandbox.memory_mb allows"
    await sandbox.close()


async def test_a_limit_s_error_says_the_limit_and_its_setting() -> None:
    sandbox = Looked(SandboxLimits(seconds=0.5, memory_mb=200, output_mb=1, scratch_mb=1))
    said: list[Any] = [
        await sandbox.error("def main():\n while True: pass"),
        await sandbox.error("def main(): return len(bytes(1 << 28))"),
        await sandbox.error("def main(): return 'x' * (1 << 20)"),
    ]
    assert [error.message for error in said] == [
        "it was stopped after 0.5 s, which is as long as sandbox.seconds allows",
        "it needed more memory than the 200 MB that sandbox.memory_mb allows",
        "it returned and printed more than the 1 MB that sandbox.output_mb allows",
    ]
    assert str(said[1]).startswith("line 1: ")
    assert all("raise the setting sandbox." in error.next_step for error in said)
    await sandbox.close()


async def test_ready_says_whether_code_could_run_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox = Looked(TIGHT)
    sandbox.ready("python3")
    assert sandbox._zygotes == {}
    with pytest.raises(BadInput):
        sandbox.ready("ruby")
    with pytest.raises(NotHere, match="is not there"):
        Looked(TIGHT, packages=tmp_path / "gone").ready("python3")
    monkeypatch.setattr("millstream.sandbox.host.find_spec", lambda name: None)
    with pytest.raises(NotHere, match="quickjs-ng"):
        sandbox.ready("javascript")


def test_no_room_for_a_process_is_the_error_of_that_call_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    host, other = socket.socketpair()
    connection, end = os.pipe()
    mother = object.__new__(zygote.Zygote)
    mother.host, mother.children = host, {}
    mother.folder = SimpleNamespace(path="/", rule=None)
    mother.folders = [mother.folder]
    monkeypatch.setattr(os, "fork", no_fork)
    mother._fork(7, connection)
    told = json.loads(other.recv(4096))
    assert (told["ended"], len(mother.folders), mother.children) == (7, 1, {})
    with pytest.raises(BrokenPipeError):
        os.write(end, b"x")  # nobody holds the call's connection any more
    error = Outcomes("python3", SandboxLimits(), "").of_end(Ended(told["status"], told["why"]))
    assert error.code == "sandbox.no-child"
    assert "Resource temporarily unavailable" in error.message
    os.close(end)
    host.close()
    other.close()
