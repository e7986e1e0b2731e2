"""The clock of this machine, for runs that are not played back."""

from __future__ import annotations

import asyncio
import time
import uuid


class SystemClock:
    """Implements the engine's `Clock` port."""

    now = staticmethod(time.perf_counter)
    time = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)

    @staticmethod
    def new_id() -> str:
        return str(uuid.uuid4())
