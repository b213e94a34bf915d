"""The shortest way through gRPC gives the answers of the general one, message for message."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modelserver.rest.test_small_request import WIDENING
from tests.modelserver.rpc.test_grpc_service import spec
from tests.support.modelserver import graphs
from tests.support.modelserver.inferences import floats
from tests.support.modelserver.running import BUNDLED, configured, serving
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.rpc.request_template import RequestTemplates
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import TensorProto


class Predict:
    """Sends serialized requests over one connection."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(services.PREDICT.path, None, apis.PredictResponse.FromString)

    def __call__(self, content: bytes) -> apis.PredictResponse | tuple[str, str]:
        try:
            answer: apis.PredictResponse = self._call(content, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return answer

    def generally(self, content: bytes) -> apis.PredictResponse | tuple[str, str]:
        """With an output filter, which the quick way leaves to the general one."""
        return self(content + apis.PredictRequest(output_filter=["y"]).SerializeToString())


@pytest.fixture(scope="module")
def predict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predict]:
    path = tmp_path_factory.mktemp("models")
    for name, sizes in WIDENING.items():
        graphs.widening(path / name / "1", *sizes)
    bases = {name: path / name for name in WIDENING} | {"half_plus_two": BUNDLED}
    config = configured(path, bases)
    with (
        serving(config) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        made = Predict(channel)
        for name in bases:
            for _ in range(20):  # by then the models are known to be quick
                made(serialized(1.0, model=name))
        yield made


def serialized(*values: float, model: str = "half_plus_two", shape: tuple[int, ...] | None = None) -> bytes:
    return apis.PredictRequest(model_spec=spec(model), inputs={"x": floats(*values, shape=shape)}).SerializeToString()


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (130,), (2, 2, 2)])
def test_shapes(predict: Predict, shape: tuple[int, ...]) -> None:
    content = serialized(*(float(i) for i in range(int(np.prod(shape)))), shape=shape)
    assert predict(content) == predict.generally(content)


@pytest.mark.parametrize("model", WIDENING)
def test_answers_of_an_unusual_shape(predict: Predict, model: str) -> None:
    content = serialized(1.0, model=model)
    assert isinstance(predict(content), apis.PredictResponse)
    assert predict(content) == predict.generally(content)


FLOATS = st.floats(width=32, allow_nan=False)


@settings(max_examples=300, deadline=None)
@given(first=st.lists(FLOATS, min_size=1, max_size=6), more=st.data(), content=st.booleans(), swapped=st.booleans())
def test_requests_of_one_form_are_each_answered_with_their_own_values(
    predict: Predict, first: list[float], more: st.DataObject, content: bool, swapped: bool
) -> None:
    """Whatever the values are, also where their bytes stand elsewhere in the request or run into their neighbours."""
    for values in (first, more.draw(st.lists(FLOATS, min_size=len(first), max_size=len(first)))):
        model = apis.PredictRequest(model_spec=spec()).SerializeToString()
        tensor = floats(*values, content=content)
        inputs = apis.PredictRequest(inputs={"x": tensor}).SerializeToString()
        answer = predict(inputs + model if swapped else model + inputs)
        assert isinstance(answer, apis.PredictResponse)
        assert list(answer.outputs["y"].float_val) == [float(np.float32(v) * np.float32(0.5) + 2) for v in values]


def test_a_value_whose_bytes_stand_in_the_models_name_is_not_taken_for_it(predict: Predict) -> None:
    """The first request of its form, so that this one decides where the values are looked for."""
    content = serialized(*np.frombuffer(b"_plus_tw", np.float32).tolist(), shape=(2, 1))
    assert content.count(b"_plus_tw") == 2
    assert isinstance(predict(content), apis.PredictResponse)
    assert predict(content.replace(b"_plus_tw", b"_PLUS_TW", 1)) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(half_PLUS_TWo)",
    )


def found(*_: object) -> Servable:
    raise AssertionError("a request without a form was looked up")


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(dtype="DT_FLOAT", tensor_shape={}, float_val=[1]),  # a scalar
        floats(1, 2, shape=(2, 2)),  # the last value repeated
        floats(0, 0, shape=(0,)),
        floats(1, shape=(1, 1, 1)),
        TensorProto(dtype="DT_DOUBLE", tensor_shape=floats(1).tensor_shape, double_val=[1]),
        TensorProto(dtype="DT_FLOAT", tensor_shape={"unknown_rank": True}, float_val=[1]),
    ],
    ids=["scalar", "repeated", "empty", "rank 3", "double", "unknown rank"],
)
def test_what_is_unusual_has_no_form(tensor: TensorProto) -> None:
    request = apis.PredictRequest(model_spec=spec(), inputs={"x": tensor})
    assert RequestTemplates(found).predict(request.SerializeToString()) is None


@pytest.mark.parametrize(
    "request_",
    [
        apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1)}, output_filter=["y"]),
        apis.PredictRequest(model_spec=spec(), inputs={"x": floats(1), "z": floats(2)}),
        apis.PredictRequest(model_spec=spec(signature="other"), inputs={"x": floats(1)}),
    ],
    ids=["filter", "two inputs", "signature"],
)
def test_nor_have_other_requests(request_: apis.PredictRequest) -> None:
    assert RequestTemplates(found).predict(request_.SerializeToString()) is None
    assert RequestTemplates(found).predict(b"\xff") is None
