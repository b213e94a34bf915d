"""The engine's side of the link: calls the APIs for the messages of all fronts, and sends back what they answer.

A read brings many messages where many connections are busy; their results leave in one write. With few connections the
next message comes a few microseconds after a result has left. To sleep until then and be woken takes longer than the
run, so the engine looks for the next message for SPIN_S before it returns to its loop. It does so only while messages
follow each other closely: an idle server, or one with a hundred requests per second, takes no processor time for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from functools import partial

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.exchange import (
    ArrayRun,
    Cancel,
    FloatRun,
    GrpcApp,
    HttpApp,
    Request,
    Response,
    Shortcut,
    Watch,
)
from tfs_workflow.modelserver.link import frames
from tfs_workflow.modelserver.link.channel import Channel
from tfs_workflow.modelserver.link.frames import Message
from tfs_workflow.modelserver.link.run_notes import Numbers
from tfs_workflow.modelserver.status_error import StatusError

# How long to look for the next message.
SPIN_S = 0.0001
# Two messages further apart than this do not make a spin worthwhile.
_CLOSE_S = 0.0003
# After this long the event loop gets its turn, for timers and results from threads.
_LONGEST_S = 0.001
# So many results at most wait for the rest of their batch: a front sends them on meanwhile.
_RESULTS = 16
# A client chooses its targets: so many kinds of requests at most are run by plan.
_MAX_PLANS = 4096


class EngineSide:
    """The connections to all fronts."""

    def __init__(self, http_app: HttpApp, grpc_app: GrpcApp, cancel: Cancel, running: Numbers, place: int) -> None:
        self.running = running
        self._received_s = running[:1].cast("B").cast("d")
        self.place = place
        self.http_app = http_app
        self.grpc_app = grpc_app
        self.cancel = cancel
        # By plan number; the number 0 stands for no plan.
        self.runs: list[FloatRun | None] = [None]
        self.array_runs: list[ArrayRun | None] = [None]
        self._numbers: dict[FloatRun, int] = {}
        self._channels: list[Channel] = []
        self._on_left: Callable[[], None] | None = None
        self._last_s = 0.0

    def add(self, small: socket.socket, large: socket.socket) -> None:
        """Serve a front over its two connections."""
        front = _Front(self, small, large)
        loop = asyncio.get_running_loop()
        self._channels.append(front.small)
        loop.add_reader(front.small.socket, self._on_message, front.small)
        loop.add_reader(front.large.socket, front.large.read)

    def remove(self, channel: Channel) -> None:
        """Forget a front that has ended."""
        self._channels = [other for other in self._channels if other is not channel]
        if not self._channels and self._on_left is not None:
            self._on_left()

    def when_left(self, act: Callable[[], None]) -> None:
        """Do this once no front is connected any more."""
        self._on_left = act
        if not self._channels:
            act()

    def plan_of(self, shortcut: Shortcut | None) -> int:
        """The number under which fronts name it; 0 for none, and when there are too many."""
        run = None if shortcut is None else shortcut.run
        if shortcut is None or run is None:
            return 0
        number = self._numbers.get(run, 0)
        if not number and len(self.runs) < _MAX_PLANS:
            number = self._numbers[run] = len(self.runs)
            self.runs.append(run)
            self.array_runs.append(shortcut.run_array)
        return number

    def _on_message(self, channel: Channel) -> None:
        channel.read()
        now_s = time.monotonic()
        if now_s - self._last_s < _CLOSE_S:
            now_s = self._spin(now_s)
        self._last_s = self._received_s[0] = now_s

    def _spin(self, now_s: float) -> float:
        """Take messages until none has come for SPIN_S; returns the time.

        Between two looks the processor is offered to others, such as a front or a client that waits for it: Linux would
        let them wait for a millisecond.
        """
        clock = time.monotonic
        until_s, end_s = now_s + SPIN_S, now_s + _LONGEST_S
        while now_s < until_s:
            has_read = False
            for channel in self._channels:
                has_read |= channel.read()
            if not has_read:
                os.sched_yield()
            now_s = clock()
            if has_read:
                until_s = min(now_s + SPIN_S, end_s)
        return now_s


class _Front:
    """One front, as the engine sees it."""

    def __init__(self, side: EngineSide, small: socket.socket, large: socket.socket) -> None:
        self._side = side
        self.small = Channel(small, self._receive, self._lost)
        self.large = Channel(large, self._receive, self._lost)
        self._results: list[Message] = []
        self._is_receiving = False

    def _lost(self) -> None:
        self._side.remove(self.small)
        self.small.close()
        self.large.close()

    def _receive(self, messages: list[Message], large: bytearray | None) -> None:
        self._is_receiving = True
        results = self._results
        running = self._side.running
        for message in messages:
            # In this thread's place; written here rather than by a call, which each small request would pay for.
            running[self._side.place] = message[1]
            try:
                if message[0] == frames.RUN:
                    self._run(message)
                else:
                    self._call(message, large)
            except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
                self._fail(message, error)
            if len(results) >= _RESULTS:
                self._flush()
        running[self._side.place] = 0
        self._is_receiving = False
        if results:
            self._flush()

    def _run(self, message: Message) -> None:
        _, number, plan, shape, content = message
        run = self._side.runs[plan]
        response = run(shape, content) if run is not None else None
        if response is None:
            self._results.append((frames.OUTDATED, number))
        elif response.status == 200 and type(response.body) is bytes and len(response.body) < frames.LARGE_BYTES:
            # What else belongs to the response stands in the plan.
            self._results.append((frames.RESULT, number, response.body))
        else:
            self._respond(number, response)

    def _call(self, message: Message, large: bytearray | None) -> None:
        """Call the API for a request that is sent as it came."""
        kind, number = message[:2]
        if kind == frames.HTTP:
            _, _, method, target, headers, body, keep_alive = message
            body = body if large is None else large
            self._side.http_app(Request(method, target, headers, body, keep_alive), partial(self._respond, number))
        elif kind == frames.ARRAY:
            _, _, plan, name, key, shape, may_be_tiny = message
            run = self._side.array_runs[plan]
            if run is None or large is None:
                self._respond_or_refuse(number, None)
            else:
                run((name, key, shape, large, may_be_tiny), partial(self._respond_or_refuse, number))
        elif kind == frames.CANCEL:
            self._side.cancel(number)
        else:
            _, _, path, content, timeout_ms = message
            content = content if large is None else bytes(large)
            self._side.grpc_app(path, content, timeout_ms, partial(self._answer, number))

    def _respond_or_refuse(self, number: int, response: Response | None) -> None:
        if response is None:
            self._add((frames.OUTDATED, number))
        else:
            self._respond(number, response)

    def _respond(self, number: int, response: Response) -> None:
        status, body, content_type, headers, closes, shortcut = response
        plan = self._side.plan_of(shortcut)
        parts = body if isinstance(body, list) else [body]
        if sum(map(len, parts)) < frames.LARGE_BYTES:
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            self._add((frames.RESPONSE, number, status, content, content_type, headers, closes, plan))
        else:
            message = (frames.RESPONSE, number, status, None, content_type, headers, closes, plan)
            self.large.send_large(message, parts)

    def _answer(self, number: int, result: bytes | Watch | StatusError) -> None:
        if isinstance(result, StatusError):
            self._add((frames.STATUS, number, int(result.code), result.message))
        elif isinstance(result, Watch):
            self._add((frames.WATCH, number, result.first))
        elif len(result) < frames.LARGE_BYTES:
            self._add((frames.MESSAGE, number, result))
        else:
            self.large.send_large((frames.MESSAGE, number, None), [result])

    def _fail(self, message: Message, error: Exception) -> None:
        """Answer a request that an unexpected error ended."""
        log.error("model_servers/server.cc", f"Internal error: {error!r}")
        if message[0] == frames.GRPC:
            self._add((frames.STATUS, message[1], int(Code.INTERNAL), repr(error)))
        else:
            self._respond(message[1], Response(500, b""))

    def _add(self, message: Message) -> None:
        self._results.append(message)
        if not self._is_receiving and len(self._results) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._results:
            self.small.send(self._results)
            self._results.clear()
