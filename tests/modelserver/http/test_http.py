"""The HTTP connection: what a client may send, and how the server keeps out of harm."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
import time
import zlib
from collections.abc import Iterator

import psutil
import pytest

from tests.support.modelserver.running import Running, read_response, serving
from tests.support.waiting import until

PREDICT = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"instances":[1.0,2.0,5.0]}'
ANSWER = {"predictions": [2.5, 3.0, 4.5]}


def predict_request(body: bytes = BODY, headers: bytes = b"") -> bytes:
    return PREDICT + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def exchange(server: Running, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with server.connect() as connection:
        connection.sendall(request)
        return read_response(connection)


@pytest.fixture(scope="module")
def bounded() -> Iterator[Running]:
    with serving("--rest_api_max_body_bytes=100000", "--rest_api_max_connections=8") as running:
        yield running


def test_a_connection_is_kept_alive(server: Running) -> None:
    with server.connect() as connection:
        for _ in range(5):
            connection.sendall(predict_request())
            status, headers, body = read_response(connection)
            assert (status, json.loads(body)) == (200, ANSWER)
            assert headers["content-type"] == "application/json"
            assert "server" not in headers
            assert "connection" not in headers


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    bodies = [json.dumps({"instances": [float(i)]}).encode() for i in range(100)]
    with server.connect() as connection:
        sender = threading.Thread(target=connection.sendall, args=(b"".join(map(predict_request, bodies)),))
        sender.start()
        stream = connection.makefile("rb")
        answers = []
        for _ in bodies:
            head = list(iter(stream.readline, b"\r\n"))
            length = next(int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length"))
            answers.append(json.loads(stream.read(length))["predictions"])
        sender.join()
    assert answers == [[0.5 * i + 2] for i in range(100)]


def test_chunked_bodies(server: Running) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:5], BODY[5:6], BODY[6:])) + b"0\r\n\r\n"
    status, _, body = exchange(server, PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (status, json.loads(body)) == (200, ANSWER)


def test_a_request_may_come_byte_by_byte(server: Running) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(predict_request())):
            connection.sendall(predict_request()[i : i + 1])
        assert read_response(connection)[0] == 200


@pytest.mark.parametrize("headers", [b"Connection: close\r\n", b"Connection: Close\r\n"])
def test_the_connection_is_closed_when_asked(server: Running, headers: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(predict_request(headers=headers))
        status, answered, _ = read_response(connection)
        assert (status, answered["connection"]) == (200, "close")
        assert connection.recv(1) == b""


def test_http_1_0_closes(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(predict_request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert read_response(connection)[0] == 200
        assert connection.recv(1) == b""


def test_gzip_is_unpacked(server: Running) -> None:
    packed = gzip.compress(BODY)
    status, _, body = exchange(server, predict_request(packed, b"Content-Encoding: gzip\r\n"))
    assert (status, json.loads(body)) == (200, ANSWER)


def test_expect_continue_is_answered_before_the_body_is_sent(server: Running) -> None:
    with server.connect() as connection:
        head, body = predict_request(headers=b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_response(connection)[0] == 200


def test_head_is_answered_without_a_body(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"HEAD /v1/models/half_plus_two HTTP/1.1\r\n\r\n" + predict_request())
        received = b""
        while b"predictions" not in received:
            received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 400")
    assert b'"error"' not in received


def test_a_body_over_the_bound_is_refused_before_it_is_sent(bounded: Running) -> None:
    with bounded.connect() as connection:
        connection.sendall(PREDICT + b"Content-Length: 100001\r\n\r\n")
        status, headers, _ = read_response(connection)
        assert (status, headers["connection"]) == (413, "close")


def test_a_chunked_body_over_the_bound_is_cut_off(bounded: Running) -> None:
    with bounded.connect() as connection:
        connection.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + b"186A1\r\n" + b" " * 100001)
        assert read_response(connection)[0] == 413


def test_a_gzip_bomb_is_refused(bounded: Running) -> None:
    bomb = zlib.compressobj(9, wbits=31)
    packed = bomb.compress(b" " * 50_000_000) + bomb.flush()
    assert len(packed) < 100_000
    assert exchange(bounded, predict_request(packed, b"Content-Encoding: gzip\r\n"))[0] == 413


def test_headers_without_end_are_refused(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /v1/models/half_plus_two HTTP/1.1\r\n" + b"X: " + b"a" * 300_000)
        assert read_response(connection)[0] == 431


def test_connections_over_the_bound_get_503_and_the_others_go_on(bounded: Running) -> None:
    held = [bounded.connect() for _ in range(8)]
    try:
        for connection in held:  # each is known to the server once it has answered
            connection.sendall(predict_request())
            assert read_response(connection)[0] == 200
        with bounded.connect() as refused:
            status, headers, _ = read_response(refused)
            assert (status, headers["retry-after"]) == (503, "1")
        held[0].sendall(predict_request())
        assert read_response(held[0])[0] == 200
    finally:
        for connection in held:
            connection.close()


def test_json_of_any_depth_is_survived(server: Running) -> None:
    for text in (b"[" * 500_000, b'{"a":' * 300_000, b'{"instances":' + b"[" * 200_000 + b"]" * 200_000 + b"}"):
        status, answer = server.request("POST", "/v1/models/half_plus_two:predict", text)
        assert status == 400
        assert "error" in answer
    assert server.predict([1.0]) == [2.5]


def test_names_never_reach_the_file_system(server: Running) -> None:
    for name in ("..%2F..%2Fetc", "%00", "half_plus_two%00", "..", "%2e%2e"):
        status, answer = server.get(f"/v1/models/{name}")
        assert (status, list(answer)) == (404, ["error"]), name


def test_a_client_that_goes_away_leaves_nothing_open(server: Running) -> None:
    process = psutil.Process(server.process.pid)
    for _ in range(50):
        with server.connect() as connection:
            connection.sendall(predict_request()[: random.Random(1).randrange(1, 100)])
    deadline_s = time.monotonic() + 60
    while any(c.status == "CLOSE_WAIT" for c in process.net_connections()):
        assert time.monotonic() < deadline_s
        assert server.predict([1.0]) == [2.5]


LARGE = [[float(i % 1000) for i in range(1000)] for _ in range(400)]
LARGE_ANSWER = [[0.5 * x + 2 for x in row] for row in LARGE]


def test_a_large_answer_comes_whole_also_to_one_who_reads_slowly_and_asks_on(server: Running) -> None:
    """It is sent part by part, and the answers after it wait for its end."""
    body = json.dumps({"instances": LARGE}).encode()
    with server.connect() as connection:
        connection.sendall(predict_request(body) + predict_request() + predict_request(body))
        time.sleep(1)
        stream = connection.makefile("rb")
        for expected in (LARGE_ANSWER, ANSWER["predictions"], LARGE_ANSWER):
            head = list(iter(stream.readline, b"\r\n"))
            length = next(int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length"))
            assert json.loads(stream.read(length)) == {"predictions": expected}


def test_a_large_answer_closes_the_connection_at_its_end_when_asked(server: Running) -> None:
    body = json.dumps({"instances": LARGE}).encode()
    with server.connect() as connection:
        connection.sendall(predict_request(body, b"Connection: close\r\n"))
        status, headers, answer = read_response(connection)
        assert (status, headers["connection"], json.loads(answer)) == (200, "close", {"predictions": LARGE_ANSWER})
        assert connection.recv(1) == b""


@pytest.mark.parametrize("first", ["large", "small"])
def test_what_is_no_request_is_answered_after_the_requests_before_it(server: Running, first: str) -> None:
    instances, expected = (LARGE, LARGE_ANSWER) if first == "large" else ([1.0], [2.5])
    with server.connect() as connection:
        connection.sendall(predict_request(json.dumps({"instances": instances}).encode()) + b"\0no request\r\n\r\n")
        stream = connection.makefile("rb")
        for statuses, answer in (({b"200"}, {"predictions": expected}), ({b"400", b"501"}, None)):
            head = list(iter(stream.readline, b"\r\n"))
            assert head[0].split()[1] in statuses
            body = stream.read(next(int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length")))
            assert answer is None or json.loads(body) == answer
        assert stream.read() == b""


def test_who_goes_away_in_the_middle_of_a_large_answer_leaves_nothing_open(server: Running) -> None:
    body = json.dumps({"instances": LARGE}).encode()
    process = psutil.Process(server.process.pid)
    before = process.num_fds()
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(predict_request(body))
            connection.recv(10)
    until(lambda: process.num_fds() <= before)
    assert server.predict([1.0]) == [2.5]


@pytest.mark.parametrize("way", ["plain", "chunked", "gzip"])
def test_a_large_body_that_is_not_plain_numbers_is_read_the_general_way(server: Running, way: str) -> None:
    body = b" " * 3_000_000 + json.dumps({"instances": [{"x": 1.0}, {"x": 2.0}]}).encode()
    request = predict_request(body)
    if way == "gzip":
        request = predict_request(gzip.compress(body, 0), b"Content-Encoding: gzip\r\n")
    elif way == "chunked":
        request = PREDICT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert json.loads(exchange(server, request)[2]) == {"predictions": [2.5, 3.0]}
    wrong = predict_request(b" " * 3_000_000 + b'{"instances": [1, "a"]}')
    assert exchange(server, wrong)[0] == 400


@pytest.mark.parametrize("allowed", [True, False])
def test_cors_headers_are_behind_their_flag(allowed: bool) -> None:
    with serving(f"--rest_api_enable_cors_support={str(allowed).lower()}") as server:
        request = b"OPTIONS /v1/models/half_plus_two:predict HTTP/1.1\r\nOrigin: https://example.org\r\n\r\n"
        status, headers, body = exchange(server, request)
        assert (status, body) == (200, b"")
        assert (headers.get("access-control-allow-origin") == "*") is allowed
        assert ("access-control-allow-methods" in exchange(server, predict_request())[1]) is allowed


def test_a_plain_post_of_a_web_page_runs_and_its_answer_is_not_given_to_the_page(server: Running) -> None:
    """A browser sends it without asking first, and hides an answer without the header from the page."""
    headers = b"Origin: https://example.org\r\nSec-Fetch-Mode: cors\r\nContent-Type: text/plain;charset=UTF-8\r\n"
    status, answered, body = exchange(server, predict_request(headers=headers))
    assert (status, json.loads(body)) == (200, ANSWER)
    assert "access-control-allow-origin" not in answered
