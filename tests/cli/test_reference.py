"""The written reference is that of the code, and what is printed as JSON fulfils its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from cli.parts import Run
from millstream.cli.reference import files

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["cli.md", "result.schema.json", "events.schema.json",
                                  "report.schema.json", "bench.schema.json"])  # fmt: skip
def test_the_reference_is_up_to_date(name: str) -> None:
    hint = "run `python -m millstream.cli.reference`"
    assert (DOCS / name).read_text(encoding="utf-8") == files()[name], hint


def schema(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((DOCS / f"{name}.schema.json").read_text())
    return found


def test_results_events_and_reports_fulfil_their_schemas(millstream: Run, hello: str) -> None:
    for words in (("name=x",), ()):  # a run, and one that is refused
        done = millstream("run", hello, *words, "--json")
        jsonschema.validate(json.loads(done.stdout), schema("result"))
    for line in millstream("run", hello, "name=x", "--events").stdout.splitlines():
        jsonschema.validate(json.loads(line), schema("events"))
    done = millstream("check", hello, "nowhere.yml", "--json")
    for line in done.stdout.splitlines():
        jsonschema.validate(json.loads(line), schema("report"))
