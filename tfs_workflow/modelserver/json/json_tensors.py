"""JSON values into arrays: regular ones of the right type; what is wrong with others json_errors.py finds.

Values are flattened one dimension at a time, and each dimension is checked as a whole. numpy's own conversion of nested
lists would accept what TensorFlow Serving rejects: booleans among numbers, numbers in strings, ragged lists. So the
types of all leaves are compared first; numpy then converts a flat list of known types.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tfs_workflow.formats.base64_json import decode_base64, is_base64
from tfs_workflow.formats.floats import flush_denormals, is_zero_or_normal
from tfs_workflow.formats.tensors import NUMPY_TYPES, STRING, Array, Tensor
from tfs_workflow.modelserver.json.json_writer import Json, pretty
from tfs_workflow.modelserver.status_error import invalid_argument
from tfs_workflow.protos.tensor_pb2 import DataType

FLOATS = {DataType.Value("DT_FLOAT"), DataType.Value("DT_DOUBLE")}
_FLOAT = DataType.Value("DT_FLOAT")
_BOOL = DataType.Value("DT_BOOL")
# TensorFlow Serving reads the small integers as int32 and lets them wrap.
_INT_RANGES = {
    DataType.Value(f"DT_{name}"): (low, high)
    for name, (low, high) in {
        "INT32": (-(2**31), 2**31 - 1),
        "INT16": (-(2**31), 2**31 - 1),
        "INT8": (-(2**31), 2**31 - 1),
        "UINT8": (-(2**31), 2**31 - 1),
        "INT64": (-(2**63), 2**63 - 1),
        "UINT32": (0, 2**32 - 1),
        "UINT64": (0, 2**64 - 1),
    }.items()
}
SUPPORTED = {*FLOATS, *_INT_RANGES, _BOOL, STRING}


def dense(value: Json, dtype: int) -> Tensor | None:
    """The tensor of a value that is regular and of the right type throughout; None where it is not.

    The shape is that of the first elements at each depth; the values are flat, in row-major order.
    """
    shape, leaves = shape_of(value), [value]
    for size in shape:
        # Compared by `type`, which is faster than isinstance: JSON has no subclasses of list.
        if any(type(leaf) is not list or len(leaf) != size for leaf in leaves):
            return None
        leaves = leaves[0] if len(leaves) == 1 else list(itertools.chain.from_iterable(leaves))
    converted = convert(leaves, dtype)
    return None if converted is None else Tensor(dtype, shape, converted)


def shape_of(value: Json) -> tuple[int, ...]:
    """The shape that the first elements suggest."""
    sizes = []
    while type(value) is list:
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def convert(leaves: Sequence[Json], dtype: int) -> Array | None:
    """Flat values of one type; None when one of them does not fit it.

    Raises nothing: the caller looks for the fault with json_errors.py, which has the order of TensorFlow Serving's
    checks.
    """
    kinds = set(map(type, leaves))
    if dtype in FLOATS:
        return as_floats(np.array(leaves, np.float64), dtype) if kinds <= {int, float} else None
    if dtype == STRING:
        return _as_strings(leaves, kinds)
    if dtype == _BOOL:
        return np.array(leaves, np.bool_) if kinds <= {bool} else None
    # An empty list has no leaf to convert, so that TensorFlow Serving accepts it for a type that it cannot convert.
    if dtype not in _INT_RANGES or not kinds <= {int}:
        return np.empty(0, NUMPY_TYPES.get(dtype, np.uint8)) if dtype not in _INT_RANGES and not leaves else None
    low, high = _INT_RANGES[dtype]
    if leaves and (min(leaves) < low or max(leaves) > high):
        return None
    # In the widest type first: numpy would raise where TensorFlow Serving lets small integers wrap.
    wide = np.array(leaves, np.uint64 if high == 2**64 - 1 else np.int64)
    return wide.astype(NUMPY_TYPES[dtype], casting="unsafe")


def as_floats(numbers: Array, dtype: int, may_be_tiny: bool = True) -> Array:
    """The doubles in the wanted type: one that is too large for it as infinity, a tiny one as zero."""
    converted = numbers
    if dtype == _FLOAT:
        with np.errstate(over="ignore"):
            converted = numbers.astype(np.float32)
    return flush_denormals(converted) if may_be_tiny and not is_zero_or_normal(converted) else converted


def _as_strings(leaves: Sequence[Json], kinds: set[type]) -> Array | None:
    if not kinds <= {str, dict}:
        return None
    values = np.empty(len(leaves), np.object_)
    for i, leaf in enumerate(leaves):
        if type(leaf) is str:
            values[i] = leaf.encode("utf-8", "surrogateescape")
        elif is_base64(leaf):
            try:
                values[i] = decode_base64(leaf["b64"])
            except ValueError:
                return None
        else:
            return None
    return values


def decode_bytes(value: Json) -> bytes:
    """The bytes of {"b64": "…"}; raises StatusError for another object and for a text that is not base64."""
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {pretty(value)} not formatted correctly for base64 data")
    try:
        return decode_base64(value["b64"])
    except ValueError as error:
        raise invalid_argument("Unable to base64 decode") from error
