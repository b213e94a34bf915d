"""Requests into tensors and tensors into answers: the quick ways give what the exact one gives."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfs_workflow.formats.floats import is_zero_or_normal
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.inference.servable import Tensors
from tfs_workflow.modelserver.json import array_text, json_tensors
from tfs_workflow.modelserver.rest import json_request, json_response, number_arrays
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.protos.tensor_pb2 import DataType

FLOAT, DOUBLE, STRING = (DataType.Value(f"DT_{name}") for name in ("FLOAT", "DOUBLE", "STRING"))

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(-1e30, 1e30)
elements = numbers | st.booleans() | st.none() | st.text(max_size=3) | st.just({"b64": "YQ=="})
nested = st.recursive(elements, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def printed(outputs: dict[str, Tensor], row_format: bool) -> bytes:
    answer = json_response.predictions(outputs, row_format)
    return answer if isinstance(answer, bytes) else b"".join(answer)


def exact(body: bytes, dtype: int) -> Any:
    """What the general candidate reads, or the error."""
    try:
        request = json_request.predict_inputs(body, lambda _: {"x": dtype})
    except StatusError as error:
        return str(error)
    return request.tensors["x"].dtype, request.tensors["x"].shape, str(request.tensors["x"].values.tolist())


def fast(body: bytes, dtype: int, piece_bytes: int = 10**9) -> Any:
    """What the fast candidate reads, in pieces of this size; what the general one reads where it declines."""
    signature = Tensors({"x": "in:0"}, {"x": dtype}, {"y": "out:0"})
    servable: Any = SimpleNamespace(tensors={"serving_default": signature, "a": signature, "a[b": signature})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(array_text, "PIECE_BYTES", piece_bytes)
        plan = number_arrays.plan(servable, body)
    if plan is None:
        return exact(body, dtype)
    ((_, tensor),) = plan.feeds
    return tensor.dtype, tensor.shape, str(tensor.values.tolist())


@settings(max_examples=400)
@given(
    nested,
    st.sampled_from(["instances", "inputs"]),
    st.sampled_from(["", "a", "a[b"]),
    st.sampled_from([FLOAT, DOUBLE, STRING]),
)
def test_simdjson_and_the_exact_way_agree(value: Any, key: str, signature: str, dtype: int) -> None:
    body = json.dumps({"signature_name": signature, key: value}).encode()
    assert fast(body, dtype) == exact(body, dtype)
    assert fast(body, dtype, piece_bytes=3) == exact(body, dtype)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances":[[[1,2],[]],[3,4]]}',
        b'{"instances":[[1,2],[3,[4]]]}',
        b'{"instances":[[1],[2,3]]}',
        b'{"instances":[[1,2],[3,4],[5,6,7]]}',
        b'{"instances":[[1,2],[3,4]],"a":[[5,6],[7,8]]}',
        b'{"instances":[[1,2],[3,4]],"signature_name":"a"}',
        b'{"instances":[[1,2],[3,4]]]}',
        b'{"instances":[[1,2],[3,4]]}}',
        b'{"instances":[1,2],[3,4]}',
        b'{"instances":[1,,2,3,4,5]}',
        b'{"instances":[1,2,3,4,5,]}',
        b'{"instances":[1],"instances":[2]}',
        b'{"inputs":[1],"instances":[2]}',
        b'{"instances":[true,false]}',
        b'{"instances":[1e39]}',
        b'{"instances":[1e-40,-1e-40]}',
        b'{"instances":[]}',
        b'{"instances":[[],[]]}',
        b'{"instances":[1,NaN]}',
        b'{"instances":[1]}x',
        b"[1,2,3]",
        b"\xff",
    ],
)
def test_the_fast_candidate_leaves_the_unusual_to_the_exact_one(body: bytes) -> None:
    assert fast(body, FLOAT) == exact(body, FLOAT)
    assert fast(body, FLOAT, piece_bytes=3) == exact(body, FLOAT)


@settings(max_examples=200)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=4),
    )
)
def test_answers_read_back_to_the_same_values(array: Any) -> None:
    names = {"float32": "FLOAT", "float64": "DOUBLE", "int64": "INT64", "uint8": "UINT8", "bool": "BOOL"}
    tensor = Tensor(DataType.Value(f"DT_{names[array.dtype.name]}"), array.shape, array.ravel())
    for row_format, key in ((True, "predictions"), (False, "outputs")):
        read = json.loads(printed({"y": tensor}, row_format))[key]
        flushed = array.copy()
        if array.dtype.kind == "f":
            flushed[np.abs(array) < np.finfo(array.dtype).tiny] = 0
        with np.errstate(over="ignore"):  # the largest float32, printed short, is a larger double
            np.testing.assert_array_equal(np.array(read, array.dtype), flushed)


def texts(answer: bytes) -> list[bytes]:
    """The numbers of an answer, as they are printed."""
    return re.findall(rb"(?<=[\[ ])-?(?:[0-9][^],\s]*|NaN|Infinity)", answer)


@settings(max_examples=60)
@given(arrays.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)))
def test_a_float_has_one_text_on_every_path(array: Any) -> None:
    tensor, count = Tensor(FLOAT, array.shape, array), len(array)
    same = texts(json_response.float_rows(array.shape, array.tobytes()))
    assert len(same) == count
    paths = {
        "rows": printed({"y": tensor}, row_format=True),
        "columns": printed({"y": tensor}, row_format=False),
        "two outputs": printed({"y": tensor, "z": Tensor(STRING, (count,), np.full(count, b"", object))}, True),
        "classify": json_response.classifications([[(b"", value) for value in array.tolist()]]),
        "regress": json_response.regressions(array),
    }
    assert {path: texts(answer) for path, answer in paths.items()} == dict.fromkeys(paths, same)
    # Beside others: a large array is printed in pieces, and one with a number that is none number by number.
    for others in (np.ones(20_000, np.float32), np.array([np.nan], np.float32)):
        beside = np.concatenate([array, others])
        assert texts(printed({"y": Tensor(FLOAT, beside.shape, beside)}, row_format=True))[:count] == same


@settings(max_examples=60)
@given(arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats()))
def test_a_double_has_one_text_on_every_path(array: Any) -> None:
    same = texts(printed({"y": Tensor(DOUBLE, array.shape, array)}, row_format=True))
    for others in (np.ones(20_000), np.array([np.inf])):
        beside = np.concatenate([array, others])
        for row_format in (True, False):
            assert texts(printed({"y": Tensor(DOUBLE, beside.shape, beside)}, row_format))[: len(array)] == same


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=5))
def test_strings_come_out_as_they_are_or_in_base64(values: list[bytes]) -> None:
    array = np.empty(len(values), np.object_)
    array[:] = values
    tensor = Tensor(STRING, (len(values),), array)
    text = printed({"y": tensor}, row_format=False)
    assert json.loads(text.decode("utf-8", "surrogateescape"))["outputs"] == [
        value.decode("utf-8", "surrogateescape") for value in values
    ]
    encoded = json.loads(printed({"y_bytes": tensor}, row_format=False))["outputs"]
    assert [json_tensors.decode_bytes(entry) for entry in encoded] == values


def test_several_outputs_in_both_formats() -> None:
    outputs = {
        "a": Tensor(FLOAT, (2,), np.array([1, 2], np.float32)),
        "b": Tensor(FLOAT, (2, 2), np.array([1, 2, 3, math.inf], np.float32)),
    }
    assert json.loads(printed(outputs, row_format=True)) == {
        "predictions": [{"a": 1.0, "b": [1.0, 2.0]}, {"a": 2.0, "b": [3.0, math.inf]}]
    }
    assert json.loads(printed(outputs, row_format=False)) == {
        "outputs": {"a": [1.0, 2.0], "b": [[1.0, 2.0], [3.0, math.inf]]}
    }


def test_outputs_of_different_batch_size_fit_no_rows() -> None:
    outputs = {name: Tensor(FLOAT, (size,), np.zeros(size, np.float32)) for name, size in (("a", 2), ("b", 3))}
    with pytest.raises(StatusError, match="Tensor name: b has inconsistent batch size: 3 expecting: 2"):
        printed(outputs, row_format=True)


def test_a_rank_beyond_numpys_is_read_and_written() -> None:
    body = b'{"inputs":' + b"[" * 100 + b"1.5" + b"]" * 100 + b"}"
    tensor = json_request.predict_inputs(body, lambda _: {"x": FLOAT}).tensors["x"]
    assert tensor.shape == (1,) * 100
    assert printed({"y": tensor}, row_format=False).count(b"[") == 100


def test_regular_arrays_of_numbers_go_the_quick_way() -> None:
    for value, shape in (([1, 2.5], (2,)), ([[1, 2], [3, 4], [5, 6]], (3, 2)), ([[[1.5]], [[2]]], (2, 1, 1))):
        read = number_arrays.plain_numbers(json.dumps({"signature_name": "s", "inputs": value}).encode())
        assert read is not None
        assert (read.signature_name, read.key, read.shape) == ("s", "inputs", shape)
        assert read.numbers.tolist() == np.array(value, float).ravel().tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 1000])
def test_one_number_that_is_not_ordinary_is_found_in_any_array(size: int, dtype: type[np.floating[Any]]) -> None:
    limits = np.finfo(dtype)
    values = np.linspace(-2, 2, size).astype(dtype)
    values[:2] = limits.max, 0
    for usual in (limits.tiny, -limits.tiny, limits.max, limits.min, 0.0, -0.0):
        values[size // 2] = usual
        assert is_zero_or_normal(values)
    for unusual in (math.inf, -math.inf, math.nan, limits.smallest_subnormal, -limits.tiny / 2):
        values[size // 2] = unusual
        assert not is_zero_or_normal(values)


def test_large_arrays_are_printed_in_pieces_that_fit_together() -> None:
    for shape in ((300_000,), (3, 100_000), (1000, 300), (1, 300_000), (1, 1, 300_000), (70_000, 2, 2)):
        array = np.arange(math.prod(shape), dtype=np.float32)
        for row_format, key in ((False, "outputs"), (True, "predictions")):
            text = printed({"y": Tensor(FLOAT, shape, array)}, row_format)
            np.testing.assert_array_equal(np.array(json.loads(text)[key], np.float32), array.reshape(shape))


def test_a_large_answer_stays_in_parts_none_of_which_takes_long() -> None:
    for shape in ((300_000,), (300, 1000), (1, 300_000)):
        answer = json_response.predictions({"y": Tensor(FLOAT, shape, np.zeros(300_000, np.float32))}, row_format=True)
        assert isinstance(answer, list)
        assert max(map(len, answer)) < 100_000
