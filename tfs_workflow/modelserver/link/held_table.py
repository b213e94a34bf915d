"""The requests of a front by number, from their coming to their answer: how old they are, and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tfs_workflow.modelserver.link import frames, held_requests
from tfs_workflow.modelserver.link.held_requests import Ages, Failure, Held, HeldCall
from tfs_workflow.modelserver.metrics.counts import UNRUN, Counts


class HeldTable:
    """All that a front holds; `headers` are those of every JSON answer, and `counts` are the front's own."""

    def __init__(self, timeout_ms: int, headers: bytes, most_bytes: int, counts: Counts) -> None:
        # Read and written in place by each request.
        self.by_number: dict[int, Held] = {}
        self._loop = asyncio.get_running_loop()
        self._timeout_ms = timeout_ms
        self._headers = headers
        self._most_bytes = most_bytes
        self._counts = counts
        self._ages = Ages()

    def fail(self, numbers: Iterable[int], failure: Failure) -> None:
        """Answer these requests with an error, those of them that are not answered."""
        for number in numbers:
            held = self.by_number.pop(number, None)
            if held is not None:
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

    def has_room(self, held: Held) -> bool:
        """Whether a large body may be held beside the others; small ones are bounded by the connections."""
        size = held_requests.size_bytes(held)
        total = 0
        if size >= frames.LARGE_BYTES:
            total = sum(map(held_requests.size_bytes, self.by_number.values()))
        return total < frames.LARGE_BYTES or size + total <= self._most_bytes
