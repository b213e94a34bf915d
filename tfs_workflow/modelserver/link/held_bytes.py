"""How many bytes of bodies all fronts hold together, in memory that they share.

Each front writes down its own sum and adds up those of all. It does so once the sum has changed by some kilobytes, and
may hold so much more: each small request would pay for it. Two fronts that look in the same microsecond may both let a
body in.
"""

from __future__ import annotations

import mmap

_UNWRITTEN_BYTES = 16 * 2**10


class HeldBytes:
    """The sums of a server with so many fronts; made before they are forked."""

    def __init__(self, fronts: int) -> None:
        self._sums = memoryview(mmap.mmap(-1, 8 * fronts)).cast("Q")

    def of(self, front: int, most_bytes: int) -> OwnBytes:
        """What a front holds, of so many bytes that all may hold."""
        return OwnBytes(self._sums, front, most_bytes)


class OwnBytes:
    """The sums of all fronts, of which one is its own."""

    def __init__(self, sums: memoryview, front: int, most_bytes: int) -> None:
        self._sums = sums
        self._front = front
        self._most_bytes = most_bytes
        self._own = self._written = 0
        sums[front] = 0  # a front that ended has left its own there

    def take(self, size_bytes: int) -> bool:
        """Hold a body, if there is room; one alone may be of any size."""
        own = self._own + size_bytes
        if own - self._written > _UNWRITTEN_BYTES:
            others = sum(self._sums) - self._written
            if others + self._own and others + own > self._most_bytes:
                return False
            self._write(own)
        self._own = own
        return True

    def add(self, size_bytes: int) -> None:
        """Hold a body, whether there is room or not."""
        self._own += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """A body is not held any more."""
        own = self._own = self._own - size_bytes
        if self._written - own > _UNWRITTEN_BYTES:
            self._write(own)

    def _write(self, own: int) -> None:
        self._sums[self._front] = self._written = own
