"""JSON over gRPC: the same document comes out as over REST, to the last digit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client.conftest import RunningServer
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, ModelRef, RequestRejectedError
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import PredictionFailedError

pytestmark = pytest.mark.usefixtures("recorded")


def both(server: RunningServer, signature: str, document: JsonRequest) -> Any:
    """What both transports answer, which must be the same text; the order of outputs is the server's own over REST."""
    texts = []
    for transport in ("rest", "grpc"):
        with connect_json(server.address(transport)) as client:
            answer = client.predict_document(ModelRef("types", signature=signature), document)
            texts.append(json.dumps(answer, sort_keys=True))
    assert texts[0] == texts[1]
    return json.loads(texts[0])


@pytest.mark.parametrize(
    ("signature", "instances"),
    [
        ("float32", [0.1, 1e-7, 3e38, 1, float("nan"), float("-inf")]),
        ("float64", [0.1, 1e-300, 1 / 3, float("inf")]),
        ("third", [1.0, 2.0]),
        ("float32", [1 / 3, 2 / 3, 1e10, 123456789]),
        ("third64", [1.0, 2.0]),
        ("bool", [True, False]),
        ("bytes_out", ["abc", {"b64": "/////w=="}]),
        ("string", ['\U0001f600 ä\u2028"\\', ""]),
        ("uint64", [2**64 - 1]),
        ("int64", [-(2**63)]),
        ("int8", [-128]),
        ("deep", [[[1, 2], [3, 4]]]),
        ("deepstr", [["a", "b"]]),
        ("matrix", [[1, 2, 3], [4, 5, 6]]),
        ("anyrank", [[[1]]]),
        ("two_in", [{"a": 1, "b": 2}]),
        ("two_in_mixed", [{"a": [1, 2], "s": "ä"}]),
        ("two_out", [1.0, 2.0]),
        ("two_out_mixed", [1.0, 2.0]),
        ("nan", [1.0]),
    ],
)
def test_rows(model_server: RunningServer, signature: str, instances: list[Any]) -> None:
    assert len(both(model_server, signature, JsonRequest(instances))) == len(instances)


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("scalar_out", [1, 2]),
        ("two_in", {"a": [1], "b": [2]}),
        ("two_out", [1]),
        ("mismatch_out", {"x": [1, 2, 3]}),
        ("anyrank", 1.5),
        ("bytes_out", [{"b64": "/w=="}]),
    ],
)
def test_columns(model_server: RunningServer, signature: str, inputs: object) -> None:
    both(model_server, signature, JsonRequest(None, inputs))


@pytest.mark.parametrize(
    ("signature", "document"),
    [
        ("float32", JsonRequest(["a"])),
        ("float32", JsonRequest([[1], [1, 2]])),
        ("two_in", JsonRequest([1])),
        ("two_in", JsonRequest([{"a": 1}])),
        ("two_in", JsonRequest(None, {"a": [1]})),
        ("two_in", JsonRequest(None, [1])),
        ("int8", JsonRequest([1.5])),
        ("bool", JsonRequest([1])),
        ("string", JsonRequest([1])),
        ("string", JsonRequest([{"b64": "%%"}])),
        ("check", JsonRequest([-1.0])),
        ("no_such", JsonRequest([1])),
    ],
)
def test_what_one_refuses_the_other_does_too(json_client: JsonClient, signature: str, document: JsonRequest) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        json_client.predict_document(ModelRef("types", signature=signature), document)
    assert caught.value.status == 400
    assert f"signature {signature} of types expects" in caught.value.fix or "no signature no_such" in caught.value.fix


@pytest.mark.parametrize("signature", ["scalar_out", "mismatch_out"])
def test_outputs_without_rows_suggest_columns(json_client: JsonClient, signature: str) -> None:
    with pytest.raises(PredictionFailedError) as caught:
        json_client.predict_document(ModelRef("types", signature=signature), JsonRequest([1, 2, 3]))
    assert "--inputs" in str(caught.value) or "inconsistent batch size" in str(caught.value)


def test_complex_numbers_have_no_json(json_client: JsonClient) -> None:
    with pytest.raises(PredictionFailedError):
        json_client.predict_document(ModelRef("types", signature="complex64"), JsonRequest([1]))
