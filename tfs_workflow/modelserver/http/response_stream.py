"""The responses of an HTTP connection: one after another, in parts where they are large, with an error page at the end.

What a client sends is read in http_connection.py; both halves share the phase, since a response may be the last one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import inf
from typing import Any

from tfs_workflow.modelserver.exchange import Content, HttpApp, Request, Response, error_page
from tfs_workflow.modelserver.http.http_message import Http10Request, serialized
from tfs_workflow.modelserver.http.phases import BODY, CLOSED, HEAD, IDLE, LAST, Phase
from tfs_workflow.modelserver.http.repeated_head import LastHead
from tfs_workflow.modelserver.net.connections import Connections, end_sending


class ResponseStream(asyncio.Protocol):
    """The writing half of a connection."""

    __slots__ = (
        "_connections", "_farewell", "_last", "_next_part", "_number", "_parts", "_paused", "_phase", "_transport",
        "_waiting", "deadline_s", "in_work",
    )  # fmt: skip

    def __init__(self, connections: Connections[HttpApp]) -> None:
        self._connections = connections
        self._transport: Any = None
        self._waiting: deque[Request] = deque()
        self._parts: deque[bytes] = deque()
        self._next_part: asyncio.Handle | None = None
        self._phase: Phase = IDLE
        self._farewell: Content = b""  # the error page that follows the response in work
        self._paused = False
        self._last: LastHead | None = None
        self.in_work: Request | None = None
        # What the application returned for it.
        self._number: int | None = None
        self.deadline_s = 0.0

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
            self._number = self._connections.app(request, self._respond)
            if len(self._waiting) == self._connections.limits.max_pipelined:
                self._transport.resume_reading()

    def _respond(self, response: Response) -> None:
        request = self.in_work
        if request is None or self._transport.is_closing():
            self.in_work = None
            return
        if response.shortcut is not None and self._last is not None and request.headers is self._last.request.headers:
            self._last.respond = response.shortcut.respond
        closes = response.closes or not request.keep_alive or self._connections.announced
        content = serialized(response, request.method != "HEAD", closes, type(request) is Http10Request)
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
        end_sending(self._transport)

    # the server's side

    @property
    def is_busy(self) -> bool:
        """Whether a request is on its way, in work, or an answer is."""
        is_coming = self._phase is HEAD or self._phase is BODY
        return is_coming or self.in_work is not None or self._transport.get_write_buffer_size() > 0

    def is_late(self, now_s: float) -> bool:
        """Whether the client has kept us waiting for too long."""
        return self.deadline_s < now_s

    def expire(self) -> None:
        """The deadline has passed: say so if a request was under way, and close."""
        if (self._phase is HEAD or self._phase is BODY) and not self._paused:
            self._reject(error_page(408))
        else:
            self._transport.abort()

    def announce(self) -> None:
        """The server will end: HTTP/1.1 tells a client so in its next answer only."""

    def end(self) -> None:
        """The server ends: close unless a request is in work."""
        if self._phase is IDLE and self.in_work is None and not self._waiting:
            self._close()
