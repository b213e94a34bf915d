"""Signatures in words, whether they come from a model's files or from a server.

A user compares a request with a signature. numpy's names of types and an open dimension as `any` are what people write
in code; DT_FLOAT and -1 are not. The same text serves a model's files and a server's answer, so that the two can be
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from tfs_workflow.formats.savedmodel import Signature, TensorSpec

_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16"}


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
