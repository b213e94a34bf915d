"""Steps that do not need each other run together and end together."""

from __future__ import annotations

import threading

import pytest

from tfs_workflow.errors import ConfigError, FetchFailedError, RunInterruptedError
from tfs_workflow.workflow.parallel import MultipleFailuresError, run_all

LONG_S = 30


def test_the_steps_run_at_the_same_time_and_give_their_results_by_name() -> None:
    together = threading.Barrier(3, timeout=LONG_S)

    def step(result: int) -> int:
        together.wait()
        return result

    steps = {str(n): lambda n=n: step(n) for n in range(3)}
    assert run_all(steps, threading.Event()) == {"0": 0, "1": 1, "2": 2}


def test_the_first_failure_calls_the_others_off() -> None:
    cancelled = threading.Event()

    def patient() -> None:
        if cancelled.wait(LONG_S):
            raise RunInterruptedError("called off")

    def failing() -> None:
        raise FetchFailedError("no such image")

    with pytest.raises(FetchFailedError, match="no such image"):
        run_all({"a": patient, "b": failing}, cancelled)


def test_failures_of_several_steps_are_told_together() -> None:
    met = threading.Barrier(2, timeout=LONG_S)

    def failing(error: Exception) -> None:
        met.wait()
        raise error

    steps = {
        "a": lambda: failing(FetchFailedError("no such image")),
        "b": lambda: failing(ConfigError("no such path")),
    }
    with pytest.raises(MultipleFailuresError, match=r"(?s)no such (image|path).*no such (image|path)") as error:
        run_all(steps, threading.Event())
    assert error.value.exit_code in (FetchFailedError.exit_code, ConfigError.exit_code)


def test_a_fault_of_ours_is_not_dressed_up_as_the_users() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_all({"a": broken}, threading.Event())


def test_a_step_that_hangs_does_not_hold_up_the_failure() -> None:
    never = threading.Event()

    def failing() -> None:
        raise FetchFailedError("no such image")

    with pytest.raises(FetchFailedError):
        run_all({"hangs": lambda: never.wait(LONG_S), "fails": failing}, threading.Event())
