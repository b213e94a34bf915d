"""Loads a version: a large graph by names, which takes half the memory, all others with TensorFlow's own loader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.status_error import StatusError, not_found
from tfs_workflow.modelserver.tensorflow.loading.by_graph import ByGraph
from tfs_workflow.modelserver.tensorflow.loading.by_names import ByNames
from tfs_workflow.modelserver.tensorflow.rank_guard import RankGuard
from tfs_workflow.protos.saved_model_pb2 import SignatureDef
from tfs_workflow.protos.session_pb2 import ConfigProto

_SOURCE = "servables/tensorflow/saved_model_bundle_factory.cc"
_SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")


class Loaded(Protocol):
    """A version in memory: `run` is a function of the C API, which takes `session` and what `ports` makes of names."""

    session: Any
    run: Any
    signatures: dict[str, SignatureDef]
    guard: RankGuard | None

    def ports(self, names: Sequence[str]) -> Any:
        """What `run` takes for these tensors; raises StatusError for one that is known not to be there."""

    def is_float(self, feed: str, fetch: str) -> bool:
        """Whether both tensors are known to be float; raises StatusError for one that is known not to be there."""

    def settle(self, fetches: Sequence[str], results: Sequence[Tensor]) -> None:
        """Take note of the first run of a combination of feeds and fetches, which has ended."""

    def free(self) -> None:
        """Close the session; nothing runs any more."""


def load(version_dir: Path, tags: Sequence[str], config: ConfigProto, large_bytes: int) -> Loaded:
    """Load it, by names from so many bytes of saved_model.pb; raises StatusError with TensorFlow's own message.

    What cannot be loaded by names is loaded again with TensorFlow's loader, which tells why, or succeeds.
    """
    _check_directory(version_dir)
    graph = version_dir / "saved_model.pb"
    if graph.exists() and graph.stat().st_size >= large_bytes:
        try:
            loaded = ByNames(version_dir, tags, config)
        except (StatusError, DecodeError, OSError, ValueError) as error:
            log.info(_SOURCE, f"Not loaded by names, but by TensorFlow's loader in more memory: {graph}: {error}")
        else:
            log.info(_SOURCE, f"Loaded by names: {graph}")
            return loaded
    return ByGraph(version_dir, tags, config)


def _check_directory(version_dir: Path) -> None:
    """Raise StatusError for what holds no SavedModel, with TensorFlow Serving's text (session_bundle_util.cc)."""
    if (version_dir / "export.meta").exists():
        raise StatusError(Code.UNIMPLEMENTED, "Session Bundle is deprecated and removed.")
    if not any((version_dir / name).exists() for name in _SAVED_MODEL_FILES):
        raise not_found(
            "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
            f"`saved_model.pb`)\nSpecified file path: {version_dir}"
        )
