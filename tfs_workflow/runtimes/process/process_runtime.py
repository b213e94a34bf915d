"""The embedded and native runtimes: a model server as a local process, found again by its environment.

A process has no labels and may be found by a later verb only, so its environment bears what a container's labels do:
project, spec, workspace and runtime. A pid file is written after the process began, may be lost with the workspace, and
may name a process that has since taken the number (docs/decisions/0004-processes-bear-labels-too.md).

The server outlives the verb that started it: it has a session of its own, and its output goes to a file. The exit code
is known only to the verb that started it, as its parent; for all others an ended process is simply gone (137).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import psutil

from tfs_workflow.errors import ServerNotReadyError, ToolMissingError
from tfs_workflow.runtimes.base import ImageIdentity, ModelServer
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.ports import free_port, is_free, port_holder
from tfs_workflow.runtimes.process import ahead, marks, switch
from tfs_workflow.runtimes.process.marks import flag, is_running, observed, server_of
from tfs_workflow.runtimes.spec import (
    ModelSpec,
    ServerSpec,
    model_config,
    restored_config_files,
    server_files,
    server_flags,
    write_config_files,
)

FOLLOW_INTERVAL_S = 0.1
# How long to wait for the end of a process before checking whether it is a zombie that its parent has not reaped.
UNREAPED_S = 0.05
KILLED_S = 5


class ProcessRuntime:
    """A model server as a child process that outlives this one; `name` is embedded or native."""

    def __init__(self, name: str, config_dir: Path, log_path: Path) -> None:
        self.name = name
        self.config_dir = config_dir
        self.log_path = log_path
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def find(self, project: str | None) -> list[ModelServer]:
        """Every running process of this runtime with the project's mark (None: any), newest first."""
        found = [s for p in psutil.process_iter() if (s := observed(p)) and project in (None, s.project)]
        return sorted((s for s in found if s.runtime == self.name), key=lambda s: s.started_at, reverse=True)

    def start(self, spec: ServerSpec) -> ModelServer:
        """Start it; raises ServerNotReadyError when a port is taken, ToolMissingError when there is nothing to run."""
        command = server_command(replace(spec, runtime=self.name))
        rest, grpc = spec.ports()
        rest_port, grpc_port = _port(spec, "rest_port", rest), _port(spec, "grpc_port", grpc)
        flags, files = self._flags_and_files(spec, rest_port, grpc_port)
        write_config_files(self.config_dir, files)
        return self._spawn([*command, *flags], _environment(spec, self.name, self.config_dir.parent))

    def _flags_and_files(self, spec: ServerSpec, rest_port: int, grpc_port: int) -> tuple[list[str], dict[str, str]]:
        flags, files = server_flags(spec, str(self.config_dir), rest_port, grpc_port), server_files(spec, _base_path)
        if not runtime_kind(self.name).own_code:
            return flags, files
        flags, file = switch.divided(flags, self.config_dir)
        return flags, files | file

    def switch(self, server: ModelServer, spec: ServerSpec, timeout_s: float) -> ModelServer | None:
        """Have the embedded server serve the spec with another engine; None where it cannot."""
        process = psutil.Process(int(server.id))
        if not (spec.can_switch and flag(process.cmdline(), "--flagfile")):
            return None
        _, files = self._flags_and_files(spec, server.rest_port, server.grpc_port)
        with self.log_path.open(errors="replace") as log, switch.taken_back(process, self.config_dir):
            log.seek(0, os.SEEK_END)
            write_config_files(self.config_dir, files)
            process.send_signal(signal.SIGHUP)
            switch.wait_for_turn(log, process, timeout_s)
        return replace(server, digest=spec.digest())

    def model_config(self, spec: ServerSpec) -> str:
        """The configuration file of the models, with their real paths."""
        return model_config(spec.models, _base_path)

    def trial(self, spec: ServerSpec) -> nullcontext[None]:  # noqa: ARG002  # the Protocol's
        """None: such a server is replaced by stop and start."""
        return nullcontext()

    def _spawn(self, argv: list[str], environment: dict[str, str]) -> ModelServer:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            child = ahead.become(argv, environment, log) or _started(argv, environment, log)
        self._children[child.pid] = child
        _wait_for_environment(child)
        started = server_of(child.pid, environment, argv, datetime.now(timezone.utc))
        return self.refresh(started)

    @contextmanager
    def replacing(self, old: ModelServer) -> Iterator[None]:
        """Stop the old process for the block; restart it with the same command if the block raises."""
        try:
            process = psutil.Process(int(old.id))
            # With the spec of now: it may have switched since it was started.
            argv, environment = process.cmdline(), process.environ() | {marks.DIGEST_VARIABLE: old.digest}
        except psutil.NoSuchProcess:  # it ended by itself just now: nothing to restart
            yield
            return
        try:
            with restored_config_files(self.config_dir):
                self.stop(old, timeout_s=10)
                yield
        except BaseException:
            self.stop(old, timeout_s=1)  # again, should an interrupt have cut it short
            self._spawn(argv, environment)
            raise

    def refresh(self, server: ModelServer) -> ModelServer:
        """The same process now; its exit code is known while we are its parent, and 137 stands for gone."""
        child = self._children.get(int(server.id))
        if child is not None:
            # This also reaps the process, which would otherwise stay as a zombie until this one ends.
            code = child.poll()
            exit_code = None if code is None else (128 - code if code < 0 else code)
        else:
            exit_code = None if is_running(int(server.id)) else 137
        return replace(server, exit_code=exit_code)

    def resolve_image(self, reference: str) -> ImageIdentity:  # noqa: ARG002  # the Protocol's
        """No image is involved."""
        return ImageIdentity()

    def logs(self, server: ModelServer, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The lines of the process's log file; with `follow`, until it ends."""
        with self.log_path.open(errors="replace") as log:
            lines = log.read().splitlines()
            yield from lines if tail is None else lines[max(0, len(lines) - tail) :]
            # The end is looked at before the lines are read, so that the last lines are never missed.
            while follow:
                ended = self._ended(server)
                yield from (line.rstrip("\n") for line in log)
                if ended:
                    return

    def _ended(self, server: ModelServer) -> bool:
        """Wait one interval, or less when the process ends."""
        try:
            return _ended_within(psutil.Process(int(server.id)), FOLLOW_INTERVAL_S)
        except psutil.NoSuchProcess:
            return True

    def stop(self, server: ModelServer, timeout_s: int) -> None:
        """SIGTERM, and SIGKILL after `timeout_s`; no error when it is already gone."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(server.id))
            # The number may have passed to another process, which must not be signalled.
            if observed(process) is None:
                return
            _signal(process, signal.SIGTERM)
            if not _ended_within(process, timeout_s):
                children = process.children(recursive=True)
                _signal(process, signal.SIGKILL)
                _ended_within(process, KILLED_S)
                # Without its parent, a child that is still ending would count as a server of its own.
                psutil.wait_procs(children, timeout=KILLED_S)
        if child := self._children.pop(int(server.id), None):
            child.wait()


def server_command(spec: ServerSpec) -> list[str]:
    """What runs the spec's server, without its flags; raises ToolMissingError where this machine lacks it."""
    binary = runtime_kind(spec.runtime).require(spec.binary)
    if not binary:
        # Loopback unless exposed; tensorflow_model_server itself has no such flag and listens everywhere.
        return [sys.executable, "-m", "tfs_workflow.modelserver", f"--bind_address={spec.address}"]
    return [binary]


def _started(argv: list[str], environment: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    """The process, a session of its own in the log's directory; ToolMissingError when the kernel refuses its binary."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            cwd=Path(log.name).parent,
        )
    except OSError as error:
        raise ToolMissingError(
            "the model server cannot be executed",
            where=argv[0],
            evidence=str(error.strerror),
            fix="give server.native_binary a tensorflow_model_server for this machine, or take another runtime",
        ) from error


def _ended_within(process: psutil.Process, timeout_s: float) -> bool:
    """Wait for its end, also where its parent is another verb, which may not reap it before we are done."""
    end_s = time.monotonic() + timeout_s
    while (left_s := end_s - time.monotonic()) >= 0:
        with suppress(psutil.TimeoutExpired):
            process.wait(min(left_s, UNREAPED_S))
            return True
        if not is_running(process.pid):
            return True
    return False


def _wait_for_environment(child: subprocess.Popen[bytes]) -> None:
    """Return once the mark can be read: the kernel has the new image in place a moment after it was asked to."""
    with suppress(psutil.Error):
        while child.poll() is None and marks.PROJECT_VARIABLE not in psutil.Process(child.pid).environ():
            time.sleep(0.001)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    """Signal the server with its children, such as those of a wrapper script; it leads a group of its own."""
    with suppress(ProcessLookupError):
        # Else the group is another's, such as that of a shell which started the server by hand.
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _base_path(model: ModelSpec) -> str:
    return str(model.base_path.resolve())


def _environment(spec: ServerSpec, runtime: str, workspace: Path) -> dict[str, str]:
    """What a server needs, what the YAML adds, and what it is found by."""
    own = {
        marks.PROJECT_VARIABLE: spec.project,
        marks.DIGEST_VARIABLE: spec.digest(),
        marks.RUNTIME_VARIABLE: runtime,
        marks.WORKSPACE_VARIABLE: str(workspace),
    }
    return ahead.server_environment() | dict(spec.environment) | own


def _port(spec: ServerSpec, key: str, wanted: int) -> int:
    if wanted == 0:
        return free_port()
    if not is_free(wanted, spec.address):
        raise ServerNotReadyError(
            f"port {wanted} is taken by {port_holder(wanted) or 'another process'}",
            where=f"server.{key}",
            fix=f"stop it, or set server.{key} to another port or to auto",
        )
    return wanted
