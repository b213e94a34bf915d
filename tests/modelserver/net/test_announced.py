"""The applications of a server whose end is announced: a request can still be cancelled by its number."""

from __future__ import annotations

from tfs_workflow.modelserver.exchange import NOT_READY, Request, Response
from tfs_workflow.modelserver.net import announced


def get(target: bytes) -> Request:
    return Request("GET", target, {}, b"", keep_alive=True)


def test_the_number_of_a_request_is_passed_on() -> None:
    http = announced.http_app(lambda request, reply: 7)
    grpc = announced.grpc_app(lambda path, message, timeout_ms, reply: 8)
    assert http(get(b"/v1/models/m"), lambda response: None) == 7
    assert grpc(b"/tensorflow.serving.PredictionService/Predict", b"", 0, lambda result: None) == 8


def test_readiness_is_refused_and_has_no_number() -> None:
    taken: list[Response] = []
    http = announced.http_app(lambda request, reply: 7)
    assert http(get(b"/readyz"), taken.append) is None
    assert taken == [NOT_READY]
