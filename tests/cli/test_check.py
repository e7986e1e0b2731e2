"""`millstream check`: verdicts for people and programs, of one file, of many, of folders."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canned import edges, end, node, start
from cli.parts import Run, Write, llm, template
from cli.person import COMMAND
from millstream.checks import Report

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def test_an_app_that_needs_nothing(millstream: Run, hello: str) -> None:
    done = millstream("check", hello)
    assert done.returncode == 0
    assert "test  workflow · 0.3.0 · hello.yml" in done.stdout
    assert "greet  template-transform" in done.stdout
    assert done.stdout.rstrip().endswith("runs as it is · ✓ 3 runs as it is")


def test_every_node_has_its_line_and_what_it_needs(millstream: Run, speaks: str) -> None:
    done = millstream("check", speaks)
    assert done.returncode == 3
    text = done.stdout
    assert "✗" in text
    assert "openai/gpt-x" in text
    assert "millstream keys set openai" in text
    report = json.loads(millstream("check", speaks, "--json").stdout)
    lines = {n["id"]: n["line"] for n in report["nodes"]}
    assert lines["start"] < lines["llm"] < lines["end"]
    for line in lines.values():
        assert f" {line}  " in text


def test_a_substitute(millstream: Run, speaks: str, serve: Any) -> None:
    serve(["x"])
    done = millstream("check", speaks, "--model", "stub/m")
    assert done.returncode == 4
    assert "openai/gpt-x → stub/m: by --model stub/m" in done.stdout
    assert "runs with substitutes" in done.stdout
    chinese = millstream("check", speaks, "--model", "stub/m", "--lang", "zh")
    assert "使用替代运行" in chinese.stdout


def test_problems_with_their_places(millstream: Run, write: Write) -> None:
    lost = template("lost", "{{ x }}", x="start.nothing")
    ways = edges("start>end", "start>nowhere")
    write("odd.yml", [start("name"), lost, end(out="start.nobody")], ways)
    done = millstream("check", "odd.yml")
    assert "Warning:" in done.stdout
    assert "nowhere" in done.stdout
    assert "start.nobody" in done.stdout
    assert "never reached" in done.stdout


def test_json_is_the_report(millstream: Run, hello: str, speaks: str) -> None:
    done = millstream("check", hello, speaks, "--json")
    reports = [msgspec.json.decode(line, type=Report) for line in done.stdout.splitlines()]
    assert [(r.file, r.verdict) for r in reports] == [(hello, "as-is"), (speaks, "needs-you")]
    assert done.returncode == 3


def test_the_worst_file_decides(millstream: Run, hello: str, speaks: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("app: [")
    assert millstream("check", hello).returncode == 0
    assert millstream("check", hello, speaks).returncode == 3
    done = millstream("check", hello, speaks, "broken.yml")
    assert done.returncode == 2
    assert "✗ broken.yml: cannot be read · " in done.stdout
    summary = "3 files · ✓ 1 runs as it is · ✗ 1 needs you · ✗ 1 cannot be read"
    assert done.stdout.rstrip().endswith(summary)
    verbose = millstream("check", hello, speaks, "-v")
    assert "greet  template-transform" in verbose.stdout


def test_offline_goes_for_models_too(env: dict[str, str], speaks: str, tmp_path: Path) -> None:
    env = {**env, "OPENAI_API_KEY": "sk-1"}
    words = (speaks, "--model", "openai/gpt-4o", "--offline")
    for command in (("check", *words), ("run", *words, "name=x")):
        done = subprocess.run(
            [*COMMAND, *command], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
        )
        assert done.returncode == 3, done.stdout
        assert "--offline forbids that" in done.stdout + done.stderr
        assert "sk-1" not in done.stdout + done.stderr


def test_an_endpoint_where_nobody_listens_is_noticed_before_the_run(
    millstream: Run, speaks: str
) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        _refused(millstream, speaks, taken.getsockname()[1])


def _refused(millstream: Run, speaks: str, port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    assert millstream("endpoints", "set", "sok", url).returncode == 0
    for words in (("check", speaks), ("run", speaks, "name=x")):
        done = millstream(*words, "--model", "sok/zzz")
        assert done.returncode == 3, done.stderr
        assert "the connection was refused" in done.stdout + done.stderr
        assert "✓ Start" not in done.stderr


def test_a_binding_in_a_hint_can_be_pasted(millstream: Run, write: Write, tmp_path: Path) -> None:
    ask = llm()
    ask["data"]["model"].update(provider="bedrock", name="amazon nova")
    app = write("nova.yml", [start("name"), ask, end(answer="llm.text")],
                edges("start>llm", "llm>end")).name  # fmt: skip
    done = millstream("check", app)
    assert "--bind 'bedrock/amazon nova'=PROVIDER/NAME`, or `--local`." in done.stdout


def test_a_folder_stands_for_the_app_files_in_it(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    deep = tmp_path / "apps" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / hello).rename(deep / "a.yml")
    (deep / "b.dify").write_text((deep / "a.yml").read_text())
    (tmp_path / "apps" / "package.json").write_text('{"name": "not an app"}')
    (tmp_path / "apps" / "data.json").write_text("[1, 2]")
    (tmp_path / "apps" / "playbook.yml").write_text("- hosts: all\n  tasks: []\n")
    (tmp_path / "apps" / "service.yaml").write_text("kind: Service\n---\nspec:\n  app: web\n")
    (tmp_path / "apps" / "stack.yaml").write_text("Name: !Sub web\n")
    (tmp_path / "apps" / "notes.txt").write_text("text")
    hidden = tmp_path / "apps" / ".git"
    hidden.mkdir()
    (hidden / "c.yml").write_text("app: [")
    done = millstream("check", "apps")
    assert done.returncode == 0
    assert "apps/deep/a.yml" in done.stdout
    assert "apps/deep/b.dify" in done.stdout
    assert "package.json" not in done.stdout
    assert "2 files" in done.stdout
    alone = millstream("check", "apps/package.json")  # by its own name it is looked at
    assert alone.returncode == 2
    assert alone.stdout.startswith("apps/package.json\n")
    (tmp_path / "apps" / "twice.yml").write_text("app: {}\n---\nworkflow: {}\n")
    done = millstream("check", "apps")  # an app with something wrong is not passed over
    assert done.returncode == 2
    assert "apps/twice.yml" in done.stdout


def test_from_a_pipe(millstream: Run, hello: str, tmp_path: Path) -> None:
    done = millstream("check", "-", stdin=(tmp_path / hello).read_text())
    assert done.returncode == 0
    assert "<standard input>" in done.stdout


def test_a_hostile_title_does_not_steer_the_terminal(millstream: Run, write: Write) -> None:
    evil = node("e", "llm", title="\x1b[2Jevil\u202etitle\n✓ fine", model={})
    write("evil.yml", [start(), evil, end(x="e.text")], edges("start>e", "e>end"))
    done = millstream("check", "evil.yml")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[2Jeviltitle ✓ fine" in done.stdout


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.slow
def test_the_corpus_in_one_go(millstream: Run) -> None:
    done = millstream("check", str(CORPUS), "--json", "--offline")
    assert done.returncode == 2
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(list(CORPUS.glob("*.yml")))
    assert all(report.get("error") for report in reports if report["verdict"] == "unreadable")
    assert "Traceback" not in done.stderr


def test_many_files_are_a_line_each_that_tells_of_lines_and_warnings(
    millstream: Run, write: Write, tmp_path: Path
) -> None:
    write("fine.yml", [start("name"), end(out="start.name")], edges("start>end"))
    write("odd.yml", [start("name"), template("lost", "x"), end(out="start.nmae")],
          edges("start>end"))  # fmt: skip
    (tmp_path / "broken.yml").write_text("app:\n  name: {{ x }}\n")
    done = millstream("check", ".")
    assert done.returncode == 2
    broken, fine, odd, total = done.stdout.splitlines()
    assert broken.startswith("✗ broken.yml: cannot be read · ")
    assert broken.endswith(" (line 2)")
    assert fine == "✓ fine.yml: runs as it is"
    assert odd == "✓ odd.yml: runs as it is · 2 warnings"
    assert total == "3 files · ✓ 2 runs as it is · ✗ 1 cannot be read"
    assert millstream("check", "odd.yml").stdout.endswith(" · 2 warnings\n")
