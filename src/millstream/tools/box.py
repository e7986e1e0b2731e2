"""The toolbox: which tools are here, by the names that app files give them.

A file names a tool by its provider, bare (`google_translate`) or in full
(`langgenius/google_translate/google_translate`), and its own name. Both forms find the same tool.
A tool that is bound to a substitute is answered by that; nothing is ever substituted unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from millstream.base import BadInput, MillstreamError, NotHere
from millstream.engine.ports import ModelRef, Models, ToolParameter, ToolRef, ToolResult
from millstream.tools.net import Fetcher

if TYPE_CHECKING:
    from millstream.home.settings import Translate

_KINDS = ("builtin", "plugin", "")


class ToolInfo(msgspec.Struct, frozen=True):
    """What a tool is. provider: the short name. online: it needs the internet. substitute: what
    can do its work here, if bound to it. here: it can be called without a substitute."""

    provider: str
    name: str
    title_en: str
    title_zh: str
    online: bool = False
    substitute: str | None = None
    here: bool = True


_TOOLS = {
    (info.provider, info.name): info
    for info in (
        ToolInfo(
            "google_translate",
            "translate",
            "Google Translate",
            "谷歌翻译",
            online=True,
            substitute="llm",
        ),
        ToolInfo(
            "duckduckgo",
            "ddgo_translate",
            "DuckDuckGo Translate",
            "DuckDuckGo 翻译",
            online=True,
            substitute="llm",
            here=False,
        ),
        ToolInfo("time", "current_time", "Current Time", "获取当前时间"),
        ToolInfo("time", "timezone_conversion", "Time Zone Conversion", "时区转换"),
        ToolInfo("time", "timestamp_to_localtime", "Timestamp to Local Time", "时间戳转换"),
        ToolInfo("time", "localtime_to_timestamp", "Local Time to Timestamp", "获取时间戳"),
        ToolInfo("time", "weekday", "Weekday Calculator", "星期几计算器"),
    )
}


class Tool(Protocol):
    """What each tool's module offers."""

    @property
    def parameters(self) -> tuple[ToolParameter, ...]: ...

    async def invoke(self, parameters: Mapping[str, Any]) -> ToolResult: ...


def official(provider: str) -> str | None:
    """The short name of a provider of Dify's own; None for somebody else's plugin.

    `x`, `langgenius/x` and `langgenius/x/x` are the same, whatever version follows a colon.
    """
    parts = provider.strip().lower().partition(":")[0].split("/")
    if len(parts) > 1:
        return parts[-1] if parts[0] == "langgenius" else None
    return parts[0]


def find(ref: ToolRef) -> ToolInfo | None:
    """What is known of a tool that a file names."""
    provider = official(ref.provider) if ref.kind in _KINDS else None
    return _TOOLS.get((provider or "", ref.name))


class Toolbox:
    """The `Tools` port.

    http: the egress layer. models and llm: what a substitute asks, and the model that it asks for.
    substitutes: from `provider/tool` to what does its work, "llm" or "local" (whatever is here).
    now: Unix time in seconds.
    """

    def __init__(
        self,
        http: Fetcher,
        models: Models | None,
        settings: Translate,
        substitutes: Mapping[str, str] | None = None,
        *,
        llm: ModelRef,
        now: Callable[[], float],
    ) -> None:
        self._http = http
        self._models = models
        self._settings = settings
        self._llm = llm
        self._now = now
        self._substitutes: dict[ToolInfo, str] = {}
        self._made: dict[ToolInfo, Tool] = {}
        for name, substitute in (substitutes or {}).items():
            self._bind(name, substitute)

    def describe(self, ref: ToolRef) -> ToolInfo | None:
        """What is known of a tool; None if nothing is."""
        return find(ref)

    def substitute_for(self, ref: ToolRef) -> str | None:
        """What could do a tool's work on this machine: "llm", or None."""
        info = find(ref)
        return info.substitute if info else None

    def substituted(self, ref: ToolRef) -> str | None:
        """What does a tool's work in this toolbox instead of it."""
        info = find(ref)
        return self._substitutes.get(info) if info else None

    def parameters(self, tool: ToolRef) -> Sequence[ToolParameter] | None:
        info = find(tool)
        if info is None or not (info.here or info in self._substitutes):
            return None
        return self._tool(info).parameters

    async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> ToolResult:
        return await self._tool(self.require(tool)).invoke(parameters)

    def require(self, ref: ToolRef) -> ToolInfo:
        """The tool, if it can be called here; NotHere says what it is and what can be done."""
        info = find(ref)
        if info and (info.here or info in self._substitutes):
            return info
        if info and info.substitute:
            raise NotHere(
                "tools.only-substitute",
                tool=str(ref),
                title=info.title_en,
                substitute=info.substitute,
                bind=f"{info.provider}/{info.name}",
            )
        kind = ref.kind if ref.kind in ("api", "workflow", "mcp") else "plugin"
        raise NotHere(f"tools.not-here-{kind}", tool=str(ref))

    async def answers(self, ref: ToolRef) -> bool:
        """Whether a call would get through right now: an online tool's service is asked a word."""
        try:
            info = self.require(ref)
            if info.online and info not in self._substitutes:
                await self.invoke(ref, {"content": "hello", "dest": "fr"})
        except MillstreamError:
            return False
        return True

    def _bind(self, name: str, substitute: str) -> None:
        provider, _, tool = name.rpartition("/")
        info = find(ToolRef("builtin", provider, tool))
        if info is None or info.substitute is None:
            raise BadInput("tools.no-substitute", tool=name)
        if substitute not in (info.substitute, "local"):
            raise BadInput(
                "tools.bad-substitute", tool=name, given=substitute, known=info.substitute
            )
        self._substitutes[info] = info.substitute

    def _tool(self, info: ToolInfo) -> Tool:
        tool = self._made.get(info)
        if tool is None:
            tool = self._translator(info) if info in self._substitutes else self._original(info)
            self._made[info] = tool
        return tool

    def _original(self, info: ToolInfo) -> Tool:
        if info.provider == "time":
            from millstream.tools.time import TimeTool

            return TimeTool(info.name, self._now)
        from millstream.tools.google_translate import GoogleTranslate

        return GoogleTranslate(self._http, self._settings)

    def _translator(self, info: ToolInfo) -> Tool:
        from millstream.tools.llm_translate import LlmTranslate
        from millstream.tools.translation import DUCKDUCKGO, GOOGLE

        if self._models is None:
            raise NotHere("tools.no-models", tool=f"{info.provider}/{info.name}")
        form = DUCKDUCKGO if info.provider == "duckduckgo" else GOOGLE
        return LlmTranslate(self._models, self._llm, self._settings.model_piece, form)
