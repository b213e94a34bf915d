"""A TCP balancer for tests: it asks /readyz of each server, and gives new connections to those that are ready.

Like a Service of Kubernetes it knows nothing of HTTP: a connection stays with its server until either side ends it.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from tests.support.modelserver.families import Clients, running
from tests.support.modelserver.running import Running, free_port, serving
from tests.support.waiting import until

ASKS_EVERY_S = 0.1
# From SIGUSR1 to SIGTERM: a few questions, as a preStop hook would sleep.
AHEAD_S = 1.0


class Balancer:
    """Two ports in front of `servers`, which may change at any time."""

    def __init__(self) -> None:
        self.rest_port, self.grpc_port = free_port(), free_port()
        self.servers: list[Running] = []
        self.ready: list[Running] = []
        self._turns = itertools.count()

    async def run(self) -> None:
        """Serve until cancelled."""
        listening = [
            await asyncio.start_server(self._rest, "127.0.0.1", self.rest_port),
            await asyncio.start_server(self._grpc, "127.0.0.1", self.grpc_port),
        ]
        try:
            while True:
                self.ready = [server for server in self.servers if await _is_ready(server)]
                await asyncio.sleep(ASKS_EVERY_S)
        finally:
            for one in listening:
                one.close()

    async def _rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._relay(reader, writer, self._next().rest_port)

    async def _grpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._relay(reader, writer, self._next().grpc_port)

    def _next(self) -> Running:
        return self.ready[next(self._turns) % len(self.ready)]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await source.read(65536):
            target.write(content)
            await target.drain()
    target.close()


async def _is_ready(server: Running) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.rest_port)
        writer.write(b"GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    except OSError:
        return False
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")


@contextmanager
def balancing() -> Iterator[Balancer]:
    """A balancer that runs in a thread of its own during the block."""
    balancer, loop = Balancer(), asyncio.new_event_loop()
    task = loop.create_task(balancer.run())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield balancer
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def restarts(count: int, *flags: str) -> Clients:
    """What came of kept connections, new ones and gRPC while servers replaced each other behind a balancer."""
    clients = Clients()
    with balancing() as balancer, ExitStack() as stack:
        server = _added(balancer, stack, *flags)
        kept, new = (partial(clients.run, balancer.rest_port, is_kept) for is_kept in (True, False))
        with running(clients, [kept, kept, new, partial(clients.run_grpc, balancer.grpc_port)]):
            for _ in range(count):
                successor = _added(balancer, stack, *flags)
                server.process.send_signal(signal.SIGUSR1)
                time.sleep(AHEAD_S)
                assert server.end() == 0
                server = successor
    return clients


def _added(balancer: Balancer, stack: ExitStack, *flags: str) -> Running:
    """One more server, once the balancer takes it for ready."""
    server = stack.enter_context(serving(*flags))
    balancer.servers = [*balancer.servers[-1:], server]
    until(lambda: server in balancer.ready)
    return server
