"""The embedded server and the published tensorflow-serving-api client, in an environment of the test's own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.modelserver.running import serving
from tests.support.needs import missing

# The stubs import tensorflow.core…_pb2: a package without its __init__ gives them that without TensorFlow itself.
SESSION = """
import sys, types
sys.path.insert(0, sys.argv[1])
tensorflow = types.ModuleType("tensorflow")
tensorflow.__path__ = [sys.argv[2]]
sys.modules["tensorflow"] = tensorflow
import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2
from tensorflow_serving.apis import inference_pb2, model_management_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc, regression_pb2

channel = grpc.insecure_channel(sys.argv[3])
prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_service_pb2_grpc.ModelServiceStub(channel)

def request(kind, signature=""):
    made = kind()
    made.model_spec.name, made.model_spec.signature_name = "half_plus_two", signature
    return made

predict = request(predict_pb2.PredictRequest)
text_format.Parse("dtype: DT_FLOAT tensor_shape { dim { size: 3 } } float_val: [1, 2, 5]", predict.inputs["x"])
answer = prediction.Predict(predict, timeout=60)
assert list(answer.outputs["y"].float_val) == [2.5, 3.0, 4.5], answer
assert answer.model_spec.version.value == 123

EXAMPLE = 'example_list { examples { features { feature { key: "x" value { float_list { value: 1 } } } } } }'
regress = request(regression_pb2.RegressionRequest, "regress_x_to_y")
text_format.Parse(EXAMPLE, regress.input)
assert prediction.Regress(regress, timeout=60).result.regressions[0].value == 2.5
classify = request(classification_pb2.ClassificationRequest, "classify_x_to_y")
text_format.Parse(EXAMPLE, classify.input)
assert prediction.Classify(classify, timeout=60).result.classifications[0].classes[0].score == 2.5

multi = inference_pb2.MultiInferenceRequest()
text_format.Parse(EXAMPLE, multi.input)
for kind in ("classify", "regress"):
    task = multi.tasks.add(method_name=f"tensorflow/serving/{kind}")
    task.model_spec.CopyFrom(request(predict_pb2.PredictRequest, f"{kind}_x_to_y").model_spec)
assert prediction.MultiInference(multi, timeout=60).results[1].regression_result.regressions[0].value == 2.5

metadata = request(get_model_metadata_pb2.GetModelMetadataRequest)
metadata.metadata_field.append("signature_def")
signatures = get_model_metadata_pb2.SignatureDefMap()
assert prediction.GetModelMetadata(metadata, timeout=60).metadata["signature_def"].Unpack(signatures)
assert signatures.signature_def["serving_default"].method_name == "tensorflow/serving/predict"

(version,) = models.GetModelStatus(request(get_model_status_pb2.GetModelStatusRequest), timeout=60).model_version_status
assert (version.version, version.state) == (123, get_model_status_pb2.ModelVersionStatus.AVAILABLE)

reload = model_management_pb2.ReloadConfigRequest()
config = reload.config.model_config_list.config.add(name="renamed", base_path=sys.argv[4], model_platform="tensorflow")
assert models.HandleReloadConfigRequest(reload, timeout=60).status.error_code == 0
predict.model_spec.name = "renamed"
assert list(prediction.Predict(predict, timeout=60).outputs["y"].float_val) == [2.5, 3.0, 4.5]
predict.model_spec.name = "nope"
try:
    prediction.Predict(predict, timeout=60)
except grpc.RpcError as error:
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "Servable not found for request: Latest(nope)"
else:
    raise AssertionError("a model that is not there answered")
print("agrees")
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published stubs, without the TensorFlow that they ask for."""
    target = tmp_path_factory.mktemp("stubs")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    ran = subprocess.run([*pip, "tensorflow-serving-api>=2.19,<2.21"], capture_output=True, text=True, check=False)
    if ran.returncode:
        missing(f"tensorflow-serving-api cannot be installed: {ran.stderr[-300:]}")
    return target


@pytest.mark.parametrize("fronts", [0, 1, 2])
def test_every_method_answers_the_published_client(stubs: Path, fronts: int) -> None:
    wheel = importlib.util.find_spec("tensorflow")
    if wheel is None or not wheel.submodule_search_locations:
        missing("the tensorflow wheel is not installed")
    with serving(f"--fronts={fronts}") as server:
        bundled = Path(__file__).parents[2] / "tfs_workflow" / "bundled" / "half_plus_two"
        arguments = [str(stubs), wheel.submodule_search_locations[0], f"127.0.0.1:{server.grpc_port}", str(bundled)]
        ran = subprocess.run(
            [sys.executable, "-c", SESSION, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "agrees\n"
