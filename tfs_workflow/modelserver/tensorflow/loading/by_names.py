"""A version whose graph goes straight from its file into a session, which is run by the names of tensors.

TensorFlow's loader keeps two copies more of every constant: in the TF_Graph, and in the graphs that it has made of it
for each combination of inputs and outputs, for debugging. A session of the C API's first kind has neither. It is
deprecated; TensorFlow's own Python used it for years, and 2.20 computes the same with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfs_workflow.formats.tensors import STRING, Tensor
from tfs_workflow.modelserver.tensorflow import c_tensors, capi
from tfs_workflow.modelserver.tensorflow.loading import graph_outline, meta_graph, restoring
from tfs_workflow.modelserver.tensorflow.loading.wire import MalformedError
from tfs_workflow.modelserver.tensorflow.rank_guard import guard_for
from tfs_workflow.protos.saved_model_pb2 import MetaGraphDef
from tfs_workflow.protos.session_pb2 import ConfigProto, RewriterConfig
from tfs_workflow.protos.tensor_pb2 import DT_FLOAT


class ByNames:
    """A TF_DeprecatedSession; feeds and fetches are arrays of names."""

    def __init__(self, version_dir: Path, tags: Sequence[str], config: ConfigProto) -> None:
        """Load it; raises StatusError, MalformedError, DecodeError, OSError or ValueError where it cannot.

        The file must not be cut short meanwhile: it is read where the kernel has it.
        """
        self.run = capi.lib.TF_Run
        self._names: dict[str, Any] = {}
        self._types: dict[str, int] = {}
        self.session = _new_session(config)
        try:
            meta = self._extend(version_dir, tags)
            for run in restoring.runs(meta, version_dir):
                self._run_once(run)
        except BaseException:
            self.free()
            raise
        capi.release_free_memory()

    def ports(self, names: Sequence[str]) -> Any:
        """What `run` takes for these tensors."""
        return capi.ffi.new("char*[]", [self._c_name(name) for name in names])

    def is_float(self, feed: str, fetch: str) -> bool:  # noqa: ARG002  # TensorFlow checks the type of what is fed
        """Whether both tensors are known to be float: the fetched one must have been fetched before."""
        return self._types.get(fetch) == DT_FLOAT

    def settle(self, fetches: Sequence[str], results: Sequence[Tensor]) -> None:
        """Learn from the first run of a combination; TensorFlow has optimized its graph, with many copies."""
        self._types.update(zip(fetches, (result.dtype for result in results), strict=True))
        capi.release_free_memory()

    def free(self) -> None:
        """Close the session; nothing runs any more."""
        lib, status = capi.lib, capi.new_status()
        lib.TF_CloseDeprecatedSession(self.session, status)
        lib.TF_DeleteDeprecatedSession(self.session, status)
        capi.release_free_memory()

    def _extend(self, version_dir: Path, tags: Sequence[str]) -> MetaGraphDef:
        """Give the session its graph; returns the outline of it, with all that lies beside it in the file."""
        outline, graph = graph_outline.read(version_dir, tags)
        if fault := graph_outline.fault(outline.graph_def):
            raise MalformedError(fault)
        self.signatures = meta_graph.signatures(outline.signature_def)
        self.guard = guard_for(graph, self.signatures)
        status = capi.new_status()
        capi.lib.TF_ExtendGraph(self.session, capi.ffi.from_buffer(graph), len(graph), status)
        capi.check(status)
        return outline

    def _run_once(self, run: restoring.Run) -> None:
        ffi, lib, status = capi.ffi, capi.lib, capi.new_status()
        feeds = self.ports([name for name, _ in run.paths])
        fed = [c_tensors.to_c(Tensor(STRING, (), np.array([path.encode()], np.object_))) for _, path in run.paths]
        try:
            lib.TF_Run(
                self.session, ffi.NULL, feeds, fed, len(fed), ffi.NULL, ffi.NULL, 0,
                self.ports([run.target]), 1, ffi.NULL, status,
            )  # fmt: skip
            capi.check(status)
        finally:
            for tensor in fed:
                lib.TF_DeleteTensor(tensor)

    def _c_name(self, name: str) -> Any:
        """Kept with the session, since C arrays do not keep what they point to."""
        return self._names.setdefault(name, capi.ffi.new("char[]", name.encode()))


def _new_session(config: ConfigProto) -> Any:
    """A session without a graph, which keeps and makes fewer copies of one than by default."""
    frugal = ConfigProto()
    frugal.CopyFrom(config)
    frugal.experimental.disable_output_partition_graphs = True
    rewriting = frugal.graph_options.rewrite_options
    # It moves tensors between a GPU and the host; on processors alone it has nothing to do, and copies the graph.
    rewriting.memory_optimization = rewriting.memory_optimization or RewriterConfig.NO_MEM_OPT
    status = capi.new_status()
    with capi.session_options(frugal.SerializeToString()) as options:
        session = capi.lib.TF_NewDeprecatedSession(options, status)
    capi.check(status)
    return session
