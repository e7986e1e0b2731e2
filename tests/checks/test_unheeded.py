"""What a file switches on and this version leaves alone is said."""

from __future__ import annotations

from canned import document, edges, end, node, start
from millstream import loads
from millstream.checks import report


def test_moderation_is_not_silently_left_out() -> None:
    import json

    data = document([start("x"), end(o="start.x")], edges("start>end"))
    data["workflow"]["features"] = {"sensitive_word_avoidance": {"enabled": True}}
    found = report(loads(json.dumps(data)).plan, ())
    [problem] = found.problems
    assert problem["severity"] == "warning"
    assert problem["message"].startswith("the app switches on the avoidance of sensitive words")
    assert found.verdict == "as-is"
    data["workflow"]["features"] = {"sensitive_word_avoidance": {"enabled": False}}
    assert not report(loads(json.dumps(data)).plan, ()).problems


def test_a_file_of_very_many_nodes_is_checked_in_one_pass() -> None:
    """A comparison of each finding with every other would take minutes here."""
    import json

    count = 20_000
    lost = [node(f"n{i}", "template-transform", template="x", variables=[]) for i in range(count)]
    data = document([start("x"), end(o="start.x"), *lost], edges("start>end"))
    found = report(loads(json.dumps(data)).plan, ())
    assert len(found.nodes) == count + 2
    assert sum(len(each.problems) for each in found.nodes) == count


def test_a_reference_in_a_form_that_the_format_leaves_as_it_is() -> None:
    """Generated files have ids with hyphens; a selector reads them, a text does not."""
    import json

    dashed = node("node-1", "template-transform", template="{{#x.y#}}", variables=[])
    answer = node(
        "answer",
        "answer",
        answer="{{#node-1.output#}} {{# start.x #}} {{#sys.查询#}} {{#start.x#}} {{#context#}} "
        "{{#nowhere-1.x#}}",
    )
    dashed["data"]["code"] = "'{{#node-1.output#}}'"
    ways = edges("start>node-1", "node-1>answer")
    data = document([start("x"), dashed, answer], ways, "advanced-chat")
    found = report(loads(json.dumps(data)).plan, ())
    told = [p["message"] for each in found.nodes for p in each.problems]
    written = [message for message in told if "stays as it is written" in message]
    assert [message.partition(" stays")[0] for message in written] == [
        "{{#node-1.output#}}",
        "{{# start.x #}}",
        "{{#sys.查询#}}",
    ]


def test_every_unknown_variable_of_a_text_is_told() -> None:
    import json

    answer = node("answer", "answer", answer="{{#a.x#}} {{#b.x#}} {{#a.x#}}")
    data = document([start("x"), answer], edges("start>answer"), "advanced-chat")
    [_, found] = report(loads(json.dumps(data)).plan, ()).nodes
    messages = [problem["message"] for problem in found.problems]
    assert messages == ["nothing in the app gives a.x", "nothing in the app gives b.x"]
