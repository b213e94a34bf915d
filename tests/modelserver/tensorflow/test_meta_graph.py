"""Everything in a MetaGraphDef but its graph, found without parsing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED
from tfs_workflow.formats.savedmodel import rank_checked_operation
from tfs_workflow.modelserver.tensorflow.meta_graph import without_graph
from tfs_workflow.protos import saved_model_pb2 as pb


@pytest.mark.parametrize("size_bytes", [0, 1, 200, 20_000, 3_000_000])
def test_only_the_graph_is_left_out(size_bytes: int) -> None:
    content = (BUNDLED / "00000123" / "saved_model.pb").read_bytes()
    (meta,) = pb.SavedModel.FromString(content).meta_graphs
    constant = graphs.float_of(1.0)
    constant.tensor_content = bytes(size_bytes)
    meta.graph_def.node.append(graphs.node_of("large", "Const", value=pb.AttrValue(tensor=constant)))
    found = without_graph(memoryview(meta.SerializeToString()))
    meta.ClearField("graph_def")
    assert pb.MetaGraphDef.FromString(found) == meta
    assert meta.signature_def


def test_what_is_no_message_today_is_kept_whole() -> None:
    unknown = b"\x48\x01" + pb.MetaGraphDef(graph_def={"node": [{"name": "x"}]}).SerializeToString()
    assert without_graph(memoryview(unknown)) == unknown


def test_an_operation_is_found_in_what_is_not_copied(tmp_path: Path) -> None:
    content = (graphs.convolution(tmp_path / "1") / "saved_model.pb").read_bytes()
    assert rank_checked_operation(memoryview(content), "") == "Conv2D"
    assert rank_checked_operation(memoryview(content), "0") == ""
