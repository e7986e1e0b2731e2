"""A person at a terminal: `millstream` in a pseudo terminal of its own, typed at and read from."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

COMMAND = [sys.executable, "-m", "millstream"]
PATIENCE = 60.0
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def plain(text: str) -> str:
    """What a terminal showed, without colours and cursor movements."""
    return _STEERING.sub("", text).replace("\r\n", "\n")


class Person:
    """stdout: where the result goes, if not to the terminal too."""

    def __init__(
        self,
        *words: str,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[bytes] | int | None = None,
        columns: int = 100,
    ) -> None:
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=inner,
            stdout=inner if stdout is None else stdout,
            stderr=inner,
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)
        self.raw = ""

    @property
    def screen(self) -> str:
        return plain(self.raw)

    def see(self, text: str) -> None:
        """Wait until a text has been shown."""
        end = time.monotonic() + PATIENCE
        while text not in self.screen:
            if not self._read(0.2) and self.process.poll() is not None:
                while self._read(0.0):
                    pass
                break
            assert time.monotonic() < end, f"never saw {text!r} in:\n{self.screen}"
        assert text in self.screen, f"never saw {text!r} in:\n{self.screen}"

    def prompted(self) -> None:
        """Wait for a prompt; a key that ends the input is lost before."""
        end = time.monotonic() + PATIENCE
        while not self.screen.endswith(("> ", "]: ")):
            self._read(0.2)
            assert time.monotonic() < end, f"no prompt in:\n{self.screen}"

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, as late after what was seen as a person is: between a prompt and the reading of
        an answer Python's readline does not notice it before the next key."""
        time.sleep(0.1)
        self.type("\x03")

    def wait(self) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self._read(0.2)
            assert time.monotonic() < end, f"did not end:\n{self.screen}"
        while self._read(0.0):
            pass
        os.close(self.fd)
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
