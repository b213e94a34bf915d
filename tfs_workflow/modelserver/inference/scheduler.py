"""Decides where a request runs: in place, on a thread, or in a batch; so that no model holds up another.

Running in place, on the event loop, is quickest by far and right for models that take microseconds. Models that have
been slow lately, and large requests, go to threads (docs/decisions/0009-http-server.md).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol, TypeVar

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.inference.completions import Answer, Answers, Done
from tfs_workflow.modelserver.inference.servable import IN_PLACE, Plan, Servable
from tfs_workflow.modelserver.inference.workers import Workers
from tfs_workflow.modelserver.status import StatusError
from tfs_workflow.modelserver.tensorflow.session import SessionClosed
from tfs_workflow.protos.session_pb2 import RunOptions

T = TypeVar("T")
Turn = AbstractContextManager[Any]
_NO_TURN: Turn = nullcontext()
# Makes a request ready; None where it cannot, so that another way has to be taken.
Quickly = Callable[[], "Plan[T] | None"]
IN_PLACE_BYTES = 16 * 1024
# So many at most wait for their round of the loop, each of a millisecond or two; what is more goes to threads.
_LINE_LENGTH = 64


class Batching(Protocol):
    """What puts plans together (batching.py)."""

    def submit(self, plan: Plan[T], done: Done) -> None:
        """Run a plan as part of a batch; `done` gets its result or StatusError on any thread."""


class Dispatcher:
    """Runs requests. Results and errors come to `done` on the event loop, at once or later."""

    def __init__(self, workers: Workers, timeout_ms: int, batching: Batching | None) -> None:
        self._workers = workers
        self._batching = batching
        self._loop = asyncio.get_running_loop()
        self._line: deque[Callable[[], None]] = deque()
        # Threads read and print large requests one at a time: with more of them the loop waits longer for its turn.
        self._turn = threading.Lock()
        self._answers = Answers(self._loop, timeout_ms)
        self._options = _options(timeout_ms)

    @property
    def batches(self) -> bool:
        """Whether requests are put together."""
        return self._batching is not None

    def submit(  # noqa: PLR0913, PLR0917  # all that decides where it runs
        self,
        servable: Servable | None,
        size_bytes: int,
        prepare: Callable[[], Plan[T]],
        done: Done,
        timeout_ms: int | None = None,
        quickly: Quickly[T] | None = None,
    ) -> None:
        """Prepare and run a request. `servable` is the likely one, if known, and `size_bytes` the request's size.

        Without a timeout REST's applies; 0 is none. Where there is a way that takes a millisecond at most, `quickly`,
        a request of some size runs in place, too, if its model is quick.
        """
        small = size_bytes <= IN_PLACE_BYTES
        if self._batching is None and small and (servable is None or servable.pace.is_quick):
            result = attempt(partial(_if_quick, prepare), IN_PLACE)
            if result is not None:
                done(result)
                return
        answer = self._answers.expect(done, timeout_ms)
        if self._batching is not None and small:
            self._enqueue(prepare, answer)
            return
        options = self._options if timeout_ms is None else _options(timeout_ms)
        turn = _NO_TURN if small else self._turn
        on_thread = partial(self._on_thread, servable, prepare, options, answer, turn)
        to_thread = partial(self._submit_to_thread, on_thread, answer)
        is_quick = self._batching is None and servable is not None and servable.pace.is_quick
        if quickly is not None and is_quick and len(self._line) < _LINE_LENGTH:
            self._stand_in_line(partial(_in_place, quickly, answer, to_thread))
        else:
            to_thread()

    def _stand_in_line(self, work: Callable[[], None]) -> None:
        """One in each round of the loop, so that small requests pass by.

        To hand it to a thread and back would take as long, and what was received is still in this core's cache.
        """
        self._line.append(work)
        if len(self._line) == 1:
            self._loop.call_soon(self._next_in_line)

    def _next_in_line(self) -> None:
        work = self._line.popleft()
        if self._line:
            self._loop.call_soon(self._next_in_line)
        work()

    def _submit_to_thread(self, work: Callable[[], None], answer: Answer) -> None:
        try:
            self._workers.submit(work)
        except StatusError as error:
            answer.now(error)

    def _on_thread(
        self, servable: Servable | None, prepare: Callable[[], Plan[T]], options: bytes, answer: Answer, turn: Turn
    ) -> None:
        if answer.is_late:
            return
        if self._batching is not None:
            with turn:
                self._enqueue(prepare, answer)
        else:
            alone = servable is not None and (servable.pace.is_quick or servable.pace.is_on_trial)
            answer.soon(attempt(prepare, IN_PLACE if alone else options, turn))

    def _enqueue(self, prepare: Callable[[], Plan[T]], answer: Answer) -> None:
        batching = self._batching
        assert batching is not None  # noqa: S101  # both callers have looked

        def done(result: Any) -> None:
            if isinstance(result, SessionClosed):
                self._enqueue(prepare, answer)
            else:
                answer.soon(result)

        try:
            plan = prepare()
        except StatusError as error:
            answer.soon(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
            answer.soon(internal(error))
        else:
            batching.submit(plan, done)


def _if_quick(prepare: Callable[[], Plan[T]]) -> Plan[T] | None:
    """The plan, unless it turns out to be for another model than the likely one, and for one that is not quick."""
    plan = prepare()
    return plan if plan.servable.pace.is_quick else None


def _options(timeout_ms: int) -> bytes:
    return RunOptions(timeout_in_ms=timeout_ms).SerializeToString()


def _in_place(quickly: Quickly[Any], answer: Answer, otherwise: Callable[[], None]) -> None:
    if answer.is_late:
        return
    result = attempt(quickly, IN_PLACE)
    if result is None:
        otherwise()
    else:
        answer.now(result)


def attempt(prepare: Quickly[T], options: bytes, turn: Turn = _NO_TURN) -> T | StatusError | None:
    """Prepare and run a plan here, if there is one; again when its version was unloaded in between."""
    while True:
        try:
            with turn:
                plan = prepare()
            if plan is None:
                return None
            outputs = plan.compute(options)
            with turn:
                return plan.finish(outputs)
        except SessionClosed:
            continue
        except StatusError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
            return internal(error)


def internal(error: Exception) -> StatusError:
    """A fault of the server itself, logged with its place."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    log.error("model_servers/server.cc", f"Internal error at {place}: {error!r}")
    return StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")
