"""JSON to arrays and back, by the rules that TensorFlow Serving's REST has."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfs_workflow.client.interface import InvalidInputError
from tfs_workflow.client.json_codec import (
    from_inputs,
    from_instances,
    from_json,
    to_json,
    to_outputs,
    to_predictions,
    to_request,
)
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.savedmodel import TensorSpec

# A busy machine is no fault of the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def spec(dtype: str) -> TensorSpec:
    return TensorSpec("x:0", f"DT_{dtype}", None)


ONE = {"x": spec("FLOAT")}
TWO = {"a": spec("INT64"), "s": spec("STRING")}


@UNTIMED
@given(st.lists(st.floats(width=32)))
def test_float32_reads_back_from_its_fewest_digits(values: list[float]) -> None:
    array = np.array(values, np.float32)
    text = json.dumps(to_json("y", array))
    np.testing.assert_array_equal(np.array(json.loads(text), np.float32), array)


def test_floats_are_as_short_as_they_are_over_rest() -> None:
    assert json.dumps(to_json("y", np.array([1 / 3, 0.1, 1e6, 3.0], np.float32))) == "[0.33333334, 0.1, 1000000.0, 3.0]"
    assert to_json("y", np.array([0.1], np.float16)) == [0.099975586]
    assert to_json("y", np.array(2.5, np.float32)) == 2.5


def test_bytes_are_text_unless_they_are_named_or_are_none() -> None:
    array = np.array([[b"a", "ä".encode()]], np.object_)
    assert to_json("y", array) == [["a", "ä"]]
    assert to_json("y_bytes", array) == [[{"b64": "YQ=="}, {"b64": "w6Q="}]]
    assert to_json("y", np.array([b"\xff"], np.object_)) == [{"b64": "/w=="}]
    assert to_json("y", np.array(b"a", np.object_)) == "a"


def test_complex_numbers_have_no_json() -> None:
    with pytest.raises(PredictionFailedError, match="complex numbers of the output y"):
        to_json("y", np.array([1j]))


def test_rows_of_one_input_and_of_several() -> None:
    assert from_instances([[1], [2.5]], ONE)["x"].tolist() == [[1.0], [2.5]]
    assert from_instances([{"x": 1}, {"x": 2}], ONE)["x"].tolist() == [1.0, 2.0]
    made = from_instances([{"a": 1, "s": "ä"}, {"a": 2, "s": {"b64": "/w"}}], TWO)
    assert (made["a"].tolist(), made["s"].tolist()) == ([1, 2], ["ä".encode(), b"\xff"])


def test_columns_of_one_input_and_of_several() -> None:
    assert from_inputs(3, ONE)["x"].shape == ()
    assert from_inputs({"x": [1]}, ONE)["x"].tolist() == [1.0]
    assert from_inputs({"a": [[1]], "s": "a"}, TWO)["a"].shape == (1, 1)
    assert from_inputs({"b64": "YQ=="}, {"s": spec("STRING")})["s"].item() == b"a"


@pytest.mark.parametrize(
    ("instances", "specs", "said"),
    [
        ([1, 2], TWO, "object with the inputs a, s"),
        ([{"a": 1}], TWO, "exactly the inputs a, s"),
        ([{"a": 1, "s": "b", "t": 1}], TWO, "exactly the inputs a, s"),
        ([{"x": 1}, 2], ONE, "exactly the inputs x"),
        (["a"], ONE, "input x: 'a' is not of the type float32"),
        ([True], ONE, "True is not of the type float32"),
        ([None], ONE, "None is not"),
        ([[1], [1, 2]], ONE, "differ in shape"),
        ([[1], 2], ONE, "differ in shape"),
        ([[[1, 2], [3, 4]], [[1, 2], [3]]], ONE, "differ in shape"),
        ([1e39], ONE, "out of the range"),
        ([10**400], ONE, "out of the range"),
        ([{"a": 1.5, "s": "b"}], TWO, "input a: 1.5 is not of the type int64"),
        ([{"a": 2**63, "s": "b"}], TWO, "out of the range of int64"),
        ([{"a": 2**70, "s": "b"}], TWO, "out of the range of int64"),
        ([{"a": 1, "s": 3}], TWO, "input s: 3 is not of the type string"),
        ([{"a": 1, "s": {"b64": "%"}}], TWO, "not base64"),
        ([{"a": 1, "s": {"b65": "a"}}], TWO, "an object is not a string"),
    ],
)
def test_rows_that_do_not_fit_are_refused(instances: list[Any], specs: dict[str, TensorSpec], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        from_instances(instances, specs)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InvalidInputError, match="input s is missing"):
        from_inputs({"a": 1}, TWO)


def test_predictions_are_values_or_objects() -> None:
    y, z = np.array([[1], [2]]), np.array([b"a", b"b"], np.object_)
    assert to_predictions({"y": y}, 2) == [[1], [2]]
    assert to_predictions({"y": y, "z": z}, 2) == [{"y": [1], "z": "a"}, {"y": [2], "z": "b"}]
    assert to_outputs({"y": y}) == [[1], [2]]
    assert to_outputs({"y": y, "z": z}) == {"y": [[1], [2]], "z": ["a", "b"]}


@pytest.mark.parametrize("array", [np.array(1.0), np.array([1.0]), np.ones((3, 2))])
def test_an_output_without_rows_suggests_columns(array: Any) -> None:
    with pytest.raises(PredictionFailedError, match="--inputs"):
        to_predictions({"y": array}, 2)


@pytest.mark.parametrize("dtype", ["HALF", "BFLOAT16", "UINT16", "COMPLEX64"])
def test_what_a_json_request_cannot_carry_points_to_grpc(dtype: str) -> None:
    with pytest.raises(InvalidInputError, match="grpc://"):
        to_request(np.array([1]), spec(dtype))


def test_requests_carry_bytes_and_odd_floats() -> None:
    assert to_request(np.array([b"\xff"], np.object_), spec("STRING")) == [{"b64": "/w=="}]
    assert math.isnan(to_request(np.array([np.nan]), spec("FLOAT"))[0])


def test_an_answers_leaves_take_the_signatures_type() -> None:
    assert from_json([0.099975586], spec("HALF")).dtype == np.float16
    assert from_json([2**64 - 1, 0], spec("UINT64")).tolist() == [2**64 - 1, 0]
    assert from_json([], spec("INT8")).dtype == np.int8
    assert from_json([[True]], spec("BOOL")).tolist() == [[True]]
