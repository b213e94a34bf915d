"""The requests that a front holds until they are answered, and their answers where the engine cannot give them.

A request that ran when the engine ended may be the cause of its end, so it is not sent again. What the client gets in
its place looks like any other error of the server.
"""

from __future__ import annotations

import signal
from collections import deque
from typing import NamedTuple

from tfs_workflow.formats.status_codes import HTTP_STATUS, Code
from tfs_workflow.modelserver.exchange import JSON, RETRY_AFTER, GrpcReply, HttpReply, Request, Response, Shortcut
from tfs_workflow.modelserver.json import json_writer
from tfs_workflow.modelserver.status_error import StatusError

# To the probes of orchestrators while the engine loads: restarting the server would not make it faster.
PROBES = {b"/healthz": Response(200, b"ok\n", b"text/plain"), b"/readyz": Response(503, b"not ready\n", b"text/plain")}


class Failure(NamedTuple):
    """Why the engine has not answered a request: under this reason it is counted, this error the client gets."""

    reason: str
    error: StatusError


TIMED_OUT = Failure("timed_out", StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification"))
PAUSED = Failure(
    "no_engine",
    StatusError(
        Code.UNAVAILABLE, "The process that runs TensorFlow has ended repeatedly and is not running; try again later."
    ),
)
FULL = Failure(
    "no_room",
    StatusError(Code.UNAVAILABLE, "The requests in work have more than --max_held_bytes together; try again later."),
)


class RunPlan:
    """How one kind of request is run; a number of 0 is outdated."""

    __slots__ = ("headers", "number", "takes_arrays", "target")

    def __init__(self, number: int, target: bytes, headers: bytes) -> None:
        self.number = number
        self.target = target
        self.headers = headers
        self.takes_arrays = True


class HeldRun:
    """A request whose numbers are run by a plan, and what to send should that be refused."""

    __slots__ = ("body", "head", "plan", "reply", "shortcut")

    def __init__(self, plan: RunPlan, head: Request, body: bytes, reply: HttpReply, shortcut: Shortcut | None) -> None:
        self.plan = plan
        self.head = head
        self.body = body
        self.reply = reply
        self.shortcut = shortcut


class HeldHttp(NamedTuple):
    """A request of HTTP as it came."""

    reply: HttpReply
    request: Request


class HeldArray(NamedTuple):
    """A request whose array is run by a plan."""

    reply: HttpReply
    request: Request
    plan: RunPlan


class HeldCall(NamedTuple):
    """A call of gRPC as it came; its timeout is in milliseconds, 0 for none."""

    reply: GrpcReply
    path: bytes
    content: bytes
    timeout_ms: int


Held = HeldRun | HeldArray | HeldHttp | HeldCall


class Ages:
    """How old requests are, by their numbers alone: a time for each would cost every small request."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def last_older(self, now_s: float, newest: int, age_s: float) -> int:
        """The last number that was given before so many seconds; 0 when there is none since the last call."""
        self._seen.append((now_s, newest))
        last = 0
        while self._seen[0][0] < now_s - age_s:
            last = self._seen.popleft()[1]
        return last


def as_it_came(held: HeldRun | HeldArray) -> HeldHttp:
    """A request that is not to be run by a plan after all."""
    request = held.request if isinstance(held, HeldArray) else held.head._replace(body=held.body)
    return HeldHttp(held.reply, request)


def fail(held: Held, error: StatusError, headers: bytes) -> None:
    """Answer a request with an error; `headers` are those of every JSON answer."""
    if isinstance(held, HeldCall):
        held.reply(error)
        return
    retry = RETRY_AFTER if error.code is Code.UNAVAILABLE else b""
    text = '{\n    "error": ' + json_writer.quoted(error.message) + "\n}"
    held.reply(Response(HTTP_STATUS[error.code], text.encode(), JSON, headers + retry))


def engine_ended(number: int) -> Failure:
    """That of a request that ran when the engine ended, by this signal; 0 where it ended by itself."""
    how = f" by {signal.Signals(number).name}" if number else ""
    text = f"The process that runs TensorFlow ended{how} while it ran this request."
    return Failure("engine_ended", StatusError(Code.INTERNAL, text))
