"""What can be said of code without running it, held against what running it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import document, edges, end, node, start
from millstream import loads
from millstream.checks import report
from millstream.nodes.code import doubt

NAMES = "abcd"


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """The parameters of a function, of every kind and with defaults where Python allows them."""
    names = draw(st.permutations(NAMES))
    split = sorted(draw(st.lists(st.integers(0, len(names)), min_size=2, max_size=2)))
    only, plain, keyword = names[: split[0]], names[split[0] : split[1]], names[split[1] :]
    count = len(only) + len(plain)
    first = draw(st.integers(0, count))  # the first with a default
    said = [name + ("=0" if i >= first else "") for i, name in enumerate([*only, *plain])]
    if only:
        said.insert(len(only), "/")
    keyword = keyword[: draw(st.integers(0, len(keyword)))]
    rest = draw(st.sampled_from(["", "*rest"]))
    if keyword or rest:
        said.append(rest or "*")
    said += [name + draw(st.sampled_from(["", "=0"])) for name in keyword]
    if draw(st.booleans()):
        said.append("**more")
    return ", ".join(said)


@given(parameters(), st.sets(st.sampled_from(NAMES + "z")))
def test_inputs_fit_the_parameters_where_python_says_so(written: str, inputs: set[str]) -> None:
    code = f"def main({written}):\n    return {{}}\n"
    scope: dict[str, Any] = {}
    exec(code, scope)
    try:
        scope["main"](**dict.fromkeys(inputs))
        fits = True
    except TypeError:
        fits = False
    found = doubt(code, sorted(inputs))
    assert found is None or not fits
    assert found is not None or fits or "/" in written  # which names are taken is not simple
    assert found is None or found.code == "sandbox.arguments"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1", "sandbox.no-main"),
        ("", "sandbox.no-main"),
        ("def mains(): return {}", "sandbox.no-main"),
        ("def main(:\n", "sandbox.syntax"),
        ("(" * 100_000, "sandbox.syntax"),
        ("from helpers import *", None),
        ("from helpers import main", None),
        ("globals()['main'] = lambda: {}", None),
        ("main = lambda a: {}", None),
        ("def main(a): ...\nmain = print", None),
        ("@given\ndef main(a): ...", None),
        ("async def main(a): ...", None),
        ("if True:\n    def main(a): ...", None),
        ("def main(a, a): ...", None),
    ],
)
def test_what_is_sure_and_what_only_a_run_tells(code: str, said: str | None) -> None:
    found = doubt(code, [])
    assert (found.code if found else None) == said


@given(st.text(max_size=60))
def test_any_text_at_all(code: str) -> None:
    doubt(code, ["x"])
    doubt(f"def main({code}): ...", ["x"])


def test_a_check_warns_with_the_line_of_the_code() -> None:
    code = node("code", "code", code_language="python3", code="def main(x):\n  return {\n",
                variables=[], outputs={})  # fmt: skip
    nodes = [start("x"), code, end(o="code.o")]
    made = document(nodes, edges("start>code", "code>end"))
    found = {each.id: each for each in report(loads(json.dumps(made)).plan, ()).nodes}["code"]
    (problem,) = (each for each in found.problems if each["code"] == "sandbox.syntax")
    assert problem["severity"] == "warning"
    assert problem["place"]["field"] == "code:2"
    assert found.verdict == "as-is"
    code["data"]["code_language"] = "javascript"
    assert "sandbox.syntax" not in str(report(loads(json.dumps(made)).plan, ()))
