"""Runs each request on the lane that lanes.py chooses for it, and delivers its result on the event loop.

Where a request runs is decided once, before it is read, from its size and its likely model (lanes.py). That model is a
guess: REST names it in the path, but gRPC has it inside the message. So two corrections follow once a request is read.
A fast candidate that turns out to be unfit gives way to the general one on a thread, and a general one on the loop
stops where the model is slow.

Whatever happens, `done` is called exactly once and on the event loop. A completion ensures that for results that come
from threads; a result computed on the loop goes to `done` directly.

A version can be unloaded between being found and being run. SessionClosedError marks that case, and the request is
prepared again: by then its successor serves, or there is an ordinary error to return.
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
from tfs_workflow.modelserver.inference.completions import Completion, Completions, Done
from tfs_workflow.modelserver.inference.lanes import MAX_DEFERRED, Lane, Lanes, runs_on_loop, thread_options
from tfs_workflow.modelserver.inference.servable import IN_PLACE, Plan, Servable
from tfs_workflow.modelserver.inference.workers import Workers
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow.session import SessionClosedError
from tfs_workflow.protos.session_pb2 import RunOptions

T = TypeVar("T")
Gate = AbstractContextManager[Any]
_NO_GATE: Gate = nullcontext()
# Prepares a request for its run; raises StatusError.
General = Callable[[], "Plan[T]"]
# The same for the commonest requests; None for any other, which the general candidate prepares.
Fast = Callable[[], "Plan[T] | None"]


class BatchQueue(Protocol):
    """What puts plans together (batcher.py)."""

    def submit(self, plan: Plan[T], done: Done, is_dropped: Callable[[], bool]) -> None:
        """Run a plan as part of a batch, unless it is dropped; `done` gets its result or StatusError on any thread."""


class Scheduler:
    """Runs requests. Results and errors come to `done` on the event loop, at once or later."""

    def __init__(self, workers: Workers, timeout_ms: int, batching: BatchQueue | None) -> None:
        self._workers = workers
        self._batching = batching
        self._loop = asyncio.get_running_loop()
        self._deferred: deque[Callable[[], None]] = deque()
        # Threads read and print large requests one at a time: with more of them the loop waits longer for its turn.
        self._gate = threading.Lock()
        self._completions = Completions(self._loop, timeout_ms)
        self._options = _options(timeout_ms)
        self._lanes = Lanes(batches=batching is not None)
        self.at_once_bytes = self._lanes.at_once_bytes

    def submit(  # noqa: PLR0913, PLR0917  # all that decides where it runs
        self,
        servable: Servable | None,
        size_bytes: int,
        general: General[T],
        done: Done,
        timeout_ms: int | None = None,
        fast: Fast[T] | None = None,
    ) -> None:
        """Prepare and run a request. `servable` is the likely one, if known, and `size_bytes` the request's size.

        Without a timeout REST's applies; 0 is none. `fast` takes two milliseconds at most, reading included.

        `timeout_ms` is in milliseconds. `done` gets the plan's result or a StatusError; nothing is raised here.
        """
        lane = self._lanes.choose(size_bytes, servable, fast is not None)
        # Without a completion: nothing else runs on the loop meanwhile, so that no timeout could come first.
        if lane is Lane.IN_PLACE:
            result = attempt(partial(_unless_slow, general), IN_PLACE)
            if result is not None:
                done(result)
                return
        completion = self._completions.register(done, timeout_ms)
        if lane is Lane.BATCH:
            self._enqueue(general, completion)
        elif lane is Lane.LARGE_BATCH:
            self._submit_to_thread(partial(self._enqueue_on_thread, general, completion), completion)
        else:
            options = self._options if timeout_ms is None else _options(timeout_ms)
            # Small requests pass the gate freely, or they would wait behind the parsing of a large one.
            gate = _NO_GATE if lane in (Lane.IN_PLACE, Lane.THREAD) else self._gate
            on_thread = partial(_run_on_thread, servable, general, options, completion, gate)
            to_thread = partial(self._submit_to_thread, on_thread, completion)
            if lane is Lane.DEFERRED and fast is not None and len(self._deferred) < MAX_DEFERRED:
                self._defer(partial(_run_fast, fast, completion, to_thread))
            else:
                to_thread()

    def cancel(self, number: int) -> None:
        """Nobody waits for the request with this number any more: it is not run, unless it has begun."""
        self._completions.cancel(number)

    def _defer(self, work: Callable[[], None]) -> None:
        """One in each iteration of the loop, so that small requests pass by.

        To hand it to a thread and back would take as long, and what was received is still in this core's cache.
        """
        self._deferred.append(work)
        if len(self._deferred) == 1:
            self._loop.call_soon(self._run_deferred)

    def _run_deferred(self) -> None:
        # The next one is scheduled before this one runs, so that an error in it cannot stop the queue.
        work = self._deferred.popleft()
        if self._deferred:
            self._loop.call_soon(self._run_deferred)
        work()

    def _submit_to_thread(self, work: Callable[[], None], completion: Completion) -> None:
        try:
            self._workers.submit(work)
        except StatusError as error:
            completion.complete(error)

    def _enqueue_on_thread(self, general: General[T], completion: Completion) -> None:
        if completion.is_expired:
            return
        run_notes.note(completion.number)
        with self._gate:
            self._enqueue(general, completion)
        run_notes.note(0)

    def _enqueue(self, general: General[T], completion: Completion) -> None:
        batching = self._batching
        assert batching is not None  # noqa: S101  # the lanes of batches are chosen only with it

        def done(result: Any) -> None:
            # The batch met an unloaded version; prepared again, the request joins a batch of the successor.
            if isinstance(result, SessionClosedError):
                self._enqueue(general, completion)
            else:
                completion.complete_threadsafe(result)

        try:
            plan = general()
        except StatusError as error:
            completion.complete_threadsafe(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
            completion.complete_threadsafe(internal(error))
        else:
            batching.submit(plan, done, lambda: completion.is_expired)


def _unless_slow(general: General[T]) -> Plan[T] | None:
    """The plan, unless it turns out to be for another model than the likely one, and for a slow one.

    None sends the request to a thread, where it is prepared a second time. That is rare: it happens with the first gRPC
    request, and when a client turns from a fast model to a slow one.
    """
    plan = general()
    return plan if runs_on_loop(plan.servable) else None


def _options(timeout_ms: int) -> bytes:
    return RunOptions(timeout_in_ms=timeout_ms).SerializeToString()


def _run_fast(fast: Fast[Any], completion: Completion, otherwise: Callable[[], None]) -> None:
    if completion.is_expired:
        return
    run_notes.note(completion.number)
    result = attempt(fast, IN_PLACE)
    run_notes.note(0)
    if result is None:
        otherwise()
    else:
        completion.complete(result)


def _run_on_thread(
    servable: Servable | None, general: General[T], options: bytes, completion: Completion, gate: Gate
) -> None:
    if not completion.is_expired:
        run_notes.note(completion.number)
        result = attempt(general, thread_options(servable, options), gate)
        run_notes.note(0)
        completion.complete_threadsafe(result)


def attempt(prepare: Fast[T], options: bytes, gate: Gate = _NO_GATE) -> T | StatusError | None:
    """Prepare and run a plan here, if there is one; again when its version was unloaded in between."""
    while True:
        try:
            with gate:
                plan = prepare()
            if plan is None:
                return None
            outputs = plan.compute(options)
            with gate:
                return plan.finish(outputs)
        except SessionClosedError:
            continue
        except StatusError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one request, not the server
            return internal(error)


def internal(error: Exception) -> StatusError:
    """A fault of the server itself, logged with its place."""
    trace = error.__traceback__
    # The innermost frame is where the fault is; a whole trace for each request could flood the log.
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    log.error("model_servers/server.cc", f"Internal error at {place}: {error!r}")
    return StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")
