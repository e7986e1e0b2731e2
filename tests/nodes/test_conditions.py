"""Operators and their traps, as an if-else node shows them in a run."""

from __future__ import annotations

import json
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
    data = document(nodes, ways)
    for key, name in (("environment_variables", "MODE"), ("conversation_variables", "mood")):
        data["workflow"][key] = [{"name": name, "value_type": "string", "value": "yes"}]
    loaded = millstream.loads(json.dumps(data), ports=ports())
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
        ("page 3", "contains", 3, True),  # a constant that is no text is searched for as text
        ("abc", "all of", ["a", "b"], True),
        (5, "all of", ["a"], False),
        ([True, False], "all of", [True], True),
        (2**60 + 1, ">", str(2**60), True),
        (0, "=", "0", True),
        (0, "≠", "0", False),
        (1, "≥", "0.5", True),
        (float("nan"), "=", "1", False),
        (float("nan"), "≤", "1", False),
        (False, "=", "false", True),
        ("", "start with", "a", False),
        ([], "not contains", "a", True),
        ({}, "empty", "", True),
        ({"a": 1}, "not empty", "", True),
        ({"a": 1}, "exists", "", True),
        (None, "not exists", "", True),
        (None, "empty", "", True),
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
        (5, "contains", "5", "'start.x' is number and cannot be compared by 'contains' with '5'"),
        ({"a": 1}, "contains", "a", "'start.x' is object and cannot be compared by 'contains'"),
        (5, "start with", "5", "'start.x' is number and cannot be compared by 'start with'"),
        ("a", "in", "a", "'start.x' is string and cannot be compared by 'in' with 'a'"),
        ("a", ">", "b", "'start.x' is string and cannot be compared by '>' with 'b'"),
        (5, ">", "b", "'start.x' is number and cannot be compared by '>' with 'b'"),
        (5, ">", None, "'start.x' is number and cannot be compared by '>' with ''"),
        (5, "=", "9" * 5000, "'start.x' is number and cannot be compared by '=' with '999"),
    ],
)
def test_comparisons_that_make_no_sense_fail_the_node(
    actual: Any, operator: str, value: Any, message: str
) -> None:
    said = decide(actual, condition(operator, value))
    assert said.startswith(message)
    assert len(said) < 300


def test_a_missing_variable_fails_when_it_is_its_turn() -> None:
    gone = {**condition("empty"), "variable_selector": ["nobody", "x"]}
    assert decide("a", gone) == "the variable 'nobody.x' is not there"
    assert decide("a", condition("is", "a"), gone, logical="or") is True
    assert decide("a", condition("is", "b"), gone) is False


def test_the_expected_value_may_hold_references() -> None:
    assert decide("ab", condition("is", "{{#start.x#}}")) is True


def sub(key: str, operator: str, value: Any) -> dict[str, Any]:
    conditions = [{"key": key, "comparison_operator": operator, "value": value}]
    return {"logical_operator": "and", "conditions": conditions}


@pytest.mark.parametrize(
    ("outer", "key", "operator", "value", "expected"),
    [
        ("contains", "type", "in", ["image"], True),
        ("contains", "extension", "is", "pdf", True),
        ("contains", "extension", "is", ".pdf", True),
        ("contains", "size", ">", "5000", False),
        ("contains", "name", "contains", "a.", True),
        ("contains", "name", "not contains", "a.", False),  # `not …`: all of them
        # What is in front of the conditions says nothing; only their own `not` counts.
        ("not contains", "type", "not in", ["audio"], True),
        ("not contains", "type", "in", ["image"], True),
        ("all of", "type", "in", ["image"], True),
        ("contains", "nonsense", "exists", "", False),
    ],
)
def test_files_are_asked_one_by_one(
    outer: str, key: str, operator: str, value: Any, expected: bool
) -> None:
    asked = condition(outer, sub_variable_condition=sub(key, operator, value))
    assert decide(FILES, asked) is expected


def test_a_list_of_files_has_to_be_asked_something() -> None:
    assert "cannot be compared by 'contains'" in decide(FILES, condition("contains", "pdf"))
    assert decide(FILES, condition("not empty")) is True
    assert decide([], condition("contains", sub_variable_condition=sub("size", ">", 1))) is False
    wrong = condition("contains", sub_variable_condition=sub("name", ">", "1"))
    assert "'start.x' is array[file]" in decide(FILES, wrong)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (["start", "x", "deep", "er"], True),
        (["start", "x", "deep"], "'start.x.deep' is object and cannot be compared by 'is'"),
        (["start", "x", "nothing"], "the variable 'start.x.nothing' is not there"),
        (["start", "x", "list", "0"], "the variable 'start.x.list.0' is not there"),
        (["start", "x", "file", "extension"], "the variable 'start.x.file.extension' is not there"),
        (["env", "MODE"], True),
        (["conversation", "mood"], True),
        (["env", "GONE"], "the variable 'env.GONE' is not there"),
        (["sys", "user_id"], False),
        (["sys"], "the variable 'sys' is not there"),
        ([], "the variable '' is not there"),
    ],
)
def test_selectors_reach_into_objects_and_the_surroundings(
    selector: list[str], expected: Any
) -> None:
    value = {"deep": {"er": "yes"}, "list": ["yes"]}
    said = decide(value, {**condition("is", "yes"), "variable_selector": selector})
    assert said is expected or str(said).startswith(str(expected))


def test_cases_are_tried_in_order_and_an_unquoted_true_is_a_text() -> None:
    cases = [
        {"case_id": True, "conditions": [condition("is", "a")]},
        {"id": "second", "logical_operator": "or", "conditions": [condition("is", "b")]},
        {"case_id": 3, "conditions": []},  # nothing to fulfil: holds
    ]
    nodes = [
        node("start", "start", variables=[{"variable": "x", "type": "any"}]),
        node("if", "if-else", cases=cases),
        end(way="if.selected_case_id", result="if.result"),
    ]
    ways = ["if:true>end", "if:second>end", "if:3>end", "if:false>end"]
    loaded = millstream.App(app(nodes, edges("start>if", *ways)), ports=ports())
    assert [loaded.run(x=x).outputs["way"] for x in "abc"] == ["true", "second", "3"]
    nothing = [{"case_id": "true", "logical_operator": "or", "conditions": []}]
    nodes[1] = node("if", "if-else", cases=nothing)
    loaded = millstream.App(app(nodes, edges("start>if", *ways)), ports=ports())
    assert loaded.run(x="a").outputs == {"way": "false", "result": False}


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
