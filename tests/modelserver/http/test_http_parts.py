"""An answer in parts has one end, however the client's pace comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tfs_workflow.modelserver.exchange import Request, Response
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections

REQUEST = b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


class Recorder(asyncio.Transport):
    """Takes what is written; the test is the client and says when it is slow."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


def test_a_client_that_is_slow_for_a_moment_does_not_cost_the_next_request_its_answer() -> None:
    replies: list[Callable[[Response], None]] = []

    def app(_: Request, reply: Callable[[Response], None]) -> None:
        replies.append(reply)

    async def exchange() -> list[bytes]:
        transport = Recorder()
        connection = HttpConnection(Connections(HttpConnection, app, ConnectionLimits()))
        connection.connection_made(transport)
        connection.data_received(REQUEST)
        replies[0](Response(200, [b"one", b"two"]))
        # The next part is on its way already when the client falls behind and catches up.
        connection.pause_writing()
        connection.resume_writing()
        while connection.in_work is not None:
            await asyncio.sleep(0)
        connection.data_received(REQUEST)  # as soon as the first one is answered
        for _ in range(5):
            await asyncio.sleep(0)
        replies[1](Response(200, b"second"))
        return transport.written

    written = b"".join(asyncio.run(exchange()))
    assert written.count(b"onetwo") == 1
    assert written.endswith(b"second")
