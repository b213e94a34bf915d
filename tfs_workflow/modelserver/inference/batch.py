"""One batch on its way through the model: merged, computed, split again (batching_session.cc, batching_util.cc).

A batch has two results: the outputs of the run, and for each task its own rows of them. Everything between is
arithmetic on arrays, without threads or clocks, so that it is tested as data.

Three traits follow TensorFlow Serving. Shapes that differ beyond the first dimension are an error, unless padding is
on. The batch is filled up to the next allowed size, since XLA and some accelerators compile the graph once for each
size. An error of the run goes to every task, as no part of one run can be told apart from another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.inference.servable import Plan
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.status_error import StatusError, failed_precondition, invalid_argument

Done = Callable[[Any], None]
_SOURCE = "batching/batching_session.cc"


@dataclass(eq=False, slots=True)
class BatchTask:
    """A request in a batch; `size` is its number of rows.

    `done` takes the result or a StatusError, on the thread that ran the batch. `enqueued_s` is in the time of
    `time.monotonic`.
    """

    plan: Plan[Any]
    size: int
    done: Done
    enqueued_s: float
    is_dropped: Callable[[], bool]
    # That of the request, which another thread may run.
    number: int = field(default_factory=run_notes.noted)

    @property
    def is_alone(self) -> bool:
        """Whether it may share no batch, since it was in one that ended the engine."""
        return bool(self.number & run_notes.ALONE)


class BatchRun:
    """The tasks of one batch, run together in `allowed_sizes` of rows, if there are any; `pads` to equal shapes."""

    def __init__(
        self, tasks: Sequence[BatchTask], allowed_sizes: Sequence[int], pads: bool, metrics: Metrics | None
    ) -> None:
        self._tasks = tasks
        self._pads = pads
        self._may_run_again = tasks[0].plan.servable.may_run_again and not tasks[0].is_alone
        self._rows = sum(task.size for task in tasks)
        # Without a row there is none to fill up with.
        fitting = (size for size in allowed_sizes if size >= self._rows > 0)
        self._rows_run = next(fitting, self._rows)
        if metrics is not None:
            # Before the run, which is not a part of the wait.
            now_s = time.monotonic()
            metrics.batch([now_s - task.enqueued_s for task in tasks], self._rows, self._rows_run)

    def run(self, options: bytes) -> None:
        """Merge, compute, split; an error goes to every task of the batch. `options` are serialized RunOptions."""
        plan = self._tasks[0].plan
        try:
            feeds = [(name, self._merged(name)) for name, _ in plan.feeds]
            with run_notes.batch([task.number for task in self._tasks], self._may_run_again):
                outputs = plan.servable.run(feeds, plan.fetches, options)
            parts = self._split(outputs)
        except StatusError as error:
            for task in self._tasks:
                task.done(error)
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours ends one batch, not the thread
            log.error(_SOURCE, f"Internal error: {error!r}")
            for task in self._tasks:
                task.done(StatusError(Code.INTERNAL, str(error)))
            return
        # Finished one by one: an error in a task's own answer must not reach the others.
        now_s = time.monotonic()
        for task, outputs in zip(self._tasks, parts, strict=True):
            task.plan.count_run(now_s - task.enqueued_s)
            task.done(_finished(task.plan, outputs))

    def _merged(self, name: str) -> Tensor:
        tensors = [tensor for task in self._tasks for feed, tensor in task.plan.feeds if feed == name]
        shapes = {tensor.shape[1:] for tensor in tensors}
        if len({len(shape) for shape in shapes}) > 1 or (len(shapes) > 1 and not self._pads):
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
            # A row of the last task that has any is a valid one, and its results are thrown away.
            last = next(tensor for tensor in reversed(tensors) if tensor.shape[0])
            parts += [last.values[: last.values.size // last.shape[0]]] * missing
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
        columns = [_cut(output, [task.size for task in self._tasks]) for output in outputs]
        return [[column[i] for column in columns] for i in range(len(self._tasks))]


def _cut(tensor: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The tensor's rows in parts of these sizes; what is left over was added to fill the batch."""
    dtype, shape, values = tensor
    # Values are flat, so that a row is as many of them as the other dimensions have together.
    rest, width = shape[1:], math.prod(shape[1:])
    parts, start = [], 0
    for size in sizes:
        end = start + size * width
        parts.append(Tensor(dtype, (size, *rest), values[start:end]))
        start = end
    return parts


_MAX_PADDED_RANK = 6


def _padded(tensor: Tensor, rest: tuple[int, ...]) -> Tensor:
    """The tensor made larger in every dimension but the first, with its own first value (batching_util.cc)."""
    if not 1 <= len(tensor.shape) <= _MAX_PADDED_RANK:
        raise invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
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
