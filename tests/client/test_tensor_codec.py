"""Every type and both encodings between numpy and TensorProto, there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfs_workflow.client.interface import InvalidInputError
from tfs_workflow.client.tensor_codec import decode, encode, fitted
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.savedmodel import TensorSpec
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto, TensorShapeProto

DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
    "DT_COMPLEX64": np.complex64,
    "DT_COMPLEX128": np.complex128,
}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
Any_ = npt.NDArray[Any]
# A busy machine is no fault of the code.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def spec(dtype: str) -> TensorSpec:
    return TensorSpec("x:0", dtype, None)


def shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def numbers() -> st.SearchStrategy[tuple[str, Any_]]:
    return st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: st.tuples(st.just(dtype), hnp.arrays(DTYPES[dtype], SHAPES))
    )


@UNTIMED
@given(numbers())
def test_numbers_come_back_bit_for_bit(case: tuple[str, Any_]) -> None:
    dtype, array = case
    back = decode(TensorProto.FromString(encode(fitted(array, spec(dtype)), dtype).SerializeToString()))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.writeable


@UNTIMED
@given(hnp.arrays(np.object_, SHAPES, elements=st.binary() | st.text()))
def test_strings_come_back_as_bytes(array: Any_) -> None:
    back = decode(encode(fitted(array, spec("DT_STRING")), "DT_STRING"))
    expected = [leaf.encode() if isinstance(leaf, str) else leaf for leaf in array.ravel().tolist()]
    assert (back.shape, back.ravel().tolist()) == (array.shape, expected)


@UNTIMED
@given(hnp.arrays(np.float32, SHAPES))
def test_bfloat16_is_the_nearest_and_reads_back_the_same(array: Any_) -> None:
    once = decode(encode(fitted(array, spec("DT_BFLOAT16")), "DT_BFLOAT16"))
    twice = decode(encode(once, "DT_BFLOAT16"))
    assert once.dtype == np.float32
    assert np.array_equal(np.isnan(once), np.isnan(array))
    np.testing.assert_array_equal(once, twice)
    ordinary = np.isfinite(array) & (np.abs(array) < 1e38) & (np.abs(array) > 1e-37)
    assert (np.abs(once[ordinary] - array[ordinary]) <= np.abs(array[ordinary]) / 256).all()


def by_value(dtype: str, array: Any_) -> TensorProto:
    """The message as TensorFlow Serving answers: with the values in the field of their type (tensor.cc)."""
    message = TensorProto(dtype=dtype, tensor_shape=shape(*array.shape))
    flat = array.ravel()
    if dtype == "DT_HALF":
        message.half_val.extend(flat.view(np.uint16).tolist())
    elif dtype.startswith("DT_COMPLEX"):
        single = dtype == "DT_COMPLEX64"
        field = message.scomplex_val if single else message.dcomplex_val
        field.extend(flat.view(np.float32 if single else np.float64).tolist())
    else:
        names = {
            "DT_FLOAT": "float_val",
            "DT_DOUBLE": "double_val",
            "DT_INT64": "int64_val",
            "DT_UINT32": "uint32_val",
            "DT_UINT64": "uint64_val",
            "DT_BOOL": "bool_val",
        }
        getattr(message, names.get(dtype, "int_val")).extend(flat.tolist())
    return message


def is_quiet(array: Any_) -> bool:
    return array.dtype.kind not in "fc" or not np.isnan(array).any()


@UNTIMED
@given(numbers().filter(lambda case: is_quiet(case[1])))
def test_the_value_fields_are_read(case: tuple[str, Any_]) -> None:
    dtype, array = case
    back = decode(TensorProto.FromString(by_value(dtype, array).SerializeToString()))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@UNTIMED
@given(numbers().filter(lambda case: case[1].size > 0 and is_quiet(case[1])), st.integers(0, 5))
def test_the_last_value_is_repeated(case: tuple[str, Any_], more: int) -> None:
    dtype, array = case
    flat = array.ravel()
    message = by_value(dtype, flat)
    message.tensor_shape.CopyFrom(shape(flat.size + more))
    expected = np.concatenate([flat, np.repeat(flat[-1:], more)])
    assert decode(message).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, "DT_BFLOAT16"])
def test_no_value_at_all_is_zeros(dtype: str) -> None:
    found = decode(TensorProto(dtype=dtype, tensor_shape=shape(2, 3)))
    assert found.shape == (2, 3)
    assert not found.any()


def test_no_string_at_all_is_empty_strings_and_the_last_is_repeated() -> None:
    message = TensorProto(dtype="DT_STRING", tensor_shape=shape(3))
    assert decode(message).tolist() == [b"", b"", b""]
    message.string_val.extend([b"a", b"b"])
    assert decode(message).tolist() == [b"a", b"b", b"b"]


def test_bfloat16_in_its_value_field() -> None:
    message = TensorProto(dtype="DT_BFLOAT16", tensor_shape=shape(3), half_val=[0x3FC0, 0xFF80])
    assert decode(message).tolist() == [1.5, -np.inf, -np.inf]


@pytest.mark.parametrize("dtype", ["DT_QINT8", "DT_QUINT8", "DT_QINT16", "DT_QUINT16", "DT_QINT32"])
def test_quantized_types_are_their_integers(dtype: str) -> None:
    made = fitted([1, 2, 3], spec(dtype))
    assert decode(encode(made, dtype)).tolist() == [1, 2, 3]
    assert decode(TensorProto(dtype=dtype, tensor_shape=shape(3), int_val=[1, 2, 3])).dtype == made.dtype


def test_a_variables_type_is_sent_as_its_own() -> None:
    assert encode(fitted([1.0], spec("DT_FLOAT_REF")), "DT_FLOAT_REF").dtype == DataType.DT_FLOAT


@pytest.mark.parametrize(
    "message",
    [
        TensorProto(dtype="DT_FLOAT", tensor_shape=shape(2), tensor_content=b"abc"),
        TensorProto(dtype="DT_STRING", tensor_shape=shape(1), tensor_content=b"abcd"),
        TensorProto(dtype="DT_FLOAT", tensor_shape=shape(-1)),
        TensorProto(dtype="DT_FLOAT", tensor_shape=TensorShapeProto(unknown_rank=True)),
        TensorProto(dtype="DT_FLOAT", tensor_shape=shape(2**40)),
        TensorProto(dtype="DT_STRING", tensor_shape=shape(2**40)),
        TensorProto(dtype="DT_RESOURCE", tensor_shape=shape(1)),
        TensorProto(dtype="DT_INT4", tensor_shape=shape(1)),
        TensorProto(),
    ],
    ids=lambda message: str(message).replace("\n", " "),
)
def test_a_tensor_that_cannot_be_held_is_said_so(message: TensorProto) -> None:
    with pytest.raises(PredictionFailedError):
        decode(message)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("DT_FLOAT", [1, 2]),
        ("DT_FLOAT", np.array([1.0, 2.0])),
        ("DT_UINT8", [0, 255]),
        ("DT_INT8", np.array([-128, 127])),
        ("DT_UINT64", [2**64 - 1]),
        ("DT_COMPLEX64", [1, 2.5]),
        ("DT_HALF", [1e-3, np.inf, np.nan]),
        ("DT_BOOL", [True, False]),
        ("DT_INT64", []),
        ("DT_FLOAT", np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        ("DT_INT32", np.array([1, 2], ">i8")),
    ],
)
def test_values_take_the_signatures_type(dtype: str, value: Any) -> None:
    made = decode(encode(fitted(value, spec(dtype)), dtype))
    assert made.dtype == DTYPES[dtype]
    np.testing.assert_allclose(made, np.asarray(value), rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("DT_FLOAT", ["a"], "not float32"),
        ("DT_FLOAT", [[1], [1, 2]], "not an array"),
        ("DT_FLOAT", [1e39], "out of the range of float32"),
        ("DT_HALF", [70000.0], "out of the range of float16"),
        ("DT_FLOAT", [1j], "complex128, not float32"),
        ("DT_FLOAT", [True], "bool, not float32"),
        ("DT_INT32", [1.5], "float64, not int32"),
        ("DT_INT8", [1, 128], "128 is out of the range of int8"),
        ("DT_UINT8", [-1], "-1 is out of the range of uint8"),
        ("DT_BOOL", [1], "not bool"),
        ("DT_STRING", [1], "1 is not a string"),
        ("DT_STRING", ["\ud800"], "UTF-8"),
        ("DT_STRING", [["a"], ["b", "c"]], "not an array|differ in length"),
        ("DT_RESOURCE", [1], "numpy cannot hold the type resource"),
    ],
)
def test_what_would_lose_a_value_is_refused(dtype: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        fitted(value, spec(dtype))
    assert (caught.value.exit_code, caught.value.status) == (6, 400)


def test_the_bfloat16_of_ml_dtypes_is_taken() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert fitted(np.array([1.5], ml_dtypes.bfloat16), spec("DT_BFLOAT16")).tolist() == [1.5]
