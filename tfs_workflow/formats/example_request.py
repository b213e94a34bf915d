"""A request that a signature takes, made from its types and shapes, and for tf.Examples from the model's graph.

Sparse and ragged tensors are several inputs of a signature whose values must fit each other: indices, values and shape,
or values and row splits. They are recognised by the names and types that tf.saved_model.save gives them.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfs_workflow.formats.base64_json import base64_object
from tfs_workflow.formats.example_features import ParsedFeature
from tfs_workflow.formats.savedmodel import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD, Signature, TensorSpec
from tfs_workflow.formats.signature_text import dtype_name

# Examples with more numbers than this are written by a line of Python in front of curl.
MAX_SPELLED_VALUES = 64
# What TensorFlow Serving's JSON can carry (json_tensor.cc); the rest goes over gRPC only.
_EXAMPLE_VALUES: dict[str, Any] = {
    "string": "text",
    "bool": True,
    **dict.fromkeys(("float32", "float64"), 1.0),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"), 1),
}
# A grey PNG of one pixel: TensorFlow's decoders of images take it, whichever format they are named for.
_IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
)
_IMAGE_WORDS = ("image", "img", "jpeg", "jpg", "png", "photo", "picture")
_NOTE_OF_FEATURES = "put the model's own features in place of x; the signature does not name them"


@dataclass(frozen=True)
class ExampleRequest:
    """A request that fits a signature's types and shapes: `verb` follows the model's address, `body` is its JSON.

    `note` says what the example cannot know. Without a body, the signature cannot be called over REST.
    """

    verb: str
    body: Mapping[str, Any] | None
    note: str = ""


def example_request(name: str, signature: Signature, features: Sequence[ParsedFeature] = ()) -> ExampleRequest:
    """A request for the signature, in row format where every tensor has a batch dimension.

    `features` are those that the model parses out of tf.Examples, where its files are at hand.
    """
    if signature.method in (CLASSIFY_METHOD, REGRESS_METHOD):
        return _examples_request(name, signature, features)
    if not signature.inputs:
        return ExampleRequest(
            "predict",
            None,
            "a signature without inputs cannot be called over REST; over gRPC: --transport grpc --inputs '{}'",
        )
    unsupported = sorted({dtype_name(t) for t in signature.inputs.values()} - _EXAMPLE_VALUES.keys())
    if unsupported:
        return ExampleRequest("predict", None, f"JSON cannot carry {', '.join(unsupported)}; use gRPC")
    composite = _composite_values(signature.inputs)
    tensors = (*signature.inputs.values(), *signature.outputs.values())
    rows = not composite and all(_is_batched(tensor) for tensor in tensors)
    values = {
        key: composite[key] if key in composite else _value(key, tensor, rows, features)
        for key, tensor in signature.inputs.items()
    }
    content: Any = next(iter(values.values())) if len(values) == 1 else values
    return ExampleRequest("predict", _named(name, {"instances": [content]} if rows else {"inputs": content}))


def curl_line(model_url: str, request: ExampleRequest, curl: str = "curl") -> str:
    """A command that sends the example when it is pasted into a shell; empty where REST cannot.

    `curl` is the command with the options that the server needs.
    """
    if request.body is None:
        return ""
    url = shlex.quote(f"{model_url}:{request.verb}")
    if spelled_values(request.body) <= MAX_SPELLED_VALUES:
        return f"{curl} -d {shlex.quote(json.dumps(request.body))} {url}"
    program = f"import json; print(json.dumps({_expression(request.body)}))"
    return f"python3 -c {shlex.quote(program)} | {curl} -d @- {url}"


def _is_batched(tensor: TensorSpec) -> bool:
    """Whether the first dimension can be the batch; a model that leaves the rank open takes a vector."""
    return tensor.shape is None or tensor.shape[:1] == (-1,)


def _examples_request(name: str, signature: Signature, features: Sequence[ParsedFeature]) -> ExampleRequest:
    verb = "classify" if signature.method == CLASSIFY_METHOD else "regress"
    if any(dtype_name(tensor) != "string" for tensor in signature.inputs.values()):
        return ExampleRequest(verb, None, f"made for calls from within a graph: {verb} feeds serialized examples")
    if not features:
        return ExampleRequest(verb, _named(name, {"examples": [{"x": 1.0}]}), _NOTE_OF_FEATURES)
    example = {feature.name: _feature_json(feature) for feature in features if not feature.optional}
    return ExampleRequest(verb, _named(name, {"examples": [example]}))


def _feature_json(feature: ParsedFeature) -> Any:
    values = [_EXAMPLE_VALUES[_bare(feature.dtype)]] * feature.count
    return values[0] if feature.count == 1 else values


def _named(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return body if name == DEFAULT_SIGNATURE else {"signature_name": name} | body


def _value(name: str, tensor: TensorSpec, one_row: bool, features: Sequence[ParsedFeature]) -> Any:
    """A value that fits the tensor, or one row of it, with 1 for every open dimension; a scalar for an open rank."""
    value = _EXAMPLE_VALUES[dtype_name(tensor)]
    if value == "text":
        value = _string_value(name, features)
    shape = tensor.shape or ()
    for size in reversed(shape[1:] if one_row else shape):
        value = [value] * (1 if size < 0 else size)
    return value


def _string_value(name: str, features: Sequence[ParsedFeature]) -> Any:
    """Bytes for a serialized example or an image; else text."""
    if features:
        return base64_object(_serialized(features))
    lower = name.lower()
    if any(word in lower for word in _IMAGE_WORDS) or lower.endswith("_bytes"):
        return base64_object(_IMAGE)
    return "text"


def _serialized(features: Sequence[ParsedFeature]) -> bytes:
    """A tf.Example with every feature that has no default."""
    from tfs_workflow.protos import example_pb2  # noqa: PLC0415  # protobuf is slow to import

    example = example_pb2.Example()
    for feature in features:
        if feature.optional:
            continue
        entry = example.features.feature[feature.name]
        if feature.dtype == "DT_STRING":
            entry.bytes_list.value.extend([b"text"] * feature.count)
        elif feature.dtype == "DT_FLOAT":
            entry.float_list.value.extend([1.0] * feature.count)
        else:
            entry.int64_list.value.extend([1] * feature.count)
    return example.SerializeToString(deterministic=True)


def _composite_values(inputs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    """Values for the inputs that together are a sparse or a ragged tensor."""
    found: dict[str, Any] = {}
    for name, tensor in inputs.items():
        second, third = inputs.get(f"{name}_1"), inputs.get(f"{name}_2")
        if second and third and _is_sparse(tensor, second, third):
            rank = (third.shape or (1,))[0]
            value = _EXAMPLE_VALUES[dtype_name(second)]
            found |= {name: [[0] * rank], f"{name}_1": [value], f"{name}_2": [1] * rank}
        elif second and _is_ragged(tensor, second):
            found |= {name: _value(name, tensor, False, ()), f"{name}_1": [0, 1]}
    return found


def _is_sparse(indices: TensorSpec, values: TensorSpec, dense_shape: TensorSpec) -> bool:
    """int64 (any, rank), values (any), int64 (rank): tf.SparseTensor's components in their order."""
    rank = dense_shape.shape[0] if dense_shape.shape and len(dense_shape.shape) == 1 else -1
    types = {dtype_name(indices), dtype_name(dense_shape)}
    return types == {"int64"} and rank > 0 and indices.shape == (-1, rank) and values.shape == (-1,)


def _is_ragged(values: TensorSpec, row_splits: TensorSpec) -> bool:
    """Values (any, …) and row splits (any), which are int64 or int32: tf.RaggedTensor's components in their order."""
    return (values.shape or ())[:1] == (-1,) and row_splits.shape == (-1,) and dtype_name(row_splits) == "int64"


def _bare(dtype: str) -> str:
    return dtype_name(TensorSpec("", dtype, ()))


def spelled_values(value: Any) -> int:
    """The number of values in a request."""
    return sum(1 for _ in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _expression(value: Any) -> str:
    """A Python expression for an example value; equal rows are multiplied instead of spelled."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_expression(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list) and value and all(one == value[0] for one in value):
        return f"[{_expression(value[0])}]" + (f" * {len(value)}" if len(value) > 1 else "")
    return repr(value)
