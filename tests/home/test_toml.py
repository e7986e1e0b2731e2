"""TOML files: the line of every key, for messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.home.toml import Table, nearest

TEXT = """\
# [not.a.table]
top = 1
[a]  # a comment
x = 1
"quoted.key" = 2
'single' = 3
b.c = 4

[ a . "d e" ]
y = "="

[[list]]
z = 1
[list.inner]
deep = 1
[[list]]
z = 2
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "x"), 4),
        (("a", "quoted.key"), 5),
        (("a", "single"), 6),
        (("a", "b", "c"), 7),
        (("a", "d e", "y"), 10),
        (("list", 0, "z"), 13),
        (("list", 1, "z"), 17),
        (("a", "missing"), 3),
        (("nowhere",), None),
    ],
)
def test_the_line_of_a_key_or_of_what_is_around_it(keys, line):
    assert Table(Path("x"), {}, TEXT).line(*keys) == line


@given(st.text(alphabet="ab[].\"=\n \\'#", max_size=60))
def test_any_text_has_lines(text):
    found = Table(Path("x"), {}, text).line("a", "b")
    assert found is None or 1 <= found <= len(text.splitlines())


def test_the_nearest_word():
    assert nearest("ofline", ["online", "offline"]) == "offline"
    assert nearest("xyz", ["online", "offline"]) == ""
