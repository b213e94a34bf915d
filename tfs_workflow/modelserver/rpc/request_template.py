"""The fast candidate for the commonest gRPC request: a few floats in, a few floats out (see small_request.py).

Skips building protobuf messages: for small models that costs as much as the inference. A client usually repeats one
request with other values, so the place of the values is found once for each template, proved by a second message with
other values there, and then read without parsing. The response is put together from bytes.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.message import DecodeError

from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE
from tfs_workflow.modelserver.inference.lanes import prepared_call
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow.session import SessionClosedError
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

_FLOAT = DataType.DT_FLOAT
_SIGNATURES = ("", DEFAULT_SIGNATURE)
# A client chooses its requests: bound what it can fill. Emptied when full, as a template is soon found again.
_MAX_TEMPLATES = 256
# Enough to tell most models apart, and before any value.
_KEY_BYTES = 8


# What finds the version of a ModelSpec's name, version and label; raises StatusError.
Find = Callable[[str, "int | None", "str | None"], Servable]


class RequestTemplate(NamedTuple):
    """What serialized requests have in common that differ in the values of their one float tensor only."""

    before: bytes
    after: bytes
    model: tuple[str, int | None, str | None]
    alias: str
    shape: tuple[int, ...]


class RequestTemplates:
    """Recently seen request templates; a client usually repeats the same one, so it need not be parsed again."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._templates: dict[tuple[int, bytes], RequestTemplate] = {}

    def predict(self, content: bytes) -> tuple[Servable, bytes | StatusError] | None:
        """The version that answers, and its answer; None for a request of another kind, and for a slow model."""
        # Requests that differ in their values only have the same length, as floats have four bytes each.
        key = (len(content), content[:_KEY_BYTES])
        template = self._templates.get(key)
        if template is None or not (content.startswith(template.before) and content.endswith(template.after)):
            template = _template(content)
            if template is None:
                return None
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        try:
            servable = self._find(*template.model)
        except StatusError:
            return None  # the general way answers with the error
        call = prepared_call(servable)
        if call is None or call.aliases[0] != template.alias:
            return None
        try:
            values = memoryview(content)[len(template.before) :]
            shape, computed = servable.run_floats(call, template.shape, values)
        except SessionClosedError:
            return None
        except StatusError as error:
            return servable, error
        spec = _model_spec(servable.name, servable.version)
        return servable, _before_values(call.aliases[1], shape) + computed + spec


def _template(content: bytes) -> RequestTemplate | None:
    """The template of a request; None when it is not of the commonest kind."""
    request = _parsed(content)
    if request is None or len(request.inputs) != 1 or request.output_filter:
        return None
    spec = request.model_spec
    if spec.signature_name not in _SIGNATURES:
        return None
    ((alias, tensor),) = request.inputs.items()
    shape, values = _shape(tensor), _values(tensor)
    if shape is None or len(values) != 4 * math.prod(shape):
        return None
    # The first place with these bytes; if that is not the tensor's, the proof below fails.
    before, found, after = content.partition(values)
    if not found or not _is_template(before, after, values, request):
        return None
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    model = (spec.name, version, spec.version_label if choice == "version_label" else None)
    return RequestTemplate(before, after, model, alias, shape)


def _is_template(before: bytes, after: bytes, values: bytes, request: apis.PredictRequest) -> bool:
    """Whether other values at this very place make a request that is the same but for its values."""
    # One bit changed in every byte: no value keeps its bytes, wherever a value begins.
    others = bytes([byte ^ 1 for byte in values])
    changed = _parsed(before + others + after)
    if changed is None or changed.inputs.keys() != request.inputs.keys():
        return False
    ((_, tensor),) = changed.inputs.items()
    if _values(tensor) != others:
        return False
    field = "tensor_content" if tensor.tensor_content else "float_val"
    for message in (request, changed):
        for one in message.inputs.values():
            one.ClearField(field)
    return request == changed


def _parsed(content: bytes) -> apis.PredictRequest | None:
    try:
        return apis.PredictRequest.FromString(content)
    except DecodeError:
        return None


def _shape(tensor: TensorProto) -> tuple[int, ...] | None:
    """The shape of a whole tensor of floats with one or two dimensions."""
    shape = tuple([dim.size for dim in tensor.tensor_shape.dim])
    is_usual = tensor.dtype == _FLOAT and not tensor.tensor_shape.unknown_rank and 1 <= len(shape) <= 2
    return shape if is_usual and min(shape) >= 1 else None


def _values(tensor: TensorProto) -> bytes:
    return tensor.tensor_content or array("f", tensor.float_val).tobytes()


@lru_cache(maxsize=1024)
def _before_values(alias: str, shape: tuple[int, ...]) -> bytes:
    """A PredictResponse with one float output, up to its values (serving_apis.proto, tensor.proto)."""
    dims = b"".join([_field(b"\x12", b"\x08" + _varint(size) if size else b"") for size in shape])
    values_bytes = 4 * math.prod(shape)
    # float_val, field 5 of TensorProto, packed.
    values = b"\x2a" + _varint(values_bytes) if values_bytes else b""
    # dtype, field 1: DT_FLOAT; tensor_shape is field 2.
    tensor = b"\x08\x01" + _field(b"\x12", dims) + values
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
