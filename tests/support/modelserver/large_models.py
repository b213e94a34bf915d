"""A SavedModel with a large constant, written without TensorFlow."""

from __future__ import annotations

from array import array
from pathlib import Path

from tests.support.modelserver import graphs
from tfs_workflow.protos import saved_model_pb2 as pb
from tfs_workflow.protos import tensor_pb2

COLUMNS = 256


def table(version_dir: Path, size_mb: int) -> Path:
    """A model with a constant table of so many megabytes, of which it answers rows; row 1 is 256, 257, …, 511."""
    # All values differ from their neighbours: TensorFlow keeps a constant of equal ones as a single one.
    content = array("f", range(2**18)).tobytes() * size_mb
    rows = tensor_pb2.TensorShapeProto(dim=[{"size": size_mb * 1024}, {"size": COLUMNS}])
    values = tensor_pb2.TensorProto(dtype=graphs.FLOAT, tensor_shape=rows, tensor_content=content)
    axis = tensor_pb2.TensorProto(dtype=graphs.INT32, tensor_shape={}, int_val=[0])
    floats, ints = graphs.type_of(graphs.FLOAT), graphs.type_of(graphs.INT32)

    def change(meta: pb.MetaGraphDef) -> None:
        meta.graph_def.node.extend([
            graphs.node_of("table", "Const", value=pb.AttrValue(tensor=values), dtype=floats),
            graphs.node_of("axis", "Const", value=pb.AttrValue(tensor=axis), dtype=ints),
            graphs.node_of("row", "Cast", "x", SrcT=floats, DstT=ints),
            graphs.node_of("rows", "GatherV2", "table", "row", "axis", Tparams=floats, Tindices=ints, Taxis=ints),
        ])  # fmt: skip
        meta.signature_def["serving_default"].outputs["y"].name = "rows:0"

    return graphs.edited(graphs.plus(version_dir, 1.0), change)
