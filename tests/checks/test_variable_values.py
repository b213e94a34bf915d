"""Variables that no checkpoint and no initializer fills are found in the files of models that TensorFlow exported."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.findings import one, statuses
from tests.support.keras_models import GOOD
from tests.support.modelserver.running import serving
from tests.support.needs import shared
from tfs_workflow.checks import check_models
from tfs_workflow.checks.finding import FindingStatus
from tfs_workflow.checks.model.model_checks import model_findings
from tfs_workflow.checks.model.variable_values import variables_without_value
from tfs_workflow.client.connect import connect, connect_json
from tfs_workflow.client.interface import ModelRef, RequestRejectedError
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import savedmodel
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base_path(keras_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras 3 model that tf.saved_model.save wrote."""
    directory = tmp_path_factory.mktemp("saved")
    shutil.copytree(keras_models / "saved_by_tensorflow", directory / "1")
    return directory


def test_a_keras_model_that_tensorflow_saved_is_refused_with_the_way_to_export_it(base_path: Path) -> None:
    found = one(model_findings(ModelSpec("m", base_path)), "model m v1: variables")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert "sequential/batch_normalization/beta, " in found.evidence
    assert "and 3 more; read by serving_default" in found.evidence
    assert 'model.export("DIR")' in found.fix
    spec = ServerSpec(project="p", runtime="embedded", models=(ModelSpec("m", base_path),))
    with pytest.raises(InvalidModelError, match="variables that the model's files do not hold"):
        check_models(spec, None)


def test_one_signature_of_two_that_lacks_its_variables_is_a_warning(base_path: Path, tmp_path: Path) -> None:
    shutil.copytree(base_path / "1", tmp_path / "1")
    saved = savedmodel.read(tmp_path / "1")
    signatures = saved.meta_graphs[0].signature_def
    signatures["constant"].outputs["y"].name = "Const:0"
    (tmp_path / "1" / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert statuses(model_findings(ModelSpec("m", tmp_path))) == {"model m v1: variables": "warning"}


@pytest.mark.parametrize("form", GOOD)
def test_a_model_whose_variables_are_filled_passes(keras_models: Path, form: str) -> None:
    assert variables_without_value(savedmodel.servable_graph(keras_models / form)) == {}


def test_every_recorded_model_passes() -> None:
    for path in shared("testdata", "models").rglob("variables"):
        for graph in savedmodel.read(path.parent).meta_graphs:
            assert variables_without_value(graph) == {}, path


@pytest.fixture(scope="module")
def addresses(base_path: Path) -> Iterator[dict[str, str]]:
    """A server with that model, which is AVAILABLE."""
    with serving("--model_name=m", f"--model_base_path={base_path}") as server:
        yield {"rest": f"http://127.0.0.1:{server.rest_port}", "grpc": f"grpc://127.0.0.1:{server.grpc_port}"}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_predict_explains_the_servers_error_with_the_same_fix(addresses: dict[str, str], transport: str) -> None:
    row = [1.0, 2.0, 3.0]
    with connect(addresses[transport]) as client, pytest.raises(RequestRejectedError, match="Could not find") as typed:
        client.predict("m", [row])
    with connect_json(addresses[transport]) as json, pytest.raises(RequestRejectedError) as untyped:
        json.predict_document(ModelRef("m"), JsonRequest([row]))
    assert 'model.export("DIR")' in typed.value.fix
    assert untyped.value.fix == typed.value.fix
