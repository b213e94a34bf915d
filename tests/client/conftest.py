"""A real model server for the tests of what talks to one, and a relay that puts faults in front of it."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.faulty import FaultyServer, Request, Response, serving
from tests.support.needs import shared
from tests.support.waiting import until
from tfs_workflow.client.connect import connect, connect_json
from tfs_workflow.client.interface import Client, JsonClient, ServerUnreachableError, State
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.runtimes.ports import free_port

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "tfs_workflow/bundled/half_plus_two"
RECORDED = ROOT.parent / "shared/testdata/models"
RECORDED_MODELS = {
    "types": "types",
    "mlp": "mlp",
    "cls": "cls",
    "counter": "saved_model_counter",
    "three": "saved_model_half_plus_three",
    "tf1": "saved_model_half_plus_two_cpu",
    "tf2": "saved_model_half_plus_two_tf2_cpu",
}


@dataclass
class RunningServer:
    """A model server of our own with its models by name."""

    url: str
    grpc_address: str
    process: subprocess.Popen[bytes]
    base_paths: dict[str, Path]

    def address(self, transport: str) -> str:
        """What `connect` takes."""
        return self.url if transport == "rest" else f"grpc://{self.grpc_address}"


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The embedded server with half_plus_two (versions 1 and 2, labels stable and canary) and every recorded model."""
    directory = tmp_path_factory.mktemp("serving")
    with started(directory) as server:
        yield server


class started:  # noqa: N801  # reads as what it gives
    """A server that runs for a `with` block."""

    def __init__(self, directory: Path) -> None:
        two_versions = directory / "half_plus_two"
        for version in ("1", "2"):
            shutil.copytree(BUNDLED / "00000123", two_versions / version)
        self.base_paths = {"half_plus_two": two_versions}
        if RECORDED.is_dir():
            self.base_paths |= {name: RECORDED / place for name, place in RECORDED_MODELS.items()}
        self.directory = directory

    def __enter__(self) -> RunningServer:
        config = self.directory / "models.config"
        config.write_text(f"model_config_list {{ {''.join(map(self._model, self.base_paths))} }}")
        port, grpc_port = free_port(), free_port()
        self.log = (self.directory / "log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tfs_workflow.modelserver", f"--rest_api_port={port}"),
                *(f"--port={grpc_port}", f"--model_config_file={config}", "--max_num_load_retries=0"),
                "--allow_version_labels_for_unavailable_models=true",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        server = RunningServer(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", self.process, self.base_paths)
        try:
            with RestJsonClient(server.url) as client:
                until(lambda: self._is_ready(client))
        except BaseException:
            self.__exit__()
            raise
        return server

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def _model(self, name: str) -> str:
        labels = "".join(
            f'version_labels {{ key: "{label}" value: {version} }}'
            for label, version in (("stable", 1), ("canary", 2))
            if name == "half_plus_two"
        )
        policy = "model_version_policy { all {} }"
        path = self.base_paths[name]
        return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {policy} {labels} }}\n'

    def _is_ready(self, client: RestJsonClient) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the model server ended: {(self.directory / 'log').read_text()[-2000:]}")
        try:
            return all(any(v.state is State.AVAILABLE for v in client.status(name)) for name in self.base_paths)
        except ServerUnreachableError:
            return False


@pytest.fixture
def client(model_server: RunningServer) -> Iterator[RestJsonClient]:
    """A client of the model server."""
    with RestJsonClient(model_server.url) as client:
        yield client


@pytest.fixture(params=["rest", "grpc"])
def json_client(model_server: RunningServer, request: pytest.FixtureRequest) -> Iterator[JsonClient]:
    """What `predict` asks the model server with, by either transport."""
    with connect_json(model_server.address(request.param)) as client:
        yield client


@pytest.fixture(params=["rest", "grpc"])
def array_client(model_server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Client]:
    """What Python users ask the model server with, by either transport."""
    with connect(model_server.address(request.param)) as client:
        yield client


@pytest.fixture
def recorded() -> Path:
    """The directory of the recorded models."""
    return shared("testdata", "models")


class Relay(FaultyServer):
    """Hands every request on to a model server, unless a fault is in the way."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.target = urlsplit(url).netloc
        self.bodies: list[bytes] = []

    def answer(self, request: Request) -> Response:
        self.bodies.append(request.body)
        connection = http.client.HTTPConnection(self.target, timeout=30)
        connection.request(request.method, request.path, request.body)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return Response(answer.status, headers, [body])


@pytest.fixture
def relay(model_server: RunningServer) -> Iterator[Relay]:
    """A relay in front of the model server."""
    with serving(Relay(model_server.url)) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxies() -> Iterator[None]:
    """No variable of the machine's may lead a test elsewhere."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.lower().endswith("_proxy")}
    yield
    os.environ.update(kept)
