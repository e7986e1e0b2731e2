"""The figures of one point: what all its calls together say.

Latencies are summed up over calls (inter-token latencies over all gaps of all calls); rates over
repetitions, each from its first request to the end of its last answer. For comparisons every
repetition is one value of every figure: calls of one repetition disturb one another, repetitions
do not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from millstream.lab.bench.calls import Call, busy
from millstream.lab.bench.stats import Spread, spread


class Figures(msgspec.Struct, frozen=True):
    """calls, failed: how many there were. read, written: tokens of prompts and answers, of each
    call; cached: of a prompt, on the average, None if the server doesn't say.

    prefill, decode: tokens a second of a call (the mean of decode is that of all tokens over all
    the time in which they were written, so that a call whose pieces came in one burst weighs no
    more than others); first, gap, per_token, seconds: time to first
    token, inter-token latency, time per output token, time per sample, in seconds; late: seconds
    that a call was sent after it was due. requests, output, all: requests, tokens of answers, and
    all tokens a second, of a repetition. each: one value of every repetition, by name.
    """

    calls: int
    failed: int
    seconds_busy: float
    read: Spread | None
    written: Spread | None
    cached: float | None
    prefill: Spread | None
    decode: Spread | None
    first: Spread | None
    gap: Spread | None
    per_token: Spread | None
    seconds: Spread | None
    late: Spread | None
    requests: Spread | None
    output: Spread | None
    all: Spread | None
    each: dict[str, list[float]]


class Metric(NamedTuple):
    """A figure that is compared. more: whether more of it is better."""

    name: str
    more: bool


METRICS = (
    Metric("prefill", True),
    Metric("decode", True),
    Metric("first", False),
    Metric("gap", False),
    Metric("seconds", False),
    Metric("requests", True),
    Metric("output", True),
)


def figures(calls: Sequence[Call]) -> Figures:
    """Sum up the calls of all repetitions of a point."""
    good = [call for call in calls if call.ok]
    failed = sum(bool(call.error) and call.error != "cancelled" for call in calls)
    told = [call.cached for call in good if call.cached is not None]
    rounds = _by_repetition(calls)
    rates = [rate for some in rounds if (rate := _rates(some)) is not None]
    each: dict[str, list[float]] = {metric.name: [] for metric in METRICS}
    for some in rounds:
        fine = [call for call in some if call.ok]
        for name, value in _medians(fine):
            each[name].append(value)
    for rate in rates:
        each["requests"].append(rate.requests)
        each["output"].append(rate.output)
    return Figures(
        calls=len(good),
        failed=failed,
        seconds_busy=sum(busy([c for c in some if c.pieces]) for some in rounds),
        read=spread([float(call.prompt) for call in good]),
        written=spread([float(call.tokens) for call in good]),
        cached=statistics.fmean(told) if told else None,
        prefill=_spread(good, lambda call: call.prefill),
        decode=_decode(good),
        first=_spread(good, lambda call: call.first),
        gap=spread([gap for call in good for gap in call.gaps]),
        per_token=_spread(good, lambda call: call.per_token),
        seconds=_spread(good, lambda call: call.seconds),
        late=_spread(good, lambda call: call.sent - call.due),
        requests=spread([rate.requests for rate in rates]),
        output=spread([rate.output for rate in rates]),
        all=spread([rate.all for rate in rates]),
        each={name: values for name, values in each.items() if values},
    )


class _Rate(NamedTuple):
    requests: float
    output: float
    all: float


def _rates(calls: Sequence[Call]) -> _Rate | None:
    """What a repetition got through in a second; None if nothing, or it was broken off."""
    good = [call for call in calls if call.ok]
    took = busy([call for call in calls if call.pieces])
    if not good or took <= 0 or any(call.error == "cancelled" for call in calls):
        return None
    written = sum(call.tokens for call in good)
    read = sum(call.prompt for call in good)
    return _Rate(len(good) / took, written / took, (read + written) / took)


def _by_repetition(calls: Iterable[Call]) -> list[list[Call]]:
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(call.repetition, []).append(call)
    return [found[number] for number in sorted(found)]


def _medians(calls: Sequence[Call]) -> Iterable[tuple[str, float]]:
    """One value of a repetition for each figure of calls."""
    gaps = [gap for call in calls for gap in call.gaps]
    values: dict[str, list[float]] = {
        "prefill": [v for c in calls if (v := c.prefill) is not None],
        "decode": [v for c in calls if (v := c.decode) is not None],
        "first": [call.first for call in calls],
        "gap": gaps,
        "seconds": [call.seconds for call in calls],
    }
    for name, some in values.items():
        if some:
            yield name, statistics.median(some)


def _decode(calls: Sequence[Call]) -> Spread | None:
    """Tokens a second of a call while it wrote: the inverse of the time per output token, and the
    same share of deviation. A mean of the calls' own rates would be that of the one whose pieces
    arrived all at once."""
    rates = _spread(calls, lambda call: call.decode)
    times = _spread(calls, lambda call: call.per_token)
    if rates is None or times is None:
        return None
    timed = [call for call in calls if call.per_token is not None]
    written = sum(call.tokens - 1 for call in timed)
    mean = written / sum(call.pieces[-1] - call.pieces[0] for call in timed)
    return msgspec.structs.replace(rates, mean=mean, sd=mean * times.variation)


def _spread(calls: Iterable[Call], figure: Callable[[Call], float | None]) -> Spread | None:
    return spread([value for call in calls if (value := figure(call)) is not None])
