"""Tensors, results and errors as JSON, as tensorflow_serving/util/json_tensor.cc writes them.

The layout is TensorFlow Serving's; floats have the shortest digits that read back to the same value.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping

import numpy as np
import orjson
from google.protobuf.message import Message

from tfs_workflow.formats.floats import flush_denormals, is_zero_or_normal
from tfs_workflow.formats.tensors import BFLOAT16, NUMPY_TYPES, STRING, Array, Tensor, dtype_string, from_bfloat16
from tfs_workflow.modelserver.exchange import Content
from tfs_workflow.modelserver.json.json_writer import quoted
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos.tensor_pb2 import DataType

# Number, state, error code and error message of a version.
VersionEntry = tuple[int, str, str, str]
_HALF = DataType.Value("DT_HALF")
_PLAIN_NAMES = "FLOAT DOUBLE INT32 INT16 INT8 UINT8 INT64 UINT32 UINT64"
_WRITABLE_NAMES = f"{_PLAIN_NAMES} BOOL STRING UINT16 HALF BFLOAT16"
_PLAIN = {DataType.Value(f"DT_{name}") for name in _PLAIN_NAMES.split()}
_WRITABLE = {DataType.Value(f"DT_{name}") for name in _WRITABLE_NAMES.split()}


def predictions(outputs: Mapping[str, Tensor], row_format: bool) -> Content:
    """A predict answer, a large one in parts; raises StatusError when the tensors do not fit the format.

    `row_format` is that of the request: `predictions` with a row for each instance, else `outputs` with each tensor
    whole. In row format every tensor needs the same first dimension.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    return _rows(outputs) if row_format else _columns(outputs)


def float_rows(shape: tuple[int, ...], content: bytes) -> bytes:
    """A predict answer in row format, for the one output of float32 values with one or two dimensions and a value.

    `content` is the values as they lie in memory. The same as `predictions`, and quicker.
    """
    values = np.frombuffer(content, np.float32)
    text = _numbers(values if len(shape) == 1 else values.reshape(shape))
    if b"e" in text or b"n" in text:
        text = _nested(values, shape)
    return b'{\n    "predictions": ' + text[:-1] + b"\n    ]\n}"


def classifications(scores: list[list[tuple[bytes, float]]]) -> bytes:
    """A classify answer: for each example its labels and scores.

    Scores are printed as float32.
    """
    if not scores:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    texts = iter(_texts(np.array([score for row in scores for _, score in row], np.float32)))
    rows = [b", ".join(b"[%s, %s]" % (_text(label), next(texts)) for label, _ in row) for row in scores]
    return b'{\n    "results": [' + b", ".join(b"[%s]" % row for row in rows) + b"\n    ]\n}"


def regressions(values: Array) -> bytes:
    """A regress answer: one value for each example.

    Values are a float32 array of the shape (examples,).
    """
    if not values.size:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    return b'{\n    "results": ' + _nested(values, values.shape) + b"\n}"


def error(status: StatusError) -> bytes:
    """An error answer.

    Bytes that are not UTF-8 come back as they came: TensorFlow Serving quotes requests unchanged.
    """
    return b'{\n    "error": ' + quoted(status.message).encode("utf-8", "surrogateescape") + b"\n}"


def model_status(versions: Iterable[VersionEntry]) -> bytes:
    """A status answer: for each version its number, state, error code and error message."""
    return ("{\n" + _version_list(versions) + "\n}\n").encode("utf-8", "surrogateescape")


def model_list(models: Mapping[str, Iterable[VersionEntry]]) -> bytes:
    """The status of every model, by name: what `model_status` has for one, beside the name."""
    entries = [f'  {{\n "name": {quoted(name)},\n{_version_list(versions)}\n}}' for name, versions in models.items()]
    return ('{\n "models": [\n' + ",\n".join(entries) + "\n ]\n}\n").encode("utf-8", "surrogateescape")


def _version_list(versions: Iterable[VersionEntry]) -> str:
    entries = [
        f'  {{\n   "version": "{number}",\n   "state": "{state}",\n   "status": {{\n'
        f'    "error_code": "{code}",\n    "error_message": {quoted(message)}\n   }}\n  }}'
        for number, state, code, message in versions
    ]
    return ' "model_version_status": [\n' + ",\n".join(entries) + "\n ]"


def metadata(name: str, version: int, signature_defs: Message) -> bytes:
    """A metadata answer; `signature_defs` is a SignatureDefMap."""
    from google.protobuf import json_format  # noqa: PLC0415  # slow to import, and needed by this answer alone

    printed = json_format.MessageToJson(
        signature_defs, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=1
    )
    head = f'{{\n"model_spec":{{\n "name": {quoted(name)},\n "version": "{version}",\n "signature_name": ""\n}}\n,\n'
    return (head + f'"metadata": {{"signature_def": {printed}\n}}\n}}\n').encode("utf-8", "surrogateescape")


def _rows(outputs: Mapping[str, Tensor]) -> Content:
    batch_size: int | None = None
    for name, tensor in outputs.items():
        if not tensor.shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        size = tensor.shape[0]
        if batch_size not in (None, size):
            raise invalid_argument(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {batch_size}")
        batch_size = size
    if not batch_size:  # a model that filters rows may leave none
        return b'{\n    "predictions": []\n}'
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        if parts := _parts(tensor):
            return [b'{\n    "predictions": [', *parts, b"\n    ]\n}"]
        return b'{\n    "predictions": ' + _tensor(name, tensor)[:-1] + b"\n    ]\n}"
    columns = [(_text(name.encode()), _split(name, tensor, batch_size)) for name, tensor in outputs.items()]
    objects = [
        b"        {\n" + b",\n".join(b"            %s: %s" % (key, rows[i]) for key, rows in columns) + b"\n        }"
        for i in range(batch_size)
    ]
    return b'{\n    "predictions": [\n' + b",\n".join(objects) + b"\n    ]\n}"


def _columns(outputs: Mapping[str, Tensor]) -> Content:
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        if parts := _parts(tensor):
            return [b'{\n    "outputs": [', *parts, b"]\n}"]
        return b'{\n    "outputs": ' + _tensor(name, tensor) + b"\n}"
    entries = [b"        %s: %s" % (_text(name.encode()), _tensor(name, tensor)) for name, tensor in outputs.items()]
    return b'{\n    "outputs": {\n' + b",\n".join(entries) + b"\n    }\n}"


def _split(name: str, tensor: Tensor, batch_size: int) -> list[bytes]:
    """Each row of a tensor on its own."""
    size = math.prod(tensor.shape[1:])
    rows = (tensor.values[i * size : (i + 1) * size] for i in range(batch_size))
    return [_tensor(name, Tensor(tensor.dtype, tensor.shape[1:], row)) for row in rows]


def _tensor(name: str, tensor: Tensor) -> bytes:
    dtype, shape, values = tensor
    if dtype == STRING:
        as_bytes = name.endswith("_bytes")
        return _join([_bytes_object(v) if as_bytes else _text(v) for v in values.tolist()], shape)
    if not values.size:
        return _join([], shape)
    if dtype not in _WRITABLE or dtype not in NUMPY_TYPES:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype_string(dtype)}")
    if dtype == _HALF:
        values = values.astype(np.float32)
    elif dtype == BFLOAT16:
        values = from_bfloat16(values)
    return _nested(values, shape)


def _nested(values: Array, shape: tuple[int, ...]) -> bytes:
    """Numbers as nested lists."""
    text = _laid_out(values, shape)
    # Only what is printed with an exponent, or as null, may be tiny or no number.
    if values.dtype.kind != "f" or not (b"e" in text or b"n" in text) or is_zero_or_normal(values):
        return text
    return _join(_texts(values), shape)


def _texts(values: Array) -> list[bytes]:
    """Each of the floats on its own."""
    values = flush_denormals(values)
    finite = np.isfinite(values)
    texts = _numbers(np.where(finite, values, 0))[1:-1].split(b", ") if values.size else []
    for i in np.flatnonzero(~finite).tolist():
        texts[i] = b"NaN" if np.isnan(values[i]) else b"Infinity" if values[i] > 0 else b"-Infinity"
    return texts


def _laid_out(values: Array, shape: tuple[int, ...]) -> bytes:
    if not shape:
        return _numbers(values)[1:-1]
    if len(shape) > _NUMPY_RANK:
        return _join(_numbers(values)[1:-1].split(b", ") if values.size else [], shape)
    return _numbers(values.reshape(shape))


def _parts(tensor: Tensor) -> list[bytes]:
    """What stands between the outer brackets of a large array of ordinary numbers; nothing for any other tensor.

    Neither printing nor putting together lets other threads run, so that it is printed in pieces and left in them.
    """
    dtype, shape, values = tensor
    if dtype not in _PLAIN or values.size <= _PIECE_NUMBERS or len(shape) > _NUMPY_RANK:
        return []
    if values.dtype.kind == "f" and not is_zero_or_normal(values):
        return []
    depth = next(i for i, size in enumerate(shape) if size > 1)
    array = values.reshape(shape[depth:])
    # So many elements of the outermost list that a piece has about _PIECE_NUMBERS numbers.
    step = max(len(array) * _PIECE_NUMBERS // values.size, 1)
    parts = [b", " + _numbers(array[i : i + step])[1:-1] for i in range(0, len(array), step)]
    return [b"[" * depth + parts[0][2:], *parts[1:], b"]" * depth]


# numpy 1 has 32 dimensions and TensorFlow 254: beyond these, lists are put together from their leaves.
_NUMPY_RANK = 32
# What is printed in one go, since no other thread runs meanwhile.
_PIECE_NUMBERS = 2**14


def _numbers(array: Array) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).replace(b",", b", ")


def _join(leaves: list[bytes], shape: tuple[int, ...]) -> bytes:
    """Leaves that are JSON already, as nested lists; from the innermost dimension outwards."""
    for axis in range(len(shape) - 1, -1, -1):
        size, count = shape[axis], math.prod(shape[:axis])
        leaves = [b"[%s]" % b", ".join(leaves[i * size : (i + 1) * size]) for i in range(count)]
    return leaves[0]


def _text(value: bytes) -> bytes:
    try:
        return orjson.dumps(value.decode())
    except UnicodeDecodeError:
        return quoted(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _bytes_object(value: bytes) -> bytes:
    return b'{ "b64": "%s" }' % base64.b64encode(value)
