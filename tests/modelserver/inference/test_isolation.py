"""A slow model, a huge request or a failing one harms nobody else; and what ends, ends with an answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.inferences import floats
from tests.support.modelserver.running import BUNDLED, Running, configured, read_response, serving
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis


@pytest.fixture(scope="module")
def beside_slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The bundled model beside one that takes seconds, and one that always fails."""
    path = tmp_path_factory.mktemp("models")
    graphs.slow(path / "slow" / "1", products=30)
    graphs.failing(path / "failing" / "1")
    flags = configured(path, {"half_plus_two": BUNDLED, "slow": path / "slow", "failing": path / "failing"})
    with serving(flags, "--rest_api_timeout_in_ms=60000") as server:
        yield server


def test_a_slow_model_does_not_hold_up_a_quick_one(beside_slow: Running) -> None:
    answers: list[object] = []
    slow = threading.Thread(target=lambda: answers.append(beside_slow.predict([1.0], "slow")))
    slow.start()
    quick = 0
    while slow.is_alive():
        assert beside_slow.predict([1.0]) == [2.5]
        quick += 1
    slow.join()
    assert answers == [[1.0]]
    assert quick > 5


def test_a_slow_model_that_comes_after_a_quick_one_over_grpc_does_not_run_in_its_place(beside_slow: Running) -> None:
    """Which model a message is for is known only when it has been read."""
    with grpc.insecure_channel(f"127.0.0.1:{beside_slow.grpc_port}") as channel:
        method = services.PREDICT
        predict = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

        def request(model: str) -> apis.PredictRequest:
            return apis.PredictRequest(model_spec={"name": model}, inputs={"x": floats(1.0)}, output_filter=["y"])

        for _ in range(20):
            predict(request("half_plus_two"), timeout=60)
        slow = predict.future(request("slow"), timeout=60)
        quick = 0
        while not slow.done():
            assert beside_slow.predict([1.0]) == [2.5]
            quick += 1
        assert list(slow.result().outputs["y"].float_val) == [1.0]
        assert quick > 5


def test_a_huge_request_does_not_hold_up_a_small_one(beside_slow: Running) -> None:
    huge = [[float(i % 100) for i in range(1000)] for _ in range(2000)]
    answers: list[object] = []
    sending = threading.Thread(target=lambda: answers.append(beside_slow.predict(huge)))
    sending.start()
    small = 0
    while sending.is_alive():
        assert beside_slow.predict([1.0]) == [2.5]
        small += 1
    assert answers == [[[0.5 * x + 2 for x in row] for row in huge]]
    assert small > 5


def test_many_requests_of_some_size_are_all_answered_and_do_not_hold_up_a_small_one(beside_slow: Running) -> None:
    """More at once than may stand in line for the loop, so that some go to threads."""
    for _ in range(20):
        beside_slow.predict([1.0])
    rows = [[float(i + row) for i in range(300)] for row in range(20)]
    body = json.dumps({"instances": rows}).encode()
    request = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    held = [beside_slow.connect() for _ in range(150)]
    try:
        for connection in held:
            connection.sendall(request)
        assert beside_slow.predict([1.0]) == [2.5]
        for connection in held:
            status, _, text = read_response(connection)
            assert (status, json.loads(text)) == (200, {"predictions": [[0.5 * x + 2 for x in row] for row in rows]})
    finally:
        for connection in held:
            connection.close()


def test_a_failing_model_answers_with_tensorflows_words(beside_slow: Running) -> None:
    status, answer = beside_slow.post("/v1/models/failing:predict", {"instances": [1.0]})
    assert status == 400
    assert "Input to reshape is a tensor with 1 values, but the requested shape has 7" in answer["error"]
    assert beside_slow.predict([1.0]) == [2.5]


def test_a_request_that_takes_too_long_is_answered_with_504(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=40)
    flags = configured(tmp_path, {"half_plus_two": BUNDLED, "slow": tmp_path / "slow"})
    with serving(flags, "--rest_api_timeout_in_ms=200") as server:
        started_s = time.monotonic()
        status, answer = server.post("/v1/models/slow:predict", {"instances": [1.0]})
        assert (status, answer) == (504, {"error": "Timed out waiting for notification"})
        assert time.monotonic() - started_s >= 0.2
        assert server.predict([1.0]) == [2.5]


def test_too_many_waiting_requests_are_refused(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=30)
    flags = configured(tmp_path, {"half_plus_two": BUNDLED, "slow": tmp_path / "slow"})
    with serving(flags, "--rest_api_num_threads=1", "--max_waiting_requests=2") as server:
        body = json.dumps({"instances": [1.0]}).encode()
        request = b"POST /v1/models/slow:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        held = [server.connect() for _ in range(12)]
        for connection in held:
            connection.sendall(request)
        answers = [read_response(connection) for connection in held]
        for connection in held:
            connection.close()
        refused = [(headers, text) for status, headers, text in answers if status == 503]
        assert {status for status, _, _ in answers} == {200, 503}
        assert len(refused) >= 8
        assert all(headers["retry-after"] == "1" and b"Too many requests" in text for headers, text in refused)


def test_sigterm_finishes_what_is_in_work_and_takes_nothing_new(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=30)
    with serving(configured(tmp_path, {"slow": tmp_path / "slow"}), "--drain_seconds=60") as server:
        body = json.dumps({"instances": [1.0]}).encode()
        with server.connect() as working, server.connect() as idle:
            working.sendall(b"POST /v1/models/slow:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            idle.sendall(b"GET /v1/models/slow HTTP/1.1\r\n\r\n")
            assert read_response(idle)[0] == 200
            server.process.terminate()
            server.wait_for("Ending: no new connections")
            assert idle.recv(1) == b""
            status, headers, text = read_response(working)
            assert (status, json.loads(text)) == (200, {"predictions": [1.0]})
            assert headers["connection"] == "close"
        assert server.process.wait(timeout=60) == 0


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=200)
    flags = (configured(tmp_path, {"slow": tmp_path / "slow"}), "--drain_seconds=0.3")
    with serving(*flags) as server, server.connect() as working, server.connect() as other:
        working.sendall(b'POST /v1/models/slow:predict HTTP/1.1\r\nContent-Length: 19\r\n\r\n{"instances":[1.0]}')
        other.sendall(b"GET /v1/models/slow HTTP/1.1\r\n\r\n")
        assert read_response(other)[0] == 200
        assert server.end() == 0
