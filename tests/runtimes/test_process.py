"""Server processes are found by their environment, and only those."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.support.modelserver.running import BUNDLED
from tests.support.waiting import until
from tfs_workflow.errors import ServerNotReadyError, ToolMissingError
from tfs_workflow.runtimes.availability import native_binary
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.process.process_runtime import ProcessRuntime
from tfs_workflow.runtimes.spec import ModelSpec, ServerSpec

# A native server in all that matters here: a process that lives until SIGTERM, or does not mind it.
SERVER = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.1; done\n"
STUBBORN = "#!/bin/sh\ntrap '' TERM\necho stubborn\nwhile :; do sleep 0.1; done\n"


@pytest.fixture
def spec(tmp_path: Path) -> ServerSpec:
    binary = tmp_path / "tensorflow_model_server"
    binary.write_text(SERVER)
    binary.chmod(0o755)
    (tmp_path / "serving").mkdir()
    models = (ModelSpec("m", tmp_path),)
    return ServerSpec(
        project=f"test-{os.getpid()}-{tmp_path.name}",
        runtime="native",
        models=models,
        binary=str(binary),
        rest_port=0,
        grpc_port=0,
    )


@pytest.fixture
def runtime(tmp_path: Path, spec: ServerSpec) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime("native", tmp_path / "serving", tmp_path / "run" / "server.log")
    yield runtime
    for server in runtime.find(spec.project):
        runtime.stop(server, timeout_s=0)


def test_a_server_is_found_again_by_whoever_looks(runtime: ProcessRuntime, spec: ServerSpec, tmp_path: Path) -> None:
    server = runtime.start(spec)
    another = ProcessRuntime("native", tmp_path, tmp_path / "other.log")
    (found,) = another.find(spec.project)
    assert (found.id, found.digest, found.rest_port) == (server.id, spec.digest(), server.rest_port)
    assert another.find(spec.project + "-2") == []
    assert ProcessRuntime("embedded", tmp_path, tmp_path / "other.log").find(spec.project) == []


def test_stopping_waits_for_the_end_and_may_be_repeated(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    server = runtime.start(spec)
    runtime.stop(server, timeout_s=10)
    assert runtime.refresh(server).exit_code is not None
    assert runtime.find(spec.project) == []
    runtime.stop(server, timeout_s=10)


def test_a_server_that_minds_no_sigterm_is_killed(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    Path(spec.binary).write_text(STUBBORN)
    server = runtime.start(spec)
    until(lambda: list(runtime.logs(server)) == ["stubborn"])
    runtime.stop(server, timeout_s=0)
    assert runtime.find(spec.project) == []


def test_a_server_whose_parent_does_not_ask_for_its_end_has_ended(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    """As after `invoke setup serve predict teardown`, whose teardown waits for another one to be done."""
    marks = {"TFS_WORKFLOW_PROJECT": spec.project, "TFS_WORKFLOW_SPEC": "0", "TFS_WORKFLOW_RUNTIME": "native"}
    program = (
        "import json, subprocess, sys\n"
        "server = subprocess.Popen([sys.argv[1]], env=json.loads(sys.argv[2]))\n"
        "print(server.pid, flush=True)\n"
        "input()\n"
    )
    argv = [sys.executable, "-c", program, spec.binary, json.dumps(dict(os.environ) | marks)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        until(lambda: len(runtime.find(spec.project)) == 1)
        (server,) = runtime.find(spec.project)
        runtime.stop(server, timeout_s=10)
        assert parent.poll() is None
        assert runtime.refresh(server).exit_code == 137
        assert runtime.find(spec.project) == []
        parent.kill()


def test_a_process_of_the_same_number_without_our_mark_is_left_alone(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    server = runtime.start(spec)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        runtime.stop(replace(server, id=str(bystander.pid)), timeout_s=0)
        assert bystander.poll() is None
        bystander.kill()


def test_the_exit_code_is_told_as_a_shell_would(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    server = runtime.start(spec)
    os.kill(int(server.id), signal.SIGKILL)
    until(lambda: runtime.refresh(server).exit_code is not None)
    assert runtime.refresh(server).exit_code == 137


def test_nothing_of_the_users_environment_is_passed_on(
    runtime: ProcessRuntime, spec: ServerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "must not leak")
    server = runtime.start(spec)
    environment = Path(f"/proc/{server.id}/environ").read_bytes()
    assert b"must not leak" not in environment
    assert b"TFS_WORKFLOW_PROJECT=" in environment


def test_a_taken_port_is_named_with_its_holder(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServerNotReadyError, match=f"port {port} is taken by process .*pid {os.getpid()}"):
            runtime.start(replace(spec, rest_port=port))
    assert runtime.find(spec.project) == []


def test_a_failed_successor_brings_the_old_server_back(runtime: ProcessRuntime, spec: ServerSpec) -> None:
    old = runtime.start(spec)

    def failing_successor() -> None:
        with runtime.replacing(old):
            assert runtime.find(spec.project) == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_successor()
    (back,) = runtime.find(spec.project)
    assert (back.digest, back.rest_port) == (old.digest, old.rest_port)


def test_a_missing_binary_is_named() -> None:
    with pytest.raises(ToolMissingError, match="no_such_model_server"):
        native_binary("no_such_model_server")


def family(directory: Path, spec: ServerSpec) -> tuple[ProcessRuntime, ModelServer, list[psutil.Process]]:
    """A server with two fronts that serves, and the processes below its parent."""
    models = (ModelSpec("half_plus_two", BUNDLED),)
    several = replace(spec, runtime="embedded", binary="", models=models, flags=(("fronts", "2"),))
    runtime = ProcessRuntime("embedded", directory / "serving", directory / "run" / "server.log")
    server = runtime.start(several)
    until(lambda: "Exporting HTTP/REST API" in "\n".join(runtime.logs(server)))
    return runtime, server, psutil.Process(int(server.id)).children()


def test_a_server_of_several_processes_is_one_server(tmp_path: Path, spec: ServerSpec) -> None:
    runtime, server, children = family(tmp_path, spec)
    assert len(children) == 3
    assert [found.id for found in runtime.find(spec.project)] == [server.id]
    runtime.stop(server, timeout_s=30)
    assert runtime.find(spec.project) == []
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_a_killed_server_of_several_processes_leaves_none(tmp_path: Path, spec: ServerSpec) -> None:
    runtime, server, children = family(tmp_path, spec)
    os.kill(int(server.id), signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=30)[1] == []
    until(lambda: runtime.refresh(server).exit_code is not None)
    assert runtime.find(spec.project) == []
