"""What an end of the engine costs the requests that ran in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.families import engine_of
from tests.support.modelserver.running import Running, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

ENDED = "The process that runs TensorFlow ended by SIGABRT while it ran this request."


@contextmanager
def batching(tmp_path: Path, size: int, *, remembers: bool = False, fronts: int = 2) -> Iterator[Running]:
    """A server whose batches of so many rows end the engine where a value is above 100."""
    graphs.aborting(tmp_path / "m" / "1", remembers=remembers)
    (tmp_path / "batching").write_text(
        f"max_batch_size {{ value: {size} }} batch_timeout_micros {{ value: 1000000 }} num_batch_threads {{ value: 2 }}"
    )
    flags = ("--enable_batching", f"--batching_parameters_file={tmp_path}/batching", f"--fronts={fronts}")
    with serving("--model_name=m", f"--model_base_path={tmp_path}/m", *flags) as server:
        yield server


def together(server: Running, values: Sequence[float]) -> list[object]:
    """The answer to each value, all sent at the same time: predictions, or the text of the error."""

    def answer(value: float) -> object:
        status, body = server.post("/v1/models/m:predict", {"instances": [value]})
        return body["predictions"] if status == 200 else (status, body["error"])

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(answer, values))


@pytest.mark.parametrize("culprit", [0, 3])
def test_only_the_culprit_of_a_batch_fails(tmp_path: Path, culprit: int) -> None:
    values = [float(number) for number in range(8)]
    values[culprit] = 101.0
    with batching(tmp_path, size=8) as server:
        answers = together(server, values)
        wanted: list[object] = [[value] for value in values]
        wanted[culprit] = (500, ENDED)
        assert answers == wanted
        # The batch, and then the culprit alone.
        server.wait_for("The engine ended with exit code 134 while answering requests", count=2)
        assert together(server, [1.0, 2.0]) == [[1.0], [2.0]]


def test_two_culprits_of_a_batch_fail(tmp_path: Path) -> None:
    with batching(tmp_path, size=4) as server:
        assert together(server, [101.0, 1.0, 102.0, 2.0]) == [(500, ENDED), [1.0], (500, ENDED), [2.0]]


def test_a_culprit_without_mates_fails_at_once(tmp_path: Path) -> None:
    with batching(tmp_path, size=1) as server:
        assert together(server, [101.0]) == [(500, ENDED)]
        assert engine_of(server)
        assert len([line for line in server.lines if "The engine ended" in line]) == 1


def test_a_batch_that_may_have_written_a_variable_does_not_run_again(tmp_path: Path) -> None:
    with batching(tmp_path, size=4, remembers=True) as server:
        assert together(server, [1.0, 101.0, 2.0, 3.0]) == [(500, ENDED)] * 4
        assert len([line for line in server.lines if "The engine ended" in line]) == 1


def test_mates_of_a_grpc_batch_are_answered(tmp_path: Path) -> None:
    with batching(tmp_path, size=4) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = services.PREDICT
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        futures = [call.future(request_of(value), timeout=60) for value in (1.0, 2.0, 101.0, 3.0)]
        until(lambda: all(future.done() for future in futures))
        assert [future.code() for future in futures] == [
            grpc.StatusCode.OK, grpc.StatusCode.OK, grpc.StatusCode.INTERNAL, grpc.StatusCode.OK
        ]  # fmt: skip
        assert futures[2].details() == ENDED
        assert [list(futures[place].result().outputs["y"].float_val) for place in (0, 1, 3)] == [[1.0], [2.0], [3.0]]


def request_of(value: float) -> apis.PredictRequest:
    request = apis.PredictRequest(model_spec={"name": "m"})
    tensor = TensorProto(dtype=DataType.DT_FLOAT, tensor_shape={"dim": [{"size": 1}]}, float_val=[value])
    request.inputs["x"].CopyFrom(tensor)
    return request
