"""Calibrations by hand: machines with round numbers."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.lab.hardware import Rate, Speed

TYPED = ("decode", "small", "prefill")


def calibrated(
    types: Iterable[str] = ("F16",),
    *,
    decode: float = 1e10,
    prefill: float = 1e11,
    threads: Iterable[int] = (1,),
    share: float = 1.0,
    **others: float,
) -> Speed:
    """As `calibrate` would know a machine. decode: bytes a second; prefill: operations a second;
    share: of the cores, that it got meanwhile; others: of kinds without a type ("attend_token" …),
    by default so fast that they count for nothing. So many threads are as fast as the root of
    their number."""
    usual = {"attend-token": 1e15, "attend-prompt": 1e15, "rows": 1e15, "node": 1e12}
    kinds = {**usual, **{what.replace("_", "-"): rate for what, rate in others.items()}}
    made = [
        (what, type, width, prefill if what == "prefill" else decode)
        for what in TYPED
        for type in types
        for width in ((512,) if what == "small" else (512, 4096))
    ]
    made += [(what, "F32", 64, rate) for what, rate in kinds.items()]
    rates = (
        Rate(what, type, width, count, rate * count**0.5, rate, 0.05, share, 3)
        for count in threads
        for what, type, width, rate in made
    )
    return Speed(0.0, 10.0, "a processor", "1", tuple(rates))
