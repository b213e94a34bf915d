"""A graph without the contents of its large constants, and what the loader refuses in one."""

from __future__ import annotations

import pytest

from tests.support.modelserver import graphs
from tfs_workflow.modelserver.tensorflow.loading import graph_outline
from tfs_workflow.protos import saved_model_pb2 as pb
from tfs_workflow.protos import tensor_pb2

LARGE = 1_000_000


def constant(*sizes: int, content: bytes = b"") -> pb.NodeDef:
    shape = tensor_pb2.TensorShapeProto(dim=[{"size": size} for size in sizes])
    tensor = tensor_pb2.TensorProto(dtype=graphs.FLOAT, tensor_shape=shape, tensor_content=content)
    return graphs.node_of("c", "Const", value=pb.AttrValue(tensor=tensor), dtype=graphs.type_of(graphs.FLOAT))


def in_function(*nodes: pb.NodeDef) -> pb.GraphDef:
    return pb.GraphDef(library={"function": [{"signature": {"name": "f"}, "node_def": nodes}]})


def test_large_constants_keep_all_but_their_content() -> None:
    graph = in_function(constant(LARGE, content=bytes(LARGE)), graphs.node_of("y", "Identity", "c"))
    graph.node.extend([constant(2, content=b"12345678"), constant(LARGE, content=bytes(LARGE))])
    graph.node[1].attr["value"].tensor.float_val.extend([1.0] * LARGE)
    found = graph_outline.outline(memoryview(graph.SerializeToString()))
    for node in (graph.node[1], graph.library.function[0].node_def[0]):
        node.attr["value"].tensor.ClearField("tensor_content")
        node.attr["value"].tensor.ClearField("float_val")
    assert found == graph


@pytest.mark.parametrize("node", [constant(), constant(2, 3), constant(0), graphs.node_of("x", "NoOp")])
def test_sound_graphs_have_no_fault(node: pb.NodeDef) -> None:
    assert graph_outline.fault(pb.GraphDef(node=[node])) == ""
    assert graph_outline.fault(in_function(node)) == ""


@pytest.mark.parametrize("node", [constant(-1), constant(2**32, 2**32), graphs.node_of("c", "Const")])
def test_a_constant_without_a_tensor_of_its_shape_is_a_fault(node: pb.NodeDef) -> None:
    assert "the constant c" in graph_outline.fault(pb.GraphDef(node=[node]))
    assert "the constant c" in graph_outline.fault(in_function(node))


def test_a_constant_of_unknown_rank_is_a_fault() -> None:
    node = constant()
    node.attr["value"].tensor.tensor_shape.unknown_rank = True
    assert "the constant c" in graph_outline.fault(pb.GraphDef(node=[node]))


def test_a_function_that_calls_itself_is_a_fault() -> None:
    assert graph_outline.fault(in_function(graphs.node_of("y", "f"))) == "the function f calls itself"
