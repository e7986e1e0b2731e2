"""A sandbox for the tests of a module, and ways to look at what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from millstream.base import MillstreamError
from millstream.sandbox.host import LocalSandbox, SandboxLimits

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["test_*.py"]

TIGHT = SandboxLimits(seconds=1.5, memory_mb=400, output_mb=4, scratch_mb=8, processes=4)


class Looked(LocalSandbox):
    """A sandbox with what a test wants to ask of it."""

    async def python(self, code: str, /, **inputs: Any) -> Any:
        return (await self.run_code("python3", code, inputs)).value

    async def javascript(self, code: str, /, **inputs: Any) -> Any:
        return (await self.run_code("javascript", code, inputs)).value

    async def error(
        self, code: str, language: str = "python3", /, **inputs: Any
    ) -> MillstreamError:
        with pytest.raises(MillstreamError) as caught:
            await self.run_code(language, code, inputs)
        return caught.value

    def wait_for(self, expected: str) -> None:
        """Give the next calls little time if that is what they shall run out of, else enough."""
        seconds = TIGHT.seconds if "time-limit" in expected else 60
        self.limits = msgspec.structs.replace(TIGHT, seconds=seconds)

    async def refusal(self, template: str, /, **variables: Any) -> MillstreamError:
        with pytest.raises(MillstreamError) as caught:
            await self.render(template, variables)
        return caught.value

    def zygote(self, language: str = "python3") -> int:
        """The process id of a zygote."""
        return self._zygotes[language]._process.pid

    def folder(self, language: str = "python3") -> Path:
        return Path(self._zygotes[language]._root)

    async def children(self, language: str = "python3") -> list[int]:
        """The children of a zygote that are still there, dead ones that nobody reaped included,
        once those that were told to go have gone."""
        pid = self.zygote(language)
        found: list[int] = []
        for _ in range(500):
            with suppress(OSError):
                found = [
                    int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                ]
            if not found:
                break
            await asyncio.sleep(0.02)
        return found

    async def files(self, language: str = "python3") -> list[str]:
        """What calls have left in the scratch folders."""
        root = self.folder(language)
        return [str(path) for folder in root.iterdir() for path in folder.iterdir()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Looked]:
    # Another interpreter for code, say a newer one, can be tried with MILLSTREAM_TEST_PYTHON.
    sandbox = Looked(TIGHT, python=os.environ.get("MILLSTREAM_TEST_PYTHON"))
    sandbox.wait_for("")
    yield sandbox
    await sandbox.close()
