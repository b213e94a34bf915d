"""The quick way to a plan reads what the general way reads, or leaves the request to it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfs_workflow.modelserver.inference.servable import Tensors
from tfs_workflow.modelserver.rest import json_request, number_arrays
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.protos.tensor_pb2 import DataType

FLOAT, DOUBLE, INT = (DataType.Value(f"DT_{name}") for name in ("FLOAT", "DOUBLE", "INT32"))
ROW = "[" + ", ".join(f"{i}.25" for i in range(80)) + "]"


def tensor_of(text: str, dtype: int = FLOAT) -> Any:
    """The fed tensor's shape and values; None where the quick way takes no part. The servable is its names alone."""
    servable: Any = SimpleNamespace(tensors={"serving_default": Tensors({"x": "in:0"}, {"x": dtype}, {"y": "out:0"})})
    plan = number_arrays.plan(servable, text.encode())
    if plan is None:
        return None
    ((name, tensor),) = plan.feeds
    assert (name, plan.fetches) == ("in:0", ["out:0"])
    return tensor.shape, tensor.values.dtype, tensor.values.tolist()


def generally(text: str, dtype: int = FLOAT) -> Any:
    try:
        tensor = json_request.predict_inputs(text.encode(), lambda _: {"x": dtype}).tensors["x"]
    except StatusError:
        return None
    return tensor.shape, tensor.values.dtype, tensor.values.tolist()


@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE])
@pytest.mark.parametrize(
    "array",
    [
        "[1, 2.5]", "[[1, 2.5]]", "[[[1], [2]]]", " [ [1 , 2 ] ] ", "[0, -0.0]", "[1e3, 2E-3]", ROW, f"[{ROW}, {ROW}]",
        "[1e-40]", "[7.346839692639297e-40, 1]", "[0." + "0" * 38 + "1]", "[" + "9" * 38 + ".0]",
        "[3.4028235e38]", "[16777217, 0.1]",
    ],
)  # fmt: skip
def test_numbers_are_read_as_on_the_general_way(array: str, dtype: int) -> None:
    for key in ("instances", "inputs"):
        text = f'{{"{key}": {array}}}'
        assert tensor_of(text, dtype) == generally(text, dtype) is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"instances": [1, [2]]}', '{"instances": [[1, 2], 3]}', '{"instances": [[1], [2, 3]]}',
        '{"instances": [[1, 2], [3, [4]]]}', '{"instances": [[1, [2]]]}', '{"instances": [[]]}',
        '{"instances": []}', '{"instances": [[1]], "inputs": [[1]]}', '{"instances": [1], "instances": [2]}',
        '{"instances": [' + "9" * 40 + "]}", '{"instances": ["a"]}', '{"instances": [true]}',
        '{"instances": [null]}', '{"instances": [NaN]}', '{"instances": [1}', '{"instances": [1]]}',
        '{"instances": [[1]}', '{"instances": [1] ]}', '{"instances": 1}', '{"instances": [{"x": 1}]}',
        '{"signature_name": "other", "instances": [1]}', '{"x": [1]}', "[1]", "",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_general_way(text: str) -> None:
    assert tensor_of(text) is None


def test_a_number_beyond_float32_is_an_infinity() -> None:
    assert tensor_of('{"instances": [1e39, -1e39]}') == ((2,), np.dtype("float32"), [math.inf, -math.inf])


def test_other_types_are_left_to_the_general_way() -> None:
    assert tensor_of('{"instances": [1, 2]}', INT) is None


@given(st.recursive(st.floats(width=32) | st.integers(-3, 3), lambda inner: st.lists(inner, max_size=4), max_leaves=20))
def test_it_never_reads_anything_else(value: Any) -> None:
    text = f'{{"instances": {value}}}'
    read = tensor_of(text)
    if read is not None:
        np.testing.assert_equal(read, generally(text))
