"""Operators and their traps, as an if-else node shows them in a run."""

from __future__ import annotations

from typing import Any

import pytest

import millstream
from canned import app, document, edges, end, node, ports
from millstream.values import File


def condition(operator: str, value: Any = "", **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "variable_selector": ["start", "x"],
        "comparison_operator": operator,
        "value": value,
        **more,
    }


def decide(actual: Any, *conditions: dict[str, Any], logical: str = "and") -> Any:
    """The way taken, or the message of the failure."""
    import json

    nodes = [
        node("start", "start", variables=[{"variable": "x", "type": "any", "label": "x"}]),
        node(
            "if",
            "if-else",
            cases=[
                {"case_id": "true", "logical_operator": logical, "conditions": list(conditions)}
            ],
        ),
        node("yes", "template-transform", template="yes", variables=[]),
        node("no", "template-transform", template="no", variables=[]),
        end(yes="yes.output", no="no.output"),
    ]
    ways = edges("start>if", "if:true>yes", "if:false>no", "yes>end", "no>end")
    loaded = millstream.loads(json.dumps(document(nodes, ways)), ports=ports())
    result = loaded.run({} if actual is MISSING else {"x": actual})
    if result.error:
        return result.error["message"]
    return bool(result.outputs["yes"])


MISSING = object()
FILES = [
    File("image", "local_file", "a.png", extension=".png", size=10),
    File("document", "local_file", "b.pdf", extension=".pdf", size=2000),
]


@pytest.mark.parametrize(
    ("actual", "operator", "value", "expected"),
    [
        ("abc", "contains", "b", True),
        ("", "contains", "b", False),
        (None, "not contains", "b", True),
        ([1, 2], "contains", "1", False),  # elements are compared as they are
        (["a"], "contains", "a", True),
        ("abc", "start with", "ab", True),
        ("abc", "end with", "bc", True),
        ("a", "is", "a", True),
        (None, "is", "a", False),
        (None, "is not", "a", False),
        (0, "empty", "", True),
        (False, "empty", "", True),
        ("x", "not empty", "", True),
        ("a", "in", ["a", "b"], True),
        ("", "not in", ["a"], True),
        (["a", "b"], "all of", ["a"], True),
        ([], "all of", ["a"], False),
        (3, "=", "3", True),
        (1.5, "=", "1.5", True),
        (None, "≠", "3", False),
        (4, "≠", "3", True),
        (4, ">", "3", True),
        (4, "≤", "4.0", True),
        (None, "≥", "4", False),
        (None, "null", "", True),
        (0, "not null", "", True),
        (True, "is", "true", True),
        (True, "is not", "false", True),
        ([True], "contains", "true", True),
    ],
)
def test_operators(actual: Any, operator: str, value: Any, expected: bool) -> None:
    assert decide(actual, condition(operator, value)) is expected


@pytest.mark.parametrize(
    ("actual", "operator", "value", "message"),
    [
        (3, "is", "3", "'start.x' is number and cannot be compared by 'is' with '3'"),
        (3, "=", "1.5", "'start.x' is number and cannot be compared by '=' with '1.5'"),
        ("3", ">", "1", "'start.x' is string and cannot be compared by '>' with '1'"),
        (True, "is", "True", "a boolean is compared with 'True'"),
    ],
)
def test_comparisons_that_make_no_sense_fail_the_node(
    actual: Any, operator: str, value: Any, message: str
) -> None:
    assert decide(actual, condition(operator, value)) == message


def test_a_missing_variable_fails_when_it_is_its_turn() -> None:
    gone = {**condition("empty"), "variable_selector": ["nobody", "x"]}
    assert decide("a", gone) == "the variable 'nobody.x' is not there"
    assert decide("a", condition("is", "a"), gone, logical="or") is True
    assert decide("a", condition("is", "b"), gone) is False


def test_the_expected_value_may_hold_references() -> None:
    assert decide("ab", condition("is", "{{#start.x#}}")) is True


def test_files_are_asked_one_by_one() -> None:
    def sub(key: str, operator: str, value: Any) -> dict[str, Any]:
        conditions = [{"key": key, "comparison_operator": operator, "value": value}]
        return {"logical_operator": "and", "conditions": conditions}

    def ask(outer: str, key: str, operator: str, value: Any) -> Any:
        return decide(FILES, condition(outer, sub_variable_condition=sub(key, operator, value)))

    assert ask("contains", "type", "in", ["image"]) is True
    assert ask("not contains", "type", "not in", ["audio"]) is True
    assert ask("contains", "extension", "is", "pdf") is True
    assert ask("contains", "size", ">", "5000") is False


def test_older_files_have_conditions_without_cases() -> None:
    data = {"logical_operator": "or", "conditions": [condition("is", "a")]}
    plan_nodes = [
        node("start", "start", variables=[{"variable": "x", "type": "paragraph"}]),
        node("if", "if-else", **data),
        node("yes", "template-transform", template="yes", variables=[]),
        end(out="yes.output"),
    ]
    loaded = app(plan_nodes, edges("start>if", "if:true>yes", "yes>end"))
    result = millstream.App(loaded, ports=ports()).run(x="a")
    assert result.outputs == {"out": "yes"}


def test_an_unknown_operator_is_told_before_the_run() -> None:
    loaded = app(
        [
            node("start", "start", variables=[]),
            node("if", "if-else", cases=[{"case_id": "1", "conditions": [condition("similar")]}]),
        ],
        edges("start>if"),
    )
    with pytest.raises(millstream.BadInput, match="there is no comparison 'similar'"):
        millstream.App(loaded, ports=ports()).run()
