"""All connections of one port: counted, swept for those that are too slow, and ended gracefully.

A client that sends one byte a minute holds memory and a place among the connections for ever. Each protocol has its own
deadlines, but counting, sweeping and ending are the same, so they are here once. A timer for each connection would be
set and cancelled with every request. Instead one task looks at all connections each second, so that a request only
stores a number. A deadline may be overrun by a second, which is little beside the limits below.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tfs_workflow.modelserver.exchange import Cancel
from tfs_workflow.modelserver.net.open_counts import CountedConnections, PortCount

AppT = TypeVar("AppT")


@dataclass(frozen=True)
class ConnectionLimits:
    """What one client may ask for."""

    # What a body may have; more is answered with 413, before it is read where its length is announced.
    max_body_bytes: int = 256 * 2**20
    # From this length on a body is received into memory of its own, one piece per iteration of the event loop.
    large_body_bytes: float = 2**20
    # Request line and headers together; more is answered with 431.
    max_head_bytes: int = 256 * 2**10
    max_connections: int = 4096
    # So many requests of one connection wait while another is in work; then the socket is not read any further.
    max_pipelined: int = 16
    # The same bound for gRPC: calls of one connection at the same time.
    max_streams: int = 1000
    # From the first byte of a request to the blank line, and from connecting to the first byte.
    head_timeout_s: float = 20
    # A body may take this long, and the time that its length takes at the slowest rate allowed.
    body_timeout_s: float = 30
    min_body_bytes_per_s: float = 16 * 2**10
    # Between two requests of one connection.
    idle_timeout_s: float = 300
    # How long a client may leave a response unread while more of it is to be sent.
    write_timeout_s: float = 60


class Connection(Protocol):
    """What the server needs of a connection."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is in work."""

    def is_late(self, now_s: float) -> bool:
        """Whether the client has kept us waiting for too long."""

    def expire(self) -> None:
        """The client was late."""

    def announce(self) -> None:
        """The server will end: tell the client where the protocol can."""

    def end(self) -> None:
        """The server ends: close what is idle; the rest closes with its last response."""


class Connections(Generic[AppT]):
    """The connections of one port, each speaking the protocol to the application.

    `count` is what the processes of a server share; a server of one process has none. `cancel` takes what the
    application returned for a request whose client has left.
    """

    def __init__(
        self,
        protocol: Callable[[Any], asyncio.Protocol],
        app: AppT,
        limits: ConnectionLimits,
        count: PortCount | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self.app = app
        self._cancel = cancel
        self.limits = limits
        self.open: set[Any] = set() if count is None else CountedConnections(count)
        self.count = count
        # Every answer then says that its connection closes, where the protocol can.
        self.announced = False
        # Whether this value of Authorization is enough, for connections that ask for it.
        self.allows: Callable[[bytes], bool] = lambda _: False
        self.ending = False
        self._protocol = protocol

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a new connection, as asyncio's servers want it."""
        return self._protocol(self)

    @property
    def is_full(self) -> bool:
        """Whether one more connection is too many."""
        # The new connection counts already, so that exactly `max_connections` are served.
        total = len(self.open) if self.count is None else self.count.total()
        return total > self.limits.max_connections

    def cancel(self, number: int | None) -> None:
        """The client of a request has left; `number` is what the application returned for it."""
        if number and self._cancel is not None:
            self._cancel(number)

    def sweep(self) -> None:
        """End every connection whose client is late; called each second."""
        now_s = time.monotonic()
        # A list first: `expire` may close a connection and take it out of the set.
        for connection in [c for c in self.open if c.is_late(now_s)]:
            connection.expire()

    def announce(self, app: AppT) -> None:
        """Tell the clients that the server will end, and serve them on; `app` takes the place of the application."""
        self.app, self.announced = app, True
        for connection in list(self.open):
            connection.announce()

    def end(self) -> None:
        """Close what is idle; the rest closes with its next response."""
        self.ending = True
        # For the same reason as in `sweep`.
        for connection in list(self.open):
            connection.end()

    @property
    def is_busy(self) -> bool:
        """Whether a request is still in work."""
        return any(connection.is_busy for connection in self.open)


def end_sending(transport: Any) -> None:
    """End the sending side of a connection, and all of it where its transport cannot end one side alone."""
    if transport.can_write_eof() and not transport.is_closing():
        with suppress(OSError):  # the client is gone in this very moment
            transport.write_eof()
    else:
        transport.close()
