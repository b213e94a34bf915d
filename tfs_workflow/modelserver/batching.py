"""Batches of concurrent requests for one version and signature, by size and time (batching_session.cc)."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.flags import CPUS
from tfs_workflow.modelserver.metrics import Metrics
from tfs_workflow.modelserver.servable import Plan
from tfs_workflow.modelserver.status import Code, StatusError, failed_precondition, invalid_argument
from tfs_workflow.modelserver.tensors import Tensor
from tfs_workflow.protos.model_server_config_pb2 import BatchingParameters

Done = Callable[[Any], None]
_SOURCE = "batching/batching_session.cc"


@dataclass(frozen=True)
class Options:
    """TensorFlow Serving's batching parameters with its defaults; sizes are in rows."""

    max_batch_size: int = 1000
    timeout_s: float = 0
    max_enqueued_batches: int = 10
    threads: int = CPUS
    allowed_batch_sizes: tuple[int, ...] = ()
    pads: bool = False
    splits: bool = False


def options_of(parameters: BatchingParameters) -> Options:
    """The options that a batching parameters file names; raises StatusError when they contradict each other."""

    def given(name: str, default: float) -> Any:
        return getattr(parameters, name).value if parameters.HasField(name) else default

    default = Options()
    max_batch_size = given("max_batch_size", default.max_batch_size)
    sizes = tuple(parameters.allowed_batch_sizes)
    if any(earlier >= later for earlier, later in itertools.pairwise(sizes)):
        raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
    if sizes and sizes[-1] != max_batch_size:
        raise invalid_argument("Last entry in allowed_batch_sizes must match max_batch_size")
    threads = given("num_batch_threads", default.threads)
    if threads < 1 or max_batch_size < 1:
        raise invalid_argument(
            f"num_batch_threads and max_batch_size must be positive; were {threads}, {max_batch_size}"
        )
    return Options(
        max_batch_size=max_batch_size,
        timeout_s=given("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=given("max_enqueued_batches", default.max_enqueued_batches),
        threads=threads,
        allowed_batch_sizes=sizes,
        pads=parameters.pad_variable_length_inputs,
        splits=given("enable_large_batch_splitting", False),
    )


@dataclass
class _Task:
    plan: Plan[Any]
    size: int
    done: Done
    enqueued_s: float


@dataclass
class _Batch:
    tasks: list[_Task] = field(default_factory=list)
    size: int = 0
    opened_s: float = 0.0


class Batcher:
    """Puts requests together. Each combination of model version, inputs and outputs has a queue of its own."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._queues: dict[tuple[Any, ...], deque[_Batch]] = {}
        self._ready = threading.Condition()
        for _ in range(options.threads):
            threading.Thread(target=self._work, name="batch", daemon=True).start()

    def submit(self, plan: Plan[Any], done: Done) -> None:
        """Run a plan as part of a batch; `done` gets its result or StatusError, on any thread."""
        try:
            task = _Task(plan, self._size(plan), done, time.monotonic())
            with self._ready:
                if self._enqueue(task):
                    self._ready.notify()
        except StatusError as error:
            done(error)

    def _size(self, plan: Plan[Any]) -> int:
        if not plan.feeds:
            raise invalid_argument("Batching session Run() must have at least one input tensor")
        shapes = [tensor.shape for _, tensor in plan.feeds]
        if not all(shapes):
            raise invalid_argument("Batching session Run() input tensors must have at least one dimension")
        if len({shape[0] for shape in shapes}) > 1:
            raise invalid_argument("Batching session Run() input tensors must have equal 0th-dimension size")
        size = shapes[0][0]
        if size > self._options.max_batch_size and not self._options.splits:
            raise invalid_argument(
                f"Task size {size} is larger than maximum input batch size {self._options.max_batch_size}"
            )
        return size

    def _enqueue(self, task: _Task) -> bool:
        """Whether a thread has to look, for a batch that begins or is full; waking one for each task costs too much."""
        feeds = tuple(sorted(name for name, _ in task.plan.feeds))
        key = (id(task.plan.servable.session), feeds, tuple(task.plan.fetches))
        queue = self._queues.setdefault(key, deque())
        if not queue or queue[-1].size + task.size > self._options.max_batch_size:
            if len(queue) >= self._options.max_enqueued_batches:
                raise StatusError(
                    Code.UNAVAILABLE, "The batch scheduling queue to which this task was submitted is full"
                )
            queue.append(_Batch(opened_s=task.enqueued_s))
        batch = queue[-1]
        batch.tasks.append(task)
        batch.size += task.size
        return len(batch.tasks) == 1 or batch.size >= self._options.max_batch_size

    def _work(self) -> None:
        while True:
            _Run(self._next_batch(), self._options, self._metrics).run()

    def _next_batch(self) -> list[_Task]:
        """Wait for a batch that is full or old enough; the oldest first."""
        with self._ready:
            while True:
                wait_s = None
                heads = sorted(self._queues.items(), key=lambda item: item[1][0].opened_s)
                for key, queue in heads:
                    left_s = queue[0].opened_s + self._options.timeout_s - time.monotonic()
                    if len(queue) > 1 or queue[0].size >= self._options.max_batch_size or left_s <= 0:
                        return self._taken(key, queue)
                    wait_s = left_s if wait_s is None else min(wait_s, left_s)
                self._ready.wait(wait_s)

    def _taken(self, key: tuple[Any, ...], queue: deque[_Batch]) -> list[_Task]:
        batch = queue.popleft()
        if not queue:
            del self._queues[key]
        else:
            self._ready.notify()
        return batch.tasks


class _Run:
    """One batch on its way through the model."""

    def __init__(self, tasks: list[_Task], options: Options, metrics: Metrics) -> None:
        self._tasks = tasks
        self._options = options
        self._rows = sum(task.size for task in tasks)
        self._rows_run = next((size for size in options.allowed_batch_sizes if size >= self._rows), self._rows)
        now_s = time.monotonic()
        for task in tasks:
            metrics.queueing(now_s - task.enqueued_s)
        metrics.batch(self._rows, self._rows_run)

    def run(self) -> None:
        """Merge, compute, split; an error goes to every task of the batch."""
        plan = self._tasks[0].plan
        try:
            feeds = [(name, self._merged(name)) for name, _ in plan.feeds]
            parts = self._split(plan.servable.session.run(feeds, plan.fetches))
        except StatusError as error:
            for task in self._tasks:
                task.done(error)
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one batch, not the thread
            log.error(_SOURCE, f"Internal error: {error!r}")
            for task in self._tasks:
                task.done(StatusError(Code.INTERNAL, str(error)))
            return
        for task, outputs in zip(self._tasks, parts, strict=True):
            task.done(_finished(task.plan, outputs))

    def _merged(self, name: str) -> Tensor:
        tensors = [dict(task.plan.feeds)[name] for task in self._tasks]
        shapes = {tensor.shape[1:] for tensor in tensors}
        if len({len(shape) for shape in shapes}) > 1 or (len(shapes) > 1 and not self._options.pads):
            raise failed_precondition(
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off."
                "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name"
                "have equal dimensions starting with the first dim."
            )
        if len(shapes) > 1:
            largest = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
            tensors = [_padded(tensor, largest) for tensor in tensors]
        missing = self._rows_run - self._rows
        rest = tensors[0].shape[1:]
        parts = [tensor.values for tensor in tensors]
        if missing:
            # A row of the last task is a valid one, and its results are thrown away.
            row = tensors[-1].values[: tensors[-1].values.size // tensors[-1].shape[0]]
            parts += [row] * missing
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Tensor(tensors[0].dtype, (self._rows_run, *rest), values)

    def _split(self, outputs: Sequence[Tensor]) -> list[list[Tensor]]:
        """For each task its rows of each output."""
        for output in outputs:
            if not output.shape:
                raise failed_precondition("Batched output tensor has 0 dimensions")
            if output.shape[0] != self._rows_run:
                raise failed_precondition(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of "
                    "the input tensors"
                )
        parts, start = [], 0
        for task in self._tasks:
            parts.append([_rows(output, start, start + task.size) for output in outputs])
            start += task.size
        return parts


def _rows(tensor: Tensor, start: int, end: int) -> Tensor:
    size = tensor.values.size // tensor.shape[0] if tensor.shape[0] else 0
    return Tensor(tensor.dtype, (end - start, *tensor.shape[1:]), tensor.values[start * size : end * size])


def _padded(tensor: Tensor, rest: tuple[int, ...]) -> Tensor:
    """The tensor made larger in every dimension but the first, with its own first value (batching_util.cc)."""
    if not tensor.values.size:
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    shape = (tensor.shape[0], *rest)
    padded = np.empty(shape, tensor.values.dtype)
    padded[...] = tensor.values[0]
    padded[tuple(slice(size) for size in tensor.shape)] = tensor.values.reshape(tensor.shape)
    return Tensor(tensor.dtype, shape, padded.ravel())


def _finished(plan: Plan[Any], outputs: list[Tensor]) -> Any:
    try:
        return plan.finish(outputs)
    except StatusError as error:
        return error
