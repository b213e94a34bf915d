"""HTTP/1.1 over asyncio and httptools: one connection, its bounds and its deadlines."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from math import inf
from typing import Any

import httptools

from tfs_workflow.modelserver.exchange import PENDING, Content, HttpApp, Request, Response, error_page
from tfs_workflow.modelserver.http.http_message import METHODS, IncomingBody, inflated, page_for, serialized
from tfs_workflow.modelserver.http.phases import BODY, CLOSED, HEAD, IDLE, LAST, Phase
from tfs_workflow.modelserver.http.repeated_head import LastHead, last_head
from tfs_workflow.modelserver.net.connections import Connections


class HttpConnection(asyncio.Protocol):
    """One connection. Requests are answered one after another, in the order in which they came."""

    __slots__ = (
        "_body", "_chunk", "_connections", "_farewell", "_head_bytes", "_headers", "_last", "_next_part", "_parser",
        "_parts", "_paused", "_phase", "_raw_head", "_target", "_transport", "_waiting", "deadline_s", "in_work",
    )  # fmt: skip

    def __init__(self, connections: Connections[HttpApp]) -> None:
        self._connections = connections
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._parts: deque[bytes] = deque()
        self._next_part: asyncio.Handle | None = None
        self._phase: Phase = IDLE
        self._farewell: Content = b""  # the error page that follows the response in work
        self._paused = False
        self._chunk = b""
        self._last: LastHead | None = None
        self.in_work: Request | None = None
        self.deadline_s = 0.0
        self._reset()

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
        """The client is gone; what is in work for it goes on and its answer is dropped."""
        self._connections.open.discard(self)
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
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._reject(page_for(error, self._raw_head, self._phase is BODY))
        if self._phase is HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._connections.limits.max_head_bytes:
                self._reject(error_page(431))

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

    def pause_writing(self) -> None:
        """The client reads slower than we answer."""
        self._paused = True
        self.deadline_s = time.monotonic() + self._connections.limits.write_timeout_s

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        if self._parts:
            self.deadline_s = inf
            if self._next_part is None:
                self._write_parts()
        elif self._phase is not CLOSED:
            self._expect_next()
            self._work()

    # httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._reset()
        if self._phase is IDLE:  # after a request in the same piece of data
            self._phase = HEAD

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header line."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """All headers are there; the body may be refused before it is read."""
        if self._phase is not HEAD:
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
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
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
        parser = self._parser
        method, is_known_version = parser.get_method().decode(), parser.get_http_version() in ("1.0", "1.1")
        if not is_known_version or method not in METHODS:
            self._reject(error_page(501 if is_known_version else 400))
            return
        body, self._body = self._body.whole(), IncomingBody()
        request = Request(method, self._target, self._headers, body, parser.should_keep_alive())
        self._last, self._chunk = last_head(self._chunk, request) or self._last, b""
        if b"gzip" in self._headers.get(b"content-encoding", b""):
            unpacked = inflated(body, self._connections.limits.max_body_bytes)
            if unpacked is None:
                self._reject(error_page(413))
                return
            request = request._replace(body=unpacked)
        self._phase = IDLE
        self._take(request)

    def _take(self, request: Request) -> None:
        self._waiting.append(request)
        if len(self._waiting) > self._connections.limits.max_pipelined:
            self._transport.pause_reading()
        self._work()

    # responses

    def _work(self) -> None:
        """Start the next request if none is in work; not recursive, however many are answered at once."""
        while self._waiting and self.in_work is None and not self._paused:
            request = self.in_work = self._waiting.popleft()
            self.deadline_s = inf
            self._connections.app(request, self._respond)
            if len(self._waiting) == self._connections.limits.max_pipelined:
                self._transport.resume_reading()

    def _respond(self, response: Response) -> None:
        request = self.in_work
        if request is None or self._transport.is_closing():
            self.in_work = None
            return
        if response.shortcut is not None and self._last is not None and request.headers is self._last.request.headers:
            self._last.respond = response.shortcut.respond
        closes = response.closes or not request.keep_alive or self._connections.ending
        content = serialized(response, request.method != "HEAD", closes)
        if closes:
            self._phase = LAST
            self._waiting.clear()
        if isinstance(content, bytes):
            self._transport.write(content)
            self._finish()
        else:
            self._parts = deque(content)
            self._write_parts()

    def _write_parts(self) -> None:
        """One part in each round of the loop: the kernel takes whatever it is given while the client reads on."""
        self._next_part = None
        if not self._parts or self._transport.is_closing():
            self._parts.clear()
            self._finish()
            return
        self._transport.write(self._parts.popleft())
        if not self._paused:
            self._next_part = asyncio.get_running_loop().call_soon(self._write_parts)

    def _finish(self) -> None:
        """The request in work is answered."""
        self.in_work = None
        if self._phase is LAST:
            if self._farewell:
                self._transport.write(self._farewell)
            self._close()
            return
        self._expect_next()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work)

    def _expect_next(self) -> None:
        limits = self._connections.limits
        wait_s = limits.write_timeout_s if self._paused else limits.idle_timeout_s
        self.deadline_s = time.monotonic() + (wait_s if self._phase is IDLE else limits.head_timeout_s)

    def _reject(self, response: Response) -> None:
        """Send an error page for a malformed request after the response in work, then close; ignore further input."""
        if self._phase is LAST or self._phase is CLOSED:
            return
        self._phase = LAST
        self._waiting.clear()
        page = serialized(response, with_body=True, closes=True)
        if self.in_work is None:
            self._transport.write(page)
            self._close()
        else:
            self._farewell = page

    def _close(self) -> None:
        """End the sending side now, and all of it when the client ends or two seconds have passed.

        Closing at once would reset the connection while the client still sends, and take the answer with it.
        """
        self._phase = CLOSED
        self._waiting.clear()
        self.deadline_s = time.monotonic() + 2
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with suppress(OSError):  # the client is gone in this very moment
                self._transport.write_eof()
        else:
            self._transport.close()

    # the server's side

    @property
    def is_busy(self) -> bool:
        """Whether a request is in work."""
        return self.in_work is not None

    def is_late(self, now_s: float) -> bool:
        """Whether the client has kept us waiting for too long."""
        return self.deadline_s < now_s

    def expire(self) -> None:
        """The deadline has passed: say so if a request was under way, and close."""
        if (self._phase is HEAD or self._phase is BODY) and not self._paused:
            self._reject(error_page(408))
        else:
            self._transport.abort()

    def end(self) -> None:
        """The server ends: close unless a request is in work."""
        if self._phase is IDLE and self.in_work is None and not self._waiting:
            self._close()
