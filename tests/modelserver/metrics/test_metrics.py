"""Metrics under TensorFlow Serving's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modelserver.running import BUNDLED, Running, launched, serving


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("config") / "monitoring.config"
    path.write_text('prometheus_config { enable: true path: "/metrics/here" }')
    with serving(f"--monitoring_config_file={path}") as server:
        yield server


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

    count = ":tensorflow:serving:request_count"
    assert more(f'{count}{{model_name="half_plus_two",status="OK"}}') == 1
    assert more(f'{count}{{model_name="half_plus_two",status="INVALID_ARGUMENT"}}') == 1
    latency = ":tensorflow:serving:request_latency"
    labels = 'API="predict",entrypoint="REST",model_name="half_plus_two"'
    assert more(f"{latency}_count{{{labels}}}") == 2
    assert more(f'{latency}_bucket{{API="predict",entrypoint="REST",le="+Inf",model_name="half_plus_two"}}') == 2
    assert not any("made_up_name" in key for key in after)


def test_loads_and_the_process_are_counted(counted: Running) -> None:
    values = page(counted)
    assert next(v for k, v in values.items() if k.startswith(":tensorflow:cc:saved_model:load_latency{")) > 0
    assert any("load_attempt_count{" in key and 'status="success"' in key for key in values)
    assert values["process_resident_memory_bytes"] > 0


def test_types_are_named_without_prometheus_clients_suffix(counted: Running) -> None:
    counted.predict([1.0])
    _, text = counted.get("/metrics/here")
    assert b"# TYPE :tensorflow:serving:request_count counter\n" in text
    assert b"_created" not in text


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
