"""Clients that are too slow are cut off, by both protocols; the bounds are the server's own, shortened."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.modelserver.grpc.test_grpc_protocol import HEAD, Client
from tests.modelserver.protocols import connected
from tfs_workflow.modelserver.exchange import Response
from tfs_workflow.modelserver.grpc.grpc_connection import GrpcConnection
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections

# Far above what the sweeps below need, far below what a client is given here before it counts as hanging.
LONG_S = 600.0
SHORT_S = 0.05
PATIENT = ConnectionLimits(head_timeout_s=LONG_S, body_timeout_s=LONG_S, idle_timeout_s=LONG_S, write_timeout_s=LONG_S)
LARGE = bytes(64 * 2**20)


def large_answer(_: Any, reply: Callable[[Response], None]) -> None:
    reply(Response(200, LARGE))


def no_answer(*_: Any) -> None:
    """The application never comes back."""


def read_to_end(wire: socket.socket) -> bytes:
    wire.settimeout(60)
    received = b""
    try:
        while data := wire.recv(2**20):
            received += data
    except ConnectionResetError:
        return received
    return received


def wait_until_given_up(connections: Connections[Any]) -> None:
    """Return once the server holds no connection; the client still has its own end open."""
    while connections.open:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n", replace(PATIENT, head_timeout_s=SHORT_S)),
        (
            b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
            replace(PATIENT, body_timeout_s=SHORT_S),
        ),
    ],
    ids=["head", "body"],
)
def test_half_a_request_is_answered_with_408(sent: bytes, limits: ConnectionLimits) -> None:
    with connected(HttpConnection, large_answer, limits) as (wire, _):
        wire.sendall(sent)
        assert read_to_end(wire).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize("protocol", [HttpConnection, GrpcConnection])
def test_a_connection_that_says_nothing_is_closed(protocol: Any) -> None:
    limits = replace(PATIENT, head_timeout_s=SHORT_S, idle_timeout_s=SHORT_S)
    with connected(protocol, no_answer, limits) as (wire, _):
        assert b"HTTP/1.1" not in read_to_end(wire)


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    limits = replace(PATIENT, write_timeout_s=SHORT_S)
    with connected(HttpConnection, large_answer, limits) as (wire, connections):
        wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.recv(1)  # the answer has begun
        wait_until_given_up(connections)
        assert len(read_to_end(wire)) < len(LARGE)


def test_half_a_grpc_message_ends_its_connection() -> None:
    limits = replace(PATIENT, body_timeout_s=SHORT_S)
    with connected(GrpcConnection, no_answer, limits) as (wire, _):
        client = Client(wire)
        stream = client.session.send_request(HEAD)
        client.session.send_data(stream, b"\0\0\0\0\x09half")
        client.send()
        read_to_end(wire)


def test_a_grpc_answer_that_nobody_takes_ends_its_connection() -> None:
    def answer(path: bytes, content: bytes, timeout_ms: int, reply: Callable[[bytes], None]) -> None:
        reply(LARGE)

    limits = replace(PATIENT, write_timeout_s=SHORT_S)
    with connected(GrpcConnection, answer, limits) as (wire, connections):
        client = Client(wire)
        client.request(HEAD, b"\0\0\0\0\0")
        client.send()
        received = wire.recv(2**20)  # the answer has begun, and no window is ever opened again
        wait_until_given_up(connections)
        assert len(received + read_to_end(wire)) < len(LARGE)


def test_a_slow_model_keeps_its_connection() -> None:
    """What is in work has no deadline of the connection's: the request's own timeout is the dispatcher's business."""
    waiting: list[Callable[[Any], None]] = []

    def later(path: bytes, content: bytes, timeout_ms: int, reply: Callable[[Any], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(20 * SHORT_S, reply, b"done")
        waiting.append(reply)

    limits = replace(PATIENT, idle_timeout_s=SHORT_S, write_timeout_s=SHORT_S)
    with connected(GrpcConnection, later, limits) as (wire, _):
        client = Client(wire)
        found = client.answers(client.request(HEAD, b"\0\0\0\0\0"))
        assert found[b"body"] == b"\0\0\0\0\x04done"
        assert found[b"grpc-status"] == b"0"
        assert len(waiting) == 1
