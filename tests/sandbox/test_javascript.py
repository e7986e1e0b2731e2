"""JavaScript code, by quickjs-ng in the same kind of locked process."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("quickjs", reason="the extra `javascript` is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "code",
    [
        "function main({a, b}) { return {a, b} }",
        "const main = ({a, b}) => ({a, b})",
        "var main = (inputs) => inputs",
        "async function main({a, b}) { await null; return {a, b} }",
        "function main(x) { return new Promise((done) => Promise.resolve().then(() => done(x))) }",
    ],
)
async def test_main_takes_one_object(sandbox: Any, code: str) -> None:
    inputs = {"a": [1, 2.5, None, "ä\u0000😀"], "b": {"c": True}}
    assert await sandbox.javascript(code, **inputs) == inputs


async def test_the_language_is_a_new_one(sandbox: Any) -> None:
    code = """\
class Point { #x = 1; get x() { return this.#x } }
function main() {
  const groups = Object.groupBy([1, 2, 3], (n) => n % 2 ? "odd" : "even");
  return { x: new Point().x, groups, last: [1, 2].at(-1), sorted: [2, 1].toSorted(),
    match: "a1".match(/(?<digit>\\d)/).groups.digit, big: (2n ** 64n).toString(),
    none: null ?? "d", date: new Date(0).toISOString() };
}
"""
    assert await sandbox.javascript(code) == {
        "x": 1,
        "groups": {"odd": [1, 3], "even": [2]},
        "last": 2,
        "sorted": [1, 2],
        "match": "1",
        "big": "18446744073709551616",
        "none": "d",
        "date": "1970-01-01T00:00:00.000Z",
    }


async def test_console_prints(sandbox: Any) -> None:
    code = """\
console.log("a", 1, {b: [2]}, null, undefined, "\\u0000ä");
function main() { console.error(new TypeError("bad")); console.warn(() => 1); return 1 }
"""
    result = await sandbox.run_code("javascript", code, {})
    lines = result.printed.splitlines()
    assert lines[0] == 'a 1 {"b":[2]} null undefined \u0000ä'
    assert lines[1] == "TypeError: bad"
    assert lines[-1] == "() => 1"


async def test_values_that_json_leaves_out_are_left_out(sandbox: Any) -> None:
    code = "function main() { return {a: undefined, b: NaN, c: () => 1, d: new Date(0)} }"
    assert await sandbox.javascript(code) == {"b": None, "d": "1970-01-01T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "function main() {\n  const a = null\n  return a.x\n}",
            "line 3: the code raised TypeError: cannot read property 'x' of null",
        ),
        ("\n\nthrow new RangeError('top')", "line 3: the code raised RangeError: top"),
        ("function main() {\n throw 'words' }", "the code raised Error: words"),
        (
            "function f() {\n  throw new Error('in')\n}\nfunction main() { return [1].map(f) }",
            "line 2: the code raised Error: in",
        ),
        (
            "async function main() {\n await null;\n throw new Error('late') }",
            "line 3: the code raised Error: late",
        ),
        ("function main() {\n let a = ;\n}", "line 2: the code cannot be read: unexpected token"),
        ("function mane() {}", "the code has no function main"),
        ("let main = 1", "the code has no function main"),
        ("function main() {}", "main returned something that JSON cannot hold: undefined"),
        ("function main() { return main }", "main returned something that JSON cannot hold"),
        ("async function main() { await new Promise(() => 0) }", "main returned something that"),
        ("function main() { return 1n }", "the code raised TypeError: "),
        ("function main() { const a = {}; a.a = a; return a }", "the code raised TypeError: "),
        (
            "function main() { return '\\ud800' }",
            "main returned something that JSON cannot hold: a",
        ),
        ("const fs = require('fs')", "line 1: the code raised ReferenceError: require is not def"),
        ("function main() { return fetch('http://a') }", "line 1: the code raised ReferenceError"),
        ("function main() { return process.env }", "line 1: the code raised ReferenceError: proc"),
        ("function main() { return main() }", "line 1: the code raised RangeError: Maximum call"),
        ("'use strict'; import('os').then(1); function main() { return 1 }", ""),
    ],
)
async def test_what_goes_wrong_is_told(sandbox: Any, code: str, message: str) -> None:
    if message:
        assert str(await sandbox.error(code, "javascript")).startswith(message)
    else:
        assert await sandbox.javascript(code) == 1


STOPPED = {
    "endless loop": ("function main() { for (;;); }", "time-limit"),
    "endless promises": (
        "function main() { const f = () => Promise.resolve().then(f); return f() }",
        "time-limit memory-limit",  # each waits for the next one
    ),
    "regular expression": (
        "function main() { return /(a+)+$/.test('a'.repeat(40) + 'b') }",
        "time-limit",
    ),
    "array": (
        "function main() { const a = []; for (;;) a.push('x'.repeat(1e5) + a) }",
        "memory-limit",
    ),
    "text": ("function main() { let s = 'x'; for (;;) s = s + s }", "memory-limit raised"),
    "typed array": ("function main() { return new Uint8Array(2 ** 30).length }", "memory-limit"),
    "deep nesting": (
        "function main() { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a }",
        "raised not-json",
    ),
    "output": ("function main() { return 'x'.repeat(5e6) }", "output-limit"),
    "console": ("function main() { for (;;) console.log('x'.repeat(1e4)) }", "output-limit"),
    "catching everything": (
        "function main() { for (;;) try { for (;;) console.log('x'.repeat(1e4)) } catch {} }",
        "time-limit output-limit memory-limit",
    ),
    "nested source": ("(" * 100_000, "raised syntax"),
}


@pytest.mark.parametrize("name", STOPPED)
async def test_wild_code_is_stopped(sandbox: Any, name: str) -> None:
    code, expected = STOPPED[name]
    sandbox.wait_for(expected)
    error = await sandbox.error(code, "javascript")
    assert error.code.removeprefix("sandbox.") in expected.split(), error
    sandbox.wait_for("")
    assert await sandbox.javascript("function main({a}) { return a + 1 }", a=1) == 2
    assert await sandbox.children("javascript") == []
    assert await sandbox.files("javascript") == []


# With no memory left for an error, the engine throws null, or forgets the promise.
@pytest.mark.parametrize(
    "code",
    [
        "function main() { const all = []; for (;;) all.push({}) }",
        "function main() { let chain = null; for (;;) chain = {chain} }",
        "function main() { let f = null; for (;;) { const g = f; f = () => g } }",
        "function main() { const m = new Map(); for (let i = 0; ; i++) m.set('k' + i, i) }",
        "async function main() { const all = []; for (;;) { all.push([all.length]); await 1 } }",
    ],
)
async def test_memory_that_ran_out_is_what_a_person_reads(sandbox: Any, code: str) -> None:
    error = await sandbox.error(code, "javascript")
    assert "needed more memory than the 400 MB" in str(error), error


@pytest.mark.parametrize(
    "code", ["function main() { throw null }", "function main() { return Promise.reject(null) }"]
)
async def test_null_that_was_thrown_is_no_lack_of_memory(sandbox: Any, code: str) -> None:
    error = await sandbox.error(code, "javascript")
    assert error.code == "sandbox.raised"


async def test_a_promise_that_nobody_keeps_is_no_result(sandbox: Any) -> None:
    error = await sandbox.error("function main() { return new Promise(() => {}) }", "javascript")
    assert error.code == "sandbox.not-json"


async def test_a_call_sees_nothing_of_the_call_before(sandbox: Any) -> None:
    await sandbox.javascript(
        "globalThis.left = 1; JSON.stringify = () => '1'; Array.prototype.map = null;"
        "function main() { return 1 }"
    )
    code = "function main() { return [typeof left, [1].map(String), typeof __print] }"
    assert await sandbox.javascript(code) == ["undefined", ["1"], "undefined"]
