"""When a request is due: when the one before is answered (a closed loop), or at its moment (an open loop).

A closed loop sends less while the server is slow, and so leaves out the very requests that would have waited. An open
loop goes on sending as users do, and counts from the moment at which a request was due, however late it was sent
(https://github.com/giltene/wrk2, coordinated omission).
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Protocol

from tfs_workflow.quality.bench.generator.connection import Connection
from tfs_workflow.quality.bench.generator.orders import Orders

# Sent between two looks at the sockets, by a generator that is behind.
_BURST = 32
# The clock of a system that is not real-time is no better.
_LATE_NS = 1_000_000
_NEVER_NS = sys.maxsize


class Loop(Protocol):
    """What sends the requests."""

    def opened(self) -> Connection | None:
        """A new connection; None where the server is gone."""

    def open_count(self) -> int:
        """How many connections are open."""

    def start(self, connection: Connection, due_ns: int) -> None:
        """Send the next request of a free connection."""

    def was_late(self) -> None:
        """Count a request that was sent later than it was due, for no fault of the server."""


class Pace(Protocol):
    """When requests are due, and which answers count."""

    def begin(self) -> None:
        """Open connections."""

    def dispatch(self, now_ns: int) -> int:
        """Send what is due; returns when the next request is due by itself."""

    def freed(self, connection: Connection, now_ns: int) -> None:
        """A connection is free."""

    def forget(self, connection: Connection) -> None:
        """A connection was lost."""

    def counts(self, due_ns: int, now_ns: int, from_ns: int) -> bool:
        """Whether an answer counts that came now; those of the warm-up, before `from_ns`, do not."""

    def unanswered(self) -> int:
        """Requests that were due and are not answered."""

    def behind_ns(self) -> int:
        """How far the generator is behind its own plan."""


class ClosedPace:
    """Each connection sends its next request as soon as the one before is answered."""

    def __init__(self, orders: Orders, loop: Loop, end_ns: int) -> None:
        self._count, self._loop, self._end_ns = orders.connections, loop, end_ns

    def begin(self) -> None:
        """Open every connection, and send its first request."""
        for _ in range(self._count):
            if connection := self._loop.opened():
                self._loop.start(connection, time.monotonic_ns())

    def dispatch(self, now_ns: int) -> int:  # noqa: ARG002  # the open loop's
        """When the next request is due by itself: never."""
        return _NEVER_NS

    def freed(self, connection: Connection, now_ns: int) -> None:
        """A connection is free: its next request is due."""
        self._loop.start(connection, now_ns)

    def forget(self, connection: Connection) -> None:
        """A connection was lost."""

    def counts(self, due_ns: int, now_ns: int, from_ns: int) -> bool:  # noqa: ARG002  # the open loop's
        """Whether an answer counts: where it came in the interval, as wrk has it."""
        return from_ns <= now_ns <= self._end_ns

    def unanswered(self) -> int:
        """Requests that were due and are not answered: none, since the next is not due before."""
        return 0

    def behind_ns(self) -> int:
        """How far it is behind: never."""
        return 0


class OpenPace:
    """A request is due at every interval; it is sent over a free connection, or over a new one while there may be."""

    def __init__(self, orders: Orders, loop: Loop, begin_ns: int, end_ns: int) -> None:
        self._loop, self._most, self._end_ns = loop, orders.connections, end_ns
        self._interval_ns = 1e9 / orders.rate_per_s
        # By multiplication, since the error of a sum would grow.
        self._first_ns, self._sent = begin_ns + int(orders.first_due_s * 1e9), 0
        self._next_ns = self._first_ns
        # The connection used last is used first: no more are opened than are needed at once.
        self._free: list[Connection] = []
        self._waiting: deque[int] = deque()
        self._behind_ns = 0

    def begin(self) -> None:
        """Open a first connection."""
        if connection := self._loop.opened():
            self._free.append(connection)

    def dispatch(self, now_ns: int) -> int:
        """Send what is due; returns when the next request is."""
        for _ in range(_BURST):
            if self._next_ns > now_ns or self._next_ns >= self._end_ns:
                break
            self._send(self._next_ns, now_ns)
            self._sent += 1
            self._next_ns = self._first_ns + int(self._sent * self._interval_ns)
        self._behind_ns = max(0, min(now_ns, self._end_ns) - self._next_ns)
        return self._next_ns if self._next_ns < self._end_ns else _NEVER_NS

    def _send(self, due_ns: int, now_ns: int) -> None:
        if not self._free and self._loop.open_count() < self._most and (opened := self._loop.opened()):
            self._free.append(opened)
        if not self._free:
            self._waiting.append(due_ns)
            return
        if now_ns - due_ns > _LATE_NS:
            self._loop.was_late()
        self._loop.start(self._free.pop(), due_ns)

    def freed(self, connection: Connection, now_ns: int) -> None:  # noqa: ARG002  # the closed loop's
        """A connection is free: for the request that has waited longest, if any."""
        if self._waiting:
            self._loop.start(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection was lost."""
        if connection in self._free:
            self._free.remove(connection)

    def counts(self, due_ns: int, now_ns: int, from_ns: int) -> bool:  # noqa: ARG002  # the closed loop's
        """Whether an answer counts: where its request was due, so that none that waited is left out."""
        return due_ns >= from_ns

    def unanswered(self) -> int:
        """Requests that were due and are not answered."""
        return len(self._waiting) + self._loop.open_count() - len(self._free)

    def behind_ns(self) -> int:
        """How far it is behind its own plan."""
        return self._behind_ns
