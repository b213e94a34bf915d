"""Which graphs keep something from one run to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED
from tfs_workflow.modelserver.tensorflow import graph_writes
from tfs_workflow.protos import saved_model_pb2 as pb

VERSION = next(BUNDLED.glob("0*"))


def test_what_restores_variables_does_not_count(tmp_path: Path) -> None:
    assert not graph_writes.writes(VERSION, ["serve"])
    assert not graph_writes.writes(graphs.plus(tmp_path / "1", 1), ["serve"])
    assert not graph_writes.writes(graphs.aborting(tmp_path / "2"), ["serve"])


def test_a_dependency_of_an_output_counts(tmp_path: Path) -> None:
    assert graph_writes.writes(graphs.remembering(tmp_path / "1"), ["serve"])
    assert graph_writes.writes(graphs.aborting(tmp_path / "2", remembers=True), ["serve"])


def test_a_graph_that_cannot_be_read_counts(tmp_path: Path) -> None:
    assert graph_writes.writes(tmp_path, ["serve"])
    assert graph_writes.writes(VERSION, ["another"])


@pytest.mark.parametrize(("operation", "writes"), [("AssignAddVariableOp", True), ("ReadVariableOp", False)])
@pytest.mark.parametrize("by_attribute", [True, False])
def test_functions_that_an_output_calls_count(operation: str, writes: bool, by_attribute: bool) -> None:
    """Also through another function; those that nothing calls do not."""
    inner = pb.FunctionDef(signature={"name": "inner"}, node_def=[graphs.node_of("a", operation)])
    outer = pb.FunctionDef(signature={"name": "outer"}, node_def=[called("inner", by_attribute)])
    unused = pb.FunctionDef(signature={"name": "unused"}, node_def=[graphs.node_of("a", "AssignVariableOp")])
    meta = pb.MetaGraphDef(
        graph_def={"node": [called("outer", by_attribute)], "library": {"function": [inner, outer, unused]}}
    )
    meta.signature_def["serving_default"].outputs["y"].name = "call:0"
    assert graph_writes.graph_writes(meta) is writes


def called(function: str, by_attribute: bool) -> pb.NodeDef:
    if not by_attribute:
        return graphs.node_of("call", function)
    return graphs.node_of("call", "StatefulPartitionedCall", f=pb.AttrValue(func={"name": function}))


@pytest.mark.parametrize(
    ("operation", "writes"),
    [
        *[(name, True) for name in ("Assign", "ScatterUpdate", "ResourceScatterAdd", "ScatterNdUpdate", "ApplyAdam")],
        *[(name, True) for name in ("ResourceSparseApplyAdagrad", "LookupTableInsertV2", "QueueDequeueV2")],
        *[(name, True) for name in ("RngReadAndSkip", "StatefulUniformInt", "WriteFile", "EagerPyFunc", "Unstage")],
        *[(name, False) for name in ("ScatterNd", "TensorScatterUpdate", "LookupTableFindV2", "VarHandleOp", "MatMul")],
        *[(name, False) for name in ("RandomUniform", "HashTableV2", "StridedSlice", "TensorArrayWriteV3", "Stack")],
    ],
)
def test_operations_that_write(operation: str, writes: bool) -> None:
    meta = pb.MetaGraphDef(graph_def={"node": [graphs.node_of("y", operation)]})
    meta.signature_def["serving_default"].outputs["y"].name = "y:0"
    assert graph_writes.graph_writes(meta) is writes
