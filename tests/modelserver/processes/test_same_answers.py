"""A server of several processes answers as one of a single process, byte for byte."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import Running, read_response, serving

CHANCE = random.Random(7)
NUMBERS = [round(CHANCE.uniform(-1000, 1000), 3) for _ in range(20_000)]
ROWS = [NUMBERS[start : start + 40] for start in range(0, 4000, 40)]
BODIES = {
    "flat": b'{"instances": [1.0, 2.0, 5.0]}',
    "rows": b'{"instances": [[1, 2], [3, 4.5]]}',
    "zero and unusual": b'{"instances": [0, -0.0, 1e-40, 3.4e38, 1e300]}',
    "of every size": json.dumps(
        {"instances": [CHANCE.choice((1, -1)) * 1.2345678 * 10**e for e in range(-38, 38)]}
    ).encode(),
    "scalar in inputs": b'{"inputs": 3}',
    "named": b'{"signature_name": "serving_default", "instances": [{"x": 1.5}]}',
    "no rows": b'{"instances": []}',
    "text": b'{"instances": ["a"]}',
    "broken": b'{"instances": [1.0',
    "no such signature": b'{"signature_name": "nowhere", "instances": [1.0]}',
    "many numbers": json.dumps({"instances": NUMBERS}).encode(),
    "many rows": json.dumps({"instances": ROWS}).encode(),
    "many rows as inputs": json.dumps({"signature_name": "serving_default", "inputs": ROWS}).encode(),
    "uneven rows": json.dumps({"instances": [*ROWS, [1.0]]}).encode(),
    "large text": json.dumps({"instances": ["x" * 9000]}).encode(),
    "tiny among many": json.dumps({"instances": [*NUMBERS, 1e-42]}).encode(),
    "more than a piece": json.dumps({"instances": NUMBERS * 4}).encode(),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """One of a single process, one with fronts; of a model that adds."""
    model = tmp_path_factory.mktemp("same") / "m"
    graphs.plus(model / "1", 0.1)
    flags = ("--model_name=m", f"--model_base_path={model}", "--rest_api_enable_cors_support=true")
    with serving(*flags, "--fronts=0") as one, serving(*flags, "--fronts=2") as several:
        yield [one, several]


def answer(connection: socket.socket, body: bytes) -> tuple[int, dict[str, str], bytes]:
    connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    status, headers, content = read_response(connection)
    return status, {name: value for name, value in headers.items() if name != "date"}, content


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_answer_is_the_same_at_first_and_later(servers: list[Running], body: bytes) -> None:
    """A model that has been run a few times is run by plan."""
    connections = [server.connect() for server in servers]
    try:
        for warm in (BODIES["flat"], BODIES["many rows"]):
            for connection in connections:
                assert [answer(connection, warm)[0] for _ in range(8)] == [200] * 8
        answers = [[answer(connection, body) for _ in range(3)] for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[0][2]
