"""The shortest way gives the answers of the general one, byte for byte as JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED, Running, configured, read_response, serving

BODIES = [
    b'{"instances":[1.0,2.0,5.0]}',
    b'{"instances":[1,2,5]}',
    b' { "instances" : [ 1 , 2.5e3 ] } ',
    b'{"instances":[[1,2],[3,4]]}',
    b'{"instances":[[1],[3,4]]}',
    b'{"instances":[[[1]],[[2]]]}',
    b'{"instances":[[],[]]}',
    b'{"instances":[]}',
    b'{"instances":[true]}',
    b'{"instances":[null]}',
    b'{"instances":["a"]}',
    b'{"instances":[1,"a"]}',
    b'{"instances":[{"x":1}]}',
    b'{"instances":[1e39]}',
    b'{"instances":[-1e39]}',
    b'{"instances":[1e-40,-1e-40,-0.0]}',
    b'{"instances":[NaN]}',
    b'{"instances":[3.4028234e38]}',
    b'{"instances":[18446744073709551615]}',
    b'{"instances":[0.1,0.3333333333,16777217,1e-7,123456.7]}',
    b'{"instances":' + str(list(range(100))).encode() + b"}",
    b'{"instances":1}',
    b'{"inputs":[1,2]}',
    b'{"instances":[1],"instances":[2]}',
    b'{"signature_name":"serving_default","instances":[1]}',
    b'{"instances":[1]}x',
    b"{}",
    b"",
    b"[1]",
    b"\xff",
]
ROW = b"[" + b", ".join(b"%d.25" % i for i in range(500)) + b"]"
# Over 16 KiB: these stand in line for the loop, or go to a thread where they are not what they seem.
LARGER = {
    "rows": [ROW] * 10,
    "a flat list": [ROW[1:-1]] * 10,
    "a row too short": [ROW] * 9 + [b"[1]"],
    "a list too deep": [ROW] * 9 + [ROW[:-1].rpartition(b",")[0] + b", [7]]"],
    "a number too large": [ROW] * 9 + [ROW.replace(b"7.25", b"1e39")],
    "a denormal number": [ROW] * 9 + [ROW.replace(b"7.25", b"1e-40")],
    "no number": [ROW] * 9 + [ROW.replace(b"77.25", b'"a"')],
    "NaN": [ROW] * 9 + [ROW.replace(b"77.25", b"NaN")],
    "cut off": [ROW] * 9 + [ROW[:-100]],
    "rows of nothing": [b"[]"] * 9000,
}
HEADS = [
    b'{"instances": [',
    b'{"inputs": [',
    b'{"signature_name": "serving_default", "instances": [',
    b'{"signature_name": "x", "instances": [',
]


WIDENING = {"wide": (100,), "deep": (2, 3, 1), "empty": (0,), "without_columns": (2, 0)}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """The same models on a server that has learnt that they are quick, and on one that may never find it out."""
    path = tmp_path_factory.mktemp("models")
    graphs.failing(path / "failing" / "1")
    graphs.dangling(path / "dangling" / "1")
    for name, sizes in WIDENING.items():
        graphs.widening(path / name / "1", *sizes)
    batching = path / "batching.config"
    batching.write_text("max_batch_size { value: 100000 } batch_timeout_micros { value: 0 }")
    bases = {name: path / name for name in ("failing", "dangling", *WIDENING)}
    config = configured(path, bases | {"half_plus_two": BUNDLED})
    with serving(config) as quick:
        for _ in range(50):
            quick.predict([1.0])
        with serving(
            f"--model_config_file={path}/models.config", "--enable_batching", f"--batching_parameters_file={batching}"
        ) as general:
            yield quick, general


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:40].decode("latin-1"))
def test_both_ways_give_the_same_answer(both: tuple[Running, Running], body: bytes) -> None:
    assert_same_answers(both, body)


@pytest.mark.parametrize("head", HEADS, ids=bytes.decode)
@pytest.mark.parametrize("name", LARGER)
def test_both_ways_give_the_same_answer_to_larger_requests(
    both: tuple[Running, Running], name: str, head: bytes
) -> None:
    assert_same_answers(both, head + b", ".join(LARGER[name]) + b"]}")


def raw_answer(server: Running, body: bytes) -> tuple[int, bytes]:
    with server.connect() as connection:
        head = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        status, _, answer = read_response(connection)
        return status, answer


def assert_same_answers(both: tuple[Running, Running], body: bytes) -> None:
    quick, general = (raw_answer(server, body) for server in both)
    assert quick == general


@pytest.mark.parametrize("count", [1, 5, 60, 2000])
def test_both_ways_print_the_same_digits(both: tuple[Running, Running], count: int) -> None:
    chance = np.random.default_rng(count)
    for _ in range(20):
        patterns = chance.integers(0, 2**32, count, np.uint32).view(np.float32)
        values = np.where(np.isfinite(patterns), patterns, np.float32(0.1)).tolist()
        assert_same_answers(both, json.dumps({"instances": values}).encode())


def test_a_client_that_stays_gets_the_same_answers(both: tuple[Running, Running]) -> None:
    """Its later requests take the shortcut: they come as one piece, with the same head."""
    bodies = [body for body in BODIES if body] * 3
    with socket.create_connection(("127.0.0.1", both[0].rest_port)) as client, client.makefile("rb") as answers:
        for body in sorted(bodies, key=len):
            head = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)
            lines = list(iter(answers.readline, b"\r\n"))
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"Content-Length"))
            status, answer = int(lines[0].split()[1]), json.loads(answers.read(length))
            assert (status, answer) == both[0].request("POST", "/v1/models/half_plus_two:predict", body)


@pytest.mark.parametrize("model", WIDENING)
def test_answers_of_an_unusual_shape_are_the_same(both: tuple[Running, Running], model: str) -> None:
    """The first ones of a model take the general way, until it is known to be quick."""
    path = f"/v1/models/{model}:predict"
    answers = {json.dumps(both[0].request("POST", path, {"instances": [1.0]})) for _ in range(20)}
    assert len(answers) == 1


@pytest.mark.parametrize("model", ["failing", "dangling"])
def test_a_failing_run_has_the_same_message_however_often(both: tuple[Running, Running], model: str) -> None:
    answers = [
        server.request("POST", f"/v1/models/{model}:predict", {"instances": [1.0]}) for server in both for _ in range(8)
    ]
    assert answers[0][0] >= 400
    assert len({json.dumps(answer) for answer in answers}) == 1


def test_an_input_that_the_model_keeps_is_not_written_over(tmp_path: Path) -> None:
    """The quick way feeds the same piece of memory again and again, where it may."""
    graphs.remembering(tmp_path / "m" / "1")
    with serving("--model_name=m", f"--model_base_path={tmp_path}/m") as server:
        answers = [server.request("POST", "/v1/models/m:predict", {"instances": [float(i)]})[1] for i in range(30)]
    assert answers[1:] == [{"predictions": [float(i)]} for i in range(29)]
