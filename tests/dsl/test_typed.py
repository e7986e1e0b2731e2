"""Node data becomes typed as its author meant it, or every field that cannot be is named."""

from __future__ import annotations

import copy
import datetime
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.dsl.typed import convert


class Inner(msgspec.Struct, kw_only=True):
    name: str
    size: int = 3


class Data(msgspec.Struct, kw_only=True):
    title: str = "untitled"
    count: int | None = None
    share: float = 0.5
    on: bool = False
    mode: Literal["and", "or"] = "and"
    selector: list[str] | None = None
    inner: Inner | None = None
    inners: list[Inner] = []
    by_name: dict[str, Inner] = {}
    either: list[Inner] | str | None = None
    handle: str | bool | int | None = None
    anything: Any = None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"title": 5}, Data(title="5")),
        ({"title": True}, Data(title="true")),
        ({"title": datetime.date(2024, 1, 2)}, Data(title="2024-01-02")),
        ({"title": None}, Data()),
        ({"count": "7", "share": "1"}, Data(count=7, share=1.0)),
        ({"count": "", "share": ""}, Data()),
        ({"count": 7.0, "on": "true"}, Data(count=7, on=True)),
        ({"on": 1}, Data(on=True)),
        ({"mode": "AND "}, Data(mode="and")),
        ({"mode": ""}, Data()),
        ({"selector": [1720, "text"]}, Data(selector=["1720", "text"])),
        ({"selector": [["a", "b"]]}, Data(selector=["a", "b"])),
        ({"selector": ""}, Data()),
        ({"selector": {}}, Data(selector=[])),
        ({"inner": {"name": 1, "size": None}}, Data(inner=Inner(name="1"))),
        ({"inner": ""}, Data()),
        ({"inners": None}, Data()),
        ({"inners": {}}, Data()),
        ({"by_name": []}, Data()),
        (
            {"by_name": {5: {"name": "x", "size": "4"}}},
            Data(by_name={"5": Inner(name="x", size=4)}),
        ),
        ({"either": "text", "title": 1}, Data(either="text", title="1")),
        ({"either": [{"name": 1}]}, Data(either=[Inner(name="1")])),
        ({"handle": True, "title": 1}, Data(handle=True, title="1")),
        ({"anything": {1: None}, "title": 1}, Data(anything={1: None}, title="1")),
        ({True: "x", "unknown": object, "title": 1}, Data(title="1")),
    ],
)
def test_what_can_be_meant_is_understood(raw: Any, expected: Data) -> None:
    before = copy.deepcopy(raw)
    assert convert(raw, Data) == (expected, [])
    assert raw == before


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        ({"title": ["x"]}, [(("title",), "string", "list")]),
        ({"title": b"x"}, [(("title",), "string", "binary data")]),
        ({"count": "many"}, [(("count",), "integer", "string")]),
        ({"share": {}}, [(("share",), "number", "mapping")]),
        ({"on": "perhaps"}, [(("on",), "boolean", "string")]),
        ({"mode": "nor"}, [(("mode",), "'and' / 'or'", "string")]),
        ({"inner": {}}, [(("inner", "name"), "string", "null")]),
        ({"selector": ["a", None]}, [(("selector", 1), "string", "null")]),
        (
            {"inners": [{"name": "x"}, {"name": "y", "size": "z"}], "on": 7},
            [(("on",), "boolean", "number"), (("inners", 1, "size"), "integer", "string")],
        ),
        ({"by_name": {"k": 5}}, [(("by_name", "k"), "mapping", "number")]),
        ({"either": {}}, [(("either",), "string / list", "mapping")]),
        (["x"], [((), "mapping", "list")]),
    ],
)
def test_what_cannot_be_meant_is_named_field_by_field(raw: Any, faults: Any) -> None:
    found, given_faults = convert(raw, Data)
    assert found is None
    for (path, wanted, kind), fault in zip(faults, given_faults, strict=True):
        assert (fault.path, fault.given) == (path, kind)
        assert set(fault.wanted.split(" / ")) == set(wanted.split(" / "))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fields = st.sampled_from([field.name for field in msgspec.structs.fields(Data)])


@given(st.dictionaries(fields, json_like, max_size=4) | json_like)
def test_any_data_is_typed_or_refused(raw: Any) -> None:
    found, faults = convert(raw, Data)
    assert (found is None) == bool(faults)
