"""A model that cannot be loaded says so in the same words, by whichever way it was to be loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.table_models import export_tables
from tfs_workflow.protos import saved_model_pb2 as pb

BOTH_WAYS = """
import json, sys
from pathlib import Path
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.modelserver.tensorflow.session import Session
from tfs_workflow.protos.session_pb2 import ConfigProto
capi.load()
def load(path, large_bytes):
    try:
        Session(path, ["serve"], ConfigProto(), large_bytes).close()
    except StatusError as error:
        return f"{error.code.name}: {error.message}"
    return "loaded"
print(json.dumps({path: [load(Path(path), large_bytes) for large_bytes in (2**40, 0)] for path in sys.argv[1:]}))
"""
FAULTY: tuple[Callable[[Path], Path], ...] = (
    graphs.unknown_op,
    graphs.without_attribute,
    graphs.twice_the_same_name,
    graphs.of_the_future,
    graphs.without_kernel,
    graphs.with_dropped_kernel,
    graphs.refusing,
    graphs.corrupt,
)


def other_tags(meta: pb.MetaGraphDef) -> None:
    meta.meta_info_def.tags[:] = ["serve", "gpu"]


def negative_shape(meta: pb.MetaGraphDef) -> None:
    meta.graph_def.node[1].attr["value"].tensor.tensor_shape.dim.add(size=-1)


def no_value(meta: pb.MetaGraphDef) -> None:
    del meta.graph_def.node[1].attr["value"]


def recursive(meta: pb.MetaGraphDef) -> None:
    meta.graph_def.library.function.add(signature={"name": "f"}, node_def=[graphs.node_of("y", "f")])


def two_main_ops(meta: pb.MetaGraphDef) -> None:
    meta.collection_def["saved_model_main_op"].node_list.value.extend(["x", "y"])


def cut_off(version_dir: Path) -> None:
    path = version_dir / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By name of the model, how TensorFlow's loader ends and how loading by names ends; all in one process."""
    path = tmp_path_factory.mktemp("models")
    for build in FAULTY:
        build(path / build.__name__)
    graphs.on_device(path / "on_device", "/device:GPU:7")
    for change in (other_tags, negative_shape, no_value, recursive, two_main_ops):
        graphs.edited(graphs.plus(path / change.__name__, 1.0), change)
    cut_off(graphs.plus(path / "cut_off", 1.0))
    (graphs.plus(path / "empty", 1.0) / "saved_model.pb").write_bytes(b"")
    (path / "nothing").mkdir()
    tables = [export_tables(path / ".tables")["tables_2"], export_tables(path / ".more")["tables_2"]]
    (tables[0] / "1").rename(path / "no_variables")
    (path / "no_variables" / "variables" / "variables.data-00000-of-00001").unlink()
    (tables[1] / "1").rename(path / "no_asset")
    (path / "no_asset" / "assets" / "words.txt").unlink()
    found = [str(one) for one in sorted(path.iterdir()) if not one.name.startswith(".")]
    ran = subprocess.run([sys.executable, "-c", BOTH_WAYS, *found], capture_output=True, text=True, check=True)
    return {Path(one).name: [in_order(end) for end in ends] for one, ends in json.loads(ran.stdout).items()}


def in_order(message: str) -> str:
    """A message with the attributes of a node in one order; TensorFlow prints them in that of a hash table."""
    return re.sub(r"\[(\w+=.*)\]$", lambda found: str(sorted(found[1].split(", "))), message, flags=re.MULTILINE)


def test_both_ways_end_in_the_same_words(loads: dict[str, list[str]]) -> None:
    assert len(loads) == 19
    assert {name: ends[1] for name, ends in loads.items()} == {name: ends[0] for name, ends in loads.items()}


def test_each_fault_is_told(loads: dict[str, list[str]]) -> None:
    assert not [name for name, ends in loads.items() if "loaded" in ends]
    assert "NoSuchOp" in loads["unknown_op"][1]
    assert "words.txt" in loads["no_asset"][1]
    assert "calls itself" not in loads["recursive"][1]
    assert "Could not find meta graph def matching supplied tags" in loads["other_tags"][1]
