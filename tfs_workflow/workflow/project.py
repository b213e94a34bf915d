"""One project as the verbs share it: its workspace, its spec, its runtimes, and the server with its label.

Each verb would otherwise find workspace, record and server in its own way, and the ways would drift apart. The runtimes
that are looked at come from the state (`started`), since the YAML may name another one than the server was started
with.
"""

from __future__ import annotations

from collections.abc import Callable

from tfs_workflow.checks.docker_host import locality
from tfs_workflow.checks.finding import raise_first_failure
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.runtimes.spec_builder import build_spec
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import SetupRecord, not_set_up
from tfs_workflow.state.workspace import Workspace


def require_workspace(loaded: LoadedConfig) -> Workspace:
    """The project's workspace; ConfigError where setup did not run yet."""
    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        raise not_set_up(loaded.config)
    return workspace


def server_spec(config: Config, record: SetupRecord) -> ServerSpec:
    """What to serve, from the YAML and the record of setup."""
    return build_spec(config, record.runtime, record.base_paths, record.contents, record.image_digest)


def require_engine_in_reach(config: Config) -> None:
    """Raise ToolMissingError when the engine is on another machine whose ports are out of reach; makes no network
    call.
    """
    from tfs_workflow.runtimes.docker import engine_info  # noqa: PLC0415  # docker-py only where it is needed

    _, address = engine_info.chosen_address()
    raise_first_failure(locality(address, engine_info.is_local(address), config.server.expose))


def runtimes_of(workspace: Workspace) -> Runtimes:
    """The runtimes, with their files in this workspace."""
    return Runtimes(workspace.serving, workspace.run / "server.log")


def running(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's running server; ServerNotReadyError when there is none."""
    found = _found(loaded)
    for runtime, server in found:
        if server.exit_code is None:
            return runtime, server
    ended = f"the last one ended with exit code {found[0][1].exit_code}" if found else ""
    fix = "invoke serve; invoke doctor --after explains the end of the last one" if found else "invoke serve"
    raise ServerNotReadyError("no server of this project runs", where=loaded.config.project, evidence=ended, fix=fix)


def known(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's server, running or ended; ServerNotReadyError when there is none."""
    for runtime, server in _found(loaded):
        return runtime, server
    fix = "invoke serve; where that failed, invoke doctor --after explains it"
    raise ServerNotReadyError("there is no server of this project", where=loaded.config.project, fix=fix)


def _found(loaded: LoadedConfig) -> list[tuple[Runtime, ModelServer]]:
    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        return []
    names = read_state(workspace).started
    return runtimes_of(workspace).find(loaded.config.project, names, required="".join(names[:1]))


def notify_wait(context: TransferContext) -> Callable[[int | None], None]:
    """A callback that notifies the user of the verb that this one waits for."""

    def notify(pid: int | None) -> None:
        context.notify("waiting for another verb of this project" + (f" (pid {pid})" if pid else ""))

    return notify
