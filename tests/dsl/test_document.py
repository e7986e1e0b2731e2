"""A document is read to the data that PyYAML's safe loader gives, with lines and repeated keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import BadInput
from millstream.dsl import document
from millstream.dsl.document import parse

SCALARS = r"""
null | ~ | Null | NULL | true | True | TRUE | false | off | On | yes | No | y | n | Y
0 | -1 | +12 | 1_000 | 0x1F | -0x1f | 0b101 | 017 | 08 | 0o17 | 1:30 | -1:30:05 | 1:99 | 1_ | _1
1.5 | -.5 | +.5 | 1. | 1e5 | 1.5e3 | 1.5e+3 | 1.5E-3 | .inf | -.INF | .nan | 1:30.5 | 0.1.0 | . | ..
2024-01-31 | 2024-1-3 | 2024-01-31T10:20:30Z | 2024-01-31T10:20:30.123456+02:30
2024-01-31 10:20:30 -5 | 2024-01-31t1:20:30.5 | '' | "" | ' ' | "\n" | '"' | "\x41\u4e2d\U0001F680"
a-b | a#b | -a | ?a | a:b | http://x.y/z | 中文 | 🚀 | + | !!str 5 | !!int "5" | !!int 0x1F
!!float 1 | !!bool "no" | !!null "" | ! 5 | !!binary aGVsbG8= | !!seq [] | !!map {}
!!timestamp 2024-01-31
"""


@pytest.mark.parametrize(
    "scalar", [word for line in SCALARS.strip().split("\n") for word in line.split(" | ")]
)
def test_a_scalar_means_what_the_safe_loader_says(scalar: str) -> None:
    text = f"key: {scalar}\nlist: [{scalar}]\n"
    found, expected = parse(text).data, yaml.load(text, yaml.CSafeLoader)
    assert repr(found) == repr(expected)  # repr: 1 and True and 1.0 are equal, NaN is not


@pytest.mark.parametrize(
    "text",
    ["date: 2024-13-45", "n: 0b_", "time: 2024-01-01T99:00:00Z", "n: !!int five", "op: ="],
)
def test_what_only_looks_like_a_number_or_date_stays_a_text(text: str) -> None:
    assert parse(text).data == {text.split(":")[0]: text.split(" ")[-1]}


def test_a_number_of_thousands_of_digits_stays_a_text() -> None:
    for digits in ("9" * 5000, "1" + ":1" * 100_000, "0x" + "f" * 5000):
        assert parse(f"n: {digits}").data == {"n": digits}


def test_aliases_and_merges_are_carried_out_as_the_safe_loader_does() -> None:
    text = """
    base: &base {a: 1, b: 2}
    more: &more {b: 3, c: 4}
    one: {<<: *base, b: 9}
    two: {a: 0, <<: [*more, *base]}
    four: {"<<": 1}
    five: [*base, *base]
    six: {<<: {x: 1}}
    &key seven: *key
    """
    found = parse(text)
    assert found.data == yaml.safe_load(text)
    assert found.data["five"][0] is found.data["five"][1]
    assert found.lines.line("one", "a") == 2  # where the merged entry stands
    assert found.lines.line("one", "b") == 4


def test_of_two_merges_the_later_one_counts() -> None:
    """Which PyYAML does up to 6.0.3 only: what a file says must not depend on that."""
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3}\nboth: {<<: *base, <<: *more}"
    assert parse(text).data["both"] == {"a": 1, "b": 3}


def test_a_repeated_key_is_noticed_with_both_lines_and_the_later_one_counts() -> None:
    found = parse("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n")
    assert found.data == {"a": 2, "b": {"c": 3, "d": 2}}
    assert [tuple(repeat) for repeat in found.repeats] == [("c", 3, 5), ("a", 1, 6)]


def test_every_part_has_its_line() -> None:
    text = "# an app\napp:\n  name: x\n  text: |\n    1\n    2\nlist:\n  - 1\n  - k: [a,\n    b]\n"
    line = parse(text).lines.line
    assert line() == 2
    assert line("app") == 2
    assert line("app", "text") == 4
    assert line("list", 0) == 8
    assert line("list", 1, "k") == 9
    assert line("list", 1, "k", 1) == 10
    assert line("list", 1, "not there", "either") == 9  # the deepest part that exists
    assert line("app", "name", 0) == 3


def test_json_is_read_as_json() -> None:
    data = {"a": 1, "e": "🚀\\u4e2d", "f": [1e5, 1e-7, True, None], "n": {"x": "a/b"}}
    assert parse(json.dumps(data)).data == data
    assert parse(json.dumps(data, indent=1).replace("/", "\\/")).data == data
    assert parse('{"a": 1E5, "b": "\\ud83d\\ude80"}').data == {"a": 100000.0, "b": "🚀"}
    assert parse("{a: 1e5}").data == {"a": "1e5"}  # YAML, where this is a text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_with_a_mark_and_all_kinds_of_line_ends(encoding: str, newline: str) -> None:
    text = newline.join(["name: 你好 🚀", "list:", "- a", "- b", ""])
    found = parse(text.encode(encoding))
    assert found.data == {"name": "你好 🚀", "list": ["a", "b"]}
    assert found.lines.line("list", 1) == 4
    assert parse("\ufeffa: 1").data == {"a": 1}


def test_progress_grows_to_the_whole_size() -> None:
    data = ("- {name: 中文, text: some words}\n" * 5000).encode()
    seen: list[tuple[int, int]] = []
    parse(data, progress=lambda done, size: seen.append((done, size)))
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert {size for _, size in seen} == {len(data)}
    assert seen[-1] == (len(data), len(data))


def test_a_big_file_is_read(tmp_path: Any) -> None:
    block = "- title: a node\n  text: |\n" + "    words words words words\n" * 2000
    data = parse("nodes:\n" + block * 230)
    assert len(data.data["nodes"]) == 230
    assert data.lines.line("nodes", 229, "text") == 1 + 229 * 2002 + 2


def test_the_slower_parser_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x [1, two, 3.5]\nb: *x\nc: {d: |\n  no\n"
    good = "a: &x [1, two, 3.5]\nb: *x\nc:\n  d: |\n    text\n  d: 1\n"
    fast = parse(good)
    monkeypatch.setattr(document, "_Parser", yaml.SafeLoader)
    slow = parse(good)
    assert (slow.data, slow.repeats) == (fast.data, fast.repeats)
    assert slow.lines.line("c", "d") == fast.lines.line("c", "d") == 6
    for bad in (text, "a: \x01", ""):
        with pytest.raises(BadInput):
            parse(bad)


keys = st.text(max_size=8) | st.integers() | st.booleans() | st.none()
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.dates()
    | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(keys, values, min_size=1), st.booleans(), st.sampled_from([True, None]))
def test_whatever_yaml_was_dumped_is_read_back(data: Any, unicode: bool, flow: Any) -> None:
    text = yaml.safe_dump(data, allow_unicode=unicode, default_flow_style=flow)
    assert parse(text).data == yaml.load(text, yaml.CSafeLoader)


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(text, json_values, min_size=1), st.booleans())
def test_whatever_json_was_dumped_is_read_back(data: Any, ascii: bool) -> None:
    assert parse(json.dumps(data, ensure_ascii=ascii)).data == data


def refusal(source: str | bytes) -> BadInput | None:
    try:
        parse(source, "file.yml")
    except BadInput as error:
        return error
    return None


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_read_or_refused_with_place_message_and_next_step(source: str | bytes) -> None:
    if error := refusal(source):
        assert str(error).startswith("file.yml")
        assert "{" not in error.message
        assert error.next_step


@given(st.text(list("ab:-?{}[],&*!|>'\"%@`# \n\t~<.0="), max_size=40))
def test_any_punctuation_is_read_as_the_safe_loader_reads_it_or_refused(source: str) -> None:
    try:
        expected = yaml.load(source, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError):
        refusal(source)
        return
    if error := refusal(source):
        assert error.code in ("dsl.empty", "dsl.alias-loop", "dsl.tag")
    else:
        assert parse(source).data == expected
