"""The process that forks: started by the host with nothing of the host's memory, environment or
descriptors; loads what a language needs, then forks a locked child for every call.

Never told any code or any input: those go from the host straight to a child over a socket of its
own, and the result comes back the same way. Between host and zygote run JSON lines:

    host → zygote   settings (first line), {"fork": id} with a socket attached, {"kill": id}
    zygote → host   {"ready": true} or {"lacking": what, "detail": text},
                    {"ended": id, "status": wait status, "why": null or a limit}

The zygote ends, and its children with it, when the host closes the connection.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from . import child, languages, lockdown, scratch

WATCH_EVERY: Final = 0.05  # seconds between two looks at a child's scratch folder and threads
MOST_ENTRIES: Final = 10_000  # of a scratch folder
MOST_THREADS: Final = 128
_STOPS_IN: Final = 0.05  # seconds in which a stopped child has stopped, if its disk lets it


def main(descriptor: int) -> None:
    """Serve the host behind this descriptor until it hangs up; does not return."""
    host = socket.socket(fileno=descriptor)
    lines = Lines(host)
    settings = json.loads(lines.wait()[0])
    sys.path += settings["packages"]
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # if the machine runs out of memory, let it be us
    try:
        zygote = Zygote(host, lines, settings)
    except lockdown.Lacking as error:
        _send(host, {"lacking": error.what, "detail": error.detail})
        os._exit(1)
    del settings  # a child sees the frames above its own
    os.dup2(1, 2)  # until now the host was listening; children have nobody to tell
    _send(host, {"ready": True})
    zygote.serve()


class Lines:
    """Lines and descriptors as they come in from the host."""

    def __init__(self, host: socket.socket) -> None:
        self.host = host
        self.descriptors: deque[int] = deque()
        self.rest = b""

    def wait(self) -> list[bytes]:
        """At least one line; none when the host has hung up."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.host, 65536, 64)
            self.descriptors.extend(descriptors)
            if not data:
                return []
            *lines, self.rest = (self.rest + data).split(b"\n")
            if lines:
                return lines


class Folder:
    """A scratch folder. Used again if a call leaves it empty: making one costs more than a fork."""

    def __init__(self, path: str, jail: lockdown.Lockdown | None) -> None:
        os.mkdir(path, 0o700)
        self.path = path
        self.rule = jail.scratch(path) if jail else None

    def close(self) -> None:
        if self.rule:
            os.close(self.rule.fd)


class Running(NamedTuple):
    """A child that has not been reaped yet. scratch_at: when to look at its folder; why: the limit
    for which it was killed."""

    call: int
    folder: Folder
    watch_at: float
    scratch_at: float
    why: str | None = None


class Zygote:
    """What is prepared for all calls, and the children that are running."""

    def __init__(self, host: socket.socket, lines: Lines, settings: dict[str, Any]) -> None:
        self.host = host
        self.lines = lines
        self.root: str = settings["root"]
        self.scratch_limit: int = settings["scratch"]
        self.limits = lockdown.Limits(
            memory=settings["memory"],
            # Only a net under the host's clock: threads may use more than one second a second.
            cpu=int(min(settings["seconds"] * 4, 10**9)) + 1,
            file_size=settings["scratch"],
        )
        self.language = languages.load(
            settings["language"], settings["libraries"], settings["preload"]
        )
        self.jail = _lock_in(settings) if settings["confined"] else None
        self.children: dict[int, Running] = {}
        self.cleaners: set[int] = set()
        self.folders: list[Folder] = []  # free ones
        self.folder: Folder | None = None  # the one that the environment names
        self.folders_made = 0
        self._try_jail()
        self.wake, woken = os.pipe()
        for end in (self.wake, woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # so that collecting in a child does not touch, and copy, what is shared

    def _try_jail(self) -> None:
        """Lock a first child in. Raises Lacking if that fails: found out here, before there is
        any untrusted code that could say so untruly."""
        folder = self._make_folder()
        self.folders.append(folder)
        if self.jail is None or folder.rule is None:
            return
        pid = os.fork()
        if pid == 0:
            try:
                self.jail.lock(folder.rule)
            except OSError as error:
                os._exit(error.errno or child.FAILED)
            try:  # some kernels of sandboxes take rules, and do not keep them
                os.close(os.open("/", os.O_RDONLY))
            except OSError:
                os._exit(0)
            os._exit(errno.ENOTSUP)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 0:
            raise lockdown.Lacking("lock", os.strerror(code) if code > 0 else f"signal {-code}")

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self.host, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(self._until_next_look()):
                if descriptor == self.wake:
                    with suppress(BlockingIOError):
                        os.read(self.wake, 4096)
                    self._reap()
                elif lines := self.lines.wait():
                    for line in lines:
                        self._obey(json.loads(line))
                else:
                    self._leave()
            self._look()

    def _obey(self, order: dict[str, int]) -> None:
        if "fork" in order:
            self._fork(order["fork"], self.lines.descriptors.popleft())
            return
        for pid, running in self.children.items():
            if running.call == order["kill"]:
                os.kill(pid, signal.SIGKILL)

    def _fork(self, call: int, connection: int) -> None:
        """A child for a call. What the machine lacks for it is the error of that call alone."""
        try:
            self._child(call, connection)
        except OSError as error:
            _send(self.host, {"ended": call, "status": 0, "why": f"lacking {error.strerror}"})
        finally:
            os.close(connection)

    def _child(self, call: int, connection: int) -> None:
        folder = self.folders.pop() if self.folders else self._make_folder()
        if folder is not self.folder:
            self.folder = folder
            for name in ("TMPDIR", "HOME", "MPLCONFIGDIR"):
                os.environ[name] = folder.path
            os.chdir(folder.path)
        mother = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            self.folders.append(folder)
            raise
        if pid == 0:
            try:
                lockdown.die_with_parent()
                if os.getppid() == mother:  # else she died before the kernel knew of our wish
                    child.enter(self.limits)
                    if self.jail and folder.rule:
                        self.jail.lock(folder.rule)
                    child.serve(connection, self.language)
            finally:
                os._exit(child.FAILED)
        first = time.monotonic() + WATCH_EVERY
        self.children[pid] = Running(call, folder, first, first)

    def _make_folder(self) -> Folder:
        self.folders_made += 1
        return Folder(os.path.join(self.root, str(self.folders_made)), self.jail)

    def _reap(self) -> None:
        while self.children or self.cleaners:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self.cleaners:
                self.cleaners.remove(pid)
                continue
            call, folder, _, _, why = self.children.pop(pid)
            if scratch.is_empty(folder.path):
                self.folders.append(folder)
            else:
                self._clean(folder)
            try:
                _send(self.host, {"ended": call, "status": status, "why": why})
            except OSError:
                self._leave()

    def _clean(self, folder: Folder) -> None:
        """Remove a folder in a process of its own: it may have been filled so as to take long."""
        folder.close()
        try:
            pid = os.fork()
        except OSError:  # no room for another process: then here
            scratch.remove(folder.path)
            return
        if pid == 0:
            try:
                self.host.close()
                scratch.remove(folder.path)
            finally:
                os._exit(0)
        self.cleaners.add(pid)

    # ----------------------------------------------- limits that the kernel cannot keep for us

    def _until_next_look(self) -> int | None:
        """Milliseconds."""
        if not self.children:
            return None
        soonest = min(running.watch_at for running in self.children.values())
        return max(0, int((soonest - time.monotonic()) * 1000) + 1)

    def _look(self) -> None:
        for pid, running in self.children.items():
            now = time.monotonic()
            if running.why is not None or now < running.watch_at:
                continue
            why = "threads" if _threads(pid) > MOST_THREADS else None
            again = running.scratch_at
            if why is None and now >= again:
                why = self._exceeded(pid, running.folder.path)
                # Whoever makes looking slow shall not keep us from everything else.
                again = now + max(WATCH_EVERY, 10 * (time.monotonic() - now))
            self.children[pid] = running._replace(
                why=why, watch_at=now + WATCH_EVERY, scratch_at=again
            )
            if why:
                os.kill(pid, signal.SIGKILL)

    def _exceeded(self, pid: int, folder: str) -> str | None:
        why, missed = self._used(pid, folder)
        if why or not missed or self.jail is None:
            return why
        # Files may be moved about so that we never see them: look again while nothing moves.
        os.kill(pid, signal.SIGSTOP)
        until = time.monotonic() + _STOPS_IN
        how = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, pid, how) is None and time.monotonic() < until:
            time.sleep(0.0005)
        why, _ = self._used(pid, folder)
        os.kill(pid, signal.SIGCONT)
        return why

    def _used(self, pid: int, folder: str) -> tuple[str | None, bool]:
        """The limit if a child's files are beyond it, and whether some of them were not found."""
        named = scratch.usage(folder, MOST_ENTRIES)
        nameless = scratch.open_but_removed(pid, folder, self.scratch_limit)
        if named.size + nameless.size > self.scratch_limit or named.entries > MOST_ENTRIES:
            return "scratch", False
        return None, named.missed or nameless.missed

    def _leave(self) -> None:
        pids = [*self.children, *self.cleaners]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        scratch.remove(self.root)
        os._exit(0)


def _threads(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[17])
    except (OSError, IndexError):
        return 0


def _lock_in(settings: dict[str, Any]) -> lockdown.Lockdown:
    """Lock the zygote itself in, and prepare what locks its children in further.

    Raises Lacking or OSError; then there is no zygote.
    """
    lockdown.available()
    packages: list[str] = settings["packages"]
    readable = [*_interpreter(), *settings["readable"]]
    beside = ("site-packages", "dist-packages")  # of the standard library: what happens to be there
    hidden = {os.path.join(path, name) for path in sys.path for name in beside} - set(packages)
    lockdown.restrict_zygote(readable, filter(os.path.isdir, hidden), settings["root"])
    return lockdown.Lockdown(readable)


def _interpreter() -> Iterable[str]:
    """What a Python program reads while it runs: standard library, shared objects, time zones."""
    yield from (path for path in sys.path if path)
    with suppress(OSError), open("/proc/self/maps") as maps:
        for line in maps:
            path = line.rpartition(" ")[2].strip()
            if ".so" in path:
                yield os.path.dirname(path)
    yield "/usr/share/zoneinfo"


def _send(host: socket.socket, message: dict[str, Any]) -> None:
    host.sendall(json.dumps(message).encode() + b"\n")
