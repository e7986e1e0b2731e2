"""What a person reads when a file cannot be read: the place, the trouble, the next step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream.base import BadInput, set_language
from millstream.dsl import read_file, read_text
from millstream.nodes import REGISTRY


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    set_language("en")
    yield
    set_language(None)


def refusal(source: str | bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_text(source, "app.yml", REGISTRY)
    return caught.value


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

MESSAGES: dict[str, tuple[str | bytes, str]] = {
    "nothing": (b"", "app.yml: the file is empty"),
    "comments only": (b"# soon\n", "app.yml: the file is empty"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0\0\r", "app.yml: this is not a text file"),
    "Chinese in another encoding": (
        "app:\n  name: 翻译\n".encode("gb18030"),
        "app.yml:2: the text is not valid UTF-8",
    ),
    "a NUL": (
        b"app:\n  name: a\0b\n",
        "app.yml:2: the text has a control character (U+0000), which YAML does not allow",
    ),
    "an escape character": (
        "app:\n  name: \x1b[1m\n",
        "app.yml:2: the text has a control character (U+001B), which YAML does not allow",
    ),
    "a web page": (
        '<!DOCTYPE html>\n<html lang="en"><a href="x: y">: </html>',
        "app.yml: this is a web page, not an app file",
    ),
    "a tab": (
        "app:\n\tname: x\n",
        "app.yml:2: this is not valid YAML: a tab stands where only spaces may",
    ),
    "an unquoted colon": (
        "app:\n  name: Step 1: ask\n",
        "app.yml:2: this is not valid YAML: a colon inside of a text, a line above that lacks its "
        "colon, or a line indented too far",
    ),
    "a line that is neither": (
        "app:\n  mode: chat\n  name\nkind: app\n",
        "app.yml:3: this is not valid YAML: a line is neither `key: value` nor a part of the text "
        "above it",
    ),
    "a file cut off": (
        "app:\n  mode: workflow\n  na",
        "app.yml:3: this is not valid YAML: the file seems to be cut off here",
    ),
    "an open quotation mark": (
        'app:\n  name: "abc\n  mode: x\n',
        "app.yml:2: this is not valid YAML: a quotation mark opens here and is never closed",
    ),
    "an apostrophe in single quotes": (
        "app:\n  name: 'it's'\n",
        "app.yml:2: this is not valid YAML: the value goes on after its closing quotation mark or "
        "bracket",
    ),
    "a bracket at the beginning of a text": (
        "app:\n  name: [draft] letter\n",
        "app.yml:2: this is not valid YAML: the value goes on after its closing quotation mark or "
        "bracket",
    ),
    "an open bracket": (
        "app:\n  tags: [a,\n    b\n  mode: x\n",
        "app.yml:4: this is not valid YAML: the bracket that opens in line 2 is not closed "
        "properly",
    ),
    "a bracket and nothing more": (
        "app:\n  tags: [\n",
        "app.yml:2: this is not valid YAML: the file seems to be cut off here",
    ),
    "JSON cut off": (
        b'{"app": {"mode": "workflow", "name": [',
        "app.yml:1: this is not valid YAML: the file seems to be cut off here",
    ),
    "a backslash in double quotes": (
        'app:\n  name: "C:\\path"\n',
        "app.yml:2: this is not valid YAML: an unknown escape after a backslash inside double "
        "quotes",
    ),
    "an at sign": (
        "app:\n  name: @you\n",
        "app.yml:2: this is not valid YAML: a value without quotes cannot begin with @",
    ),
    "an asterisk": (
        "app:\n  name: * first\n",
        "app.yml:2: this is not valid YAML: a value without quotes cannot begin with *",
    ),
    "a word after an asterisk": (
        "app:\n  name: *first\n",
        "app.yml:2: *first refers to something that is not in the file",
    ),
    "a greater-than sign": (
        "app:\n  name: >first\n",
        "app.yml:2: this is not valid YAML: a value without quotes cannot begin with >",
    ),
    "a line out of line": (
        "app:\n  name: x\n mode: y\n",
        "app.yml:3: this is not valid YAML: this line does not fit the block that began in line 1",
    ),
    "an unquoted template": (
        "app:\n  name: {{ x }}\n",
        "app.yml:2: a list or a mapping stands where a key is wanted",
    ),
    "an exclamation mark": ("app:\n  name: !now\n", "app.yml:2: the YAML tag !now is not known"),
    "a dangerous tag": (
        "app: !!python/object/apply:os.system [ls]\n",
        "app.yml:1: the YAML tag python/object/apply:os.system is not known",
    ),
    "marks of a conflict": (
        "app:\n<<<<<<< HEAD\n  name: a\n=======\n  name: b\n>>>>>>> x\n",
        "app.yml:2: the file holds marks of a version conflict (<<<<<<<, =======, >>>>>>>)",
    ),
    "two documents": (
        "app: {}\n---\napp: {}\n",
        "app.yml:2: the file has several documents; the second one begins here",
    ),
    "a list": (
        "- app\n",
        "app.yml:1: this is not an app file: keys with values are wanted, given is list",
    ),
    "a word": (
        "\n\nhello\n",
        "app.yml:3: this is not an app file: keys with values are wanted, given is string",
    ),
    "another YAML file": (
        "services:\n  web: {}\nversion: '3'\n",
        "app.yml: this is not an app file: it has no `app`, `workflow`, `graph` or "
        "`model_config`; it begins with: services, version",
    ),
    "a loop of aliases": (
        "app: &me [*me]\n",
        "app.yml:1: *me refers to something that contains itself",
    ),
    "a bomb of aliases": (
        BOMB,
        "app.yml:6: the aliases of this file stand for more than 1000000 entries: it would fill "
        "the memory",
    ),
    "a hole without a bottom": ("[" * 100_000, "app.yml:1: the file is nested deeper than 100"),
    "a deep JSON file": (
        '{"a":' * 5000 + "1" + "}" * 5000,
        "app.yml:1: the file is nested deeper than 100 levels",
    ),
    "a merge of nothing": ("app: {<<: 5}", "app.yml:1: `<<` wants a mapping to merge"),
    "trouble inside of an envelope": (
        '{"data": "app:\\n\\tname: x"}',
        "app.yml#data:2: this is not valid YAML: a tab stands where only spaces may",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_says_where_and_what(name: str) -> None:
    source, expected = MESSAGES[name]
    error = refusal(source)
    assert str(error).startswith(expected)
    assert error.exit_code == 2
    assert error.next_step


NEXT_STEPS = {
    "a tab": "Replace the tab by spaces; YAML indents with spaces only.",
    "an unquoted colon": 'Put the text in quotes, as in `title: "Step 1: ask"`, or align the line '
    "with those above it.",
    "an unquoted template": "Put a text that begins with a brace in quotes, as in "
    '`value: "{{ name }}"`.',
    "an at sign": 'Put the value in quotes, as in `text: "@ …"`.',
    "Chinese in another encoding": "Save the file as UTF-8, for example: "
    "`iconv -f GB18030 -t UTF-8 FILE > NEW`.",
    "a web page": "Download the file itself; on a code host that is the link called Raw.",
}


@pytest.mark.parametrize("name", NEXT_STEPS)
def test_the_next_step_is_the_likely_remedy(name: str) -> None:
    assert refusal(MESSAGES[name][0]).next_step == NEXT_STEPS[name]


def test_the_same_in_chinese() -> None:
    set_language("zh")
    error = refusal("app:\n\tname: x\n")
    assert str(error) == "app.yml:2: 这不是有效的 YAML：只能用空格的地方出现了制表符"
    assert error.next_step == "请把制表符换成空格；YAML 只能用空格缩进。"
    error = refusal("- app\n")
    assert error.message == "这不是应用文件：内容应为键值映射，实际为 list"


def test_files_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    def message(path: Path | str) -> str:
        with pytest.raises(BadInput) as caught:
            read_file(path, REGISTRY)
        assert caught.value.next_step
        return str(caught.value)

    gone = tmp_path / "gone.yml"
    assert message(gone) == f"{gone}: there is no such file"
    assert message(tmp_path) == f"{tmp_path}: this is a folder, not an app file"
    assert "embedded null byte" in message("a\0b")
    assert "File name too long" in message("x" * 5000)
    if os.getuid() != 0:
        gone.write_text("app: {}")
        gone.chmod(0)
        assert message(gone) == f"{gone}: the file cannot be read: Permission denied"


def test_no_message_shows_a_value_of_the_file() -> None:
    for source in (
        "app: {}\nworkflow: {environment_variables: [{name: K, value_type: number, value: hush}]}",
        "app: {}\ngraph: {nodes: [{id: h, data: {type: http-request, authorization: hush}}]}",
        "app: {}\nworkflow:\n  key: @hush",
        "app: {}\nworkflow:\n  key: 'hush' hush",
    ):
        try:
            app = read_text(source, "app.yml", REGISTRY)
        except BadInput as error:
            shown = [str(error), error.next_step, repr(error.as_dict())]
        else:
            assert app.problems
            shown = [p.message + p.next_step + str(p.place) + repr(p) for p in app.problems]
            shown.append(repr(app) + repr(app.graph.nodes) + repr(app.graph))
        assert "hush" not in "".join(shown)
