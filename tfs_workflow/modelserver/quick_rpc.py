"""The shortest way through the commonest gRPC request: a few floats in, a few floats out (see quick.py).

The answer is put together from bytes: it has few fields, and messages would take as long as a small model.
"""

from __future__ import annotations

import math
import time
from array import array
from functools import lru_cache

from tfs_workflow.modelserver.quick import MOST_BYTES
from tfs_workflow.modelserver.servable import DEFAULT_SIGNATURE, Servable
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

_FLOAT = DataType.DT_FLOAT
_SIGNATURES = ("", DEFAULT_SIGNATURE)


def predict(servable: Servable, request: apis.PredictRequest) -> bytes | None:
    """The serialized PredictResponse; None when the request is not of the commonest kind.

    Raises StatusError when the run fails.
    """
    call = servable.float_call
    if call is None or request.output_filter or request.model_spec.signature_name not in _SIGNATURES:
        return None
    alias, result = call.aliases
    inputs = request.inputs
    read = _numbers(inputs[alias]) if len(inputs) == 1 and alias in inputs else None
    if read is None:
        return None
    started_s = time.perf_counter()
    try:
        shape, values = call.run(*read, MOST_BYTES)
    finally:
        servable.pace.note(time.perf_counter() - started_s)
    if not values:
        return None
    numbers = array("f", values).tobytes()
    return _before_values(result, shape) + numbers + _model_spec(servable.name, servable.version)


def _numbers(message: TensorProto) -> tuple[tuple[int, ...], array[float]] | None:
    """Shape and values of a whole tensor of floats with one or two dimensions."""
    content = message.tensor_content
    if message.dtype != _FLOAT or message.tensor_shape.unknown_rank or len(content) % 4:
        return None
    shape = tuple([dim.size for dim in message.tensor_shape.dim])
    numbers = array("f", content or message.float_val)
    is_whole = 1 <= len(shape) <= 2 and min(shape) >= 1 and len(numbers) == math.prod(shape)
    return (shape, numbers) if is_whole else None


@lru_cache(maxsize=1024)
def _before_values(alias: str, shape: tuple[int, ...]) -> bytes:
    """A PredictResponse with one float output, up to its values (serving_apis.proto, tensor.proto)."""
    dims = b"".join([_field(b"\x12", b"\x08" + _varint(size) if size else b"") for size in shape])
    values_bytes = 4 * math.prod(shape)
    tensor = b"\x08\x01" + _field(b"\x12", dims) + b"\x2a" + _varint(values_bytes)
    entry = _field(b"\x0a", alias.encode()) + b"\x12" + _varint(len(tensor) + values_bytes) + tensor
    return b"\x0a" + _varint(len(entry) + values_bytes) + entry


@lru_cache(maxsize=256)
def _model_spec(name: str, version: int) -> bytes:
    """The answered model_spec as a field of the response; the same for every request to a version."""
    spec = apis.ModelSpec(name=name, signature_name=DEFAULT_SIGNATURE)
    spec.version.value = version
    return apis.PredictResponse(model_spec=spec).SerializeToString()


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 0x80:
        return b"%c" % number
    low = bytearray()
    while number >= 0x80:
        low.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(low) + b"%c" % number
