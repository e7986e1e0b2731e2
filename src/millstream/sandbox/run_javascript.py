"""JavaScript code: `main(inputs)` returns a JSON value, or a promise of one.

The language is what quickjs-ng speaks: ECMAScript of 2023 and later, without modules, `require`,
timers or network. `console` prints.
"""

from __future__ import annotations

import json
import re
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

# Gives a function that gives the result as JSON, once all that waits has been done.
_CALL: Final = """
function __call(text) {
  let result, failed = false;
  const value = main(JSON.parse(text));
  if (typeof value?.then !== "function") result = value;
  else value.then((v) => { result = v }, (e) => { result = e; failed = true });
  return function __finish() {
    if (failed) throw result;
    return JSON.stringify(result);
  };
}
__call
"""

# A line of a stack trace: "    at name (<input>:3:14)" or "    at <input>:3:14".
_FRAME: Final = re.compile(r"^ +at (?:(?P<name>\S+) \()?<input>:(?P<line>\d+)", re.MULTILINE)


def load(preload: Iterable[str]) -> None:
    import quickjs

    quickjs.Context().eval("1")


def run(source: str, inputs: dict[str, Any]) -> bytes:
    import quickjs

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
        raise _raised(str(error)) from None
    except UnicodeEncodeError:
        raise Problem("syntax", problem="half a character (a lone surrogate)", line=None) from None
    if not isinstance(result, str):  # what JSON.stringify leaves out: a function, undefined
        raise Problem("not-json", what="undefined")
    return result.encode()


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
