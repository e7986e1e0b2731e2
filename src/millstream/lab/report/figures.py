"""Numbers of a report for people: three digits that count, with a unit and its prefix.

A `percent` is a share (1 is 100 %), `bytes` go by the decimal units that models are sold by, and
what has no digit to its right needs none: 98 tokens/s, not 98.0000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from millstream.base import say
from millstream.lab.report.document import Cell, Unit

NONE = "–"
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_RATES = ("FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s")
_TIMES = (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0))
_IN_HEAD: tuple[Unit, ...] = ("tokens/s", "nats", "flop/byte")  # said once, above the column


def figure(value: float, unit: Unit = "") -> str:
    """A number with its unit."""
    if not math.isfinite(value):
        return NONE
    match unit:
        case "bytes":
            return _prefixed(value, _BYTES)
        case "flop/s":
            return _prefixed(value, _RATES)
        case "seconds":
            return _time(value)
        case "percent":
            return f"{_percent(value)} %"
        case "tokens/s":
            return say("report.unit-tokens", number=number(value))
        case "nats" | "flop/byte":
            return f"{number(value)} {unit_word(unit)}"
    return number(value)


def cell(value: Cell, unit: Unit = "") -> str:
    """What stands in a table, where the head of the column says some units."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if unit in _IN_HEAD:
        return number(value) if math.isfinite(value) else NONE
    return figure(value, unit)


def head_unit(title: str, unit: Unit) -> str:
    """The unit that a column's head has to say, "" where its cells or its title say it."""
    word = unit_word(unit)
    return word if unit in _IN_HEAD and word not in title else ""


def unit_word(unit: Unit) -> str:
    """The name of a unit without prefixes."""
    match unit:
        case "tokens/s":
            return say("report.unit-tokens-bare")
        case "nats":
            return say("report.unit-nats")
        case "flop/byte":
            return "FLOP/B"
        case "percent":
            return "%"
        case "seconds":
            return "s"
        case "bytes":
            return "B"
        case "flop/s":
            return "FLOP/s"
    return ""


def number(value: float, digits: int = 3) -> str:
    """A number by its first digits; thousands are parted, very small ones have a power of ten."""
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return _signed(f"{int(value):,}") if abs(value) < 1e15 else _power(value, digits)
    size = abs(value)
    if size < 1e-4 or size >= 1e15:
        return _power(value, digits)
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    return _signed(f"{value:,.{places}f}")


def axis_figures(values: Sequence[float], unit: Unit) -> tuple[list[str], str]:
    """The texts of an axis's ticks, all of one prefix, and the unit to say once beside them."""
    largest = max(map(abs, values), default=0.0)
    factor, word = _axis_unit(largest, unit)
    scaled = [value / factor for value in values]
    places = 0
    while places < 12 and any(_rough(value, places) for value in scaled):
        places += 1
    return [_signed(f"{value:,.{places}f}") for value in scaled], word


def log_figures(values: Sequence[float], unit: Unit) -> list[str]:
    """The texts of a logarithmic axis's ticks, each with a prefix of its own."""
    if unit in ("bytes", "flop/s", "seconds", "percent"):
        return [re.sub(r"\.0+(?=\D|$)", "", figure(value, unit)) for value in values]
    return [number(value, 1) if value < 1 else number(value) for value in values]


def log_unit(unit: Unit) -> str:
    """The unit to say beside a logarithmic axis whose ticks don't."""
    return "" if unit in ("bytes", "flop/s", "seconds", "percent") else unit_word(unit)


def _axis_unit(largest: float, unit: Unit) -> tuple[float, str]:
    match unit:
        case "bytes" | "flop/s":
            words = _BYTES if unit == "bytes" else _RATES
            step = 0
            while step + 1 < len(words) and largest >= 1000 ** (step + 1):
                step += 1
            return 1000.0**step, words[step]
        case "seconds":
            word, size = next(
                (each for each in reversed(_TIMES) if largest >= each[1]), ("ns", 1e-9)
            )
            return size, word
        case "percent":
            return 0.01, "%"
    return 1.0, unit_word(unit)


def _rough(value: float, places: int) -> bool:
    """Whether a number would lose something by rounding."""
    return abs(round(value, places) - value) > 1e-9 * max(1e-9, abs(value))


def _prefixed(value: float, words: Sequence[str]) -> str:
    size, step = abs(value), 0
    while step + 1 < len(words) and size >= 999.5 * 1000**step:
        step += 1
    scaled = float(f"{value / 1000**step:.3g}") if size < 1000 ** len(words) else value / 1000**step
    places = 0 if step == 0 or abs(scaled) >= 100 else 1 if abs(scaled) >= 1 else 2
    return f"{_signed(f'{scaled:,.{places}f}')} {words[step]}"


def _time(value: float) -> str:
    size = abs(value)
    if size >= 5999.5:
        hours, minutes = divmod(round(size / 60), 60)
        return _minus(value) + say("report.hours", hours=f"{hours:,}", minutes=minutes)
    if size >= 119.95:
        minutes, seconds = divmod(round(size), 60)
        return _minus(value) + say("report.minutes", minutes=minutes, seconds=seconds)
    if size < 1e-12:
        return "0 s"
    word, unit = next((each for each in reversed(_TIMES) if size >= 0.9995 * each[1]), ("ns", 1e-9))
    scaled = float(f"{value / unit:.3g}")
    places = max(0, 2 - math.floor(math.log10(abs(scaled)) + 1e-9))
    return f"{_signed(f'{scaled:,.{places}f}')} {word}"


def _percent(share: float) -> str:
    value = 100 * share
    size = abs(value)
    if size == 0 or size >= 99.95:
        return _signed(f"{value:,.0f}")
    if size >= 1:
        return _signed(f"{value:.1f}")
    return number(float(f"{value:.2g}"), 2)


def _power(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    if float(mantissa) in (1, -1):
        return f"{_minus(value)}10{raised}"
    return f"{_signed(mantissa)} × 10{raised}"


def _signed(text: str) -> str:
    """With a minus that is as wide as a digit, and none before zero."""
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.,") else "−" + text[1:]
    return text


def _minus(value: float) -> str:
    return "−" if value < 0 else ""
