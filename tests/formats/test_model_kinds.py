"""What is given in place of a SavedModel is named for what it is, with the way to a SavedModel."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import models
from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import model_kinds, savedmodel


def refused(base_path: Path) -> InvalidModelError:
    with pytest.raises(InvalidModelError) as caught:
        savedmodel.versions(base_path)
    return caught.value


def test_every_form_that_keras_and_tensorflow_write(keras_models: Path, tmp_path: Path) -> None:
    expected = {
        "model.keras": model_kinds.KERAS,
        "model.h5": model_kinds.HDF5,
        "model.tflite": model_kinds.TFLITE,
        "frozen.pb": model_kinds.FROZEN_GRAPH,
        "checkpoint1/model.ckpt-100.meta": model_kinds.CHECKPOINT,
        "checkpoint2/ckpt-1.index": model_kinds.CHECKPOINT,
        "export/saved_model.pb": None,
        "export/fingerprint.pb": None,
        "export/variables/variables.index": None,
        "export/variables/variables.data-00000-of-00001": None,
        "tf1_reference/saved_model.pb": None,
    }
    assert {name: model_kinds.kind_of(keras_models / name) for name in expected} == expected
    for name in ("model.keras", "model.h5", "model.tflite", "frozen.pb"):
        renamed = shutil.copy(keras_models / name, tmp_path / ("renamed.pb" if name == "frozen.pb" else "renamed"))
        assert model_kinds.kind_of(Path(renamed)) == expected[name]


def test_a_base_path_that_is_such_a_file_or_holds_one(keras_models: Path, tmp_path: Path) -> None:
    shutil.copy(keras_models / "model.keras", tmp_path / "my model.keras")
    for base_path in (tmp_path, tmp_path / "my model.keras"):
        error = refused(base_path)
        assert error.what == "not a SavedModel but a Keras model file"
        assert error.where == str(tmp_path / "my model.keras")
        assert f"invoke convert '{tmp_path}/my model.keras'" in error.fix
        assert 'export("DIR")' in error.fix
    assert "a TensorFlow checkpoint" in refused(keras_models / "checkpoint1").what
    assert "a frozen graph" in refused(keras_models / "frozen.pb").what


def test_a_version_directory_that_holds_another_kind(keras_models: Path, tmp_path: Path) -> None:
    shutil.copytree(keras_models / "checkpoint2", tmp_path / "1")
    shutil.copytree(keras_models / "checkpoint2", tmp_path / "2")
    shutil.copy(keras_models / "frozen.pb", tmp_path / "2" / "saved_model.pb")
    with pytest.raises(InvalidModelError, match=r"no saved_model.pb, but a TensorFlow checkpoint"):
        savedmodel.signatures(tmp_path / "1")
    with pytest.raises(InvalidModelError, match="not a SavedModel but a frozen graph") as caught:
        savedmodel.signatures(tmp_path / "2")
    assert "simple_save" in caught.value.fix


# The first bytes of files that no library of the tests writes, as their own tools write them.
OTHERS = {
    "model.onnx": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", model_kinds.ONNX),
    "model.json": (b'{"format": "layers-model", "modelTopology": {"keras_version": "2.4.0"', model_kinds.TFJS),
    "config.json": (b'{"registered_name": null}', None),
    "saved_model.pb": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", model_kinds.POINTER),
    "model.tar.gz": (b"\n<!DOCTYPE html><html><title>Sign in</title>", model_kinds.WEB_PAGE),
    "model.zip": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', model_kinds.WEB_PAGE),
    "other.zip": (b"PK\x03\x04" + bytes(26) + b"1/saved_model.pb", None),
    "README.md": (b"# A model", None),
    "empty.pb": (b"", None),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_and_downloads(tmp_path: Path, name: str) -> None:
    content, kind = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    assert model_kinds.kind_of(tmp_path / name) == kind


def test_the_models_that_are_served_are_no_other_kind() -> None:
    for path in (path for path in models.BUNDLED.rglob("*") if path.is_file()):
        assert model_kinds.kind_of(path) is None


def test_a_version_directory_to_rename_comes_before_other_files(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "weights.h5").touch()
    assert "'v1' is not a plain number" in refused(tmp_path).what


def test_a_page_in_place_of_the_graph(tmp_path: Path) -> None:
    base_path = models.good(tmp_path)
    (base_path / "1" / "saved_model.pb").write_bytes(b"<html><body>Not Found</body></html>")
    with pytest.raises(InvalidModelError, match="a web page, such as a sign-in or error page") as caught:
        savedmodel.signatures(base_path / "1")
    assert "35 bytes" in caught.value.evidence
