"""The documents keep to the code: commands parse, blocks run, links lead somewhere, tables are
those of the code, every event and every public name is told."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

import millstream
from canned import CannedModels, document, edges, end, node, ports, start
from docs.documents import DOCUMENTS, ROOT, Block, anchors, blocks, links
from docs.tables import PLACE, TABLES, filled
from millstream.base import BadInput, set_language
from millstream.cli.command_line import _parse
from millstream.dsl import read_file
from millstream.engine import Later, Limits, events
from millstream.models.presets import PRESETS
from millstream.nodes import REGISTRY
from millstream.runtime import App, NodeResult, Result

DOCS = ROOT / "docs"
CORPUS = sorted((ROOT / ".." / "shared" / "corpus").glob("*.yml"))

# Programs of others that a document may have a reader type.
OTHERS = {"cat", "cd", "git", "head", "jq", "pass", "pip", "python", "wc", "."}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    set_language("en")
    yield
    set_language(None)


# ---------------------------------------------------------------------------------------- commands


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, without comments, redirections and what a pipe joins."""
    words: list[str] = []
    redirected = False
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        for word in lexer:
            if set(word) <= set("|&;"):
                yield words
                words = []
            elif set(word) <= set("<>"):
                redirected = True
            elif redirected:
                redirected = False
            else:
                words.append(word)
        if words:
            yield words
        words = []


def test_the_commands_of_a_block_are_found() -> None:
    text = "a 'b c' | millstream run x.yml > out  # no\nmillstream bind set '*=local' && d\n"
    assert list(commands(text)) == [
        ["a", "b c"],
        ["millstream", "run", "x.yml"],
        ["millstream", "bind", "set", "*=local"],
        ["d"],
    ]


# docs/cli.md is made from the code; its synopses are no command lines.
SHOWN = [block for block in blocks("sh") if block.document.name != "cli.md"]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_every_command_is_one_that_there_is(block: Block) -> None:
    for words in commands(block.text):
        program, *rest = words
        if program == "millstream":
            _parse(rest)
        elif program.startswith("scripts/"):
            assert os.access(ROOT / program, os.X_OK), program
        else:
            assert program in OTHERS, program


def test_a_command_that_there_is_not_would_be_seen() -> None:
    for line in ("run app.yml --lokal", "frobnicate", "models pul x", "settings set a"):
        with pytest.raises(BadInput):
            _parse(line.split())


# ------------------------------------------------------------------------------------ other blocks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with app.yml and examples/smartrans.yml, whose models and tools are canned."""
    nodes = [
        start("text2translate"),
        node(
            "polish",
            "llm",
            model={"provider": "azure_openai", "name": "gpt-4o", "mode": "chat"},
            prompt_template=[{"role": "user", "text": "{{#start.text2translate#}}"}],
        ),
        end(translation="polish.text"),
    ]
    app = document(nodes, edges("start>polish", "polish>end"))
    (tmp_path / "app.yml").write_text(yaml.safe_dump(app))
    (tmp_path / "examples").mkdir()
    example = ROOT / "examples" / "smartrans.yml"
    (tmp_path / "examples" / "smartrans.yml").write_text(example.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLSTREAM_HOME", str(tmp_path / "home"))
    load = millstream.load

    def canned(*args: Any, **options: Any) -> App:
        return load(*args, **{"ports": ports(CannedModels()), **options})

    monkeypatch.setattr(millstream, "load", canned, raising=False)
    return tmp_path


def groups() -> list[list[Block]]:
    """The Python blocks to run; those of one group in one piece."""
    found: dict[tuple[Path, str | int], list[Block]] = {}
    for block in blocks("python"):
        if block.runs:
            found.setdefault((block.document, block.group or block.line), []).append(block)
    return list(found.values())


@pytest.mark.parametrize("group", groups(), ids=lambda group: group[0].place)
def test_python_that_is_shown_runs(group: list[Block], folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    said = StringIO()
    with redirect_stdout(said):
        for block in group:
            exec(compile(block.text, block.place, "exec"), names)
    app = names.get("app")
    if isinstance(app, App):
        app.close()


def test_some_python_runs() -> None:
    assert len(groups()) > 8


def test_every_other_block_can_be_read() -> None:
    for block in blocks("python"):
        compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for block in blocks("toml"):
        tomllib.loads(block.text)
    for block in blocks("json"):
        json.loads(block.text)
    known = {"sh", "python", "toml", "json", "text", "yaml"}
    assert not [block.place for block in blocks() if block.language not in known]


def test_bindings_that_are_shown_are_bindings(tmp_path: Path) -> None:
    from millstream.home import Home

    for block in blocks("toml"):
        home = Home(tmp_path / str(block.line))
        home.path.mkdir()
        name = "millstream.toml" if "[bind" in block.text else "settings.toml"
        (home.path / name).write_text(block.text)
        bindings, settings = home.bindings(), home.settings
        assert bindings.rules() or settings.endpoints
        assert not [*bindings.notices, *settings.notices], block.place


# ------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (path.parent / parts.path).resolve() if parts.path else path
        assert target.exists(), link
        if parts.fragment:
            assert parts.fragment in anchors(target), link


def test_every_document_is_linked_from_the_readme() -> None:
    for readme in ("README.md", "README.zh.md"):
        linked = set(links(ROOT / readme))
        missing = [p.name for p in DOCS.glob("*.md") if f"docs/{p.name}" not in linked]
        assert not missing, readme


def test_no_path_of_a_machine_and_no_registry() -> None:
    places = re.compile(r"(?<![\w.~])/(root|home|work|Users|tmp|opt|srv)/\S+|[A-Z]:\\\\")
    registries = re.compile(
        r"pypi\.org|pythonhosted|npmjs|/simple\b|artifactory|nexus|crates\.io", re.I
    )
    hosts = registry_hosts()
    for path in [*DOCUMENTS, *DOCS.glob("*.svg"), *DOCS.glob("*.json")]:
        text = path.read_text()
        assert not places.search(text), (path.name, places.search(text))
        assert not registries.search(text), (path.name, registries.search(text))
        assert not [host for host in hosts if host in text], path.name


def registry_hosts() -> set[str]:
    """The package indexes that this machine uses."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    said += "\n".join(os.environ.get(n, "") for n in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
    file = configparser.ConfigParser()
    file.read([Path.home() / ".pip" / "pip.conf", Path.home() / ".config" / "pip" / "pip.conf"])
    said += " ".join(v for section in file.sections() for v in dict(file[section]).values())
    found = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s'\"]+", said)}
    return {host for host in found if host}


# ------------------------------------------------------------------- tables, events, public names


def test_tables_are_those_of_the_code() -> None:
    """`scripts/docs` writes them anew."""
    seen = set()
    for path in DOCS.glob("*.md"):
        text = path.read_text()
        assert filled(text) == text, path.name
        seen |= {found[2] for found in PLACE.finditer(text)}
    assert seen == set(TABLES)


def rows(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_event_and_every_field_is_told() -> None:
    told: dict[str, set[str]] = {}
    event = ""
    for row in rows(DOCS / "events.md"):
        if found := re.fullmatch(r"`(\w+)`", row[0]):
            event = found[1]
        if event:
            told.setdefault(event, set()).update(re.findall(r"`(\w+)`", row[1]))
    kinds = {kind.__struct_config__.tag: kind for kind in events.Event.__subclasses__()}
    assert set(told) == set(kinds)
    for tag, kind in kinds.items():
        fields = {field.name for field in msgspec.structs.fields(kind)} - {"seq"}
        assert told[tag] == fields, tag


def test_every_public_name_is_told() -> None:
    text = (DOCS / "python.md").read_text()
    missing = [name for name in millstream.__all__ if not re.search(rf"\b{name}\b", text)]
    assert set(missing) <= {"App", "Event", "NodeResult", "Result"}, missing
    for name in vars(App):
        if not name.startswith("_") and name not in ("sound", "problems", "machine"):
            assert re.search(rf"`{name}[`(]|\.{name}\(|`(\w+)`, `{name}`", text), name
    for kind in (Result, NodeResult):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in text, field.name


def test_the_figures_of_the_readme() -> None:
    online = [p for p in PRESETS.values() if not p.local and p.protocol == "openai"]
    count = len(online) - 1  # OpenAI itself is named
    assert f"{count} OpenAI-compatible providers" in (ROOT / "README.md").read_text()
    assert f"{count} 家 OpenAI 兼容服务商" in (ROOT / "README.zh.md").read_text()


@pytest.mark.skipif(not CORPUS, reason="../shared/corpus is not here")
def test_the_figures_of_the_corpus() -> None:
    read = runs = 0
    for file in CORPUS:
        try:
            app = read_file(file, REGISTRY)
        except BadInput:
            continue
        read += 1
        runs += not any(issubclass(REGISTRY[node.type], Later) for node in app.graph.nodes)
    english = (ROOT / "README.md").read_text()
    assert f"Of {len(CORPUS)} public app files" in english
    assert f"{read} are read" in english
    assert f"{runs} use only what runs now" in english
    chinese = (ROOT / "README.zh.md").read_text()
    assert f"{len(CORPUS)} 个公开应用文件中，{read} 个可以读取" in chinese
    assert f"{runs} 个只用到现在能运行的节点" in chinese


def test_every_limit_is_a_setting() -> None:
    text = (DOCS / "settings.md").read_text()
    for field in msgspec.structs.fields(Limits):
        assert f"`limits.{field.name}`" in text


def test_the_rooms_are_those_of_the_package() -> None:
    text = (DOCS / "architecture.md").read_text()
    package = Path(millstream.__file__).parent
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    told = {row[0].strip("`") for row in rows(DOCS / "architecture.md")}
    tracked = {room for room in rooms if _tracked(package / room)}
    assert tracked <= told
    for name in re.findall(r"`((?:models|runtime|base|values|tools|router|target)\.\w+)`", text):
        module, attribute = name.split(".")
        assert _there(module, attribute), name


def _tracked(path: Path) -> bool:
    done = subprocess.run(
        ["git", "ls-files", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode != 0 or bool(done.stdout.strip())


def _there(room: str, name: str) -> bool:
    from importlib import import_module
    from importlib.util import find_spec

    room = {"router": "models.router", "target": "models.target"}.get(room, room)
    module = import_module(f"millstream.{room}")
    if hasattr(module, name):
        return True
    return hasattr(module, "__path__") and find_spec(f"millstream.{room}.{name}") is not None


def test_the_recipes_name_what_is_there() -> None:
    from millstream import nodes
    from millstream.models import failures, presets, router, target
    from millstream.tools import box

    named = {
        nodes: ("_MODULES", "REGISTRY"),
        box: ("_TOOLS", "ToolInfo"),
        box.Toolbox: ("_original",),
        presets: ("PRESETS", "Preset"),
        target: ("Protocol_", "Adapter", "Quirks"),
        router: ("adapter",),
        failures: ("refused",),
    }
    for where, names in named.items():
        for name in names:
            assert hasattr(where, name), name


def test_loading_the_package_loads_nothing_heavy() -> None:
    code = "import millstream, sys; print(sorted({'aiohttp', 'jinja2', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
