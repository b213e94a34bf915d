"""Small SavedModels for tests, written node by node."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tfs_workflow.protos import saved_model_pb2 as pb
from tfs_workflow.protos import tensor_pb2

FLOAT, INT32, STRING = tensor_pb2.DT_FLOAT, tensor_pb2.DT_INT32, tensor_pb2.DT_STRING
# TensorFlow's default depends on the processor. With it, a convolution of another rank ends the process.
ONEDNN_ON = {"TF_ENABLE_ONEDNN_OPTS": "1"}
ANY = tensor_pb2.TensorShapeProto(unknown_rank=True)


def node_of(name: str, op: str, *inputs: str, **attributes: pb.AttrValue) -> pb.NodeDef:
    """A node of a graph."""
    return pb.NodeDef(name=name, op=op, input=inputs, attr=attributes)


def type_of(dtype: tensor_pb2.DataType) -> pb.AttrValue:
    """The attribute that names a type."""
    return pb.AttrValue(type=dtype)


def _constant(name: str, tensor: tensor_pb2.TensorProto) -> pb.NodeDef:
    return node_of(name, "Const", value=pb.AttrValue(tensor=tensor), dtype=type_of(tensor.dtype))


def float_of(value: float) -> tensor_pb2.TensorProto:
    """A scalar of float32."""
    return tensor_pb2.TensorProto(dtype=FLOAT, tensor_shape={}, float_val=[value])


def _ints(*values: int) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(dtype=INT32, tensor_shape={"dim": [{"size": len(values)}]}, int_val=values)


def _text(value: str) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(dtype=STRING, tensor_shape={}, string_val=[value.encode()])


def _write(  # noqa: PLR0917  # what differs from model to model
    version_dir: Path,
    nodes: Sequence[pb.NodeDef],
    min_consumer: int = 12,
    has_init_op: bool = False,
    output: str = "y:0",
    input_shape: tensor_pb2.TensorShapeProto = ANY,
) -> Path:
    tensor = {
        "x": pb.TensorInfo(name="x:0", dtype=FLOAT, tensor_shape=input_shape),
        "y": pb.TensorInfo(name=output, dtype=FLOAT, tensor_shape=ANY),
    }
    signature = pb.SignatureDef(
        inputs={"x": tensor["x"]}, outputs={"y": tensor["y"]}, method_name="tensorflow/serving/predict"
    )
    graph = pb.GraphDef(node=nodes, versions=pb.VersionDef(producer=1882, min_consumer=min_consumer))
    meta = pb.MetaGraphDef(
        meta_info_def={"tags": ["serve"]}, graph_def=graph, signature_def={"serving_default": signature}
    )
    if has_init_op:
        meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    # Published by rename, as a watched base path wants it.
    hidden = version_dir.parent / f".{version_dir.name}"
    hidden.mkdir(parents=True)
    (hidden / "saved_model.pb").write_bytes(pb.SavedModel(meta_graphs=[meta]).SerializeToString())
    hidden.rename(version_dir)
    return version_dir


def _input() -> pb.NodeDef:
    return node_of("x", "Placeholder", dtype=type_of(FLOAT), shape=pb.AttrValue(shape=ANY))


def _random(name: str) -> pb.NodeDef:
    return node_of(
        name, "StatelessRandomUniform", "dims", "key", dtype=type_of(FLOAT), T=type_of(INT32), Tseed=type_of(INT32)
    )


def plus(version_dir: Path, addend: float) -> Path:
    """A model that adds a number, by which its version can be told."""
    return _write(
        version_dir,
        [_input(), _constant("addend", float_of(addend)), node_of("y", "AddV2", "x", "addend", T=type_of(FLOAT))],
    )


def slow(version_dir: Path, products: int = 12, size: int = 1500) -> Path:
    """A model that multiplies large matrices for about as many tenths of a second as products are asked for."""
    nodes = [_input(), _constant("dims", _ints(size, size)), _constant("axes", _ints(0, 1))]
    nodes += [_constant("zero", float_of(0.0)), _constant("first", _ints(0))]
    # Fed from the input, so that nothing can be computed before the request comes.
    nodes += [node_of("seed", "Max", "x", "first", T=type_of(FLOAT), Tidx=type_of(INT32))]
    nodes += [node_of("scaled", "Mul", "seed", "zero", T=type_of(FLOAT))]
    nodes += [node_of("m0", "Fill", "dims", "scaled", T=type_of(FLOAT), index_type=type_of(INT32))]
    for i in range(products):
        nodes.append(node_of(f"m{i + 1}", "MatMul", f"m{i}", f"m{i}", T=type_of(FLOAT)))
    nodes += [node_of("sum", "Sum", f"m{products}", "axes", T=type_of(FLOAT), Tidx=type_of(INT32))]
    nodes += [node_of("y", "AddV2", "x", "sum", T=type_of(FLOAT))]
    return _write(version_dir, nodes)


def widening(version_dir: Path, *sizes: int) -> Path:
    """A model that adds its input to an array of this shape, full of 1: from one number it makes many, or none."""
    nodes = [_input(), _constant("dims", _ints(*sizes)), _constant("one", float_of(1.0))]
    nodes += [node_of("ones", "Fill", "dims", "one", T=type_of(FLOAT), index_type=type_of(INT32))]
    return _write(version_dir, [*nodes, node_of("y", "AddV2", "x", "ones", T=type_of(FLOAT))])


def convolution(version_dir: Path, *, names_rank: bool = True) -> Path:
    """A model of one convolution of images of 4 x 4 pixels, whose kernel ends the process on another rank (ONEDNN_ON).

    The signature has the shape of the images only where it `names_rank`.
    """
    filters = tensor_pb2.TensorProto(
        dtype=FLOAT, tensor_shape={"dim": [{"size": size} for size in (1, 1, 1, 1)]}, float_val=[2.0]
    )
    ones = pb.AttrValue(list=pb.AttrValue.ListValue(i=[1, 1, 1, 1]))
    node = node_of("y", "Conv2D", "x", "filters", T=type_of(FLOAT), strides=ones, padding=pb.AttrValue(s=b"SAME"))
    images = tensor_pb2.TensorShapeProto(dim=[{"size": size} for size in (-1, 4, 4, 1)])
    return _write(
        version_dir, [_input(), _constant("filters", filters), node], input_shape=images if names_rank else ANY
    )


def edited(version_dir: Path, change: Callable[[pb.MetaGraphDef], None]) -> Path:
    """The version with its graph changed in place."""
    path = version_dir / "saved_model.pb"
    saved = pb.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    return version_dir


def aborting(version_dir: Path, *, remembers: bool = False) -> Path:
    """A model that answers with its input, and ends the process where a value is above 100.

    With `remembers` a run also writes a variable.
    """
    kind = {"dtype": type_of(FLOAT), "shape": pb.AttrValue(shape=ANY)}
    nodes = [
        *(_input(), _constant("axes", _ints(0)), _constant("most", float_of(100.0)), _constant("zero", float_of(0.0))),
        node_of("largest", "Max", "x", "axes", T=type_of(FLOAT), Tidx=type_of(INT32)),
        node_of("is_above", "Greater", "largest", "most", T=type_of(FLOAT)),
        node_of("switch", "Switch", "x", "is_above", T=type_of(FLOAT)),
        node_of("above", "Identity", "switch:1", T=type_of(FLOAT)),
        node_of("abort", "Abort", "^above", error_msg=pb.AttrValue(s=b"above 100")),
        node_of("aborted", "Identity", "switch:1", "^abort", T=type_of(FLOAT)),
        node_of("merged", "Merge", "switch", "aborted", T=type_of(FLOAT), N=pb.AttrValue(i=2)),
        node_of("variable", "VarHandleOp", **kind),
        node_of("init", "AssignVariableOp", "variable", "zero", dtype=type_of(FLOAT)),
        node_of("kept", "AssignVariableOp", "variable", "x", dtype=type_of(FLOAT)),
        node_of("y", "Identity", "merged", *(["^kept"] if remembers else []), T=type_of(FLOAT)),
    ]
    return _write(version_dir, nodes, has_init_op=True)


def dangling(version_dir: Path) -> Path:
    """A model that loads although its signature names an output that its graph does not have."""
    return _write(version_dir, [_input()], output="nowhere:0")


def failing(version_dir: Path) -> Path:
    """A model that loads and fails on every request: it reshapes its input to seven values."""
    nodes = [
        _input(),
        _constant("dims", _ints(7)),
        node_of("y", "Reshape", "x", "dims", T=type_of(FLOAT), Tshape=type_of(INT32)),
    ]
    return _write(version_dir, nodes)


def summing(version_dir: Path) -> Path:
    """A model that mixes its rows: every output row is the sum of the column over all rows of the run."""
    nodes = [
        _input(),
        _constant("axes", _ints(0)),
        node_of("sum", "Sum", "x", "axes", T=type_of(FLOAT), Tidx=type_of(INT32), keep_dims=pb.AttrValue(b=True)),
        _constant("zero", float_of(0.0)),
        node_of("blank", "Mul", "x", "zero", T=type_of(FLOAT)),
        node_of("y", "AddV2", "blank", "sum", T=type_of(FLOAT)),
    ]
    return _write(version_dir, nodes)


def starting(version_dir: Path, *nodes: pb.NodeDef) -> Path:
    """A model that runs the node named init when it is loaded."""
    return _write(version_dir, [_input(), node_of("y", "Identity", "x", T=type_of(FLOAT)), *nodes], has_init_op=True)


def reading(version_dir: Path, path: str) -> Path:
    """A model that reads a file when it is loaded, as a vocabulary is read."""
    return starting(version_dir, _constant("path", _text(path)), node_of("init", "ReadFile", "path"))


def writing(version_dir: Path, path: str, size_mb: int) -> Path:
    """A model that writes a file of this size when it is loaded."""
    return starting(
        version_dir,
        _constant("path", _text(path)),
        _constant("piece", _text("x" * 2**20)),
        _constant("dims", _ints(size_mb)),
        node_of("pieces", "Fill", "dims", "piece", T=type_of(STRING), index_type=type_of(INT32)),
        _constant("axes", _ints(0)),
        node_of("content", "ReduceJoin", "pieces", "axes", separator=pb.AttrValue(s=b"")),
        node_of("init", "WriteFile", "path", "content"),
    )


def filling(version_dir: Path, size_mb: int) -> Path:
    """A model that fills so much memory when it is loaded."""
    return starting(
        version_dir,
        # Random numbers, since what is constant is computed beforehand, with other messages.
        _constant("dims", _ints(size_mb, 2**18)),
        _constant("key", _ints(1, 2)),
        _random("init"),
    )


def refusing(version_dir: Path) -> Path:
    """A model whose own start-up computation fails: one value reshaped to seven."""
    return starting(
        version_dir,
        _constant("one", float_of(1.0)),
        _constant("dims", _ints(7)),
        node_of("init", "Reshape", "one", "dims", T=type_of(FLOAT), Tshape=type_of(INT32)),
    )


def toiling(version_dir: Path, products: int, size: int = 2000) -> Path:
    """A model that computes for long when it is loaded."""
    nodes = [_constant("dims", _ints(size, size)), _constant("key", _ints(1, 2))]
    nodes += [
        node_of(
            "m0", "StatelessRandomUniform", "dims", "key", dtype=type_of(FLOAT), T=type_of(INT32), Tseed=type_of(INT32)
        )
    ]
    nodes += [node_of(f"m{i + 1}", "MatMul", f"m{i}", f"m{i}", T=type_of(FLOAT)) for i in range(products)]
    return starting(version_dir, *nodes, node_of("init", "Identity", f"m{products}", T=type_of(FLOAT)))


def remembering(version_dir: Path) -> Path:
    """A model that answers with the input before, which it keeps in a variable."""
    kind = {"dtype": type_of(FLOAT), "shape": pb.AttrValue(shape=ANY)}
    variable = node_of("variable", "VarHandleOp", **kind)
    before = node_of("before", "ReadVariableOp", "variable", dtype=type_of(FLOAT))
    copied = node_of("y", "AddV2", "before", "zero", T=type_of(FLOAT))
    kept = node_of("kept", "AssignVariableOp", "variable", "x", "^y", dtype=type_of(FLOAT))
    answer = node_of("answer", "Identity", "y", "^kept", T=type_of(FLOAT))
    first = node_of("init", "AssignVariableOp", "variable", "zero", dtype=type_of(FLOAT))
    nodes = [_input(), _constant("zero", float_of(0.0)), variable, before, copied, kept, answer, first]
    return _write(version_dir, nodes, has_init_op=True, output="answer:0")


def unknown_op(version_dir: Path) -> Path:
    """A model with an operation that no TensorFlow has."""
    return starting(version_dir, node_of("init", "NoSuchOp"))


def without_attribute(version_dir: Path) -> Path:
    """A model whose operation lacks an attribute, as one of another TensorFlow does."""
    return starting(version_dir, _constant("one", float_of(1.0)), node_of("init", "Identity", "one"))


def twice_the_same_name(version_dir: Path) -> Path:
    """A model that TensorFlow refuses for a rare reason: two nodes of the same name."""
    return starting(version_dir, node_of("init", "NoOp"), node_of("init", "NoOp"))


def of_the_future(version_dir: Path) -> Path:
    """A model that asks for a later TensorFlow."""
    return _write(version_dir, [_input(), node_of("y", "Identity", "x", T=type_of(FLOAT))], min_consumer=10**6)


def without_kernel(version_dir: Path) -> Path:
    """A model whose operation only other hardware can compute."""
    broadcast = node_of(
        "init", "NcclBroadcast", "one", T=type_of(FLOAT), shape=pb.AttrValue(shape=tensor_pb2.TensorShapeProto())
    )
    return starting(version_dir, _constant("one", float_of(1.0)), broadcast)


def with_dropped_kernel(version_dir: Path) -> Path:
    """A model with an operation that TensorFlow knows and whose kernel it dropped."""
    return starting(version_dir, node_of("init", "BoostedTreesEnsembleResourceHandleOp"))


def on_device(version_dir: Path, device: str) -> Path:
    """A model that insists on a device."""
    node = _constant("init", float_of(1.0))
    node.device = device
    return starting(version_dir, node)


def corrupt(version_dir: Path) -> Path:
    """A version directory whose saved_model.pb is none."""
    hidden = version_dir.parent / f".{version_dir.name}"
    hidden.mkdir(parents=True)
    (hidden / "saved_model.pb").write_bytes(b"this is no protobuf")
    hidden.rename(version_dir)
    return version_dir


def withdraw(version_dir: Path) -> None:
    """Take a version away at once: renamed, then removed."""
    hidden = version_dir.parent / f".gone-{version_dir.name}"
    version_dir.rename(hidden)
    shutil.rmtree(hidden)
