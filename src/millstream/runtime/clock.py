"""The clock of this machine, for runs that are not played back."""

from __future__ import annotations

import asyncio
import os
import time

_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # two bits say which kind it is

# Ids are made many at a time: asking the system costs more than all the rest. A forked child
# forgets them, or it would give the same ones as its parent.
_ids: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.clear)


class SystemClock:
    """Implements the engine's `Clock` port."""

    now = staticmethod(time.perf_counter)
    time = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)

    @staticmethod
    def new_id() -> str:
        """A random UUID (RFC 9562, version 4), in a fraction of the time of `uuid.uuid4`."""
        try:
            return _ids.pop()
        except IndexError:
            block = os.urandom(1024).hex()
            _ids.extend(_uuid(block[i : i + 32]) for i in range(0, len(block), 32))
            return _ids.pop()


def _uuid(digits: str) -> str:
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
