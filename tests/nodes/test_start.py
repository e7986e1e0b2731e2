"""What the start node accepts, and the words with which it refuses."""

from __future__ import annotations

from typing import Any

import pytest

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
    [("Yes", True), ("off", False), (1, True), (0, False), (True, True), ("odd", "odd")],
)
def test_checkboxes(given: Any, expected: Any) -> None:
    assert accept(variable("checkbox"), given) is expected or given == "odd"


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
