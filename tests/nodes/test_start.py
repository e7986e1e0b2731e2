"""What the start node accepts, and the words with which it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import app, edges, node, ports
from millstream import App
from millstream.base import BadInput
from millstream.nodes.start import InputVariable, accept


def variable(type: str = "paragraph", **more: Any) -> InputVariable:
    return InputVariable(variable="x", type=type, **more)


def refused(variable: InputVariable, value: Any) -> str:
    with pytest.raises(BadInput) as caught:
        accept(variable, value)
    return f"{caught.value.message} {caught.value.next_step}"


def test_a_required_input_is_missed_even_if_it_has_a_default() -> None:
    text = refused(variable(required=True, default="d"), None)
    assert text.startswith("the input 'x' is missing")
    assert "x=…" in text
    assert accept(variable(default="d"), None) == "d"
    assert accept(variable(), None) is None
    assert accept(variable(required=True), "") == ""


def test_texts_are_text_and_lose_only_nul() -> None:
    assert accept(variable(), "a\x00b") == "ab"
    assert "must be text, not list" in refused(variable(), ["a"])
    assert "must be text, not int" in refused(variable(), 3)
    assert accept(variable(max_length=0), "any length") == "any length"
    text = refused(variable(max_length=3), "four")
    assert "has 4 characters; the app takes at most 3" in text
    assert "max_length" in text


def test_a_select_takes_one_of_its_options() -> None:
    choice = variable("select", options=["a", "b"])
    assert accept(choice, "b") == "b"
    assert refused(choice, "c") == "the input 'x' cannot be 'c' It is one of: a, b."
    assert "cannot be ''" in refused(choice, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("12", 12), ("0.5", 0.5), (" 7 ", 7), ("-3", -3), ("", None), (4, 4), (1.5, 1.5)],
)
def test_numbers(given: Any, expected: Any) -> None:
    got = accept(variable("number", required=True, max_length=48), given)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize("given", ["1e3", "abc", True, [1], "1,5"])
def test_what_is_no_number(given: Any) -> None:
    assert "must be a number" in refused(variable("number"), given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Yes", True), (" off ", False), (1, True), (0, False), (True, True), ("", None)],
)
def test_checkboxes(given: Any, expected: Any) -> None:
    assert accept(variable("checkbox"), given) is expected


def test_objects_and_files() -> None:
    assert accept(variable("json_object"), {"a": 1}) == {"a": 1}
    assert accept(variable("json_object"), '{"a": 1}') == {"a": 1}
    assert 'Write it as {"key": "value"}' in refused(variable("json_object"), "[1]")
    image = {"type": "image", "transfer_method": "remote_url", "url": "https://x/y.png"}
    file = accept(variable("file", allowed_file_types=["image"]), image)
    assert (file.type, file.url) == ("image", "https://x/y.png")
    text = refused(variable("file", allowed_file_types=["document"]), image)
    assert "does not take files of type 'image'" in text
    assert "has 2 files; the app takes at most 1" in refused(
        variable("file-list", max_length=1), [image, image]
    )


def test_defaults_go_through_the_checks_too() -> None:
    assert accept(variable(default=""), None) == ""
    assert accept(variable("number", default="7"), None) == 7
    assert accept(variable("checkbox", default="yes"), None) is True
    assert accept(variable("select", default="", options=["a"]), None) is None
    assert "cannot be 'c'" in refused(variable("select", default="c", options=["a"]), None)
    assert accept(variable("file-list"), None) is None
    assert accept(variable("file-list"), "") == []
    assert accept(variable("file"), "") is None
    assert "'x' is missing" in refused(variable("file", required=True), "")


def test_objects_are_held_to_their_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "number"}, "who": {"$ref": "#/definitions/who"}},
        "required": ["n"],
        "definitions": {"who": {"type": "string", "pattern": "^[a-z]+$"}},
    }
    for form in (schema, json.dumps(schema)):
        wanted = variable("json_object", json_schema=form)
        assert accept(wanted, {"n": 1, "who": "me"}) == {"n": 1, "who": "me"}
        assert "does not fulfil its JSON schema at $: 'n' is a required" in refused(wanted, {})
        assert "at $.who: 'ME' does not match" in refused(wanted, {"n": 1, "who": "ME"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"properties": {"a": {"$ref": "#"}}, "$ref": "#"},
        {"pattern": "(", "properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_schema_that_is_no_use_is_told_and_not_followed(schema: dict[str, Any]) -> None:
    text = refused(variable("json_object", json_schema=schema), {"a": "x"})
    assert "not a JSON schema" in text


def test_a_schema_that_is_no_mapping_is_told_before_the_run() -> None:
    variables = [{"variable": "x", "type": "json_object", "json_schema": "[1"}]
    loaded = app([node("start", "start", variables=variables)], [])
    with pytest.raises(BadInput, match="not a JSON schema"):
        App(loaded, ports=ports()).run(x={})


@pytest.mark.parametrize("given", [{"a": 1}, [1], "maybe", 2])
def test_a_checkbox_takes_yes_and_no_only(given: Any) -> None:
    assert "must be true or false" in refused(variable("checkbox"), given)


@pytest.mark.parametrize("text", ["9" * 5000, "１２ x", "--1", ".", "nan", "inf", "0x10"])
def test_numbers_that_python_alone_would_read_or_choke_on(text: str) -> None:
    assert len(refused(variable("number"), text)) < 400


def test_long_values_are_shown_by_their_beginning() -> None:
    text = refused(variable("select", options=["a"]), "x" * 10_000_000)
    assert len(text) < 200


@given(
    st.sampled_from(
        ["text-input", "paragraph", "select", "number", "checkbox", "file", "file-list",
         "json_object", "external_data_tool"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_whatever_is_given_is_taken_or_refused_in_words(kind: str, value: Any, must: bool) -> None:
    wanted = variable(kind, required=must, max_length=4, options=["a", 1, None])
    words = "taken"
    try:
        accept(wanted, value)
    except BadInput as error:
        words = error.message
    assert words


def test_the_system_variables_are_outputs_of_the_start() -> None:
    nodes = [
        node("start", "start", variables=[{"variable": "x", "type": "paragraph"}]),
        node(
            "end",
            "end",
            outputs=[
                {"variable": "two", "value_selector": ["start", "sys.user_id"]},
                {"variable": "three", "value_selector": ["start", "sys", "user_id"]},
                {"variable": "usual", "value_selector": ["sys", "user_id"]},
            ],
        ),
    ]
    result = App(app(nodes, edges("start>end")), ports=ports()).run(x="")
    assert result.outputs == {"two": "local", "three": "local", "usual": "local"}
