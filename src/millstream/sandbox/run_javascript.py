"""JavaScript code: `main(inputs)` returns a JSON value, or a promise of one.

The language is what quickjs-ng speaks: ECMAScript of 2023 and later, without modules, `require`,
timers or network. `console` prints.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterable
from typing import Any, Final

from .languages import Problem

_CONSOLE: Final = """
{
  const print = globalThis.__print;
  delete globalThis.__print;
  const show = (value) => {
    if (typeof value === "string") return value;
    if (value instanceof Error) return `${value}\\n${value.stack ?? ""}`.trimEnd();
    if (typeof value === "object") {
      try { return JSON.stringify(value) } catch { return String(value) }
    }
    return String(value);
  };
  const log = (...values) => { print(JSON.stringify(values.map(show).join(" "))) };
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };
}
"""

# Gives a function that gives the result as JSON, once all that waits has been done; `null` if the
# promise of a result was neither kept nor broken.
_CALL: Final = """
(function __call(text) {
  let result, state = "kept";
  const value = main(JSON.parse(text));
  if (typeof value?.then !== "function") result = value;
  else {
    state = "open";
    value.then((v) => { result = v; state = "kept" }, (e) => { result = e; state = "broken" });
  }
  return function __finish() {
    if (state === "open") return null;
    if (state === "broken") throw result;
    return JSON.stringify(result);
  };
})
"""

# A line of a stack trace: "    at name (<input>:3:14)" or "    at <input>:3:14".
_FRAME: Final = re.compile(r"^ +at (?:(?P<name>\S+) \()?<input>:(?P<line>\d+)", re.MULTILINE)


def load(preload: Iterable[str]) -> None:
    import quickjs

    quickjs.Context().eval("1")


def run(source: str, inputs: dict[str, Any]) -> bytes:
    import quickjs

    at_start = _most_memory()
    context = quickjs.Context()
    context.add_callable("__print", lambda text: print(json.loads(text)))
    context.eval(_CONSOLE)
    try:
        context.eval(source)
        if context.eval("typeof main") != "function":
            raise Problem("no-main")
        finish = context.eval(_CALL)(json.dumps(inputs, allow_nan=False))
        while context.execute_pending_job():
            pass
        result = finish()
    except quickjs.JSException as error:
        if str(error) == "null\n" and _starved(at_start):
            raise Problem("memory-limit") from None
        raise _raised(str(error)) from None
    except UnicodeEncodeError:
        raise Problem("syntax", problem="half a character (a lone surrogate)", line=None) from None
    if result is None and _starved(at_start):
        raise Problem("memory-limit")
    if not isinstance(result, str):  # what JSON.stringify leaves out: a function, undefined
        raise Problem("not-json", what="undefined")
    return result.encode()


def _most_memory() -> int:
    """The most that this process has had in memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _starved(at_start: int) -> bool:
    """Whether a call took so much that what it did not do is due to that.

    An engine with no memory left for an error throws `null` instead, and drops promises. By then it
    has given back what it had: only the peak tells. It stays below the limit by what the process
    had reserved before, therefore the quarter.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit != resource.RLIM_INFINITY and _most_memory() - at_start > limit / 4


def _raised(text: str) -> Problem:
    """What an error of the code is to its author."""
    frames = (m for m in _FRAME.finditer(text) if m["name"] not in ("__call", "__finish"))
    line = next((int(frame["line"]) for frame in frames), None)
    said = re.split(r"\n +at |\nundefined$|\n$", text, maxsplit=1)[0]
    name, colon, problem = said.partition(": ")
    if not colon or not name.isidentifier():
        name, problem = "Error", said
    if name == "SyntaxError":
        return Problem("syntax", problem=problem, line=line)
    if name == "InternalError" and "memory" in problem:
        return Problem("memory-limit", line=line)
    return Problem("raised", type=name, problem=problem, line=line)
