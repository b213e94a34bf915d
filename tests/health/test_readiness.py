"""Three answers: not yet, AVAILABLE, hopeless; asked of a real HTTP server whose states are scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.faulty import FaultyServer, Request, Response, serving
from tfs_workflow.client.interface import State
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.health.readiness import wait_until_available

LONG_S = 60


class StatusServer(FaultyServer):
    """Answers each question with the next of its scripted states, and the last one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[dict[int, str]] = []

    def answer(self, request: Request) -> Response:
        """The model status as TensorFlow Serving words it."""
        states = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        error = {"error_code": "DATA_LOSS", "error_message": "Can't parse saved_model.pb"}
        fine = {"error_code": "OK", "error_message": ""}
        versions = [
            {"version": str(version), "state": state, "status": error if state == "END" else fine}
            for version, state in states.items()
        ]
        body = json.dumps({"model_version_status": versions}).encode()
        return Response(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], [body])


@dataclass
class Process:
    """What a runtime would say about the server."""

    code: int | None = None
    log: list[str] = field(default_factory=list)

    def exit_code(self) -> int | None:
        return self.code

    def out_of_memory(self) -> bool:
        return False

    def lines(self) -> list[str]:
        return self.log


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with serving(StatusServer()) as running:
        yield running


def wait(server: StatusServer, process: Process, wanted: dict[str, list[int]], timeout_s: float = LONG_S) -> Any:
    pauses: list[float] = []
    with RestJsonClient(server.url) as client:
        found = wait_until_available(wanted, client, process, timeout_s, sleep=pauses.append)
    assert all(0 < pause <= 0.05 for pause in pauses)
    return found, pauses


def test_the_first_question_is_asked_at_once(server: StatusServer) -> None:
    server.script = [{1: "AVAILABLE"}]
    _, pauses = wait(server, Process(), {"m": [1]})
    assert pauses == []
    assert server.requests == ["GET /v1/models/m"]


def test_loading_is_asked_again_until_it_is_available(server: StatusServer) -> None:
    server.script = [{1: "START"}, {1: "LOADING"}, {1: "LOADING"}, {1: "AVAILABLE"}]
    found, pauses = wait(server, Process(), {"m": [1]})
    assert found["m"][0].state is State.AVAILABLE
    assert len(pauses) == 3


def test_one_available_version_does_not_stand_for_the_others(server: StatusServer) -> None:
    server.script = [{1: "AVAILABLE"}, {1: "AVAILABLE", 2: "LOADING"}, {1: "AVAILABLE", 2: "AVAILABLE"}]
    wait(server, Process(), {"m": [1, 2]})
    assert len(server.requests) == 3


def test_every_model_is_asked_and_none_again_once_it_is_available(server: StatusServer) -> None:
    server.script = [{1: "AVAILABLE"}]
    wait(server, Process(), {"a": [1], "b": [1]})
    assert sorted(server.requests) == ["GET /v1/models/a", "GET /v1/models/b"]


def test_a_wanted_version_that_ended_is_hopeless_and_says_why(server: StatusServer) -> None:
    server.script = [{2: "END", 1: "AVAILABLE"}]
    with pytest.raises(ServerNotReadyError, match="version 2 ended") as error:
        wait(server, Process(), {"m": [2]})
    assert "DATA_LOSS: Can't parse saved_model.pb" in str(error.value)
    assert len(server.requests) == 1


def test_an_ended_version_that_nobody_wants_is_no_obstacle(server: StatusServer) -> None:
    server.script = [{2: "END", 1: "AVAILABLE"}]
    wait(server, Process(), {"m": [1]})


def test_a_dead_server_ends_the_waiting_with_its_diagnosis(server: StatusServer) -> None:
    server.script = [{1: "LOADING"}]
    with pytest.raises(ServerNotReadyError, match="lacks instructions") as error:
        wait(server, Process(code=132, log=["Illegal instruction"]), {"m": [1]})
    assert "exit code 132" in str(error.value)


def test_nobody_listening_is_not_yet_while_the_server_lives_and_the_end_once_it_is_dead() -> None:
    with (
        RestJsonClient("http://127.0.0.1:1") as client,
        pytest.raises(ServerNotReadyError, match="ended: the server was killed"),
    ):
        wait_until_available({"m": [1]}, client, Process(code=137), LONG_S)
    with (
        RestJsonClient("http://127.0.0.1:1") as client,
        pytest.raises(ServerNotReadyError, match="nothing answers yet"),
    ):
        wait_until_available({"m": [1]}, client, Process(), 0.05)


def test_the_deadline_ends_the_waiting_with_the_last_state(server: StatusServer) -> None:
    server.script = [{1: "LOADING"}]
    with (
        RestJsonClient(server.url) as client,
        pytest.raises(ServerNotReadyError, match=r"after 0\.05 s \(last: m: version 1 LOADING\)"),
    ):
        wait_until_available({"m": [1]}, client, Process(log=["still at it"]), 0.05)


def test_a_hopeless_log_line_is_part_of_what_the_deadline_says(server: StatusServer) -> None:
    server.script = [{}]
    log = ["No versions of servable m found under base path /models/m"]
    with RestJsonClient(server.url) as client, pytest.raises(ServerNotReadyError, match="no version directory"):
        wait_until_available({"m": [1]}, client, Process(log=log), 0.05)


def test_each_retry_reports_the_seconds_waited_for_every_model(server: StatusServer) -> None:
    server.script = [{1: "AVAILABLE"}, {1: "LOADING"}, {1: "AVAILABLE"}]
    reports: list[tuple[str, int, int | None]] = []
    with RestJsonClient(server.url) as client:
        wait_until_available(
            {"a": [1], "b": [1]},
            client,
            Process(),
            LONG_S,
            progress=lambda *report: reports.append(report),
            sleep=lambda _: None,
        )
    assert [label for label, _, _ in reports] == ["loading a", "loading b"]
    assert sorted(done for _, done, _ in reports) == [0, LONG_S]  # the model that is AVAILABLE has a full bar
    assert {total for _, _, total in reports} == {LONG_S}


def test_a_model_that_is_available_at_once_reports_nothing(server: StatusServer) -> None:
    server.script = [{1: "AVAILABLE"}]
    reports: list[tuple[str, int, int | None]] = []
    with RestJsonClient(server.url) as client:
        wait_until_available({"m": [1]}, client, Process(), LONG_S, progress=lambda *report: reports.append(report))
    assert reports == []
