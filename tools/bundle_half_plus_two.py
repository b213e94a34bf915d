"""Write the bundled model half_plus_two: a SavedModel made node by node, without TensorFlow.

    python tools/bundle_half_plus_two.py

It computes y = 0.5 x + 2, under the signature names of TensorFlow Serving's tutorial model.
"""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.protos import saved_model_pb2 as pb
from tfs_workflow.protos import tensor_pb2

VERSION_DIR = Path(__file__).parents[1] / "tfs_workflow" / "bundled" / "half_plus_two" / "00000123"
FLOAT, STRING = tensor_pb2.DT_FLOAT, tensor_pb2.DT_STRING
COLUMN = tensor_pb2.TensorShapeProto(dim=[{"size": -1}, {"size": 1}])
ROW = tensor_pb2.TensorShapeProto(dim=[{"size": 1}])
BATCH = tensor_pb2.TensorShapeProto(dim=[{"size": -1}])
ANY = tensor_pb2.TensorShapeProto(unknown_rank=True)
PRODUCER = 1882  # a graph version that every TensorFlow from 2.12 on reads


def node(name: str, op: str, *inputs: str, **attributes: pb.AttrValue) -> pb.NodeDef:
    """One operation of the graph."""
    return pb.NodeDef(name=name, op=op, input=inputs, attr=attributes)


def dtype(value: tensor_pb2.DataType) -> pb.AttrValue:
    """A type attribute."""
    return pb.AttrValue(type=value)


def constant(name: str, tensor: tensor_pb2.TensorProto) -> pb.NodeDef:
    """A constant of the graph."""
    return node(name, "Const", value=pb.AttrValue(tensor=tensor), dtype=dtype(tensor.dtype))


def scalar(value: float) -> tensor_pb2.TensorProto:
    """A float without dimensions."""
    return tensor_pb2.TensorProto(dtype=FLOAT, tensor_shape={}, float_val=[value])


def strings(*values: bytes) -> tensor_pb2.TensorProto:
    """A vector of strings."""
    return tensor_pb2.TensorProto(dtype=STRING, tensor_shape={"dim": [{"size": len(values)}]}, string_val=values)


def parse_example() -> list[pb.NodeDef]:
    """The nodes that read x out of serialized tf.Example messages."""
    key = tensor_pb2.TensorProto(dtype=STRING, tensor_shape={}, string_val=[b"x"])
    default = tensor_pb2.TensorProto(dtype=FLOAT, tensor_shape=ROW, float_val=[0.0])
    return [
        node("tf_example", "Placeholder", dtype=dtype(STRING), shape=pb.AttrValue(shape=BATCH)),
        constant("ParseExample/names", strings()),
        constant("ParseExample/key", key),
        constant("ParseExample/default", default),
        node(
            "ParseExample/ParseExample",
            "ParseExample",
            *("tf_example", "ParseExample/names", "ParseExample/key", "ParseExample/default"),
            Nsparse=pb.AttrValue(i=0),
            Ndense=pb.AttrValue(i=1),
            sparse_types=pb.AttrValue(list={}),
            Tdense=pb.AttrValue(list={"type": [FLOAT]}),
            dense_shapes=pb.AttrValue(list={"shape": [ROW]}),
        ),
    ]


def affine(source: str, prefix: str) -> list[pb.NodeDef]:
    """The nodes of a * source + b, ending in one named by the prefix."""
    return [
        node(f"{prefix}/product", "Mul", "a", source, T=dtype(FLOAT)),
        node(prefix, "AddV2", f"{prefix}/product", "b", T=dtype(FLOAT)),
    ]


def tensor(name: str, of: tensor_pb2.DataType, shape: tensor_pb2.TensorShapeProto) -> pb.TensorInfo:
    """A tensor of a signature."""
    return pb.TensorInfo(name=f"{name}:0", dtype=of, tensor_shape=shape)


def signature_defs() -> dict[str, pb.SignatureDef]:
    """The signatures of the tutorial's model."""
    examples = {"inputs": tensor("tf_example", STRING, BATCH)}
    parsed = tensor("y_of_example", FLOAT, COLUMN)
    predict = pb.SignatureDef(
        inputs={"x": tensor("x", FLOAT, ANY)},
        outputs={"y": tensor("y", FLOAT, ANY)},
        method_name="tensorflow/serving/predict",
    )
    regress = pb.SignatureDef(inputs=examples, outputs={"outputs": parsed}, method_name="tensorflow/serving/regress")
    classify = pb.SignatureDef(inputs=examples, outputs={"scores": parsed}, method_name="tensorflow/serving/classify")
    return {"serving_default": predict, "regress_x_to_y": regress, "classify_x_to_y": classify}


def half_plus_two() -> pb.SavedModel:
    """The whole SavedModel."""
    nodes = [
        constant("a", scalar(0.5)),
        constant("b", scalar(2.0)),
        node("x", "Placeholder", dtype=dtype(FLOAT), shape=pb.AttrValue(shape=ANY)),
        *affine("x", "y"),
        *parse_example(),
        *affine("ParseExample/ParseExample", "y_of_example"),
    ]
    graph = pb.GraphDef(node=nodes, versions=pb.VersionDef(producer=PRODUCER, min_consumer=12))
    meta = pb.MetaGraphDef(meta_info_def={"tags": ["serve"]}, graph_def=graph, signature_def=signature_defs())
    return pb.SavedModel(saved_model_schema_version=1, meta_graphs=[meta])


def main() -> None:
    """Write the model's only file; the same bytes each time."""
    VERSION_DIR.mkdir(parents=True, exist_ok=True)
    content = half_plus_two().SerializeToString(deterministic=True)
    (VERSION_DIR / "saved_model.pb").write_bytes(content)


if __name__ == "__main__":
    main()
