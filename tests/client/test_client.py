"""The REST client against a real server, and against one that hangs up, keeps silent or talks nonsense."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.client.conftest import Relay, RunningServer
from tests.support.faulty import FaultyServer, Request, Response, serving
from tfs_workflow.client.interface import RequestRejectedError, ServerUnreachableError, State, VersionStatus
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.errors import PredictionFailedError, ServerNotReadyError
from tfs_workflow.runtimes.ports import free_port

MODEL = "half_plus_two"


def test_predictions_keep_the_order_of_the_instances(client: RestJsonClient) -> None:
    assert client.predict(MODEL, [1.0, 2.0, 5.0]) == [2.5, 3.0, 4.5]


def test_columns(client: RestJsonClient) -> None:
    assert client.predict(MODEL, inputs=[1.0, 2.0, 5.0]) == [2.5, 3.0, 4.5]
    assert client.predict(MODEL, inputs={"x": [1.0]}) == [2.5]


@pytest.mark.parametrize("which", [{"version": 1}, {"version": 2}, {"label": "stable"}, {"label": "canary"}])
def test_versions_and_labels(client: RestJsonClient, which: dict[str, object]) -> None:
    assert client.predict(MODEL, [1.0], **which) == [2.5]  # type: ignore[arg-type]


def test_status_lists_every_version(client: RestJsonClient) -> None:
    assert client.status(MODEL) == [VersionStatus(2, State.AVAILABLE), VersionStatus(1, State.AVAILABLE)]
    assert client.status(MODEL, version=1) == [VersionStatus(1, State.AVAILABLE)]


def test_an_unknown_model_or_version_has_no_status(client: RestJsonClient) -> None:
    assert client.status("nope") == []
    assert client.status(MODEL, version=9) == []


def test_metadata_has_the_signatures(client: RestJsonClient) -> None:
    signature = client.metadata(MODEL)["serving_default"]
    assert signature.method == "tensorflow/serving/predict"
    assert signature.inputs["x"].dtype == "DT_FLOAT"
    assert not any(name.startswith("__") for name in client.metadata(MODEL, version=1))


def test_every_type_goes_through(client: RestJsonClient, recorded: Path) -> None:
    assert client.predict("types", [18446744073709551615], signature="uint64") == [18446744073709551615]
    assert client.predict("types", ["ä", {"b64": "YQ=="}], signature="string") == ["ä", "a"]
    assert client.predict("types", [{"b64": "/////w=="}], signature="bytes_out") == [{"b64": "/////w=="}]
    assert client.predict("types", [{"a": 1, "b": 2}], signature="two_in") == [3.0]


def test_nan_and_infinity_go_in_and_out(client: RestJsonClient, recorded: Path) -> None:
    answer = client.predict("types", [math.nan, math.inf, -math.inf], signature="float64")
    assert math.isnan(answer[0])
    assert answer[1:] == [math.inf, -math.inf]


def test_a_refusal_has_the_servers_words_and_what_the_signature_expects(client: RestJsonClient) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        client.predict(MODEL, ["a"])
    error = caught.value
    assert (error.status, error.exit_code) == (400, 6)
    assert "is not of expected type: float" in error.server_text
    assert error.server_text in str(error)
    assert "signature serving_default of half_plus_two expects x: float32" in error.fix


def test_an_unknown_signature_names_the_others(client: RestJsonClient) -> None:
    with pytest.raises(RequestRejectedError, match="no signature serving_defualt; did you mean serving_default"):
        client.predict(MODEL, [1.0], signature="serving_defualt")


def test_an_unknown_model_points_to_status(client: RestJsonClient) -> None:
    with pytest.raises(RequestRejectedError, match="invoke status") as caught:
        client.predict("nope", [1.0])
    assert caught.value.status == 404


def test_an_output_without_rows_suggests_columns(client: RestJsonClient, recorded: Path) -> None:
    with pytest.raises(RequestRejectedError, match="--inputs"):
        client.predict("types", [1, 2, 3], signature="scalar_out")


def test_metadata_of_an_unknown_model_is_refused(client: RestJsonClient) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        client.metadata("nope")
    assert caught.value.status == 404


def test_a_free_port_is_nothing_answers() -> None:
    client = RestJsonClient(f"http://127.0.0.1:{free_port()}")
    for ask in (client.status, client.metadata, client.predict):
        with pytest.raises(ServerUnreachableError, match="nothing answers at http://") as caught:
            ask("m")
        assert caught.value.exit_code == 5


def test_a_listener_that_hangs_up_is_nothing_answers_for_the_status() -> None:
    """A port that a container publishes takes connections before the server inside listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(ServerUnreachableError):
            RestJsonClient(f"http://127.0.0.1:{listener.getsockname()[1]}").status("m")
        hanging_up.join()


def test_an_idle_connection_that_was_closed_is_opened_anew(relay: Relay) -> None:
    with RestJsonClient(relay.url) as client:
        assert client.predict(MODEL, [1.0]) == [2.5]
        relay.fail(headers={"Connection": "close"}, status=503, times=1)
        with pytest.raises(RequestRejectedError):
            client.predict(MODEL, [1.0])
        assert client.predict(MODEL, [1.0]) == [2.5]


def test_a_prediction_is_sent_once_when_the_connection_breaks(relay: Relay) -> None:
    relay.fail(path=":predict", cut_after_bytes=3)
    with pytest.raises(PredictionFailedError, match="connection broke") as caught, RestJsonClient(relay.url) as client:
        client.predict(MODEL, [1.0])
    assert caught.value.exit_code == 6
    assert relay.requests == ["POST /v1/models/half_plus_two:predict"]


def test_a_silent_server_meets_the_timeout(relay: Relay) -> None:
    relay.fail(path=":predict", silent_after_bytes=0)
    with (
        pytest.raises(PredictionFailedError, match=r"no answer within 0\.2 s"),
        RestJsonClient(relay.url, 0.2) as client,
    ):
        client.predict(MODEL, [1.0])


def test_an_error_page_is_shown_as_it_is(relay: Relay) -> None:
    relay.fail(path="GET", status=503)
    with pytest.raises(ServerNotReadyError, match="HTTP 503"), RestJsonClient(relay.url) as client:
        client.status(MODEL)


class Nonsense(FaultyServer):
    """Answers with whatever `status` and `body` hold."""

    status = 200
    body = b""

    def answer(self, request: Request) -> Response:
        return Response(self.status, [("Content-Length", str(len(self.body)))], [self.body])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"predictions": ["\xff"]}'])
def test_an_answer_that_is_no_json_object_is_said_so(body: bytes) -> None:
    with serving(Nonsense()) as server, RestJsonClient(server.url) as client:
        server.body = body
        with pytest.raises(PredictionFailedError, match=r"the answer is not (a JSON object|JSON:)"):
            client.predict(MODEL, [1.0])


@pytest.mark.parametrize("status", [200, 404, 500, 302])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"model_version_status": 3, "metadata": {}}'])
def test_another_server_on_the_port_is_told_from_a_model_server(status: int, body: bytes) -> None:
    with serving(Nonsense()) as server, RestJsonClient(server.url) as client:
        server.status, server.body = status, body
        with pytest.raises(ServerNotReadyError, match="not a model server"):
            client.status(MODEL)
        with pytest.raises((ServerNotReadyError, PredictionFailedError)):
            client.metadata(MODEL)


def test_a_proxy_is_not_asked_for_loopback(model_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with RestJsonClient(model_server.url) as client:
        assert client.predict(MODEL, [1.0]) == [2.5]


def test_many_threads_share_a_client(client: RestJsonClient) -> None:
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = client.predict(MODEL, [float(number)])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number / 2 + 2] for number in range(32)}


def test_connections_are_kept_alive(relay: Relay) -> None:
    with RestJsonClient(relay.url) as client:
        for _ in range(5):
            client.predict(MODEL, [1.0])
        pools = client._session.adapters["http://"].poolmanager.pools  # type: ignore[attr-defined]
        (pool,) = (pools[key] for key in pools.keys())  # noqa: SIM118  # it has no values()
        assert (pool.num_connections, pool.num_requests) == (1, 5)


def test_the_client_needs_no_tensorflow() -> None:
    program = "import sys, tfs_workflow.client.bulk.predict_file; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
