"""`millstream completion`: a script that completes command lines, for bash, zsh or fish.

Made from the parser itself. After an app file `run` completes the names of its inputs, which the
script asks `millstream inputs` for.
"""

from __future__ import annotations

import argparse
import shlex
from argparse import Namespace
from collections.abc import Iterator

import msgspec

from millstream.cli.parser import PROGRAM, Parser, build, walk
from millstream.cli.terminal import Terminal

SHELLS = ("bash", "zsh", "fish")
WITH_FILES = ("run", "check", "inputs", "show", "export")


class Option(msgspec.Struct):
    """names: with their dashes. values: that it takes; None if it takes any, () if none."""

    names: tuple[str, ...]
    about: str
    values: tuple[str, ...] | None


class Entry(msgspec.Struct):
    """A command: the words that lead to it, what may follow."""

    path: str
    options: list[Option]
    commands: dict[str, str]


def arguments(parser: Parser) -> None:
    parser.arg("shell", choices=SHELLS, metavar="SHELL", help="shell")


def run(args: Namespace, terminal: Terminal) -> int:
    entries = [_entry(parser) for parser in walk(build())]
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](entries)
    terminal.write("\n".join(script) + "\n")
    return 0


def _entry(parser: Parser) -> Entry:
    options, commands = [], {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands = {
                str(a.dest): str(a.help).replace("%%", "%") for a in action._choices_actions
            }
        elif action.option_strings:
            values = tuple(map(str, action.choices)) if action.choices else None
            if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
                values = ()
            about = str(action.help or "").replace("%%", "%")
            options.append(Option(tuple(action.option_strings), about, values))
    return Entry(parser.prog.removeprefix(PROGRAM).strip(), options, commands)


def _paths(entries: list[Entry]) -> str:
    """The patterns by which a script finds how far the words name a command."""
    return "|".join(f"'{entry.path}'" for entry in entries if entry.path)


def _values(entries: list[Entry]) -> Iterator[tuple[str, str]]:
    """Options that take one of some values."""
    found = {
        name: " ".join(option.values)
        for entry in entries
        for option in entry.options
        for name in option.names
        if option.values
    }
    yield from found.items()


def _bash(entries: list[Entry]) -> Iterator[str]:
    yield f"# {PROGRAM} completion for bash"
    yield f"_{PROGRAM}() {{"
    yield '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"'
    yield "  local path='' file='' word next"
    yield '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '    next="${path:+$path }$word"'
    yield '    case "$next" in'
    yield f'      {_paths(entries)}) path="$next" ;;'
    yield '      *) [[ -z $file && -f $word ]] && file="$word" ;;'
    yield "    esac"
    yield "  done"
    yield "  COMPREPLY=()"
    yield '  case "$prev" in'
    for name, values in _values(entries):
        yield f'    {name}) COMPREPLY=($(compgen -W "{values}" -- "$cur")); return ;;'
    yield "  esac"
    yield "  local commands='' options=''"
    yield '  case "$path" in'
    for entry in entries:
        options = [name for option in entry.options for name in option.names]
        yield f"    '{entry.path}') commands='{' '.join(entry.commands)}'"
        yield f"      options='{' '.join(options)}' ;;"
    yield "  esac"
    yield "  if [[ $cur == -* ]]; then"
    yield '    COMPREPLY=($(compgen -W "$options" -- "$cur"))'
    yield "  elif [[ -n $commands ]]; then"
    yield '    COMPREPLY=($(compgen -W "$commands" -- "$cur"))'
    yield "  elif [[ $path == run && -n $file ]]; then"
    yield f'    COMPREPLY=($(compgen -S = -W "$({PROGRAM} inputs --names "$file" 2>/dev/null)" \\'
    yield '      -- "$cur"))'
    yield "    compopt -o nospace 2>/dev/null"
    yield "  else"
    yield "    compopt -o default 2>/dev/null"
    yield "  fi"
    yield "}"
    yield f"complete -F _{PROGRAM} {PROGRAM}"


def _zsh(entries: list[Entry]) -> Iterator[str]:
    yield f"#compdef {PROGRAM}"
    yield f"# {PROGRAM} completion for zsh"
    yield "local -a commands options names"
    yield "local where='' file='' word next"
    yield "for word in ${words[2,CURRENT-1]}; do"
    yield '  next="${where:+$where }$word"'
    yield '  case "$next" in'
    yield f'    ({_paths(entries)}) where="$next" ;;'
    yield '    (*) [[ -z $file && -f $word ]] && file="$word" ;;'
    yield "  esac"
    yield "done"
    yield "case ${words[CURRENT-1]} in"
    for name, values in _values(entries):
        yield f"  ({name}) compadd {values}; return ;;"
    yield "esac"
    yield 'case "$where" in'
    for entry in entries:
        commands = " ".join(_described(name, about) for name, about in entry.commands.items())
        options = " ".join(
            _described(n, option.about) for option in entry.options for n in option.names
        )
        yield f"  ('{entry.path}') commands=({commands}); options=({options}) ;;"
    yield "esac"
    yield "if [[ ${words[CURRENT]} == -* ]]; then"
    yield "  _describe option options"
    yield "elif (( ${#commands} )); then"
    yield "  _describe command commands"
    yield "elif [[ $where == run && -n $file ]]; then"
    yield f'  names=(${{(f)"$({PROGRAM} inputs --names $file 2>/dev/null)"}})'
    yield "  compadd -S = -- $names"
    yield "else"
    yield "  _files"
    yield "fi"


def _described(name: str, about: str) -> str:
    return shlex.quote(f"{name}:{about}".replace("\n", " "))


def _fish(entries: list[Entry]) -> Iterator[str]:
    yield f"# {PROGRAM} completion for fish"
    yield f"function __{PROGRAM}_at"
    yield "  set -l words (commandline -opc)"
    yield "  set -l where"
    yield "  for word in $words[2..-1]"
    yield '    set -l next (string join -- " " $where $word)'
    yield f"    contains -- $next {_paths(entries).replace('|', ' ')}; and set where $next"
    yield "  end"
    yield '  test "$where" = "$argv[1]"'
    yield "end"
    yield f"function __{PROGRAM}_inputs"
    yield "  for word in (commandline -opc)[3..-1]"
    yield "    test -f $word; or continue"
    yield f"    {PROGRAM} inputs --names $word 2>/dev/null | string replace -r '$' ="
    yield "    return"
    yield "  end"
    yield "end"
    for entry in entries:
        at = f"complete -c {PROGRAM} -n {shlex.quote(f'__{PROGRAM}_at {shlex.quote(entry.path)}')}"
        if not entry.path:
            yield f"complete -c {PROGRAM} -f"
        elif entry.path in WITH_FILES:
            yield f"{at} -F"
        if entry.path == "run":
            yield f"{at} -a '(__{PROGRAM}_inputs)'"
        for name, about in entry.commands.items():
            yield f"{at} -a {name} -d {shlex.quote(about)}"
        for option in entry.options:
            flags = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            takes = "" if option.values == () else " -r"
            if option.values:
                takes = f" -x -a {shlex.quote(' '.join(option.values))}"
            yield f"{at} {flags}{takes} -d {shlex.quote(option.about)}"
