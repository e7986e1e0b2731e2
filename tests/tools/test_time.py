"""The `time` provider, as Dify has it, by a clock that the test holds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.base import Failed
from millstream.tools.time import PARAMETERS, TimeTool

NOW = 1_700_000_000.5  # 2023-11-14 22:13:20 UTC


async def call(name: str, **parameters: Any) -> str:
    return (await TimeTool(name, lambda: NOW).invoke(parameters)).text


async def test_the_time_now() -> None:
    assert await call("current_time") == "2023-11-14 22:13:20 UTC"
    assert await call("current_time", format="%Y/%m/%d") == "2023/11/14"
    there = await call("current_time", format="%Y-%m-%d %H:%M:%S", timezone="Asia/Shanghai")
    assert there == "2023-11-15 06:13:20"


async def test_conversions() -> None:
    shanghai = {"current_time": "2024-1-1 0:0:0", "current_timezone": "Asia/Shanghai"}
    assert await call("timezone_conversion", **shanghai) == "2024-01-01 01:00:00"
    london = await call("timezone_conversion", **shanghai, target_timezone="Europe/London")
    assert london == "2023-12-31 16:00:00"
    assert await call("timestamp_to_localtime", timestamp=0) == "1970-01-01 08:00:00"
    assert await call("timestamp_to_localtime", timestamp="0", timezone="UTC") == (
        "1970-01-01 00:00:00"
    )
    assert await call("localtime_to_timestamp", localtime="1970-01-01 08:00:00") == "0"
    assert await call("weekday", year=2024, month=2, day=29) == "February 29, 2024 is Thursday."
    assert await call("weekday", year="2024", month=2.0, day=29) == "February 29, 2024 is Thursday."


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("current_time", {"timezone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
        ("current_time", {"timezone": "../passwd"}, "there is no time zone '../passwd'"),
        ("current_time", {"timezone": "America"}, "there is no time zone 'America'"),
        (
            "localtime_to_timestamp",
            {"localtime": "yesterday"},
            "localtime is 'yesterday', not a time such as 2024-01-31 08:00:00",
        ),
        (
            "timestamp_to_localtime",
            {"timestamp": "soon"},
            "timestamp is 'soon', which is no number that fits",
        ),
        (
            "timestamp_to_localtime",
            {"timestamp": 1e30},
            "timestamp is 1e+30, which is no number that fits",
        ),
        ("weekday", {"year": 2023, "month": 2, "day": 29}, "there is no day 2023-2-29"),
        ("weekday", {"year": 2023, "month": 2}, "day is None, which is no number that fits"),
    ],
)
async def test_a_bad_argument_is_an_error(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(Failed) as caught:
        await call(name, **parameters)
    assert caught.value.message == message
    assert caught.value.next_step
    assert caught.value.type == "ToolRuntimeInvocationError"


ANYTHING = st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans())


@pytest.mark.parametrize("name", PARAMETERS)
@given(data=st.data())
def test_no_argument_makes_another_error(name: str, data: st.DataObject) -> None:
    names = [parameter.name for parameter in PARAMETERS[name]]
    given_ = data.draw(st.fixed_dictionaries(dict.fromkeys(names, ANYTHING)))
    with suppress(Failed):
        TimeTool(name, lambda: NOW)._run(given_)
