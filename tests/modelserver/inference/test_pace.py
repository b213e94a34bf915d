"""Which models may hold up the event loop: judged by what their runs compute, not by what they waited for."""

from __future__ import annotations

from tfs_workflow.modelserver.inference.servable import Pace


def fast() -> Pace:
    pace = Pace()
    for _ in range(Pace.PROMOTE_AT):
        pace.note(0.0001)
    assert pace.is_fast
    return pace


def test_a_model_begins_on_trial_and_is_fast_after_some_quick_runs() -> None:
    pace = Pace()
    assert pace.is_probing
    for _ in range(Pace.PROMOTE_AT - 1):
        pace.note(0.0001)
        assert not pace.is_fast
    pace.note(0.0001)
    assert pace.is_fast


def test_a_run_that_waited_for_others_and_computed_little_is_a_fast_one() -> None:
    pace = Pace()
    for _ in range(Pace.PROMOTE_AT):
        pace.note(0.015, computed_s=0.0001)
    assert pace.is_fast


def test_a_run_that_was_a_little_long_or_of_which_nothing_is_known_costs_a_point() -> None:
    for computed_s in (0, 0.0015):
        pace = fast()
        pace.note(0.0019, computed_s)
        assert not pace.is_fast
        assert pace.is_probing
        pace.note(0.0001)
        assert pace.is_fast


def test_a_run_that_computed_for_long_or_lasted_very_long_costs_all_and_the_next_probe_is_later() -> None:
    for elapsed_s, computed_s in ((0.003, 0.003), (0.03, 0.0001), (0.03, 0)):
        pace = fast()
        pace.note(elapsed_s, computed_s)
        assert not pace.is_probing
        for _ in range(Pace.PROMOTE_AT - 1):
            pace.note(0.0001)
            assert not pace.is_fast
