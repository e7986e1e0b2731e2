"""Bindings: what an app file names, mapped to what this machine has, without touching the file.

A rule has a pattern (`provider/name`, `provider/*` or `*`) and a target. Rules come from the
command line, from `millstream.toml` beside the app, and from the one in the data directory:

    [bind.models]
    "azure_openai/gpt-4o" = "ollama/qwen3:8b"
    "openai/*" = "embedded/smollm2-135m-instruct"
    "*" = "local"                                  # the local default

    [bind.tools]
    "google_translate/translate" = "llm"           # or "local"

The nearer source wins, whatever its pattern; within one source the exact pattern goes before
`provider/*`, and that before `*`. A file beside an app may come from anybody: it can choose among
what the data directory and the environment have, and can name no address and no key.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from millstream.base import BadInput, Place, say
from millstream.home import files, toml
from millstream.home.names import provider_name
from millstream.home.toml import Notice

if TYPE_CHECKING:
    from millstream.home.directory import Home

FILE = "millstream.toml"
LOCAL = "local"  # the local default: of models, or of a tool
LLM = "llm"  # a tool's work done by the bound model
LATER = ("secrets", "datasets")  # tables that later versions read

Kind = Literal["models", "tools"]


class Binding(msgspec.Struct, frozen=True):
    """One rule. target: `provider/name`; `local`, `llm`, or the bare name of a model, whoever
    has it. kind None: for models and tools alike. source: who said so, for messages: "file:line"
    or the option of the command line."""

    pattern: str
    target: str
    kind: Kind | None = None
    source: str = ""

    @property
    def provider(self) -> str:
        """The target's provider; "" for a bare word."""
        return self.target.partition("/")[0] if "/" in self.target else ""

    @property
    def name(self) -> str:
        """The target's model or tool; "" for a bare word."""
        return self.target.partition("/")[2]


def parse_bind(text: str, option: str = "--bind") -> Binding:
    """The rule of an option such as `--bind azure_openai/gpt-4o=ollama/qwen3:8b`.

    A target `llm` is for tools; any other is for whatever has that name. Raises BadInput.
    """
    pattern, equals, target = (part.strip() for part in text.partition("="))
    if not equals or not pattern or not target:
        raise BadInput("home.bind-form", text=text)
    kind: Kind | None = "tools" if target == LLM else None
    return _checked(kind or "models", pattern, target, f"{option} {text}", None, any_kind=not kind)


def every_model(target: str, option: str = "--model") -> Binding:
    """The rule of `--model ollama/qwen3:8b`: every model of the file. Raises BadInput."""
    return _checked("models", "*", target.strip(), f"{option} {target}", None)


def everything_local(option: str = "--local") -> Binding:
    """The rule of `--local`: every model, and every tool that has a local substitute."""
    return Binding("*", LOCAL, None, option)


class Bindings:
    """The rules that hold for one app. `notices` has the keys that mean nothing here."""

    def __init__(
        self, home: Home, app_file: str | Path | None = None, rules: Iterable[Binding] = ()
    ) -> None:
        self._home = home
        self.home_file = home.path / FILE
        self.app_file = Path(app_file).absolute().parent / FILE if app_file else None
        self._rules = list(rules)
        self._notices: list[Notice] = []

    @property
    def notices(self) -> list[Notice]:
        return self._notices if self._layers else []

    def for_model(self, provider: str, name: str) -> Binding | None:
        """The rule for a model as a file names it; None leaves it as it is."""
        return self._find("models", provider, name)

    def for_tool(self, provider: str, name: str) -> Binding | None:
        """The rule for a tool as a file names it; None leaves it as it is."""
        return self._find("tools", provider, name)

    def rules(self) -> list[Binding]:
        """Every rule, the strongest source first, in the order of each source."""
        return [rule for layer in self._layers for rule in layer]

    def set(self, kind: Kind, pattern: str, target: str, *, beside_app: bool = False) -> Path:
        """Keep a rule in the data directory or beside the app, and return which file that is.

        Raises BadInput."""
        path = self._file(beside_app)
        _checked(kind, pattern, target, "", None)
        self._change(path, kind, pattern, target)
        return path

    def unset(self, kind: Kind, pattern: str, *, beside_app: bool = False) -> bool:
        """Forget a rule; False if the file had none for this pattern."""
        path = self._file(beside_app)
        wanted = kind, _canonical(pattern)
        there = any((rule.kind, _canonical(rule.pattern)) == wanted for rule in self._read(path))
        if there:
            self._change(path, kind, pattern, None)
        return there

    @cached_property
    def _layers(self) -> list[list[Binding]]:
        places = dict.fromkeys(path for path in (self.app_file, self.home_file) if path)
        return [self._rules, *map(self._read, places)]

    def _find(self, kind: Kind, provider: str, name: str) -> Binding | None:
        provider = provider_name(provider)
        patterns = f"{provider}/{name}", f"{provider}/*", "*"
        for layer in self._layers:
            for pattern in patterns:
                for rule in reversed(layer):  # of two equal options the last one counts
                    if rule.kind in (None, kind) and _canonical(rule.pattern) == pattern:
                        return rule
        return None

    def _file(self, beside_app: bool) -> Path:
        if not beside_app:
            return self.home_file
        if self.app_file is None:
            raise ValueError("these bindings belong to no app file")
        return self.app_file

    def _read(self, path: Path) -> list[Binding]:
        table = toml.read(path)
        self._complain(table, [], table.data, ["bind"])
        tables = table.data.get("bind", {})
        if not isinstance(tables, dict):
            raise BadInput("home.bind-not-table", place=table.place("bind"), name="bind")
        self._complain(table, ["bind"], tables, ["models", "tools", *LATER])
        rules = []
        for kind in ("models", "tools"):
            found = tables.get(kind, {})
            if not isinstance(found, dict):
                place = table.place("bind", kind)
                raise BadInput("home.bind-not-table", place=place, name=f"bind.{kind}")
            for pattern, target in found.items():
                place = table.place("bind", kind, pattern)
                source = f"{path}:{place.line}" if place.line else str(path)
                rules.append(_checked(kind, pattern, target, source, place))
        return rules

    def _complain(
        self, table: toml.Table, path: list[str], data: dict[str, Any], known: list[str]
    ) -> None:
        for key in data:
            if key not in known:
                near = toml.nearest(key, known)
                code = "home.bind-unknown-near" if near else "home.bind-unknown"
                values = {"name": ".".join([*path, key]), "near": ".".join([*path, near])}
                self._notices.append(Notice(code, table.place(*path, key), values))

    def _change(self, path: Path, kind: Kind, pattern: str, target: str | None) -> None:
        def change(document: Any) -> None:
            rules = document.setdefault("bind", {}).setdefault(kind, {})
            same = [key for key in rules if _canonical(key) == _canonical(pattern)]
            for key in same[1:] if target else same:
                del rules[key]
            if target:
                rules[same[0] if same else pattern] = target

        with self._home.writing():
            self._read(path)  # what is wrong in it is told before anything is changed
            text = toml.changed(toml.read(path), change)
            files.write(path, text.encode())
        self.__dict__.pop("_layers", None)
        self._notices.clear()


def _canonical(pattern: str) -> str:
    """A pattern with its provider in the one form; the rest, a model's name, is left alone."""
    parts = pattern.strip().split("/", 3)
    if len(parts) == 4 and (full := "/".join(parts[:3])) and provider_name(full) != full.lower():
        return f"{provider_name(full)}/{parts[3]}"
    provider, slash, name = pattern.strip().partition("/")
    return f"{provider.lower()}{slash}{name}"


def _checked(
    kind: Kind, pattern: str, target: Any, source: str, place: Place | None, any_kind: bool = False
) -> Binding:
    """A rule, or BadInput for a pattern or target that can't be one."""
    what = say("home.bind-model" if kind == "models" else "home.bind-tool")
    provider, _, name = _canonical(pattern).partition("/")
    stars = pattern.count("*")
    if pattern.strip() != "*" and (
        not provider or not name or stars > 1 or (stars and not pattern.endswith("/*"))
    ):
        raise BadInput("home.bind-pattern", place=place, pattern=pattern, what=what)
    name = target.strip() if isinstance(target, str) else ""
    words = (LOCAL, LLM) if kind == "tools" else (LOCAL,)
    provider, slash, rest = name.partition("/")
    if slash:
        good = bool(provider and rest)
    else:
        good = name in words or (kind == "models" and name not in ("", LLM))
    if not good or "*" in name:
        forms = say("home.bind-model-forms" if kind == "models" else "home.bind-tool-forms")
        raise BadInput("home.bind-target", place=place, target=target, what=what, forms=forms)
    return Binding(pattern, name, None if any_kind else kind, source)
