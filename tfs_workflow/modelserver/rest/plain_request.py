"""The quick way to the plan of a predict request that holds nothing but a regular array of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.exchange import Body, Content
from tfs_workflow.modelserver.inference.servable import Plan, Servable
from tfs_workflow.modelserver.json.json_tensors import FLOATS, as_floats
from tfs_workflow.modelserver.rest import json_response, number_arrays


def plan(servable: Servable, body: Body) -> Plan[Content] | None:
    """The plan; None when the request is another, right or wrong, or not for a signature with one input of floats."""
    plain = number_arrays.plain_numbers(body)
    known = None if plain is None else servable.tensors.get(plain.signature_name or DEFAULT_SIGNATURE)
    if plain is None or known is None or len(known.inputs) != 1:
        return None
    ((alias, dtype),) = known.input_types.items()
    values = as_floats(plain.numbers, dtype, plain.may_be_tiny) if dtype in FLOATS else None
    if values is None:
        return None
    feeds = [(known.inputs[alias], Tensor(dtype, plain.shape, values))]
    finish = partial(_answer, list(known.outputs), plain.key == "instances")
    return Plan(servable, feeds, list(known.outputs.values()), finish)


def _answer(aliases: Sequence[str], row_format: bool, outputs: Sequence[Tensor]) -> Content:
    return json_response.predictions(dict(zip(aliases, outputs, strict=True)), row_format)
