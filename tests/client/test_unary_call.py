"""One call without grpcio: against the embedded server, grpcio's own server, and listeners that are neither."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from tests.client.conftest import RunningServer
from tfs_workflow.client.control.unary_call import CallRefusedError, unary_call
from tfs_workflow.client.interface import ServerUnreachableError
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.services import GET_MODEL_STATUS, RELOAD_CONFIG

Answer = Callable[[bytes], bytes]


@contextmanager
def grpc_server(answer: Answer) -> Iterator[tuple[str, int]]:
    """gRPC's own server, in C, which answers every method."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
        def service(self, details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer(request))

    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield "127.0.0.1", port
    finally:
        server.stop(None).wait()


def request(models: int) -> apis.ReloadConfigRequest:
    asked = apis.ReloadConfigRequest()
    for number in range(models):
        asked.config.model_config_list.config.add(name=f"model_{number}", base_path=f"/models/model_{number}")
    return asked


@pytest.mark.parametrize("models", [0, 1, 5000, 50_000])
def test_requests_of_every_size_arrive_whole_at_grpcs_own_server(models: int) -> None:
    received: list[bytes] = []

    def answer(content: bytes) -> bytes:
        received.append(content)
        return bytes(apis.ReloadConfigResponse(status=apis.StatusProto(error_message="seen")).SerializeToString())

    with grpc_server(answer) as address:
        found = unary_call(address, RELOAD_CONFIG, request(models), 30)
    assert received == [request(models).SerializeToString()]
    assert found.status.error_message == "seen"


def test_an_answer_that_does_not_come_ends_at_the_deadline() -> None:
    released = threading.Event()

    def answer(content: bytes) -> bytes:
        released.wait()
        return b""

    with grpc_server(answer) as address:
        with pytest.raises(ServerNotReadyError, match=r"no answer within 0\.2 s"):
            unary_call(address, RELOAD_CONFIG, request(1), 0.2)
        released.set()


@pytest.mark.parametrize("text", ["no such version", "long " * 100, "100 % ü", "x" * 126, "x" * 127, "x" * 300])
def test_a_call_that_is_refused_raises_with_the_text_of_the_server(text: str) -> None:
    def refuse(content: bytes) -> bytes:
        raise ValueError(text)

    with grpc_server(refuse) as address, pytest.raises(CallRefusedError) as caught:
        unary_call(address, RELOAD_CONFIG, request(1), 30)
    assert text in caught.value.evidence


def test_an_answer_that_is_something_else_is_not_taken_for_the_message() -> None:
    broken = grpc_server(lambda content: b"\xff\xff")
    with broken as address, pytest.raises(ServerNotReadyError, match="not a ReloadConfigResponse"):
        unary_call(address, RELOAD_CONFIG, request(1), 30)


def test_a_port_without_a_listener_and_one_that_closes_are_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def close() -> None:
            listener.accept()[0].close()

        closing = threading.Thread(target=close)
        closing.start()
        with pytest.raises(ServerUnreachableError, match="the call was cut short"):
            unary_call(address, RELOAD_CONFIG, request(1), 30)
        closing.join()
    with pytest.raises(ServerUnreachableError, match="the call was cut short"):
        unary_call(address, RELOAD_CONFIG, request(1), 30)


def test_a_call_that_the_embedded_server_refuses_has_its_text_too(model_server: RunningServer) -> None:
    host, _, port = model_server.grpc_address.rpartition(":")
    asked = apis.GetModelStatusRequest()
    asked.model_spec.name = "any ~ {model} | <of> `any` name, 0-9: #1 (x@y) [z]; 'a' + b = \"c\" & d * e! f? ^"
    with pytest.raises(CallRefusedError) as caught:
        unary_call((host, int(port)), GET_MODEL_STATUS, asked, 30)
    assert caught.value.evidence == f"Could not find any versions of model {asked.model_spec.name}"


def test_the_embedded_server_answers(model_server: RunningServer) -> None:
    host, _, port = model_server.grpc_address.rpartition(":")
    asked = apis.GetModelStatusRequest()
    asked.model_spec.name = "half_plus_two"
    found = unary_call((host, int(port)), GET_MODEL_STATUS, asked, 30)
    assert {status.version for status in found.model_version_status} == {1, 2}
