"""teardown: stop and remove every server with the project's label; with options also workspace and image.

Teardown must work when everything else is broken: no workspace, a damaged state, a YAML that has changed. So it finds
servers by label under every runtime and needs no record. A missing engine is an error only where it may hold a server.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import KINDS
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.project_state import ProjectState, read_state, write_state
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.plan.execution import stop_servers
from tfs_workflow.workflow.plan.observation import observe
from tfs_workflow.workflow.plan.plan import RemovalPlan
from tfs_workflow.workflow.project import notify_wait, runtimes_of


@dataclass(frozen=True)
class TornDown:
    """What teardown removed."""

    servers: tuple[ModelServer, ...]
    workspace: Path | None = None
    image: str = ""


def remove(loaded: LoadedConfig, context: TransferContext, *, purge: bool = False, image: bool = False) -> TornDown:
    """Stop and remove every server with the project's label; repeatable.

    `purge` also removes the workspace, if it has our marker, and `image` the image.
    """
    config = loaded.config
    workspace = Workspace.open(loaded.workspace, config.project)
    if workspace is None:
        runtimes = runtimes_of(Workspace(loaded.workspace, config.project))
        return _execute(_plan(config, runtimes, ProjectState(), None, image), runtimes, config)
    with workspace.exclusive(notify_wait(context)):
        state, runtimes = read_state(workspace), runtimes_of(workspace)
        plan = _plan(config, runtimes, state, workspace.path if purge else None, image)
        removed = _execute(plan, runtimes, config)
        if state.started:
            # Teardown frees space, and so must succeed on a full disk.
            with suppress(ConfigError):  # a full disk: the next verb looks for a server that is not there
                write_state(workspace, replace(state, started=()))
        if purge:
            # Last, and under the lock: the servers read their models from it until they are stopped.
            workspace.purge()
    return removed


def plan_remove(loaded: LoadedConfig, *, purge: bool = False, image: bool = False) -> RemovalPlan:
    """What `remove` would remove now; changes nothing and takes no lock."""
    config = loaded.config
    workspace = Workspace.open(loaded.workspace, config.project)
    state = read_state(workspace) if workspace else ProjectState()
    runtimes = runtimes_of(workspace or Workspace(loaded.workspace, config.project))
    return _plan(config, runtimes, state, workspace.path if workspace and purge else None, image)


def _plan(config: Config, runtimes: Runtimes, state: ProjectState, workspace: Path | None, image: bool) -> RemovalPlan:
    """Looks under every runtime, since a workspace that was lost names none of them."""
    containers = [kind.name for kind in KINDS if kind.is_container]
    required = next((name for name in containers if name in state.started or name == config.runtime), "")
    servers = tuple(one.server for one in observe(runtimes, config.project, [kind.name for kind in KINDS], required))
    return RemovalPlan(servers, workspace, config.server.image if image else "")


def _execute(plan: RemovalPlan, runtimes: Runtimes, config: Config) -> TornDown:
    stop_servers(runtimes, plan.servers, config.server.stop_timeout_s)
    return TornDown(plan.servers, plan.workspace, plan.image if _removed_image(plan.image) else "")


def _removed_image(reference: str) -> bool:
    if not reference:
        return False
    from tfs_workflow.runtimes.docker import Engine, image_pull  # noqa: PLC0415  # docker-py only where it is needed

    return image_pull.remove(Engine(), reference)
