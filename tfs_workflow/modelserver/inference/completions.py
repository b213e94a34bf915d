"""Delivers results from worker threads to the event loop, or a timeout in their place.

A result crosses threads once, from a worker to the event loop. `call_soon_threadsafe` writes to the loop's wake-up
socket each time, which takes longer than a small run. So results are collected in a deque, whose `append` and `popleft`
are atomic, and only the first one wakes the loop.

Of a result and a timeout exactly one may be answered. Both end in `Completion.complete`, which runs on the loop alone,
so that no lock is needed: the first call takes `done` away. A worker that finishes after the timeout finds
`is_expired`, or has its result dropped. The run itself cannot be called off; TensorFlow is given the same timeout in
its RunOptions.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.status_error import StatusError

Done = Callable[[Any], None]


class Completions:
    """All requests under way. Results that arrive together cause one wake-up, which costs more than a small run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, usual_timeout_ms: int) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._usual_timeout_ms = usual_timeout_ms
        # Of those that a front may cancel.
        self._by_number: dict[int, Completion] = {}
        self._arrived: deque[tuple[Completion, Any]] = deque()
        self._is_woken = False
        # Those with the usual timeout expire in the order in which they came: one timer is enough for all.
        self._waiting: deque[tuple[float, Completion]] = deque()
        self._has_timer = False

    def register(self, done: Done, timeout_ms: int | None = None) -> Completion:
        """A completion that calls `done` on the loop; without a timeout the usual one applies, 0 is none."""
        completion = Completion(self, done)
        if completion.number:
            self._by_number[completion.number] = completion
        if timeout_ms is not None:
            if timeout_ms > 0:
                self._loop.call_later(timeout_ms / 1000, completion.expire)
        elif self._usual_timeout_ms > 0:
            self._waiting.append((self._loop.time() + self._usual_timeout_ms / 1000, completion))
            if not self._has_timer:
                self._set_timer()
        return completion

    def cancel(self, number: int) -> None:
        """Nobody waits for this request any more: it is not run, unless it has begun."""
        completion = self._by_number.get(number)
        if completion is not None:
            completion.drop()

    def forget(self, number: int) -> None:
        """This request is answered."""
        self._by_number.pop(number, None)

    def deliver(self, completion: Completion, result: Any) -> None:
        """Take a result from any thread to the event loop.

        On the loop's own thread the result is completed at once; else it is completed in one of the next iterations.
        """
        if threading.get_ident() == self._loop_thread:
            completion.complete(result)
            return
        # This order matters: appended first, the result is seen by a wake-up that is already under way.
        self._arrived.append((completion, result))
        if not self._is_woken:
            # Set on several threads without a lock: at worst the loop is woken twice.
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._complete_arrived)

    def _complete_arrived(self) -> None:
        self._is_woken = False  # first: what arrives from here on wakes the loop again
        while self._arrived:
            completion, result = self._arrived.popleft()
            completion.complete(result)

    def _set_timer(self) -> None:
        self._has_timer = True
        self._loop.call_at(self._waiting[0][0], self._expire)

    def _expire(self) -> None:
        now_s = self._loop.time()
        # Answered requests are taken out as well, so that the next timer is set for one that is still under way.
        while self._waiting and (self._waiting[0][0] <= now_s or self._waiting[0][1].is_expired):
            self._waiting.popleft()[1].expire()
        self._has_timer = False
        if self._waiting:
            self._set_timer()


class Completion:
    """The end of one request: the first result or error counts, whatever comes later is dropped."""

    __slots__ = ("_completions", "_done", "number")

    def __init__(self, completions: Completions, done: Done) -> None:
        self._completions = completions
        self._done: Done | None = done
        # That of the request, which another thread may run.
        self.number = run_notes.noted()

    @property
    def is_expired(self) -> bool:
        """Whether a result would be dropped."""
        return self._done is None

    def complete_threadsafe(self, result: Any) -> None:
        """From any thread."""
        self._completions.deliver(self, result)

    def complete(self, result: Any) -> None:
        """On the event loop."""
        # Taken away first: `done` may cause another completion of the same request.
        done = self._done
        if done is not None:
            self.drop()
            done(result)

    def drop(self) -> None:
        """Whatever comes is not answered."""
        self._done = None
        if self.number:
            self._completions.forget(self.number)

    def expire(self) -> None:
        """The time has passed; in TensorFlow's own words for a run that took too long."""
        self.complete(StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification"))
