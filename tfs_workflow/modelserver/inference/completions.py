"""Brings results from threads to the event loop, or says in their place that their time has passed."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.status import StatusError

Done = Callable[[Any], None]


class Answers:
    """All results under way. Those that arrive together wake the loop once: waking it costs more than a small run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, usual_timeout_ms: int) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._usual_timeout_ms = usual_timeout_ms
        self._arrived: deque[tuple[Answer, Any]] = deque()
        self._is_woken = False
        # Those with the usual timeout expire in the order in which they came: one timer is enough for all.
        self._waiting: deque[tuple[float, Answer]] = deque()
        self._has_timer = False

    def expect(self, done: Done, timeout_ms: int | None = None) -> Answer:
        """An answer that `done` gets on the loop; without a timeout the usual one applies, 0 is none."""
        answer = Answer(self, done)
        if timeout_ms is not None:
            if timeout_ms > 0:
                self._loop.call_later(timeout_ms / 1000, answer.expire)
        elif self._usual_timeout_ms > 0:
            self._waiting.append((self._loop.time() + self._usual_timeout_ms / 1000, answer))
            if not self._has_timer:
                self._set_timer()
        return answer

    def arrive(self, answer: Answer, result: Any) -> None:
        """A result, from any thread."""
        if threading.get_ident() == self._loop_thread:
            answer.now(result)
            return
        self._arrived.append((answer, result))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_woken = False  # first: what arrives from here on wakes the loop again
        while self._arrived:
            answer, result = self._arrived.popleft()
            answer.now(result)

    def _set_timer(self) -> None:
        self._has_timer = True
        self._loop.call_at(self._waiting[0][0], self._expire)

    def _expire(self) -> None:
        now_s = self._loop.time()
        while self._waiting and (self._waiting[0][0] <= now_s or self._waiting[0][1].is_late):
            self._waiting.popleft()[1].expire()
        self._has_timer = False
        if self._waiting:
            self._set_timer()


class Answer:
    """One result under way."""

    __slots__ = ("_answers", "_done")

    def __init__(self, answers: Answers, done: Done) -> None:
        self._answers = answers
        self._done: Done | None = done

    @property
    def is_late(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._done is None

    def soon(self, result: Any) -> None:
        """From any thread."""
        self._answers.arrive(self, result)

    def now(self, result: Any) -> None:
        """On the event loop."""
        done, self._done = self._done, None
        if done is not None:
            done(result)

    def expire(self) -> None:
        """The time has passed; in TensorFlow's own words for a run that took too long."""
        self.now(StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification"))
