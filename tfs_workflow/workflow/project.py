"""What the verbs ask about one project: its spec, its runtimes, and the server that bears its label."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress

from tfs_workflow.checks.docker_host import locality
from tfs_workflow.checks.finding import raise_first_failure
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ConfigError, NotReady
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.runtimes.spec_builder import build_spec
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state.setup_record import Prepared
from tfs_workflow.state.workspace import Workspace

_STARTED = "started"


def server_spec(config: Config, made: Prepared) -> ServerSpec:
    """What to serve, from the YAML and what setup made ready."""
    return build_spec(config, made.runtime, made.base_paths, made.contents, made.image_digest)


def require_engine_in_reach(config: Config) -> None:
    """Raise ToolMissing when the engine is on another machine whose ports could not be reached; nobody is asked."""
    from tfs_workflow.runtimes.docker import engine_info  # noqa: PLC0415  # docker-py only where it is needed

    _, address = engine_info.chosen_address()
    raise_first_failure(locality(address, engine_info.is_local(address), config.server.expose))


def runtimes_of(workspace: Workspace) -> Runtimes:
    """The runtimes, with their files in this workspace."""
    return Runtimes(workspace.serving, workspace.run / "server.log")


def started_with(workspace: Workspace) -> tuple[str, ...]:
    """The runtimes that may hold a server of this project."""
    return tuple(workspace.recall(_STARTED) or ())


def remember_started(workspace: Workspace, *names: str) -> None:
    """Keep which runtimes may hold a server, before the server is there; none forgets them."""
    # Forgetting may fail on a full disk: then a runtime is asked in vain, and teardown has done its work.
    with nullcontext() if names else suppress(ConfigError):
        workspace.remember(_STARTED, sorted(set(names)) or None)


def running(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's running server; NotReady when there is none."""
    found = _found(loaded)
    for runtime, server in found:
        if server.exit_code is None:
            return runtime, server
    ended = f"the last one ended with exit code {found[0][1].exit_code}" if found else ""
    fix = "invoke serve; invoke doctor --after tells why the last one ended" if found else "invoke serve"
    raise NotReady("no server of this project runs", where=loaded.config.project, evidence=ended, fix=fix)


def known(loaded: LoadedConfig) -> tuple[Runtime, ModelServer]:
    """The project's server, running or ended; NotReady when there is none."""
    for runtime, server in _found(loaded):
        return runtime, server
    fix = "invoke serve; where that failed, invoke doctor --after tells why"
    raise NotReady("there is no server of this project", where=loaded.config.project, fix=fix)


def _found(loaded: LoadedConfig) -> list[tuple[Runtime, ModelServer]]:
    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        return []
    names = started_with(workspace)
    return runtimes_of(workspace).find(loaded.config.project, names, required=names[0] if names else "")


def announce_wait(transfer: Transfer) -> Callable[[int | None], None]:
    """Tells the user whom a verb waits for."""

    def announce(pid: int | None) -> None:
        transfer.announce("waiting for another verb of this project" + (f" (pid {pid})" if pid else ""))

    return announce
