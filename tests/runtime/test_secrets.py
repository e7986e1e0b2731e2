"""The value of a secret variable reaches the node that uses it, and nothing that a run tells."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import millstream
from canned import CannedTools, document, edges, end, node, ports, start
from millstream.base import Failed
from millstream.engine.events import Event, NodeFinished, TextChunk, encode
from millstream.engine.ports import Message, ModelChunk, ModelEnd, ModelRequest, Usage
from millstream.runtime.mask import Mask
from millstream.values import File

KEY = 'sk-live "47"/中文'
MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}


def load(nodes: list[Any], ways: list[str], secret: str = KEY, **port: Any) -> millstream.App:
    data = document(nodes, edges(*ways))
    data["workflow"]["environment_variables"] = [
        {"name": "KEY", "value_type": "secret", "value": secret},
        {"name": "PLAIN", "value_type": "string", "value": "plain words"},
    ]
    return millstream.loads(json.dumps(data), ports=ports(**port))


async def told(app: millstream.App, **inputs: Any) -> list[Event]:
    return [event async for event in app.stream(inputs)]


def hidden(events: list[Event], secret: str = KEY) -> None:
    """Nothing in the events shows the secret, in whatever notation; the numbers have no gaps."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    raw = secret.encode()
    for event in events:
        line = encode(event).decode()
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret, safe=""),
            base64.b64encode(raw).decode(),
        ):
            assert form not in line
            assert json.dumps(form, ensure_ascii=False)[1:-1] not in line


TOOL = node(
    "t",
    "tool",
    provider_id="p",
    tool_name="n",
    tool_parameters={"key": {"type": "mixed", "value": "Bearer {{#env.KEY#}}"}},
)


async def test_a_tool_gets_the_secret_and_the_events_do_not() -> None:
    tools = CannedTools(f"you said {KEY}")
    app = load([start(), TOOL, end(out="t.text", key="env.KEY")], ["start>t", "t>end"], tools=tools)
    events = await told(app)
    assert tools.calls[0][1] == {"key": f"Bearer {KEY}"}
    hidden(events)
    assert events[-1].outputs == {"out": "you said •••", "key": "•••"}
    inputs = next(e.inputs for e in events if isinstance(e, NodeFinished) and e.node == "t")
    assert inputs == {"key": "Bearer •••"}


async def test_errors_and_results_hide_it() -> None:
    class Refusing(CannedTools):
        async def invoke(self, tool: Any, parameters: Any) -> Any:
            raise Failed("base.unexpected", problem=f"401 for {parameters['key']}")

    app = load([start(), TOOL], ["start>t"], tools=Refusing())
    hidden(await told(app))
    result = await app.arun()
    assert result.error is not None
    assert result.error["message"] == "unexpected error: 401 for Bearer •••"
    assert KEY not in encode(result).decode()


async def test_every_notation_of_it_is_hidden() -> None:
    code = (
        "import base64, json\nfrom urllib.parse import quote\n"
        "def main(k):\n"
        "    return {'o': {'json': json.dumps({'k': k}), 'url': 'https://x/?' + quote(k, safe=''),"
        " 'basic': base64.b64encode(k.encode()).decode(), k: [k, [k]]}}\n"
    )
    variables = [{"variable": "k", "value_selector": ["env", "KEY"]}]
    of_c = {"variable": "o", "value_selector": ["c", "o"]}
    outputs = {"o": {"type": "object"}}
    nodes = [
        start(),
        node("c", "code", code=code, variables=variables, outputs=outputs),
        node("j", "template-transform", template="{{ o }}", variables=[of_c]),
        end(o="c.o", text="j.output"),
    ]
    events = await told(load(nodes, ["start>c", "c>j", "j>end"]))
    hidden(events)
    assert events[-1].outputs["o"] == {
        "json": '{"k": "•••"}',
        "url": "https://x/?•••",
        "basic": "•••==",
        "•••": ["•••", ["•••"]],
    }


class Piecewise:
    """Says the prompt back in pieces of one length."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def generate(self, request: ModelRequest) -> AsyncIterator[ModelChunk | ModelEnd]:
        text = request.messages[0].text
        for i in range(0, len(text), self.size):
            yield ModelChunk(text[i : i + self.size])
        yield ModelEnd(Usage(calls=1), "stop")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
async def test_a_secret_that_streams_in_pieces_is_hidden_too(size: int) -> None:
    prompt = [{"role": "user", "text": "sk-live {{#env.KEY#}} and sk-li{{#env.KEY#}}sk-live"}]
    nodes = [start(), node("llm", "llm", model=MODEL, prompt_template=prompt), end(t="llm.text")]
    events = await told(load(nodes, ["start>llm", "llm>end"], models=Piecewise(size)))
    hidden(events)
    text = "".join(e.text for e in events if isinstance(e, TextChunk))
    assert text == "sk-live ••• and sk-li•••sk-live"
    assert events[-1].outputs == {"t": text}


async def test_apps_without_secrets_are_told_as_they_are() -> None:
    app = load([start(), end(out="env.PLAIN")], ["start>end"], secret="")
    assert app._masked(put := [].append) is put
    assert (await told(app))[-1].outputs == {"out": "plain words"}


def masked(secret: str, value: Any) -> Any:
    return Mask([secret], lambda event: None).hide(value)


def test_short_secrets_are_hidden_where_they_stand_alone() -> None:
    assert masked("abc", ["abc", "abcd", {"abc": "xabc"}]) == ["•••", "abcd", {"•••": "xabc"}]
    assert masked(" padded-key\n", "Bearer padded-key") == "Bearer •••"
    assert masked("   ", ["", " "]) == ["", " "]


def test_data_classes_and_odd_values_pass() -> None:
    message = Message("user", "a secret!", (File("image", "remote_url", url="https://x/secret"),))
    assert masked("secret", message) == Message(
        "user", "a •••!", (File("image", "remote_url", url="https://x/•••"),)
    )
    loop: list[Any] = ["secret"]
    loop += [loop, loop]
    assert masked("secret", loop) == ["•••", "…", "…"]
    assert masked("secret", [None, 1.5, True, b"secret"]) == [None, 1.5, True, b"secret"]


@given(st.text("ab", min_size=4, max_size=6), st.lists(st.text("ab", max_size=4), max_size=12))
@settings(max_examples=300)
def test_pieces_say_what_the_whole_says_without_the_secret(secret: str, pieces: list[str]) -> None:
    events: list[Any] = []
    mask = Mask([secret], events.append)
    for piece in pieces:
        mask(TextChunk(0, "n", "n", piece))
    mask(NodeFinished(0, "n", "n", "llm", "", "succeeded", 0.0, 0.0))
    said = "".join(event.text for event in events[:-1])
    assert secret not in said
    assert said.count("•••") <= "".join(pieces).count("a") + "".join(pieces).count("b")
    if secret not in "".join(pieces):
        assert said == "".join(pieces)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
