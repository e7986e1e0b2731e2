"""What tokens cost, from the power that a machine draws or from the price of an hour of it.

    joules a token     watts · seconds / tokens
    price of a token   (watts / 1000 · price of a kWh + price of an hour · 1) · hours / tokens

Seconds are those in which the model was at work: the sum of the repetitions. What a machine draws
while nobody asks it anything is not in it, nor what it cost to buy: a price of an hour may have
both.
"""

from __future__ import annotations

import msgspec

_JOULES = 3.6e6  # in a kWh


class Prices(msgspec.Struct, frozen=True, omit_defaults=True):
    """watts: that the machine draws while it works. kwh: price of a kilowatt-hour; hour: of an
    hour of the machine; currency: of both, for people."""

    watts: float = 0.0
    kwh: float = 0.0
    hour: float = 0.0
    currency: str = ""

    def __bool__(self) -> bool:
        return bool(self.watts or self.hour)


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """joules: for each token of an answer, None without watts. output, all: price of a million
    tokens of answers, and of a million tokens read and written; None without a price."""

    joules: float | None = None
    output: float | None = None
    all: float | None = None


def cost(prices: Prices, seconds: float, read: int, written: int) -> Cost | None:
    """What so many tokens cost that took so long; None where nothing was said or written."""
    if not prices or not written or seconds <= 0:
        return None
    energy = prices.watts * seconds
    price = energy / _JOULES * prices.kwh + prices.hour * seconds / 3600
    priced = bool(prices.hour or (prices.watts and prices.kwh))
    return Cost(
        joules=energy / written if prices.watts else None,
        output=1e6 * price / written if priced else None,
        all=1e6 * price / (read + written) if priced else None,
    )
