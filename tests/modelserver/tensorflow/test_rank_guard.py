"""A convolution on an input of another rank, which would end the process, is refused before it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.inferences import floats
from tests.support.modelserver.running import Running, serving
from tfs_workflow.modelserver.tensorflow.rank_guard import guard_for
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis

IMAGE = [[[1.0]] * 4] * 4
UNGUARDED = """
import sys
import numpy as np
from pathlib import Path
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.modelserver.tensorflow.session import Session
from tfs_workflow.protos.session_pb2 import ConfigProto
capi.load()
session = Session(Path(sys.argv[1]), ["serve"], ConfigProto(), 2**30)
session._guard = None
session.run([("x:0", Tensor(1, (4, 4, 1), np.ones(16, np.float32)))], ["y:0"])
"""


@pytest.fixture(scope="module", params=[(), ("--enable_batching",)], ids=["alone", "batching"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("models") / "images"
    graphs.convolution(path / "1")
    with serving("--model_name=images", f"--model_base_path={path}", *request.param) as running:
        yield running


def test_the_kernel_still_ends_the_process(tmp_path: Path) -> None:
    """Without this the guard would have no reason; on a processor without oneDNN TensorFlow returns an error."""
    graphs.convolution(tmp_path / "1")
    ended = subprocess.run(
        [sys.executable, "-c", UNGUARDED, str(tmp_path / "1")], capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "num_total_dims" in ended.stderr or "4-dimensional" in ended.stderr


def test_an_image_without_its_batch_dimension_is_refused_with_the_cure(server: Running) -> None:
    for body in ({"instances": IMAGE}, {"inputs": IMAGE}):
        status, answer = server.post("/v1/models/images:predict", body)
        assert status == 400
        assert "Input x has shape [4,4,1], but the signature wants [-1,4,4,1]" in answer["error"]
        assert "Add the batch dimension: wrap it in a list." in answer["error"]
    assert server.predict([IMAGE], "images") == [[[[2.0]] * 4] * 4]


def test_nothing_at_all_is_refused(server: Running) -> None:
    status, answer = server.post("/v1/models/images:predict", {"inputs": []})
    assert status == 400
    assert answer["error"].endswith("Send at least one instance.")


def test_every_request_is_refused_and_not_only_the_first(server: Running) -> None:
    """A model that has been fast takes a prepared call, which reuses its tensors."""
    for _ in range(20):
        assert server.predict([IMAGE], "images") == [[[[2.0]] * 4] * 4]
        assert server.post("/v1/models/images:predict", {"instances": [1.0, 2.0]})[0] == 400


def test_grpc_refuses_with_invalid_argument(server: Running) -> None:
    method = services.PREDICT
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        predict = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        with pytest.raises(grpc.RpcError) as error:
            predict(apis.PredictRequest(model_spec={"name": "images"}, inputs={"x": floats(1.0, 2.0)}))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert server.predict([IMAGE], "images") == [[[[2.0]] * 4] * 4]


def test_a_model_without_a_convolution_has_no_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    plain = graphs.plus(tmp_path / "plain" / "1", 1.0) / "saved_model.pb"
    images = graphs.convolution(tmp_path / "images" / "1") / "saved_model.pb"
    assert guard_for(plain.read_bytes(), {}) is None
    assert guard_for(images.read_bytes(), {}) is not None
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert guard_for(images.read_bytes(), {}) is None
