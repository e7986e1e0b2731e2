"""The side of the sandbox that the application sees: `LocalSandbox`, an answer to the engine's
`Sandbox` port.

It lives in the application's event loop, with no threads: zygotes and children are other
processes, reached over sockets. What comes back from a child is not trusted: it is read up to a
limit, checked, and only then a value.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from millstream.base import BadInput, Failed, NotHere, say
from millstream.engine.ports import CodeResult
from millstream.sandbox.outcome import MB, Outcomes, SandboxLimits
from millstream.sandbox.processes import Child, TooLong, Zygote

__all__ = ["LocalSandbox", "SandboxLimits"]


_GRACE: Final = 0.05  # seconds in which a child that has replied ends by itself


class LocalSandbox:
    """Runs Python, JavaScript and Jinja2 in locked processes on this machine.

    packages: a virtual environment, or a folder of packages (`pip install --target`), that Python
    code may import from and read; without it there is the standard library. In a virtual
    environment its own interpreter is used, otherwise `python`, by default the one that runs us.
    readable: further folders that code may read.
    preload: packages to import once instead of in every call.
    unconfined: run code without locking it in. The environment variable MILLSTREAM_SANDBOX says
    the same with the word "unconfined".

    Nothing is started before the first call. A sandbox may be used from one event loop at a time.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        *,
        packages: str | Path | None = None,
        python: str | None = None,
        readable: Sequence[str | Path] = (),
        preload: Sequence[str] = (),
        unconfined: bool | None = False,
    ) -> None:
        self.limits = limits or SandboxLimits()
        self.confined = not (unconfined or os.environ.get("MILLSTREAM_SANDBOX") == "unconfined")
        self._packages = str(packages) if packages else ""
        self._python = python or sys.executable
        self._readable = [str(path) for path in readable]
        self._preload = list(preload)
        self._zygotes: dict[str, Zygote] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore()

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> CodeResult:
        """Run `main` of untrusted code; language "python3" or "javascript". See `Sandbox`."""
        if language not in ("python3", "javascript"):
            raise BadInput("sandbox.unknown-language", language=language)
        return await self._call(language, code, inputs)

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        """Render an untrusted Jinja2 template."""
        result = await self._call("jinja2", template, variables)
        if not isinstance(result.value, str):
            raise Failed("sandbox.garbled")
        return result.value

    def ready(self, language: str) -> None:
        """Return if code of a language can be run here; nothing is started. Raises NotHere."""
        if language not in ("python3", "javascript", "jinja2"):
            raise BadInput("sandbox.unknown-language", language=language)
        self._command(language)
        if self.confined:
            from millstream.sandbox import lockdown

            try:
                lockdown.available()
            except lockdown.Lacking as lacking:
                raise NotHere(f"sandbox.no-{lacking.what}", detail=lacking.detail) from None

    def require(self, package: str) -> None:
        """Return if Python code can import a package that is not of the standard library. Raises
        NotHere that says how to provide it."""
        if not self._packages:
            raise NotHere("sandbox.no-packages", package=package)
        _, folders = _environment(self._packages, self._python)
        if PathFinder.find_spec(package, folders) is None:
            raise NotHere("sandbox.no-package", package=package, path=self._packages)

    async def close(self) -> None:
        """End all processes and remove their files. A later call starts them anew."""
        zygotes, self._zygotes = list(self._zygotes.values()), {}
        for zygote in zygotes:
            await zygote.close()

    # --------------------------------------------------------------------------------- a call

    async def _call(self, language: str, source: str, inputs: dict[str, Any]) -> CodeResult:
        outcomes = Outcomes(language, self.limits, self._packages)
        most = self.limits.output_mb * MB
        try:
            request = json.dumps({"source": source, "inputs": inputs, "output": most}).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Failed("sandbox.inputs", problem=str(error)) from None
        child = await self._child(language)
        grace = 0.0
        try:
            async with asyncio.timeout(self.limits.seconds):
                reply = await child.ask(request, most)
                if reply is None:
                    raise outcomes.of_end(await asyncio.shield(child.ended))
                grace = _GRACE
        except TimeoutError:
            raise outcomes.time() from None
        except TooLong:
            raise outcomes.output() from None
        finally:
            child.dismiss(grace)
        return outcomes.of_reply(reply)

    async def _child(self, language: str) -> Child:
        """A child that waits for its request. Gives its slot back when it has ended."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one that all this was made for has ended
            for zygote in self._zygotes.values():
                zygote.abandon()
            self._zygotes.clear()
            self._loop, self._slots = loop, asyncio.Semaphore(self.limits.processes)
        slots = self._slots
        await slots.acquire()
        try:
            zygote = await self._zygote(language)
            child = zygote.fork()
            if zygote.gone.done():  # killed while nobody was looking: nothing has begun, try anew
                child.connection.close()
                child = (await self._zygote(language)).fork()
        except BaseException:
            slots.release()
            raise
        child.ended.add_done_callback(lambda _: slots.release())
        return child

    async def _zygote(self, language: str) -> Zygote:
        """The running zygote of a language; starts it if there is none."""
        zygote = self._zygotes.get(language)
        if zygote is None or zygote.gone.done():
            zygote = self._zygotes[language] = Zygote(*self._command(language))
            if not self.confined:
                warnings.warn(say("sandbox.unconfined"), RuntimeWarning, stacklevel=2)
        hello = await asyncio.shield(zygote.hello)
        if "ready" in hello:
            return zygote
        lacking, detail = hello.get("lacking", ""), hello.get("detail", "")
        if lacking in ("linux", "processor", "landlock", "seccomp", "lock"):
            raise NotHere(f"sandbox.no-{lacking}", detail=detail)
        raise Failed("sandbox.no-start", problem=detail or say("sandbox.no-reason"))

    def _command(self, language: str) -> tuple[str, dict[str, Any]]:
        """The interpreter of a language's zygote, and its settings."""
        if not hasattr(os, "fork"):
            raise NotHere("sandbox.no-fork", detail=sys.platform)
        if self.confined and not sys.platform.startswith("linux"):
            raise NotHere("sandbox.no-linux", detail=sys.platform)
        limits, python = self.limits, self._python
        packages: list[str] = []
        if language == "python3" and self._packages:
            if not os.path.isdir(self._packages):
                raise NotHere("sandbox.no-environment", path=self._packages)
            python, packages = _environment(self._packages, python)
        return python, {
            "language": language,
            "libraries": _libraries(language),
            "packages": packages,
            "preload": self._preload if language == "python3" else [],
            "readable": self._readable,
            "confined": self.confined,
            "seconds": limits.seconds,
            "memory": limits.memory_mb * MB,
            "scratch": limits.scratch_mb * MB,
        }


def _environment(folder: str, python: str) -> tuple[str, list[str]]:
    """Interpreter and package folders of a virtual environment, or of a plain folder."""
    if not os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        return python, [os.path.realpath(folder)]
    found = sorted(Path(folder).glob("lib/python3.*/site-packages"))
    return os.path.join(folder, "bin", "python"), [str(path.resolve()) for path in found]


def _libraries(language: str) -> list[str]:
    """Where the packages are that a language is made of."""
    package = {"javascript": "quickjs", "jinja2": "jinja2"}.get(language)
    if package is None:
        return []
    found = find_spec(package)
    if found is None or found.origin is None:
        raise NotHere("sandbox.no-javascript")
    return [str(Path(found.origin).parents[1])]
