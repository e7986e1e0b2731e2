"""The smaller commands: export, inputs, settings, keys, bindings, endpoints, completion, help."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from canned import edges, end, node, start
from cli.parts import Run, Write
from cli.person import COMMAND
from millstream.cli.parser import COMMANDS, build, walk

KEY = "sk-very-secret-key-123"


# ------------------------------------------------------------------------------------------- export


def test_export_is_equal_data_and_comes_to_rest(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    done = millstream("export", hello)
    assert yaml.safe_load(done.stdout) == json.loads((tmp_path / hello).read_text())
    (tmp_path / "once.yml").write_text(done.stdout)
    assert millstream("export", "once.yml").stdout == done.stdout
    assert millstream("export", "once.yml", "-o", "twice.yml").stdout == ""
    assert (tmp_path / "twice.yml").read_text() == done.stdout
    assert millstream("export", "-", stdin=done.stdout).stdout == done.stdout


@pytest.mark.parametrize("command", ["export", "show"])
@pytest.mark.parametrize(
    ("out", "reason"),
    [("no/such/folder.yml", "No such file or directory"), (".", "Is a directory")],
)
def test_a_place_that_cannot_be_written(
    millstream: Run, hello: str, command: str, out: str, reason: str
) -> None:
    done = millstream(command, hello, "-o", out)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: the file {out!r} cannot be written: {reason}\n"
        "  → Check the folder, its permissions and the space on the disk.\n"
    )


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(
    millstream: Run, hello: str, tmp_path: Path
) -> None:
    text = millstream("export", hello).stdout
    assert millstream("export", hello, "-o", "-").stdout == text
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert millstream("export", hello, "-o", "pipe").returncode == 0
        assert os.read(reader, 65536).decode() == text
        assert (tmp_path / "pipe").is_fifo()
    finally:
        os.close(reader)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("run", "name=x"), ("check",), ("export",), ("show",)])
def test_a_full_disk_behind_standard_output(
    env: dict[str, str], hello: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    command, *rest = words
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "millstream", command, hello, *rest, "--quiet"],
            stdout=full, stderr=subprocess.PIPE, text=True, env=env, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "Error: there is no space left on the disk: standard output\n"
        "  → Free some space, or write to another disk, and run again.\n"
    )


# ------------------------------------------------------------------------------------------- inputs


def test_inputs_for_people_and_programs(millstream: Run, write: Write) -> None:
    variables = [
        {"variable": "text", "type": "paragraph", "label": "The text", "required": True,
         "max_length": 100},
        {"variable": "tone", "type": "select", "options": ["kind", "stern"], "default": "kind"},
    ]  # fmt: skip
    write("form.yml", [node("start", "start", variables=variables), end(x="start.text")],
          edges("start>end"))  # fmt: skip
    shown = millstream("inputs", "form.yml").stdout.splitlines()
    assert shown[0].split() == ["Input", "Type", "Required", "About"]
    assert shown[1].split(maxsplit=3) == ["text", "paragraph", "yes", "The text · at most 100"]
    assert shown[2].split(maxsplit=3) == ["tone", "select", "no", "kind | stern · default kind"]
    data = json.loads(millstream("inputs", "form.yml", "--json").stdout)
    assert data == {
        "app": "test",
        "mode": "workflow",
        "query": False,
        "inputs": [
            {"name": "text", "type": "paragraph", "required": True, "label": "The text",
             "max_length": 100},
            {"name": "tone", "type": "select", "required": False, "default": "kind",
             "options": ["kind", "stern"]},
        ],
    }  # fmt: skip
    assert millstream("inputs", "form.yml", "--names").stdout == "text\ntone\n"


def test_inputs_of_an_app_that_asks_for_nothing(millstream: Run, write: Write) -> None:
    write("none.yml", [start(), end()], edges("start>end"))
    done = millstream("inputs", "none.yml")
    assert (done.stdout, done.stderr) == ("", "the app asks for nothing\n")


# ----------------------------------------------------------------------------------------- settings


def test_settings(millstream: Run) -> None:
    assert millstream("settings", "get", "network.offline").stdout == "false\n"
    assert millstream("settings", "set", "network.offline", "yes").returncode == 0
    assert millstream("settings", "get", "network.offline").stdout == "true\n"
    row = next(r for r in json.loads(millstream("settings", "list", "--json").stdout)
               if r["name"] == "network.offline")  # fmt: skip
    assert row["value"] is True
    assert row["source"].endswith("settings.toml:2")
    assert row["doc"]
    table = millstream("settings").stdout
    assert "limits.max_steps" in table
    table = millstream("settings", MILLSTREAM_NETWORK_OFFLINE="1").stdout
    assert re.search(r"network\.offline +true +environment", table)
    millstream("settings", "unset", "network.offline")
    assert millstream("settings", "get", "network.offline").stdout == "false\n"
    wrong = millstream("settings", "set", "network.offline", "perhaps")
    assert wrong.returncode == 2
    assert "true or false" in wrong.stderr


# --------------------------------------------------------------------------------------------- keys


def test_keys_are_kept_and_never_shown(millstream: Run, env: dict[str, str]) -> None:
    kept = millstream("keys", "set", "openai", stdin=f"{KEY}\n")
    assert kept.returncode == 0
    listed = millstream("keys")
    assert "openai" in listed.stdout
    assert "credentials.toml" in listed.stdout
    as_json = millstream("keys", "list", "--json")
    assert [row["provider"] for row in json.loads(as_json.stdout)] == ["openai"]
    for done in (kept, listed, as_json):
        assert KEY not in done.stdout + done.stderr
    file = Path(env["MILLSTREAM_HOME"], "credentials.toml")
    assert KEY in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert millstream("keys", "remove", "openai").returncode == 0
    assert "there are no keys" in millstream("keys").stderr
    gone = millstream("keys", "remove", "openai")
    assert "OPENAI_API_KEY" in gone.stderr


def test_a_key_is_not_taken_from_the_command_line(millstream: Run) -> None:
    done = millstream("keys", "set", "openai", KEY)
    assert done.returncode == 2
    empty = millstream("keys", "set", "openai", stdin="")
    assert empty.returncode == 2


def test_where_a_key_is_may_be_kept_instead(millstream: Run) -> None:
    assert millstream("keys", "set", "openai", "--from", "env:MY_KEY").returncode == 0
    assert "MY_KEY" in millstream("keys", MY_KEY=KEY).stdout


# ----------------------------------------------------------------------------- bindings, endpoints


def test_bindings(millstream: Run, speaks: str, tmp_path: Path) -> None:
    assert "there are no bindings" in millstream("bind").stderr
    assert millstream("bind", "set", "openai/gpt-x=stub/m").returncode == 0
    assert millstream("bind", "set", "google_translate/*=llm").returncode == 0
    listed = millstream("bind", "list").stdout
    assert "openai/gpt-x" in listed
    assert "stub/m" in listed
    assert "tool" in listed
    rules = json.loads(millstream("bind", "list", "--json").stdout)
    assert [(r["kind"], r["pattern"]) for r in rules] == [
        ("models", "openai/gpt-x"),
        ("tools", "google_translate/*"),
    ]
    assert millstream("bind", "set", "*=local", "--app", speaks).returncode == 0
    assert "local" in (tmp_path / "millstream.toml").read_text()
    assert millstream("bind", "unset", "openai/gpt-x").returncode == 0
    missing = millstream("bind", "unset", "openai/gpt-x")
    assert missing.returncode == 3
    assert "there is no binding for 'openai/gpt-x'" in missing.stderr


def test_what_bindings_and_settings_say_to_no_effect_is_told_where_it_matters(
    millstream: Run, speaks: str, tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "millstream.toml").write_text('[models]\n"openai/gpt-x" = "local"\n')
    home = Path(env["MILLSTREAM_HOME"])
    millstream("settings", "set", "network.tries", "3")
    settings = home / "settings.toml"
    settings.write_text(settings.read_text() + "[netwrok]\noffline = true\n")
    for words in (("run", speaks, "name=x"), ("check", speaks, speaks), ("show", speaks)):
        done = millstream(*words)
        assert done.stderr.count("Warning: models is unknown here and has no effect\n") == 1, words
        assert "millstream.toml:1\n  → Bindings stand under [bind.models]" in done.stderr
        assert done.stderr.count("Warning: netwrok is no setting") == 1
        assert "Warning" not in millstream(*words, "--quiet").stderr


def test_endpoints(millstream: Run) -> None:
    assert "there are no endpoints" in millstream("endpoints").stderr
    words = ("--protocol", "azure", "--key", "env:K", "--option", "api_version=1", "--slots", "2")
    assert millstream("endpoints", "set", "work", "https://x.example", *words).returncode == 0
    (found,) = json.loads(millstream("endpoints", "list", "--json").stdout)
    assert found == {
        "name": "work",
        "url": "https://x.example",
        "protocol": "azure",
        "key": "env:K",
        "slots": 2,
        "options": {"api_version": "1"},
    }
    assert "https://x.example" in millstream("endpoints").stdout
    assert millstream("endpoints", "remove", "work").returncode == 0
    assert millstream("endpoints", "remove", "work").returncode == 3
    key = millstream("endpoints", "set", "work", "https://x.example", "--key", KEY)
    assert key.returncode == 2
    assert KEY not in key.stderr


# ----------------------------------------------------------------------------------------- the rest


def test_help_of_everything_in_both_languages(millstream: Run) -> None:
    for language, word in (("en", "Usage: millstream"), ("zh", "用法： millstream")):
        top = millstream("--help", "--lang", language)
        assert top.returncode == 0
        assert top.stdout.startswith(word)
        assert all(f"  {name} " in top.stdout for name in COMMANDS)
    assert millstream().stdout == millstream("--help").stdout
    done = millstream("bind", "set", "--help", LANG="zh_CN.UTF-8")
    assert done.stdout.startswith("用法： millstream bind set A=B")
    assert "示例" in done.stdout


def test_command_lines_one_after_the_other_in_one_process() -> None:
    """The name of the entry point is not that of a module, which would take its place."""
    import millstream.cli

    for _ in range(2):
        assert millstream.cli.main(["completion", "bash"]) == 0


def test_version_loads_nothing(env: dict[str, str]) -> None:
    """The cold start: no parser, no message, no library of anybody's."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "millstream", "--version"],
        capture_output=True, text=True, env=env, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("millstream ")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"argparse", "msgspec", "asyncio", "yaml", "rich", "aiohttp"}


def test_a_plain_run_loads_no_library_that_it_does_not_use(
    env: dict[str, str], hello: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "run", hello, "name=x"],
        capture_output=True, text=True, env=env, cwd=tmp_path, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"rich", "aiohttp", "tomlkit", "xllamacpp", "keyring", "jinja2.sandbox"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_understood(millstream: Run, shell: str, tmp_path: Path) -> None:
    done = millstream("completion", shell)
    assert done.returncode == 0
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(done.stdout)
    assert subprocess.run([shell, "-n", "script"], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes(millstream: Run, hello: str, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "script").write_text(millstream("completion", "bash").stdout)
    folder = tmp_path / "bin"
    folder.mkdir()
    python = shlex.quote(sys.executable)
    (folder / "millstream").write_text(f'#!/bin/sh\nexec {python} -m millstream "$@"\n')
    (folder / "millstream").chmod(0o755)

    def complete(*words: str) -> list[str]:
        script = (
            'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _millstream; '
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", script, "bash", *words], capture_output=True, text=True, cwd=tmp_path,
            env={**env, "PATH": f"{folder}{os.pathsep}{env['PATH']}"}, check=False,
        )  # fmt: skip
        return done.stdout.split()

    assert complete("millstream", "ch") == ["check"]
    assert complete("millstream", "run", "--ev") == ["--events"]
    assert complete("millstream", "run", "--limits", "") == ["none", "dify"]
    assert complete("millstream", "bind", "") == ["list", "set", "unset"]
    assert complete("millstream", "run", hello, "n") == ["name="]


def test_every_command_says_what_it_is() -> None:
    for parser in walk(build()):
        assert parser.description
        assert parser.usage
        for action in parser._actions:
            assert action.help or action.dest in ("command", "action")
