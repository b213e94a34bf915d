"""How many bytes of bodies all fronts hold together, in memory that they share.

Each front writes down its own sum and adds up those of all. Two fronts that look in the same microsecond may both let a
body in, which is bounded by the size of a body.
"""

from __future__ import annotations

import mmap


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
        sums[front] = 0  # a front that ended has left its own there

    def take(self, size_bytes: int) -> bool:
        """Hold a body, if there is room; one alone may be of any size."""
        total = sum(self._sums)
        if size_bytes and total and total + size_bytes > self._most_bytes:
            return False
        self.add(size_bytes)
        return True

    def add(self, size_bytes: int) -> None:
        """Hold a body, whether there is room or not."""
        self._sums[self._front] += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """A body is not held any more."""
        self._sums[self._front] -= size_bytes
