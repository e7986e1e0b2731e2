"""The statistics of a benchmark: values computed by hand, and laws."""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.lab.bench import stats

SMALL = st.lists(st.integers(-20, 20), min_size=1, max_size=5)
NUMBERS = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30)


def test_percentiles_by_hand() -> None:
    assert stats.percentile([1, 2, 3, 4], 50) == 2.5
    assert stats.percentile([1, 2, 3, 4], 95) == pytest.approx(3.85)
    assert stats.percentile([7], 99) == 7
    assert stats.percentile([0, 10], 25) == 2.5


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    for percent in (1, 50, 90, 95, 99):
        assert stats.percentile(ordered, percent) == pytest.approx(cuts[percent - 1], abs=1e-6)


def test_a_spread_by_hand() -> None:
    made = stats.spread([2, 4, 4, 4, 5, 5, 7, 9])
    assert made is not None
    assert (made.count, made.mean, made.low, made.high, made.p50) == (8, 5, 2, 9, 4.5)
    assert made.sd == pytest.approx((32 / 7) ** 0.5)
    assert made.variation == pytest.approx(made.sd / 5)
    assert stats.spread([]) is None


@given(NUMBERS)
def test_a_spread_is_in_order(values: list[float]) -> None:
    made = stats.spread(values)
    assert made is not None
    places = [made.low, made.p50, made.p90, made.p95, made.p99, made.high]
    assert places == sorted(places)
    assert made.low - 1e-9 <= made.mean <= made.high * (1 + 1e-12)


def test_permutations_by_hand() -> None:
    # Of the 20 ways to deal six values out, two have means as far apart as these.
    assert stats.permutation([1, 2, 3], [4, 5, 6]) == 2 / 20
    # {1, 3} against {2, 4}: the sums 4 and 6; 3-7, 4-6, 5-5, 5-5, 6-4, 7-3 are all there are.
    assert stats.permutation([1, 3], [2, 4]) == 4 / 6
    assert stats.permutation([1], [1]) == 1
    assert stats.permutation([], [1, 2]) == 1


@given(SMALL, SMALL)
def test_permutations_are_exact(a: list[int], b: list[int]) -> None:
    """The definition, in fractions."""
    pool = a + b

    def apart(chosen: tuple[int, ...]) -> Fraction:
        rest = [i for i in range(len(pool)) if i not in chosen]
        left = Fraction(sum(pool[i] for i in chosen), len(chosen))
        return abs(left - Fraction(sum(pool[i] for i in rest), len(rest)))

    seen = apart(tuple(range(len(a))))
    deals = [apart(some) >= seen for some in combinations(range(len(pool)), len(a))]
    assert stats.permutation(a, b) == pytest.approx(sum(deals) / len(deals))


@given(NUMBERS, NUMBERS)
def test_the_smallest_p_is_a_bound(a: list[float], b: list[float]) -> None:
    a, b = a[:5], b[:5]
    p = stats.permutation(a, b)
    assert stats.least_p(len(a), len(b)) <= p + 1e-12
    assert p <= 1
    assert p == pytest.approx(stats.permutation(b, a))


def test_the_smallest_p_by_hand() -> None:
    assert stats.least_p(5, 5) == 2 / 252
    assert stats.least_p(3, 3) == 0.1
    assert stats.least_p(1, 1) == 1
    assert stats.least_p(0, 5) == 1


def test_large_samples_are_shuffled() -> None:
    low, high = [float(n) for n in range(20)], [float(n) for n in range(100, 120)]
    assert stats.permutation(low, high) == 1 / 20_001
    assert stats.permutation(low, low) > 0.9
    assert stats.permutation(low, high, seed=1) == stats.permutation(low, high, seed=1)


def test_shuffles_come_near_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = [1.0, 2.0, 3.0, 5.0, 8.0], [4.0, 6.0, 7.0, 9.0, 10.0]
    exact = stats.permutation(a, b)
    monkeypatch.setattr(stats, "_EXACT", 1)
    assert stats.permutation(a, b) == pytest.approx(exact, abs=0.01)  # seeded: always the same


def test_ratios() -> None:
    whole, low, high = stats.ratio([10.0, 10.0, 10.0], [20.0, 20.0])
    assert (whole, low, high) == (2, 2, 2)
    whole, low, high = stats.ratio([9.0, 10.0, 11.0], [9.0, 10.0, 11.0])
    assert whole == 1
    assert low < 1 < high


def test_the_false_discovery_rate_by_hand() -> None:
    """Each p times the number of tests, over its rank, and no larger than that of the next."""
    assert stats.discovered([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert stats.discovered([]) == []
    assert stats.discovered([0.5]) == [0.5]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_the_false_discovery_rate_keeps_the_order(ps: list[float]) -> None:
    raised = stats.discovered(ps)
    assert all(0 <= p <= q <= 1 for p, q in zip(ps, raised, strict=True))
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [raised[i] for i in order] == sorted(raised)
