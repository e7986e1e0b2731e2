"""The documents and what is in them: fenced blocks, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"(?:<!-- runs(?:: (\w+))? -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block. runs: it is to be executed; blocks of the same group share their names."""

    document: Path
    line: int
    language: str
    text: str
    runs: bool
    group: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The blocks of all documents in some languages; in any if none is named."""
    found = (block for path in DOCUMENTS for block in _blocks(path))
    return [block for block in found if not languages or block.language in languages]


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(3)) + 1
        runs = found[0].startswith("<!-- runs")
        yield Block(path, line, found[2], found[3], runs, found[1] or "")


def links(path: Path) -> list[str]:
    """The targets of a document's links, those inside of blocks left out."""
    return _LINK.findall(_BLOCK.sub("", path.read_text()))


def anchors(path: Path) -> set[str]:
    """The names that headings have, as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _BLOCK.sub("", path.read_text()), re.M):
        words = re.sub(r"[`*]", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found
