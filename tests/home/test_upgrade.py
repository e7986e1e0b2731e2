"""Upgrading: one commit is installed and configured, the next one installed over it finds all.

Real wheels in a real virtual environment; only the build backend comes from the package index.
What the product depends on is lent by the environment that runs the tests.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEXT = "99.0.0"

CONFIGURE = """
from pathlib import Path
from millstream.home import Endpoint, Home, Manifest
home = Home.open()
home.settings.set("network.connect_timeout", "7")
home.settings.add_endpoint(Endpoint("box", "http://localhost:11434"))
home.credentials.set("openai", "sk-0123456789")
home.bindings().set("models", "azure_openai/gpt-4o", "ollama/qwen3:8b")
home.shelf.add(Path("tiny.gguf"), Manifest(licence="Apache-2.0", sha256="ab"))
"""

FIND = """
import json
import millstream
from millstream.home import Home
home = Home.open()
print(json.dumps({
    "version": millstream.__version__,
    "code": millstream.__file__,
    "home": str(home.path),
    "timeout": home.settings.network.connect_timeout,
    "endpoints": [endpoint.url for endpoint in home.settings.endpoints],
    "key": home.credentials.get("openai").reveal(),
    "binding": home.bindings().for_model("azure_openai", "gpt-4o").target,
    "model": [home.shelf.get("tiny").licence, home.shelf.get("tiny").size],
}))
"""

REFUSED = """
from millstream.base import MillstreamError
from millstream.home import Home
try:
    Home.open()
except MillstreamError as error:
    print(error.exit_code, error, error.next_step, sep="\\n")
"""


def git(*words: str) -> bytes | None:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def checkout(folder: Path) -> None:
    """The commit before this one, where there is one that has a data directory."""
    if git("cat-file", "-e", "HEAD~1:src/millstream/home/directory.py") is None:
        return copy(folder)
    archive = git("archive", "HEAD~1", "src", "pyproject.toml", "README.md")
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return None


def copy(folder: Path) -> None:
    """This tree."""
    folder.mkdir()
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)


def renumber(folder: Path, version: str) -> None:
    for name in ("pyproject.toml", "src/millstream/__init__.py"):
        text = (folder / name).read_text()
        pattern = r'^((?:__)?version(?:__)? = ")[^"]*'
        (folder / name).write_text(re.sub(pattern, rf"\g<1>{version}", text, flags=re.M))


def wheel(folder: Path) -> Path:
    out = folder.with_name(folder.name + "-wheel")
    words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    [built] = out.iterdir()
    return built


class Machine:
    """A user with a home of their own and a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "venv"
        self.python = self.venv / "bin" / "python"
        (folder / "user").mkdir()
        (folder / "user/tiny.gguf").write_bytes(b"GGUF" + bytes(96))

    def fresh(self) -> None:
        """A new virtual environment; what the product depends on is lent to it."""
        shutil.rmtree(self.venv, ignore_errors=True)
        venv.create(self.venv, with_pip=True)
        [packages] = self.venv.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, built: Path) -> None:
        words = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
        self.run("-m", "pip", *words, "--force-reinstall", str(built))

    def run(self, *words: str) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        done = subprocess.run(
            [str(self.python), *words],
            cwd=self.folder / "user",
            env={**kept, "HOME": str(self.folder / "user"), "LANG": "C"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def found(self) -> dict[str, object]:
        return json.loads(self.run("-c", FIND))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the paths are those of Linux")
def test_settings_keys_bindings_and_models_outlive_the_program(tmp_path):
    checkout(tmp_path / "one")
    copy(tmp_path / "two")
    renumber(tmp_path / "two", NEXT)
    one, two = wheel(tmp_path / "one"), wheel(tmp_path / "two")
    machine = Machine(tmp_path)

    machine.fresh()
    machine.install(one)
    machine.run("-c", CONFIGURE)
    before = machine.found()
    assert str(before.pop("code")).startswith(str(machine.venv))
    assert before.pop("version") != NEXT
    assert before == {
        "home": str(tmp_path / "user/.local/share/millstream"),  # not in the clone, not in the venv
        "timeout": 7,
        "endpoints": ["http://localhost:11434"],
        "key": "sk-0123456789",
        "binding": "ollama/qwen3:8b",
        "model": ["Apache-2.0", 100],
    }

    # The next version over it.
    machine.install(two)
    after = machine.found()
    assert after.pop("version") == NEXT
    del after["code"]
    assert after == before

    # Uninstalled, the environment thrown away, and installed again.
    machine.run("-m", "pip", "uninstall", "--quiet", "--yes", "millstream")
    machine.fresh()
    machine.install(one)
    again = machine.found()
    assert {name: again[name] for name in before} == before

    # A version to come has been here: nothing is touched, and the way back is told.
    stamp = tmp_path / "user/.local/share/millstream/home.json"
    stamp.write_text(f'{{"format": 2, "written_by": "{NEXT}"}}')
    code, message, way_back = machine.run("-c", REFUSED).splitlines()
    assert code == "2"
    assert f"has format 2, written by Millstream {NEXT}" in message
    assert f'pip install "millstream>={NEXT}"' in way_back
    assert "MILLSTREAM_HOME=" in way_back
    assert stamp.read_text() == f'{{"format": 2, "written_by": "{NEXT}"}}'
