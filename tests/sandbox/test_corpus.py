"""Code nodes that people really wrote: in the sandbox they do what plain Python does.

Every one that imports the standard library only is run on canned inputs of several kinds, here
and in an ordinary interpreter; the results, or the errors, must be the same.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream.base import MillstreamError

from .conftest import Looked

CORPUS = Path(__file__).parents[2] / "../shared/corpus"

# Two nodes sleep for 13 seconds; nobody needs to.
NO_SLEEP = "import time; time.sleep = lambda seconds: None\n"

PLAIN = """
import json, sys
code, kinds = json.load(sys.stdin)
sys.stdout, out = sys.stderr, sys.stdout
for inputs in kinds:
    scope = {"__name__": "__main__"}
    try:
        exec(compile(code, "main.py", "exec"), scope)
        said = ["value", json.loads(json.dumps(scope["main"](**inputs), allow_nan=False))]
    except BaseException as error:
        said = ["error", type(error).__name__, str(error)]
    print(json.dumps(said), file=out, flush=True)
"""


def code_nodes(value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(value, dict):
        if value.get("type") == "code" and isinstance(value.get("code"), str):
            names = (str(v.get("variable")) for v in value.get("variables") or [])
            yield value["code"], tuple(names)
        for inner in value.values():
            yield from code_nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from code_nodes(inner)


def standard_only(code: str) -> bool:
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return True  # to be told as what it is
    names = [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return all(name.partition(".")[0] in sys.stdlib_module_names for name in names)


def corpus() -> list[tuple[str, tuple[str, ...]]]:
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for path in sorted(CORPUS.glob("*.yml")):
        try:
            found.update(dict.fromkeys(code_nodes(yaml.load(path.read_bytes(), yaml.CSafeLoader))))
        except yaml.YAMLError:
            continue
    return [(code, names) for code, names in found if standard_only(code)]


CANNED: list[Any] = [
    "第一行, 1;2\n## two\n- three http://a.b/c?d=e&f=1 {x}",
    '```json\n[{"title": "t", "content": "c"}]\n```',
    ["one", "two"],
    "1.2.3",
    "42",
    3,
    None,
]


def canned(code: str) -> list[Any]:
    """Values to try: plain ones, and objects that have every key that the code may look for."""
    try:
        words = {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)}
    except SyntaxError:
        words = set()
    keys = sorted(word for word in words if isinstance(word, str) and len(word) < 40)[:60]
    leaf = dict.fromkeys(keys, "s3://a/b.c")
    deep = dict.fromkeys(keys, [leaf] * 4)
    shaped: list[Any] = [leaf, [leaf] * 4, deep, [deep] * 4]
    return [*CANNED, *shaped, *(json.dumps(value, ensure_ascii=False) for value in shaped)]


def plainly(code: str, kinds: list[dict[str, Any]], folder: Path) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", PLAIN],
        input=json.dumps([code, kinds]),
        env={"TZ": "UTC"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def alike(plain: list[Any], error: MillstreamError) -> bool:
    """Whether the sandbox tells the error that plain Python raised."""
    kind, text = plain[1], plain[2]
    match error.code.removeprefix("sandbox."):
        case "raised" | "raised-silently":
            return (error.values["type"], error.values["problem"]) == (kind, text)
        case "arguments":
            return (kind, error.values["problem"]) == ("TypeError", text)
        case "syntax":
            return kind in ("SyntaxError", "IndentationError") and error.values["problem"] in text
        case "no-main":
            return (kind, text) == ("KeyError", "'main'")
        case "not-json":
            return kind in ("TypeError", "ValueError")
    return False


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of public exports is not here")
async def test_code_of_the_corpus_does_what_plain_python_does(tmp_path: Path) -> None:
    sandbox, nodes = Looked(), corpus()
    assert len(nodes) > 80
    values = errors = succeeded = 0
    for code, names in nodes:
        kinds = [dict.fromkeys(names, value) for value in canned(code)]
        code = NO_SLEEP + code
        plain, again = (plainly(code, kinds, tmp_path) for _ in range(2))
        succeeded += any(said[0] == "value" for said in plain)
        for inputs, expected, repeated in zip(kinds, plain, again, strict=True):
            if expected != repeated:  # the time of day, chance
                continue
            if expected[0] == "value":
                assert await sandbox.python(code, **inputs) == expected[1], code
                values += 1
            else:
                error = await sandbox.error(code, **inputs)
                assert alike(expected, error), (code, inputs, expected, error)
                errors += 1
    await sandbox.close()
    print(f"{len(nodes)} code nodes, {succeeded} with a result: {values} values, {errors} errors")
    assert succeeded > 60
