"""The clock of a machine."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from millstream.runtime.clock import SystemClock


def test_ids_are_random_uuids() -> None:
    made = {SystemClock.new_id() for _ in range(2000)}
    read = [UUID(id) for id in made]
    assert len(made) == 2000
    assert {str(id) for id in read} == made
    assert {(id.version, id.variant) for id in read} == {(4, RFC_4122)}
    # Every other bit is either way in some of them.
    ones = zeros = 0
    for id in read:
        ones |= id.int
        zeros |= ~id.int & (1 << 128) - 1
    assert (ones & zeros).bit_count() == 122
