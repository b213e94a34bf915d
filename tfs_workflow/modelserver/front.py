"""The front: the connections of REST and gRPC, between listening sockets and two applications.

It knows no models. The applications are the engine's own in a server of one process (server.py), and the client's side
of a Unix socket in a family of processes (processes/front_process.py).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from tfs_workflow.modelserver.access.access import Access
from tfs_workflow.modelserver.exchange import Cancel, GrpcApp, HttpApp
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.grpc.grpc_connection import GrpcConnection
from tfs_workflow.modelserver.grpc.guarded_grpc import GuardedGrpcConnection
from tfs_workflow.modelserver.http.guarded_http import GuardedHttpConnection
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.net import announced
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections
from tfs_workflow.modelserver.net.fair_accept import FairAccept
from tfs_workflow.modelserver.net.listeners import Listener, Listeners
from tfs_workflow.modelserver.net.open_counts import PortCount

# After the announcement, requests that clients had sent before they heard of it still arrive.
_ON_THEIR_WAY_S = 0.05


class Front:
    """All connections of a process; `counts` are those of REST and gRPC in all processes of the server."""

    def __init__(
        self,
        flags: Flags,
        apps: tuple[HttpApp, GrpcApp],
        access: Access,
        counts: Sequence[PortCount | None] = (None, None),
        cancel: Cancel | None = None,
    ) -> None:
        limits = ConnectionLimits(
            max_body_bytes=flags.rest_api_max_body_bytes, max_connections=flags.rest_api_max_connections
        )
        self._drain_s = flags.drain_seconds
        self._linger_s = max(flags.drain_linger_seconds, _ON_THEIR_WAY_S)
        self._has_health = flags.enable_grpc_healthcheck_service
        self._access, self._apps = access, apps
        guarded = access.token is not None
        self._http = Connections(
            GuardedHttpConnection if guarded else HttpConnection, apps[0], limits, counts[0], cancel
        )
        self._grpc = Connections(
            GuardedGrpcConnection if guarded else GrpcConnection, apps[1], limits, counts[1], cancel
        )
        self._token_serial = 0
        if access.token is not None:
            self._token_serial = access.token.serial
            self._http.allows = self._grpc.allows = access.token.allows
        self._servers: list[asyncio.AbstractServer] = []
        self._fair: list[FairAccept] = []

    async def accept(self, listeners: Listeners) -> None:
        """Take connections from sockets that listen already."""
        self._renew()
        for listener in listeners.grpc:
            await self._serve(self._grpc, listener, self._access.grpc)
        for listener in listeners.rest:
            await self._serve(self._http, listener, self._access.rest)

    async def _serve(self, connections: Connections[Any], listener: Listener, tls: ssl.SSLContext | None) -> None:
        count = connections.count
        if count is not None and count.fronts > 1:
            self._fair.append(FairAccept(listener.socket, connections, count, tls))
            return
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if listener.address.startswith("unix:") else loop.create_server
        most_s = connections.limits.head_timeout_s if tls else None
        made = create(connections, sock=listener.socket, backlog=1024, ssl=tls, ssl_handshake_timeout=most_s)
        self._servers.append(await made)

    async def sweep(self) -> None:
        """End connections whose client is late, and look after files, each second, until cancelled."""
        while True:
            await asyncio.sleep(1)
            for connections in (self._grpc, self._http):
                connections.sweep()
            self._renew()

    def _renew(self) -> None:
        """Read a certificate or a token again that was replaced on disk."""
        if self._access.certificate is not None:
            self._access.certificate.renew()
        token = self._access.token
        if token is None:
            return
        token.renew()
        if token.serial != self._token_serial:
            self._token_serial = token.serial
            for connection in self._http.open:
                connection.forget()

    def announce(self) -> None:
        """Tell balancers and clients that the server will end, and serve on, new connections, too."""
        http_app, grpc_app = self._apps
        self._http.announce(announced.http_app(http_app))
        self._grpc.announce(announced.grpc_app(grpc_app) if self._has_health else grpc_app)

    async def drain(self) -> None:
        """Take no new connections, and return once what is in work is finished or the time for that has passed."""
        deadline_s = time.monotonic() + self._drain_s
        # What the kernel has accepted already is ours.
        await asyncio.sleep(0.001)
        for server in self._servers:
            server.close()
        for fair in self._fair:
            fair.close()
        self.announce()
        both = (self._grpc, self._http)
        await _until(lambda: not any(one.open for one in both), min(time.monotonic() + self._linger_s, deadline_s))
        for connections in both:
            connections.end()
        await _until(lambda: not any(one.is_busy for one in both), deadline_s)


async def _until(is_done: Callable[[], bool], deadline_s: float) -> None:
    while not is_done() and time.monotonic() < deadline_s:
        await asyncio.sleep(0.005)
