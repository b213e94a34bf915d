"""The public client, by either transport, against a real server: the same in, the same out, the same errors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import RunningServer
from tfs_workflow import (
    Client,
    ConfigError,
    InvalidInputError,
    RequestRejectedError,
    ServerUnreachableError,
    State,
    VersionStatus,
    connect,
)
from tfs_workflow.runtimes.ports import free_port

MODEL = "half_plus_two"


def test_one_bare_input_and_the_same_by_name(array_client: Client) -> None:
    for inputs in ([1.0, 2.0, 5.0], np.array([1, 2, 5]), {"x": np.array([1.0, 2.0, 5.0], np.float64)}):
        answer = array_client.predict(MODEL, inputs)
        assert list(answer) == ["y"]
        assert answer["y"].dtype == np.float32
        assert answer["y"].tolist() == [2.5, 3.0, 4.5]


def test_scalars_and_matrices_keep_their_shape(array_client: Client) -> None:
    assert array_client.predict(MODEL, 5)["y"].shape == ()
    assert array_client.predict(MODEL, np.ones((2, 3, 4)))["y"].shape == (2, 3, 4)


@pytest.mark.parametrize("which", [{"version": 1}, {"version": 2}, {"label": "stable"}, {"label": "canary"}])
def test_versions_and_labels(array_client: Client, which: dict[str, Any]) -> None:
    assert array_client.predict(MODEL, [1.0], **which)["y"].tolist() == [2.5]
    assert "serving_default" in array_client.metadata(MODEL, **which)


def test_status(array_client: Client) -> None:
    assert array_client.status(MODEL) == [VersionStatus(2, State.AVAILABLE), VersionStatus(1, State.AVAILABLE)]
    assert array_client.status(MODEL, version=1) == [VersionStatus(1, State.AVAILABLE)]
    assert array_client.status("nope") == array_client.status(MODEL, version=9) == []


def test_metadata_is_the_same_over_both(model_server: RunningServer, recorded: Path) -> None:
    with connect(model_server.address("rest")) as rest, connect(model_server.address("grpc")) as grpc:
        for model in ("half_plus_two", "types", "mlp", "cls"):
            assert rest.metadata(model) == grpc.metadata(model)


BOTH: list[tuple[str, Any]] = [
    ("anyrank", [[1.0]]),
    ("bool", [True, False]),
    ("bytes_out", [b"\xff\x00", "ä"]),
    ("deep", np.arange(8.0).reshape(2, 2, 2)),
    ("deepstr", [["a", "b"]]),
    ("fixed", np.ones((2, 3))),
    ("float32", [0.1, np.inf, -np.inf, np.nan, 1 / 3, 1e-30, 3e38]),
    ("float64", [0.1, np.inf, np.nan, 1 / 3, 1e300]),
    ("int8", [-128, 127]),
    ("int16", [-(2**15)]),
    ("int32", [-(2**31)]),
    ("int64", [-(2**63), 2**63 - 1]),
    ("uint8", [255]),
    ("uint32", [2**32 - 1]),
    ("uint64", [2**64 - 1]),
    ("scalar_out", [1.0, 2.0]),
    ("string", ["\U0001f600 ä\u2028", b"a"]),
    ("two_in", {"a": [1.0], "b": [2.0]}),
    ("two_in_mixed", {"a": [[1, 2]], "s": ["ä"]}),
    ("two_out", [1.0]),
    ("two_out_mixed", [1.0, 2.0]),
    ("mismatch_out", [1.0, 2.0, 3.0]),
]


@pytest.mark.parametrize(("signature", "inputs"), BOTH, ids=[name for name, _ in BOTH])
def test_both_transports_answer_the_same(
    model_server: RunningServer, recorded: Path, signature: str, inputs: Any
) -> None:
    answers: list[Mapping[str, Any]] = []
    for transport in ("rest", "grpc"):
        with connect(model_server.address(transport)) as client:
            answers.append(client.predict("types", inputs, signature=signature))
    rest, grpc = answers
    assert list(rest) == list(grpc)
    for name, array in rest.items():
        assert (array.dtype, array.shape) == (grpc[name].dtype, grpc[name].shape)
        np.testing.assert_array_equal(array, grpc[name])


@pytest.mark.parametrize(
    ("signature", "inputs", "dtype"),
    [
        ("bfloat16", [1.5, np.nan], np.float32),
        ("complex64", [1 + 2j], np.complex64),
        ("half", np.array([0.1, np.inf], np.float16), np.float16),
        ("uint16", [65535], np.uint16),
    ],
)
def test_what_json_cannot_carry_goes_over_grpc(
    model_server: RunningServer, recorded: Path, signature: str, inputs: Any, dtype: type
) -> None:
    with connect(model_server.address("grpc")) as client:
        answer = client.predict("types", inputs, signature=signature)["y"]
    assert answer.dtype == dtype
    np.testing.assert_array_equal(answer, inputs)
    with connect(model_server.address("rest")) as client, pytest.raises(InvalidInputError, match="grpc://"):
        client.predict("types", inputs, signature=signature)


def test_no_values_at_all(array_client: Client, recorded: Path) -> None:
    answer = array_client.predict("types", [], signature="float32")["y"]
    assert answer.shape == (0,)
    assert answer.dtype == np.float32


def test_a_refusal_has_the_servers_words_and_what_the_signature_expects(array_client: Client, recorded: Path) -> None:
    with pytest.raises(RequestRejectedError, match="assertion failed") as caught:
        array_client.predict("types", [-1.0], signature="check")
    assert (caught.value.status, caught.value.exit_code) == (400, 6)
    assert "signature check of types expects x: float32 (any)" in caught.value.fix
    assert "x must be positive" in caught.value.server_text


@pytest.mark.parametrize(
    ("inputs", "signature", "said"),
    [
        ("a", None, r"input x: the values are <U1, not float32[\s\S]*expects x: float32 any rank"),
        ({"y": 1.0}, None, r"no input 'y'[\s\S]*expects x: float32"),
        ([1.0], "serving_defualt", r"no signature serving_defualt[\s\S]*did you mean serving_default"),
    ],
)
def test_what_does_not_fit_is_found_before_it_is_sent(
    array_client: Client, inputs: Any, signature: str | None, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        array_client.predict(MODEL, inputs, signature=signature)


def test_a_bare_array_for_two_inputs_names_them(array_client: Client, recorded: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"by input name \(a, b\)"):
        array_client.predict("types", [1.0], signature="two_in")


def test_a_missing_input_is_refused(array_client: Client, recorded: Path) -> None:
    with pytest.raises(RequestRejectedError) as caught:
        array_client.predict("types", {"a": [1.0]}, signature="two_in")
    assert caught.value.status == 400


def test_an_unknown_model_or_version_is_refused(array_client: Client) -> None:
    for model, version in (("nope", None), (MODEL, 9)):
        with pytest.raises(RequestRejectedError, match="invoke status") as caught:
            array_client.predict(model, [1.0], version=version)
        assert caught.value.status == 404
        with pytest.raises(RequestRejectedError):
            array_client.metadata(model, version=version)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_free_port_is_nothing_answers(scheme: str) -> None:
    with connect(f"{scheme}://127.0.0.1:{free_port()}") as client:
        for ask in (client.status, client.metadata, lambda model: client.predict(model, [1.0])):
            with pytest.raises(ServerUnreachableError, match="nothing answers at") as caught:
                ask("m")
            assert caught.value.exit_code == 5


def test_many_threads_share_a_client(array_client: Client) -> None:
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = array_client.predict(MODEL, [float(number)])["y"].tolist()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number / 2 + 2] for number in range(32)}


def test_a_proxy_is_not_asked_for_loopback(model_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for transport in ("rest", "grpc"):
        with connect(model_server.address(transport)) as client:
            assert client.predict(MODEL, [1.0])["y"].tolist() == [2.5]


@pytest.mark.parametrize("url", ["", "127.0.0.1:8500", "ftp://h", "grpc://h", "grpc://h:x", "http://", "unix:"])
def test_another_address_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(ConfigError, match="grpc://HOST:PORT"):
        connect(url)
