"""TensorFlow's data types in numpy, and tensors between TensorProto messages and numpy (tensor.cc).

Client and embedded server share one table and one codec. A message of a few bytes may declare a shape of any size, so
that reading bounds what it fills. Both encodings are read: `tensor_content`, and the `*_val` field of the type.
"""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

Array = npt.NDArray[Any]

STRING = DataType.Value("DT_STRING")
BFLOAT16 = DataType.Value("DT_BFLOAT16")

# The field that holds a type's values in a message and the type of its elements there; the data types by name, each
# with its numpy type. A type that numpy lacks is held as its bits: bfloat16 as uint16, quantized types as integers.
_FIELDS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("float_val", "<f4", {"FLOAT": "<f4"}),
    ("double_val", "<f8", {"DOUBLE": "<f8"}),
    ("half_val", "<i4", {"HALF": "<f2", "BFLOAT16": "<u2"}),
    ("int_val", "<i4", {"INT32": "<i4", "INT16": "<i2", "INT8": "i1", "UINT16": "<u2", "UINT8": "u1"}),
    ("int_val", "<i4", {"QINT32": "<i4", "QINT16": "<i2", "QINT8": "i1", "QUINT16": "<u2", "QUINT8": "u1"}),
    ("int64_val", "<i8", {"INT64": "<i8"}),
    ("uint32_val", "<u4", {"UINT32": "<u4"}),
    ("uint64_val", "<u8", {"UINT64": "<u8"}),
    ("bool_val", "?", {"BOOL": "?"}),
    ("scomplex_val", "<f4", {"COMPLEX64": "<c8"}),
    ("dcomplex_val", "<f8", {"COMPLEX128": "<c16"}),
    ("string_val", "O", {"STRING": "O"}),
)


class Storage(NamedTuple):
    """How numpy holds the values of a data type, and which field of a message does, with which elements."""

    numpy_type: np.dtype[Any]
    field: str
    element_type: np.dtype[Any]


STORAGE: dict[int, Storage] = {
    DataType.Value(f"DT_{name}"): Storage(np.dtype(numpy_type), field, np.dtype(element_type))
    for field, element_type, types in _FIELDS
    for name, numpy_type in types.items()
}
NUMPY_TYPES: dict[int, np.dtype[Any]] = {dtype: storage.numpy_type for dtype, storage in STORAGE.items()}

_MAX_FILLED_BYTES = 2**31
_MAX_FILLED_STRINGS = 2**24
_MAX_ELEMENTS = 2**63 - 1


class Tensor(NamedTuple):
    """A value: TensorFlow's type code, the shape, and the flat values; strings are an object array of bytes.

    The shape stands beside the values since TensorFlow's rank goes to 254 and numpy's does not.
    """

    dtype: int
    shape: tuple[int, ...]
    values: Array


class InvalidTensorError(Exception):
    """The message does not hold what its type and shape declare."""


def dtype_string(dtype: int) -> str:
    """TensorFlow's short name of a type, such as float or int64 (DataTypeString)."""
    return DataType.Name(dtype)[3:].lower()


def from_proto(message: TensorProto) -> Tensor:
    """The tensor of a message, whose values may be read-only; raises InvalidTensorError."""
    shape = tuple([dim.size for dim in message.tensor_shape.dim])
    if message.tensor_shape.unknown_rank or not _is_valid(shape):
        raise InvalidTensorError(f"a tensor of the shape {shape}")
    if message.dtype not in STORAGE:
        raise InvalidTensorError(f"a tensor of the type {message.dtype}")
    count = math.prod(shape)
    if message.dtype == STRING:
        return Tensor(STRING, shape, _strings(message, count))
    numpy_type = NUMPY_TYPES[message.dtype]
    if message.tensor_content:
        size_bytes = len(message.tensor_content)
        if size_bytes != count * numpy_type.itemsize:
            name = DataType.Name(message.dtype)
            raise InvalidTensorError(f"{size_bytes} bytes for {count} values of the type {name}")
        return Tensor(message.dtype, shape, np.frombuffer(message.tensor_content, numpy_type))
    return Tensor(message.dtype, shape, _filled(_field_values(message), count))


def to_proto(tensor: Tensor, message: TensorProto, as_content: bool) -> None:
    """Fill an empty message with a tensor: its `*_val` field, or tensor_content where wanted and possible."""
    dtype, shape, values = tensor
    message.dtype = dtype  # type: ignore[assignment]  # protobuf takes the number
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add().size = size
    if as_content and dtype != STRING:
        message.tensor_content = values.tobytes()
        return
    _, field, element_type = STORAGE[dtype]
    if field == "half_val":
        values = values.view(np.uint16)
    elif values.dtype.kind == "c":
        values = values.view(element_type)
    getattr(message, field).extend(values.tolist())


def from_bfloat16(bits: Array) -> Array:
    """The float32 values of bfloat16 bits, each of which is the upper half of one."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(values: Array) -> Array:
    """The bits of the nearest bfloat16 of each float32, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2")


def _is_valid(shape: tuple[int, ...]) -> bool:
    """Whether TensorFlow can have it (TensorShape::IsValid): every product on the way to the last size counts."""
    return min(shape, default=0) >= 0 and all(count <= _MAX_ELEMENTS for count in accumulate(shape, mul))


def _field_values(message: TensorProto) -> Array:
    numpy_type, field, element_type = STORAGE[message.dtype]
    values = np.array(getattr(message, field), element_type)
    if field == "half_val":
        return values.astype(np.uint16).view(numpy_type)
    if numpy_type.kind == "c":
        return values[: values.size // 2 * 2].view(numpy_type)
    return values.astype(numpy_type, copy=False)


def _filled(values: Array, count: int) -> Array:
    """As many values as the shape has: the last one repeated, or zeros where there is none (FromProtoField)."""
    if values.size >= count:
        return values[:count]
    if count * values.itemsize > _MAX_FILLED_BYTES:
        raise InvalidTensorError(f"{values.size} values for a shape of {count}")
    filled = np.empty(count, values.dtype)
    filled[: values.size] = values
    filled[values.size :] = values[-1] if values.size else 0
    return filled


def _strings(message: TensorProto, count: int) -> Array:
    given = list(message.string_val)
    if count > max(len(given), _MAX_FILLED_STRINGS):
        raise InvalidTensorError(f"{len(given)} strings for a shape of {count}")
    values = np.empty(count, np.object_)
    values[:] = (given + [given[-1] if given else b""] * (count - len(given)))[:count]
    return values
