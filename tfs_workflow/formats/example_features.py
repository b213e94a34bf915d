"""The features that a model parses out of serialized tf.Examples: names, types, shapes and defaults.

A signature only has a string input. The graph has more: ParseExample's keys are constants in it, its types and shapes
are attributes (tensorflow/core/ops/parsing_ops.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfs_workflow.protos import saved_model_pb2

    Nodes = Sequence[saved_model_pb2.NodeDef]


@dataclass(frozen=True)
class ParsedFeature:
    """One feature: its type such as DT_FLOAT, how many values an example has, and whether it may be left out."""

    name: str
    dtype: str
    count: int = 1
    optional: bool = False


def parsed_features(graph: saved_model_pb2.GraphDef) -> tuple[ParsedFeature, ...]:
    """The features of every ParseExample in a graph and its functions, by name; empty where there is none."""
    bodies: list[Nodes] = [graph.node, *(function.node_def for function in graph.library.function)]
    found = {feature.name: feature for nodes in bodies for feature in _in_body(nodes)}
    return tuple(found[name] for name in sorted(found))


def _in_body(nodes: Nodes) -> Iterator[ParsedFeature]:
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        inputs = [by_name.get(name.lstrip("^").partition(":")[0]) for name in node.input]
        if node.op == "ParseExampleV2":
            yield from _second_form(node, inputs)
        elif node.op == "ParseExample":
            yield from _first_form(node, inputs)


def _second_form(
    node: saved_model_pb2.NodeDef, inputs: Sequence[saved_model_pb2.NodeDef | None]
) -> Iterator[ParsedFeature]:
    """Inputs: serialized, names, sparse_keys, dense_keys, ragged_keys, then a default a dense key."""
    sparse, dense, ragged = (_strings(one) for one in inputs[2:5])
    yield from _optional(sparse, node.attr["sparse_types"].list.type)
    yield from _optional(ragged, node.attr["ragged_value_types"].list.type)
    yield from _dense(node, dense, inputs[5:])


def _first_form(
    node: saved_model_pb2.NodeDef, inputs: Sequence[saved_model_pb2.NodeDef | None]
) -> Iterator[ParsedFeature]:
    """Inputs: serialized, names, then one key an input: Nsparse of them, Ndense of them, and the defaults."""
    first_dense = 2 + node.attr["Nsparse"].i
    first_default = first_dense + node.attr["Ndense"].i
    sparse = [key for one in inputs[2:first_dense] for key in _strings(one)]
    dense = [key for one in inputs[first_dense:first_default] for key in _strings(one)]
    yield from _optional(sparse, node.attr["sparse_types"].list.type)
    yield from _dense(node, dense, inputs[first_default:])


def _optional(names: Sequence[str], types: Sequence[int]) -> Iterator[ParsedFeature]:
    for name, dtype in zip(names, types, strict=False):
        yield ParsedFeature(name, _dtype(dtype), optional=True)


def _dense(
    node: saved_model_pb2.NodeDef, names: Sequence[str], defaults: Sequence[saved_model_pb2.NodeDef | None]
) -> Iterator[ParsedFeature]:
    types, shapes = node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape
    for name, dtype, shape, default in zip(names, types, shapes, defaults, strict=False):
        count = 1
        for dim in shape.dim:
            # An open dimension counts as one value, which every example may have.
            count *= max(dim.size, 1)
        yield ParsedFeature(name, _dtype(dtype), count, optional=not _is_empty(default))


def _is_empty(default: saved_model_pb2.NodeDef | None) -> bool:
    """Whether a default is the empty tensor, which makes the feature required."""
    if default is None or default.op != "Const":
        return False
    return any(dim.size == 0 for dim in default.attr["value"].tensor.tensor_shape.dim)


def _strings(node: saved_model_pb2.NodeDef | None) -> list[str]:
    if node is None or node.op != "Const":
        return []
    return [value.decode(errors="replace") for value in node.attr["value"].tensor.string_val]


def _dtype(number: int) -> str:
    from tfs_workflow.protos import tensor_pb2  # noqa: PLC0415  # protobuf is slow to import

    return str(tensor_pb2.DataType.Name(number))
