"""HTTP/1.1 over asyncio and httptools: one connection, its bounds and its deadlines."""

from __future__ import annotations

import asyncio
import time
from math import inf

import httptools

from tfs_workflow.modelserver.exchange import PENDING, HttpApp, Request, error_page
from tfs_workflow.modelserver.http.http_message import (
    METHODS,
    Http10Request,
    IncomingBody,
    head_without_upgrade,
    inflated,
    page_for,
)
from tfs_workflow.modelserver.http.phases import BODY, CLOSED, HEAD, IDLE, LAST
from tfs_workflow.modelserver.http.repeated_head import last_head
from tfs_workflow.modelserver.http.response_stream import ResponseStream
from tfs_workflow.modelserver.net.connections import Connections


class HttpConnection(ResponseStream):
    """One connection. Requests are answered one after another, in the order in which they came."""

    __slots__ = (
        "_body", "_chunk", "_head_bytes", "_headers", "_keep_alive", "_parser", "_raw_head", "_stalled_bytes",
        "_target", "_version",
    )  # fmt: skip

    def __init__(self, connections: Connections[HttpApp]) -> None:
        super().__init__(connections)
        self._parser = self._new_parser()
        self._chunk = b""
        self._version = ""
        # So many bytes since the last that completed a line or belonged to a body.
        self._stalled_bytes = 0
        self._keep_alive = True
        self._reset()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A later minor version is served as 1.1 (RFC 9110, 2.5); the major one is compared below.
        parser.set_dangerous_leniencies(lenient_version=True)
        return parser

    def _reset(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = IncomingBody()
        self._head_bytes = 0

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = transport
        self._connections.open.add(self)
        self.deadline_s = time.monotonic() + self._connections.limits.head_timeout_s
        if self._connections.is_full:
            self._reject(error_page(503, b"Retry-After: 1\r\n"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio calls it so
        """The client is gone; what has begun for it goes on and its answer is dropped."""
        self._connections.open.discard(self)
        if self.in_work is not None:
            self._connections.cancel(self._number)
        # The shortcut of the last head may refer to this connection.
        self._phase, self.in_work, self._last = CLOSED, None, None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._phase is IDLE:
            if self._is_like_the_last(data):
                return
            self._phase = HEAD
            self._chunk, self._raw_head = data, data[:4096]
            self.deadline_s = time.monotonic() + self._connections.limits.head_timeout_s
        elif self._phase is LAST or self._phase is CLOSED:
            return
        before = self._head_bytes + self._body.size_bytes
        self._feed(data)
        # A line without end, in a head or in a trailer, is not seen by the parser's callbacks.
        if self._head_bytes + self._body.size_bytes != before:
            is_whole_chunk = self._phase is HEAD and self._chunk is data
            self._stalled_bytes = len(data) - self._head_bytes if is_whole_chunk else 0
        elif self._phase is HEAD or self._phase is BODY:
            self._stalled_bytes += len(data)
            if self._stalled_bytes > self._connections.limits.max_head_bytes:
                self._reject(error_page(431))

    def _feed(self, data: bytes) -> None:
        """Parse; a head that offers another protocol is parsed once more without the offer, with what follows it.

        httptools ends such a request after its head. A server may ignore the offer and read the body (RFC 9110, 7.8):
        curl --http2, Java's HttpClient and proxies make one on plain HTTP.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._phase is not HEAD or self._parser.get_method() == b"CONNECT":
                    self._reject(error_page(501))
                    return
                head = head_without_upgrade(self._parser.get_method(), self._target, self._version, self._headers)
                self._parser, self._chunk = self._new_parser(), b""
                data = head + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._reject(page_for(error, self._raw_head, self._phase is BODY))
                return
            else:
                return

    def _is_like_the_last(self, data: bytes) -> bool:
        """Take a request whose head is the last one's, byte for byte; respond at once if there is a shortcut."""
        last = self._last
        body = None if last is None else last.body_of(data)
        if last is None or body is None:
            return False
        if last.respond is not None and self.in_work is None and not (self._waiting or self._paused):
            response = last.respond(body)
            if response is not None:
                self.in_work, self.deadline_s = last.request, inf
                if response is not PENDING:
                    self._respond(response)
                return True
        self._take(last.request._replace(body=body))
        return True

    # httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._reset()
        if self._phase is IDLE:  # after a request in the same piece of data
            self._phase = HEAD
            if self.in_work is None:
                self.deadline_s = time.monotonic() + self._connections.limits.head_timeout_s

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._target += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header line; one of a trailer is counted and dropped (RFC 9110, 6.5.1)."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._connections.limits.max_head_bytes:
            self._reject(error_page(431))
        elif self._phase is HEAD:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """All headers are there; the body may be refused before it is read."""
        if self._phase is not HEAD:
            return
        self._version, self._keep_alive = self._parser.get_http_version(), self._parser.should_keep_alive()
        if self._parser.should_upgrade():  # it is read again, without the offer
            return
        self._phase = BODY
        limits = self._connections.limits
        length = self._headers.get(b"content-length", b"0")
        length_bytes = int(length) if length.isdigit() else 0
        if length_bytes > limits.max_body_bytes:
            self._reject(error_page(413))
            return
        self._body = IncomingBody(length_bytes, limits.large_body_bytes)
        self.deadline_s = time.monotonic() + limits.body_timeout_s + length_bytes / limits.min_body_bytes_per_s
        expected = self._headers.get(b"expect")
        if expected is not None:
            self._meet(expected)

    def _meet(self, expected: bytes) -> None:
        if expected.lower() != b"100-continue":
            self._reject(error_page(417))
        elif self._version != "1.0":  # which knows no such response
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._phase is not BODY:
            return
        self._body.add(body)
        if self._body.size_bytes > self._connections.limits.max_body_bytes:
            self._reject(error_page(413))
        elif self._body.is_large:
            # Read one chunk per loop iteration; uvloop would otherwise keep reading and starve other connections.
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if len(self._waiting) <= self._connections.limits.max_pipelined and not self._transport.is_closing():
            self._transport.resume_reading()

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._phase is not BODY:
            return
        method, is_known_version = self._parser.get_method().decode(), self._version.startswith("1.")
        if not is_known_version or method not in METHODS:
            self._reject(error_page(501 if is_known_version else 400))
            return
        body, self._body = self._body.whole(), IncomingBody()
        # Two requests of the same length look like no progress.
        self._stalled_bytes = 0
        if self._keep_alive and not self._parser.should_keep_alive():
            # A trailer wants to close the connection, which it cannot; the parser reads no further.
            self._parser = self._new_parser()
        kind = Http10Request if self._version == "1.0" else Request
        request = kind(method, self._target, self._headers, body, self._keep_alive)
        self._last, self._chunk = last_head(self._chunk, request) or self._last, b""
        if b"gzip" in self._headers.get(b"content-encoding", b""):
            unpacked = inflated(body, self._connections.limits.max_body_bytes)
            if unpacked is None:
                self._reject(error_page(413))
                return
            request = request._replace(body=unpacked)
        self._phase = IDLE
        self._take(request)
