"""JSON examples of classify and regress requests into serialized tf.Example messages (json_tensor.cc).

JSON has fewer types than tf.Example: a whole number is int64, a fraction is float, a boolean is int64 as well. The
first value of a feature decides, and a later one of another kind is an error, as in TensorFlow Serving. A feature with
no values stays without a kind.
"""

from __future__ import annotations

from tfs_workflow.formats.base64_json import is_base64
from tfs_workflow.modelserver.exchange import Body
from tfs_workflow.modelserver.json import json_writer
from tfs_workflow.modelserver.json.json_tensors import decode_bytes
from tfs_workflow.modelserver.json.json_writer import Json, to_single
from tfs_workflow.modelserver.json.repeated_keys import members
from tfs_workflow.modelserver.rest import json_request
from tfs_workflow.modelserver.rest.json_request import format_error
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos.example_pb2 import Example, Feature


def from_json(body: Body) -> tuple[str, list[bytes]]:
    """Signature name and serialized examples of a request; raises StatusError."""
    return json_request.with_exact_numbers(body, _read)


def _read(document: dict[str, Json]) -> tuple[str, list[bytes]]:
    name = json_request.signature_name(document)
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if type(examples) is not list:
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    # A serialized message after another is the two merged: the example's features win over the context's.
    return name, [context + _example(example) for example in examples]


def _example(value: Json) -> bytes:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_writer.type_name(value)}")
    example = Example()
    # An example without features still has the field, empty.
    example.features.SetInParent()
    # Of equal keys the last one counts.
    for name, content in members(value):
        feature = Feature()
        for element in content if type(content) is list else [content]:
            _add(feature, name, element)
        example.features.feature[_utf8(name)].CopyFrom(feature)
    return example.SerializeToString()


def _utf8(name: str) -> str:
    """A feature's name; protobuf takes no bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _add(feature: Feature, name: str, element: Json) -> None:
    """Append a value to a feature, whose first value decides on its kind; raises StatusError."""
    # Before int, of which bool is a subclass in Python.
    if isinstance(element, bool):
        _of_kind(feature, name, "int64_list")
        feature.int64_list.value.append(int(element))
    elif isinstance(element, str) or is_base64(element):
        _of_kind(feature, name, "bytes_list")
        is_text = isinstance(element, str)
        feature.bytes_list.value.append(
            element.encode("utf-8", "surrogateescape") if is_text else decode_bytes(element)
        )
    elif isinstance(element, float):
        _of_kind(feature, name, "float_list")
        feature.float_list.value.append(to_single(element))
    elif isinstance(element, int):
        _of_kind(feature, name, "int64_list")
        # Larger ones, beyond uint64, were read as floats by the parser.
        if element >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        feature.int64_list.value.append(element)
    else:
        kind = json_writer.type_name(element)
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {kind}")


def _of_kind(feature: Feature, name: str, kind: str) -> None:
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise _mixed(name, found)


def _mixed(name: str, kind: str | None) -> StatusError:
    expected = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}.get(kind or "", "UNKNOWN")
    return invalid_argument(f"Unexpected element type in feature: {name} expecting type: {expected}")
