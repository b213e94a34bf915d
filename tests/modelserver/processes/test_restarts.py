"""When an engine is started again, as figures."""

from __future__ import annotations

from tfs_workflow.modelserver.processes.restarts import MOST_ENDS, Restarts


def test_the_first_engine_is_replaced_at_once_and_the_next_ones_later() -> None:
    restarts = Restarts()
    assert [restarts.wait_s(float(second), was_busy=True) for second in range(7)] == [0, 0.25, 0.5, 1, 2, 4, 8]
    assert restarts.wait_s(8.0, was_busy=True) == 8


def test_busy_engines_are_replaced_for_ever() -> None:
    restarts = Restarts()
    assert None not in [restarts.wait_s(float(second), was_busy=True) for second in range(100)]


def test_idle_engines_are_given_up_after_five_in_a_minute() -> None:
    restarts = Restarts()
    waits = [restarts.wait_s(float(second), was_busy=False) for second in range(MOST_ENDS)]
    assert waits[-1] is None
    assert None not in waits[:-1]


def test_ends_of_more_than_a_minute_ago_are_forgotten() -> None:
    restarts = Restarts()
    assert [restarts.wait_s(61.0 * number, was_busy=False) for number in range(10)] == [0] * 10
