"""The statistics of a benchmark, small and without a library.

Percentiles are interpolated between neighbours (R's type 7, NumPy's default). Two samples are
compared by a permutation test of the difference of their means: exact where all ways to deal the
values out can be gone through, else over a fixed number of seeded shuffles. It asks nothing of the
shape of a distribution, which times on a shared machine have none of. Several comparisons at once
are judged with the false discovery rate of Benjamini and Hochberg (1995). Intervals are bootstrap
percentiles (Efron).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from itertools import combinations

import msgspec

_EXACT = 100_000  # ways to deal values out that are gone through
_SHUFFLES = 20_000
_DRAWS = 2_000


class Spread(msgspec.Struct, frozen=True):
    """What a number of values is like. sd: of the sample (n - 1), 0 for a single value."""

    count: int
    mean: float
    sd: float
    low: float
    p50: float
    p90: float
    p95: float
    p99: float
    high: float

    @property
    def variation(self) -> float:
        """The standard deviation as a share of the mean."""
        return self.sd / self.mean if self.mean else 0.0


def spread(values: Sequence[float]) -> Spread | None:
    """The summary of some values; None for none."""
    if not values:
        return None
    ordered = sorted(values)
    mean = math.fsum(ordered) / len(ordered)
    return Spread(
        count=len(ordered),
        mean=mean,
        sd=statistics.stdev(ordered) if len(ordered) > 1 else 0.0,
        low=ordered[0],
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        high=ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of values that are in order, interpolated."""
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    share = place - below
    return ordered[below] + (ordered[above] - ordered[below]) * share


def permutation(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> float:
    """How likely two samples from the same source are to have means at least as far apart: the p
    of a two-sided test. 1 where there is nothing to compare."""
    n, m = len(a), len(b)
    if not n or not m:
        return 1.0
    pool = [*a, *b]
    total = math.fsum(pool)
    scale = max(map(abs, pool)) or 1.0

    def apart(chosen: float) -> float:
        return abs(chosen / n - (total - chosen) / m)

    # Sums in another order differ in the last bit: what is as far apart must count as such.
    seen = apart(math.fsum(a)) - 1e-12 * scale
    if math.comb(n + m, n) <= _EXACT:
        deals = [apart(math.fsum(some)) >= seen for some in combinations(pool, n)]
        return sum(deals) / len(deals)
    source = random.Random(seed)  # noqa: S311
    hits = 0
    for _ in range(_SHUFFLES):
        source.shuffle(pool)
        hits += apart(math.fsum(pool[:n])) >= seen
    return (hits + 1) / (_SHUFFLES + 1)


def least_p(n: int, m: int) -> float:
    """The smallest p that samples of these sizes can give."""
    if not n or not m:
        return 1.0
    return min(1.0, (2 if n == m else 1) / math.comb(n + m, n))


def ratio(
    a: Sequence[float], b: Sequence[float], *, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float, float]:
    """The mean of b as a multiple of the mean of a, and the interval that it lies in."""
    whole = _mean(b) / _mean(a)
    source = random.Random(seed)  # noqa: S311
    drawn = sorted(
        _mean(source.choices(b, k=len(b))) / _mean(source.choices(a, k=len(a)))
        for _ in range(_DRAWS)
    )
    edge = 100 * (1 - confidence) / 2
    return whole, percentile(drawn, edge), percentile(drawn, 100 - edge)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def discovered(ps: Sequence[float]) -> list[float]:
    """Each p of several tests, raised so that of all that stay below a level no larger share than
    that level is expected to be chance."""
    order = sorted(range(len(ps)), key=lambda i: ps[i], reverse=True)
    raised, least = [1.0] * len(ps), 1.0
    for done, i in enumerate(order):
        least = min(least, ps[i] * (len(ps) / (len(ps) - done)))
        raised[i] = least
    return raised
