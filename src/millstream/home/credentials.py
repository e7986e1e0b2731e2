"""Keys for providers: from the environment, else the system's keyring, else a file of mode 0600.

A key leaves this module as a `Secret` only, and no error, notice or repr here has a part of one.
Where a key is expected, "env:NAME", "keyring:NAME" and "credentials:NAME" say where it is.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from millstream.base import BadInput, Failed, Place, Secret, say
from millstream.home import files, toml
from millstream.home.names import provider_name
from millstream.home.toml import Notice

if TYPE_CHECKING:
    from millstream.home.directory import Home
    from millstream.home.settings import Endpoint

FILE = "credentials.toml"
SERVICE = "millstream"  # under which the keyring keeps our keys

# Names that providers' own documentation gives to the variable; any other provider's is
# <PROVIDER>_API_KEY.
VARIABLES = {
    "azure_openai": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "huggingface_hub": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "spark": ("SPARK_API_PASSWORD", "SPARK_API_KEY"),
    "tongyi": ("DASHSCOPE_API_KEY",),
    "volcengine_maas": ("ARK_API_KEY", "VOLCENGINE_API_KEY"),
    "x": ("XAI_API_KEY",),
    "zhipuai": ("ZHIPUAI_API_KEY", "ZAI_API_KEY"),
}


class Where(NamedTuple):
    """Which source has a key, in words for a person; never the key."""

    source: Literal["environment", "keyring", "file"]
    name: str

    def __str__(self) -> str:
        return say(f"home.source-{self.source}", name=self.name, path=self.name)


class Credentials:
    """The keys of this machine. `notices` says what was wrong with the modes of the file."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.path = home.path / FILE
        self.notices: list[Notice] = []

    def get(self, provider: str) -> Secret | None:
        """The key of a provider or endpoint, or None. Raises BadInput for a file that is wrong
        or open to others."""
        found = self._find(provider)
        return found[0] if found else None

    def where(self, provider: str) -> Where | None:
        """Which source has the key; None if none has."""
        found = self._find(provider)
        return found[1] if found else None

    def resolve(self, reference: str) -> Secret | None:
        """The key that a reference such as "env:NAME" points to; None if it isn't there."""
        found = self._follow(reference)
        return found[0] if found else None

    def of(self, endpoint: Endpoint) -> Secret | None:
        """The key of an endpoint: what its `key` refers to, or else the one kept under its name."""
        found = self.resolve(endpoint.key) if endpoint.key else None
        return found if found is not None else self.get(endpoint.name)

    def providers(self) -> list[str]:
        """The providers that the file has keys for."""
        return sorted(self._read())

    def set(
        self, provider: str, key: str | Secret, where: Literal["file", "keyring"] = "file"
    ) -> Where:
        """Keep a key, or a reference to one. Raises BadInput for what can't be a key, Failed where
        the keyring is absent or refuses."""
        provider = provider_name(provider)
        value = (key.reveal() if isinstance(key, Secret) else key).strip()
        if not value:
            raise BadInput("home.key-empty", provider=provider)
        if not value.isascii() or not value.isprintable():
            raise BadInput("home.key-odd", provider=provider)
        if where == "keyring":
            _keyring_set(provider, value)
            return Where("keyring", provider)
        self._change({provider: value})
        return Where("file", str(self.path))

    def remove(self, provider: str) -> bool:
        """Forget a key that is kept here; False if none was. The environment is not ours."""
        provider = provider_name(provider)
        removed = _keyring_remove(provider)
        if provider in self._read():
            self._change({provider: None})
            removed = True
        return removed

    def _find(self, provider: str) -> tuple[Secret, Where] | None:
        provider = provider_name(provider)
        for name in variables(provider):
            if value := os.environ.get(name, "").strip():
                return Secret(value), Where("environment", name)
        if found := _keyring_get(provider):
            return Secret(found), Where("keyring", provider)
        value = self._read().get(provider, "")
        if value.startswith(("env:", "keyring:")):
            return self._follow(value)
        return (Secret(value), Where("file", str(self.path))) if value else None

    def _follow(self, reference: str) -> tuple[Secret, Where] | None:
        kind, _, name = reference.partition(":")
        if kind == "env" and (value := os.environ.get(name, "").strip()):
            return Secret(value), Where("environment", name)
        if kind == "keyring" and (found := _keyring_get(name)):
            return Secret(found), Where("keyring", name)
        if kind == "credentials":
            return self._find(name)
        return None

    def _read(self) -> dict[str, str]:
        if not self._private():
            raise BadInput("home.key-modes", path=str(self.path))
        table = toml.read(self.path)
        keys = table.data.get("keys", {})
        if not isinstance(keys, dict):
            raise BadInput("home.key-not-text", place=table.place("keys"), provider="keys")
        for provider, value in keys.items():
            if not isinstance(value, str):
                place = table.place("keys", provider)
                raise BadInput("home.key-not-text", place=place, provider=provider)
        return {provider_name(provider): value.strip() for provider, value in keys.items()}

    def _private(self) -> bool:
        """Whether nobody else can read the file, after its mode was put right if it had to be."""
        if sys.platform == "win32":
            return True
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
            if mode & 0o077:
                self.path.chmod(0o600)
                mode = stat.S_IMODE(self.path.stat().st_mode)
                place = Place(file=str(self.path))
                notice = Notice("home.key-modes-repaired", place, {"path": str(self.path)})
                self.notices.append(notice)
            return not mode & 0o077
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _change(self, keys: dict[str, str | None]) -> None:
        def change(document: Any) -> None:
            table = document.setdefault("keys", {})
            for provider, value in keys.items():
                for name in [name for name in table if provider_name(name) == provider]:
                    if value is None or name != provider:
                        del table[name]
                if value is not None:
                    table[provider] = value

        with self._home.writing():
            self._read()
            text = toml.changed(toml.read(self.path), change)
            files.write(self.path, text.encode(), mode=0o600)

    def __repr__(self) -> str:
        return f"Credentials({str(self.path)!r})"


def setting_of(endpoint: Endpoint) -> str:
    """The environment variable that an endpoint's key is taken from, for messages."""
    reference = endpoint.key or ""
    own = reference.removeprefix("env:")
    return own if own != reference else variables(endpoint.name)[0]


def variables(provider: str) -> tuple[str, ...]:
    """The environment variables that may hold a provider's key, best first."""
    provider = provider_name(provider)
    usual = re.sub(r"[^A-Z0-9]+", "_", provider.upper()).strip("_") + "_API_KEY"
    own = (f"KEY_{usual}", usual) if usual[0].isdigit() else (usual,)  # no shell sets the second
    return VARIABLES.get(provider, own)


# The keyring asks the desktop and may take its time; it is only loaded where it is installed, and
# one that is locked or has no desktop is as good as none.


def _keyring_get(name: str) -> str | None:
    if not find_spec("keyring"):
        return None
    import keyring

    try:
        return keyring.get_password(SERVICE, name) or None
    except Exception:
        return None


def _keyring_set(name: str, value: str) -> None:
    if not find_spec("keyring"):
        raise Failed("home.no-keyring", problem="keyring")
    import keyring

    try:
        keyring.set_password(SERVICE, name, value)
    except Exception as error:
        raise Failed("home.no-keyring", problem=type(error).__name__) from None


def _keyring_remove(name: str) -> bool:
    if not find_spec("keyring"):
        return False
    import keyring

    try:
        keyring.delete_password(SERVICE, name)
    except Exception:
        return False
    return True
