"""Keeps the embedded server busy for long: right requests, wrong ones, slow clients, version changes, reloads.

python -m benchmarks.modelserver.soak [--minutes 30] [--requests N] [--reloads N]

Every answer is checked. Prints the memory over time; exit code 1 for a wrong answer, or when the memory grew by more
than a tenth after the first tenth of the run. With --requests or --reloads it ends after so many instead.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.modelserver.load import BUNDLED
from tests.support.modelserver.running import free_port

WRONG = [b"{", b'{"instances":["a"]}', b'{"instances":[[1],[2,3]]}', b"\xff" * 100, b'{"inputs":{"z":1}}']


class Soak:
    """One server, and everything that is done to it."""

    def __init__(self, directory: Path, wanted_requests: int, wanted_reloads: int, until_s: float) -> None:
        self.base_path = directory / "m"
        shutil.copytree(BUNDLED, self.base_path)
        self.port, self.rpc_port = free_port(), free_port()
        command = [
            sys.executable,
            "-m",
            "tfs_workflow.modelserver",
            "--model_name=m",
            f"--model_base_path={self.base_path}",
        ]
        command += ["--bind_address=127.0.0.1", f"--rest_api_port={self.port}", f"--port={self.rpc_port}"]
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = psutil.Popen(command, stderr=log)
        self.requests = self.reloads = self.wrong_answers = 0
        self._wanted = (wanted_requests, wanted_reloads)
        self._until_s = until_s
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether enough has been done."""
        requests, reloads = self._wanted
        if self.process.poll() is not None or self.wrong_answers:
            return True
        if requests or reloads:
            return self.requests >= requests and self.reloads >= reloads
        return time.monotonic() > self._until_s

    def guarded(self, job: Callable[[], None]) -> Callable[[], None]:
        """The job, whose own failure, such as a dropped connection, counts as a wrong answer."""

        def run() -> None:
            try:
                job()
            except Exception:
                self._count(False)
                raise

        return run

    def predict(self) -> None:
        """Right requests over a kept connection, with a wrong one now and then."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for i in itertools.count():
            if self.is_over:
                return
            values = [float(i % 1000), 2.0, 5.0]
            self._expect(connection, json.dumps({"instances": values}).encode(), [0.5 * v + 2 for v in values])
            if i % 20 == 0:
                self._expect(connection, WRONG[i // 20 % len(WRONG)], None)

    def predict_by_rpc(self) -> None:
        """The same over gRPC."""
        import grpc  # noqa: PLC0415  # slow to import

        from tfs_workflow.protos import serving_apis_pb2 as apis  # noqa: PLC0415

        call = grpc.insecure_channel(f"127.0.0.1:{self.rpc_port}").unary_unary(
            "/tensorflow.serving.PredictionService/Predict", None, apis.PredictResponse.FromString
        )
        request = apis.PredictRequest(model_spec={"name": "m"})
        request.inputs["x"].dtype = 1  # type: ignore[assignment]  # protobuf takes numbers
        request.inputs["x"].tensor_shape.dim.add(size=1)
        request.inputs["x"].float_val.append(3)
        while not self.is_over:
            answer = call(request.SerializeToString(), timeout=60)
            self._count(list(answer.outputs["y"].float_val) == [3.5])

    def be_slow(self) -> None:
        """Clients that send a little and go away."""
        while not self.is_over:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
                time.sleep(0.05)

    def change_versions(self) -> None:
        """A new version every other second, or as quickly as the server takes them when they are counted."""
        for number in itertools.count(124):
            if self.is_over:
                return
            hidden = self.base_path.with_name(f"{number}")
            shutil.copytree(self.base_path / f"{number - 1:08d}", hidden)
            hidden.rename(self.base_path / f"{number:08d}")
            while self._newest() != (str(number), "AVAILABLE") and not self.is_over:
                time.sleep(0.02)
            shutil.rmtree(self.base_path / f"{number - 1:08d}")
            self.reloads += 1

    def memory_mb(self) -> float:
        """Resident memory."""
        return self.process.memory_info().rss / 1e6

    def wait_until_serving(self) -> None:
        """Return once it answers."""
        while self._newest()[1] != "AVAILABLE":
            time.sleep(0.02)

    def _newest(self) -> tuple[str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/v1/models/m")
            newest = json.loads(connection.getresponse().read())["model_version_status"][0]
        except OSError:
            return "", ""
        finally:
            connection.close()
        return newest["version"], newest["state"]

    def _expect(self, connection: http.client.HTTPConnection, body: bytes, predictions: list[float] | None) -> None:
        connection.request("POST", "/v1/models/m:predict", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
        right = response.status == 400 if predictions is None else answer == {"predictions": predictions}
        if not right:
            print(f"wrong: {response.status} {answer} to {body!r}")
        self._count(right)

    def _count(self, right: bool) -> None:
        with self._lock:
            self.requests += 1
            self.wrong_answers += not right


def run(soak: Soak) -> bool:
    """Let everything loose; whether all answers were right and the memory stayed flat."""
    soak.wait_until_serving()
    jobs: list[Callable[[], None]] = [soak.predict] * 4 + [soak.predict_by_rpc, soak.be_slow, soak.change_versions]
    threads = [threading.Thread(target=soak.guarded(job), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    memory: list[float] = []
    began_s = time.monotonic()
    while not soak.is_over:
        time.sleep(min(5, 0.5 + len(memory)))
        memory.append(soak.memory_mb())
        if len(memory) % 12 == 1:
            done = f"{soak.requests} requests, {soak.reloads} reloads"
            print(f"{time.monotonic() - began_s:6.0f} s  {memory[-1]:5.0f} MB  {done}", flush=True)
    for thread in threads:
        thread.join(timeout=60)
    settled = memory[len(memory) // 10]
    done = f"{soak.requests} requests, {soak.reloads} reloads, {soak.wrong_answers} wrong answers"
    print(f"{done}; memory {settled:.0f} -> {memory[-1]:.0f} MB")
    return soak.wrong_answers == 0 and soak.process.poll() is None and memory[-1] < settled * 1.1


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long")
    parser.add_argument("--requests", type=int, default=0, help="end after so many requests")
    parser.add_argument("--reloads", type=int, default=0, help="end after so many version changes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), options.requests, options.reloads, time.monotonic() + options.minutes * 60)
        try:
            return 0 if run(soak) else 1
        finally:
            soak.process.kill()
            subprocess.run(["tail", "-3", str(soak.log)], check=False)


if __name__ == "__main__":
    sys.exit(main())
