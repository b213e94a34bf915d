"""Tensors between TensorProto messages and numpy: both encodings in, `*_val` fields out, as TensorFlow does it."""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from tfs_workflow.modelserver.tensorflow.tensors import NUMPY_TYPES, STRING, Array, Tensor
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

# The field that holds a type's values, and the type in which it holds them (types_traits in tensor.cc).
_FIELDS: dict[int, tuple[str, type[np.generic]]] = {
    DataType.Value(f"DT_{name}"): (field, held)
    for names, field, held in (
        ("FLOAT", "float_val", np.float32),
        ("DOUBLE", "double_val", np.float64),
        ("INT32 INT16 INT8 UINT8 UINT16 QINT8 QUINT8 QINT16 QUINT16 QINT32", "int_val", np.int32),
        ("INT64", "int64_val", np.int64),
        ("BOOL", "bool_val", np.bool_),
        ("UINT32", "uint32_val", np.uint32),
        ("UINT64", "uint64_val", np.uint64),
        ("HALF BFLOAT16", "half_val", np.int32),
        ("COMPLEX64", "scomplex_val", np.float32),
        ("COMPLEX128", "dcomplex_val", np.float64),
    )
    for name in names.split()
}
_HALVES = {DataType.Value("DT_HALF"), DataType.Value("DT_BFLOAT16")}


class NotATensor(Exception):
    """The message does not hold what its type and shape say."""


def from_proto(message: TensorProto) -> Tensor:
    """The tensor of a message; raises NotATensor."""
    shape = tuple([dim.size for dim in message.tensor_shape.dim])
    if message.tensor_shape.unknown_rank or not _is_valid(shape) or message.dtype not in NUMPY_TYPES:
        raise NotATensor
    count = math.prod(shape)
    if message.dtype == STRING:
        return Tensor(STRING, shape, _strings(message, count))
    numpy_type = NUMPY_TYPES[message.dtype]
    if message.tensor_content:
        if len(message.tensor_content) != count * numpy_type.itemsize:
            raise NotATensor
        return Tensor(message.dtype, shape, np.frombuffer(message.tensor_content, numpy_type))
    return Tensor(message.dtype, shape, _filled(_held(message, numpy_type), count, numpy_type))


def to_proto(tensor: Tensor, message: TensorProto, as_content: bool) -> None:
    """Fill a message with a tensor: its `*_val` field, or tensor_content where asked for and possible."""
    message.dtype = tensor.dtype  # type: ignore[assignment]  # protobuf takes the number
    message.tensor_shape.SetInParent()
    for size in tensor.shape:
        message.tensor_shape.dim.add().size = size
    values = tensor.values
    if tensor.dtype == STRING:
        message.string_val.extend(values.tolist())
    elif as_content:
        message.tensor_content = values.tobytes()
    elif tensor.dtype in _HALVES:
        message.half_val.extend(values.view(np.uint16).tolist())
    elif values.dtype.kind == "c":
        parts = values.view(np.float32 if values.itemsize == 8 else np.float64).tolist()
        getattr(message, _FIELDS[tensor.dtype][0]).extend(parts)
    else:
        getattr(message, _FIELDS[tensor.dtype][0]).extend(values.tolist())


def _is_valid(shape: tuple[int, ...]) -> bool:
    """Whether TensorFlow can have it (TensorShape::IsValid): every product on the way to the last size counts."""
    return min(shape, default=0) >= 0 and all(count <= _MOST_ELEMENTS for count in accumulate(shape, mul))


def _held(message: TensorProto, numpy_type: np.dtype[Any]) -> Array:
    field, held = _FIELDS[message.dtype]
    values = np.array(getattr(message, field), held)
    if message.dtype in _HALVES:
        return values.astype(np.uint16).view(numpy_type)
    if numpy_type.kind == "c":
        return values[: values.size // 2 * 2].view(numpy_type)
    return values.astype(numpy_type, copy=False)


def _filled(values: Array, count: int, numpy_type: np.dtype[Any]) -> Array:
    """As many values as the shape has: the last one repeated, or zeros where there is none (FromProtoField)."""
    if values.size >= count:
        return values[:count]
    # A message of a few bytes may name a shape of any size.
    if count * numpy_type.itemsize > _MOST_FILLED_BYTES:
        raise NotATensor
    filled = np.empty(count, numpy_type)
    filled[: values.size] = values
    filled[values.size :] = values[-1] if values.size else 0
    return filled


_MOST_FILLED_BYTES = 2**31
_MOST_ELEMENTS = 2**63 - 1


def _strings(message: TensorProto, count: int) -> Array:
    given = list(message.string_val)
    if count > max(len(given), 2**24):
        raise NotATensor
    values = np.empty(count, np.object_)
    values[:] = (given + [given[-1] if given else b""] * (count - len(given)))[:count]
    return values
