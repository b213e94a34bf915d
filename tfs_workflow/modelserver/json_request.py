"""JSON requests into tensors, as tensorflow_serving/util/json_tensor.cc does it, message for message."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfs_workflow.modelserver import rapidjson, simd
from tfs_workflow.modelserver.rapidjson import Json, pretty
from tfs_workflow.modelserver.status import Code, StatusError, invalid_argument
from tfs_workflow.modelserver.tensors import NUMPY_TYPES, STRING, Array, Tensor, dtype_name, flushed, is_ordinary
from tfs_workflow.protos.tensor_pb2 import DataType

# RapidJSON's own message quotes at most this much of a request.
_QUOTED_CHARACTERS = 256
_FLOATS = {DataType.Value("DT_FLOAT"), DataType.Value("DT_DOUBLE")}
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
_SUPPORTED = {*_FLOATS, *_INT_RANGES, _BOOL, STRING}


class PredictInputs(NamedTuple):
    """A predict request as it came: its tensors by input name, and whether in row format."""

    signature_name: str
    tensors: dict[str, Tensor]
    row_format: bool


# Signature name to input name to type; raises StatusError for a signature that is not there.
InputTypes = Callable[[str], Mapping[str, int]]


def predict_inputs(body: bytes, input_types: InputTypes) -> PredictInputs:
    """The tensors of a predict request; raises StatusError."""
    quick = simd.plain_numbers(body) if len(body) >= simd.WORTH_IT_BYTES else None
    if quick is not None:
        types = input_types(quick.signature_name)
        (name, dtype) = next(iter(types.items()), ("", 0))
        if len(types) == 1 and dtype in _FLOATS and (converted := _as_floats(quick.numbers, dtype)) is not None:
            return PredictInputs(
                quick.signature_name, {name: Tensor(dtype, quick.shape, converted)}, quick.key == "instances"
            )
    document = parse_object(body)
    name = signature_name(document)
    types = input_types(name)
    if not types:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if "instances" in document:
        return PredictInputs(name, _from_instances(document, types), row_format=True)
    if "inputs" in document:
        return PredictInputs(name, _from_inputs(document["inputs"], types), row_format=False)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def parse_object(body: bytes) -> dict[str, Json]:
    """The request's top-level object; raises StatusError when it is something else."""
    document = rapidjson.parse(body)
    if type(document) is not dict:
        raise format_error(document, "Is not object")
    return document


def signature_name(document: dict[str, Json]) -> str:
    """The signature's name, empty for the default one; raises StatusError when it is no string."""
    name = document.get("signature_name", "")
    if type(name) is not str:
        quoted = pretty(document)
        raise invalid_argument(
            f"JSON Value: {quoted} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def format_error(value: Json, message: str) -> StatusError:
    """An error that quotes the request, cut."""
    return invalid_argument(f"JSON Value: {pretty(value, _QUOTED_CHARACTERS)} {message}")


def decode_base64(value: Json) -> bytes:
    """The bytes of {"b64": "…"}; raises StatusError when it is no such object or no base64 (absl::Base64Unescape)."""
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {pretty(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    unpadded = text.rstrip("=.")
    padding = -len(unpadded) % 4
    if len(text) - len(unpadded) not in (0, padding):
        raise invalid_argument("Unable to base64 decode")
    try:
        return base64.b64decode(unpadded + "=" * padding, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def is_base64(value: Json) -> bool:
    """Whether it is an object with the only key b64 and a string there."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def _from_instances(document: dict[str, Json], types: Mapping[str, int]) -> dict[str, Tensor]:
    instances = document["instances"]
    if "inputs" in document:
        raise format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if type(instances) is not list:
        raise format_error(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise format_error(document, "No values in 'instances' array")
    if type(instances[0]) is not dict and len(types) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    by_name = _values_by_name(instances, types)
    if by_name is not None:
        made = {name: _dense(values, types[name]) for name, values in by_name.items()}
        whole = {name: tensor for name, tensor in made.items() if tensor is not None}
        if len(whole) == len(types):
            return whole
    raise _instances_error(instances, types)


def _values_by_name(instances: list[Json], types: Mapping[str, int]) -> dict[str, list[Json]] | None:
    """Input name to the values of all instances; None when an instance does not have exactly the inputs."""
    if not _is_named(instances[0]):
        return {next(iter(types)): instances}
    if any(type(instance) is not dict or instance.keys() != types.keys() for instance in instances):
        return None
    return {name: [instance[name] for instance in instances] for name in types}


def _is_named(instance: Json) -> bool:
    return type(instance) is dict and not is_base64(instance)


def _from_inputs(inputs: Json, types: Mapping[str, int]) -> dict[str, Tensor]:
    if type(inputs) is not dict or is_base64(inputs):
        if len(types) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {name: _tensor(inputs, dtype) for name, dtype in types.items()}
    return {name: _tensor(_named_input(inputs, name), dtype) for name, dtype in types.items()}


def _named_input(inputs: dict[str, Json], name: str) -> Json:
    if name not in inputs:
        raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return inputs[name]


def _tensor(value: Json, dtype: int) -> Tensor:
    tensor = _dense(value, dtype)
    if tensor is None:
        raise _find_error(value, dtype)
    return tensor


def _dense(value: Json, dtype: int) -> Tensor | None:
    """The tensor of a value that is regular and of the right type throughout; None where it is not."""
    shape, leaves = _shape(value), [value]
    for size in shape:
        if any(type(leaf) is not list or len(leaf) != size for leaf in leaves):
            return None
        leaves = leaves[0] if len(leaves) == 1 else list(itertools.chain.from_iterable(leaves))
    converted = _convert(leaves, dtype)
    return None if converted is None else Tensor(dtype, shape, converted)


def _shape(value: Json) -> tuple[int, ...]:
    """The shape that the first elements suggest."""
    sizes = []
    while type(value) is list:
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _convert(leaves: Sequence[Json], dtype: int) -> Array | None:
    """Flat values of one type; None when one of them does not fit it."""
    kinds = set(map(type, leaves))
    if dtype in _FLOATS:
        return _as_floats(np.array(leaves, np.float64), dtype) if kinds <= {int, float} else None
    if dtype == STRING:
        return _as_strings(leaves, kinds)
    if dtype == _BOOL:
        return np.array(leaves, np.bool_) if kinds <= {bool} else None
    if dtype not in _INT_RANGES or not kinds <= {int}:
        return np.empty(0, NUMPY_TYPES.get(dtype, np.uint8)) if dtype not in _INT_RANGES and not leaves else None
    low, high = _INT_RANGES[dtype]
    if leaves and (min(leaves) < low or max(leaves) > high):
        return None
    wide = np.array(leaves, np.uint64 if high == 2**64 - 1 else np.int64)
    return wide.astype(NUMPY_TYPES[dtype], casting="unsafe")


def _as_floats(numbers: Array, dtype: int) -> Array | None:
    """The doubles in the wanted type; None when one of them is too large for it."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        converted = numbers.astype(np.float32) if dtype == _FLOAT else numbers
    if is_ordinary(converted):
        return converted
    finite = np.isfinite(numbers)
    if dtype == _FLOAT and (np.abs(numbers[finite]) > rapidjson.FLOAT32_MAX).any():
        return None
    return flushed(converted)


def _as_strings(leaves: Sequence[Json], kinds: set[type]) -> Array | None:
    if not kinds <= {str, dict}:
        return None
    values = np.empty(len(leaves), np.object_)
    for i, leaf in enumerate(leaves):
        if type(leaf) is str:
            values[i] = leaf.encode("utf-8", "surrogateescape")
        elif is_base64(leaf):
            try:
                values[i] = decode_base64(leaf)
            except StatusError:
                return None
        else:
            return None
    return values


def _instances_error(instances: list[Json], types: Mapping[str, int]) -> StatusError:
    """What is wrong with instances that could not be converted, found in TensorFlow Serving's order."""
    named = _is_named(instances[0])
    seen: dict[str, tuple[int, ...]] = {}
    for i, instance in enumerate(instances):
        if named != _is_named(instance):
            wanted, got = ("object", "list") if named else ("value/list", "object")
            return invalid_argument(f"Expecting {wanted} but got {got} at item {i} of input list")
        items = instance.items() if named else [(next(iter(types)), instance)]
        for name, value in items:
            error = _item_error(name, value, types, seen)
            if error is not None:
                key = f" key: {name}" if named else ""
                return invalid_argument(f"Failed to process element: {i}{key} of 'instances' list. Error: {error}")
        if named and instance.keys() != types.keys():
            return invalid_argument(
                f"Failed to process element: {i} of 'instances' list. JSON object: {pretty(instance)} "
                f"keys must be equal to: {','.join(sorted(types))}"
            )
    return StatusError(Code.INTERNAL, "instances cannot be converted")


def _item_error(
    name: str, value: Json, types: Mapping[str, int], seen: dict[str, tuple[int, ...]]
) -> StatusError | None:
    if name not in types:
        return invalid_argument(f"JSON object: does not have named input: {name}")
    if _dense(value, types[name]) is None:
        return _find_error(value, types[name])
    shape = _shape(value)
    first = seen.setdefault(name, shape)
    if math.prod(first) != math.prod(shape):
        return invalid_argument(f"Expecting tensor size: {math.prod(first)} but got: {math.prod(shape)}")
    if first != shape:
        listed = ["[" + ",".join(map(str, sizes)) + "]" for sizes in (first, shape)]
        return invalid_argument(f"Expecting shape {listed[0]} but got: {listed[1]}")
    return None


def _find_error(value: Json, dtype: int) -> StatusError:
    """The first thing wrong with a value, depth first."""
    shape = _shape(value)
    rank = len(shape)
    pending: list[Iterator[Json]] = [iter([value])]
    while pending:
        level = len(pending) - 1
        element = next(pending[-1], pending)
        if element is pending:
            pending.pop()
        elif type(element) is not list:
            error = _leaf_error(element, dtype, level, rank)
            if error is not None:
                return error
        elif level >= rank:
            return invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
        elif len(element) != shape[level]:
            return invalid_argument(
                f"Encountered list at unexpected size: {len(element)} at level: {level} expected size: {shape[level]}"
            )
        else:
            pending.append(iter(element))
    return StatusError(Code.INTERNAL, "value cannot be converted")


def _leaf_error(leaf: Json, dtype: int, level: int, rank: int) -> StatusError | None:
    if level != rank:
        return invalid_argument(
            f"JSON Value: {pretty(leaf)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {rank}"
        )
    if type(leaf) is dict and dtype == STRING:
        return _base64_error(leaf)
    if type(leaf) is not dict and dtype not in _SUPPORTED:
        return StatusError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {pretty(leaf)} to type: {dtype_name(dtype)}")
    if _convert([leaf], dtype) is not None:
        return None
    if dtype in _FLOATS and type(leaf) is float:
        return invalid_argument(f"Cannot convert JSON value: {pretty(leaf)} to float without loss of precision.")
    kind = rapidjson.type_name(leaf)
    return invalid_argument(f"JSON Value: {pretty(leaf)} Type: {kind} is not of expected type: {dtype_name(dtype)}")


def _base64_error(leaf: Any) -> StatusError | None:
    try:
        decode_base64(leaf)
    except StatusError as error:
        return error
    return None
