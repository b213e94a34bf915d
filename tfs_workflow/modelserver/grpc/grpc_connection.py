"""gRPC over HTTP/2, asyncio and libnghttp2: one connection, its calls, its bounds and its deadlines."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import ngh2
from ngh2 import DataReceived, RequestReceived, StreamClosed, WindowUpdated

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.exchange import GrpcApp, Watch
from tfs_workflow.modelserver.grpc import grpc_framing
from tfs_workflow.modelserver.grpc.grpc_framing import Head
from tfs_workflow.modelserver.net.connections import Connections, end_sending
from tfs_workflow.modelserver.status_error import StatusError

# How much a client may send ahead of the server, on one stream and in all. HTTP/2's 64 KiB cost a round trip each.
_WINDOW_BYTES = 4 * 2**20
# What one frame may hold. HTTP/2's smallest, 16 KiB, splits a large tensor into hundreds of events.
_FRAME_BYTES = 2**20
# What is written at once, between two looks at whether the client still reads.
_WRITE_BYTES = 2**20
# So many frames may open the client's window while nothing waits for it; libnghttp2 bounds the other floods itself.
_MOST_IDLE_UPDATES = 10_000


class _Body:
    """A message that comes in pieces."""

    __slots__ = ("chunks", "size_bytes")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size_bytes = 0


class GrpcConnection(asyncio.Protocol):
    """One connection; its calls are answered in whatever order they are done."""

    __slots__ = (
        "_answered",
        "_bodies",
        "_calls",
        "_connections",
        "_has_ended",
        "_heads",
        "_idle_updates",
        "_is_reading",
        "_paused",
        "_seen",
        "_seen_s",
        "_session",
        "_transport",
        "_watches",
    )  # fmt: skip

    def __init__(self, connections: Connections[GrpcApp]) -> None:
        self._connections = connections
        self._transport: Any = None
        self._session: Any = ngh2.Connection(ngh2.Role.SERVER)
        # Streams that are being read, and what has come of their bodies; that are in work, with the numbers of their
        # requests; that are answered on and on.
        self._heads: dict[int, Head] = {}
        self._bodies: dict[int, _Body] = {}
        self._calls: dict[int, int | None] = {}
        self._watches: set[int] = set()
        self._is_reading = self._paused = self._has_ended = False
        self._answered = 0
        # Frames that open the client's window, since its last request or since an answer waited for one.
        self._idle_updates = 0
        # What the client had to do when its deadline was last looked at, and since when. See `is_late`.
        self._seen: tuple[str, int] = ("", 0)
        self._seen_s = 0.0

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = transport
        connections, limits = self._connections, self._connections.limits
        connections.open.add(self)
        settings = ngh2.Setting
        self._session.initiate_connection(
            {
                settings.MAX_CONCURRENT_STREAMS: limits.max_streams,
                settings.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                settings.MAX_FRAME_SIZE: _FRAME_BYTES,
            }
        )
        self._session.set_local_window_size(_WINDOW_BYTES)
        # The client gets a GOAWAY with the reason, which a closed socket would not give it.
        if connections.is_full:
            self._session.terminate_connection(ngh2.ErrorCode.ENHANCE_YOUR_CALM)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio calls it so
        """The client is gone; what has begun for it goes on and its answer is dropped."""
        self._connections.open.discard(self)
        self._forget_all()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._has_ended:
            return
        session = self._session
        # Answers given while events are read are flushed together at the end: one write for many small calls.
        self._is_reading, updates = True, 0
        try:
            session.receive_data(data)
        except ngh2.NGH2Error:
            self._close()  # after the GOAWAY that says what was wrong
            return
        for event in session.events():
            kind = type(event)
            if kind is DataReceived:
                self._data(event)
            elif kind is RequestReceived:
                self._begin(event)
            # Every stream is closed at its end: most of them have been forgotten already.
            elif kind is StreamClosed and (self._calls or self._watches or self._heads):
                self._forget(event.stream_id)
            else:
                updates += kind is WindowUpdated
        self._is_reading = False
        if updates:
            self._bound_updates(updates)
        self._flush()

    def _bound_updates(self, more: int) -> None:
        self._idle_updates = 0 if self._session.queued_body_size() else self._idle_updates + more
        if self._idle_updates > _MOST_IDLE_UPDATES:
            self._session.terminate_connection(ngh2.ErrorCode.ENHANCE_YOUR_CALM)

    def pause_writing(self) -> None:
        """The client reads slower than we answer."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._flush()

    # calls

    def _begin(self, event: RequestReceived) -> None:
        head, stream = grpc_framing.read_head(event.headers), event.stream_id
        self._idle_updates = 0
        if not isinstance(head, Head):
            self._session.send_response(stream, head, end_stream=True)
        elif event.end_stream:
            self._submit(stream, head, b"")
        else:
            self._heads[stream] = head

    def _data(self, event: DataReceived) -> None:
        stream = event.stream_id
        head = self._heads.get(stream)
        if head is None:
            return  # refused already
        if not event.end_stream:
            self._collect(stream, event.data)
            return
        del self._heads[stream]
        body = self._bodies.pop(stream, None)
        self._submit(stream, head, event.data if body is None else b"".join((*body.chunks, event.data)))

    def _collect(self, stream: int, data: bytes) -> None:
        body = self._bodies.get(stream)
        if body is None:
            body = self._bodies[stream] = _Body()
        body.chunks.append(data)
        body.size_bytes += len(data)
        if error := grpc_framing.overrun(body.chunks[0], body.size_bytes):
            del self._heads[stream], self._bodies[stream]
            self._calls[stream] = None
            self._answer(stream, error)
            self._flush()  # the answer, before the word that the rest need not be sent
            with suppress(ngh2.NGH2Error):  # the same bytes have ended the connection: they overran its window, too
                self._session.reset_stream(stream, ngh2.ErrorCode.NO_ERROR)

    def _submit(self, stream: int, head: Head, body: bytes) -> None:
        self._calls[stream] = None
        try:
            message = grpc_framing.message_of(body, head.encoding, self._connections.limits.max_body_bytes)
        except StatusError as error:
            self._answer(stream, error)
            return
        number = self._connections.app(head.path, message, head.timeout_ms, partial(self._answer, stream))
        if number and stream in self._calls:
            self._calls[stream] = number

    def _answer(self, stream: int, result: bytes | Watch | StatusError) -> None:
        if stream not in self._calls:
            return  # the client has gone, or has cancelled the call
        del self._calls[stream]
        self._answered += 1
        session = self._session
        try:
            if isinstance(result, StatusError):
                headers = grpc_framing.HEADERS + grpc_framing.status_headers(result)
                session.send_response(stream, headers, end_stream=True)
            elif isinstance(result, Watch):
                session.send_response(stream, grpc_framing.HEADERS)
                session.send_data(stream, grpc_framing.framed(result.first))
                self._watches.add(stream)
            else:
                session.send_response(stream, grpc_framing.HEADERS)
                session.send_data(stream, grpc_framing.framed(result))
                session.send_trailers(stream, grpc_framing.OK)
        except ngh2.NGH2Error:
            return  # the stream was reset in this very moment
        if not self._is_reading:
            self._flush()

    def _forget(self, stream: int) -> None:
        self._heads.pop(stream, None)
        self._bodies.pop(stream, None)
        self._watches.discard(stream)
        # One that is still there has been reset by the client.
        self._connections.cancel(self._calls.pop(stream, None))

    def _forget_all(self) -> None:
        for stream in list(self._calls):
            self._forget(stream)
        for streams in (self._watches, self._heads, self._bodies):
            streams.clear()

    # bytes out

    def _flush(self) -> None:
        """Write what flow control and the client's pace allow."""
        session, transport = self._session, self._transport
        while not self._paused and (data := session.data_to_send(_WRITE_BYTES)):
            transport.write(data)
            # Less than was allowed is all that there is; another call would return nothing.
            if len(data) < _WRITE_BYTES:
                break
        if not session.want_read or (self._connections.ending and not self.is_busy):
            self._close()

    def _close(self) -> None:
        """End the sending side now, and all of it when the client ends or two seconds have passed.

        Closing at once would reset the connection while the client still sends, and take the last words with it.
        """
        if self._has_ended:
            return
        self._has_ended = True
        self._forget_all()
        with suppress(ngh2.NGH2Error):  # what does not speak HTTP/2 at all is told nothing
            while data := self._session.data_to_send(_WRITE_BYTES):
                self._transport.write(data)
        end_sending(self._transport)

    # the server's side

    @property
    def is_busy(self) -> bool:
        """Whether a call is on its way or in work, or an answer on its way."""
        waiting_bytes = self._session.queued_body_size() + self._transport.get_write_buffer_size()
        return bool(self._calls or self._heads) or waiting_bytes > 0

    def is_late(self, now_s: float) -> bool:
        """Whether the client has kept us waiting for too long; asked now and then, so that calls cost nothing."""
        seen, allowed_s = self._waits_for()
        if seen != self._seen:
            self._seen, self._seen_s = seen, now_s
        return now_s - self._seen_s > allowed_s

    def _waits_for(self) -> tuple[tuple[str, int], float]:
        """What the client has to do next, with what changes when it does so, and the seconds that it has."""
        limits = self._connections.limits
        if self._has_ended:
            return ("hang up", 0), 2
        if queued_bytes := self._session.queued_body_size():
            return ("take its answer", queued_bytes), limits.write_timeout_s
        if self._heads:
            stream = next(iter(self._heads))
            body = self._bodies.get(stream)
            # What has come, over the slowest rate allowed: a large message gets more time the more of it is there.
            rate_s = body.size_bytes / limits.min_body_bytes_per_s if body else 0
            return ("send its request", stream), limits.body_timeout_s + rate_s
        if self._calls or self._watches:
            return ("wait for us", 0), float("inf")
        return ("ask", self._answered), limits.idle_timeout_s if self._answered else limits.head_timeout_s

    def expire(self) -> None:
        """The deadline has passed: an idle client gets a GOAWAY and may reconnect, a slow one is cut off."""
        if self.is_busy or self._has_ended:
            self._transport.abort()
        else:
            self._session.terminate_connection()
            self._close()

    def announce(self) -> None:
        """The server will end: the client opens its next calls on another connection; those on their way are served.

        This GOAWAY names no last call (RFC 9113, 6.8); the one of `end` does.
        """
        if not self._has_ended:
            self._session.send_shutdown_notice()
            self._flush()

    def end(self) -> None:
        """The server ends: no new calls; close once none is in work."""
        if self._has_ended:
            self._transport.close()
            return
        # Calls that are under way are finished; a client opens new ones on another connection.
        self._session.send_goaway()
        for stream in self._watches:
            self._session.send_trailers(stream, grpc_framing.status_headers(StatusError(Code.UNAVAILABLE, "ending")))
        self._watches.clear()
        self._flush()
