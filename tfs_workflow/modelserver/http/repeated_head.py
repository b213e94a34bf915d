"""The head of a connection's last request: a client that stays sends little else, and it is not parsed again.

Parsing a head, building its dict and finding its route take up to a sixth of a small request. HTTP/1.1 has no way to
leave a head out, but a client on a connection of its own sends the same bytes again. So the bytes are compared instead
of parsed: one `startswith`.

A head may be reused only where it determines the request up to the body. Three conditions ensure that: head and body
came in one piece of data, no header changes how the body is read, and the data has the same length again. Another
length means a body that is not whole yet, or a further request behind it. Everything else goes through the parser
(docs/decisions/0013-fast-paths.md).
"""

from __future__ import annotations

from collections.abc import Callable

from tfs_workflow.modelserver.exchange import Request, Response

# With these the body is not what follows the head, or something is to be done before it.
_SPECIAL = {b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"}


class LastHead:
    """A head that determines its request but for the body; `respond` is its response's shortcut, if it had one."""

    __slots__ = ("_bytes", "_size_bytes", "request", "respond")

    def __init__(self, head: bytes, request: Request) -> None:
        self._bytes = head
        self._size_bytes = len(head) + len(request.body)
        # Without the body, which may be large and would stay in memory as long as the connection.
        self.request = request._replace(body=b"")
        self.respond: Callable[[bytes], Response | None] | None = None

    def body_of(self, data: bytes) -> bytes | None:
        """The body of a request with this very head and a body of the same length; None when it is another."""
        if len(data) != self._size_bytes or not data.startswith(self._bytes):
            return None
        return data[len(self._bytes) :]


def last_head(chunk: bytes, request: Request) -> LastHead | None:
    """The head of a request that came as one piece with its body, if it is one to be remembered.

    `chunk` is the data in which the request began; None for a request that came in several pieces, that closes its
    connection, or that has one of the special headers.
    """
    head_bytes = len(chunk) - len(request.body)
    # Pipelined requests in one piece fail this test, too: the second one would be taken for a part of the body.
    is_one_piece = chunk.find(b"\r\n\r\n") + 4 == head_bytes
    if not is_one_piece or not request.keep_alive or _SPECIAL & request.headers.keys():
        return None
    return LastHead(chunk[:head_bytes], request)
