"""Cases for an app: how the file reads, what passes, how like outputs are, what a failure keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import BadInput, Failed
from millstream.lab import cases
from millstream.lab.cases import Case, Ran, alike, unmet


def written(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "cases.jsonl"
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n")
    return path


# ---------------------------------------------------------------------------------------- the file


def test_a_file_of_cases(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"inputs": {"text": "你好"}, "expect": {"contains": "hello"}},
        "",
        {"query": "What now?", "name": "chat"},
    )
    first, second = cases.read(path)
    assert first == Case(1, {"text": "你好"}, expect={"contains": "hello"})
    assert second == Case(3, {}, "What now?", "chat")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", "line is not JSON"),
        ("[1]", "line is not an object"),
        ({"input": {}}, "there is no 'input' in a case"),
        ({"inputs": ["a"]}, "`inputs` is not an object"),
        ({"query": 3}, "`query` is not a text"),
        ({"expect": "yes"}, "`expect` says nothing that can be expected"),
        ({"expect": {"output": "a"}}, "`expect` says nothing that can be expected"),
        ({"expect": {"contains": "a", "regex": "b"}}, "there is no 'regex' in a case"),
        ({"expect": {"contains": [1]}}, "`contains` is neither a text nor a list of texts"),
        ({"expect": {"json-schema": {"type": "txt"}}}, "`json-schema` is no schema: 'txt'"),
        ({"expect": {"json-schema": 5}}, "`json-schema` is no schema"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = written(tmp_path, {"inputs": {}}, line)
    with pytest.raises(BadInput) as caught:
        cases.read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in caught.value.message
    assert caught.value.next_step


def test_no_file_and_no_cases(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        cases.read(tmp_path / "none.jsonl")
    assert "cannot be read: No such file" in caught.value.message
    with pytest.raises(BadInput) as caught:
        cases.read(written(tmp_path, "", ""))
    assert "has no cases" in caught.value.message
    assert '{"inputs": {"text": "…"}, "expect": {"contains": "…"}}' in caught.value.next_step


# ------------------------------------------------------------------------------------ expectations


@pytest.mark.parametrize(
    ("output", "expect", "failure"),
    [
        ("Paris it is", {"contains": "Paris"}, ""),
        ("Paris it is", {"contains": ["Paris", "Rome"]}, "does not contain 'Rome'"),
        (" yes\n", {"equals": "yes"}, ""),
        ("Yes", {"equals": "yes"}, "is not 'yes'"),
        ('{"a": 1}', {"equals": {"a": 1}}, ""),
        ({"a": 1, "b": "x"}, {"contains": '"b": "x"'}, ""),
        ("[1, 2]", {"json-schema": {"type": "array"}}, ""),
        ([1, "x"], {"json-schema": {"items": {"type": "integer"}}}, "schema: 'x' is not of type"),
        ("no json", {"json-schema": {"type": "string"}}, "is not JSON"),
        ("5", {"json-schema": {"$ref": "#/nope"}}, "/nope is not in the schema"),
        ("5", {"json-schema": {"$ref": "file:///etc/hostname"}}, "is not in the schema"),
        ("5", {"json-schema": {"$ref": "http://127.0.0.1:9/s"}}, "is not in the schema"),
        ("5", {"json-schema": {"$ref": "#"}}, "recursion"),
        ('"5"', {"json-schema": {"pattern": "("}}, "missing )"),
        ('"text"', {"json-schema": {"type": "string"}}, ""),
        ("a", {"contains": "a", "equals": "b"}, "is not 'b'"),
    ],
)
def test_expectations(output: Any, expect: dict[str, Any], failure: str) -> None:
    found = unmet(output, expect)
    assert found == failure if not failure else failure in found


def test_how_like_two_texts_are_by_hand() -> None:
    assert alike("night", "nacht") == pytest.approx(2 * 1 / 8)  # ht, of 4 pairs each
    assert alike("abc", "abcd") == pytest.approx(2 * 2 / 5)
    assert alike("a  b\n", "a b") == 1.0
    assert alike("今天天气好", "今天天气坏") == pytest.approx(2 * 3 / 8)
    assert alike("", "") == 1.0
    assert alike("a", "b") == alike("", "abc") == 0.0
    assert alike("abab", "baba") < 1


@given(st.text(), st.text())
def test_likeness_is_symmetric_and_one_for_the_same_alone(one: str, other: str) -> None:
    found = alike(one, other)
    assert found == alike(other, one)
    assert 0 <= found <= 1
    assert (found == 1) == (one.split() == other.split())


# ------------------------------------------------------------------------------------- all models


CASES = [
    Case(1, {"x": "a"}, expect={"contains": "a"}),
    Case(2, {"x": "b"}, expect={"equals": "b!", "output": "y"}),
    Case(4, {"x": "c"}, name="third"),
]


def compared(run: Any) -> list[cases.AppRun]:
    opened: list[int] = []

    @asynccontextmanager
    async def open(number: int) -> AsyncIterator[Any]:
        opened.append(number)

        async def one(case: Case) -> Ran:
            return run(number, case)

        yield one, lambda: 1000 + number

    steps: list[tuple[str, int, int]] = []
    found: list[cases.AppRun] = []
    names = ["base", "quant"]
    work = cases.compare(CASES, names, open, lambda *step: steps.append(step), found)
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        return found
    assert opened == [0, 1]
    assert steps[0] == ("base", 0, 6)
    assert steps[-1] == ("quant", 5, 6)
    return found


def test_all_cases_on_all_models() -> None:
    def run(number: int, case: Case) -> Ran:
        text = case.inputs["x"] + "!" + ("?" if number and case.line == 4 else "")
        return Ran({"y": text}, seconds=1.0 + number, tokens=3)

    base, quant = compared(run)
    assert (base.passed.value, base.similarity, base.same) == (1.0, None, None)
    assert (quant.passed.value, quant.same) == (1.0, 2)
    assert quant.similarity is not None
    assert quant.similarity.value == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert (quant.seconds.value, quant.memory) == (2.0, 1001)
    assert quant.outcomes[2].name == "third"


def test_what_has_run_is_there_after_an_interrupt() -> None:
    def run(number: int, case: Case) -> Ran:
        if number and case.line == 2:
            raise KeyboardInterrupt
        return Ran({"y": case.inputs["x"] + "!"})

    base, quant = compared(run)
    assert len(base.outcomes) == 3
    assert [each.line for each in quant.outcomes] == [1]
    assert (quant.passed.value, quant.same, quant.memory) == (1.0, 1, None)


def test_a_case_that_fails_leaves_the_others() -> None:
    def run(number: int, case: Case) -> Ran:
        if number and case.line == 1:
            raise Failed("embedded.crashed", model="quant", how="SIGSEGV", words="-")
        if number and case.line == 2:
            return Ran({"y": "half"}, error="it stopped")
        return Ran({"y": case.inputs["x"] + "!"})

    _, quant = compared(run)
    crashed, stopped, third = quant.outcomes
    assert not crashed.passed
    assert "SIGSEGV" in crashed.failure
    assert crashed.similarity is None
    assert (stopped.failure, stopped.output) == ("it stopped", None)
    assert third.passed
    assert third.similarity == 1.0
    assert quant.passed.value == pytest.approx(1 / 3)


def test_which_output_is_looked_at() -> None:
    base, _ = compared(lambda number, case: Ran({"z": "b!", "files": []}))
    assert base.outcomes[0].output == "b!"
    assert base.outcomes[1].failure == "the app has no output y (it has: z, files)"
    base, _ = compared(lambda number, case: Ran({"y": "b!", "z": 1}))
    assert base.outcomes[1].passed
    assert base.outcomes[2].output == {"y": "b!", "z": 1}
