from __future__ import annotations

from pathlib import Path

import pytest

from millstream.home import Home
from millstream.home.credentials import VARIABLES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty data directory, English messages, and no key or setting from the environment."""
    import os

    from millstream.base import set_language

    set_language("en")
    known = {name for names in VARIABLES.values() for name in names}
    for name in list(os.environ):
        if name.startswith("MILLSTREAM_") or name.endswith("_API_KEY") or name in known:
            monkeypatch.delenv(name)
    return Home.open(tmp_path / "home")
