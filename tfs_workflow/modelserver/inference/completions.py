"""Delivers results from worker threads to the event loop, or a timeout in their place."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.status_error import StatusError

Done = Callable[[Any], None]


class Completions:
    """All requests under way. Results that arrive together cause one wake-up, which costs more than a small run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, usual_timeout_ms: int) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._usual_timeout_ms = usual_timeout_ms
        self._arrived: deque[tuple[Completion, Any]] = deque()
        self._is_woken = False
        # Those with the usual timeout expire in the order in which they came: one timer is enough for all.
        self._waiting: deque[tuple[float, Completion]] = deque()
        self._has_timer = False

    def register(self, done: Done, timeout_ms: int | None = None) -> Completion:
        """A completion that calls `done` on the loop; without a timeout the usual one applies, 0 is none."""
        completion = Completion(self, done)
        if timeout_ms is not None:
            if timeout_ms > 0:
                self._loop.call_later(timeout_ms / 1000, completion.expire)
        elif self._usual_timeout_ms > 0:
            self._waiting.append((self._loop.time() + self._usual_timeout_ms / 1000, completion))
            if not self._has_timer:
                self._set_timer()
        return completion

    def deliver(self, completion: Completion, result: Any) -> None:
        """Take a result from any thread to the event loop."""
        if threading.get_ident() == self._loop_thread:
            completion.complete(result)
            return
        self._arrived.append((completion, result))
        if not self._is_woken:
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
        while self._waiting and (self._waiting[0][0] <= now_s or self._waiting[0][1].is_expired):
            self._waiting.popleft()[1].expire()
        self._has_timer = False
        if self._waiting:
            self._set_timer()


class Completion:
    """The end of one request: the first result or error counts, whatever comes later is dropped."""

    __slots__ = ("_completions", "_done")

    def __init__(self, completions: Completions, done: Done) -> None:
        self._completions = completions
        self._done: Done | None = done

    @property
    def is_expired(self) -> bool:
        """Whether a result would be dropped."""
        return self._done is None

    def complete_threadsafe(self, result: Any) -> None:
        """From any thread."""
        self._completions.deliver(self, result)

    def complete(self, result: Any) -> None:
        """On the event loop."""
        done, self._done = self._done, None
        if done is not None:
            done(result)

    def expire(self) -> None:
        """The time has passed; in TensorFlow's own words for a run that took too long."""
        self.complete(StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification"))
