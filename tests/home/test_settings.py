"""Settings: one table of typed values with a sentence each; what is wrong says its line."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from millstream.base import BadInput, MillstreamError, set_language
from millstream.base.catalogue.home import MESSAGES
from millstream.home import Endpoint, Home
from millstream.home import settings as table


def test_every_setting_has_a_sentence_in_both_languages_and_no_sentence_is_left_over():
    told = {key.removeprefix("setting.") for key in MESSAGES if key.startswith("setting.")}
    assert told == set(table.names())


def test_the_defaults(home):
    found = {row.name: row.default for row in home.settings.table()}
    assert found["network.connect_timeout"] == 10
    # Untrusted code is limited, nothing else is.
    assert found["sandbox.seconds"] == 60
    assert (found["sandbox.memory_mb"], found["sandbox.output_mb"]) == (512, 64)
    assert {value for name, value in found.items() if name.startswith("limits.m")} == {None}
    assert found["network.first_byte_timeout"] is None
    assert found["network.idle_timeout"] is None


def test_the_limits_are_those_of_the_engine(home):
    from millstream.engine.limits import PROFILES
    from millstream.engine.limits import Limits as EngineLimits

    ours = set(table.Limits.__struct_fields__) - {"profile"}
    assert ours == set(EngineLimits.__struct_fields__)
    profile = home.settings.describe("limits.profile")
    assert profile.kind == f"one of: {', '.join(sorted(PROFILES))}"


def test_a_setting_can_be_set_explained_and_taken_back(home):
    home.settings.set("network.connect_timeout", "2.5")
    row = home.settings.describe("network.connect_timeout")
    assert (row.value, row.default, row.kind) == (2.5, 10, "a number, 0 or more")
    assert row.source == f"{home.path}/settings.toml:2"
    assert row.doc == "Seconds to wait for a connection to be accepted."
    set_language("zh")
    assert row.doc == "等待建立连接的秒数。"
    home.settings.unset("network.connect_timeout")
    assert home.settings.describe("network.connect_timeout").source == "default"
    assert home.settings.network.connect_timeout == 10


def test_comments_and_order_are_kept(home):
    home.path.mkdir()
    text = "# mine\n\n[sandbox] # tight\nseconds = 5   # short\n\n[models]\n"
    home.settings.path.write_text(text)
    home.settings.set("sandbox.seconds", "7")
    home.settings.set("models.default", "ollama/qwen3:8b")
    assert home.settings.path.read_text() == (
        "# mine\n\n[sandbox] # tight\nseconds = 7.0   # short\n\n[models]\n"
        'default = "ollama/qwen3:8b"\n'
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("network.offline", "yes", True),
        ("network.offline", "OFF", False),
        ("network.offline", "1", True),
        ("sandbox.memory_mb", " 1024 ", 1024),
        ("limits.max_seconds", "1.5", 1.5),
        ("limits.max_seconds", "none", None),
        ("limits.profile", "dify", "dify"),
        ("models.default", "true", "true"),
    ],
)
def test_text_becomes_a_value_of_the_type(home, name, text, value):
    home.settings.set(name, text)
    assert Home.open(home.path).settings.get(name) == value


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("network.offline", "perhaps", "true or false"),
        ("sandbox.memory_mb", "0", "a whole number, 1 or more"),
        ("sandbox.memory_mb", "1.5", "a whole number, 1 or more"),
        ("network.connect_timeout", "-1", "a number, 0 or more"),
        ("network.connect_timeout", "nan", "a number, 0 or more"),
        ("sandbox.seconds", "0", "a number above 0"),
        ("limits.profile", "difi", "one of: dify, none"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words_and_not_written(home, name, text, kind):
    with pytest.raises(BadInput) as error:
        home.settings.set(name, text)
    assert error.value.message == f"{name} must be {kind}"
    assert not home.settings.path.exists()


def test_a_misspelt_setting_says_what_was_meant(home):
    with pytest.raises(
        BadInput, match=r"no setting network.ofline; did you mean network.offline\?"
    ):
        home.settings.set("network.ofline", "true")
    with pytest.raises(BadInput, match=r"there is no setting frobnicate$"):
        home.settings.get("frobnicate")


def test_a_wrong_value_in_the_file_can_be_put_right_by_setting_it(home):
    home.path.mkdir()
    home.settings.path.write_text("[network]\noffline = 'perhaps'\n")
    home.settings.set("network.offline", "true")
    assert Home.open(home.path).settings.network.offline is True


def write(home: Home, text: str) -> Home:
    home.path.mkdir(exist_ok=True)
    home.settings.path.write_text(text)
    return Home.open(home.path)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[network]\n\noffline = 'yes'\n", 3, "network.offline must be true or false"),
        ("a = 1\n[limits]\nmax_steps = 1.5", 3, "limits.max_steps must be a whole number"),
        ("# x\nnetwork = 3", 2, "network must be a table"),
        ("endpoints = 3", 1, "endpoints must be a list of tables: [[endpoints]]"),
        ('[[endpoints]]\nname = "a"\n', 1, "url is missing here"),
        (
            '[[endpoints]]\nname="a"\nurl="http://a"\n[[endpoints]]\nname="b"\nurl=7\n',
            6,
            "endpoints.1.url must be a text",
        ),
        (
            '[[endpoints]]\nname = "a"\nurl = "box:11434"\n',
            1,
            "an endpoint's url begins with http:// or https://",
        ),
        (
            '[[endpoints]]\nname = "a"\nurl = "http://x"\nprotocol = "telnet"\n',
            4,
            "endpoints.0.protocol must be one of: anthropic, azure, gemini, ollama, openai",
        ),
        ("[network\noffline = true", 1, "the file is not valid TOML"),
        ("x = " + "[" * 5000, None, "the file is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_says_its_line(home, text, line, message):
    with pytest.raises(BadInput) as error:
        _ = write(home, text).settings.values
    assert error.value.place.file == str(home.settings.path)
    assert error.value.place.line == line
    assert error.value.message.startswith(message)


def test_a_key_has_no_business_in_the_settings_and_is_not_repeated(home):
    text = '[[endpoints]]\nname = "a"\nurl = "http://x"\nkey = "sk-very-secret"\n'
    with pytest.raises(BadInput) as error:
        _ = write(home, text).settings.values
    assert "env:NAME" in str(error.value)
    assert "sk-very-secret" not in str(error.value.as_dict())


def test_a_file_that_is_not_utf8(home):
    home.path.mkdir()
    home.settings.path.write_bytes("[models]\ndefault = '通义'".encode("gb18030"))
    with pytest.raises(BadInput) as error:
        _ = home.settings.values
    assert error.value.message == "the file is not UTF-8 text"


def test_unknown_keys_are_noticed_with_the_nearest_name_and_stop_nothing(home):
    text = (
        "[network]\noffline = true\nproxi = 'x'\n[sandbocks]\n"
        '[[endpoints]]\nname="a"\nurl="http://a"\nslot=3\n[endpoints.options]\nanything=1\n'
    )
    found = write(home, text).settings
    assert found.network.offline is True
    assert [(notice.place.line, notice.message) for notice in found.notices] == [
        (3, "network.proxi is no setting and has no effect; did you mean network.proxy?"),
        (4, "sandbocks is no setting and has no effect; did you mean sandbox?"),
        (8, "endpoints.0.slot is no setting and has no effect; did you mean endpoints.0.slots?"),
    ]


def test_the_environment_goes_first(home, monkeypatch):
    home.settings.set("network.offline", "false")
    monkeypatch.setenv("MILLSTREAM_NETWORK_OFFLINE", "1")
    fresh = Home.open(home.path).settings
    assert fresh.network.offline is True
    assert fresh.describe("network.offline").source == "environment"
    monkeypatch.setenv("MILLSTREAM_NETWORK_OFFLINE", "perhaps")
    with pytest.raises(BadInput) as error:
        _ = Home.open(home.path).settings.values
    assert str(error.value) == ("MILLSTREAM_NETWORK_OFFLINE: network.offline must be true or false")


def test_endpoints_are_added_replaced_and_removed(home):
    home.settings.set("network.offline", "true")
    home.settings.add_endpoint(Endpoint("box", "http://box:11434", protocol="ollama"))
    home.settings.add_endpoint(Endpoint("cloud", "https://x/v1", key="env:CLOUD", options={"a": 1}))
    home.settings.add_endpoint(Endpoint("box", "http://box:11435", slots=2))
    found = {endpoint.name: endpoint for endpoint in Home.open(home.path).settings.endpoints}
    assert found["box"] == Endpoint("box", "http://box:11435", slots=2)
    assert found["cloud"].options == {"a": 1}
    assert home.settings.remove_endpoint("box") is True
    assert home.settings.remove_endpoint("box") is False
    home.settings.remove_endpoint("cloud")
    assert home.settings.path.read_text().strip() == "[network]\noffline = true"


def readable(error: MillstreamError) -> None:
    assert error.message
    assert error.place.file.endswith("settings.toml")


@given(st.text(max_size=200))
@example("[a]\n[a]")
@example("a.b = 1\n[a]\nb = 2")
@example("\ufeff[network]\noffline = true")
@example("[[endpoints]]\nname = ''")
@example("endpoints = [[1]]")
@example("\x00")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_text_is_settings_or_one_clear_error(home, text):
    home.path.mkdir(exist_ok=True)
    home.settings.path.write_bytes(text.encode("utf-8", "surrogatepass"))
    fresh = Home.open(home.path).settings
    try:
        _ = fresh.values, fresh.notices
        fresh.table()
    except MillstreamError as error:
        readable(error)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
keys = st.sampled_from([*(name.split(".")[0] for name in table.names()), "endpoints", "x"])


@given(st.dictionaries(keys, values, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_toml_is_settings_or_one_clear_error(home, data):
    import tomlkit

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items() if inner is not None}
        if isinstance(value, list):
            return [plain(inner) for inner in value if inner is not None]
        return value

    home.path.mkdir(exist_ok=True)
    home.settings.path.write_text(tomlkit.dumps(plain(data)))
    fresh = Home.open(home.path).settings
    try:
        _ = fresh.values, fresh.notices
    except MillstreamError as error:
        readable(error)
    for change in (
        lambda: fresh.set("network.offline", "yes"),
        lambda: fresh.unset("limits.max_steps"),
        lambda: fresh.add_endpoint(Endpoint("box", "http://x")),
        lambda: fresh.remove_endpoint("box"),
    ):
        try:
            change()
        except MillstreamError as error:
            readable(error)
