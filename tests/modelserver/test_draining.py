"""The end of a server: announced with SIGUSR1, then SIGTERM, which finishes what is in work."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.balancer import restarts
from tests.support.modelserver.families import BODY, RIGHT, Clients, fronts_of, running
from tests.support.modelserver.running import LISTENING, Running, launched, read_response, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos.health_pb2 import HealthCheckRequest, HealthCheckResponse

ONE_PROCESS_AND_FRONTS = pytest.mark.parametrize("fronts", ["--fronts=0", "--fronts=1", "--fronts=2"])
REQUEST = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def announce(server: Running) -> None:
    server.process.send_signal(signal.SIGUSR1)
    until(lambda: server.get("/readyz")[0] == 503)


@ONE_PROCESS_AND_FRONTS
def test_sigusr1_announces_the_end_and_everything_is_served_on(fronts: str) -> None:
    with serving(fronts) as server, server.connect() as kept:
        kept.sendall(REQUEST)
        assert "connection" not in read_response(kept)[1]
        announce(server)
        kept.sendall(REQUEST)
        status, headers, body = read_response(kept)
        assert (status, headers["connection"], body) == (200, "close", RIGHT)
        assert kept.recv(1) == b""
        assert server.predict([1.0]) == [2.5]
        assert server.get("/healthz") == (200, b"ok\n")
        assert server.get("/readyz?verbose")[0] == 503
        assert server.end() == 0


@ONE_PROCESS_AND_FRONTS
def test_grpc_gets_a_goaway_and_may_come_again(fronts: str) -> None:
    with serving(fronts, "--enable_grpc_healthcheck_service") as server:
        clients = Clients()
        with running(clients, [partial(clients.run_grpc, server.grpc_port)] * 2):
            before = connections(server)
            announce(server)
            until(lambda: not before & connections(server))
            clients.wait_for_more()
            assert health(server) == HealthCheckResponse.NOT_SERVING
        assert set(clients.seen) == {"right"}
        assert server.end() == 0


def connections(server: Running) -> set[object]:
    """The far ends of the connections to the gRPC port."""
    whole = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children()]
    found = (one for process in whole for one in process.net_connections("tcp"))
    return {one.raddr for one in found if one.laddr.port == server.grpc_port and one.status == "ESTABLISHED"}


def health(server: Running) -> int:
    method = services.HEALTH_CHECK
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        return int(call(HealthCheckRequest(), timeout=60).status)


@pytest.mark.parametrize("fronts", ["--fronts=0", "--fronts=1"])
def test_an_end_that_is_announced_while_the_models_load_counts_once_they_serve(tmp_path: Path, fronts: str) -> None:
    with launched("--model_name=m", f"--model_base_path={tmp_path}", fronts) as server:
        # No version has appeared yet, so that it waits.
        server.wait_for("No versions of servable")
        server.process.send_signal(signal.SIGUSR1)
        graphs.plus(tmp_path / "1", 1)
        server.wait_for(LISTENING)
        until(lambda: server.get("/readyz")[0] == 503)
        assert server.predict([1.0], "m") == [2.0]
        assert server.end() == 0


def test_a_front_that_replaces_another_is_told_of_the_announcement() -> None:
    with serving("--fronts=1") as server:
        announce(server)
        fronts_of(server)[0].kill()
        server.wait_for("another one is started")
        until(lambda: is_refused(server))
        assert server.predict([1.0]) == [2.5]


def is_refused(server: Running) -> bool:
    try:
        return server.get("/readyz")[0] == 503
    except OSError:
        return False


@ONE_PROCESS_AND_FRONTS
def test_sigterm_alone_fails_no_request_on_a_connection_that_was_there(fronts: str) -> None:
    with serving(fronts, "--drain_linger_seconds=5") as server:
        clients = Clients()
        with running(clients, [partial(clients.run_until_closed, server.rest_port)] * 8):
            assert server.end() == 0
        assert set(clients.seen) == {"right"}


@ONE_PROCESS_AND_FRONTS
def test_an_idle_connection_lingers_for_one_more_request_and_new_ones_are_refused(fronts: str) -> None:
    with serving(fronts, "--drain_linger_seconds=60", "--drain_seconds=60") as server, server.connect() as idle:
        idle.sendall(REQUEST)
        read_response(idle)
        server.process.terminate()
        until(lambda: not is_accepted(server))
        idle.sendall(REQUEST)
        status, headers, body = read_response(idle)
        assert (status, headers["connection"], body) == (200, "close", RIGHT)
        # Nobody is connected any more.
        assert server.process.wait(timeout=30) == 0


def is_accepted(server: Running) -> bool:
    try:
        server.connect().close()
    except OSError:
        return False
    return True


def test_a_request_that_is_still_coming_is_answered() -> None:
    with serving() as server, server.connect() as slow:
        slow.sendall(REQUEST[:-5])
        until(lambda: server.predict([1.0]) == [2.5])
        server.process.terminate()
        until(lambda: not is_accepted(server))
        slow.sendall(REQUEST[-5:])
        assert read_response(slow)[2] == RIGHT
        assert server.process.wait(timeout=30) == 0


@pytest.mark.parametrize("fronts", ["--fronts=0", "--fronts=1"])
def test_restarts_behind_a_balancer_fail_no_request(fronts: str) -> None:
    assert set(restarts(2, fronts).seen) == {"right"}
