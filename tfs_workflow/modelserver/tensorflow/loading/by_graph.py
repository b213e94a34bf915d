"""A version loaded by TensorFlow's own loader, which keeps the whole graph beside the session's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.modelserver.tensorflow.loading import meta_graph
from tfs_workflow.modelserver.tensorflow.rank_guard import guard_for
from tfs_workflow.protos.saved_model_pb2 import SavedModelOutline
from tfs_workflow.protos.session_pb2 import ConfigProto
from tfs_workflow.protos.tensor_pb2 import DT_FLOAT


class ByGraph:
    """A TF_Session and its TF_Graph; feeds and fetches are arrays of TF_Output."""

    def __init__(self, version_dir: Path, tags: Sequence[str], config: ConfigProto) -> None:
        """Load it; raises StatusError with TensorFlow's own message."""
        ffi, lib, status = capi.ffi, capi.lib, capi.new_status()
        self.run = lib.TF_SessionRun
        # Held until the call returns: cffi frees what Python does not refer to.
        names = [ffi.new("char[]", tag.encode()) for tag in tags]
        metadata = lib.TF_NewBuffer()
        self._graph = lib.TF_NewGraph()
        try:
            with capi.session_options(config.SerializeToString()) as options:
                self.session = lib.TF_LoadSessionFromSavedModel(
                    options, ffi.NULL, str(version_dir).encode(), ffi.new("char*[]", names), len(names), self._graph,
                    metadata, status,
                )  # fmt: skip
            capi.check(status)
            # Read where it lies: it holds the whole graph, with its constants.
            content = memoryview(ffi.buffer(metadata.data, metadata.length))
            outline = SavedModelOutline.MetaGraphOutline.FromString(meta_graph.without_graph(content))
            self.signatures = meta_graph.signatures(outline.signature_def)
            self.guard = guard_for(content, self.signatures)
        except StatusError:
            lib.TF_DeleteGraph(self._graph)
            raise
        finally:
            lib.TF_DeleteBuffer(metadata)

    def ports(self, names: Sequence[str]) -> Any:
        """What `run` takes for these tensors; raises StatusError for one that is not there."""
        array = capi.ffi.new("TF_Output[]", len(names))
        for output, name in zip(array, names, strict=True):
            output.oper, output.index = self._output(name)
        return array

    def is_float(self, feed: str, fetch: str) -> bool:
        """Whether both tensors are known to be float; raises StatusError for one that is not there."""
        return {capi.lib.TF_OperationOutputType(output) for output in self.ports((feed, fetch))} == {DT_FLOAT}

    def settle(self, fetches: Sequence[str], results: Sequence[Tensor]) -> None:
        """Nothing is to be learnt from a first run."""

    def free(self) -> None:
        """Close the session; nothing runs any more."""
        lib, status = capi.lib, capi.new_status()
        lib.TF_CloseSession(self.session, status)
        lib.TF_DeleteSession(self.session, status)
        lib.TF_DeleteGraph(self._graph)

    def _output(self, name: str) -> tuple[Any, int]:
        operation, _, index = name.partition(":")
        found = capi.lib.TF_GraphOperationByName(self._graph, operation.encode())
        if not found or not (index or "0").isdigit() or int(index or 0) >= capi.lib.TF_OperationNumOutputs(found):
            # TensorFlow's own text for a tensor that a signature names and the graph lacks.
            raise invalid_argument(
                f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
            )
        return found, int(index or 0)
