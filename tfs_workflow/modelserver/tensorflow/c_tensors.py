"""Tensors between numpy and TensorFlow's C API.

Every value is copied once in each direction. A view of TensorFlow's memory would save a copy of the result, but tie the
life of the tensor to that of an array, across threads and batches. Numbers are one block of memory. Strings are an
array of TF_TString, each with memory of its own that only the library can free.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfs_workflow.formats.tensors import NUMPY_TYPES, STRING, Array, Tensor
from tfs_workflow.modelserver.tensorflow import capi

_UNKNOWN = np.dtype(np.uint8)
# By address, what cffi would free as soon as Python has no reference to it, while TensorFlow still reads it.
_string_storage: dict[int, Any] = {}


@capi.ffi.callback("void(void*, size_t, void*)")  # type: ignore[untyped-decorator]
def _release_strings(data: Any, size_bytes: int, _: Any) -> None:
    """Called by TensorFlow, from any thread, when the last user of a string tensor is done."""
    strings = capi.ffi.cast("TF_TString*", data)
    # sizeof(TF_TString) on 64-bit platforms (tsl/platform/ctstring.h).
    for i in range(size_bytes // 24):
        capi.lib.TF_StringDealloc(strings + i)
    del _string_storage[int(capi.ffi.cast("uintptr_t", data))]


def to_c(tensor: Tensor) -> Any:
    """A new TF_Tensor; the caller deletes it.

    The values are copied, so that the array may change afterwards. Shape and type are taken as they are.
    """
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
    """A copy of a TF_Tensor's value.

    Types that numpy lacks come as their bits, unknown ones as bytes. The TF_Tensor stays the caller's.
    """
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
