"""A client that leaves costs no run that has not begun; pipelined answers keep their order; bodies are bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import pytest

from tests.modelserver.processes.test_batch_ends import request_of
from tests.support.modelserver import graphs
from tests.support.modelserver.families import engine_of, metrics_of, monitored, send, unrun
from tests.support.modelserver.running import Running, configured, read_response, serving
from tests.support.waiting import until
from tfs_workflow.protos import services

SLOW, REMEMBERING = "/v1/models/s:predict", "/v1/models/m:predict"


@contextmanager
def one_thread(tmp_path: Path, *flags: str) -> Iterator[Running]:
    """A server with one thread for requests, of a slow model s, and of m, which answers with the input before."""
    graphs.slow(tmp_path / "s" / "1", products=40)
    graphs.remembering(tmp_path / "m" / "1")
    models = configured(tmp_path, {"s": tmp_path / "s", "m": tmp_path / "m"})
    with serving(models, "--rest_api_num_threads=1", "--fronts=2", monitored(tmp_path), *flags) as server:
        yield server


def last_input(server: Running) -> object:
    """What m remembers, which becomes 1."""
    status, answer = server.post(REMEMBERING, {"inputs": [1.0]})
    return answer["outputs"] if status == 200 else answer


@pytest.mark.parametrize("api", ["REST", "gRPC"])
def test_a_request_whose_client_has_left_is_not_run(tmp_path: Path, api: str) -> None:
    with one_thread(tmp_path) as server, server.connect() as slow:
        send(slow, SLOW, {"instances": [1.0]})
        until(lambda: engine_of(server).cpu_percent(0.05) > 20)
        if api == "REST":
            leaving = server.connect()
            send(leaving, REMEMBERING, {"instances": [5.0]})
            until(lambda: server.get("/healthz")[0] == 200)
            leaving.close()
        else:
            with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
                method = services.PREDICT
                call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
                waiting = call.future(request_of(5.0), timeout=60)
                with pytest.raises(grpc.FutureTimeoutError):
                    waiting.result(timeout=0.3)
                waiting.cancel()
        until(lambda: unrun(server, "cancelled") == 1)
        assert read_response(slow)[0] == 200
        assert last_input(server) == 0.0
        assert last_input(server) == [1.0]


def test_a_request_in_a_batch_that_has_not_begun_is_not_run(tmp_path: Path) -> None:
    parameters = tmp_path / "batching"
    parameters.write_text("max_batch_size { value: 2 } batch_timeout_micros { value: 60000000 }")
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}")
    with one_thread(tmp_path, *flags) as server, server.connect() as leaving:
        send(leaving, REMEMBERING, {"instances": [5.0]})
        assert server.get("/v1/models/m")[0] == 200
        leaving.close()
        until(lambda: unrun(server, "cancelled") == 1)
        # It fills the batch, which then has one row.
        server.post(REMEMBERING, {"inputs": [1.0]})
        assert metrics_of(server)[":tensorflow:serving:batching_session:processed_batch_size_sum{}"] == 1


def test_one_that_has_begun_is_finished_and_not_answered(tmp_path: Path) -> None:
    with one_thread(tmp_path) as server:
        with server.connect() as leaving:
            send(leaving, SLOW, {"instances": [1.0]})
            until(lambda: engine_of(server).cpu_percent(0.05) > 20)
        until(lambda: unrun(server, "cancelled") == 1)
        with server.connect() as connection:
            send(connection, SLOW, {"instances": [1.0]})
            assert read_response(connection)[0] == 200


@pytest.mark.parametrize("ends", [False, True])
def test_pipelined_answers_keep_their_order(tmp_path: Path, ends: bool) -> None:
    """Also where the engine ends between them: the one that ran fails, those behind it wait."""
    with one_thread(tmp_path) as server, server.connect() as connection:
        send(connection, SLOW, {"instances": [1.0]})
        for number in (2.0, 3.0, 4.0):
            send(connection, REMEMBERING, {"inputs": [number]})
        if ends:
            until(lambda: engine_of(server).cpu_percent(0.05) > 20)
            engine_of(server).kill()
        with connection.makefile("rb") as received:
            answers = [next_answer(received) for _ in range(4)]
        assert [status for status, _ in answers] == [500 if ends else 200, 200, 200, 200]
        assert [answer["outputs"] for _, answer in answers[1:]] == [0.0, [2.0], [3.0]]


def next_answer(received: BinaryIO) -> tuple[int, Any]:
    """Status and JSON of the next response on a connection that several are on."""
    head = list(iter(received.readline, b"\r\n"))
    length = next(int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length"))
    return int(head[0].split()[1]), json.loads(received.read(length))


def test_bodies_beyond_the_bound_are_refused_and_counted(tmp_path: Path) -> None:
    with one_thread(tmp_path, "--max_held_bytes=100000") as server, server.connect() as slow:
        send(slow, SLOW, {"instances": [1.0] * 10_000})
        until(lambda: engine_of(server).cpu_percent(0.05) > 20)
        connections = [server.connect() for _ in range(4)]
        for connection in connections:
            send(connection, SLOW, {"instances": [1.0] * 10_000})
        # About 50,000 bytes each: two of the five fit.
        refused = 0
        for connection in connections:
            status, headers, body = read_response(connection)
            connection.close()
            if status == 503:
                refused += 1
                assert headers["retry-after"] == "1"
                assert b"more than --max_held_bytes together" in body
            else:
                assert status == 200
        assert refused == 4
        assert unrun(server, "no_room") == 4
