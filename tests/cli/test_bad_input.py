"""Each bad input: one clear message with its place and the next step, in both languages, and no
traceback. Errors are tested as the text that a person sees."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canned import document, edges, end, node, start
from cli.parts import Run, llm, template
from cli.person import COMMAND
from millstream.cli import main

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Run a command line in this process; its exit code and what it says beside the result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLSTREAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115

    def say(*words: str) -> tuple[int, str]:
        code = main(words)
        return code, capfd.readouterr().err

    return say


def app(nodes: list[Any], ways: list[Any], mode: str = "workflow") -> str:
    return json.dumps(document(nodes, ways, mode), indent=1)


PLAIN = [start("name"), end(out="start.name")]
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)

# The file, the words after it, the exit code, and what is said in English.
FILES: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...]]] = {
    "not YAML": ("app: [1, 2\nworkflow: }", (), 2, ("bad.yml:2", "not valid YAML")),
    "not a mapping": ("- 1\n- 2\n", (), 2, ("bad.yml:1", "list")),
    "no app": ("name: x\nversion: 1\n", (), 2, ("bad.yml",)),
    "alias bomb": (ALIASES, (), 2, ("bad.yml",)),
    "no start": (app([end(out="a.b")], []), (), 2, ("start",)),
    "cycle": (
        app(
            [start("name"), template("a", "x"), template("b", "y"), end(out="a.output")],
            edges("start>a", "a>b", "b>a", "b>end"),
        ),
        ("name=x",),
        2,
        ("a → b", "bad.yml"),
    ),
    "duplicate id": (
        app([start("name"), template("a", "x"), template("a", "y"), end(out="a.output")],
            edges("start>a", "a>end")),
        ("name=x",),
        2,
        ("'a'", "bad.yml"),
    ),
    "unknown node type": (
        app([start("name"), node("x", "teleport"), end(out="x.y")], edges("start>x", "x>end")),
        ("name=x",),
        2,
        ("teleport", "node 'x'"),
    ),
    "missing input": (
        app(PLAIN, edges("start>end")), (), 2, ("the input 'name' is missing", "name=@FILE")
    ),
    "unknown input": (
        app(PLAIN, edges("start>end")),
        ("nmae=x",),
        2,
        ("no input 'nmae'", "Did you mean name?"),
    ),
    "no form": (app(PLAIN, edges("start>end")), ("name",), 2, ("'name' is not of the form",)),
    "given twice": (
        app(PLAIN, edges("start>end")), ("name=a", "name=b"), 2, ("'name' is given twice",)
    ),
    "no such file": (
        app(PLAIN, edges("start>end")), ("name=@none.txt",), 2, ("'none.txt' cannot be read",)
    ),
    "JSON that is none": (
        app(PLAIN, edges("start>end")), ("--input", "bad.yml.x"), 2, ("bad.yml.x", "not JSON")
    ),
    "mistyped number": (
        app([start("n", type="number"), end(out="start.n")], edges("start>end")),
        ("n=many",),
        2,
        ("the input 'n' must be a number, not 'many'", "n=12"),
    ),
    "not an option": (
        app([node("start", "start", variables=[
            {"variable": "tone", "type": "select", "options": ["kind", "stern"], "required": True}
        ]), end(out="start.tone")], edges("start>end")),
        ("tone=rude",),
        2,
        ("cannot be 'rude'", "kind, stern"),
    ),
    "too long": (
        app([node("start", "start", variables=[
            {"variable": "name", "type": "text-input", "max_length": 3, "required": True}
        ]), end(out="start.name")], edges("start>end")),
        ("name=four",),
        2,
        ("has 4 characters; the app takes at most 3", "max_length"),
    ),
    "chat without a query": (
        app([start(), node("answer", "answer", answer="hi")], edges("start>answer"),
            mode="advanced-chat"),
        (),
        2,
        ("chat app", "--query"),
    ),
    "Jinja that cannot be read": (
        app([start("name"), template("t", "one\n{% if %}"), end(out="t.output")],
            edges("start>t", "t>end")),
        ("name=x",),
        2,
        ("template:2", "node 't'"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_or_input(say: Say, tmp_path: Path, case: str) -> None:
    text, words, code, expected = FILES[case]
    (tmp_path / "bad.yml").write_text(text)
    (tmp_path / "bad.yml.x").write_text("{")
    english = say("run", "bad.yml", *words)
    assert english[0] == code
    for part in expected:
        assert part in english[1], english[1]
    assert english[1].startswith("Error: ")
    assert "Traceback" not in english[1]
    assert "{" not in english[1].replace("{%", "").replace('{"', ""), "a parameter is missing"
    chinese = say("run", "bad.yml", *words, "--lang", "zh")
    assert chinese[0] == code
    assert chinese[1].startswith("错误：")
    assert any("\u4e00" <= char <= "\u9fff" for char in chinese[1].split("：", 1)[1])


def test_what_is_wrong_and_stops_nothing_is_a_warning_of_run(say: Say, tmp_path: Path) -> None:
    nodes = [start("name"), template("lost", "x"), end(out="start.name")]
    text = app(nodes, edges("start>end", "start>nowhere"))
    text = text.replace('"kind": "app",', '"kind": "app",\n "kind": "app",', 1)
    (tmp_path / "odd.yml").write_text(text)
    code, errors = say("run", "odd.yml", "name=x")
    assert code == 0
    for part in (
        "Warning: the key 'kind' is already in line 6; the later one counts\n  at odd.yml:7, kind\n"
        "  → Delete one of the two lines.\n",
        "Warning: the edge has an end at the node 'nowhere', which is not there; it is ignored\n",
        "Warning: no edge leads here from the start; the node never runs\n",
    ):
        assert part in errors, errors
    assert say("run", "odd.yml", "name=x", "--quiet") == (0, "")


def test_an_unknown_node_type_is_a_verdict_of_check(say: Say, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(FILES["unknown node type"][0])
    assert say("check", "bad.yml")[0] == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rum", "x"), ("there is no command 'rum'", "millstream run")),
        (("zzzz",), ("there is no command 'zzzz'", "millstream --help")),
        (("run",), ("something is missing: FILE", "millstream run --help")),
        (("run", "a.yml", "--jsn"), ("millstream run has no option --jsn", "Did you mean --json")),
        (("run", "a.yml", "--limits", "few"), ("--limits cannot be 'few'", "none, dify")),
        (("run", "a.yml", "--json", "--events"), ("--events and --json exclude each other",)),
        (("run", "a.yml", "--model"), ("--model needs a value",)),
        (("run", "a.yml", "--model", " "), ("--model needs a value",)),
        (("run", "a.yml", "--bind", "x"), ("x",)),
        (("show", "a.yml", "b.yml"), ("'b.yml' is one argument too many",)),
        (("--quiet",), ("no command was given",)),
        (("bind", "put"), ("there is no command 'put'", "millstream bind")),
        (("settings", "get", "network.ofline"), ("network.ofline", "network.offline")),
        (("run", "nowhere.yml"), ("nowhere.yml",)),
        (("run", "."), (".",)),
        (("check", "empty"), ("there is no app file in 'empty'",)),
        (("endpoints", "set", "a", "ftp://x"), ("http",)),
    ],
)
def test_a_bad_command_line(
    say: Say, tmp_path: Path, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    code, text = say(*words)
    assert code == 2
    for part in expected:
        assert part in text, text
    code, text = say("--lang", "zh", *words)
    assert (code, text[:3]) == (2, "错误：")


def test_a_file_where_a_command_should_be(say: Say, tmp_path: Path) -> None:
    (tmp_path / "app.yml").write_text(app(PLAIN, edges("start>end")))
    code, text = say("app.yml", "name=x")
    assert code == 2
    assert "millstream run app.yml" in text


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("fit", "nope.gguf"), "gguf.missing"),
        (("quantize", "nope.gguf", "-t", "Q8_0"), "gguf.missing"),
        (("bench", "nope"), "home.no-model"),
        (("loss", "nope.gguf"), ""),
        (("compare", "nope.gguf"), "gguf.missing"),
        (("inputs", "nope.yml"), "dsl.no-file"),
        (("models", "show", "nope"), "home.no-model"),
        (("doctor", "--bogus"), "cli.no-option-near"),
        (("settings", "--home", "a-file"), ""),
        (("run", "nope.yml"), "dsl.no-file"),
        (("run", "nope.yml", "--bind", "x"), "home.bind-form"),
        (("run", "nope.yml", "--limits", "x"), "cli.not-one-of"),
        (("check", "empty"), ""),
    ],
)
def test_who_asks_for_json_gets_an_error_as_json(
    millstream: Run, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "empty").mkdir()
    done = millstream(*words, "--json")
    told = json.loads(done.stdout)
    assert told["error"]["message"] in done.stderr.replace("\n", " ")
    assert not code or told["error"]["code"] == code
    assert done.returncode in (1, 2, 3)
    if words[0] == "run":
        assert told["status"] == "failed"


def test_options_of_a_list_need_no_list(millstream: Run) -> None:
    for command in ("models", "bind", "keys", "endpoints", "settings"):
        bare, whole = (millstream(command, *more, "--json") for more in ((), ("list",)))
        assert (bare.returncode, bare.stdout) == (0, whole.stdout)


def test_a_fault_inside_of_a_run_shows_where_it_is(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_text(app(PLAIN, edges("start>end")))

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("millstream.nodes.end.End.run", broken)
    words = ("run", str(tmp_path / "a.yml"), "name=Ann")
    code, text = say(*words)
    assert code == 1
    assert "ZeroDivisionError: oops" in text
    assert "Traceback" not in text
    monkeypatch.setenv("MILLSTREAM_DEBUG", "1")
    assert "in broken" in say(*words)[1]


def test_an_envelope_is_accepted(millstream: Run, tmp_path: Path) -> None:
    inner = app(PLAIN, edges("start>end"))
    (tmp_path / "wrapped.json").write_text(json.dumps({"data": inner}))
    assert millstream("run", "wrapped.json", "name=Ann").stdout == "Ann\n"


def test_an_unexpected_fault_is_told_without_a_traceback(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("millstream.cli.bind.run", broken)
    code, text = say("bind", "list")
    assert code == 1
    assert "ZeroDivisionError: oops" in text
    assert "MILLSTREAM_DEBUG=1" in text
    assert "Traceback" not in text
    monkeypatch.setenv("MILLSTREAM_DEBUG", "1")
    assert "Traceback" in say("bind", "list")[1]


def test_a_newer_data_directory_is_refused(millstream: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "home.json").write_text('{"format": 99, "written_by": "9.9"}')
    done = millstream("settings")
    assert done.returncode == 2
    assert "99" in done.stderr


def test_code_that_raises_names_its_line(millstream: Run, tmp_path: Path) -> None:
    code = node(
        "code", "code", code_language="python3", variables=[], outputs={"x": {"type": "string"}},
        code="def main():\n    y = 1\n    return {'x': 1 / 0}\n",
    )  # fmt: skip
    (tmp_path / "code.yml").write_text(
        app([start(), code, end(x="code.x")], edges("start>code", "code>end"))
    )
    done = millstream("run", "code.yml")
    if done.returncode == 3:
        pytest.skip("code does not run on this machine: " + done.stderr.splitlines()[0])
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "code:3" in done.stderr


def test_a_message_as_long_as_a_book_is_shown_in_part(millstream: Run, tmp_path: Path) -> None:
    code = node(
        "code", "code", code_language="python3", variables=[], outputs={"x": {"type": "string"}},
        code="def main():\n    raise ValueError('begin ' + 'x' * 1_000_000 + ' end')\n",
    )  # fmt: skip
    (tmp_path / "code.yml").write_text(
        app([start(), code, end(x="code.x")], edges("start>code", "code>end"))
    )
    done = millstream("run", "code.yml")
    if done.returncode == 3:
        pytest.skip("code does not run on this machine: " + done.stderr.splitlines()[0])
    assert done.returncode == 1
    assert len(done.stderr) < 10_000
    assert "begin xxx" in done.stderr
    assert " more characters …" in done.stderr
    assert "xxx end" in done.stderr
    more = json.loads(millstream("run", "code.yml", "--json").stdout)["error"]["message"]
    assert 100_000 < len(more) < 101_000


CODE = {"code_language": "python3", "variables": [], "outputs": {"x": {"type": "string"}}}

# The nodes between start and end, and what a run of them says in the end.
RUNS: dict[str, tuple[Any, str]] = {
    "Jinja that cannot be rendered": (
        template("t", "one\n{{ 1 // 0 }}"),
        "Error: the Jinja2 template could not be rendered: integer division or modulo by zero\n"
        "  at bad.yml:26, node 't' (t), template:2\n"
        "  → Check that the values given to the template are what it expects: an optional one may "
        "be missing, `default` or `if` can catch that.\n",
    ),
    "code that returns no object": (
        node("t", "code", code="def main():\n    return [1]\n", **CODE),
        "Error: the code returned array[number]; it must return an object with the declared "
        "outputs\n"
        "  at bad.yml:20, node 't' (t)\n"
        "  → End `main` with a return of a dict, such as `return {'result': …}`.\n",
    ),
    "code that returns another type": (
        node("t", "code", code="def main():\n    return {'x': 5}\n", **CODE),
        "Error: the output x is declared as string but is number\n"
        "  at bad.yml:20, node 't' (t)\n"
        "  → Convert it in the code, or declare the type that it has.\n",
    ),
    "code that forgets an output": (
        node("t", "code", code="def main():\n    return {'y': 'a'}\n", **CODE),
        "Error: the code did not return the declared output x\n"
        "  at bad.yml:20, node 't' (t)\n"
        "  → Return it, or take it out of the node's outputs.\n",
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_node_that_fails(millstream: Run, tmp_path: Path, case: str) -> None:
    middle, expected = RUNS[case]
    text = app([start(), middle, end(out="t.x")], edges("start>t", "t>end"))
    (tmp_path / "bad.yml").write_text(text)
    done = millstream("run", "bad.yml", "--quiet")
    if done.returncode == 3:
        pytest.skip("code does not run on this machine: " + done.stderr.splitlines()[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == expected


def test_an_answer_that_never_is_json(millstream: Run, tmp_path: Path, serve: Any) -> None:
    serve(["no json at all"], ["nor this"], ["nor that"])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    asks = llm(structured_output_enabled=True, structured_output={"schema": schema})
    text = app(
        [start("name"), asks, end(out="llm.structured_output")], edges("start>llm", "llm>end")
    )
    (tmp_path / "bad.yml").write_text(text)
    done = millstream("run", "bad.yml", "name=x", "--model", "stub/m", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    error = done.stderr[done.stderr.index("Error: ") :]
    assert error.startswith(
        "Error: stub/m did not answer with JSON that fulfils the schema, though asked again 2 times"
    )
    assert "The answer begins: n" in error
    assert ", node 'llm' (llm)\n  → Make the schema simpler, " in error


def test_a_model_that_is_not_here_stops_before_the_first_node(millstream: Run, speaks: str) -> None:
    done = millstream("run", speaks, "name=x")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        f"Error: the model openai/gpt-x is not here: there is no key for openai\n  at {speaks}:"
    )
    assert "\n  → Set OPENAI_API_KEY, or store the key with `millstream keys set openai`." in (
        done.stderr
    )
    assert "✓" not in done.stderr


def test_nothing_answers_where_the_model_should_be(millstream: Run, speaks: str) -> None:
    millstream("endpoints", "set", "box", "http://127.0.0.1:9/v1")
    done = millstream("run", speaks, "name=x", "--model", "box/m", "--quiet")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Error: nothing answers at http://127.0.0.1:9: the connection was refused\n" in (
        done.stderr
    )
    assert "\n  → Start the server there, or see what was looked for and what answered: " in (
        done.stderr
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["fit 7b --no-speed", "models", "check hello.yml", "--help"])
def test_streams_that_are_closed(
    env: dict[str, str], hello: str, tmp_path: Path, closed: str, words: str
) -> None:
    command = f"{' '.join(COMMAND)} {words} {closed}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Millstream" not in done.stderr


def test_what_an_app_does_not_take(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "name=x", "--query", "hi")
    assert done.returncode == 2
    assert "--query is for chat apps" in done.stderr
    done = millstream("run")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: something is missing: FILE\n")
