"""The table of lanes: where a request runs, by its size, the pace of its model and batching."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tfs_workflow.modelserver.inference.lanes import (
    AT_ONCE_BYTES,
    IN_PLACE_BYTES,
    PARSER_BYTES,
    Lane,
    Lanes,
    prepared_call,
    runs_on_loop,
    thread_options,
)
from tfs_workflow.modelserver.inference.servable import IN_PLACE, Pace

CALL = object()
SMALL, MEDIUM, LARGE = IN_PLACE_BYTES, PARSER_BYTES, PARSER_BYTES + 1


def version(pace: str, call: object | None = CALL) -> Any:
    """What a lane reads of a servable: its pace, and the prepared run of its signature."""
    found = Pace()
    for _ in range(Pace.PROMOTE_AT if pace == "fast" else 0):
        found.note(0.0001)
    if pace == "slow":
        found.PROBE_INTERVAL_S = float("inf")  # however long this test session takes
        found.note(1.0)
    return SimpleNamespace(pace=found, float_call=call)


@pytest.mark.parametrize(
    ("batches", "size_bytes", "servable", "has_fast", "lane"),
    [
        # batching, size, likely version, fast candidate → lane
        (False, SMALL, None, True, Lane.IN_PLACE),
        (False, SMALL, version("fast"), True, Lane.IN_PLACE),
        (False, SMALL, version("fast"), False, Lane.IN_PLACE),
        (False, SMALL, version("new"), True, Lane.THREAD),
        (False, SMALL, version("slow"), True, Lane.THREAD),
        (False, SMALL + 1, version("fast"), True, Lane.DEFERRED),
        (False, MEDIUM, version("fast"), True, Lane.DEFERRED),
        (False, MEDIUM, version("fast"), False, Lane.LARGE_THREAD),
        (False, MEDIUM, version("fast", call=None), True, Lane.LARGE_THREAD),
        (False, MEDIUM, version("slow"), True, Lane.LARGE_THREAD),
        (False, MEDIUM, None, True, Lane.LARGE_THREAD),
        (False, LARGE, version("fast"), True, Lane.LARGE_THREAD),
        (True, SMALL, version("fast"), True, Lane.BATCH),
        (True, SMALL, version("slow"), True, Lane.BATCH),
        (True, SMALL, None, True, Lane.BATCH),
        (True, SMALL + 1, version("fast"), True, Lane.LARGE_BATCH),
        (True, LARGE, None, True, Lane.LARGE_BATCH),
    ],
)
def test_the_lane_follows_from_size_pace_and_batching(
    batches: bool, size_bytes: int, servable: Any, has_fast: bool, lane: Lane
) -> None:
    assert Lanes(batches).choose(size_bytes, servable, has_fast) is lane


def test_no_request_runs_at_once_with_batching() -> None:
    assert Lanes(batches=False).at_once_bytes == AT_ONCE_BYTES
    assert Lanes(batches=True).at_once_bytes < 0


@pytest.mark.parametrize(
    ("servable", "call", "on_loop", "options"),
    [
        (version("fast"), CALL, True, IN_PLACE),
        (version("fast", call=None), None, True, IN_PLACE),
        (version("new"), None, False, IN_PLACE),
        (version("slow"), None, False, b"shared"),
    ],
    ids=["fast", "fast, another signature", "new", "slow"],
)
def test_the_pace_decides_on_the_loop_and_on_a_thread(
    servable: Any, call: object | None, on_loop: bool, options: bytes
) -> None:
    assert prepared_call(servable) is call
    assert runs_on_loop(servable) is on_loop
    assert thread_options(servable, b"shared") == options


def test_a_thread_runs_an_unknown_version_as_a_slow_one() -> None:
    assert thread_options(None, b"shared") == b"shared"
