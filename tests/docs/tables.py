"""Tables of the documentation that are made from the code.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. `scripts/docs` writes them all
anew; test_docs.py holds the documents to what would be written. What a table says beyond the code,
such as what should be known of a node, is here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from millstream.base import set_language
from millstream.engine import Later
from millstream.engine.limits import DIFY
from millstream.home import settings
from millstream.home.credentials import variables
from millstream.home.directory import Home
from millstream.models.presets import ALIASES, PRESETS
from millstream.models.recommended import RECOMMENDED
from millstream.nodes import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)

# What a person should know of a node type beyond its name.
NODES = {
    "answer": "a reply of a chat app",
    "code": "Python; JavaScript with the extra `javascript`; locked in, Linux only",
    "end": "outputs of a workflow; there may be several",
    "if-else": "every operator, files and older files without cases included",
    "iteration": "sequential and parallel, three error modes, flattening, older files",
    "iteration-start": "",
    "llm": "chat and completion prompts, Jinja2 prompts, context, vision, structured output; "
    "of memory the turn's question only",
    "parameter-extractor": "JSON under a schema, whatever the reasoning mode",
    "start": "all input types; files are given, not uploaded",
    "template-transform": "Jinja2",
    "tool": "built-in tools: [bindings](bindings.md#tools)",
    "variable-aggregator": "groups included",
}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in lines)


def nodes() -> str:
    later = [type for type in REGISTRY if issubclass(REGISTRY[type], Later)]
    runs = [type for type in REGISTRY if type not in later]
    rows = [[f"`{type}`", "runs", NODES[type]] for type in sorted(runs)]
    rows += [[f"`{type}`", "read", ""] for type in sorted(later)]
    return table(("type", "", ""), rows)


def presets() -> str:
    rows = []
    for name, preset in PRESETS.items():
        if name == "embedded":
            continue
        address = preset.base_url or "your own"
        if preset.url_variables:
            address += f" (`{preset.url_variables[0]}`)"
        keys = "" if preset.local else ", ".join(f"`{v}`" for v in variables(name))
        rows.append([f"`{name}`", preset.protocol, address.replace("https://", ""), keys])
    return table(("provider", "protocol", "address", "key"), rows)


def aliases() -> str:
    words: dict[str, list[str]] = {}
    for word, name in ALIASES.items():
        words.setdefault(name, []).append(f"`{word}`")
    return table(
        ("provider", "also"), ([f"`{name}`", ", ".join(words[name])] for name in sorted(words))
    )


def recommended() -> str:
    return table(
        ("name", "file", "memory", "quantization", "hub", "Ollama", "licence"),
        (
            [
                f"`{m.name}`",
                f"{m.size:g}",
                f"{m.memory:g}",
                m.quantization,
                m.repository or "package index",
                f"`{m.ollama}`",
                m.licence,
            ]
            for m in RECOMMENDED
        ),
    )


def settings_() -> str:
    known = settings.Settings(Home(Path("no-such-folder")))
    rows = []
    for name in settings.names():
        found = known.describe(name)
        default = "none" if found.default is None else str(found.default)
        default = default.lower() if isinstance(found.default, bool) else default
        rows.append([f"`{name}`", f"`{default}`" if default else "", found.doc])
    return table(("setting", "default", ""), rows)


def limits() -> str:
    rows = [
        [f"`limits.{name}`", f"{value:,}"]
        for name, value in msgspec.structs.asdict(DIFY).items()
        if value is not None
    ]
    return table(("setting", "in the profile `dify`"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "nodes": nodes,
    "presets": presets,
    "aliases": aliases,
    "recommended": recommended,
    "settings": settings_,
    "limits": limits,
}


def filled(text: str) -> str:
    """A document with its tables as they should be."""
    return PLACE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> int:
    set_language("en")
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text()
        if (new := filled(text)) != text:
            path.write_text(new)
            print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
