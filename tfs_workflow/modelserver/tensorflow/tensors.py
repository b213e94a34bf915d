"""Tensors between numpy and TensorFlow's C API."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.protos.tensor_pb2 import DataType

Array = npt.NDArray[Any]

STRING = DataType.Value("DT_STRING")

# Types without a numpy type of their own travel as their bits.
NUMPY_TYPES: dict[int, np.dtype[Any]] = {
    DataType.Value(f"DT_{name}"): np.dtype(dtype)
    for name, dtype in {
        "FLOAT": np.float32,
        "DOUBLE": np.float64,
        "INT32": np.int32,
        "UINT8": np.uint8,
        "INT16": np.int16,
        "INT8": np.int8,
        "COMPLEX64": np.complex64,
        "INT64": np.int64,
        "BOOL": np.bool_,
        "QINT8": np.int8,
        "QUINT8": np.uint8,
        "QINT32": np.int32,
        "BFLOAT16": np.uint16,
        "QINT16": np.int16,
        "QUINT16": np.uint16,
        "UINT16": np.uint16,
        "COMPLEX128": np.complex128,
        "HALF": np.float16,
        "UINT32": np.uint32,
        "UINT64": np.uint64,
        "STRING": np.object_,
    }.items()
}


_UNKNOWN = np.dtype(np.uint8)


class Tensor(NamedTuple):
    """A value: TensorFlow's type code, the shape, and the flat values; strings are an object array of bytes.

    The shape stands beside the values since TensorFlow's rank goes to 254 and numpy's does not.
    """

    dtype: int
    shape: tuple[int, ...]
    values: Array


def dtype_name(dtype: int) -> str:
    """TensorFlow's short name of a type, such as float or int64 (DataTypeString)."""
    return DataType.Name(dtype)[3:].lower()


SMALLEST_NORMAL_FLOAT = 1.1754943508222875e-38
_SMALLEST_NORMAL = {4: SMALLEST_NORMAL_FLOAT, 8: 2.2250738585072014e-308}

# By size in bytes, for bit patterns moved one to the left: their type, the lowest normal number, and infinity.
_PATTERNS: dict[int, tuple[type[np.unsignedinteger[Any]], int, int]] = {
    4: (np.uint32, 1 << 24, 0xFF << 24),
    8: (np.uint64, 1 << 53, 0x7FF << 53),
}


def is_ordinary(values: Array) -> bool:
    """Whether every float is zero or normal: not denormal, infinite or NaN."""
    if values.size <= 64:  # numpy takes longer than this to begin
        smallest = _SMALLEST_NORMAL[values.dtype.itemsize]
        return all(value == 0 or smallest <= abs(value) < math.inf for value in values.tolist())
    # Without the sign numbers are in the order of their bit patterns. All of numpy's own ways take twice as long.
    unsigned, lowest, infinity = _PATTERNS[values.dtype.itemsize]
    patterns = values.view(unsigned)
    patterns = patterns + patterns
    is_finite = patterns.max() < infinity
    patterns -= 1  # zero becomes the largest
    return bool(is_finite and patterns.min() >= lowest - 1)


def flushed(values: Array) -> Array:
    """The floats with denormal ones made zero, as the threads of TensorFlow Serving do on reading and printing."""
    return np.where(np.abs(values) < _SMALLEST_NORMAL[values.dtype.itemsize], np.copysign(0, values), values).astype(
        values.dtype
    )


_string_storage: dict[int, Any] = {}


@capi.ffi.callback("void(void*, size_t, void*)")  # type: ignore[untyped-decorator]
def _release_strings(data: Any, size_bytes: int, _: Any) -> None:
    """Called by TensorFlow, from any thread, when the last user of a string tensor is done."""
    strings = capi.ffi.cast("TF_TString*", data)
    for i in range(size_bytes // 24):
        capi.lib.TF_StringDealloc(strings + i)
    del _string_storage[int(capi.ffi.cast("uintptr_t", data))]


def to_c(tensor: Tensor) -> Any:
    """A new TF_Tensor; the caller deletes it."""
    dtype, shape, values = tensor
    dims = capi.ffi.new("int64_t[]", shape) if shape else capi.ffi.NULL
    if dtype == STRING:
        return _strings_to_c(values, dims, len(shape))
    made = capi.lib.TF_AllocateTensor(dtype, dims, len(shape), values.nbytes)
    if values.nbytes:
        _memory(made, values.nbytes, values.dtype)[...] = values
    return made


def _strings_to_c(values: Array, dims: Any, rank: int) -> Any:
    lib, count = capi.lib, values.size
    strings = capi.ffi.new("TF_TString[]", max(count, 1))
    _string_storage[int(capi.ffi.cast("uintptr_t", strings))] = strings
    for i, value in enumerate(values.tolist()):
        lib.TF_StringInit(strings + i)
        lib.TF_StringCopy(strings + i, value, len(value))
    return lib.TF_NewTensor(STRING, dims, rank, strings, 24 * count, _release_strings, capi.ffi.NULL)


def from_c(made: Any) -> Tensor:
    """A copy of a TF_Tensor's value."""
    lib = capi.lib
    dtype = lib.TF_TensorType(made)
    shape = tuple([lib.TF_Dim(made, i) for i in range(lib.TF_NumDims(made))])
    if dtype == STRING:
        return Tensor(dtype, shape, _strings_from_c(lib.TF_TensorData(made), math.prod(shape)))
    size_bytes = lib.TF_TensorByteSize(made)
    numpy_type = NUMPY_TYPES.get(dtype, _UNKNOWN)
    return Tensor(dtype, shape, _memory(made, size_bytes, numpy_type).copy() if size_bytes else np.empty(0, numpy_type))


def _memory(made: Any, size_bytes: int, dtype: np.dtype[Any]) -> Array:
    """The memory of a TF_Tensor; to copy from and to it numpy lets other threads run."""
    return np.frombuffer(capi.ffi.buffer(capi.lib.TF_TensorData(made), size_bytes), dtype)


def _strings_from_c(data: Any, count: int) -> Array:
    lib, ffi = capi.lib, capi.ffi
    strings = ffi.cast("TF_TString*", data)
    values = np.empty(count, np.object_)
    for i in range(count):
        size_bytes = lib.TF_StringGetSize(strings + i)
        values[i] = ffi.buffer(lib.TF_StringGetDataPointer(strings + i), size_bytes)[:] if size_bytes else b""
    return values
