"""Starts the embedded server's engine while the rest of the verb is still being imported.

The engine opens TensorFlow's library, which takes about half of a start and needs none of the server's flags. The
server takes it over when its command line is known; otherwise it ends with this process. This module is imported before
all others, so it imports little itself.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MODULE = "tfs_workflow.modelserver.processes.ahead"
# What a server is found by (process_runtime.py); an engine does not read it.
MARK_PREFIX = "TFS_WORKFLOW_"
_SERVER = [sys.executable, "-m", "tfs_workflow.modelserver"]
# By a list of what is passed on: a list of what is secret would never be complete.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES")


class Waiting(NamedTuple):
    """The process that waits to become the server, the socket that it waits at, and its environment."""

    process: subprocess.Popen[bytes]
    starter: socket.socket
    environment: dict[str, str]


# At most one; a process serves one command line.
_waiting: list[Waiting] = []


def server_environment() -> dict[str, str]:
    """Only the variables that a server needs, so that no secret of the user's shell stays in it."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def start() -> None:
    """Start an engine for the server that will be started."""
    environment = server_environment()
    ours, theirs = socket.socketpair()
    # What the library says before there is a log; the engine copies it there.
    with theirs, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    _waiting.append(Waiting(process, ours, environment))


def become(argv: Sequence[str], environment: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes] | None:
    """Turn the waiting process into this server; None where there is none that can be it."""
    if not _waiting:
        return None
    waiting = _waiting.pop()
    with waiting.starter as starter:
        unmarked = {name: value for name, value in environment.items() if not name.startswith(MARK_PREFIX)}
        is_fit = list(argv[:3]) == _SERVER and "--fronts=0" not in argv and unmarked == waiting.environment
        if not is_fit or waiting.process.poll() is not None:
            return None
        server = {"argv": argv, "environment": environment, "directory": str(Path(log.name).parent)}
        socket.send_fds(starter, [json.dumps(server).encode()], [log.fileno()])
    return waiting.process
