"""One gRPC call without grpcio, which neither docker users nor the embedded server's extra have.

A reload is a single unary call on loopback, with two small messages. HTTP/2 needs little for that: the preface, one
block of headers without compression, DATA frames within the windows of flow control, and the frames of the answer. Of
the answer's headers only the text of an error is read (header_block.py), and for that our settings forbid a dynamic
table (RFC 9113; gRPC over HTTP2, PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from google.protobuf.message import DecodeError, Message

from tfs_workflow.client.access.credentials import NO_CREDENTIALS, Credentials, over_tls
from tfs_workflow.client.control.header_block import literal_fields
from tfs_workflow.client.interface import ServerUnreachableError
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.protos.services import Method

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
# What every peer takes unless its settings allow more (RFC 9113, 6.5.2).
_FRAME_BYTES, _WINDOW_BYTES = 16384, 65535
_STREAM = 1


class CallRefusedError(ServerNotReadyError):
    """The server ended a call with an error, whose text is the evidence."""


def unary_call(
    address: tuple[str, int],
    method: Method,
    request: Message,
    timeout_s: float,
    credentials: Credentials = NO_CREDENTIALS,
) -> Any:
    """The answer to one unary call; over TLS where the credentials have the server's own certificate.

    Raises ServerUnreachableError where nothing listens or the connection ends, CallRefusedError, and
    ServerNotReadyError after `timeout_s` seconds and for an answer that is not a message of the method.
    """
    where = f"{address[0]}:{address[1]} {method.name}"
    try:
        with over_tls(socket.create_connection(address, timeout_s), credentials, "h2") as connection:
            call = _Call(connection, time.monotonic() + timeout_s)
            content = call.run(method, request, f"{address[0]}:{address[1]}", credentials)
    except TimeoutError as error:
        fix = "invoke logs shows what it does; invoke serve replaces it"
        raise ServerNotReadyError(f"no answer within {timeout_s:g} s", where=where, fix=fix) from error
    except (OSError, EOFError) as error:
        fix = "invoke status shows what runs"
        raise ServerUnreachableError("the call was cut short", where=where, evidence=str(error), fix=fix) from error
    if call.error:
        raise CallRefusedError("the server refused the call", where=where, evidence=call.error)
    return _message(method, content, where)


def _message(method: Method, content: bytes, where: str) -> Any:
    what = f"the answer is not a {method.response.DESCRIPTOR.name}"
    # Before the message: one byte for compression, which is off, and four for its size.
    if len(content) < 5 or len(content) != 5 + int.from_bytes(content[1:5], "big"):
        raise ServerNotReadyError(what, where=where, evidence=f"{len(content)} bytes")
    try:
        return method.response.FromString(content[5:])
    except DecodeError as error:
        raise ServerNotReadyError(what, where=where, evidence=str(error)) from error


@dataclass
class _Call:
    """A connection with one stream; the windows are what may still be sent on either, in bytes."""

    connection: socket.socket
    deadline_s: float
    answer: bytearray = field(default_factory=bytearray)
    error: str = ""
    has_ended: bool = False
    connection_window: int = _WINDOW_BYTES
    stream_window: int = _WINDOW_BYTES
    initial_window: int = _WINDOW_BYTES

    def run(self, method: Method, request: Message, authority: str, credentials: Credentials) -> bytes:
        """Send the request, and read frames until the stream ends; the DATA of the answer."""
        content = request.SerializeToString()
        self.connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _HEADER_TABLE_SIZE, 0)))
        headers = _headers(method.path, authority, credentials)
        self.connection.sendall(_frame(_HEADERS, _END_HEADERS, _STREAM, headers))
        self._send(b"\0" + len(content).to_bytes(4, "big") + content)
        while not self.has_ended:
            self._read_frame()
        return bytes(self.answer)

    def _send(self, content: bytes) -> None:
        """Send the body as DATA, no more than the windows allow."""
        while content and not self.has_ended:
            size = min(_FRAME_BYTES, self.connection_window, self.stream_window)
            if size <= 0:
                self._read_frame()
                continue
            part, content = content[:size], content[size:]
            self.connection.sendall(_frame(_DATA, 0 if content else _END_STREAM, _STREAM, part))
            self.connection_window -= len(part)
            self.stream_window -= len(part)

    def _read_frame(self) -> None:
        head = self._read(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        payload = self._read(int.from_bytes(head[:3], "big"))
        if kind == _SETTINGS and not flags & _ACK:
            self._take_settings(payload)
            self.connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self.connection.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(payload, "big") & 0x7FFFFFFF)
        elif kind == _RST_STREAM:
            raise EOFError(f"HTTP/2 error {int.from_bytes(payload, 'big')}")
        elif kind in (_DATA, _HEADERS) and stream == _STREAM:
            content = payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
            if kind == _DATA:
                self.answer += content
            else:
                content = content[5:] if flags & _PRIORITY else content
                self.error = self.error or _error_text(content)
            self.has_ended = bool(flags & _END_STREAM)

    def _take_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW_SIZE:
                self.stream_window += value - self.initial_window
                self.initial_window = value

    def _widen(self, stream: int, size: int) -> None:
        if stream == _STREAM:
            self.stream_window += size
        elif stream == 0:
            self.connection_window += size

    def _read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            left_s = self.deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self.connection.settimeout(left_s)
            received = self.connection.recv(size - len(content))
            if not received:
                raise EOFError("the server closed the connection")
            content += received
        return content


def _error_text(block: bytes) -> str:
    """The text of the error in a block of headers, which gRPC encodes with percent signs; empty without one."""
    with suppress(IndexError):
        for name, value in literal_fields(block):
            if name == "grpc-message":
                return unquote(value)
    return ""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _headers(path: str, authority: str, credentials: Credentials) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "https" if credentials.certificate else "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
        **credentials.fields,
    }
    # Literal fields without indexing and without Huffman's code (RFC 7541, 6.2.2).
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields.items())


def _string(text: str) -> bytes:
    content = text.encode()
    # What does not fit into seven bits follows in groups of seven, the lowest first (RFC 7541, 5.1).
    if len(content) < 127:
        return bytes((len(content),)) + content
    rest, length = len(content) - 127, bytearray((127,))
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*length, rest)) + content
