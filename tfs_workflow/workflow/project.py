"""One project as the verbs share it: its workspace, its spec, its runtimes, and the server with its label.

Each verb would otherwise find workspace, record and server in its own way, and the ways would drift apart. The runtimes
that are looked at come from the state (`started`), since the YAML may name another one than the server was started
with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tfs_workflow.checks import check_models
from tfs_workflow.checks.access_files import access_findings
from tfs_workflow.checks.docker_host import locality
from tfs_workflow.checks.finding import raise_first_failure
from tfs_workflow.checks.tensorflow_packages import tensorflow_version
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Config
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer, Runtime
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.runtimes.spec_builder import build_spec
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state.project_state import StateSession, open_state, read_state
from tfs_workflow.state.setup_record import SetupRecord, not_set_up, require_setup
from tfs_workflow.state.workspace import Workspace


@dataclass(frozen=True)
class WantedServer:
    """The server to have: its spec, and the versions of each model that must become AVAILABLE."""

    spec: ServerSpec
    versions: Mapping[str, list[int]]


@dataclass
class Project:
    """One project while a verb works on it: what the YAML says, what setup recorded, and its runtimes.

    It is put together once, when the verb begins, so that the steps take it instead of looking each part up again.
    """

    config: Config
    yaml_path: Path
    session: StateSession
    runtimes: Runtimes
    record: SetupRecord

    @property
    def image(self) -> str:
        """The image's reference in the YAML."""
        return self.config.server.image

    @property
    def ready_timeout_s(self) -> float:
        """The seconds that every model has to become AVAILABLE."""
        return self.config.server.ready_timeout_s

    @property
    def runtime(self) -> Runtime:
        """The runtime that setup chose."""
        return self.runtimes.get(self.record.runtime)

    def wanted(self) -> WantedServer:
        """What to serve; InvalidModelError when a wanted version cannot be served."""
        spec = server_spec(self.config, self.record, self.session.workspace)
        return WantedServer(spec, check_models(spec, runtime_kind(self.record.runtime).reader()))


def open_project(loaded: LoadedConfig) -> Project:
    """The project without a lock, to look and not to change.

    Raises SetupRequiredError when setup must run first, ToolMissingError when the engine is out of reach.
    """
    return _project(loaded, StateSession(require_workspace(loaded)))


@contextmanager
def locked_project(loaded: LoadedConfig, context: TransferContext) -> Iterator[Project]:
    """The project for one verb at a time; what the block changed of its state is written at the end.

    Raises as `open_project` does.
    """
    workspace = require_workspace(loaded)
    with workspace.exclusive(notify_wait(context)), open_state(workspace) as session:
        yield _project(loaded, session)


def _project(loaded: LoadedConfig, session: StateSession) -> Project:
    config = loaded.config
    record = require_setup(session.state.setup, config)
    if runtime_kind(record.runtime).is_container:
        require_engine_in_reach(config)
    return Project(config, loaded.path, session, runtimes_of(session.workspace), record)


def require_workspace(loaded: LoadedConfig) -> Workspace:
    """The project's workspace; ConfigError where setup did not run yet."""
    workspace = Workspace.open(loaded.workspace, loaded.config.project)
    if workspace is None:
        raise not_set_up(loaded.config)
    return workspace


def server_spec(config: Config, record: SetupRecord, workspace: Workspace) -> ServerSpec:
    """What to serve, from the YAML and the record of setup; ConfigError for a key that its runtime cannot have."""
    raise_first_failure(access_findings(config, record.runtime))
    found = (record.base_paths, record.contents, record.image_digest, workspace.models)
    spec = build_spec(config, record.runtime, *found, processors=record.processors)
    # An upgrade is a change of the server like any other: serve loads it.
    return replace(spec, tensorflow=tensorflow_version()) if runtime_kind(record.runtime).own_code else spec


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
