"""Reading: every shape that the format has had, and what hands and other tools make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream.base import redact
from millstream.dsl import App, read_file, read_text
from millstream.nodes import REGISTRY

APPS = Path(__file__).parent.parent / "fixtures" / "apps"


def fixture(name: str) -> App:
    return read_file(APPS / name, REGISTRY)


def read(data: Any, file: str = "app.yml") -> App:
    text = data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False)
    return read_text(text, file, REGISTRY)


def problems(app: App) -> list[str]:
    return [f"{problem.place}: {problem.message}" for problem in app.problems]


def data(app: App, id: str) -> Any:
    node = app.graph.node(id)
    assert node is not None
    assert node.data is not None
    return node.data


def graph(*nodes: Any, edges: Any = ()) -> dict[str, Any]:
    return {"app": {}, "workflow": {"graph": {"nodes": list(nodes), "edges": list(edges)}}}


@pytest.mark.parametrize("path", sorted(APPS.iterdir()), ids=lambda path: path.name)
def test_every_fixture_is_read_without_a_problem(path: Path) -> None:
    app = read_file(path, REGISTRY)
    assert problems(app) == []
    assert all(node.data is not None for node in app.graph.nodes)


def test_an_export_is_read_into_the_typed_app() -> None:
    app = fixture("letter.yml")
    assert (app.name, app.mode, app.version) == ("Letter writer", "workflow", "0.3.0")
    assert app.description.startswith("写信助手")
    assert [node.type for node in app.graph.nodes] == [
        "start",
        "if-else",
        "llm",
        "template-transform",
        "variable-aggregator",
        "code",
        "end",
    ]
    assert [note["data"]["theme"] for note in app.graph.notes] == ["blue"]
    assert [(edge.source[-1], edge.handle, edge.target[-1]) for edge in app.graph.edges] == [
        ("1", "source", "2"),
        ("2", "true", "3"),
        ("2", "false", "4"),
        ("3", "source", "5"),
        ("4", "source", "5"),
        ("5", "source", "6"),
        ("6", "source", "7"),
    ]
    assert data(app, "1700000000003").model.name == "gpt-4o-mini"


def test_nodes_edges_and_fields_know_their_lines() -> None:
    app = fixture("by-hand.yml")
    lines = (APPS / "by-hand.yml").read_text().split("\n")
    for node in app.graph.nodes:
        assert node.place.line is not None
        assert f"id: {node.id}" in lines[node.place.line - 1]
    code = app.graph.node("5")
    assert code is not None
    line = app.lines.line(*code.path, "data", "code")
    assert line is not None
    assert lines[line - 1].strip() == "code: |"
    assert (
        app.graph.edges[1].place.line
        == lines.index("      - {source: 2, target: 3, sourceHandle: true}") + 1
    )


def test_a_file_written_by_hand() -> None:
    app = fixture("by-hand.yml")
    assert (app.mode, app.version, app.name) == ("workflow", "0.1.0", "By hand")
    assert app.graph.nodes[0].title == "2024"
    assert [edge.handle for edge in app.graph.edges] == [
        "source",
        "true",
        "false",
        "source",  # success-branch is another name of it
        "source",
        "source",
    ]
    assert app.graph.edges[1].id == "2-true-3"
    assert data(app, "1").variables[0].max_length == 48
    assert data(app, "2").cases[0].case_id in (True, "true")
    assert data(app, "2").cases[0].conditions[0].variable_selector == ["1", "n"]
    assert app.graph.nodes[2].type == "template-transform"  # said outside of `data`
    assert data(app, "5").retry_config.max_retries == 2
    assert data(app, "5").retry_config.retry_interval == 0


def test_the_first_versions() -> None:
    app = fixture("oldest.yml")
    assert app.version == "0.1.0"
    assert [node.parent for node in app.graph.nodes] == [None, None, None, "3", "3", None, None]
    assert app.graph.nodes[5].type == "variable-aggregator"
    assert app.graph.nodes[5].raw["data"]["type"] == "variable-assigner"


def test_containers_inside_of_containers() -> None:
    app = fixture("chapters.yml")
    assert {node.id: node.parent for node in app.graph.nodes} == {
        "begin": None,
        "split": None,
        "each": None,
        "eachstart": "each",
        "polish": "each",
        "polishstart": "polish",
        "add": "polish",
        "stop": "polish",
        "done": None,
    }


def test_the_container_is_found_in_whatever_way_it_is_named() -> None:
    def loop(id: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "data": {"type": "loop", **more}}

    app = read(
        graph(
            {"id": "it", "data": {"type": "iteration"}},
            loop("in", iteration_id="it"),
            loop("out"),
            {"id": "it2", "parentId": "out", "data": {"type": "iteration"}},
            {"id": "a", "data": {"type": "code", "iteration_id": "it", "loop_id": "in"}},
            {"id": "b", "data": {"type": "code", "iteration_id": "it2", "loop_id": "out"}},
            {"id": "c", "parentId": "it", "data": {"type": "code", "container_id": "out"}},
            {"id": "d", "parentId": "", "data": {"type": "code", "loop_id": None}},
        )
    )
    found = {node.id: node.parent for node in app.graph.nodes}
    assert [found[id] for id in ("in", "it2", "a", "b", "c", "d")] == [
        "it",
        "out",
        "in",  # the inner one of the two
        "it2",
        "out",
        None,
    ]


def test_a_container_that_cannot_hold_a_node_lets_it_go_with_a_warning() -> None:
    app = read(
        graph(
            {"id": "a", "parentId": "gone", "data": {"type": "code"}},
            {"id": "b", "parentId": "a", "data": {"type": "code"}},
            {"id": "c", "parentId": "d", "data": {"type": "loop"}},
            {"id": "d", "parentId": "c", "data": {"type": "loop"}},
        )
    )
    assert [node.parent for node in app.graph.nodes] == [None, None, None, None]
    assert [problem.code for problem in app.problems] == [
        "dsl.no-such-container",
        "dsl.no-such-container",
        "dsl.container-loop",
        "dsl.container-loop",
    ]
    assert app.errors == []


def test_nodes_of_one_id_do_not_make_a_container_hold_itself() -> None:
    app = read(
        graph(
            {"id": "a", "data": {"type": "loop"}},
            {"id": "b", "parentId": "a", "data": {"type": "loop"}},
            {"id": "a", "parentId": "b", "data": {"type": "loop"}},
            {"id": "a", "parentId": "a", "data": {"type": "loop"}},
        )
    )
    assert [node.parent for node in app.graph.nodes] == [None, "a", None, None]


def test_containers_nested_without_end_are_an_error() -> None:
    nodes = [{"id": "0", "data": {"type": "loop"}}]
    nodes += [
        {"id": str(i), "parentId": str(i - 1), "data": {"type": "loop"}} for i in range(1, 5000)
    ]
    app = read(graph(*nodes))
    assert "dsl.containers-too-deep" in {problem.code for problem in app.errors}
    depth = {"0": 1}
    for node in app.graph.nodes[1:]:
        depth[node.id] = depth[node.parent] + 1 if node.parent else 1
    assert max(depth.values()) <= 51


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("nodes: [{id: a, data: {type: start}}]", ("nodes", 0)),
        ("graph: {nodes: [{id: a, data: {type: start}}]}", ("graph", "nodes", 0)),
        ("graph_config: {nodes: [{id: a, data: {type: start}}]}", ("graph_config", "nodes", 0)),
        (
            "kind: graph\nworkflow: {graph: {nodes: [{id: a, data: {type: start}}]}}",
            ("workflow", "graph", "nodes", 0),
        ),
    ],
)
def test_a_bare_graph_is_an_app_too(text: str, path: tuple[str | int, ...]) -> None:
    app = read(text, "folder/some graph.yml")
    assert problems(app) == []
    assert (app.name, app.mode) == ("some graph", "workflow")
    assert app.graph.nodes[0].path == path


def test_a_bare_graph_in_json() -> None:
    app = fixture("graph-only.json")
    assert app.mode == "advanced-chat"  # it answers
    assert app.graph.nodes[0].title == "Start 🚀"
    assert data(app, "b").answer == "1e5/"
    assert app.raw["scale"] == 100000.0
    assert app.graph.nodes[1].place.line == 4


def test_envelopes_are_opened() -> None:
    inner = (APPS / "letter.yml").read_text()
    plain = fixture("letter.yml")
    for wrapped in (
        json.dumps({"data": inner}),
        yaml.safe_dump({"data": inner}),
        json.dumps({"mode": "yaml-content", "yaml_content": inner}),
        json.dumps({"data": yaml.safe_dump({"data": inner})}),
    ):
        app = read(wrapped, "export.json")
        assert app.raw == plain.raw
        assert app.file == "export.json"
    assert app.graph.nodes[0].place.line == plain.graph.nodes[0].place.line
    assert app.graph.nodes[0].place.file == "export.json#data#data"


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        ("app: {mode: chat}\nmodel_config: {}", "chat"),
        ("app: {mode: agent-chat}\nmodel_config: {agent_mode: {enabled: true}}", "agent-chat"),
        ("app: {mode: completion}\nmodel_config: {}", "completion"),
        ("app: {mode: agent}\nagent: {package_ref: x}", "agent"),
        ("model_config: {pre_prompt: hi}", "chat"),
        ("model_config: {agent_mode: {enabled: true}}", "agent-chat"),
        ("model_config: {model: {mode: completion}}", "completion"),
        ("agent: {package_ref: x}", "agent"),
        ("kind: rag_pipeline\nworkflow: {graph: {nodes: []}}", "rag-pipeline"),
        ("rag_pipeline: {name: x}\nworkflow: {graph: {nodes: []}}", "rag-pipeline"),
    ],
)
def test_modes_with_and_without_a_graph(source: str, mode: str) -> None:
    app = read(source)
    assert app.mode == mode
    assert app.graph.nodes == []
    assert problems(app) == []
    assert app.raw == yaml.safe_load(source)


def test_an_unknown_mode_is_taken_by_the_shape_of_the_file() -> None:
    app = read("app: {mode: channel}\ngraph: {nodes: [{id: a, data: {type: answer}}]}")
    assert app.mode == "advanced-chat"
    assert problems(app) == [
        "app.yml:1, app.mode: the mode 'channel' is not known; the file is taken as advanced-chat"
    ]


def test_a_workflow_without_a_graph_is_an_error_but_is_read() -> None:
    app = read("app: {name: x, mode: workflow}")
    assert problems(app) == [
        "app.yml:1: an app of mode workflow needs a `workflow` with a `graph`; there is none"
    ]
    assert app.errors


def test_repeated_keys_are_a_warning() -> None:
    app = read("app: {}\nworkflow:\n  graph: {nodes: []}\napp:\n  name: second\n")
    assert app.name == "second"
    assert problems(app) == [
        "app.yml:4, app: the key 'app' is already in line 1; the later one counts"
    ]
    assert app.errors == []


def test_a_node_type_that_nobody_knows() -> None:
    app = read(graph({"id": 7, "data": {"type": "teleport", "title": "Beam"}}))
    assert app.graph.nodes[0].data is None
    assert problems(app) == ["app.yml:5, node 'Beam' (7): the node type 'teleport' is not known"]
    assert app.errors[0].code == "dsl.unknown-node-type"


def test_node_data_that_does_not_fit_names_field_and_line() -> None:
    app = read(
        """
app: {mode: workflow}
workflow:
  graph:
    nodes:
      - id: a
        data:
          type: if-else
          title: Which?
          error_strategy: give-up
          cases:
            - case_id: x
              conditions: none at all
"""
    )
    assert app.graph.nodes[0].data is None
    assert problems(app) == [
        "app.yml:10, node 'Which?' (a), error_strategy: the value does not fit: wanted is "
        "'default-value' / 'fail-branch' / 'none', given is string",
        "app.yml:13, node 'Which?' (a), cases.0.conditions: the value does not fit: wanted is "
        "list, given is string",
    ]


def test_broken_nodes_and_edges_are_reported_and_the_rest_is_read() -> None:
    app = read(
        graph(
            "a text",
            {"data": {"type": "start"}},
            {"id": "n", "data": None},
            {"id": "ok", "data": {"type": "start"}},
            edges=[["x"], {"source": "ok"}, {"source": "ok", "target": "n", "sourceHandle": None}],
        )
    )
    assert [node.id for node in app.graph.nodes] == ["n", "ok"]
    assert [(edge.source, edge.target, edge.handle) for edge in app.graph.edges] == [
        ("ok", "n", "source")
    ]
    assert [problem.code for problem in app.problems] == [
        "dsl.item",
        "dsl.node-without-id",
        "dsl.node-without-type",
        "dsl.item",
        "dsl.edge-without-end",
    ]
    app = read({"app": {}, "graph": {"nodes": {"a": 1}, "edges": None}})
    assert problems(app) == ["app.yml:3, graph.nodes: `nodes` must be a list; here it is a mapping"]


def test_variables_are_typed_and_secrets_do_not_show() -> None:
    app = fixture("letter.yml")
    assert [(v.name, v.value_type, v.value) for v in app.environment] == [
        ("API_KEY", "secret", "sk-not-a-real-key-000"),
        ("MAX_LINES", "number", 40),
    ]
    shown = f"{app} {app!r} {app.environment} {app.graph!r} {app.graph.nodes!r}"
    assert "sk-not" not in shown
    assert "sk-not" not in redact("the server says: no such key: sk-not-a-real-key-000")


@pytest.mark.parametrize(
    ("declared", "value", "typed"),
    [
        ("number", "3", 3),
        ("number", "1.5", 1.5),
        ("number", "", None),
        ("string", 5, "5"),
        ("string", True, "true"),
        ("boolean", "true", True),
        ("object", '{"a": 1}', {"a": 1}),
        ("array[string]", "[]", []),
        ("array[string]", '["a"]', ["a"]),
        ("array[object]", [{"a": 1}], [{"a": 1}]),
        ("Array[String]", ["a"], ["a"]),
        (None, 5, 5),
        ("string", None, None),
    ],
)
def test_a_variable_has_the_value_that_its_type_says(declared: Any, value: Any, typed: Any) -> None:
    variable = {"name": "v", "value_type": declared, "value": value}
    app = read({"app": {}, "workflow": {"graph": {}, "conversation_variables": [variable]}})
    assert problems(app) == []
    assert app.conversation[0].value == typed


def test_a_secret_under_another_key_is_one_too() -> None:
    variable = {"name": "TOKEN", "type": "Secret", "value": "sk-not-a-real-key-001"}
    app = read({"app": {}, "workflow": {"graph": {}, "environment_variables": [variable]}})
    assert app.environment[0].value_type == "secret"
    assert "sk-not" not in redact("refused: sk-not-a-real-key-001")


def test_a_variable_that_does_not_fit_its_type() -> None:
    app = read(
        "app: {}\nworkflow:\n  graph: {nodes: []}\n  environment_variables:\n"
        "  - name: LIMIT\n    value_type: number\n    value: many\n  - value: 1\n"
        "  - {name: L, value_type: 'array[string]', value: '" + "[" * 5000 + "'}\n"
    )
    assert problems(app) == [
        "app.yml:7, workflow.environment_variables.0.value: the value of the variable 'LIMIT' "
        "does not fit: wanted is number, given is string",
        "app.yml:8, workflow.environment_variables.1: a variable has no name",
        "app.yml:9, workflow.environment_variables.2.value: the value of the variable 'L' does "
        "not fit: wanted is array[string], given is string",
    ]
