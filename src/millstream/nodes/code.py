"""Code: a Python or JavaScript function `main` of the author's, run in the sandbox.

Its parameters are the node's variables; it returns an object whose keys are exactly the declared
outputs. null is allowed for every output and, but for numbers, inside lists. What it prints is
kept as a detail. Nothing limits the size of a result unless a limit is set.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import Parameter, Signature
from typing import Any, ClassVar

import msgspec

from millstream.base import Failed, MillstreamError, NotHere, Place
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Limits, Need, Node, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.nodes.template_transform import VariableSelector, inner_place, plain
from millstream.values import Pool, Selector, brief
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
        self._reads = [
            (v.variable, v.value_type, Selector.of(v.value_selector)) for v in data.variables or ()
        ]

    def outputs(self) -> dict[str, str]:
        return {name: output.type for name, output in self.declared.items()}

    def reads(self) -> Iterable[Reading]:
        for i, (_, _, selector) in enumerate(self._reads):
            yield Reading(selector, f"variables.{i}.value_selector")

    def needs(self) -> Iterable[Need]:
        yield Need("code", self.language, self.id)
        if self.language == "python3":
            for name in imports(self.data.code or ""):
                yield Need("package", name, self.id)

    def doubts(self) -> Iterable[MillstreamError]:
        if self.language == "python3":
            names = [name for name, *_ in self._reads if name]
            if found := doubt(self.data.code or "", names):
                yield inner_place(found, self._build.place("code"))

    def inputs(self, pool: Pool) -> Inputs:
        values: Inputs = {}
        for name, kind, selector in self._reads:
            value = plain(selector.read(pool))
            if name:
                values[name] = None if value == [] and kind == "array[file]" else value
        return values

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


def doubt(code: str, inputs: Sequence[str]) -> Failed | None:
    """Why Python code cannot be run with inputs of these names; None where it can, or only a run
    tells: `main` may come from anywhere."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return Failed("sandbox.syntax", place=Place(line=error.lineno), problem=error.msg)
    except (ValueError, RecursionError, MemoryError):
        return None
    mentions = len(re.findall(r"\bmain\b|\bimport +\*", code))
    if not mentions:
        return Failed("sandbox.no-main")
    functions = [part for part in tree.body if isinstance(part, ast.FunctionDef)]
    main = next((part for part in functions if part.name == "main"), None)
    if mentions > 1 or main is None or main.decorator_list or main.args.posonlyargs:
        return None
    try:
        _signature(main.args).bind(**dict.fromkeys(inputs))
    except TypeError as error:
        return Failed("sandbox.arguments", problem=str(error))
    except ValueError:  # two parameters of one name: the run says so
        pass
    return None


def _signature(args: ast.arguments) -> Signature:
    """What a function without positional-only parameters takes."""
    without = [Parameter.empty] * (len(args.args) - len(args.defaults))
    made = [
        Parameter(arg.arg, Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for arg, default in zip(args.args, [*without, *args.defaults], strict=True)
    ]
    if args.vararg:
        made.append(Parameter(args.vararg.arg, Parameter.VAR_POSITIONAL))
    made += [
        Parameter(arg.arg, Parameter.KEYWORD_ONLY, default=default or Parameter.empty)
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    if args.kwarg:
        made.append(Parameter(args.kwarg.arg, Parameter.VAR_KEYWORD))
    return Signature(made)


def check_result(value: Any, declared: dict[str, CodeOutput], limits: Limits) -> dict[str, Any]:
    """The outputs of a returned value. Raises Failed naming the key that is wrong."""
    if not isinstance(value, dict):
        raise _wrong("nodes.code-not-an-object", given=type_of(value))
    return _keys(value, "", declared, limits)


def _keys(
    value: dict[str, Any], path: str, declared: dict[str, CodeOutput], limits: Limits
) -> dict[str, Any]:
    """An object whose keys must be those declared, no more and no less."""
    missing = [path + name for name in declared if name not in value]
    if missing:
        raise _wrong("nodes.code-missing-output", names=brief(", ".join(missing)))
    extra = [f"{path}{name}" for name in value if name not in declared]
    if extra:
        names = brief(", ".join(extra))
        raise Failed("nodes.code-extra-output", names=names, error_type="CodeNodeError")
    return {name: _output(value[name], path + name, out, limits) for name, out in declared.items()}


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
        return _object(value, path, declared, limits)
    if kind.startswith("array["):
        return _array(value, path, kind, declared, limits)
    return value


def _object(
    value: dict[str, Any], path: str, declared: CodeOutput, limits: Limits
) -> dict[str, Any]:
    if limits.code_depth is not None:
        _depth(value, path, limits.code_depth)
    return _keys(value, f"{path}.", declared.children, limits) if declared.children else value


def _array(value: Any, path: str, kind: str, declared: CodeOutput, limits: Limits) -> list[Any]:
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
        elif element == "object":
            items.append(_object(item, where, declared, limits))
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


def _depth(value: dict[str, Any], path: str, limit: int) -> None:
    """Objects in objects, those in lists included; the outputs as a whole are the first level."""
    level: list[Any] = [value]
    depth = 1
    while level:
        depth += 1
        if depth > limit:
            raise Failed("nodes.code-depth", name=path, limit=limit, error_type="DepthLimitError")
        level = [inner for item in level for inner in _inside(item)]


def _inside(value: Any) -> Iterator[Any]:
    """The objects and lists one level down; a list that is a value adds none of its own."""
    for part in value.values() if isinstance(value, dict) else (value,):
        if isinstance(part, dict):
            yield part
        elif isinstance(part, list):
            yield from (item for item in part if isinstance(item, dict | list))


def _mismatch(path: str, declared: str, value: Any) -> Failed:
    return _wrong("nodes.code-wrong-type", name=path, declared=declared, given=type_of(value))
