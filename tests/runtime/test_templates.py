"""An app from a library of templates runs once it is told which model to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import millstream
from canned import CannedModels, ports
from millstream.base import NotHere

FILE = Path(__file__).parent.parent / "fixtures" / "apps" / "from-template.yml"


def run(rows: str) -> Any:
    app = millstream.load(FILE)
    app._ports = ports(CannedModels({"Greet Ann": "Hello, Ann.", "Greet Bob": "Hi, Bob."}))
    return app.run(rows=rows)


def test_both_names_of_the_way_after_a_success_are_the_same() -> None:
    result = run('[{"name": "Ann"}, {"name": "Bob"}, {}]')
    assert result.outputs == {"words": ["Hello, Ann.", "Hi, Bob.", None]}
    assert result.status == "partial-succeeded"  # a row without a name; the probe
    probe = next(node for node in result.nodes if node.id == "probe")
    assert probe.outputs["headers"] == {}  # the text '{}' that the editor writes


def test_a_failure_takes_the_other_way() -> None:
    result = run("no rows")
    assert list(result.outputs) == ["notice"]
    assert result.outputs["notice"].endswith("Expecting value: line 1 column 1 (char 0)")


def test_a_node_without_a_model_says_so() -> None:
    with pytest.raises(NotHere) as caught:
        millstream.load(FILE).run(rows="[]")
    assert caught.value.message == "the node does not say which model it wants"
    assert "--model PROVIDER/NAME" in caught.value.next_step
    assert "Words" in str(caught.value)
