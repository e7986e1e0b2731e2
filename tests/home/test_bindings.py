"""Bindings: who says what a model of a file is here, and who is heard first."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.base import BadInput, MillstreamError, set_language
from millstream.home import every_model, everything_local, parse_bind, provider_name

APP = """\
# for this app
[bind.models]
"azure_openai/gpt-4o" = "ollama/qwen3:8b"
"openai/*" = "embedded/smollm2-135m-instruct"

[bind.tools]
"google_translate/translate" = "llm"
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/millstream.toml").write_text(APP)
    return tmp_path / "app/app.yml"


def write_home(home, text: str) -> None:
    home.path.mkdir(exist_ok=True)
    (home.path / "millstream.toml").write_text(text)


# ------------------------------------------------------------------------------ finding rules


def test_a_rule_beside_the_app_is_found_and_says_where_it_stands(home, app):
    found = home.bindings(app).for_model("azure_openai", "gpt-4o")
    assert (found.provider, found.name) == ("ollama", "qwen3:8b")
    assert found.source == f"{app.parent}/millstream.toml:3"
    tool = home.bindings(app).for_tool("google_translate", "translate")
    assert tool.target == "llm"
    assert tool.source == f"{app.parent}/millstream.toml:7"


def test_without_a_rule_everything_stays_as_the_file_says(home, app):
    assert home.bindings(app).for_model("anthropic", "claude") is None
    assert home.bindings(app).for_tool("jina", "read") is None
    assert home.bindings().for_model("azure_openai", "gpt-4o") is None


def test_in_one_source_exact_goes_before_provider_before_everything(home):
    write_home(
        home,
        '[bind.models]\n"*" = "local"\n"openai/*" = "a/b"\n"openai/gpt-4o" = "c/d"\n',
    )
    found = home.bindings()
    assert found.for_model("openai", "gpt-4o").target == "c/d"
    assert found.for_model("openai", "gpt-4").target == "a/b"
    assert found.for_model("x", "gpt-4o").target == "local"


def test_command_line_before_app_before_home_whatever_the_pattern(home, app):
    write_home(
        home,
        '[bind.models]\n"azure_openai/gpt-4o" = "home/exact"\n"deepseek/*" = "home/star"\n',
    )
    found = home.bindings(app)
    assert found.for_model("azure_openai", "gpt-4o").target == "ollama/qwen3:8b"
    assert found.for_model("deepseek", "deepseek-chat").target == "home/star"

    local = home.bindings(app, [everything_local()])
    assert local.for_model("azure_openai", "gpt-4o").target == "local"
    assert local.for_tool("google_translate", "translate").target == "local"
    assert local.for_model("azure_openai", "gpt-4o").source == "--local"

    both = home.bindings(app, [everything_local(), parse_bind("azure_openai/gpt-4o=x/y")])
    assert both.for_model("azure_openai", "gpt-4o").target == "x/y"
    assert both.for_model("openai", "gpt-4o").target == "local"

    model = home.bindings(app, [every_model("ollama/qwen3:8b")])
    assert model.for_model("anthropic", "claude").target == "ollama/qwen3:8b"
    assert model.for_model("anthropic", "claude").source == "--model ollama/qwen3:8b"
    assert model.for_tool("google_translate", "translate").target == "llm"


def test_of_two_equal_options_the_last_counts(home):
    found = home.bindings(rules=[parse_bind("a/b=c/d"), parse_bind("a/b=e/f")])
    assert found.for_model("a", "b").target == "e/f"


def test_models_and_tools_of_the_same_name_do_not_mix(home):
    write_home(home, '[bind.models]\n"jina/x" = "a/b"\n[bind.tools]\n"jina/y" = "local"\n')
    found = home.bindings()
    assert found.for_tool("jina", "x") is None
    assert found.for_model("jina", "y") is None


@pytest.mark.parametrize("written", ["openai", "OpenAI", "langgenius/openai/openai"])
@pytest.mark.parametrize("asked", ["openai", "langgenius/openai/openai"])
def test_old_and_new_provider_ids_are_one(home, written, asked):
    write_home(home, f'[bind.models]\n"{written}/gpt-4o" = "a/b"\n"{written}/*" = "c/d"\n')
    found = home.bindings()
    assert found.for_model(asked, "gpt-4o").target == "a/b"
    assert found.for_model(asked, "gpt-5").target == "c/d"


def test_names_of_models_may_have_slashes_and_keep_their_case(home):
    write_home(
        home,
        '[bind.models]\n"siliconflow/Qwen/Qwen3-8B" = "ollama/hf.co/Qwen/Qwen3-8B-GGUF:Q4_K_M"\n',
    )
    found = home.bindings().for_model("langgenius/siliconflow/siliconflow", "Qwen/Qwen3-8B")
    assert (found.provider, found.name) == ("ollama", "hf.co/Qwen/Qwen3-8B-GGUF:Q4_K_M")
    assert home.bindings().for_model("siliconflow", "qwen/qwen3-8b") is None


def test_a_provider_of_another_plugin_keeps_its_whole_name(home):
    assert provider_name("acme/kit/other") == "acme/kit/other"
    assert provider_name("langgenius/gemini/google") == "google"
    write_home(home, '[bind.models]\n"acme/kit/other/*" = "a/b"\n"acme/kit/other/m" = "c/d"\n')
    assert home.bindings().for_model("acme/kit/other", "m").target == "c/d"
    assert home.bindings().for_model("acme/kit/other", "n").target == "a/b"
    assert home.bindings().for_model("acme", "n") is None


def test_the_data_directory_itself_may_hold_the_app(home):
    write_home(home, '[bind.models]\n"*" = "local"\n')
    assert len(home.bindings(home.path / "app.yml").rules()) == 1


# -------------------------------------------------------------------------------- the options


def test_an_option_is_for_whatever_has_that_name(home):
    rule = parse_bind(" azure_openai/gpt-4o = ollama/qwen3:8b ")
    assert (rule.pattern, rule.target) == ("azure_openai/gpt-4o", "ollama/qwen3:8b")
    found = home.bindings(rules=[parse_bind("google_translate/translate=llm")])
    assert found.for_tool("google_translate", "translate").target == "llm"
    assert found.for_model("google_translate", "translate") is None


def test_the_bare_name_of_a_model_is_enough():
    rule = parse_bind("a/b=qwen3:8b")
    assert (rule.target, rule.provider, rule.name) == ("qwen3:8b", "", "")
    assert every_model(" qwen3:8b ").target == "qwen3:8b"
    with pytest.raises(BadInput, match="'llm' is nothing that a model can be bound to"):
        every_model("llm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no binding"),
        ("openai/gpt-4o", "'openai/gpt-4o' is no binding"),
        ("=a/b", "'=a/b' is no binding"),
        ("a/b=", "'a/b=' is no binding"),
        ("gpt-4o=a/b", "'gpt-4o' names no model"),
        ("openai/gpt-*=a/b", "'openai/gpt-*' names no model"),
        ("*/gpt-4o=a/b", "'*/gpt-4o' names no model"),
        ("a/b=ollama/*", "'ollama/*' is nothing that a model can be bound to"),
        ("a/b=/x", "'/x' is nothing that a model can be bound to"),
        ("translate=llm", "'translate' names no tool"),
    ],
)
def test_a_wrong_option_says_what_is_wrong_and_how_it_is_written(text, message):
    with pytest.raises(BadInput) as error:
        parse_bind(text)
    assert error.value.message == message
    assert "/" in error.value.next_step
    set_language("zh")
    assert error.value.message != message
    set_language("en")


# ---------------------------------------------------------------------------------- the files


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[bind.models]\n\n"gpt-4o" = "a/b"', 3, "'gpt-4o' names no model"),
        ('[bind.models]\n"a/b" = 7', 2, "7 is nothing that a model can be bound to"),
        ('[bind.models]\n"a/b" = "llm"', 2, "'llm' is nothing that a model can be bound to"),
        ('[bind.tools]\n"a/b" = "magic"', 2, "'magic' is nothing that a tool can be bound to"),
        ("bind = 3", 1, "bind must be a table of bindings"),
        ("[bind]\nmodels = 'local'", 2, "bind.models must be a table of bindings"),
        ("[bind", 1, "the file is not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_says_its_line(home, text, line, message):
    write_home(home, text)
    with pytest.raises(BadInput) as error:
        home.bindings().for_model("a", "b")
    assert error.value.place.file == f"{home.path}/millstream.toml"
    assert error.value.place.line == line
    assert error.value.message.startswith(message)


def test_keys_that_mean_nothing_are_noticed(home):
    write_home(home, "[bind.modles]\n[bind.secrets]\n[bind.datasets]\n[colours]\n")
    assert [(n.place.line, n.message) for n in home.bindings().notices] == [
        (4, "colours is unknown here and has no effect"),
        (1, "bind.modles is unknown here and has no effect; did you mean bind.models?"),
    ]


def test_a_rule_is_written_with_comments_kept_and_old_names_replaced(home, app):
    found = home.bindings(app)
    assert found.set(
        "models", "langgenius/azure_openai/azure_openai/gpt-4o", "a/b", beside_app=True
    )
    found.set("models", "deepseek/*", "local", beside_app=True)
    text = (app.parent / "millstream.toml").read_text()
    assert text == APP.replace("ollama/qwen3:8b", "a/b").replace(
        'instruct"\n', 'instruct"\n"deepseek/*" = "local"\n'
    )
    assert found.for_model("azure_openai", "gpt-4o").target == "a/b"

    assert found.set("tools", "jina/read", "local") == home.path / "millstream.toml"
    assert found.for_tool("jina", "read").target == "local"
    assert found.unset("tools", "jina/read") is True
    assert found.unset("tools", "jina/read") is False
    assert found.for_tool("jina", "read") is None


def test_a_wrong_rule_is_not_written(home):
    with pytest.raises(BadInput):
        home.bindings().set("models", "gpt-4o", "a/b")
    assert not home.path.exists()


def readable(error: MillstreamError) -> None:
    assert error.message
    assert error.place.file.endswith("millstream.toml")


words = st.text(alphabet='ab/*="[].#\n ', max_size=30)


@given(st.lists(st.tuples(words, words), max_size=5), st.sampled_from(["models", "tools", "x"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_file_is_bindings_or_one_clear_error(home, rules, kind):
    text = f"[bind.{kind}]\n" + "\n".join(f'"{key}" = "{value}"' for key, value in rules)
    write_home(home, text)
    found = home.bindings()
    try:
        _ = found.notices, found.rules(), found.for_model("a", "b"), found.for_tool("a", "b/a")
        found.set("models", "a/b", "local")
        assert found.for_model("a", "b").target == "local"
        assert found.unset("models", "a/b") is True
    except MillstreamError as error:
        readable(error)
