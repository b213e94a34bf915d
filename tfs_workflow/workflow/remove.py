"""teardown: stop and remove what bears the project's label, and what else was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.lookup import EVERY
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state.workspace import Workspace
from tfs_workflow.workflow.project import announce_wait, remember_started, runtimes_of, started_with


@dataclass(frozen=True)
class TornDown:
    """What teardown removed."""

    servers: tuple[ModelServer, ...]
    workspace: Path | None = None
    image: str = ""


def teardown(loaded: LoadedConfig, transfer: Transfer, *, purge: bool = False, image: bool = False) -> TornDown:
    """Stop and remove every server that bears the project's label; repeatable.

    `purge` also removes the workspace, if it has our marker, and `image` the image.
    """
    config = loaded.config
    workspace = Workspace.open(loaded.workspace, config.project)
    if workspace is None:
        lost = Workspace(loaded.workspace, config.project)
        return TornDown(_stopped(lost, config), image=_removed_image(config, image))
    with workspace.exclusive(announce_wait(transfer)):
        servers = _stopped(workspace, config)
        remember_started(workspace)
        removed = _removed_image(config, image)
        if purge:
            workspace.purge()
    return TornDown(servers, workspace.path if purge else None, removed)


def _stopped(workspace: Workspace, config: Config) -> tuple[ModelServer, ...]:
    """Stop the project's servers under every runtime, since a workspace that was lost remembers none of them."""
    required = "docker" if "docker" in started_with(workspace) or config.runtime == "docker" else ""
    found = runtimes_of(workspace).find(config.project, EVERY, required)
    for runtime, server in found:
        runtime.stop(server, config.server.stop_timeout_s)
    return tuple(server for _, server in found)


def _removed_image(config: Config, wanted: bool) -> str:
    if not wanted:
        return ""
    from tfs_workflow.runtimes.docker import Engine, image_pull  # noqa: PLC0415  # docker-py only where it is needed

    return config.server.image if image_pull.remove(Engine(), config.server.image) else ""
