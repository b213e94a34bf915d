"""The parts of a serialized SavedModel, found without parsing its graphs, whose constants may take gigabytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfs_workflow.modelserver.tensorflow.loading.wire import LENGTH, MalformedError, fields
from tfs_workflow.protos.saved_model_pb2 import MetaGraphDef, SignatureDef

# Fields by number (saved_model.proto, meta_graph.proto).
_META_GRAPHS = 2
_META_INFO_DEF, _GRAPH_DEF = 1, 2


def with_tags(saved_model: memoryview, tags: Collection[str]) -> memoryview | None:
    """The first MetaGraphDef of a SavedModel that bears exactly these tags; raises MalformedError and DecodeError."""
    for field in fields(saved_model):
        if field.number == _META_GRAPHS and field.kind == LENGTH and _tags(field.value) == set(tags):
            return field.value
    return None


def graph(meta_graph: memoryview) -> memoryview:
    """The serialized GraphDef of a MetaGraphDef, where it lies; raises MalformedError."""
    graphs = [field.value for field in fields(meta_graph) if field.number == _GRAPH_DEF and field.kind == LENGTH]
    if len(graphs) != 1:
        raise MalformedError(f"{len(graphs)} graphs in one MetaGraphDef")
    return graphs[0]


def without_graph(meta_graph: memoryview) -> bytes:
    """All fields of a MetaGraphDef but its graph."""
    try:
        return b"".join(field.whole for field in fields(meta_graph) if field.number != _GRAPH_DEF)
    except MalformedError:  # a field of a kind that nobody writes
        return bytes(meta_graph)


def signatures(definitions: Mapping[str, SignatureDef]) -> dict[str, SignatureDef]:
    """The signatures of a message, copied, so that nothing keeps the rest of it in memory."""
    found = {}
    for name, definition in definitions.items():
        found[name] = SignatureDef()
        found[name].CopyFrom(definition)
    return found


def _tags(meta_graph: memoryview) -> set[str]:
    info = MetaGraphDef.MetaInfoDef()
    for field in fields(meta_graph):
        if field.number == _META_INFO_DEF and field.kind == LENGTH:
            info.MergeFromString(bytes(field.value))
    return set(info.tags)
