"""When an engine that has ended is started again, and when the server gives up.

An engine that a request ended is replaced however often that happens, at growing distances: the requests are to blame,
and others are still answered in between. One that ends while it loads or while nothing runs will do so again, so that
the server ends with it after a few attempts, and its exit code shows the cause.
"""

from __future__ import annotations

from collections import deque

# So many ends of an engine without a request in work, within this time, are too many.
MOST_ENDS = 5
_WITHIN_S = 60.0
# The second start in a row waits this long, each further one twice as long as the one before.
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0


class Restarts:
    """The ends of the engines of one server, in the seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, bool]] = deque()

    def wait_s(self, now_s: float, was_busy: bool) -> float | None:
        """Seconds until the next start after an end now; None to give up. `was_busy`: requests were in work."""
        self._ends.append((now_s, was_busy))
        while self._ends[0][0] < now_s - _WITHIN_S:
            self._ends.popleft()
        if sum(not busy for _, busy in self._ends) >= MOST_ENDS:
            return None
        earlier = len(self._ends) - 1
        return min(_FIRST_WAIT_S * 2 ** (earlier - 1), _LONGEST_WAIT_S) if earlier else 0.0
