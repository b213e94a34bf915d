"""gRPC over HTTP/2, asyncio and libnghttp2: one connection, its calls, its bounds and its deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import ngh2
from ngh2 import DataReceived, RequestReceived, StreamClosed

from tfs_workflow.modelserver import grpc_message
from tfs_workflow.modelserver.connections import Connections
from tfs_workflow.modelserver.grpc_message import Head
from tfs_workflow.modelserver.status import Code, StatusError


class Watch(NamedTuple):
    """The first message of an answer that goes on until the client or the server ends."""

    first: bytes


Reply = Callable[["bytes | Watch | StatusError"], None]
# A path, a message, the milliseconds that the client waits (0 without end), and what takes the answer, on the loop.
App = Callable[[bytes, bytes, int, Reply], None]

_WINDOW_BYTES = 4 * 2**20
_FRAME_BYTES = 2**20
_WRITE_BYTES = 2**20


class _Call:
    """A request that is being read, or waits for its answer."""

    __slots__ = ("chunks", "head", "size_bytes")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.chunks: list[bytes] = []
        self.size_bytes = 0


class GrpcConnection(asyncio.Protocol):
    """One connection; its calls are answered in whatever order they are done."""

    __slots__ = (
        "_body_deadline_s",
        "_calls",
        "_connections",
        "_is_reading",
        "_paused",
        "_queued_bytes",
        "_receiving",
        "_session",
        "_transport",
        "_watches",
        "deadline_s",
    )  # fmt: skip

    def __init__(self, connections: Connections[App]) -> None:
        self._connections = connections
        self._transport: Any = None
        self._session: Any = ngh2.Connection(ngh2.Role.SERVER)
        self._calls: dict[int, _Call] = {}
        self._receiving: set[int] = set()
        self._watches: set[int] = set()
        self._is_reading = self._paused = False
        self._queued_bytes = 0
        self._body_deadline_s = self.deadline_s = 0.0

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = transport
        connections, limits = self._connections, self._connections.limits
        connections.open.add(self)
        self.deadline_s = time.monotonic() + limits.head_timeout_s
        settings = ngh2.Setting
        self._session.initiate_connection(
            {
                settings.MAX_CONCURRENT_STREAMS: limits.max_streams,
                settings.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                settings.MAX_FRAME_SIZE: _FRAME_BYTES,
            }
        )
        self._session.set_local_window_size(_WINDOW_BYTES)
        if connections.is_full:
            self._session.terminate_connection(ngh2.ErrorCode.ENHANCE_YOUR_CALM)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio calls it so
        """The client is gone; what is in work for it goes on and its answer is dropped."""
        self._connections.open.discard(self)
        self._calls.clear()
        self._receiving.clear()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        session = self._session
        self._is_reading = True
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
            elif kind is StreamClosed:
                self._forget(event.stream_id)
        self._is_reading = False
        self._flush()
        if not session.want_read and not session.want_write:
            self._transport.close()

    def pause_writing(self) -> None:
        """The client reads slower than we answer."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._flush()

    # calls

    def _begin(self, event: RequestReceived) -> None:
        head, stream = grpc_message.read_head(event.headers), event.stream_id
        if not isinstance(head, Head):
            self._session.send_response(stream, head, end_stream=True)
            return
        self._calls[stream] = _Call(head)
        if event.end_stream:
            self._refuse(stream, StatusError(Code.INTERNAL, "the request has no message"))
        else:
            if not self._receiving:
                self._body_deadline_s = time.monotonic() + self._connections.limits.body_timeout_s
            self._receiving.add(stream)

    def _data(self, event: DataReceived) -> None:
        stream = event.stream_id
        if stream not in self._receiving:
            return  # refused already
        call = self._calls[stream]
        call.chunks.append(event.data)
        call.size_bytes += len(event.data)
        self._body_deadline_s += len(event.data) / self._connections.limits.min_body_bytes_per_s
        if call.size_bytes > grpc_message.MAX_MESSAGE_BYTES + grpc_message.PREFIX.size:
            self._refuse(stream, StatusError(Code.RESOURCE_EXHAUSTED, "Received message larger than 2 GiB"))
        elif event.end_stream:
            self._receiving.discard(stream)
            self._submit(stream, call)

    def _submit(self, stream: int, call: _Call) -> None:
        body = call.chunks[0] if len(call.chunks) == 1 else b"".join(call.chunks)
        call.chunks.clear()
        try:
            message = grpc_message.message_of(body, call.head.encoding, self._connections.limits.max_body_bytes)
        except StatusError as error:
            self._answer(stream, error)
            return
        self._connections.app(call.head.path, message, call.head.timeout_ms, partial(self._answer, stream))

    def _refuse(self, stream: int, error: StatusError) -> None:
        """Answer before the request is read to its end; the rest is thrown away."""
        self._receiving.discard(stream)
        self._calls[stream].chunks.clear()
        self._answer(stream, error)

    def _answer(self, stream: int, result: bytes | Watch | StatusError) -> None:
        if self._calls.pop(stream, None) is None:
            return  # the client has gone, or asks no more
        session = self._session
        try:
            if isinstance(result, StatusError):
                headers = grpc_message.HEADERS + grpc_message.status_headers(result)
                session.send_response(stream, headers, end_stream=True)
            elif isinstance(result, Watch):
                session.send_response(stream, grpc_message.HEADERS)
                session.send_data(stream, grpc_message.framed(result.first))
                self._watches.add(stream)
            else:
                session.send_response(stream, grpc_message.HEADERS)
                session.send_data(stream, grpc_message.framed(result))
                session.send_trailers(stream, grpc_message.OK)
        except ngh2.NGH2Error:
            return  # the stream was reset in this very moment
        if not self._is_reading:
            self._flush()

    def _forget(self, stream: int) -> None:
        self._receiving.discard(stream)
        self._watches.discard(stream)
        self._calls.pop(stream, None)

    # bytes out

    def _flush(self) -> None:
        """Write what flow control and the client's pace allow; set the next deadline."""
        session, transport = self._session, self._transport
        while not self._paused and (data := session.data_to_send(_WRITE_BYTES)):
            transport.write(data)
            if len(data) < _WRITE_BYTES:
                break
        self._set_deadline()
        if self._connections.ending and not self.is_busy:
            transport.close()

    def _set_deadline(self) -> None:
        limits, before = self._connections.limits, self._queued_bytes
        queued = self._queued_bytes = self._session.queued_body_size()
        if queued:
            # Only reading counts as life here: a client that takes nothing has this long.
            if queued < before or not before:
                self.deadline_s = time.monotonic() + limits.write_timeout_s
        elif self._receiving:
            self.deadline_s = self._body_deadline_s
        else:
            waits = self._calls or self._watches
            self.deadline_s = float("inf") if waits else time.monotonic() + limits.idle_timeout_s

    def _close(self) -> None:
        self._calls.clear()
        self._receiving.clear()
        with suppress(ngh2.NGH2Error):  # what does not speak HTTP/2 at all is told nothing
            while data := self._session.data_to_send(_WRITE_BYTES):
                self._transport.write(data)
        self._transport.close()

    # the server's side

    @property
    def is_busy(self) -> bool:
        """Whether a call is in work or an answer on its way."""
        waiting_bytes = self._session.queued_body_size() + self._transport.get_write_buffer_size()
        return bool(self._calls) or waiting_bytes > 0

    def expire(self) -> None:
        """The deadline has passed: an idle client is told to connect anew when it needs to, a slow one is cut off."""
        if self.is_busy:
            self._transport.abort()
        else:
            self._session.terminate_connection()
            self._close()

    def end(self) -> None:
        """The server ends: no new calls; close once none is in work."""
        self._session.send_goaway()
        for stream in self._watches:
            self._session.send_trailers(stream, grpc_message.status_headers(StatusError(Code.UNAVAILABLE, "ending")))
        self._watches.clear()
        self._flush()
