"""Writing back: the same data, in the one order that exports have."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from millstream.dsl import read_file, read_text, write
from millstream.nodes import REGISTRY

APPS = Path(__file__).parent.parent / "fixtures" / "apps"
EXPORTS = ("letter", "desk", "chapters", "every-node", "hook", "pipeline", "chat", "agent")


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_comes_back_byte_for_byte(name: str) -> None:
    path = APPS / f"{name}.yml"
    assert write(read_file(path, REGISTRY)) == path.read_text()


@pytest.mark.parametrize("path", sorted(APPS.iterdir()), ids=lambda path: path.name)
def test_any_file_comes_back_with_equal_data(path: Path) -> None:
    app = read_file(path, REGISTRY)
    text = write(app)
    again = read_text(text, "again.yml", REGISTRY)
    assert again.raw == app.raw
    assert write(again) == text


def test_keys_are_sorted_and_nothing_is_lost_or_folded() -> None:
    raw = {
        "workflow": {"graph": {"nodes": []}, "unknown": [1, None, True, 0.5, 1e300]},
        "app": {"name": "中文 🚀", "z": "", "a": "yes", "m": "1e5", "n": "0.1.0"},
        "texts": {
            "long": "word " * 60 + "end",
            "lines": "a\n\n  b\n\tc\n",
            "odd": "\x85 \u2028 \ufeff \x1b \r\n",
            "spaces": "  x  ",
            "date": "2024-01-01",
        },
        "day": datetime.date(2024, 1, 1),
        "same day": datetime.date(2024, 1, 1),
    }
    app = read_text(yaml.safe_dump(raw), "app.yml", REGISTRY)
    assert app.raw == raw
    text = write(app)
    assert yaml.safe_load(text) == raw
    assert text.startswith("app:\n  a: 'yes'\n  m: 1e5\n  n: 0.1.0\n  name: 中文 🚀\n  z: ''\n")
    assert "&id" not in text


def test_the_deepest_file_that_is_read_is_written_too() -> None:
    app = read_text("app: " + "[" * 99 + "]" * 99, "app.yml", REGISTRY)
    assert read_text(write(app), "again.yml", REGISTRY).raw == app.raw


def test_a_small_change_is_a_small_difference() -> None:
    app = read_file(APPS / "letter.yml", REGISTRY)
    before = write(app).split("\n")
    node = app.graph.nodes[2]
    node.raw["data"]["model"]["name"] = "another"
    after = write(app).split("\n")
    changed = [(a.strip(), b.strip()) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [("name: gpt-4o-mini", "name: another")]


text = st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
)
types = st.sampled_from([*REGISTRY, "variable-assigner", "", "unheard-of"])
nodes = st.fixed_dictionaries(
    {"id": st.text("0123456789abc", min_size=1) | st.integers(0)},
    optional={
        "type": st.just("custom") | st.just("custom-note"),
        "parentId": st.text("0123456789abc", max_size=2) | st.none(),
        "position": values,
        "data": st.fixed_dictionaries(
            {"type": types},
            optional={"title": text | st.integers(), "variables": values, "unknown": values},
        ),
    },
)
edges = st.fixed_dictionaries(
    {"source": text | st.integers(), "target": text},
    optional={"id": text, "sourceHandle": scalars, "data": values},
)
apps = st.fixed_dictionaries(
    {
        "app": st.dictionaries(text, values, max_size=3),
        "workflow": st.fixed_dictionaries(
            {
                "graph": st.fixed_dictionaries(
                    {},
                    optional={
                        "nodes": st.lists(nodes, max_size=4),
                        "edges": st.lists(edges, max_size=4),
                    },
                )
            },
            optional={"features": values, "environment_variables": values},
        ),
    },
    optional={"version": scalars, "kind": scalars, "dependencies": values},
)


@given(apps, st.booleans())
def test_any_app_comes_back_with_equal_data(raw: Any, sort: bool) -> None:
    source = yaml.safe_dump(raw, sort_keys=sort)
    app = read_text(source, "app.yml", REGISTRY)
    assert app.raw == yaml.load(source, yaml.CSafeLoader)
    text = write(app)
    assert read_text(text, "again.yml", REGISTRY).raw == app.raw
    assert yaml.load(text, yaml.CSafeLoader) == app.raw
