"""gRPC's frame for messages, its headers and its status, as bytes (grpc/doc/PROTOCOL-HTTP2.md).

Pure functions between bytes and Python values, so that the wire format is tested without a connection. Where gRPC's C++
core, which TensorFlow Serving stands on, has a text for a fault, that text is used: clients match on it.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.status_error import StatusError

Headers = list[tuple[bytes, bytes]]

PREFIX = struct.Struct(">BI")
# What protobuf reads and writes at most.
MAX_MESSAGE_BYTES = 2**31 - 1
HEADERS: Headers = [(b":status", b"200"), (b"content-type", b"application/grpc")]
OK: Headers = [(b"grpc-status", b"0")]
_UNSUPPORTED_TYPE: Headers = [(b":status", b"415")]
_NO_METHOD: Headers = [(b":status", b"405")]
_NOT_ONE = StatusError(Code.INTERNAL, "the request is not one whole message")
_TOO_LARGE = StatusError(Code.RESOURCE_EXHAUSTED, "Received message larger than 2 GiB")
# By the code of the letter, since indexing bytes gives a number.
_UNIT_MS = {72: 3_600_000.0, 77: 60_000.0, 83: 1000.0, 109: 1.0, 117: 1e-3, 110: 1e-6}  # H M S m u n
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
# What gRPC leaves as it is in a message: printable ASCII, the percent sign excepted.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Head(NamedTuple):
    """What the headers of a call say; a timeout of 0 is none, an empty encoding none."""

    path: bytes
    timeout_ms: int
    encoding: bytes


# Bounded, since a client chooses its headers.
@lru_cache(maxsize=256)
def read_head(headers: tuple[tuple[bytes, bytes], ...]) -> Head | Headers:
    """The call that a request's headers begin, or the response headers that reject a non-gRPC request.

    A client sends the same ones again and again.

    An unknown unit of the timeout counts as no timeout. Raises KeyError for a request without a path, which libnghttp2
    rejects before it gets here.
    """
    fields = dict(headers)
    if fields.get(b":method") != b"POST":
        return _NO_METHOD
    if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
        return _UNSUPPORTED_TYPE
    timeout = fields.get(b"grpc-timeout")
    return Head(fields[b":path"], _timeout_ms(timeout) if timeout else 0, fields.get(b"grpc-encoding", b""))


def message_of(body: bytes, encoding: bytes, most_unpacked_bytes: int) -> bytes:
    """The one message of a unary request; raises StatusError when it is not one whole message."""
    if len(body) < PREFIX.size:
        raise StatusError(Code.INTERNAL, "the request has no message")
    # One byte that is 1 for a compressed message, then the length in four bytes, the highest first.
    packed, size = PREFIX.unpack_from(body)
    # Every method that is served is unary: a second message, or half of one, is the client's fault.
    if len(body) != PREFIX.size + size:
        raise _NOT_ONE
    message = body[PREFIX.size :]
    if not packed:
        return message
    return _unpacked(message, encoding, most_unpacked_bytes)


def overrun(start: bytes, size_bytes: int) -> StatusError | None:
    """Why a body that begins so and has come so far is not read on; None while it may still be one message."""
    if len(start) < PREFIX.size:
        return _TOO_LARGE if size_bytes > PREFIX.size + MAX_MESSAGE_BYTES else None
    # The prefix is complete in the first chunk. A client that sends it in pieces is bounded by the limit alone.
    declared_bytes = PREFIX.unpack_from(start)[1]
    if declared_bytes > MAX_MESSAGE_BYTES:
        return _TOO_LARGE
    return _NOT_ONE if size_bytes > PREFIX.size + declared_bytes else None


def framed(message: bytes) -> bytes:
    """A message as it goes over the wire."""
    return PREFIX.pack(0, len(message)) + message


def status_headers(error: StatusError) -> Headers:
    """The trailers that end a call with an error."""
    # TensorFlow Serving cuts messages at this length (grpc_status_util.cc).
    message = error.message[:1024].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return [(b"grpc-status", b"%d" % error.code), (b"grpc-message", quote(message, safe=_PLAIN).encode())]


# TimeoutValue has at most eight digits. A timeout below a millisecond must not become 0, which is none.
def _timeout_ms(text: bytes) -> int:
    number, unit_ms = text[:-1], _UNIT_MS.get(text[-1])
    if unit_ms is None or not number.isdigit() or len(number) > 8:
        return 0
    return max(int(int(number) * unit_ms), 1)


def _unpacked(message: bytes, encoding: bytes, most_bytes: int) -> bytes:
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        name = encoding.decode("latin-1") or "identity"
        raise StatusError(Code.UNIMPLEMENTED, f"Compression algorithm '{name}' not supported.")
    unpacker = zlib.decompressobj(bits)
    try:
        # One byte more than is allowed is enough to see that a message is too large, whatever it would unpack to.
        unpacked = unpacker.decompress(message, most_bytes + 1)
    except zlib.error as error:
        raise StatusError(Code.INTERNAL, "Unexpected error decompressing data for algorithm") from error
    if len(unpacked) > most_bytes:
        raise StatusError(Code.RESOURCE_EXHAUSTED, f"Received message larger than max ({most_bytes} bytes unpacked)")
    return unpacked
