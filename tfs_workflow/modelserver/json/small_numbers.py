"""The commonest predict request and its answer, as JSON: a few numbers in, a few numbers out.

{"instances": […]} of at most two kilobytes, a flat list of numbers or a list of equally long flat lists. Any other
request is left to the general way, which gives the same answers (tests/modelserver/rest/test_small_request.py) in about
twice the time. Neither numpy nor a model is needed here, so that a front of a few megabytes can do it.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import orjson

from tfs_workflow.modelserver.exchange import Shape
from tfs_workflow.modelserver.json.float_range import FLOAT32_MAX, SMALLEST_NORMAL_FLOAT
from tfs_workflow.modelserver.json.json_writer import decimal, single_decimal

# The largest request, in bytes.
MOST_BYTES = 2 * 2**10
# The largest result, in bytes of float32: numpy and orjson take longer than this to begin.
MOST_OUTPUT_BYTES = 256

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


def printed(shape: Shape, content: bytes) -> bytes:
    """The answer in row format, for a result of one or two dimensions with at least one value.

    `content` is float32 values as they lie in memory, at most MOST_OUTPUT_BYTES.
    """
    values = memoryview(content).cast("f").tolist()
    texts = [single_decimal(v) if SMALLEST_NORMAL_FLOAT <= abs(v) <= FLOAT32_MAX else _unusual(v) for v in values]
    if len(shape) == 2:
        size = shape[1]
        texts = ["[" + ", ".join(texts[i * size : (i + 1) * size]) + "]" for i in range(shape[0])]
    return ('{\n    "predictions": [' + ", ".join(texts) + "\n    ]\n}").encode()


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


def _unusual(value: float) -> str:
    """Zero, or no number; one that is denormal is printed as zero."""
    if abs(value) < SMALLEST_NORMAL_FLOAT:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    return decimal(value, single=True)
