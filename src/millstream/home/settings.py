"""Settings: what a person can change, each with its type, its default and one sentence.

`Values` is the one table: a section is a class, a setting a field, its sentence the catalogue
entry `home.setting.<section>.<name>`. Read from settings.toml; the environment goes first
(MILLSTREAM_NETWORK_OFFLINE=1 is network.offline), so that a container needs no file. Keys are
not settings: `credentials` has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from millstream.base import BadInput, Place, is_web_address, say
from millstream.home import files, toml
from millstream.home.names import is_reference
from millstream.home.toml import Notice

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from millstream.home.directory import Home

FILE = "settings.toml"
Count = Annotated[int, Meta(ge=1)]
Times = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Models(msgspec.Struct):
    """The last four are the fields of `models.router.Rules`."""

    default: str = ""
    dir: str = ""
    reasks: Times = 2
    continue_on_length: Times = 0
    check_prompt_tokens: bool = True
    stop_repetition: bool = True


class Network(msgspec.Struct):
    proxy: str = ""
    offline: bool = False
    connect_timeout: Seconds = 10.0
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    tries: Count = 4
    longest_wait: Seconds = 120.0


class Sandbox(msgspec.Struct):
    seconds: Annotated[float, Meta(gt=0)] = 60.0
    memory_mb: Count = 512
    output_mb: Count = 64
    scratch_mb: Count = 64
    processes: Count = 8
    packages: str = ""
    unconfined: bool = False


class Limits(msgspec.Struct):
    """The fields of `engine.Limits`, all off, and the name of a profile to start from."""

    profile: Literal["none", "dify"] = "none"
    max_steps: Count | None = None
    max_seconds: Seconds | None = None
    template_length: Count | None = None
    code_string_length: Count | None = None
    code_depth: Count | None = None
    code_number: Count | None = None
    code_string_array: Count | None = None
    code_number_array: Count | None = None
    code_object_array: Count | None = None
    parallel_items: Count | None = None


class Translate(msgspec.Struct):
    endpoint: str = ""
    proxy: str = ""
    connect_timeout: Seconds | None = None
    read_timeout: Seconds | None = 60.0
    piece: Count = 5_000
    model_piece: Count = 1_500
    max_mb: Count = 8

    def __post_init__(self) -> None:
        if self.endpoint and not is_web_address(self.endpoint):
            raise ValueError(say("home.web-address", name="translate.endpoint"))


class Hub(msgspec.Struct):
    endpoint: str = "https://huggingface.co"
    modelscope: str = "https://www.modelscope.cn"
    ollama: str = "https://registry.ollama.ai"

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not is_web_address(getattr(self, name)):
                raise ValueError(say("home.web-address", name=f"hub.{name}"))


class Embedded(msgspec.Struct):
    """Models that are loaded here, each in a process of its own (`models.embedded`)."""

    context: Count | None = None
    slots: Count | None = None
    threads: Count | None = None
    idle_seconds: Seconds | None = None
    check_memory: bool = True


class Endpoint(msgspec.Struct, omit_defaults=True):
    """A model server or a provider's account under a name of its own.

    key: a reference, "env:NAME", "keyring:NAME" or "credentials:NAME"; without one the key that
    `credentials` has under the endpoint's name. context, slots: what is known of the server.
    options: the protocol's own, such as Azure's api_version.
    """

    name: str
    url: str
    protocol: Literal["openai", "azure", "ollama", "anthropic", "gemini"] = "openai"
    key: str | None = None
    context: Count | None = None
    slots: Count | None = None
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(say("home.endpoint-name"))
        if not is_web_address(self.url):
            raise ValueError(say("home.endpoint-url"))
        if self.key is not None and not is_reference(self.key):
            raise ValueError(say("home.endpoint-key"))


class Values(msgspec.Struct):
    models: Models = msgspec.field(default_factory=Models)
    network: Network = msgspec.field(default_factory=Network)
    sandbox: Sandbox = msgspec.field(default_factory=Sandbox)
    limits: Limits = msgspec.field(default_factory=Limits)
    translate: Translate = msgspec.field(default_factory=Translate)
    hub: Hub = msgspec.field(default_factory=Hub)
    embedded: Embedded = msgspec.field(default_factory=Embedded)
    endpoints: list[Endpoint] = []


class Setting(msgspec.Struct, frozen=True):
    """A setting to show: its name, what it takes in words, its value and where that is from.

    source: "default", "environment" or "file:line".
    """

    name: str
    kind: str
    default: Any
    value: Any
    source: str

    @property
    def doc(self) -> str:
        return say(f"home.setting.{self.name}")


class Settings:
    """The settings in force. Sections are attributes: `settings.network.connect_timeout`.

    Read when first asked; BadInput says the line of what is wrong. `notices` has the keys that
    are not settings, each with the name that was probably meant.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.path: Path = home.path / FILE

    @property
    def models(self) -> Models:
        return self.values.models

    @property
    def network(self) -> Network:
        return self.values.network

    @property
    def sandbox(self) -> Sandbox:
        return self.values.sandbox

    @property
    def limits(self) -> Limits:
        return self.values.limits

    @property
    def translate(self) -> Translate:
        return self.values.translate

    @property
    def hub(self) -> Hub:
        return self.values.hub

    @property
    def embedded(self) -> Embedded:
        return self.values.embedded

    @property
    def endpoints(self) -> list[Endpoint]:
        return self.values.endpoints

    @cached_property
    def values(self) -> Values:
        values = _checked(self._file)
        for name in names():
            if (text := os.environ.get(variable(name))) is not None:
                section, key = name.split(".")
                try:
                    setattr(getattr(values, section), key, _typed(name, text))
                except BadInput as error:
                    raise error.at(Place(file=variable(name))) from None
        return values

    @cached_property
    def notices(self) -> list[Notice]:
        found = []
        for path, known in _strangers(Values, self._file.data):
            guess = toml.nearest(str(path[-1]), known)
            near = ".".join(map(str, [*path[:-1], guess]))
            values = {"name": ".".join(map(str, path)), "near": near}
            code = "home.unknown-setting-near" if guess else "home.unknown-setting"
            found.append(Notice(code, self._file.place(*path), values))
        return found

    @cached_property
    def _file(self) -> toml.Table:
        return toml.read(self.path)

    def get(self, name: str) -> Any:
        """The value of a setting by its name, such as "network.offline"; BadInput if unknown."""
        _known(name)
        section, key = name.split(".")
        return getattr(getattr(self.values, section), key)

    def table(self) -> list[Setting]:
        """Every setting but the endpoints, in the order of the table."""
        return [self.describe(name) for name in names()]

    def describe(self, name: str) -> Setting:
        """One setting; BadInput if unknown."""
        _known(name)
        section, key = name.split(".")
        if variable(name) in os.environ:
            source = "environment"
        elif key in self._file.data.get(section, {}):
            source = f"{self.path}:{self._file.line(section, key)}"
        else:
            source = "default"
        default = getattr(getattr(Values(), section), key)
        return Setting(name, _in_words([section, key]), default, self.get(name), source)

    def set(self, name: str, text: str) -> None:
        """Keep a setting, given as text. Raises BadInput: unknown, or not of its type."""
        _known(name)
        section, key = name.split(".")
        value = _typed(name, text)
        if value is None:
            self.unset(name)
        else:
            self._change(lambda document: document.setdefault(section, {}).update({key: value}))

    def unset(self, name: str) -> None:
        """Go back to the default."""
        _known(name)
        section, key = name.split(".")
        self._change(lambda document: document.get(section, {}).pop(key, None))

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Keep an endpoint; one of the same name is replaced."""

        def change(document: TOMLDocument) -> None:
            import tomlkit

            _drop_endpoint(document, endpoint.name)
            table = tomlkit.table()
            table.update(msgspec.to_builtins(endpoint))
            document.setdefault("endpoints", tomlkit.aot()).append(table)

        self._change(change)

    def remove_endpoint(self, name: str) -> bool:
        """Forget an endpoint; False if there was none of that name."""
        if not any(endpoint.name == name for endpoint in self.endpoints):
            return False
        self._change(lambda document: _drop_endpoint(document, name))
        return True

    def _change(self, change: Callable[[TOMLDocument], None]) -> None:
        with self._home.writing():
            table = toml.read(self.path)
            try:
                text = toml.changed(table, change)
            except (AttributeError, TypeError):  # a section that is none
                _checked(table)
                raise
            _checked(toml.parse(self.path, text))
            files.write(self.path, text.encode(), mode=0o600)
        for cached in ("values", "notices", "_file"):
            self.__dict__.pop(cached, None)


def names() -> list[str]:
    """The name of every setting, endpoints left out."""
    return [
        f"{section}.{key}"
        for section, kind in _fields(Values).items()
        if section != "endpoints"
        for key in _fields(kind)
    ]


def variable(name: str) -> str:
    """The environment variable that goes before a setting in the file."""
    return "MILLSTREAM_" + name.replace(".", "_").upper()


# ------------------------------------------------------------------------------ the small print

_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def _known(name: str) -> None:
    if name not in (known := names()):
        near = toml.nearest(name, known)
        raise BadInput("home.no-setting-near" if near else "home.no-setting", name=name, near=near)


def _typed(name: str, text: str) -> Any:
    """The value of a setting from text, as on a command line; None where it can be "none"."""
    section, key = name.split(".")
    wanted = _fields(_fields(Values)[section])[key]
    if wanted is not str:
        text = text.strip()
        text = _WORDS.get(text.lower(), text) if wanted is bool else text
        text = "null" if text == "none" and wanted is not bool else text
    try:
        return msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError:
        kind = _in_words([section, key])
        raise BadInput("home.setting-type", name=name, kind=kind) from None


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _checked(table: toml.Table) -> Values:
    """The values that a file gives; BadInput with the line of the first wrong one."""
    try:
        return msgspec.convert(table.data, Values)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        path = [int(n) if n else key for key, n in re.findall(r"\.(\w+)|\[(\d+)\]", where)]
        place = table.place(*path)
        if missing := re.search(r"missing required field `(\w+)`", problem):
            raise BadInput("home.setting-missing", place=place, field=missing[1]) from None
        if isinstance(error.__cause__, ValueError):  # an Endpoint's own words
            raise BadInput("home.setting-wrong", place=place, problem=problem) from None
        name, kind = ".".join(map(str, path)), _in_words(path)
        raise BadInput("home.setting-type", place=place, name=name, kind=kind) from None


def _in_words(path: Sequence[str | int]) -> str:
    """What the field at a path of `Values` takes, in words."""
    from msgspec import inspect

    info: inspect.Type = inspect.type_info(Values)
    for key in path:
        match info:
            case inspect.StructType(fields=fields):
                info = next(field.type for field in fields if field.name == key)
            case inspect.ListType(item_type=item):
                info = item
            case _:
                break
        if isinstance(info, inspect.UnionType):
            info = info.types[0]  # the other one is None
    match info:
        case inspect.BoolType():
            return say("home.kind-bool")
        case inspect.IntType(ge=least):
            return say("home.kind-int", least=least)
        case inspect.FloatType(gt=above):
            return say("home.kind-number" if above is None else "home.kind-positive")
        case inspect.LiteralType(values=values):
            return say("home.kind-choice", values=", ".join(map(str, values)))
        case inspect.StrType():
            return say("home.kind-text")
        case inspect.ListType():
            return say("home.kind-list")
        case _:
            return say("home.kind-table")


def _strangers(
    kind: type[msgspec.Struct], data: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """The keys that a struct has no field for, each with the fields that there are."""
    fields = _fields(kind)
    if not isinstance(data, dict):  # that is told when the values are read
        return
    for key, value in data.items():
        inner = fields.get(key)
        if inner is None:
            yield (*path, key), list(fields)
        elif key == "endpoints":
            for number, endpoint in enumerate(value if isinstance(value, list) else ()):
                yield from _strangers(Endpoint, endpoint, (*path, key, number))
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _strangers(inner, value, (*path, key))


def _drop_endpoint(document: TOMLDocument, name: str) -> None:
    kept = document.get("endpoints", [])
    for number in reversed(range(len(kept))):
        if kept[number].get("name") == name:
            del kept[number]
    if not kept:
        document.pop("endpoints", None)
