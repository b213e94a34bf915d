"""Retries: only what may pass, bounded, as long as the server asks for, and over at once when called off."""

from __future__ import annotations

import threading

import pytest

from tfs_workflow.errors import FetchFailedError, RunInterruptedError, SourceUnreachableError
from tfs_workflow.sources.transfer import (
    ATTEMPTS,
    LONGEST_RETRY_AFTER_S,
    TransferContext,
    TransientFetchError,
    with_retries,
)


class Flaky:
    """Fails with each of the errors in turn, then returns how often it was called."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def fault(retry_after_s: float = 0.0) -> TransientFetchError:
    return TransientFetchError("the server hiccups", retry_after_s=retry_after_s)


def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    said: list[str] = []
    transfer = TransferContext(notify=said.append, sleep=pauses.append)
    assert with_retries(Flaky(fault(), fault(), fault()), transfer) == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1
    assert 0 < pauses[0] < pauses[-1] < 10
    assert said[0].startswith("the server hiccups; trying again in")


def test_the_pauses_are_jittered() -> None:
    pauses: list[float] = []
    for _ in range(5):
        with_retries(Flaky(fault()), TransferContext(sleep=pauses.append))
    assert len(set(pauses)) > 1


def test_it_ends_with_the_last_error() -> None:
    errors = [fault() for _ in range(ATTEMPTS + 1)]
    flaky = Flaky(*errors)
    with pytest.raises(TransientFetchError) as failure:
        with_retries(flaky, TransferContext(sleep=lambda _: None))
    assert failure.value is errors[ATTEMPTS - 1]
    assert isinstance(failure.value, SourceUnreachableError)


@pytest.mark.parametrize("error", [FetchFailedError("no"), SourceUnreachableError("no"), KeyError("a bug")])
def test_nothing_else_is_tried_again(error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        with_retries(flaky, TransferContext())
    assert flaky.calls == 1


def test_the_servers_own_pause_is_honoured() -> None:
    pauses: list[float] = []
    with_retries(Flaky(fault(retry_after_s=20.0)), TransferContext(sleep=pauses.append))
    assert pauses == [20.0]


def test_a_pause_beyond_all_patience_is_not_waited_for() -> None:
    flaky = Flaky(fault(retry_after_s=LONGEST_RETRY_AFTER_S + 1))
    with pytest.raises(TransientFetchError):
        with_retries(flaky, TransferContext())
    assert flaky.calls == 1


def test_calling_it_off_ends_the_pause_at_once() -> None:
    cancelled = threading.Event()
    transfer = TransferContext(notify=lambda _: cancelled.set(), cancelled=cancelled)
    flaky = Flaky(fault(retry_after_s=LONGEST_RETRY_AFTER_S))
    with pytest.raises(RunInterruptedError):
        with_retries(flaky, transfer)
    assert flaky.calls == 1
