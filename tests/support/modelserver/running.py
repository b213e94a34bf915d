"""A model server of the tests' own: started, observed through its log, spoken to over sockets, ended."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

BUNDLED = Path(__file__).parents[3] / "tfs_workflow" / "bundled" / "half_plus_two"
LISTENING = "Exporting HTTP/REST API at"
# A run of the tests against another server: TFS_TEST_FLAGS="--fronts=2 --large_graph_bytes=0" pytest tests/modelserver.
FLAGS = os.environ.get("TFS_TEST_FLAGS", "").split()


def free_port() -> int:
    """A port that nobody listens on at the moment.

    It is below those that the kernel gives to outgoing connections, of which one could take it before the server does.
    """
    for port in random.SystemRandom().sample(range(15_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port below 32000")


@dataclass
class Running:
    """A server process; `lines` is its log so far."""

    process: subprocess.Popen[str]
    rest_port: int
    grpc_port: int
    lines: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def read_log(self) -> None:
        """Collect the log until it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append("")
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1, timeout_s: float = 60) -> str:
        """The count-th log line that matches; fails when the server ends or the time passes without it."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        def settled() -> bool:
            return len(found()) >= count or (
                bool(self.lines) and self.lines[-1] == "" and self.process.poll() is not None
            )

        with self._changed:
            self._changed.wait_for(settled, timeout_s)
            matching = found()
        assert len(matching) >= count, f"no {pattern!r} in the log:\n" + "\n".join(self.lines)
        return matching[count - 1]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed JSON of one request; what is no JSON comes as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        try:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            received = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(received)
        except ValueError:
            return answer.status, received

    def get(self, path: str) -> tuple[int, Any]:
        """A GET request."""
        return self.request("GET", path)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """A POST request."""
        return self.request("POST", path, body, **headers)

    def predict(self, instances: Any, model: str = "half_plus_two") -> Any:
        """The predictions, or the error answer."""
        status, answer = self.post(f"/v1/models/{model}:predict", {"instances": instances})
        return answer["predictions"] if status == 200 else answer

    def states(self, model: str = "half_plus_two") -> dict[str, str]:
        """Version to state."""
        _, answer = self.get(f"/v1/models/{model}")
        return {v["version"]: v["state"] for v in answer.get("model_version_status", [])}

    def connect(self) -> socket.socket:
        """A raw connection to the REST port."""
        return socket.create_connection(("127.0.0.1", self.rest_port), timeout=60)

    def end(self) -> int:
        """Ask it to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def arguments(*flags: str, rest_port: int, grpc_port: int) -> list[str]:
    """The command line of a server."""
    listening = ["--bind_address=127.0.0.1", f"--rest_api_port={rest_port}", f"--port={grpc_port}"]
    return [sys.executable, "-m", "tfs_workflow.modelserver", *listening, *FLAGS, *flags]


@contextmanager
def launched(*flags: str, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Running]:
    """A server that has been started and need not have come up; `environment` is added to that of the tests."""
    rest_port, grpc_port = free_port(), free_port()
    argv = arguments(*flags, rest_port=rest_port, grpc_port=grpc_port)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    server = Running(process, rest_port, grpc_port)
    reader = threading.Thread(target=server.read_log)
    reader.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


@contextmanager
def serving(*flags: str, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Running]:
    """A server that answers; of the bundled model where no other is named."""
    named = any(flag.startswith(("--model_base_path", "--model_config_file")) for flag in flags)
    model = () if named else ("--model_name=half_plus_two", f"--model_base_path={BUNDLED}")
    with launched(*model, *flags, environment=environment) as server:
        server.wait_for(LISTENING)
        yield server


def configured(directory: Path, models: Mapping[str, Path]) -> str:
    """The flag of a configuration file, written into the directory, that serves these base paths by name."""
    path = directory / "models.config"
    entries = (f'config {{ name: "{n}" base_path: "{p}" model_platform: "tensorflow" }}' for n, p in models.items())
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return f"--model_config_file={path}"


def read_response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, lower-case headers and body of the next response on a raw connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
