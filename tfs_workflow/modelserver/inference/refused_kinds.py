"""Requests of a kind that has ended an engine are refused.

Where a kernel is known to end the process on another rank, the request is refused without trying
(tensorflow/rank_guard.py). Nobody knows all such kernels, and a check of every request against its signature would be
wrong: TensorFlow Serving accepts one that contradicts it, and the tutorial's own does. So such a request is tried once.
Its kind is noted before it runs (run_notes.py), and when the engine crashes while it does, the next engine refuses that
kind. A kind is a model, version, outputs, and of each input the name, type, rank, and whether a dimension is zero. What
agrees with the signature in these is never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tfs_workflow.modelserver.link import run_notes
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos.saved_model_pb2 import SignatureDef, TensorInfo

Shape = tuple[int, ...]
# Name in the graph, type, shape.
Feed = tuple[str, int, Shape]


class RefusedKinds:
    """The kinds of requests to one version."""

    def __init__(self, name: str, version: int, signatures: Mapping[str, SignatureDef]) -> None:
        self._model = f"{name}:{version}"
        self._signatures = signatures
        # Those that have run, or need no look.
        self._known: set[tuple[object, ...]] = set()

    def check(self, feeds: Sequence[Feed], fetches: Sequence[str]) -> None:
        """Raises StatusError where this kind has ended an engine; else notes it, should it be a new and unusual one."""
        ranks = tuple([(name, dtype, len(shape), 0 in shape) for name, dtype, shape in feeds])
        key = (ranks, tuple(fetches))
        if key in self._known:
            return
        if any(self._contradicts(feed) for feed in feeds):
            kind = repr((self._model, key)).encode()
            if run_notes.is_refused(kind):
                raise self._refusal(feeds)
            run_notes.note_kind(kind)
        # Whoever comes to look at this again has not crashed.
        self._known.add(key)

    def _contradicts(self, feed: Feed) -> bool:
        name, _, shape = feed
        return 0 in shape or any(_has_other_rank(info, shape) for _, info in self._inputs(name))

    def _inputs(self, name: str) -> Iterable[tuple[str, TensorInfo]]:
        """Alias and description of a graph's input in the signatures that have it."""
        for signature in self._signatures.values():
            for alias, info in signature.inputs.items():
                if info.name == name:
                    yield alias, info

    def _refusal(self, feeds: Sequence[Feed]) -> StatusError:
        told = []
        for name, _, shape in feeds:
            alias, info = next(iter(self._inputs(name)), (name, TensorInfo()))
            wanted = [dim.size for dim in info.tensor_shape.dim]
            signature = f"the signature wants {_shown(wanted)}" if wanted else "the signature names no shape"
            told.append(f"Input {alias} has shape {_shown(shape)}, and {signature}.")
            if len(shape) + 1 == len(wanted):
                told.append("Add the batch dimension: wrap it in a list.")
        told.append("A request like this has ended the process that runs TensorFlow, so it is not run again.")
        return invalid_argument(" ".join(told))


def _has_other_rank(info: TensorInfo, shape: Shape) -> bool:
    return not info.tensor_shape.unknown_rank and len(info.tensor_shape.dim) != len(shape)


def _shown(sizes: Sequence[int]) -> str:
    return "[" + ",".join(map(str, sizes)) + "]"
