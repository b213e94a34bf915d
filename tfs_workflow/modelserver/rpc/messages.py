"""gRPC messages into plans, and results into messages; independent of gRPC's transport.

Each function takes a message and returns a plan whose result is a message. The checks are those of the service's C++
code (predict_util.cc, get_model_metadata_impl.cc, get_model_status_impl.cc, multi_inference.cc), in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE
from tfs_workflow.formats.tensors import Array, InvalidTensorError, Tensor, from_proto, to_proto
from tfs_workflow.modelserver.inference import methods
from tfs_workflow.modelserver.inference.methods import Classes, InferenceTask
from tfs_workflow.modelserver.inference.servable import Plan, Servable
from tfs_workflow.modelserver.models.known_model import VersionRecord
from tfs_workflow.modelserver.models.model_repository import ModelRepository
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.protos import serving_apis_pb2 as apis

Find = Callable[[apis.ModelSpec], Servable]

SIGNATURE_DEF = "signature_def"


def finder(repository: ModelRepository) -> Find:
    """A function that finds the version of a ModelSpec; raises StatusError."""

    def find(spec: apis.ModelSpec) -> Servable:
        choice = spec.WhichOneof("version_choice")
        version = spec.version.value if choice == "version" else None
        return repository.servable(spec.name, version, spec.version_label if choice == "version_label" else None)

    return find


def _spec_of(request: Any) -> apis.ModelSpec:
    """What a request says of its model; raises StatusError when it says nothing."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec: apis.ModelSpec = request.model_spec
    return spec


def predict_plan(servable: Servable, request: apis.PredictRequest) -> Plan[dict[str, Tensor]]:
    """The run of a predict request; raises StatusError."""
    inputs = {}
    for alias, message in request.inputs.items():
        try:
            inputs[alias] = from_proto(message)
        except InvalidTensorError as error:
            raise invalid_argument(f"tensor parsing error: {alias}") from error
    return methods.predict(servable, request.model_spec.signature_name, inputs, request.output_filter)


def predict(find: Find, request: apis.PredictRequest, as_content: bool) -> Plan[apis.PredictResponse]:
    """Predict, with its answer.

    `as_content` writes tensor_content in place of the `*_val` fields (--enable_serialization_as_tensor_content).
    """
    servable = find(_spec_of(request))

    def answer(outputs: dict[str, Tensor]) -> apis.PredictResponse:
        response = apis.PredictResponse(model_spec=_answered(servable, request.model_spec))
        for alias, tensor in outputs.items():
            to_proto(tensor, response.outputs[alias], as_content)
        return response

    return predict_plan(servable, request).then(answer)


def classify(find: Find, request: apis.ClassificationRequest) -> Plan[apis.ClassificationResponse]:
    """Classify, with its answer."""
    servable = find(_spec_of(request))
    plan = methods.classify(servable, request.model_spec.signature_name, serialized_examples(request.input))
    spec = _answered(servable, request.model_spec)
    return plan.then(lambda classes: apis.ClassificationResponse(model_spec=spec, result=_classification(classes)))


def regress(find: Find, request: apis.RegressionRequest) -> Plan[apis.RegressionResponse]:
    """Regress, with its answer."""
    servable = find(_spec_of(request))
    plan = methods.regress(servable, request.model_spec.signature_name, serialized_examples(request.input))
    spec = _answered(servable, request.model_spec)
    return plan.then(lambda values: apis.RegressionResponse(model_spec=spec, result=_regression(values)))


def multi_inference(find: Find, request: apis.MultiInferenceRequest) -> Plan[apis.MultiInferenceResponse]:
    """Several inferences at once, with their answers."""
    names = [task.model_spec.name for task in request.tasks]
    if not all(names):
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if len(set(names)) > 1:
        raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    servable = find(request.tasks[0].model_spec if request.tasks else apis.ModelSpec())

    def answer(results: list[Classes | Array]) -> apis.MultiInferenceResponse:
        response = apis.MultiInferenceResponse()
        for task, result in zip(request.tasks, results, strict=True):
            message = response.results.add(model_spec=_answered(servable, task.model_spec))
            if isinstance(result, list):
                message.classification_result.CopyFrom(_classification(result))
            else:
                message.regression_result.CopyFrom(_regression(result))
        return response

    return multi_inference_plan(servable, request).then(answer)


def multi_inference_plan(servable: Servable, request: apis.MultiInferenceRequest) -> Plan[list[Classes | Array]]:
    """The run of a multi-inference request; raises StatusError."""
    tasks = [InferenceTask(t.model_spec.signature_name or DEFAULT_SIGNATURE, t.method_name) for t in request.tasks]
    return methods.multi_inference(servable, tasks, serialized_examples(request.input))


def serialized_examples(message: apis.Input) -> list[bytes]:
    """The examples of an input, each with the common context merged in.

    Concatenation merges: protobuf lets a later field win, so that an example's features override the context's.
    """
    if message.WhichOneof("kind") == "example_list_with_context":
        with_context = message.example_list_with_context
        context = with_context.context.SerializeToString()
        return [context + example.SerializeToString() for example in with_context.examples]
    return [example.SerializeToString() for example in message.example_list.examples]


def metadata(find: Find, request: apis.GetModelMetadataRequest) -> apis.GetModelMetadataResponse:
    """The signatures of a version; raises StatusError."""
    spec = _spec_of(request)
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in request.metadata_field:
        if name != SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {name} is not supported")
    servable = find(spec)
    response = apis.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    packed = response.metadata[SIGNATURE_DEF]
    # TensorFlow's name of the message, by which its clients unpack it.
    packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    packed.value = apis.SignatureDefMap(signature_def=servable.signatures).SerializeToString()
    return response


def model_status(repository: ModelRepository, request: apis.GetModelStatusRequest) -> apis.GetModelStatusResponse:
    """The states of a model's versions; raises StatusError."""
    spec = _spec_of(request)
    number = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
    return apis.GetModelStatusResponse(
        model_version_status=[_version_status(version) for version in repository.versions(spec.name, number)]
    )


def status_proto(error: StatusError | None) -> apis.StatusProto:
    """A status as a message; none is OK."""
    if error is None:
        return apis.StatusProto()
    return apis.StatusProto(error_code=int(error.code), error_message=printable(error.message))  # type: ignore[arg-type]


def printable(message: str) -> str:
    """A message without the surrogate escapes that protobuf and gRPC cannot carry."""
    return message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _version_status(version: VersionRecord) -> apis.ModelVersionStatus:
    state: Any = version.state.value
    return apis.ModelVersionStatus(version=version.number, state=state, status=status_proto(version.error))


def _answered(servable: Servable, asked: apis.ModelSpec) -> apis.ModelSpec:
    spec = apis.ModelSpec(name=asked.name, signature_name=asked.signature_name or DEFAULT_SIGNATURE)
    spec.version.value = servable.version
    return spec


def _classification(classes: Classes) -> apis.ClassificationResult:
    result = apis.ClassificationResult()
    for pairs in classes:
        row = result.classifications.add()
        for label, score in pairs:
            row.classes.add(label=label.decode("utf-8", "replace"), score=score)
    return result


def _regression(values: Sequence[float] | Array) -> apis.RegressionResult:
    return apis.RegressionResult(regressions=[apis.Regression(value=float(value)) for value in values])
