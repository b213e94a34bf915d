"""919 generated requests with the answers of TensorFlow Serving 2.20.0, compared with the embedded server's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import Running, configured, read_response, serving
from tests.support.recorded_exchanges import EXCHANGES, RECORDED, UNORDERED, content, request_bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = {path.name: path for path in sorted((RECORDED / "models").iterdir())}
    flags = (configured(tmp_path_factory.mktemp("config"), models), "--max_num_load_retries=0")
    # Recorded where TensorFlow has oneDNN on, which computes the softmax of an infinity differently.
    with serving(*flags, environment=graphs.ONEDNN_ON) as running:
        yield running


def test_every_exchange_agrees(server: Running) -> None:
    assert len(EXCHANGES) == 919
    differing = {case["case"]: found for case in EXCHANGES if (found := difference(server, case))}
    assert not differing.keys() - UNORDERED, "\n".join(f"{name}: {found}" for name, found in differing.items())


def difference(server: Running, case: Mapping[str, Any]) -> str:
    """How the answers differ; empty where they agree. What is no JSON needs the same status alone."""
    wanted = case["response"]
    with server.connect() as connection:
        connection.sendall(request_bytes(case["request"]))
        status, headers, body = read_response(connection)
    if status != wanted["status"]:
        return f"status {status}, not {wanted['status']}: {body[:200]!r}"
    text = content(wanted["body"])
    try:
        wanted_json = json.loads(text)
    except ValueError:
        return ""
    wanted_type = next(value for name, value in wanted["headers"] if name.lower() == "content-type")
    if headers["content-type"] != wanted_type:
        return f"content type {headers['content-type']}, not {wanted_type}"
    return "" if is_same(wanted_json, json.loads(body)) else f"{body!r}, not {text!r}"


def is_same(wanted: Any, got: Any) -> bool:
    """Equal in type and value; floats may differ in what a sum's order, another on each processor, changes."""
    if type(wanted) is not type(got):
        return False
    if isinstance(wanted, dict):
        return wanted.keys() == got.keys() and all(is_same(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(wanted) == len(got) and all(map(is_same, wanted, got))
    if isinstance(wanted, float):
        return math.isclose(wanted, got, rel_tol=2e-6) or (math.isnan(wanted) and math.isnan(got))
    return bool(wanted == got)
