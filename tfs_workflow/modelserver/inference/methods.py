"""Predict, classify, regress and multi-inference as plans, checked as TensorFlow Serving checks them.

Sources: predict_util.cc, classifier.cc, regressor.cc, multi_inference.cc, util.cc in
tensorflow_serving/servables/tensorflow. Method names are not checked, as its flag's default has it.

REST and gRPC differ in how they write a request, not in what it means. So both make plans here, and the checks, their
order and their texts exist once. The order matters where a request has two faults: a client gets the one that
TensorFlow Serving names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import text_format

from tfs_workflow.formats.savedmodel import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import STRING, Array, Tensor, from_proto
from tfs_workflow.modelserver.inference.servable import CLASSIFY, PREDICT, REGRESS, Plan, Servable
from tfs_workflow.modelserver.status_error import StatusError, failed_precondition, invalid_argument
from tfs_workflow.protos.saved_model_pb2 import SignatureDef
from tfs_workflow.protos.tensor_pb2 import DataType

MAX_RANK = 254  # TensorShape::MaxDimensions

_WHOLE = re.compile(r"(: -?[0-9]+)\.0$", re.MULTILINE)

Classes = list[list[tuple[bytes, float]]]


class InferenceTask(NamedTuple):
    """One inference of a multi-inference request."""

    signature_name: str
    method: str


def predict(
    servable: Servable, signature_name: str, inputs: dict[str, Tensor], output_filter: Sequence[str] = ()
) -> Plan[dict[str, Tensor]]:
    """Feed every input of a signature and fetch its outputs, or those in the filter, by name.

    Raises StatusError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for other inputs than the
    signature's or an unknown output. Types and shapes are checked by TensorFlow itself when it runs.
    """
    name = signature_name or DEFAULT_SIGNATURE
    known = servable.tensors.get(name)
    if known is None:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    if len(inputs) < len(known.inputs):
        inputs = _defaults(servable.signatures[name], inputs) | inputs
    feeds = _feeds(known.inputs, inputs)
    aliases = _outputs(known.outputs, output_filter)
    fetches = [known.outputs[alias] for alias in aliases]
    return Plan(servable, feeds, fetches, lambda outputs: dict(zip(aliases, outputs, strict=True)), PREDICT)


def classify(servable: Servable, signature_name: str, examples: Sequence[bytes]) -> Plan[Classes]:
    """Labels and scores for each serialized tf.Example.

    For each example its pairs of label and score; labels are empty or scores 0.0 where the signature lacks them.
    Outputs have the shape (examples, classes). Raises StatusError.
    """
    signature = _signature(servable, signature_name)
    feed, fetches = _classify_tensors(signature)
    return Plan(
        servable,
        [(feed, _example_tensor(examples))],
        fetches,
        lambda outputs: _classes(signature, len(examples), dict(zip(fetches, outputs, strict=True))),
        CLASSIFY,
    )


def regress(servable: Servable, signature_name: str, examples: Sequence[bytes]) -> Plan[Array]:
    """One number for each serialized tf.Example.

    A float32 array of the shape (examples,). The output may be (examples,) or (examples, 1). Raises StatusError.
    """
    signature = _signature(servable, signature_name)
    feed, fetches = _regress_tensors(signature)
    return Plan(
        servable,
        [(feed, _example_tensor(examples))],
        fetches,
        lambda outputs: _values(len(examples), outputs[0]),
        REGRESS,
    )


def multi_inference(
    servable: Servable, tasks: Sequence[InferenceTask], examples: Sequence[bytes]
) -> Plan[list[Classes | Array]]:
    """Several classifications and regressions of the same examples in one run.

    Each signature may be named once. Raises StatusError (multi_inference.cc).
    """
    feeds: dict[str, Tensor] = {}
    tensor, wanted = _example_tensor(examples), []
    for i, task in enumerate(tasks):
        if any(other.signature_name == task.signature_name for other in tasks[:i]):
            raise invalid_argument(f"Duplicate evaluation of signature: {task.signature_name}")
        if task.signature_name not in servable.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {task.signature_name}")
        name, outputs = _task_tensors(servable.signatures[task.signature_name], task.method)
        # A TensorFlow 2 model has an input tensor for each signature; all get the same examples.
        feeds[name] = tensor
        wanted += outputs
    # Two signatures often share an output. Sorted, so that equal requests meet in one queue of the batcher.
    fetches = sorted(set(wanted))

    def finish(outputs: list[Tensor]) -> list[Classes | Array]:
        if servable.metrics is not None:
            servable.metrics.examples(servable.name, len(examples))
        by_name = dict(zip(fetches, outputs, strict=True))
        return [_task_result(servable.signatures[t.signature_name], t.method, len(examples), by_name) for t in tasks]

    return Plan(servable, list(feeds.items()), fetches, finish)


def input_types(servable: Servable, signature_name: str) -> dict[str, int]:
    """Input name to type of a signature, for reading JSON; raises StatusError when it is not there."""
    name = signature_name or DEFAULT_SIGNATURE
    known = servable.tensors.get(name)
    if known is None:
        raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
    return known.input_types


def _feeds(names: Mapping[str, str], inputs: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    # The number first, as in TensorFlow Serving: with it right, an unknown name implies a missing one.
    if len(inputs) != len(names):
        raise invalid_argument(_input_size_message(set(inputs), set(names)))
    feeds = []
    for alias, tensor in inputs.items():
        if alias not in names:
            known = ",".join(sorted(names))
            raise invalid_argument(
                f"input tensor alias not found in signature: {alias}. Inputs expected to be in the set {{{known}}}."
            )
        if len(tensor.shape) > MAX_RANK:
            raise invalid_argument(f"tensor parsing error: {alias}")
        feeds.append((names[alias], tensor))
    return feeds


def _defaults(signature: SignatureDef, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The signature's own values for inputs that the request leaves out (SignatureDef.defaults)."""
    return {alias: from_proto(value) for alias, value in signature.defaults.items() if alias not in inputs}


def _input_size_message(sent: set[str], wanted: set[str]) -> str:
    """TensorFlow Serving's text, letter for letter: clients find the misspelt name in it (predict_util.cc)."""
    listed = [",".join(sorted(names)) for names in (sent, wanted, sent - wanted, wanted - sent)]
    return (
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{listed[0]}}}) != "
        f"len({{{listed[1]}}}). Sent extra: {{{listed[2]}}}. Missing but required: {{{listed[3]}}}."
    )


def _outputs(names: Mapping[str, str], output_filter: Sequence[str]) -> list[str]:
    for i, alias in enumerate(output_filter):
        if alias not in names:
            known = ",".join(sorted(names))
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{known}}}."
            )
        if alias in output_filter[:i]:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
    # Without a filter all outputs, in the order of the signature.
    return list(output_filter) or list(names)


def _signature(servable: Servable, signature_name: str) -> SignatureDef:
    name = signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _example_tensor(examples: Sequence[bytes]) -> Tensor:
    if not examples:
        raise invalid_argument("Input is empty.")
    values = np.empty(len(examples), np.object_)
    values[:] = examples
    return Tensor(STRING, (len(examples),), values)


def _classify_tensors(signature: SignatureDef) -> tuple[str, list[str]]:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise failed_precondition(f"No classification inputs found in SignatureDef: {_shown(signature)}")
    fetches = [signature.outputs[name].name for name in ("classes", "scores") if name in signature.outputs]
    if not fetches:
        raise failed_precondition(
            "Expected classification signature outputs to contain at least one of "
            f'"classes" or "scores". Signature was: {_shown(signature)}'
        )
    return signature.inputs["inputs"].name, fetches


def _regress_tensors(signature: SignatureDef) -> tuple[str, list[str]]:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    for kind, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if kind not in tensors:
            raise failed_precondition(f"No regression {kind} found in SignatureDef: {_shown(signature)}")
    return signature.inputs["inputs"].name, [signature.outputs["outputs"].name]


def _task_tensors(signature: SignatureDef, method: str) -> tuple[str, list[str]]:
    if method == CLASSIFY_METHOD:
        return _classify_tensors(signature)
    if method == REGRESS_METHOD:
        return _regress_tensors(signature)
    raise StatusError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {method}")


def _task_result(
    signature: SignatureDef, method: str, example_count: int, outputs: Mapping[str, Tensor]
) -> Classes | Array:
    if method == CLASSIFY_METHOD:
        return _classes(signature, example_count, outputs)
    return _values(example_count, outputs[signature.outputs["outputs"].name])


def _classes(signature: SignatureDef, example_count: int, outputs: Mapping[str, Tensor]) -> Classes:
    found = {kind: outputs[signature.outputs[kind].name] for kind in ("classes", "scores") if kind in signature.outputs}
    for kind, dtype in (("classes", "DT_STRING"), ("scores", "DT_FLOAT")):
        if kind in found:
            _check_classes(found[kind], kind, dtype, example_count)
    counts = {tensor.shape[1] for tensor in found.values()}
    if len(counts) > 1:
        got = f"{found['classes'].shape[1]} vs. {found['scores'].shape[1]}"
        raise invalid_argument(f"Tensors class and score should match in dim_size(1). Got {got}")
    # At least one of the two is there, which `_classify_tensors` has checked.
    (count,) = counts
    labels = found["classes"].values.tolist() if "classes" in found else [b""] * (count * example_count)
    scores = found["scores"].values.tolist() if "scores" in found else [0.0] * (count * example_count)
    pairs = list(zip(labels, scores, strict=True))
    return [pairs[i * count : (i + 1) * count] for i in range(example_count)]


def _check_classes(tensor: Tensor, kind: str, dtype: str, example_count: int) -> None:
    if len(tensor.shape) != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(tensor.shape)}")
    if tensor.dtype != DataType.Value(dtype):
        raise invalid_argument(f"Expected {kind} Tensor of {dtype}. Got: {DataType.Name(tensor.dtype)}")
    if tensor.shape[0] != example_count:
        raise invalid_argument(f"Expected {kind} output batch size of {example_count}. Got: {tensor.shape[0]}")


def _values(example_count: int, tensor: Tensor) -> Array:
    shape = tensor.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(shape)}"
        )
    if shape[0] != example_count:
        raise invalid_argument(f"Input batch size did not match output batch size: {example_count} vs. {shape[0]}")
    if tensor.dtype != DataType.Value("DT_FLOAT"):
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {DataType.Name(tensor.dtype)}")
    return tensor.values


def _shape(sizes: Iterable[Any]) -> str:
    return "[" + ",".join(map(str, sizes)) + "]"


def _shown(signature: SignatureDef) -> str:
    """As protobuf's DebugString prints it, which leaves the .0 of a whole number out."""
    return _WHOLE.sub(r"\1", text_format.MessageToString(signature))
