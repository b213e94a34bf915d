"""What becomes of an engine or a front that hangs, and that a long run is no hang."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.families import RIGHT, clients_of, engine_of, fronts_of, predict, send
from tests.support.modelserver.running import read_response, serving
from tests.support.waiting import until
from tfs_workflow.modelserver.processes import heartbeat
from tfs_workflow.modelserver.processes.heartbeat import Pulse


def place_of(beat_s: float) -> memoryview[float]:
    place = memoryview(bytearray(8)).cast("d")
    place[0] = beat_s
    return place


@pytest.mark.parametrize(
    ("beat_s", "most"), [(7.0, heartbeat.MOST_STILL_LOOKS), (0.0, heartbeat.MOST_LOOKS_BEFORE_THE_FIRST)]
)
def test_a_pulse_is_lost_after_so_many_looks_at_the_same_beat(beat_s: float, most: int) -> None:
    pulse = Pulse(place_of(beat_s))
    if beat_s:
        assert not pulse.is_lost()
    assert [pulse.is_lost() for _ in range(most)] == [False] * (most - 1) + [True]


def test_each_beat_starts_the_count_anew() -> None:
    place = place_of(1.0)
    pulse = Pulse(place)
    for _ in range(5 * heartbeat.MOST_STILL_LOOKS):
        heartbeat.beat(place)
        assert not pulse.is_lost()
        assert not pulse.is_lost()


def test_a_stopped_engine_is_replaced_and_costs_no_connection() -> None:
    with serving("--fronts=2") as server, clients_of(server) as clients:
        engine = engine_of(server)
        engine.suspend()
        server.wait_for("The engine has shown no sign of life for 10 s; killing it.")
        server.wait_for("ended with exit code 137 while answering requests")
        clients.wait_for_more()
        clients.end()
        clients.assert_one_run_lost()


def test_a_stopped_front_is_replaced_and_breaks_its_own_connections_only() -> None:
    with serving("--fronts=2") as server:
        kept = [server.connect() for _ in range(4)]
        assert [predict(connection) for connection in kept] == [RIGHT] * 4
        stopped, other = fronts_of(server)
        stopped.suspend()
        server.wait_for("A front has shown no sign of life for 10 s; killing it.")
        server.wait_for("A front ended with exit code 137; another one is started.")
        until(lambda: len(fronts_of(server)) == 2 and other in fronts_of(server))
        answers = [answer_on(connection) for connection in kept]
        assert sorted(answers) == [b"", b"", RIGHT, RIGHT]
        for connection in kept:
            connection.close()


def answer_on(connection: socket.socket) -> bytes:
    try:
        return predict(connection)
    except (OSError, http.client.HTTPException):
        return b""


def test_a_run_longer_than_that_is_no_hang(tmp_path: Path) -> None:
    graphs.slow(tmp_path / "1", products=900)
    flags = ("--model_name=m", f"--model_base_path={tmp_path}", "--fronts=1", "--rest_api_timeout_in_ms=250000")
    with serving(*flags) as server, server.connect() as connection:
        engine = engine_of(server)
        connection.settimeout(250)
        started_s = time.monotonic()
        send(connection, "/v1/models/m:predict", {"instances": [1.0]})
        assert read_response(connection)[0] == 200
        # Else the model is too quick for this machine, and the test shows nothing.
        assert time.monotonic() - started_s > heartbeat.MOST_STILL_LOOKS + 2
        assert engine_of(server).pid == engine.pid
