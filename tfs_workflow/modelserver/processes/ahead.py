"""An engine that starts before its server is known: `python -m tfs_workflow.modelserver.processes.ahead DESCRIPTOR`.

To open TensorFlow's library takes longer than anything else in a start, and needs none of the server's flags. So a tool
that will start a server runs this first. It starts an engine, waits at the socket DESCRIPTOR for the server's command
line, environment and log, and becomes that server, which is then the parent of the engine (docs/decisions/0022).
A socket that ends without a word ends both.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, NamedTuple, NoReturn

from tfs_workflow.modelserver.processes import control
from tfs_workflow.modelserver.processes.control import Control

# Process number and descriptor of the engine's control socket, for the server that this process becomes.
VARIABLE = "TFS_WORKFLOW_ENGINE"
_ENGINE_MODULE = "tfs_workflow.modelserver.processes.engine_process"
_MOST_BYTES = 2**20


class Spawned(NamedTuple):
    """An engine's process, which waits at its control socket to be told what to serve (control.BEGIN)."""

    pid: int
    commands: Control
    is_ahead: bool


def spawn(is_ahead: bool = False) -> Spawned:
    """Start an engine, which at once opens TensorFlow's library."""
    ours, theirs = control.pair()
    descriptor = theirs.socket.fileno()
    os.set_inheritable(descriptor, True)
    command = [sys.executable, "-m", _ENGINE_MODULE, str(descriptor)]
    pid = os.posix_spawn(sys.executable, command, os.environ, setsigmask=control.PARENTS_SIGNALS)
    theirs.close()
    return Spawned(pid, ours, is_ahead)


def adopted() -> Spawned | None:
    """The engine that this process started before it became a server; None where there is none, or it has ended."""
    noted = os.environ.pop(VARIABLE, "")
    if not noted:
        return None
    pid, descriptor = map(int, noted.split())
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # the environment is that of another server, which is started again with it
        return None
    os.set_inheritable(descriptor, False)
    commands = Control(socket.socket(fileno=descriptor))
    if ended:
        commands.close()
        return None
    return Spawned(pid, commands, is_ahead=True)


def main() -> None:
    """Wait for a server's start and become it; ends where none comes."""
    engine = spawn(is_ahead=True)
    with socket.socket(fileno=int(sys.argv[1])) as starter:
        content, outputs, _, _ = socket.recv_fds(starter, _MOST_BYTES, 1)
        while part := starter.recv(_MOST_BYTES):
            content += part
    if content:
        _become(json.loads(content), outputs[0], engine)


def _become(server: dict[str, Any], log: int, engine: Spawned) -> NoReturn:
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    os.chdir(server["directory"])
    descriptor = engine.commands.socket.fileno()
    os.set_inheritable(descriptor, True)
    environment = server["environment"] | {VARIABLE: f"{engine.pid} {descriptor}"}
    os.execve(server["argv"][0], server["argv"], environment)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
