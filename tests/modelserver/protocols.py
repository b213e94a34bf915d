"""A connection's protocol on a loop of its own, with an application and bounds of the test's choice."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections

Served = tuple[socket.socket, Connections[Any]]


@contextmanager
def connected(protocol: Any, app: Callable[..., object], limits: ConnectionLimits) -> Iterator[Served]:
    """A client of a server with these limits, on a loop of its own that sweeps often."""
    loop = asyncio.new_event_loop()
    connections = Connections(protocol, app, limits)
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        server = await loop.create_server(connections, sock=listener)
        while not ended.is_set():
            await asyncio.sleep(0.01)
            connections.sweep()
        server.close()
        while connections.open:
            connections.end()
            await asyncio.sleep(0.01)

    ended = threading.Event()

    def run() -> None:
        loop.run_until_complete(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with socket.create_connection(listener.getsockname(), timeout=60) as wire:
            yield wire, connections
    finally:
        ended.set()
        thread.join(60)
        loop.close()
