"""A served model is asked as promote asks it: one version, its cases, one report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import serving
from tfs_workflow.client.connect import connect_json
from tfs_workflow.client.interface import JsonClient, ModelRef
from tfs_workflow.config.types import Tolerance
from tfs_workflow.errors import ConfigError, PredictionFailedError
from tfs_workflow.quality.answers.junit import write_junit
from tfs_workflow.quality.answers.report import Report
from tfs_workflow.quality.cases import Case
from tfs_workflow.quality.verify import recorded, verify


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JsonClient]:
    base_path = tmp_path_factory.mktemp("plus")
    graphs.plus(base_path / "1", 2.0)
    with (
        serving("--model_name=plus", f"--model_base_path={base_path}") as server,
        connect_json(f"http://127.0.0.1:{server.rest_port}") as found,
    ):
        yield found


def case(answer: float, **request: object) -> Case:
    return Case({"instances": [1.0], **request}, "here", {"predictions": [answer]})


def test_the_report_of_one_version(client: JsonClient, tmp_path: Path) -> None:
    cases = [case(3.0), case(3.001), case(3.0, instances=["\x00text"])]
    report = verify(client, ModelRef("plus", 1), cases, Tolerance())
    assert (report.good, report.held, report.row()[1:4]) == (False, 1, ("v1", "3", "1"))
    refused = report.results[2]
    assert "expects x: float32" in refused.error
    path = tmp_path / "result.xml"
    write_junit(str(path), Report([report], stopped="at \x1b[31mred"))
    model, stopped = ElementTree.parse(path).getroot()
    assert (model.get("tests"), model.get("failures"), model.get("errors")) == ("3", "1", "1")
    assert [child.tag for test in model for child in test] == ["failure", "error"]
    assert stopped[0][0].get("message") == "at ?[31mred"


def test_a_signature_that_the_model_lacks_is_no_difference_but_an_error(client: JsonClient) -> None:
    with pytest.raises(PredictionFailedError, match="here: plus has no signature other"):
        verify(client, ModelRef("plus"), [case(3.0, signature_name="other")], Tolerance())


@pytest.mark.parametrize(("verb", "signature"), [("classify", "classify_x_to_y"), ("regress", "regress_x_to_y")])
def test_classification_and_regression_are_asked_over_rest(verb: str, signature: str) -> None:
    target = ModelRef("half_plus_two")
    asked = [Case({"signature_name": signature, "examples": [{"x": 1.0}, {"x": 2.0}]}, verb)]
    with serving() as server, connect_json(f"http://127.0.0.1:{server.rest_port}") as rest:
        golden = list(recorded(rest, target, asked))
        assert len((golden[0].response or {})["results"]) == 2
        assert verify(rest, target, golden, Tolerance()).good
        assert verify(rest, target, asked, Tolerance()).good
        grpc = connect_json(f"grpc://127.0.0.1:{server.grpc_port}")
        with grpc, pytest.raises(ConfigError, match="over REST alone"):
            verify(grpc, target, golden, Tolerance())
