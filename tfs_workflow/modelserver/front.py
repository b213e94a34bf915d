"""The front: the connections of REST and gRPC, between listening sockets and two applications.

It knows no models. The applications are the engine's own in a server of one process (server.py), and the client's side
of a Unix socket in a family of processes (processes/front_process.py).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Any

from tfs_workflow.modelserver.exchange import Cancel, GrpcApp, HttpApp
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.grpc.grpc_connection import GrpcConnection
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections
from tfs_workflow.modelserver.net.fair_accept import FairAccept
from tfs_workflow.modelserver.net.listeners import Listener, Listeners
from tfs_workflow.modelserver.net.open_counts import PortCount


class Front:
    """All connections of a process; `counts` are those of REST and gRPC in all processes of the server."""

    def __init__(
        self,
        flags: Flags,
        http_app: HttpApp,
        grpc_app: GrpcApp,
        counts: Sequence[PortCount | None] = (None, None),
        cancel: Cancel | None = None,
    ) -> None:
        limits = ConnectionLimits(
            max_body_bytes=flags.rest_api_max_body_bytes, max_connections=flags.rest_api_max_connections
        )
        self._drain_s = flags.drain_seconds
        self._http = Connections(HttpConnection, http_app, limits, counts[0], cancel)
        self._grpc = Connections(GrpcConnection, grpc_app, limits, counts[1], cancel)
        self._servers: list[asyncio.AbstractServer] = []
        self._fair: list[FairAccept] = []

    async def accept(self, listeners: Listeners, tls: ssl.SSLContext | None) -> None:
        """Take connections from sockets that listen already."""
        for listener in listeners.grpc:
            await self._serve(self._grpc, listener, tls)
        for listener in listeners.rest:
            await self._serve(self._http, listener, None)

    async def _serve(self, connections: Connections[Any], listener: Listener, tls: ssl.SSLContext | None) -> None:
        count = connections.count
        if count is not None and count.fronts > 1:
            self._fair.append(FairAccept(listener.socket, connections, count, tls))
            return
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if listener.address.startswith("unix:") else loop.create_server
        self._servers.append(await create(connections, sock=listener.socket, backlog=1024, ssl=tls))

    async def sweep(self) -> None:
        """End connections whose client is late, each second, until cancelled."""
        while True:
            await asyncio.sleep(1)
            for connections in (self._grpc, self._http):
                connections.sweep()

    async def drain(self) -> None:
        """Take no new requests, and return once those in work are finished or the time for that has passed."""
        for connections in (self._grpc, self._http):
            connections.end()
        deadline_s = time.monotonic() + self._drain_s
        while (self._grpc.is_busy or self._http.is_busy) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.005)


def tls_context(flags: Flags) -> ssl.SSLContext | None:
    """The TLS settings of gRPC, None without them; raises StatusError when they cannot be used."""
    if not flags.ssl_config_file:
        return None
    # Imported here, since a front without TLS needs no protobuf, which takes megabytes.
    from tfs_workflow.modelserver.grpc import grpc_tls  # noqa: PLC0415
    from tfs_workflow.modelserver.models import model_config  # noqa: PLC0415
    from tfs_workflow.protos.model_server_config_pb2 import SSLConfig  # noqa: PLC0415

    config = model_config.read_text_proto(flags.ssl_config_file, SSLConfig())
    return grpc_tls.context(config, flags.ssl_config_file)
