"""The fast candidate for the commonest predict request: a few numbers in, a few numbers out.

{"instances": […]} of at most two kilobytes, for a default signature with one float input and one float output. Any
other request is left to the general way, which gives the same answers (tests/modelserver/rest/test_small_request.py)
in about twice the time (docs/decisions/0009-http-server.md).
"""

from __future__ import annotations

import math
import time
from array import array
from itertools import chain
from typing import Any

import numpy as np
import orjson

from tfs_workflow.formats.floats import SMALLEST_NORMAL_FLOAT
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.exchange import Content
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.json.json_writer import FLOAT32_MAX, decimal, single_decimal
from tfs_workflow.modelserver.rest import json_response
from tfs_workflow.modelserver.tensorflow.session import FloatCall
from tfs_workflow.protos.tensor_pb2 import DataType

_MOST_OUTPUT_BYTES = 256  # numpy and orjson take longer than this to begin
_FLOAT = DataType.DT_FLOAT
_NUMBER_TYPES = {int, float}


def predictions(servable: Servable, call: FloatCall, body: bytes) -> Content | None:
    """The answer; None when the request is not of the commonest kind. Raises StatusError when it fails."""
    # Counting is faster than parsing, and rules out `signature_name`, objects as instances, and duplicate keys.
    if body.count(b":") != 1:
        return None  # a second key, or one in a string
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    read = _numbers(document)
    if read is None:
        return None
    shape, numbers = read
    started_s = time.perf_counter()
    try:
        shape, content = call.run(shape, array("f", numbers))
    finally:
        servable.pace.note(time.perf_counter() - started_s)
    # The run is done, so that the general printer takes over and not the general way.
    if not 1 <= len(shape) <= 2 or not 0 < len(content) <= _MOST_OUTPUT_BYTES:
        tensor = Tensor(_FLOAT, shape, np.frombuffer(content, np.float32))
        return json_response.predictions({call.aliases[1]: tensor}, row_format=True)
    values = memoryview(content).cast("f").tolist()
    texts = [single_decimal(v) if SMALLEST_NORMAL_FLOAT <= abs(v) <= FLOAT32_MAX else _unusual(v) for v in values]
    if len(shape) == 2:
        size = shape[1]
        texts = ["[" + ", ".join(texts[i * size : (i + 1) * size]) + "]" for i in range(shape[0])]
    return ('{\n    "predictions": [' + ", ".join(texts) + "\n    ]\n}").encode()


def _numbers(document: Any) -> tuple[tuple[int, ...], list[float]] | None:
    """Shape and numbers of a flat list, or of a list of equally long flat lists."""
    instances = document.get("instances") if type(document) is dict else None
    if type(instances) is not list or not instances:
        return None
    shape: tuple[int, ...] = (len(instances),)
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
