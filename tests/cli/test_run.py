"""`millstream run` as scripts use it: pipes, files, JSON, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canned import edges, end, node, start
from cli.parts import Run, Write, llm, template
from cli.person import COMMAND
from millstream.cli.watch import path
from millstream.runtime import Result


def test_the_one_output_is_all_that_a_pipe_gets(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "name=Ann")
    assert done.returncode == 0
    assert done.stdout == "Hello Ann!\n"
    assert "✓ greet" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_quiet_says_nothing_beside_the_result(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "name=Ann", "--quiet")
    assert (done.stdout, done.stderr) == ("Hello Ann!\n", "")


def test_several_outputs_have_their_names(millstream: Run, write: Write) -> None:
    both = template("t", "{{ name }},\nbye", name="start.name")
    write("two.yml", [start("name"), both, end(text="t.output", who="start.name")],
          edges("start>t", "t>end"))  # fmt: skip
    done = millstream("run", "two.yml", "name=Ann")
    assert done.stdout == "text:\nAnn,\nbye\nwho: Ann\n"
    assert millstream("run", "two.yml", "name=Ann", "-o", "who").stdout == "Ann\n"
    wrong = millstream("run", "two.yml", "name=Ann", "-o", "whom")
    assert wrong.returncode == 2
    assert "the run has no output 'whom'" in wrong.stderr
    assert "It has: text, who." in wrong.stderr


def test_an_output_that_is_no_text_is_json(millstream: Run, write: Write) -> None:
    write("n.yml", [start("count", type="number"), end(count="start.count")], edges("start>end"))
    assert millstream("run", "n.yml", "count=3").stdout == "3\n"


# ------------------------------------------------------------------------------------------ inputs


def test_options_may_stand_between_inputs(millstream: Run, write: Write) -> None:
    nodes = [start("a", "b"), end(a="start.a", b="start.b")]
    write("ab.yml", nodes, edges("start>end"))
    assert millstream("run", "ab.yml", "a=1", "-q", "b=2 = 2").stdout == "a: 1\nb: 2 = 2\n"


def test_an_input_from_a_file_and_a_text_that_begins_with_an_at(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    (tmp_path / "name.txt").write_text("Zoë\nand all")
    assert millstream("run", hello, "name=@name.txt").stdout == "Hello Zoë\nand all!\n"
    assert millstream("run", hello, "name=@@ann").stdout == "Hello @ann!\n"


def test_inputs_as_json_and_what_goes_before_them(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_text('{"name": "from JSON"}')
    assert millstream("run", hello, "--input", "in.json").stdout == "Hello from JSON!\n"
    assert millstream("run", hello, "--input", "in.json", "name=me").stdout == "Hello me!\n"
    piped = millstream("run", hello, "--input", "-", stdin='{"name": "pipe"}')
    assert piped.stdout == "Hello pipe!\n"


def test_a_pipe_fills_the_one_required_text(millstream: Run, hello: str, write: Write) -> None:
    assert millstream("run", hello, stdin="from a\npipe\n").stdout == "Hello from a\npipe!\n"
    assert millstream("run", hello, "name=given", stdin="ignored").stdout == "Hello given!\n"
    write("ab.yml", [start("a", "b"), end(a="start.a")], edges("start>end"))
    two = millstream("run", "ab.yml", stdin="whose?")
    assert two.returncode == 2
    assert "the inputs 'a', 'b' are missing" in two.stderr


def test_what_nobody_gives_is_as_in_the_untouched_form(millstream: Run, write: Write) -> None:
    variables = [
        {"variable": "tone", "type": "select", "options": ["kind", "stern"], "default": "kind"},
        {"variable": "count", "type": "number", "default": "3"},
        {"variable": "note", "type": "text-input"},
    ]
    for variable in variables[:2]:
        variable["required"] = True
    form = node("start", "start", variables=variables)
    names = {name: f"start.{name}" for name in ("tone", "count", "note")}
    written = template("t", "{{ tone }} {{ count }} [{{ note }}]", **names)
    write("form.yml", [form, written, end(out="t.output")], edges("start>t", "t>end"))
    assert millstream("run", "form.yml").stdout == "kind 3 []\n"
    assert millstream("run", "form.yml", "tone=stern").stdout == "stern 3 []\n"
    nothing = millstream("run", "form.yml", "--input", "-", stdin='{"tone": null}')
    assert nothing.stdout == "kind 3 []\n"


def test_an_output_that_the_app_does_not_have_is_told_before_the_run(
    millstream: Run, hello: str
) -> None:
    done = millstream("run", hello, "name=Ann", "--output", "nix")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: the run has no output 'nix'\n  → It has: text.\n"


def test_an_output_whose_end_was_not_reached_costs_nothing_that_was(
    millstream: Run, write: Write
) -> None:
    case = {"case_id": "yes", "logical_operator": "and", "conditions": [
        {"variable_selector": ["start", "name"], "comparison_operator": "is", "value": "a"}
    ]}  # fmt: skip
    ways = [
        {"source": "start", "target": "if"},
        {"source": "if", "target": "one", "sourceHandle": "yes"},
        {"source": "if", "target": "two", "sourceHandle": "false"},
    ]
    ends = [
        node(name, "end", outputs=[{"variable": name, "value_selector": ["start", "name"]}])
        for name in ("one", "two")
    ]
    write("two.yml", [start("name"), node("if", "if-else", cases=[case]), *ends], ways)
    done = millstream("run", "two.yml", "name=b", "--output", "one", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert "two: b" in done.stderr
    assert "It has: two." in done.stderr


def test_nothing_on_standard_input_is_a_missing_input(millstream: Run, hello: str) -> None:
    done = millstream("run", hello)
    assert done.returncode == 2
    assert "the input 'name' is missing" in done.stderr
    assert "name=@FILE" in done.stderr


def test_the_app_itself_may_come_through_the_pipe(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    text = (tmp_path / hello).read_text()
    assert millstream("run", "-", "name=Ann", stdin=text).stdout == "Hello Ann!\n"


def test_files_become_file_values(millstream: Run, write: Write, tmp_path: Path) -> None:
    variables = [
        {"variable": "doc", "type": "file", "required": True, "allowed_file_types": ["document"]},
        {"variable": "more", "type": "file-list", "required": False},
    ]
    begin = node("start", "start", variables=variables)
    write("f.yml", [begin, end(doc="start.doc", more="start.more")], edges("start>end"))
    (tmp_path / "a b.md").write_text("# text")
    (tmp_path / "c.png").write_bytes(b"png")
    web = "https://example.org/x/y%20z.pdf?token=1"
    done = millstream("run", "f.yml", "doc=@a b.md", f"more={web}", "more=@c.png", "--json")
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs["doc"] == outputs["doc"] | {
        "type": "document",
        "transfer_method": "local_file",
        "name": "a b.md",
        "url": (tmp_path / "a b.md").resolve().as_uri(),
        "mime_type": "text/markdown",
        "extension": ".md",
        "size": 6,
    }
    assert [(f["name"], f["type"]) for f in outputs["more"]] == [
        ("y z.pdf", "document"),
        ("c.png", "image"),
    ]
    refused = millstream("run", "f.yml", "doc=@c.png")
    assert refused.returncode == 2
    assert "does not take files of type 'image'" in refused.stderr


def test_a_chat_app_replies_to_a_query(millstream: Run, write: Write, serve: Any) -> None:
    nodes = [
        start(),
        llm(text="{{#sys.query#}}"),
        node("answer", "answer", answer="{{#llm.text#}}"),
    ]
    write("chat.yml", nodes, edges("start>llm", "llm>answer"), mode="advanced-chat")
    stub = serve(["Hi ", "there"])
    done = millstream("run", "chat.yml", "--query", "Hello?", "--model", "stub/m")
    assert (done.returncode, done.stdout) == (0, "Hi there\n")
    assert millstream("run", "chat.yml", "--model", "stub/m", stdin="Piped?").stdout == "Hi there\n"
    assert stub.prompts == ["Hello?", "Piped?"]
    silent = millstream("run", "chat.yml", "--model", "stub/m")
    assert silent.returncode == 2
    assert "this is a chat app" in silent.stderr
    assert "--query" in silent.stderr


# ---------------------------------------------------------------------------- models, substitutes


def test_a_substitute_is_stated_even_when_quiet(millstream: Run, speaks: str, serve: Any) -> None:
    serve(["Good ", "day"])
    words = ("run", speaks, "name=x", "--bind", "openai/gpt-x=stub/m")
    done = millstream(*words)
    line = "≈ openai/gpt-x → stub/m (by --bind openai/gpt-x=stub/m)"
    assert done.stdout == "Good day\n"
    assert line in done.stderr
    quiet = millstream(*words, "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("Good day\n", line + "\n")
    result = json.loads(millstream(*words, "--json", "-q").stdout)
    assert result["substitutes"] == [
        {
            "node": "llm",
            "wanted": "openai/gpt-x",
            "used": "stub/m",
            "why": "by --bind openai/gpt-x=stub/m",
        }
    ]


def test_a_rule_for_tools_alone(millstream: Run, write: Write, serve: Any) -> None:
    tool = node(
        "t", "tool", provider_id="google_translate", provider_type="builtin",
        tool_name="translate", tool_configurations={"dest": "zh-cn"},
        tool_parameters={"content": {"type": "mixed", "value": "{{#start.name#}}"}},
    )  # fmt: skip
    nodes = [start("name"), tool, llm(text="{{#t.text#}}"), end(text="llm.text")]
    write("t.yml", nodes, edges("start>t", "t>llm", "llm>end"))
    serve(["x"])
    words = ("--model", "stub/m", "--bind-tool", "*=llm", "--json")
    report = json.loads(millstream("check", "t.yml", *words).stdout)
    found = {n["id"]: n["findings"][0]["used"] for n in report["nodes"] if n.get("findings")}
    assert found == {"t": "translation by stub/m", "llm": "stub/m"}


def test_what_is_not_here_is_said_before_the_first_node(millstream: Run, speaks: str) -> None:
    done = millstream("run", speaks, "name=x")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "there is no key for openai" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "millstream keys set openai" in done.stderr
    assert "✓" not in done.stderr


def test_time_and_tokens_of_each_node(millstream: Run, speaks: str, serve: Any) -> None:
    serve(["one ", "two ", "three"], pause=0.05)
    done = millstream("run", speaks, "name=x", "--model", "stub/m")
    line = next(line for line in done.stderr.splitlines() if line.startswith("✓ Polish"))
    assert "3 tokens" in line
    assert "tokens/s" in line


# ------------------------------------------------------------------------------------- for programs


def test_an_answer_that_was_cut_is_said_to_be(millstream: Run, speaks: str, serve: Any) -> None:
    serve(["once upon"], finish="length")
    done = millstream("run", speaks, "name=Ann", "--model", "stub/m")
    assert (done.returncode, done.stdout) == (0, "once upon\n")
    assert "! Polish: the answer reached its limit of tokens and is cut off" in done.stderr


def test_json_is_the_result_of_the_python_api(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "name=Ann", "--json")
    result = msgspec.json.decode(done.stdout, type=Result)
    assert result.status == "succeeded"
    assert result.outputs == {"text": "Hello Ann!"}
    assert [node.name for node in result.nodes] == ["start", "greet", "end"]
    assert done.stdout.count("\n") == 1


def test_a_run_that_is_refused_is_an_event_too(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "nobody=x", "--events")
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, event["event"], event["status"]) == (2, "run_finished", "failed")
    assert event["error"]["message"] in done.stderr


def test_events_are_lines_of_json_without_gaps(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "name=Ann", "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "run_started"
    assert events[-1] == {**events[-1], "event": "run_finished", "status": "succeeded"}
    assert done.stderr == ""


def test_a_refused_run_is_json_too(millstream: Run, hello: str) -> None:
    done = millstream("run", hello, "--json")
    assert done.returncode == 2
    result = json.loads(done.stdout)
    assert (result["status"], result["nodes"]) == ("failed", [])
    assert result["error"]["code"] == "nodes.input-missing"
    assert "the input 'name' is missing" in done.stderr


def test_a_failed_run(millstream: Run, write: Write) -> None:
    nodes = [
        start("name"),
        template("t", "{{ name.x.y }}", name="start.name"),
        end(text="t.output"),
    ]
    write("fails.yml", nodes, edges("start>t", "t>end"))
    done = millstream("run", "fails.yml", "name=x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "✓ start" in done.stderr
    assert "✗ t" in done.stderr
    assert "Error:" in done.stderr
    assert "fails.yml" in done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(millstream("run", "fails.yml", "name=x", "--json").stdout)
    assert result["status"] == "failed"
    assert result["error"]["place"]["node"] == "t"


def test_limits_of_a_profile_and_of_the_settings(millstream: Run, hello: str) -> None:
    millstream("settings", "set", "limits.max_steps", "2")
    done = millstream("run", hello, "name=x")
    assert done.returncode == 1
    assert "limits.max_steps" in done.stderr
    assert millstream("run", hello, "name=x", "--limits", "none").returncode == 0
    assert millstream("run", hello, "name=x", "--limits", "dify").returncode == 0


def test_whoever_reads_may_go_away(env: dict[str, str], hello: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "run", hello, "name=x", "--events"],
        stdout=writer, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_there_is(
    number: signal.Signals, env: dict[str, str], speaks: str, serve: Any, tmp_path: Path
) -> None:
    stub = serve(["partial ", "text"], hang=True)
    process = subprocess.Popen(
        [*COMMAND, "run", speaks, "name=x", "--model", "stub/m", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    while not stub.prompts:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads(out)
    assert result["status"] == "stopped"
    assert [(n["name"], n["status"]) for n in result["nodes"]] == [
        ("start", "succeeded"),
        ("llm", "stopped"),
    ]
    assert result["nodes"][1]["outputs"]["text"] == "partial text"
    assert "■ stopped" in errors


def test_a_second_interrupt_waits_for_nothing(
    env: dict[str, str], speaks: str, serve: Any, tmp_path: Path
) -> None:
    """Even where the run does not stop."""
    stub = serve(["x"], hang=True)
    program = (
        "import sys, millstream.cli, millstream.runtime.app as app\n"
        "app.App.stop = lambda self: print('told', file=sys.stderr, flush=True)\n"
        f"millstream.cli.main(['run', {speaks!r}, 'name=x', '--model', 'stub/m'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    assert process.stderr is not None
    while not stub.prompts:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "told" in line:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130


def test_partial_text_is_shown_where_nothing_was_streamed(
    env: dict[str, str], speaks: str, serve: Any, tmp_path: Path
) -> None:
    stub = serve(["partial ", "text"], hang=True)
    process = subprocess.Popen(
        [*COMMAND, "run", speaks, "name=x", "--model", "stub/m"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    while not stub.prompts:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Polish had said:\n  partial text\n" in errors


def test_a_run_that_fails_shows_what_models_had_said_and_the_error_last(
    millstream: Run, write: Write, serve: Any
) -> None:
    serve(["dear ", "words"])
    broken = template("t", "{{ 1 // 0 }}")
    write("broken.yml", [start("name"), llm("llm"), broken, end(out="t.output")],
          edges("start>llm", "llm>t", "t>end"))  # fmt: skip
    done = millstream("run", "broken.yml", "name=x", "--model", "stub/m")
    assert (done.returncode, done.stdout) == (1, "")
    said, error = done.stderr.index("llm said:\n  dear words\n"), done.stderr.index("Error: ")
    assert said < error


def test_what_items_of_an_iteration_said_is_named_by_titles() -> None:
    titles = {"17600": "Sections", "17601": "Write", "odd[": "x"}
    assert path("17600[3]/17601", titles) == "Sections[3]/Write"
    assert path("17600[3]/17600[1]/other", titles) == "Sections[3]/Sections[1]/other"
    assert path("odd[/[]", titles) == "odd[/[]"
