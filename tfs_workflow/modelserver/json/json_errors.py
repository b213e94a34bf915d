"""What is wrong with JSON values that could not be converted: the first mistake, in TensorFlow Serving's words.

Converting is fast because it checks whole arrays at once; it finds that something does not fit, but not where.
TensorFlow Serving converts value by value and stops at the first fault. So only a request that failed is walked through
here in that order, and a correct request pays nothing for it. Walking is iterative: the nesting of a request has no
bound, and Python's recursion has one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tfs_workflow.formats.base64_json import is_base64
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import STRING, dtype_string
from tfs_workflow.modelserver.json.json_tensors import (
    SUPPORTED,
    convert,
    decode_bytes,
    dense,
    shape_of,
)
from tfs_workflow.modelserver.json.json_writer import Json, pretty, type_name
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument


def instances_error(instances: list[Json], types: Mapping[str, int]) -> StatusError:
    """What is wrong with instances that could not be converted, found in TensorFlow Serving's order."""
    named = is_named(instances[0])
    seen: dict[str, tuple[int, ...]] = {}
    for i, instance in enumerate(instances):
        if named != is_named(instance):
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


def is_named(instance: Json) -> bool:
    """Whether an instance is an object with a value for each input, and not base64."""
    return isinstance(instance, dict) and not is_base64(instance)


def _item_error(
    name: str, value: Json, types: Mapping[str, int], seen: dict[str, tuple[int, ...]]
) -> StatusError | None:
    if name not in types:
        return invalid_argument(f"JSON object: does not have named input: {name}")
    if dense(value, types[name]) is None:
        return find_error(value, types[name])
    shape = shape_of(value)
    first = seen.setdefault(name, shape)
    if math.prod(first) != math.prod(shape):
        return invalid_argument(f"Expecting tensor size: {math.prod(first)} but got: {math.prod(shape)}")
    if first != shape:
        listed = ["[" + ",".join(map(str, sizes)) + "]" for sizes in (first, shape)]
        return invalid_argument(f"Expecting shape {listed[0]} but got: {listed[1]}")
    return None


def find_error(value: Json, dtype: int) -> StatusError:
    """The first thing wrong with a value, depth first.

    Levels count from 0 at the outermost value. Where the walk finds nothing, the caller's conversion and this walk
    disagree: an INTERNAL error.
    """
    shape = shape_of(value)
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
    if isinstance(leaf, dict) and dtype == STRING:
        return _base64_error(leaf)
    if not isinstance(leaf, dict) and dtype not in SUPPORTED:
        return StatusError(
            Code.UNIMPLEMENTED, f"Conversion of JSON Value: {pretty(leaf)} to type: {dtype_string(dtype)}"
        )
    if convert([leaf], dtype) is not None:
        return None
    kind = type_name(leaf)
    return invalid_argument(f"JSON Value: {pretty(leaf)} Type: {kind} is not of expected type: {dtype_string(dtype)}")


def _base64_error(leaf: Json) -> StatusError | None:
    try:
        decode_bytes(leaf)
    except StatusError as error:
        return error
    return None
