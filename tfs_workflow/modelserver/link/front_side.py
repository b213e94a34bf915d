"""A front's side of the link: the application of its connections, which the engine answers.

A request goes to the engine as it came, unless the engine has given a plan for its kind. Then the front reads the
numbers of its JSON, the engine runs the model on them, and the front prints the result. A plan belongs to the engine
that gave it, and rules about models stay with the engine: it may refuse a run at any time, and gets the request as it
came.

Every request is held until it is answered, so that it can be sent once more.
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.exchange import (
    JSON,
    PENDING,
    Content,
    GrpcReply,
    HttpReply,
    Request,
    Response,
    Shortcut,
    Watch,
)
from tfs_workflow.modelserver.json import small_numbers
from tfs_workflow.modelserver.link import frames
from tfs_workflow.modelserver.link.channel import Channel
from tfs_workflow.modelserver.link.frames import Message
from tfs_workflow.modelserver.status_error import StatusError

# What a connection writes of a large body in one iteration of its loop.
_PIECE_BYTES = 256 * 2**10
_MAX_PLANS = 1024


class _Plan:
    """How one kind of request is run; a number of 0 is outdated."""

    __slots__ = ("headers", "number", "target")

    def __init__(self, number: int, target: bytes, headers: bytes) -> None:
        self.number = number
        self.target = target
        self.headers = headers


class _Run:
    """A request that was sent as a run, and what to send should that be refused."""

    __slots__ = ("body", "head", "plan", "reply", "shortcut")

    def __init__(self, plan: _Plan, head: Request, body: bytes, reply: HttpReply, shortcut: Shortcut | None) -> None:
        self.plan = plan
        self.head = head
        self.body = body
        self.reply = reply
        self.shortcut = shortcut


class FrontSide:
    """The connection to the engine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._small: Channel | None = None
        self._large: Channel | None = None
        self._held: dict[int, Any] = {}
        self._number = 0
        self._messages: list[Message] = []
        self._plans: dict[bytes, _Plan] = {}

    def connect(self, small: socket.socket, large: socket.socket) -> None:
        """Talk to an engine over these connections, which replace those to the one before."""
        self._small = Channel(small, self._receive, self._lost)
        self._large = Channel(large, self._receive, self._lost)
        self._loop.add_reader(small, self._small.read)
        self._loop.add_reader(large, self._large.read)

    # requests

    def answer_http(self, request: Request, reply: HttpReply) -> None:
        """The application of HTTP connections."""
        plan = self._plans.get(request.target)
        if plan is not None and request.method == "POST" and len(request.body) <= small_numbers.MOST_BYTES:
            head = request._replace(body=b"")
            shortcut = Shortcut(partial(self._run, plan, head, reply))
            if self._run(plan, head, reply, bytes(request.body), shortcut) is not None:
                return
        self._send_http(request, reply)

    def answer_grpc(self, path: bytes, content: bytes, timeout_ms: int, reply: GrpcReply) -> None:
        """The application of gRPC connections."""
        number = self._hold((reply, path, content, timeout_ms))
        if len(content) < frames.LARGE_BYTES:
            self._send((frames.GRPC, number, path, content, timeout_ms))
        else:
            self._send_large((frames.GRPC, number, path, None, timeout_ms), content)

    def _run(
        self, plan: _Plan, head: Request, reply: HttpReply, body: bytes, shortcut: Shortcut | None = None
    ) -> Response | None:
        """Have the numbers of a body run; None when it is of another kind, or the plan outdated."""
        numbers = small_numbers.read(body) if plan.number else None
        if numbers is None:
            return None
        shape, values = numbers
        self._number = number = self._number + 1
        self._held[number] = _Run(plan, head, body, reply, shortcut)
        self._send((frames.RUN, number, plan.number, shape, array("f", values)))
        return PENDING

    def _send_http(self, request: Request, reply: HttpReply) -> None:
        number = self._hold((reply, request))
        method, target, headers, body, keep_alive = request
        if len(body) < frames.LARGE_BYTES:
            self._send((frames.HTTP, number, method, target, headers, body, keep_alive))
        else:
            self._send_large((frames.HTTP, number, method, target, headers, None, keep_alive), body)

    def _hold(self, request: Any) -> int:
        self._number += 1
        self._held[self._number] = request
        return self._number

    def _send(self, message: Message) -> None:
        """A lone message at once; else together with those of the same iteration of the loop."""
        self._messages.append(message)
        if len(self._held) == 1:
            self._flush()
        elif len(self._messages) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._messages and self._small is not None:
            self._small.send(self._messages)
            self._messages.clear()

    def _send_large(self, message: Message, body: bytes | bytearray) -> None:
        if self._large is not None:
            self._large.send_large(message, [body])

    # answers

    def _receive(self, messages: list[Message], large: bytearray | None) -> None:
        held = self._held
        for message in messages:
            kind = message[0]
            request = held.pop(message[1], None)
            if request is None:
                continue
            if kind == frames.RESULT:
                body = small_numbers.printed(message[2], message[3])
                request.reply(Response(200, body, JSON, request.plan.headers, shortcut=request.shortcut))
            else:
                _TAKE[kind](self, request, message, large)

    def _take_outdated(self, request: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        request.plan.number = 0
        self._plans.pop(request.plan.target, None)
        self._send_http(request.head._replace(body=request.body), request.reply)

    def _take_response(self, request: Any, message: Message, large: bytearray | None) -> None:
        _, _, status, body, content_type, headers, closes, number = message
        content: Content = body if large is None else _pieces(large)
        response = Response(status, content, content_type, headers, closes)
        if isinstance(request, _Run):
            request.reply(response)
            return
        reply, asked = request
        if number:
            plan = self._plan(number, asked.target, headers)
            response = response._replace(shortcut=Shortcut(partial(self._run, plan, asked._replace(body=b""), reply)))
        reply(response)

    def _plan(self, number: int, target: bytes, headers: bytes) -> _Plan:
        plan = self._plans.get(target)
        if plan is None or plan.number != number:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[target] = _Plan(number, target, headers)
        return plan

    def _take_message(self, request: Any, message: Message, large: bytearray | None) -> None:
        request[0](message[2] if large is None else large)

    def _take_status(self, request: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        request[0](StatusError(Code(message[2]), message[3]))

    def _take_watch(self, request: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        request[0](Watch(message[2]))

    def _lost(self) -> None:
        """The engine is gone."""


_TAKE: dict[int, Callable[[FrontSide, Any, Message, bytearray | None], None]] = {
    frames.OUTDATED: FrontSide._take_outdated,
    frames.RESPONSE: FrontSide._take_response,
    frames.MESSAGE: FrontSide._take_message,
    frames.STATUS: FrontSide._take_status,
    frames.WATCH: FrontSide._take_watch,
}


def _pieces(body: bytearray) -> Content:
    view = memoryview(body)
    return [view[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES)]  # type: ignore[misc]
