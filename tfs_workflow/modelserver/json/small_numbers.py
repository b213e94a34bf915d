"""The commonest predict request, as JSON: a few numbers.

{"instances": […]} of at most two kilobytes, a flat list of numbers or a list of equally long flat lists. Any other
request is left to the general way, which reads the same numbers in about twice the time. Neither numpy nor a model is
needed here, so that a front of a few megabytes can do it.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import orjson

from tfs_workflow.modelserver.exchange import Shape
from tfs_workflow.modelserver.json.float_range import FLOAT32_MAX, SMALLEST_NORMAL_FLOAT

# The largest request, in bytes.
MOST_BYTES = 2 * 2**10

_NUMBER_TYPES = {int, float}


def read(body: bytes) -> tuple[Shape, list[float]] | None:
    """Shape and numbers of a request; None when it is not of the commonest kind."""
    # Counting is faster than parsing, and rules out `signature_name`, objects as instances, and duplicate keys.
    if body.count(b":") != 1:
        return None  # a second key, or one in a string
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return _numbers(document)


def _numbers(document: Any) -> tuple[Shape, list[float]] | None:
    """Shape and numbers of a flat list, or of a list of equally long flat lists."""
    instances = document.get("instances") if type(document) is dict else None
    if type(instances) is not list or not instances:
        return None
    shape: Shape = (len(instances),)
    kinds = set(map(type, instances))
    if kinds == {list}:
        lengths = set(map(len, instances))
        if len(lengths) != 1:
            return None
        shape = (len(instances), lengths.pop())
        instances = list(chain.from_iterable(instances))
        kinds = set(map(type, instances))
    if not kinds <= _NUMBER_TYPES:
        return None
    # A denormal, infinite or too large number takes the general way, which flushes or rejects it.
    for number in instances:
        if not (SMALLEST_NORMAL_FLOAT <= abs(number) <= FLOAT32_MAX or number == 0):
            return None
    return shape, instances
