"""The quick way through large requests that hold nothing but a regular array of numbers."""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple

import numpy as np
import simdjson

from tfs_workflow.modelserver.tensors import Array

# Below this orjson and a list are as quick (docs/decisions/http-server.md).
WORTH_IT_BYTES = 4096

# Parsing needs the interpreter's lock all the time: threads that parse at the same time only slow each other down.
_turn = threading.Lock()


class PlainNumbers(NamedTuple):
    """{"instances": …} or {"inputs": …} with an array of numbers and at most a signature name beside it."""

    signature_name: str
    key: str
    shape: tuple[int, ...]
    numbers: Array


def plain_numbers(body: bytes) -> PlainNumbers | None:
    """The array, flat, as doubles; None when the request is anything else, right or wrong."""
    try:
        with _turn:
            return _read(simdjson.Parser().parse(body), body)
    except (ValueError, RuntimeError, TypeError, UnicodeDecodeError, OverflowError):
        return None


def _read(document: Any, body: bytes) -> PlainNumbers | None:
    if not isinstance(document, simdjson.Object):
        return None
    keys = list(document.keys())
    name = document["signature_name"] if "signature_name" in keys else ""
    key = "instances" if "instances" in keys else "inputs"
    # As many colons as keys: no key twice, and none hidden in a string.
    if type(name) is not str or len(keys) != 1 + ("signature_name" in keys) or body.count(b":") != len(keys):
        return None
    array = document[key]
    if not isinstance(array, simdjson.Array) or not len(array):
        return None
    shape = _regular_shape(array)
    if shape is None or body.count(b"[") != _list_count(shape) + name.count("["):
        return None
    numbers = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
    return PlainNumbers(name, key, shape, numbers) if numbers.size == math.prod(shape) else None


def _regular_shape(array: Any) -> tuple[int, ...] | None:
    """The shape when every list has the length of its siblings; None otherwise."""
    sizes, level = [len(array)], [array]
    while isinstance(level[0][0] if len(level[0]) else None, simdjson.Array):
        level = [element for parent in level for element in parent]
        if not all(isinstance(element, simdjson.Array) for element in level):
            return None
        lengths = {len(element) for element in level}
        if len(lengths) > 1 or len(sizes) > 16:
            return None
        sizes.append(lengths.pop())
    return tuple(sizes)


def _list_count(shape: tuple[int, ...]) -> int:
    """How many lists an array of this shape is written with."""
    return 1 + sum(math.prod(shape[:depth]) for depth in range(1, len(shape)))
