"""RFC 9110 and 9112 on offers, trailers, versions, bounds and expectations, and the statuses of TensorFlow Serving."""

from __future__ import annotations

import json
import re

import pytest

from tests.modelserver.http.test_http import ANSWER, BODY, PREDICT, exchange, predict_request
from tests.support.modelserver.running import Running, read_response

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"


@pytest.mark.parametrize("pieces", [1, 7])
def test_an_offer_of_another_protocol_is_declined_and_the_body_read(server: Running, pieces: int) -> None:
    """As curl --http2, Java's HttpClient and proxies for websockets send it."""
    with server.connect() as connection:
        for request in (predict_request(headers=UPGRADE), predict_request(), predict_request(headers=UPGRADE)):
            size = len(request) // pieces + 1
            for start in range(0, len(request), size):
                connection.sendall(request[start : start + size])
            status, _, body = read_response(connection)
            assert (status, json.loads(body)) == (200, ANSWER)


def test_offers_in_pipelined_requests_are_declined(server: Running) -> None:
    request = predict_request(headers=UPGRADE) + predict_request() + predict_request(headers=UPGRADE)
    with server.connect() as connection:
        connection.sendall(request + predict_request(headers=b"Connection: close\r\n"))
        answers = connection.makefile("rb").read()
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b'"predictions": [2.5, 3.0, 4.5') == 4


def test_an_offer_with_a_chunked_body_that_closes(server: Running) -> None:
    headers = UPGRADE.replace(b"Upgrade,", b"close, Upgrade,", 1) + b"Transfer-Encoding: chunked\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(PREDICT + headers + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        status, answered, body = read_response(connection)
        assert (status, json.loads(body), answered["connection"]) == (200, ANSWER, "close")
        assert connection.recv(1) == b""


def chunked(trailer: bytes) -> bytes:
    return PREDICT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s" % (len(BODY), BODY, trailer)


@pytest.mark.parametrize("trailer", [b"Content-Encoding: gzip\r\n\r\n", b"Connection: close\r\n\r\n"])
def test_the_fields_of_a_trailer_are_dropped(server: Running, trailer: bytes) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(chunked(trailer))
            status, headers, body = read_response(connection)
            assert (status, json.loads(body)) == (200, ANSWER)
            assert "connection" not in headers


@pytest.mark.parametrize("trailer", [b"X: " + b"y" * 900_000, b"X: y\r\n" * 90_000])
def test_a_trailer_without_end_is_refused(server: Running, trailer: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(chunked(trailer))
        assert read_response(connection)[0] == 431


PLAIN, CHUNKED = predict_request(headers=b"X: y\r\n"), chunked(b"X: y\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "wanted"),
    [
        (PLAIN.replace(b"\r\n", b"\n"), 400),
        (PLAIN.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"), 400),
        (PLAIN.replace(b"X: y\r\n", b"X: y\n"), 400),
        (PLAIN.replace(b"\r\n\r\n", b"\r\n\n"), 400),
        (CHUNKED.replace(b"1b\r\n", b"1b\n"), 413),
        (CHUNKED.replace(b"\r\n0\r\n", b"\n0\r\n"), 413),
        (CHUNKED.replace(b"X: y\r\n", b"X: y\n"), 413),
        (CHUNKED.removesuffix(b"\r\n") + b"\n", 413),
    ],
)
def test_a_line_that_ends_in_lf_alone_is_refused(server: Running, request_bytes: bytes, wanted: int) -> None:
    """And nothing that follows it is taken for a request."""
    with server.connect() as connection:
        connection.sendall(predict_request() + request_bytes + predict_request())
        answers = connection.makefile("rb").read()
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"%d" % wanted]


def test_the_bound_on_a_head_is_exact(server: Running) -> None:
    for size, wanted in ((200_000, 200), (270_000, 431)):
        lines = b"".join(b"X-%06d: %s\r\n" % (i, b"a" * 989) for i in range(size // 1000))
        assert exchange(server, predict_request(headers=lines))[0] == wanted


def test_a_later_minor_version_is_served_and_another_major_one_is_not(server: Running) -> None:
    assert exchange(server, predict_request().replace(b"HTTP/1.1", b"HTTP/1.2"))[0] == 200
    assert exchange(server, predict_request().replace(b"HTTP/1.1", b"HTTP/2.0"))[0] == 400


@pytest.mark.parametrize(
    ("request_line", "headers", "wanted"),
    [
        (b"post /v1/models/half_plus_two:predict HTTP/1.1", b"", 501),
        (b"POST /v1/models/half_plus_two:predict HTTP/1.1", b"Expect: 200-ok\r\n", 417),
        (b"GET /v1/models/h\xc3\xa4lf HTTP/1.1", b"", 400),
    ],
)
def test_what_tensorflow_serving_refuses(server: Running, request_line: bytes, headers: bytes, wanted: int) -> None:
    assert exchange(server, request_line + b"\r\nHost: x\r\n" + headers + b"\r\n")[0] == wanted


def test_a_kept_connection_of_http_1_0_is_announced(server: Running) -> None:
    request = predict_request(headers=b"Connection: keep-alive\r\nExpect: 100-continue\r\n")
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
            status, headers, body = read_response(connection)
            assert (status, json.loads(body), headers["connection"]) == (200, ANSWER, "keep-alive")


def test_the_deadline_of_a_head_starts_also_behind_a_request(server: Running) -> None:
    """The first bytes of the next request share a packet with the one before, and the rest never comes."""
    with server.connect() as connection:
        connection.settimeout(40)
        connection.sendall(predict_request() + PREDICT[:10])
        assert read_response(connection)[0] == 200
        assert read_response(connection)[0] == 408
