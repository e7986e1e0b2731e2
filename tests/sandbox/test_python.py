"""Python code: what goes in, what comes out, and what its author is told when it does not work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.base import BadInput, Failed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_inputs_are_keyword_arguments_and_the_result_is_json(sandbox: Any) -> None:
    code = "def main(a, b='default', **rest): return {'a': a, 'b': b, 'rest': rest}"
    assert await sandbox.python(code, a=[1, 2.5, None, True, {"ä": "\u0000😀"}], c="x") == {
        "a": [1, 2.5, None, True, {"ä": "\u0000😀"}],
        "b": "default",
        "rest": {"c": "x"},
    }


async def test_what_is_printed_is_returned_beside_the_value(sandbox: Any) -> None:
    code = """\
import sys
print("loading", end="…")
def main():
    print("ä", 1, sep="\\n", file=sys.stderr)
    sys.stdout.buffer.write(b"bytes\\n")
    sys.stdout.write("half \\ud800\\r\\n")
    return None
"""
    result = await sandbox.run_code("python3", code, {})
    assert result.value is None
    assert result.printed == "loading…ä\n1\nbytes\nhalf \\ud800\r\n"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("(1, (2,))", [1, [2]]),
        ("{1: 'a', None: 'b', True: 'c', 2.5: 'd'}", {"1": "c", "null": "b", "2.5": "d"}),
        ("10 ** 100", 10**100),
        ("-0.0", -0.0),
        ("1e308", 1e308),
        ("collections.OrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
        ("collections.namedtuple('P', 'x y')(1, 2)", [1, 2]),
        ("collections.Counter('aab')", {"a": 2, "b": 1}),
        ("enum.IntEnum('E', 'A B').B", 2),
        ("'x' * 3_000_000", "x" * 3_000_000),
    ],
)
async def test_python_values_become_json(sandbox: Any, returned: str, expected: Any) -> None:
    code = f"import collections, enum\ndef main(): return {{'r': {returned}}}"
    assert await sandbox.python(code) == {"r": expected}


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ("{1, 2}", "a value of type set"),
        ("b'x'", "a value of type bytes"),
        ("object()", "a value of type object"),
        ("datetime.datetime.now()", "a value of type datetime"),
        ("main", "a value of type function"),
        ("float('nan')", "nan"),
        ("-float('inf')", "-inf"),
        ("10 ** 5000", "a number of more than 4300 digits"),
        ("'half \\ud800'", "a text with half a character in it (a lone surrogate)"),
        ("{(1, 2): 3}", "a key of type tuple"),
    ],
)
async def test_what_json_cannot_hold_is_named_with_its_place(
    sandbox: Any, returned: str, what: str
) -> None:
    code = f"import datetime\ndef main(): return {{'fine': 1, 'list': [0, {returned}]}}"
    error = await sandbox.error(code)
    assert error.message == (f"main returned something that JSON cannot hold: ['list'][1]: {what}")
    assert "str()" in error.next_step


@pytest.mark.parametrize("returned", ["deep", "round"])
async def test_lists_without_a_bottom_are_no_json(sandbox: Any, returned: str) -> None:
    code = f"""\
def main():
    round = []
    round.append(round)
    deep = []
    for _ in range(5000): deep = [deep]
    return {returned}
"""
    error = await sandbox.error(code)
    assert error.message.endswith("cannot hold: lists and objects nested too deeply")


async def test_an_exception_is_told_with_type_text_and_line(sandbox: Any) -> None:
    code = """\
import json

def helper(text):
    return json.loads(text)

def main(text):
    return helper(text)
"""
    error = await sandbox.error(code, text="{")
    assert isinstance(error, Failed)
    assert str(error) == (
        "line 4: the code raised JSONDecodeError: Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)"
    )
    assert error.type == "CodeExecutionError"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def main():\n  return 1/0",
            "line 2: the code raised ZeroDivisionError: division by zero",
        ),
        ("raise KeyError('top')", "line 1: the code raised KeyError: 'top'"),
        ("def main():\n\n assert False", "line 3: the code raised AssertionError"),
        ("import sys\ndef main(): sys.exit(3)", "line 2: the code raised SystemExit: 3"),
        ("def main(): exit()", "line 1: the code raised SystemExit: None"),
        ("def main(): input()", "line 1: the code raised EOFError: EOF when reading a line"),
        (
            "class E(Exception):\n def __str__(self): raise self\ndef main(): raise E",
            "line 3: the code raised E",
        ),
        ("def main(:\n pass", "line 1: the code cannot be read: invalid syntax"),
        ("def main():\n'", "line 2: the code cannot be read: unterminated string literal"),
        ("x = 1\n\ty", "line 2: the code cannot be read: unexpected indent"),
        ("a = '\0'", "the code cannot be read: source code string cannot contain null bytes"),
        ("x = 1", "the code has no function main"),
        ("", "the code has no function main"),
        ("main = 1", "the code has no function main"),
        (
            "import definitely_not_here.at_all",
            "line 1: the code needs the package definitely_not_here; code can import the standard "
            "library only",
        ),
        (
            "import socket\ndef main():\n  socket.create_connection(('127.0.0.1', 1))",
            "line 3: the code wanted to use the network, which code cannot ([Errno 1] Operation "
            "not permitted)",
        ),
        (
            "from urllib.request import urlopen\ndef main():\n  urlopen('http://127.0.0.1:1')",
            "line 3: the code wanted to use the network, which code cannot (<urlopen error [Errno "
            "1] Operation not permitted>)",
        ),
    ],
)
async def test_what_goes_wrong_in_the_code_is_told(sandbox: Any, code: str, message: str) -> None:
    assert str(await sandbox.error(code)).startswith(message)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def main(a): pass", "main() missing 1 required positional argument: 'a'"),
        ("def main(b, x): pass", "main() missing 1 required positional argument: 'b'"),
        ("def main(): pass", "main() got an unexpected keyword argument 'x'"),
    ],
)
async def test_inputs_that_main_does_not_take_are_named(
    sandbox: Any, code: str, problem: str
) -> None:
    error = await sandbox.error(code, **({} if "(a)" in code else {"x": 1}))
    assert str(error) == f"the inputs do not fit the parameters of main: {problem}"


async def test_a_type_error_inside_of_main_is_the_code_s_own(sandbox: Any) -> None:
    error = await sandbox.error("def main(x):\n  return x + 'a'", x=1)
    assert str(error).startswith("line 2: the code raised TypeError: unsupported operand")


async def test_what_was_printed_before_an_error_is_not_lost(sandbox: Any) -> None:
    error = await sandbox.error("def main():\n  print('so far')\n  raise ValueError('x')")
    assert error.values["printed"] == "so far\n"


async def test_a_missing_package_comes_with_the_commands_that_install_it(sandbox: Any) -> None:
    error = await sandbox.error("import pandas")
    assert "sandbox.packages" in error.next_step
    assert "code-env/bin/pip install pandas" in error.next_step


# ------------------------------------------------------------------- ordinary code finds its home

WORKS = {
    "the folder can be written": (
        "import os, tempfile\n"
        "def main():\n"
        "  open('here', 'w').write('a')\n"
        "  with tempfile.TemporaryDirectory() as d:\n"
        "    open(d + '/b', 'w').write('b'); os.replace(d + '/b', 'there')\n"
        "  return sorted(os.listdir('.')), os.path.expanduser('~') == os.getcwd()",
        [["here", "there"], True],
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def main():\n"
        "  with ThreadPoolExecutor(32) as pool: return list(pool.map(lambda x: x * x, range(99)))",
        [x * x for x in range(99)],
    ),
    "asyncio": (
        "import asyncio\n"
        "async def work(x):\n  await asyncio.sleep(0.01)\n  return x\n"
        "async def all(): return await asyncio.gather(*map(work, range(5)))\n"
        "def main(): return asyncio.run(all())",
        [0, 1, 2, 3, 4],
    ),
    "late imports": (
        "def main():\n"
        "  import decimal, xml.etree.ElementTree as e, hashlib, uuid, secrets, statistics, csv\n"
        "  import sqlite3, zoneinfo, difflib, html, logging, pathlib, pickle, email.message\n"
        "  return hashlib.md5(b'a').hexdigest()[:6], e.fromstring('<a>b</a>').text",
        ["0cc175", "b"],
    ),
    "a database in the folder": (
        "import sqlite3\n"
        "def main():\n"
        "  c = sqlite3.connect('d.db'); c.execute('create table t(x)')\n"
        "  c.execute('insert into t values (7)'); c.commit()\n"
        "  return c.execute('select x from t').fetchall()",
        [[7]],
    ),
    "time zones, and UTC as on a server": (
        "import datetime, time, zoneinfo\n"
        "def main():\n"
        "  t = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)\n"
        "  return (time.timezone, datetime.datetime.fromtimestamp(0).hour,\n"
        "    datetime.datetime.strptime('2024-02-03', '%Y-%m-%d').day)",
        [0, 0, 3],
    ),
    "dataclasses and pickles of __main__": (
        "import dataclasses, pickle\n"
        "@dataclasses.dataclass\nclass P:\n  x: 'int'\n"
        "def main(): return pickle.loads(pickle.dumps(P(3))).x, __name__",
        [3, "__main__"],
    ),
    "temporary copies": (
        "import shutil, os\n"
        "def main():\n"
        "  open('a', 'w').write('x'); shutil.copyfile('a', 'b'); shutil.move('b', 'c')\n"
        "  return open('c').read(), os.path.exists('b')",
        ["x", False],
    ),
    "signals to itself": (
        "import signal\n"
        "def main():\n"
        "  got = []\n"
        "  signal.signal(signal.SIGALRM, lambda *a: got.append(1))\n"
        "  signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()\n"
        "  return got",
        [1],
    ),
    "a stdout of its own": (
        "import sys, io\n"
        "def main():\n"
        "  sys.stdout.close(); sys.stdout = sys.stderr = io.StringIO(); print('x')\n"
        "  return sys.stdout.getvalue()",
        "x\n",
    ),
    "null": ("def main():\n  print('x', file=open('/dev/null', 'w'))\n  return 1", 1),
}


@pytest.mark.parametrize("name", WORKS)
async def test_ordinary_code_works(sandbox: Any, name: str) -> None:
    code, expected = WORKS[name]
    assert await sandbox.python(code) == expected


async def test_every_call_has_chance_of_its_own(sandbox: Any) -> None:
    code = "import random, uuid\ndef main(): return random.random(), str(uuid.uuid4())"
    one, two = await sandbox.python(code), await sandbox.python(code)
    assert one[0] != two[0]
    assert one[1] != two[1]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@settings(max_examples=40)
@given(value=json_values)
async def test_any_json_comes_back_as_it_went_in(sandbox: Any, value: Any) -> None:
    assert await sandbox.python("def main(value): return value", value=value) == value


async def test_large_inputs_and_results_pass_whole(sandbox: Any) -> None:
    rows = [{"id": i, "text": "ä" * 20} for i in range(30_000)]
    assert len(json.dumps(rows, ensure_ascii=False).encode()) > 1_500_000
    assert await sandbox.python("def main(rows): return rows", rows=rows) == rows


async def test_inputs_that_are_no_json_are_refused_here(sandbox: Any) -> None:
    error = await sandbox.error("def main(x): return x", x={1, 2})
    assert str(error).startswith("the inputs cannot be handed over as JSON: ")


async def test_a_language_that_nobody_speaks_is_bad_input(sandbox: Any) -> None:
    error = await sandbox.error("puts 1", "ruby")
    assert isinstance(error, BadInput)
    assert error.message == "code in 'ruby' cannot be run; python3 and javascript can"
