"""The outputs of a response by name, whichever of REST's forms it has (api_rest.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfs_workflow.formats.base64_json import is_base64
from tfs_workflow.formats.savedmodel import Signature

_UNNAMED = "output"


def outputs(response: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Output name to its values; those of `predictions` are lists with one entry a row.

    REST leaves out the name of a single output; then it is the signature's.
    """
    if "results" in response:
        return {"results": response["results"]}
    only = next(iter(signature.outputs)) if len(signature.outputs) == 1 else _UNNAMED
    if "outputs" in response:
        found = response["outputs"]
        return dict(found) if _has_names(found) else {only: found}
    predictions = response["predictions"]
    if not isinstance(predictions, list) or not predictions or not all(map(_has_names, predictions)):
        return {only: predictions}
    names = dict.fromkeys(name for row in predictions for name in row)
    # A row that lacks an output has null there, which equals no value of any type.
    return {name: [row.get(name) for row in predictions] for name in names}


def shape_of(values: Any) -> tuple[int, ...]:
    """The shape of nested lists, read off the first entry of each."""
    shape: list[int] = []
    while isinstance(values, list):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return tuple(shape)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number, which a boolean is not."""
    return type(value) in (int, float)


def _has_names(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)
