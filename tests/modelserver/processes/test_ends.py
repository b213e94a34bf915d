"""What an end of engine, front or parent costs the clients, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import grpc
import psutil
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.families import RIGHT, clients_of, crashing, engine_of, fronts_of, predict, send
from tests.support.modelserver.running import Running, launched, read_response, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

IMAGE = [[[float(column)] for column in range(4)] for _ in range(4)]
# Of no known rank, so that it is not refused beforehand.
CRASHING: dict[str, list[float]] = {"inputs": []}
PREDICT = "/v1/models/m:predict"


@pytest.mark.parametrize("fronts", [1, 2])
def test_an_end_of_the_engine_under_load_costs_no_connection(fronts: int) -> None:
    with serving(f"--fronts={fronts}") as server, clients_of(server) as clients:
        engine = engine_of(server)
        engine.kill()
        until(lambda: engine_of(server).pid != engine.pid)
        clients.wait_for_more()
        clients.end()
        # A run may have been under way in the very moment; every other request waited for the next engine.
        clients.assert_one_run_lost()


def test_an_end_of_a_front_breaks_its_own_connections_only() -> None:
    with serving("--fronts=2") as server, clients_of(server) as clients:
        first, second = fronts_of(server)
        first.kill()
        clients.wait_for_more()
        until(lambda: len(fronts_of(server)) == 2 and second in fronts_of(server))
        clients.wait_for_more()
        clients.end()
        assert set(clients.seen) <= {"right", "broken"}
        assert clients.seen["broken"] <= 8


@pytest.mark.parametrize("fronts", [1, 2])
def test_an_end_of_the_parent_leaves_nothing_behind(fronts: int) -> None:
    with serving(f"--fronts={fronts}") as server, clients_of(server) as clients:
        children = psutil.Process(server.process.pid).children()
        assert len(children) == 1 + fronts
        server.process.kill()
        clients.end()
        assert psutil.wait_procs(children, timeout=60)[1] == []


def test_a_crash_costs_the_request_that_ran_and_its_kind_is_refused_afterwards(tmp_path: Path) -> None:
    with crashing(tmp_path, "--fronts=1") as server:
        assert server.post(PREDICT, {"instances": [IMAGE]})[0] == 200
        status, answer = server.post(PREDICT, CRASHING)
        assert status == 500
        assert answer["error"] == "The process that runs TensorFlow ended by SIGABRT while it ran this request."
        status, answer = server.post(PREDICT, CRASHING)
        assert status == 400
        assert answer["error"] == (
            "Input x has shape [0], and the signature names no shape. "
            "A request like this has ended the process that runs TensorFlow, so it is not run again."
        )
        assert server.post(PREDICT, {"instances": [IMAGE]})[0] == 200


def test_what_had_not_begun_is_answered_by_the_next_engine(tmp_path: Path) -> None:
    # With one thread the second waits for the first.
    with crashing(tmp_path, "--rest_api_num_threads=1", "--fronts=1") as server:
        culprit, waiting = server.connect(), server.connect()
        # Both are with the front before the engine goes on.
        engine = engine_of(server)
        engine.suspend()
        send(culprit, PREDICT, CRASHING)
        send(waiting, PREDICT, {"instances": [IMAGE]})
        engine.resume()
        assert read_response(culprit)[0] == 500
        assert read_response(waiting)[0] == 200
        send(culprit, PREDICT, {"instances": [IMAGE]})
        assert read_response(culprit)[0] == 200
        culprit.close()
        waiting.close()


def test_a_slow_run_that_is_killed_fails_with_its_signal(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "1", products=600)
    flags = ("--model_name=m", f"--model_base_path={tmp_path}", "--fronts=1")
    with serving(*flags) as server, server.connect() as connection:
        send(connection, PREDICT, {"instances": [1.0]})
        engine = engine_of(server)
        until(lambda: engine.cpu_percent(0.05) > 20)
        engine.kill()
        status, _, content = read_response(connection)
        assert status == 500
        assert b"ended by SIGKILL" in content


def test_an_engine_that_ends_again_and_again_while_idle_ends_the_server_with_its_code() -> None:
    with serving("--fronts=1") as server:
        for count in range(1, 6):
            server.wait_for("Successfully loaded servable version", count=count)
            engine_of(server).kill()
            server.wait_for("The engine ended with exit code 137|Ending:", count=count)
        assert server.process.wait(timeout=60) == 137


def test_a_refused_configuration_ends_the_server_at_once(tmp_path: Path) -> None:
    graphs.corrupt(tmp_path / "1")
    flags = ("--model_name=m", f"--model_base_path={tmp_path}", "--max_num_load_retries=0", "--fronts=2")
    with launched(*flags) as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("^$")
        assert sum("Failed to start server" in line for line in server.lines) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_finishes_what_is_in_work(tmp_path: Path, number: signal.Signals) -> None:
    graphs.slow(tmp_path / "1")
    with serving("--model_name=m", f"--model_base_path={tmp_path}", "--fronts=2") as server:
        children = psutil.Process(server.process.pid).children()
        with server.connect() as connection:
            send(connection, PREDICT, {"instances": [1.0]})
            until(lambda: engine_of(server).cpu_percent(0.05) > 20)
            for process in (*children, psutil.Process(server.process.pid)):
                os.kill(process.pid, number)
            assert read_response(connection)[0] == 200
        assert server.process.wait(timeout=60) == 0
        assert psutil.wait_procs(children, timeout=60)[1] == []


def test_a_shortcut_survives_the_engine_that_gave_it(tmp_path: Path) -> None:
    """The next request on the connection is not run by a plan of the engine before."""
    with serving("--fronts=1") as server, server.connect() as connection:
        for _ in range(20):
            assert predict(connection) == RIGHT
        engine = engine_of(server)
        engine.kill()
        until(lambda: engine_of(server).pid != engine.pid)
        for _ in range(20):
            assert predict(connection) == RIGHT


def test_probes_are_answered_while_the_engine_loads(tmp_path: Path) -> None:
    graphs.plus(tmp_path / "1", 1)
    with serving("--model_name=m", f"--model_base_path={tmp_path}", "--fronts=1") as server:
        assert server.get("/readyz")[0] == 200
        graphs.withdraw(tmp_path / "1")
        engine_of(server).kill()
        until(lambda: server.get("/readyz")[0] == 503)
        assert server.get("/healthz") == (200, b"ok\n")
        graphs.plus(tmp_path / "1", 1)
        until(lambda: server.get("/readyz")[0] == 200)


def test_the_limit_of_connections_holds_for_all_fronts_together() -> None:
    with serving("--fronts=2", "--rest_api_max_connections=6") as server:
        kept = [server.connect() for _ in range(6)]
        for connection in kept:
            assert predict(connection) == RIGHT
        with server.connect() as refused:
            assert read_response(refused)[0] == 503
        kept.pop().close()
        until(lambda: is_accepted(server))
        for connection in kept:
            assert predict(connection) == RIGHT
            connection.close()


def is_accepted(server: Running) -> bool:
    try:
        return server.get("/v1/models/half_plus_two")[0] == 200
    except OSError:
        return False


def test_connections_are_spread_over_the_fronts() -> None:
    with serving("--fronts=2") as server:
        connections = [server.connect() for _ in range(16)]
        for connection in connections:
            assert predict(connection) == RIGHT
        held = [len(front.net_connections("tcp")) for front in fronts_of(server)]
        for connection in connections:
            connection.close()
        # Each has the two sockets that listen as well; exactly half of the others, unless a front was held up.
        assert sum(held) == 16 + 2 * 2
        assert min(held) >= 6


def test_an_engine_that_hangs_leaves_no_client_without_an_answer() -> None:
    with serving("--fronts=1", "--rest_api_timeout_in_ms=500") as server, server.connect() as connection:
        assert predict(connection) == RIGHT
        engine = engine_of(server)
        engine.suspend()
        assert b"Timed out waiting for notification" in predict(connection)
        engine.resume()
        assert predict(connection) == RIGHT


def test_a_grpc_call_survives_the_end_of_the_engine() -> None:
    with serving("--fronts=1") as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = services.PREDICT
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        request = apis.PredictRequest(model_spec={"name": "half_plus_two"})
        request.inputs["x"].CopyFrom(
            TensorProto(dtype=DataType.DT_FLOAT, tensor_shape={"dim": [{"size": 1}]}, float_val=[1.0])
        )
        assert list(call(request, timeout=60).outputs["y"].float_val) == [2.5]
        engine_of(server).kill()
        assert list(call(request, timeout=60).outputs["y"].float_val) == [2.5]
