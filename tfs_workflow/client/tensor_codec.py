"""Converts between a client's numpy arrays and TensorProto: checks type and size, holds bfloat16 as float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfs_workflow.client.interface import InvalidInputError, ModelRef
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.savedmodel import TensorSpec
from tfs_workflow.formats.signature_text import dtype_name
from tfs_workflow.formats.tensors import (
    BFLOAT16,
    NUMPY_TYPES,
    STRING,
    InvalidTensorError,
    Tensor,
    from_bfloat16,
    from_proto,
    to_bfloat16,
    to_proto,
)
from tfs_workflow.protos.serving_apis_pb2 import ModelSpec, PredictRequest
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Array

# The numpy kinds that convert to each kind without losing information.
_TAKES = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}
_MAX_BYTES = 2**31
_FLOAT32 = np.dtype(np.float32)


def encode(array: Array, dtype: str, message: TensorProto | None = None) -> TensorProto:
    """Encode an array that `fitted` returned for this type, such as DT_FLOAT, into the message or a new one."""
    code = DataType.Value(dtype.removesuffix("_REF"))
    message = TensorProto() if message is None else message
    values = to_bfloat16(array) if code == BFLOAT16 else array
    to_proto(Tensor(code, array.shape, values.ravel()), message, as_content=True)
    return message


def predict_request(target: ModelRef, inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec]) -> PredictRequest:
    """The message for arrays in the signature's types, by input name."""
    request = PredictRequest(model_spec=model_spec(target))
    for name, array in inputs.items():
        encode(array, specs[name].dtype, request.inputs[name])
    return request


def model_spec(target: ModelRef) -> ModelSpec:
    """The target as every message names it."""
    spec = ModelSpec(name=target.model, signature_name=target.signature or "")
    if target.version is not None:
        spec.version.value = target.version
    elif target.label:
        spec.version_label = target.label
    return spec


def decode(message: TensorProto) -> Array:
    """The array of a message, writable; strings are an object array of bytes. Raises PredictionFailedError."""
    dtype = message.dtype
    if dtype not in NUMPY_TYPES:
        raise PredictionFailedError(f"numpy cannot hold a tensor of the type {DataType.Name(dtype)}")
    _check_size(message)
    try:
        _, shape, values = from_proto(message)
    except InvalidTensorError as error:
        raise PredictionFailedError(f"the answer holds {error}") from error
    if dtype == BFLOAT16:
        values = from_bfloat16(values)
    return (values if values.flags.writeable else values.copy()).reshape(shape)


def _check_size(message: TensorProto) -> None:
    """Bound the array before it is allocated: a message of a few bytes may declare a shape of any size."""
    count = math.prod(dim.size for dim in message.tensor_shape.dim)
    if count * _numpy_type(message.dtype).itemsize > _MAX_BYTES:
        raise PredictionFailedError(f"the answer holds a tensor of {count} values")
    if message.dtype == STRING and message.tensor_content:
        raise PredictionFailedError("the answer holds strings in tensor_content")


def fitted(value: Any, spec: TensorSpec) -> Array:
    """An array in the type of a signature's input; raises InvalidInputError where a value would be lost."""
    held = numpy_type(spec)
    try:
        array = np.asarray(value, held) if held.kind == "O" else np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"not an array: {error}") from error
    if held.kind == "O":
        return _strings(array)
    if array.dtype.name == "bfloat16":  # the type of the package ml_dtypes
        array = array.astype(np.float32)
    if array.size and array.dtype.kind not in _TAKES[held.kind]:
        raise InvalidInputError(f"the values are {array.dtype}, not {dtype_name(spec)}")
    return _narrowed(array, held, spec)


def numpy_type(spec: TensorSpec) -> np.dtype[Any]:
    """The numpy type of a tensor; raises InvalidInputError where numpy has none."""
    try:
        return _numpy_type(DataType.Value(spec.dtype.removesuffix("_REF")))
    except (KeyError, ValueError) as error:
        raise InvalidInputError(f"numpy cannot hold the type {dtype_name(spec)}") from error


def _numpy_type(dtype: int) -> np.dtype[Any]:
    """The array type of a data type; bfloat16, which numpy lacks, fits into float32."""
    return _FLOAT32 if dtype == BFLOAT16 else NUMPY_TYPES[dtype]


def _narrowed(array: Array, held: np.dtype[Any], spec: TensorSpec) -> Array:
    if array.size and held.kind in "iu" and not np.can_cast(array.dtype, held):
        bounds = np.iinfo(held)
        low, high = int(array.min()), int(array.max())
        if low < bounds.min or high > bounds.max:
            raise InvalidInputError(f"{low if low < bounds.min else high} is out of the range of {dtype_name(spec)}")
    with np.errstate(over="ignore", invalid="ignore"):
        narrowed = array.astype(held, copy=False)
    if held.kind in "fc" and not np.can_cast(array.dtype, held):
        lost = np.isinf(narrowed) & ~np.isinf(array)
        if lost.any():
            raise InvalidInputError(f"{array[lost][0]} is out of the range of {dtype_name(spec)}")
    return narrowed


def _strings(array: Array) -> Array:
    encoded = np.empty(array.size, np.object_)
    for position, leaf in enumerate(array.ravel().tolist()):
        if not isinstance(leaf, str | bytes):
            raise InvalidInputError(
                f"{leaf!r} is not a string" if not isinstance(leaf, list) else "the rows differ in length"
            )
        encoded[position] = leaf if isinstance(leaf, bytes) else _utf8(leaf)
    return encoded.reshape(array.shape)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{text!r} cannot be written in UTF-8") from error
