"""Code: a Python or JavaScript function `main` of the author's, run in the sandbox.

Its parameters are the node's variables; it returns an object whose keys are exactly the declared
outputs. null is allowed for every output and, but for numbers, inside lists. What it prints is
kept as a detail. Nothing limits the size of a result unless a limit is set.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.base import Failed, NotHere
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Limits, Need, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.nodes.template_transform import VariableSelector, inner_place, plain
from millstream.values import Pool, Selector
from millstream.values.types import type_of


class CodeOutput(msgspec.Struct, kw_only=True):
    """A declared output; children describe the keys of an object."""

    type: str = "any"
    children: dict[str, CodeOutput] | None = None


class CodeData(NodeData, kw_only=True):
    code_language: str | None = "python3"
    code: str | None = None
    variables: list[VariableSelector] | None = None
    outputs: dict[str, CodeOutput] | None = None


class Code(Node[CodeData]):
    type = "code"
    Data: ClassVar[DataClass] = CodeData
    retries = True

    def __init__(self, data: CodeData, build: Build) -> None:
        super().__init__(data, build)
        self.id = build.spec.id
        self.language = data.code_language or "python3"
        self.declared = data.outputs or {}
        self._build = build
        self._reads = [(v.variable, Selector.of(v.value_selector)) for v in data.variables or ()]

    def outputs(self) -> dict[str, str]:
        return {name: output.type for name, output in self.declared.items()}

    def reads(self) -> Iterable[Reading]:
        for i, (_, selector) in enumerate(self._reads):
            yield Reading(selector, f"variables.{i}.value_selector")

    def needs(self) -> Iterable[Need]:
        yield Need("code", self.language, self.id)
        if self.language == "python3":
            for name in imports(self.data.code or ""):
                yield Need("package", name, self.id)

    def inputs(self, pool: Pool) -> Inputs:
        values = {name: plain(selector.read(pool)) for name, selector in self._reads if name}
        files = {n for n, v in self.data_types() if v == "array[file]"}
        return {n: None if n in files and v == [] else v for n, v in values.items()}

    def data_types(self) -> Iterable[tuple[str, str | None]]:
        return ((v.variable, v.value_type) for v in self.data.variables or ())

    async def run(self, inputs: Inputs, context: Context) -> Outcome:
        sandbox = context.ports.sandbox
        if sandbox is None:
            raise NotHere("engine.no-port", port="sandbox")
        try:
            result = await sandbox.run_code(self.language, self.data.code or "", inputs)
        except Failed as error:
            raise inner_place(error, self._build.place("code"))
        outputs = check_result(result.value, self.declared, context.limits)
        return Outcome(outputs, details={"printed": result.printed} if result.printed else {})


def imports(code: str) -> list[str]:
    """The modules beyond the standard library that Python code cannot do without: imports inside
    a `try` may fail. Empty for code that is not Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Import):
            found.update(dict.fromkeys(alias.name.split(".")[0] for alias in part.names))
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            found[part.module.split(".")[0]] = None
        elif not isinstance(part, ast.Try):
            waiting.extend(ast.iter_child_nodes(part))
    return sorted(name for name in found if name not in sys.stdlib_module_names)


def check_result(value: Any, declared: dict[str, CodeOutput], limits: Limits) -> dict[str, Any]:
    """The outputs of a returned value. Raises Failed naming the key that is wrong."""
    if not isinstance(value, dict):
        raise _wrong("nodes.code-not-an-object", given=type_of(value))
    missing = [name for name in declared if name not in value]
    if missing:
        raise _wrong("nodes.code-missing-output", names=", ".join(missing))
    extra = [str(name) for name in value if name not in declared]
    if extra:
        raise _wrong("nodes.code-extra-output", names=", ".join(extra))
    return {name: _output(value[name], name, out, limits) for name, out in declared.items()}


def _wrong(key: str, **values: Any) -> Failed:
    return Failed(key, error_type="OutputValidationError", **values)


def _output(value: Any, path: str, declared: CodeOutput, limits: Limits) -> Any:
    kind = declared.type.lower()
    if value is None or kind in ("any", "boolean"):
        return value
    if kind == "string":
        return _string(value, path, limits)
    if kind in ("number", "integer", "float"):
        return _number(value, path, limits)
    if kind == "object":
        if not isinstance(value, dict):
            raise _mismatch(path, kind, value)
        if limits.code_depth is not None:
            _depth(value, path, limits.code_depth)
        if not declared.children:
            return value
        missing = [name for name in declared.children if name not in value]
        if missing:
            raise _wrong("nodes.code-missing-output", names=f"{path}.{missing[0]}")
        children = declared.children.items()
        return {
            **value,
            **{name: _output(value[name], f"{path}.{name}", out, limits) for name, out in children},
        }
    if kind.startswith("array["):
        return _array(value, path, kind, limits)
    return value


def _array(value: Any, path: str, kind: str, limits: Limits) -> list[Any]:
    if not isinstance(value, list):
        raise _mismatch(path, kind, value)
    element = kind[6:-1]
    allowed, setting = {
        "string": (limits.code_string_array, "code_string_array"),
        "number": (limits.code_number_array, "code_number_array"),
        "object": (limits.code_object_array, "code_object_array"),
    }.get(element, (None, ""))
    if allowed is not None and len(value) > allowed:
        raise _wrong(
            "nodes.code-too-many", name=path, count=len(value), limit=allowed, setting=setting
        )
    items: list[Any] = []
    for i, item in enumerate(value):
        where = f"{path}[{i}]"
        if item is None and element != "number":
            items.append(None)
        elif element == "string":
            items.append(_string(item, where, limits))
        elif element == "number":
            items.append(_number(item, where, limits))
        elif (element == "object" and not isinstance(item, dict)) or (
            element == "boolean" and not isinstance(item, bool)
        ):
            raise _mismatch(where, element, item)
        else:
            items.append(item)
    return items


def _string(value: Any, path: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise _mismatch(path, "string", value)
    limit = limits.code_string_length
    if limit is not None and len(value) > limit:
        raise _wrong(
            "nodes.code-too-many",
            name=path,
            count=len(value),
            limit=limit,
            setting="code_string_length",
        )
    return value.replace("\x00", "")


def _number(value: Any, path: str, limits: Limits) -> int | float:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float):
        raise _mismatch(path, "number", value)
    limit = limits.code_number
    if limit is not None and abs(value) > limit:
        raise _wrong("nodes.code-number", name=path, limit=limit)
    return value


def _depth(value: Any, path: str, limit: int) -> None:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (
                item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            )
        ]
        if not level:
            return
    raise Failed("nodes.code-depth", name=path, limit=limit, error_type="DepthLimitError")


def _mismatch(path: str, declared: str, value: Any) -> Failed:
    return _wrong("nodes.code-wrong-type", name=path, declared=declared, given=type_of(value))
