"""The generator against the embedded server itself: both transports, TLS, a token, large messages, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.certificates import self_signed
from tests.support.modelserver.running import Running, serving
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.quality.bench.generator.orders import GRPC, REST, Orders
from tfs_workflow.quality.bench.load import Generators
from tfs_workflow.quality.bench.requests import grpc_bodies, grpc_path
from tfs_workflow.quality.bench.result import Load, Point

pytestmark = pytest.mark.slow
TRANSPORTS = [REST, GRPC]
SIGNATURE = Signature("tensorflow/serving/predict", {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 1))}, {})
TOKEN = "a" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


def orders(server: Running, transport: str, rows: list[float], model: str = "half_plus_two") -> Orders:
    target, request = ModelRef(model), JsonRequest(rows)
    made = Orders(REST, "127.0.0.1", server.rest_port, f"/v1/models/{model}:predict", (), 1, 0.5, 0.2)
    if transport == REST:
        return replace(made, bodies=(json.dumps({"instances": rows}).encode(),))
    bodies = grpc_bodies(target, [request], SIGNATURE)
    return replace(made, transport=GRPC, port=server.grpc_port, path=grpc_path(), bodies=bodies)


def measured(made: Orders, load: Load | None = None) -> Point:
    load = load or Load(2)
    point = Point(load)
    Generators(made).put(load, point)
    return point


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("load", [Load(2), Load(8, 100)], ids=str)
def test_both_transports_in_both_loops(server: Running, transport: str, load: Load) -> None:
    point = measured(orders(server, transport, [1.0, 2.0, 5.0]), load)
    assert point.answered > 0
    assert not point.errors


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_messages_larger_than_every_buffer_and_window(server: Running, transport: str) -> None:
    point = measured(replace(orders(server, transport, [1.0] * 2_000_000), seconds=3.0), Load(1))
    assert point.answered > 0
    assert not point.errors


@pytest.mark.parametrize(
    ("transport", "text"), [(REST, "HTTP 404: Servable not found"), (GRPC, "gRPC NOT_FOUND: Servable not found")]
)
def test_a_refusal_is_counted_with_the_text_of_the_server(server: Running, transport: str, text: str) -> None:
    point = measured(orders(server, transport, [1.0], model="none"))
    assert point.answered == 0
    (seen,) = point.errors
    assert seen.startswith(text)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_port_of_the_other_transport_is_no_answer(server: Running, transport: str) -> None:
    made = orders(server, transport, [1.0])
    point = measured(replace(made, port=server.grpc_port if transport == REST else server.rest_port, seconds=2.0))
    assert point.answered == 0
    assert point.failed or point.gone


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_over_tls_with_a_token(tmp_path: Path, transport: str) -> None:
    pair, token = self_signed(tmp_path), tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    flags = (f"--tls_certificate_file={pair.certificate}", f"--tls_key_file={pair.key}", f"--token_file={token}")
    with serving(*flags) as server:
        trusting = replace(orders(server, transport, [1.0]), certificate=str(pair.certificate))
        refused = measured(trusting)
        large = orders(server, transport, [1.0] * 50_000).bodies
        point = measured(replace(trusting, bodies=large, fields={"authorization": f"Bearer {TOKEN}"}))
    assert (refused.answered, len(refused.errors)) == (0, 1)
    assert point.answered > 0
    assert not point.errors
