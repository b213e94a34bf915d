"""A server takes over the engine that was started ahead of it; one that nobody takes over ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.support.models import BUNDLED
from tests.support.waiting import until
from tfs_workflow.modelserver.processes.ahead import VARIABLE
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.process import ahead
from tfs_workflow.runtimes.process.process_runtime import ProcessRuntime
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

pytest.importorskip("tensorflow", reason="the embedded server needs TensorFlow")

# Starts an engine ahead, prints the number of the process that waits, and ends as its argument says.
TOOL = """
import os, signal, sys
from tfs_workflow.runtimes.process import ahead
ahead.start()
print(ahead._waiting[0].process.pid, flush=True)
sys.stdin.read()
os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.fixture
def spec(tmp_path: Path) -> ServerSpec:
    (tmp_path / "serving").mkdir()
    models = (ModelSpec("half_plus_two", BUNDLED),)
    project = f"test-{os.getpid()}-{tmp_path.name}"
    return ServerSpec(project=project, runtime="embedded", models=models, rest_port=0, grpc_port=0)


@pytest.fixture
def runtime(tmp_path: Path, spec: ServerSpec) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime("embedded", tmp_path / "serving", tmp_path / "run" / "server.log")
    yield runtime
    for server in runtime.find(spec.project):
        runtime.stop(server, timeout_s=0)


def family_of(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def answers(server: ModelServer) -> bool:
    try:
        status = requests.get(f"http://127.0.0.1:{server.rest_port}/v1/models/half_plus_two", timeout=5)
    except requests.ConnectionError:
        return False
    return "AVAILABLE" in status.text


def test_a_server_takes_over_the_engine_that_waits(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    ahead.start()
    waiting = ahead._waiting[0].process
    until(lambda: len(family_of(waiting.pid)) == 2)
    _, engine = family_of(waiting.pid)
    server = runtime.start(spec)
    until(lambda: answers(server))
    assert server.id == str(waiting.pid)
    engines = [one for one in psutil.Process(waiting.pid).children() if "engine_process" in " ".join(one.cmdline())]
    assert engines == [engine], "no other engine was started"
    assert [found.id for found in runtime.find(spec.project)] == [server.id]
    assert any("Successfully loaded" in line for line in runtime.logs(server)), "the engine has the server's log"


def test_a_server_is_restarted_with_an_engine_of_its_own(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    ahead.start()
    server = runtime.start(spec)
    until(lambda: answers(server))
    assert VARIABLE in psutil.Process(int(server.id)).environ()
    with pytest.raises(KeyError), runtime.replacing(server):
        raise KeyError
    (again,) = runtime.find(spec.project)
    assert again.id != server.id
    until(lambda: answers(again))


@pytest.mark.parametrize("key", ["environment", "flags"])
def test_an_engine_that_does_not_fit_is_dropped(runtime: ProcessRuntime, spec: ServerSpec, key: str) -> None:
    change: Any = {"environment": (("TF_ENABLE_ONEDNN_OPTS", "0"),), "flags": (("fronts", "0"),)}
    ahead.start()
    waiting = ahead._waiting[0].process
    server = runtime.start(replace(spec, **{key: change[key]}))
    assert server.id != str(waiting.pid)
    assert waiting.wait(10) == 0
    until(lambda: answers(server))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_nothing_stays_of_an_engine_whose_tool_has_ended(number: signal.Signals) -> None:
    argv = [sys.executable, "-c", TOOL, str(int(number))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tool:
        assert tool.stdout is not None
        pid = int(tool.stdout.readline())
        until(lambda: len(family_of(pid)) == 2)
        processes = family_of(pid)
        tool.communicate()
    assert not psutil.wait_procs(processes, timeout=10)[1]
