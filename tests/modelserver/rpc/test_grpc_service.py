"""The gRPC services, spoken to with our own messages."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format

from tests.support.modelserver import graphs, signatures
from tests.support.modelserver.inferences import example, floats, write_warmup
from tests.support.modelserver.running import Running, configured, launched, serving
from tests.support.needs import missing
from tfs_workflow.formats.tfrecord import framed
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.model_server_config_pb2 import SSLConfig
from tfs_workflow.protos.services import Method
from tfs_workflow.protos.tensor_pb2 import DT_FLOAT, TensorProto


def call(target: str, method: Method, request: Any, **options: Any) -> Any:
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(target, options=limits) as channel:
        stub = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        return stub(request, timeout=60, **options)


@pytest.fixture(scope="module")
def target(server: Running) -> str:
    return f"127.0.0.1:{server.grpc_port}"


@pytest.fixture(scope="module")
def recorded(recorded_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the models types, cls and tf2."""
    names = {"types": "types", "cls": "cls", "half": "saved_model_half_plus_two_cpu"}
    models = {name: recorded_models / path for name, path in names.items()}
    with serving(configured(tmp_path_factory.mktemp("config"), models)) as running:
        yield f"127.0.0.1:{running.grpc_port}"


def spec(
    name: str = "half_plus_two", signature: str = "", version: int | None = None, label: str = ""
) -> apis.ModelSpec:
    made = apis.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def error(target: str, method: Method, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(target, method, request)
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize("content", [True, False], ids=["tensor_content", "float_val"])
def test_predict_takes_both_encodings_and_answers_in_fields(target: str, content: bool) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1, 2, 5, content=content)})
    answer = call(target, services.PREDICT, request)
    assert list(answer.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert answer.outputs["y"].tensor_content == b""
    assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == [3]
    assert answer.model_spec == spec(signature="serving_default", version=123)


@pytest.mark.parametrize("shape", [(2**40, 2**40, 0), (2**62, 2, 0), (2**63 - 1, 2), (-1, 0), (1,) * 300])
@pytest.mark.parametrize("dtype", ["DT_FLOAT", "DT_STRING"])
def test_a_shape_that_tensorflow_cannot_have_is_refused_and_ends_nothing(
    target: str, shape: tuple[int, ...], dtype: str
) -> None:
    """TensorFlow's library ends the process for one whose sizes overflow on the way to a zero."""
    tensor = TensorProto(dtype=dtype, tensor_shape=floats(shape=shape).tensor_shape)
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": tensor})
    assert error(target, services.PREDICT, request) == ("INVALID_ARGUMENT", "tensor parsing error: x")


@pytest.mark.parametrize("shape", [(0, 2**40, 2**40), (0,), (2**62, 0)])
def test_a_shape_without_elements_is_a_shape(target: str, shape: tuple[int, ...]) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(shape=shape)})
    assert [dim.size for dim in call(target, services.PREDICT, request).outputs["y"].tensor_shape.dim] == list(shape)


def test_missing_values_repeat_the_last_one(target: str) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1, 2, shape=(2, 2))})
    assert list(call(target, services.PREDICT, request).outputs["y"].float_val) == [2.5, 3.0, 3.0, 3.0]


def test_the_output_filter_chooses(target: str) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)}, output_filter=["y"])
    assert list(call(target, services.PREDICT, request).outputs) == ["y"]
    request.output_filter[:] = ["nope"]
    assert error(target, services.PREDICT, request) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nope Outputs expected to be in the set {y}.",
    )
    request.output_filter[:] = ["y", "y"]
    assert error(target, services.PREDICT, request)[1] == "duplicate output tensor alias: y"


def test_wrong_inputs_are_refused_as_tensorflow_serving_does(target: str) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"z": floats(1), "x": floats(1)})
    assert error(target, services.PREDICT, request) == (
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    )
    request = apis.PredictRequest(model_spec=spec(), inputs={"z": floats(1)})
    assert error(target, services.PREDICT, request) == (
        "INVALID_ARGUMENT",
        "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
    )
    broken = TensorProto(dtype=DT_FLOAT, tensor_shape={"dim": [{"size": 3}]}, tensor_content=b"12345")
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": broken})
    assert error(target, services.PREDICT, request) == ("INVALID_ARGUMENT", "tensor parsing error: x")
    huge = TensorProto(dtype=DT_FLOAT, tensor_shape={"dim": [{"size": 2**40}]}, float_val=[1])
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": huge})
    assert error(target, services.PREDICT, request) == ("INVALID_ARGUMENT", "tensor parsing error: x")


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (spec(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (spec("nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (spec(version=7), "NOT_FOUND", "Servable not found for request: Specific(half_plus_two, 7)"),
        (spec(label="nope"), "INVALID_ARGUMENT", "Unrecognized servable version label: nope"),
        (spec(signature="nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
    ],
)
def test_a_model_that_is_not_there_is_named(target: str, asked: apis.ModelSpec, code: str, message: str) -> None:
    request = apis.PredictRequest(model_spec=asked, inputs={"x": floats(1)})
    assert error(target, services.PREDICT, request) == (code, message)


@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        (services.PREDICT, apis.PredictRequest),
        (services.CLASSIFY, apis.ClassificationRequest),
        (services.REGRESS, apis.RegressionRequest),
        (services.GET_MODEL_METADATA, apis.GetModelMetadataRequest),
        (services.GET_MODEL_STATUS, apis.GetModelStatusRequest),
    ],
)
def test_a_request_that_says_nothing_of_its_model_is_refused(target: str, method: Method, request_of: Any) -> None:
    assert error(target, method, request_of()) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_classify_and_regress(target: str) -> None:
    examples = apis.Input(example_list={"examples": [example(1), example(2)]})
    request = apis.RegressionRequest(model_spec=spec(signature="regress_x_to_y"), input=examples)
    answer = call(target, services.REGRESS, request)
    assert [regression.value for regression in answer.result.regressions] == [2.5, 3.0]
    assert answer.model_spec.version.value == 123
    classify = apis.ClassificationRequest(model_spec=spec(signature="classify_x_to_y"), input=examples)
    result = call(target, services.CLASSIFY, classify).result
    assert [[c.score for c in row.classes] for row in result.classifications] == [[2.5], [3.0]]


def test_the_context_is_merged_into_every_example(target: str) -> None:
    with_context = apis.Input(example_list_with_context={"context": example(3), "examples": [{}, example(1)]})
    request = apis.RegressionRequest(model_spec=spec(signature="regress_x_to_y"), input=with_context)
    answer = call(target, services.REGRESS, request)
    assert [regression.value for regression in answer.result.regressions] == [3.5, 2.5]


def test_regress_without_examples_is_refused(target: str) -> None:
    request = apis.RegressionRequest(model_spec=spec(signature="regress_x_to_y"))
    assert error(target, services.REGRESS, request) == ("INVALID_ARGUMENT", "Input is empty.")


def test_multi_inference_runs_several_signatures_at_once(target: str) -> None:
    tasks = [
        apis.InferenceTask(model_spec=spec(signature=f"{kind}_x_to_y"), method_name=f"tensorflow/serving/{kind}")
        for kind in ("classify", "regress")
    ]
    request = apis.MultiInferenceRequest(tasks=tasks, input={"example_list": {"examples": [example(1)]}})
    classified, regressed = call(target, services.MULTI_INFERENCE, request).results
    assert classified.classification_result.classifications[0].classes[0].score == 2.5
    assert regressed.regression_result.regressions[0].value == 2.5
    request.tasks.append(tasks[0])
    assert error(target, services.MULTI_INFERENCE, request)[1] == "Duplicate evaluation of signature: classify_x_to_y"


def test_status_and_metadata(target: str) -> None:
    answer = call(target, services.GET_MODEL_STATUS, apis.GetModelStatusRequest(model_spec=spec()))
    (version,) = answer.model_version_status
    assert (version.version, version.state) == (123, apis.ModelVersionStatus.AVAILABLE)
    request = apis.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"])
    packed = call(target, services.GET_MODEL_METADATA, request).metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = apis.SignatureDefMap.FromString(packed.value).signature_def
    assert signatures["serving_default"].inputs["x"].dtype == DT_FLOAT
    missing = apis.GetModelStatusRequest(model_spec=spec("nope"))
    assert error(target, services.GET_MODEL_STATUS, missing) == (
        "NOT_FOUND",
        "Could not find any versions of model nope",
    )
    request.metadata_field[:] = ["other"]
    assert error(target, services.GET_MODEL_METADATA, request)[0] == "INVALID_ARGUMENT"


def test_every_type_comes_back_in_its_field(recorded: str) -> None:
    fields = {
        "float32": ("float_val", [1.5, -2.0]), "float64": ("double_val", [0.1, 2.0]), "int32": ("int_val", [1, -2]),
        "uint8": ("int_val", [0, 255]), "int8": ("int_val", [-128, 127]), "uint16": ("int_val", [65535, 1]),
        "int64": ("int64_val", [2**62, -1]), "uint32": ("uint32_val", [2**32 - 1, 0]),
        "uint64": ("uint64_val", [2**64 - 1, 0]), "bool": ("bool_val", [True, False]),
        "half": ("half_val", [0x3C00, 0xC000]), "bfloat16": ("half_val", [0x3F80, 0xC000]),
        "string": ("string_val", [b"a\0b", b"\xff"]),
    }  # fmt: skip
    request = apis.GetModelMetadataRequest(model_spec=spec("types"), metadata_field=["signature_def"])
    packed = call(recorded, services.GET_MODEL_METADATA, request).metadata["signature_def"]
    signatures = apis.SignatureDefMap.FromString(packed.value).signature_def
    for signature, (field, values) in fields.items():
        tensor = TensorProto(dtype=signatures[signature].inputs["x"].dtype, tensor_shape={"dim": [{"size": 2}]})
        getattr(tensor, field).extend(values)
        predict = apis.PredictRequest(model_spec=spec("types", signature), inputs={"x": tensor})
        (output,) = call(recorded, services.PREDICT, predict).outputs.values()
        assert list(getattr(output, field)) == values, signature


def test_answers_as_tensor_content_behind_the_flag() -> None:
    with serving("--enable_serialization_as_tensor_content=true") as server:
        request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)})
        answer = call(f"127.0.0.1:{server.grpc_port}", services.PREDICT, request)
        assert answer.outputs["y"].tensor_content == np.array([2.5], np.float32).tobytes()


def test_a_unix_socket(tmp_path: Path) -> None:
    with serving(f"--grpc_socket_path={tmp_path}/s") as server:
        server.wait_for(f"Running gRPC ModelServer at unix:{tmp_path}/s")
        request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)})
        assert list(call(f"unix:{tmp_path}/s", services.PREDICT, request).outputs["y"].float_val) == [2.5]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_health_service_is_behind_its_flag(wanted: bool) -> None:
    with (
        serving(f"--enable_grpc_healthcheck_service={str(wanted).lower()}") as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        if wanted:
            assert check(b"", timeout=60) == b"\x08\x01"
            with pytest.raises(grpc.RpcError) as caught:
                check(b"\x0a\x04nope", timeout=60)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
            assert next(watching) == b"\x08\x01"
            server.process.terminate()
            with pytest.raises(grpc.RpcError) as caught:
                next(watching)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert server.process.wait(timeout=60) == 0
        else:
            with pytest.raises(grpc.RpcError) as caught:
                check(b"", timeout=60)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(target: str, compression: grpc.Compression) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(*[1.0] * 500)})
    answer = call(target, services.PREDICT, request, compression=compression)
    assert list(answer.outputs["y"].float_val) == [2.5] * 500


def test_a_packed_message_that_unpacks_beyond_the_bound_is_refused() -> None:
    with serving("--rest_api_max_body_bytes=100000") as server:
        values = np.zeros(50_000, np.float32)
        tensor = TensorProto(dtype=DT_FLOAT, tensor_shape={"dim": [{"size": 50_000}]}, tensor_content=values.tobytes())
        request = apis.PredictRequest(model_spec=spec(), inputs={"x": tensor})
        with pytest.raises(grpc.RpcError) as caught:
            call(f"127.0.0.1:{server.grpc_port}", services.PREDICT, request, compression=grpc.Compression.Gzip)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_messages_far_over_grpcs_own_limit(target: str) -> None:
    count = 5_000_000
    values = np.zeros(count, np.float32)
    tensor = TensorProto(dtype=DT_FLOAT, tensor_shape={"dim": [{"size": count}]}, tensor_content=values.tobytes())
    answer = call(target, services.PREDICT, apis.PredictRequest(model_spec=spec(), inputs={"x": tensor}))
    assert len(answer.outputs["y"].float_val) == count
    assert answer.outputs["y"].float_val[-1] == 2.0


def test_a_deadline_ends_a_slow_request_and_the_next_is_answered(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=40)
    with serving(f"--model_base_path={tmp_path}/slow", "--model_name=slow") as server:
        request = apis.PredictRequest(model_spec=spec("slow"), inputs={"x": floats(1)})
        method = services.PREDICT
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
            with pytest.raises(grpc.RpcError) as caught:
                stub(request, timeout=0.2)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert list(stub(request, timeout=60).outputs["y"].float_val) == [1.0]


def test_bytes_that_are_no_message_end_their_request_alone(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        raw = channel.unary_unary(services.PREDICT.path)
        with pytest.raises(grpc.RpcError) as caught:
            raw(b"\xff\xff\xff\xff", timeout=60)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)})
    assert list(call(target, services.PREDICT, request).outputs["y"].float_val) == [2.5]


def test_warmup_requests_run_before_a_version_serves(tmp_path: Path) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    write_warmup(version, apis.PredictRequest(model_spec=spec("m"), inputs={"x": floats(1)}))
    with serving(f"--model_base_path={tmp_path}/m", "--model_name=m") as server:
        server.wait_for("Finished reading warmup data for model at .* Number of warmup records read: 2")


def test_a_warmup_request_that_fails_keeps_the_version_from_serving(tmp_path: Path) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    write_warmup(version, apis.PredictRequest(model_spec=spec("m"), inputs={"wrong": floats(1)}))
    with launched(f"--model_base_path={tmp_path}/m", "--max_num_load_retries=0") as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("input tensor alias not found in signature: wrong")


def test_warmup_can_be_turned_off(tmp_path: Path) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no TFRecord")
    with serving(f"--model_base_path={tmp_path}/m", "--enable_model_warmup=false", "--model_name=m") as server:
        assert server.predict([1.0], "m") == [2.0]


NO_TFRECORD = "Please verify your warmup data is in TFRecord format"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no TFRecord at all", f"DATA_LOSS: .*byte 0: the checksum of the record's length is wrong.*{NO_TFRECORD}"),
        (framed(b"")[:-1] + b"!", f"DATA_LOSS: .*byte 0: the record's checksum is wrong.*{NO_TFRECORD}"),
        (framed(b"xyz"), "INVALID_ARGUMENT: Failed to parse warmup record: xyz from .*/tf_serving_warmup_requests"),
        (framed(b"\x2a\0"), "UNIMPLEMENTED: Unsupported log_type for warmup: 5"),
    ],
)
def test_a_damaged_warmup_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(content)
    with launched(f"--model_base_path={tmp_path}/m", "--max_num_load_retries=0") as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for(words)


def test_a_warmup_record_without_a_log_is_passed_over(tmp_path: Path) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(framed(b""))
    with serving(f"--model_base_path={tmp_path}/m", "--model_name=m") as server:
        server.wait_for("Number of warmup records read: 1")


def test_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    config = SSLConfig(server_key=key.read_text(), server_cert=certificate.read_text())
    (tmp_path / "ssl.config").write_text(text_format.MessageToString(config))
    with serving(f"--ssl_config_file={tmp_path}/ssl.config") as server:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        options = (("grpc.ssl_target_name_override", "localhost"),)
        with grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials, options) as channel:
            method = services.PREDICT
            stub = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
            request = apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)})
            assert list(stub(request, timeout=60).outputs["y"].float_val) == [2.5]


def test_sigterm_finishes_an_rpc_in_work(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=30)
    flags = (f"--model_base_path={tmp_path}/slow", "--model_name=slow", "--drain_seconds=60")
    with serving(*flags) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = services.PREDICT
        stub = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        working = stub.future(apis.PredictRequest(model_spec=spec("slow"), inputs={"x": floats(1)}), timeout=60)
        # A status that is answered on the same connection shows that the request before it has arrived.
        status = services.GET_MODEL_STATUS
        ask = channel.unary_unary(status.path, status.request.SerializeToString, status.response.FromString)
        assert ask(apis.GetModelStatusRequest(model_spec=spec("slow")), timeout=60).model_version_status
        server.process.terminate()
        assert list(working.result().outputs["y"].float_val) == [1.0]
        assert server.process.wait(timeout=60) == 0


def test_an_input_that_is_left_out_takes_the_default_of_the_signature(tmp_path: Path) -> None:
    signatures.with_default(tmp_path / "m" / "1", 10.0)
    with serving("--model_name=m", f"--model_base_path={tmp_path}/m") as server:
        target = f"127.0.0.1:{server.grpc_port}"
        request = apis.PredictRequest(model_spec=spec("m"), inputs={"x": floats(1.0, 2.0)})
        assert list(call(target, services.PREDICT, request).outputs["total"].float_val) == [11.0, 12.0]
        _, metadata = server.get("/v1/models/m/metadata")
        default = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]["defaults"]["y"]
        assert default.keys() == {
            "dtype", "tensor_shape", "version_number", "tensor_content", "half_val", "float_val", "double_val",
            "int_val", "string_val", "scomplex_val", "int64_val", "bool_val", "dcomplex_val", "resource_handle_val",
            "variant_val", "uint32_val", "uint64_val", "float8_val",
        }  # fmt: skip
        request.inputs["y"].CopyFrom(floats(1.0, 1.0))
        assert list(call(target, services.PREDICT, request).outputs["total"].float_val) == [2.0, 3.0]
        del request.inputs["x"]
        code, text = error(target, services.PREDICT, request)
        assert code == "INVALID_ARGUMENT"
        assert "Missing but required: {x}" in text


def test_multi_inference_of_signatures_with_an_input_tensor_each(tmp_path: Path) -> None:
    signatures.two_inputs(tmp_path / "m" / "1")
    with serving("--model_name=m", f"--model_base_path={tmp_path}/m") as server:
        tasks = [
            apis.InferenceTask(model_spec=spec("m", name), method_name="tensorflow/serving/regress")
            for name in ("one", "two")
        ]
        content = {"example_list": {"examples": [example(1), example(2)]}}
        request = apis.MultiInferenceRequest(tasks=tasks, input=content)
        results = call(f"127.0.0.1:{server.grpc_port}", services.MULTI_INFERENCE, request).results
        lengths = [float(len(one.SerializeToString())) for one in request.input.example_list.examples]
        assert [[r.value for r in result.regression_result.regressions] for result in results] == [lengths, lengths]
