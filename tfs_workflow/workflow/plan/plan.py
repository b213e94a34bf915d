"""What serve and teardown will do, as plain data.

A plan is made from what was observed, what is wanted and what is recorded, without any effect. So a test compares it,
`--dry-run` prints it, and the executor (execution.py) decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.state.records import ServedRecord
from tfs_workflow.workflow.plan.difference import Drift
from tfs_workflow.workflow.plan.drift import server_drift
from tfs_workflow.workflow.plan.observation import ObservedServer


class PlannedAction(str, Enum):
    """What serve does about the server."""

    KEEP = "keep"
    START = "start"
    RELOAD = "reload"
    SWITCH = "switch"
    REPLACE = "replace"


@dataclass(frozen=True)
class ServerPlan:
    """How serve reaches the wanted server.

    `running` are the servers that run now: the one to keep, to reload or to switch, or those to replace, for `reasons`.
    `ended` are removed.
    """

    action: PlannedAction
    project: str
    runtime: str
    digest: str
    running: tuple[ModelServer, ...] = ()
    ended: tuple[ModelServer, ...] = ()
    reasons: tuple[Drift, ...] = ()

    def lines(self) -> Iterator[str]:
        """The plan for people, a line for each step."""
        for server in self.ended:
            yield f"remove the ended {_named(server)}"
        for server in self.running:
            yield f"{self.action.value} the running {_named(server)}"
        yield from (f"  because of {reason}" for reason in self.reasons)
        if self.action in (PlannedAction.START, PlannedAction.REPLACE):
            yield f"start the {self.runtime} server with spec {self.digest}"

    def document(self) -> dict[str, Any]:
        """The plan for programs."""
        return {
            "action": self.action.value,
            "project": self.project,
            "runtime": self.runtime,
            "spec": self.digest,
            "running": [_server_document(server) for server in self.running],
            "ended": [_server_document(server) for server in self.ended],
            "reasons": [asdict(reason) for reason in self.reasons],
        }


@dataclass(frozen=True)
class RemovalPlan:
    """What teardown removes: the servers, and the workspace and the image where these are given."""

    servers: tuple[ModelServer, ...] = ()
    workspace: Path | None = None
    image: str = ""

    def lines(self) -> Iterator[str]:
        """The plan for people, a line for each step."""
        yield from (f"stop and remove {_named(server)}" for server in self.servers)
        if self.workspace:
            yield f"remove workspace {self.workspace}"
        if self.image:
            yield f"remove image {self.image}"
        if self == RemovalPlan():
            yield "nothing to remove"

    def document(self) -> dict[str, Any]:
        """The plan for programs."""
        return {
            "servers": [_server_document(server) for server in self.servers],
            "workspace": str(self.workspace or ""),
            "image": self.image,
        }


def plan_server(spec: ServerSpec, observed: Sequence[ObservedServer], served: ServedRecord | None) -> ServerPlan:
    """The plan to have exactly one server of this spec.

    The only running one is kept where it did not drift, and reloaded where it can take every change. Where another
    engine of it can, it switches to that.
    """
    running = [one for one in observed if one.runs]
    reasons = tuple(reason for one in running for reason in server_drift(one, spec, served))
    return ServerPlan(
        _action(running, reasons, spec.digest()),
        spec.project,
        spec.runtime,
        spec.digest(),
        tuple(one.server for one in running),
        tuple(one.server for one in observed if not one.runs),
        reasons,
    )


def _action(running: Sequence[ObservedServer], reasons: Sequence[Drift], digest: str) -> PlannedAction:
    if not running:
        return PlannedAction.START
    # Two servers of one project are never kept: only one of them can have the ports.
    if len(running) == 1 and not reasons:
        return PlannedAction.KEEP
    # One that does not answer, since it still starts or hangs, does not answer a reload either. One of another spec was
    # not queried.
    can_reload = len(running) == 1 and running[0].models is not None
    if can_reload and all(one.by_reload for one in reasons):
        return PlannedAction.RELOAD
    can_switch = can_reload or (len(running) == 1 and running[0].server.digest != digest)
    return PlannedAction.SWITCH if can_switch and all(one.by_switch for one in reasons) else PlannedAction.REPLACE


def _named(server: ModelServer) -> str:
    return f"{server.runtime} server {server.id[:12]}"


def _server_document(server: ModelServer) -> dict[str, Any]:
    return {"runtime": server.runtime, "id": server.id, "spec": server.digest}
