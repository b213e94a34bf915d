"""The next step after a rejected request follows the server's error, not always the signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import Running, configured, serving
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import ModelRef, RequestRejectedError, explain
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.formats.model_kinds import DROPPED_FIX, EXPORT_FIX, LIBRARIES_FIX
from tfs_workflow.protos import saved_model_pb2 as pb

BATCHING = "max_batch_size { value: 4 } batch_timeout_micros { value: 0 } num_batch_threads { value: 1 }"


def takes_nothing(graph: pb.MetaGraphDef) -> None:
    graph.signature_def["serving_default"].inputs.clear()


def takes_a_scalar(graph: pb.MetaGraphDef) -> None:
    graph.signature_def["serving_default"].inputs["x"].tensor_shape.Clear()


def never_gets_its_variable(graph: pb.MetaGraphDef) -> None:
    del graph.signature_def["__saved_model_init_op"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("models")
    graphs.plus(directory / "plus" / "1", 1.0)
    graphs.edited(graphs.plus(directory / "nothing" / "1", 1.0), takes_nothing)
    graphs.edited(graphs.failing(directory / "scalar" / "1"), takes_a_scalar)
    graphs.edited(graphs.remembering(directory / "variable" / "1"), never_gets_its_variable)
    models = configured(directory, {path.name: path for path in directory.iterdir()})
    (directory / "batching.config").write_text(BATCHING)
    flags = [
        models,
        f"--batching_parameters_file={directory}/batching.config",
    ]
    with serving(*flags, "--enable_batching") as running:
        yield running


def next_step(address: str, model: str, request: JsonRequest) -> str:
    with connect_json(address) as client, pytest.raises(RequestRejectedError) as caught:
        client.predict_document(ModelRef(model), request)
    return caught.value.fix


@pytest.mark.parametrize(
    ("model", "request_", "step"),
    [
        ("plus", JsonRequest([1.0] * 5), "send at most 4 rows a request, as predict --input does, or raise server.b"),
        ("plus", JsonRequest([[1.0], [1.0, 2.0]]), "the rows differ in length: pad them to one shape"),
        ("plus", JsonRequest(None, [[1.0], [1.0, 2.0]]), "the rows differ in length: pad them to one shape"),
        ("plus", JsonRequest(None, 1.0), "batching needs inputs with a row for each instance"),
        ("nothing", JsonRequest([1.0]), "over REST it cannot be called: use gRPC, --transport grpc --inputs '{}'"),
        ("scalar", JsonRequest([1.0]), "the input x is a scalar, not one for each row: use the column format, --inp"),
        ("variable", JsonRequest([1.0]), EXPORT_FIX),
        ("plus", JsonRequest(["a"]), "signature serving_default of plus expects x: float32"),
    ],
)
def test_the_next_step_over_rest(server: Running, model: str, request_: JsonRequest, step: str) -> None:
    assert next_step(f"http://127.0.0.1:{server.rest_port}", model, request_).startswith(step)


@pytest.mark.parametrize(
    ("model", "request_", "step"),
    [
        ("plus", JsonRequest([1.0] * 5), "send at most 4 rows a request"),
        ("plus", JsonRequest([[1.0], [1.0, 2.0]]), "the rows differ in length: pad them to one shape"),
        ("scalar", JsonRequest([1.0]), "the input x is a scalar, not one for each row"),
        ("variable", JsonRequest([1.0]), EXPORT_FIX),
    ],
)
def test_the_next_step_over_grpc(server: Running, model: str, request_: JsonRequest, step: str) -> None:
    assert next_step(f"grpc://127.0.0.1:{server.grpc_port}", model, request_).startswith(step)


def test_the_next_step_after_the_servers_time_limit(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "1", products=3)
    with serving("--model_name=slow", f"--model_base_path={tmp_path}", "--rest_api_timeout_in_ms=1") as server:
        step = next_step(f"http://127.0.0.1:{server.rest_port}", "slow", JsonRequest([1.0]))
    assert step.startswith("send fewer rows a request, or give the server more time: server.flags: {rest_api_timeout")


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("No OpKernel was registered to support Op 'BoostedTreesBucketize' used by {{node b}}", DROPPED_FIX),
        ("Op type not registered 'TFText>RoundRobinTrim' in binary running on host", LIBRARIES_FIX),
    ],
)
def test_the_next_step_for_an_operation_that_the_server_finds_out_at_the_first_request(text: str, step: str) -> None:
    """TensorFlow Serving's texts (tensorflow/tensorflow #76826, serving #2267); our own server fails at the load."""
    error = RequestRejectedError(text, 400)
    explain(error, ModelRef("m"), lambda *_: {})
    assert error.fix == step
