"""Which tools are here, by every name that a file may give them, and what is said of the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from millstream.base import BadInput, NotHere, set_language
from millstream.engine.ports import (
    ModelChunk,
    ModelEnd,
    ModelRef,
    ModelRequest,
    Models,
    ToolRef,
    Usage,
)
from millstream.home.settings import Translate
from millstream.models.http import Http
from millstream.tools import Toolbox

from .conftest import Service

GOOGLE = ToolRef("builtin", "google_translate", "translate")
DUCK = ToolRef("builtin", "langgenius/duckduckgo/duckduckgo", "ddgo_translate")


class Echo:
    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        yield ModelChunk(f"[{request.model}] {request.messages[-1].text}")
        yield ModelEnd(Usage(calls=1), "stop", "test/echo")


ECHO = Echo()


def box(
    http: Http,
    service: Service,
    substitutes: Mapping[str, str] | None = None,
    models: Models | None = ECHO,
) -> Toolbox:
    return Toolbox(
        http,
        models,
        Translate(endpoint=service.url),
        substitutes,
        llm=ModelRef("a", "b"),
        now=lambda: 0.0,
    )


@pytest.mark.parametrize(
    "provider",
    [
        "google_translate",
        "langgenius/google_translate",
        "langgenius/google_translate/google_translate",
        "langgenius/google_translate/google_translate:0.0.2@abc",
        " Google_Translate ",
    ],
)
@pytest.mark.parametrize("kind", ["builtin", "plugin"])
async def test_a_provider_has_many_names(
    http: Http, service: Service, provider: str, kind: str
) -> None:
    tools = box(http, service)
    ref = ToolRef(kind, provider, "translate")
    parameters = tools.parameters(ref)
    assert parameters is not None
    assert [(p.name, p.required, p.default) for p in parameters] == [
        ("content", True, None),
        ("dest", False, "en"),
        ("custom_dest", False, None),
    ]
    assert (await tools.invoke(ref, {"content": "hi", "dest": "fr"})).text == "HI"
    info = tools.describe(ref)
    assert info is not None
    assert (info.title_en, info.title_zh, info.online) == ("Google Translate", "谷歌翻译", True)
    assert tools.substitute_for(ref) == "llm"


async def test_the_time_needs_no_network(http: Http, service: Service) -> None:
    tools = box(http, service)
    ref = ToolRef("builtin", "time", "current_time")
    assert (await tools.invoke(ref, {"format": "%Y"})).text == "1970"
    info = tools.describe(ref)
    assert info is not None
    assert not info.online
    assert tools.substitute_for(ref) is None
    assert await tools.answers(ref)


async def test_a_bound_tool_is_answered_by_the_model(http: Http, service: Service) -> None:
    bound = {"langgenius/google_translate/google_translate/translate": "llm"}
    tools = box(http, service, bound)
    assert tools.substituted(GOOGLE) == "llm"
    result = await tools.invoke(GOOGLE, {"content": "hi", "dest": "fr"})
    assert result.text == "[a/b] hi"
    assert result.usage == Usage(calls=1)
    assert service.asked == []
    assert await tools.answers(GOOGLE)


async def test_nothing_is_substituted_unasked(http: Http, service: Service) -> None:
    tools = box(http, service)
    assert tools.substituted(GOOGLE) is None
    assert tools.parameters(DUCK) is None
    with pytest.raises(NotHere) as caught:
        await tools.invoke(DUCK, {})
    assert caught.value.message == (
        "the tool langgenius/duckduckgo/duckduckgo/ddgo_translate (DuckDuckGo Translate) is not "
        "here; the bound model can do its work"
    )
    assert caught.value.next_step == (
        "Run with --bind duckduckgo/ddgo_translate=llm, or with --local."
    )
    tools = box(http, service, {"duckduckgo/ddgo_translate": "local"})
    result = await tools.invoke(DUCK, {"query": "hi", "translate_to": "ja"})
    assert result.text == "[a/b] hi"


@pytest.mark.parametrize(
    ("ref", "message", "step"),
    [
        (
            ToolRef("builtin", "tavily", "tavily_search"),
            "the tool tavily/tavily_search is not here: it belongs to a Dify plugin, and "
            "Millstream does not run plugins yet",
            "Replace the node by a code or llm node",
        ),
        (
            ToolRef("builtin", "somebody/google_translate/google_translate", "translate"),
            "the tool somebody/google_translate/google_translate/translate is not here: it "
            "belongs to a Dify plugin",
            "built-in tool",
        ),
        (
            ToolRef("workflow", "91ab1bb2", "my_app"),
            "the tool 91ab1bb2/my_app is not here: it is another app, published as a tool",
            "Export that app too",
        ),
        (
            ToolRef("api", "google_translate", "translate"),
            "the tool google_translate/translate is not here: it was made from an API description",
            "http-request",
        ),
        (ToolRef("mcp", "x", "y"), "the tool x/y is not here: it lives on an MCP server", "code"),
        (ToolRef("", "", ""), "the tool / is not here", "Replace"),
    ],
)
async def test_a_tool_that_is_not_here(
    http: Http, service: Service, ref: ToolRef, message: str, step: str
) -> None:
    tools = box(http, service)
    assert tools.parameters(ref) is None
    assert tools.describe(ref) is None
    with pytest.raises(NotHere) as caught:
        await tools.invoke(ref, {})
    assert caught.value.message.startswith(message)
    assert step in caught.value.next_step
    assert not await tools.answers(ref)
    set_language("zh")
    try:
        assert caught.value.message.startswith("本机没有工具 ")
    finally:
        set_language(None)


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        (
            {"time/current_time": "llm"},
            "the tool time/current_time cannot be bound: nothing on this machine can stand in "
            "for it",
        ),
        ({"translate": "llm"}, "the tool translate cannot be bound"),
        (
            {"google_translate/translate": "bing"},
            "the tool google_translate/translate cannot be bound to 'bing': its substitute is "
            "'llm'",
        ),
    ],
)
async def test_a_binding_that_cannot_be(
    http: Http, service: Service, bound: dict[str, str], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        box(http, service, bound)
    assert caught.value.message.startswith(message)
    assert caught.value.next_step


async def test_bound_to_a_model_that_is_not_there(http: Http, service: Service) -> None:
    tools = box(http, service, {"google_translate/translate": "llm"}, models=None)
    with pytest.raises(NotHere) as caught:
        await tools.invoke(GOOGLE, {"content": "hi"})
    assert caught.value.message == (
        "the tool google_translate/translate is bound to the model, but no model is bound"
    )


async def test_whether_the_service_answers(http: Http, service: Service) -> None:
    tools = box(http, service)
    assert await tools.answers(GOOGLE)
    service.says("", status=429)
    assert not await tools.answers(GOOGLE)


def test_the_room_is_cheap_to_enter() -> None:
    code = (
        "import sys, millstream.tools as t; "
        "print([m for m in sys.modules if m.startswith('millstream.tools.') or m == 'aiohttp'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: Any = sorted(eval(out.stdout))
    assert loaded == [f"millstream.tools.{name}" for name in ("box", "net")]
