"""One version of one model in memory, and what has been learnt of its speed.

Two decisions need to know how long a model computes: whether it may run on the event loop, and whether the calling
thread should compute alone. Neither the size of a graph nor the first run shows that. So each run is measured, and the
pace of the last runs decides (`Pace`). A wrong promotion delays every connection for one slow run; a wrong demotion
costs a fast model two thread switches a request. Promotion is therefore slow and demotion immediate.

A plan separates preparing a request from running it. The same plan can then run on the loop, on a thread, or as a part
of a batch, and what comes after the run travels along as `finish`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE
from tfs_workflow.formats.tensors import STRING, Tensor
from tfs_workflow.modelserver.exchange import Shape
from tfs_workflow.modelserver.inference.refused_kinds import RefusedKinds
from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow.session import CALLERS_THREAD, FloatCall, FloatContent, Session
from tfs_workflow.protos import saved_model_pb2
from tfs_workflow.protos.tensor_pb2 import DataType

IN_PLACE = CALLERS_THREAD.SerializeToString()
_FLOAT = DataType.Value("DT_FLOAT")
# The APIs, as the metrics name them.
PREDICT, CLASSIFY, REGRESS = "Predict", "Classify", "Regress"

T = TypeVar("T")


class Pace:
    """Whether a model has been fast lately, so that a run of it may hold up the event loop.

    A model starts on probation, without credit, and earns a point per run below a millisecond; a longer one costs a
    point. A run that computed for two milliseconds itself, or lasted very long, costs all of them, and the next probe
    is a second later.
    """

    FAST_S = 0.001
    # Of the thread's own processor time: it counts only what the model computed.
    LONG_S = 0.002
    # Of time on the clock: a run that waited as long as this has held everything up, whatever the cause.
    SLOW_S = 0.02
    # Five fast runs, so that a single lucky one does not put a slow model on the loop.
    PROMOTE_AT = 5
    # A bound, so that eleven runs above FAST_S are enough to leave the loop, however long the model was fast before.
    MAX_CREDIT = 15
    PROBE_INTERVAL_S = 1.0

    def __init__(self) -> None:
        # Whether it may run in place; a plain attribute, since every request reads it.
        self.is_fast = False
        self._credit = 0
        self._next_probe_s = 0.0

    @property
    def is_probing(self) -> bool:
        """Whether the next run should be in the caller's thread, which shows what it costs."""
        return time.monotonic() >= self._next_probe_s

    def note(self, elapsed_s: float, computed_s: float = 0) -> None:
        """Take a run into account: how long it took, and how much its thread computed, where it alone did so.

        One that took long and computed little has waited for a processor or for the interpreter's lock, which says
        nothing about the model. Threads that meet here lose a point at most.
        """
        if elapsed_s < self.FAST_S or (0 < computed_s < self.FAST_S and elapsed_s < self.SLOW_S):
            # At the bound nothing is written: a fast model gets here with every request.
            if self._credit < self.MAX_CREDIT:
                self._set_credit(self._credit + 1)
        elif computed_s > self.LONG_S or elapsed_s > self.SLOW_S:
            self._set_credit(0)
            # A slow model computes in TensorFlow's pool meanwhile, where its operations run side by side.
            self._next_probe_s = time.monotonic() + self.PROBE_INTERVAL_S
        else:
            self._set_credit(max(self._credit - 1, 0))

    def _set_credit(self, credit: int) -> None:
        self._credit = credit
        self.is_fast = credit >= self.PROMOTE_AT


class Tensors(NamedTuple):
    """A signature's tensors by alias: names and types of what goes in, names of what comes out.

    As dicts, since a look into a message takes ten times as long, and every request takes some.
    """

    inputs: dict[str, str]
    input_types: dict[str, int]
    outputs: dict[str, str]


@dataclass(frozen=True, eq=False)
class Servable:
    """A loaded version; `metrics` is where its runs are counted."""

    name: str
    version: int
    session: Session
    metrics: Metrics | None = None
    pace: Pace = field(default_factory=Pace)
    # Whether its graph is known to keep nothing, so that a request may run twice.
    may_run_again: bool = False

    @property
    def signatures(self) -> Mapping[str, saved_model_pb2.SignatureDef]:
        """Signature name to definition."""
        return self.session.signatures

    @cached_property
    def tensors(self) -> dict[str, Tensors]:
        """Signature name to its tensors."""
        return {
            name: Tensors(
                {alias: info.name for alias, info in signature.inputs.items()},
                {alias: info.dtype for alias, info in signature.inputs.items()},
                {alias: info.name for alias, info in signature.outputs.items()},
            )
            for name, signature in self.signatures.items()
        }

    @cached_property
    def _kinds(self) -> RefusedKinds:
        return RefusedKinds(self.name, self.version, self.signatures)

    @cached_property
    def float_call(self) -> FloatCall | None:
        """The prepared run of the default signature, if that takes one float tensor of the graph to another.

        None for another signature, and where a tensor is not in the graph. It is made on first use, by the event loop.
        """
        signature = self.signatures.get(DEFAULT_SIGNATURE)
        if signature is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
            return None
        # Exactly one of each, as was checked above.
        ((alias, source),), ((result_alias, result),) = signature.inputs.items(), signature.outputs.items()
        if source.dtype != _FLOAT or result.dtype != _FLOAT or not source.name or not result.name:
            return None
        try:
            call = self.session.float_call(source.name, result.name, IN_PLACE)
        except StatusError:
            return None  # every run raises the same error
        if run_notes.is_shared():
            feed, fetches = source.name, (result.name,)
            call.note_kind = lambda shape: self._kinds.check([(feed, _FLOAT, shape)], fetches)
        call.aliases = (alias, result_alias)
        return call

    def run(self, feeds: Sequence[tuple[str, Tensor]], fetches: Sequence[str], options: bytes) -> list[Tensor]:
        """Run the session in this thread and learn from it; `options` are serialized RunOptions. Raises StatusError."""
        if run_notes.is_shared():
            self._kinds.check([(name, tensor.dtype, tensor.shape) for name, tensor in feeds], fetches)
        # The processor time of this thread means something only where this thread computed the whole graph.
        alone = options == IN_PLACE
        started_s, computed_s = time.perf_counter(), time.thread_time() if alone else 0
        try:
            outputs = self.session.run(feeds, fetches, options)
        finally:
            elapsed_s = time.perf_counter() - started_s
            self.pace.note(elapsed_s, time.thread_time() - computed_s if alone else 0)
        if self.metrics is not None:
            self.metrics.graph_run(elapsed_s, _size_bytes(tensor for _, tensor in feeds), _size_bytes(outputs))
        return outputs

    def run_floats(self, call: FloatCall, shape: Shape, content: FloatContent) -> tuple[Shape, bytes]:
        """The same for its prepared run, of a predict request; on the event loop. Raises StatusError."""
        started_s = time.perf_counter()
        try:
            result = call.run(shape, content)
        finally:
            elapsed_s = time.perf_counter() - started_s
            self.pace.note(elapsed_s)
        if self.metrics is not None:
            self.metrics.graph_run(elapsed_s, 4 * math.prod(shape), len(result[1]))
            self.metrics.runtime(self.name, PREDICT, elapsed_s)
        return result


@dataclass(eq=False, slots=True)
class Plan(Generic[T]):
    """A request made ready: what to feed, what to fetch, and what to make of it.

    Kept apart from running it, so that the same request can be run in place, by a thread, or in a batch.
    """

    servable: Servable
    feeds: Sequence[tuple[str, Tensor]]
    fetches: Sequence[str]
    finish: Callable[[list[Tensor]], T]
    # As the metrics name it; multi-inference has no name there.
    api: str = ""

    def compute(self, options: bytes) -> list[Tensor]:
        """Run it now, in this thread; `finish` makes the answer of it. `options` are serialized RunOptions."""
        started_s = time.perf_counter()
        outputs = self.servable.run(self.feeds, self.fetches, options)
        self.count_run(time.perf_counter() - started_s)
        return outputs

    def count_run(self, latency_s: float) -> None:
        """Count that TensorFlow has run it in this time."""
        metrics = self.servable.metrics
        if metrics is not None and self.api:
            metrics.runtime(self.servable.name, self.api, latency_s)

    def then(self, convert: Callable[[T], U]) -> Plan[U]:
        """The same run with its result converted."""
        finish = self.finish
        return Plan(self.servable, self.feeds, self.fetches, lambda outputs: convert(finish(outputs)), self.api)


U = TypeVar("U")


# sizeof(tstring): what TensorFlow counts for a string beside its bytes.
_STRING_BYTES = 24


def _size_bytes(tensors: Iterable[Tensor]) -> int:
    """What the tensors take in memory, as TensorFlow counts it."""
    return sum(
        tensor.values.size * _STRING_BYTES + sum(map(len, tensor.values))
        if tensor.dtype == STRING
        else tensor.values.nbytes
        for tensor in tensors
    )
