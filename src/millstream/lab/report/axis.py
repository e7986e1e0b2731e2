"""Axes of a chart: ticks at round numbers that cover what is drawn, and where a value is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from millstream.lab.report.document import Axis, Scale

MOST = 8  # ticks of an axis
LEAST, GREATEST = 1e-30, 1e30  # beyond them is no quantity of a model or a machine
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


class Ruler(msgspec.Struct, frozen=True):
    """An axis on paper. ticks: the values that get a mark, the ends of the axis among them."""

    ticks: tuple[float, ...]
    scale: Scale
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is, between start and end."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.scale == "log":
            value, low, high = math.log(value), math.log(low), math.log(high)
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)


def has_place(value: float, axis: Axis) -> bool:
    """Whether an axis can show a value."""
    return abs(value) < GREATEST and (axis.scale == "linear" or value > LEAST)


def ruler(
    values: Sequence[float],
    scale: Scale,
    start: float,
    end: float,
    *,
    wanted: int = 5,
    whole: bool = False,
) -> Ruler:
    """An axis for finite values (on a log scale greater than 0), with about as many ticks as are
    wanted and no more than eight. whole: there is nothing between whole numbers."""
    low, high = min(values), max(values)
    if scale == "log":
        return Ruler(log_ticks(low, high), scale, start, end)
    if 0 <= low < 0.5 * high:
        low = 0.0
    return Ruler(linear_ticks(low, high, wanted, whole=whole), scale, start, end)


def linear_ticks(
    low: float, high: float, wanted: int = 5, *, whole: bool = False
) -> tuple[float, ...]:
    """Round numbers in equal steps, the first not above low, the last not below high. whole: they
    are whole numbers."""
    if high - low <= max(LEAST, 1e-9 * max(abs(low), abs(high))):
        if max(abs(low), abs(high)) <= LEAST:
            return (0.0, 1.0)
        low, high = (0.0, high) if low > 0 else (low, 0.0)
    raw = (high - low) / max(1, min(wanted, MOST - 2))
    raw = max(1.0, raw) if whole else raw
    power = math.floor(math.log10(raw))
    for size in (step * 10.0**up for up in (power, power + 1, power + 2) for step in _STEPS):
        first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
        first -= first * size > low
        last += last * size < high
        if whole and size != round(size):
            continue
        if size >= raw * (1 - 1e-9) and last - first < MOST:
            return tuple(_tidy(number * size, power) for number in range(first, last + 1))
    return (low, high)


def _tidy(value: float, power: int) -> float:
    """Without the crumbs that multiplying leaves."""
    return round(value, max(0, 2 - power)) if abs(power) < 300 else value


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten that cover a range; for a small one also 2 and 5 times them, for a tiny one
    the round numbers in between."""
    if high / low < 4:
        found = linear_ticks(low, high)
        if found[0] > 0 and high > low:
            return found
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    while 10.0**first > low:
        first -= 1
    while 10.0**last < high:
        last += 1
    last = max(last, first + 1)
    if last - first <= 2:
        every = [m * 10.0**p for p in range(first, last + 1) for m in (1, 2, 5)]
        begin = max(i for i, value in enumerate(every) if value <= low)
        end = min(i for i, value in enumerate(every) if value >= high)
        some = every[begin : max(end, begin + 1) + 1]
        return tuple(some) if len(some) <= MOST else tuple(10.0**p for p in range(first, last + 1))
    step = math.ceil((last - first) / (MOST - 1))
    last = first + step * math.ceil((last - first) / step)
    return tuple(10.0**power for power in range(first, last + 1, step))
