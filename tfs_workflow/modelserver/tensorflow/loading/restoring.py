"""What is run to make a graph ready: its variables are read, then its own start is run.

As RestoreSession does it in tensorflow/cc/saved_model/loader.cc, in that order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfs_workflow.modelserver.tensorflow.loading.wire import MalformedError
from tfs_workflow.protos.saved_model_pb2 import AssetFileDef, GraphDef, MetaGraphDef

# tensorflow/cc/saved_model/constants.h
_INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS = "saved_model_assets"
_ASSET_TYPE = "tensorflow.AssetFileDef"


class Run(NamedTuple):
    """The node that is run, and the paths that are fed, each to the tensor of this name."""

    target: str
    paths: list[tuple[str, str]]


def runs(meta: MetaGraphDef, version_dir: Path) -> Iterator[Run]:
    """What has to be run, in order, of an outline of a graph with all that lies beside it.

    Raises MalformedError where TensorFlow would refuse.
    """
    assets = [
        (asset.tensor_info.name, f"{version_dir}/assets/{asset.filename.removeprefix('/')}") for asset in _assets(meta)
    ]
    saver, variables = meta.saver_def, version_dir / "variables" / "variables"
    if meta.HasField("saver_def") and variables.with_suffix(".index").exists():
        yield Run(saver.restore_op_name, [(saver.filename_tensor_name, str(variables)), *assets])
    init_op = _init_op(meta)
    # Each run makes TensorFlow optimize the whole graph, although exported models without tables start with nothing.
    if init_op and not _does_nothing(meta.graph_def, init_op):
        yield Run(init_op, assets)


def _does_nothing(graph: GraphDef, name: str) -> bool:
    return any(node.name == name and node.op == "NoOp" and not node.input for node in graph.node)


def _init_op(meta: MetaGraphDef) -> str:
    """The node's name, of a signature (TensorFlow 2) or of a collection (TensorFlow 1); empty without one."""
    if _INIT_OP_SIGNATURE in meta.signature_def:
        outputs = meta.signature_def[_INIT_OP_SIGNATURE].outputs
        if _INIT_OP_SIGNATURE not in outputs:
            raise MalformedError(f"no output {_INIT_OP_SIGNATURE}")
        return outputs[_INIT_OP_SIGNATURE].name
    for key in _INIT_OP_COLLECTIONS:
        if key in meta.collection_def:
            names = meta.collection_def[key].node_list.value
            if len(names) != 1:
                raise MalformedError(f"{len(names)} nodes in {key}")
            return names[0]
    return ""


def _assets(meta: MetaGraphDef) -> list[AssetFileDef]:
    """Of the message itself (TensorFlow 2), or of a collection (TensorFlow 1)."""
    if meta.asset_file_def or _ASSETS not in meta.collection_def:
        return list(meta.asset_file_def)
    packed = meta.collection_def[_ASSETS].any_list.value
    if any(one.type_url.rpartition("/")[2] != _ASSET_TYPE for one in packed):
        raise MalformedError(f"{_ASSETS} holds something else")
    return [AssetFileDef.FromString(one.value) for one in packed]
