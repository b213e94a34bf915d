"""Counts in memory that outlives the process that counts."""

from __future__ import annotations

import os
import signal

from tfs_workflow.modelserver.metrics import counts
from tfs_workflow.modelserver.metrics.counts import Counts, SharedCounts
from tfs_workflow.modelserver.processes import notes_file


def region(size_bytes: int = 4096) -> memoryview:
    return memoryview(bytearray(size_bytes))


def shared(fronts: int) -> SharedCounts:
    file = notes_file.unnamed()
    os.ftruncate(file, counts.size_bytes(fronts))
    return SharedCounts(notes_file.mapped(file))


def test_the_next_process_adds_on_to_what_the_last_one_counted() -> None:
    memory = region()
    first = Counts(memory)
    first.values(("latency", "m", "é"), 3)[1] += 2.5
    first.add("requests", "OK")
    second = Counts(memory)
    second.values(("latency", "m", "é"), 3)[1] += 2
    second.add("requests", "NOT_FOUND")
    assert dict(Counts(memory).series()) == {
        ("latency", "m", "é"): [0, 4.5, 0],
        ("requests", "OK"): [1],
        ("requests", "NOT_FOUND"): [1],
    }


def test_values_start_at_zero_where_a_process_ended_while_it_added_some() -> None:
    memory = region()
    memory[8:] = b"\xff" * (len(memory) - 8)
    assert list(Counts(memory).values(("a",), 2)) == [0, 0]


def test_a_full_region_counts_on_in_the_process_alone() -> None:
    memory = region(100)
    full = Counts(memory)
    for number in range(10):
        full.add("requests", str(number))
        full.add("requests", str(number))
    assert dict(full.series()) == {("requests", str(number)): [2] for number in range(10)}
    assert len(dict(Counts(memory).series())) < 10


def test_totals_are_the_sums_of_all_regions() -> None:
    server = shared(fronts=2)
    own = server.of(0)
    for one in (own, server.of(1), server.of(counts.FIRST_FRONT_REGION + 1)):
        one.add("requests", "OK")
    server.of(counts.PARENT_REGION).add("ends")
    assert server.totals(0, own) == {("requests", "OK"): [3], ("ends",): [1]}


def test_what_a_killed_process_counted_is_there() -> None:
    server = shared(fronts=1)
    pid = os.fork()
    if not pid:
        own = server.of(0)
        for _ in range(1000):
            own.add("requests")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert server.totals(1, server.of(1)) == {("requests",): [1000]}
