"""A graph that is loaded by names answers as one that TensorFlow's loader has loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED, Running, configured, read_response, serving
from tests.support.modelserver.table_models import export_tables
from tests.support.recorded_exchanges import EXCHANGES, RECORDED, UNORDERED, request_bytes

BY_NAMES = "--large_graph_bytes=0"
RETRIES = "--max_num_load_retries=0"
BATCHING = ("--enable_batching",)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every recorded model (types, Keras, TensorFlow 1), and models with tables, a state and several signatures."""
    made = tmp_path_factory.mktemp("models")
    for build in (graphs.remembering, graphs.summing, graphs.failing, graphs.dangling, graphs.convolution):
        build(made / build.__name__ / "1")
    found = {path.name: path for path in sorted((RECORDED / "models").iterdir())} | {"half_plus_two": BUNDLED}
    return found | {path.name: path for path in sorted(made.iterdir())} | export_tables(made / "tables")


@pytest.fixture(scope="module", params=[(), BATCHING, ("--fronts=2",)], ids=["alone", "batching", "fronts"])
def servers(
    models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Running, Running]]:
    """A server that loads by TensorFlow's loader, and one that loads by names."""
    config = configured(tmp_path_factory.mktemp("config"), models)
    with ExitStack() as stack:
        yield (
            stack.enter_context(serving(config, RETRIES, *request.param)),
            stack.enter_context(serving(config, RETRIES, BY_NAMES, *request.param)),
        )


def test_every_model_is_loaded_by_names(servers: tuple[Running, Running], models: Mapping[str, Path]) -> None:
    by_loader, by_names = ([line for line in server.lines if "oaded by names" in line] for server in servers)
    assert not by_loader
    assert len(by_names) == len(models)
    assert not [line for line in by_names if "Not loaded" in line]


def test_every_recorded_request_has_the_same_answer(servers: tuple[Running, Running]) -> None:
    differing = []
    for case in EXCHANGES:
        one, other = (answer(server, request_bytes(case["request"])) for server in servers)
        if one != other and case["case"] not in UNORDERED:
            differing.append((case["case"], one, other))
    assert len(EXCHANGES) == 919
    assert not differing


@pytest.mark.parametrize("name", ["tables_1", "tables_2"])
def test_vocabularies_are_read_from_assets(servers: tuple[Running, Running], name: str) -> None:
    for server in servers:
        assert server.predict(["two", "none of them", "one"], name) == [1, -1, 0]


def test_each_signature_has_its_own_answer(servers: tuple[Running, Running]) -> None:
    for server in servers:
        for signature, wanted in (("ids", [2]), ("lengths", [5])):
            body = {"instances": ["three"], "signature_name": signature}
            assert server.post("/v1/models/tables_2:predict", body) == (200, {"predictions": wanted})


def test_a_state_is_kept_from_run_to_run(servers: tuple[Running, Running]) -> None:
    """Also by the prepared run of a model that has been fast."""
    bodies = [{"inputs": [float(i)]} for i in range(20)]
    one, other = ([server.post("/v1/models/remembering:predict", body) for body in bodies] for server in servers)
    assert one == other
    assert one[-1] == (200, {"outputs": [18.0]})


@pytest.mark.parametrize("name", ["failing", "dangling", "convolution"])
def test_a_run_that_fails_says_the_same(servers: tuple[Running, Running], name: str) -> None:
    for _ in range(2):
        one, other = (server.post(f"/v1/models/{name}:predict", {"inputs": [1.0, 2.0]}) for server in servers)
        assert one == other
        assert one[0] == 400


def answer(server: Running, request: bytes) -> tuple[int, Any]:
    """Status and body; numbers as they are printed, so that NaN equals itself."""
    with server.connect() as connection:
        connection.sendall(request)
        status, _, body = read_response(connection)
    try:
        return status, json.loads(body, parse_float=str, parse_constant=str)
    except ValueError:
        return status, body
