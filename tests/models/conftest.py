"""What the tests of models share: words in English, and connections that no environment touches."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from millstream.base import set_language
from millstream.models.http import Http


@pytest.fixture(autouse=True)
def english() -> None:
    set_language("en")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(environ={}) as http:
        yield http
