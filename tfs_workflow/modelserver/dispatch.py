"""Decides where a request runs: in place, on a thread, or in a batch; so that no model holds up another.

Running in place, on the event loop, is quickest by far and right for models that take microseconds. Models that have
been slow lately, and large requests, go to threads (docs/decisions/0009-http-server.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.answers import Answer, Answers, Done
from tfs_workflow.modelserver.servable import Plan, Servable
from tfs_workflow.modelserver.session import CALLERS_THREAD, SessionClosed
from tfs_workflow.modelserver.status import Code, StatusError
from tfs_workflow.modelserver.workers import Workers
from tfs_workflow.protos.session_pb2 import RunOptions

T = TypeVar("T")
IN_PLACE_BYTES = 16 * 1024
_IN_PLACE = CALLERS_THREAD.SerializeToString()


class Batching(Protocol):
    """What puts plans together (batching.py)."""

    def submit(self, plan: Plan[T], done: Done) -> None:
        """Run a plan as part of a batch; `done` gets its result or StatusError on any thread."""


class Dispatcher:
    """Runs requests. Results and errors come to `done` on the event loop, at once or later."""

    def __init__(self, workers: Workers, timeout_ms: int, batching: Batching | None) -> None:
        self._workers = workers
        self._batching = batching
        self._answers = Answers(asyncio.get_running_loop(), timeout_ms)
        self._options = _options(timeout_ms)

    @property
    def batches(self) -> bool:
        """Whether requests are put together."""
        return self._batching is not None

    def submit(
        self,
        servable: Servable | None,
        size_bytes: int,
        prepare: Callable[[], Plan[T]],
        done: Done,
        timeout_ms: int | None = None,
    ) -> None:
        """Prepare and run a request. `servable` is the likely one, if known, and `size_bytes` the request's size.

        Without a timeout REST's applies; 0 is none.
        """
        small = size_bytes <= IN_PLACE_BYTES
        if self._batching is None and small and (servable is None or servable.pace.is_quick):
            done(attempt(prepare, _IN_PLACE))
            return
        answer = self._answers.expect(done, timeout_ms)
        if self._batching is not None and small:
            self._enqueue(prepare, answer)
            return
        try:
            options = self._options if timeout_ms is None else _options(timeout_ms)
            self._workers.submit(lambda: self._on_thread(servable, prepare, options, answer))
        except StatusError as error:
            answer.now(error)

    def _on_thread(
        self, servable: Servable | None, prepare: Callable[[], Plan[T]], options: bytes, answer: Answer
    ) -> None:
        if answer.is_late:
            return
        if self._batching is not None:
            self._enqueue(prepare, answer)
        else:
            on_trial = servable is not None and servable.pace.is_on_trial
            answer.soon(attempt(prepare, _IN_PLACE if on_trial else options))

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


def _options(timeout_ms: int) -> bytes:
    return RunOptions(timeout_in_ms=timeout_ms).SerializeToString()


def attempt(prepare: Callable[[], Plan[T]], options: bytes) -> T | StatusError:
    """Prepare and run a plan here; again when its version was unloaded in between."""
    while True:
        try:
            return prepare().run(options)
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
