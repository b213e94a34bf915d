"""A request that ends the server is explained: which shape was sent, and what the signature expects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import CommandLine
from tests.support.modelserver import graphs
from tests.support.modelserver.running import serving
from tfs_workflow import connect
from tfs_workflow.client.lost_request import ConnectionBrokenError, json_shapes

# A signature without a rank, so that our own server does not refuse the request, and one process, which a run can end.
IMAGE = "[[[1.0],[1.0]],[[1.0],[1.0]]]"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.run("teardown", "--purge")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return graphs.convolution(tmp_path / "images" / "1", names_rank=False).parent


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_predict_names_both_shapes(lab: CommandLine, images: Path, transport: str) -> None:
    lab.config["models"] = {"images": {"source": [{"directory": str(images)}]}}
    lab.config["server"] |= {"fronts": 0, "environment": graphs.ONEDNN_ON}
    assert "curl http" in lab.ok("setup", "serve")
    assert "the signature leaves a rank open, and the model's Conv2D ends the server" in lab.fails(2, "predict")
    message = lab.fails(6, "predict", "--instances", IMAGE, "--transport", transport)
    assert "the connection broke before the answer was complete" in message
    assert "(2, 2, 1)" in message
    assert "expects x: float32 any rank" in message
    assert lab.run("doctor", "--after", "--json").stdout.count('"input-rank"') == 1


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_the_client_names_both_shapes(images: Path, scheme: str) -> None:
    flags = ("--model_name=images", f"--model_base_path={images}", "--fronts=0")
    with serving(*flags, environment=graphs.ONEDNN_ON) as server:
        port = server.rest_port if scheme == "http" else server.grpc_port
        with connect(f"{scheme}://127.0.0.1:{port}") as client, pytest.raises(ConnectionBrokenError) as caught:
            client.predict("images", np.ones((2, 2, 1), np.float32))
    assert "sent: x (2, 2, 1)" in caught.value.evidence or "sent: (2, 2, 1)" in caught.value.evidence
    assert "signature serving_default of images expects x: float32 any rank" in caught.value.fix


def test_shapes_of_json() -> None:
    assert json_shapes([[1.0, 2.0]], None) == {"": (1, 2)}
    assert json_shapes([{"a": [1], "b": "text"}], None) == {"a": (1, 1), "b": (1,)}
    assert json_shapes([{"b64": "YQ=="}], None) == {"": (1,)}
    assert json_shapes(None, {"x": [[1], [2]]}) == {"x": (2, 1)}
    assert json_shapes(None, 1.0) == {"": ()}
    assert json_shapes([], None) == {"": (0,)}
