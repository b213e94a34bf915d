"""Signatures in words and as example requests, whether they come from a model's files or from a server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tfs_workflow.formats.savedmodel import Signature, TensorSpec

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
# Examples with more numbers than this are written by a line of Python in front of curl.
MAX_SPELLED_VALUES = 64
_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16"}
# What TensorFlow Serving's JSON can carry (json_tensor.cc); the rest goes over gRPC only.
_EXAMPLE_VALUES: dict[str, Any] = {
    "string": "text",
    "bool": True,
    **dict.fromkeys(("float32", "float64"), 1.0),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"), 1),
}


@dataclass(frozen=True)
class ExampleRequest:
    """A request that fits a signature's types and shapes: `verb` follows the model's address, `body` is its JSON.

    `note` says what the example cannot know. Without a body, REST cannot ask the signature at all.
    """

    verb: str
    body: Mapping[str, Any] | None
    note: str = ""


def from_metadata(document: Mapping[str, Any]) -> dict[str, Signature]:
    """Signature name to signature out of the metadata endpoint's answer (get_model_metadata.proto as JSON)."""
    found = document["metadata"]["signature_def"]["signature_def"]
    return {name: _signature(found[name]) for name in sorted(found) if not name.startswith("__")}


def dtype_name(tensor: TensorSpec) -> str:
    """The type as numpy names it: DT_FLOAT is float32."""
    bare = tensor.dtype.removeprefix("DT_").removesuffix("_REF")
    return _DTYPES.get(bare, bare.lower())


def shape_text(tensor: TensorSpec) -> str:
    """A shape such as (any, 784); `any rank` where the model leaves it open."""
    if tensor.shape is None:
        return "any rank"
    if not tensor.shape:
        return "scalar"
    return f"({', '.join('any' if size < 0 else str(size) for size in tensor.shape)})"


def tensor_text(name: str, tensor: TensorSpec) -> str:
    """One tensor in words: x: float32 (any, 1)."""
    return f"{name}: {dtype_name(tensor)} {shape_text(tensor)}"


def expectation(model: str, name: str, signatures: Mapping[str, Signature]) -> str:
    """What a signature expects, in one line; the known ones when there is none of that name."""
    if name not in signatures:
        close = get_close_matches(name, list(signatures), n=1)
        known = f"did you mean {close[0]}?" if close else f"there are: {', '.join(signatures)}"
        return f"{model} has no signature {name}; {known}"
    inputs = signatures[name].inputs
    wanted = ", ".join(tensor_text(key, tensor) for key, tensor in inputs.items()) or "no input"
    return f"signature {name} of {model} expects {wanted}"


def example_request(name: str, signature: Signature) -> ExampleRequest:
    """A request that the signature's types and shapes allow, in row format where every tensor has a batch dimension."""
    if signature.method in (CLASSIFY, REGRESS):
        return _examples_request(name, signature)
    if not signature.inputs:
        return ExampleRequest("predict", None, "a signature without inputs cannot be asked over REST")
    unsupported = sorted({dtype_name(t) for t in signature.inputs.values()} - _EXAMPLE_VALUES.keys())
    if unsupported:
        return ExampleRequest("predict", None, f"JSON cannot carry {', '.join(unsupported)}; ask over gRPC")
    rows = all(_is_batched(t) for t in (*signature.inputs.values(), *signature.outputs.values()))
    values = {key: _value(tensor, rows) for key, tensor in signature.inputs.items()}
    content: Any = next(iter(values.values())) if len(values) == 1 else values
    return ExampleRequest("predict", _named(name, {"instances": [content]} if rows else {"inputs": content}))


def curl_line(model_url: str, request: ExampleRequest) -> str:
    """A command that sends the example when it is pasted into a shell; empty where REST cannot."""
    if request.body is None:
        return ""
    url = shlex.quote(f"{model_url}:{request.verb}")
    if _count(request.body) <= MAX_SPELLED_VALUES:
        return f"curl -d {shlex.quote(json.dumps(request.body))} {url}"
    program = f"import json; print(json.dumps({_expression(request.body)}))"
    return f"python3 -c {shlex.quote(program)} | curl -d @- {url}"


def _signature(found: Mapping[str, Any]) -> Signature:
    return Signature(
        found.get("method_name", ""),
        {key: _tensor(found["inputs"][key]) for key in sorted(found.get("inputs", {}))},
        {key: _tensor(found["outputs"][key]) for key in sorted(found.get("outputs", {}))},
    )


def _tensor(found: Mapping[str, Any]) -> TensorSpec:
    shape = found.get("tensor_shape", {})
    sizes = None if shape.get("unknown_rank") else tuple(int(dim["size"]) for dim in shape.get("dim", []))
    return TensorSpec(found.get("name", ""), found["dtype"], sizes)


def _is_batched(tensor: TensorSpec) -> bool:
    """Whether the first dimension can be the batch; a model that leaves the rank open takes a vector."""
    return tensor.shape is None or tensor.shape[:1] == (-1,)


def _examples_request(name: str, signature: Signature) -> ExampleRequest:
    verb = "classify" if signature.method == CLASSIFY else "regress"
    if any(dtype_name(tensor) != "string" for tensor in signature.inputs.values()):
        return ExampleRequest(verb, None, f"made for calls from within a graph: {verb} feeds serialized examples")
    note = "put the model's own features in place of x; the signature does not name them"
    return ExampleRequest(verb, _named(name, {"examples": [{"x": 1.0}]}), note)


def _named(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return body if name == "serving_default" else {"signature_name": name} | body


def _value(tensor: TensorSpec, one_row: bool) -> Any:
    """A value that fits the tensor, or one row of it, with 1 for every open dimension; a scalar for an open rank."""
    value = _EXAMPLE_VALUES[dtype_name(tensor)]
    shape = tensor.shape or ()
    for size in reversed(shape[1:] if one_row else shape):
        value = [value] * (1 if size < 0 else size)
    return value


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_count(inner) for inner in value.values())
    if isinstance(value, list):
        return len(value) * _count(value[0]) if value else 0
    return 1


def _expression(value: Any) -> str:
    """A Python expression for an example value; equal rows are multiplied instead of spelled."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_expression(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list) and value:
        return f"[{_expression(value[0])}]" + (f" * {len(value)}" if len(value) > 1 else "")
    return repr(value)
