"""Twenty thousand broken apps: each is read or refused, never anything else, and never slowly.

The files are changed as text (bytes flipped, lines lost, doubled, swapped) and as data (keys
renamed, values of other types); what is read also goes through the structural check and back.
The changes follow from a fixed seed, so that a failure can be seen again.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream.base import BadInput
from millstream.dsl import check_structure, read_text, write
from millstream.nodes import REGISTRY

APPS = Path(__file__).parent.parent / "fixtures" / "apps"
CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
MUTATIONS = 20_000
SMALL = 16_000  # bytes: most of the work goes into files below
TOKENS = re.compile(rb"\w+|[^\w\s]|\s+")
SYNTAX = [b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<: ", b"|\n", b">-\n", b"'", b'"', b"\t", b"- "]
SYNTAX += [b": ", b"? ", b"!!binary ", b"!!set ", b"!x ", b"---\n", b"...\n", b"\0", b"\xff", b"#"]
ODD: list[Any] = [None, True, 0, -1, 1e308, "", "x", "start", [], {}, [[]], [None], {"a": 1}, b"\0"]
ODD += [2**70, "[" * 3000, {"id": {}}, "\x85", [["a", "b"]], "{{#a.b#}}", "1:1", float("nan")]


def flip(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out)


def lines(data: bytes, chance: random.Random) -> bytes:
    out = data.split(b"\n")
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(out)), chance.randrange(len(out))
        match chance.randrange(4):
            case 0:
                del out[at : at + chance.randint(1, 5)]
            case 1:
                out[at:at] = out[other : other + chance.randint(1, 5)]
            case 2:
                out[at], out[other] = out[other], out[at]
            case _:
                out[at] = b" " * chance.randint(0, 6) + out[at].lstrip()
        out = out or [b""]
    return b"\n".join(out)


def tokens(data: bytes, chance: random.Random) -> bytes:
    found = TOKENS.findall(data)
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(found)), chance.randrange(len(found))
        match chance.randrange(3):
            case 0:
                found[at], found[other] = found[other], found[at]
            case 1:
                found[at] = found[other]
            case _:
                found.insert(at, chance.choice(SYNTAX))
    return b"".join(found)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def values(data: Any, chance: random.Random) -> Any:
    """Change some entries of the data: other values, other keys, gone, or those of elsewhere."""
    data = copy.deepcopy(data)
    places: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        here = waiting.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            places.append((here, key))
            if isinstance(here[key], dict | list):
                waiting.append(here[key])
    for _ in range(chance.randint(1, 6)):
        (here, key), (there, other) = chance.choice(places), chance.choice(places)
        try:
            match chance.randrange(5):
                case 0 | 1:
                    here[key] = copy.deepcopy(chance.choice(ODD))
                case 2:
                    here[key] = copy.deepcopy(there[other])
                case 3:
                    del here[key]
                case _ if isinstance(here, dict):
                    here[chance.choice([other, 5, None, True, f"{key}s"])] = here.pop(key)
        except (KeyError, IndexError):
            continue
    return data


def survive(source: bytes) -> str:
    """Read, check and write a file; anything but BadInput falls through to the test."""
    try:
        app = read_text(source, "fuzz.yml", REGISTRY)
    except BadInput as refusal:
        error = refusal
    else:
        for problem in (*app.problems, *check_structure(app)):
            assert problem.message
            assert str(problem.place)
        return "read"
    assert str(error).startswith("fuzz.yml")
    assert error.message
    return error.code


TEXTUAL: list[Callable[[bytes, random.Random], bytes]] = [flip, lines, tokens, cut]


def sources() -> list[bytes]:
    paths = [*sorted(APPS.iterdir()), *sorted(CORPUS.glob("*.yml"))]
    return [path.read_bytes() for path in paths]


def fuzz(mutations: int, seed: int) -> dict[str, int]:
    chance = random.Random(seed)
    everything = sources()
    small = [source for source in everything if len(source) < SMALL]
    parsed: dict[bytes, Any] = {}
    outcomes: dict[str, int] = {}
    for number in range(mutations):
        source = chance.choice(everything if number % 50 == 0 else small)
        if number % 3 == 0:
            if source not in parsed:
                parsed[source] = _data(source)
            data = values(parsed[source], chance)
            mutated = yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
        else:
            mutated = chance.choice(TEXTUAL)(source, chance)
        try:
            outcome = survive(mutated)
        except BaseException as error:
            error.add_note(f"mutation {number} of seed {seed}: {mutated!r}")
            raise
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def _data(source: bytes) -> Any:
    try:
        return yaml.load(source, yaml.CSafeLoader)
    except yaml.YAMLError:
        return {"app": {}, "workflow": {"graph": {"nodes": [{"id": "a", "data": {}}]}}}


def test_a_few_broken_apps_are_read_or_refused() -> None:
    outcomes = fuzz(500, seed=1)
    assert outcomes["read"] > 50
    assert len(outcomes) > 5


@pytest.mark.slow
def test_twenty_thousand_broken_apps_are_read_or_refused() -> None:
    outcomes = fuzz(MUTATIONS, seed=2)
    print(dict(sorted(outcomes.items(), key=lambda item: -item[1])))
    assert sum(outcomes.values()) == MUTATIONS


@pytest.mark.slow
def test_what_is_read_of_broken_apps_comes_back() -> None:
    chance = random.Random(3)
    small = [source for source in sources() if len(source) < 6000]
    written = 0
    for _ in range(600):
        mutated = chance.choice(TEXTUAL)(chance.choice(small), chance)
        try:
            app = read_text(mutated, "fuzz.yml", REGISTRY)
        except BadInput:
            continue
        again = read_text(write(app), "again.yml", REGISTRY)
        assert repr(again.raw) == repr(read_text(write(again), "x.yml", REGISTRY).raw)
        assert write(again) == write(app)
        written += 1
    assert written > 50
