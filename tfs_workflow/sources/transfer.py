"""Progress, cancellation and retries of a transfer; the one place where network faults are retried.

Retrying in several layers multiplies: three attempts in each of three layers are 27 requests to a server in trouble. So
a transfer raises TransientFetchError where a repetition may help, and this module alone repeats. Pauses grow and have a
random part, since many machines that were cut off together would otherwise return together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from tfs_workflow.errors import RunInterruptedError, SourceUnreachableError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
Progress = Callable[[str, int, "int | None"], None]

# The pauses between four attempts are about two seconds together: enough for a connection that was reset, not for a
# server that is down.
ATTEMPTS = 4
_CANCEL_CHECK_INTERVAL_S = 0.1
# A server that names a longer pause is not waited for: the user can decide to try again.
LONGEST_RETRY_AFTER_S = 60.0


class TransientFetchError(SourceUnreachableError):
    """A network fault worth a retry; `retry_after_s` is the pause from the server's Retry-After."""

    def __init__(
        self, what: str, *, where: str = "", evidence: str = "", fix: str = "", retry_after_s: float = 0.0
    ) -> None:
        super().__init__(what, where=where, evidence=evidence, fix=fix)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class TransferContext:
    """Progress callbacks and cancellation for the transfers of one verb.

    `progress` is called with a label, the bytes done and the bytes in all (None where unknown); `notify` with a
    sentence for the user. Both are called from the transfer's own thread. Setting `cancelled` ends the transfer with
    Interrupted, no later than the next network event. `idle_timeout_s` bounds the time between two network events.
    """

    progress: Progress = lambda label, done_bytes, total_bytes: None  # noqa: ARG005  # no output by default
    notify: Callable[[str], None] = lambda text: None  # noqa: ARG005
    cancelled: threading.Event = field(default_factory=threading.Event)
    idle_timeout_s: float = 60.0
    sleep: Callable[[float], None] | None = None

    def check(self) -> None:
        """Raise Interrupted when the transfer was cancelled."""
        if self.cancelled.is_set():
            raise RunInterruptedError("the transfer was cancelled")

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the transfer is cancelled."""
        if self.sleep is None:
            self.cancelled.wait(seconds)
        else:
            self.sleep(seconds)
        self.check()


def waited(call: Callable[[], T], context: TransferContext, where: str) -> T:
    """The result of a call that waits for the network and cannot be ended from outside.

    Cancellation and a silence of `idle_timeout_s` end the wait; the call's own thread then ends by itself.
    """
    future: Future[T] = Future()
    threading.Thread(target=_run, args=(call, future), daemon=True).start()
    deadline = time.monotonic() + context.idle_timeout_s
    while not wait([future], _CANCEL_CHECK_INTERVAL_S).done:
        context.check()
        if time.monotonic() > deadline:
            evidence = f"no answer in {context.idle_timeout_s:g} s"
            raise TransientFetchError("the server is silent", where=where, evidence=evidence)
    return future.result()


def _run(call: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001  # it is raised again where the result is wanted
        future.set_exception(error)


def with_retries(operation: Callable[[], T], context: TransferContext, attempts: int = ATTEMPTS) -> T:
    """Call the operation again after each TransientFetchError, at most `attempts` times in all; the last one is
    raised.
    """

    # Here and not above: a verb that has nothing to fetch starts sooner without it.
    from tenacity import (  # noqa: PLC0415
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_exponential,
        wait_random,
    )

    backoff = wait_exponential(multiplier=0.25, max=8) + wait_random(0, 0.25)

    def notify(state: RetryCallState) -> None:
        pause_s = state.next_action.sleep if state.next_action else 0
        context.notify(f"{_fault(state).what}; trying again in {pause_s:.1f} s ({state.attempt_number}/{attempts - 1})")

    retrying = Retrying(
        retry=retry_if_exception_type(TransientFetchError),
        wait=lambda state: max(backoff(state), _fault(state).retry_after_s),
        stop=lambda state: stop_after_attempt(attempts)(state) or _fault(state).retry_after_s > LONGEST_RETRY_AFTER_S,
        sleep=context.pause,
        before_sleep=notify,
        reraise=True,
    )
    return retrying(operation)


def _fault(state: RetryCallState) -> TransientFetchError:
    fault = state.outcome.exception() if state.outcome else None
    if not isinstance(fault, TransientFetchError):
        raise TypeError("only a TransientFetchError is retried") from fault
    return fault
