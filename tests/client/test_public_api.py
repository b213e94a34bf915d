"""`import tfs_workflow`: what it promises, what it costs, and what it says where a package is missing."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from typing import get_type_hints

import pytest

import tfs_workflow
from tests.client.conftest import RunningServer
from tests.support.needs import missing
from tfs_workflow import Client, PredictionFailedError, ServerNotReadyError, WorkflowError, connect

API = [
    "Client",
    "ConfigError",
    "InvalidInputError",
    "PredictionFailedError",
    "RequestRejectedError",
    "ServerNotReadyError",
    "ServerUnreachableError",
    "Signature",
    "State",
    "TensorSpec",
    "ToolMissingError",
    "VersionStatus",
    "WorkflowError",
    "__version__",
    "connect",
]


def test_the_public_names_are_these() -> None:
    assert sorted(tfs_workflow.__all__) == dir(tfs_workflow) == API
    for name in API:
        assert getattr(tfs_workflow, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = tfs_workflow.conect


def test_the_errors_are_one_tree() -> None:
    assert issubclass(tfs_workflow.ServerUnreachableError, ServerNotReadyError)
    assert issubclass(tfs_workflow.RequestRejectedError, PredictionFailedError)
    assert issubclass(tfs_workflow.InvalidInputError, tfs_workflow.RequestRejectedError)
    for name in ("ConfigError", "ToolMissingError", "ServerNotReadyError", "PredictionFailedError"):
        assert issubclass(getattr(tfs_workflow, name), WorkflowError)


def test_both_clients_have_the_interfaces_signatures() -> None:
    for url in ("http://127.0.0.1:1", "grpc://127.0.0.1:1"):
        with connect(url) as client:
            for name in ("status", "metadata", "predict", "close"):
                ours, promised = getattr(type(client), name), getattr(Client, name)
                assert inspect.signature(ours) == inspect.signature(promised)
                assert inspect.getdoc(ours)
    assert get_type_hints(connect, include_extras=True)["return"] is Client


def loaded(program: str, *arguments: str) -> set[str]:
    """The modules that are there after a program ran in an interpreter of its own."""
    shown = f"import sys; {program}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", shown, *arguments], check=True, capture_output=True, text=True
        ).stdout.split()
    )


HEAVY = {"grpc", "numpy", "requests", "google.protobuf", "pydantic", "yaml", "invoke", "tensorflow"}


def test_the_package_alone_imports_nothing() -> None:
    found = loaded("import tfs_workflow")
    assert not found & HEAVY
    assert {name for name in found if name.startswith("tfs_workflow")} == {"tfs_workflow"}


def test_the_tasks_import_no_client() -> None:
    assert not loaded("import tfs_workflow.cli.tasks") & (HEAVY - {"invoke", "yaml"})


def test_a_transport_imports_only_its_own(model_server: RunningServer) -> None:
    ask = "from tfs_workflow import connect; connect(sys.argv[1]).predict('half_plus_two', [1.0])"
    rest, grpc = loaded(ask, model_server.address("rest")), loaded(ask, model_server.address("grpc"))
    assert "requests" in rest
    assert not rest & {"grpc", "tensorflow"}
    assert "grpc" in grpc
    assert not grpc & {"requests", "tensorflow"}


def test_json_over_rest_imports_no_numpy(model_server: RunningServer) -> None:
    ask = (
        "from tfs_workflow.client.connect import connect_json; from tfs_workflow.client.interface import ModelRef; "
        "assert connect_json(sys.argv[1]).predict_rows(ModelRef('half_plus_two'), [b'1.0']) == [2.5]"
    )
    assert not loaded(ask, model_server.url) & {"numpy", "grpc"}


@pytest.mark.parametrize(
    ("package", "url", "usable"),
    [
        ("numpy", "http://127.0.0.1:1", False),
        ("numpy", "grpc://127.0.0.1:1", False),
        ("grpc", "grpc://127.0.0.1:1", False),
        ("grpc", "http://127.0.0.1:1", True),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package: str, url: str, usable: bool) -> None:
    program = (
        "import importlib.abc, sys\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == sys.argv[1]: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import tfs_workflow\n"
        "try: tfs_workflow.connect(sys.argv[2])\n"
        "except tfs_workflow.ToolMissingError as error: print(error, error.exit_code)\n"
        "else: print('usable')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, package, url], check=True, capture_output=True, text=True)
    if usable:
        assert ran.stdout == "usable\n"
    else:
        assert f"the package {package} is not installed" in ran.stdout
        assert "pip install 'tfs-workflow[client]'" in ran.stdout
        assert ran.stdout.endswith(" 3\n")


TOGETHER = """
import importlib.util, sys, types
order, address, stubs = sys.argv[1:]
# TensorFlow's own messages out of its wheel, without the minutes that importing all of TensorFlow may take.
tensorflow = types.ModuleType("tensorflow")
tensorflow.__path__ = list(importlib.util.find_spec("tensorflow").submodule_search_locations)
sys.modules["tensorflow"] = tensorflow
sys.path.insert(0, stubs)

def ours():
    from tfs_workflow import connect
    with connect(f"grpc://{address}") as client:
        return client.predict("half_plus_two", [1.0, 2.0, 5.0])["y"].tolist()

def theirs():
    import grpc
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    if not stubs:
        return tensor_pb2.TensorProto(dtype=1, float_val=[2.5, 3.0, 4.5]).float_val
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].CopyFrom(tensor_pb2.TensorProto(dtype=1, float_val=[1.0, 2.0, 5.0]))
    request.inputs["x"].tensor_shape.dim.add(size=3)
    with grpc.insecure_channel(address) as channel:
        return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request).outputs["y"].float_val

calls = [ours, theirs, ours] if order == "before" else [theirs, ours, theirs]
for call in calls:
    assert list(call()) == [2.5, 3.0, 4.5], call
from google.protobuf import descriptor_pool
pool = descriptor_pool.Default()
names = "tensorflow.TensorProto", "tfs_workflow.protos.TensorProto"
assert len({id(pool.FindMessageTypeByName(name)) for name in names}) == 2
from tensorflow.core.framework import tensor_pb2
from tfs_workflow.client.tensor_codec import encode
import numpy
made = encode(numpy.arange(6, dtype="i4").reshape(2, 3), "DT_INT32").SerializeToString()
message = tensor_pb2.TensorProto.FromString(made)
assert (message.dtype, [d.size for d in message.tensor_shape.dim], len(message.tensor_content)) == (3, [2, 3], 24)
"""


@pytest.fixture(scope="session")
def stubs(request: pytest.FixtureRequest) -> str:
    """The published client's wheel, without the TensorFlow that it asks for; fetched once for this check-out."""
    directory = request.config.cache.mkdir("tensorflow-serving-api")
    if not (there := sorted(directory.glob("*.whl"))):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        ran = subprocess.run(
            [*pip, "-d", str(directory), "tensorflow-serving-api>=2.19,<2.21"],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            missing(f"tensorflow-serving-api cannot be fetched: {ran.stderr[-300:]}")
        there = sorted(directory.glob("*.whl"))
    return str(there[0])


def together(order: str, address: str, stubs: str) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        missing("the tensorflow wheel is not installed")
    ran = subprocess.run(
        [sys.executable, "-c", TOGETHER, order, address, stubs], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_our_messages_live_beside_tensorflows(model_server: RunningServer, order: str) -> None:
    together(order, model_server.grpc_address, "")


@pytest.mark.parametrize("order", ["before", "after"])
def test_our_client_lives_beside_the_published_one(model_server: RunningServer, stubs: str, order: str) -> None:
    together(order, model_server.grpc_address, stubs)
