"""What lists of figures, one for each token, say of a model: the measures of `loss`.

The definitions are those of llama.cpp's `llama-perplexity`. Over n tokens, with x the negative
log-likelihood (in nats) that a model gives to the token that came, and the base's as y:

    perplexity            exp(mean x), with an error of sd(x) / √(n - 1) times itself
    ln of the ratio       mean x - mean y, with the error of the mean of x - y
    divergence            of each token Σ p_base ln(p_base / p) over the vocabulary: mean, error,
                          percentiles (straight lines between the ordered values)
    same top              share of tokens where both have the same likeliest word; binomial error
    Δp                    exp(-x) - exp(-y), the change of the chance of the token that came:
                          mean, and the root of the mean square with its error

An error is of one standard deviation, and takes the tokens for independent of one another. They are
not quite, so it is a lower bound.

Source: tools/perplexity/perplexity.cpp of llama.cpp. It keeps the base's logarithms of chances in
16 bits, and leaves out what the base thinks less likely than e^-16; here nothing is rounded or left
out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

PERCENTILES = (0.0, 1.0, 5.0, 10.0, 50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


class Estimate(msgspec.Struct, frozen=True):
    """A figure, and one standard deviation of it."""

    value: float
    error: float = 0.0


class Fluency(msgspec.Struct, frozen=True):
    """How well a model predicts. tokens: that count."""

    tokens: int
    perplexity: Estimate


class Divergence(msgspec.Struct, frozen=True):
    """How far a model is from the base. percentiles: of the divergence, by name ("50", "99.9");
    delta: of the chance of the token that came, between -1 and 1."""

    tokens: int
    perplexity: Estimate
    log_ratio: Estimate
    kld: Estimate
    percentiles: dict[str, float]
    same_top: Estimate
    delta_mean: Estimate
    delta_rms: Estimate


class Accuracy(msgspec.Struct, frozen=True):
    """Tasks and how many were done right. share: of right ones, with its binomial error. agree:
    choices that are the base's; None for the base."""

    tasks: int
    right: int
    share: Estimate
    agree: int | None = None


def fluency(nll: Sequence[float]) -> Fluency:
    return Fluency(len(nll), _perplexity(nll))


def divergence(
    base: Sequence[float], nll: Sequence[float], kld: Sequence[float], same: Sequence[bool]
) -> Divergence:
    """All measures of one model. base, nll: negative log-likelihoods of the same tokens."""
    deltas = [math.exp(-x) - math.exp(-y) for x, y in zip(nll, base, strict=True)]
    square = mean([delta * delta for delta in deltas])
    rms = math.sqrt(square.value)
    ordered = sorted(kld)
    return Divergence(
        tokens=len(nll),
        perplexity=_perplexity(nll),
        log_ratio=mean([x - y for x, y in zip(nll, base, strict=True)]),
        kld=mean(kld),
        percentiles={f"{p:g}": percentile(ordered, p) for p in PERCENTILES},
        same_top=share(sum(same), len(same)),
        delta_mean=mean(deltas),
        delta_rms=Estimate(rms, square.error / (2 * rms) if rms else 0.0),
    )


def accuracy(choices: Sequence[int], base: Sequence[int] | None = None) -> Accuracy:
    """choices: the number of the option that was chosen, where 0 is right."""
    right = sum(choice == 0 for choice in choices)
    agree = None
    if base is not None:
        agree = sum(a == b for a, b in zip(choices, base, strict=True))
    return Accuracy(len(choices), right, share(right, len(choices)), agree)


def mean(values: Sequence[float]) -> Estimate:
    """The mean, and its standard error."""
    count = len(values)
    if not count:
        return Estimate(0.0)
    middle = math.fsum(values) / count
    if count < 2:
        return Estimate(middle)
    squares = _fsum_of_squares(value - middle for value in values)
    return Estimate(middle, math.sqrt(squares / count / (count - 1)))


def share(some: int, all: int) -> Estimate:
    """A share, and its binomial error."""
    if not all:
        return Estimate(0.0)
    part = some / all
    return Estimate(part, math.sqrt(part * (1 - part) / (all - 1)) if all > 1 else 0.0)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which so many percent of the ordered ones are."""
    if not ordered:
        return 0.0
    at = percent / 100 * (len(ordered) - 1)
    below = min(int(at), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def _perplexity(nll: Sequence[float]) -> Estimate:
    found = mean(nll)
    value = _exp(found.value)
    return Estimate(value, value * found.error)


def _exp(value: float) -> float:
    """e to the power of a value; the largest number where there is none for it."""
    return math.exp(min(value, 700.0))


def _fsum_of_squares(values: Iterable[float]) -> float:
    return math.fsum(value * value for value in values)
