"""The types that the server's fronts and its engine hand to each other.

The fronts (net, http, grpc) know sockets and wire formats; the engine (rest, rpc, inference, models, tensorflow) knows
models. Neither imports the other, which .importlinter checks: a connection can be tested without TensorFlow, and a
request without a socket. A front is given one callable, `HttpApp` or `GrpcApp`, by server.py, which joins the two. The
callable returns at once and passes the response to a reply function, on the event loop, then or later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tfs_workflow.formats.status_codes import HTTP_REASONS
from tfs_workflow.modelserver.status_error import StatusError

JSON = b"application/json"
# Of every JSON answer, with --rest_api_enable_cors_support.
CORS = (
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: POST, GET\r\n"
    b"Access-Control-Allow-Headers: Content-Type\r\n"
)
RETRY_AFTER = b"Retry-After: 1\r\n"
HTML = b"text/html"
# For balancers and orchestrators; TensorFlow Serving has neither, nor GET /v1/models (#795, #1754).
HEALTH, READINESS = "/healthz", "/readyz"

# A large body stays a bytearray, and a large response stays in parts: joining them would hold up the event loop.
Body = bytes | bytearray
Content = bytes | list[bytes]


Shape = tuple[int, ...]


class Request(NamedTuple):
    """A whole HTTP request; header names are in lower case."""

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body: Body
    keep_alive: bool


class Response(NamedTuple):
    """An HTTP response; `headers` are whole lines beyond those that every response has.

    `shortcut`, where there is one, is for requests that differ from this one's in their body only.
    """

    status: int
    body: Content
    content_type: bytes = JSON
    headers: bytes = b""
    closes: bool = False
    shortcut: Shortcut | None = None


# Stands for a response that the request's own reply function gets later.
PENDING = Response(0, b"")
# Float32 values as they lie in memory, with their shape, through a model: the response; None where it may not run now.
FloatRun = Callable[[Shape, bytes], "Response | None"]


# Signature name, key ("instances" or "inputs"), shape, doubles as they lie in memory, whether one may be denormal.
NumberArray = tuple[str, str, Shape, "bytes | bytearray", bool]
# The same for a large array, read elsewhere: the response, or None where the request needs the general way.
ArrayRun = Callable[[NumberArray, "Callable[[Response | None], None]"], None]


class Shortcut(NamedTuple):
    """How to answer a request of which only the body is new.

    `respond` takes the body. It returns the response, PENDING, or None for a body that needs the general way. The other
    two do the part of it that needs the model, where the numbers are read elsewhere.
    """

    respond: Callable[[bytes], Response | None] | None
    run: FloatRun | None = None
    run_array: ArrayRun | None = None


HEALTHY = Response(200, b"ok\n", b"text/plain")
NOT_READY = Response(503, b"not ready\n", b"text/plain")
HttpReply = Callable[[Response], None]
# Returns a number by which the request can be cancelled, if there is one.
HttpApp = Callable[[Request, HttpReply], "int | None"]
# The client does not wait for the request with this number any more.
Cancel = Callable[[int], None]


class Watch(NamedTuple):
    """The first message of a gRPC stream that stays open until the client or the server ends."""

    first: bytes


# Bytes are a serialized message; a StatusError ends the call with its code.
GrpcReply = Callable[["bytes | Watch | StatusError"], None]
# Takes a path, a serialized message, and the client's timeout in milliseconds, 0 for none; returns as an HttpApp does.
GrpcApp = Callable[[bytes, bytes, int, GrpcReply], "int | None"]


def error_page(status: int, headers: bytes = b"") -> Response:
    """The page that libevent sends in TensorFlow Serving for a request outside the API; closes the connection."""
    reason = HTTP_REASONS[status]
    page = f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n"
    return Response(status, page.encode(), HTML, headers, closes=True)
