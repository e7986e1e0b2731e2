"""A node that is wrong changes nothing of what is said of the others: what they need, and whether
a way leads to them. Held against apps of every kind, one of whose nodes is broken."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream import loads
from millstream.base import BadInput, NotHere
from millstream.checks import Met, needs, report

APPS = sorted((Path(__file__).parents[1] / "fixtures" / "apps").glob("*.yml"))
CORPUS = sorted((Path(__file__).parents[2].parent / "shared" / "corpus").glob("*.yml"))
SOME = 3  # nodes of an app that are broken, one after the other


def said(raw: dict[str, Any]) -> dict[str, tuple[list[str], bool]]:
    """What each node needs, and whether it is reached."""
    plan = loads(yaml.dump(raw, Dumper=yaml.CSafeDumper)).plan
    error = NotHere("engine.no-port", port="x")
    found = report(plan, [Met(need, str(need.ref), error=error) for need in needs(plan)])
    return {n.id: ([f.wanted for f in n.findings], n.reachable) for n in found.nodes}


@pytest.mark.parametrize(
    "path",
    [*APPS, *(pytest.param(path, marks=pytest.mark.slow) for path in CORPUS)],
    ids=lambda path: path.stem[:60],
)
def test_the_others_stay_as_they_are(path: Path) -> None:
    try:
        raw = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        nodes = raw["workflow"]["graph"]["nodes"]
        whole = said(raw)
    except (yaml.YAMLError, KeyError, TypeError, BadInput):
        pytest.skip("no app with a graph")
    chance = random.Random(path.name)
    broken = 0
    for number in chance.sample(range(len(nodes)), len(nodes)):
        data = nodes[number].get("data") or {}
        if not data.get("type") or broken == SOME:
            continue
        changed = copy.deepcopy(raw)
        changed["workflow"]["graph"]["nodes"][number]["data"]["retry_config"] = "no"
        mine = str(nodes[number]["id"])
        assert {k: v for k, v in said(changed).items() if k != mine} == {
            k: v for k, v in whole.items() if k != mine
        }, f"with {mine} broken"
        broken += 1
