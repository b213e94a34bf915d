"""Batches of concurrent requests for one version and signature, by size and time (batching_session.cc).

One run with 64 rows takes little longer than one with a single row, so requests that arrive at the same time are put
together. They may be merged only where a run with all their rows is the same computation: same session, same inputs,
same outputs. That is the key of a queue.

A batch is run when it is full, when its timeout has passed, or when a task no longer fits and opens the next one. The
queue's last batch is the open one; all before it are closed. TensorFlow Serving runs every batch on a thread. With a
fast model, handing a task to a thread and its result back costs more than the batch saves, so such a batch stays on the
event loop, where a timer takes the place of the waiting thread (docs/decisions/0012-where-a-model-runs.md).

One lock guards the queues. Neither a run nor a `done` is called under it: `done` may submit again.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.flags import CPUS
from tfs_workflow.modelserver.inference.batch import BatchRun, BatchTask, Done
from tfs_workflow.modelserver.inference.lanes import runs_on_loop, thread_options
from tfs_workflow.modelserver.inference.servable import IN_PLACE, Plan
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos.model_server_config_pb2 import BatchingParameters

# A session, the names of its feeds, its fetches, and the number of a request that may share no batch.
Key = tuple[int, tuple[str, ...], tuple[str, ...], int]


@dataclass(frozen=True)
class BatchingOptions:
    """TensorFlow Serving's batching parameters with its defaults; sizes are in rows."""

    max_batch_size: int = 1000
    timeout_s: float = 0
    max_enqueued_batches: int = 10
    threads: int = CPUS
    allowed_batch_sizes: tuple[int, ...] = ()
    pads: bool = False
    splits: bool = False


def options_of(parameters: BatchingParameters) -> BatchingOptions:
    """The options that a batching parameters file names; raises StatusError when they contradict each other.

    Sizes are in rows, the timeout is in seconds. Fields that are not set have TensorFlow Serving's defaults
    (session_bundle_config.proto).
    """

    def given(name: str, default: float) -> Any:
        return getattr(parameters, name).value if parameters.HasField(name) else default

    default = BatchingOptions()
    max_batch_size = given("max_batch_size", default.max_batch_size)
    sizes = tuple(parameters.allowed_batch_sizes)
    splits, threads = given("enable_large_batch_splitting", False), given("num_batch_threads", default.threads)
    timeout_micros = given("batch_timeout_micros", 0)
    max_enqueued_batches = given("max_enqueued_batches", default.max_enqueued_batches)
    if sizes and sizes[-1] != max_batch_size:
        raise invalid_argument(
            f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {sizes[-1]}; "
            f"expected {max_batch_size}"
        )
    if splits and any(earlier >= later for earlier, later in itertools.pairwise(sizes)):
        raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
    _check_positive("num_batch_threads", threads)
    _check_positive("input_batch_size_limit", max_batch_size)
    if timeout_micros < 0:
        raise invalid_argument(f"batch_timeout_micros must be non-negative; was {timeout_micros}")
    _check_positive("max_enqueued_batches", max_enqueued_batches)
    return BatchingOptions(
        max_batch_size=max_batch_size,
        timeout_s=timeout_micros / 1e6,
        max_enqueued_batches=max_enqueued_batches,
        threads=threads,
        allowed_batch_sizes=sizes,
        pads=parameters.pad_variable_length_inputs,
        splits=splits,
    )


def _check_positive(name: str, value: float) -> None:
    if value < 1:
        raise invalid_argument(f"{name} must be positive; was {value}")


@dataclass(eq=False)
class _Batch:
    """One that is being filled; `in_place` when it will run on the event loop, where a timer may wait for it."""

    key: Key
    opened_s: float
    in_place: bool
    tasks: list[BatchTask] = field(default_factory=list)
    size: int = 0
    timer: asyncio.TimerHandle | None = None


class Batcher:
    """Puts requests together. Each combination of model version, inputs and outputs has a queue of its own.

    Batches of a fast model run on the event loop, as its single requests do (lanes.py); others on threads.
    """

    def __init__(self, options: BatchingOptions, metrics: Metrics | None, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self._metrics = metrics
        self._loop, self._loop_thread = loop, threading.get_ident()
        self._queues: dict[Key, deque[_Batch]] = {}
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        # The same lock under two names: `_ready` where a thread waits or is woken, `_lock` where only the queues are
        # read or changed.
        self._ready = threading.Condition(self._lock)
        for _ in range(options.threads):
            threading.Thread(target=self._work, name="batch", daemon=True).start()

    def submit(self, plan: Plan[Any], done: Done, is_dropped: Callable[[], bool] = lambda: False) -> None:
        """Run a plan as part of a batch; `done` gets its result or StatusError, on any thread.

        One that is dropped until then is left out.

        StatusError is UNAVAILABLE when too many batches wait, INVALID_ARGUMENT when the inputs have no common first
        dimension or more rows than a batch may have.
        """
        try:
            task = BatchTask(plan, self._size(plan), done, time.monotonic(), is_dropped)
            with self._lock:
                batch, overtaken = self._enqueue(task)
                # A batch that begins or is full is looked after; to wake a thread for each task costs too much.
                is_full, begins = batch.size >= self._options.max_batch_size, len(batch.tasks) == 1
                if not batch.in_place and (is_full or begins):
                    self._ready.notify()
        except StatusError as error:
            done(error)
            return
        # It will not get another task, so its timer need not be waited for. On threads `has_next` shows the same.
        if overtaken is not None and overtaken.in_place:
            self._look_after(overtaken, is_closed=True)
        if batch.in_place and (is_full or begins):
            self._look_after(batch, is_full)

    def _size(self, plan: Plan[Any]) -> int:
        sizes = {tensor.shape[:1] for _, tensor in plan.feeds}
        if not sizes:
            raise invalid_argument("Batching session Run() must have at least one input tensor")
        if () in sizes:
            raise invalid_argument("Batching session Run() input tensors must have at least one dimension")
        if len(sizes) > 1:
            raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
        ((size,),) = sizes
        if self._metrics is not None:
            self._metrics.batched(size)
        if size > self._options.max_batch_size and not self._options.splits:
            raise invalid_argument(
                f"Task size {size} is larger than maximum input batch size {self._options.max_batch_size}"
            )
        return size

    def _enqueue(self, task: BatchTask) -> tuple[_Batch, _Batch | None]:
        """The batch that the task has become part of, and the one that it did not fit into and that closed with it."""
        plan = task.plan
        # The session's identity and not the model's name: a version that replaces another must not share its batches.
        key = (
            id(plan.servable.session),
            tuple(sorted([name for name, _ in plan.feeds])),
            tuple(plan.fetches),
            task.number if task.is_alone else 0,
        )
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        overtaken = None
        if not queue or queue[-1].size + task.size > self._options.max_batch_size:
            if len(queue) >= self._options.max_enqueued_batches:
                raise StatusError(
                    Code.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
                )
            overtaken = queue[-1] if queue else None
            # Decided when a batch opens and not changed later: it has either a timer or a thread that waits for it.
            in_place = runs_on_loop(plan.servable) and threading.get_ident() == self._loop_thread
            queue.append(_Batch(key, task.enqueued_s, in_place))
        batch = queue[-1]
        batch.tasks.append(task)
        batch.size += task.size
        return batch, overtaken

    # On the event loop.

    def _look_after(self, batch: _Batch, is_closed: bool) -> None:
        if threading.get_ident() != self._loop_thread:
            self._loop.call_soon_threadsafe(self._run_in_place, batch)  # a large request has filled it from its thread
        elif is_closed:
            self._run_in_place(batch)
        else:
            batch.timer = self._loop.call_later(self._options.timeout_s, self._run_in_place, batch)

    def _run_in_place(self, batch: _Batch) -> None:
        if batch.timer is not None:
            batch.timer.cancel()
        with self._lock:
            queue = self._queues.get(batch.key, deque())
            if batch not in queue:
                return  # it was full before its time had come
            self._take(batch)
        self._run(batch, IN_PLACE)

    # On threads.

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            self._run(batch, thread_options(batch.tasks[0].plan.servable, b""))

    def _next_batch(self) -> _Batch:
        """Wait for a batch that is full or old enough; the oldest first."""
        with self._ready:
            while True:
                wait_s = None
                # Only heads are looked at: within a queue the order of arrival is kept.
                heads = [(queue[0], len(queue) > 1) for queue in self._queues.values() if not queue[0].in_place]
                for batch, has_next in sorted(heads, key=lambda head: head[0].opened_s):
                    left_s = batch.opened_s + self._options.timeout_s - time.monotonic()
                    if has_next or batch.size >= self._options.max_batch_size or left_s <= 0:
                        self._take(batch)
                        return batch
                    wait_s = left_s if wait_s is None else min(wait_s, left_s)
                # Until the oldest open batch is due, or a batch begins or is full.
                self._ready.wait(wait_s)

    # On both.

    def _take(self, batch: _Batch) -> None:
        queue = self._queues[batch.key]
        queue.remove(batch)
        if not queue:
            del self._queues[batch.key]
        else:
            self._ready.notify()

    def _run(self, batch: _Batch, options: bytes) -> None:
        tasks = [task for task in batch.tasks if not task.is_dropped()]
        if not tasks:
            return
        # One at a time, so that only the one that ends the engine ran when it did.
        with self._alone if tasks[0].is_alone else nullcontext():
            BatchRun(tasks, self._options.allowed_batch_sizes, self._options.pads, self._metrics).run(options)
