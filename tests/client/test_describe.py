"""Signatures in words, and example requests that the server takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import requests

from tests.client.conftest import RunningServer
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.formats.example_request import ExampleRequest, curl_line, example_request
from tfs_workflow.formats.savedmodel import Signature, TensorSpec, signatures, versions
from tfs_workflow.formats.signature_text import expectation, shape_text, tensor_text

PREDICT = "tensorflow/serving/predict"
# What no example can know: the model's own features, its serialized examples, or values that it checks itself.
UNKNOWABLE = {
    ("cls", name): "Could not parse example input"
    for name in ("cls_only", "echo", "reg", "reg1", "reg2", "serving_default")
} | {
    ("types", "mismatch_out"): "inconsistent batch size",
    ("tf2", "classify_x_to_y"): "Could not parse example input",
    ("tf2", "regress_x_to_y"): "Could not parse example input",
    ("tf2", "regress_x_to_y2"): "Could not parse example input",
}


def tensor(dtype: str, shape: tuple[int, ...] | None) -> TensorSpec:
    return TensorSpec("t:0", dtype, shape)


def test_tensors_in_words() -> None:
    assert tensor_text("x", tensor("DT_FLOAT", (-1, 784))) == "x: float32 (any, 784)"
    assert tensor_text("x", tensor("DT_FLOAT_REF", ())) == "x: float32 scalar"
    assert tensor_text("s", tensor("DT_STRING", None)) == "s: string any rank"
    assert tensor_text("b", tensor("DT_BFLOAT16", (3,))) == "b: bfloat16 (3)"
    assert shape_text(tensor("DT_INT8", (0,))) == "(0)"


def test_what_a_signature_expects() -> None:
    known = {
        "serving_default": Signature(PREDICT, {"x": tensor("DT_INT64", (-1,))}, {}),
        "empty": Signature(PREDICT, {}, {}),
    }
    assert expectation("m", "serving_default", known) == "signature serving_default of m expects x: int64 (any)"
    assert expectation("m", "empty", known) == "signature empty of m expects no input"
    assert expectation("m", "emty", known) == "m has no signature emty; did you mean empty?"
    assert expectation("m", "other", known) == "m has no signature other; there are: serving_default, empty"


def test_files_and_metadata_say_the_same(model_server: RunningServer, client: RestJsonClient) -> None:
    for name, base_path in model_server.base_paths.items():
        newest = versions(base_path).found[-1]
        assert client.metadata(name) == signatures(newest.path)


def test_the_default_signature_is_not_named_in_the_request() -> None:
    signature = Signature(PREDICT, {"x": tensor("DT_FLOAT", (-1, 2))}, {"y": tensor("DT_FLOAT", (-1,))})
    assert example_request("serving_default", signature).body == {"instances": [[1.0, 1.0]]}
    assert example_request("s", signature).body == {"signature_name": "s", "instances": [[1.0, 1.0]]}


@pytest.mark.parametrize(
    ("inputs", "outputs", "body"),
    [
        ({"x": tensor("DT_STRING", (-1,))}, {"y": tensor("DT_FLOAT", (-1, 1))}, {"instances": ["text"]}),
        ({"x": tensor("DT_FLOAT", (-1,))}, {"y": tensor("DT_FLOAT", ())}, {"inputs": [1.0]}),
        ({"x": tensor("DT_BOOL", (2,))}, {"y": tensor("DT_FLOAT", (2,))}, {"inputs": [True, True]}),
        ({"x": tensor("DT_FLOAT", None)}, {"y": tensor("DT_FLOAT", None)}, {"instances": [1.0]}),
        ({"x": tensor("DT_FLOAT", None)}, {"y": tensor("DT_FLOAT", ())}, {"inputs": 1.0}),
        ({"x": tensor("DT_INT32", ())}, {"y": tensor("DT_INT32", ())}, {"inputs": 1}),
        (
            {"a": tensor("DT_INT64", (-1, 2)), "s": tensor("DT_STRING", (-1,))},
            {"c": tensor("DT_INT64", (-1,))},
            {"instances": [{"a": [1, 1], "s": "text"}]},
        ),
    ],
)
def test_examples_fit_types_and_shapes(
    inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec], body: dict[str, object]
) -> None:
    assert example_request("serving_default", Signature(PREDICT, inputs, outputs)).body == body


@pytest.mark.parametrize("dtype", ["DT_HALF", "DT_UINT16", "DT_BFLOAT16", "DT_COMPLEX64", "DT_RESOURCE"])
def test_types_that_json_cannot_carry_are_said_so(dtype: str) -> None:
    request = example_request("s", Signature(PREDICT, {"x": tensor(dtype, (-1,))}, {}))
    assert request.body is None
    assert "gRPC" in request.note
    assert curl_line("http://h/v1/models/m", request) == ""


def test_every_example_of_every_model_is_answered(model_server: RunningServer, client: RestJsonClient) -> None:
    for name in model_server.base_paths:
        for signature_name, signature in client.metadata(name).items():
            request = example_request(signature_name, signature)
            if request.body is None:
                assert request.note
                continue
            answer = requests.post(f"{client.model_url(name)}:{request.verb}", json=request.body, timeout=30)
            excuse = UNKNOWABLE.get((name, signature_name))
            assert answer.status_code == 200 or (excuse and excuse in answer.text), (name, signature_name, answer.text)


@pytest.mark.parametrize("model", ["half_plus_two", "mlp"])
def test_the_curl_line_works_when_pasted(
    model_server: RunningServer, client: RestJsonClient, recorded: Path, model: str
) -> None:
    """The mlp takes 784 numbers, which nobody wants to see spelled."""
    request = example_request("serving_default", client.metadata(model)["serving_default"])
    line = curl_line(client.model_url(model), request)
    assert len(line) < 250
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, check=True)
    assert "predictions" in json.loads(done.stdout)


def test_quotes_in_names_are_safe_in_a_shell() -> None:
    line = curl_line("http://h/v1/models/m", ExampleRequest("predict", {"inputs": {"it's": "$(x)"}}))
    done = subprocess.run(
        ["bash", "-c", f"printf '%s' {line.split(' ', 2)[2].rsplit(' ', 1)[0]}"], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == {"inputs": {"it's": "$(x)"}}
