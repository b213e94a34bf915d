"""All connections of one port: counted, swept for those that are too slow, and ended gracefully."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

AppT = TypeVar("AppT")


@dataclass(frozen=True)
class ConnectionLimits:
    """What one client may ask for."""

    max_body_bytes: int = 256 * 2**20
    large_body_bytes: float = float("inf")
    max_head_bytes: int = 256 * 2**10
    max_connections: int = 4096
    max_pipelined: int = 16
    max_streams: int = 1000
    head_timeout_s: float = 20
    body_timeout_s: float = 30
    min_body_bytes_per_s: float = 16 * 2**10
    idle_timeout_s: float = 300
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

    def end(self) -> None:
        """The server ends: close what is idle; the rest closes with its last response."""


class Connections(Generic[AppT]):
    """The connections of one port, each speaking the protocol to the application."""

    def __init__(self, protocol: Callable[[Any], asyncio.Protocol], app: AppT, limits: ConnectionLimits) -> None:
        self.app = app
        self.limits = limits
        self.open: set[Connection] = set()
        self.ending = False
        self._protocol = protocol

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a new connection, as asyncio's servers want it."""
        return self._protocol(self)

    @property
    def is_full(self) -> bool:
        """Whether one more connection is too many."""
        return len(self.open) > self.limits.max_connections or self.ending

    def sweep(self) -> None:
        """End every connection whose client is late; called each second."""
        now_s = time.monotonic()
        for connection in [c for c in self.open if c.is_late(now_s)]:
            connection.expire()

    def end(self) -> None:
        """Close what is idle; the rest closes with its next response."""
        self.ending = True
        for connection in list(self.open):
            connection.end()

    @property
    def is_busy(self) -> bool:
        """Whether a request is still in work."""
        return any(connection.is_busy for connection in self.open)
