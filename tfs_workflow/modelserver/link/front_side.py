"""A front's side of the link: the application of its connections, which the engine answers.

A request goes to the engine as it came, unless the engine has given a plan for its kind. Then the front reads the
numbers of its JSON, the engine runs the model on them and prints the result. A plan belongs to the engine
that gave it, and rules about models stay with the engine: it may refuse a run at any time, and gets the request as it
came.

Every request is held until it is answered, also when the engine ends (engine_changes.py).
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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
from tfs_workflow.modelserver.json import array_text, small_numbers
from tfs_workflow.modelserver.link import frames, held_requests
from tfs_workflow.modelserver.link.channel import Channel
from tfs_workflow.modelserver.link.frames import Message
from tfs_workflow.modelserver.link.held_requests import PROBES, HeldArray, HeldCall, HeldHttp, HeldRun, RunPlan
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.status_error import StatusError

_MAX_PLANS = 1024


class FrontSide:
    """The connection to the engine; `first` is below the numbers of this front's requests and above all others'."""

    def __init__(self, first: int, table: HeldTable) -> None:
        self._loop = asyncio.get_running_loop()
        self._small: Channel | None = None
        self._large: Channel | None = None
        self._table = table
        self._held: dict[int, Any] = table.by_number
        self._number = first
        self._messages: list[Message] = []
        self._plans: dict[bytes, RunPlan] = {}
        self._deferred: deque[HeldArray] = deque()
        # Whether the engine has loaded its models: until then requests wait.
        self.is_up = False
        self._is_paused = False

    # the engine

    def open(self, small: socket.socket, large: socket.socket) -> None:
        """Talk to an engine over these connections."""
        self._small = Channel(small, self.receive, _ignore)
        self._large = Channel(large, self.receive, _ignore)
        self._loop.add_reader(small, self._small.read)
        self._loop.add_reader(large, self._large.read)
        # What is not sent yet is held, and sent with that.
        self._messages.clear()
        self._is_paused = False

    @property
    def is_connected(self) -> bool:
        """Whether there is an engine to talk to, which may not serve yet."""
        return self._small is not None

    def detach(self) -> Sequence[Channel] | None:
        """The connections to the engine, which is not used any more, nor are its plans; None where there is none."""
        self._flush()
        for plan in self._plans.values():
            plan.number = 0
        self._plans.clear()
        small, large, self._small, self._large = self._small, self._large, None, None
        return None if small is None or large is None else (small, large)

    def send_held(self, numbers: Iterable[int]) -> None:
        """Send these, which were not sent to this engine yet."""
        for number in numbers:
            self._send_held(number, self._held[number])
        self._flush()

    def pause(self) -> None:
        """Refuse what comes from now on, until there is an engine."""
        self._is_paused = True

    def sweep(self, now_s: float) -> None:
        """Answer what an engine that hangs leaves without an answer; called each second."""
        self._table.sweep(now_s, self._number)

    def give_up(self) -> None:
        """No other engine will come: without one, refuse what is held and what comes."""
        if self._small is None:
            self.pause()
            self._table.fail(list(self._held), held_requests.PAUSED)

    # requests

    def answer_http(self, request: Request, reply: HttpReply) -> int:
        """The application of HTTP connections."""
        plan = self._plans.get(request.target)
        if plan is not None and request.method == "POST":
            if len(request.body) <= small_numbers.MOST_BYTES:
                head = request._replace(body=b"")
                shortcut = Shortcut(partial(self._run, plan, head, reply))
                if self._run(plan, head, reply, bytes(request.body), shortcut) is not None:
                    return 0
            elif plan.takes_arrays and array_text.LEAST_BYTES <= len(request.body) <= array_text.PIECE_BYTES:
                self._defer(HeldArray(reply, request, plan))
                return 0
        return self._take(HeldHttp(reply, request))

    def cancel(self, number: int) -> None:
        """The client of this request has left: what has not begun in the engine need not be run."""
        known = self._table.cancel(number)
        if known and self._small is not None:
            self._send((frames.CANCEL, known))

    def _defer(self, held: HeldArray) -> None:
        """One large array in each iteration of the loop, so that small requests pass by."""
        if not self._table.admit(held):
            self._table.refuse(held, held_requests.FULL)
            return
        self._deferred.append(held)
        if len(self._deferred) == 1:
            self._loop.call_soon(self._run_deferred)

    def _run_deferred(self) -> None:
        held = self._deferred.popleft()
        if self._deferred:
            self._loop.call_soon(self._run_deferred)
        array = array_text.read(held.request.body) if held.plan.number else None
        if array is None or self._large is None:
            self._table.release(held)
            self._take(HeldHttp(held.reply, held.request))
            return
        self._number = number = self._number + 1
        self._held[number] = held
        about = (array.signature_name, array.key, array.shape, array.may_be_tiny)
        self._large.send_large((frames.ARRAY, number, held.plan.number, *about), array.parts)

    def answer_grpc(self, path: bytes, content: bytes, timeout_ms: int, reply: GrpcReply) -> int:
        """The application of gRPC connections."""
        return self._take(HeldCall(reply, path, content, timeout_ms))

    def _run(
        self, plan: RunPlan, head: Request, reply: HttpReply, body: bytes, shortcut: Shortcut | None = None
    ) -> Response | None:
        """Have the numbers of a body run; None when it is of another kind, or the plan outdated."""
        numbers = small_numbers.read(body) if plan.number else None
        if numbers is None:
            return None
        shape, values = numbers
        self._number = number = self._number + 1
        self._held[number] = HeldRun(plan, head, body, reply, shortcut)
        self._send((frames.RUN, number, plan.number, shape, array("f", values)))
        return PENDING

    def _take(self, held: HeldHttp | HeldCall) -> int:
        """Hold it and send it; returns its number, 0 where it is answered already."""
        if not self.is_up and isinstance(held, HeldHttp) and held.request.target in PROBES:
            held.reply(PROBES[held.request.target])
            return 0
        if self._is_paused or not self._table.admit(held):
            self._table.refuse(held, held_requests.PAUSED if self._is_paused else held_requests.FULL)
            return 0
        self._number = number = self._number + 1
        self._held[number] = held
        self._send_held(number, held)
        if not self.is_up:
            self._table.expire_later(number, held)
        return number

    def _send_held(self, number: int, held: Any) -> None:
        if isinstance(held, HeldCall):
            self._send_with_body((frames.GRPC, number, held.path), held.content, held.timeout_ms)
        else:
            method, target, headers, body, keep_alive = held.request
            self._send_with_body((frames.HTTP, number, method, target, headers), body, keep_alive)

    def _send_with_body(self, start: Message, body: bytes | bytearray, last: int) -> None:
        if len(body) < frames.LARGE_BYTES:
            self._send((*start, body, last))
        elif self._large is not None:
            self._large.send_large((*start, None, last), [body])

    def _send(self, message: Message) -> None:
        """A lone message at once; else together with those of the same iteration of the loop."""
        self._messages.append(message)
        if len(self._held) == 1:
            self._flush()
        elif len(self._messages) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._messages:
            if self._small is not None:
                self._small.send(self._messages)
            self._messages.clear()

    # answers

    def receive(self, messages: list[Message], large: bytearray | None) -> None:
        """Answer what an engine has answered."""
        held = self._held
        for message in messages:
            kind = message[0]
            request = held.pop(message[1], None)
            if request is None:
                continue
            if kind == frames.RESULT:
                request.reply(Response(200, message[2], JSON, request.plan.headers, shortcut=request.shortcut))
            else:
                self._table.release(request)
                _TAKE[kind](self, request, message, large)

    def _take_outdated(self, held: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        if isinstance(held, HeldArray):
            held.plan.takes_arrays = False
        else:
            held.plan.number = 0
            self._plans.pop(held.plan.target, None)
        self._take(held_requests.as_it_came(held))

    def _take_response(self, held: Any, message: Message, large: bytearray | None) -> None:
        _, _, status, body, content_type, headers, closes, number = message
        content: Content = body if large is None else frames.pieces(large)
        response = Response(status, content, content_type, headers, closes)
        if number and isinstance(held, HeldHttp):
            plan = self._plan(number, held.request.target, headers)
            if len(held.request.body) <= small_numbers.MOST_BYTES:
                run = partial(self._run, plan, held.request._replace(body=b""), held.reply)
                response = response._replace(shortcut=Shortcut(run))
        held.reply(response)

    def _plan(self, number: int, target: bytes, headers: bytes) -> RunPlan:
        plan = self._plans.get(target)
        if plan is None or plan.number != number:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[target] = RunPlan(number, target, headers)
        return plan

    def _take_message(self, held: Any, message: Message, large: bytearray | None) -> None:
        held.reply(message[2] if large is None else large)

    def _take_status(self, held: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        held.reply(StatusError(Code(message[2]), message[3]))

    def _take_watch(self, held: Any, message: Message, large: bytearray | None) -> None:  # noqa: ARG002
        held.reply(Watch(message[2]))


_TAKE: dict[int, Callable[[FrontSide, Any, Message, bytearray | None], None]] = {
    frames.OUTDATED: FrontSide._take_outdated,
    frames.RESPONSE: FrontSide._take_response,
    frames.MESSAGE: FrontSide._take_message,
    frames.STATUS: FrontSide._take_status,
    frames.WATCH: FrontSide._take_watch,
}


def _ignore() -> None:
    """The parent says when an engine has ended."""
