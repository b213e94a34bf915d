"""What is wrong with a model's files is found in the files themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checks.findings import is_ok, one, statuses
from tests.support import models
from tests.support.modelserver import graphs
from tests.support.needs import missing
from tfs_workflow.checks import check_models
from tfs_workflow.checks.finding import Finding, FindingStatus
from tfs_workflow.checks.model.model_checks import model_findings, version_is_newer
from tfs_workflow.checks.model.operations import known
from tfs_workflow.checks.model.rank_checks import rank_findings
from tfs_workflow.errors import InvalidModelError
from tfs_workflow.protos.saved_model_pb2 import SavedModel
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

NOBODY = (65534, 65534)


def checked(base_path: Path, server_version: str = "2.20.0", **changes: object) -> list[Finding]:
    spec = replace(ModelSpec("m", base_path, latest=0), **changes)  # type: ignore[arg-type]
    return list(model_findings(spec, server_version=server_version))


def edit(base_path: Path, change: Callable[[SavedModel], object]) -> Path:
    path = base_path / "1" / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    change(saved)
    path.write_bytes(saved.SerializeToString())
    return base_path


def test_a_good_model_passes_every_check_and_shows_what_it_takes(tmp_path: Path) -> None:
    found = checked(models.good(tmp_path, "1", "2"), labels=(("stable", 1),))
    assert is_ok(found)
    assert "version 1, 2" in one(found, "model m: base path").evidence
    assert "serving_default: x: float32 " in one(found, "model m v2: signatures").evidence
    assert one(found, "model m: labels").evidence == "stable = 1"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (models.not_there, "not a directory"),
        (models.without_version, "no version directory"),
        (models.version_named_v01, "'v0.1' is not a plain number"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_base_path_without_a_version(tmp_path: Path, broken: Callable[[Path], Path], words: str) -> None:
    (found,) = checked(broken(tmp_path))
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert words in found.evidence
    assert found.fix


def test_a_saved_model_at_the_root_is_one_version(tmp_path: Path) -> None:
    found = checked(models.saved_model_at_the_root(tmp_path))
    assert is_ok(found)
    assert "model m v1: readable" in [one.check for one in found]


def test_what_looks_like_a_version_and_is_skipped_is_named_with_the_reason(tmp_path: Path) -> None:
    base_path = models.good(tmp_path, "1", "v0.1")
    (base_path / "README.md").touch()
    (base_path / "2").touch()
    (base_path / "saved_model.pb").touch()
    found = [f.evidence for f in checked(base_path) if f.check == "model m: skipped"]
    assert len(found) == 3
    assert any("v0.1 is not served: not a plain number" in text for text in found)
    assert any("2 is not served: not a directory" in text for text in found)


def test_a_version_that_is_there_twice_is_a_warning(tmp_path: Path) -> None:
    found = one(checked(models.good(tmp_path, "1", "001")), "model m: skipped")
    assert found.status is FindingStatus.WARNING
    assert "001 is not served: 1 is the same version" in found.evidence


@pytest.mark.parametrize(
    ("runtime", "preferred", "is_good"),
    [("docker", "true", True), ("docker", "false", False), ("embedded", "true", False)],
)
def test_a_tensorflow_lite_model_needs_no_saved_model_where_it_is_preferred(
    tmp_path: Path, runtime: str, preferred: str, is_good: bool
) -> None:
    base_path = models.good(tmp_path)
    (base_path / "1" / "saved_model.pb").unlink()
    (base_path / "1" / "model.tflite").write_bytes(bytes(4) + b"TFL3")
    model = ModelSpec("m", base_path)
    spec = ServerSpec("p", runtime, (model,), flags=(("prefer_tflite_model", preferred),))
    assert is_ok(list(model_findings(model, tflite=spec.prefers_tflite))) == is_good
    if is_good:
        assert check_models(spec, None) == {"m": [1]}
    else:
        with pytest.raises(InvalidModelError, match=r"no saved_model.pb"):
            check_models(spec, None)


def test_versions_and_labels_that_are_not_there(tmp_path: Path) -> None:
    found = checked(models.good(tmp_path), latest=None, versions=(1, 7), labels=(("stable", 3),))
    assert statuses(found) == {"model m: versions": "failure", "model m: labels": "failure"}
    assert "version 7 is not there" in one(found, "model m: versions").evidence
    assert "label stable names version 3" in one(found, "model m: labels").evidence


@pytest.mark.parametrize("broken", [models.corrupt, models.empty_saved_model])
def test_a_saved_model_that_does_not_parse(tmp_path: Path, broken: Callable[[Path], Path]) -> None:
    found = one(checked(broken(tmp_path)), "model m v1: files")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert "not a SavedModel" in found.evidence


def test_variables_that_are_missing_or_still_in_git_lfs(tmp_path: Path) -> None:
    base_path = edit(models.good(tmp_path), lambda saved: saved.meta_graphs[0].graph_def.node.add(op="VarHandleOp"))
    assert "variables are missing" in one(checked(base_path), "model m v1: files").evidence
    (base_path / "1" / "variables").mkdir()
    (base_path / "1" / "variables" / "variables.index").write_bytes(b"index")
    data = base_path / "1" / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git-lfs" in one(checked(base_path), "model m v1: files").evidence
    data.write_bytes(b"numbers")
    assert is_ok(checked(base_path))


def test_files_that_the_containers_user_may_not_read(tmp_path: Path) -> None:
    base_path = models.good(tmp_path)
    good = list(model_findings(ModelSpec("m", base_path), NOBODY))
    (base_path / "1" / "saved_model.pb").chmod(0o600)
    found = one(model_findings(ModelSpec("m", base_path), NOBODY), "model m v1: readable")
    if os.getuid() == NOBODY[0]:
        missing("nobody may read the files that nobody owns")
    assert is_ok(good)
    assert "not readable for uid 65534" in found.evidence
    assert "chmod -R a+rX" in found.fix


def test_a_model_without_the_default_signature_and_one_without_any(tmp_path: Path) -> None:
    def rename(saved: SavedModel) -> None:
        signatures = saved.meta_graphs[0].signature_def
        signatures["half"].CopyFrom(signatures["serving_default"])
        del signatures["serving_default"]

    base_path = edit(models.good(tmp_path), rename)
    found = one(checked(base_path), "model m v1: signatures")
    assert found.status is FindingStatus.WARNING
    assert "no serving_default" in found.evidence
    assert "ask with --signature classify_x_to_y" in found.fix
    edit(base_path, lambda saved: saved.meta_graphs[0].signature_def.clear())
    assert one(checked(base_path), "model m v1: signatures").status is FindingStatus.FAILURE


def test_a_model_that_a_newer_tensorflow_wrote_than_the_server_has(tmp_path: Path) -> None:
    def written_by(version: str) -> Callable[[SavedModel], object]:
        return lambda saved: setattr(saved.meta_graphs[0].meta_info_def, "tensorflow_version", version)

    base_path = edit(models.good(tmp_path), written_by("2.21.0"))
    assert statuses(checked(base_path)) == {"model m v1: TensorFlow": "warning"}
    edit(base_path, written_by("2.20.3"))
    assert is_ok(checked(base_path))


@pytest.mark.parametrize(
    ("written", "server", "newer"),
    [("2.9.1", "2.10.0", False), ("2.10.0", "2.9.1", True), ("2.20.0-rc1", "2.20", False), ("", "2.20.0", False)],
)
def test_versions_are_compared_as_numbers(written: str, server: str, newer: bool) -> None:
    assert version_is_newer(written, server) == newer


def test_a_clean_model_has_only_operations_that_the_server_knows(tmp_path: Path) -> None:
    found = one(checked(models.good(tmp_path)), "model m v1: operations")
    assert found.status is FindingStatus.OK
    assert known().release in found.evidence


def with_operation(directory: Path, name: str) -> Path:
    return edit(models.good(directory), lambda saved: saved.meta_graphs[0].graph_def.node.add(name="n", op=name))


def test_an_operation_that_the_embedded_server_does_not_know(tmp_path: Path) -> None:
    base_path = with_operation(tmp_path, "SentencepieceTokenizeOp")
    release = known().release
    exact = list(model_findings(ModelSpec("m", base_path), None, release, embedded=True))
    found = one(exact, "model m v1: operations")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert "SentencepieceTokenizeOp" in found.evidence
    perhaps = one(checked(base_path, server_version="2.19.0"), "model m v1: operations")
    assert perhaps.status is FindingStatus.WARNING
    assert "Op type not registered" in perhaps.fix


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ("2.20.0", FindingStatus.FAILURE),
        ("2.9.1", FindingStatus.FAILURE),
        ("2.8.0", FindingStatus.OK),
        ("", FindingStatus.WARNING),
    ],
)
def test_an_operation_whose_kernel_was_dropped(tmp_path: Path, server: str, status: FindingStatus) -> None:
    found = one(checked(with_operation(tmp_path, "BoostedTreesBucketize"), server), "model m v1: operations")
    assert found.status is status
    assert "no kernels for BoostedTreesBucketize since 2.9" in found.evidence


def test_a_function_of_the_model_is_no_unknown_operation(tmp_path: Path) -> None:
    def call(saved: SavedModel) -> None:
        graph = saved.meta_graphs[0].graph_def
        graph.library.function.add().signature.name = "my_function"
        graph.node.add(name="call", op="my_function")

    found = one(checked(edit(models.good(tmp_path), call)), "model m v1: operations")
    assert found.status is FindingStatus.OK


def test_a_graph_that_wants_a_newer_consumer(tmp_path: Path) -> None:
    def newer(saved: SavedModel) -> None:
        saved.meta_graphs[0].graph_def.versions.min_consumer = known().graph_version + 1

    base_path = edit(models.good(tmp_path), newer)
    exact = list(model_findings(ModelSpec("m", base_path), None, known().release, embedded=True))
    assert one(exact, "model m v1: operations").status is FindingStatus.FAILURE


def test_the_list_of_operations_is_of_the_pinned_tensorflow() -> None:
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text()
    assert f"tensorflow-cpu=={known().release}" in pins
    assert {"PartitionedCallV2", "Placeholder", "MatMul"} - known().names == {"PartitionedCallV2"}


def test_an_operation_that_ends_the_server_on_another_rank(tmp_path: Path) -> None:
    model = ModelSpec("m", graphs.convolution(tmp_path / "images" / "1").parent)
    found = one(list(rank_findings(model, {}, restarts=False)), "model m v1: ranks")
    assert found.status is FindingStatus.WARNING
    assert "Conv2D ends the server on an input of another rank" in found.evidence
    assert 'server.environment: {TF_ENABLE_ONEDNN_OPTS: "0"}' in found.fix
    assert list(rank_findings(model, {"TF_ENABLE_ONEDNN_OPTS": "0"}, restarts=False)) == []
    assert list(rank_findings(model, {}, restarts=True)) == []
    plain = ModelSpec("m", graphs.plus(tmp_path / "plain" / "1", 1.0).parent)
    assert list(rank_findings(plain, {}, restarts=False)) == []
