"""The requests of a front by number, from their coming to their answer: how old they are, and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tfs_workflow.modelserver.link import held_requests, run_notes
from tfs_workflow.modelserver.link.held_bytes import OwnBytes
from tfs_workflow.modelserver.link.held_requests import Ages, Failure, Held, HeldArray, HeldCall, HeldHttp, HeldRun
from tfs_workflow.modelserver.metrics.counts import UNRUN, Counts

# The reason under which a request counts whose client has left, or has reset its stream.
CANCELLED = "cancelled"


class HeldTable:
    """All that a front holds; `headers` are those of every JSON answer, `counts` and `bytes_held` are the front's own.

    Requests that are run by a plan are small, and do not count among the bytes.
    """

    def __init__(self, timeout_ms: int, headers: bytes, counts: Counts, bytes_held: OwnBytes) -> None:
        # Read and written in place by each request.
        self.by_number: dict[int, Held] = {}
        self._loop = asyncio.get_running_loop()
        self._timeout_ms = timeout_ms
        self._headers = headers
        self._counts = counts
        self._bytes = bytes_held
        self._ages = Ages()

    def fail(self, numbers: Iterable[int], failure: Failure) -> None:
        """Answer these requests with an error, those of them that are not answered."""
        for number in numbers:
            held = self.by_number.pop(number, None)
            if held is not None:
                self.release(held)
                self.refuse(held, failure)

    def refuse(self, held: Held, failure: Failure) -> None:
        """Answer a request that is not in the table with an error."""
        self._counts.add(UNRUN, failure.reason)
        held_requests.fail(held, failure.error, self._headers)

    def expire_later(self, number: int, held: Held) -> None:
        """Answer it with a timeout once its time has passed: there is no engine to do so."""
        timeout_ms = held.timeout_ms if isinstance(held, HeldCall) else self._timeout_ms
        if timeout_ms > 0:
            self._loop.call_later(timeout_ms / 1000, self.fail, (number,), held_requests.TIMED_OUT)

    def sweep(self, now_s: float, newest: int) -> None:
        """Answer what an engine that hangs leaves without an answer; `newest` is the last number given."""
        last = self._ages.last_older(now_s, newest, self._timeout_ms / 1000 + 1)
        if self._timeout_ms > 0 and last:
            held = self.by_number.items()
            old = [number for number, one in held if number <= last and not isinstance(one, HeldCall)]
            self.fail(old, held_requests.TIMED_OUT)

    def admit(self, held: HeldHttp | HeldArray | HeldCall) -> bool:
        """Count its body among those that are held, if there is room for it."""
        return self._bytes.take(len(held.content if type(held) is HeldCall else held.request.body))  # type: ignore[union-attr]

    def run_alone(self, numbers: Iterable[int]) -> set[int]:
        """The next engine is to run these without others, those of them that are not answered; their new numbers."""
        alone = set()
        for number in numbers:
            held = self.by_number.pop(number, None)
            if held is not None:
                alone.add(number | run_notes.ALONE)
                self.by_number[number | run_notes.ALONE] = held
        return alone

    def as_they_came(self, numbers: Iterable[int]) -> None:
        """None of these is run by a plan any more."""
        for number in numbers:
            held = self.by_number[number]
            if isinstance(held, HeldRun):
                self._bytes.add(len(held.body))
            if isinstance(held, (HeldRun, HeldArray)):
                self.by_number[number] = held_requests.as_it_came(held)

    def release(self, held: Held) -> None:
        """Its body is not held any more."""
        kind = type(held)
        if kind is not HeldRun:
            # By their types, which is quicker than to ask for a class: every call of gRPC gets here.
            self._bytes.give_back(len(held.content if kind is HeldCall else held.request.body))  # type: ignore[union-attr]

    def cancel(self, number: int) -> int:
        """The client does not wait any more; returns the number that the engine knows, 0 where it is answered."""
        for known in (number, number | run_notes.ALONE):
            held = self.by_number.pop(known, None)
            if held is not None:
                self.release(held)
                self._counts.add(UNRUN, CANCELLED)
                return known
        return 0
