"""The command line: `millstream …`, one thin module a command.

`main` is the entry point. A command module has two functions: `arguments`, which declares what it
takes, and `run`, which does it and returns the exit code. Sentences come from the catalogue, work
is done by other rooms; here are only words in and words out. Nothing heavy is imported before it
is needed: `millstream --version` costs hardly more than Python itself.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, that of the process by default; returns the exit code."""
    import sys

    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        from millstream import __version__

        print(f"millstream {__version__}")
        return 0
    from millstream.cli.command_line import main as answer

    return answer(words)
