"""The examples are true app files, run as they say, and keep to Dify's limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import millstream
from millstream import dsl
from millstream.base import Failed
from millstream.dsl.read import read_file
from millstream.engine import Ports
from millstream.engine.limits import DIFY
from millstream.nodes import REGISTRY
from millstream.runtime.clock import SystemClock
from millstream.sandbox.host import LocalSandbox

from ..canned import CannedModels, CannedTools

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.yml"))
NOW = {
    "start",
    "end",
    "answer",
    "llm",
    "template-transform",
    "code",
    "if-else",
    "variable-aggregator",
    "parameter-extractor",
    "iteration",
    "iteration-start",
    "tool",
}


def read(name: str) -> dsl.App:
    return read_file(EXAMPLES / name, REGISTRY)


async def run(
    name: str, models: CannedModels, inputs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """A run with canned answers, real code and templates, and Dify's limits."""
    sandbox = LocalSandbox()
    tools = CannedTools("ein Entwurf")
    ports = Ports(clock=SystemClock(), models=models, tools=tools, sandbox=sandbox)
    app = millstream.load(EXAMPLES / name, ports=ports, limits=DIFY)
    try:
        result = await app.arun(inputs)
    finally:
        await app.aclose()
        await sandbox.close()
    assert result.error is None, result.error
    return result, result.outputs


# ------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_is_a_whole_export(file: Path) -> None:
    app = read(file.name)
    assert app.problems == []
    data = yaml.safe_load(file.read_text())
    assert data["kind"] == "app"
    assert data["version"] == "0.6.0"
    nodes = data["workflow"]["graph"]["nodes"]
    by_id = {node["id"]: node for node in nodes}
    assert len(by_id) == len(nodes)
    for node in nodes:
        assert node["data"]["type"] in NOW
        assert {"position", "positionAbsolute", "width", "height"} <= node.keys()
        parent = by_id.get(node.get("parentId"))
        if parent is None:
            assert node["position"] == node["positionAbsolute"]
            continue
        assert node["data"]["isInIteration"]
        for axis in "xy":
            inside = parent["positionAbsolute"][axis] + node["position"][axis]
            assert node["positionAbsolute"][axis] == inside
        assert node["position"]["x"] + node["width"] <= parent["width"], "drawn inside its frame"
        assert node["position"]["y"] + node["height"] <= parent["height"]
    for edge in data["workflow"]["graph"]["edges"]:
        ends = [by_id[edge[name]] for name in ("source", "target")]
        assert [node["data"]["type"] for node in ends] == [
            edge["data"]["sourceType"],
            edge["data"]["targetType"],
        ]
        assert len({node.get("parentId") for node in ends}) == 1


def test_every_example_is_explained() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [file.name for file in FILES if f"]({file.name})" not in text] == []


def test_smartrans_is_the_export_that_started_the_project_drawn_anew() -> None:
    original = EXAMPLES.parents[1] / "shared/apps/smartrans.yml"
    if not original.exists():
        pytest.skip("../shared is not here")
    theirs, ours = read_file(original, REGISTRY).graph, read("smartrans.yml").graph
    assert [node.type for node in ours.nodes] == [node.type for node in theirs.nodes]
    where = {a.id: b.id for a, b in zip(theirs.nodes, ours.nodes, strict=True)}
    assert {(edge.source, edge.target) for edge in ours.edges} == {
        (where[edge.source], where[edge.target]) for edge in theirs.edges
    }


# ------------------------------------------------------------------------------- the long document


def plan(chapters: int = 4, sections: int = 2) -> dict[str, Any]:
    return {
        "chapters": [
            {
                "title": f"Chapter {'ABCDEFG'[i]}",
                "sections": [
                    {"heading": f"Section {'ABCDEFG'[i]}{j}", "about": f"Tells of {i} and {j}."}
                    for j in range(sections)
                ],
            }
            for i in range(chapters)
        ]
    }


def models(outline: Any, section: Any = "One sentence. And another.") -> CannedModels:
    return CannedModels({"You plan articles": json.dumps(outline), "You write articles": section})


INPUTS = {"title": "On Lists", "outline": "apples, pears and plums"}
HEADING = re.compile(r"^(#{1,3}) (.+)$", re.M)


def anchors(article: str) -> set[str]:
    """What the headings of a Markdown text can be linked by, as GitHub and others make them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for _, heading in HEADING.findall(article)
    }


def well_formed(article: str) -> list[tuple[str, str]]:
    """The headings, after a look at the links: one for each heading, in order, all arriving."""
    headings = HEADING.findall(article)
    links = re.findall(r"^ *- \[(.+)\]\(#(.+)\)$", article, re.M)
    assert [text for text, _ in links] == [text for _, text in headings[2:]]
    assert {anchor for _, anchor in links} <= anchors(article)
    assert len({text for _, text in headings}) == len(headings)
    return headings


async def test_a_long_document() -> None:
    canned = models(plan())
    _, outputs = await run("long-document.yml", canned, INPUTS)
    article = outputs["article"]
    assert article.startswith(
        "# On Lists\n\n## Contents\n\n- [1 Chapter A](#1-chapter-a)\n"
        "  - [1.1 Section A0](#11-section-a0)\n  - [1.2 Section A1](#12-section-a1)\n"
        "- [2 Chapter B](#2-chapter-b)\n"
    )
    assert "\n\n## 1 Chapter A\n\n### 1.1 Section A0\n\nOne sentence. And another.\n" in article
    headings = well_formed(article)
    assert [mark for mark, _ in headings].count("###") == 8
    first, *written = canned.requests
    assert first.schema is not None
    assert len(written) == 8
    assert {request.params["max_tokens"] for request in written} == {130}


async def test_a_section_knows_title_outline_and_what_came_before() -> None:
    canned = models(plan())
    await run("long-document.yml", canned, INPUTS | {"language": "German", "words": 60})
    request = next(r for r in canned.requests if "section 2.1" in r.messages[-1].text)
    assert 'Outline of the article "On Lists"' in request.messages[0].text
    assert "4.2 Section D1: Tells of 3 and 1" in request.messages[0].text
    assert request.messages[-1].text == (
        "Already written: sections 1.1 to 1.2, the last one on Tells of 0 and 1.\n\n"
        'Write section 2.1 Section B0 of the article "On Lists". It tells: Tells of 1 and 0. '
        "About 60 words in German."
    )
    first = next(r for r in canned.requests if "section 1.1" in r.messages[-1].text)
    assert first.messages[-1].text.startswith("Already written: nothing yet.")


async def test_long_sections_get_more_room() -> None:
    canned = models(plan())
    await run("long-document.yml", canned, INPUTS | {"words": 300})
    assert {request.params["max_tokens"] for request in canned.requests[1:]} == {2048}


async def test_chinese_has_its_own_contents_and_links() -> None:
    outline = plan()
    outline["chapters"][0]["title"] = "为什么要列表？"
    _, outputs = await run("long-document.yml", models(outline), INPUTS | {"language": "中文"})
    assert "## 目录\n" in outputs["article"]
    assert "- [1 为什么要列表？](#1-为什么要列表)\n" in outputs["article"]


async def test_a_model_that_repeats_itself_gives_a_well_formed_document_all_the_same() -> None:
    outline = plan(5)
    for chapter in outline["chapters"]:
        chapter["title"] = "1. Lists [of](lists)"
        for section in chapter["sections"]:
            section.update(heading="# Lists | and `more`", about="Lists of lists of lists.")
    section = (
        "# Lists\n\n```\nA first sentence. A second one?\n```\n---\nAnd a third that was cut of"
    )
    _, outputs = await run("long-document.yml", models(outline, section), INPUTS)
    article = outputs["article"]
    headings = [text for _, text in well_formed(article)]
    assert headings[2:8] == [
        "1 Lists of (lists)",
        "1.1 Lists and more",
        "1.2 Lists of lists of lists",
        "2 Apples",
        "2.1 Pears and plums",
        "2.2 Lists and more (2)",
    ]
    assert "\n\nA first sentence. A second one?\n" in article
    assert "cut of" not in article
    assert "```" not in article


async def test_a_section_that_fails_is_named_in_its_place() -> None:
    canned = models(plan())
    canned.answers = {
        "Write section 3.2": Failed("tools.translation-empty", model="x")
    } | canned.answers
    result, outputs = await run("long-document.yml", canned, INPUTS)
    assert result.status == "partial-succeeded"
    assert len(canned.requests) == 1 + 8 + 2, "two more tries"
    assert "### 3.2 Section C1\n\n*(This section could not be written.)*\n" in outputs["article"]
    well_formed(outputs["article"])


def worst(schema: dict[str, Any]) -> Any:
    """The longest value that a schema allows."""
    if schema["type"] == "object":
        return {name: worst(part) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [worst(schema["items"])] * schema["maxItems"]
    return "x" * schema["maxLength"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_longest_structured_answer_fits_its_token_limit(file: Path) -> None:
    for node in read(file.name).graph.nodes:
        if node.type != "llm" or not getattr(node.data, "structured_output", None):
            continue
        data: Any = node.data
        text = json.dumps(worst(data.structured_output.schema), indent=2)
        # At a token a character, which is more than any tokenizer needs for English.
        assert len(text) <= data.model.completion_params["max_tokens"]
        assert data.structured_output_switch_on
        assert data.structured_output_enabled, "the key that older versions read"


# ----------------------------------------------------------------------------------- the others


async def test_smartrans() -> None:
    canned = CannedModels({"Draft:\nein Entwurf": "fertig"})
    _, outputs = await run("smartrans.yml", canned, {"text2translate": "a draft"})
    assert outputs == {"translation": "fertig"}


async def test_meeting_actions() -> None:
    found = {
        "summary": "About the beta.",
        "decisions": ["Ship it.", "Ship it."],
        "actions": [
            {"task": "Fix the login", "owner": "Ben", "due": "Thursday"},
            {"task": "fix the login", "owner": "Ben", "due": ""},
            {"task": "Tell a|b", "owner": "Zoe", "due": ""},
        ],
    }
    canned = CannedModels({"You read notes": json.dumps(found), "You write short": "Dear all"})
    _, outputs = await run("meeting-actions.yml", canned, {"notes": "Ben fixes the login."})
    assert outputs["actions"] == [
        {"task": "Fix the login", "owner": "Ben", "due": "Thursday"},
        {"task": "Tell a|b", "owner": "unknown", "due": "open"},
    ]
    assert outputs["table"].count("- Ship it.") == 1
    assert "| 2 | Tell a/b | unknown | open |" in outputs["table"]
    assert "1 without an owner." in outputs["table"]
    assert outputs["mail"] == "Dear all"


async def test_feedback_triage() -> None:
    urgent = json.dumps({"topic": "bug", "urgent": "yes", "gist": "It crashes"})
    calm = json.dumps({"topic": "praise", "urgent": "no", "gist": "Nice colours"})
    canned = CannedModels(
        {
            "You answer customers": "We are sorry.\nWhich version?",
            "It crashes at once": urgent,
            "": calm,
        }
    )
    csv = 'day;who;what\n1;Ada;"It crashes at once; all lost"\n\n2;Bo;"Nice\ncolours"\n'
    _, outputs = await run("feedback-triage.yml", canned, {"csv": csv})
    assert [(row["number"], row["topic"], row["urgent"]) for row in outputs["rows"]] == [
        (1, "bug", True),
        (2, "praise", False),
    ]
    report = outputs["report"]
    assert "2 rows: bug 1, praise 1." in report
    assert "**1. It crashes** (bug, 1 · Ada)\n\n> We are sorry.\n> Which version?\n" in report
    assert "- 2. Nice colours (praise)" in report


async def test_a_translation_that_keeps_its_terms() -> None:
    canned = CannedModels({"fixed translations": "Ein Knoten.\n\nNoch einer."})
    inputs = {
        "text": "A node.\n\nAnd a sandbox.",
        "language": "German",
        "glossary": "node = Knoten\nsandbox = Sandkasten\nstream = Strom\nnonsense",
    }
    _, outputs = await run("glossary-translation.yml", canned, inputs)
    assert outputs["terms"] == "sandbox should be Sandkasten"
    assert outputs["side_by_side"] == (
        "| Text | German |\n| - | - |\n| A node. | Ein Knoten. |\n| And a sandbox. | Noch einer. |"
    )
    system = canned.requests[0].messages[0].text
    assert "node = Knoten" in system
    assert "Strom" not in system, "only the terms of this text"


async def test_a_translation_without_terms() -> None:
    canned = CannedModels({"You are a translator": "Hallo\n\nWelt"})
    _, outputs = await run("glossary-translation.yml", canned, {"text": "Hi", "language": "German"})
    assert outputs["terms"] == "All terms were kept."
    assert outputs["side_by_side"] == "Hi\n\n---\n\nHallo\n\nWelt"
    assert "fixed translations" not in canned.requests[0].messages[0].text


# ------------------------------------------------------------------------- on the packaged model


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize(
    ("title", "notes"),
    [
        ("Bread from Scratch", "flour, yeast, kneading, baking, storing"),
        ("A Year in the Garden", "spring sowing\nsummer watering\nautumn harvest\nwinter rest"),
    ],
)
def test_a_long_document_by_the_packaged_model(
    packaged_model: Path, title: str, notes: str
) -> None:
    home = packaged_model.parents[1]
    with millstream.load(EXAMPLES / "long-document.yml", local=True, home=home) as app:
        result = app.run(title=title, outline=notes)
    assert result.error is None, result.error
    article = result.outputs["article"]
    headings = well_formed(article)
    assert len(headings) >= 9
    assert [mark for mark, _ in headings].count("###") >= 8
    assert len(article.split()) >= 400
    assert "could not be written" not in article
