"""What the documents promise and no other test holds: which source of bindings wins, what `--local`
does with an online tool, what is said of apps that do not run yet, where keys of aliases are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import millstream
from canned import document, edges, end, node, start
from millstream.base import set_language
from millstream.checks import Report

TRANSLATE = node(
    "translate",
    "tool",
    provider_type="builtin",
    provider_id="google_translate",
    provider_name="google_translate",
    tool_name="translate",
    tool_parameters={"content": {"type": "mixed", "value": "{{#start.text#}}"}},
)
POLISH = node(
    "polish",
    "llm",
    model={"provider": "azure_openai", "name": "gpt-4o", "mode": "chat"},
    prompt_template=[{"role": "user", "text": "{{#translate.text#}}"}],
)


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data directory, no keys in the environment, and two model servers' worth of
    endpoints that nobody asks."""
    set_language("en")
    monkeypatch.setenv("MILLSTREAM_HOME", str(tmp_path / "home"))
    for name in ("AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    endpoints = [{"name": name, "url": "https://models.example/v1"} for name in ("a", "b", "c")]
    text = "".join(f'[[endpoints]]\nname = "{e["name"]}"\nurl = "{e["url"]}"\n' for e in endpoints)
    (home / "settings.toml").write_text('[models]\ndefault = "a/local"\n' + text)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    nodes = [start("text"), TRANSLATE, POLISH, end(out="polish.text")]
    ways = edges("start>translate", "translate>polish", "polish>end")
    file = tmp_path / "app.yml"
    file.write_text(json.dumps(document(nodes, ways)))
    return file


def used(report: Report) -> dict[str, str]:
    return {n.id: f.used or "-" for n in report.nodes for f in n.findings}


async def checked(file: Path, **options: Any) -> dict[str, str]:
    async with millstream.load(file, **options) as app:
        return used(await app.acheck())


async def test_the_nearer_source_wins_whatever_its_pattern(app: Path, tmp_path: Path) -> None:
    rule = '[bind.models]\n"azure_openai/gpt-4o" = "b/home"\n'
    (tmp_path / "home" / "millstream.toml").write_text(rule)
    assert (await checked(app))["polish"] == "b/home"
    (app.parent / "millstream.toml").write_text('[bind.models]\n"*" = "c/beside"\n')
    assert (await checked(app))["polish"] == "c/beside"
    assert (await checked(app, model="b/option"))["polish"] == "b/option"
    exact = {"azure_openai/gpt-4o": "c/exact", "azure_openai/*": "c/provider"}
    assert (await checked(app, model="b/option", bind=exact))["polish"] == "c/exact"


async def test_a_model_that_is_named_goes_before_local(app: Path) -> None:
    assert (await checked(app, local=True))["polish"] == "a/local"
    assert (await checked(app, local=True, model="b/named"))["polish"] == "b/named"


@asynccontextmanager
async def service(answer: Any, status: int = 200) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    server = web.Application()
    server.router.add_route("*", "/translate", handle)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/translate"
    finally:
        await runner.cleanup()


async def test_local_takes_the_substitute_of_a_tool_that_does_not_answer(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service([[["bonjour", "hello"]]]) as url:
        monkeypatch.setenv("MILLSTREAM_TRANSLATE_ENDPOINT", url)
        found = await checked(app, local=True)
        assert found == {"translate": "google_translate/translate", "polish": "a/local"}
        llm = await checked(app, bind={"google_translate/translate": "llm"}, model="b/x")
        assert llm["translate"] == "translation by b/x"
    async with service({}, status=429) as url:
        monkeypatch.setenv("MILLSTREAM_TRANSLATE_ENDPOINT", url)
        found = await checked(app, local=True)
        assert found["translate"] == "translation by a/local"
    # Nobody listens there any more.
    assert (await checked(app, local=True))["translate"] == "translation by a/local"
    assert (await checked(app))["translate"] == "google_translate/translate"


async def test_nothing_is_substituted_unasked(app: Path) -> None:
    async with millstream.load(app) as loaded:
        with pytest.raises(millstream.NotHere) as caught:
            await loaded.arun(text="hello")
    assert caught.value.exit_code == 3
    assert "--bind azure_openai/gpt-4o=a/local" in caught.value.next_step


async def test_an_alias_has_the_key_of_its_provider(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "no-key-of-anybody")
    assert (await checked(app, model="claude/opus"))["polish"] == "anthropic/opus"
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    async with millstream.load(app, model="claude/opus") as loaded:
        [finding] = (await loaded.acheck()).nodes[2].findings
    assert "ANTHROPIC_API_KEY" in finding.next


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "completion"])
async def test_a_mode_that_does_not_run_yet_is_told(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "basic.yml"
    model = {"provider": "openai", "name": "gpt-4o", "mode": "chat"}
    file.write_text(
        json.dumps({"app": {"mode": mode, "name": "b"}, "model_config": {"model": model}})
    )
    async with millstream.load(file) as app:
        with pytest.raises(millstream.NotHere) as caught:
            await app.arun(query="hello")
        assert mode in caught.value.message
        report = await app.acheck()
    assert report.exit_code == 3
    assert [problem["code"] for problem in report.problems] == ["checks.mode-not-yet"]


async def test_the_limits_of_the_settings_hold_in_python_too(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/settings.md and docs/python.md say so; what the caller gives goes first."""
    monkeypatch.setenv("MILLSTREAM_LIMITS_MAX_STEPS", "1")
    async with millstream.load(app, home=tmp_path) as loaded:
        machine = await loaded.machine()
        assert machine.limits == millstream.Limits(max_steps=1)
    assert millstream.load(app, limits=millstream.Limits()).limits == millstream.Limits()


async def test_a_name_that_the_app_does_not_ask_for_is_refused_in_python_too(app: Path) -> None:
    loaded = millstream.load(app)
    [asked] = [variable.variable for variable in loaded.variables]
    with pytest.raises(millstream.BadInput) as caught:
        await loaded.arun({asked[:-1]: "x"})
    assert caught.value.message == f"the app has no input {asked[:-1]!r}"
    assert caught.value.next_step.startswith(f"Did you mean {asked}?")
