"""HTTP/2 beneath gRPC: what is no gRPC, too much, too slow or broken ends alone."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ngh2
import pytest

from tests.support.modelserver.running import Running, serving
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.grpc import grpc_framing
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis

STATUS = services.GET_MODEL_STATUS.path.encode()
ASK = apis.GetModelStatusRequest(model_spec={"name": "half_plus_two"}).SerializeToString()
HEAD = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"test"),
    (b":path", STATUS),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


class Client:
    """A bare HTTP/2 client over a socket."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.session = ngh2.Connection(ngh2.Role.CLIENT)
        self.session.initiate_connection()

    def request(self, headers: list[tuple[bytes, bytes]], body: bytes | None) -> int:
        stream = self.session.send_request(headers, end_stream=body is None)
        if body is not None:
            self.session.send_data(stream, body, end_stream=True)
        return stream

    def send(self) -> None:
        self.wire.sendall(self.session.data_to_send())

    def answers(self, stream: int) -> dict[bytes, bytes]:
        """All headers and trailers of a stream, the body under b"body"; until it is closed."""
        found: dict[bytes, bytes] = {}
        while True:
            self.send()
            data = self.wire.recv(65536)
            assert data, "the server has hung up"
            self.session.receive_data(data)
            for event in self.session.events():
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, (ngh2.ResponseReceived, ngh2.TrailersReceived)):
                    found |= dict(event.headers)
                elif isinstance(event, ngh2.DataReceived):
                    found[b"body"] = found.get(b"body", b"") + event.data
                elif isinstance(event, ngh2.StreamClosed):
                    return found


@contextmanager
def connected(server: Running) -> Iterator[Client]:
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=60) as wire:
        yield Client(wire)


def is_well(server: Running) -> bool:
    with connected(server) as client:
        found = client.answers(client.request(HEAD, grpc_framing.framed(ASK)))
        return found[b"grpc-status"] == b"0" and found[b"body"][5:] != b""


def replaced(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(n, value if n == name else v) for n, v in HEAD]


@pytest.mark.parametrize(
    ("headers", "status"),
    [(replaced(b":method", b"GET"), b"405"), (replaced(b"content-type", b"text/html"), b"415")],
)
def test_what_is_no_grpc_gets_an_http_status(
    server: Running, headers: list[tuple[bytes, bytes]], status: bytes
) -> None:
    with connected(server) as client:
        assert client.answers(client.request(headers, b"hello"))[b":status"] == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, Code.INTERNAL),
        (b"", Code.INTERNAL),
        (b"\0\0", Code.INTERNAL),
        (b"\0\0\0\0\x09short", Code.INTERNAL),
        (grpc_framing.framed(ASK) * 2, Code.INTERNAL),
        (b"\1" + grpc_framing.framed(ASK)[1:], Code.UNIMPLEMENTED),
    ],
    ids=["none", "empty", "cut prefix", "cut", "two", "packed without a word"],
)
def test_a_body_that_is_not_one_message_ends_its_call(server: Running, body: bytes | None, code: Code) -> None:
    with connected(server) as client:
        found = client.answers(client.request(HEAD, body))
        assert (found[b":status"], int(found[b"grpc-status"])) == (b"200", code)
        assert client.answers(client.request(HEAD, grpc_framing.framed(ASK)))[b"grpc-status"] == b"0"


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (b"\0\0\0\0\x05" + bytes(100_000), Code.INTERNAL),
        (b"\0\xff\xff\xff\xff" + bytes(100), Code.RESOURCE_EXHAUSTED),
    ],
    ids=["more than it declares", "more than protobuf reads"],
)
def test_a_body_that_is_too_long_is_answered_before_its_end(server: Running, start: bytes, code: Code) -> None:
    with connected(server) as client:
        stream = client.session.send_request(HEAD)
        client.session.send_data(stream, start)  # and no end
        assert int(client.answers(stream)[b"grpc-status"]) == code
    assert is_well(server)


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame without flags (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


def last_words(client: Client) -> list[int]:
    """The reasons that the server gives for ending the connection, which it then ends."""
    while data := client.wire.recv(65536):
        client.session.receive_data(data)
    return [event.error_code for event in client.session.events() if isinstance(event, ngh2.GoAwayReceived)]


@pytest.mark.parametrize("start", [b"\0\xff\xff\xff\xff", b"\0\0\0\0\1"], ids=["too large", "more than declared"])
@pytest.mark.parametrize("size_bytes", [2**14, 2**20])
def test_a_client_that_overruns_its_window_leaves_no_traceback(start: bytes, size_bytes: int) -> None:
    with serving() as server:
        with connected(server) as client:
            stream = client.session.send_request(HEAD)
            client.send()
            data = frame(0, stream, start + bytes(size_bytes - 5)) + frame(0, stream, bytes(size_bytes)) * (
                2**23 // size_bytes
            )
            with suppress(OSError):  # it has been cut off already
                client.wire.sendall(data)
                client.wire.shutdown(socket.SHUT_WR)
                while client.wire.recv(65536):
                    pass
        assert is_well(server)
        assert not any("Traceback" in line or "Error" in line for line in server.lines)


def test_a_flood_of_window_updates_ends_the_connection(server: Running) -> None:
    with connected(server) as client:
        client.answers(client.request(HEAD, grpc_framing.framed(ASK)))
        with suppress(OSError):
            client.wire.sendall(frame(8, 0, (1).to_bytes(4, "big")) * 100_000)
        assert last_words(client) == [ngh2.ErrorCode.ENHANCE_YOUR_CALM]
    assert is_well(server)


def test_many_window_updates_for_many_calls_are_no_flood(server: Running) -> None:
    with connected(server) as client:
        client.send()
        for _ in range(5):
            client.wire.sendall(frame(8, 0, (1).to_bytes(4, "big")) * 4000)
            assert client.answers(client.request(HEAD, grpc_framing.framed(ASK)))[b"grpc-status"] == b"0"


def test_a_method_that_is_not_there(server: Running) -> None:
    with connected(server) as client:
        found = client.answers(client.request(replaced(b":path", b"/no/Such"), grpc_framing.framed(b"")))
        assert int(found[b"grpc-status"]) == Code.UNIMPLEMENTED


def test_calls_on_one_connection_are_answered_side_by_side(server: Running) -> None:
    with connected(server) as client:
        streams = [client.request(HEAD, grpc_framing.framed(ASK)) for _ in range(50)]
        assert client.answers(streams[-1])[b"grpc-status"] == b"0"


def test_a_client_that_resets_its_call_harms_nobody(server: Running) -> None:
    with connected(server) as client:
        for _ in range(100):
            stream = client.request(HEAD, grpc_framing.framed(ASK))
            client.send()
            client.session.reset_stream(stream)
        assert client.answers(client.request(HEAD, grpc_framing.framed(ASK)))[b"grpc-status"] == b"0"


def test_one_connection_too_many_is_told_to_calm_down() -> None:
    with serving("--rest_api_max_connections=1") as server, connected(server) as first:
        first.answers(first.request(HEAD, grpc_framing.framed(ASK)))
        with connected(server) as second:
            second.send()
            while data := second.wire.recv(65536):
                second.session.receive_data(data)
            codes = [e.error_code for e in second.session.events() if isinstance(e, ngh2.GoAwayReceived)]
            assert codes == [ngh2.ErrorCode.ENHANCE_YOUR_CALM]
        assert first.answers(first.request(HEAD, grpc_framing.framed(ASK)))[b"grpc-status"] == b"0"


def test_mutated_bytes_never_stop_the_server(server: Running) -> None:
    """A short run of what benchmarks/modelserver/fuzz does at length: a valid exchange with bytes changed."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    for _ in range(150):
        session = ngh2.Connection(ngh2.Role.CLIENT)
        session.initiate_connection()
        stream = session.send_request(HEAD)
        session.send_data(stream, grpc_framing.framed(ASK), end_stream=True)
        wire = bytearray(session.data_to_send())
        for _ in range(chance.randint(1, 6)):
            wire[chance.randrange(len(wire))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=60) as connection:
            connection.sendall(wire)
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    assert is_well(server), f"seed {seed}"


@pytest.mark.parametrize(
    ("message", "wire"), [("plain", b"plain"), ("50 % ä", b"50 %25 %C3%A4"), ("a\nb\udcff", b"a%0Ab%EF%BF%BD")]
)
def test_messages_are_percent_encoded(message: str, wire: bytes) -> None:
    assert grpc_framing.status_headers(StatusError(Code.INTERNAL, message))[1] == (b"grpc-message", wire)


@pytest.mark.parametrize(
    ("text", "timeout_ms"),
    [(b"5S", 5000), (b"100m", 100), (b"1u", 1), (b"2H", 7_200_000), (b"123456789S", 0), (b"xS", 0), (b"5", 0)],
)
def test_timeouts_are_read_in_their_units(text: bytes, timeout_ms: int) -> None:
    head = grpc_framing.read_head((*HEAD, (b"grpc-timeout", text)))
    assert isinstance(head, grpc_framing.Head)
    assert head.timeout_ms == timeout_ms
