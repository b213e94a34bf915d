"""Requests as PredictionLog messages: the format of warm-up files (prediction_log.proto)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfs_workflow.client import json_codec
from tfs_workflow.client.interface import InvalidInputError
from tfs_workflow.client.tensor_codec import encode
from tfs_workflow.errors import WorkflowError
from tfs_workflow.formats.base64_json import decode_base64, is_base64
from tfs_workflow.formats.savedmodel import CLASSIFY_METHOD, REGRESS_METHOD, Signature, TensorSpec
from tfs_workflow.formats.signature_text import tensor_text
from tfs_workflow.protos.example_pb2 import Example
from tfs_workflow.protos.serving_apis_pb2 import Input, ModelSpec, PredictionLog
from tfs_workflow.quality.cases import Case

if TYPE_CHECKING:
    from tfs_workflow.client.interface import Array


def prediction_log(model: str, case: Case, signature: Signature) -> PredictionLog:
    """A case's request; raises InvalidInputError where it does not fit the signature."""
    spec = ModelSpec(name=model, signature_name=case.signature)
    try:
        if "examples" in case.request:
            return _of_examples(spec, case.request, signature)
        return _of_tensors(spec, case.request, signature.inputs)
    except WorkflowError as error:
        error.where = case.where
        raise


def _of_tensors(spec: ModelSpec, request: Mapping[str, Any], inputs: Mapping[str, TensorSpec]) -> PredictionLog:
    if "instances" in request:
        arrays = json_codec.from_instances(request["instances"], inputs)
    else:
        arrays = json_codec.from_inputs(request["inputs"], inputs)
    log = PredictionLog()
    log.predict_log.request.model_spec.CopyFrom(spec)
    for name, array in arrays.items():
        _check_shape(name, array, inputs[name])
        encode(array, inputs[name].dtype, log.predict_log.request.inputs[name])
    return log


def _check_shape(name: str, array: Array, spec: TensorSpec) -> None:
    """A warm-up request that the model rejects would keep the whole version from serving."""
    if spec.shape is None:
        return
    same_rank = len(spec.shape) == array.ndim
    if not same_rank or any(w >= 0 and w != g for w, g in zip(spec.shape, array.shape, strict=True)):
        raise InvalidInputError(f"the shape {array.shape} does not fit {tensor_text(name, spec)}")


def _of_examples(spec: ModelSpec, request: Mapping[str, Any], signature: Signature) -> PredictionLog:
    log = PredictionLog()
    if signature.method not in (CLASSIFY_METHOD, REGRESS_METHOD):
        raise InvalidInputError(f"examples are for classify and regress; the signature is for {signature.method!r}")
    asked = log.regress_log if signature.method == REGRESS_METHOD else log.classify_log
    asked.request.model_spec.CopyFrom(spec)
    asked.request.input.CopyFrom(_input(request))
    return log


def _input(request: Mapping[str, Any]) -> Input:
    examples = [_example(one) for one in request["examples"]]
    found = Input()
    if "context" in request:
        found.example_list_with_context.examples.extend(examples)
        found.example_list_with_context.context.CopyFrom(_example(request["context"]))
    else:
        found.example_list.examples.extend(examples)
    return found


def _example(value: Any) -> Example:
    """A tf.Example of a JSON object: the first value of a feature decides on its kind (json_tensor.cc)."""
    if not isinstance(value, dict):
        raise InvalidInputError(f"expected an example as an object of features, got {value!r}")
    example = Example()
    example.features.SetInParent()
    for name, content in value.items():
        values = content if isinstance(content, list) else [content]
        feature = example.features.feature[name]
        try:
            if all(isinstance(one, str) or is_base64(one) for one in values):
                feature.bytes_list.value.extend(map(_bytes, values))
            elif all(isinstance(one, int) for one in values):
                feature.int64_list.value.extend(map(int, values))
            else:
                feature.float_list.value.extend(values)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"feature {name}: {error}") from error
    return example


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else decode_base64(value["b64"])
