"""How many connections each front has open, in memory that all of them share.

The limit of a port is one for the whole server, and the kernel hands connections to whichever front is free. So each
front writes down its own count, and adds up those of all when a connection comes. Two that come to two fronts in the
same microsecond may both be let in, which does no harm.
"""

from __future__ import annotations

import mmap

# REST and gRPC.
_PORTS = 2


class OpenCounts:
    """The counts of a server with so many fronts; made before they are forked."""

    def __init__(self, fronts: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * _PORTS * fronts)).cast("I")

    def of(self, front: int, port: int) -> PortCount:
        """What a front counts on a port; both count from 0."""
        return PortCount(self._counts[port::_PORTS], front)


class PortCount:
    """The counts of all fronts on one port, of which one is its own."""

    def __init__(self, counts: memoryview, front: int) -> None:
        self.fronts = len(counts)
        self._counts = counts
        self._front = front
        counts[front] = 0  # a front that ended has left its own there

    def set(self, count: int) -> None:
        """This front has so many connections open."""
        self._counts[self._front] = count

    def least(self) -> int:
        """The fewest that a front has open."""
        return min(self._counts.tolist())

    def total(self) -> int:
        """What all fronts together have open."""
        return sum(self._counts.tolist())


class CountedConnections(set[object]):
    """A set of connections that writes down its size."""

    def __init__(self, count: PortCount) -> None:
        super().__init__()
        self._count = count

    def add(self, connection: object) -> None:
        """A client has connected."""
        super().add(connection)
        self._count.set(len(self))

    def discard(self, connection: object) -> None:
        """A client is gone."""
        super().discard(connection)
        self._count.set(len(self))
