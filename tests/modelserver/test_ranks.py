"""No shape ends the service: every rank up to five, on models of one layer each, beside a model that must answer."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.modelserver.one_layer_models import export_models
from tests.support.modelserver.running import BUNDLED, Running, configured, serving
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis

SHAPES = [shape for rank in range(6) for shape in itertools.product((0, 1, 3), repeat=rank)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return export_models(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def server(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = configured(tmp_path_factory.mktemp("config"), {**models, "half_plus_two": BUNDLED})
    with serving(config) as running:
        yield running


def test_no_shape_ends_the_service_and_the_model_beside_it_answers(server: Running, models: dict[str, Path]) -> None:
    method = services.PREDICT
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        predict = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        codes = {name: Counter(_code(predict, name, shape) for shape in SHAPES) for name in models}
    assert len(models) > 20
    for name, counted in codes.items():
        # What the service says when it is not there, or has a fault of its own.
        assert not {"UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"} & set(counted), (name, counted)
        assert sum(counted.values()) == len(SHAPES)
    assert codes["dense"]["INVALID_ARGUMENT"] > 300
    assert server.predict([1.0, 2.0, 5.0]) == [2.5, 3.0, 4.5]


def _code(predict: Any, model: str, shape: tuple[int, ...]) -> str:
    request = apis.PredictRequest(model_spec={"name": model})
    tensor = request.inputs["x"]
    tensor.dtype = 1  # type: ignore[assignment]  # protobuf takes numbers
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = b"\0" * (4 * math.prod(shape))
    try:
        predict(request, timeout=30)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"
