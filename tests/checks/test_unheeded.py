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
