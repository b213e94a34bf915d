"""Small SavedModels with signatures other than that of one float tensor to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.modelserver.graphs import ANY, FLOAT, INT32, STRING, edited, float_of, node_of, plus, type_of
from tfs_workflow.protos import saved_model_pb2 as pb


def two_inputs(version_dir: Path) -> Path:
    """A model of two signatures with an input tensor each, as TensorFlow 2 exports them: the lengths of examples."""
    signatures, nodes = {}, []
    for name in ("one", "two"):
        nodes += [
            node_of(f"{name}_x", "Placeholder", dtype=type_of(STRING), shape=pb.AttrValue(shape=ANY)),
            node_of(f"{name}_length", "StringLength", f"{name}_x"),
            node_of(f"{name}_y", "Cast", f"{name}_length", SrcT=type_of(INT32), DstT=type_of(FLOAT)),
        ]
        signatures[name] = pb.SignatureDef(
            inputs={"inputs": pb.TensorInfo(name=f"{name}_x:0", dtype=STRING, tensor_shape=ANY)},
            outputs={"outputs": pb.TensorInfo(name=f"{name}_y:0", dtype=FLOAT, tensor_shape=ANY)},
            method_name="tensorflow/serving/regress",
        )
    return edited(plus(version_dir, 0), lambda meta: _add(meta, nodes, signatures))


def with_default(version_dir: Path, addend: float) -> Path:
    """A model that adds its inputs x and y, whose y has this value where a request leaves it out."""
    nodes = [
        node_of("given", "Placeholder", dtype=type_of(FLOAT), shape=pb.AttrValue(shape=ANY)),
        node_of("total", "AddV2", "x", "given", T=type_of(FLOAT)),
    ]
    tensors = {alias: pb.TensorInfo(name=name, dtype=FLOAT, tensor_shape=ANY) for alias, name in _TOTAL.items()}
    signature = pb.SignatureDef(
        inputs={"x": tensors["x"], "y": tensors["y"]},
        outputs={"total": tensors["total"]},
        method_name="tensorflow/serving/predict",
        defaults={"y": float_of(addend)},
    )
    return edited(plus(version_dir, 0), lambda meta: _add(meta, nodes, {"serving_default": signature}))


_TOTAL = {"x": "x:0", "y": "given:0", "total": "total:0"}


def _add(meta: pb.MetaGraphDef, nodes: Sequence[pb.NodeDef], signatures: Mapping[str, pb.SignatureDef]) -> None:
    meta.graph_def.node.extend(nodes)
    for name, signature in signatures.items():
        meta.signature_def[name].CopyFrom(signature)
