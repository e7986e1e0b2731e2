"""A server at its usual port that wants a key: what is said of it instead of "nobody is here"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millstream.base import set_language
from millstream.engine.ports import ModelRef
from millstream.home import Home, every_model
from millstream.models.discovery import Probe, Survey
from millstream.models.resolver import Resolver
from millstream.models.surroundings import Surroundings


async def refused(home: Home, *probes: Probe) -> Any:
    async def survey() -> Survey:
        return Survey(Surroundings(), probes)

    bindings = home.bindings(None, [every_model("vllm/smollm2", "--model vllm/smollm2")])
    resolver = Resolver(home, bindings, survey=survey, embedded=lambda model: pytest.fail("none"))
    found = await resolver.resolve(ModelRef("openai", "gpt-4o"))
    assert found.error is not None
    return found.error


def locked(url: str, **more: Any) -> Probe:
    return Probe(url, "localhost", "locked", 0.0, detail="401", **more)


async def test_a_server_that_wants_a_key_is_not_nobody(tmp_path: Path) -> None:
    set_language("en")
    home = Home(tmp_path)
    error = await refused(home, locked("http://localhost:8000"))
    assert str(error) == (
        "the vLLM server at http://localhost:8000 wants a key, and none is set (it says 401)"
    )
    assert "VLLM_API_KEY" in error.next_step
    assert "millstream keys set vllm" in error.next_step
    error = await refused(home, locked("http://localhost:8000", keyed=True))
    assert error.code == "resolver.key-wrong"
    # Another kind's port, and an endpoint with a name of its own, are not meant.
    other = locked("http://localhost:8080"), locked("http://localhost:8000", name="box")
    assert (await refused(home, *other)).code == "resolver.no-server"
