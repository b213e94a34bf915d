"""Requests like the one before them are not parsed again, and come out as if they were."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modelserver.protocols import connected
from tfs_workflow.modelserver.exchange import HttpApp, Request, Response, Shortcut
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.net.connections import ConnectionLimits


def echo(request: Request, reply: Callable[[Response], None]) -> None:
    """Answer with what was understood."""
    headers = {name.decode(): value.decode() for name, value in sorted(request.headers.items())}
    heard = [request.method, request.target.decode(), headers, request.body.decode()]
    reply(Response(200, json.dumps(heard).encode()))


def echo_by_shortcut(request: Request, reply: Callable[[Response], None]) -> None:
    """The same, and the next one like it at once, but for one body."""

    def shortcut(body: bytes) -> Response | None:
        answers: list[Response] = []
        echo(request._replace(body=body), answers.append)
        return None if body == b"67890" else answers[0]

    echo(request, lambda response: reply(response._replace(shortcut=Shortcut(shortcut))))


TARGETS = ["/a", "/b"]
BODIES = [b"", b"12345", b"67890", b"1234567890", b"\r\n\r\nx"]
KINDS = ["plain", "plain", "plain", "chunked", "gzip"]

one_request = st.tuples(st.sampled_from(TARGETS), st.sampled_from(BODIES), st.sampled_from(KINDS))


def wire(target: str, body: bytes, kind: str) -> tuple[bytes, list[object]]:
    """The bytes of a request, and what an echo of it is."""
    headers = {"host": "x"}
    sent = body
    if kind == "gzip":
        sent = gzip.compress(body)
        headers["content-encoding"] = "gzip"
    if kind == "chunked":
        headers["transfer-encoding"] = "chunked"
        sent = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    else:
        headers["content-length"] = str(len(sent))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode()
    return head + sent, ["POST", target, dict(sorted(headers.items())), body.decode()]


def next_echo(answers: BinaryIO) -> object:
    """What the server understood, from its next answer."""
    head = list(iter(answers.readline, b"\r\n"))
    length = next(int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length"))
    return json.loads(answers.read(length))


@pytest.mark.parametrize("app", [echo, echo_by_shortcut])
@settings(max_examples=60, deadline=None)
@given(requests=st.lists(one_request, min_size=1, max_size=8), cuts=st.lists(st.integers(1, 400), max_size=8))
def test_however_requests_are_cut_each_is_understood_as_itself(
    app: HttpApp, requests: list[tuple[str, bytes, str]], cuts: list[int]
) -> None:
    sent = [wire(*request) for request in requests]
    stream = b"".join(content for content, _ in sent)
    with connected(HttpConnection, app, ConnectionLimits()) as (client, _):
        for cut in [*cuts, len(stream)]:
            client.sendall(stream[:cut])
            stream = stream[cut:]
        with client.makefile("rb") as answers:
            assert [next_echo(answers) for _ in sent] == [heard for _, heard in sent]


@pytest.mark.parametrize("app", [echo, echo_by_shortcut])
@pytest.mark.parametrize("kind", ["plain", "chunked", "gzip"])
def test_one_after_another(kind: str, app: HttpApp) -> None:
    with connected(HttpConnection, app, ConnectionLimits()) as (client, _):
        for body in (b"12345", b"67890", b"12345", b"1234567890"):
            content, heard = wire("/a", body, kind)
            client.sendall(content)
            with client.makefile("rb") as answers:
                assert next_echo(answers) == heard


def test_pairs_that_come_as_one_piece_stay_pairs() -> None:
    with connected(HttpConnection, echo, ConnectionLimits()) as (client, _):
        for body in (b"12345", b"67890"):
            content, heard = wire("/a", body, "plain")
            client.sendall(content * 2)
            with client.makefile("rb") as answers:
                assert [next_echo(answers) for _ in range(2)] == [heard, heard]


def test_a_shortcut_is_taken_by_the_next_request_with_the_same_head_alone() -> None:
    ways: list[str] = []

    def app(request: Request, reply: Callable[[Response], None]) -> None:
        ways.append("general")
        echo(
            request, lambda response: reply(response._replace(shortcut=Shortcut(lambda body: shortcut(request, body))))
        )

    def shortcut(request: Request, body: bytes) -> Response:
        ways.append("short")
        answers: list[Response] = []
        echo(request._replace(body=body), answers.append)
        return answers[0]

    with connected(HttpConnection, app, ConnectionLimits()) as (client, _), client.makefile("rb") as answers:
        for target, body in [("/a", b"12345"), ("/a", b"67890"), ("/b", b"67890"), ("/b", b"1234567890")]:
            content, heard = wire(target, body, "plain")
            client.sendall(content)
            assert next_echo(answers) == heard
    assert ways == ["general", "short", "general", "general"]


def test_a_shortcut_does_not_overtake_the_request_before() -> None:
    def app(request: Request, reply: Callable[[Response], None]) -> None:
        if request.body == b"67890":
            asyncio.get_running_loop().call_later(0.05, echo, request, reply)
        else:
            echo_by_shortcut(request, reply)

    with connected(HttpConnection, app, ConnectionLimits()) as (client, _), client.makefile("rb") as answers:
        for bodies in ([b"12345"], [b"67890", b"12345"]):
            sent = [wire("/a", body, "plain") for body in bodies]
            for content, _heard in sent:
                client.sendall(content)
                time.sleep(0.01)  # a piece of its own
            assert [next_echo(answers) for _ in sent] == [heard for _, heard in sent]


def test_heads_that_come_apart_from_their_bodies_do_not_add_up() -> None:
    """As Python's http.client sends them; the bound on a head is one for each request."""
    head, body = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"12345"
    with connected(HttpConnection, echo, ConnectionLimits(max_head_bytes=4 * len(head))) as (client, _):
        for _ in range(20):
            client.sendall(head)
            time.sleep(0.005)  # the body is to come in a piece of its own
            client.sendall(body)
            with client.makefile("rb") as answers:
                assert next_echo(answers) == ["POST", "/a", {"content-length": "5", "host": "x"}, "12345"]
