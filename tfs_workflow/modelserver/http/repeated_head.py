"""The head of a connection's last request: a client that stays sends little else, and it is not parsed again."""

from __future__ import annotations

from tfs_workflow.modelserver.exchange import Request, Shortcut

# With these the body is not what follows the head, or something is to be done before it.
_SPECIAL = {b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"}


class LastHead:
    """A head that determines its request but for the body; `shortcut` is the one of its response, if it had one."""

    __slots__ = ("_bytes", "_size_bytes", "request", "shortcut")

    def __init__(self, head: bytes, request: Request) -> None:
        self._bytes = head
        self._size_bytes = len(head) + len(request.body)
        self.request = request._replace(body=b"")
        self.shortcut: Shortcut | None = None

    def body_of(self, data: bytes) -> bytes | None:
        """The body of a request with this very head and a body of the same length; None when it is another."""
        if len(data) != self._size_bytes or not data.startswith(self._bytes):
            return None
        return data[len(self._bytes) :]


def last_head(chunk: bytes, request: Request) -> LastHead | None:
    """The head of a request that came as one piece with its body, if it is one to be remembered."""
    head_bytes = len(chunk) - len(request.body)
    is_one_piece = chunk.find(b"\r\n\r\n") + 4 == head_bytes
    if not is_one_piece or not request.keep_alive or _SPECIAL & request.headers.keys():
        return None
    return LastHead(chunk[:head_bytes], request)
