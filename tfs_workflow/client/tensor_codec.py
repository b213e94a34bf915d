"""Tensors between numpy and TensorProto: `tensor_content` out, either encoding in (tensor.cc)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfs_workflow.client.interface import InputUnfit
from tfs_workflow.errors import PredictionFailed
from tfs_workflow.formats.savedmodel import TensorSpec
from tfs_workflow.formats.signature_text import dtype_name
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto, TensorShapeProto

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Array

# Type to how numpy holds it and to the field of its values. numpy has no bfloat16: float32 holds each of its values.
_TYPES: dict[str, tuple[np.dtype[Any], str]] = {
    f"DT_{name}": (np.dtype(held), field)
    for name, held, field in (
        ("FLOAT", "<f4", "float_val"),
        ("DOUBLE", "<f8", "double_val"),
        ("HALF", "<f2", "half_val"),
        ("BFLOAT16", "<f4", "half_val"),
        ("INT8", "i1", "int_val"),
        ("INT16", "<i2", "int_val"),
        ("INT32", "<i4", "int_val"),
        ("INT64", "<i8", "int64_val"),
        ("UINT8", "u1", "int_val"),
        ("UINT16", "<u2", "int_val"),
        ("UINT32", "<u4", "uint32_val"),
        ("UINT64", "<u8", "uint64_val"),
        ("QINT8", "i1", "int_val"),
        ("QINT16", "<i2", "int_val"),
        ("QINT32", "<i4", "int_val"),
        ("QUINT8", "u1", "int_val"),
        ("QUINT16", "<u2", "int_val"),
        ("BOOL", "?", "bool_val"),
        ("COMPLEX64", "<c8", "scomplex_val"),
        ("COMPLEX128", "<c16", "dcomplex_val"),
        ("STRING", "O", "string_val"),
    )
}
# Which kinds of numpy's a kind takes without losing what the values say.
_TAKES = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}
_MOST_BYTES = 2**31


def encode(array: Array, dtype: str, message: TensorProto | None = None) -> TensorProto:
    """The message, new or the one given, of an array that `fitted` made for this type, such as DT_FLOAT."""
    base = dtype.removesuffix("_REF")
    message = TensorProto() if message is None else message
    message.dtype = DataType.Value(base)  # type: ignore[assignment]  # protobuf takes the number
    message.tensor_shape.CopyFrom(_shape(array))
    if base == "DT_STRING":
        message.string_val.extend(array.ravel().tolist())
    elif base == "DT_BFLOAT16":
        message.tensor_content = _bfloat16_bits(array).tobytes()
    else:
        message.tensor_content = array.tobytes()
    return message


def decode(message: TensorProto) -> Array:
    """The array of a message; strings are an object array of bytes. Raises PredictionFailed."""
    dtype = DataType.Name(message.dtype)
    if dtype not in _TYPES:
        raise PredictionFailed(f"numpy cannot hold a tensor of the type {dtype}")
    held, field = _TYPES[dtype]
    shape = tuple(dim.size for dim in message.tensor_shape.dim)
    # A message of a few bytes may name a shape of any size.
    if message.tensor_shape.unknown_rank or min(shape, default=0) < 0 or math.prod(shape) * held.itemsize > _MOST_BYTES:
        raise PredictionFailed(f"the answer holds a tensor of the shape {shape}")
    count = math.prod(shape)
    if message.tensor_content:
        return _from_content(message.tensor_content, dtype, count).reshape(shape)
    return _filled(_values(getattr(message, field), dtype), count).reshape(shape)


def fitted(value: Any, spec: TensorSpec) -> Array:
    """An array in the type that a signature wants; raises InputUnfit where a value would be lost."""
    held = numpy_type(spec)
    try:
        array = np.asarray(value, held) if held.kind == "O" else np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InputUnfit(f"not an array: {error}") from error
    if held.kind == "O":
        return _strings(array)
    if array.dtype.name == "bfloat16":  # the type of ml_dtypes, where somebody has it
        array = array.astype(np.float32)
    if array.size and array.dtype.kind not in _TAKES[held.kind]:
        raise InputUnfit(f"the values are {array.dtype}, not {dtype_name(spec)}")
    return _narrowed(array, held, spec)


def numpy_type(spec: TensorSpec) -> np.dtype[Any]:
    """How numpy holds the type of a tensor; raises InputUnfit."""
    try:
        return _TYPES[spec.dtype.removesuffix("_REF")][0]
    except KeyError as error:
        raise InputUnfit(f"numpy cannot hold the type {dtype_name(spec)}") from error


def _shape(array: Array) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in array.shape])


def _narrowed(array: Array, held: np.dtype[Any], spec: TensorSpec) -> Array:
    if array.size and held.kind in "iu" and not np.can_cast(array.dtype, held):
        bounds = np.iinfo(held)
        low, high = int(array.min()), int(array.max())
        if low < bounds.min or high > bounds.max:
            raise InputUnfit(f"{low if low < bounds.min else high} is out of the range of {dtype_name(spec)}")
    with np.errstate(over="ignore", invalid="ignore"):
        narrowed = array.astype(held, copy=False)
    if held.kind in "fc" and not np.can_cast(array.dtype, held):
        lost = np.isinf(narrowed) & ~np.isinf(array)
        if lost.any():
            raise InputUnfit(f"{array[lost][0]} is out of the range of {dtype_name(spec)}")
    return narrowed


def _strings(array: Array) -> Array:
    encoded = np.empty(array.size, np.object_)
    for position, leaf in enumerate(array.ravel().tolist()):
        if not isinstance(leaf, str | bytes):
            raise InputUnfit(f"{leaf!r} is not a string" if not isinstance(leaf, list) else "the rows differ in length")
        encoded[position] = leaf if isinstance(leaf, bytes) else _utf8(leaf)
    return encoded.reshape(array.shape)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputUnfit(f"{text!r} cannot be written in UTF-8") from error


def _from_content(content: bytes, dtype: str, count: int) -> Array:
    held, _ = _TYPES[dtype]
    stored = np.dtype("<u2") if dtype == "DT_BFLOAT16" else held
    if dtype == "DT_STRING" or len(content) != count * stored.itemsize:
        raise PredictionFailed(f"the answer holds {len(content)} bytes for {count} values of the type {dtype}")
    values = np.frombuffer(content, stored)
    return _from_bfloat16(values) if dtype == "DT_BFLOAT16" else values.copy()


def _values(field: Any, dtype: str) -> Array:
    held, name = _TYPES[dtype]
    if dtype == "DT_STRING":
        values = np.empty(len(field), np.object_)
        values[:] = list(field)
        return values
    if name == "half_val":
        bits = np.array(field, np.int32).astype(np.uint16)
        return _from_bfloat16(bits) if dtype == "DT_BFLOAT16" else bits.view(held)
    if held.kind == "c":
        parts = np.array(field, np.float32 if held.itemsize == 8 else np.float64)
        return parts[: parts.size // 2 * 2].view(held)
    return np.array(field, np.int32).astype(held) if name == "int_val" else np.array(field, held)


def _filled(values: Array, count: int) -> Array:
    """As many values as the shape has: the last one repeated, or zeros where there is none."""
    if values.size >= count:
        return values[:count]
    filled = np.empty(count, values.dtype)
    filled[: values.size] = values
    nothing = b"" if values.dtype.kind == "O" else 0
    filled[values.size :] = values[-1] if values.size else nothing
    return filled


def _from_bfloat16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _bfloat16_bits(array: Array) -> Array:
    """The upper half of each float32, rounded to the nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype("<u2")
