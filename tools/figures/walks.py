"""How many files one prediction and one `serve` pass through, from a real run of the checkout.

A walk is the series of files that the calls enter, each from another one. The same call from the same place counts
once, so that a loop and a wait do not lengthen it. A file that is entered a second time is a return: the reader has to
open it again, and to remember where they were.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "tfs_workflow"
TRACING = Path(__file__).with_name("tracing")
START_S = 120
# What the server does after its last byte, such as counting the request, belongs to the walk.
_AFTERWARDS_S = 0.1
SMALL: Mapping[str, object] = {"instances": [1.0, 2.0, 5.0]}
GENERAL: Mapping[str, object] = {"signature_name": "serving_default", "inputs": {"x": [1.0, 2.0, 5.0]}}


@dataclass(frozen=True)
class Walk:
    """The files in the order in which they were entered."""

    entered: list[str]

    def __str__(self) -> str:
        files = len(set(self.entered))
        return f"{files} files, {len(self.entered)} entries, {len(self.entered) - files} returns"


def walks(checkout: Path) -> dict[str, str]:
    """The walks of a checkout by their names; its dependencies are those of this interpreter.

    Raises RuntimeError when the checkout's server does not start or a verb fails.
    """
    small, general = predictions(checkout)
    return {
        "one small prediction": str(small),
        "one prediction by `inputs`": str(general),
        "one `serve`, embedded": str(serve(checkout)),
    }


def predictions(checkout: Path) -> list[Walk]:
    """What a second request of each kind passes through, on a connection of its own, in the server's processes."""
    with tempfile.TemporaryDirectory() as scratch:
        steps = Path(scratch)
        found = []
        with _server(checkout, steps) as port:
            for request in (SMALL, GENERAL):
                predict(port, request)
                began_ns = time.monotonic_ns()
                predict(port, request)
                time.sleep(_AFTERWARDS_S)
                found.append((began_ns, time.monotonic_ns()))
        return [Walk(_entered(list(steps.iterdir()), *window)) for window in found]


def serve(checkout: Path) -> Walk:
    """What `serve` passes through, in its own process, after `setup`."""
    with tempfile.TemporaryDirectory() as scratch:
        directory, steps = Path(scratch), Path(scratch, "steps")
        steps.mkdir()
        config = directory / "tfs.yaml"
        config.write_text(_yaml(directory))
        try:
            _verb(checkout, steps, "setup", config)
            pid = _verb(checkout, steps, "serve", config)
            return Walk(_entered([steps / str(pid)], 0, time.monotonic_ns()))
        finally:
            _verb(checkout, steps, "teardown", config)


def predict(port: int, request: Mapping[str, object]) -> bytes:
    """One request's answer, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request("POST", "/v1/models/half_plus_two:predict", json.dumps(request))
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the traced server answered {answer.status}: {body!r}")
    return body


@contextmanager
def _server(checkout: Path, steps: Path) -> Iterator[int]:
    """The port of a traced server that answers."""
    port = _free_port()
    command = [sys.executable, "-m", f"{PACKAGE}.modelserver", "--model_name=half_plus_two", "--port=0"]
    command += [f"--model_base_path={checkout / PACKAGE / 'bundled' / 'half_plus_two'}", f"--rest_api_port={port}"]
    command += ["--bind_address=127.0.0.1", "--file_system_poll_wait_seconds=3600"]
    environment = _environment(checkout, steps)
    log = steps.parent / f"{steps.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(START_S)
        log.unlink()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once it predicts; raises RuntimeError with its log when it ends or takes too long."""
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            predict(port, SMALL)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the traced server does not answer:\n{log.read_text()[-2000:]}")


def _verb(checkout: Path, steps: Path, verb: str, config: Path) -> int:
    """Run a verb by the checkout's own entry point; its process id."""
    # The name of the entry point differs between checkouts; the console script in pyproject.toml names it.
    script = re.search(r'^tfs = "([\w.]+):([\w.]+)"', (checkout / "pyproject.toml").read_text(), re.MULTILINE)
    if script is None:
        raise RuntimeError(f"{checkout}/pyproject.toml names no script tfs")
    code = f"import sys, {script[1]}; sys.argv[0] = 'tfs'; {script[1]}.{script[2]}()"
    command = [sys.executable, "-c", code, verb, "--config", str(config)]
    environment = _environment(checkout, steps)
    with subprocess.Popen(
        command, cwd=config.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{verb} of {checkout} exited {process.returncode}:\n{output}")
    return process.pid


def _environment(checkout: Path, steps: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TFS_")}
    path = os.pathsep.join([str(TRACING), str(checkout)])
    return inherited | {"PYTHONPATH": path, "FIGURES_PACKAGE": str(checkout / PACKAGE), "FIGURES_STEPS": str(steps)}


def _yaml(directory: Path) -> str:
    config = {
        "project": f"figures-{os.getpid()}",
        "workspace": str(directory / "workspace"),
        "runtime": "embedded",
        "server": {"rest_port": "auto", "grpc_port": "auto"},
        "models": {"half_plus_two": {"source": {"bundled": "half_plus_two"}}},
    }
    return json.dumps(config)  # JSON is YAML


def _entered(files: list[Path], from_ns: int, to_ns: int) -> list[str]:
    """The files entered by these processes in the window, in the order of time."""
    lines = [line.split(" ", 1) for file in files for line in file.read_text().splitlines()]
    steps = sorted((int(when), step) for when, step in lines)
    calls = dict.fromkeys(step for when, step in steps if from_ns <= when <= to_ns)
    return [call.split(" ")[1] for call in calls]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
