"""Metrics under TensorFlow Serving's names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.inferences import example, floats, write_warmup
from tests.support.modelserver.running import BUNDLED, Running, launched, serving
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.metrics.metrics import Metrics
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.services import Method

SERVING, CORE = ":tensorflow:serving:", ":tensorflow:core:"
NAME = "half_plus_two"
RECORDED = Path(__file__).parents[2] / "peers" / "recorded" / "metrics.txt"


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("config") / "monitoring.config"
    path.write_text('prometheus_config { enable: true path: "/metrics/here" }')
    with serving(f"--monitoring_config_file={path}") as server:
        yield server


def call(server: Running, method: Method, request: Any) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        return stub(request, timeout=60)


def page(server: Running) -> dict[str, float]:
    status, text = server.get("/metrics/here")
    assert status == 200
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_requests_are_counted_by_model_and_status(counted: Running) -> None:
    before = page(counted)
    counted.predict([1.0])
    counted.predict(["a"])
    counted.post("/v1/models/made_up_name:predict", {"instances": [1.0]})
    after = page(counted)

    def more(key: str) -> float:
        return after[key] - before.get(key, 0)

    count = f"{SERVING}request_count"
    assert more(f'{count}{{model_name="half_plus_two",status="OK"}}') == 1
    assert more(f'{count}{{model_name="half_plus_two",status="INVALID_ARGUMENT"}}') == 1
    assert more(f'{count}{{model_name="made_up_name",status="NOT_FOUND"}}') == 1
    # Only what succeeded has a latency.
    labels = 'model_name="half_plus_two",API="predict",entrypoint="REST"'
    assert more(f"{SERVING}request_latency_count{{{labels}}}") == 1
    assert more(f'{SERVING}request_latency_bucket{{{labels},le="+Inf"}}') == 1
    assert not any("made_up_name" in key for key in after if "latency" in key)


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for i in range(150):
        metrics.request(f"unknown_{i}", "REST", "predict", Code.NOT_FOUND, 0.001)
    text = metrics.page().decode()
    assert text.count("unknown_") == 100
    assert f'{SERVING}request_count{{model_name="",status="NOT_FOUND"}} 50\n' in text


@pytest.mark.parametrize("fast", [False, True])
def test_runs_are_counted_on_every_path(counted: Running, fast: bool) -> None:
    # After a few quick runs a model runs on the fast path.
    for _ in range(20 if fast else 0):
        counted.predict([1.0])
    before = page(counted)
    counted.predict([1.0, 2.0, 5.0])
    call(counted, services.PREDICT, apis.PredictRequest(model_spec={"name": NAME}, inputs={"x": floats(1.0, 2.0)}))
    counted.post(f"/v1/models/{NAME}:predict", {"inputs": [1.0] * 1000})
    after = page(counted)
    more = {key: value - before.get(key, 0) for key, value in after.items()}
    assert more[f'{SERVING}runtime_latency_count{{model_name="{NAME}",API="Predict",runtime="TF1"}}'] == 3
    assert more[f"{CORE}graph_runs{{}}"] == more[f"{CORE}graph_run_time_usecs_histogram_count{{}}"] == 3
    assert more[f"{CORE}graph_run_time_usecs{{}}"] == more[f"{CORE}graph_run_time_usecs_histogram_sum{{}}"] > 0
    for direction in ("input", "output"):
        assert more[f"{CORE}graph_run_{direction}_tensor_bytes_sum{{}}"] == 4 * 1005


def test_examples_are_counted_as_tensorflow_serving_does(counted: Running) -> None:
    examples = apis.Input(example_list={"examples": [example(1), example(2), example(3)]})
    before = page(counted)
    for kind, method in (("Classify", services.CLASSIFY), ("Regress", services.REGRESS)):
        spec = {"name": NAME, "signature_name": f"{kind.lower()}_x_to_y"}
        call(counted, method, method.request(model_spec=spec, input=examples))
        runtime = f'{SERVING}runtime_latency_count{{model_name="{NAME}",API="{kind}",runtime="TF1"}}'
        assert page(counted)[runtime] == before.get(runtime, 0) + 1
    assert f'{SERVING}request_example_count_total{{model="{NAME}"}}' not in page(counted)
    task = apis.InferenceTask(model_spec=spec, method_name="tensorflow/serving/regress")
    call(counted, services.MULTI_INFERENCE, apis.MultiInferenceRequest(tasks=[task], input=examples))
    values = page(counted)
    assert values[f'{SERVING}request_example_count_total{{model="{NAME}"}}'] == 3
    assert values[f'{SERVING}request_example_counts_bucket{{model="{NAME}",le="2"}}'] == 0
    assert values[f'{SERVING}request_example_counts_bucket{{model="{NAME}",le="4"}}'] == 1
    # Three strings, each with its length in front of its bytes.
    added = (
        values[f"{CORE}graph_run_input_tensor_bytes_sum{{}}"] - before[f"{CORE}graph_run_input_tensor_bytes_sum{{}}"]
    )
    assert added == 3 * sum(24 + len(one.SerializeToString()) for one in examples.example_list.examples)


def test_a_grpc_request_for_an_unknown_model_is_counted_under_its_name(counted: Running) -> None:
    call(counted, services.PREDICT, apis.PredictRequest(model_spec={"name": NAME}, inputs={"x": floats(1.0)}))
    before = page(counted)
    with pytest.raises(grpc.RpcError):
        call(counted, services.PREDICT, apis.PredictRequest(model_spec={"name": "nobody"}))
    after = page(counted)
    assert after[f'{SERVING}request_count{{model_name="nobody",status="NOT_FOUND"}}'] == 1
    known = f'{SERVING}request_count{{model_name="{NAME}",status="NOT_FOUND"}}'
    assert after.get(known) == before.get(known)


def test_a_warm_up_is_counted_with_its_time(tmp_path: Path) -> None:
    version = tmp_path / "m" / "1"
    graphs.plus(version, 1)
    write_warmup(version, apis.PredictRequest(model_spec={"name": "m"}, inputs={"x": floats(1)}))
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics/here" }')
    monitoring = f"--monitoring_config_file={tmp_path}/monitoring.config"
    with serving(f"--model_base_path={tmp_path}/m", "--model_name=m", monitoring) as server:
        values = page(server)
        assert values[f'{SERVING}model_warmup_latency_count{{model_path="{version}",status="OK"}}'] == 1
        assert values[f"{CORE}graph_runs{{}}"] == 2


def test_a_counter_is_read_by_tensorflows_name() -> None:
    metrics = Metrics()
    assert metrics.count("/tensorflow/cc/saved_model/load_attempt_count") == 0
    metrics.load("/m/1", succeeded=True, latency_s=0.5)
    assert metrics.count("/tensorflow/cc/saved_model/load_attempt_count") == 1
    assert metrics.count("/tensorflow/cc/saved_model/load_latency") == 500_000


def test_a_reload_tells_how_much_counters_have_grown(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "b" / "1", 1)
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
    request = apis.ReloadConfigRequest(metric_names=["/tensorflow/cc/saved_model/load_attempt_count", "/no/such"])
    for name, path in ((NAME, BUNDLED), ("b", tmp_path / "b")):
        model = {"name": name, "base_path": str(path), "model_platform": "tensorflow"}
        request.config.model_config_list.config.add(**model)
    with serving(f"--monitoring_config_file={tmp_path}/monitoring.config") as server:
        metrics = call(server, services.RELOAD_CONFIG, request).metric
        again = call(server, services.RELOAD_CONFIG, request).metric
    increases = {metric.name: metric.int64_value_increase for metric in metrics}
    assert increases.keys() == {metric.name for metric in again} == set(request.metric_names)
    assert increases["/no/such"] == 0
    assert [metric.int64_value_increase for metric in again] == [0, 0]


def test_the_page_is_the_recorded_one(tmp_path: Path) -> None:
    """The same eight requests, with batching, as when TensorFlow Serving's page was recorded."""
    (tmp_path / "batching.config").write_text(
        "max_batch_size { value: 4 } batch_timeout_micros { value: 1000 } max_enqueued_batches { value: 100 }"
    )
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics/here" }')
    with serving(
        "--enable_batching",
        f"--batching_parameters_file={tmp_path}/batching.config",
        f"--monitoring_config_file={tmp_path}/monitoring.config",
        "--rest_api_enable_cors_support",
    ) as server:
        path = f"/v1/models/{NAME}"
        for instances in ([1.0, 2.0, 5.0], [1.0] * 6, "no list"):
            server.predict(instances)
        server.post(f"{path}:predict", b"{")
        server.get(path)
        server.request("OPTIONS", "/v1/models", Origin="http://example.com")
        server.request("OPTIONS", "/v1/models")
        server.get("/v1/nothing")
        got = {line.rpartition(" ")[0]: line for line in server.get("/metrics/here")[1].decode().splitlines()}
    wanted = RECORDED.read_text().replace("${MODELS}/saved_model_half_plus_two_cpu", str(BUNDLED)).splitlines()
    # How long something took, and what loading the model ran, differ.
    differing = re.compile(r"latency|graph_run(s|_time|_input)|queuing")
    same = [line for line in wanted if not differing.search(line)]
    assert [got.get(line.rpartition(" ")[0]) for line in same] == same
    assert [line for line in wanted if line.rpartition(" ")[0] not in got] == []


def test_loads_and_the_process_are_counted(counted: Running) -> None:
    values = page(counted)
    assert next(v for k, v in values.items() if k.startswith(":tensorflow:cc:saved_model:load_latency{")) > 0
    assert any("load_attempt_count{" in key and 'status="success"' in key for key in values)
    assert values["process_resident_memory_bytes"] > 0


def test_types_are_named(counted: Running) -> None:
    counted.predict([1.0])
    _, text = counted.get("/metrics/here")
    assert b"# TYPE :tensorflow:serving:request_count counter\n" in text
    assert b"# TYPE :tensorflow:serving:request_log_count counter\n" in text


def test_other_paths_are_named(counted: Running) -> None:
    status, text = counted.get("/metrics/here?x=1")
    assert (status, text) == (400, b"Unexpected path: /metrics/here?x=1. Should be /metrics/here")
    assert counted.get("/monitoring/prometheus/metrics")[0] == 404


def test_metrics_are_off_by_default(server: Running) -> None:
    assert server.get("/monitoring/prometheus/metrics")[0] == 404


def test_a_wrong_monitoring_file_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("nonsense: 1")
    with launched(f"--model_base_path={BUNDLED}", f"--monitoring_config_file={tmp_path}/m") as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("Invalid protobuf file")
