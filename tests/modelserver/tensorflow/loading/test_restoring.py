"""What is run to make a graph ready, for models of TensorFlow 1 and 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfs_workflow.modelserver.tensorflow.loading import restoring
from tfs_workflow.modelserver.tensorflow.loading.restoring import Run
from tfs_workflow.modelserver.tensorflow.loading.wire import MalformedError
from tfs_workflow.protos import saved_model_pb2 as pb

SAVER = pb.SaverDef(filename_tensor_name="saver_filename:0", restore_op_name="restore_all")
VOCABULARY = pb.AssetFileDef(tensor_info={"name": "path:0"}, filename="words.txt")
INIT = "__saved_model_init_op"


@pytest.fixture
def version_dir(tmp_path: Path) -> Path:
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "variables.index").touch()
    return tmp_path


def runs(meta: pb.MetaGraphDef, version_dir: Path) -> list[Run]:
    return list(restoring.runs(meta, version_dir))


def collection(*assets: pb.AssetFileDef, kind: str = "tensorflow.AssetFileDef") -> pb.CollectionDef:
    packed = [{"type_url": f"type.googleapis.com/{kind}", "value": asset.SerializeToString()} for asset in assets]
    return pb.CollectionDef(any_list={"value": packed})


def test_variables_are_restored_before_the_start_is_run(version_dir: Path) -> None:
    meta = pb.MetaGraphDef(saver_def=SAVER, asset_file_def=[VOCABULARY])
    meta.signature_def[INIT].outputs[INIT].name = "init"
    words = [("path:0", f"{version_dir}/assets/words.txt")]
    restore = Run("restore_all", [("saver_filename:0", f"{version_dir}/variables/variables"), *words])
    assert runs(meta, version_dir) == [restore, Run("init", words)]


def test_without_variables_nothing_is_restored(tmp_path: Path) -> None:
    assert runs(pb.MetaGraphDef(saver_def=SAVER), tmp_path) == []


def test_without_a_saver_nothing_is_restored(version_dir: Path) -> None:
    assert runs(pb.MetaGraphDef(), version_dir) == []


@pytest.mark.parametrize("key", ["saved_model_main_op", "legacy_init_op"])
def test_collections_of_tensorflow_1_name_the_start_and_the_assets(tmp_path: Path, key: str) -> None:
    meta = pb.MetaGraphDef(collection_def={"saved_model_assets": collection(VOCABULARY)})
    meta.collection_def[key].node_list.value.append("init")
    assert runs(meta, tmp_path) == [Run("init", [("path:0", f"{tmp_path}/assets/words.txt")])]


def test_the_main_op_goes_before_the_legacy_one_and_the_signature_before_both(tmp_path: Path) -> None:
    meta = pb.MetaGraphDef()
    meta.collection_def["legacy_init_op"].node_list.value.append("legacy")
    meta.collection_def["saved_model_main_op"].node_list.value.append("main")
    assert [run.target for run in runs(meta, tmp_path)] == ["main"]
    meta.signature_def[INIT].outputs[INIT].name = "of the signature"
    assert [run.target for run in runs(meta, tmp_path)] == ["of the signature"]


def test_a_start_that_does_nothing_is_not_run(tmp_path: Path) -> None:
    meta = pb.MetaGraphDef(graph_def={"node": [{"name": "init", "op": "NoOp"}]})
    meta.signature_def[INIT].outputs[INIT].name = "init"
    assert runs(meta, tmp_path) == []
    meta.graph_def.node[0].input.append("^tables")
    assert [run.target for run in runs(meta, tmp_path)] == ["init"]


def test_what_tensorflow_refuses_is_refused(tmp_path: Path) -> None:
    two = pb.MetaGraphDef()
    two.collection_def["saved_model_main_op"].node_list.value.extend(["one", "two"])
    no_output = pb.MetaGraphDef()
    no_output.signature_def[INIT].method_name = "none"
    other = pb.MetaGraphDef(collection_def={"saved_model_assets": collection(VOCABULARY, kind="tensorflow.Other")})
    for meta in (two, no_output, other):
        with pytest.raises(MalformedError):
            runs(meta, tmp_path)
