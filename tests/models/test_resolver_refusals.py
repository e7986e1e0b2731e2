"""What is said of a model that is not here: who was asked, who wants a key, who named it."""

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


async def refused(home: Home, *probes: Probe, want: str = "vllm/smollm2") -> Any:
    async def survey() -> Survey:
        return Survey(Surroundings(), probes)

    bindings = home.bindings(None, [every_model(want, f"--model {want}")])
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


async def test_where_a_server_was_sought_is_told(tmp_path: Path) -> None:
    set_language("en")
    home = Home(tmp_path)
    named = Probe("http://box:21434", "OLLAMA_HOST", "refused", 0.0)
    assert "at http://localhost:11434." in (await refused(home, want="ollama/x")).next_step
    error = await refused(home, named, want="ollama/x")
    assert "at http://box:21434." in error.next_step
    set_up = Probe("http://box:8000", "setting", "refused", 0.0, name="vllm")
    assert "at http://box:8000." in (await refused(home, named, set_up)).next_step


async def test_a_default_that_is_not_here_is_named(tmp_path: Path) -> None:
    set_language("en")
    home = Home(tmp_path)
    home.settings.set("models.default", "nosuch/x")
    error = await refused(home, want="local")
    assert "models.default names nosuch/x" in str(error)
    assert "settings unset models.default" in error.next_step
