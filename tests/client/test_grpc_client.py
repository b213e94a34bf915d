"""The gRPC client against servers that refuse, keep silent, hang up, or are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tests.client.conftest import RunningServer
from tests.client.scripted import ScriptedServer, echoing, listening, metadata, refusing
from tfs_workflow.client import grpc_arrays
from tfs_workflow.client.grpc_arrays import GrpcArrayClient
from tfs_workflow.client.interface import RequestRejectedError, ServerUnreachableError, State, VersionStatus
from tfs_workflow.errors import PredictionFailedError, ServerNotReadyError
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    scripted.answers[services.PREDICT] = echoing
    with listening(scripted):
        yield scripted


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[GrpcArrayClient]:
    with GrpcArrayClient(server.address) as client:
        yield client


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.FAILED_PRECONDITION, 400),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNKNOWN, 500),
        (grpc.StatusCode.CANCELLED, 499),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
    ],
)
def test_every_refusal_has_the_servers_words(
    server: ScriptedServer, client: GrpcArrayClient, code: grpc.StatusCode, status: int
) -> None:
    server.answers[services.PREDICT] = refusing(code, "the server's own words: ä")
    with pytest.raises(RequestRejectedError) as caught:
        client.predict("m", [1.0])
    error = caught.value
    assert (error.server_text, error.status) == ("the server's own words: ä", status)
    assert f"gRPC {code.name}" in error.evidence
    assert "signature serving_default of m expects x: float32 any rank" in error.fix
    assert isinstance(error.__cause__, grpc.RpcError)


def test_a_server_that_is_too_busy_says_so(server: ScriptedServer, client: GrpcArrayClient) -> None:
    server.answers[services.PREDICT] = refusing(grpc.StatusCode.UNAVAILABLE, "the queue is full")
    with pytest.raises(ServerUnreachableError, match="not available: the queue is full"):
        client.predict("m", [1.0])


def test_every_code_of_grpcs_is_translated(server: ScriptedServer, client: GrpcArrayClient) -> None:
    for code in set(grpc.StatusCode) - {grpc.StatusCode.OK}:
        server.answers[services.PREDICT] = refusing(code, "no")
        with pytest.raises((PredictionFailedError, ServerNotReadyError)):
            client.predict("m", [1.0])


def test_a_silent_server_meets_the_timeout(server: ScriptedServer, client: GrpcArrayClient) -> None:
    ended = threading.Event()

    def silent(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        ended.wait()
        return b""

    server.answers[services.PREDICT] = silent
    with pytest.raises(PredictionFailedError, match=r"no answer within 0\.2 s"):
        client.predict("m", [1.0], timeout_s=0.2)
    ended.set()


def test_a_server_that_goes_away_is_nothing_answers_and_is_found_again() -> None:
    scripted = ScriptedServer()
    scripted.answers[services.PREDICT] = echoing
    with GrpcArrayClient(scripted.address) as client:
        with pytest.raises(ServerUnreachableError):
            client.predict("m", [1.0])
        for _ in range(2):
            with listening(scripted):
                assert patiently(client) == [1.0]
            with pytest.raises(ServerUnreachableError):
                client.predict("m", [1.0])


def patiently(client: GrpcArrayClient) -> object:
    """The prediction as soon as the channel has seen that somebody listens again."""
    grpc.channel_ready_future(client._channel).result(timeout=60)
    return client.predict("m", [1.0])["y"].tolist()


def test_a_listener_that_hangs_up_is_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = threading.Event()

        def hang_up() -> None:
            listener.settimeout(0.05)
            while not closing.is_set():
                try:
                    listener.accept()[0].close()
                except TimeoutError:
                    continue

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        try:
            with (
                GrpcArrayClient(f"127.0.0.1:{listener.getsockname()[1]}") as client,
                pytest.raises(ServerUnreachableError),
            ):
                client.status("m")
        finally:
            closing.set()
            hanging_up.join()


def test_a_rest_port_is_told_from_a_grpc_port(model_server: RunningServer) -> None:
    with GrpcArrayClient(model_server.url.removeprefix("http://")) as client, pytest.raises(ServerNotReadyError):
        client.status("half_plus_two")


def test_another_grpc_server_is_told_from_a_model_server(server: ScriptedServer, client: GrpcArrayClient) -> None:
    server.answers.clear()
    for ask in (client.status, client.metadata):
        with pytest.raises(ServerNotReadyError, match="not a model server's gRPC port"):
            ask("m")


def test_an_answer_that_is_no_message_is_said_so(server: ScriptedServer, client: GrpcArrayClient) -> None:
    server.answers[services.PREDICT] = lambda _request, _context: b"\xff\xff\xff"
    with pytest.raises(PredictionFailedError, match="the answer is not a PredictResponse"):
        client.predict("m", [1.0])


def test_a_large_message_goes_both_ways(server: ScriptedServer, client: GrpcArrayClient) -> None:
    """Far more than gRPC's own bound of 4 MiB."""
    array = np.arange(4 << 20, dtype=np.float32)
    np.testing.assert_array_equal(client.predict("m", array)["y"], array)


def test_what_no_message_holds_is_refused_before_it_is_made(server: ScriptedServer, client: GrpcArrayClient) -> None:
    too_large = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 29,), (0,))
    with pytest.raises(PredictionFailedError, match="2147483648 bytes are more than the 2147483647"):
        client.predict("m", too_large)


def test_a_closed_client_says_so(server: ScriptedServer, client: GrpcArrayClient) -> None:
    client.predict("m", [1.0])
    client.close()
    with pytest.raises(PredictionFailedError, match="cannot be sent"):
        client.predict("m", [1.0])


def test_the_signature_is_asked_for_once(server: ScriptedServer, client: GrpcArrayClient) -> None:
    for _ in range(3):
        client.predict("m", [1.0])
    assert server.requests.count(services.GET_MODEL_METADATA.path) == 1
    assert server.requests.count(services.PREDICT.path) == 3


def test_a_signature_that_changed_is_seen_after_a_refusal(server: ScriptedServer, client: GrpcArrayClient) -> None:
    assert client.predict("m", [1])["y"].dtype == np.float32
    server.answers[services.GET_MODEL_METADATA] = lambda _request, _context: metadata("DT_INT64")
    server.answers[services.PREDICT] = refusing(grpc.StatusCode.INVALID_ARGUMENT, "expects int64")
    with pytest.raises(RequestRejectedError, match="expects x: int64"):
        client.predict("m", [1])
    server.answers[services.PREDICT] = echoing
    assert client.predict("m", [1])["y"].dtype == np.int64


def test_states_and_errors_of_versions(server: ScriptedServer, client: GrpcArrayClient) -> None:
    answer = apis.GetModelStatusResponse()
    answer.model_version_status.add(version=1, state="AVAILABLE")
    answer.model_version_status.add(version=2, state="END", status=apis.StatusProto(error_code="DATA_LOSS"))
    answer.model_version_status[1].status.error_message = "Can't parse"
    server.answers[services.GET_MODEL_STATUS] = lambda _request, _context: answer.SerializeToString()
    assert client.status("m") == [
        VersionStatus(2, State.END, "DATA_LOSS", "Can't parse"),
        VersionStatus(1, State.AVAILABLE),
    ]


def test_the_channel_allows_all_that_a_message_holds() -> None:
    assert dict(grpc_arrays._CHANNEL_OPTIONS)["grpc.max_receive_message_length"] == 2**31 - 1
