"""Finds variables that a signature reads and that loading the model leaves without a value.

tf.saved_model.save of a Keras 3 model writes copies of the model's variables into the checkpoint, while the signatures
read the variables that are in no checkpoint. Such a model loads and becomes AVAILABLE, and every prediction ends in
"Could not find variable". The graph shows it: a SavedModel of TensorFlow 2 gives the variables that it restores to one
function call, the restore operation of its SaverDef, and those that it initializes to the operation of the signature
__saved_model_init_op. A variable that a signature's outputs depend on, and that neither of the two depends on, has no
value. TensorFlow 1 restores by operations of its own and may initialize by any, so that its models are not examined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats.model_kinds import EXPORT_FIX
from tfs_workflow.protos.saved_model_pb2 import MetaGraphDef, NodeDef

_CALLS = ("StatefulPartitionedCall", "PartitionedCall")
_SHOWN = 3


def variables_without_value(graph: MetaGraphDef) -> dict[str, list[str]]:
    """The names of the variables without a value, sorted, by the signature that reads them."""
    nodes = {node.name: node for node in graph.graph_def.node}
    restore = nodes.get(_node_name(graph.saver_def.restore_op_name))
    if restore is None or restore.op not in _CALLS:
        return {}
    outputs = {
        name: [tensor.name for tensor in definition.outputs.values()]
        for name, definition in graph.signature_def.items()
    }
    first = [name for key, names in outputs.items() if key.startswith("__") for name in names]
    filled = _variables(nodes, [restore.name, *first])
    found = {key: _variables(nodes, names) - filled for key, names in outputs.items() if not key.startswith("__")}
    return {key: sorted(names) for key, names in sorted(found.items()) if names}


def without_value_text(found: Mapping[str, list[str]]) -> str:
    """One line of evidence: the first variables, and the signatures that read them."""
    names = sorted({name for variables in found.values() for name in variables})
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"nothing restores {shown}; read by {', '.join(found)}"


def check_variables_have_values(version_dir: Path, graph: MetaGraphDef) -> None:
    """Raise InvalidModelError where no signature can be computed for want of its variables."""
    found = variables_without_value(graph)
    if found and len(found) == sum(not name.startswith("__") for name in graph.signature_def):
        raise InvalidModelError(
            "the signatures read variables that the model's files do not hold",
            where=str(version_dir),
            evidence=without_value_text(found),
            fix=EXPORT_FIX,
        )


def _variables(nodes: Mapping[str, NodeDef], ends: Iterable[str]) -> set[str]:
    """The names of the variables that these tensors or operations depend on."""
    seen: set[str] = set()
    left = [_node_name(end) for end in ends]
    while left:
        name = left.pop()
        if name not in seen and name in nodes:
            seen.add(name)
            left += map(_node_name, nodes[name].input)
    return {name for name in seen if nodes[name].op == "VarHandleOp"}


def _node_name(tensor: str) -> str:
    """The operation of a tensor or of a control input: "^a" and "a:0" are both of a."""
    return tensor.removeprefix("^").partition(":")[0]
