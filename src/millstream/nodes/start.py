"""Start: what an app asks for, and the rules by which an input is accepted.

The outputs are the inputs under their variables' names, and the run's system variables as
`sys.<name>`. An input is refused with the variable's name and what would do: a required one that
is missing (a default does not help, as in the format), a text too long, an option not in the
list, a number that is none.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from millstream.base import BadInput, Place
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Inputs, Node, Outcome
from millstream.engine.node import DataClass
from millstream.engine.scheduler import INPUTS
from millstream.values import MISSING, File, Pool, brief
from millstream.values.file import MARK


class InputVariable(msgspec.Struct, kw_only=True):
    """One field of the form. max_length: characters, or files of a file-list; 0 and null: any."""

    variable: str
    label: str | dict[str, Any] | None = None
    description: str | None = None
    type: str = "text-input"
    required: bool | None = False
    hide: bool | None = False
    default: Any = None
    max_length: int | None = None
    options: list[Any] | None = None
    allowed_file_types: list[str] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[str] | None = None
    json_schema: dict[str, Any] | str | None = None

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of an object; {} for none, None for one that is no mapping."""
        schema: Any = self.json_schema or {}
        if isinstance(schema, str):
            try:
                schema = msgspec.json.decode(schema)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                return None
        return schema if isinstance(schema, dict) else None


class StartData(NodeData, kw_only=True):
    variables: list[InputVariable] | None = None


_TEXTS = ("text-input", "paragraph", "select")  # other types than those known pass unchanged

_VALUE_TYPES = {
    "number": "number",
    "checkbox": "boolean",
    "file": "file",
    "file-list": "array[file]",
    "json_object": "object",
}


class Start(Node[StartData]):
    type = "start"
    Data: ClassVar[DataClass] = StartData

    def __init__(self, data: StartData, build: Build) -> None:
        super().__init__(data, build)
        self.variables = data.variables or []
        for i, variable in enumerate(self.variables):
            if not variable.variable:
                raise BadInput("nodes.variable-without-name", place=build.place("variables", i))
            if variable.type == "json_object" and variable.schema is None:
                raise BadInput("nodes.bad-schema", place=build.place("variables", i, "json_schema"))

    def outputs(self) -> dict[str, str]:
        names = {v.variable: _VALUE_TYPES.get(v.type, "string") for v in self.variables}
        return {**names, "sys.query": "string", "sys.files": "array[file]"}

    def accept(self, given: dict[str, Any]) -> dict[str, Any]:
        """The inputs of a run, checked and converted; undeclared ones are dropped.

        Raises BadInput naming the variable."""
        return {v.variable: accept(v, given.get(v.variable)) for v in self.variables}

    def inputs(self, pool: Pool) -> Inputs:
        values = pool.vars[INPUTS].copy()
        for name, value in pool.vars["sys"].items():
            values["sys." + name] = value
        return values

    def run(self, inputs: Inputs, context: Context) -> Outcome:
        return Outcome(inputs)


def accept(variable: InputVariable, value: Any) -> Any:
    """One input by the rules of its variable. Raises BadInput."""
    name = variable.variable
    if value is None or value is MISSING:
        if variable.required:
            raise BadInput("nodes.input-missing", name=name, label=_label(variable))
        value = variable.default
        if value is None or (value == "" and variable.type not in ("text-input", "paragraph")):
            return None
    kind = variable.type
    if kind == "number":
        return _number(name, value)
    if kind == "checkbox":
        value = _checkbox(name, value)
        if value is None and variable.required:
            raise BadInput("nodes.input-missing", name=name, label=_label(variable))
        return value
    if kind in ("file", "file-list"):
        return _files(variable, value)
    if kind == "json_object":
        return _object(variable, value)
    if kind not in _TEXTS:
        return value
    if not isinstance(value, str):
        raise BadInput("nodes.input-not-text", name=name, given=_kind(value))
    value = value.replace("\x00", "")
    if kind == "select":
        options = [str(option) for option in variable.options or ()]
        if value not in options:
            raise BadInput(
                "nodes.input-not-an-option",
                name=name,
                given=brief(value),
                options=", ".join(options),
            )
    elif variable.max_length and len(value) > variable.max_length:
        raise BadInput(
            "nodes.input-too-long", name=name, length=len(value), limit=variable.max_length
        )
    return value


def _label(variable: InputVariable) -> str:
    return variable.label if isinstance(variable.label, str) and variable.label else ""


def _kind(value: Any) -> str:
    return {dict: "object", list: "list", bool: "boolean"}.get(type(value), type(value).__name__)


_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+")
_DIGITS = 4300  # Python reads no whole number that is longer


def _number(name: str, value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput("nodes.input-not-a-number", name=name, given=_kind(value))
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or len(text) > _DIGITS:
        raise BadInput("nodes.input-not-a-number", name=name, given=brief(text))
    return float(text) if "." in text else int(text)


def _checkbox(name: str, value: Any) -> bool | None:
    if isinstance(value, dict | list):
        raise BadInput("nodes.input-not-a-boolean", name=name, given=_kind(value))
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("true", "yes", "on", "1", 1, True):
        return True
    if word in ("false", "no", "off", "0", 0, False):
        return False
    if word == "":
        return None
    raise BadInput("nodes.input-not-a-boolean", name=name, given=brief(str(value)))


def _object(variable: InputVariable, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            raise BadInput("nodes.input-not-an-object", name=variable.variable) from None
    if not isinstance(value, dict):
        raise BadInput("nodes.input-not-an-object", name=variable.variable)
    if variable.schema:
        _fulfil(variable.variable, variable.schema, value)
    return value


def _fulfil(name: str, schema: dict[str, Any], value: dict[str, Any]) -> None:
    """Raises BadInput with the first thing in which a value does not fulfil its schema. The
    schema may be a stranger's: it is not followed to other addresses."""
    from jsonschema import Draft7Validator, SchemaError, ValidationError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft7Validator.check_schema(schema)
        Draft7Validator(schema, registry=Registry()).validate(value)
    except ValidationError as error:
        problem = f"{error.json_path}: {brief(error.message, 200)}"
        raise BadInput("nodes.input-not-the-schema", name=name, problem=problem) from None
    except (SchemaError, Unresolvable, re.error, RecursionError):
        raise BadInput("nodes.bad-schema", place=Place(field=f"{name}.json_schema")) from None


def _files(variable: InputVariable, value: Any) -> File | list[File] | None:
    single = variable.type == "file"
    if value == "":
        if single and variable.required:
            raise BadInput("nodes.input-missing", name=variable.variable, label=_label(variable))
        return None if single else []
    values = [value] if single else value
    if not isinstance(values, list):
        raise BadInput("nodes.input-not-a-file", name=variable.variable, given=_kind(value))
    limit = variable.max_length
    if not single and limit and len(values) > limit:
        raise BadInput(
            "nodes.input-too-many-files", name=variable.variable, count=len(values), limit=limit
        )
    files = [_file(variable, item) for item in values]
    return files[0] if single else files


def _file(variable: InputVariable, value: Any) -> File:
    if isinstance(value, File):
        file = value
    elif isinstance(value, dict) and (MARK in value or "type" in value):
        file = File.from_dict(value)
    else:
        raise BadInput("nodes.input-not-a-file", name=variable.variable, given=_kind(value))
    types = variable.allowed_file_types or []
    extensions = [ext.lower().lstrip(".") for ext in variable.allowed_file_extensions or ()]
    allowed = not types or file.type in types
    if not allowed and "custom" in types:
        allowed = file.extension.lower().lstrip(".") in extensions
    if not allowed:
        raise BadInput(
            "nodes.input-file-type",
            name=variable.variable,
            given=file.type,
            allowed=", ".join([*types, *extensions]),
        )
    return file
