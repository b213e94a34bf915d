"""The fast candidate for predict requests that hold nothing but a regular array of numbers (json/array_text.py)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import Array, Tensor
from tfs_workflow.modelserver.exchange import Body, Content, NumberArray
from tfs_workflow.modelserver.inference.servable import PREDICT, Plan, Servable
from tfs_workflow.modelserver.json import array_text
from tfs_workflow.modelserver.json.json_tensors import FLOATS, as_floats
from tfs_workflow.modelserver.rest import json_response
from tfs_workflow.modelserver.status_error import StatusError

_OPENING = ord("[")
# Stands for an array that was read elsewhere and needs the general way.
UNFIT = StatusError(Code.INTERNAL, "not for an array of numbers")


class PlainNumbers(NamedTuple):
    """A request's array, its numbers flat, as doubles (json/array_text.py)."""

    signature_name: str
    key: str
    shape: tuple[int, ...]
    numbers: Array
    may_be_tiny: bool


def plan(servable: Servable, body: Body) -> Plan[Content] | None:
    """The plan; None when the request is another, right or wrong, or not for a signature with one input of floats.

    `body` is the whole request. It is not changed, and the plan does not refer to it.
    """
    plain = plain_numbers(body)
    return None if plain is None else _plan(servable, plain)


def plan_of(servable: Servable, array: NumberArray) -> Plan[Content] | None:
    """The same for an array that was read elsewhere."""
    name, key, shape, content, may_be_tiny = array
    return _plan(servable, PlainNumbers(name, key, shape, np.frombuffer(content, np.float64), may_be_tiny))


def _plan(servable: Servable, plain: PlainNumbers) -> Plan[Content] | None:
    known = servable.tensors.get(plain.signature_name or DEFAULT_SIGNATURE)
    if known is None or len(known.inputs) != 1:
        return None
    ((alias, dtype),) = known.input_types.items()
    if dtype not in FLOATS:
        return None
    values = as_floats(plain.numbers, dtype, plain.may_be_tiny)
    feeds = [(known.inputs[alias], Tensor(dtype, plain.shape, values))]
    finish = partial(_answer, list(known.outputs), plain.key == "instances")
    return Plan(servable, feeds, list(known.outputs.values()), finish, PREDICT)


def _answer(aliases: Sequence[str], row_format: bool, outputs: Sequence[Tensor]) -> Content:
    return json_response.predictions(dict(zip(aliases, outputs, strict=True)), row_format)


def plain_numbers(body: Body) -> PlainNumbers | None:
    """The array of a request; None when the request is anything else, right or wrong."""
    text = array_text.read(body, _opened)
    if text is None:
        return None
    parts = [np.frombuffer(part, np.float64) for part in text.parts]
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return PlainNumbers(text.signature_name, text.key, text.shape, numbers, text.may_be_tiny)


def _opened(text: bytes) -> int:
    """How many lists begin in a text of lists and numbers; `bytes.count` takes five times as long."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _OPENING))
