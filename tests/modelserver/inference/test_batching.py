"""Batches across concurrent requests: they are right, bounded, and refused as TensorFlow Serving refuses them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED, Running, launched, serving
from tests.support.waiting import until


@contextmanager
def batching(tmp_path: Path, parameters: str, base_path: Path = BUNDLED, *flags: str) -> Iterator[Running]:
    (tmp_path / "batching.config").write_text(parameters)
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
    with serving(
        f"--model_base_path={base_path}",
        "--model_name=half_plus_two",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path}/batching.config",
        f"--monitoring_config_file={tmp_path}/monitoring.config",
        *flags,
    ) as server:
        yield server


def together(server: Running, requests: list[list[Any]]) -> list[Any]:
    """The answers to requests sent at the same time."""
    answers: list[Any] = [None] * len(requests)

    def ask(i: int) -> None:
        answers[i] = server.predict(requests[i])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def metric(server: Running, name: str) -> float:
    _, page = server.get("/monitoring/prometheus/metrics")
    return next(float(line.split()[-1]) for line in page.decode().splitlines() if line.startswith(name))


def test_a_full_batch_runs_at_once_and_rows_are_not_mixed_up(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 8 } batch_timeout_micros { value: 600000000 } num_batch_threads { value: 1 }"
    with batching(tmp_path, parameters) as server:
        answers = together(server, [[float(2 * i), float(2 * i + 1)] for i in range(4)])
        assert answers == [[i + 2.0, i + 2.5] for i in range(4)]
        assert metric(server, ":tensorflow:serving:batching_session:wrapped_run_count") == 1
        assert metric(server, ":tensorflow:serving:batching_session:processed_batch_size_sum") == 8


def test_requests_share_a_run(tmp_path: Path) -> None:
    graphs.summing(tmp_path / "m" / "1")
    parameters = "max_batch_size { value: 3 } batch_timeout_micros { value: 600000000 } num_batch_threads { value: 1 }"
    with batching(tmp_path, parameters, tmp_path / "m") as server:
        assert together(server, [[1.0], [10.0], [100.0]]) == [[111.0]] * 3


def test_a_batch_that_does_not_fill_runs_after_its_time(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 1000 } batch_timeout_micros { value: 20000 }"
    with batching(tmp_path, parameters) as server:
        assert server.predict([1.0]) == [2.5]


def test_a_request_larger_than_a_batch_is_refused(tmp_path: Path) -> None:
    with batching(tmp_path, "max_batch_size { value: 4 }") as server:
        status, answer = server.post("/v1/models/half_plus_two:predict", {"instances": [1.0] * 6})
        assert (status, answer) == (400, {"error": "Task size 6 is larger than maximum input batch size 4"})


def test_batches_are_padded_to_an_allowed_size(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 8 } batch_timeout_micros { value: 1000 } "
    parameters += "allowed_batch_sizes: 4 allowed_batch_sizes: 8"
    with batching(tmp_path, parameters) as server:
        assert server.predict([1.0, 2.0, 5.0]) == [2.5, 3.0, 4.5]
        assert metric(server, ':tensorflow:serving:batching_session:padding_size_sum{execution_batch_size="4"}') == 1


SHARED_RUN = "max_batch_size { value: 2 } batch_timeout_micros { value: 600000000 } num_batch_threads { value: 1 } "


def test_inputs_of_different_length_are_padded_where_asked(tmp_path: Path) -> None:
    with batching(tmp_path, SHARED_RUN + "pad_variable_length_inputs: true") as server:
        answers = together(server, [[[1.0, 2.0, 3.0]], [[7.0]]])
        assert answers == [[[2.5, 3.0, 3.5]], [[5.5, 5.5, 5.5]]]


def test_only_ranks_up_to_six_are_padded(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 2 } batch_timeout_micros { value: 600000000 } num_batch_threads { value: 1 }"
    with batching(tmp_path, parameters + " pad_variable_length_inputs: true") as server:
        answers = together(server, [[[[[[[[1.0]]]]]]], [[[[[[[1.0, 2.0]]]]]]]])
        assert answers == [{"error": "Only tensors with rank from 1 to 6 can be padded."}] * 2


def test_inputs_of_different_length_are_refused_otherwise(tmp_path: Path) -> None:
    with batching(tmp_path, SHARED_RUN) as server:
        for answer in together(server, [[[1.0, 2.0, 3.0]], [[7.0]]]):
            assert answer["error"].startswith("Tensors with name 'x:0' from different tasks have different shapes")


def test_a_scalar_cannot_be_batched(tmp_path: Path) -> None:
    with batching(tmp_path, "max_batch_size { value: 4 }") as server:
        status, answer = server.post("/v1/models/half_plus_two:predict", {"inputs": 1.0})
        assert status == 400
        assert answer["error"] == "Batching session Run() input tensors must have at least one dimension"


def test_a_full_queue_refuses_with_503(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "slow" / "1", products=30)
    parameters = "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } num_batch_threads { value: 1 }"
    with batching(tmp_path, parameters, tmp_path / "slow") as server:
        answers = together(server, [[1.0]] * 8)
        refused = [answer for answer in answers if isinstance(answer, dict)]
        assert len(refused) >= 5
        assert all("The batch scheduling queue" in answer["error"] for answer in refused)
        assert [1.0] in answers


def test_a_failing_model_fails_every_request_of_the_batch(tmp_path: Path) -> None:
    graphs.failing(tmp_path / "m" / "1")
    with batching(tmp_path, SHARED_RUN, tmp_path / "m") as server:
        for answer in together(server, [[1.0], [2.0]]):
            assert "Input to reshape is a tensor with 2 values" in answer["error"]


def test_no_request_is_lost_while_versions_change(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "m" / "1", 1)
    with batching(
        tmp_path, "max_batch_size { value: 8 } batch_timeout_micros { value: 500 }", tmp_path / "m"
    ) as server:
        stop, answers = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                answers.append(str(server.predict([0.0])))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        graphs.plus(tmp_path / "m" / "2", 2)
        server.wait_for("Done unloading servable version {name: half_plus_two version: 1}")
        stop.set()
        for thread in asking:
            thread.join()
        assert set(answers) <= {"[1.0]", "[2.0]"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 2 allowed_batch_sizes: 4 "
            "enable_large_batch_splitting { value: true }",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_batch_size { value: 0 }", "input_batch_size_limit must be positive; was 0"),
        ("max_enqueued_batches { value: 0 }", "max_enqueued_batches must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("nonsense: 1", "Invalid protobuf file"),
    ],
)
def test_wrong_parameters_are_refused_at_the_start(tmp_path: Path, parameters: str, message: str) -> None:
    (tmp_path / "batching.config").write_text(parameters)
    flags = ("--enable_batching", f"--batching_parameters_file={tmp_path}/batching.config")
    with launched(f"--model_base_path={BUNDLED}", *flags) as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for(message)


def test_sizes_that_repeat_are_taken_where_nothing_is_split(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 2 allowed_batch_sizes: 4"
    with batching(tmp_path, parameters) as server:
        assert server.predict([1.0]) == [2.5]


def test_parameters_without_batching_are_refused(tmp_path: Path) -> None:
    (tmp_path / "batching.config").write_text("")
    with launched(f"--model_base_path={BUNDLED}", f"--batching_parameters_file={tmp_path}/batching.config") as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("batching_parameters_file is set without setting server_options.enable_batching to true")


def warmed(server: Running, *rows: float) -> None:
    """By then the model is known to be quick, and its batches run on the event loop."""
    for _ in range(20):
        server.predict(list(rows))


def test_batches_of_a_quick_model_are_right_and_shared(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 64 } batch_timeout_micros { value: 20000 }"
    with batching(tmp_path, parameters) as server:
        warmed(server, 1.0)
        runs = metric(server, ":tensorflow:serving:batching_session:wrapped_run_count")
        requests = [[float(i + row) for row in range(i % 7 + 1)] for i in range(60)]
        assert together(server, requests) == [[0.5 * x + 2 for x in request] for request in requests]
        assert metric(server, ":tensorflow:serving:batching_session:wrapped_run_count") - runs < 60


def test_a_full_batch_of_a_quick_model_runs_at_once(tmp_path: Path) -> None:
    """The time of a batch would come in ten minutes; two rows are a full one."""
    with batching(tmp_path, "max_batch_size { value: 2 } batch_timeout_micros { value: 600000000 }") as server:
        warmed(server, 1.0, 2.0)
        assert together(server, [[2.0 * i] for i in range(8)]) == [[i + 2.0] for i in range(8)]


def test_a_batch_of_a_quick_model_runs_when_the_next_request_does_not_fit_into_it(tmp_path: Path) -> None:
    """Of three requests of five rows two must be answered; the third waits for three rows that fill its batch."""
    with batching(tmp_path, "max_batch_size { value: 8 } batch_timeout_micros { value: 600000000 }") as server:
        warmed(server, *range(8))
        rows = [2.0 * i for i in range(5)]
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(server.predict(rows))) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 2)
        assert server.predict([1.0, 2.0, 3.0]) == [2.5, 3.0, 3.5]
        for thread in threads:
            thread.join()
        assert answers == [[2.0, 3.0, 4.0, 5.0, 6.0]] * 3


def test_a_large_request_joins_the_batch_of_small_ones_from_its_thread(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 4100 } batch_timeout_micros { value: 50000 }"
    with batching(tmp_path, parameters) as server:
        warmed(server, 1.0)
        large = [float(i) for i in range(4096)]
        for _ in range(5):
            answers = together(server, [[1.0], large, [3.0], [5.0], [7.0], [9.0]])
            assert answers == [[2.5], [0.5 * x + 2 for x in large], [3.5], [4.5], [5.5], [6.5]]


def test_a_version_that_is_replaced_loses_no_request_of_a_batch(tmp_path: Path) -> None:
    base_path = tmp_path / "m"
    graphs.plus(base_path / "1", 1.0)
    flags = ("max_batch_size { value: 8 } batch_timeout_micros { value: 1000 }", base_path)
    with batching(tmp_path, *flags) as server:
        warmed(server, 1.0)
        seen: set[float] = set()
        graphs.plus(base_path / "2", 2.0)
        while seen != {3.0}:
            seen = {answer for (answer,) in together(server, [[1.0]] * 8)}
            assert seen <= {2.0, 3.0}


def test_a_request_without_rows_harms_no_other_of_its_batch(tmp_path: Path) -> None:
    parameters = "max_batch_size { value: 8 } batch_timeout_micros { value: 300000 } num_batch_threads { value: 1 } "
    parameters += "allowed_batch_sizes: 4 allowed_batch_sizes: 8"
    with batching(tmp_path, parameters) as server:
        bodies: list[dict[str, Any]] = [{"inputs": [2.0, 4.0]}, {"inputs": []}]
        answers: list[Any] = [None, None]

        def ask(i: int) -> None:
            answers[i] = server.post("/v1/models/half_plus_two:predict", bodies[i])

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [(200, {"outputs": [3.0, 4.0]}), (200, {"outputs": []})]
        assert server.post("/v1/models/half_plus_two:predict", bodies[1]) == (200, {"outputs": []})
