"""Conditions: a variable, an operator, an expected value. Used by every node that decides.

A set of conditions is compiled once; an execution looks up what they compare (`selectors` and
`templates`, by name) and then judges them in order, `and` and `or` stopping early. A variable
that is missing is an error when its condition is judged, as in the format, and a comparison that
makes no sense for a type is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from millstream.base import BadInput, Failed
from millstream.engine import Build, Reading
from millstream.values import MISSING, File, Selector, TextTemplate, brief
from millstream.values.types import type_of


class SubCondition(msgspec.Struct, kw_only=True):
    """A condition on an attribute of the files of a list."""

    id: str | None = None
    key: str = ""
    comparison_operator: str | None = None
    value: Any = None
    varType: str | None = None  # noqa: N815 - the file's word


class SubConditions(msgspec.Struct, kw_only=True):
    case_id: str | None = None
    logical_operator: Literal["and", "or"] | None = "and"
    conditions: list[SubCondition] | None = None


class Condition(msgspec.Struct, kw_only=True):
    id: str | None = None
    variable_selector: list[str] | None = None
    comparison_operator: str | None = None
    value: Any = None
    varType: str | None = None  # noqa: N815 - the file's word
    numberVarType: str | None = None  # noqa: N815 - the file's word
    sub_variable_condition: SubConditions | None = None


Test = Callable[[Any, Any], bool]
Values = dict[str, Any]


class _Compiled(msgspec.Struct):
    """A condition. name: of the actual value among the values; given: of the expected one, if it
    is a text with references; else it is the constant. files: a list of files is asked by `sub`."""

    name: str
    test: Test
    constant: Any
    given: str | None
    operator: str
    files: bool
    sub: SubConditions | None


class Conditions:
    """Conditions joined by `and` or `or`, compiled. No conditions: `and` holds, `or` does not."""

    def __init__(
        self,
        conditions: Sequence[Condition],
        logical_operator: str | None,
        build: Build,
        *path: str | int,
    ) -> None:
        self.any = (logical_operator or "and") == "or"
        self.path = ".".join(map(str, path))
        self.selectors: list[tuple[str, Selector]] = []
        self.templates: list[tuple[str, TextTemplate]] = []
        self.items = [
            self._compile(condition, build, *path, i) for i, condition in enumerate(conditions)
        ]

    def _compile(self, condition: Condition, build: Build, *path: str | int) -> _Compiled:
        name = condition.comparison_operator or ""
        test = _test(name, build, *path)
        selector = Selector.of(condition.variable_selector)
        self.selectors.append((str(selector), selector))
        given = None
        if isinstance(condition.value, str):
            template = TextTemplate(condition.value)
            if template.selectors:
                given = template.source
                self.templates.append((given, template))
        sub = condition.sub_variable_condition
        sub = sub if sub is not None and sub.conditions else None
        for i, inner in enumerate(sub.conditions or () if sub else ()):
            where = (*path, "sub_variable_condition", "conditions", i)
            _test(inner.comparison_operator or "", build, *where)
        files = name in _OF_FILES
        return _Compiled(str(selector), test, condition.value, given, name, files, sub)

    def reads(self) -> Iterable[Reading]:
        for i, (_, selector) in enumerate(self.selectors):
            yield Reading(selector, f"{self.path}.{i}.variable_selector", required=True)
        for _, template in self.templates:
            for selector in template.selectors:
                yield Reading(selector, self.path)

    def judge(self, values: Values) -> bool:
        """Whether the conditions hold. Raises Failed for a missing variable or a comparison
        that makes no sense."""
        any_of = self.any
        for item in self.items:
            actual = values.get(item.name, MISSING)
            expected = item.constant if item.given is None else values[item.given]
            try:
                if type(actual) is str:  # by far the most, and without rules of its own
                    holds = item.test(actual, expected)
                else:
                    holds = _judge(item, actual, expected)
            except (TypeError, ValueError):
                raise Failed(
                    "nodes.cannot-compare",
                    name=item.name,
                    operator=item.operator,
                    type=type_of(actual),
                    expected=brief(expected),
                ) from None
            if holds is any_of:
                return any_of
        return not any_of


def _test(name: str, build: Build, *path: str | int) -> Test:
    """The comparison of a condition at a path of the node's data. Raises BadInput."""
    test = TESTS.get(name)
    if test is None:
        place = build.place(*path, "comparison_operator")
        raise BadInput("nodes.no-operator", place=place, name=name, known=", ".join(TESTS))
    return test


def _judge(item: _Compiled, actual: Any, expected: Any) -> bool:
    """Whether a condition holds for a value that is no text."""
    if actual is MISSING:
        raise Failed("nodes.no-variable", name=item.name, error_type="VariableNotFound")
    first = actual[0] if isinstance(actual, list) and actual else actual
    if item.files and first is not actual and isinstance(first, File):
        return _judge_files(actual, item.sub)
    if isinstance(first, bool):
        expected = _boolean(expected, item.operator)
    return item.test(actual, expected)


def _judge_files(files: list[File], sub: SubConditions | None) -> bool:
    """Each condition is asked of every file: any of them must fulfil it, or all of them if the
    condition itself is a `not …`. The operator in front of them all says nothing, as in the
    format; without conditions there is nothing to ask (TypeError)."""
    if sub is None:
        raise TypeError
    verdicts = []
    for condition in sub.conditions or ():
        operator, expected = condition.comparison_operator or "", condition.value
        actual = [file.attribute(condition.key) for file in files]
        if condition.key == "extension":
            actual, expected = _dotted(actual), _dotted(expected)
        answers = [TESTS[operator](value, expected) for value in actual]
        verdicts.append(all(answers) if "not" in operator else any(answers))
    return (any if sub.logical_operator == "or" else all)(verdicts)


def _dotted(value: Any) -> Any:
    if isinstance(value, str):
        return value if not value or value.startswith(".") else f".{value}"
    return [_dotted(item) for item in value] if isinstance(value, list) else value


def _boolean(expected: Any, operator: str) -> Any:
    """The expected value beside a boolean: text is read as JSON `true`, `false`, 1 or 0."""
    if not isinstance(expected, str) or operator in _UNARY:
        return expected
    words = {"true": True, "false": False, "1": True, "0": False}
    if expected not in words:
        raise Failed("nodes.not-a-boolean", given=expected)
    return words[expected]


# ----------------------------------------------------------------------------------- operators


def _need(value: Any, *types: type) -> None:
    if not isinstance(value, types):
        raise TypeError


def _contains(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    if isinstance(actual, str):
        return str(expected) in actual
    _need(actual, list)
    return expected in actual


def _not_contains(actual: Any, expected: Any) -> bool:
    return not actual or not _contains(actual, expected)


def _starts(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    _need(actual, str)
    return bool(actual.startswith(expected))


def _ends(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    _need(actual, str)
    return bool(actual.endswith(expected))


def _is(actual: Any, expected: Any) -> bool:
    if actual is None:
        return False
    _need(actual, str, bool)
    return bool(actual == expected)


def _is_not(actual: Any, expected: Any) -> bool:
    if actual is None:
        return False
    _need(actual, str, bool)
    return bool(actual != expected)


def _in(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    _need(expected, list)
    return actual in expected


def _not_in(actual: Any, expected: Any) -> bool:
    if not actual:
        return True
    _need(expected, list)
    return actual not in expected


def _all_of(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    _need(expected, list)
    return isinstance(actual, str | list) and all(item in actual for item in expected)


def _equal(actual: Any, expected: Any) -> bool:
    if isinstance(actual, bool):
        return actual == bool(expected)
    _need(actual, int, float)
    return bool(actual == (int(expected) if isinstance(actual, int) else float(expected)))


def _number(actual: Any, expected: Any) -> tuple[float, float]:
    _need(actual, int, float)
    return actual, float(expected)


TESTS: dict[str, Test] = {
    "contains": _contains,
    "not contains": _not_contains,
    "start with": _starts,
    "end with": _ends,
    "is": _is,
    "is not": _is_not,
    "empty": lambda actual, _: not actual,
    "not empty": lambda actual, _: bool(actual),
    "in": _in,
    "not in": _not_in,
    "all of": _all_of,
    "=": lambda actual, expected: actual is not None and _equal(actual, expected),
    "≠": lambda actual, expected: actual is not None and not _equal(actual, expected),
    ">": lambda a, e: a is not None and (n := _number(a, e))[0] > n[1],
    "<": lambda a, e: a is not None and (n := _number(a, e))[0] < n[1],
    "≥": lambda a, e: a is not None and (n := _number(a, e))[0] >= n[1],
    "≤": lambda a, e: a is not None and (n := _number(a, e))[0] <= n[1],
    "null": lambda actual, _: actual is None,
    "not null": lambda actual, _: actual is not None,
    "exists": lambda actual, _: actual is not None,
    "not exists": lambda actual, _: actual is None,
}
_OF_FILES = frozenset({"contains", "not contains", "all of"})
_UNARY = frozenset({"empty", "not empty", "null", "not null", "exists", "not exists"})
