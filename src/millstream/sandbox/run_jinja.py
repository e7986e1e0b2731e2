"""Jinja2 templates that only a locked child may render: loops in loops, `range`, `set`, macros …

The text is that of `jinja2.Template(source).render(inputs)`, lists may be appended to, and ranges
be of any length. Attributes that begin with an underscore stay out of reach all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .languages import Problem

if TYPE_CHECKING:
    from jinja2 import Environment

_environment: Environment


def load(preload: Iterable[str]) -> None:
    global _environment
    import jinja2.constants
    import jinja2.debug  # noqa: F401 (with constants, loaded late by jinja2 itself)
    from jinja2.sandbox import SandboxedEnvironment

    _environment = SandboxedEnvironment(cache_size=0)
    _environment.globals["range"] = range
    _environment.from_string("{% for a in b %}{{ a.c | e }}{% endfor %}").render(b=[{}])


def run(source: str, inputs: dict[str, Any]) -> bytes:
    import jinja2

    try:
        text = _environment.from_string(source).render(inputs)
    except jinja2.TemplateSyntaxError as error:
        raise Problem("template-syntax", problem=error.message or "", line=error.lineno) from None
    except MemoryError:
        raise Problem("memory-limit") from None
    except Exception as error:
        problem = str(error) or type(error).__name__
        raise Problem("template-failed", problem=problem, line=_line(error)) from None
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")


def _line(error: BaseException) -> int | None:
    """The innermost line of the template that an error came through, as jinja2 tells it."""
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<template>":
            line = step.tb_lineno
        step = step.tb_next
    return line
