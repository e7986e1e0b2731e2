"""Code results, aggregators, extractors, tools, answers, templates and ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import millstream
from canned import CannedModels, CannedTools, TrustingSandbox, app, edges, end, node, ports
from millstream.base import Failed
from millstream.engine import Limits, Usage
from millstream.engine.events import encode
from millstream.engine.limits import DIFY, NONE
from millstream.engine.ports import (
    CodeResult,
    ModelChunk,
    ModelEnd,
    ToolParameter,
    ToolRef,
    ToolResult,
)
from millstream.nodes.code import CodeOutput, check_result, imports
from millstream.values import File


def run(nodes: list[Any], ways: list[Any], /, *, mode: str = "workflow", **more: Any) -> Any:
    port = more.pop("ports", None) or ports()
    return millstream.App(app(nodes, ways, mode), ports=port).run(**more)


def start(**types: str) -> dict[str, Any]:
    found = [{"variable": k, "type": v, "label": k} for k, v in types.items()]
    return node("start", "start", variables=found)


# ---------------------------------------------------------------------------------------- code


def declared(**types: str) -> dict[str, CodeOutput]:
    return {name: CodeOutput(type=type) for name, type in types.items()}


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("string", "a\x00b", "ab"),
        ("string", None, None),
        ("number", True, 1),
        ("number", 1.5, 1.5),
        ("boolean", "anything", "anything"),
        ("object", {"k": [1]}, {"k": [1]}),
        ("array[string]", ["a", None], ["a", None]),
        ("array[number]", [1, 2.5], [1, 2.5]),
        ("array[object]", [{}, None], [{}, None]),
        ("array[boolean]", [True], [True]),
    ],
)
def test_what_code_may_return(type: str, value: Any, expected: Any) -> None:
    assert check_result({"x": value}, declared(x=type), NONE) == {"x": expected}


@pytest.mark.parametrize(
    ("value", "outputs", "message"),
    [
        ([1], {}, "the code returned array[number]; it must return an object"),
        ({}, {"x": "string"}, "did not return the declared output x"),
        ({"x": "", "y": 1}, {"x": "string"}, "returned y, which the node does not declare"),
        ({"x": 1}, {"x": "string"}, "the output x is declared as string but is number"),
        ({"x": [None]}, {"x": "array[number]"}, "x[0] is declared as number but is none"),
        ({"x": [1, "a"]}, {"x": "array[number]"}, "x[1] is declared as number but is string"),
        ({"x": {}}, {"x": "array[object]"}, "x is declared as array[object] but is object"),
        ({"x": "1"}, {"x": "number"}, "x is declared as number but is string"),
    ],
)
def test_what_it_may_not(value: Any, outputs: dict[str, str], message: str) -> None:
    with pytest.raises(Failed) as caught:
        check_result(value, declared(**outputs), NONE)
    assert message in caught.value.message
    extra = "does not declare" in message  # which the engine of Dify has another name for
    assert caught.value.type == ("CodeNodeError" if extra else "OutputValidationError")


def test_children_of_an_object_are_checked() -> None:
    outputs = {"x": CodeOutput(type="object", children=declared(n="number"))}
    assert check_result({"x": {"n": True}}, outputs, NONE) == {"x": {"n": 1}}
    with pytest.raises(Failed, match=r"returned x\.more, which the node does not declare"):
        check_result({"x": {"n": 1, "more": 2}}, outputs, NONE)
    with pytest.raises(Failed, match=r"x\.n is declared as number"):
        check_result({"x": {"n": "a"}}, outputs, NONE)


def test_sizes_are_free_unless_a_profile_limits_them() -> None:
    many = {"x": ["s"] * 31}
    assert check_result(many, declared(x="array[string]"), NONE) == many
    with pytest.raises(Failed) as caught:
        check_result(many, declared(x="array[string]"), DIFY)
    assert "limits.code_string_array" in caught.value.next_step
    deep: Any = {}
    for _ in range(6):
        deep = {"k": deep}
    with pytest.raises(Failed, match="deeper than 5 levels"):
        check_result({"x": deep}, declared(x="object"), DIFY)


def test_objects_in_lists_have_children_too() -> None:
    rows = {"x": CodeOutput(type="array[object]", children=declared(n="number"))}
    assert check_result({"x": [{"n": 1}, None]}, rows, NONE) == {"x": [{"n": 1}, None]}
    with pytest.raises(Failed, match=r"x\[1\]\.n is declared as number but is string"):
        check_result({"x": [{"n": 1}, {"n": "a"}]}, rows, NONE)
    with pytest.raises(Failed, match=r"did not return the declared output x\[0\]\.n"):
        check_result({"x": [{}]}, rows, NONE)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"a": {"b": {"c": {"d": 1}}}}, False),
        ({"a": {"b": {"c": 1}}}, True),
        ({"a": [{"b": [{"c": [1, "x"]}]}]}, True),
        ({"a": [[[1]]]}, True),
        ({"a": [[[[1]]]]}, False),
        ({}, True),
    ],
)
def test_depth_counts_objects_in_objects(value: Any, fits: bool) -> None:
    limits = Limits(code_depth=4)
    error = "none"
    try:
        check_result({"x": value}, declared(x="object"), limits)
    except Failed as failed:
        error = failed.type
    assert error == ("none" if fits else "DepthLimitError")


def test_code_gets_null_for_what_is_missing_and_mappings_for_files() -> None:
    source = (
        "def main(gone, file, files, none, kept):\n"
        "    return {'r': [gone, file['name'], files[0]['extension'], none, kept]}"
    )
    variables = [
        {"variable": "gone", "value_selector": ["nobody", "x"]},
        {"variable": "file", "value_selector": ["start", "f"]},
        {"variable": "files", "value_selector": ["start", "fs"], "value_type": "array[file]"},
        {"variable": "none", "value_selector": ["sys", "files"], "value_type": "array[file]"},
        {"variable": "kept", "value_selector": ["sys", "files"]},
        {"variable": "", "value_selector": []},
    ]
    outputs = {"r": {"type": "array[any]"}}
    nodes = [
        start(f="file", fs="file-list"),
        node("c", "code", code=source, variables=variables, outputs=outputs),
        end(r="c.r"),
    ]
    file = {"type": "image", "transfer_method": "local_file", "name": "a.png", "extension": ".png"}
    result = run(nodes, edges("start>c", "c>end"), f=file, fs=[file])
    assert result.outputs == {"r": [None, "a.png", ".png", None, []]}


def test_files_are_known_by_their_marker_in_json() -> None:
    nodes = [start(f="file"), end(f="start.f", name="start.f.name", gone="start.f.nothing")]
    file = {"type": "image", "transfer_method": "local_file", "name": "a.png"}
    result = run(nodes, edges("start>end"), f=file)
    written = json.loads(encode(result))["outputs"]
    marked = {"dify_model_identity": "__dify__file__", **file}
    assert written == {"f": marked, "name": "a.png", "gone": None}
    assert File.from_dict(written["f"]) == result.outputs["f"]


# --------------------------------------------------------------------------------- aggregators


def test_the_first_that_exists_even_if_empty() -> None:
    nodes = [
        start(a="paragraph"),
        node(
            "agg", "variable-aggregator", variables=[["gone", "x"], ["start", "a"], ["start", "b"]]
        ),
        end(out="agg.output"),
    ]
    assert run(nodes, edges("start>agg", "agg>end"), a="").outputs == {"out": ""}


def test_groups_have_an_output_each() -> None:
    groups = [
        {"group_name": "one", "variables": [["start", "a"]]},
        {"group_name": "two", "variables": [["gone", "a"]]},
    ]
    nodes = [
        start(a="paragraph"),
        node(
            "agg",
            "variable-assigner",  # the older name
            variables=[],
            advanced_settings={"group_enabled": True, "groups": groups},
        ),
        end(one="agg.one.output", two="agg.two.output"),
    ]
    assert run(nodes, edges("start>agg", "agg>end"), a="v").outputs == {"one": "v", "two": None}


def test_nothing_that_exists_gives_no_output_at_all() -> None:
    nodes = [
        start(a="number"),
        node("agg", "variable-aggregator", variables=[["gone", "x"], [], ["start"]]),
        node("off", "variable-aggregator", variables=[["start", "a"]], advanced_settings={
            "group_enabled": False, "groups": [{"group_name": "g", "variables": []}],
        }),
        end(agg="agg.output", off="off.output"),
    ]  # fmt: skip
    result = run(nodes, edges("start>agg", "agg>off", "off>end"), a=" ")
    assert result.nodes[1].outputs == {}
    assert result.outputs == {"agg": None, "off": None}
    assert result.nodes[2].outputs == {"output": None}  # null exists


# --------------------------------------------------------------------------------- extractors


def extractor(**data: Any) -> list[Any]:
    parameters = [
        {"name": "city", "type": "string", "required": True, "description": "where"},
        {"name": "count", "type": "number", "required": False, "description": ""},
        {"name": "kind", "type": "select", "options": ["a", "b"], "required": True},
    ]
    data = {
        "query": ["start", "text"],
        "parameters": parameters,
        "instruction": "Be exact.",
        **data,
    }
    model = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {"stop": ["x"]}}
    return [
        start(text="paragraph"),
        node("ext", "parameter-extractor", model=model, reasoning_mode="prompt", **data),
        end(
            city="ext.city",
            count="ext.count",
            kind="ext.kind",
            ok="ext.__is_success",
            why="ext.__reason",
        ),
    ]


WAYS = edges("start>ext", "ext>end")


def test_values_are_found_under_a_schema() -> None:
    models = CannedModels({"Berlin": '{"city": "Berlin", "count": 2, "kind": "b"}'})
    result = run(extractor(), WAYS, text="2 in Berlin", ports=ports(models))
    assert result.outputs == {"city": "Berlin", "count": 2, "kind": "b", "ok": 1, "why": None}
    request = models.requests[0]
    assert request.schema["required"] == ["city", "kind"]
    assert request.schema["properties"]["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert "Be exact." in request.messages[0].text
    assert request.messages[1].text == "2 in Berlin"


def test_an_unreadable_answer_is_no_failure_but_a_failing_call_is() -> None:
    models = CannedModels({".": Failed("models.not-the-schema", model="m", path="$", problem="x")})
    result = run(extractor(), WAYS, text="t", ports=ports(models))
    assert result.status == "succeeded"
    assert result.outputs["ok"] == 0
    assert result.outputs["city"] == ""
    assert result.outputs["count"] == 0
    assert result.outputs["why"]
    models = CannedModels({".": Failed("base.unexpected", problem="down")})
    assert run(extractor(), WAYS, text="t", ports=ports(models)).status == "failed"


@pytest.mark.parametrize(
    ("type", "empty", "schema"),
    [
        ("string", "", {"type": "string"}),
        ("select", "", {"type": "string"}),
        ("number", 0, {"type": "number"}),
        ("bool", False, {"type": "boolean"}),
        ("boolean", False, {"type": "boolean"}),
        ("array[string]", [], {"type": "array", "items": {"type": "string"}}),
        ("array[number]", [], {"type": "array", "items": {"type": "number"}}),
        ("array[object]", [], {"type": "array", "items": {"type": "object"}}),
        ("array[boolean]", [], {"type": "array", "items": {"type": "boolean"}}),
    ],
)
def test_each_type_has_its_empty_value_and_its_schema(type: str, empty: Any, schema: Any) -> None:
    models = CannedModels({".": "{}"})
    nodes = extractor(parameters=[{"name": "p", "type": type, "description": ""}])
    nodes[-1] = end(p="ext.p", ok="ext.__is_success")
    result = run(nodes, WAYS, text="t", ports=ports(models))
    assert result.outputs == {"p": empty, "ok": 1}
    assert models.requests[0].schema["properties"] == {"p": schema}


def test_json_and_braces_in_the_text_reach_the_model_as_they_are() -> None:
    text = '{"a": {{#start.text#}}, "b": "{{ jinja }}", "c": "%s {0}"}'
    models = CannedModels()
    run(extractor(instruction="Like {{#start.text#}}"), WAYS, text=text, ports=ports(models))
    system, user = models.requests[0].messages
    assert user.text == text
    assert system.text.endswith(f"Like {text}")


def test_a_query_that_is_missing_is_an_empty_text() -> None:
    models = CannedModels()
    result = run(extractor(query=["gone", "x"]), WAYS, text="t", ports=ports(models))
    assert result.status == "succeeded"
    assert models.requests[0].messages[1].text == ""


def test_a_parameter_cannot_take_a_reserved_name() -> None:
    nodes = extractor(parameters=[{"name": "__reason", "type": "string"}])
    with pytest.raises(millstream.BadInput, match="cannot be named '__reason'"):
        run(nodes, WAYS, text="t")


# -------------------------------------------------------------------------------------- tools


class Strict(CannedTools):
    def parameters(self, tool: ToolRef) -> Any:
        return [
            ToolParameter("content", required=True),
            ToolParameter("dest", default="en"),
        ]


def test_parameters_of_all_three_kinds() -> None:
    tools = Strict("done")
    nodes = [
        start(x="paragraph"),
        node(
            "t",
            "tool",
            provider_id="langgenius/p/p",
            provider_type="builtin",
            tool_name="n",
            tool_configurations={"flag": 1, "none": None, "new": {"type": "constant", "value": 3}},
            tool_parameters={
                "content": {"type": "mixed", "value": "say {{#start.x#}}"},
                "v": {"type": "variable", "value": ["start", "x"]},
                "gone": {"type": "variable", "value": ["no", "x"]},
                "skip": None,
            },
        ),
        end(text="t.text", json="t.json"),
    ]
    result = run(nodes, edges("start>t", "t>end"), x="hi", ports=ports(tools=tools))
    assert result.outputs == {"text": "done", "json": [{"data": []}]}
    ref, values = tools.calls[0]
    assert ref == ToolRef("builtin", "langgenius/p/p", "n")
    assert values == {"flag": 1, "new": 3, "content": "say hi", "v": "hi", "dest": "en"}


def test_a_required_parameter_that_is_missing() -> None:
    nodes = [
        start(),
        node("t", "tool", provider_id="p", tool_name="n", tool_parameters={}),
    ]
    result = run(nodes, edges("start>t"), ports=ports(tools=Strict()))
    assert result.error["message"] == "the tool p/n needs the parameter 'content'"


@pytest.mark.parametrize("given", [None, "text", {"text": "t"}, 3])
def test_a_tool_that_gives_no_result_is_told_by_name(given: Any) -> None:
    class Odd(CannedTools):
        async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> Any:
            return given

    nodes = [start(), node("t", "tool", provider_id="p", tool_name="n", tool_parameters={})]
    result = run(nodes, edges("start>t"), ports=ports(tools=Odd()))
    assert result.error["message"] == "the tool p/n gave something that is no result"
    assert result.error["place"]["node"] == "t"


def test_a_tool_may_fail_and_be_tried_again() -> None:
    class Flaky(CannedTools):
        async def invoke(self, tool: ToolRef, parameters: dict[str, Any]) -> Any:
            self.calls.append((tool, parameters))
            if len(self.calls) < 3:
                raise Failed("base.unexpected", problem="busy", error_type="ToolNodeError")
            return ToolResult("third time", variables={"text": "no", "extra": [1]})

    retry = {"retry_enabled": True, "max_retries": 2, "retry_interval": 0}
    nodes = [
        start(),
        node("t", "tool", provider_id="p", tool_name="n", retry_config=retry),
        end(text="t.text", extra="t.extra"),
    ]
    tools = Flaky()
    result = run(nodes, edges("start>t", "t>end"), ports=ports(tools=tools))
    assert result.outputs == {"text": "third time", "extra": [1]}
    assert result.status == "partial-succeeded"
    assert len(tools.calls) == 3


# ---------------------------------------------------------------------- answers, templates, ends


def test_answers_are_joined_and_written_as_markdown() -> None:
    nodes = [
        start(l="any"),
        node("a1", "answer", answer="You said {{#sys.query#}}:\n{{#start.l#}} {{#no.x#}}"),
        node("a2", "answer", answer="Bye"),
    ]
    result = run(nodes, edges("start>a1", "a1>a2"), mode="advanced-chat", query="hi", l=["a", "b"])
    assert result.outputs["answer"] == "You said hi:\n- a\n- b no.xBye"


def test_answers_stand_in_the_order_of_the_drawing_whatever_is_ready_first() -> None:
    class Slow:
        async def generate(self, request: Any) -> Any:
            text = request.messages[0].text
            for _ in range(9 if text == "slow" else 1):
                await asyncio.sleep(0)
            yield ModelChunk(text)
            yield ModelEnd(Usage(calls=1), "stop")

    def llm(id: str, text: str) -> dict[str, Any]:
        model = {"provider": "p", "name": "m", "mode": "chat"}
        return node(id, "llm", model=model, prompt_template=[{"role": "user", "text": text}])

    nodes = [
        start(),
        llm("l1", "slow"),
        llm("l2", "fast"),
        node("a1", "answer", answer="{{#l1.text#}} "),
        node("a2", "answer", answer="{{#l2.text#}} "),
        node("a3", "answer", answer="end"),
    ]
    ways = edges("start>l1", "start>l2", "l2>a2", "l1>a1", "a2>a3", "a1>a3")
    result = run(nodes, ways, mode="advanced-chat", query="", ports=ports(Slow()))
    assert result.outputs["answer"] == "slow fast end"


def test_answers_inside_an_iteration_come_item_by_item() -> None:
    nodes = [
        start(items="any"),
        node("before", "answer", answer="<"),
        node(
            "it",
            "iteration",
            iterator_selector=["start", "items"],
            output_selector=["said", "answer"],
            start_node_id="its",
            is_parallel=True,
        ),
        node("its", "iteration-start", parent="it"),
        node("c", "code", parent="it", code="", outputs={}),
        node("said", "answer", parent="it", answer="{{#it.index#}}{{#it.item#}} "),
        node("after", "answer", answer=">"),
    ]

    class Backwards(TrustingSandbox):
        left = 5

        async def run_code(self, language: str, code: str, inputs: Any) -> CodeResult:
            self.left -= 1
            for _ in range(self.left * 3):
                await asyncio.sleep(0)
            return CodeResult({})

    ways = edges("start>before", "before>it", "its>c", "c>said", "it>after")
    more = {"mode": "advanced-chat", "query": "", "ports": ports(sandbox=Backwards())}
    result = run(nodes, ways, items=["a", "b", "c"], **more)
    assert result.outputs["answer"] == "<0a 1b 2c >"


def test_an_answer_may_name_anything() -> None:
    answer = "{{#start.o#}}|{{#start.l#}}|{{#start.f#}}|{{#start.n#}}|{{#start#}}|{{# start.o #}}"
    nodes = [start(o="any", l="any", f="file", n="any"), node("a", "answer", answer=answer)]
    given = {
        "o": {"é": [1, None]},
        "l": [1, "b", {"k": True}, None],
        "f": {"type": "image", "url": "https://x/y.png", "name": "y"},
        "n": None,
    }
    result = run(nodes, edges("start>a"), mode="advanced-chat", query="", **given)
    assert result.outputs["answer"] == (
        "{\n  \"é\": [\n    1,\n    null\n  ]\n}|- 1\n- b\n- {'k': True}\n- None|"
        "![y](https://x/y.png)||{{#start#}}|{{# start.o #}}"
    )
    assert [file.url for file in result.outputs["files"]] == ["https://x/y.png"]


def test_a_chat_app_needs_something_to_reply_to() -> None:
    with pytest.raises(millstream.BadInput, match="needs something to reply to"):
        run([start(), node("a", "answer", answer="")], edges("start>a"), mode="advanced-chat")


def test_templates_have_their_errors_with_the_line() -> None:
    def with_template(text: str) -> list[Any]:
        variables = [{"variable": "x", "value_selector": ["start", "x"]}]
        return [
            start(x="any"),
            node("t", "template-transform", template=text, variables=variables),
            end(out="t.output"),
        ]

    ways = edges("start>t", "t>end")
    assert run(with_template("{{ x }} {{ y }}"), ways, x=None).outputs == {"out": "None "}
    with pytest.raises(millstream.BadInput) as caught:
        run(with_template("a\n{% if x %}\nb"), ways, x="")
    assert caught.value.place is not None
    assert str(caught.value.place.field).startswith("template:")
    result = run(with_template("a\n{{ x.a.b.c }}"), ways, x={})
    assert result.status == "failed"
    assert result.error["place"]["node"] == "t"
    slow = "{% for a in range(2) %}{% for b in range(2) %}{{ b }}{% endfor %}{% endfor %}"
    assert run(with_template(slow), ways, x="").outputs == {"out": "0101"}
    letters = "{% for c in x %}{{ loop.length if c == 'b' }}{% endfor %}"  # so many: not here
    text = "a" * 1_000_000 + "b"
    assert run(with_template(letters), ways, x=text).outputs == {"out": "1000001"}


def test_several_ends_are_merged_and_missing_values_are_null() -> None:
    nodes = [
        start(x="paragraph"),
        node("e1", "end", outputs=[{"variable": "a", "value_selector": ["start", "x"]}]),
        node("e2", "end", outputs=[{"variable": "b", "value_selector": ["no", "x"]}]),
        node("e3", "end", outputs=[]),
    ]
    result = run(nodes, edges("start>e1", "start>e2", "start>e3"), x="v")
    assert result.outputs == {"a": "v", "b": None}


def test_code_says_which_packages_it_cannot_do_without() -> None:
    code = (
        "import json, numpy.linalg as la\n"
        "def main():\n"
        "    from pandas import DataFrame\n"
        "    try:\n"
        "        import ujson\n"
        "    except ImportError:\n"
        "        ujson = None\n"
        "    from . import x\n"
    )
    assert imports(code) == ["numpy", "pandas"]
    assert imports("not python {") == []
    assert imports("x = (" * 5000) == []
