"""Requests like the one before them are not parsed again, and come out as if they were."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modelserver.protocols import connected
from tfs_workflow.modelserver.connections import Limits
from tfs_workflow.modelserver.http_message import Request, Response
from tfs_workflow.modelserver.http_protocol import HttpConnection


def echo(request: Request, reply: Callable[[Response], None]) -> None:
    """Answer with what was understood."""
    headers = {name.decode(): value.decode() for name, value in sorted(request.headers.items())}
    heard = [request.method, request.target.decode(), headers, request.body.decode()]
    reply(Response(200, json.dumps(heard).encode()))


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


@settings(max_examples=60, deadline=None)
@given(st.lists(one_request, min_size=1, max_size=8), st.lists(st.integers(1, 400), max_size=8))
def test_however_requests_are_cut_each_is_understood_as_itself(
    requests: list[tuple[str, bytes, str]], cuts: list[int]
) -> None:
    sent = [wire(*request) for request in requests]
    stream = b"".join(content for content, _ in sent)
    with connected(HttpConnection, echo, Limits()) as (client, _):
        for cut in [*cuts, len(stream)]:
            client.sendall(stream[:cut])
            stream = stream[cut:]
        with client.makefile("rb") as answers:
            assert [next_echo(answers) for _ in sent] == [heard for _, heard in sent]


@pytest.mark.parametrize("kind", ["plain", "chunked", "gzip"])
def test_one_after_another(kind: str) -> None:
    with connected(HttpConnection, echo, Limits()) as (client, _):
        for body in (b"12345", b"67890", b"12345", b"1234567890"):
            content, heard = wire("/a", body, kind)
            client.sendall(content)
            with client.makefile("rb") as answers:
                assert next_echo(answers) == heard


def test_pairs_that_come_as_one_piece_stay_pairs() -> None:
    with connected(HttpConnection, echo, Limits()) as (client, _):
        for body in (b"12345", b"67890"):
            content, heard = wire("/a", body, "plain")
            client.sendall(content * 2)
            with client.makefile("rb") as answers:
                assert [next_echo(answers) for _ in range(2)] == [heard, heard]
