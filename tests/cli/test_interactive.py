"""What a person at a terminal sees and is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canned import edges, end, node
from cli.parts import Write, template
from cli.person import Person

Sit = Callable[..., Person]


def form(**kinds: dict[str, Any]) -> list[Any]:
    variables = [{"variable": name, "required": True, **kind} for name, kind in kinds.items()]
    outputs = {name: f"start.{name}" for name in kinds}
    return [node("start", "start", variables=variables), end(**outputs)]


def test_missing_inputs_are_asked_for(person: Sit, write: Write) -> None:
    nodes = form(
        title={"type": "text-input", "label": "Title of it", "max_length": 5},
        tone={"type": "select", "options": ["kind", "stern"]},
        count={"type": "number"},
        text={"type": "paragraph"},
    )
    write("form.yml", nodes, edges("start>end"))
    somebody = person("run", "form.yml", "--no-stream")
    somebody.see("Title of it (title)")
    somebody.type("\n")
    somebody.see("title is required")
    somebody.type("much too long\n")
    somebody.see("has 13 characters; the app takes at most 5")
    somebody.type("short\n")
    somebody.see("2  stern")
    somebody.type("3\n")
    somebody.see("'3' is none of them")
    somebody.type("2\n")
    somebody.see("(count · a number)")
    somebody.type("seven\n")
    somebody.see("must be a number")
    somebody.type("7\n")
    somebody.see("(text · an empty line ends it)")
    somebody.type("first line\nsecond line\n")
    somebody.see("> second line")
    somebody.type("\n")
    assert somebody.wait() == 0
    said = somebody.screen[somebody.screen.index("done") :]
    assert "title: short\ntone: stern\ncount: 7\n" in said
    assert "text:\nfirst line\nsecond line\n" in said


def test_an_empty_line_inside_of_a_paste_ends_nothing(person: Sit, write: Write) -> None:
    write("form.yml", form(text={"type": "paragraph"}), edges("start>end"))
    somebody = person("run", "form.yml", "--json")
    somebody.see("an empty line ends it")
    somebody.type("one\n\ntwo\n")
    somebody.see("> two")
    somebody.type("\n")
    assert somebody.wait() == 0
    assert '"outputs":{"text":"one\\n\\ntwo"}' in somebody.screen


def test_the_end_of_input_at_a_question_is_a_missing_input(person: Sit, write: Write) -> None:
    write("form.yml", form(text={"type": "text-input"}), edges("start>end"))
    somebody = person("run", "form.yml")
    somebody.prompted()
    somebody.type("\x04")
    assert somebody.wait() == 2
    assert "the input 'text' is missing" in somebody.screen


def test_ctrl_c_at_a_question(person: Sit, write: Write) -> None:
    write("form.yml", form(text={"type": "text-input"}), edges("start>end"))
    somebody = person("run", "form.yml")
    somebody.see("(text)")
    somebody.interrupt()
    assert somebody.wait() == 130
    assert "interrupted" in somebody.screen
    assert "Traceback" not in somebody.screen


def test_questions_in_chinese(person: Sit, write: Write) -> None:
    write("form.yml", form(text={"type": "paragraph"}), edges("start>end"))
    somebody = person("run", "form.yml", "--lang", "zh")
    somebody.see("以空行结束")
    somebody.type("你好\n")
    somebody.see("> 你好")
    somebody.type("\n")
    assert somebody.wait() == 0
    assert "完成" in somebody.screen


def test_the_output_streams_to_the_terminal_once(person: Sit, speaks: str, serve: Any) -> None:
    serve(["Dear ", "friends", ", good", " morning."], pause=0.3)
    somebody = person("run", speaks, "name=x", "--model", "stub/m")
    somebody.see("▸ Polish")
    somebody.see("Dear friends")
    assert "good morning." not in somebody.screen
    assert somebody.wait() == 0
    assert somebody.screen.count("Dear friends, good morning.") == 1
    assert re.search(r"✓ Polish +[\d.]+ s · 4 tokens · \d+ tokens/s", somebody.screen)
    assert "≈ openai/gpt-x → stub/m" in somebody.screen


def test_a_pipe_gets_the_text_while_the_terminal_shows_the_progress(
    person: Sit, speaks: str, serve: Any, tmp_path: Path
) -> None:
    serve(["Dear ", "friends"], pause=0.3)
    with open(tmp_path / "out.txt", "wb") as file:
        somebody = person("run", speaks, "name=x", "--model", "stub/m", stdout=file)
        somebody.see("Dear friends")  # the tail of what is being written
        assert somebody.wait() == 0
    assert (tmp_path / "out.txt").read_text() == "Dear friends\n"


def test_no_stream_prints_at_the_end(person: Sit, speaks: str, serve: Any) -> None:
    serve(["Dear ", "friends"], pause=0.2)
    somebody = person("run", speaks, "name=x", "--model", "stub/m", "--no-stream")
    assert somebody.wait() == 0
    assert somebody.screen.rstrip().endswith("Dear friends")


def test_hostile_text_cannot_steer_the_terminal(person: Sit, speaks: str, serve: Any) -> None:
    serve(["\x1b]0;owned\x07", "\x1b[2J", "text\r", "over"])
    somebody = person("run", speaks, "name=x", "--model", "stub/m")
    assert somebody.wait() == 0
    assert "\x1b]0;owned" not in somebody.raw
    assert "\x1b[2J" not in somebody.raw
    assert "]0;owned" in somebody.raw
    assert "textover" in somebody.screen


def test_ctrl_c_shows_what_there_is(person: Sit, speaks: str, serve: Any) -> None:
    serve(["Dear ", "friends"], hang=True)
    somebody = person("run", speaks, "name=x", "--model", "stub/m")
    somebody.see("Dear friends")
    somebody.interrupt()
    assert somebody.wait() == 130
    assert "✓ start" in somebody.screen
    assert "■ Polish" in somebody.screen
    assert "■ stopped" in somebody.screen
    assert somebody.raw.rindex("\x1b[?25h") > somebody.raw.rindex("\x1b[?25l")  # a cursor again


def test_containers_show_how_far_they_are(person: Sit, write: Write, serve: Any) -> None:
    serve(["a"], ["b"], pause=0.5)
    sections = node("list", "code", code_language="python3", variables=[], outputs={},
                    code="def main():\n    return {'items': ['x', 'y', 'z']}")  # fmt: skip
    sections["data"]["outputs"] = {"items": {"type": "array[string]"}}
    inner = node("inside", "iteration-start", parent="each")
    write_it = node(
        "write", "llm", parent="each", title="Write",
        model={"provider": "openai", "name": "gpt-x", "mode": "chat"},
        prompt_template=[{"role": "user", "text": "Section {{#each.item#}}"}],
    )  # fmt: skip
    each = node("each", "iteration", title="Sections", iterator_selector=["list", "items"],
                output_selector=["write", "text"], start_node_id="inside")  # fmt: skip
    begin = node("start", "start", variables=[])
    nodes = [begin, sections, each, inner, write_it, end(texts="each.output")]
    write("each.yml", nodes, edges("start>list", "list>each", "each>end", "inside>write"))
    somebody = person("run", "each.yml", "--model", "stub/m")
    somebody.see("1/3")
    assert somebody.wait() == 0
    assert re.search(r"✓ Sections .*3 items", somebody.screen)


def test_colors(person: Sit, hello: str, millstream: Any) -> None:
    somebody = person("run", hello, "name=x")
    assert somebody.wait() == 0
    assert "\x1b[32m✓" in somebody.raw
    for how in ({"extra": {"NO_COLOR": "1"}}, {}):
        words = ("run", hello, "name=x", *(() if how else ("--no-color",)))
        plain = person(*words, **how)
        assert plain.wait() == 0
        assert "\x1b[32m" not in plain.raw
    assert "\x1b[32m✓" in millstream("run", hello, "name=x", "--color").stderr


@pytest.mark.slow
def test_a_big_file_is_read_with_progress(person: Sit, write: Write) -> None:
    big = template("t", "x" * 1000)
    many = [big | {"id": f"t{i}"} for i in range(9000)]
    path = write("big.yml", [node("start", "start", variables=[]), *many, end()],
                 edges("start>end"))  # fmt: skip
    assert path.stat().st_size > 10_000_000
    somebody = person("inputs", "big.yml")
    somebody.see("reading big.yml")
    assert somebody.wait() == 0
    assert "MB)" in somebody.screen


def test_a_key_is_typed_without_being_seen(person: Sit, millstream: Any) -> None:
    somebody = person("keys", "set", "openai")
    somebody.see("Key of openai (not shown):")
    somebody.type("sk-very-secret-key\n")
    assert somebody.wait() == 0
    assert "secret" not in somebody.raw
    assert "openai" in millstream("keys").stdout
    assert "secret" not in millstream("keys").stdout


@pytest.mark.parametrize(("kind", "draws"), [("dumb", False), ("", False), ("xterm", True)])
def test_a_dumb_terminal_is_written_to_line_by_line(
    person: Sit, hello: str, kind: str, draws: bool
) -> None:
    somebody = person("run", hello, "name=Ann", extra={"TERM": kind})
    assert somebody.wait() == 0
    assert "Hello Ann!" in somebody.screen
    assert "✓ greet" in somebody.screen
    assert ("\x1b" in somebody.raw) is draws
