"""A server of several processes, and the clients that load it while one of them ends."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import psutil

from tests.support.modelserver import graphs
from tests.support.modelserver.running import Running, read_response, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

METRICS = "/monitoring/prometheus/metrics"
PATH = "/v1/models/half_plus_two:predict"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'
RIGHT = b'{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'


@contextmanager
def crashing(base_path: Path, *flags: str) -> Iterator[Running]:
    """A server of a model m, for which the request {"inputs": []} ends TensorFlow's process."""
    # Of no known rank, so that it is not refused beforehand.
    graphs.convolution(base_path / "1", names_rank=False)
    named = ("--model_name=m", f"--model_base_path={base_path}")
    with serving(*named, *flags, environment=graphs.ONEDNN_ON) as server:
        yield server


def engine_of(server: Running) -> psutil.Process:
    """The process that runs TensorFlow; waits for it where it is being replaced."""
    until(lambda: bool(engines_of(server)))
    return engines_of(server)[0]


def engines_of(server: Running) -> list[psutil.Process]:
    """That process, and during a switch a second one."""
    return _children(server, is_engine=True)


def fronts_of(server: Running) -> list[psutil.Process]:
    """The processes that hold connections."""
    return _children(server, is_engine=False)


def _children(server: Running, is_engine: bool) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server.process.pid).children():
        # One that has just ended has no command line any more.
        with suppress(psutil.Error):
            if ("engine_process" in " ".join(child.cmdline())) is is_engine:
                found.append(child)
    return found


def send(connection: socket.socket, path: str, body: object) -> None:
    """Send a POST request and leave its response on the connection."""
    content = json.dumps(body).encode()
    connection.sendall(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(content), content))


def predict(connection: socket.socket) -> bytes:
    """The answer to a small request, which is RIGHT where it is."""
    connection.sendall(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (PATH.encode(), len(BODY), BODY))
    return read_response(connection)[2]


def monitored(directory: Path, page: str = METRICS) -> str:
    """The flag of a configuration file, written into the directory, that serves metrics at this path."""
    path = directory / "monitoring.config"
    path.write_text(f"prometheus_config {{ enable: true path: '{page}' }}")
    return f"--monitoring_config_file={path}"


def metrics_of(server: Running, page: str = METRICS) -> Mapping[str, float]:
    """The values of the metrics page, by name and labels."""
    status, text = server.get(page)
    assert status == 200
    lines = [line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#")]
    return {key: float(value) for key, _, value in lines}


def unrun(server: Running, reason: str) -> float:
    """How many requests the engine has not answered for this reason."""
    return metrics_of(server).get(f':tfs_workflow:modelserver:unrun_count{{reason="{reason}"}}', 0)


@dataclass
class Clients:
    """What came of the requests of several clients, each on a connection of its own that it keeps."""

    seen: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _is_over: bool = False

    def note(self, what: str, elapsed_s: float = 0) -> None:
        """Count an answer."""
        with self._changed:
            self.seen[what] += 1
            self.slowest_s = max(self.slowest_s, elapsed_s)
            self._changed.notify_all()

    def wait_for_more(self, count: int = 100) -> None:
        """Return once so many more right answers have come."""
        with self._changed:
            wanted = self.seen["right"] + count
            assert self._changed.wait_for(lambda: self.seen["right"] >= wanted, 60), self.seen

    def run(self, port: int, is_kept: bool = True) -> None:
        """Send one request after another until it is over; reconnect when the connection breaks, or each time."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not self._is_over:
            if not is_kept:
                connection.close()
            started_s = time.monotonic()
            try:
                connection.request("POST", PATH, BODY)
                response = connection.getresponse()
                content = response.read()
            except TimeoutError:
                self.note("no answer within 60 s")
                connection.close()
            except (OSError, http.client.HTTPException):
                self.note("broken")
                connection.close()
            else:
                told = content.decode().removeprefix('{\n    "error": "').removesuffix('"\n}')
                what = "right" if content == RIGHT else f"{response.status} {told}"
                self.note(what, time.monotonic() - started_s)
        connection.close()

    def run_until_closed(self, port: int) -> None:
        """Send on one connection until the server says that it closes, or until it is over."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        connection.auto_open = 0
        try:
            while not self._is_over and connection.sock is not None:
                connection.request("POST", "/v1/models/half_plus_two:predict", BODY)
                self.note("right" if connection.getresponse().read() == RIGHT else "wrong")
        except (OSError, http.client.HTTPException) as error:
            self.note(f"broken: {error!r}")
        connection.close()

    def run_grpc(self, port: int) -> None:
        """Call one time after another until it is over; grpcio reconnects by itself."""
        method = services.PREDICT
        request = apis.PredictRequest(model_spec={"name": "half_plus_two"})
        one = TensorProto(dtype=DataType.DT_FLOAT, tensor_shape={"dim": [{"size": 1}]}, float_val=[1.0])
        request.inputs["x"].CopyFrom(one)
        options = (("grpc.use_local_subchannel_pool", 1),)
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
            while not self._is_over:
                try:
                    is_right = list(call(request, timeout=60).outputs["y"].float_val) == [2.5]
                    self.note("right" if is_right else "wrong")
                except grpc.RpcError as error:
                    self.note(f"{error.code()} {error.details()}")

    def assert_one_run_lost(self) -> None:
        """All got their answers, but for at most one whose run a killed engine took along."""
        wrong = {what: count for what, count in self.seen.items() if what != "right"}
        assert all("ended by SIGKILL while it ran this request" in what for what in wrong), wrong
        assert sum(wrong.values()) <= 1

    def end(self) -> None:
        """No further request."""
        self._is_over = True


@contextmanager
def clients_of(server: Running, count: int = 8) -> Iterator[Clients]:
    """Clients that load the server during the block."""
    clients = Clients()
    with running(clients, [partial(clients.run, server.rest_port)] * count):
        yield clients


@contextmanager
def running(clients: Clients, loads: Sequence[Callable[[], None]]) -> Iterator[None]:
    """These methods of the clients, each in a thread of its own, during the block."""
    threads = [threading.Thread(target=load) for load in loads]
    for thread in threads:
        thread.start()
    try:
        clients.wait_for_more()
        yield
    finally:
        clients.end()
        for thread in threads:
            thread.join()
