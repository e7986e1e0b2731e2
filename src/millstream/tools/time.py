"""The tools of Dify's own `time` provider: the time now, conversions, and the day of the week.

Names, parameters, defaults and the texts returned are Dify's. The time comes from the clock that
is handed in. Where Dify answers a bad argument with an English sentence as the tool's output,
these tools fail with an error instead.
"""

from __future__ import annotations

import datetime as dt
from calendar import day_name, month_name
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from millstream.base import Failed
from millstream.engine.ports import ToolParameter, ToolResult

FORMAT = "%Y-%m-%d %H:%M:%S"

_TYPE = "ToolRuntimeInvocationError"  # what a fail branch sees

PARAMETERS: Mapping[str, tuple[ToolParameter, ...]] = {
    "current_time": (
        ToolParameter("format", default=FORMAT),
        ToolParameter("timezone", type="select", default="UTC"),
    ),
    "timezone_conversion": (
        ToolParameter("current_time", required=True),
        ToolParameter("current_timezone", required=True, default="Asia/Shanghai"),
        ToolParameter("target_timezone", required=True, default="Asia/Tokyo"),
    ),
    "timestamp_to_localtime": (
        ToolParameter("timestamp", type="number", required=True),
        ToolParameter("timezone", default="Asia/Shanghai"),
    ),
    "localtime_to_timestamp": (
        ToolParameter("localtime", required=True),
        ToolParameter("timezone", default="Asia/Shanghai"),
    ),
    "weekday": (
        ToolParameter("year", type="number", required=True),
        ToolParameter("month", type="number", required=True),
        ToolParameter("day", type="number", required=True),
    ),
}


class TimeTool:
    """One tool of the provider. now: Unix time in seconds."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self.parameters = PARAMETERS[name]
        self._now = now
        self._run: Callable[[Mapping[str, Any]], str] = getattr(self, "_" + name)

    async def invoke(self, parameters: Mapping[str, Any]) -> ToolResult:
        return ToolResult(text=self._run(parameters))

    def _current_time(self, given: Mapping[str, Any]) -> str:
        zone = _zone(given, "timezone", "UTC")
        form = str(given.get("format") or f"{FORMAT} %Z")
        return _format(dt.datetime.fromtimestamp(self._now(), zone), form)

    def _timezone_conversion(self, given: Mapping[str, Any]) -> str:
        time = _local_time(given, "current_time", _zone(given, "current_timezone", "Asia/Shanghai"))
        target = _zone(given, "target_timezone", "Asia/Tokyo")
        try:
            return _format(time.astimezone(target), FORMAT)
        except OverflowError:
            raise _wrong("time", "current_time", given) from None

    def _timestamp_to_localtime(self, given: Mapping[str, Any]) -> str:
        zone = _zone(given, "timezone", "Asia/Shanghai")
        try:
            time = dt.datetime.fromtimestamp(float(given["timestamp"]), zone)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            raise _wrong("number", "timestamp", given) from None
        return _format(time, FORMAT)

    def _localtime_to_timestamp(self, given: Mapping[str, Any]) -> str:
        time = _local_time(given, "localtime", _zone(given, "timezone", "Asia/Shanghai"))
        try:
            return str(int(time.timestamp()))
        except (OverflowError, ValueError):
            raise _wrong("time", "localtime", given) from None

    def _weekday(self, given: Mapping[str, Any]) -> str:
        year, month, day = (_whole(given, name) for name in ("year", "month", "day"))
        try:
            found = dt.date(year, month, day)
        except (ValueError, OverflowError):
            date = f"{year}-{month}-{day}"
            raise Failed("tools.no-such-date", date=date, error_type=_TYPE) from None
        return f"{month_name[month]} {day}, {year} is {day_name[found.weekday()]}."


def _zone(given: Mapping[str, Any], name: str, default: str) -> dt.tzinfo:
    """The zone that a parameter names; empty means the default."""
    word = str(given.get(name) or default)
    if word == "UTC":  # known even where the system has no time zone database
        return dt.UTC
    try:
        return ZoneInfo(word)
    except (KeyError, ValueError, OSError):  # not found, a bad key, a folder of the database
        raise Failed("tools.no-such-zone", zone=word, error_type=_TYPE) from None


def _local_time(given: Mapping[str, Any], name: str, zone: dt.tzinfo) -> dt.datetime:
    try:
        return dt.datetime.strptime(str(given.get(name)), FORMAT).replace(tzinfo=zone)
    except ValueError:
        raise _wrong("time", name, given) from None


def _whole(given: Mapping[str, Any], name: str) -> int:
    try:
        number = float(given[name])
        if number == int(number):
            return int(number)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise _wrong("number", name, given)


def _format(time: dt.datetime, form: str) -> str:
    try:
        return time.strftime(form)
    except ValueError:
        raise _wrong("format", "format", {"format": form}) from None


def _wrong(what: str, name: str, given: Mapping[str, Any]) -> Failed:
    return Failed(f"tools.wrong-{what}", name=name, value=repr(given.get(name)), error_type=_TYPE)
