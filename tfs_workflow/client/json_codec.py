"""Converts between numpy arrays and JSON by a signature, as TensorFlow Serving does (json_tensor.cc)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfs_workflow.client.interface import InvalidInputError
from tfs_workflow.client.tensor_codec import fitted, numpy_type
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.base64_json import base64_object, decode_base64, is_base64
from tfs_workflow.formats.savedmodel import TensorSpec
from tfs_workflow.formats.signature_text import dtype_name, tensor_text

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Array

_LEAVES: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}, "O": {str, dict}}
_BYTES_SUFFIX = "_bytes"


def from_instances(instances: list[Any], specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    """The inputs of rows: one value per row, or one object per row with a value for each input.

    Raises InvalidInputError.
    """
    if not _is_object(instances[0]):
        return {_only(specs): _named(_only(specs), instances, specs)}
    if any(not _is_object(row) or row.keys() != specs.keys() for row in instances):
        raise InvalidInputError(f"every instance needs exactly the inputs {', '.join(specs)}")
    return {name: _named(name, [row[name] for row in instances], specs) for name in specs}


def from_inputs(inputs: Any, specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    """The inputs in columns: a value for each input name, or the bare value of the only input.

    Raises InvalidInputError.
    """
    if not _is_object(inputs):
        return {_only(specs): _named(_only(specs), inputs, specs)}
    if missing := [name for name in specs if name not in inputs]:
        raise InvalidInputError(f"the input {missing[0]} is missing")
    return {name: _named(name, inputs[name], specs) for name in specs}


def to_predictions(outputs: Mapping[str, Array], rows: int) -> list[Any]:
    """One prediction per row: the output's value, or an object where there are several outputs."""
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise PredictionFailedError(
                f"the output {name} has no row for each of {rows} instances: its shape is {array.shape}",
                fix="use the column format, --inputs",
            )
    columns = {name: to_json(name, array) for name, array in outputs.items()}
    if len(columns) == 1:
        return list(*columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def to_outputs(outputs: Mapping[str, Array]) -> Any:
    """The outputs in columns: by name, or the bare value of the only one."""
    columns = {name: to_json(name, array) for name, array in outputs.items()}
    return next(iter(columns.values())) if len(columns) == 1 else columns


def to_json(name: str, array: Array) -> Any:
    """A JSON value: floats with the fewest digits that read back.

    Bytes become {"b64": …} where the output's name ends in _bytes, and where they are not UTF-8.
    """
    if array.dtype.kind == "O":
        return _nested([_text(leaf, name.endswith(_BYTES_SUFFIX)) for leaf in array.ravel().tolist()], array.shape)
    if array.dtype.kind == "c":
        raise PredictionFailedError(f"JSON cannot carry the complex numbers of the output {name}")
    if array.dtype.kind == "f" and array.itemsize < 8:
        # TensorFlow Serving may print more digits than the value needs (0.333333343): the float32 is the same.
        shortest = array.astype(np.float32).astype(np.str_).astype(np.float64)
        return shortest.tolist()
    return array.tolist()


def to_request(array: Array, spec: TensorSpec) -> Any:
    """The JSON value of an input; raises InvalidInputError for a type that TensorFlow Serving's JSON cannot carry."""
    if spec.dtype.removesuffix("_REF") in _NOT_IN_REQUESTS:
        raise InvalidInputError(f"JSON cannot carry {dtype_name(spec)}", fix='use gRPC: connect("grpc://HOST:PORT")')
    if array.dtype.kind == "O":
        return _nested([base64_object(leaf) for leaf in array.ravel().tolist()], array.shape)
    return array.tolist()


def from_json(value: Any, spec: TensorSpec) -> Array:
    """The array of a JSON value whose leaves are of the type; raises InvalidInputError."""
    dtype = numpy_type(spec)
    leaves, shape = _flat(value)
    mistyped = set(map(type, leaves)) - _LEAVES.get(dtype.kind, set())
    if mistyped:
        leaf = next(leaf for leaf in leaves if type(leaf) in mistyped)
        raise InvalidInputError("the rows differ in shape" if isinstance(leaf, list) else _wrong(leaf, spec))
    if dtype.kind == "O":
        leaves = [leaf if isinstance(leaf, str) else _unbase64(leaf) for leaf in leaves]
    try:
        array = np.array(leaves, np.float64) if dtype.kind == "f" else _exact(leaves, dtype)
    except OverflowError as error:
        raise InvalidInputError(f"a number is out of the range of {dtype_name(spec)}") from error
    return fitted(array, spec).reshape(shape)


_NOT_IN_REQUESTS = {"DT_HALF", "DT_BFLOAT16", "DT_UINT16", "DT_COMPLEX64", "DT_COMPLEX128"}


def _named(name: str, value: Any, specs: Mapping[str, TensorSpec]) -> Array:
    try:
        return from_json(value, specs[name])
    except InvalidInputError as error:
        raise InvalidInputError(f"input {name}: {error.what}") from error


def _only(specs: Mapping[str, TensorSpec]) -> str:
    if len(specs) != 1:
        raise InvalidInputError(f"an object with the inputs {', '.join(specs)} is expected, not a bare value")
    return next(iter(specs))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _flat(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The leaves of nested lists and their shape; where the lists are irregular, some leaves are lists."""
    try:
        array = np.array(value, np.object_)
    except ValueError:
        return [[]], (1,)
    return array.ravel().tolist(), array.shape


def _exact(leaves: list[Any], dtype: np.dtype[Any]) -> Array:
    """The leaves unchanged, in the widest type of their kind."""
    if dtype.kind not in "iu":
        return np.array(leaves, dtype)
    return np.array(leaves, np.uint64 if leaves and max(leaves) >= 2**63 else np.int64)


def _wrong(leaf: Any, spec: TensorSpec) -> str:
    return f"{leaf!r} is not of the type {tensor_text('', spec).split()[1]}"


def _unbase64(leaf: Mapping[str, Any]) -> bytes:
    if not is_base64(leaf):
        raise InvalidInputError(f'an object is not a string; bytes are {{"b64": "…"}}, not {leaf!r}')
    try:
        return decode_base64(leaf["b64"])
    except ValueError as error:
        raise InvalidInputError(f"not base64: {leaf['b64'][:80]!r}") from error


def _text(content: bytes, as_bytes: bool) -> str | dict[str, str]:
    if as_bytes:
        return base64_object(content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64_object(content)


def _nested(leaves: list[Any], shape: tuple[int, ...]) -> Any:
    array = np.empty(len(leaves), np.object_)
    for position, leaf in enumerate(leaves):
        array[position] = leaf
    return array.reshape(shape).tolist()
