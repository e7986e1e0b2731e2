"""Public exports: all of them load or report, and come back with equal data.

They live beside the repository; the fixtures of our own cover the same ground without them.
`pytest -s` prints a table by file.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from millstream.base import BadInput
from millstream.dsl import check_structure, read_file, read_text, write
from millstream.nodes import REGISTRY

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
FILES = sorted(CORPUS.glob("*.yml"))
pytestmark = pytest.mark.skipif(not FILES, reason="the corpus ../shared/corpus is not here")


def verdict(path: Path) -> tuple[str, bool, bool]:
    """What reading says of a file, whether it is an app, whether it comes back byte-equal."""
    source = path.read_bytes()
    try:
        app = read_file(path, REGISTRY)
    except BadInput as error:
        refused, reason = error.next_step, f"refused: {error}"
    else:
        refused, reason = "", ""
    if refused:
        assert yaml_refuses(source)
        return reason, False, False
    assert app.raw == yaml.load(source, yaml.CSafeLoader)
    text = write(app)
    assert read_text(text, path.name, REGISTRY).raw == app.raw
    assert yaml.safe_load(text) == app.raw
    problems = [*app.problems, *check_structure(app)]
    for problem in problems:
        assert problem.message
        assert problem.place.line
    same = text.encode() == source
    back = "byte-equal" if same else "data-equal"
    codes = ", ".join(f"{p.severity} {p.code} line {p.place.line}" for p in problems)
    graph = f"{len(app.graph.nodes)} nodes, {len(app.graph.edges)} edges"
    return f"{app.mode} {app.version}, {graph}, {back} {codes}".rstrip(), True, same


def yaml_refuses(source: bytes) -> bool:
    try:
        yaml.load(source, yaml.CSafeLoader)
    except yaml.YAMLError:
        return True
    return False


def test_every_file_loads_or_reports_and_comes_back() -> None:
    verdicts = {path.name: verdict(path) for path in FILES}
    for name, (said, _, _) in verdicts.items():
        print(f"{name:<75} {said}")
    read = [name for name, (_, is_app, _) in verdicts.items() if is_app]
    same = [name for name, (_, _, is_same) in verdicts.items() if is_same]
    print(f"{len(verdicts)} files, {len(read)} apps, {len(same)} come back byte for byte")
    assert len(read) >= 0.95 * len(verdicts)
    assert len(same) >= 0.5 * len(verdicts)
