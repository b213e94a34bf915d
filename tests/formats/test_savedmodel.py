"""The layout of a base path and the signatures of a SavedModel, read without TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import savedmodel
from tfs_workflow.protos import saved_model_pb2

BUNDLED = Path(savedmodel.__file__).parents[1] / "bundled" / "half_plus_two"


def write_model(version_dir: Path, *ops: str, tags: tuple[str, ...] = ("serve",)) -> Path:
    """A version directory whose graph has these operations."""
    version_dir.mkdir(parents=True)
    graph = saved_model_pb2.MetaGraphDef(
        meta_info_def={"tags": tags}, graph_def={"node": [{"name": op, "op": op} for op in ops]}
    )
    model = saved_model_pb2.SavedModel(meta_graphs=[graph])
    (version_dir / "saved_model.pb").write_bytes(model.SerializeToString())
    return version_dir


def failure(base_path: Path) -> InvalidModelError:
    with pytest.raises(InvalidModelError) as caught:
        savedmodel.versions(base_path)
    return caught.value


def test_the_bundled_model_has_the_tutorials_version_and_signatures() -> None:
    (version,) = savedmodel.versions(BUNDLED).found
    signatures = savedmodel.signatures(version.path)
    assert version.number == 123
    assert list(signatures) == ["classify_x_to_y", "regress_x_to_y", "serving_default"]
    assert signatures["serving_default"].method == "tensorflow/serving/predict"
    assert signatures["serving_default"].inputs == {"x": savedmodel.TensorSpec("x:0", "DT_FLOAT", None)}
    assert signatures["regress_x_to_y"].outputs["outputs"].shape == (-1, 1)


def test_the_bundled_model_is_what_its_script_writes() -> None:
    script = Path(__file__).parents[2] / "tools" / "bundle_half_plus_two.py"
    shown = "import runpy, sys; m = runpy.run_path(sys.argv[1]); "
    shown += "sys.stdout.buffer.write(m['half_plus_two']().SerializeToString(deterministic=True))"
    written = subprocess.run([sys.executable, "-c", shown, str(script)], check=True, capture_output=True).stdout
    assert written == (BUNDLED / "00000123" / "saved_model.pb").read_bytes()


def test_versions_are_ordered_by_number_and_the_rest_is_named_with_its_reason(tmp_path: Path) -> None:
    for name in ("10", "9", "00000123", "v1", "-1", "1.5", "+7", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    seen = savedmodel.versions(tmp_path)
    assert [(v.number, v.path.name) for v in seen.found] == [(9, "9"), (10, "10"), (123, "00000123")]
    assert {s.name: s.reason for s in seen.skipped} == {
        "7": "not a directory",
        **dict.fromkeys(("v1", "-1", "1.5", "+7", "٣"), "not a plain number"),
    }


def test_a_base_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = failure(tmp_path / "missing")
    assert error.where == str(tmp_path / "missing")
    assert "not a directory" in error.what
    assert "does not exist" in error.evidence
    assert error.fix


def test_an_empty_base_path_says_what_belongs_there(tmp_path: Path) -> None:
    assert "no version" in failure(tmp_path).what
    assert "plain numbers" in failure(tmp_path).fix


@pytest.mark.parametrize(("name", "number"), [("v0.1", "1"), ("v1", "1"), ("20240101-final", "20240101")])
def test_a_version_that_is_no_number_is_shown_with_the_number_to_take(tmp_path: Path, name: str, number: str) -> None:
    (tmp_path / name).mkdir()
    error = failure(tmp_path)
    assert repr(name) in error.what
    assert error.fix == f"rename it to a number, such as {number}"


def test_what_is_no_version_gets_no_advice_to_rename_it(tmp_path: Path) -> None:
    (tmp_path / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert "rename" not in failure(tmp_path).fix


def test_versions_that_lie_deeper_are_proposed(tmp_path: Path) -> None:
    write_model(tmp_path / "models_v2" / "m" / "1")
    error = failure(tmp_path)
    assert error.what == "no version directory here, but below: models_v2/m"
    assert error.fix == "name that directory in the source: …/models_v2/m"


def test_of_two_directories_for_one_version_the_other_is_named(tmp_path: Path) -> None:
    for name in ("001", "1", "2"):
        (tmp_path / name).mkdir()
    (skipped,) = savedmodel.versions(tmp_path).skipped
    assert (skipped.name, skipped.reason, skipped.twin) == ("001", "1 is the same version", "1")


def test_a_saved_model_at_the_root_is_recognised(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    error = failure(tmp_path / "model")
    assert "in the base path itself" in error.what
    assert "saved_model.pb" in error.evidence


def test_a_directory_without_saved_model_pb_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "export.meta").write_text("")
    with pytest.raises(InvalidModelError, match=r"no saved_model.pb") as caught:
        savedmodel.signatures(tmp_path)
    assert "export.meta" in caught.value.evidence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "not a SavedModel but a git-lfs pointer"),
        (b"", "corrupt"),
        (b"\xff" * 30, "corrupt"),
    ],
)
def test_a_corrupt_saved_model_is_recognised(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InvalidModelError, match=words) as caught:
        savedmodel.signatures(tmp_path)
    assert caught.value.where == str(tmp_path / "saved_model.pb")
    assert f"{len(content)} bytes" in caught.value.evidence


def test_an_unreadable_saved_model_names_the_file_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").mkdir()
    with pytest.raises(InvalidModelError, match="cannot be read") as caught:
        savedmodel.signatures(tmp_path)
    assert caught.value.evidence == "Is a directory"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_base_path_that_the_user_may_not_read_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for parent in list(tmp_path.parents)[:-2]:
        parent.chmod(0o711)
    code = "import sys, pathlib, os; from tfs_workflow.formats import savedmodel; os.setuid(65534)\n"
    code += (
        "try: savedmodel.scan(pathlib.Path(sys.argv[1]))\nexcept savedmodel.InvalidModelError as e: print(e.evidence)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "Permission denied\n"


def test_missing_variables_are_named(tmp_path: Path) -> None:
    version_dir = write_model(tmp_path / "1", "VarHandleOp")
    with pytest.raises(InvalidModelError, match="variables are missing") as caught:
        savedmodel.signatures(version_dir)
    assert "variables.data-00000-of-00001, variables.index" in caught.value.evidence


def test_one_missing_shard_is_named(tmp_path: Path) -> None:
    version_dir = write_model(tmp_path / "1", "VariableV2")
    (version_dir / "variables").mkdir()
    for name in ("variables.index", "variables.data-00001-of-00002"):
        (version_dir / "variables" / name).write_bytes(b"")
    with pytest.raises(InvalidModelError) as caught:
        savedmodel.signatures(version_dir)
    assert caught.value.evidence == "not there: variables.data-00000-of-00002"


def test_a_model_without_variables_needs_no_files(tmp_path: Path) -> None:
    assert savedmodel.signatures(write_model(tmp_path / "1", "Const")) == {}


def test_a_graph_with_other_tags_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=r"no graph with the tags \{serve\}") as caught:
        savedmodel.signatures(write_model(tmp_path / "1", tags=("train", "gpu")))
    assert "{gpu, train}" in caught.value.evidence


def test_a_file_is_parsed_again_only_when_it_changed(tmp_path: Path) -> None:
    first = savedmodel.read(write_model(tmp_path / "1"))
    assert savedmodel.read(tmp_path / "1") is first
    write_model(tmp_path / "2", "NoOp")
    (tmp_path / "2" / "saved_model.pb").rename(tmp_path / "1" / "saved_model.pb")
    assert [node.op for node in savedmodel.read(tmp_path / "1").meta_graphs[0].graph_def.node] == ["NoOp"]


def test_a_text_saved_model_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pbtxt").write_text(
        'saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: "serve" } unknown_field: 1 '
        'signature_def { key: "s" value { inputs { key: "x" value { name: "x:0" dtype: DT_INT64 } } } } }'
    )
    assert savedmodel.signatures(tmp_path)["s"].inputs["x"].dtype == "DT_INT64"
