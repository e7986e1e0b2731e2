"""What a picture says about a node: in one line what it works with, and the names of its ways out.

The file's data is hostile and may have any shape; whatever is not as expected is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from millstream import dsl
from millstream.base import say
from millstream.cli.terminal import label, shorten

SOURCE, ELSE, FAIL = "source", "false", "fail-branch"
_LONG = 60  # columns of a condition


def about(node: dsl.Node) -> str:
    """What a node works with: its model, tool, language, variables."""
    data = _data(node)
    match node.type:
        case "start":
            return _names(data.get("variables"), "variable")
        case "end":
            return _names(data.get("outputs"), "variable")
        case "llm" | "parameter-extractor" | "question-classifier":
            model = _mapping(data.get("model"))
            return label(
                "/".join(
                    filter(
                        None,
                        (_text(model.get("provider")).split("/")[-1], _text(model.get("name"))),
                    )
                )
            )
        case "tool" | "agent":
            provider = data.get("provider_id") or data.get("provider_name")
            name = data.get("tool_name") or data.get("agent_strategy_name")
            return label("/".join(filter(None, (_text(provider).split("/")[-1], _text(name)))))
        case "code":
            return label(_text(data.get("code_language")))
        case "http-request":
            # The address alone: what follows may hold a key.
            url = _text(data.get("url")).partition("?")[0]
            return label(f"{_text(data.get('method')).upper()} {url}")
        case "iteration":
            if data.get("is_parallel"):
                width = data.get("parallel_nums") or 10
                return say("cli.show.parallel", count=label(_text(width)))
            return ""
        case "loop":
            return say("cli.show.rounds", count=label(_text(data.get("loop_count") or "?")))
        case "knowledge-retrieval":
            ids = data.get("dataset_ids")
            return say("cli.show.datasets", count=len(ids)) if isinstance(ids, list) else ""
    return ""


def description(node: dsl.Node) -> str:
    """What the author wrote about a node."""
    return label(_text(_data(node).get("desc")))


def ways(node: dsl.Node) -> list[tuple[str, str]]:
    """The ways out of a node in the order of its form: handle and name ("" for the usual one)."""
    data = _data(node)
    found: list[tuple[str, str]] = []
    if node.type == "if-else":
        cases = data.get("cases")
        if not isinstance(cases, list):
            cases = [{"case_id": "true", **data}]
        for number, case in enumerate(map(_mapping, cases)):
            id = case.get("case_id", case.get("id"))
            word = say("cli.show.if") if number == 0 else say("cli.show.elif")
            found.append((_handle(id), f"{word} {_conditions(case)}".strip()))
        found.append((ELSE, say("cli.show.else")))
    elif node.type == "question-classifier":
        for item in _list(data.get("classes")):
            found.append((_handle(item.get("id")), label(_text(item.get("name")))))
    elif node.type == "human-input":
        for item in _list(data.get("user_actions")):
            title = _text(item.get("title")) or _text(item.get("id"))
            found.append((_handle(item.get("id")), label(title)))
    else:
        found.append((SOURCE, ""))
    if data.get("error_strategy") == FAIL:
        found.append((FAIL, say("cli.show.on-error")))
    return found


def way(node: dsl.Node, handle: str) -> str:
    """The name of one way out; the handle itself where the node knows no such way."""
    for known, name in ways(node):
        if known == handle:
            return name
    return "" if handle in (SOURCE, "success-branch") else label(handle)


def note(raw: Mapping[str, Any]) -> str:
    """The text of a canvas note, whose own form is the JSON of a rich-text editor."""
    text = _text(_mapping(raw.get("data")).get("text"))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    root = _mapping(_mapping(document).get("root"))
    lines = []
    for block in _list(root.get("children")):
        lines.append("".join(_texts(block)))
    return "\n".join(lines).strip()


def _texts(block: Any) -> list[str]:
    """The texts in a block, in order."""
    found: list[str] = []
    waiting = [block]
    while waiting:
        item = _mapping(waiting.pop())
        if isinstance(item.get("text"), str):
            found.append(item["text"])
        elif item.get("type") == "linebreak":
            found.append("\n")
        children = item.get("children")
        if isinstance(children, list):
            if item.get("type") == "listitem" and found:
                found.append("\n")
            waiting.extend(reversed(children))
    return found


def _conditions(case: Mapping[str, Any]) -> str:
    parts = []
    for item in _list(case.get("conditions")):
        selector = item.get("variable_selector")
        name = ".".join(map(_text, selector[1:])) if isinstance(selector, list) else ""
        value = item.get("value")
        value = ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)
        parts.append(" ".join(filter(None, (name, _text(item.get("comparison_operator")), value))))
    joined = f" {_text(case.get('logical_operator')) or 'and'} ".join(parts)
    return shorten(label(joined), _LONG)


def _names(items: Any, key: str) -> str:
    return label(", ".join(filter(None, (_text(item.get(key)) for item in _list(items)))))


def _handle(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _data(node: dsl.Node) -> Mapping[str, Any]:
    return _mapping(node.raw.get("data"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) and value is not None else ""
