"""Requests made from a model's files alone, each sent to a server that serves this very model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.exported import export_models
from tests.support.modelserver.running import Running, configured, serving
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.example_features import ParsedFeature
from tfs_workflow.formats.example_request import example_request

KINDS = ("examples", "ids", "image", "pixels", "ragged", "scalars", "sparse", "text", "unknown_rank", "vector")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One base path for each kind of model, exported by TensorFlow."""
    return export_models(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def server(base_paths: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(configured(tmp_path_factory.mktemp("config"), base_paths)) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_the_request_made_for_a_model_is_answered(server: Running, base_paths: dict[str, Path], kind: str) -> None:
    version_dir = base_paths[kind] / "1"
    signature = savedmodel.signatures(version_dir)["serving_default"]
    request = example_request("serving_default", signature, savedmodel.features(version_dir))
    answer = requests.post(
        f"http://127.0.0.1:{server.rest_port}/v1/models/{kind}:{request.verb}", json=request.body, timeout=30
    )
    assert answer.status_code == 200, (request, answer.text)


def test_the_features_of_a_model_are_read_from_its_graph(base_paths: dict[str, Path]) -> None:
    assert savedmodel.features(base_paths["examples"] / "1") == (
        ParsedFeature("age", "DT_FLOAT", 2),
        ParsedFeature("count", "DT_INT64", 1, optional=True),
        ParsedFeature("weights", "DT_FLOAT", optional=True),
        ParsedFeature("words", "DT_STRING", optional=True),
    )
    assert savedmodel.features(base_paths["text"] / "1") == ()
