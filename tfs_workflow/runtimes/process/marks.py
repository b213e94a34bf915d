"""What a server process is found by: its environment bears project, spec, runtime and workspace (decision 0004)."""

from __future__ import annotations

import socket
from datetime import datetime, timezone

import psutil

from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.process import ahead

# A process has no labels; its environment serves as well: set before its first instruction, readable by its owner.
PROJECT_VARIABLE = ahead.MARK_PREFIX + "PROJECT"
DIGEST_VARIABLE = ahead.MARK_PREFIX + "SPEC"
WORKSPACE_VARIABLE = ahead.MARK_PREFIX + "WORKSPACE"
RUNTIME_VARIABLE = ahead.MARK_PREFIX + "RUNTIME"


def observed(process: psutil.Process) -> ModelServer | None:
    """The server that a process is, or None for any other process; a server's own children do not count."""
    try:
        environment = process.environ()
        if PROJECT_VARIABLE not in environment or process.status() == psutil.STATUS_ZOMBIE:
            return None
        parent = process.parent()
        if parent is not None and _mark(parent) == environment[PROJECT_VARIABLE]:
            return None
        started_at = datetime.fromtimestamp(process.create_time(), timezone.utc)
        return server_of(process.pid, environment, process.cmdline(), started_at)
    except (psutil.Error, OSError):
        return None


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(PROJECT_VARIABLE)
    except (psutil.Error, OSError):
        return None


def server_of(pid: int, environment: dict[str, str], argv: list[str], started_at: datetime) -> ModelServer:
    """The server of this environment and command line."""
    return ModelServer(
        runtime=environment[RUNTIME_VARIABLE],
        id=str(pid),
        project=environment[PROJECT_VARIABLE],
        digest=environment[DIGEST_VARIABLE],
        rest_port=int(flag(argv, "--rest_api_port") or 0),
        grpc_port=int(flag(argv, "--port") or 0),
        started_at=started_at,
        # tensorflow_model_server has no flag for the address and listens on every interface.
        exposed=runtime_kind(environment[RUNTIME_VARIABLE]).always_exposed or "--bind_address=0.0.0.0" in argv,
        workspace=environment.get(WORKSPACE_VARIABLE, ""),
        certificate=flag(argv, "--tls_certificate_file"),
        token_file=flag(argv, "--token_file"),
        machine=socket.gethostname(),  # or it would not be among our processes
    )


def flag(argv: list[str], name: str) -> str:
    """The value of a flag such as --port; empty where it is not given."""
    return next((a.partition("=")[2] for a in argv if a.startswith(f"{name}=")), "")


def is_running(pid: int) -> bool:
    """Whether the process is there; one that only waits to be reaped is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
