"""Small SavedModels for tests, written node by node."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfs_workflow.protos import saved_model_pb2 as pb
from tfs_workflow.protos import tensor_pb2

FLOAT, INT32, STRING = tensor_pb2.DT_FLOAT, tensor_pb2.DT_INT32, tensor_pb2.DT_STRING
ANY = tensor_pb2.TensorShapeProto(unknown_rank=True)


def _node(name: str, op: str, *inputs: str, **attributes: pb.AttrValue) -> pb.NodeDef:
    return pb.NodeDef(name=name, op=op, input=inputs, attr=attributes)


def _type(dtype: tensor_pb2.DataType) -> pb.AttrValue:
    return pb.AttrValue(type=dtype)


def _constant(name: str, tensor: tensor_pb2.TensorProto) -> pb.NodeDef:
    return _node(name, "Const", value=pb.AttrValue(tensor=tensor), dtype=_type(tensor.dtype))


def _float(value: float) -> tensor_pb2.TensorProto:
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
    return _node("x", "Placeholder", dtype=_type(FLOAT), shape=pb.AttrValue(shape=ANY))


def _random(name: str) -> pb.NodeDef:
    return _node(name, "StatelessRandomUniform", "dims", "key", dtype=_type(FLOAT), T=_type(INT32), Tseed=_type(INT32))


def plus(version_dir: Path, addend: float) -> Path:
    """A model that adds a number, by which its version can be told."""
    return _write(
        version_dir,
        [_input(), _constant("addend", _float(addend)), _node("y", "AddV2", "x", "addend", T=_type(FLOAT))],
    )


def slow(version_dir: Path, products: int = 12, size: int = 1500) -> Path:
    """A model that multiplies large matrices for about as many tenths of a second as products are asked for."""
    nodes = [_input(), _constant("dims", _ints(size, size)), _constant("axes", _ints(0, 1))]
    nodes += [_constant("zero", _float(0.0)), _constant("first", _ints(0))]
    # Fed from the input, so that nothing can be computed before the request comes.
    nodes += [_node("seed", "Max", "x", "first", T=_type(FLOAT), Tidx=_type(INT32))]
    nodes += [_node("scaled", "Mul", "seed", "zero", T=_type(FLOAT))]
    nodes += [_node("m0", "Fill", "dims", "scaled", T=_type(FLOAT), index_type=_type(INT32))]
    for i in range(products):
        nodes.append(_node(f"m{i + 1}", "MatMul", f"m{i}", f"m{i}", T=_type(FLOAT)))
    nodes += [_node("sum", "Sum", f"m{products}", "axes", T=_type(FLOAT), Tidx=_type(INT32))]
    nodes += [_node("y", "AddV2", "x", "sum", T=_type(FLOAT))]
    return _write(version_dir, nodes)


def widening(version_dir: Path, *sizes: int) -> Path:
    """A model that adds its input to an array of this shape, full of 1: from one number it makes many, or none."""
    nodes = [_input(), _constant("dims", _ints(*sizes)), _constant("one", _float(1.0))]
    nodes += [_node("ones", "Fill", "dims", "one", T=_type(FLOAT), index_type=_type(INT32))]
    return _write(version_dir, [*nodes, _node("y", "AddV2", "x", "ones", T=_type(FLOAT))])


def convolution(version_dir: Path, *, names_rank: bool = True) -> Path:
    """A model of one convolution of images of 4 x 4 pixels, whose kernel ends the process on another rank.

    The signature has the shape of the images only where it `names_rank`.
    """
    filters = tensor_pb2.TensorProto(
        dtype=FLOAT, tensor_shape={"dim": [{"size": size} for size in (1, 1, 1, 1)]}, float_val=[2.0]
    )
    ones = pb.AttrValue(list=pb.AttrValue.ListValue(i=[1, 1, 1, 1]))
    node = _node("y", "Conv2D", "x", "filters", T=_type(FLOAT), strides=ones, padding=pb.AttrValue(s=b"SAME"))
    images = tensor_pb2.TensorShapeProto(dim=[{"size": size} for size in (-1, 4, 4, 1)])
    return _write(
        version_dir, [_input(), _constant("filters", filters), node], input_shape=images if names_rank else ANY
    )


def two_inputs(version_dir: Path) -> Path:
    """A model of two signatures with an input tensor each, as TensorFlow 2 exports them: the lengths of examples."""
    signatures, nodes = {}, []
    for name in ("one", "two"):
        nodes += [
            _node(f"{name}_x", "Placeholder", dtype=_type(STRING), shape=pb.AttrValue(shape=ANY)),
            _node(f"{name}_length", "StringLength", f"{name}_x"),
            _node(f"{name}_y", "Cast", f"{name}_length", SrcT=_type(INT32), DstT=_type(FLOAT)),
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
        _node("given", "Placeholder", dtype=_type(FLOAT), shape=pb.AttrValue(shape=ANY)),
        _node("total", "AddV2", "x", "given", T=_type(FLOAT)),
    ]
    tensors = {alias: pb.TensorInfo(name=name, dtype=FLOAT, tensor_shape=ANY) for alias, name in _TOTAL.items()}
    signature = pb.SignatureDef(
        inputs={"x": tensors["x"], "y": tensors["y"]},
        outputs={"total": tensors["total"]},
        method_name="tensorflow/serving/predict",
        defaults={"y": _float(addend)},
    )
    return edited(plus(version_dir, 0), lambda meta: _add(meta, nodes, {"serving_default": signature}))


_TOTAL = {"x": "x:0", "y": "given:0", "total": "total:0"}


def edited(version_dir: Path, change: Callable[[pb.MetaGraphDef], None]) -> Path:
    """The version with its graph changed in place."""
    path = version_dir / "saved_model.pb"
    saved = pb.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    return version_dir


def _add(meta: pb.MetaGraphDef, nodes: Sequence[pb.NodeDef], signatures: Mapping[str, pb.SignatureDef]) -> None:
    meta.graph_def.node.extend(nodes)
    for name, signature in signatures.items():
        meta.signature_def[name].CopyFrom(signature)


def dangling(version_dir: Path) -> Path:
    """A model that loads although its signature names an output that its graph does not have."""
    return _write(version_dir, [_input()], output="nowhere:0")


def failing(version_dir: Path) -> Path:
    """A model that loads and fails on every request: it reshapes its input to seven values."""
    nodes = [
        _input(),
        _constant("dims", _ints(7)),
        _node("y", "Reshape", "x", "dims", T=_type(FLOAT), Tshape=_type(INT32)),
    ]
    return _write(version_dir, nodes)


def summing(version_dir: Path) -> Path:
    """A model that mixes its rows: every output row is the sum of the column over all rows of the run."""
    nodes = [
        _input(),
        _constant("axes", _ints(0)),
        _node("sum", "Sum", "x", "axes", T=_type(FLOAT), Tidx=_type(INT32), keep_dims=pb.AttrValue(b=True)),
        _constant("zero", _float(0.0)),
        _node("blank", "Mul", "x", "zero", T=_type(FLOAT)),
        _node("y", "AddV2", "blank", "sum", T=_type(FLOAT)),
    ]
    return _write(version_dir, nodes)


def starting(version_dir: Path, *nodes: pb.NodeDef) -> Path:
    """A model that runs the node named init when it is loaded."""
    return _write(version_dir, [_input(), _node("y", "Identity", "x", T=_type(FLOAT)), *nodes], has_init_op=True)


def reading(version_dir: Path, path: str) -> Path:
    """A model that reads a file when it is loaded, as a vocabulary is read."""
    return starting(version_dir, _constant("path", _text(path)), _node("init", "ReadFile", "path"))


def writing(version_dir: Path, path: str, size_mb: int) -> Path:
    """A model that writes a file of this size when it is loaded."""
    return starting(
        version_dir,
        _constant("path", _text(path)),
        _constant("piece", _text("x" * 2**20)),
        _constant("dims", _ints(size_mb)),
        _node("pieces", "Fill", "dims", "piece", T=_type(STRING), index_type=_type(INT32)),
        _constant("axes", _ints(0)),
        _node("content", "ReduceJoin", "pieces", "axes", separator=pb.AttrValue(s=b"")),
        _node("init", "WriteFile", "path", "content"),
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
        _constant("one", _float(1.0)),
        _constant("dims", _ints(7)),
        _node("init", "Reshape", "one", "dims", T=_type(FLOAT), Tshape=_type(INT32)),
    )


def toiling(version_dir: Path, products: int, size: int = 2000) -> Path:
    """A model that computes for long when it is loaded."""
    nodes = [_constant("dims", _ints(size, size)), _constant("key", _ints(1, 2))]
    nodes += [
        _node("m0", "StatelessRandomUniform", "dims", "key", dtype=_type(FLOAT), T=_type(INT32), Tseed=_type(INT32))
    ]
    nodes += [_node(f"m{i + 1}", "MatMul", f"m{i}", f"m{i}", T=_type(FLOAT)) for i in range(products)]
    return starting(version_dir, *nodes, _node("init", "Identity", f"m{products}", T=_type(FLOAT)))


def remembering(version_dir: Path) -> Path:
    """A model that answers with the input before, which it keeps in a variable."""
    kind = {"dtype": _type(FLOAT), "shape": pb.AttrValue(shape=ANY)}
    variable = _node("variable", "VarHandleOp", **kind)
    before = _node("before", "ReadVariableOp", "variable", dtype=_type(FLOAT))
    copied = _node("y", "AddV2", "before", "zero", T=_type(FLOAT))
    kept = _node("kept", "AssignVariableOp", "variable", "x", "^y", dtype=_type(FLOAT))
    answer = _node("answer", "Identity", "y", "^kept", T=_type(FLOAT))
    first = _node("init", "AssignVariableOp", "variable", "zero", dtype=_type(FLOAT))
    nodes = [_input(), _constant("zero", _float(0.0)), variable, before, copied, kept, answer, first]
    return _write(version_dir, nodes, has_init_op=True, output="answer:0")


def unknown_op(version_dir: Path) -> Path:
    """A model with an operation that no TensorFlow has."""
    return starting(version_dir, _node("init", "NoSuchOp"))


def without_attribute(version_dir: Path) -> Path:
    """A model whose operation lacks an attribute, as one of another TensorFlow does."""
    return starting(version_dir, _constant("one", _float(1.0)), _node("init", "Identity", "one"))


def twice_the_same_name(version_dir: Path) -> Path:
    """A model that TensorFlow refuses for a rare reason: two nodes of the same name."""
    return starting(version_dir, _node("init", "NoOp"), _node("init", "NoOp"))


def of_the_future(version_dir: Path) -> Path:
    """A model that asks for a later TensorFlow."""
    return _write(version_dir, [_input(), _node("y", "Identity", "x", T=_type(FLOAT))], min_consumer=10**6)


def without_kernel(version_dir: Path) -> Path:
    """A model whose operation only other hardware can compute."""
    broadcast = _node(
        "init", "NcclBroadcast", "one", T=_type(FLOAT), shape=pb.AttrValue(shape=tensor_pb2.TensorShapeProto())
    )
    return starting(version_dir, _constant("one", _float(1.0)), broadcast)


def with_dropped_kernel(version_dir: Path) -> Path:
    """A model with an operation that TensorFlow knows and whose kernel it dropped."""
    return starting(version_dir, _node("init", "BoostedTreesEnsembleResourceHandleOp"))


def on_device(version_dir: Path, device: str) -> Path:
    """A model that insists on a device."""
    node = _constant("init", _float(1.0))
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
