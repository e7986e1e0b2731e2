"""The parser of the command line: argparse with help in two languages and errors of ours.

The options that every command has, and those by which a command says what stands in for what a
file names, are declared here once.
"""

from __future__ import annotations

import argparse
import re
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from millstream.base import BadInput, say
from millstream.cli.terminal import Terminal, wrap

PROGRAM = "millstream"

# In the order of the help: what one does with apps, what one has, what one sets.
COMMANDS = (
    "run",
    "check",
    "inputs",
    "show",
    "export",
    "models",
    "fit",
    "quantize",
    "compare",
    "loss",
    "bench",
    "doctor",
    "bind",
    "endpoints",
    "keys",
    "settings",
    "completion",
)


class Command(Protocol):
    """A command module."""

    @staticmethod
    def arguments(parser: Parser) -> None: ...

    @staticmethod
    def run(args: Namespace, terminal: Terminal) -> int: ...


def command(name: str) -> Command:
    return cast(Command, import_module(f"millstream.cli.{name}"))


class Parser(argparse.ArgumentParser):
    """A parser whose sentences come from the catalogue.

    key: its name there; `cli.<key>` is one sentence about it, `cli.<key>.examples` follows the
    help where there is such an entry. fill: declares the arguments when they are first needed.
    """

    def __init__(
        self, prog: str, key: str, fill: Callable[[Parser], None] | None = None, **_: Any
    ) -> None:
        super().__init__(
            prog,
            description=say(f"cli.{key}"),
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.key = key
        self._fill = fill
        self.words = self.add_argument_group(say("cli.group-arguments"))
        self.choices = self.add_argument_group(say("cli.group-options"))

    def arg(self, *names: str, help: str, **options: Any) -> argparse.Action:
        """Declare an argument; its sentence is `cli.<key>.<help>`, or a full key."""
        text = say(help if help.startswith("cli.") else f"cli.{self.key}.{help}")
        group = self.choices if names[0].startswith("-") else self.words
        return group.add_argument(*names, help=text.replace("%", "%%"), **options)

    def commands(self, names: dict[str, Callable[[Parser], None]], dest: str) -> None:
        """Declare the commands of a command, whose keys are `<key>.<name>`."""
        commands = self.add_subparsers(
            title=say("cli.group-commands"),
            dest=dest,
            metavar="COMMAND",
            prog=self.prog,
            parser_class=Parser,
        )
        for name, fill in names.items():
            key = name if self.key == PROGRAM else f"{self.key}-{name}"
            help = say(f"cli.{key}").replace("%", "%%")
            commands.add_parser(name, help=help, key=key, fill=fill)

    def filled(self) -> Parser:
        """This parser with all its arguments."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
            everywhere(self)
            self.usage = self._short_usage().replace("%", "%%")
        return self

    def _short_usage(self) -> str:
        words = [self.prog]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                words.append("[COMMAND] [OPTIONS]")
            elif not action.option_strings:
                name = str(action.metavar)
                words.append(
                    {"*": f"[{name} …]", "+": f"{name} …", "?": f"[{name}]"}.get(
                        str(action.nargs), name
                    )
                )
        if not self.inner:
            words.append("[OPTIONS]")
        return " ".join(words)

    @property
    def inner(self) -> dict[str, Parser]:
        """The parsers of its commands, by name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.filled()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise _in_our_words(self, message)

    @property
    def examples(self) -> str:
        """Command lines to start from, a comment before each; "" if there are none."""
        try:
            return say(f"cli.{self.key}.examples")
        except KeyError:
            return ""

    def format_help(self) -> str:
        self.epilog = None
        text = super().format_help()
        if examples := self.examples:
            block = "\n".join(f"  {line}".rstrip() for line in examples.splitlines())
            text += f"\n{say('cli.group-examples')}:\n{block}\n"
        return text


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Widths counted in columns, so that Chinese fits too."""

    def __init__(self, prog: str, **_: Any) -> None:
        columns = min(shutil.get_terminal_size((100, 24)).columns, 110)
        super().__init__(prog, max_help_position=30, width=columns)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, say("cli.usage") + " ")

    def _split_lines(self, text: str, width: int) -> list[str]:
        return list(wrap(text, width))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in wrap(text, width - len(indent)))


def build() -> Parser:
    """The parser of `millstream`; a command's module is imported when its turn comes."""
    parser = Parser(PROGRAM, PROGRAM)

    def fill(name: str) -> Callable[[Parser], None]:
        return lambda parser: command(name).arguments(parser)

    parser.commands({name: fill(name) for name in COMMANDS}, "command")
    everywhere(parser, version=True)
    parser.usage = f"{PROGRAM} COMMAND [OPTIONS]"
    return parser


def everywhere(parser: Parser, *, version: bool = False) -> None:
    """The options that may stand before and after any command."""
    group = parser.add_argument_group(say("cli.group-everywhere"))

    def add(*names: str, key: str, **options: Any) -> None:
        help = say(f"cli.everywhere.{key}").replace("%", "%%")
        group.add_argument(*names, help=help, default=argparse.SUPPRESS, **options)

    add("-h", "--help", key="help", action="help")
    if version:
        from millstream import __version__

        add("--version", key="version", action="version", version=f"{PROGRAM} {__version__}")
    add("-q", "--quiet", key="quiet", action="store_true")
    add("--lang", key="lang", choices=("en", "zh"))
    add("--color", key="color", action="store_true", dest="color")
    add("--no-color", key="no-color", action="store_false", dest="color")
    add("--home", key="home", metavar="DIR", type=Path)


def binding_options(parser: Parser, *, model: bool = True) -> None:
    """The options that say what stands in for what a file names. model: whether there is one for
    all its models."""
    if model:
        parser.arg("--model", metavar="MODEL", type=filled, help="cli.bindings.model")
    parser.arg(
        "--bind", metavar="A=B", action="append", default=[], type=_rule, help="cli.bindings.bind"
    )
    parser.arg(
        "--bind-tool",
        metavar="A=B",
        action="append",
        default=[],
        type=_rule,
        help="cli.bindings.bind-tool",
    )
    parser.arg("--local", action="store_true", help="cli.bindings.local")


def filled(text: str) -> str:
    """A text that is not empty, as `"$MODEL"` is where nothing set it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected one argument")
    return text


def _rule(text: str) -> tuple[str, str]:
    from millstream.home import parse_bind

    rule = parse_bind(text)
    return rule.pattern, rule.target


# What argparse says, and the catalogue's sentence for it.
_ERRORS: tuple[tuple[str, str], ...] = (
    (r"the following arguments are required: (?P<what>.+)", "cli.missing-argument"),
    (
        r"argument (?P<what>\S+): invalid choice: '(?P<given>.*?)' \(choose from (?P<known>.*)\)",
        "cli.not-one-of",
    ),
    (r"argument (?P<what>\S+): expected (?:one|at least one) argument", "cli.missing-value"),
    (r"argument (?P<what>\S+): invalid (?P<kind>\w+) value: '(?P<given>.*)'", "cli.wrong-value"),
    (r"argument (?P<what>\S+): ignored explicit argument '(?P<given>.*)'", "cli.takes-no-value"),
    (r"argument (?P<what>\S+): not allowed with argument (?P<other>\S+)", "cli.not-together"),
)


def _in_our_words(parser: Parser, message: str) -> BadInput:
    for pattern, key in _ERRORS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            values: dict[str, Any] = found.groupdict()
            if "known" in values:
                values["known"] = values["known"].replace("'", "")
                if values["what"] == "COMMAND":
                    return _no_such_command(parser, values["given"])
            return BadInput(key, program=parser.prog, **values)
    return BadInput("cli.wrong-arguments", program=parser.prog, problem=message)


def _no_such_command(parser: Parser, given: str) -> BadInput:
    from millstream.home.toml import nearest

    if parser.key == PROGRAM and Path(given).exists():
        return BadInput("cli.file-without-command", file=given)
    near = nearest(given, parser.inner)
    key = "cli.no-command-near" if near else "cli.no-command"
    return BadInput(key, program=parser.prog, given=given, near=near)


def unknown_option(parser: Parser, given: str) -> BadInput:
    """The error about an option that a command does not have."""
    from millstream.home.toml import nearest

    name = given.partition("=")[0]
    known = [option for action in parser._actions for option in action.option_strings]
    near = nearest(name, known)
    key = "cli.no-option-near" if near else "cli.no-option"
    return BadInput(key, program=parser.prog, given=name, near=near)


def walk(parser: Parser) -> Iterator[Parser]:
    """A parser and those of all its commands, filled."""
    yield parser.filled()
    for inner in parser.inner.values():
        yield from walk(inner)
