"""The reference of the command line, docs/cli.md, and the schemas of what it prints as JSON.

    python -m millstream.cli.reference [FOLDER]

writes them; a test holds them against the code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec

from millstream.base import set_language
from millstream.checks import Report
from millstream.cli.parser import Parser, build, walk
from millstream.engine.events import Event
from millstream.lab.bench.against import Printed
from millstream.runtime import Result

_HEAD = """\
# The command line

<!-- Written by `python -m millstream.cli.reference`. Change the code, not this file. -->

`millstream COMMAND --help` says the same in your terminal, in English or Chinese (`--lang`, else
`MILLSTREAM_LANG`, `LC_ALL`, `LANG`).

Results go to standard output and everything else (progress, questions, errors) to standard error,
so that commands compose: `cat notes.txt | millstream run summary.yml | wc -w`. There are colours
where a person is at the terminal and neither `NO_COLOR` nor `--no-color` forbids them; `--quiet`
leaves results, substitutes and errors. `MILLSTREAM_DEBUG=1` adds the traceback to an error.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | succeeded; of `check`: every file runs as it is |
| 1 | failed; of `doctor`: something that was asked for does not work |
| 2 | a file, an input or the command line cannot be used as it is; of `check`: unreadable |
| 3 | something that is needed is not here: a model, a key, a tool; nothing has been run |
| 4 | of `check` only: runs with substitutes |
| 130 | interrupted, with Ctrl-C or by SIGTERM |
| 141 | whoever read the output went away, as in `millstream … \\| head -1` |

`check` of several files ends with the worst of their codes: 0, then 4, then 3, then 2.

With `--json` the error that ends a command before it has a result is on standard output, too: an
object with `error` (of `run`: a whole result, as below), beside the sentences on standard error.

## The result as JSON

`millstream run --json` prints one object, described by [result.schema.json](result.schema.json):

| key | meaning |
| --- | --- |
| `status` | `succeeded`; `partial-succeeded` when the app took care of a failure; `failed`; \
`stopped` |
| `outputs` | what the end nodes gave; of a chat app `answer` |
| `error` | null, or `code`, `type`, `message`, `place` (file, line, node, title, field, \
item), `next` |
| `substitutes` | what stood in for what the file names: `node`, `wanted`, `used`, `why` |
| `nodes` | each execution of a node in the order in which they ended: `name`, `id`, `type`, \
`title`, `status`, `elapsed` (seconds), `outputs`, `usage`, `error` |
| `usage` | tokens, calls and times of the whole run |
| `elapsed` | seconds |
| `run` | the id of the run |

Keys with nothing to say are left out of `nodes`, `usage` and `error`. A run that was refused before
its first node has the status `failed`, its `error` and no nodes. A run that was stopped keeps what
its nodes had written until then.

## Events

`millstream run --events` prints every event as a line of JSON the moment it happens, numbered by
`seq` from 1 without gaps, the kind in `event`; all of them are described by
[events.schema.json](events.schema.json). `name` is the name of a node's execution: `write`, or
`chapters[12]/write` for the thirteenth item of the container `chapters`.

| event | fields |
| --- | --- |
"""

_CHECK = """
## Reports as JSON

`millstream check --json` prints a line for each file, described by
[report.schema.json](report.schema.json).
"""


def files() -> dict[str, str]:
    """Every file of the reference, by its name."""
    set_language("en")
    try:
        return {
            "cli.md": "\n".join(_page()) + "\n",
            "result.schema.json": _schema(Result),
            "events.schema.json": _schema(reduce(or_, Event.__subclasses__())),
            "report.schema.json": _schema(Report),
            "bench.schema.json": _schema(Printed),
        }
    finally:
        set_language(None)


def _schema(kind: Any) -> str:
    schema = _one_line(msgspec.json.schema(kind))
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _one_line(schema: Any) -> Any:
    """The schema with its descriptions in one line: Python's versions indent docstrings in their
    own ways."""
    match schema:
        case dict():
            return {
                key: " ".join(value.split()) if key == "description" else _one_line(value)
                for key, value in schema.items()
            }
        case list():
            return [_one_line(item) for item in schema]
    return schema


def _page() -> Iterator[str]:
    yield _HEAD.rstrip("\n")
    for kind in Event.__subclasses__():
        fields = ", ".join(f"`{field.name}`" for field in msgspec.structs.fields(kind)[1:])
        yield f"| `{kind.__struct_config__.tag}` | {fields} |"
    yield _CHECK.rstrip("\n")
    parser = build()
    for command in walk(parser):
        if command is not parser:
            yield from _command(command)
    yield "\n## Options of every command\n"
    yield from _table([action for action in parser._actions if action.option_strings])


def _command(parser: Parser) -> Iterator[str]:
    depth = "##" if parser.prog.count(" ") == 1 else "###"
    yield f"\n{depth} {parser.prog}\n"
    yield f"{parser.description}\n"
    yield f"```sh\n{(parser.usage or '').replace('%%', '%')}\n```"
    own = {*parser.words._group_actions, *parser.choices._group_actions}
    actions = [action for action in parser._actions if action in own]
    if actions:
        yield ""
        yield from _table(actions)
    if parser.inner:
        yield f"\nCommands: {', '.join(f'`{name}`' for name in parser.inner)}."
    if parser.examples:
        yield f"\n```sh\n{parser.examples}\n```"


def _table(actions: list[argparse.Action]) -> Iterator[str]:
    yield "| argument | meaning |"
    yield "| --- | --- |"
    for action in actions:
        about = str(action.help or "").replace("%%", "%").replace("|", "\\|")
        yield f"| {', '.join(_names(action))} | {about} |"


def _names(action: argparse.Action) -> Iterator[str]:
    value = action.metavar or (" \\| ".join(map(str, action.choices)) if action.choices else "")
    if not action.option_strings:
        yield f"`{value}`"
        return
    takes = action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction)
    for name in action.option_strings:
        yield f"`{name}`" + (f" `{value}`" if takes and value else "")


def main(folder: str = "docs") -> None:
    """Write the reference into a folder."""
    Path(folder).mkdir(exist_ok=True)
    for name, text in files().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
