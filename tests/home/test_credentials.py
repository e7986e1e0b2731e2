"""Keys: environment, then keyring, then a private file; and no key is ever shown."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import stat
import sys
import traceback
import types

import msgspec
import pytest

from millstream.base import BadInput, Failed, MillstreamError, Secret, hide_password, redact
from millstream.home import Home
from millstream.home.credentials import variables

KEY = "sk-live-0123456789abcdef"


class Keyring(types.ModuleType):
    """A keyring of a desktop, as far as the `keyring` package shows it."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, name: str) -> str | None:
        self._check()
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self._check()
        self.kept[service, name] = value

    def delete_password(self, service: str, name: str) -> None:
        self._check()
        del self.kept[service, name]

    def _check(self) -> None:
        if self.locked:
            raise RuntimeError(f"locked, and here is your secret: {KEY}")


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr("millstream.home.credentials.find_spec", lambda name: None)


@pytest.fixture
def keyring(monkeypatch):
    module = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setattr("millstream.home.credentials.find_spec", lambda name: module)
    return module


# --------------------------------------------------------------------------- where a key is


def test_environment_then_keyring_then_file(home, keyring, monkeypatch):
    assert home.credentials.get("openai") is None
    assert home.credentials.where("openai") is None

    where = home.credentials.set("openai", "from-the-file")
    assert str(where) == f"{home.path}/credentials.toml"
    assert home.credentials.get("openai").reveal() == "from-the-file"

    home.credentials.set("openai", "from-the-keyring", where="keyring")
    assert home.credentials.get("openai").reveal() == "from-the-keyring"
    assert str(home.credentials.where("openai")) == "the system's keyring, openai"

    monkeypatch.setenv("OPENAI_API_KEY", " from-the-environment\n")
    assert home.credentials.get("openai").reveal() == "from-the-environment"
    assert str(home.credentials.where("openai")) == "environment variable OPENAI_API_KEY"


def test_a_key_is_found_under_every_name_that_files_give_to_a_provider(home):
    home.credentials.set("langgenius/openai/openai", KEY)
    assert home.credentials.get("openai").reveal() == KEY
    assert home.credentials.get("OpenAI").reveal() == KEY
    assert home.credentials.get("langgenius/openai/openai").reveal() == KEY
    assert home.credentials.providers() == ["openai"]


@pytest.mark.parametrize(
    ("provider", "first"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("langgenius/azure_openai/azure_openai", "AZURE_OPENAI_API_KEY"),
        ("tongyi", "DASHSCOPE_API_KEY"),
        ("langgenius/gemini/google", "GEMINI_API_KEY"),
        ("deepseek", "DEEPSEEK_API_KEY"),
        ("my box", "MY_BOX_API_KEY"),
        ("acme/kit/other", "ACME_KIT_OTHER_API_KEY"),
    ],
)
def test_the_variable_is_the_one_that_the_provider_documents(provider, first):
    assert variables(provider)[0] == first


def test_references_say_where_the_key_is(home, keyring, monkeypatch):
    keyring.kept["millstream", "work"] = "from-the-keyring"
    monkeypatch.setenv("WORK_KEY", "from-the-environment")
    home.credentials.set("a", "env:WORK_KEY")
    home.credentials.set("b", "keyring:work")
    home.credentials.set("c", "env:NOT_SET")
    found = {name: home.credentials.get(name) for name in "abc"}
    assert found["a"].reveal() == "from-the-environment"
    assert found["b"].reveal() == "from-the-keyring"
    assert found["c"] is None
    assert home.credentials.where("a") == ("environment", "WORK_KEY")
    # An endpoint's `key` may also point to a provider's entry.
    assert home.credentials.resolve("credentials:a").reveal() == "from-the-environment"
    assert home.credentials.resolve("credentials:nobody") is None
    assert home.credentials.resolve("keyring:work").reveal() == "from-the-keyring"


def test_a_file_that_points_at_itself_ends(home):
    home.credentials.set("a", "credentials:a")
    assert home.credentials.resolve("credentials:a") is not None


def test_remove_forgets_the_file_and_the_keyring(home, keyring):
    home.credentials.set("openai", KEY)
    home.credentials.set("openai", KEY, where="keyring")
    assert home.credentials.remove("langgenius/openai/openai") is True
    assert home.credentials.get("openai") is None
    assert home.credentials.remove("openai") is False


def test_comments_in_the_file_are_kept(home):
    home.credentials.set("openai", "a")
    text = "# my keys\n[keys]\nopenai = 'old' # of the team\n'langgenius/openai/openai' = 'x'\n"
    home.credentials.path.write_text(text)
    home.credentials.set("openai", "new")
    assert home.credentials.path.read_text() == (
        '# my keys\n[keys]\nopenai = "new" # of the team\n'
    )


def test_without_a_keyring_the_error_says_how_to_get_one(home, keyring, monkeypatch):
    keyring.locked = True
    home.credentials.set("openai", "from-the-file")
    assert home.credentials.get("openai").reveal() == "from-the-file"
    with pytest.raises(Failed) as error:
        home.credentials.set("openai", KEY, where="keyring")
    assert KEY not in str(error.value)
    monkeypatch.setattr("millstream.home.credentials.find_spec", lambda name: None)
    with pytest.raises(Failed) as error:
        home.credentials.set("openai", KEY, where="keyring")
    assert 'pip install "millstream[keyring]"' in error.value.next_step


# ----------------------------------------------------------------------------- private files

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


@posix
def test_the_file_is_private_from_its_first_byte(home, monkeypatch):
    seen = []
    chmod = os.chmod

    def spy(path, mode, **options):
        seen.append(stat.S_IMODE(os.stat(path).st_mode))
        chmod(path, mode, **options)

    old = os.umask(0)
    monkeypatch.setattr(os, "chmod", spy)
    try:
        home.credentials.set("openai", KEY)
    finally:
        os.umask(old)
    assert all(mode == 0o600 for mode in seen)
    assert stat.S_IMODE(home.credentials.path.stat().st_mode) == 0o600


@posix
def test_a_file_open_to_others_is_closed_and_said_so(home):
    home.credentials.set("openai", KEY)
    home.credentials.path.chmod(0o644)
    assert home.credentials.get("openai").reveal() == KEY
    assert stat.S_IMODE(home.credentials.path.stat().st_mode) == 0o600
    [notice] = home.credentials.notices
    assert notice.message == (
        f"{home.credentials.path} could be read by others; its mode is now 0600"
    )
    assert "replace them" in notice.next_step


@posix
def test_a_file_that_cannot_be_closed_is_not_read(home, monkeypatch):
    """A Windows drive in WSL takes every mode and keeps its own."""
    home.credentials.set("openai", KEY)
    home.credentials.path.chmod(0o644)
    monkeypatch.setattr(type(home.path), "chmod", lambda path, mode: None)
    with pytest.raises(BadInput) as error:
        home.credentials.get("openai")
    assert "can be read by others" in error.value.message
    assert f'chmod 600 "{home.credentials.path}"' in error.value.next_step


# ------------------------------------------------------------------------- what can't be a key


@pytest.mark.parametrize("key", ["", "  \n", "你的密钥", "sk-a\nb", "sk-\x00"])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(home, key):
    with pytest.raises(BadInput) as error:
        home.credentials.set("openai", key)
    assert "openai" in error.value.message
    assert not key.strip() or key not in str(error.value.as_dict())


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[keys]\nopenai = 5\n", 2, "the key of openai must be a text in quotes"),
        ("keys = 'sk-0123456789'", 1, "the key of keys must be a text in quotes"),
        ("[keys]\nopenai = sk-0123456789\n", 2, "the file is not valid TOML: Invalid value"),
        ("[keys]\nopenai = 'sk-0123456789\n", 2, "the file is not valid TOML"),
    ],
)
def test_a_broken_file_is_an_error_without_its_content(home, text, line, message):
    home.credentials.set("openai", KEY)
    home.credentials.path.write_text(text)
    with pytest.raises(BadInput) as error:
        home.credentials.get("openai")
    assert error.value.place.line == line
    assert error.value.message.startswith(message)
    shown = str(error.value) + "".join(traceback.format_exception(error.value))
    assert "0123456789" not in shown + str(error.value.as_dict())


# --------------------------------------------------------------------------------- never shown


def test_a_secret_shows_nowhere(home, caplog):
    home.credentials.set("openai", KEY)
    secret = home.credentials.get("openai")
    caplog.set_level(logging.DEBUG)
    logging.getLogger().warning("%s %r", secret, home.credentials)
    shown = [
        repr(secret),
        str(secret),
        f"{secret} {secret!r}",
        "%s" % secret,  # noqa: UP031
        repr([secret, {"a": secret}]),
        repr(vars(home)) + repr(home) + repr(home.credentials) + repr(vars(home.credentials)),
        str(BadInput("home.key-odd", provider=secret)),
        str(BadInput("home.key-odd", provider=secret).as_dict()),
        caplog.text,
    ]
    assert KEY not in "".join(shown)
    assert "0123456789" not in "".join(shown)


def test_a_secret_is_written_nowhere(home):
    secret = Secret(KEY)
    for write in (pickle.dumps, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
        with pytest.raises(TypeError) as error:
            write(secret)
        assert KEY not in str(error.value)
    assert copy.deepcopy([secret]) == [secret]


def test_a_text_of_a_server_that_repeats_the_key_is_cleaned(home):
    home.credentials.set("openai", KEY)
    home.credentials.get("openai")
    assert redact(f"Incorrect API key provided: {KEY}. See …") == (
        "Incorrect API key provided: •••. See …"
    )
    assert redact("nothing to hide") == "nothing to hide"


def test_passwords_in_addresses_are_hidden():
    assert hide_password("via http://ada:pa%40ss@proxy:3128 and http://x/") == (
        "via http://•••@proxy:3128 and http://x/"
    )
    assert hide_password("see http://x/@user and a@b.c") == "see http://x/@user and a@b.c"


def test_every_error_of_a_hostile_file_keeps_the_keys(home):
    """Mutations of a file with a key: whatever is raised does not have it."""
    home.credentials.set("openai", KEY)
    good = f'[keys]\nopenai = "{KEY}"\n'
    for cut in range(len(good)):
        for bad in (good[:cut], good[:cut] + "\x00" + good[cut:], good[:cut] + "[" + good[cut:]):
            home.credentials.path.write_text(bad)
            try:
                Home.open(home.path).credentials.get("openai")
            except MillstreamError as error:
                shown = str(error) + error.next_step + "".join(traceback.format_exception(error))
                assert "0123456789" not in shown
