"""What came of a call: the value in a reply, or the error to tell.

A reply is written by a process that untrusted code may have taken over. It can say anything about
that code, but nothing else: whatever it says becomes a value of moderate size or one of the errors
below.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from typing import Any, Final

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, Place, say
from millstream.engine.ports import CodeResult

MB: Final = 1024 * 1024


class SandboxLimits(msgspec.Struct, frozen=True):
    """What one call may use. An error about one of them names it as `sandbox.<name>`."""

    seconds: float = 60.0  # on the clock, from the moment a child is there
    memory_mb: int = 512  # address space
    output_mb: int = 64  # result and printed text, as JSON
    scratch_mb: int = 64  # files in its folder
    processes: int = 8  # calls at the same time; further ones wait, and their time does not run


class Ended(msgspec.Struct):
    """How a child ended. status: as `os.wait` gives it; why: a limit that the zygote keeps."""

    status: int
    why: str | None = None


class _Report(msgspec.Struct):
    """A problem as a child tells it."""

    kind: str
    type: str = ""
    problem: str = ""
    line: int | None = None
    package: str = ""
    where: str = ""
    what: str = ""


class _Reply(msgspec.Struct):
    value: Any = None
    printed: str = ""
    problem: _Report | None = None


class Outcomes:
    """Results and errors of the calls of one language. packages: where it finds its packages."""

    def __init__(self, language: str, limits: SandboxLimits, packages: str) -> None:
        self.language = language
        self.limits = limits
        self.packages = packages

    def of_reply(self, reply: bytes) -> CodeResult:
        """The value in a reply; raises what the reply says went wrong, or that it is no reply."""
        if _heavy(reply, self.limits.memory_mb * MB):
            raise self.memory()
        try:
            # Decoded here: `json` would take UTF-16, too, where `_SUSPECT` finds nothing.
            value = json.loads(reply.decode(), parse_constant=_no_constant)
            answer = msgspec.convert(value, _Reply)
            if _SUSPECT.search(reply):
                json.dumps(answer.value, ensure_ascii=False, allow_nan=False).encode()
        except RecursionError:
            raise self._failed("not-json", what=say("sandbox.nested")) from None
        except UnicodeEncodeError:
            raise self._failed("not-json", what=say("sandbox.half-character")) from None
        except (ValueError, msgspec.ValidationError):
            raise self.garbled() from None
        printed = _whole(answer.printed)
        if answer.problem is None:
            return CodeResult(answer.value, printed)
        error = self._of_report(answer.problem)
        error.values["printed"] = printed  # not in the message, but not lost
        raise error

    def of_end(self, ended: Ended | None) -> Failed:
        """The error of a child that ended without a reply; None: its zygote ended first."""
        if ended is None:
            return self._failed("zygote-killed")
        if ended.why == "scratch":
            return self._failed("scratch-limit", limit=self.limits.scratch_mb)
        if ended.why == "threads":
            return self._failed("too-many-threads")
        if ended.why and ended.why.startswith("lacking "):
            return self._failed("no-child", problem=ended.why.removeprefix("lacking "))
        if not os.WIFSIGNALED(ended.status):
            return self._failed("no-result")
        number = os.WTERMSIG(ended.status)
        if number == signal.SIGXCPU:
            return self.time()
        return self._failed("killed", signal=_signal_name(number))

    def time(self) -> Failed:
        return self._failed("time-limit", limit=f"{self.limits.seconds:g}")

    def memory(self, place: Place | None = None) -> Failed:
        return self._failed("memory-limit", place, limit=self.limits.memory_mb)

    def output(self) -> Failed:
        return self._failed("output-limit", limit=self.limits.output_mb)

    def garbled(self) -> Failed:
        return self._failed("garbled")

    def _of_report(self, report: _Report) -> MillstreamError:
        place = Place(line=report.line) if 0 < (report.line or 0) <= _LAST_LINE else None
        problem = _said(report.problem)
        match report.kind:
            case "raised" if report.type == "OSError" and report.problem.startswith(_TOO_LARGE):
                return self._failed("scratch-limit", place, limit=self.limits.scratch_mb)
            case "raised":
                name = "raised" if problem else "raised-silently"
                return self._failed(name, place, type=_said(report.type), problem=problem)
            case "syntax" | "network" | "arguments" | "no-main":
                return self._failed(report.kind, place, problem=problem)
            case "no-package" if report.package.isidentifier():  # it will stand in a command
                name = "no-package" if self.packages else "no-packages"
                return self._failed(name, place, package=report.package, path=self.packages)
            case "not-json":
                return self._failed("not-json", what=_what(report))
            case "memory-limit":
                return self.memory(place)
            case "output-limit":
                return self.output()
            case "template-syntax":
                return BadInput("values.template-syntax", place=place, problem=problem)
            case "template-failed":
                return Failed("values.template-failed", place=place, problem=problem)
        return self.garbled()

    def _failed(self, name: str, place: Place | None = None, **values: Any) -> Failed:
        if self.language != "jinja2":
            values["error_type"] = "CodeExecutionError"  # the name that fail branches know
        return Failed(f"sandbox.{name}", place=place, **values)


def _what(report: _Report) -> str:
    """The part of a value that JSON cannot hold, in words."""
    match report.what:
        case "nested" | "half-character" | "huge-number" | "undefined":
            what = say(f"sandbox.{report.what}")
        case "type":
            what = say("sandbox.type", type=_said(report.type))
        case "key":
            what = say("sandbox.key", type=_said(report.type))
        case _:
            what = _said(report.problem)
    return f"{_said(report.where)}: {what}" if report.where else what


def _whole(text: str) -> str:
    """A text without halves of characters, which no file and no terminal takes."""
    return text.encode("utf-8", "replace").decode()


def _said(text: str) -> str:
    """What code says of an error: begin and end of it, if it is a whole document."""
    text = _whole(text)
    if len(text) <= _LONGEST_ERROR:
        return text
    return f"{text[: _LONGEST_ERROR // 2]}…{text[-_LONGEST_ERROR // 2 :]}"


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON; `run_python` has said so already


# What may be half a character, or a number that Python reads as infinity: 309 digits, or an
# exponent that makes up for those that lack.
_SUSPECT: Final = re.compile(rb"\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}|(?<!\d)\d{200}")
_TOO_LARGE: Final = f"[Errno {errno.EFBIG}]"  # one file of more than all may take together
_LAST_LINE: Final = 1_000_000
_LONGEST_ERROR: Final = 100_000
_PART: Final = 64  # bytes that a small value costs Python, at least
_BLOCK: Final = 1 << 16


def _heavy(reply: bytes, memory: int) -> bool:
    """Whether a reply, once it is Python's, needs more memory than the code had.

    `[[],[],…` takes three bytes a list, and twenty times that in our memory.
    """
    return _parts(reply) * _PART > memory and _parts_outside_texts(reply) * _PART > memory


def _parts(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + 3 * text.count(b"{") + text.count(b":")


def _parts_outside_texts(reply: bytes) -> int:
    """Without a regular expression: one for JSON's texts takes a hundred bytes for every byte of
    a text, and the square of their number for quotes in one that does not end."""
    reply = reply.replace(b"\\\\", b"").replace(b'\\"', b"")  # now every quote begins or ends one
    found = inside = 0
    for start in range(0, len(reply), _BLOCK):
        pieces = reply[start : start + _BLOCK].split(b'"')
        found += _parts(b" ".join(pieces[inside::2]))
        inside ^= 1 - len(pieces) % 2
    return found


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
