"""Nodes of the apps that these tests run, and the types of the fixtures."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from canned import node

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]


def template(id: str, text: str, **variables: str) -> dict[str, Any]:
    """A template node: template("t", "Hi {{ name }}", name="start.name")."""
    named = [{"variable": k, "value_selector": v.split(".")} for k, v in variables.items()]
    return node(id, "template-transform", template=text, variables=named)


def llm(id: str = "llm", text: str = "Say {{#start.name#}}", **data: Any) -> dict[str, Any]:
    return node(
        id,
        "llm",
        model={"provider": "openai", "name": "gpt-x", "mode": "chat", "completion_params": {}},
        prompt_template=[{"role": "user", "text": text}],
        **data,
    )
