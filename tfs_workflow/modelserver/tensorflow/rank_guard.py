"""Refuses an input of another rank where an operation's kernel would end the process.

Some of TensorFlow's kernels check the rank of an input with a CHECK, which ends the process and with it every
connection: the convolutions, which compute through oneDNN on x86, and MaxPool3D. One image without its batch dimension
is enough, and TensorFlow Serving ends of the same request. A general comparison with the signature would be wrong,
since many models take other ranks than their signature names. So only models whose graph holds such an operation are
guarded. A survey of 64 layers and operations found no other (tests/modelserver/test_ranks.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tfs_workflow.formats.savedmodel import ONEDNN_VARIABLE, rank_checked_operation
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.status_error import invalid_argument
from tfs_workflow.protos.saved_model_pb2 import SignatureDef


class RankGuard:
    """The ranks that the signatures of one model want, by tensor name."""

    def __init__(self, operation: str, signatures: Mapping[str, SignatureDef]) -> None:
        self._operation = operation
        self._wanted: dict[str, dict[str, tuple[int, ...]]] = {}
        for signature in signatures.values():
            for alias, info in signature.inputs.items():
                if not info.tensor_shape.unknown_rank:
                    shape = tuple(dim.size for dim in info.tensor_shape.dim)
                    self._wanted.setdefault(info.name, {})[alias] = shape

    def check(self, feeds: Sequence[tuple[str, Tensor]]) -> None:
        """Raise StatusError (INVALID_ARGUMENT) where a fed tensor has another rank than every signature wants."""
        for name, tensor in feeds:
            self.check_shape(name, tensor.shape)

    def check_shape(self, name: str, shape: Sequence[int]) -> None:
        """The same for the shape of one tensor."""
        wanted = self._wanted.get(name)
        if wanted and all(len(shape) != len(one) for one in wanted.values()):
            alias, one = next(iter(wanted.items()))
            raise invalid_argument(
                f"Input {alias} has shape {_shown(shape)}, but the signature wants {_shown(one)}. On another rank "
                f"the model's {self._operation} would end the server. {_advice(shape, one)}"
            )


def guard_for(graph: bytes | memoryview, signatures: Mapping[str, SignatureDef]) -> RankGuard | None:
    """The guard of a model with this serialized graph; None where no operation needs one."""
    operation = rank_checked_operation(graph, os.environ.get(ONEDNN_VARIABLE, ""))
    return RankGuard(operation, signatures) if operation else None


def _advice(shape: Sequence[int], wanted: Sequence[int]) -> str:
    if 0 in shape:
        return "Send at least one instance."
    if len(shape) == len(wanted) - 1:
        return "Add the batch dimension: wrap it in a list."
    return "Send an input of that rank."


def _shown(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
