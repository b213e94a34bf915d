"""An HTTP server of one thread that answers as it is told: it stalls, refuses, hangs up, as a loaded server may."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b'{"predictions": [2.5]}'
# What to do with the request of this number, from 1: the bytes to answer, empty to hang up, None to be silent.
Script = Callable[[int], "bytes | None"]


def answer(content: bytes = OK, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


@dataclass
class ScriptedServer:
    """A running server; `bodies` is what was sent to it."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def scripted(script: Script = lambda number: answer()) -> Iterator[ScriptedServer]:
    """A server for the block that answers every request by the script."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, selectors.DefaultSelector() as selector:
        waker, woken = socket.socketpair()
        server = ScriptedServer(listener.getsockname()[1])
        selector.register(listener, selectors.EVENT_READ, None)
        selector.register(woken, selectors.EVENT_READ, woken)
        thread = threading.Thread(target=_serve, args=(selector, listener, woken, server, script))
        thread.start()
        try:
            yield server
        finally:
            waker.close()
            thread.join()
            woken.close()


def _serve(
    selector: selectors.BaseSelector,
    listener: socket.socket,
    woken: socket.socket,
    server: ScriptedServer,
    script: Script,
) -> None:
    pending: dict[socket.socket, bytes] = {}
    try:
        while True:
            for key, _ in selector.select():
                if key.data is woken:
                    return
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    server.connections += 1
                    pending[connection] = b""
                    selector.register(connection, selectors.EVENT_READ, connection)
                elif not _answered(key.data, pending, server, script):
                    selector.unregister(key.data)
                    del pending[key.data]
                    key.data.close()
    finally:
        for connection in pending:
            connection.close()


def _answered(
    connection: socket.socket, pending: dict[socket.socket, bytes], server: ScriptedServer, script: Script
) -> bool:
    """Read what is there, and answer where a request is whole; False where the connection is to be closed."""
    try:
        data = connection.recv(2**20)
    except ConnectionError:
        return False
    pending[connection] += data
    head, _, body = pending[connection].partition(b"\r\n\r\n")
    size = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
    if data and (not body or len(body) < size):
        return True
    if not data:
        return False
    pending[connection] = b""
    server.bodies.append(body)
    said = script(len(server.bodies))
    if said:
        connection.sendall(said)
    return said != b""
