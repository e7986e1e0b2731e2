"""What translation tools have in common: a text and a language among their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from millstream.base import Failed
from millstream.engine.ports import ToolParameter
from millstream.tools.languages import Language, find_language


class Form(NamedTuple):
    """A tool's names for its text, its language, and the language typed when that is "custom"."""

    text: str
    language: str
    custom: str | None = None

    @property
    def parameters(self) -> tuple[ToolParameter, ...]:
        """As the tool declares them; English where the file names no language."""
        given = (
            ToolParameter(self.text, required=True),
            ToolParameter(self.language, type="select", default="en"),
        )
        return (*given, ToolParameter(self.custom)) if self.custom else given

    def read(self, parameters: Mapping[str, Any]) -> tuple[str, Language]:
        """The text and the language; raises Failed for what cannot be understood."""
        text = parameters.get(self.text)
        if text is None:
            raise Failed("tools.parameter-missing", name=self.text, error_type=_TYPE)
        name = self.language
        word = parameters.get(name) or "en"
        if self.custom and word == "custom":
            name = self.custom
            word = parameters.get(name) or ""
        language = find_language(str(word))
        if language is None:
            raise Failed("tools.language-unknown", name=name, value=repr(word), error_type=_TYPE)
        return str(text), language


_TYPE = "ToolParameterError"  # what a fail branch sees

GOOGLE = Form("content", "dest", "custom_dest")
DUCKDUCKGO = Form("query", "translate_to")
