"""`millstream show`: drawings for a terminal and as SVG, of any app, also of a hostile one."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canned import app, edges, end, node, start
from cli.parts import Run, Write, template
from millstream.checks import NodeReport, Report
from millstream.cli.picture import layout, lines, svg, words
from millstream.dsl import App

SVG = "{http://www.w3.org/2000/svg}"
CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def branching() -> App:
    which = node(
        "which", "if-else", title="Which?",
        cases=[
            {"case_id": "true", "logical_operator": "and", "conditions": [
                {"variable_selector": ["start", "name"], "comparison_operator": "contains",
                 "value": "a"}]},
            {"case_id": "c2", "conditions": []},
        ],
    )  # fmt: skip
    nodes = [start("name"), which, template("A", "a"), template("B", "b"), template("C", "c"),
             end(text="A.output")]  # fmt: skip
    ways = edges("start>which", "which:true>A", "which:c2>B", "which:false>C",
                 "A>end", "B>end", "C>end")  # fmt: skip
    return app(nodes, ways)


def drawn(spec: App, **options: Any) -> str:
    return "\n".join(lines.draw(spec.graph, **options)) + "\n"


# ------------------------------------------------------------------------------------- the terminal


def test_branches_and_their_names() -> None:
    assert (
        drawn(branching())
        == """\
▸ start  start  name
│
◆ Which?  if-else
│ if name contains a → A
├─╮ else if → B
├─┼─╮ else → C
│ │ │
● │ │ A  template-transform
│ │ │
│ ● │ B  template-transform
│ │ │
│ │ ● C  template-transform
├─┴─╯
■ end  end  text
"""
    )


def test_ascii_where_there_is_nothing_else() -> None:
    text = drawn(branching(), ascii_only=True)
    assert "+-+-\\ else > C" in text
    assert not re.search("[│├╮●◆→]", text)


def test_containers_have_their_inside_in_a_frame() -> None:
    nodes = [
        start("items"),
        node("each", "iteration", title="Each", is_parallel=True, parallel_nums=4),
        node("in", "iteration-start", parent="each", title=""),
        node("deep", "iteration", parent="each", title="Deep"),
        node("in2", "iteration-start", parent="deep", title=""),
        template("t", "x") | {"parentId": "deep"},
        end(x="each.output"),
    ]
    text = drawn(app(nodes, edges("start>each", "each>end", "in>deep", "in2>t")))
    assert (
        text
        == """\
▸ start  start  items
│
▣ Each  iteration  4 at once
│ ╭───
│ │ ● in  iteration-start
│ │ │
│ │ ▣ Deep  iteration
│ │   ╭───
│ │   │ ● in2  iteration-start
│ │   │ │
│ │   │ ● t  template-transform
│ │   ╰───
│ ╰───
│
■ end  end  x
"""
    )


def test_a_circle_and_a_node_that_nothing_leads_to() -> None:
    nodes = [start("x"), template("a", "1"), template("b", "2"), template("lost", "3")]
    text = drawn(app(nodes, edges("start>a", "a>b", "b>a", "start>ghost")))
    assert "↺ back to a" in text
    assert "lost" in text


def test_verdicts_and_their_reasons(millstream: Run, speaks: str) -> None:
    done = millstream("show", speaks)
    assert done.returncode == 0
    assert "✗ needs you" in done.stdout
    assert "no key for openai" in done.stdout
    plain = millstream("show", speaks, "--no-check")
    assert "needs you" not in plain.stdout


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_any_graph_can_be_drawn(seed: int) -> None:
    """Random edges, circles and self-loops included: each node once, every rail leads somewhere."""
    chance = random.Random(seed)
    names = [f"n{i}" for i in range(chance.randint(1, 14))]
    ways = {f"{chance.choice(names)}>{chance.choice(names)}" for _ in range(chance.randint(0, 25))}
    spec = app([template(name, "x") for name in names], edges(*sorted(ways)))
    text = drawn(spec)
    for name in names:
        assert len(re.findall(rf"[●◆]( [│ ]*)* ?{name}  template-transform", text)) == 1
    picture = svg.draw(spec)
    assert len(cards(picture)) == len(names)


# ---------------------------------------------------------------------------------------------- SVG


def cards(text: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(text)
    return [g for g in root.iter(f"{SVG}g") if (g.get("class") or "").startswith("node")]


def place(card: ElementTree.Element) -> tuple[float, float]:
    x, y = re.findall(r"-?[\d.]+", card.get("transform") or "")
    return float(x), float(y)


def test_nodes_stand_where_the_file_has_them() -> None:
    nodes = [start("x"), template("t", "x"), end(o="t.output")]
    for number, item in enumerate(nodes):
        item["position"] = {"x": 300 * number - 100, "y": 40 * number}
    picture = svg.draw(app(nodes, edges("start>t", "t>end")))
    assert [place(card) for card in cards(picture)] == [(-100, 0), (200, 40), (500, 80)]


@pytest.mark.parametrize("broken", [None, {"x": "a", "y": 1}, {"x": 1e300, "y": 0}, [1, 2], {}])
def test_a_missing_position_gives_a_layout_of_our_own(broken: Any) -> None:
    nodes = [start("x"), template("a", "x"), template("b", "x"), end(o="a.output")]
    for item in nodes[1:]:
        item["position"] = {"x": 0, "y": 0}
    nodes[0]["position"] = broken
    spec = app(nodes, edges("start>a", "start>b", "a>end", "b>end"))
    spots = {spot.node.id: spot for spot in layout.place(spec.graph)}
    assert spots["start"].x < spots["a"].x == spots["b"].x < spots["end"].x
    assert abs(spots["a"].y - spots["b"].y) >= spots["a"].height


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_our_own_layout_never_overlaps(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{i}" for i in range(chance.randint(1, 20))]
    ways = {f"{chance.choice(names)}>{chance.choice(names)}" for _ in range(chance.randint(0, 40))}
    spots = layout.place(app([template(n, "x") for n in names], edges(*sorted(ways))).graph)
    for i, a in enumerate(spots):
        for b in spots[:i]:
            apart_x = a.x >= b.x + b.width or b.x >= a.x + a.width
            apart_y = a.y >= b.y + b.height or b.y >= a.y + a.height
            assert apart_x or apart_y


def test_a_container_holds_its_children() -> None:
    nodes = [
        start("items"),
        node("each", "iteration"),
        node("in", "iteration-start", parent="each"),
        template("t", "x") | {"parentId": "each"},
    ]
    outer = layout.place(app(nodes, edges("start>each", "in>t")).graph)
    box = next(spot for spot in outer if spot.node.id == "each")
    assert {spot.node.id for spot in box.inside} == {"in", "t"}
    for spot in box.inside:
        assert box.x < spot.x
        assert box.y < spot.y
        assert spot.x + spot.width < box.x + box.width
        assert spot.y + spot.height < box.y + box.height


def test_edges_leave_at_the_handle_of_their_case() -> None:
    spec = branching()
    which = next(s for s in layout.place(spec.graph) if s.node.id == "which")
    heights = [which.way_out(handle)[1] for handle in ("true", "c2", "false")]
    assert heights == sorted(set(heights))
    assert all(which.y < height < which.y + which.height for height in heights)
    picture = svg.draw(spec)
    for name in ("if name contains a", "else if", "else"):
        assert f">{name}</text>" in picture


def test_verdicts_are_badges_with_words() -> None:
    spec = branching()
    reports = [
        NodeReport("A", "template-transform", "A", "needs-you",
                   problems=[{"severity": "error", "message": "<b>broken</b>", "next": "mend"}]),
        NodeReport("B", "template-transform", "B", "substitute", reachable=False),
    ]  # fmt: skip
    picture = svg.draw(spec, Report("x.yml", "needs-you", nodes=reports))
    assert picture.count('class="bad"') == 1
    assert picture.count('class="other"') == 1
    assert "&lt;b&gt;broken&lt;/b&gt;\nmend" in picture
    assert 'class="node off"' in picture


EVIL = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "]]><foreignObject/>",
    "</title></style><script>x</script>",
    "&#60;script&#62;",
    "\x00\x0b\x1b[2J",
    "javascript:alert(1)",
    "' onmouseover='x",
]


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_words_stay_words(evil: str) -> None:
    nodes = [
        node(evil or "e", "llm", title=evil, desc=evil, model={"provider": evil, "name": evil}),
        node("c", evil, title=evil),
        node("q", "question-classifier", classes=[{"id": evil, "name": evil}], model={}),
    ]
    note = {"id": "n", "type": "custom-note", "position": {"x": 0, "y": 0},
            "data": {"text": json.dumps({"root": {"children": [{"text": evil}]}}),
                     "theme": evil}}  # fmt: skip
    spec = app(nodes, [{"id": "e", "source": "q", "target": "c", "sourceHandle": evil}])
    spec.graph.notes.append(note)
    spec.name = evil + "\ud800\ufffe"
    root = ElementTree.fromstring(svg.draw(spec))
    allowed = {"svg", "title", "style", "g", "rect", "path", "circle", "text"}
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in allowed
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name
            assert "script" not in value
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", svg.draw(spec))


def test_notes_in_their_own_words() -> None:
    rich = {"root": {"children": [
        {"type": "paragraph", "children": [{"text": "Hello "}, {"text": "note"}]},
        {"type": "list", "children": [{"type": "listitem", "children": [{"text": "one"}]},
                                      {"type": "listitem", "children": [{"text": "two"}]}]},
    ]}}  # fmt: skip
    assert words.note({"data": {"text": json.dumps(rich)}}) == "Hello note\none\ntwo"
    assert words.note({"data": {"text": "plain"}}) == "plain"
    assert words.note({"data": None}) == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cases", "classes", "model", "id", "name", "position", "x", "y", "width",
                 "variables", "conditions", "variable_selector", "text", "root", "children"]
            ),
            inner,
            max_size=4,
        ),
        max_leaves=12,
    ),
    st.sampled_from(["if-else", "llm", "question-classifier", "start", "loop", "human-input"]),
)  # fmt: skip
@settings(max_examples=150)
def test_data_of_any_shape_can_be_drawn(data: Any, type: str) -> None:
    spec = branching()
    spec.graph.nodes[1].raw = {"data": data, "position": data}
    spec.graph.nodes[1].type = type
    spec.graph.notes.append({"data": data, "position": data, "width": data})
    ElementTree.fromstring(svg.draw(spec))
    drawn(spec)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_the_corpus_can_be_drawn() -> None:
    from millstream.base import BadInput
    from millstream.dsl import read_file
    from millstream.nodes import REGISTRY

    count = 0
    for file in sorted(CORPUS.glob("*.yml")):
        try:
            spec = read_file(file, REGISTRY)
        except BadInput:
            continue
        if spec.graph.nodes:
            picture = svg.draw(spec)
            assert len(cards(picture)) == len({node.id for node in spec.graph.nodes})
            assert max(map(len, drawn(spec).splitlines())) < 300
            count += 1
    assert count > 80


def test_into_a_file(millstream: Run, hello: str, tmp_path: Path) -> None:
    done = millstream("show", hello, "-o", "hello.svg")
    assert (done.returncode, done.stdout) == (0, "")
    ElementTree.fromstring((tmp_path / "hello.svg").read_text())
    assert millstream("show", hello, "--svg").stdout == (tmp_path / "hello.svg").read_text()
    assert millstream("show", hello, "--svg", "again.svg").returncode == 0
    assert (tmp_path / "again.svg").read_text() == (tmp_path / "hello.svg").read_text()


def test_a_second_app_is_not_drawn_over(millstream: Run, hello: str, tmp_path: Path) -> None:
    (tmp_path / "second.yml").write_text((tmp_path / hello).read_text())
    before = (tmp_path / "second.yml").read_text()
    done = millstream("show", hello, "second.yml")
    assert done.returncode == 2
    assert "'second.yml' is one argument too many" in done.stderr
    assert (tmp_path / "second.yml").read_text() == before


def test_an_app_without_a_drawing(millstream: Run, tmp_path: Path) -> None:
    (tmp_path / "chat.yml").write_text("app: {mode: chat, name: x}\nmodel_config: {}\n")
    done = millstream("show", "chat.yml", "--no-check")
    assert done.returncode == 0
    assert "an app of the mode chat has no drawing" in done.stderr


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
@pytest.mark.slow
def test_a_browser_opens_it(millstream: Run, write: Write, tmp_path: Path) -> None:
    """The picture as a page: it parses, its style holds, nothing of it runs."""
    evil = node("e", "llm", title="<script>document.title='owned'</script>", model={})
    write("a.yml", [start("x"), evil, end(o="e.text")], edges("start>e", "e>end"))
    assert millstream("show", "a.yml", "-o", "a.svg").returncode == 0
    dom = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         (tmp_path / "a.svg").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    ).stdout  # fmt: skip
    assert "<parsererror" not in dom
    assert "&lt;script&gt;" in dom
    assert "owned</title>" not in dom.replace("owned'&lt;", "")
