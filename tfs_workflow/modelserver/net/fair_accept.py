"""Accepts connections from a socket that several fronts share, so that each has about as many as the others.

The kernel wakes all fronts for a new connection. The first to come would take that one and every other that waits, as
asyncio's servers do: of 16 connections one front had all. Separate sockets for the fronts (SO_REUSEPORT) would be
filled by chance, and would let a second server take the same port unnoticed. So a front accepts one connection in each
iteration of its loop, and leaves it for a moment where another front has fewer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from tfs_workflow.modelserver.net.connections import Connections
from tfs_workflow.modelserver.net.open_counts import PortCount

# How long a connection is left to a front with fewer, and how often: that front may be busy, or may hang.
_LEAVE_S = 0.001
_MOST_LEFT = 3


class FairAccept:
    """The accepting of one front on one socket that listens."""

    def __init__(
        self, listener: socket.socket, connections: Connections[object], count: PortCount, tls: ssl.SSLContext | None
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._connections = connections
        self._count = count
        self._tls = tls
        self._left = 0
        self._has_ended = False
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._watch()

    def close(self) -> None:
        """Accept no further connection."""
        self._has_ended = True
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _watch(self) -> None:
        if not self._has_ended:
            self._loop.add_reader(self._listener, self._on_connection)

    def _on_connection(self) -> None:
        own = len(self._connections.open) + len(self._tasks)
        if own > self._count.least() and self._left < _MOST_LEFT:
            self._left += 1
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_LEAVE_S, self._watch)
            return
        self._left = 0
        # Another front may have been faster.
        with suppress(BlockingIOError, ConnectionError):
            accepted, _ = self._listener.accept()
            self._count.set(own + 1)
            task: asyncio.Task[object] = self._loop.create_task(self._connect(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client that leaves during the TLS handshake is no error of ours.
        with suppress(OSError):
            most_s = self._connections.limits.head_timeout_s if self._tls else None
            await self._loop.connect_accepted_socket(
                self._connections, accepted, ssl=self._tls, ssl_handshake_timeout=most_s
            )
