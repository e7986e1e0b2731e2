"""Limits of a run. All are off; each has a name, and an error about one says it.

`dify` is the profile of the documented defaults of that platform, for those who want their runs
to end where they ended there.
"""

from __future__ import annotations

import msgspec

from millstream.base import BadInput


class Limits(msgspec.Struct, frozen=True):
    """None is no limit. Times in seconds, lengths in characters or elements, sizes in bytes.

    max_steps: node starts, children of containers included. max_seconds: looked at whenever a
    node starts. code_*: what a code node may return. parallel_items: items of an iteration at once,
    whatever its own setting says.
    """

    max_steps: int | None = None
    max_seconds: float | None = None
    template_length: int | None = None
    code_string_length: int | None = None
    code_depth: int | None = None
    code_number: int | None = None
    code_string_array: int | None = None
    code_number_array: int | None = None
    code_object_array: int | None = None
    parallel_items: int | None = None


NONE = Limits()

DIFY = Limits(
    max_steps=500,
    max_seconds=1200,
    template_length=400_000,
    code_string_length=400_000,
    code_depth=5,
    code_number=9_223_372_036_854_775_807,
    code_string_array=30,
    code_number_array=1000,
    code_object_array=30,
)

PROFILES = {"none": NONE, "dify": DIFY}


def profile(name: str) -> Limits:
    """A named set of limits; raises BadInput for a name that there isn't."""
    try:
        return PROFILES[name]
    except KeyError:
        raise BadInput("engine.no-profile", name=name, known=", ".join(PROFILES)) from None
