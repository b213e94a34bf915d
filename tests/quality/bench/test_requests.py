"""The requests of a load: as many rows as were asked for, in the bytes of either transport."""

from __future__ import annotations

import json

import pytest

from tfs_workflow.client.interface import InvalidInputError, ModelRef
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import ConfigError
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.formats.tensors import from_proto
from tfs_workflow.protos.serving_apis_pb2 import PredictRequest
from tfs_workflow.quality.bench.requests import MOST_REQUESTS, grpc_bodies, rest_bodies, with_rows

SIGNATURE = Signature("tensorflow/serving/predict", {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 1))}, {})


def test_without_a_number_of_rows_a_request_stays_as_it_is() -> None:
    request = JsonRequest([1, 2, 3])
    assert with_rows(request, 0) == [request]


def test_rows_are_taken_in_turn() -> None:
    found = with_rows(JsonRequest([1, 2, 3, 4, 5], signature="s"), 2)
    assert [one.instances for one in found] == [[1, 2], [3, 4]]
    assert {one.signature for one in found} == {"s"}
    assert [one.instances for one in with_rows(JsonRequest([1, 2]), 5)] == [[1, 2, 1, 2, 1]]


def test_a_long_file_makes_no_more_requests_than_are_useful() -> None:
    assert len(with_rows(JsonRequest(list(range(10_000))), 1)) == MOST_REQUESTS


def test_columns_have_no_rows_to_count() -> None:
    with pytest.raises(ConfigError, match="--rows: the request is in column format"):
        with_rows(JsonRequest(None, {"x": [1]}), 4)


def test_rest_bodies_are_what_the_rest_api_takes() -> None:
    target = ModelRef("m", signature="s")
    assert [json.loads(one) for one in rest_bodies(target, [JsonRequest([1]), JsonRequest(None, {"x": 1})])] == [
        {"signature_name": "s", "instances": [1]},
        {"signature_name": "s", "inputs": {"x": 1}},
    ]


def test_grpc_bodies_are_messages_with_the_version_and_the_values() -> None:
    (body,) = grpc_bodies(ModelRef("m", version=3), [JsonRequest([[1.0], [2.0]])], SIGNATURE)
    message = PredictRequest.FromString(body)
    assert (message.model_spec.name, message.model_spec.version.value) == ("m", 3)
    assert list(from_proto(message.inputs["x"]).values) == [1.0, 2.0]


def test_values_that_do_not_fit_the_signature_are_refused_before_the_load() -> None:
    with pytest.raises(InvalidInputError):
        grpc_bodies(ModelRef("m"), [JsonRequest(["text"])], SIGNATURE)
