"""Everything in a SavedModel but its graphs, found without parsing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED
from tfs_workflow.formats.savedmodel import rank_checked_operation
from tfs_workflow.modelserver.tensorflow.loading import meta_graph
from tfs_workflow.modelserver.tensorflow.loading.meta_graph import without_graph
from tfs_workflow.modelserver.tensorflow.loading.wire import MalformedError
from tfs_workflow.protos import saved_model_pb2 as pb


def of_tags(*tags: str) -> pb.MetaGraphDef:
    return pb.MetaGraphDef(meta_info_def={"tags": tags}, graph_def={"node": [{"name": "+".join(tags)}]})


@pytest.mark.parametrize("size_bytes", [0, 1, 200, 20_000, 3_000_000])
def test_only_the_graph_is_left_out(size_bytes: int) -> None:
    content = (BUNDLED / "00000123" / "saved_model.pb").read_bytes()
    (meta,) = pb.SavedModel.FromString(content).meta_graphs
    constant = graphs.float_of(1.0)
    constant.tensor_content = bytes(size_bytes)
    meta.graph_def.node.append(graphs.node_of("large", "Const", value=pb.AttrValue(tensor=constant)))
    serialized = memoryview(meta.SerializeToString())
    found = without_graph(serialized)
    assert pb.GraphDef.FromString(bytes(meta_graph.graph(serialized))) == meta.graph_def
    meta.ClearField("graph_def")
    assert pb.MetaGraphDef.FromString(found) == meta
    assert meta.signature_def
    assert meta_graph.signatures(meta.signature_def) == dict(meta.signature_def)


def test_a_kind_that_nobody_writes_keeps_the_message_whole() -> None:
    unknown = b"\x4b\x4c" + of_tags("serve").SerializeToString()
    assert without_graph(memoryview(unknown)) == unknown


@pytest.mark.parametrize("tags", [("serve",), ("serve", "gpu"), ("gpu", "serve"), ()])
def test_a_graph_is_found_by_exactly_its_tags(tags: tuple[str, ...]) -> None:
    saved = pb.SavedModel(meta_graphs=[of_tags("train"), of_tags("serve", "gpu"), of_tags("serve"), of_tags()])
    found = meta_graph.with_tags(memoryview(saved.SerializeToString()), tags)
    assert found is not None
    assert set(pb.MetaGraphDef.FromString(bytes(found)).meta_info_def.tags) == set(tags)


def test_tags_of_no_graph_find_none() -> None:
    saved = pb.SavedModel(saved_model_schema_version=1, meta_graphs=[of_tags("serve", "gpu")])
    assert meta_graph.with_tags(memoryview(saved.SerializeToString()), ["serve"]) is None


def test_a_graph_in_two_pieces_is_refused() -> None:
    twice = of_tags("serve").SerializeToString() * 2
    with pytest.raises(MalformedError, match="2 graphs"):
        meta_graph.graph(memoryview(twice))


def test_an_operation_is_found_in_what_is_not_copied(tmp_path: Path) -> None:
    content = (graphs.convolution(tmp_path / "1") / "saved_model.pb").read_bytes()
    assert rank_checked_operation(memoryview(content), "") == "Conv2D"
    assert rank_checked_operation(memoryview(content), "0") == ""
