"""A serialized MetaGraphDef without its graph, whose constants may take gigabytes and are not copied."""

from __future__ import annotations

# A field of a message: its number, and wire type 2, for what has a length (meta_graph.proto).
_GRAPH_DEF = 2 << 3 | 2
_WITH_LENGTH = 2


def without_graph(meta_graph: memoryview) -> bytes:
    """All its fields but graph_def, of which each is a message."""
    kept, position = [], 0
    while position < len(meta_graph):
        start = position
        tag, position = _varint(meta_graph, position)
        size, position = _varint(meta_graph, position)
        if tag & 7 != _WITH_LENGTH:  # no field of today's
            return bytes(meta_graph)
        position += size
        if tag != _GRAPH_DEF:
            kept.append(meta_graph[start:position])
    return b"".join(kept)


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
