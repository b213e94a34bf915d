"""Whether a prediction keeps anything: then a request must not run twice.

Restoring a model writes its variables, and exported models contain the operations for that. So only what a signature's
outputs depend on counts: the nodes of the graph that lead to them, and every node of the functions that these call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from tfs_workflow.modelserver.tensorflow.loading import graph_outline
from tfs_workflow.protos.saved_model_pb2 import FunctionDef, GraphDef, MetaGraphDef, NodeDef

# By TensorFlow's names of operations: variables (of both kinds), tables, queues and other containers, generators of
# random numbers with a state of their own, and what may do anything. ScatterNd makes a new tensor, others change one.
_WRITING = re.compile(
    r"Assign|(Resource)?(Sparse)?Apply|(Resource)?Scatter(?!Nd$|NdNonAliasing)|(Resource)?StridedSliceAssign"
    r"|(Resource)?CountUpTo|(Resource)?(Sparse)?(Conditional)?Accumulator|LookupTable(Insert|Import|Remove)"
    r"|InitializeTable|Queue(Enqueue|Dequeue|Close)|Stack(Push|Pop|Close)|(Ordered)?(Map)?(Uns|S)tage|Barrier"
    r"|Iterator|(Anonymous)?MultiDevice|Stateful(Random|Uniform|StandardNormal|Truncated)|Rng(Read|Skip)|DestroyResource"
    r"|Write|Save|MergeV2|Restore|(Eager)?PyFunc|XlaHostCompute|Tensor(Forest|Summary)|BoostedTrees"
)
_STARTING = "__saved_model"


def writes(version_dir: Path, tags: Sequence[str]) -> bool:
    """Whether a signature of this SavedModel keeps anything, or nobody can tell, as without a saved_model.pb."""
    try:
        meta, _ = graph_outline.read(version_dir, tags)
    except (DecodeError, OSError, ValueError):
        return True
    return graph_writes(meta)


def graph_writes(meta: MetaGraphDef) -> bool:
    """The same for a graph with its signatures."""
    outputs = [
        info.name
        for name, signature in meta.signature_def.items()
        if not name.startswith(_STARTING)
        for info in signature.outputs.values()
    ]
    return any(_WRITING.match(node.op) for node in _executed(meta.graph_def, outputs))


def _executed(graph: GraphDef, outputs: Iterable[str]) -> Iterator[NodeDef]:
    """The nodes that these tensors depend on, and those of every function that they call."""
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    waiting, seen = [_node_of(name) for name in outputs], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        waiting += map(_node_of, nodes[name].input)
        yield from _called(nodes[name], functions, seen)


def _called(node: NodeDef, functions: Mapping[str, FunctionDef], seen: set[str]) -> Iterator[NodeDef]:
    """All nodes of the functions that a node calls: by its operation, or by an attribute."""
    for name in (node.op, *_functions_named(node)):
        function = functions.get(name)
        if function is not None and f"function {name}" not in seen:
            seen.add(f"function {name}")
            for inner in function.node_def:
                yield inner
                yield from _called(inner, functions, seen)


def _functions_named(node: NodeDef) -> Iterator[str]:
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_of(tensor: str) -> str:
    """The node of a tensor, as inputs name it: NODE, NODE:INDEX, or ^NODE for a dependency."""
    return tensor.removeprefix("^").partition(":")[0]
