"""The data directory of a person: settings, credentials, bindings, the model shelf.

`Home.open()` is the door. Nothing here knows of engines or app files; `runtime` and `checks` ask
it what this machine has. Every file is written whole or not at all, by one writer at a time.
"""

from millstream.home.bindings import (
    Binding,
    Bindings,
    every_model,
    everything_local,
    parse_bind,
)
from millstream.home.credentials import Credentials, Where
from millstream.home.directory import Home, usual_place
from millstream.home.names import provider_name
from millstream.home.settings import Endpoint, Setting, Settings
from millstream.home.shelf import Manifest, Shelf, ShelfModel, plain_name
from millstream.home.toml import Notice

__all__ = [
    "Binding",
    "Bindings",
    "Credentials",
    "Endpoint",
    "Home",
    "Manifest",
    "Notice",
    "Setting",
    "Settings",
    "Shelf",
    "ShelfModel",
    "Where",
    "every_model",
    "everything_local",
    "parse_bind",
    "plain_name",
    "provider_name",
    "usual_place",
]
