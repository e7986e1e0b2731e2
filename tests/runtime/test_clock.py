"""The clock of a machine."""

from __future__ import annotations

import os
from uuid import RFC_4122, UUID

import pytest

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_ids_of_its_own() -> None:
    SystemClock.new_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, SystemClock.new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() not in {SystemClock.new_id() for _ in range(100)}
    os.close(reader)
    os.close(writer)
