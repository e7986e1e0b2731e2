"""Sections of settings.toml that are of another kind: told in words, whoever looks first."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.base import BadInput
from millstream.home import Home


@pytest.mark.parametrize(
    "text",
    ["network = 3", "sandbox = []", 'endpoints = ["a"]', 'embedded = "x"', "[endpoints]\na = 1"],
)
def test_a_section_of_another_kind(tmp_path: Path, text: str) -> None:
    home = Home.open(tmp_path)
    (tmp_path / "settings.toml").write_text(text + "\n")
    settings = home.settings
    assert isinstance(list(settings.notices), list)
    with pytest.raises(BadInput, match=text.split()[0].strip("[]")):
        _ = settings.network, settings.sandbox, settings.endpoints, settings.embedded


@pytest.mark.parametrize(
    "name", ["hub.endpoint", "hub.modelscope", "hub.ollama", "translate.endpoint"]
)
@pytest.mark.parametrize("value", ["not a url", "ftp://host", "http://host:port", "host"])
def test_the_address_of_a_service(tmp_path: Path, name: str, value: str) -> None:
    home = Home.open(tmp_path)
    with pytest.raises(BadInput, match=f"the setting {name} is an address"):
        home.settings.set(name, value)
    home.settings.set(name, "http://mirror:8080/hub")
