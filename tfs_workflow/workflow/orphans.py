"""Orphans: servers of any project that no workspace claims, such as those of killed runs.

Removing a server that belongs to a running project is worse than leaving an orphan. So a server counts as an orphan
only by proof: its workspace is gone, is another project's, or does not claim it, or the server has ended. Whatever
cannot be proved, such as a workspace of another user or on another machine, leaves the server alone. The workspace
stays locked from the proof to the removal, or a verb could claim the server in between.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tfs_workflow.errors import ConfigError, WorkflowError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import KINDS
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.workspace import Workspace

STOP_S = 10


@dataclass(frozen=True)
class Orphan:
    """A server that no project needs, and why."""

    runtime: Runtime
    server: ModelServer
    reason: str


def find_orphans(projects: str = "*") -> list[Orphan]:
    """Every orphan among the servers of this machine that are ours; `projects` is a shell pattern for their names."""
    runtimes = Runtimes(Path(os.devnull), Path(os.devnull))  # finding and stopping need no files
    found = []
    for runtime, server in runtimes.find(None, tuple(kind.name for kind in KINDS)):
        with _reason_held(server) as reason:
            if reason and fnmatchcase(server.project, projects):
                found.append(Orphan(runtime, server, reason))
    return sorted(found, key=lambda orphan: (orphan.server.project, orphan.server.started_at))


def remove_orphans(orphans: Sequence[Orphan]) -> list[Orphan]:
    """Stop and remove those that still are orphans; what was removed."""
    removed = []
    for orphan in orphans:
        with _reason_held(orphan.server) as reason:
            if reason:
                orphan.runtime.stop(orphan.server, STOP_S)
                removed.append(orphan)
    return removed


@contextmanager
def _reason_held(server: ModelServer) -> Iterator[str]:
    """Why the server is an orphan, empty if it is not; the workspace stays locked for the block."""
    with ExitStack() as held:
        yield _reason(server, held)


def _reason(server: ModelServer, held: ExitStack) -> str:
    if server.machine not in ("", socket.gethostname()):
        return ""  # a shared engine: its workspace is on another machine
    if not server.workspace:
        return _ended(server)  # of a version without this label
    try:
        workspace = _workspace(server)
        # A lock that is taken means that a verb is at work, perhaps starting this very server.
        held.enter_context(workspace.exclusive(wait=False))
    except FileNotFoundError:
        return "its workspace is gone"
    except ConfigError:
        return "its workspace is not its project's any more"
    except (PermissionError, WorkflowError):
        return ""  # another user's, or a verb is at work in it
    return _unclaimed(server, workspace)


def _workspace(server: ModelServer) -> Workspace:
    """The workspace that the server names; FileNotFoundError, PermissionError or ConfigError where it is not ours."""
    path = Path(server.workspace)
    if path.lstat().st_uid != os.geteuid():
        raise PermissionError(path)
    workspace = Workspace.open(path, server.project)
    if workspace is None:
        raise FileNotFoundError(path)
    return workspace


def _unclaimed(server: ModelServer, workspace: Workspace) -> str:
    if server.superseded or server.on_trial:
        return "its replacement was cut short"
    try:
        started = read_state(workspace).started
    except ConfigError:
        return ""  # the workspace of a newer release, which may claim it
    if server.runtime not in started:
        return "its workspace does not claim it"
    return _ended(server)


def _ended(server: ModelServer) -> str:
    return "" if server.exit_code is None else f"ended with exit code {server.exit_code}"
