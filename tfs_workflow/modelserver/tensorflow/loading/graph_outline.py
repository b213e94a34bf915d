"""A graph without the contents of its large constants: for looking at its nodes without a copy of what they hold."""

from __future__ import annotations

import math
import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tfs_workflow.modelserver.tensorflow.loading import meta_graph
from tfs_workflow.modelserver.tensorflow.loading.wire import LENGTH, MalformedError, fields, with_length
from tfs_workflow.protos.saved_model_pb2 import GraphDef, MetaGraphDef, NodeDef

# Whole nodes without a constant are smaller, and so are names.
_KEPT_BYTES = 4096
_MOST_ELEMENTS = 2**63 - 1


def read(version_dir: Path, tags: Collection[str]) -> tuple[MetaGraphDef, memoryview]:
    """The MetaGraphDef of saved_model.pb with exactly these tags, its graph an outline; and its serialized graph.

    The file is mapped for as long as the second lives; who cuts it short meanwhile ends the process. Raises
    MalformedError, DecodeError, and OSError or ValueError for a file that cannot be mapped.
    """
    with (version_dir / "saved_model.pb").open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    found = meta_graph.with_tags(content, tags)
    if found is None:
        raise MalformedError(f"no graph with the tags {', '.join(tags)}")
    graph = meta_graph.graph(found)
    shortened = MetaGraphDef.FromString(meta_graph.without_graph(found))
    shortened.graph_def.CopyFrom(outline(graph))
    return shortened, graph


def outline(graph: memoryview) -> GraphDef:
    """The graph with every node, attribute and shape, without values that are large; raises MalformedError."""
    return GraphDef.FromString(_shortened(graph, GraphDef.DESCRIPTOR))


def fault(graph: GraphDef) -> str:
    """What TensorFlow's loader refuses before it makes a session; empty where it finds nothing.

    ValidateSavedTensors in tensorflow/cc/saved_model/loader.cc. A session takes such a graph, and ends the process or
    fails on a request.
    """
    for node in _nodes(graph):
        if not _is_valid(node):
            return f"the constant {node.name} has no valid tensor"
    for function in graph.library.function:
        if any(node.op == function.signature.name for node in function.node_def):
            return f"the function {function.signature.name} calls itself"
    return ""


def _nodes(graph: GraphDef) -> Iterator[NodeDef]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _is_valid(node: NodeDef) -> bool:
    if "value" not in node.attr:
        return node.op != "Const"
    if not node.attr["value"].HasField("tensor"):
        return True
    shape = node.attr["value"].tensor.tensor_shape
    sizes = [dim.size for dim in shape.dim]
    return not shape.unknown_rank and min(sizes, default=0) >= 0 and math.prod(sizes) <= _MOST_ELEMENTS


def _shortened(message: memoryview, descriptor: Any) -> bytes:
    kept = []
    for field in fields(message):
        if len(field.whole) <= _KEPT_BYTES:
            kept.append(bytes(field.whole))
            continue
        known = descriptor.fields_by_number.get(field.number)
        if known is not None and known.message_type is not None and field.kind == LENGTH:
            kept.append(with_length(field.number, _shortened(field.value, known.message_type)))
    return b"".join(kept)
