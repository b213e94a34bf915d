"""HTTP bodies and responses between bytes and the types that the rest of the server sees.

What does not depend on the state of a connection is here: collecting a body, choosing an error page, and writing a
response. The error pages follow libevent's evhttp, which serves REST in TensorFlow Serving. A client that tests for
400, 404, 413 or 501 therefore gets the same answer from both servers.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Mapping

import httptools

from tfs_workflow.formats.status_codes import HTTP_REASONS
from tfs_workflow.modelserver.exchange import Body, Content, Request, Response, error_page

METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}


class Http10Request(Request):
    """A request of HTTP/1.0, whose client wants to be told that the connection is kept."""

    __slots__ = ()


class IncomingBody:
    """A body that comes in pieces; a large one of known length has its place from the beginning.

    Small bodies are joined at the end, which costs one copy. A large body must not be: joining 20 MB takes 20 ms, in
    which no other connection is served (docs/decisions/0012-where-a-model-runs.md).
    """

    __slots__ = ("_pieces", "_place", "size_bytes")

    def __init__(self, length_bytes: int = 0, large_bytes: float = math.inf) -> None:
        self.size_bytes = 0
        self._pieces: list[bytes] = []
        # Its memory is taken as it is filled; to join the pieces at the end would hold up everybody else.
        self._place = bytearray(length_bytes) if length_bytes >= large_bytes else None

    @property
    def is_large(self) -> bool:
        """Whether it has its place."""
        return self._place is not None

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        start = self.size_bytes
        self.size_bytes += len(piece)
        if self._place is None:
            self._pieces.append(piece)
        else:
            self._place[start : self.size_bytes] = piece

    def whole(self) -> Body:
        """All that has come."""
        return b"".join(self._pieces) if self._place is None else self._place


def page_for(error: Exception, raw_head: bytes, in_body: bool) -> Response:
    """The error page for a malformed request, chosen by how its bytes begin.

    `raw_head` is the start of the request, `in_body` whether its headers were complete. httptools reports the first bad
    byte only. evhttp looks at the request line first, so the line is split here once more, in its order.
    """
    if in_body:
        return error_page(413)  # evhttp's answer to a malformed chunk
    # The request line; only the first 4 KiB of the head are there, which hold the method in any case.
    line = raw_head.split(b"\r\n", 1)[0].split(b" ")
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return error_page(501 if line[0].isalpha() else 400)
    # evhttp's order: an unknown method is 501 before the target is examined.
    if line[0].decode("latin-1") not in METHODS and line[0].isalpha() and line[0].isupper():
        return error_page(501)
    is_ascii_line = len(line) == 3 and line[2].startswith(b"HTTP/1.") and line[1].isascii()
    if isinstance(error, httptools.HttpParserInvalidURLError) and is_ascii_line:
        return error_page(404)  # a target without a leading slash is none of ours
    return error_page(400)


# Done, or about a protocol that is not spoken here.
_OFFER = {b"upgrade", b"connection", b"http2-settings", b"expect"}


def head_without_upgrade(method: bytes, target: bytes, version: str, headers: Mapping[bytes, bytes]) -> bytes:
    """The head of a request whose offer of another protocol is declined."""
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    lines += [b"%s: %s" % (name, value) for name, value in headers.items() if name not in _OFFER]
    options = [one.strip() for one in headers.get(b"connection", b"").lower().split(b",")]
    # What the header says of the connection itself still counts.
    lines += [b"Connection: %s" % option for option in options if option in (b"close", b"keep-alive")]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def serialized(response: Response, with_body: bool, closes: bool, keeps: bool = False) -> Content:
    """The bytes of a response; `keeps` announces that the connection stays open, which HTTP/1.0 does not imply.

    A list of parts where the body has parts, the head first. Without `with_body`, for HEAD, Content-Length still names
    the length of the body that GET would have (RFC 9110, 9.3.2).
    """
    status, body, content_type, headers, _, _ = response
    connection = b"Connection: close\r\n" if closes else b"Connection: keep-alive\r\n" if keeps else b""
    length = len(body) if isinstance(body, bytes) else sum(map(len, body))
    head = _head(status) + b"Content-Type: %s\r\nContent-Length: %d\r\n" % (content_type, length)
    # The head is a part of its own, since joining it to the first part would copy that.
    if isinstance(body, list):
        return [b"%s%s%s\r\n" % (head, headers, connection), *(body if with_body else [])]
    return b"%s%s%s\r\n%s" % (head, headers, connection, body if with_body else b"")


# Formatting a date takes longer than the rest of a response's head, and the date changes once a second.
_heads: dict[int, bytes] = {}
_heads_made_s = 0


def _head(status: int) -> bytes:
    """Status line and date, renewed each second."""
    global _heads_made_s  # noqa: PLW0603  # a cache of the date
    now_s = int(time.time())
    if now_s != _heads_made_s:
        _heads.clear()
        _heads_made_s = now_s
    head = _heads.get(status)
    if head is None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now_s))
        head = _heads[status] = f"HTTP/1.1 {status} {HTTP_REASONS[status]}\r\nDate: {date}\r\n".encode()
    return head


def inflated(body: Body, limit_bytes: int) -> bytes | None:
    """The unpacked body, empty when it is not gzip, as in TensorFlow Serving; None when it is over the limit.

    An empty body is what TensorFlow Serving's handler gets where unpacking fails. The size is bounded while unpacking:
    one kilobyte of gzip can hold a megabyte of zeros.
    """
    # 16 + 15: a gzip header is required, and the window may have any size.
    unpacker = zlib.decompressobj(31)
    try:
        unpacked = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error:
        return b""
    if len(unpacked) > limit_bytes:
        return None
    # A stream that was cut off is rejected like one that is not gzip at all.
    return unpacked if unpacker.eof else b""
